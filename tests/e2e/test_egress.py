#!/usr/bin/python3
# limit: 170
"""Sources: the address and the EHLO name that mail leaves with, by rotation, route and sender; limits of a day over
restarts; a next hop that refuses one address, so that the next one takes over; IPv4 and IPv6; real receivers."""
import json
import os
import re
import time

from gateway import SLUICED, Counted, Gateway
from harness import HOST_IP, Skip, check, check_equal, main, run, wait_until
from mail import Client, Ledger, Load, plain, split_received
from postfix import Postfix
from sinks import Scripted, Session
from zones import NSD, Zones
from zones import head as zone_head

A, B, C, SIX_B, SIX_HOST = '10.9.0.1', '10.9.0.11', '10.9.0.12', 'fd00:9::11', 'fd00:9::2'
sink = None


class Choosy(Scripted):
    """Notes who comes, and refuses by the client's address: refusals[address] is (stage, reply), the stage being
    greeting, MAIL, RCPT or DATA; RCPT may be of some recipients alone: (stage, reply, part of the recipient)."""

    def __init__(self, lab, **kw):
        self.refusals, self.came = {}, []
        super().__init__(lab, **kw)

    def serving(self, reader, writer):
        return ChoosySession(self, reader, writer)


class ChoosySession(Session):
    def __init__(self, *args):
        super().__init__(*args)
        self.peer = self.writer.get_extra_info('peername')[0]
        self.sink.came.append(self.peer)

    def refusal(self, stage, recipient=''):
        at, reply, *part = self.sink.refusals.get(self.peer, (None, None))
        return reply if at == stage and (not part or part[0] in recipient) else None

    async def run(self):
        if self.refusal('greeting'):
            return await self.say(self.refusal('greeting'))
        await super().run()

    async def command(self, line):
        if line[:4].upper() == b'MAIL' and self.refusal('MAIL'):
            self.sender, self.recipients = None, []
            await self.say(self.refusal('MAIL'))
            return True
        return await super().command(line)

    async def rcpt(self, recipient, options):
        if self.sender is None:
            return await self.say('503 5.5.1 MAIL first')
        if self.refusal('RCPT', recipient):
            return await self.say(self.refusal('RCPT', recipient))
        await super().rcpt(recipient, options)

    async def data(self):
        if self.refusal('DATA'):
            await self.say('354 go')
            self.buffer[:0] = b'\r\n'
            await self.until(b'\r\n.\r\n')
            await self.say(self.refusal('DATA'))
            return True
        return await super().data()

    def keep(self, message):
        message.peer = self.peer
        super().keep(message)


def setup(lab):
    global sink
    sink = Choosy(lab)


def gateway(lab, name, **changes):
    sink.messages.clear()
    sink.came.clear()
    sink.refusals = {}
    gw = Gateway(lab, name=name, port_net0={'address': [f'{A}/24', f'{B}/24', f'{C}/24']},
                 source_a={'address': B, 'ehlo': 'a.out.example'}, source_b={'address': C, 'ehlo': 'b.out.example'},
                 route_default={'host': f'{HOST_IP}:2525', 'sources': ['a', 'b']})
    gw.change(**changes)
    return gw


def send(cnt, sender='s@client.example', to='m{}@example.org', first=0):
    with Client() as c:
        for n in range(first, first + cnt):
            check_equal(c.deliver(sender, [to.format(n)], plain(n)).code, 250, f'message {n}')


def sources(gw):
    rows = [json.loads(line) for line in gw.ctl('sources', '--json').splitlines()]
    return ({r['source']: r for r in rows if 'source' in r},
            {(r['aside'], r['at']): r for r in rows if 'aside' in r})


def peers(messages):
    return {m.peer for m in messages}


