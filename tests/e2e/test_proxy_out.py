#!/usr/bin/python3
# limit: 120
"""The PROXY header to next hops (route: proxy): the client that sent the message, to a parser of our own, aiosmtpd, HAProxy and
nginx; over both families, after a crash, for reports; and no connection that two clients share."""
import os

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, Skip, check, check_equal, main, run, wait_until
from mail import Client, plain
from proxies import CLIENT, Told, ToldAiosmtpd, haproxy, nginx, reachable, v1, v2

PORT = 26                                    # the listener behind proxies
DESTINATION = ('203.0.113.1', 25)            # that v1() and v2() name
OURS6, HOST6, CLIENT6 = 'fd00:9::1', 'fd00:9::2', '2001:db8::7'
# Next hops: domain, port, version that it is told.
DIRECT = {'one.example': (2531, 1), 'two.example': (2532, 2)}
AIO = {'aio1.example': (2533, 1), 'aio2.example': (2534, 2)}
HAPROXY = {'ha1.example': (2541, 1), 'ha2.example': (2542, 2)}
NGINX = {'nginx1.example': (2543, 1), 'nginx2.example': (2544, 2)}
OVER6 = {'six1.example': (2551, 1), 'six2.example': (2552, 2)}
INNER = 2560  # where HAProxy and nginx go on to, with a v1 header of theirs
gw = None
told = {}


def has_ipv6():
    return os.path.exists('/proc/sys/net/ipv6')


def set_ipv6(interface):
    with open(f'/proc/sys/net/ipv6/conf/{interface}/disable_ipv6', 'w') as f:
        f.write('0')


def setup(lab):
    global gw
    for domain, (port, _) in DIRECT.items():
        told[domain] = Told(lab, port=port, mode='rcpt')
    for domain, (port, _) in AIO.items():
        told[domain] = ToldAiosmtpd(lab, port=port)
    told['inner'] = Told(lab, host='127.0.0.1', port=INNER)
    if has_ipv6():
        set_ipv6('lo')
        with open('/proc/sys/net/ipv6/ip_nonlocal_bind', 'w') as f:
            f.write('1')
        for domain, (port, _) in OVER6.items():
            told[domain] = Told(lab, host=HOST6, port=port)
    routes = {f'route_{domain}': {'host': f'{HOST_IP}:{port}', 'proxy': f'v{version}'}
              for hops in (DIRECT, AIO, HAPROXY, NGINX) for domain, (port, version) in hops.items()}
    if has_ipv6():
        routes |= {f'route_{domain}': {'host': f'[{HOST6}]:{port}', 'proxy': f'v{version}'}
                   for domain, (port, version) in OVER6.items()}
    more = {'port_net0': {'address': [f'{GATEWAY_IP}/24', f'{OURS6}/64']}} if has_ipv6() else {}
    gw = Gateway(lab, listener_proxied={'kind': 'mx', 'port': 'net0', 'tcp_port': PORT, 'proxy': 'required',
                                        'proxy_from': [f'{HOST_IP}/32']},
                 smtp={'client_idle': '30s'}, relay={'networks': ['10.9.0.0/24', 'fd00:9::/64'], 'domains': ['.example']},
                 **routes, **more)
    start()


def start():
    gw.start()
    if has_ipv6():
        set_ipv6('gw0')
        run('ip', '-6', 'addr', 'replace', f'{HOST6}/64', 'dev', 'gw0', 'nodad')


class Proxied(Client):
    """A client whose proxy says this header."""

    def __init__(self, header):
        super().__init__(port=PORT, greet=False, source=(HOST_IP, 0))
        self.send(header)
        self.expect(self.reply(), 220)
        self.expect(self.command('EHLO client.example'), 250)


def send(c, domain, number=1, sender='a@client.example'):
    check_equal(c.deliver(sender, [f'b@{domain}'], plain(number)).code, 250, 'message')


def next_header(hop, action):
    """The header of the next message that the hop gets, which action sends."""
    before = len(told[hop].messages)
    action()
    told[hop].wait(before + 1)
    check_equal(getattr(told[hop], 'faults', []), [], 'faults')
    return told[hop].messages[-1].header


def check_header(header, version, source, destination):
    check_equal((header.version, header.source, header.destination), (version, source, destination), 'header')


def test_a_client_of_ours(lab):
    for domain, (_, version) in (DIRECT | AIO).items():
        with Client() as c:
            local = c.socket.getsockname()
            header = next_header(domain, lambda: send(c, domain))
            check_header(header, version, local, (GATEWAY_IP, 25))


