#!/usr/bin/python3
# limit: 120
"""Forged and broken segments and packets against one running gateway: what comes back on the wire, which counter of
/sluice/net or /sluice/tcp tells of it, and that mail goes on. The numbers are those of the list of attacks on TCP/IP that
the gateway is built against; floods and hoarding: test_attacks_load.py."""
import struct
import time

from gateway import Counted, Gateway, ping
from harness import GATEWAY_IP, HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted
from wire import (ACK, FIN, GATEWAY_IP6, ICMP, IP, PSH, RST, SYN, TCP, URG, Ether, IPv6, Peer, Segment, Wire, both)

gw = far = wire = None
good_cnt = 0
WINDOW = 0xffff  # the one of a handshake is not scaled
TIMESTAMP, SACK = [('MSS', 1460), ('SAckOK', b''), ('Timestamp', (1000000, 0))], [('MSS', 1460), ('SAckOK', b'')]


def setup(lab):
    global gw, far, wire
    far = Scripted(lab)
    gw = Gateway(lab, port_net0={'address': [f'{GATEWAY_IP}/24', f'{GATEWAY_IP6}/64']},
                 relay={'networks': ['10.9.0.0/24', 'fd00:9::/64'], 'domains': ['example.org']},
                 smtp={'junk': 10000}, tcp={'msl': '100ms'}).start()
    wire = Wire(gw)
    wait_until(lambda: opens(6), 20, 'the IPv6 address is proved')


def opens(family):
    peer = Peer(wire, family)
    peer.send(SYN, ack=0)
    return peer.receive(0.3) is not None


def good():
    """A message passes by the kernel's TCP."""
    global good_cnt
    good_cnt += 1
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['good@example.org'], plain(good_cnt)).code, 250, 'good message')
    check(gw.alive(), 'the gateway runs')


class Moved:
    """with Moved('tcp/drop_rst', 3, ...): these counters grow by so much at least."""

    def __init__(self, *names):
        self.parts = [Counted(gw, *(n if isinstance(n, tuple) else (n,))) for n in names]

    def __enter__(self):
        for p in self.parts:
            p.__enter__()

    def __exit__(self, *why):
        for p in self.parts:
            p.__exit__(*why)
        if why[0] is None:
            good()


