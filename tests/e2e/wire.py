"""Hosts that are not the kernel's, on the link to the gateway: every frame is the test's own. They answer ARP and
neighbor discovery for themselves; what else comes to them waits in their queues. Scapy makes and reads packets."""
import collections
import functools
import ipaddress
import logging
import queue
import random
import socket
import struct
import threading
import time

from harness import GATEWAY_IP, Failed, Skip, check

logging.getLogger('scapy.runtime').setLevel(logging.ERROR)
try:
    from scapy.layers.inet import ICMP, IP, TCP, fragment  # noqa: F401
    from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, IPv6)
    from scapy.layers.l2 import ARP, Ether
except ImportError:
    raise Skip('python3-scapy is not here (tests/run e2e brings it)')

GATEWAY_IP6 = 'fd00:9::1'
OUR_MAC = '02:00:5e:00:53:01'
OURS, OURS6 = ipaddress.ip_network('10.9.0.64/26'), ipaddress.ip_network('fd00:9::/112')  # but the kernel's and ours
PACKET_OUTGOING = 4
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
WAIT_S = 5      # bound for what must come
QUIET_S = 0.25  # how long nothing may come; what the gateway answers at once comes in microseconds


class Wire:
    """The link iface. frames: everything that is neither for a peer nor ARP or ND of ours."""

    def __init__(self, gw):
        self.gw, self.peers, self.addresses, self.lock = gw, {}, set(), threading.Lock()
        self.other = collections.deque(maxlen=10000)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((gw.iface, 0))
        self.socket.settimeout(0.2)
        self.closed = False
        gw.lab.at_end(self.close)
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        self.gateway_mac = self.find_gateway()

    def close(self):
        self.closed = True
        self.thread.join()
        self.socket.close()

    def find_gateway(self):
        own = self.host()
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            self.send(Ether(src=OUR_MAC, dst='ff:ff:ff:ff:ff:ff') /
                      ARP(op=1, hwsrc=OUR_MAC, psrc=own, pdst=GATEWAY_IP))
            time.sleep(0.05)
            for frame in list(self.other):
                if frame[12:14] == b'\x08\x06' and frame[20:22] == b'\0\x02':
                    return ':'.join(f'{b:02x}' for b in frame[22:28])
        raise Failed('the gateway does not answer ARP')

    def host(self, family=4):
        """A new address on the link."""
        network, first = (OURS, 1) if family == 4 else (OURS6, 0x100)
        with self.lock:
            number = sum(a.version == family for a in self.addresses)
            address = network[first + number % 60 if family == 4 else first + number]
            self.addresses.add(address)
        return str(address)

    def listen(self):
        while not self.closed:
            try:
                frame, where = self.socket.recvfrom(65536)
            except (TimeoutError, OSError):
                continue
            if where[2] != PACKET_OUTGOING:
                self.take(frame)

    def take(self, frame):
        kind = frame[12:14]
        if kind == b'\x08\x06' and frame[20:22] == b'\0\x01' and ipaddress.ip_address(frame[38:42]) in OURS:
            self.send_raw(frame[6:12] + bytes.fromhex(OUR_MAC.replace(':', '')) + frame[12:20] + b'\0\x02' +
                          bytes.fromhex(OUR_MAC.replace(':', '')) + frame[38:42] + frame[22:28] + frame[28:32])
            return
        if kind == b'\x86\xdd' and frame[20] == 58 and len(frame) >= 78 and frame[54] == 135:
            target = ipaddress.ip_address(frame[62:78])
            if target in OURS6 and str(target) not in (GATEWAY_IP6, 'fd00:9::2'):
                self.send(Ether(src=OUR_MAC, dst=frame[6:12].hex(':')) /
                          IPv6(src=str(target), dst=str(ipaddress.ip_address(frame[22:38])), hlim=255) /
                          ICMPv6ND_NA(R=0, S=1, O=1, tgt=str(target)) / ICMPv6NDOptDstLLAddr(lladdr=OUR_MAC))
            return
        key = self.key_of(frame)
        peer = self.peers.get(key) if key else None
        if peer is not None:
            peer.inbox.put(frame)
        else:
            self.other.append(frame)

    @staticmethod
    def key_of(frame):
        """The address and port that a TCP segment is for."""
        if frame[12:14] == b'\x08\x00' and frame[23] == 6:
            at = 14 + (frame[14] & 15) * 4
            return frame[30:34], frame[at + 2:at + 4]
        if frame[12:14] == b'\x86\xdd' and frame[20] == 6:
            return frame[38:54], frame[56:58]
        return None

    def send_raw(self, frame):
        while True:
            try:
                self.socket.send(frame)
                return
            except OSError as e:
                if e.errno != 105:  # ENOBUFS: the queue of the link is full
                    raise
                time.sleep(0.001)

    def send(self, packet):
        self.send_raw(bytes(packet))

    def ip(self, packet, src_mac=OUR_MAC, dst_mac=None):
        """An IP packet to the gateway's card."""
        self.send(Ether(src=src_mac, dst=dst_mac or self.gateway_mac) / packet)


