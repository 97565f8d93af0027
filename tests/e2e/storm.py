"""
Mail under which a gateway is killed or its disk taken away: mixed sizes, one to several recipients, a next
hop that now and then defers, cuts or refuses; and the book of what was sent, acknowledged and delivered.

The book's facts, whatever happened: each acknowledged recipient was delivered, or refused for good by the
next hop and told so to the sender; bytes are those sent; nobody gets what was not for him; nobody gets a
message twice in one life of the gateway, and over its ends at most so many as were in flight.
"""
import asyncio
import email
import hashlib
import random
import re
import socket
import threading
import time
from collections import Counter

from harness import Failed, check, wait_until
from mail import Client, split_received, stuffed
from sinks import BARE, Message, Scripted, Session

LINE = 78
SENDER = 's@client.example'


def pool_of(lines, seed):
    """Lines of text; some begin with a dot."""
    r = random.Random(seed)
    letters = b'abcdefghijklmnopqrstuvwxyz0123456789 ....\xe4\xf6'
    raw = r.choices(letters, k=lines * (LINE - 2))
    return b''.join(bytes(raw[i:i + LINE - 2]) + b'\r\n' for i in range(0, len(raw), LINE - 2))


POOL_LINES = 16384
POOL = pool_of(POOL_LINES, 4)


def content_of(number, size, start):
    head = f'From: <{SENDER}>\r\nSubject: number {number}\r\nX-Number: {number}\r\n\r\n'.encode()
    left, out = max(1, size // LINE), [head]
    while left > 0:
        n = min(left, POOL_LINES - start)
        out.append(POOL[start * LINE:(start + n) * LINE])
        left, start = left - n, 0
    return b''.join(out)


class Book:
    """What was sent, what was acknowledged, and what came of it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sent, self.acked, self.replies = {}, set(), Counter()

    def sending(self, number, recipients, content):
        with self.lock:
            self.sent[number] = (frozenset(recipients), hashlib.sha256(content).digest())

    def answered(self, number, reply):
        with self.lock:
            self.replies[reply.code] += 1
            if reply.code == 250:
                self.acked.add(number)

    def owed(self):
        """The recipients of all that was acknowledged."""
        return {r for n in list(self.acked) for r in self.sent[n][0]}


class Delivery:
    def __init__(self, number, recipients, digest, life, when):
        self.number, self.recipients, self.digest, self.life, self.when = number, recipients, digest, life, when


class MoodyNextHop(Scripted):
    """Takes most of what comes. Recipients that begin with "perm-" are refused for good; every so often it
    answers 451 to RCPT, DATA or the end of data, or cuts within the data. Keeps hashes, not bodies: what
    comes to the sender itself is kept whole."""

    def __init__(self, lab, seed, moody_percent=3, **kw):
        self.chance, self.moody_percent = random.Random(seed), moody_percent
        self.life = 0  # of the gateway: the one who kills it counts
        self.deliveries, self.refused = [], set()
        super().__init__(lab, **kw)

    def moody(self):
        return self.chance.random() * 100 < self.moody_percent

    async def session(self, reader, writer):
        self.sessions += 1
        try:
            await MoodySession(self, reader, writer).run()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError):
            pass
        finally:
            writer.close()

    def end(self):
        """Sessions whose gateway was killed hang until then."""
        async def cancel():
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for t in tasks:
                t.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.down()
        self.call(cancel())
        super().end()

    def told(self):
        """Recipients that a notification to the sender names as failed."""
        out = set()
        for m in list(self.messages):
            for part in email.message_from_bytes(m.content).walk():
                for name in part.get_all('Final-Recipient') or []:
                    out.add(name.split(';', 1)[1].strip())
        return out


class MoodySession(Session):
    def __init__(self, sink, reader, writer):
        super().__init__(sink, reader, writer)
        self.life = sink.life  # what was on its way from a killed gateway is that one's

    async def rcpt(self, recipient, options):
        if recipient.startswith('perm-'):
            self.sink.refused.add(recipient)
            await self.say('550 5.1.1 no such user')
        elif self.sink.moody():
            await self.say('451 4.2.1 mailbox asleep')
        else:
            self.recipients.append(recipient)
            self.options.append(options)
            await self.say('250 2.1.5 Ok')

    async def data(self):
        if not self.recipients:
            await self.say('554 5.5.1 no valid recipients')
            return True
        if self.sink.moody():
            await self.say('451 4.3.0 no DATA today')
            return True
        await self.say('354 go')
        if self.sink.moody():
            await self.reader.read(100)
            self.writer.transport.abort()
            return False
        self.buffer[:0] = b'\r\n'
        content = (await self.until(b'\r\n.\r\n'))[2:-3]
        if BARE.search(content):
            self.sink.faults.append(b'bare newline: ' + content[:100])
        content = (b'\r\n' + content).replace(b'\r\n.', b'\r\n')[2:]
        if self.sink.moody():
            await self.say('451 4.3.0 try later')
            return True
        self.keep(content)
        await self.say('250 2.0.0 queued')
        return True

    def keep(self, content):
        if self.sender == '':
            self.sink.messages.append(Message(self.sender, self.recipients, content, self.helo, self.options))
            return
        try:
            _, body = split_received(content)
        except Failed as why:
            self.sink.faults.append(str(why).encode()[:200])
            return
        number = re.search(rb'^X-Number: (\d+)\r$', body[:400], re.MULTILINE)
        self.sink.deliveries.append(Delivery(int(number.group(1)) if number else -1, tuple(self.recipients),
                                             hashlib.sha256(body).digest(), self.life, time.monotonic()))


class Storm:
    """Connections that send without end until stopped. A 4xx is an answer like any other."""

    def __init__(self, book, seed, connections=8, first=0, size_max=4 << 20, perm=True):
        self.book, self.chance, self.size_max, self.perm = book, random.Random(seed), size_max, perm
        self.number, self.lock = first, threading.Lock()
        self.stopped, self.clients, self.faults, self.ended = threading.Event(), set(), [], []
        self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(connections)]
        for t in self.threads:
            t.start()

    def message(self):
        with self.lock:
            r, number = self.chance, self.number
            self.number += 1
            kind = r.random()
            top = 4096 if kind < 0.55 else 65536 if kind < 0.85 else 1 << 19 if kind < 0.96 else 4 << 20
            size = min(r.randint(1024, top), self.size_max)
            start, count = r.randrange(POOL_LINES), r.choice((1, 1, 1, 2, 3, 5))
            perm = self.perm and r.random() < 0.05
        recipients = [f'm{number}-{i}@example.org' for i in range(count)]
        if perm:
            recipients[-1] = 'perm-' + recipients[-1]
        return number, recipients, content_of(number, size, start)

    def work(self):
        try:
            while not self.stopped.is_set():
                self.connection()
        except OSError as why:  # the other end is gone, as is the custom here
            self.ended.append(repr(why))
        except Exception as why:
            self.faults.append(repr(why))

    def connection(self):
        """Until it is stopped, or the server has enough of refusing (RFC 5321 section 3.8 lets it)."""
        refused = False
        with Client(timeout=15) as c:
            c.socket.settimeout(60)
            with self.lock:
                self.clients.add(c)
            while not self.stopped.is_set():
                number, recipients, content = self.message()
                self.book.sending(number, recipients, content)
                try:
                    reply = c.deliver(SENDER, recipients, content, ' BODY=8BITMIME')
                except ConnectionError as why:
                    if type(why) is not ConnectionError or not refused:  # not a close, or without a reason
                        raise
                    return
                self.book.answered(number, reply)
                refused = reply.code != 250
                if reply.code >= 500:
                    self.faults.append(f'{number}: {reply}')
                if refused:
                    self.stopped.wait(0.05)

    def wait_acked(self, count, seconds=30):
        """That many more messages are acknowledged."""
        enough = len(self.book.acked) + count
        try:
            wait_until(lambda: len(self.book.acked) > enough or self.faults, seconds, f'{count} acknowledgements')
        except Failed as why:
            raise Failed(f'{why}; replies {dict(self.book.replies)}, connections ended by {self.ended}') from None
        check(not self.faults, f'under load: {self.faults[:3]}')

    def stop(self):
        """Each connection ends with the message that it is at."""
        self.stopped.set()
        for t in self.threads:
            t.join(70)
            check(not t.is_alive(), 'a client does not end')
        check(not self.faults, f'under load: {self.faults[:3]}')

    def cut(self):
        """Ends the connections at once: the other end is dead. Returns the next message's number."""
        self.stopped.set()
        with self.lock:
            clients = list(self.clients)
        for c in clients:
            try:
                c.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.stop()
        return self.number


def settled(book, far):
    """All that was acknowledged is with its recipients, or was refused for good."""
    done = {r for d in list(far.deliveries) for r in d.recipients}
    return book.owed() <= done | far.refused


def wait_settled(book, far, seconds):
    def missing():
        done = {r for d in list(far.deliveries) for r in d.recipients}
        return sorted(book.owed() - done - far.refused)
    try:
        wait_until(lambda: settled(book, far), seconds, 'all that was acknowledged')
    except Failed:
        gone = missing()
        raise Failed(f'{len(gone)} acknowledged recipients have nothing after {seconds} s, such as {gone[:4]}') from None


def wait_empty(gw, seconds):
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), seconds, 'empty queue')