@both
def test_T02_RST_off_path(lab, family):
    """RFC 5961 section 3.2: in the window a challenge, outside nothing, and only the exact number ends it."""
    peer = Peer(wire, family).greet()
    with Moved(('tcp/drop_rst', 8), ('tcp/challenge_acks', 4), 'tcp/rx_resets'):
        for offset in (1, 1000, 20000, WINDOW // 2):
            peer.send(RST, seq=peer.seq + offset)
            peer.expect(ACK, f'RST at {offset}', seq=peer.ack, ack=peer.seq)
        for offset in (-1, -1000, 1 << 25, 1 << 31):
            peer.send(RST, seq=peer.seq + offset)
            peer.quiet(f'RST at {offset}', 0.05)
        peer.alive()
        peer.send(RST)
        peer.quiet('the exact RST')
        peer.say(b'NOOP\r\n')
        peer.expect(RST, 'after the exact RST', seq=peer.ack)


@both
def test_T03_SYN_in_a_connection(lab, family):
    peer = Peer(wire, family).greet()
    with Moved(('tcp/drop_syn', 2), ('tcp/challenge_acks', 3)):
        for offset in (0, 1000, -1):
            peer.send(SYN, seq=peer.seq + offset, options=[('MSS', 1460)])
            peer.expect(ACK, f'SYN at {offset}', seq=peer.ack, ack=peer.seq)
        peer.alive()
    peer.reset()


@both
def test_T04_blind_data(lab, family):
    """RFC 5961 section 5.2: the ACK of injected data must be a likely one."""
    peer = Peer(wire, family).greet()
    with Moved(('tcp/drop_ack', 3), ('tcp/challenge_acks', 3)):
        for offset in (1, 1 << 30, -(1 << 20)):
            peer.send(PSH | ACK, b'QUIT\r\n', ack=peer.ack + offset)
            peer.expect(ACK, f'data with ACK {offset}', seq=peer.ack, ack=peer.seq, data=b'')
        peer.alive()
    peer.reset()


def test_T05_challenge_ACK_side_channel(lab):
    """CVE-2016-5696: the budget is each connection's own, and not a number that can be counted on."""
    peers = [Peer(wire).greet() for _ in range(8)]
    counts = []
    with Moved(('tcp/challenge_acks', 40), ('tcp/reply_limited', 100)):
        time.sleep(1.05 - time.clock_gettime(time.CLOCK_MONOTONIC) % 1)  # its seconds are those of this clock
        for peer in peers:
            for _ in range(60):
                peer.send(RST, seq=peer.seq + 7)
            counts.append(sum(s.flags == ACK for s in peer.all(0.05)))
        # Who has used up its own budget has taken nothing from the others.
        check(all(5 <= n <= 24 for n in counts), f'challenge ACKs of the connections: {counts}')
        check(len(set(counts)) > 1, f'challenge ACKs are always as many: {counts}')
    for peer in peers:
        peer.alive()
        peer.reset()


@both
def test_T06_MSS_extremes(lab, family):
    """CVE-2019-11479: no crumbs, whatever the offer."""
    with Moved(('tcp/tiny_mss', 4)):
        for mss in (0, 1, 8, 48, 65535, None):
            peer = Peer(wire, family, options=[] if mss is None else [('MSS', mss)])
            syn_ack = peer.open()
            check_equal(syn_ack.options['MSS'], 1460 if family == 4 else 1440, 'MSS of the SYN-ACK')
            peer.read(b'220 ')
            peer.say(b'EHLO client.example\r\n' + b'NOOP\r\n' * 200)
            sizes = []
            end = time.monotonic() + 5
            while sum(sizes) < 2000:
                check(time.monotonic() < end, f'MSS {mss}: {sum(sizes)} bytes of replies')
                sizes += [len(s.data) for s in [peer.receive(0.1)] if s is not None and s.data]
                peer.send(ACK)
            full = {None: 536, 65535: 1460 if family == 4 else 1440}.get(mss, 216)
            check_equal(max(sizes), full, f'largest segment with MSS {mss}')
            peer.reset()


def test_T06_forged_ICMP(lab):
    """Fragmentation needed with MTU 68 does not make crumbs; hard errors end nothing (RFC 5927)."""
    peer = Peer(wire).greet()
    peer.say(b'NOOP\r\n' * 100)
    segment = next(s for s in peer.all(0.05) if s.data)
    peer.send(ACK)
    names = ('net/rx_too_big', 'net/rx_unreachable', 'net/drop_icmp_quoted', 'net/drop_icmp_error')
    before = sum(gw.counter(name) for name in names)
    with Moved(('net/rx_unreachable', 3), 'net/drop_icmp_error'):
        for kind, code, rest in ((3, 4, 68), (3, 4, 0), (3, 4, 1), (3, 1, 0), (3, 2, 0), (3, 3, 0), (4, 0, 0), (11, 0, 0),
                                 (12, 0, 0)):
            wire.ip(IP(src='10.9.0.99', dst=GATEWAY_IP) / ICMP(type=kind, code=code, nexthopmtu=rest) /
                    segment.ip[:28])
        wait_until(lambda: sum(gw.counter(name) for name in names) >= before + 9, 5, 'each ICMP error is counted')
        peer.alive('after forged ICMP errors')
        peer.say(b'NOOP\r\n' * 300)
        sizes = []
        while sum(sizes) < 3000:
            s = peer.receive(2)
            check(s is not None, f'replies stop after {sum(sizes)} bytes')
            sizes.append(len(s.data))
            peer.send(ACK)
        check(max(sizes) >= 500, f'largest segment after forged ICMP: {max(sizes)}')
    peer.reset()


def test_T07_SACK_lies(lab):
    """CVE-2019-11477/8: blocks reversed, beyond, below, many and tiny."""
    peer = Peer(wire, options=SACK).greet()
    peer.say(b'NOOP\r\n' * 400)
    sent = sum(len(s.data) for s in peer.all(0.05))
    check(sent > 1000, f'only {sent} bytes in flight')
    una = peer.ack - sent
    with Moved(('tcp/bad_sacks', 50)):
        for n in range(3000):
            left = una + 1 + n * 7 % max(sent - 10, 1)
            blocks = [(left, left + 1), (left + 2, left + 3), (left + 4, left + 5)]
            if n % 50 == 0:
                blocks = [(left + 5, left), (peer.ack + n, peer.ack + n + 100), (una - 2000000, una - 1999000)]
            flat = [v % (1 << 32) for pair in blocks for v in pair]
            peer.send(ACK, ack=una, options=[('NOP', None), ('NOP', None), ('SAck', tuple(flat))])
        peer.all(0.05)
        peer.send(ACK)  # all of it, after all
        peer.alive('after SACK lies')
    peer.reset()


def test_T11_optimistic_ACK(lab):
    """ACKs of what was never sent are answered, and make nothing go faster."""
    peer = Peer(wire).greet()
    with Moved(('tcp/drop_ack', 20)):
        for n in range(20):
            peer.send(ACK, ack=peer.ack + 1 + n * 1460)
        replies = peer.all(0.1)
        check(0 < len(replies) <= 24 and all(s.flags == ACK and s.ack == peer.seq for s in replies), f'{replies}')
        peer.say(b'NOOP\r\n' * 5000)
        flight = sum(len(s.data) for s in peer.all(0.05))
        check(0 < flight <= 12 * 1460, f'first flight after optimistic ACKs: {flight} bytes')
    peer.reset()


def test_T12_overlap_with_other_bytes(lab):
    """The byte that came first wins, and nothing is read twice."""
    peer = Peer(wire).greet()
    with Moved('tcp/out_of_order', 'tcp/duplicate_segments', 'smtp/cmd_noop'):
        peer.send(PSH | ACK, b'OP\r\n', seq=peer.seq + 2)
        peer.expect(ACK, 'early bytes', ack=peer.seq)
        peer.say(b'NOXX\r\n')
        peer.read(b'250 ')
        peer.send(PSH | ACK, b'QUIT\r\n', seq=peer.seq - 6)
        peer.expect(ACK, 'other bytes again', ack=peer.seq, data=b'')
        peer.send(PSH | ACK, b'QUIT\r\nNOOP\r\n', seq=peer.seq - 6)
        peer.seq += 6
        check_equal(peer.read(b'250 ', b'221 ')[:4], b'250 ', 'reply to what is new behind other bytes')
        peer.alive()
    peer.reset()


@both
def test_T13_flags(lab, family):
    """Sets of flags that nobody sends get no answer, with a listener, a closed port or a connection; URG is ignored."""
    peer = Peer(wire, family).greet()
    with Moved(('tcp/drop_flags', 18)):
        for flags in (0, FIN, FIN | PSH | URG, SYN | FIN, SYN | RST, SYN | FIN | PSH | URG, PSH):
            for port in (25, 26):
                stranger = Peer(wire, family, port=port)
                stranger.send(flags)
                stranger.quiet(f'flags {flags:#x} to port {port}', 0.05)
                stranger.forget()
            peer.send(flags)
            peer.quiet(f'flags {flags:#x} in a connection', 0.05)
        peer.say(b'NOOP\r\n', PSH | ACK | URG, urgptr=3)
        peer.read(b'250 ')
        peer.send(ACK | URG, urgptr=60000)
        peer.alive('after an urgent pointer')
    peer.reset()


def raw_tcp(peer, flags, options, data=b'', doff=None, **fields):
    """A segment with exactly these option bytes."""
    words = (len(options) + 3) // 4
    header = struct.pack('>HHIIBBHHH', peer.sport, 25, peer.seq % (1 << 32), peer.ack,
                         (5 + words if doff is None else doff) << 4, flags, 65535, 0, 0)
    body = header + options.ljust(4 * words, b'\0') + data
    ip = IP(src=peer.source, dst=GATEWAY_IP, proto=6, len=20 + len(body), **fields)
    pseudo = bytes(IP(bytes(ip)))[12:20] + struct.pack('>HH', 6, len(body))
    return ip, body[:16] + struct.pack('>H', checksum(pseudo + body)) + body[18:]


def checksum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def test_T14_options(lab):
    bad = {'length 0': b'\x02\x00\x05\xb4', 'length 1': b'\x08\x01\0\0', 'beyond the header': b'\x08\x0a\0\0',
           'MSS of 3': b'\x02\x03\x05\x01', 'window scale of 4': b'\x03\x04\x01\x01', 'SACK of 9': b'\x05\x09' + bytes(7),
           'unknown of length 0': b'\xfd\x00\0\0', 'cut short': b'\x01\x01\x01\x08',
           'after 38 NOPs': b'\x01' * 38 + b'\x02\x28'}
    fine = {'40 NOPs': b'\x01' * 40, 'end at once': b'\0' * 40, 'two scales and stamps':
            b'\x03\x03\x02\x03\x03\x0e\x08\x0a' + bytes(8) + b'\x08\x0a' + bytes(8) + b'\x01\x01',
            'unknown': b'\xfd\x0a' + bytes(8), 'MSS twice': b'\x02\x04\x05\xb4\x02\x04\x00\x01'}
    with Moved(('tcp/drop_option', len(bad)), 'tcp/large_wscale'):
        for what, options in bad.items():
            peer = Peer(wire)
            ip, tcp = raw_tcp(peer, SYN, options)
            wire.ip(ip / tcp)
            peer.quiet(what, 0.05)
            peer.forget()
        for what, options in fine.items():
            peer = Peer(wire)
            ip, tcp = raw_tcp(peer, SYN, options)
            wire.ip(ip / tcp)
            peer.expect(SYN | ACK, what, ack=peer.seq + 1)
            peer.reset()
        peer = Peer(wire, options=[('MSS', 1460), ('WScale', 15)])
        peer.open()
        peer.read(b'220 ')
        peer.reset()


def test_T15_header_lies(lab):
    """Lengths that are not so, wrong checksums, other versions: dropped where the lie is, and unanswered."""
    peer = Peer(wire)
    rows = []

    def lie(counter, build):
        rows.append((counter, build))
    ip, tcp = raw_tcp(peer, SYN, b'\x02\x04\x05\xb4')
    whole = bytes(IP(bytes(ip / tcp)))
    eth = bytes(Ether(src='02:00:5e:00:53:01', dst=wire.gateway_mac, type=0x800))

    def patch(at, value, fix=True):
        packet = bytearray(whole)
        packet[at:at + len(value)] = value
        if fix:
            ihl = max((packet[0] & 15) * 4, 20)
            packet[10:12] = b'\0\0'
            packet[10:12] = struct.pack('>H', checksum(bytes(packet[:ihl])))
        return bytes(packet)
    lie('net/drop_ip_version', patch(0, b'\x55'))
    lie('net/drop_ip_header', patch(0, b'\x44'))
    lie('net/drop_ip_header', patch(0, b'\x4f'))
    lie('net/drop_ip_length', patch(2, struct.pack('>H', 19)))
    lie('net/drop_ip_length', patch(2, struct.pack('>H', len(whole) + 1)))
    lie('net/drop_ip_length', patch(2, b'\xff\xff'))
    lie('net/drop_ip_checksum', patch(10, b'\x12\x34', False))
    lie('net/drop_tcp_checksum', patch(36, bytes([whole[36] ^ 1])))
    lie('net/drop_tcp_short', patch(2, struct.pack('>H', 30)))
    lie('net/drop_ip_protocol', patch(9, b'\x11'))
    lie('net/drop_ip_short', whole[:15])
    for doff in (0, 4, 15):
        part, segment = raw_tcp(peer, SYN, b'\x02\x04\x05\xb4', doff=doff)
        lie('tcp/drop_header', bytes(IP(bytes(part / segment))))
    for counter, packet in rows:
        with Counted(gw, counter):
            wire.send_raw(eth + packet)
    with Counted(gw, 'net/drop_ether_type'):
        wire.send_raw(eth[:12] + b'\x88\xb5' + whole)
    peer.quiet('a lie')
    peer.send(SYN, ack=0)
    peer.expect(SYN | ACK, 'the same without lies')
    peer.reset()
    good()


def test_T15_header_lies_IPv6(lab):
    host = wire.host(6)
    eth = bytes(Ether(src='02:00:5e:00:53:01', dst=wire.gateway_mac, type=0x86dd))
    whole = bytes(IPv6(src=host, dst=GATEWAY_IP6) / TCP(sport=99, dport=25, flags='S'))
    extension = struct.pack('>BB', 6, 255) + bytes(6)
    rows = (('net/drop_ip_version', b'\x50' + whole[1:]), ('net/drop_ip_length', whole[:4] + b'\xff\xff' + whole[6:]),
            ('net/drop_tcp_short', whole[:4] + b'\0\x08' + whole[6:48]),
            ('net/drop_ip_extension', whole[:4] + b'\0\x1c\0' + whole[7:40] + extension + whole[40:]),
            ('net/drop_ip_routing', whole[:4] + b'\0\x1c\x2b' + whole[7:40] + extension + whole[40:]),
            ('net/drop_ip_option', whole[:4] + b'\0\x1c\x3c' + whole[7:40] + b'\x06\0\xc0\x04' + bytes(4) + whole[40:]),
            ('net/drop_tcp_checksum', whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]))
    for counter, packet in rows:
        with Counted(gw, counter):
            wire.send_raw(eth + packet)
    good()