def test_rotation(lab):
    """By weights, each with its EHLO name; what a source is for by its senders goes by no other."""
    gw = gateway(lab, 'rotation', source_a={'weight': 3},
                 **{'source_c': {'address': A, 'ehlo': 'c.out.example', 'sender_domains': ['news.example', '.lists.example']},
                    'route_default': {'sources': ['a', 'b', 'c']}, 'route_direct.example': {'host': f'{HOST_IP}:2525'}})
    gw.start()
    ledger = Ledger()
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n)), range(200), 8, per_connection=25)
    check_equal(load.join(60), [], 'errors of clients')
    sink.wait(200)
    ledger.audit(sink.messages)
    check_equal({(m.peer, m.helo) for m in sink.messages}, {(B, 'a.out.example'), (C, 'b.out.example')}, 'who came')
    by_a = sum(m.peer == B for m in sink.messages)
    check(115 <= by_a <= 180, f'{by_a} of 200 by the source of weight 3 to 1')  # 150, with a spread of 6
    check(gw.counter('conn/reused') > 50, 'connections were used again')
    rows, _ = sources(gw)
    check_equal((rows['a']['today'], rows['b']['today'], rows['c']['today']), (by_a, 200 - by_a, 0), 'counted')
    for sender, peer in (('x@news.example', A), ('y@a.lists.example', A)):
        sink.messages.clear()
        send(3, sender)
        check_equal(peers(sink.wait(3)), {peer}, f'sources of {sender}')
    sink.messages.clear()
    send(3, to='d{}@direct.example')
    sink.wait(3)
    check_equal({(m.peer, m.helo) for m in sink.messages}, {(A, 'mx.gateway.example')}, 'a route without sources')
    check('source=a ' in gw.log(), 'the log names sources')
    check_equal(gw.stop(), 0, 'exit status')


def test_set_aside_at_each_stage(lab):
    """Whatever the class of the reply, and wherever it comes: the message goes by the next source at once."""
    for number, (stage, reply) in enumerate((('greeting', '421 4.7.28 too much from you'),
                                             ('MAIL', '550 5.7.1 Client host [x] blocked using zen.example'),
                                             ('RCPT', '450 4.7.1 blocked using bl.example'),
                                             ('DATA', '554 5.7.1 poor reputation'))):
        gw = gateway(lab, f'stage{number}', queue={'backoff_min': '1h', 'backoff_max': '2h'})
        sink.refusals = {B: (stage, reply)}
        gw.start()
        send(12)
        sink.wait(12)
        check_equal(peers(sink.messages), {C}, f'{stage}: who delivered')
        check_equal(sorted(m.recipients[0] for m in sink.messages), sorted(f'm{n}@example.org' for n in range(12)),
                    f'{stage}: each once')
        refused = sink.came.count(B)
        check(refused >= 1, f'{stage}: the first source was never tried')
        rows, asides = sources(gw)
        check_equal(list(asides), [('a', HOST_IP)], f'{stage}: set aside')
        check(reply.split(' ', 2)[2][:10] in asides['a', HOST_IP]['why'], str(asides))
        check_equal((rows['a']['set_aside'], rows['a']['today'], rows['b']['today']), (1, 0, 12), f'{stage}: counts')
        check_equal(gw.counter('courier/source_aside'), 1, f'{stage}: counted once')
        check('source a is set aside at 10.9.0.2 for 900 s' in gw.log(), f'{stage}: told')
        # Not asked again, also after a restart; an operator releases it.
        check_equal(gw.stop(), 0, 'exit status')
        gw.start()
        sink.messages.clear()
        sink.came.clear()
        send(8)
        sink.wait(8)
        check_equal(set(sink.came), {C}, f'{stage}: who came after the restart')
        sink.refusals = {}
        check_equal(gw.ctl('sources', 'release', f'a@{HOST_IP}').strip(), 'released 1', 'release')
        sink.messages.clear()
        send(20, first=100)
        check_equal(peers(sink.wait(20)), {B, C}, f'{stage}: who delivers after the release')
        check_equal(gw.stop(), 0, 'exit status')


