#!/usr/bin/python3
# limit: 240
"""Many messages over few connections to a next hop, whatever it does between two of them."""
import asyncio

from gateway import Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, Ledger, Load, plain
from sinks import Aiosmtpd, Scripted, Session, SmtpSink

COUNT, PARALLEL = 200, 8
SMTP = {'client_idle': '10s', 'client_reuse': 1000}
PORTS = range(2530, 2545)  # each case has a next hop of its own: no connection of another is left to it
gw = None


class Fickle(Scripted):
    """Ends a session behind its N-th message (limit), as its mode says: close (at once), say_421 (before
    it closes), mail_421 (in reply to the next MAIL), mail_reset (instead of a reply), idle_close (behind
    each message, when nothing came for a moment); rset_502 refuses RSET instead."""

    def __init__(self, lab, fickle, limit, **kw):
        self.fickle, self.limit = fickle, limit
        self.counts, self.quits = [], 0  # messages of each session
        super().__init__(lab, mode='rcpt', **kw)

    def serving(self, reader, writer):
        session = FickleSession(self, reader, writer)
        session.at = len(self.counts)
        self.counts.append(0)
        return session


class FickleSession(Session):
    def full(self):
        return self.sink.counts[self.at] >= self.sink.limit

    async def until(self, end):
        if self.sink.fickle == 'idle_close' and self.sink.counts[self.at] > 0 and not self.buffer:
            more = await asyncio.wait_for(self.reader.read(1 << 16), 0.002)
            if not more:
                raise ConnectionError('closed')
            self.buffer += more
        return await super().until(end)

    async def command(self, line):
        how, verb = self.sink.fickle, line[:4].upper()
        if verb == b'QUIT':
            self.sink.quits += 1
        if verb == b'RSET' and how == 'rset_502':
            await self.say('502 5.5.1 No such thing')
            return True
        if verb == b'MAIL' and self.full() and how == 'mail_421':
            await self.say('421 4.7.0 Too many messages on this connection')
            return False
        if verb == b'MAIL' and self.full() and how == 'mail_reset':
            self.writer.transport.abort()
            return False
        return await super().command(line)

    async def data(self):
        before = len(self.sink.messages)
        go_on = await super().data()
        self.sink.counts[self.at] += len(self.sink.messages) > before
        if self.full() and self.sink.fickle == 'say_421':
            await self.say('421 4.7.0 Enough')
        return go_on and not (self.full() and self.sink.fickle in ('close', 'say_421'))


def setup(lab):
    global gw
    routes = {f'route_p{port}.example': {'host': f'{HOST_IP}:{port}'} for port in PORTS}
    gw = Gateway(lab, queue={'deliveries': PARALLEL}, smtp=SMTP, **routes).start()


def set_smtp(**settings):
    gw.change(smtp=settings)
    gw.ctl('reload')


def counters(*names, of=None):
    return [(of or gw).counter(name) for name in names]


def load(port, make=None):
    """Sends COUNT messages for this next hop; the ledger."""
    def ordinary(number):
        return 's@client.example', f'm{number}@p{port}.example', plain(number)
    ledger = Ledger()
    check_equal(Load(ledger, make or ordinary, range(COUNT), 4).join(60), [], 'errors of clients')
    check_equal(len(ledger.acked), COUNT, 'acknowledged')
    return ledger


def through(lab, port, fickle='ok', limit=10**9, of=None):
    """COUNT messages to a next hop that does this. Each comes once, none is deferred. Returns the sink
    and how many deliveries found their connection dead, and how many ended idle."""
    of = of or gw
    far = Fickle(lab, fickle, limit, port=port)
    deferred, *before = counters('courier/deferred', 'smtp_client/untried', 'conn/idle_lost', of=of)
    ledger = load(port)
    far.wait(COUNT)
    wait_until(lambda: 'messages 0\n' in of.ctl('queue', 'stat'), 30, 'empty queue')
    ledger.audit(far.messages)
    check_equal(len(far.messages), COUNT, 'messages')
    check_equal(of.counter('courier/deferred'), deferred, 'deferred')
    check_equal(far.faults, [], 'faults of the SMTP client')
    check_equal(sum(far.counts), COUNT, 'messages of all connections')
    after = counters('smtp_client/untried', 'conn/idle_lost', of=of)
    return far, after[0] - before[0], after[1] - before[1]


def test_few_connections(lab):
    """No more connections than deliveries at a time; they go with a QUIT when they are not needed."""
    far, untried, lost = through(lab, 2530)
    check(len(far.counts) <= PARALLEL, f'{len(far.counts)} connections')
    check_equal((untried, lost), (0, 0), 'connections found dead, or lost')
    check_equal(gw.counter('conn/idle'), len(far.counts), 'idle connections')
    check_equal(far.quits, 0, 'QUITs so far')
    wait_until(lambda: gw.counter('conn/idle') == 0, 60, 'no idle connection after smtp: client_idle')
    wait_until(lambda: far.quits == len(far.counts), 30, 'a QUIT for each')
    check_equal(gw.counter('conn/idle_closed'), far.quits, 'idle_closed')


