#!/usr/bin/python3
# limit: 150
"""The PROXY header, v1 and v2: HAProxy and nginx from Debian, swaks, and raw bytes cut everywhere. The client it names is
the client in Received and log, and gets no right by its address alone; what is no header is dropped without a word."""
import socket
import struct
import time

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, find_program, main, run, wait_until
from mail import Client, plain, split_received
from sinks import Scripted

PORT, STRICT_PORT, CLIENT = 26, 27, '198.51.100.7'  # a client in relay: networks
STRANGER = '10.9.0.77'                              # an address of the link that is not in proxy_from
gw = far = None
SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'


def v1(source=CLIENT, destination='203.0.113.1', source_port=4711):
    family = 'TCP6' if ':' in source else 'TCP4'
    return f'PROXY {family} {source} {destination} {source_port} 25\r\n'.encode()


def v2(source=CLIENT, command=0x21, family=0x11, rest=None, tlvs=b''):
    if rest is None:
        rest = socket.inet_aton(source) + socket.inet_aton('203.0.113.1') + struct.pack('>HH', 4711, 25)
    return SIGNATURE + struct.pack('>BBH', command, family, len(rest + tlvs)) + rest + tlvs


def setup(lab):
    global gw, far
    far = Scripted(lab)
    strict = {'kind': 'mx', 'port': 'net0', 'tcp_port': STRICT_PORT, 'proxy': 'required', 'proxy_timeout': '3s',
              'proxy_from': [f'{HOST_IP}/32'], 'proxy_unknown': 'refuse'}
    gw = Gateway(lab, listener_proxied={'kind': 'mx', 'port': 'net0', 'tcp_port': PORT, 'proxy': 'required',
                                        'proxy_from': [f'{HOST_IP}/32']},
                 listener_strict=strict, relay={'networks': ['10.9.0.0/24', '198.51.100.0/24', '127.0.0.0/8'],
                                                'domains': ['example.org']}).start()
    run('ip', 'addr', 'add', f'{STRANGER}/32', 'dev', 'gw0')


def connect(header, port=PORT, pieces=None):
    """A client behind the header, which goes out in one or in the given pieces; greeted."""
    c = Client(port=port, greet=False, source=(HOST_IP, 0))
    for piece in pieces or [header]:
        c.send(piece)
        if pieces:
            time.sleep(0.002)
    c.expect(c.reply(), 220)
    return c


def received(message):
    """The text of the gateway's Received field."""
    return split_received(message.content)[0].group(0).decode()


def deliver(c, number, recipient='b@example.org'):
    c.expect(c.command('EHLO client.example'), 250)
    return c.deliver('a@client.example', [recipient], plain(number))


def last_message(count):
    far.wait(count)
    return far.messages[-1]


def test_the_client_is_the_one_in_the_header(lab):
    for header, client in ((v1(), CLIENT), (v2(), CLIENT), (v1('2001:db8::7', '2001:db8::1'), 'IPv6:2001:db8::7')):
        before = len(far.messages)
        with Counted(gw, 'proxy/clients'), connect(header) as c:
            check_equal(deliver(c, 1).code, 250, 'message')
        field = received(last_message(before + 1))
        check(f'[{client}]' in field and HOST_IP not in field, f'the client is not {client} in {field!r}')
    wait_until(lambda: f'client={CLIENT}:4711' in gw.log() and f'proxy={HOST_IP}:' in gw.log(), 5,
               'both addresses in the log')


def test_split_at_every_byte(lab):
    for header in (v1(), v2(tlvs=b'\x04\0\x03abc')):
        for at in range(1, len(header)):
            with connect(None, pieces=[header[:at], header[at:]]) as c:
                check_equal(c.command('NOOP').code, 250, f'cut at {at}')
        with connect(None, pieces=[header[i:i + 1] for i in range(len(header))]) as c:
            check_equal(c.command('NOOP').code, 250, 'byte by byte')


