#!/usr/bin/python3
# limit: 150
"""Where mail goes: MX records of a real nsd behind the resolver process, next hops that are up, down, away, ours, private."""
import json
import os
import re
import signal
import time

from gateway import Gateway
from harness import HOST_IP, Skip, check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted
from zones import NSD, SILENT, Silent, Zones

H1, H2, H3, AWAY, OURS = '10.9.0.11', '10.9.0.12', '10.9.0.13', '10.9.0.19', '10.9.0.1'
OURS6, H6 = 'fd00:9::1', 'fd00:9::2'
LAB = f'''h1 A {H1}
h2 A {H2}
h3 A {H3}
h6 AAAA {H6}
away A {AWAY}
gw A {OURS}
inside A 10.8.0.1
inside A 127.0.0.1
pref MX 20 h2
pref MX 10 h1
ties MX 10 h1
ties MX 10 h2
ties MX 10 h3
impl A {H1}
null MX 0 .
notnull MX 0 .
notnull MX 5 h2
silent2 MX 10 away
silent2 MX 20 h2
six MX 10 h6
both MX 10 hb
hb A {H1}
hb AAAA {H6}
self MX 10 gw
self2 MX 5 h1
self2 MX 10 gw
self2 MX 20 h2
private MX 10 inside
private2 MX 10 inside
private2 MX 20 h3
al CNAME pref
hostalias MX 10 h2alias
h2alias CNAME h2
noaddr MX 10 text
nohost MX 10 nosuch
address MX 10 10.9.0.11
badhost MX 10 a.broken.lab.
badhost MX 20 h3
badonly MX 10 a.broken.lab.
xn--bcher-kva MX 10 h3
''' + ''.join(f'sixty MX {i} no{i}\n' for i in range(55)) + ''.join(f'sixty MX {i} h1\n' for i in range(55, 60)) + \
    ''.join(f'wide A 10.9.0.{20 + i}\n' for i in range(60))
zones = silent = gw = None
sinks = {}


def setup(lab):
    global gw, zones, silent
    if not os.path.exists('/proc/sys/net/ipv6'):
        raise Skip('this kernel has no IPv6')
    set_ipv6('lo')
    with open('/proc/sys/net/ipv6/ip_nonlocal_bind', 'w') as f:
        f.write('1')
    zones, silent = Zones(lab, {'lab': LAB}), Silent(lab)
    for name, host in (('h1', H1), ('h2', H2), ('h3', H3), ('h6', H6)):
        sinks[name] = Scripted(lab, host=host, port=25)
    sinks['port'] = Scripted(lab, host=H2, port=2526)
    gw = Gateway(lab, port_net0={'address': [f'{OURS}/24', f'{OURS6}/64']},
                 smtp={'client_idle': '0', 'client_connect_timeout': '2s'},
                 dns={'servers': [f'{NSD[0]}:{NSD[1]}'], 'stubs': [f'silent.lab={SILENT[0]}:{SILENT[1]}'],
                      'trust_anchor': zones.anchor, 'timeout': '4s'},
                 route_default={'host': None, 'via': 'mx', 'private_networks': ['10.9.0.0/24', 'fd00:9::/64']})
    gw.host_addresses = [f'{HOST_IP}/24', f'{H1}/24', f'{H2}/24', f'{H3}/24']
    gw.start()
    set_ipv6('gw0')
    run('ip', '-6', 'addr', 'replace', f'{H6}/64', 'dev', 'gw0', 'nodad')


def set_ipv6(interface):
    with open(f'/proc/sys/net/ipv6/conf/{interface}/disable_ipv6', 'w') as f:
        f.write('0')


def send(*recipients, utf8=False):
    with Client() as c:
        extra = ' SMTPUTF8' if utf8 else ''
        check_equal(c.command(f'MAIL FROM:<s@impl.lab>{extra}').code, 250, 'MAIL')
        for recipient in recipients:
            check_equal(c.command(f'RCPT TO:<{recipient}>').code, 250, f'RCPT {recipient}')
        check_equal(c.command('DATA').code, 354, 'DATA')
        c.send(plain(1) + b'.\r\n')
        check_equal(c.reply().code, 250, 'end of data')


