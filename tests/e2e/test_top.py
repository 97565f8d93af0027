#!/usr/bin/python3
# limit: 120
"""sluicectl top on a real pseudo-terminal: what is on the screen, a resize, a restart of the gateway, a terminal that cannot;
and what it prints once, for programs."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from gateway import SLUICECTL, Gateway
from harness import HOST_IP, Failed, check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, gateway={'lanes': 2}).start()


class Screen:
    """A terminal of 100 by 30: enough of xterm to read what a program has drawn."""

    def __init__(self, lab, rows=30, columns=100, term='xterm', command=('top',)):
        self.rows, self.columns = rows, columns
        self.cells = [[' '] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.rest = ''
        self.fd, child_end = pty.openpty()
        self.size(rows, columns)

        def begin():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.child = subprocess.Popen([SLUICECTL, '-s', gw.socket, *command], stdin=child_end, stdout=child_end, stderr=child_end,
                                      preexec_fn=begin, env=dict(os.environ, TERM=term, LC_ALL='C'))
        os.close(child_end)
        lab.at_end(self.end)

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[' '] * columns for _ in range(rows)]
        self.size(rows, columns)
        self.child.send_signal(signal.SIGWINCH)

    def end(self):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    def take(self):
        """What has come by now."""
        while select.select([self.fd], [], [], 0)[0]:
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                return
            if not data:
                return
            self.feed(data.decode('latin-1'))

    def feed(self, text):
        text = self.rest + text
        self.rest = ''
        pattern = re.compile(r'\x1b\[([?>!]?)([\d;]*)([@-~])|\x1b[()][A-Z0-9]|\x1b[=>78cMDE]|\x1b\][^\x07]*\x07|([\x00-\x1f\x7f])|([^\x00-\x1f\x7f]+)')
        at = 0
        while at < len(text):
            m = pattern.match(text, at)
            if m is None:
                if len(text) - at > 30:
                    at += 1  # unknown: past it
                    continue
                self.rest = text[at:]
                return
            at = m.end()
            if m.group(3) and not m.group(1):
                self.control(m.group(3), [int(n) if n else 0 for n in m.group(2).split(';')])
            elif m.group(4):
                if m.group(4) == '\r':
                    self.column = 0
                elif m.group(4) == '\n':
                    self.row = min(self.row + 1, self.rows - 1)
                elif m.group(4) == '\b':
                    self.column = max(self.column - 1, 0)
            elif m.group(5):
                self.last = m.group(5)[-1]
                for c in m.group(5):
                    self.put(c)

    def put(self, c):
        if self.row < self.rows and self.column < self.columns:
            self.cells[self.row][self.column] = c
        self.column += 1

    def control(self, kind, n):
        first = n[0]
        if kind == 'H':
            self.row, self.column = max(first, 1) - 1, max(n[1] if len(n) > 1 else 1, 1) - 1
        elif kind == 'd':
            self.row = max(first, 1) - 1
        elif kind == 'G':
            self.column = max(first, 1) - 1
        elif kind == 'A':
            self.row = max(self.row - max(first, 1), 0)
        elif kind == 'B':
            self.row = min(self.row + max(first, 1), self.rows - 1)
        elif kind == 'C':
            self.column += max(first, 1)
        elif kind == 'D':
            self.column = max(self.column - max(first, 1), 0)
        elif kind == 'b':
            for _ in range(first):
                self.put(self.last)
        elif kind == 'J':
            self.cells = [[' '] * self.columns if i > self.row or first == 2 else line for i, line in enumerate(self.cells)]
            if first == 0 and self.row < self.rows:
                self.cells[self.row][self.column:] = [' '] * (self.columns - self.column)
        elif kind == 'K' and self.row < self.rows:
            line = self.cells[self.row]
            self.cells[self.row] = [' '] * self.columns if first == 2 else (line[:self.column] + [' '] * (self.columns - self.column))[:self.columns] \
                if first == 0 else [' '] * (self.column + 1) + line[self.column + 1:]
        elif kind == 'X' and self.row < self.rows:
            for i in range(self.column, min(self.column + max(first, 1), self.columns)):
                self.cells[self.row][i] = ' '
        elif kind == 'P' and self.row < self.rows:
            line = self.cells[self.row]
            self.cells[self.row] = (line[:self.column] + line[self.column + max(first, 1):] + [' '] * max(first, 1))[:self.columns]
        elif kind == '@' and self.row < self.rows:
            line = self.cells[self.row]
            self.cells[self.row] = (line[:self.column] + [' '] * max(first, 1) + line[self.column:])[:self.columns]

    def text(self):
        self.take()
        return '\n'.join(''.join(line).rstrip() for line in self.cells)

    def wait(self, *parts, seconds=60):
        try:
            wait_until(lambda: all(re.search(p, self.text()) for p in parts), seconds, 'the screen')
        except Failed:
            raise Failed(f'not on the screen: {parts}:\n{self.text()}') from None


def test_the_screen(lab):
    """Lanes, clients with their connections, destinations with what waits for them; then it ends and gives the terminal back."""
    far.mode = 'rcpt'
    with Client() as a, Client() as b:
        a.expect(a.deliver('s@client.example', ['temp-x@example.org'], plain(1)), 250)
        screen = Screen(lab)
        screen.wait(r'^sluice mx\.gateway\.example +up 0d .*accepting yes', r'lane +busy%', r'\n +0 +\d+\.\d', r'\n +1 +\d+\.\d', r'top clients',
                    re.escape(HOST_IP) + r' +2 +1\b', r'queue: 1 messages', r'q ends it')
        b.quit()
        screen.wait(re.escape(HOST_IP) + r' +1 +1\b')
        took = re.compile(r'^durable 250 +p50 <= \d+\.\d (us|ms|s) +p99 <= \d+\.\d (us|ms|s) +of \d+$', re.M)
        wait_until(lambda: a.deliver('s@client.example', ['temp-x@example.org'], plain(1)).code == 250 and took.search(screen.text()), 60,
                   'how long messages took')
        screen.resize(12, 60)
        screen.wait(r'^sluice mx\.gateway\.example', r'lane +busy%')
        check('q ends it' in screen.text().split('\n')[11], f'the last line of the smaller screen: {screen.text()}')
        os.write(screen.fd, b'q')
        wait_until(lambda: screen.text() is not None and screen.child.poll() is not None, 30, 'q ends it')
        check_equal(screen.child.returncode, 0, 'status')
    far.mode = 'ok'
    gw.ctl('queue', 'flush', '--all')


def test_a_restart(lab):
    """While the gateway is away that is told; afterwards it goes on."""
    screen = Screen(lab)
    screen.wait(r'^sluice mx\.gateway\.example', r'q ends it')
    check_equal(gw.stop(), 0, 'stop')
    screen.wait(r'trying again: the gateway does not answer', r'^sluice mx\.gateway\.example')
    gw.start()
    screen.wait(r'q ends it')
    screen.child.send_signal(signal.SIGINT)
    wait_until(lambda: screen.text() is not None and screen.child.poll() is not None, 30, 'SIGINT ends it')
    check_equal(screen.child.returncode, 0, 'status')


def test_terminals_that_cannot(lab):
    """Said in a line, with what to do; nothing is drawn."""
    for term in ('dumb', 'nosuchterminal'):
        screen = Screen(lab, term=term)
        wait_until(lambda: screen.text() is not None and screen.child.poll() is not None, 30, 'it ends')
        check_equal(screen.child.returncode, 2, 'status')
        check(term in screen.text() and '--once' in screen.text(), screen.text())
    check('--once' in gw.ctl('top', ok=(2,)), 'no terminal')


def test_once(lab):
    """For people and for programs; what was done in the second between its two looks is in it."""
    text = gw.ctl('top', '--once')
    check(text.startswith('sluice mx.gateway.example') and 'busy%' in text and '\x1b' not in text, text)
    with Client() as a:
        row = json.loads(gw.ctl('top', '--json'))
        check_equal([row['hostname'], row['accepting'], [l['lane'] for l in row['lanes']], sum(l['in'] for l in row['lanes'])],
                    ['mx.gateway.example', 'yes', [0, 1], 1], 'a snapshot')
        check_equal(list(row['times']), ['handshake', 'durable', 'delivery_attempt'], 'times')
        check_equal(row['times']['handshake'], {'count': 0, 'p50_at_most_us': None, 'p99_at_most_us': None}, 'a gateway without TLS')
        check_equal(row['clients'], [{'name': HOST_IP, 'open': 1, 'messages': 0}], 'clients')
        check(row['seconds'] >= 1 and all(0 <= l['busy_pct'] <= 100 for l in row['lanes']), f'{row}')
        child = subprocess.Popen([SLUICECTL, '-s', gw.socket, 'top', '--json'], stdout=subprocess.PIPE, text=True)
        while child.poll() is None:  # some fall between its looks, however slow it is
            a.expect(a.deliver('s@client.example', ['a@example.org'], plain(1)), 250)
        row = json.loads(child.communicate(timeout=60)[0])
        check(row['messages_per_s'] > 0 and row['commits_per_s'] > 0, f'{row}')
        durable = row['times']['durable']
        check(durable['count'] > 0 and 0 < durable['p50_at_most_us'] <= durable['p99_at_most_us'], f'{row}')
        check(any(l['busy_pct'] > 0 for l in row['lanes']), f'{row}')
    gw.stop()
    check('does not answer' in gw.ctl('top', '--once', ok=(3,)), 'without a gateway')
    gw.start()


main(setup)
