#!/usr/bin/python3
# limit: 200
"""IPv6 and VLANs against the kernel: mail in and out, echo, neighbor discovery, a gateway, a duplicate address."""
import errno
import fcntl
import os
import socket
import struct
import threading

from bodies import sized
from gateway import Gateway, make_veth, ping
from harness import Failed, Skip, check, check_equal, main, run, wait_until
from mail import Client, Ledger, Load, plain, split_received
from sinks import Scripted

AF_PACKET = 'net_af_packet0,iface=gw0,blocksz=65536,framesz=2048,framecnt=8192,qdisc_bypass=1'
OURS, HOST, BEYOND, ROUTER = 'fd00:9::1', 'fd00:9::2', 'fd00:99::1', 'fe80::99'
GATEWAY_SETTINGS = {
    'port_net0': {'address': ['10.9.0.1/24', f'{OURS}/64'], 'gateway6': ROUTER},
    'relay': {'networks': ['10.9.0.0/24', 'fd00:9::/64'], 'domains': ['example.org']},
    'route_default': {'host': f'[{HOST}]:2525'},
    'route_beyond.example': {'host': f'[{BEYOND}]:2526'},
}
COUNT, CONNECTIONS = 100, 12
near = beyond = None


def setup(lab):
    global near, beyond
    if not os.path.exists('/proc/sys/net/ipv6'):
        raise Skip('this kernel has no IPv6')
    set_ipv6('lo', True)
    with open('/proc/sys/net/ipv6/ip_nonlocal_bind', 'w') as f:
        f.write('1')
    run('ip', '-6', 'addr', 'add', f'{BEYOND}/128', 'dev', 'lo', 'nodad')
    with open('/proc/sys/net/ipv6/conf/all/forwarding', 'w') as f:
        f.write('1')
    near = Scripted(lab, host=HOST)
    beyond = Scripted(lab, host=BEYOND, port=2526)


def set_ipv6(interface, on):
    with open(f'/proc/sys/net/ipv6/conf/{interface}/disable_ipv6', 'w') as f:
        f.write('0' if on else '1')


def address(interface):
    """Gives the kernel's end its IPv6 addresses."""
    set_ipv6(interface, True)
    for own in (f'{HOST}/64', f'{ROUTER}/64'):
        run('ip', '-6', 'addr', 'replace', own, 'dev', interface, 'nodad')


class Running:
    """A gateway with both families, and the kernel's end of its link, for a with statement."""

    def __init__(self, lab, name, lanes=1, device='net_tap0,iface=gw0', veth=False, interface=None, **port):
        near.messages.clear()
        beyond.messages.clear()
        self.veth, self.interface = veth, interface
        if veth:
            make_veth()
        self.gw = Gateway(lab, name=name, gateway={'lanes': lanes}, **GATEWAY_SETTINGS)
        self.gw.change(port_net0={'device': device, **port})
        self.gw.iface = interface or ('cl0' if veth else 'gw0')

    def __enter__(self):
        self.gw.start()
        address(self.gw.iface)
        wait_until(lambda: ping6(0, count=1, seconds=1), 30, 'the first echo reply')
        return self.gw

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                check_equal(self.gw.stop(), 0, 'exit status')
        finally:
            self.gw.end()
            if self.veth:
                run('ip', 'link', 'del', 'cl0')
            wait_until(lambda: 'gw0' not in run('ip', '-o', 'link'), 30, 'gw0 is gone')


def ping6(size=56, count=3, seconds=5, target=OURS):
    """As gateway.ping."""
    answered = 0
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
        # ICMP6_FILTER: only echo replies pass
        s.setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack('=8I', *(0xffffffff & ~(1 << (129 % 32)) if n == 129 // 32
                                                                   else 0xffffffff for n in range(8))))
        s.settimeout(seconds)
        for number in range(count):
            payload = os.urandom(size)
            head = struct.pack('>BBHHH', 128, 0, 0, os.getpid() & 0xffff, number)
            s.sendto(head + payload, (target, 0))
            try:
                while s.recv(65536)[4:] != head[4:] + payload:
                    pass  # a late one of an earlier call
                answered += 1
            except TimeoutError:
                continue
    return answered


def exchange(gw, lanes=1):
    for size in (0, 57, 1452):
        check_equal(ping6(size), 3, f'echo replies of {size} bytes')
    ledger = Ledger()
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 300 + n * 100)), range(COUNT),
                CONNECTIONS, per_connection=5, host=OURS)
    check_equal(load.join(60), [], 'errors of clients')
    near.wait(COUNT)
    ledger.audit(near.messages)
    large = sized(3 << 20)
    with Client(OURS) as c:
        check_equal(c.deliver('s@client.example', ['big@example.org'], large, ' BODY=8BITMIME').code, 250, '3 MB')
        check_equal(c.deliver('s@client.example', ['far@beyond.example'], b'Subject: far\r\n\r\nhello\r\n').code, 250,
                    'to the one beyond')
    wait_until(lambda: near.to('big@example.org'), 60, '3 MB at the next hop')
    received, content = split_received(near.to('big@example.org')[0].content)
    check(content == large, 'bytes of 3 MB differ')
    check_equal(received['client'], f'IPv6:{HOST}'.encode(), 'client of the Received field')
    wait_until(lambda: beyond.to('far@beyond.example'), 60, 'mail beyond the gateway')
    for name in ('tcp_checksum', 'icmp_checksum', 'ip_length', 'tx_no_route'):
        check_equal(gw.counter(f'net/drop_{name}'), 0, name)
    check_equal(gw.counter('lane/steer_dropped'), 0, 'frames lost between lanes')
    if lanes > 1:
        delivered = [gw.counter('conn/opened', n) for n in gw.lanes()]
        check(all(delivered), f'deliveries of the lanes: {delivered}')