def arrives(recipient, *names, seconds=30):
    """It comes to one of the sinks, once; its name."""
    def there():
        return [name for name, sink in sinks.items() for _ in sink.to(recipient)]
    got = wait_until(there, seconds, f'{recipient} at {names}')
    check(len(got) == 1 and got[0] in names, f'{recipient} came to {got}, not {names}')
    return got[0]


def listed(recipient):
    found = re.search(rf'to=<{re.escape(recipient)}> (.*)', gw.ctl('queue', 'list'))
    return found and found.group(1)


def deferred(recipient, code, words):
    line = wait_until(lambda: 'attempts' in (listed(recipient) or '') and listed(recipient), 30, f'{recipient} deferred')
    check(f' {code}' in line or f'={code}' in line, f'{recipient}: {line}, not {code}')
    check(words in re.sub(r'\\x20', ' ', line), f'{recipient}: {line}, not "{words}"')
    gw.ctl('queue', 'delete', '--domain', recipient.split('@')[1])


def fails(recipient, code, words):
    """Told to the sender, whose domain has no MX but an address."""
    def report():
        return [m for m in sinks['h1'].to('s@impl.lab') if f'rfc822; {recipient}'.encode() in m.content]
    text = wait_until(report, 30, f'a report of {recipient}')[0].content.decode('latin-1')
    check(f'Status: {code}' in text, f'{recipient}: {code} in {text}')
    check(f'to=<{recipient}> {code} ' in gw.log(), 'the log tells the code')
    check(words in text.replace('\r\n ', ' ').replace('\r\n', ' '), f'{recipient}: "{words}" in {text}')


def explain(address):
    return json.loads(gw.ctl('explain', address, '--json'))


def test_preference(lab):
    send('a@pref.lab')
    arrives('a@pref.lab', 'h1')
    wait_until(lambda: 'host=h1.lab' in gw.log(), 10, 'the log tells the host')


def test_ties(lab):
    """Hosts of one preference have their turns by chance."""
    seen = set()
    for i in range(30):
        send(f'{i}@ties.lab')
        seen.add(arrives(f'{i}@ties.lab', 'h1', 'h2', 'h3'))
        if len(seen) == 3:
            break
    check_equal(seen, {'h1', 'h2', 'h3'}, 'hosts that had mail')


def test_no_mx_is_the_domain_itself(lab):
    send('a@impl.lab')
    arrives('a@impl.lab', 'h1')


def test_null_mx(lab):
    send('a@null.lab')
    fails('a@null.lab', '5.1.10', 'takes no mail')
    send('a@notnull.lab')  # beside others it is no host
    arrives('a@notnull.lab', 'h2')


def test_no_such_domain(lab):
    send('a@nx.lab')
    fails('a@nx.lab', '5.1.2', 'there is no domain nx.lab')


def test_no_address(lab):
    send('a@noaddr.lab')
    fails('a@noaddr.lab', '5.4.4', 'no MX host of noaddr.lab has an address')
    send('a@nohost.lab')
    fails('a@nohost.lab', '5.4.4', 'no MX host of nohost.lab has an address')
    send('a@address.lab')  # RFC 5321 has names there
    fails('a@address.lab', '5.4.4', 'no MX host of address.lab has an address')


def test_alias(lab):
    send('a@al.lab')
    arrives('a@al.lab', 'h1')
    send('a@hostalias.lab')
    arrives('a@hostalias.lab', 'h2')


def test_address_literal(lab):
    send(f'a@[{H2}]', f'a@[IPv6:{H6}]')
    arrives(f'a@[{H2}]', 'h2')
    arrives(f'a@[IPv6:{H6}]', 'h6')


def test_idn(lab):
    sinks['h3'].offers = ('PIPELINING', '8BITMIME', 'SMTPUTF8')
    send('a@bücher.lab'.encode().decode('latin-1'), utf8=True)
    wait_until(lambda: sinks['h3'].messages, 30, 'mail for the A-label')
    wait_until(lambda: 'the queue is empty' in gw.ctl('queue', 'list'), 10, 'off the queue')


def test_ipv6(lab):
    send('a@six.lab')
    arrives('a@six.lab', 'h6')
    seen = set()
    for i in range(40):
        send(f'{i}@both.lab')
        seen.add(arrives(f'{i}@both.lab', 'h1', 'h6'))
        if len(seen) == 2:
            break
    check_equal(seen, {'h1', 'h6'}, 'both families are tried')


