#!/usr/bin/python3
# limit: 150
# alone: it looks at who gets through under a load
"""Floods, hoarding and crumbs against one running gateway with small limits: legitimate connections go on, what is
refused is counted, and afterwards every pool is as full as before. Single packets: test_attacks.py."""
import random
import socket
import subprocess
import threading
import time

from gateway import Counted, Gateway
from harness import (GATEWAY_IP, HOST_IP, Failed, check, check_equal, die_with_parent, find_program, main, run,
                     wait_until)
from mail import Client, plain
from sinks import Scripted
from wire import (ACK, ARP, FIN, GATEWAY_IP6, ICMP, IP, OUR_MAC, PSH, RST, SYN, TCP, Ether, ICMPv6ND_NA, ICMPv6ND_NS,
                  ICMPv6NDOptDstLLAddr, IPv6, Peer, Wire, fragment)

gw = far = wire = baseline = None
good_cnt = 0
CONNECTIONS, TIME_WAIT, NEIGHBORS, UNCONFIRMED = 256, 16, 1024, 256
TCP_CLOSE = 7  # linux/tcp_states.h
FLOOD_SEGMENTS, FLOOD_PROCESSES, LEGITIMATE = 40000, 2, 300


def setup(lab):
    global gw, far, wire, baseline
    far = Scripted(lab)
    gw = Gateway(lab, port_net0={'address': [f'{GATEWAY_IP}/24', f'{GATEWAY_IP6}/64']},
                 relay={'networks': ['10.9.0.0/24', 'fd00:9::/64'], 'domains': ['example.org']},
                 smtp={'junk': 10000, 'command_timeout': '8s'},
                 tcp={'connections': CONNECTIONS, 'half_open': 512, 'time_wait': TIME_WAIT, 'send_buffer': '16k', 'msl': '100ms',
                      'user_timeout': '4s', 'close_timeout': '2s'}).start()
    wire = Wire(gw)
    good()
    wait_until(lambda: gw.counter('conn/inbound') + gw.counter('conn/outbound') == 0, 20, 'connections are over')
    baseline = pools()


def pools():
    """Free buffers of each pool."""
    return {k: v for k, v in gw.telemetry('/sluice/memory').items() if k.endswith('/free')}


def good():
    """A message passes by the kernel's TCP."""
    global good_cnt
    good_cnt += 1
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['good@example.org'], plain(good_cnt)).code, 250, 'good message')
    check(gw.alive(), 'the gateway runs')


def recovered():
    """Mail goes on, connections are freed, and no buffer is missing."""
    good()
    wait_until(lambda: gw.counter('conn/inbound') + gw.counter('conn/outbound') == 0, 30, 'connections are freed')
    wait_until(lambda: all(pools()[k] >= n for k, n in baseline.items()), 10,
               f'buffers are back: {pools()}, at first {baseline}')


def resident_kb():
    with open(f'/proc/{gw.process.pid}/status') as f:
        return int(next(line for line in f if line.startswith('VmRSS')).split()[1])


class Legitimate:
    """Whole sessions over the kernel's TCP, some at a time, until stop()."""

    def __init__(self, threads=6):
        self.lock, self.done, self.failed, self.end = threading.Lock(), 0, [], threading.Event()
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def work(self):
        while not self.end.is_set():
            try:
                with Client(timeout=20) as c:
                    c.quit()
                with self.lock:
                    self.done += 1
            except (OSError, Failed) as why:
                with self.lock:
                    self.failed.append(repr(why))

    def stop(self):
        self.end.set()
        for t in self.threads:
            t.join(60)