def test_T16_old_duplicates(lab):
    """RFC 7323: what is older than what was seen is answered and not taken, but for RSTs; and wrapping numbers."""
    peer = Peer(wire, options=TIMESTAMP, isn=(1 << 32) - 10)
    peer.greet()  # its numbers wrap amid EHLO
    check(peer.seq < 1000, 'sequence numbers have wrapped')
    value, echo = peer.timestamps
    with Moved('tcp/drop_paws', 'tcp/drop_sequence', 'tcp/rx_resets'):
        old = [('NOP', None), ('NOP', None), ('Timestamp', (value - 5000, echo))]
        peer.send(PSH | ACK, b'QUIT\r\n', options=old)
        peer.expect(ACK, 'an old timestamp', ack=peer.seq, data=b'')
        peer.alive()
        peer.send(PSH | ACK, b'QUIT\r\n', seq=peer.seq - 30000)
        peer.expect(ACK, 'an old number', ack=peer.seq, data=b'')
        peer.alive()
        old = [('NOP', None), ('NOP', None), ('Timestamp', (value - 5000, echo))]
        peer.send(RST, options=old)
        peer.all(0.05)
        peer.say(b'NOOP\r\n')
        peer.expect(RST, 'after a RST with an old timestamp')


def test_T19_half_close_after_the_dot(lab):
    """FIN in the segment of the dot: the reply comes, the message is kept."""
    recipient, text = f'half{good_cnt}@example.org', b'Subject: x\r\n\r\nhalf-close\r\n.\r\n'
    with Moved('tcp/to_close_wait', 'tcp/to_last_ack', 'tcp/to_closed'):
        peer = mail(recipient)
        peer.send(FIN | PSH | ACK, text)
        peer.seq += len(text) + 1
        peer.read(b'250 ')
        wait_until(lambda: far.to(recipient), 20, 'the message at the next hop')
        peer.all(0.1)
        peer.send(ACK)