def test_tap(lab):
    with Running(lab, 'tap1') as gw:
        exchange(gw)
        check_equal(ping(), 3, 'echo replies of IPv4 beside it')


def test_tap_two_lanes(lab):
    with Running(lab, 'tap2', lanes=2) as gw:
        exchange(gw, lanes=2)


def test_af_packet(lab):
    """Without any checksum of the port's."""
    with Running(lab, 'af', device=AF_PACKET, veth=True) as gw:
        exchange(gw)


def test_neighbor_discovery(lab):
    """The kernel finds us, finds us again after it has forgotten us, and proves us reachable."""
    with Running(lab, 'nd') as gw:
        check(OURS in run('ip', '-6', 'neigh', 'show', 'dev', 'gw0'), f'{OURS} is not among the neighbors')
        for _ in range(3):
            run('ip', '-6', 'neigh', 'flush', 'dev', 'gw0')
            check_equal(ping6(count=1), 1, 'echo replies after a flush')
        run('ip', '-6', 'neigh', 'change', OURS, 'dev', 'gw0', 'nud', 'probe')
        wait_until(lambda: 'REACHABLE' in run('ip', '-6', 'neigh', 'show', OURS, 'dev', 'gw0'), 30,
                   'a probe is answered')
        check(gw.counter('net/tx_nd_advertisements') >= 4, 'advertisements')
        check_equal(gw.counter('net/drop_nd_invalid'), 0, 'invalid messages')


def test_duplicate_address(lab):
    """Another host has one of our addresses: it is not used, and the log says so; the others are."""
    running = Running(lab, 'dad', device=AF_PACKET, veth=True, address=['10.9.0.1/24', f'{OURS}/64', 'fd00:9::3/64'])
    gw = running.gw
    try:
        set_ipv6('cl0', True)
        for own in (f'{HOST}/64', f'{OURS}/64'):
            run('ip', '-6', 'addr', 'replace', own, 'dev', 'cl0', 'nodad')
        gw.start()
        wait_until(lambda: gw.counter('net/dad_conflicts') == 1, 30, 'the conflict is seen')
        wait_until(lambda: ping6(0, count=1, seconds=1, target='fd00:9::3'), 30, 'an echo reply of the good address')
        wait_until(lambda: any(OURS in line and 'is not used' in line for line in gw.log().splitlines()), 30,
                   'a word in the log')
        Client('fd00:9::3').close()
        run('ip', '-6', 'addr', 'del', f'{OURS}/64', 'dev', 'cl0')
        try:
            socket.create_connection((OURS, 25), timeout=2).close()
        except OSError:
            pass
        else:
            raise Failed('a duplicate address answers')
        check_equal(gw.stop(), 0, 'exit status')
    finally:
        gw.end()
        run('ip', 'link', 'del', 'cl0')


class Tagger:
    """A switch between gw0, where frames have the tag, and the kernel's kn0, where they have none: so no VLAN
    device of the kernel is needed. One that has another tag, or none, is counted."""

    def __init__(self, number):
        self.number, self.untagged = number, 0
        self.tap = os.open('/dev/net/tun', os.O_RDWR)
        fcntl.ioctl(self.tap, 0x400454ca, struct.pack('16sH', b'kn0', 0x1002))  # TUNSETIFF, TAP without header

    def start(self):
        """When gw0 is there."""
        run('ip', 'link', 'set', 'gw0', 'up')
        run('ip', 'link', 'set', 'kn0', 'up')
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL
        self.wire.bind(('gw0', 0))
        self.wire.setsockopt(263, 8, 1)  # SOL_PACKET, PACKET_AUXDATA: the kernel takes tags out of frames
        for work in (self.to_kernel, self.to_gateway):
            threading.Thread(target=self.until_down, args=(work,), daemon=True).start()

    def until_down(self, work):
        try:
            while True:
                work()
        except OSError as why:
            if why.errno not in (errno.ENETDOWN, errno.ENXIO, errno.EIO):  # the gateway has ended
                raise

    def to_kernel(self):
        frame, extra, _, sender = self.wire.recvmsg(65536, 256)
        if sender[2] == socket.PACKET_OUTGOING:
            return
        tag = None
        for level, kind, data in extra:
            status, _, _, _, _, tci, _ = struct.unpack('=IIIHHHH', data[:20])
            if (level, kind) == (263, 8) and status & 0x10:  # TP_STATUS_VLAN_VALID
                tag = tci & 0xfff
        if tag == self.number:
            os.write(self.tap, frame)
        else:
            self.untagged += 1

    def to_gateway(self):
        frame = os.read(self.tap, 65536)
        self.wire.send(frame[:12] + struct.pack('>HH', 0x8100, self.number) + frame[12:])


def test_vlan(lab):
    """Both families in tagged frames; untagged ones are dropped and counted."""
    tagger = Tagger(7)
    running = Running(lab, 'vlan', interface='kn0', vlan=7)
    gw = running.gw
    try:
        gw.start(addresses=False)
        tagger.start()
        gw.address()
        address('kn0')
        wait_until(lambda: ping6(0, count=1, seconds=1), 30, 'the first echo reply')
        exchange(gw)
        for size in (0, 56, 1472):
            check_equal(ping(size), 3, f'echo replies of {size} bytes by IPv4')
        check_equal(tagger.untagged, 0, 'frames of the gateway without the tag')
        before = gw.counter('net/drop_vlan')
        tagger.number = 8
        check_equal(ping(count=2, seconds=1), 0, 'echo replies to another VLAN')
        check(gw.counter('net/drop_vlan') >= before + 2, 'they are counted')
        check_equal(gw.stop(), 0, 'exit status')
    finally:
        gw.end()


if __name__ == '__main__':
    main(setup)