def test_some_recipients(lab):
    """Of one message those recipients that were refused for the source go by the next one; the others are done, and
    what is refused for another reason fails."""
    gw = gateway(lab, 'some')
    sink.refusals = {address: ('RCPT', '550 5.7.1 blocked using bl.example', 'odd') for address in (B,)}
    gw.start()
    for n in range(8):
        with Client() as c:
            check_equal(c.deliver('s@client.example', [f'odd{n}@example.org', f'even{n}@example.org'], plain(n)).code, 250, 'taken')
        wait_until(lambda: sum(len(m.recipients) for m in sink.messages) == 2 * (n + 1), 30, 'both recipients')
    got = sorted(r for m in sink.messages for r in m.recipients)
    check_equal(got, sorted(f'{w}{n}@example.org' for w in ('odd', 'even') for n in range(8)), 'each once')
    check_equal(gw.counter('courier/source_again'), 1, 'tried again by the next source')
    wait_until(lambda: 'messages 0' in gw.ctl('queue', 'stat'), 30, 'an empty queue')
    check_equal(gw.counter('courier/failed'), 0, 'failures')
    check_equal(gw.stop(), 0, 'exit status')


def test_all_refused(lab):
    """With no other source left the reply counts as it stands; then mail waits, and says why."""
    gw = gateway(lab, 'refused', delivery={'set_aside': ['5xx never again'], 'set_aside_min': '2s', 'set_aside_max': '2s'},
                 queue={'backoff_min': '1s', 'backoff_max': '1s'})
    sink.refusals = {a: ('MAIL', '550 5.7.9 Never Again') for a in (B, C)}
    gw.start()
    send(1)
    wait_until(lambda: gw.counter('courier/failed') == 1, 30, 'a final failure')
    check_equal(sorted(set(sink.came)), [B, C], 'both were tried')
    sink.refusals = {}
    send(1, first=1)
    wait_until(lambda: gw.counter('courier/source_waits') >= 1, 30, 'a message that waits')
    check(re.search(r'4\.7\.0 source [ab] is set aside at 10\.9\.0\.2: 550 ', gw.log()), 'the reason is told')
    sink.wait(1)  # when its time is over
    check_equal(gw.stop(), 0, 'exit status')


def test_warm_up(lab):
    """The limits of a day hold over a crash; what is over goes by the other source, and waits where that may not."""
    today = time.strftime('%Y-%m-%d', time.gmtime())
    gw = gateway(lab, 'warm', source_a={'warm_up_start': today, 'warm_up': [7, 50]},
                 source_b={'warm_up_start': today, 'warm_up': [100], 'warm_up_destination': [5]})
    gw.start()
    send(30)
    wait_until(lambda: len(sink.messages) >= 12 and gw.counter('courier/source_waits') > 0, 30, 'all that may go')
    time.sleep(1)
    by = {B: 0, C: 0}
    for m in sink.messages:
        by[m.peer] += 1
    check_equal(by, {B: 7, C: 5}, 'by each source')
    rows, _ = sources(gw)
    check_equal([(rows[s]['today'], rows[s]['limit'], rows[s]['destination_limit'], rows[s]['warm_up_day']) for s in 'ab'],
                [(7, 7, None, 1), (5, 100, 5, 1)], 'what sources tell')
    check('has had its recipients of today (warm_up)' in gw.log(), 'the reason is told')
    time.sleep(7)  # written within seconds
    gw.kill()
    gw.start()
    wait_until(lambda: gw.counter('courier/source_waits') > 18, 30, 'tries after the crash')
    check_equal(len(sink.messages), 12, 'messages after the crash')
    gw.change(source_b={'warm_up_destination': [100]})
    gw.ctl('reload')
    gw.ctl('queue', 'flush')
    check_equal(len(sink.wait(30)), 30, 'messages with a wider limit')
    gw.change(source_a={'warm_up_start': '2999-01-01'})
    gw.ctl('reload')
    rows, _ = sources(gw)
    check_equal((rows['a']['limit'], rows['a']['warm_up_start']), (0, '2999-01-01'), 'a source of later')
    check_equal(gw.stop(), 0, 'exit status')


