#!/usr/bin/python3
# limit: 150
"""Bad lines, bad messages, other protocols and bad packets: the RFC's reply or a counted drop, and nothing of it
arrives. After each case a good message must still pass."""
import random
import socket
import struct

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None
good_cnt = 0
MESSAGE_MAX, RECIPIENT_MAX = 1 << 20, 20


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, smtp={'message_size': '1M', 'recipients': RECIPIENT_MAX, 'errors': 10, 'junk': 30,
                            'command_timeout': '5s', 'data_timeout': '5s'},
                 tcp={'connections': 256, 'half_open': 128}).start()


def good():
    """A good message passes, and it is the only kind that has arrived."""
    global good_cnt
    good_cnt += 1
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['good@example.org'], plain(good_cnt)).code, 250, 'good message')
    far.wait(good_cnt)
    check_equal({r for m in far.messages for r in m.recipients}, {'good@example.org'}, 'recipients at the next hop')
    check_equal(len(far.messages), good_cnt, 'messages at the next hop')
    check(gw.alive(), 'the gateway runs')


def refused(body, code, counter, sender='bad@client.example'):
    """The raw bytes after 354 (with their end of data) are refused as a whole."""
    with Counted(gw, f'smtp/{counter}'), Client() as c:
        check_equal(c.envelope(sender, ['bad@example.org'])[-1].code, 354, 'DATA')
        c.send(body)
        check_equal(c.reply().code, code, counter)
        check_equal(c.command('NOOP').code, 250, 'the session goes on')
    good()


