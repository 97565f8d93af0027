#!/usr/bin/python3
# limit: 170
"""Limits by provider, measured where the mail comes to: connections at a time, messages a connection, pace; what its replies
do to them, Postfix's own limits (anvil) among them; suspensions, also over a restart. MX records of a real nsd."""
import asyncio
import json
import os
import time

from gateway import Counted, Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from postfix import Postfix
from sinks import Scripted, Session
from zones import NSD, Zones

BIG1, BIG2, POST, PACE, OWN, FREE = (f'10.9.0.{n}' for n in range(11, 17))
BIG = 6  # domains of one provider, with two hosts
LAB = f'''mx1.big A {BIG1}
mx2.big A {BIG2}
mx.post A {POST}
mx.pace A {PACE}
mx.own A {OWN}
mx.free A {FREE}
''' + ''.join(f'big{i} MX 10 mx1.big\nbig{i} MX {10 + 10 * (i % 2)} mx2.big\n' for i in range(BIG)) + \
    ''.join(f'{name}{i} MX 10 mx.{name}\n' for name in ('post', 'pace', 'own', 'free') for i in range(3))
PROVIDERS = {
    'provider big': {'mx': ['*.big.lab'], 'connections': 3, 'messages_per_connection': 4, 'recipients': 5},
    'provider post': {'mx': ['mx.post.*']},
    'provider pace': {'domains': ['pace0.lab', 'pace1.lab'], 'rate': '5/s', 'on_reply': ['450 4.7.77 /named/ suspend=1h']},
}
gw = zones = postfix = None
sinks = {}


class Host(Scripted):
    """One of several hosts that count together what they have open; a message takes a while. With says it greets with that."""

    def __init__(self, lab, together, **kw):
        self.together, self.says, self.per_connection, self.times = together, None, [], []
        together.setdefault('open', 0)
        together.setdefault('most', 0)
        super().__init__(lab, port=25, **kw)

    async def session(self, reader, writer):
        together = self.together
        together['open'] += 1
        together['most'] = max(together['most'], together['open'])
        self.per_connection.append(0)
        try:
            if self.says:
                self.sessions += 1
                writer.write(self.says.encode() + b'\r\n')
                await writer.drain()
            else:
                await super().session(reader, writer)
        finally:
            together['open'] -= 1
            writer.close()

    def serving(self, reader, writer):
        return Slow(self, reader, writer)


class Slow(Session):
    def __init__(self, sink, reader, writer):
        super().__init__(sink, reader, writer)
        self.place = len(sink.per_connection) - 1

    async def data(self):
        await asyncio.sleep(0.05)
        return await super().data()

    def keep(self, message):
        self.sink.per_connection[self.place] += 1
        self.sink.times.append(time.monotonic())
        super().keep(message)


def setup(lab):
    global gw, zones, postfix
    with open('/proc/sys/net/ipv4/ip_nonlocal_bind', 'w') as f:
        f.write('1')
    zones = Zones(lab, {'lab': LAB})
    big = {}
    for name, host, together in (('big1', BIG1, big), ('big2', BIG2, big), ('pace', PACE, {}), ('own', OWN, {}), ('free', FREE, {})):
        sinks[name] = Host(lab, together, host=host)
    gw = Gateway(lab, queue={'backoff_min': '1s', 'backoff_max': '2s'}, delivery={'tls': 'none'},
                 dns={'servers': [f'{NSD[0]}:{NSD[1]}'], 'trust_anchor': zones.anchor},
                 route_default={'host': None, 'via': 'mx', 'private_networks': ['10.9.0.0/24']})
    gw.blocks.update(PROVIDERS)
    gw.change()
    gw.host_addresses = [f'{a}/24' for a in (HOST_IP, BIG1, BIG2, POST, PACE, OWN, FREE)]
    gw.start()
    postfix = Postfix(lab, listen={f'{POST}:25': []}, main={
        'relay_domains': 'post0.lab post1.lab post2.lab', 'relay_transport': 'discard', 'relay_recipient_maps': '',
        'smtpd_client_connection_count_limit': '2', 'mynetworks': '127.0.0.1/32', 'smtpd_client_event_limit_exceptions': ''}).start()