def test_next_host(lab):
    """One that refuses connections, that is not there, that takes no mail for now: the next one has it at once."""
    sinks['h1'].down()
    before = gw.counter('courier/next_host')
    send('b@pref.lab')
    arrives('b@pref.lab', 'h2')
    sinks['h1'].up()
    for mode in ('greet_421', 'connect_close', 'garbage'):
        sinks['h1'].mode = mode
        send(f'{mode}@pref.lab')
        arrives(f'{mode}@pref.lab', 'h2')
    sinks['h1'].mode = 'ok'
    send('a@silent2.lab')
    arrives('a@silent2.lab', 'h2')
    check(gw.counter('courier/next_host') >= before + 5, 'counter')
    wait_until(lambda: 'the queue is empty' in gw.ctl('queue', 'list'), 10, 'off the queue')


def test_not_the_next_host(lab):
    """What a host says of the message is said: another one is not asked at once."""
    sinks['h1'].mode = 'data_451'
    send('temp@pref.lab')
    wait_until(lambda: 'code=451' in (listed('temp@pref.lab') or ''), 30, 'deferred')
    check_equal(sinks['h2'].to('temp@pref.lab'), [], 'the other host')
    sinks['h1'].mode = 'ok'
    arrives('temp@pref.lab', 'h1')


def test_loops(lab):
    """O1: an MX that is us, and all that are no better than it."""
    send('a@self.lab')
    fails('a@self.lab', '5.4.6', 'loops back to this gateway')
    send('a@self2.lab')
    arrives('a@self2.lab', 'h1')
    sinks['h1'].down()
    send('b@self2.lab')
    wait_until(lambda: 'attempts' in (listed('b@self2.lab') or ''), 30, 'deferred')
    check_equal(sinks['h2'].to('b@self2.lab'), [], 'one that is no better than us')
    sinks['h1'].up()
    arrives('b@self2.lab', 'h1')


def test_private_addresses(lab):
    """O2: the public route leads to no private address; with none left the mail waits, with the reason."""
    send('a@private.lab')
    deferred('a@private.lab', '4.4.4', 'inside.lab has private addresses alone')
    send('a@private2.lab')
    arrives('a@private2.lab', 'h3')
    told = {a['ip']: a.get('left_out') for h in explain('x@private.lab')['host'] for a in h['address']}
    check_equal(told, {'10.8.0.1': 'private', '127.0.0.1': 'private'}, 'explained')


def test_what_is_not_known(lab):
    for domain, words in (('mx.broken.lab', 'servfail'), ('a.bogus.lab', 'bogus')):
        send(f'a@{domain}')
        deferred(f'a@{domain}', '4.4.3', f'could not be looked up: {words}')
    send('a@badhost.lab')
    arrives('a@badhost.lab', 'h3')
    send('a@badonly.lab')
    deferred('a@badonly.lab', '4.4.3', 'could not be looked up')


def test_bounds(lab):
    """O3: 60 MX, of which 50 are looked at; 60 addresses, of which 8 are kept and 5 tried."""
    send('a@sixty.lab')
    fails('a@sixty.lab', '5.4.4', 'no MX host of sixty.lab')
    check_equal(len(explain('x@sixty.lab')['host']), 50, 'hosts that are looked at')
    wide = explain('x@wide.lab')
    check(len(wide['host'][0]['address']) == 8 and len(wide['order']) == 5, f'addresses: {wide}')


def test_routes(lab):
    """By name, by address, several, for all below a domain."""
    gw.change(**{'route_named.example': {'host': '[h2.lab]:2526'}, 'route_mx.example': {'host': 'pref.lab'},
                 'route_several.example': {'host': [f'{AWAY}:25', '[nosuch.lab]', '[h3.lab]']},
                 'route_.deep.example': {'host': f'{H2}'}, 'route_lost.example': {'host': '[nosuch.lab]'}})
    gw.ctl('reload')
    for recipient, name in (('a@named.example', 'port'), ('a@mx.example', 'h1'), ('a@several.example', 'h3'),
                            ('a@a.b.deep.example', 'h2')):
        send(recipient)
        arrives(recipient, name)
    send('a@lost.example')  # the operator's mistake fails no mail
    deferred('a@lost.example', '4.4.4', 'no next hop of the route has an address')
    check_equal(explain('a@a.b.deep.example')['route'],
                {'name': '.deep.example', 'via': 'host', 'destination': f'{H2}:25', 'why': 'the route of all below that domain'},
                'explained')