def wait_written(gw, seconds):
    """What became of all deliveries so far is on stable storage."""
    wait_until(lambda: 'active 0\n' in gw.ctl('queue', 'stat'), seconds, 'no deliveries under way')
    wait_until(lambda: gw.counter('courier/journal_now') == 0, seconds, 'outcomes on stable storage')


def audit(book, far, in_flight, cuts=()):
    """Checks the book against the next hop. in_flight: deliveries under way at most. cuts: (life, when): from
    then on the gateway could not write down what it delivered. Returns how many messages came twice."""
    check(not far.faults, f'{len(far.faults)} faults at the next hop: {far.faults[:2]}')
    untold = {r for r in book.owed() & far.refused} - far.told()
    check(not untold, f'the sender was not told of {len(untold)} recipients, such as {sorted(untold)[:3]}')
    lives = {}  # recipient: lives in which it was delivered
    cut_at, unwritten = dict(cuts), Counter()
    for d in far.deliveries:
        check(d.number in book.sent, f'a message that nobody sent: {d.number} for {d.recipients}')
        recipients, digest = book.sent[d.number]
        check(set(d.recipients) <= recipients, f'message {d.number} came to {d.recipients}')
        check(d.digest == digest, f'message {d.number} came changed')
        check(len(set(d.recipients)) == len(d.recipients), f'message {d.number} twice to {d.recipients}')
        unwritten[d.life] += d.life in cut_at and d.when > cut_at[d.life]
        for r in d.recipients:
            check(d.life not in lives.setdefault(r, []), f'{r} got its message twice in life {d.life}')
            lives[r].append(d.life)
    repeated = {}  # life that ended in between: messages
    for r, in_lives in lives.items():
        for life in sorted(in_lives)[:-1]:
            repeated.setdefault(life, set()).add(r.split('-')[-2])
    for life, numbers in repeated.items():
        # As many again may have been taken by the next hop and wait for the disk to write it down.
        bound = 2 * in_flight + unwritten[life]
        check(len(numbers) <= bound, f'{len(numbers)} messages twice over the end of life {life}, {bound} at most')
    return sum(len(n) for n in repeated.values())