def send(*recipients):
    """A message for each."""
    with Client() as c:
        for n, recipient in enumerate(recipients):
            check_equal(c.deliver('s@client.example', [recipient], plain(n)).code, 250, recipient)


def came(*names):
    return [m.recipients for name in names for m in sinks[name].messages]


def rows(*command):
    return [json.loads(line) for line in gw.ctl(*command, '--json').splitlines()]


def row(kind, name, *command):
    found = [r for r in rows(*command) if r.get(kind) == name]
    return found[0] if found else {}


def test_connections_of_a_provider(lab):
    """Six domains, two hosts: three connections in all, kept ones among them, four messages on each."""
    send(*(f'r{n}@big{n % BIG}.lab' for n in range(60)))
    wait_until(lambda: len(came('big1', 'big2')) == 60, 60, '60 messages')
    check_equal(sinks['big1'].together['most'], 3, 'open at a time')
    most = max(sinks['big1'].per_connection + sinks['big2'].per_connection)
    check_equal(most, 4, 'messages of a connection')
    check(sinks['big1'].messages and sinks['big2'].messages, 'both hosts have some')
    found = row('provider', 'big', 'providers')
    check(found['destinations'] == BIG and found['connections_max'] == 3, f'{found}')


def test_probes_count(lab):
    """An operator's probes are among the connections that a provider may have."""
    sinks['big1'].messages.clear()
    sinks['big2'].messages.clear()
    send(*(f'p{n}@big{n % BIG}.lab' for n in range(60)))
    told = [gw.ctl('probe', f'big{n}.lab', '--json') for n in range(BIG)]
    wait_until(lambda: len(came('big1', 'big2')) == 60, 60, '60 messages')
    probed = [json.loads(line) for text in told for line in text.splitlines() if line.startswith('{"probe"')]
    check_equal([p['is'] for p in probed], 2 * BIG * ['accepted'], 'what probes tell, of two hosts each')
    check_equal(sinks['big1'].together['most'], 3, 'open at a time, probes among them')


def test_recipients_of_a_message(lab):
    sinks['big1'].messages.clear()
    sinks['big2'].messages.clear()
    with Client() as c:
        check_equal(c.deliver('s@client.example', [f'm{n}@big0.lab' for n in range(12)], plain(1)).code, 250, 'taken')
    wait_until(lambda: sum(map(len, came('big1', 'big2'))) == 12, 30, '12 recipients')
    check_equal(sorted(map(len, came('big1', 'big2'))), [2, 5, 5], 'recipients of each message')


def test_pace(lab):
    """What began with the first has a gap of 200 ms each."""
    send(*(f'r{n}@pace{n % 2}.lab' for n in range(16)))
    wait_until(lambda: len(came('pace')) == 16, 30, '16 messages')
    times = sinks['pace'].times
    check(times[-1] - times[0] > 2.2, f'16 messages in {times[-1] - times[0]:.2f} s, at 5 a second')


def test_limits_of_postfix(lab):
    """anvil takes two connections of a client and answers 421 to others: a rule that is built in."""
    send(*(f'r{n}@post{n % 3}.lab' for n in range(40)))
    wait_until(lambda: postfix.log().count('status=sent') >= 40, 90, '40 messages')
    check_equal(postfix.log().count('status=sent'), 40, 'messages')
    check('Connection concurrency limit exceeded' in postfix.log(), 'there were too many at first')
    found = row('provider', 'post', 'providers')
    check(found['replies'] > 0 and 'too many connections' in found['cause'] and 'connections=half' in found['rule'], f'{found}')
    check('provider=post connections=' in gw.log() and 'cause=421 4.7.0' in gw.log(), 'the log tells the effect and the cause')
    check('too many connections' in gw.ctl('providers'), 'the table tells it, too')