def test_explained(lab):
    got = explain('a@al.lab')
    check_equal((got['route']['via'], got['mx']['dnssec'], got['mx']['alias_of'], got['outcome']['is']),
                ('mx', 'secure', 'pref.lab', 'ready'), 'explained')
    check_equal([(h['name'], h['preference'], h['a'], h['aaaa'], [a['ip'] for a in h['address']]) for h in got['host']],
                [('h1.lab', 10, 'secure', 'none, secure', [H1]), ('h2.lab', 20, 'secure', 'none, secure', [H2])], 'hosts')
    check_equal([t['address'] for t in got['order']], [f'{H1}:25', f'{H2}:25'], 'order')
    for address, outcome, code in (('a@null.lab', 'fails', '5.1.10'), ('a@nx.lab', 'fails', '5.1.2'), ('a@self.lab', 'fails', '5.4.6'),
                                   ('a@mx.broken.lab', 'deferred', '4.4.3'), ('a@private.lab', 'deferred', '4.4.4')):
        got = explain(address)['outcome']
        check_equal((got['is'], got['enhanced']), (outcome, code), address)
    text = gw.ctl('explain', 'a@pref.lab')
    check(re.search(r'^  host name=h1.lab preference=10 port=25 a=secure', text, re.M) and 'outcome is=ready' in text, text)
    check('no address with a domain' in gw.ctl('explain', 'nobody', ok=(0, 1)), 'no address')


def test_kept_for_its_time(lab):
    """A burst asks once for the destination, not for each message."""
    before = gw.counter('courier/plans')
    for i in range(20):
        send(f'burst{i}@pref.lab')
    for i in range(20):
        arrives(f'burst{i}@pref.lab', 'h1')
    check(gw.counter('courier/plans') - before < 20, 'asked each time')


def test_resolver_killed(lab):
    """No question is lost, and mail for others goes on meanwhile."""
    send('a@x.silent.lab')
    wait_until(lambda: any(name.endswith('silent.lab') for name in silent.heard), 20, 'the question')
    send('c@pref.lab')
    arrives('c@pref.lab', 'h1')
    first = int(re.findall(r'resolver process started, pid (\d+)', gw.log())[-1])
    silent.answers = True
    os.kill(first, signal.SIGKILL)
    fails('a@x.silent.lab', '5.1.2', 'there is no domain x.silent.lab')
    check_equal(gw.counter('dns/processes_lost'), 1, 'counter')


def test_other_servers(lab):
    """Forwarders and trust anchor change by a reload: what was signed is not any more."""
    check_equal(explain('a@pref.lab')['mx']['dnssec'], 'secure', 'before')
    gw.change(dns={'trust_anchor': None, 'servers': [f'{SILENT[0]}:{SILENT[1]}'], 'stubs': [f'lab={NSD[0]}:{NSD[1]}']})
    gw.ctl('reload')
    wait_until(lambda: explain('a@pref.lab')['mx']['dnssec'] == 'insecure', 20, 'the other anchor')
    send('d@pref.lab')
    arrives('d@pref.lab', 'h1')


def test_stop(lab):
    """Mail that waits for an answer holds up no stop, and is there again."""
    silent.answers = False
    silent.heard.clear()
    gw.change(dns={'timeout': '60s'})
    gw.ctl('reload')
    send('late@silent.example')
    wait_until(lambda: any(name.endswith('example') for name in silent.heard), 20, 'the question')
    started = time.monotonic()
    check_equal(gw.stop(), 0, 'status')
    check(time.monotonic() - started < 30, 'the stop waited for the answer')
    gw.change(dns={'servers': [f'{NSD[0]}:{NSD[1]}'], 'stubs': []})
    gw.start()
    # The stop may have ended an attempt: of that the queue keeps the code, and not the words, until there is another.
    wait_until(lambda: 'looked' in (listed('late@silent.example') or ''), 30, 'the reason')
    deferred('late@silent.example', '4.4.3', 'could not be looked up')
    check(all(not sink.faults for sink in sinks.values()), 'faults of the SMTP client')


if __name__ == '__main__':
    main(setup)
