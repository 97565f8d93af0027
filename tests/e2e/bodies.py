"""Contents that a mail path could damage. Each is a name and exact bytes; all end in CRLF or are empty."""
import glob
import os
import random

from harness import PEERS, SOURCE


def crlf(data):
    """Lines of a file as they go over the wire: each ends in CRLF, none holds a bare CR or LF."""
    return b''.join(line.rstrip(b'\r').replace(b'\r', b'') + b'\r\n' for line in data.rstrip(b'\n').split(b'\n'))


def head(name):
    return f'From: <sender@client.example>\r\nSubject: {name}\r\nMIME-Version: 1.0\r\n\r\n'.encode()


def special():
    r = random.Random(20)
    return {
        'empty': b'',
        'one empty line': b'\r\n',
        'header only': b'Subject: x\r\n',
        'header and empty body': b'Subject: x\r\n\r\n',
        'no header': b'this is not a header line\r\nnor this\r\n',
        'dots only': head('dots') + b''.join(b'.' * n + b'\r\n' for n in list(range(1, 70)) + [1, 1, 2, 998]),
        'starts with dot': b'.\r\n..\r\n.x\r\n',
        'dot lines': head('dot lines') + b'.a\r\n..b\r\n .\r\n. \r\n.\t\r\n...\r\na.\r\n',
        'ends with dots': head('ends') + b'text\r\n.\r\n.\r\n',
        'many empty lines': head('lines') + b'\r\n' * 5000,
        'eight bit': head('8bit') + b''.join(bytes([b]) for b in range(128, 256)) * 5 + b'\r\n',
        'controls': head('controls') + bytes(b for b in range(1, 32) if b not in (10, 13)) + b'\x7f\r\n',
        'lines of 998': head('long') + b''.join(r.choice((b'x', b'.', b'\xe4')) * 998 + b'\r\n' for _ in range(200)),
        'folded header': b'Subject: a\r\n\tb\r\n c\r\nX-Long: ' + b'y' * 900 + b'\r\n ' + b'z' * 900 + b'\r\n\r\nbody\r\n',
        'header of 100 kB': b''.join(f'X-{i}: {"v" * 900}\r\n'.encode() for i in range(105)) + b'\r\nbody\r\n',
        'from line': b'From a@b.example Mon Jan 1 00:00:00 2024\r\nSubject: mbox\r\n\r\n>From x\r\nFrom y\r\n',
        'end in pieces': head('pieces') + b'\r\n..\r\n\r\n...\r\n' * 2000,
    } | {f'size {n}': sized(n) for n in (1023, 1024, 16383, 16384, 16385, 65535, 65536, 262144, 1048577)}


def sized(n, seed=1):
    """Exactly n bytes, lines of mixed lengths and bytes."""
    r = random.Random(n + seed)
    out = bytearray(head(f'size {n}'))
    letters = bytes(b for b in range(32, 256) if b != 127)
    pool = bytes(r.choices(letters, k=65536))
    while len(out) < n:
        start, length = r.randrange(60000), r.randint(0, 200)
        out += (b'.' if r.random() < 0.1 else b'') + pool[start:start + length] + b'\r\n'
    del out[n - 2:]
    if out.endswith(b'\r'):
        out[-1:] = b'x'
    return bytes(out) + b'\r\n'


def samples():
    """Real mail: Python's own e-mail test data where the package was unpacked, and tests/data/mime."""
    found = {}
    patterns = (os.path.join(PEERS, 'usr/lib/python3*/test/test_email/data/msg_*.txt'),
                os.path.join(SOURCE, 'tests/data/mime/*.eml'))
    for pattern in patterns:
        for path in sorted(glob.glob(pattern)):
            with open(path, 'rb') as f:
                data = crlf(f.read())
            if b'\0' not in data and max(map(len, data.split(b'\r\n'))) <= 998:
                found[os.path.basename(path)] = data
    return found