def test_a_rule_of_the_configuration(lab):
    sinks['pace'].says = '450 4.7.77 a rule named it'
    with Counted(gw, 'courier/shaped'):
        send('ruled@pace0.lab')
        found = wait_until(lambda: (r := row('provider', 'pace', 'providers')).get('wait_s', 0) > 1000 and r, 30, 'a suspension by rule')
    check_equal(found['rule'], '450 4.7.77 /named/ suspend=1h', 'the rule')
    destination = row('destination', 'pace0.lab', 'queue', 'destinations')
    check(destination['provider'] == 'pace' and destination['wait_s'] > 1000, f'{destination}')
    sinks['pace'].says = None
    send('other@pace1.lab')
    check('resumed pace' in gw.ctl('resume', 'pace'), 'resumed')
    wait_until(lambda: ['other@pace1.lab'] in came('pace'), 30, 'what waited')
    gw.ctl('queue', 'flush')
    wait_until(lambda: ['ruled@pace0.lab'] in came('pace'), 30, 'and what was refused')


def test_without_a_provider(lab):
    """Replies like these slow down a destination of its own, others go on."""
    sinks['own'].says = '421 4.7.28 too much from your network'
    send('own@own0.lab', 'free@free0.lab')
    found = wait_until(lambda: row('destination', 'own0.lab', 'queue', 'destinations').get('wait_s') and
                       row('destination', 'own0.lab', 'queue', 'destinations'), 30, 'it waits')
    check('4.7.28' in found['cause'] and found['wait_s'] > 60, f'{found}')
    wait_until(lambda: ['free@free0.lab'] in came('free'), 30, 'mail to others')
    check_equal(sinks['own'].sessions, 1, 'connections')
    sinks['own'].says = None
    gw.ctl('resume', 'own0.lab')
    gw.ctl('queue', 'flush')
    wait_until(lambda: ['own@own0.lab'] in came('own'), 30, 'the message')


def test_limits_outlive_a_restart(lab):
    """What replies have made of a provider's limits, a suspension by a rule and a destination's own wait hold after a crash, with the rest of
    their time and their causes; a damaged file is passed over."""
    gw.stop()  # and with it the connections that were kept
    gw.start()
    sinks['pace'].says = '450 4.7.77 a rule named it'
    sinks['own'].says = '421 4.7.28 too much from your network'
    send('kept@pace0.lab', 'kept@own0.lab')

    def state():
        return row('provider', 'pace', 'providers'), row('destination', 'own0.lab', 'queue', 'destinations'), row('destination', 'own0.lab', 'providers')
    wait_until(lambda: state()[0].get('wait_s', 0) > 1000 and state()[1].get('wait_s', 0) > 0, 30, 'both are slowed down')
    provider, _, own = state()
    path = f'{gw.dir}/state/limits/now'
    wait_until(lambda: os.path.exists(path) and all(w in open(path).read() for w in ('group pace 1 ', 'group own0.lab 0 ')), 30, 'written')
    gw.kill()
    sinks['pace'].says = sinks['own'].says = None
    sessions = sinks['pace'].sessions, sinks['own'].sessions
    gw.start()
    send('later@pace0.lab', 'later@own0.lab', 'later@free0.lab')
    wait_until(lambda: ['later@free0.lab'] in came('free'), 30, 'mail to others')
    again, waits, own_again = state()
    check(1000 < again['wait_s'] <= provider['wait_s'] and again['cause'] == provider['cause'] and again['rule'] == provider['rule'], f'{again}')
    check(again['cause_s'] == provider['cause_s'] and again['replies'] == provider['replies'], f'{again}')
    check(0 < own_again['wait_s'] <= own['wait_s'] and '4.7.28' in own_again['cause'], f'{own_again}')
    check(waits['wait_s'] > 0 and waits.get('connections_now') == own.get('connections_now'), f'{waits}')
    check_equal((sinks['pace'].sessions, sinks['own'].sessions), sessions, 'connections')
    gw.ctl('resume', 'pace')
    gw.ctl('resume', 'own0.lab')
    gw.ctl('queue', 'flush')
    wait_until(lambda: {('kept@pace0.lab',), ('later@pace0.lab',)} <= set(map(tuple, came('pace'))) and
               {('kept@own0.lab',), ('later@own0.lab',)} <= set(map(tuple, came('own'))), 60, 'what waited')
    gw.stop()
    with open(path) as f:
        text = f.read()
    check(text.startswith('sluice limits 1\n') and 'group pace ' not in text and 'group own0.lab ' not in text, f'nothing is left of it: {text}')
    with open(path, 'a') as f:
        f.write('group what 7\n')
    gw.start()
    wait_until(lambda: 'the file of limits that fell is damaged: 1 lines were left out' in gw.log(), 30, 'told')