def test_long_line(lab):
    with Counted(gw, 'smtp/refused_line_length', 3), Client() as c:
        for n in (2048, 10000, 300000):
            check_equal(c.command('MAIL FROM:<' + 'a' * n + '@client.example>').code, 500, f'line of {n}')
        check_equal(c.command('MAIL FROM:<a@client.example> ' + ' ' * 400).code // 100 in (2, 5), True, 'blanks')
    good()


def test_nul_and_8bit_in_a_command(lab):
    with Counted(gw, 'smtp/refused_character', 1), Counted(gw, 'smtp/refused_address', 1), Client() as c:
        c.send(b'MAIL FROM:<a\0@client.example>\r\n')
        check(c.reply().code in (500, 501), 'NUL in a command')
        c.send(b'MAIL FROM:<\xe4@client.example> SMTPUTF8\r\n')
        check(c.reply().code in (500, 501, 550, 553), '8-bit that is no UTF-8 in a command')
        c.send(b'MAIL FROM:<\xc3\xa4@client.example>\r\n')
        check(c.reply().code in (550, 553), 'UTF-8 in a command without SMTPUTF8')
    good()


def test_bare_newline_in_a_command(lab):
    for line in (b'NOOP\nNOOP\r\n', b'NOOP\rNOOP\r\n', b'MAIL FROM:<a@b.example>\nRCPT TO:<bad@example.org>\nDATA\n'):
        with Counted(gw, 'smtp/refused_line_end'), Client() as c:
            c.send(line)
            check(c.closed(), f'closed after {line!r}')
    good()


def test_bare_newline_in_a_body(lab):
    refused(b'Subject: x\n\nbody\r\n.\r\n', 550, 'refused_bare_newline')
    refused(b'Subject: x\r\n\r\nbody\rmore\r\n.\r\n', 550, 'refused_bare_newline')


def test_smuggling(lab):
    """What is not CRLF.CRLF does not end the data, so no second transaction hides in the first."""
    second = b'MAIL FROM:<evil@client.example>\r\nRCPT TO:<bad@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n'
    for end in (b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r\n.\r', b'\n.\r', b'\r.\n', b'\r\n\0.\r\n', b'\r\r\n.\r\r\n'):
        with Client() as c:
            check_equal(c.envelope('bad@client.example', ['bad@example.org'])[-1].code, 354, 'DATA')
            c.send(b'Subject: x\r\n\r\nbody' + end + second)
            check(c.reply().code in (550, 554), f'{end!r} is refused at the true end of data')
            check_equal(c.command('NOOP').code, 250, f'{end!r}: one reply for one message')
    good()


def test_nul_in_a_body(lab):
    refused(b'Subject: x\r\n\r\na\0b\r\n.\r\n', 550, 'refused_nul')


def test_too_many_recipients(lab):
    with Counted(gw, 'smtp/refused_recipients', 5), Client() as c:
        c.command('MAIL FROM:<bad@client.example>')
        codes = [c.command(f'RCPT TO:<bad{i}@example.org>').code for i in range(RECIPIENT_MAX + 5)]
        check_equal(codes, [250] * RECIPIENT_MAX + [452] * 5, 'replies to RCPT')
    good()


def test_declared_size(lab):
    with Counted(gw, 'smtp/refused_declared_size'), Client() as c:
        check_equal(c.command(f'MAIL FROM:<bad@client.example> SIZE={MESSAGE_MAX + 1}').code, 552, 'SIZE over')
        check(c.command('MAIL FROM:<bad@client.example> SIZE=99999999999999999999999').code in (501, 552), 'SIZE huge')
        check(c.command('MAIL FROM:<bad@client.example> SIZE=-1').code in (501, 555), 'SIZE negative')
        check_equal(c.command(f'MAIL FROM:<bad@client.example> SIZE={MESSAGE_MAX}').code, 250, 'SIZE at the limit')
    good()


def test_actual_size(lab):
    refused(b'Subject: x\r\n\r\n' + (b'x' * 98 + b'\r\n') * (3 * MESSAGE_MAX // 200) + b'.\r\n', 552, 'refused_size')


def test_over_twice_the_size(lab):
    """It is not read to its end."""
    with Counted(gw, 'smtp/closed_size'), Client() as c:
        check_equal(c.envelope('bad@client.example', ['bad@example.org'])[-1].code, 354, 'DATA')
        try:
            for _ in range(30):
                c.send((b'x' * 98 + b'\r\n') * (MESSAGE_MAX // 1000))
            reply = c.reply()
        except ConnectionError:  # a reset may overtake the reply
            reply = None
        check(reply is None or reply.code == 552, f'reply {reply}')
        check(c.closed(), 'closed')
    with Counted(gw, 'smtp/closed_size'), Client() as c:
        c.send(b'MAIL FROM:<bad@client.example>\r\nRCPT TO:<bad@example.org>\r\nBDAT 99999999999 LAST\r\n')
        check_equal([c.reply().code for _ in range(3)], [250, 250, 552], 'replies')
        check(c.closed(), 'closed')
    good()


def test_lines_and_fields(lab):
    refused(b'Subject: x\r\n\r\n' + b'x' * 65537 + b'\r\n.\r\n', 500, 'refused_body_line')
    refused(b'A: x\r\n' * 1001 + b'\r\nx\r\n.\r\n', 552, 'refused_header_fields')


def test_refused_chunks(lab):
    """Their bytes are never commands."""
    with Client() as c:
        for bdat in (b'BDAT 12 LAST\r\nQUIT\r\nQUIT\r\n', b'MAIL FROM:<bad@client.example>\r\nBDAT 6\r\nQUIT\r\n'):
            c.send(bdat + b'NOOP\r\n')
            check_equal([c.reply().code for _ in range(bdat.count(b'\r\n') - bdat.count(b'QUIT') + 1)][-2:], [503, 250], 'replies')
        c.send(b'RCPT TO:<bad@example.org>\r\nBDAT 4\r\na\nb\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n')
        check_equal([c.reply().code for _ in range(4)], [250, 550, 503, 250], 'replies')
    for bad in (b'BDAT\r\n', b'BDAT -1\r\n', b'BDAT 1e3\r\n', b'BDAT 99999999999999999999999\r\n'):
        with Client() as c:
            c.send(bad + b'NOOP\r\n')
            check_equal(c.reply().code, 501, f'{bad}')
            check(c.closed(), f'closed after {bad}')
    good()


def test_large_header_and_hops(lab):
    refused(b''.join(b'X-%d: %s\r\n' % (i, b'v' * 900) for i in range(200)) + b'\r\nx\r\n.\r\n', 552, 'refused_header_size')
    refused(b'Received: from a by b; x\r\n' * 101 + b'\r\nx\r\n.\r\n', 554, 'refused_hops')


def test_cut_off_in_data(lab):
    """The client goes away in the middle: by FIN, by RST, and by silence."""
    for linger in (None, struct.pack('ii', 1, 0)):
        with Client() as c:
            c.envelope('bad@client.example', ['bad@example.org'])
            c.send(b'Subject: half\r\n\r\nhalf of a mess')
            if linger:
                c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    with Counted(gw, 'smtp/refused_timeout', seconds=30), Client() as c:
        c.envelope('bad@client.example', ['bad@example.org'])
        c.send(b'Subject: silent\r\n\r\n')
        check(c.closed(), 'a silent client is disconnected')
    good()


def test_too_many_errors(lab):
    with Counted(gw, 'smtp/refused_errors'), Client() as c:
        codes = []
        while not codes or codes[-1] != 421:
            codes.append(c.command('WHAT').code)
            check(len(codes) <= 11, f'still talking after {codes}')
        check(c.closed(), 'closed after 421')
    good()


def test_http(lab):
    with Counted(gw, 'smtp/refused_protocol'), Client(greet=False) as c:
        c.send(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        check(c.closed(), 'HTTP is closed')
    with Client(greet=False) as c:
        c.send(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nMAIL FROM:<a@b.example>\r\n'
               b'RCPT TO:<bad@example.org>\r\nDATA\r\nx\r\n.\r\n')
        check(c.closed(), 'HTTP with mail in it is closed')
    good()


def test_tls_hello(lab):
    with Counted(gw, 'smtp/refused_protocol'), Client(greet=False) as c:
        hello = b'\x01\x00\x00\xc8\x03\x03' + bytes(range(194))
        c.send(b'\x16\x03\x01' + struct.pack('>H', len(hello)) + hello)
        check(c.closed(), 'TLS without STARTTLS is closed')
    good()


def test_garbage(lab):
    r = random.Random(7)
    for _ in range(30):
        with Client(greet=False) as c:
            try:
                c.send(r.randbytes(r.randint(1, 5000)))
                c.socket.shutdown(socket.SHUT_WR)
            except OSError:  # closed already
                pass
            check(c.closed(), 'garbage and its end are closed')
    good()


# ---- packets ----

class Wire:
    """Raw frames from the kernel's end of the link, as from a neighbour with our addresses."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind(('gw0', 0))
        self.source = self.socket.getsockname()[4]
        with open('/proc/net/arp') as f:
            row = next(line.split() for line in f if line.startswith(GATEWAY_IP + ' '))
        self.target = bytes.fromhex(row[3].replace(':', ''))

    def send(self, payload, kind=0x0800, target=None, source=None):
        frame = (target or self.target) + (source or self.source) + struct.pack('>H', kind) + payload
        self.socket.send(frame.ljust(60, b'\0') if len(frame) >= 14 else frame)


def checksum(data):
    if len(data) % 2:
        data += b'\0'
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip(payload, protocol=6, source=HOST_IP, target=GATEWAY_IP, length=None, header=0x45, spoil=0, fragment=0):
    def build(value):
        return struct.pack('>BBHHHBBH4s4s', header, 0, 20 + len(payload) if length is None else length, 1, fragment, 64,
                           protocol, value, socket.inet_aton(source), socket.inet_aton(target))
    return build(checksum(build(0)) ^ spoil) + payload


def tcp(port=40000, flags=0x02, spoil=0, offset=5, data=b'', options=b'', source=HOST_IP, seq=1000, ack=0):
    def build(value):
        return struct.pack('>HHIIBBHHH', port, 25, seq, ack, offset << 4, flags, 8192, value, 0) + options + data
    pseudo = socket.inet_aton(source) + socket.inet_aton(GATEWAY_IP) + struct.pack('>HH', 6, len(build(0)))
    return build(checksum(pseudo + build(0)) ^ spoil)


def test_bad_packets(lab):
    good()  # so that the neighbour is known
    w = Wire()
    cases = [
        ('net/drop_ip_checksum', lambda: w.send(ip(tcp(), spoil=0x0101))),
        ('net/drop_ip_length', lambda: w.send(ip(tcp(), length=1400))),
        ('net/drop_ip_length', lambda: w.send(ip(tcp(), length=10))),
        ('net/drop_ip_header', lambda: w.send(ip(tcp(), header=0x44))),
        ('net/drop_ip_version', lambda: w.send(ip(tcp(), header=0x65))),
        ('net/drop_ip_fragment', lambda: w.send(ip(tcp(), fragment=0x2000))),
        ('net/drop_ip_other', lambda: w.send(ip(tcp(), target='10.9.0.99'))),
        ('net/drop_ip_land', lambda: w.send(ip(tcp(source=GATEWAY_IP), source=GATEWAY_IP))),
        ('net/drop_ip_martian', lambda: w.send(ip(tcp(source='127.0.0.1'), source='127.0.0.1'))),
        ('net/drop_ip_protocol', lambda: w.send(ip(b'x' * 30, protocol=17))),
        ('net/drop_ip_broadcast', lambda: w.send(ip(tcp()), target=b'\xff' * 6)),
        ('net/drop_ipv6', lambda: w.send(b'\x60' + bytes(60), kind=0x86dd)),
        ('net/drop_ether_foreign', lambda: w.send(ip(tcp()), target=b'\x02\x11\x22\x33\x44\x55')),
        ('net/drop_ether_type', lambda: w.send(b'x' * 50, kind=0x88cc)),
        ('net/drop_tcp_checksum', lambda: w.send(ip(tcp(spoil=0x0101)))),
        ('net/drop_tcp_short', lambda: w.send(ip(tcp()[:12]))),
        ('net/drop_icmp_checksum', lambda: w.send(ip(b'\x08\x00\x12\x34' + bytes(20), protocol=1))),
        ('net/drop_arp_invalid', lambda: w.send(b'\x00\x01\x08\x00\x07\x05' + bytes(22), kind=0x0806)),
        ('tcp/drop_header', lambda: w.send(ip(tcp(offset=3)))),
        ('tcp/drop_header', lambda: w.send(ip(tcp(offset=15)))),
        ('tcp/drop_flags', lambda: w.send(ip(tcp(flags=0x03)))),
        ('tcp/drop_option', lambda: w.send(ip(tcp(offset=6, options=b'\x02\x09\x05\xb4')))),
    ]
    for counter, send in cases:
        with Counted(gw, counter):
            for _ in range(3):  # net_tap may lose one
                send()
    good()


def test_resets_for_strays(lab):
    """A segment of no connection is answered by RST, and counted."""
    w = Wire()
    with Counted(gw, 'tcp/drop_unknown'), Counted(gw, 'tcp/tx_resets'):
        for port in range(41000, 41003):
            w.send(ip(tcp(port=port, flags=0x10, ack=5000)))
    good()


def test_random_packets(lab):
    """Good frames with random bytes changed, and random frames: the seed is fixed."""
    w, r = Wire(), random.Random(11)
    before = gw.counter('net/rx_packets')
    for _ in range(3000):
        frame = bytearray(ip(tcp(port=r.randint(42000, 60000), flags=r.randrange(256), data=r.randbytes(r.randrange(100)))))
        for _ in range(r.randrange(6)):
            frame[r.randrange(len(frame))] = r.randrange(256)
        w.send(bytes(frame[:r.randint(1, len(frame))]) if r.random() < 0.2 else bytes(frame))
    wait_until(lambda: gw.counter('net/rx_packets') > before + 1000, 30, 'random packets taken')
    good()


def test_syn_flood(lab):
    """More half-open connections than there is room for: real ones still come through."""
    w = Wire()
    for i in range(1500):
        source = f'10.9.0.{10 + i % 200}'
        w.send(ip(tcp(port=1024 + i, source=source), source=source))
    good()


def test_more_connections_than_room(lab):
    """The table is full: the rest is refused or waits, and it recovers by itself."""
    held = []
    try:
        for number in range(300):
            held.append(socket.socket())
            held[-1].settimeout(10 if number < 240 else 0)  # one by one, then all at once
            held[-1].connect_ex((GATEWAY_IP, 25))
        # A SYN that finds no room, a connection that the lane has none for, or an ACK with a good cookie: the flood
        # before has left the cache of half-open connections full.
        full = ('tcp/drop_syn_full', 'tcp/cookies_full', 'conn/refused_full')
        wait_until(lambda: any(gw.counter(name) > 0 for name in full), 30, 'connections beyond the limit are counted')
    finally:
        for s in held:
            s.close()
    wait_until(lambda: gw.counter('conn/inbound') < 200, 60, 'room again')
    good()


def test_status_tells(lab):
    status = gw.ctl('status')
    for name in ('smtp/refused_nul', 'smtp/refused_bare_newline', 'smtp/refused_size', 'net/drop_tcp_checksum'):
        check(f'{name} ' in status, f'{name} is not in status')
    check_equal(gw.counter('smtp/messages'), good_cnt, 'messages acknowledged')
    check_equal(far.faults, [], 'faults of the SMTP client')


if __name__ == '__main__':
    main(setup)
