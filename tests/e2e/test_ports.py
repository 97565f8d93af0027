#!/usr/bin/python3
# limit: 150
"""The same mail over each kind of port: TAP and veth with af_packet, one and two lanes."""
import os

from bodies import sized
from gateway import Counted, Gateway, make_veth, ping
from harness import Skip, check, check_equal, find_program, main, run, wait_until
from mail import Client, Ledger, Load, plain, split_received
from sinks import Scripted

COUNT, CONNECTIONS = 120, 16
AF_PACKET = 'net_af_packet0,iface=gw0,blocksz=65536,framesz=2048,framecnt=8192,qdisc_bypass=1'
far = None


def setup(lab):
    global far
    far = Scripted(lab)


def kernel_checksum_errors():
    with open('/proc/net/snmp') as f:
        names, values = [line.split() for line in f if line.startswith('Tcp:')]
    return int(values[names.index('InCsumErrors')])


def smoke(lab, name, device, lanes, veth=False, bridge=None, mtu=1500, large=False):
    """large: whether the port is to be given large segments to cut."""
    far.messages.clear()
    if veth:
        make_veth()
    # No connection outlives its gateway: what its peer repeats would come to the next one.
    gw = Gateway(lab, name=name, gateway={'lanes': lanes}, smtp={'client_idle': '0'}, port_net0={'device': device})
    gw.iface = 'cl0' if veth else 'gw0'
    other = None
    try:
        gw.start(addresses=bridge is None)
        if bridge:
            other = bridge(lab)
            wait_until(lambda: 'gw0' in run('ip', '-o', 'link'), 30, "the bridge's gw0")
            gw.address()
            wait_until(lambda: ping(count=1, seconds=1), 30, 'an answer through the bridge')
        run('ip', 'link', 'set', gw.iface, 'mtu', str(mtu))
        exchange(gw, lanes, mtu)
        check_equal(gw.counter('tcp/tx_large') > 0, large, 'large segments went out')
        check_equal(gw.counter('port/drop_tx_refused'), 0, 'frames that the port refused')
        check_equal(kernel_checksum_errors(), 0, 'bad checksums at the other end')
        # Frames of a veth are spread by the kernel's own hash: answers come to any lane, and find theirs.
        if veth:
            check_equal(gw.counter('lane/steered') > 0, lanes > 1, 'frames passed on between lanes')
        check_equal(gw.stop(), 0, 'exit status')
    finally:
        gw.end()
        if other is not None:
            other.kill()
            other.wait()
        if veth:
            run('ip', 'link', 'del', 'cl0')
        wait_until(lambda: 'gw0' not in run('ip', '-o', 'link'), 30, 'gw0 is gone')


def exchange(gw, lanes, mtu):
    for size in (0, 56, mtu - 28):
        check_equal(ping(size), 3, f'echo replies of {size} bytes')
    ledger = Ledger()
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 300 + n * 100)), range(COUNT),
                CONNECTIONS, per_connection=5)
    check_equal(load.join(60), [], 'errors of clients')
    far.wait(COUNT)
    ledger.audit(far.messages)
    large = sized(3 << 20)
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['big@example.org'], large, ' BODY=8BITMIME').code, 250, '3 MB')
    wait_until(lambda: far.to('big@example.org'), 60, '3 MB at the next hop')
    check(split_received(far.to('big@example.org')[0].content)[1] == large, 'bytes of 3 MB differ')
    check_equal(gw.counter('net/drop_tcp_checksum') + gw.counter('net/drop_ip_checksum'), 0, 'bad checksums')
    check_equal(gw.counter('lane/steer_dropped'), 0, 'frames lost between lanes')
    if lanes > 1:
        shares = [gw.counter('conn/accepted', n) for n in gw.lanes()]
        check(all(shares), f'connections of the lanes: {shares}')
        delivered = [gw.counter('conn/opened', n) for n in gw.lanes()]
        check(all(delivered), f'deliveries of the lanes: {delivered}')


def test_tap_one_lane(lab):
    smoke(lab, 'tap1', 'net_tap0,iface=gw0', 1)


def test_tap_two_lanes(lab):
    smoke(lab, 'tap2', 'net_tap0,iface=gw0', 2)


def test_tap_cuts_large_segments(lab):
    """net_tap offers TSO, but only for segments that leave some of the MTU free: so the kernel's end
    takes smaller ones. Over the other ports the same bytes go segment by segment."""
    smoke(lab, 'tso1', 'net_tap0,iface=gw0', 1, mtu=1400, large=True)


def test_tap_cuts_on_two_lanes(lab):
    smoke(lab, 'tso2', 'net_tap0,iface=gw0', 2, mtu=1399, large=True)


def test_af_packet_one_lane(lab):
    smoke(lab, 'af1', AF_PACKET, 1, veth=True)


def test_af_packet_two_lanes(lab):
    smoke(lab, 'af2', AF_PACKET + ',qpairs=2', 2, veth=True)


def test_partial_checksums_are_told(lab):
    """A client end that leaves checksums to a card that is not there: the log names the cure."""
    make_veth()
    gw = Gateway(lab, name='hint', port_net0={'device': AF_PACKET})
    gw.iface = 'cl0'
    try:
        gw.start()
        run('ethtool', '-K', 'cl0', 'tx', 'on')
        with Counted(gw, 'net/drop_tcp_checksum', seconds=20):
            for _ in range(3):  # each is a SYN and its repetition
                try:
                    Client(timeout=1.5).close()
                    raise Skip('this kernel fills checksums in over veth')
                except TimeoutError:
                    pass
        wait_until(lambda: 'ethtool' in gw.log(), 30, 'a hint in the log')
    finally:
        gw.end()
        run('ip', 'link', 'del', 'cl0')


def test_memif(lab):
    """A shared-memory port has no kernel end: DPDK's testpmd passes frames between it and a TAP."""
    def bridge(lab):
        with open(lab.path('testpmd.log'), 'wb') as log:
            return lab.spawn(find_program('dpdk-testpmd', 'package dpdk-dev'), '-l', '0,1', '--no-pci', '--no-huge',
                             '--no-shconf', '-m', '128', '--no-telemetry', '--file-prefix', f'bridge{os.getpid()}',
                             f'--vdev=net_memif0,role=client,id=0,socket={path},socket-abstract=no,rsize=11',
                             '--vdev=net_tap0,iface=gw0', '--', '--forward-mode=io', '--auto-start',
                             '--total-num-mbufs=16384', '--stats-period=1000', stdout=log, stderr=log)
    find_program('dpdk-testpmd', 'package dpdk-dev')
    path = lab.path('memif/run/memif.sock')
    smoke(lab, 'memif', f'net_memif0,role=server,id=0,socket={path},socket-abstract=no,rsize=11', 1, bridge=bridge)


if __name__ == '__main__':
    main(setup)