def test_warm_up_by_provider(lab):
    """Limits at a receiver count for all hosts that a provider names; explain tells which source would be taken, and why others not."""
    other = '10.9.0.3'
    provider = {'mx': [HOST_IP, other]}
    gw = gateway(lab, 'receiver', source_a={'warm_up_start': time.strftime('%Y-%m-%d', time.gmtime()), 'warm_up': [100],
                                           'warm_up_destination': [5]},
                 **{'source_c': {'address': A, 'ehlo': 'c.out.example', 'sender_domains': ['news.example']}, 'provider big': provider,
                    'route_one.example': {'host': f'{HOST_IP}:2525', 'sources': ['a', 'c']},
                    'route_two.example': {'host': f'{other}:2525', 'sources': ['a', 'c']}})
    gw.host_addresses.append(f'{other}/32')
    gw.start()
    second = Choosy(lab, host=other)

    def arrived():
        return len(sink.messages) + len(second.messages)

    def explained():
        told = [json.loads(gw.ctl('explain', f'to@{d}.example', '--json'))['order'][0] for d in ('one', 'two')]
        return [(t['receiver'], [(s['name'], s['is'], s.get('percent'), s['why']) for s in t['source']]) for t in told]
    aside = ('c', 'left_out', None, 'for mail of its sender_domains alone')
    check_equal(explained(), 2 * [('big', [('a', 'taken', 100, 'the only one that may be used'), aside])], 'explain')
    send(12, to='m{}@one.example')
    send(12, to='m{}@two.example')
    wait_until(lambda: gw.counter('courier/source_waits') >= 19, 30, 'what has to wait')
    wait_until(lambda: arrived() == 5, 30, 'what may go')
    check_equal(explained(), 2 * [('big', [('a', 'left_out', None, 'source a has had its recipients of today (warm_up)'), aside])],
                'explain at the limit')
    check(f'try address={HOST_IP}:2525 ' in gw.ctl('explain', 'to@one.example') and 'receiver=big' in gw.ctl('explain', 'to@one.example'), 'text')
    gw.change(**{'provider big': None})
    gw.ctl('reload')
    gw.ctl('queue', 'flush')
    wait_until(lambda: arrived() == 15, 30, 'each host is a receiver of its own')
    check_equal([r for r, _ in explained()], [HOST_IP, other], 'receivers')
    check_equal(gw.stop(), 0, 'exit status')


def test_names_of_sources(lab):
    """Once at the start, and at a reload: an address without PTR, and an EHLO name that does not lead back, are told; mail goes all the same."""
    reverse = lab.path('reverse.zone')
    with open(reverse, 'w') as f:
        f.write(zone_head('9.10.in-addr.arpa') + '11.0 PTR a.plain.lab.\n')
    zones = Zones(lab, {'plain.lab': f'good A {B}\ngood A 192.0.2.7\nother A 192.0.2.7\n'}, further={'9.10.in-addr.arpa': reverse})
    nsd = f'{NSD[0]}:{NSD[1]}'
    gw = gateway(lab, 'names', source_a={'ehlo': 'good.plain.lab'}, source_b={'ehlo': 'other.plain.lab'},
                 dns={'servers': [nsd], 'trust_anchor': zones.anchor, 'stubs': [f'9.10.in-addr.arpa={nsd}']})
    gw.start()

    def names():
        rows, _ = sources(gw)
        return {s: (rows[s]['ptr'], rows[s]['ehlo_leads_back']) for s in 'ab'}
    wait_until(lambda: names() == {'a': ('good', 'good'), 'b': ('wrong', 'wrong')}, 30, 'what the DNS tells')
    told = f'source b: {C} has no PTR record', f'source b: no A record of its EHLO name other.plain.lab leads back to {C}'
    wait_until(lambda: all(t in gw.log() for t in told), 10, 'told')
    check('source a: ' not in gw.log(), 'nothing of the one that is well')
    check(' ptr=wrong ehlo_leads_back=wrong set_aside=0' in gw.ctl('sources'), 'as text')
    send(4)
    sink.wait(4)
    gw.change(source_b={'ehlo': 'nobody.broken.lab'})
    gw.ctl('reload')
    wait_until(lambda: names() == {'a': ('good', 'good'), 'b': ('wrong', 'unknown')}, 40, 'after a reload')
    wait_until(lambda: 'source b: A of nobody.broken.lab could not be looked up (' in gw.log(), 10, 'what is not known')
    check_equal([gw.log().count(t) for t in told], [2, 1], 'told once each time')
    check_equal(gw.stop(), 0, 'exit status')