def mail(recipient):
    """A peer that may send its message now."""
    peer = Peer(wire).greet()
    peer.say(f'MAIL FROM:<s@client.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n'.encode())
    peer.read(b'354 ')
    return peer


def test_T19_RST_before_the_reply(lab):
    """RST right behind the dot, and on the 250 that was never acknowledged: nothing is half, what was committed stays, and
    the connection's state is freed."""
    body = b'Subject: x\r\n\r\nreset\r\n'
    before = gw.counter('conn/inbound')
    with Moved(('tcp/rx_resets', 2)):
        first, second = f'rst1-{good_cnt}@example.org', f'rst2-{good_cnt}@example.org'
        peer = mail(first)
        peer.say(body + b'.\r\n')
        peer.send(RST)
        peer = mail(second)
        peer.say(body + b'.\r\n')
        end = time.monotonic() + 10
        while b'250 ' not in peer.got:
            check(peer.receive(1) is not None or time.monotonic() < end, 'no 250')
        peer.send(RST)
        wait_until(lambda: far.to(second), 20, 'the message whose 250 was sent')
        wait_until(lambda: gw.counter('conn/inbound') <= before, 10, 'connections are freed')
    for message in far.to(first) + far.to(second):
        check(message.content.endswith(body), f'half a message: {message.content[-60:]!r}')
    check(len(far.to(first)) <= 1 and len(far.to(second)) == 1, 'a message came twice')


