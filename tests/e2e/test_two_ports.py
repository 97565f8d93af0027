#!/usr/bin/python3
# limit: 170
"""A gateway with two ports: mail in by one and out by the other, answers where the question came in, a flood on
one beside mail on the other, and the machine's own traffic on the second.

This namespace is at the port net0 (10.9.0.0/24), the other one at net1 (10.8.0.0/24), with a router to the rest."""
import os
import socket
import threading

from gateway import SLUICED, Counted, Gateway, conf_text, make_veth, ping
from harness import GATEWAY_IP, HOST_IP, Failed, Skip, check, check_equal, main, run, wait_until
from mail import Client, Ledger, Load, plain
from netns import Namespace
from sinks import Scripted

OUT_IP, OUT_HOST, BEYOND = '10.8.0.1', '10.8.0.2', '10.77.0.5'
PACKET = 'iface={},blocksz=65536,framesz=2048,framecnt=8192,qdisc_bypass=1,qpairs=2'
COUNT, CONNECTIONS = 100, 10
out = sink = beyond = inside = None


class Seen(Scripted):
    """Knows from where each message came."""

    def __init__(self, lab, **kw):
        self.peers = []
        super().__init__(lab, **kw)

    def serving(self, reader, writer):
        self.peers.append(writer.get_extra_info('peername')[0])
        return super().serving(reader, writer)


def setup(lab):
    global out, sink, beyond, inside
    if not os.path.exists('/dev/net/tun'):
        raise Skip('no /dev/net/tun')
    inside = Seen(lab)
    out = Namespace(lab)
    with out:
        run('ip', 'addr', 'add', f'{BEYOND}/32', 'dev', 'lo')
        sink = Seen(lab, host=OUT_HOST)
        beyond = Seen(lab, host=BEYOND)


def blocks(**net1):
    return {'port_net0': {'gateway': None},
            'port_net1': {'device': 'net_tap1,iface=gw1', 'address': [f'{OUT_IP}/24'], 'gateway': OUT_HOST, **net1},
            'route_default': {'host': f'{OUT_HOST}:2525'},
            'route_inside.example': {'host': f'{HOST_IP}:2525'},
            'route_beyond.example': {'host': f'{BEYOND}:2525'}}


class Running:
    def __init__(self, lab, name, veth=False, lanes=1, **changes):
        self.veth = veth
        for s in (sink, beyond, inside):
            s.messages.clear()
            s.peers.clear()
        if veth:
            make_veth()
            make_veth(host='cl1', gateway='gw1')
            run('ip', 'addr', 'flush', 'dev', 'cl1')
            out.take('cl1', [f'{OUT_HOST}/24'])
        self.gw = Gateway(lab, name=name, gateway={'lanes': lanes}, **blocks())
        if veth:
            self.gw.change(port_net0={'device': 'net_af_packet0,' + PACKET.format('gw0')},
                           port_net1={'device': 'net_af_packet1,' + PACKET.format('gw1')})
            self.gw.iface = 'cl0'
        self.gw.change(**changes)

    def __enter__(self):
        self.gw.start()
        if not self.veth:
            out.take('gw1', [f'{OUT_HOST}/24'])
        return self.gw

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                check_equal(self.gw.stop(), 0, 'exit status')
        finally:
            self.gw.end()
            if self.veth:
                for end in ('gw0', 'gw1'):
                    run('ip', 'link', 'del', end)


def relay(gw, to, at, count=COUNT):
    ledger = Ledger()
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@{to}', plain(n, 300 + n * 100)), range(count),
                CONNECTIONS, per_connection=5)
    check_equal(load.join(60), [], 'errors of clients')
    at.wait(count)
    ledger.audit(at.messages)
    check_equal(gw.counter('net/drop_tcp_checksum'), 0, 'bad checksums')


def in_and_out(lab, name, **kw):
    with Running(lab, name, **kw) as gw:
        relay(gw, 'example.org', sink)
        check_equal(set(sink.peers), {OUT_IP}, 'addresses from which mail went out')
        relay(gw, 'beyond.example', beyond, 30)
        check_equal(set(beyond.peers), {OUT_IP}, 'addresses from which mail went beyond the gateway')
        relay(gw, 'inside.example', inside, 30)
        check_equal(set(inside.peers), {GATEWAY_IP}, 'addresses from which mail went to the first link')
        check_equal(gw.counter('lane/steer_dropped'), 0, 'frames lost between lanes')
        lanes = kw.get('lanes', 1)
        for counter in ('conn/accepted', 'conn/opened'):
            shares = [gw.counter(counter, n) for n in gw.lanes()]
            check_equal((len(shares), all(shares)), (lanes, True), f'{counter} of the lanes: {shares}')


def test_tap(lab):
    in_and_out(lab, 'tap')


def test_af_packet_two_lanes(lab):
    in_and_out(lab, 'packet', veth=True, lanes=2)


def connects(address, port=25, seconds=3):
    try:
        socket.create_connection((address, port), timeout=seconds).close()
        return 'yes'
    except ConnectionRefusedError:
        return 'refused'
    except TimeoutError:
        return 'no answer'