def test_both_families(lab):
    """The source's address of the next hop's family; without one of it another source takes the mail."""
    if not os.path.exists('/proc/sys/net/ipv6'):
        raise Skip('this kernel has no IPv6')
    for path, value in (('conf/all/disable_ipv6', '0'), ('conf/default/disable_ipv6', '0'), ('ip_nonlocal_bind', '1')):
        with open(f'/proc/sys/net/ipv6/{path}', 'w') as f:
            f.write(value)
    six = Choosy(lab, host=SIX_HOST)
    gw = gateway(lab, 'families', source_b={'address6': SIX_B},
                 **{'port_net0': {'address': [f'{A}/24', f'{B}/24', f'{C}/24', 'fd00:9::1/64', f'{SIX_B}/64']},
                    'route_six.example': {'host': f'[{SIX_HOST}]:2525', 'sources': ['a', 'b']},
                    'route_only.example': {'host': f'[{SIX_HOST}]:2525', 'sources': ['a']}})
    gw.host_addresses.append(f'{SIX_HOST}/64')
    gw.start()
    send(10, to='m{}@six.example')
    six.wait(10)
    check_equal({(m.peer, m.helo) for m in six.messages}, {(SIX_B, 'b.out.example')}, 'who came over IPv6')
    send(10)
    sink.wait(10)
    check_equal(peers(sink.messages) <= {B, C}, True, 'who came over IPv4')
    send(1, to='m{}@only.example')
    wait_until(lambda: '4.4.4 source a has no IPv6 address' in gw.log(), 30, 'the reason')
    check_equal(gw.stop(), 0, 'exit status')


def test_real_receiver(lab):
    """A Postfix that refuses one client by its address: the mail comes by the other, whose name stands in Received."""
    postfix = Postfix(lab, listen={f'{HOST_IP}:2626': []}, main={
        'mynetworks': '10.9.0.0/24', 'relayhost': f'[{HOST_IP}]:2525', 'smtpd_delay_reject': 'no'})
    postfix.main['smtpd_client_restrictions'] = 'check_client_access ' + postfix.table('clients', {
        B: f'554 5.7.1 Client host [{B}] blocked using our.list.example'})
    postfix.write()
    gw = gateway(lab, 'postfix', route_default={'host': f'{HOST_IP}:2626'}, queue={'backoff_min': '1h', 'backoff_max': '2h'})
    gw.start()
    postfix.start()
    send(10)
    for m in sink.wait(10):
        check(re.search(rb'\r\n?Received: from b\.out\.example \(unknown \[10\.9\.0\.12\]\)', b'\r\n' + m.content),
              f'Received: {m.content[:300]!r}')
    check_equal(list(sources(gw)[1]), [('a', HOST_IP)], 'set aside')
    check_equal(gw.stop(), 0, 'exit status')


def test_check(lab):
    """What can not be is told with file, line, key and why."""
    gw = gateway(lab, 'check', source_a={'address': '10.9.0.99', 'ehlo': None}, route_default={'sources': ['a', 'bb']})
    said = run(SLUICED, '--check', gw.conf_path, ok=(1, 2))
    for why in ('source a: address: 10.9.0.99 is on no port', 'source a: ehlo: is required',
                'route default: sources: there is no source bb; did you mean b?'):
        check(re.search(rf'sluice\.conf:\d+: {re.escape(why)}', said), said)


if __name__ == '__main__':
    main(setup)