def test_T22_martians_and_land(lab):
    with Counted(gw, 'net/drop_ip_martian', 7):
        for source in ('0.0.0.0', '127.0.0.1', '224.0.0.1', '239.1.2.3', '255.255.255.255', '10.9.0.255', '10.9.0.0'):
            wire.ip(IP(src=source, dst=GATEWAY_IP) / TCP(sport=1025, dport=25, flags='S'))
    with Counted(gw, 'net/drop_ip_land', 2):
        wire.ip(IP(src=GATEWAY_IP, dst=GATEWAY_IP) / TCP(sport=25, dport=25, flags='S'))
        wire.ip(IPv6(src=GATEWAY_IP6, dst=GATEWAY_IP6) / TCP(sport=25, dport=25, flags='S'))
    with Counted(gw, 'net/drop_ip_martian', 4):
        for source in ('::', '::1', 'ff02::1', '::ffff:10.9.0.70'):
            wire.ip(IPv6(src=source, dst=GATEWAY_IP6) / TCP(sport=1025, dport=25, flags='S'))
    with Counted(gw, 'net/drop_ip_broadcast'):
        wire.ip(IP(src='10.9.0.70', dst=GATEWAY_IP) / TCP(sport=1025, dport=25, flags='S'), dst_mac='ff:ff:ff:ff:ff:ff')
    with Counted(gw, 'net/drop_ip_other', 2):
        for target in ('10.9.0.255', '10.9.0.77'):
            wire.ip(IP(src='10.9.0.70', dst=target) / TCP(sport=1025, dport=25, flags='S'))
    with Counted(gw, 'net/drop_ether_source', 2):
        for mac in ('01:00:5e:00:00:01', wire.gateway_mac):
            wire.ip(IP(src='10.9.0.70', dst=GATEWAY_IP) / TCP(sport=1025, dport=25, flags='S'), src_mac=mac)
    check_equal(ping(), 3, 'echo replies')
    good()


def test_T22_ACKs_do_not_echo(lab):
    """Two ends that find each other's ACKs wrong: each is answered, within a budget, and no RST answers a RST."""
    peer = Peer(wire).greet()
    with Moved(('tcp/drop_sequence', 100), 'tcp/reply_limited'):
        for _ in range(100):
            peer.send(ACK, seq=peer.seq - 100000)
        answers = len(peer.all(0.1))
        check(0 < answers <= 24, f'{answers} answers to 100 stray ACKs')
        peer.alive()
    peer.reset()
    with Moved(('tcp/drop_unknown', 3), ('tcp/tx_resets', 2)):
        stranger = Peer(wire)
        stranger.send(SYN | ACK, ack=5)
        stranger.expect(RST, 'SYN-ACK of nobody', seq=5)
        stranger.send(ACK, ack=77)
        stranger.expect(RST, 'ACK of nobody', seq=77)
        stranger.send(RST | ACK, ack=99)
        stranger.quiet('RST of nobody')


if __name__ == '__main__':
    main(setup)