def flood(lab, *arguments, processes=FLOOD_PROCESSES, count=3 * FLOOD_SEGMENTS):
    """hping3 against the listener, at about 10,000 a second each; ends by count, or when it is killed."""
    program = find_program('hping3')
    return [lab.spawn(program, '-q', '-n', '-i', 'u40', '-p', '25', '-c', str(count), *arguments, GATEWAY_IP,
                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(processes)]


def end(children):
    for c in children:
        c.kill()
        c.wait()


def test_T01_SYN_flood(lab):
    """From random sources, while legitimate connections go on: 99 in 100 of them succeed, and memory stays as it is."""
    before, half_open, memory = gw.counter('tcp/rx_segments'), gw.counter('tcp/to_established'), resident_kb()
    started, legitimate = time.monotonic(), None
    flooding = flood(lab, '-S', '--rand-source')
    try:
        wait_until(lambda: gw.counter('tcp/rx_segments') > before + 2000, 20, 'the flood begins')
        legitimate = Legitimate()
        wait_until(lambda: gw.counter('tcp/rx_segments') > before + FLOOD_SEGMENTS and
                   legitimate.done + len(legitimate.failed) >= LEGITIMATE, 60, 'flood and legitimate connections')
    finally:
        if legitimate is not None:
            legitimate.stop()
        end(flooding)
    took = time.monotonic() - started
    segments, tried = gw.counter('tcp/rx_segments') - before, legitimate.done + len(legitimate.failed)
    print(f'# SYN flood: {segments / took:.0f} segments/s, {legitimate.done} of {tried} legitimate connections', flush=True)
    check(legitimate.done >= 0.99 * tried, f'{legitimate.done} of {tried} legitimate connections: {legitimate.failed[:3]}')
    check(gw.counter('tcp/to_established') - half_open < tried * 2 + 100, 'nobody else got in')
    check(resident_kb() < memory + 8192, f'memory grew from {memory} to {resident_kb()} KiB')
    check(gw.counter('net/drop_ip_martian') > 0, 'no martian in a flood of random sources')
    recovered()


def test_T01_ACK_and_SYN_ACK_floods(lab):
    """Segments of nobody: RSTs within a budget, and mail goes on."""
    for flags in (['-A'], ['-S', '-A'], ['-F', '-P', '-U'], ['-R']):
        before = gw.counter('tcp/rx_segments')
        flooding = flood(lab, *flags, '--rand-source', processes=1)
        try:
            wait_until(lambda: gw.counter('tcp/rx_segments') > before + 5000, 30, f'flood {flags}')
            good()
        finally:
            end(flooding)
    refused = sum(gw.counter(f'tcp/{name}') for name in ('drop_unknown', 'cookies_bad', 'cookies_expired', 'cookies_full'))
    check(gw.counter('tcp/tx_resets') <= refused + 100, 'more RSTs than segments that were refused')
    check(gw.counter('tcp/drop_flags') >= 4000, 'Xmas segments are not counted')
    recovered()


def test_T08_one_byte_segments(lab):
    """SegmentSmack: every second byte of a window. Bounded, counted, and no buffer stays pinned."""
    peers = [Peer(wire).greet() for _ in range(4)]
    with Counted(gw, 'tcp/out_of_order', 3000), Counted(gw, 'tcp/drop_out_of_order', 2000):
        for peer in peers:
            for number, frame in enumerate(crumbs(peer, 1200)):
                wire.send_raw(frame)
                if number % 64 == 63:
                    time.sleep(0.002)  # the link's own queue holds 1000
    good()
    held = {k: n - pools()[k] for k, n in baseline.items()}
    check(all(n < 1024 for n in held.values()), f'buffers held by crumbs: {held}')
    for peer in peers:
        peer.drain()
        for at in (0, 1, 3, 5):  # the holes
            peer.send(PSH | ACK, b'NOOP\r\n'[at:at + 1], seq=peer.seq + at)
        peer.read(b'250 ')
        peer.reset()
    recovered()


def crumbs(peer, count):
    """Every second byte of many NOOPs, each in a frame of its own; only byte, number and checksum change."""
    frame = bytearray(bytes(Ether(src=OUR_MAC, dst=wire.gateway_mac) / peer.packet(PSH | ACK, b'\0', seq=0)))
    total = (~int.from_bytes(frame[50:52], 'big')) & 0xffff
    for at in range(2, 2 + 2 * count, 2):
        seq = (peer.seq + at) % (1 << 32)
        frame[38:42] = seq.to_bytes(4, 'big')
        frame[54] = b'NOOP\r\n'[at % 6]
        value = total + (seq >> 16) + (seq & 0xffff) + (frame[54] << 8)
        while value >> 16:
            value = (value & 0xffff) + (value >> 16)
        frame[50:52] = (~value & 0xffff).to_bytes(2, 'big')
        yield bytes(frame)


def test_T09_fragments(lab):
    """Flood, overlap, tiny offset, ping of death, of both families: dropped and counted, never answered."""
    peer, random_part = Peer(wire), random.Random(1)
    segment = bytes(peer.packet(SYN, ack=0)[TCP])
    packets = fragment(IP(src=peer.source, dst=GATEWAY_IP, id=1) / ICMP() / (b'x' * 4000), 1000)
    packets += fragment(IP(src=peer.source, dst=GATEWAY_IP, id=2) / ICMP() / (b'x' * 65507), 1480)
    packets += [IP(src=peer.source, dst=GATEWAY_IP, id=3, flags='MF', proto=1) / (b'\x08\0' + bytes(62)),
                IP(src=peer.source, dst=GATEWAY_IP, id=3, frag=8189, proto=1) / bytes(1000)]
    packets += [IP(src=peer.source, dst=GATEWAY_IP, id=4, flags='MF', proto=6) / segment[:8],
                IP(src=peer.source, dst=GATEWAY_IP, id=4, frag=1, proto=6) / segment[8:],
                IP(src=peer.source, dst=GATEWAY_IP, id=5, flags='MF', proto=6) / segment,
                IP(src=peer.source, dst=GATEWAY_IP, id=5, frag=1, proto=6) / segment[8:]]
    packets += [IP(src=peer.source, dst=GATEWAY_IP, id=random_part.randrange(65536), flags='MF',
                   frag=random_part.randrange(8192), proto=6) / bytes(24) for _ in range(500)]
    host = wire.host(6)
    for offset, more in ((0, 1), (1, 0), (185, 1)):
        header = bytes([6, 0]) + (offset << 3 | more).to_bytes(2, 'big') + bytes(4)
        packets.append(IPv6(src=host, dst=GATEWAY_IP6, nh=44) / (header + segment))
    with Counted(gw, 'net/drop_ip_fragment', len(packets)):
        for packet in packets:
            wire.ip(packet)
    peer.quiet('fragments')
    recovered()


def test_T10_slow_reader(lab):
    """100,000 commands from a client that never reads: input stops, the window closes, and at last it is given up."""
    commands, sent = b'NOOP\r\n' * 100000, 0
    with socket.socket() as s, Counted(gw, 'tcp/user_timeouts', seconds=40), Counted(gw, 'tcp/zero_window_probes',
                                                                                   seconds=40):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        s.settimeout(2)
        s.connect((GATEWAY_IP, 25))
        try:
            while sent < len(commands):
                sent += s.send(commands[sent:])
        except (TimeoutError, ConnectionError):
            pass
        check(sent < len(commands), 'all commands were taken from a client that reads no reply')
        good()
        wait_until(lambda: is_closed(s), 40, 'the slow reader is given up')
    recovered()


def is_closed(s):
    """Whether the connection was reset, without reading from it: its state, the first byte of struct tcp_info."""
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == TCP_CLOSE


def test_T10_tiny_window(lab):
    """A peer that offers a window of one byte gets no stream of crumbs (RFC 9293 section 3.8.6.2.1)."""
    peer = Peer(wire)
    peer.greet()
    peer.all(0.05)
    peer.say(b'NOOP\r\n' * 20, window=1)
    end_at, segments = time.monotonic() + 2, []
    while time.monotonic() < end_at:
        s = peer.receive(0.1)
        if s is not None and s.data:
            segments.append(len(s.data))
            peer.send(ACK, window=1)
    check(len(segments) <= 20, f'{len(segments)} segments of {set(segments)} bytes in 2 s')
    peer.reset()
    recovered()


def test_T18_idle_connections_of_one_prefix(lab):
    """More connections than there is room for: the surplus is dropped and counted, the idle ones end in time, and then
    there is room again. (Shares of each prefix come with the limits on clients.)"""
    def surplus():  # with a full SYN cache it is the cookie's ACK that finds no room
        return gw.counter('tcp/drop_syn_full') + gw.counter('tcp/cookies_full')
    held, before = [], surplus()
    with Counted(gw, 'smtp/refused_timeout', CONNECTIONS // 2, seconds=40):
        for _ in range(CONNECTIONS + 64):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex((GATEWAY_IP, 25))
            held.append(s)
        wait_until(lambda: gw.counter('conn/inbound') >= CONNECTIONS - 8, 20, 'all connections are taken')
        wait_until(lambda: surplus() > before, 20, 'the surplus is counted')
        wait_until(lambda: gw.counter('conn/inbound') < CONNECTIONS // 2, 40, 'idle connections end')
        good()
    for s in held:
        s.close()
    recovered()


def test_T20_FINs_that_nobody_acknowledges(lab):
    """LAST-ACK, FIN-WAIT-1 and FIN-WAIT-2 end by their timers, and TIME-WAIT keeps to its budget."""
    for acknowledge in (False, True):
        peers = []
        with Counted(gw, 'tcp/orphan_timeouts', 40, seconds=30):
            for _ in range(40):
                peer = Peer(wire)
                peer.greet()
                peer.say(b'QUIT\r\n')
                peer.read(b'221 ', acknowledge=False)
                if acknowledge:  # FIN-WAIT-2: their own FIN never comes
                    peer.all(0.02)
                    peer.send(ACK)
                peers.append(peer)
            good()
        for peer in peers:
            peer.forget()
    with Counted(gw, 'tcp/time_wait_recycled', 8), Counted(gw, 'tcp/to_time_wait', 40):
        started = [Peer(wire).greet() for _ in range(60)]
        for peer in started:
            peer.say(b'QUIT\r\n')
        for peer in started:
            peer.read(b'221 ', acknowledge=False)
            peer.all(0.005)
        for peer in started:
            peer.send(FIN | ACK)
            peer.forget()
    recovered()


def test_T21_ARP_flood_and_spoof(lab):
    def arp(op, mac, sender, target, to='ff:ff:ff:ff:ff:ff'):
        wire.send(Ether(src=mac, dst=to) / ARP(op=op, hwsrc=mac, psrc=sender, pdst=target, hwdst='00:00:00:00:00:00'))
    with Counted(gw, 'net/drop_arp_conflict', 3), Counted(gw, 'net/tx_arp_requests'):
        for op in (1, 2, 1):  # somebody claims to be the gateway
            arp(op, '02:66:66:66:66:66', GATEWAY_IP, GATEWAY_IP)
        time.sleep(0.05)
    with Counted(gw, 'net/drop_arp_other', 100):
        for n in range(200):  # strangers, and answers that were not asked for
            arp(2, f'02:77:00:00:00:{n:02x}', f'10.9.0.{3 + n}', '10.9.0.254')
    for n in range(253):
        arp(1, f'02:77:00:00:01:{n:02x}', f'10.9.0.{3 + n % 250}', GATEWAY_IP)
    with Counted(gw, 'net/drop_arp_invalid', 4):
        for mac, sender in (('01:00:5e:00:00:09', '10.9.0.200'), ('ff:ff:ff:ff:ff:ff', '10.9.0.200'),
                            ('02:77:00:00:01:01', '127.0.0.1'), ('02:77:00:00:01:01', '224.0.0.1')):
            wire.send(Ether(src='02:77:00:00:01:01', dst='ff:ff:ff:ff:ff:ff') /
                      ARP(op=1, hwsrc=mac, psrc=sender, pdst=GATEWAY_IP))
    check(gw.counter('net/neighbors') <= NEIGHBORS, 'the neighbor cache is bounded')
    # The kernel's address at another station, unasked: believed until the kernel is asked.
    with Counted(gw, 'net/neighbor_changed'):
        arp(2, '02:66:66:66:66:66', HOST_IP, HOST_IP)
    run('ip', 'neigh', 'flush', 'dev', gw.iface)  # the kernel asks for the gateway, as every host does at times
    recovered()


def test_T21_ND_flood_and_spoof(lab):
    """A link of 2^64 addresses: what strangers make us hold stays within a quarter of the cache."""
    node, target = '33:33:ff:00:00:01', 'ff02::1:ff00:1'
    with Counted(gw, 'net/rx_nd', 1500), Counted(gw, 'net/neighbor_evicted', 1000):
        for n in range(1500):
            mac = f'02:78:00:00:{n >> 8:02x}:{n & 255:02x}'
            wire.send(Ether(src=mac, dst=node) / IPv6(src=f'fd00:9::7:{n + 1:x}', dst=target, hlim=255) /
                      ICMPv6ND_NS(tgt=GATEWAY_IP6) / source_option(mac))
    check(gw.counter('net/neighbors') <= UNCONFIRMED + 64, f'neighbors: {gw.counter("net/neighbors")}')
    with Counted(gw, 'net/drop_nd_invalid'):
        wire.send(Ether(src=OUR_MAC, dst=node) / IPv6(src='fd00:9::8', dst=target, hlim=64) /
                  ICMPv6ND_NS(tgt=GATEWAY_IP6) / source_option(OUR_MAC))
    with Counted(gw, 'net/drop_nd_conflict'):
        wire.send(Ether(src=OUR_MAC, dst='33:33:00:00:00:01') / IPv6(src='fd00:9::8', dst='ff02::1', hlim=255) /
                  ICMPv6ND_NA(R=0, S=0, O=1, tgt=GATEWAY_IP6) / ICMPv6NDOptDstLLAddr(lladdr='02:66:66:66:66:66'))
    peer = Peer(wire, 6).greet()
    peer.alive('IPv6 after the flood')
    peer.reset()
    recovered()


def source_option(mac):
    return b'\x01\x01' + bytes.fromhex(mac.replace(':', ''))


if __name__ == '__main__':
    main(setup)
