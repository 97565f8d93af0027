"""Names for tests: a signed zone with its neighbours served by a real nsd, and a server that answers when it is told to."""
import glob
import os
import re
import socket
import struct
import threading
import time

from harness import find_program, run, wait_until

NSD, SILENT = ('127.0.0.1', 5300), ('127.0.0.1', 5301)
A, CNAME, MX, TXT, AAAA, TLSA = 1, 5, 15, 16, 28, 52


def head(zone):
    return (f'$ORIGIN {zone}.\n$TTL 1\n@ 1 IN SOA ns.lab. root.lab. 1 3600 600 86400 1\n@ 1 IN NS ns.lab.\n')


class Zones:
    """The zone lab. is signed, its key is the trust anchor. Below it: plain.lab. without signatures, bogus.lab. whose key is
    not the one that lab. names, broken.lab. which the server has and cannot serve."""

    def __init__(self, lab, more=None, further=None):
        """more: further lines of zones, by name. further: files of zones that are finished."""
        self.lab, self.dir, self.more, self.further = lab, lab.path('dns'), more or {}, further or {}
        self.keygen, self.signer = find_program('ldns-keygen', 'ldnsutils'), find_program('ldns-signzone', 'ldnsutils')
        self.nsd = find_program('nsd')
        os.makedirs(self.dir, mode=0o755)
        self.anchor = os.path.join(self.dir, 'anchor.ds')
        self.keys = {name: self.key(zone) for name, zone in (('lab', 'lab'), ('bogus', 'bogus.lab'), ('other', 'bogus.lab'))}
        with open(self.keys['lab'] + '.ds') as f:
            ds = f.read()
        with open(self.anchor, 'w') as f:
            f.write('; the key of lab.\n' + ds)
        self.records = {}
        self.write()
        self.start()

    def key(self, zone):
        before = set(glob.glob(os.path.join(self.dir, 'K*.ds')))
        run(self.keygen, '-k', '-a', 'ECDSAP256SHA256', '-r', '/dev/urandom', zone, cwd=self.dir)
        return (set(glob.glob(os.path.join(self.dir, 'K*.ds'))) - before).pop()[:-3]

    def path(self, zone):
        return os.path.join(self.dir, zone + '.zone')

    def sign(self, zone, key):
        run(self.signer, '-o', zone, '-f', self.path(zone) + '.signed', self.path(zone), self.keys[key], cwd=self.dir)
        os.rename(self.path(zone) + '.signed', self.path(zone))

    def write(self):
        """All zones anew, with the TLSA records that are set: name -> list of 'usage selector matching data'."""
        with open(self.keys['other'] + '.ds') as f:
            wrong_ds = f.read()
        with open(self.path('lab'), 'w') as f:
            f.write(head('lab') + 'ns A 127.0.0.1\na A 192.0.2.1\na AAAA 2001:db8::1\nalias CNAME a\nout CNAME a.plain\n'
                    'lab. MX 10 a\nlab. MX 20 alias\ntext TXT "one" "two"\nmany ' +
                    '\nmany '.join(f'A 192.0.2.{i}' for i in range(1, 200)) + '\n' +
                    'loop CNAME pool\npool CNAME loop\n' + ''.join(f'c{i} CNAME c{i + 1}\n' for i in range(20)) +
                    'c20 A 192.0.2.1\n' +
                    ''.join(f'thousand A 10.1.{i // 250}.{i % 250}\n' for i in range(1000)) +
                    ''.join(f'more A 10.1.{i // 250}.{i % 250}\n' for i in range(1100)) +
                    ''.join(f'wide TXT "{i}{"x" * 200}"\n' for i in range(250)) +
                    'plain NS ns.lab.\nbroken NS ns.lab.\nsilent NS ns.lab.\nbogus NS ns.lab.\n' + wrong_ds + '\n' +
                    self.more.get('lab', ''))
            for name, records in self.records.items():
                if name.endswith('.lab') and name.count('.') == 3:
                    f.writelines(f'{name}. 1 IN TLSA {record}\n' for record in records)
        with open(self.path('plain.lab'), 'w') as f:
            f.write(head('plain.lab') + 'a A 192.0.2.2\n' + self.more.get('plain.lab', ''))
            for name, records in self.records.items():
                if name.endswith('.plain.lab'):
                    f.writelines(f'{name}. 1 IN TLSA {record}\n' for record in records)
        with open(self.path('bogus.lab'), 'w') as f:
            f.write(head('bogus.lab') + 'a A 192.0.2.3\n_25._tcp.mx TLSA 3 1 1 ' + '00' * 32 + '\n')
        self.sign('lab', 'lab')
        self.sign('bogus.lab', 'bogus')

    def start(self):
        conf = os.path.join(self.dir, 'nsd.conf')
        with open(conf, 'w') as f:
            f.write(f'server:\n  ip-address: {NSD[0]}@{NSD[1]}\n  username: ""\n  chroot: ""\n  zonesdir: "{self.dir}"\n'
                    f'  database: ""\n  pidfile: "{self.dir}/nsd.pid"\n  xfrdfile: "{self.dir}/xfrd.state"\n  zonelistfile: '
                    f'"{self.dir}/zone.list"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n')
            files = {zone: self.path(zone) for zone in ('lab', 'plain.lab', 'bogus.lab', 'broken.lab')} | self.further
            for zone, path in files.items():
                f.write(f'zone:\n  name: "{zone}"\n  zonefile: "{path}"\n')
        log = open(self.lab.path('nsd.log'), 'ab')
        self.child = self.lab.spawn(self.nsd, '-d', '-c', conf, stdout=log, stderr=log)
        log.close()
        wait_until(lambda: ask(NSD, 'a.lab', A) is not None, 20, 'nsd answers')

    def stop(self):
        self.child.terminate()
        self.child.wait()

    def publish(self, name, records):
        """TLSA records at the name; all have them when this returns."""
        self.records[name] = records
        self.stop()
        self.write()
        self.start()
        time.sleep(3.1)  # the TTL: up to two whole seconds at the resolver, and the plan has its own: nobody has the old ones any more