def test_what_follows_is_read_exactly_once(lab):
    for header in (v1(), v2(), v2(command=0x20, family=0, rest=b'')):
        with Client(port=PORT, greet=False, source=(HOST_IP, 0)) as c:
            c.send(header + b'EHLO client.example\r\nNOOP\r\nNOOP\r\nQUIT\r\n')
            codes = [c.reply().code for _ in range(5)]
            check_equal(codes, [220, 250, 250, 250, 221], 'one reply each')
            check(c.closed(), 'closed')


def test_no_word_before_the_header(lab):
    with Counted(gw, 'proxy/refused_timeout', 2):
        silent = [Client(port=STRICT_PORT, greet=False, source=(HOST_IP, 0)) for _ in range(2)]
        silent[1].send(v1()[:20])
        for c in silent:
            c.socket.settimeout(15)
            try:
                check_equal(c.socket.recv(100), b'', 'bytes before the header')
            except ConnectionResetError:
                pass
            c.close()


def dropped(data, counter, port=PORT, source=HOST_IP):
    with Counted(gw, f'proxy/{counter}'), Client(port=port, greet=False, source=(source, 0)) as c:
        try:
            c.send(data)
            got = c.socket.recv(100)
        except ConnectionError:
            got = b''
        check_equal(got, b'', f'what {counter} is told')
    check(gw.alive(), 'the gateway runs')


def test_refusals(lab):
    for counter, data in (
            ('signature', b'EHLO client.example\r\n'), ('signature', b'\x16\x03\x01\x02\0\x01\0'),
            ('signature', b'\r\n\r\n\0\r\nQUIX\n!\x11\0\0'), ('long', b'PROXY UNKNOWN ' + b'x' * 200),
            ('long', v2(command=0x20, family=0, rest=b'')[:14] + b'\xff\xff'),
            ('line', v1().replace(b'\r\n', b'\n')), ('line', v1().replace(b' ', b'  ', 1)),
            ('address', v1(source_port='04711')), ('address', v1(source_port='65536')),
            ('address', v1(CLIENT, '2001:db8::1')),
            ('version', v2(command=0x31)), ('command', v2(command=0x22)), ('family', v2(family=0x12)),
            ('family', v2(family=0x31, rest=b'\0' * 216)), ('short', v2(rest=b'\0' * 11)),
            ('short', v2(family=0x21, rest=b'\0' * 35)), ('tlv', v2(tlvs=b'\xee\0\x05abc')),
            ('tlv', v2(tlvs=b'\x20\0\x03abc')), ('crc32c', v2(tlvs=b'\x03\0\x04abcd'))):
        dropped(data, f'refused_{counter}')
    wait_until(lambda: 'proxy_refused peer=10.9.0.2' in gw.log(), 5, 'the refusals in the log')


def test_untrusted_peer(lab):
    dropped(v1(), 'refused_untrusted', source=STRANGER)


