"""A flood of AUTH with wrong passwords from many addresses, in a process of its own, so many a second and for so long;
beside it mail that is timed. For a test, which looks at facts, and perf/run auth, which prints times."""
import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections import Counter

from harness import GATEWAY_IP, HOST_IP, check, check_equal, die_with_parent, run
from mail import Client, plain

FIRST_SOURCE, SOURCES, BATCH, SESSION = 10, 200, 10, 900  # SESSION: attempts of a connection, under smtp: errors
LINE = b'AUTH PLAIN ' + base64.b64encode(b'\0victim@example.org\0guess') + b'\r\n'


def add_sources(iface):
    """Addresses of the lab's own end, each of them a client of its own for the gateway."""
    for i in range(SOURCES):
        run('ip', 'addr', 'add', f'10.9.0.{FIRST_SOURCE + i}/24', 'dev', iface)


class Load:
    """What the process does: see AuthFlood."""

    def __init__(self, port, rate, seconds):
        self.port, self.rate, self.end = port, rate, time.monotonic() + seconds
        self.said, self.sent, self.broken = Counter(), 0, 0

    async def session(self, source):
        reader, writer = await asyncio.open_connection(GATEWAY_IP, self.port, local_addr=(source, 0))
        try:
            await reader.readline()
            writer.write(b'EHLO flood.example\r\n')
            while (await reader.readline())[3:4] == b'-':
                pass
            pause = BATCH * SOURCES / self.rate
            for _ in range(SESSION // BATCH):
                start = time.monotonic()
                if start >= self.end:
                    break
                writer.write(LINE * BATCH)
                self.sent += BATCH
                for _ in range(BATCH):
                    line = await reader.readline()
                    if not line:
                        raise ConnectionError('closed')
                    self.said[line[:3].decode()] += 1
                await asyncio.sleep(max(0, pause - (time.monotonic() - start)))
            writer.write(b'QUIT\r\n')
            await reader.readline()
        finally:
            writer.close()

    async def client(self, number):
        await asyncio.sleep(BATCH * number / self.rate)  # they do not all speak at once
        while time.monotonic() < self.end:
            try:
                await asyncio.wait_for(self.session(f'10.9.0.{FIRST_SOURCE + number}'), 60)
            except (ConnectionError, TimeoutError):
                self.broken += 1
                await asyncio.sleep(0.1)

    async def run(self):
        start = time.monotonic()
        await asyncio.gather(*(self.client(i) for i in range(SOURCES)))
        return {'sent': self.sent, 'broken': self.broken, 'seconds': time.monotonic() - start, **self.said}


def load():
    """The process's own main."""
    print(json.dumps(asyncio.run(Load(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])).run())))


class AuthFlood:
    """Runs from the start; result waits for its end: replies by code, what was sent, in how many seconds."""

    def __init__(self, lab, port, rate, seconds):
        self.process = lab.spawn(sys.executable, '-c', 'import auth_flood; auth_flood.load()', str(port), str(rate), str(seconds),
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 env=dict(os.environ, PYTHONPATH=os.path.dirname(os.path.abspath(__file__))))

    def running(self):
        return self.process.poll() is None

    def result(self):
        out, _ = self.process.communicate(timeout=90)
        check_equal(self.process.returncode, 0, 'exit status of the flood')
        return json.loads(out)


class Mail:
    """One message after the other, on a connection for each ten; how long each took, from MAIL to the 250."""

    def __init__(self, port=25):
        self.port, self.times, self.codes = port, [], Counter()

    def send(self, count, going=lambda: True):
        content = plain(1)
        while count > 0 and going():
            with Client(port=self.port, source=(HOST_IP, 0)) as c:
                for _ in range(min(10, count)):
                    start = time.monotonic()
                    self.codes[c.deliver('a@client.example', ['b@example.org'], content).code] += 1
                    self.times.append(time.monotonic() - start)
                    count -= 1
        return self

    def microseconds(self, share):
        check(self.times, 'some mail was sent')
        return sorted(self.times)[min(len(self.times) - 1, int(len(self.times) * share))] * 1e6