class Nsd:
    """A real nsd with unsigned zones of its own: name -> records."""

    def __init__(self, lab, address, zones):
        self.lab, self.address, self.dir = lab, address, lab.path(f'nsd-{address[1]}')
        os.makedirs(self.dir, mode=0o755)
        conf = os.path.join(self.dir, 'nsd.conf')
        with open(conf, 'w') as f:
            f.write(f'server:\n  ip-address: {address[0]}@{address[1]}\n  username: ""\n  chroot: ""\n  zonesdir: "{self.dir}"\n'
                    f'  database: ""\n  pidfile: "{self.dir}/nsd.pid"\n  xfrdfile: "{self.dir}/xfrd.state"\n  zonelistfile: '
                    f'"{self.dir}/zone.list"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n')
            for zone, records in zones.items():
                with open(os.path.join(self.dir, zone), 'w') as z:
                    z.write(head(zone) + records)
                f.write(f'zone:\n  name: "{zone}"\n  zonefile: "{self.dir}/{zone}"\n')
        log = open(lab.path(f'nsd-{address[1]}.log'), 'ab')
        self.child = lab.spawn(find_program('nsd'), '-d', '-c', conf, stdout=log, stderr=log)
        log.close()
        wait_until(lambda: ask(address, next(iter(zones)), TXT) is not None, 20, 'nsd answers')


def wire_name(name):
    return b''.join(bytes([len(label)]) + label.encode() for label in name.split('.')) + b'\0'


def ask(server, name, kind, recursion=False):
    """One question over UDP; the reply's bytes, or None."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(0.2)
        s.connect(server)
        try:
            s.send(struct.pack('>6H', 7, recursion << 8, 1, 0, 0, 0) + wire_name(name) + struct.pack('>2H', kind, 1))
            return s.recv(4096)
        except OSError:
            return None


class Silent:
    """A server that hears every question and answers none, until it is told to: then each one by "no such name"."""

    def __init__(self, lab, address=SILENT):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.heard, self.answers = [], False
        lab.at_end(self.socket.close)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(4096)
            except OSError:
                return
            name = re.match(rb'(?:([\x01-\x3f]))', question[12:])
            if name is None:
                continue
            at, labels = 12, []
            while question[at]:
                labels.append(question[at + 1:at + 1 + question[at]].decode())
                at += 1 + question[at]
            self.heard.append('.'.join(labels).lower())
            if self.answers:
                reply = question[:2] + struct.pack('>5H', 0x8400 | 3, 1, 0, 0, 0) + question[12:at + 5]
                self.socket.sendto(reply, peer)


class Answer:
    def __init__(self, data):
        (self.status, self.secure, self.rcode, canonical, why, self.ttl, self.count, size) = struct.unpack('<5B3I', data[:17])
        at = 17
        self.canonical, at = data[at:at + canonical].decode(), at + canonical
        self.why, at = data[at:at + why].decode(), at + why
        self.records = []
        assert len(data) == at + size
        while at < len(data):
            length = struct.unpack('>H', data[at:at + 2])[0]
            self.records.append(data[at + 2:at + 2 + length])
            at += 2 + length

    def __repr__(self):
        return (f'{STATUS[self.status]}{"/secure" if self.secure else ""} {self.records} '
                f'canonical={self.canonical} {self.why}')

    def is_(self, status, secure=False):
        return STATUS[self.status] == status and bool(self.secure) == secure


STATUS = ['ok', 'nodata', 'nxdomain', 'bogus', 'servfail', 'timeout', 'failed']
SERVER, STUB, ANCHOR, CACHE, LOOKUPS = 1, 2, 3, 4, 5


class Process:
    """The resolver process alone, spoken to as the gateway does (lib/dns/dns_wire.h)."""

    def __init__(self, lab, program, settings):
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket = near
        near.settimeout(30)

        def place():
            os.dup2(far.fileno(), 3)
        self.child = lab.spawn(program, '--role=resolver', preexec_fn=place, pass_fds=(3,), env={})
        far.close()
        for key, text in settings:
            self.send(1, body=bytes([key]) + text.encode())
        self.send(2)

    def send(self, kind, number=0, body=b''):
        self.socket.send(b'Dr\x01' + bytes([kind]) + struct.pack('<I', number) + body)

    def receive(self):
        """kind, id, body; None when the process has ended."""
        data = self.socket.recv(70000)
        return (data[3], struct.unpack('<I', data[4:8])[0], data[8:]) if data else None

    def question(self, number, name, kind, timeout_ms=10000):
        self.send(3, number, struct.pack('<HI', kind, timeout_ms) + name.encode())

    def ask(self, name, kind, timeout_ms=10000):
        self.question(1, name, kind, timeout_ms)
        return Answer(self.receive()[2])