def test_suspend_and_resume(lab):
    check('suspended own1.lab' in gw.ctl('suspend', 'own1.lab', '--reason', 'moves house'), 'suspended')
    check('suspended big' in gw.ctl('suspend', 'big', '--for', '1h'), 'a provider')
    sinks['big1'].messages.clear()
    sinks['big2'].messages.clear()
    send('s@own1.lab', 's@big3.lab', 's@free1.lab')
    wait_until(lambda: ['s@free1.lab'] in came('free'), 30, 'mail to others')
    held = {e['recipients'][0]['to']: e['recipients'][0] for e in rows('queue', 'list')}
    check_equal(held['s@own1.lab'].get('suspended'), 'moves house', 'the list')
    check(3500 < held['s@big3.lab'].get('suspended_s', 0) <= 3600, f'{held}')
    check('suspended="moves house"' in gw.ctl('queue', 'list') and 'suspended="moves house"' in gw.ctl('queue', 'destinations'), 'as text')

    gw.kill()
    gw.start()
    send('t@free1.lab', 't@own1.lab')
    wait_until(lambda: ['t@free1.lab'] in came('free'), 30, 'mail to others after the restart')
    time.sleep(1)
    check(not came('big1', 'big2') and ['s@own1.lab'] not in came('own') and ['t@own1.lab'] not in came('own'), 'still suspended')
    found = row('provider', 'big', 'providers')
    check(3400 < found.get('suspended_s', 0) <= 3600, f'{found}')
    check('resumed own1.lab' in gw.ctl('resume', 'own1.lab'), 'resumed')
    wait_until(lambda: {('s@own1.lab',), ('t@own1.lab',)} <= set(map(tuple, came('own'))), 30, 'what waited for it')
    check(not came('big1', 'big2'), 'the other one is suspended still')
    gw.ctl('resume', 'big')
    wait_until(lambda: ['s@big3.lab'] in came('big1', 'big2'), 30, 'what waited for the provider')

    gw.stop()  # nothing of it is left
    gw.start()
    check('suspended' not in gw.ctl('providers') and '\nspool' in gw.ctl('status'), 'over')
    check('messages=0 ' in gw.ctl('status'), 'and gone from the spool')


def test_suspended_for_a_time(lab):
    gw.ctl('suspend', 'own2.lab', '--for', '3s')
    send('timed@own2.lab')
    time.sleep(0.5)
    check(['timed@own2.lab'] not in came('own'), 'not yet')
    wait_until(lambda: ['timed@own2.lab'] in came('own'), 30, 'then it is')
    check('its time is over, resumed: own2.lab' in gw.log(), 'the log tells it')


def test_wrong_words(lab):
    for words in (('suspend',), ('suspend', 'a', 'b'), ('suspend', 'a', '--for', 'x'), ('resume', 'nobody.lab'), ('providers', 'x'), ('suspend', 'a', '--for')):
        gw.ctl(*words, ok=(1, 2))  # refused


def test_nothing_wrong(lab):
    for name, sink in sinks.items():
        check_equal(sink.faults, [], name)


if __name__ == '__main__':
    main(setup)