def test_header_on_a_plain_listener(lab):
    with Client() as c:
        check_equal(c.command(v1().decode().strip()).code // 100, 5, 'a header where none belongs')
    with connect(v1()) as c:  # and a second one
        check_equal(c.command(v1().decode().strip()).code // 100, 5, 'a second header')


def test_header_without_a_client(lab):
    for header, counter in ((b'PROXY UNKNOWN\r\n', 'unknown'), (b'PROXY UNKNOWN whatever\r\n', 'unknown'),
                            (v2(family=0, rest=b''), 'unknown'), (v2(command=0x20), 'local')):
        with Counted(gw, f'proxy/{counter}'), connect(header) as c:
            check_equal(deliver(c, 2).code, 250, 'to a relay domain')
            check_equal(deliver(c, 2, 'b@elsewhere.example').code, 554, 'no relay, whatever the proxy may')
    for header in (b'PROXY UNKNOWN\r\n', v2(family=0, rest=b'')):
        dropped(header, 'refused_unknown', port=STRICT_PORT)
    with connect(v2(command=0x20, family=0, rest=b''), port=STRICT_PORT) as c:
        check_equal(c.command('NOOP').code, 250, 'a health check')


def relays(header):
    with connect(header) as c:
        code = deliver(c, 3, 'b@elsewhere.example').code
        check(code in (250, 554), f'relay: {code}')
        return code == 250


def test_no_right_by_a_header(lab):
    check(not relays(v1()) and not relays(v2()), 'relayed by an address out of a header')
    gw.change(relay={'proxied': True})
    gw.ctl('reload')
    try:
        check(relays(v1()) and relays(v2()), 'not relayed with relay: proxied')
        for source in ('127.0.0.1', GATEWAY_IP):
            with Counted(gw, 'proxy/implausible'):
                check(not relays(v1(source)), f'relayed for {source}')
        check(not relays(v1('192.0.2.1')), 'relayed for a network that is not listed')
    finally:
        gw.change(relay={'proxied': False})
        gw.ctl('reload')
    check(not relays(v1()), 'relayed after the reload back')


def through(port, client, number, timeout=30):
    """A message by way of a proxy on this host; its Received field."""
    before = len(far.messages)
    with Client('127.0.0.1', port, source=(client, 0), timeout=timeout) as c:
        check_equal(c.deliver('a@client.example', ['b@example.org'], plain(number)).code, 250, 'message')
    return received(last_message(before + 1))


def reachable(port):
    def up():
        try:
            with Client('127.0.0.1', port, timeout=2):
                return True
        except (OSError, ConnectionError):
            return False
    wait_until(up, 20, f'a proxy on port {port}')


def test_haproxy(lab):
    program = find_program('haproxy')
    with open(lab.path('haproxy.cfg'), 'w') as f:
        f.write('defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n')
        for port, option in ((8001, 'send-proxy'), (8002, 'send-proxy-v2'),
                             (8003, 'send-proxy-v2 proxy-v2-options crc32c,unique-id')):
            f.write(f'frontend f{port}\n bind 127.0.0.1:{port}\n unique-id-format %pid\n default_backend b{port}\n'
                    f'backend b{port}\n server s {GATEWAY_IP}:{PORT} source {HOST_IP} {option} '
                    'check inter 300ms check-send-proxy\n')
    with Counted(gw, 'proxy/local', 2, seconds=20):  # its health checks are LOCAL
        lab.spawn(program, '-db', '-f', lab.path('haproxy.cfg'))
    for number, port in enumerate((8001, 8002, 8003)):
        reachable(port)
        check('127.0.0.9' in through(port, '127.0.0.9', 10 + number), 'the client behind HAProxy')


def test_nginx(lab):
    program = find_program('nginx')
    modules = find_program('nginx').replace('/bin/nginx', '/usr/lib/nginx/modules')
    with open(lab.path('nginx.conf'), 'w') as f:
        f.write(f'load_module {modules}/ngx_stream_module.so;\ndaemon off;\nmaster_process off;\nuser root;\npid {lab.path("nginx.pid")};\n'
                f'error_log {lab.path("nginx.err")};\nevents {{}}\nstream {{ server {{ listen 127.0.0.1:8010; '
                f'proxy_bind {HOST_IP}; proxy_pass {GATEWAY_IP}:{PORT}; proxy_protocol on; }} }}\n')
    lab.spawn(program, '-e', lab.path('nginx.err'), '-c', lab.path('nginx.conf'))
    reachable(8010)
    check('127.0.0.8' in through(8010, '127.0.0.8', 20), 'the client behind nginx')


def test_swaks(lab):
    program = find_program('swaks')
    for version in ('1', '2'):
        before = len(far.messages)
        run(program, '--server', GATEWAY_IP, '--port', str(PORT), '--local-interface', HOST_IP, '--from',
            'a@client.example', '--to', 'b@example.org', '--proxy-version', version, '--proxy-family',
            'TCP4' if version == '1' else 'AF_INET', '--proxy-source', CLIENT, '--proxy-source-port', '4711',
            '--proxy-dest', '203.0.113.1', '--proxy-dest-port', '25')
        check(CLIENT in received(last_message(before + 1)), f'the client of v{version}')


main(setup)
