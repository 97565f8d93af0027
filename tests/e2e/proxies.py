"""The PROXY header, written and read: for tests that play a proxy, or a next hop behind one; HAProxy and nginx in either place."""
import asyncio
import socket
import struct

from harness import find_program, wait_until
from sinks import Aiosmtpd, Scripted, Session

SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'
CLIENT = '198.51.100.7'


def v1(source=CLIENT, destination='203.0.113.1', source_port=4711):
    family = 'TCP6' if ':' in source else 'TCP4'
    return f'PROXY {family} {source} {destination} {source_port} 25\r\n'.encode()


def v2(source=CLIENT, command=0x21, family=0x11, rest=None, tlvs=b'', source_port=4711):
    if rest is None:
        rest = socket.inet_aton(source) + socket.inet_aton('203.0.113.1') + struct.pack('>HH', source_port, 25)
    return SIGNATURE + struct.pack('>BBH', command, family, len(rest + tlvs)) + rest + tlvs


# ---- reading ----

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Header:
    """What a header says: version; source and destination as (address, port), or None: there is no client."""

    def __init__(self, version, source=None, destination=None):
        self.version, self.source, self.destination = version, source, destination

    def __repr__(self):
        return f'v{self.version} {self.source} -> {self.destination}'


def parse_v1(line):
    words = line.decode('ascii').split(' ')
    if words == ['PROXY', 'UNKNOWN']:
        return Header(1)
    kind = {'TCP4': socket.AF_INET, 'TCP6': socket.AF_INET6}[words[1]]
    source, destination = (socket.inet_ntop(kind, socket.inet_pton(kind, w)) for w in words[2:4])
    if len(words) != 6 or [str(int(w)) for w in words[4:]] != words[4:]:
        raise ValueError(line)
    return Header(1, (source, int(words[4])), (destination, int(words[5])))


def parse_v2(whole):
    command, family, length = struct.unpack('>BBH', whole[12:16])
    body = whole[16:]
    if whole[:12] != SIGNATURE or command not in (0x20, 0x21) or length != len(body):
        raise ValueError(whole)
    kind, size = {0x00: (None, 0), 0x11: (socket.AF_INET, 4), 0x21: (socket.AF_INET6, 16)}[family]
    at = 2 * size + 4 if size else 0
    while at < len(body):
        what, n = struct.unpack('>BH', body[at:at + 3])
        if what == 3:
            zeroed = bytearray(whole)
            zeroed[16 + at + 3:16 + at + 7] = bytes(4)
            if crc32c(zeroed) != struct.unpack('>I', body[at + 3:at + 7])[0]:
                raise ValueError('checksum')
        at += 3 + n
    if at != len(body) or (command == 0x20) != (size == 0):
        raise ValueError(whole)
    if command == 0x20:
        return Header(2)
    ports = struct.unpack('>HH', body[2 * size:2 * size + 4])
    return Header(2, (socket.inet_ntop(kind, body[:size]), ports[0]), (socket.inet_ntop(kind, body[size:2 * size]), ports[1]))


class Told(Scripted):
    """A next hop that greets behind a PROXY header alone. headers: of each session; a message has its own."""

    def __init__(self, lab, **kw):
        self.headers = []
        super().__init__(lab, **kw)

    def serving(self, reader, writer):
        return ToldSession(self, reader, writer)


class ToldSession(Session):
    async def run(self):
        head = await asyncio.wait_for(self.reader.readexactly(len(SIGNATURE)), 30)
        try:
            if head == SIGNATURE:
                head += await self.reader.readexactly(4)
                self.header = parse_v2(head + await self.reader.readexactly(struct.unpack('>H', head[14:])[0]))
            else:
                self.header = parse_v1((head + await self.reader.readuntil(b'\r\n'))[:-2])
        except (OSError, ValueError, KeyError, IndexError, asyncio.IncompleteReadError) as why:
            self.sink.faults.append(f'header: {why!r}'.encode())
            return
        self.sink.headers.append(self.header)
        await super().run()

    def keep(self, message):
        message.header = self.header
        super().keep(message)


class ToldAiosmtpd(Aiosmtpd):
    """aiosmtpd with a parser of its own."""

    async def serve(self, listening):
        from aiosmtpd.smtp import SMTP
        sink = self

        class Handler:
            async def handle_PROXY(self, server, session, envelope, data):
                server.told = Header(data.version)
                if data.src_addr is not None:
                    server.told = Header(data.version, (str(data.src_addr), data.src_port), (str(data.dst_addr), data.dst_port))
                return True

            async def handle_DATA(self, server, session, envelope):
                envelope.header = server.told
                sink.messages.append(envelope)
                return '250 OK'
        return await self.loop.create_server(lambda: SMTP(Handler(), proxy_protocol_timeout=10, hostname='next.example'),
                                             sock=listening)


# ---- HAProxy and nginx ----

def reachable(port, host='127.0.0.1'):
    def up():
        try:
            with socket.create_connection((host, port), timeout=2):
                return True
        except OSError:
            return False
    wait_until(up, 20, f'a proxy on port {port}')


def haproxy(lab, name, rows):
    """rows: (bind with its options, server with its options)."""
    program = find_program('haproxy')
    path = lab.path(f'{name}.cfg')
    with open(path, 'w') as f:
        f.write('defaults\n mode tcp\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n')
        for number, (bind, server) in enumerate(rows):
            f.write(f'frontend f{number}\n bind {bind}\n unique-id-format %pid\n default_backend b{number}\n'
                    f'backend b{number}\n server s {server}\n')
    return lab.spawn(program, '-db', '-f', path)


def nginx(lab, name, rows):
    """rows: (listen with its options, directives)."""
    program = find_program('nginx')
    modules = program.replace('/bin/nginx', '/usr/lib/nginx/modules')
    path, errors = lab.path(f'{name}.conf'), lab.path(f'{name}.err')
    with open(path, 'w') as f:
        f.write(f'load_module {modules}/ngx_stream_module.so;\ndaemon off;\nmaster_process off;\nuser root;\n'
                f'pid {lab.path(name + ".pid")};\nerror_log {errors};\nevents {{}}\nstream {{\n')
        for listen, directives in rows:
            f.write(f' server {{ listen {listen}; {directives} }}\n')
        f.write('}\n')
    return lab.spawn(program, '-e', errors, '-c', path)
