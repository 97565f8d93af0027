"""Zones that cost whoever validates them as much as they can, for a real nsd (zones.Zones, its argument below), and a server
that says what nsd will not."""
import base64
import os
import re
import socket
import struct
import threading
import time

from harness import find_program, run
from zones import CNAME, MX, head, wire_name

TAG, RSASHA256 = 4242, 8
KEYS, SIGNATURES = 70, 130  # what answers of 64 KiB have room for
MODULUS = 384               # up to here OpenSSL takes an exponent of its size: a verification is as dear as a signature


def colliding_key(number):
    """The data of a DNSKEY with the tag, as on the wire: RSA with a modulus of nobody."""
    noise = (number * 2654435761 + 12345).to_bytes(6, 'big') * MODULUS
    modulus, exponent = b'\xc0' + noise[:MODULUS - 2] + b'\x01', b'\x80' + noise[3:MODULUS + 1] + b'\x01'
    rdata = bytearray(struct.pack('>HBBBH', 256, 3, RSASHA256, 0, MODULUS) + exponent + modulus)
    at = (len(rdata) - MODULUS // 2) // 2 * 2  # a word in the middle of the modulus
    rdata[at:at + 2] = b'\0\0'
    base = sum(byte << 8 if n % 2 == 0 else byte for n, byte in enumerate(rdata))  # RFC 4034 appendix B
    word = next(w for w in range(0x10000) if (base + w + ((base + w) >> 16)) & 0xffff == TAG)
    rdata[at:at + 2] = word.to_bytes(2, 'big')
    return bytes(rdata)


class BadNames:
    """Signed zones below lab.; DS records for the parent, and files, by name of zone.

    trap.lab    KEYS keys of one tag, and at spoilt names SIGNATURES signatures of that tag in place of the true one: each
                of them is to be tried with each key (CVE-2023-50387)
    dear.lab    NSEC3 with 2,500 iterations, the most of RFC 5155
    deep.lab    NSEC3 with 150, the most that resolvers still follow: a denial hashes every ancestor of a name of 120 labels
                (CVE-2023-50868)
    """

    def __init__(self, lab, trap, spoilt, dear, deep):
        self.dir = lab.path('bad')
        os.makedirs(self.dir, mode=0o755)
        self.files, self.ds = {}, ''
        fakes = ''.join(f'@ DNSKEY 256 3 {RSASHA256} {base64.b64encode(colliding_key(n)[4:]).decode()}\n' for n in range(KEYS))
        self.sign('trap.lab', fakes + trap)
        for name, kind in spoilt:
            self.spoil('trap.lab', name, kind)
        self.sign('dear.lab', dear, '-n', '-t', '2500', '-s', 'ab')
        self.sign('deep.lab', deep, '-n', '-t', '150', '-s', 'ab')

    def sign(self, zone, records, *how):
        made = run(find_program('ldns-keygen', 'ldnsutils'), '-k', '-a', 'ECDSAP256SHA256', '-r', '/dev/urandom', zone, cwd=self.dir)
        key, path = os.path.join(self.dir, made.split()[-1]), os.path.join(self.dir, zone + '.zone')
        with open(path, 'w') as f:
            f.write(head(zone) + records)
        run(find_program('ldns-signzone', 'ldnsutils'), *how, '-o', zone, '-f', path + '.signed', path, key, cwd=self.dir)
        self.files[zone] = path + '.signed'
        with open(key + '.ds') as f:
            self.ds += f'{zone}. NS ns.lab.\n{f.read()}\n'

    def spoil(self, zone, name, kind):
        with open(self.files[zone]) as f:
            text = f.read()
        text, count = re.subn(rf'(?m)^{re.escape(name)}\.\s.*RRSIG\s+{kind}\s.*\n', '', text)
        assert count == 1, f'{count} signatures of {name} {kind}'
        now = time.time()
        until, since = (time.strftime('%Y%m%d%H%M%S', time.gmtime(t)) for t in (now + 86400 * 20, now - 86400))
        for n in range(SIGNATURES):
            noise = (n * 2654435761 + 99).to_bytes(6, 'big') * MODULUS
            text += (f'{name}. 1 IN RRSIG {kind} {RSASHA256} {name.count(".") + 1} 1 {until} {since} {TAG} {zone}. '
                     f'{base64.b64encode(noise[:MODULUS]).decode()}\n')
        with open(self.files[zone], 'w') as f:
            f.write(text)


class Hostile:
    """A server of the zone evil.lab. What it says goes by the label in front of evil.lab; every name in there has MX records
    that name itself with a "w." in front.

    endless      an alias of another name, for ever
    referred     sixty servers of a zone below, each with a name of another domain that nobody knows (CVE-2020-8616)
    deeper       one server of a zone one label below, again and again
    truncated    the rest is to be fetched by TCP, where nobody says a word
    other        the answer to another question
    looped       compressed names that lead to themselves
    short        records that end before their length
    silent       nothing
    """

    def __init__(self, lab, address):
        self.address, self.heard = address, 0
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(address)
        self.tcp = socket.socket(socket.AF_INET)
        self.tcp.bind(address)
        self.tcp.listen(128)
        self.held = []
        lab.at_end(self.udp.close)
        lab.at_end(self.tcp.close)
        threading.Thread(target=self.serve, daemon=True).start()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                self.held.append(self.tcp.accept()[0])
            except OSError:
                return

    def accepted(self):
        return len(self.held)

    def serve(self):
        while True:
            try:
                question, peer = self.udp.recvfrom(4096)
                self.heard += 1
                reply = self.answer(question)
                if reply:
                    self.udp.sendto(reply, peer)
            except OSError:
                return

    def answer(self, question):
        at, labels = 12, []
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode('latin-1').lower())
            at += 1 + question[at]
        kind = struct.unpack('>H', question[at + 1:at + 3])[0]
        asked, name = question[12:at + 5], '.'.join(labels)
        how = labels[-3] if len(labels) > 2 else ''

        def reply(answers=(), authority=(), flags=0x8400, asked=asked):
            return question[:2] + struct.pack('>5H', flags, 1, len(answers), len(authority), 0) + asked + b''.join((*answers, *authority))

        def record(kind, data, owner=b'\xc0\x0c'):
            return owner + struct.pack('>HHIH', kind, 1, 60, len(data)) + data
        if how == 'silent':
            return None
        if how not in ('endless', 'referred', 'deeper', 'truncated', 'other', 'looped', 'short') or len(labels) < 3:
            return reply(flags=0x8403 if how else 0x8400)
        if kind == MX and labels[0] == how:
            return reply([record(MX, b'\0\x0a' + wire_name(f'w.{name}'))])
        if len(labels) == 3:
            return reply()
        if how == 'endless':
            first = int(labels[0][1:] or 0) + 1
            return reply([record(CNAME, wire_name(f'w{first}.{".".join(labels[1:])}'))])
        if how == 'referred':
            return reply(authority=[record(2, wire_name(f'ns{n}.nobody{n}.plain.lab')) for n in range(60)], flags=0x8000)
        if how == 'deeper':
            return reply(authority=[record(2, wire_name(f'ns.{name}'), wire_name(name))], flags=0x8000)
        if how == 'truncated':
            return reply(flags=0x8600)
        if how == 'other':
            return reply([record(kind, bytes(4))], asked=wire_name('a.lab') + asked[-4:])
        if how == 'looped':
            return reply([struct.pack('>H', 0xc000 | 12 + len(asked)) + struct.pack('>HHIH', kind, 1, 60, 2) + b'\xc0\x0c'] * 30)
        return reply([record(kind, b'\x01\x02')] * 3)[:-4]
