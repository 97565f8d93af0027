#!/usr/bin/python3
# limit: 150
"""The PROXY header, v1 and v2, in raw bytes cut everywhere. The client it names is the client in Received and log, and gets no
right by its address alone; what is no header is dropped without a word."""
import time

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, main, run, wait_until
from mail import Client, plain, split_received
from proxies import CLIENT, v1, v2
from sinks import Scripted

PORT, STRICT_PORT = 26, 27  # CLIENT is in relay: networks
STRANGER = '10.9.0.77'      # an address of the link that is not in proxy_from
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    strict = {'kind': 'mx', 'port': 'net0', 'tcp_port': STRICT_PORT, 'proxy': 'required', 'proxy_timeout': '3s',
              'proxy_from': [f'{HOST_IP}/32'], 'proxy_unknown': 'refuse'}
    gw = Gateway(lab, listener_proxied={'kind': 'mx', 'port': 'net0', 'tcp_port': PORT, 'proxy': 'required',
                                        'proxy_from': [f'{HOST_IP}/32']},
                 listener_strict=strict, relay={'networks': ['10.9.0.0/24', '198.51.100.0/24', '127.0.0.0/8', '0.0.0.0/8',
                                                             '224.0.0.0/3', '::1/128', 'ff00::/8'],
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
    with Counted(gw, f'proxy/{counter}'):
        try:
            with Client(port=port, greet=False, source=(source, 0)) as c:
                c.send(data)
                got = c.socket.recv(100)
        except ConnectionError:  # the reset may come before anything else is done
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


def rest_of(c):
    """All that is still said until the end."""
    said = c.buffer
    try:
        while more := c.socket.recv(4096):
            said += more
    except ConnectionError:
        pass
    return said


def test_header_where_none_belongs(lab):
    """On a plain listener, and a second one: it ends the session, nothing behind it is done."""
    behind = b'EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n'
    for begin in (lambda: Client(), lambda: connect(v1()), lambda: connect(v2())):
        for header in (v1(), v1('2001:db8::7', '2001:db8::1'), b'PROXY UNKNOWN\r\n', v2(), v2(command=0x20, family=0, rest=b'')):
            with begin() as c:
                c.send(header + behind)
                said = rest_of(c)
            check(said.startswith(b'500 ') and said.count(b'\r\n') == said.count(b'500 '), f'{header!r} is told {said!r}')
    with Counted(gw, 'smtp/refused_protocol'), Client() as c:
        c.send(v1())
        check(c.closed(), 'closed')


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
        for source in ('127.0.0.1', GATEWAY_IP, '0.1.2.3', '224.0.0.1', '255.255.255.255', '::1', 'ff02::1', f'::ffff:{CLIENT}'):
            with Counted(gw, 'proxy/implausible'):
                check(not relays(v1(source, '2001:db8::1' if ':' in source else '203.0.113.1')), f'relayed for {source}')
        check(not relays(v1('192.0.2.1')), 'relayed for a network that is not listed')
    finally:
        gw.change(relay={'proxied': False})
        gw.ctl('reload')
    check(not relays(v1()), 'relayed after the reload back')


if __name__ == '__main__':
    main(setup)