def test_a_client_behind_a_proxy(lab):
    for given, port in ((v1(source_port=5001), 5001), (v2(source_port=5002), 5002)):
        for domain, (_, version) in (DIRECT | AIO).items():
            with Proxied(given) as c, Counted(gw, 'proxy/sent'):
                check_header(next_header(domain, lambda: send(c, domain)), version, (CLIENT, port), DESTINATION)


def test_families(lab):
    """The header is of the client's connection, whatever the family of ours."""
    for domain, (_, version) in DIRECT.items():
        with Proxied(v1(CLIENT6, '2001:db8::1')) as c:
            header = next_header(domain, lambda: send(c, domain))
            check_header(header, version, (CLIENT6, 4711), ('2001:db8::1', 25))
    if not has_ipv6():
        raise Skip('this kernel has no IPv6')
    for domain, (_, version) in OVER6.items():
        with Client() as c:
            local = c.socket.getsockname()
            check_header(next_header(domain, lambda: send(c, domain)), version, local, (GATEWAY_IP, 25))
        with Client(OURS6) as c:
            local = c.socket.getsockname()[:2]
            check_header(next_header(domain, lambda: send(c, domain)), version, local, (OURS6, 25))


def test_real_receivers(lab):
    inner = f'127.0.0.1:{INNER}'
    haproxy(lab, 'receiver', [(f'{HOST_IP}:{HAPROXY[d][0]} accept-proxy', f'{inner} send-proxy') for d in HAPROXY])
    nginx(lab, 'receiver', [(f'{HOST_IP}:{NGINX[d][0]} proxy_protocol',
                             f'set_real_ip_from {GATEWAY_IP}; proxy_pass {inner}; proxy_protocol on;')
                            for d in NGINX])
    for domain, (port, _) in (HAPROXY | NGINX).items():
        reachable(port, HOST_IP)
        # nginx would send on the address of its own listener as the destination, of whatever family.
        for given, client in ((v1(), CLIENT), (v1(CLIENT6, '2001:db8::1'), CLIENT6))[:2 if domain in HAPROXY else 1]:
            with Proxied(given) as c:
                header = next_header('inner', lambda: send(c, domain))
                check_equal(header.source, (client, 4711), f'the client at {domain}')


def test_connections_are_of_one_client(lab):
    for domain in DIRECT:
        hop = told[domain]
        before, first = len(hop.headers), len(hop.messages)
        with Proxied(v1()) as a, Proxied(v1(CLIENT, source_port=4712)) as b:
            for number in range(6):
                c = (a, b)[number % 2]
                next_header(domain, lambda: send(c, domain, number))
        for message, port in zip(hop.messages[first:], (4711, 4712) * 3):
            check_equal(message.header.source, (CLIENT, port), 'the client of the connection')
        check(len(hop.headers) - before in (1, 2), f'{len(hop.headers) - before} connections for two clients')
    check(gw.counter('conn/reused') >= 4, 'no connection was reused')


def test_no_client(lab):
    """A report; a header that named none; one whose address no client has."""
    with Client() as c, Counted(gw, 'proxy/sent_local'):
        before = len(told['two.example'].messages)
        check_equal(c.deliver('a@two.example', ['perm-x@one.example'], plain(3)).code, 250, 'message')
        told['two.example'].wait(before + 1)
        report = told['two.example'].messages[-1]
        check_equal(report.sender, '', 'sender of a report')
        check_header(report.header, 2, None, None)
    for source in ('127.0.0.1', GATEWAY_IP):
        for domain, (_, version) in DIRECT.items():
            with Proxied(v1(source)) as c:
                check_header(next_header(domain, lambda: send(c, domain)), version, None, None)
    with Proxied(b'PROXY UNKNOWN\r\n') as c:  # then the proxy is all that is known of it
        local = c.socket.getsockname()
        check_header(next_header('two.example', lambda: send(c, 'two.example')), 2, local, (GATEWAY_IP, PORT))


def test_after_a_crash(lab):
    counts = {}
    for domain, hop in ((d, told[d]) for d in DIRECT):
        hop.down()
        counts[domain] = len(hop.messages)
        with Proxied(v2()) as c:
            send(c, domain)
    gw.kill()
    for domain in DIRECT:
        told[domain].up()
    start()
    for domain, (_, version) in DIRECT.items():
        told[domain].wait(counts[domain] + 1)
        check_header(told[domain].messages[-1].header, version, (CLIENT, 4711), DESTINATION)


def test_reload(lab):
    """From the next delivery on; without it nothing comes before the greeting."""
    gw.change(**{'route_one.example': {'proxy': 'v2'}})
    gw.ctl('reload')
    with Proxied(v1()) as c:
        check_header(next_header('one.example', lambda: send(c, 'one.example')), 2, (CLIENT, 4711), DESTINATION)
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 30, 'empty queue')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
