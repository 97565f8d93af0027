#!/usr/bin/python3
# limit: 170
"""The machine's own traffic over the gateway's port (port: host_device): its services and its own connections
on the gateway's address and on another, while mail flows; a flood to closed ports; and all of it off.

Two namespaces: this one is the machine, with the gateway and the kernel's interface host0; far is the rest of the
world, behind the gateway's port."""
import fcntl
import os
import re
import socket
import struct
import threading
import time

from gateway import Gateway, make_veth, ping
from harness import (GATEWAY_IP, HOST_IP, Failed, Skip, check, check_equal, main, run,
                     wait_until)
from mail import Client, Ledger, Load, plain
from netns import Namespace
from sinks import Scripted

AF_PACKET = 'net_af_packet0,iface=gw0,blocksz=65536,framesz=2048,framecnt=8192,qdisc_bypass=1,qpairs=2'
OTHER_IP = '10.9.0.7'  # the machine's alone
FAR_PORT = 7007
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000
far = sink = None


def setup(lab):
    global far, sink
    if not os.path.exists('/dev/net/tun'):
        raise Skip('no /dev/net/tun')
    far = Namespace(lab)
    with far:
        sink = Scripted(lab)


def set_proc(path, value):
    with open(f'/proc/sys/net/{path}', 'w') as f:
        f.write(value)


class Running:
    """A gateway whose port leads to far; the machine has 10.9.0.1, which is the gateway's too, and 10.9.0.7."""

    def __init__(self, lab, name, veth=False, lanes=1, **port):
        self.veth = veth
        sink.messages.clear()
        if veth:
            make_veth()
            # The kernel sees the frames of this device, too, as it would not those of a NIC that DPDK has.
            set_proc('ipv4/conf/gw0/rp_filter', '1')
            set_proc('ipv4/conf/gw0/arp_ignore', '8')
            run('ip', 'addr', 'flush', 'dev', 'cl0')
            far.take('cl0')
        self.gw = Gateway(lab, name=name, gateway={'lanes': lanes},
                          port_net0={'device': AF_PACKET if veth else 'net_tap0,iface=gw0', **port})
        self.host = 'host_device' in port

    def __enter__(self):
        self.gw.start(addresses=False)
        if not self.veth:
            far.take('gw0')
        if self.host:
            for address in (GATEWAY_IP, OTHER_IP):
                run('ip', 'addr', 'replace', f'{address}/24', 'dev', 'host0')
            run('ip', 'link', 'set', 'host0', 'up')
        return self.gw

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                check_equal(self.gw.stop(), 0, 'exit status')
        finally:
            self.gw.end()
            if self.veth:
                run('ip', 'link', 'del', 'gw0')


class Echo:
    """A TCP and a UDP service on every address of the namespace that made it."""

    def __init__(self, port=FAR_PORT, family=socket.AF_INET):
        everywhere = '::' if family == socket.AF_INET6 else '0.0.0.0'
        self.tcp = socket.create_server((everywhere, port), backlog=64, family=family)
        self.udp = socket.socket(family, socket.SOCK_DGRAM)
        self.udp.bind((everywhere, port))
        for run_it in (self.serve_tcp, self.serve_udp):
            threading.Thread(target=run_it, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in (self.tcp, self.udp):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    def serve_tcp(self):
        while True:
            try:
                s, _ = self.tcp.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(s,), daemon=True).start()

    @staticmethod
    def echo(s):
        try:
            while data := s.recv(65536):
                s.sendall(data)
        except OSError:
            pass
        s.close()

    def serve_udp(self):
        while True:
            try:
                data, peer = self.udp.recvfrom(65536)
            except OSError:
                return
            if peer is None:  # it was shut down
                return
            self.udp.sendto(data, peer)


def tcp_echo(address, size, source=None, port=FAR_PORT):
    """Sends size bytes and reads as many back."""
    data = os.urandom(size)
    with socket.create_connection((address, port), timeout=30, source_address=source) as s:
        def send():
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        got = bytearray()
        while more := s.recv(65536):
            got += more
        sender.join()
    check(got == data, f'{address}: {len(got)} of {size} bytes came back over TCP')


def udp_echo(address, size, source=''):
    data = os.urandom(size)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.bind((source, 0))
        for _ in range(10):
            s.sendto(data, (address, FAR_PORT))
            try:
                check(s.recv(65536) == data, f'{address}: other bytes came back over UDP')
                return
            except TimeoutError:
                pass
    raise Failed(f'{address}: no answer over UDP ({size} bytes)')


