#!/usr/bin/python3
# limit: 90
"""Rows R11 and R12: the operator's sockets below clients that write, read slowly or not at all; and what clients of SMTP say, in
log and telemetry."""
import json
import os
import re
import socket
import time

from gateway import Gateway
from harness import GATEWAY_IP, check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None
FORMS = ('text', 'json', 'postfix')
ESCAPES = '\x1b[2J\x1b]0;title\x07'


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, smtp={'client_idle': '0'}).start()


def text_of(path):
    with open(path, 'rb') as f:
        return f.read()


def mail(number):
    with Client() as c:
        check_equal(c.deliver('s@client.example', [f'm{number}@example.org'], plain(number)).code, 250, 'mail goes on')


def dpdk_client():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(10)
    s.connect(os.path.join(gw.telemetry_dir(), 'dpdk_telemetry.v2'))
    s.recv(1024)
    return s


def test_telemetry_is_read_only(lab):
    """R11: what is written to the socket changes nothing, and no answer of ours is anything but numbers: no address, no secret."""
    shown = gw.ctl('config', 'show')
    with dpdk_client() as s:
        for what in (b'/sluice/smtp,999', b'/sluice/nothing', b'reload', b'\0' * 100, b'/' * 1000, b'/sluice/smtp,' + b'x' * 900, ESCAPES.encode()):
            s.send(what)
            check(s.recv(1 << 16), 'R11: an answer')
    check_equal(gw.ctl('config', 'show'), shown, 'R11: nothing has changed')
    for command in (c for c in gw.telemetry('/') if c.startswith('/sluice/')):
        values = gw.telemetry(command)
        check(all(isinstance(v, int) for v in (values or {}).values()), f'R11 {command}: {values}')


def test_slow_readers(lab):
    """R11: readers that ask and do not read, on both sockets, hold up neither mail nor other readers for good."""
    readers = []
    for _ in range(6):
        readers.append(dpdk_client())
        readers[-1].setblocking(False)
        try:
            for _ in range(100000):
                readers[-1].send(b'/sluice/net')
        except BlockingIOError:
            pass
    talkers = []
    for part in (b'', b'stat', b'queue list --all', b'config show\n', b'queue list --json\n' * 50, b'\0' * 5000):
        for _ in range(4):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            s.connect(gw.socket)
            s.setblocking(False)
            try:
                s.send(part)
            except OSError:  # refused already
                pass
            talkers.append(s)
    for number in range(20):
        mail(number)
    wait_until(lambda: len(far.messages) == 20, 30, 'R11: mail goes on')
    check(gw.counter('smtp/messages') >= 20, 'R11: another reader has its answer')
    wait_until(lambda: 'uptime_s' in gw.ctl('status', ok=None), 30, 'R11: status')
    for s in readers + talkers:
        s.close()
    wait_until(lambda: 'uptime_s' in gw.ctl('status', ok=None), 30, 'R11: status afterwards')
    mail(20)


def hostile_session():
    """Says what it likes; returns what it wants to see in a log as a line of its own."""
    fake = f'fake{time.monotonic_ns()}'
    with Client(greet=False) as c:
        c.reply()
        c.send(f'EHLO {ESCAPES}%s%n{fake}\r\n'.encode('latin-1'))
        c.reply()
        c.send(b'HELO ' + b'x' * (1 << 20) + b'\r\n')  # 1 MiB in one line
        c.reply()
        c.command('EHLO %s%s%s%n%n')
        c.command('EHLO s-n.example')
        c.command(f'MAIL FROM:<"{ESCAPES}%n{fake}"@client.example>')
        c.command('MAIL FROM:<a%s%n@client.example>')
        c.command(f'RCPT TO:<"\x07%s{fake}"@elsewhere.example>')
        c.command('RCPT TO:<x%n@elsewhere.invalid>')
        c.command('RSET')
        hostile = f'Message-ID: <{ESCAPES}%s%n\x00{fake}>'.replace('\x00', '\x7f')
        reply = c.deliver('s%d@client.example', ['%n%s@example.org'],
                          f'{hostile}\r\nSubject: x\r\n\r\n2026-01-01T00:00:00Z info finished id={fake}\r\n'.encode('latin-1'))
        check_equal(reply.code, 250, 'its message is taken')
        c.command(f'VRFY a\tb{fake}\x1b[1m')
        c.send(b'QUIT\r\n')
        c.closed()


def test_injection(lab):
    """R12: no byte of a client begins a line, moves a cursor, or is a format; and no client makes a counter."""
    names = {c: set(gw.telemetry(c) or ()) for c in gw.telemetry('/') if c.startswith('/sluice/')}
    check_equal(gw.stop(), 0, 'exit status')
    for form in FORMS:
        path = lab.path(f'{form}.lines')
        gw.change(log={'format': form, 'file': path, 'level': 'debug'})
        gw.start()
        before = len(far.messages)
        hostile_session()
        wait_until(lambda: len(far.messages) == before + 1, 30, 'delivered')
        wait_until(lambda: re.search(rb'finished|removed', text_of(path)), 30, 'its last line')
        if form == 'text':
            now = {c: set(gw.telemetry(c) or ()) for c in gw.telemetry('/') if c.startswith('/sluice/')}
            check_equal({c: sorted(now.get(c, set()) ^ names[c]) for c in names if now.get(c) != names[c] and 'memory' not in c}, {},
                        'R12: names of counters')
        check_equal(gw.stop(), 0, 'exit status')
        data = text_of(path)
        bad = sorted(set(data) & (set(range(32)) - {10} | {127}))
        check_equal(bad, [], f'R12 {form}: control characters')
        whole = {'text': rb'\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn|info|debug) [a-z_]+( |$)', 'json': rb'\{"time":.*\}$',
                 'postfix': rb'\d{4}-\d\d-\d\dT[\d:.]+Z mx\.gateway\.example postfix/\w+\[\d+\]: '}[form]
        for line in data.splitlines():
            check(re.match(whole, line), f'R12 {form}: a line of another kind: {line[:200]!r}')
            check(len(line) < 4096, f'R12 {form}: a line of {len(line)} bytes')
            if form == 'json':
                json.loads(line)
        check(b'%n' in data and b'%s' in data, f'R12 {form}: formats are text')
    gw.change(log={'format': 'text', 'file': 'stderr', 'level': None})
    gw.start()


if __name__ == '__main__':
    main(setup)
