"""Messages, a plain SMTP client that sends exactly the bytes it is given, and the ledger of a load."""
import hashlib
import random
import re
import socket
import threading
import time
from collections import Counter

from harness import GATEWAY_IP, Failed, check


class Reply:
    def __init__(self, lines):
        self.lines = lines
        self.code = int(lines[-1][:3])
        self.text = '\n'.join(line[4:] for line in lines)

    def __repr__(self):
        return f'{self.code} {self.text}'


class Client:
    """Blocking, for one thread. Every wait is bounded by the time-out."""

    def __init__(self, host=GATEWAY_IP, port=25, timeout=30, greet=True, source=None):
        self.socket = socket.create_connection((host, port), timeout=timeout, source_address=source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''
        if greet:
            self.banner = self.expect(self.reply(), 220)
            self.expect(self.command('EHLO client.example'), 250)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        while b'\n' not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError('connection closed by the server')
            self.buffer += more
        line, self.buffer = self.buffer.split(b'\n', 1)
        check(line.endswith(b'\r'), f'reply line without CR: {line!r}')
        return line[:-1].decode('latin-1')

    def reply(self):
        lines = [self.line()]
        while lines[-1][3:4] == '-':
            lines.append(self.line())
        return Reply(lines)

    def command(self, text):
        self.send(text.encode('latin-1') + b'\r\n')
        return self.reply()

    @staticmethod
    def expect(reply, *codes):
        if reply.code not in codes:
            raise Failed(f'reply {reply}, not {codes}')
        return reply

    def closed(self):
        """True when the server ends the connection, by FIN or by RST; what it says before is dropped."""
        try:
            while self.socket.recv(65536):
                pass
            return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def envelope(self, sender, recipients, parameters=''):
        commands = [f'MAIL FROM:<{sender}>{parameters}'] + [f'RCPT TO:<{r}>' for r in recipients] + ['DATA']
        self.send(''.join(c + '\r\n' for c in commands).encode('latin-1'))
        return [self.reply() for _ in commands]

    def deliver(self, sender, recipients, content, parameters=''):
        """The reply to the end of data, or the first refusal before it."""
        replies = self.envelope(sender, recipients, parameters)
        for r in replies:
            if r.code >= 400:
                return r
        self.send(stuffed(content))
        return self.reply()

    def quit(self):
        reply = self.command('QUIT')
        self.close()
        return reply


def stuffed(content):
    """What goes over the wire after 354. The content is empty or ends in CRLF."""
    check(content == b'' or content.endswith(b'\r\n'), 'content of a test message ends in CRLF')
    return (b'\r\n' + content).replace(b'\r\n.', b'\r\n..')[2:] + b'.\r\n'


def plain(number, size=600, seed=0):
    """An ordinary message; its body is from the seed."""
    r = random.Random(seed * 1000003 + number)
    lines = ['From: <sender@client.example>', f'To: <m{number}@example.org>', f'Subject: message {number}', '']
    pool = ''.join(r.choices('abcdefghijklmnopqrstuvwxyz     .', k=2000))
    while size > 0:
        start, length = r.randrange(1900), r.randint(1, 76)
        lines.append(pool[start:start + length])
        size -= length + 2
    return '\r\n'.join(lines).encode() + b'\r\n'


RECEIVED = re.compile(
    rb'\AReceived: from (?P<helo>\S+) \(\[(?P<client>[0-9.]+|IPv6:[0-9a-f:]+)\]\)\s+'
    rb'(?:\(using (?P<tls>TLSv1\.[23]) with cipher \S+ \(\d+ bits\)(?: key-exchange \S+)?\)\s+)?'
    rb'(?:\(Authenticated sender: (?P<login>[^\r\n]*)\)\s+)?by (?P<by>\S+) with (?P<with>SMTP|ESMTPS?A?) id '
    rb'(?P<id>[0-9A-Za-z-]+)(?:\s+for <(?P<for>[^>]+)>)?(?:\s+tls TLS_\w+)?;\s+'
    rb'(?P<date>(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4})\r\n')


def split_received(content):
    """The gateway's Received field (RFC 5321 section 4.4) as a match, and what follows it."""
    match = RECEIVED.match(content)
    check(match is not None, f'no correct Received field on top: {content[:300]!r}')
    field = match.group(0)
    check(all(len(line) <= 998 for line in field.split(b'\r\n')), 'Received line over 998 bytes')
    check(all(line[:1] in b' \t' for line in field.split(b'\r\n')[1:-1]), 'Received field not folded')
    return match, content[match.end():]


class Ledger:
    """What was sent, what was acknowledged, and whether what arrived fits. Messages are told apart by
    their recipient, so that contents can be anything, even empty."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.acked = {}, set()

    def sending(self, recipient, content):
        with self.lock:
            self.sent[recipient] = hashlib.sha256(content).digest()

    def acknowledged(self, recipient):
        with self.lock:
            self.acked.add(recipient)

    def audit(self, messages, duplicates=0):
        """Every acknowledged message is among the delivered ones, each delivered one was sent, byte for
        byte; at most so many came twice. Returns how many did."""
        seen = Counter()
        for m in messages:
            check(len(m.recipients) == 1, f'recipients {m.recipients}')
            recipient = m.recipients[0]
            check(recipient in self.sent, f'unknown message for {recipient}')
            _, content = split_received(m.content)
            check(hashlib.sha256(content).digest() == self.sent[recipient], f'bytes of {recipient} differ')
            seen[recipient] += 1
        missing = self.acked - set(seen)
        check(not missing, f'{len(missing)} acknowledged messages did not arrive, such as {sorted(missing)[:3]}')
        twice = sum(n - 1 for n in seen.values())
        check(twice <= duplicates, f'{twice} duplicates, {duplicates} at most')
        return twice

    def arrived(self, messages):
        """True when all that was acknowledged is there."""
        return self.acked <= {m.recipients[0] for m in messages if m.recipients}


class Load:
    """Threads that send make(number) for numbers in turn, over one connection each, until there are no
    more, stop is set or a connection fails."""

    def __init__(self, ledger, make, numbers, connections, timeout=30, per_connection=10**9,
                 host=GATEWAY_IP):
        self.ledger, self.make = ledger, make
        self.numbers, self.lock = iter(numbers), threading.Lock()
        self.stop, self.errors = threading.Event(), []
        self.timeout, self.per_connection, self.host = timeout, per_connection, host
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(connections)]
        for t in self.threads:
            t.start()

    def next_number(self):
        with self.lock:
            return None if self.stop.is_set() else next(self.numbers, None)

    def work(self):
        try:
            number = self.next_number()
            while number is not None:
                with Client(self.host, timeout=self.timeout) as c:
                    for _ in range(self.per_connection):
                        if number is None:
                            break
                        self.one(c, number)
                        number = self.next_number()
                    c.quit()
        except (OSError, Failed) as why:
            self.errors.append(why)

    def one(self, client, number):
        sender, recipient, content = self.make(number)
        eight = ' BODY=8BITMIME' if any(b > 127 for b in content[:100000]) else ''
        self.ledger.sending(recipient, content)
        reply = client.deliver(sender, [recipient], content, eight)
        if reply.code != 250:
            raise Failed(f'{recipient}: {reply}')
        self.ledger.acknowledged(recipient)

    def join(self, seconds):
        """Waits for the threads; the errors they ended with."""
        end = time.monotonic() + seconds
        for t in self.threads:
            t.join(max(0, end - time.monotonic()))
            if t.is_alive():
                self.stop.set()
                raise Failed(f'load not done within {seconds} s')
        return self.errors