def deliver(gw, count, meanwhile):
    """count messages through the gateway, from far to far, while meanwhile() runs."""
    ledger = Ledger()
    with far:  # threads that it starts are over there, too
        load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 2000)), range(count), 8,
                    per_connection=5)
    meanwhile()
    check_equal(load.join(90), [], 'errors of clients')
    sink.wait(count)
    ledger.audit(sink.messages)


def services(gw, datagram):
    def talk():
        with far:
            for address in (GATEWAY_IP, OTHER_IP):
                tcp_echo(address, 100)
                tcp_echo(address, 2 << 20)
                udp_echo(address, 50)
                udp_echo(address, datagram)
                check_equal(ping(address=address), 3, f'echo replies of {address}')
        for source in (GATEWAY_IP, OTHER_IP):
            tcp_echo(HOST_IP, 100, source=(source, 0))
            tcp_echo(HOST_IP, 2 << 20, source=(source, 0))
            udp_echo(HOST_IP, 50, source=source)
            udp_echo(HOST_IP, datagram, source=source)
            check_equal(ping(address=HOST_IP, source=source), 3, f'echo replies to {source}')
    with far:
        there = Echo()
    with Echo(), there:
        deliver(gw, 100, talk)
    with far:  # what the kernel has no service for, it refuses itself
        unknown = gw.counter('tcp/drop_unknown')
        try:
            socket.create_connection((GATEWAY_IP, 4711), timeout=20)
            raise Failed('port 4711 is open')
        except ConnectionRefusedError:
            pass
    check_equal(gw.counter('tcp/drop_unknown'), unknown, 'segments that the gateway refused')
    for name in ('drop_to_host_limited', 'drop_to_host_syn', 'drop_to_host_neighbor', 'drop_from_host'):
        check_equal(gw.counter(f'net/{name}'), 0, name)
    check(gw.counter('net/to_host') > 3000 and gw.counter('net/from_host') > 3000, 'frames were counted')


def test_services_beside_the_gateway(lab):
    with Running(lab, 'tap', host_device='host0', host_rate=1000000, host_burst=1000000) as gw:
        services(gw, 4000)  # in fragments


def test_services_two_lanes(lab):
    with Running(lab, 'veth', veth=True, lanes=2, host_device='host0', host_rate=1000000, host_burst=1000000) as gw:
        services(gw, 1400)  # af_packet's fanout puts fragments together, and then has no room for them


def test_services_over_ipv6(lab):
    ours, machine, there = 'fd00:9::1', 'fd00:9::7', 'fd00:9::2'
    if not os.path.exists('/proc/sys/net/ipv6'):
        raise Skip('this kernel has no IPv6')

    def give(interface, *addresses):
        set_proc(f'ipv6/conf/{interface}/disable_ipv6', '0')
        for address in addresses:
            run('ip', '-6', 'addr', 'replace', f'{address}/64', 'dev', interface, 'nodad')

    def reached():
        try:
            tcp_echo(ours, 10)
            return True
        except OSError:
            return False
    with Running(lab, 'six', host_device='host0', address=[f'{GATEWAY_IP}/24', f'{ours}/64']) as gw:
        give('host0', ours, machine)
        with far:
            give('gw0', there)
            over_there = Echo(family=socket.AF_INET6)
        with Echo(family=socket.AF_INET6), over_there:
            with far:
                wait_until(reached, 30, 'the shared address')  # it is proved to be nobody else's first
                tcp_echo(machine, 100000)
                with Client(host=ours) as c:
                    check_equal(c.deliver('s@client.example', ['six@example.org'], plain(6, 500)).code, 250, 'mail')
            for source in (ours, machine):
                tcp_echo(there, 100000, source=(source, 0))
        sink.wait(1)
        check(gw.counter('net/to_host') > 50, 'frames were counted')


def raw_frames(mac, count):
    """Frames from far to closed ports of the gateway's address: UDP and SYNs in turn."""
    def checksum(data):
        total = sum(struct.unpack(f'>{len(data) // 2}H', data))
        total = (total & 0xffff) + (total >> 16)
        return ~(total + (total >> 16)) & 0xffff
    source, target = socket.inet_aton(HOST_IP), socket.inet_aton(GATEWAY_IP)
    out = []
    for n in range(count):
        port = 20000 + n % 10000
        if n % 2:
            protocol, rest = 17, struct.pack('>HHHH', port, 9, 8, 0)
        else:
            protocol = 6
            head = struct.pack('>HHIIBBH', port, 81, n, 0, 0x50, 2, 1024)
            value = checksum(source + target + struct.pack('>HH', 6, 20) + head + bytes(4))
            rest = head + struct.pack('>HH', value, 0)
        ip = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(rest), 0, 0, 64, protocol, 0) + source + target
        ip = ip[:10] + struct.pack('>H', checksum(ip)) + ip[12:]
        out.append(mac + b'\x02\0\0\0\x09\x09' + b'\x08\0' + ip + rest)
    return out