def test_listeners_and_addresses_are_a_ports_own(lab):
    """A listener of a port hears on its addresses alone; the address of one port is not served on the other, and
    who claims one there is dropped."""
    with Running(lab, 'own', **{'listener_out': {'port': 'net1', 'tcp_port': 2500}, 'listener_in': {'port': 'net0', 'tcp_port': 2501},
                                'relay': {'domains': ['example.org', 'inside.example']}}) as gw:
        for address, port, want in ((GATEWAY_IP, 25, 'yes'), (GATEWAY_IP, 2501, 'yes'), (GATEWAY_IP, 2500, 'refused')):
            check_equal(connects(address, port), want, f'{address}:{port}')
        with out:
            for port, want in ((2500, 'yes'), (25, 'refused'), (2501, 'refused')):
                check_equal(connects(OUT_IP, port), want, f'{OUT_IP}:{port}')
            check_equal(ping(address=OUT_IP), 3, 'echo replies')
            with Client(OUT_IP, 2500) as c:  # in by the second port, out by the first
                check_equal(c.deliver('s@x.example', ['a@inside.example'], plain(1)).code, 250, 'mail by the second port')
            inside.wait(1)
            run('ip', 'route', 'replace', f'{GATEWAY_IP}/32', 'via', OUT_IP)
            with Counted(gw, 'net/drop_ip_other'):
                check_equal(connects(GATEWAY_IP, seconds=2), 'no answer', f'{GATEWAY_IP} by the wrong port')
            # A frame from outside with the other port's address as its source.
            run('ip', 'addr', 'add', f'{GATEWAY_IP}/32', 'dev', 'lo')
            with Counted(gw, 'net/drop_ip_land'):
                s = socket.socket()
                s.bind((GATEWAY_IP, 0))
                s.settimeout(1)
                try:
                    s.connect((OUT_IP, 2500))
                    raise Failed('a forged source was answered')
                except TimeoutError:
                    pass
            run('ip', 'addr', 'del', f'{GATEWAY_IP}/32', 'dev', 'lo')


def flood(address, stop, sent):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.setblocking(False)
    while not stop.is_set():
        for _ in range(200):
            try:
                s.sendto(b'x' * 64, (address, 9))
                sent[0] += 1
            except OSError:
                pass


def test_flood_on_one_port(lab):
    with Running(lab, 'flood', route_default={'host': f'{HOST_IP}:2525'}, listener_out={'port': 'net1', 'tcp_port': 25},
                 relay={'domains': ['example.org', 'inside.example']}) as gw:
        stop, sent = threading.Event(), [0]
        with out:
            relay_by = [Client(OUT_IP) for _ in range(2)]
            thread = threading.Thread(target=flood, args=(OUT_IP, stop, sent))
            thread.start()
        try:
            wait_until(lambda: sent[0] > 5000, 30, 'a flood')
            relay(gw, 'inside.example', inside, 40)  # the first port alone
            for c in relay_by:  # and mail by the port that is flooded
                check_equal(c.deliver('s@x.example', ['a@inside.example'], plain(1)).code, 250, 'mail beside the flood')
        finally:
            stop.set()
            thread.join()
        inside.wait(42)
        check(gw.counter('net/drop_ip_protocol') > 1000, 'the flood came through')


def test_host_device_on_the_second(lab):
    """The machine's own traffic goes over net1: connections both ways on our address and on one of its own."""
    with Running(lab, 'host', **{'port_net1': {'host_device': 'host1'}}) as gw:
        for address in (OUT_IP, '10.8.0.7'):
            run('ip', 'addr', 'replace', f'{address}/24', 'dev', 'host1')
        run('ip', 'link', 'set', 'host1', 'up')
        service = socket.create_server(('0.0.0.0', 7007))
        for address in (OUT_IP, '10.8.0.7'):
            with out:
                s = socket.create_connection((address, 7007), timeout=10)
            peer, _ = service.accept()
            peer.sendall(b'hello')
            check_equal(s.recv(5), b'hello', f'bytes by {address}')
            s.close()
            peer.close()
        with out:
            theirs = socket.create_server((OUT_HOST, 7008))
        s = socket.create_connection((OUT_HOST, 7008), timeout=10)
        check_equal(theirs.accept()[1][0], OUT_IP, 'the address of the machine')
        relay(gw, 'example.org', sink, 20)
        check_equal(connects(GATEWAY_IP, 7007), 'refused', 'a closed port of the port that is not shared')


def test_settings_that_can_not_be(lab):
    """Each is told with its file and line."""
    gw = Gateway(lab, name='bad', **blocks())
    for change, why in (({'device': 'net_tap0,iface=gw1'}, 'port net1: device: is that of port net0, too'),
                        ({'address': [f'{GATEWAY_IP}/24'], 'gateway': HOST_IP}, f'port net1: address: {GATEWAY_IP} is one of port net0, too')):
        gw.change(**blocks(**change))
        said = run(SLUICED, '--check', gw.conf_path, ok=None)
        line = conf_text(gw.blocks).split('\n').index('port net1 {') + 1
        check(f'sluice.conf:{line}: {why}' in said, said)


if __name__ == '__main__':
    main(setup)