def fickle(lab, port, how):
    """It ends each session after 5 messages."""
    far, untried, lost = through(lab, port, how, 5)
    check(max(far.counts) == 5, f'messages of a connection: {far.counts}')
    check(COUNT / 5 <= len(far.counts) <= COUNT / 5 + PARALLEL, f'{len(far.counts)} connections')
    return untried, lost


def test_closes_after_some_messages(lab):
    untried, lost = fickle(lab, 2531, 'close')
    check(untried + lost > 0, 'the gateway has noticed')


def test_421_after_some_messages(lab):
    untried, lost = fickle(lab, 2532, 'say_421')
    check(untried + lost > 0, 'the gateway has noticed')


def test_421_to_mail(lab):
    untried, _ = fickle(lab, 2533, 'mail_421')
    check(untried > 0, 'deliveries found their connection dead')


def test_reset_at_mail(lab):
    untried, _ = fickle(lab, 2534, 'mail_reset')
    check(untried > 0, 'deliveries found their connection dead')


def test_closes_silently_while_idle(lab):
    far, untried, lost = through(lab, 2535, 'idle_close')
    check(untried + lost > 0, f'no connection was closed while idle: {far.counts}')


def test_refuses_rset(lab):
    """Messages whose recipients are all refused leave something to be reset, which this next hop does not
    do: the session is given up, and the others arrive as ever."""
    def make(number):
        if number % 5 == 0:
            return '', f'perm-{number}@p2536.example', plain(number)
        return 's@client.example', f'm{number}@p2536.example', plain(number)
    far = Fickle(lab, 'rset_502', 10**9, port=2536)
    deferred, failed = counters('courier/deferred', 'courier/failed')
    ledger = load(2536, make)
    wait_until(lambda: gw.counter('courier/failed') == failed + COUNT // 5, 60, 'the refused ones failed')
    far.wait(COUNT - COUNT // 5)
    ledger.acked = {r for r in ledger.acked if not r.startswith('perm-')}
    ledger.audit(far.messages)
    check_equal(len(far.messages), COUNT - COUNT // 5, 'messages')
    check_equal(gw.counter('courier/deferred'), deferred, 'deferred')
    check_equal(far.faults, [], 'faults of the SMTP client')
    gw.ctl('queue', 'delete', '--state', 'failed')


def test_one_message_a_connection(lab):
    set_smtp(client_reuse=1)
    reused = gw.counter('conn/reused')
    far, _, _ = through(lab, 2537)
    check_equal(far.counts, [1] * COUNT, 'messages of each connection')
    check_equal(far.quits, COUNT, 'QUITs')
    set_smtp(client_reuse=1000, client_idle='0')
    far, _, _ = through(lab, 2538)
    check_equal(far.counts, [1] * COUNT, 'messages of each connection that none waits for')
    check_equal(gw.counter('conn/reused'), reused, 'connections reused')


def test_seven_messages_a_connection(lab):
    set_smtp(client_reuse=7, client_idle='10s')
    far, untried, _ = through(lab, 2539)
    check_equal(untried, 0, 'connections found dead')
    check_equal(max(far.counts), 7, 'messages of a connection')
    check(COUNT // 7 <= len(far.counts) <= COUNT // 7 + PARALLEL, f'{len(far.counts)} connections')
    set_smtp(client_reuse=1000)


def test_aiosmtpd(lab):
    far = Aiosmtpd(lab, port=2540)
    opened = gw.counter('conn/opened')
    ledger = load(2540)
    far.wait(COUNT)
    ledger.audit(far.messages)
    check_equal(len(far.messages), COUNT, 'messages')
    used = gw.counter('conn/opened') - opened
    check(0 < used <= COUNT // 4, f'{used} connections')  # an idle one may be closed on a slow machine


def test_smtp_sink(lab):
    far = SmtpSink(lab, port=2541)
    opened = gw.counter('conn/opened')
    ledger = load(2541)
    dumps = far.wait(COUNT)
    check_equal(len(dumps), COUNT, 'messages')
    arrived = {line for d in dumps for line in d.split(b'\n') if line.startswith(b'X-Rcpt-Args: ')}
    check_equal(len(arrived), len(ledger.acked), 'recipients at smtp-sink')
    used = gw.counter('conn/opened') - opened
    check(0 < used <= COUNT // 4, f'{used} connections')  # an idle one may be closed on a slow machine


def test_stop(lab):
    """Idle connections do not hold a gateway that goes down, and are left with a QUIT."""
    far, _, _ = through(lab, 2542)
    check(gw.counter('conn/idle') > 0, 'there are idle connections')
    check_equal(gw.stop(), 0, 'exit status')
    wait_until(lambda: far.quits == len(far.counts), 30, 'a QUIT on each connection')


def test_two_lanes(lab):
    """The same on two lanes: deliveries go where the idle connections are."""
    two = Gateway(lab, name='two', gateway={'lanes': 2}, queue={'deliveries': PARALLEL},
                  smtp=SMTP, **{'route_p2543.example': {'host': f'{HOST_IP}:2543'}}).start()
    far, untried, _ = through(lab, 2543, of=two)
    check(len(far.counts) <= PARALLEL, f'{len(far.counts)} connections')
    check_equal(untried, 0, 'connections found dead')
    used = [two.counter('conn/opened', n) for n in two.lanes()]
    check_equal(sum(used), len(far.counts), 'connections')
    check_equal(two.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