def test_flood_to_closed_ports(lab):
    rate, burst, seconds = 400, 100, 4
    with Running(lab, 'flood', host_device='host0', host_rate=rate, host_burst=burst) as gw:
        mac = re.search(r'link/ether (\S+)', run('ip', 'link', 'show', 'host0')).group(1)
        frames = raw_frames(bytes.fromhex(mac.replace(':', '')), 2000)
        with far:
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
            raw.bind(('gw0', 0))
        start, before = time.monotonic(), gw.counter('net/to_host')
        sent = [0]

        def flood():
            while time.monotonic() - start < seconds:
                for frame in frames:
                    try:
                        raw.send(frame)
                        sent[0] += 1
                    except OSError:  # the interface's queue is full
                        pass
        deliver(gw, 60, flood)
        passed, elapsed = gw.counter('net/to_host') - before, time.monotonic() - start
        # ARP has a budget of its own, 100 and 200 a second.
        most = (rate + 200) * elapsed + burst + 100
        check(sent[0] > 2 * most, f'only {sent[0]} frames were sent: no flood')
        check(passed <= most, f'{passed} frames went to the kernel in {elapsed:.1f} s, not {most:.0f} at most')
        check(gw.counter('net/drop_to_host_limited') > 0, 'frames over the rate are counted')
        check(gw.counter('net/drop_to_host_syn') > 0, 'SYNs over their part of it are counted')

        def back():
            with far:
                try:
                    tcp_echo(GATEWAY_IP, 1000)
                    return True
                except OSError:
                    return False
        with Echo():
            wait_until(back, 30, 'a service of the machine after the flood')


def test_kernel_is_limited(lab):
    """What the kernel sends over the rate waits; nothing is lost."""
    with Running(lab, 'limit', host_device='host0', host_rate=50, host_burst=5) as gw:
        with far:
            there = Echo()
        with there:
            deliver(gw, 20, lambda: tcp_echo(HOST_IP, 200 << 10, source=(GATEWAY_IP, 0)))
        check(gw.counter('net/from_host_limited') > 0, 'waits are counted')


def test_interface_that_stands_already(lab):
    """A persistent TAP keeps its addresses when the gateway ends; it takes the port's MAC and MTU."""
    run('ip', 'tuntap', 'add', 'name', 'host0', 'mode', 'tap')
    here = Echo()
    try:
        for _ in range(2):
            with Running(lab, 'stays', host_device='host0', mtu=1400) as gw:
                with far:
                    tcp_echo(OTHER_IP, 20000)
                check('mtu 1400' in run('ip', 'link', 'show', 'host0'), 'MTU of host0')
                check(gw.counter('net/to_host') > 0, 'frames were counted')
            check(OTHER_IP in run('ip', 'addr', 'show', 'host0'), 'host0 has lost its address')
    finally:
        here.__exit__()
        run('ip', 'link', 'del', 'host0')


def test_interface_of_another(lab):
    with open('/dev/net/tun', 'r+b', buffering=0) as tun:
        fcntl.ioctl(tun, TUNSETIFF, struct.pack('16sH', b'host0', IFF_TAP | IFF_NO_PI) + bytes(22))
        gw = Gateway(lab, name='busy', port_net0={'host_device': 'host0'})
        gw.launch()
        check_equal(gw.wait(), 2, 'exit status')
        check('port net0: host_device: cannot open the interface host0' in gw.log(), gw.log()[-300:])


def test_off(lab):
    """Without host_device the gateway refuses and drops what is not its own."""
    with Running(lab, 'off') as gw:
        unknown, protocol = gw.counter('tcp/drop_unknown'), gw.counter('net/drop_ip_protocol')
        with far:
            try:
                socket.create_connection((GATEWAY_IP, 4711), timeout=20)
                raise Failed('port 4711 is open')
            except ConnectionRefusedError:
                pass
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.sendto(b'x', (GATEWAY_IP, 4711))
        check(gw.counter('tcp/drop_unknown') > unknown, 'the gateway refused it')
        wait_until(lambda: gw.counter('net/drop_ip_protocol') > protocol, 10, 'UDP is counted')
        check_equal(gw.counter('net/to_host'), 0, 'frames to the kernel')
        deliver(gw, 10, lambda: None)


if __name__ == '__main__':
    main(setup)