class Segment:
    """A TCP segment that the gateway sent."""

    def __init__(self, frame):
        v4 = frame[12:14] == b'\x08\x00'
        at = 14 + (frame[14] & 15) * 4 if v4 else 54
        end = 14 + struct.unpack('>H', frame[16:18])[0] if v4 else 54 + struct.unpack('>H', frame[18:20])[0]
        self.seq, self.ack = struct.unpack('>II', frame[at + 4:at + 12])
        self.flags, self.window = frame[at + 13], struct.unpack('>H', frame[at + 14:at + 16])[0]
        header = (frame[at + 12] >> 4) * 4
        self.header = frame[at:at + header]
        self.data = frame[at + header:end]
        self.ip = frame[14:end]

    @functools.cached_property
    def options(self):
        return dict(TCP(self.header).options)

    def __repr__(self):
        names = ''.join(n for n, bit in zip('FSRPAU', (FIN, SYN, RST, PSH, ACK, URG)) if self.flags & bit)
        return f'{names} seq={self.seq} ack={self.ack} len={len(self.data)} win={self.window}'


class Peer:
    """One end of a TCP connection to the gateway, segment by segment. seq is what it sends next, ack the end of what it
    has got; both are what an honest peer would use, and every call may override them."""

    ports = iter(range(10001, 60000))

    def __init__(self, wire, family=4, source=None, sport=None, options=(('MSS', 1460),), isn=None, port=25):
        self.wire, self.family, self.options, self.port = wire, family, list(options), port
        self.source = source or wire.host(family)
        self.sport = next(Peer.ports) if sport is None else sport
        self.seq = random.randrange(1 << 32) if isn is None else isn
        self.ack, self.got, self.inbox, self.timestamps = 0, b'', queue.Queue(), None
        key = (ipaddress.ip_address(self.source).packed, struct.pack('>H', self.sport))
        wire.peers[key] = self

    # ---- out ----

    def packet(self, flags, data=b'', seq=None, ack=None, options=None, **fields):
        ip = IP(src=self.source, dst=GATEWAY_IP) if self.family == 4 else IPv6(src=self.source, dst=GATEWAY_IP6)
        if options is None:
            options = [] if self.timestamps is None else [('NOP', None), ('NOP', None), ('Timestamp', self.timestamps)]
        window = fields.pop('window', 65535)
        packet = ip / TCP(sport=self.sport, dport=self.port, flags=flags, options=options, window=window,
                          seq=(self.seq if seq is None else seq) % (1 << 32),
                          ack=(self.ack if ack is None else ack) % (1 << 32), **fields)
        return packet / data if data else packet

    def send(self, flags, data=b'', **fields):
        self.wire.ip(self.packet(flags, data, **fields))

    def say(self, data, flags=PSH | ACK, **fields):
        """Data in order, in segments that fit."""
        for at in range(0, len(data), 1400):
            part = data[at:at + 1400]
            self.send(flags, part, **fields)
            self.seq = (self.seq + len(part)) % (1 << 32)

    # ---- in ----

    def receive(self, seconds=WAIT_S):
        """The next segment of the gateway's; None: none came."""
        try:
            segment = Segment(self.inbox.get(timeout=seconds))
        except queue.Empty:
            return None
        if segment.seq == self.ack and segment.flags & ACK and not segment.flags & RST:
            self.got += segment.data
            self.ack = (self.ack + len(segment.data) + bool(segment.flags & FIN)) % (1 << 32)
        if self.timestamps is not None and 'Timestamp' in segment.options:
            self.timestamps = (self.timestamps[0] + 1, segment.options['Timestamp'][0])
        return segment

    def expect(self, flags, what, seconds=WAIT_S, **fields):
        """The next segment has exactly these flags (PSH aside) and fields."""
        segment = self.receive(seconds)
        check(segment is not None, f'{what}: no reply')
        good = segment.flags & ~PSH == flags & ~PSH and all(getattr(segment, k) == v for k, v in fields.items())
        check(good, f'{what}: {segment}')
        return segment

    def quiet(self, what, seconds=QUIET_S):
        segment = self.receive(seconds)
        check(segment is None, f'{what}: answered by {segment}')

    def all(self, seconds=QUIET_S):
        """Every segment that comes until it is quiet."""
        out = []
        while (segment := self.receive(seconds)) is not None:
            out.append(segment)
        return out

    def drain(self):
        """What has come is not looked at."""
        while not self.inbox.empty():
            self.inbox.get()

    # ---- in order ----

    def open(self, options=None):
        """The handshake; returns the SYN-ACK."""
        self.send(SYN, options=self.options if options is None else options, ack=0)
        segment = self.expect(SYN | ACK, 'SYN', ack=(self.seq + 1) % (1 << 32))
        self.seq, self.ack = (self.seq + 1) % (1 << 32), (segment.seq + 1) % (1 << 32)
        if 'Timestamp' in segment.options:
            self.timestamps = (dict(self.options)['Timestamp'][0] + 1, segment.options['Timestamp'][0])
        self.send(ACK)
        return segment

    def read(self, *ends, acknowledge=True):
        """Reads on until got ends with a line that begins with one of ends, and acknowledges it."""
        end = time.monotonic() + 3 * WAIT_S
        while not self.said(*ends):
            segment = self.receive(1)
            check(segment is None or not segment.flags & RST, f'reset while waiting for {ends}')
            if segment is not None and segment.data and acknowledge:
                self.send(ACK)
            check(time.monotonic() < end, f'waited for {ends}, got {self.got[-100:]!r}')
        text, self.got = self.got, b''
        return text

    def said(self, *ends):
        lines = self.got.split(b'\r\n')
        return len(lines) > 1 and lines[-1] == b'' and any(lines[-2].startswith(e) for e in ends)

    def greet(self):
        """Handshake, banner and EHLO."""
        self.open()
        self.read(b'220 ')
        self.say(b'EHLO client.example\r\n')
        self.read(b'250 ')
        return self

    def alive(self, what='the connection goes on'):
        """It is still there and in step: NOOP is answered."""
        self.all(0.02)
        self.got = b''
        self.say(b'NOOP\r\n')
        try:
            self.read(b'250 ')
        except Failed as e:
            raise Failed(f'{what}: {e}')

    def reset(self):
        self.send(RST)
        self.forget()

    def forget(self):
        self.wire.peers.pop((ipaddress.ip_address(self.source).packed, struct.pack('>H', self.sport)), None)


def both(function):
    """A case for each family."""
    @functools.wraps(function)
    def case(lab):
        for family in (4, 6):
            try:
                function(lab, family)
            except Failed as e:
                raise Failed(f'IPv{family}: {e}')
    return case
