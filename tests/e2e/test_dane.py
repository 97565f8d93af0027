#!/usr/bin/python3
# limit: 90
"""From signed zones to a proved next hop: MX and TLSA records of a real nsd, servers with certificates that fit, do not fit,
are not there; what explain and probe say beforehand, and what the delivery then comes to."""
import json
import re
import time

from gateway import Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from tlshop import Hop, certificates, fingerprint
from zones import NSD, Zones

HOSTS = {'ee': ('10.9.0.31', 'starttls'), 'bad': ('10.9.0.32', 'starttls'), 'strip': ('10.9.0.33', 'absent'),
         'unus': ('10.9.0.34', 'starttls'), 'none': ('10.9.0.35', 'starttls'), 'refuse': ('10.9.0.36', 'refuse')}
LAB = ''.join(f'{name} A {address}\n' for name, (address, _) in HOSTS.items()) + '''dee MX 10 ee
dbad MX 10 bad
dstrip MX 10 strip
dunus MX 10 unus
dnone MX 10 none
drefuse MX 10 refuse
dtwo MX 10 bad
dtwo MX 20 ee
donly MX 10 none
dflow MX 10 bad
'''
zones = gw = None
hops = {}


def setup(lab):
    global zones, gw
    pairs = certificates(lab)
    zones = Zones(lab, {'lab': LAB, 'plain.lab': 'd MX 10 ee.lab.\nmx A 10.9.0.31\ne MX 10 mx\n'})
    good, wrong = fingerprint(pairs.good, 'key'), '5a' * 32
    zones.records = {'_25._tcp.ee.lab': ['3 1 1 ' + wrong, '3 1 1 ' + good], '_25._tcp.bad.lab': ['3 1 1 ' + wrong],
                     '_25._tcp.strip.lab': ['3 1 1 ' + good], '_25._tcp.unus.lab': ['1 1 1 ' + good, '3 9 1 ' + good],
                     '_587._tcp.ee.lab': ['3 1 1 ' + good], '_465._tcp.ee.lab': ['3 1 1 ' + good],
                     '_465._tcp.bad.lab': ['3 1 1 ' + wrong]}
    zones.publish('_25._tcp.refuse.lab', ['3 1 1 ' + good])
    for name, (address, mode) in HOSTS.items():
        hops[name] = Hop(lab, pairs.good, mode, host=address, port=25)
    hops['implicit'] = Hop(lab, pairs.good, 'implicit', host=HOSTS['ee'][0], port=465)
    hops['relay'] = Hop(lab, pairs.good, 'starttls', host=HOSTS['ee'][0], port=587)
    gw = Gateway(lab, dns={'servers': [f'{NSD[0]}:{NSD[1]}'], 'trust_anchor': zones.anchor, 'timeout': '5s'},
                 smtp={'client_idle': '0'}, route_default={'host': None, 'private_networks': ['10.9.0.0/24']},
                 **{'route_relay.example': {'host': '[ee.lab]:587'}, 'destination_donly.lab': {'tls': 'dane-only'},
                    'destination_dflow.lab': {'tls': 'dane', 'defer_on_tls_error': 'no'}})
    gw.host_addresses = [f'{HOST_IP}/24'] + [f'{address}/24' for address, _ in HOSTS.values()]
    gw.start()


def asked(command, word):
    """The objects of an answer, one a line: the plan, then each address that was probed."""
    return [json.loads(line) for line in gw.ctl(command, word, '--json').splitlines()]


def attempt(domain, who='b'):
    """Sends a message; the log's line about what its first attempt came to."""
    with Client() as c:
        check_equal(c.deliver('s@dnone.lab', [f'{who}@{domain}'], plain(1)).code, 250, 'message')
    found = wait_until(lambda: re.findall(rf' (delivered|deferred) .*to=<{who}@{re.escape(domain)}> (.*)', gw.log()), 30, domain)
    gw.ctl('queue', 'delete', '--all')
    return found[0]


def row(domain, proof, accepted, tls, words=''):
    plan, *probes = asked('probe', domain)
    got = plan['host'][0]['requirement']
    check_equal(got['proof'], proof, f'{domain}: {got}')
    check_equal([p['is'] for p in probes], accepted, f'{domain}: probed: {probes}')
    what, said = attempt(domain)
    check_equal(what, 'delivered' if 'accepted' in accepted else 'deferred', f'{domain}: {said}')
    check(f'tls={tls}' in said and words in said, f'{domain}: {said}, not {tls} {words}')
    return plan


def test_records_that_fit(lab):
    plan = row('dee.lab', 'records', ['accepted'], 'dane/verified')
    check_equal((plan['mx']['dnssec'], plan['host'][0]['tlsa'][0]['dnssec'], plan['host'][0]['tlsa'][0]['usable']),
                ('secure', 'secure', 2), 'plan')
    check_equal([m.encrypted for m in hops['ee'].messages], [True], 'delivered')
    check('ee.lab' in hops['ee'].names, f'SNI: {hops["ee"].names}')


def test_records_that_do_not_fit(lab):
    row('dbad.lab', 'records', ['refused'], 'dane/failed', '4.7.5')
    check_equal(hops['bad'].messages, [], 'mail for the wrong one')
    check(all('MAIL' not in s.commands for s in hops['bad'].sessions), 'MAIL to the wrong one')


def test_the_next_host_proves_it(lab):
    row('dtwo.lab', 'records', ['refused', 'accepted'], 'dane/verified', 'host=ee.lab')


def test_no_starttls(lab):
    row('dstrip.lab', 'records', ['refused'], 'dane/failed', '4.7.4')
    row('drefuse.lab', 'records', ['refused'], 'dane/failed', '4.7.')
    check_equal(hops['strip'].messages + hops['refuse'].messages, [], 'mail in clear')


def test_records_that_mean_nothing(lab):
    plan = row('dunus.lab', 'encrypted', ['accepted'], 'encrypt/untrusted')
    check_equal([r['use'].split(':')[0] for r in plan['host'][0]['tlsa'][0]['record']], ['unusable', 'unusable'], 'why not')


def test_no_records(lab):
    row('dnone.lab', 'optional', ['accepted'], 'may/untrusted')
    plan, *probes = asked('probe', 'donly.lab')
    check_equal((probes, plan['outcome']['is'], plan['outcome']['enhanced']), ([], 'deferred', '4.7.5'), 'dane-only')
    what, said = attempt('donly.lab')
    check(what == 'deferred' and '4.7.5 dane-only: none.lab: the host has no TLSA records' in said, said)


def test_unsigned_mx(lab):
    """A signed host behind an unsigned MX set is trusted, never verified; in an unsigned zone nothing is asked for."""
    plan = row('d.plain.lab', 'records', ['accepted'], 'dane/trusted')
    check_equal((plan['mx']['dnssec'], plan['host'][0]['requirement']['called']), ('insecure', 'trusted'), 'plan')
    plan = row('e.plain.lab', 'optional', ['accepted'], 'may/untrusted')
    check_equal(plan['host'][0]['tlsa'], [], 'TLSA records of an unsigned host')


def test_relay(lab):
    """A host that the operator names is as good as a signed MX: _587._tcp."""
    row('relay.example', 'records', ['accepted'], 'dane/verified')
    check_equal(len(hops['relay'].messages), 1, 'delivered')


def test_a_host_is_probed(lab):
    """In place of a domain a next hop, as routes name them: by its name, at its port, by its MX, by its address."""
    for word, address, tls in (('[ee.lab]', '10.9.0.31:25', 'verified'), ('[ee.lab]:587', '10.9.0.31:587', 'verified'),
                               ('[bad.lab]:25', '10.9.0.32:25', 'failed'), ('dee.lab:25', '10.9.0.31:25', 'verified')):
        plan, probe = asked('probe', word)
        check_equal((plan['recipient'], plan['route']['via']), (word, 'host'), f'{word}: {plan}')
        check_equal((probe['probe'], probe['is'], probe['level'], probe['tls']),
                    (address, 'refused' if tls == 'failed' else 'accepted', 'dane', tls), f'{word}: {probe}')
    for word in ('10.9.0.35', '10.9.0.35:25', '[10.9.0.35]:25'):
        check_equal([(p['probe'], p['is'], p['tls']) for p in asked('probe', word)[1:]], [('10.9.0.35:25', 'accepted', 'untrusted')], word)
    check(': mail would be taken\n' in gw.ctl('probe', '[ee.lab]'), 'the words, for people')
    # TLS from the first byte at 465.
    hops['badly'] = Hop(lab, hops['implicit'].pair, 'implicit', host=HOSTS['bad'][0], port=465)
    for word, level, tls in (('[ee.lab]:465', 'dane', 'verified'), ('[bad.lab]:465', 'dane', 'failed'), ('10.9.0.31:465', 'encrypt', 'untrusted')):
        plan, probe = asked('probe', word)
        check_equal((probe['is'], probe['level'], probe['tls']), ('refused' if tls == 'failed' else 'accepted', level, tls), f'{word}: {probe}')
    wait_until(lambda: all('QUIT' in s.commands for s in hops['implicit'].sessions), 10, 'the end of each session')
    check_equal({tuple(s.commands) for s in hops['implicit'].sessions}, {('EHLO', 'QUIT')}, 'nothing in clear, no STARTTLS')
    plan, *probes = asked('probe', '[nosuch.lab]:25')
    check_equal((plan['outcome']['is'], probes), ('deferred', []), 'no such host')
    check('no address with a domain' in gw.ctl('probe', '[ee.lab]:99999', ok=(0, 1)), 'no such port')


def test_mail_that_has_to_flow(lab):
    what, said = attempt('dflow.lab')
    check_equal(what, 'delivered', said)


def test_sessions(lab):
    """A session of TLS is taken up again by connections that ask the same of the same host: other TLSA records have a whole
    handshake, and what does not fit any more gets nothing by it."""
    good, wrong = zones.records['_25._tcp.ee.lab'][1], zones.records['_25._tcp.bad.lab'][0]
    names = iter('cdefghi')

    def resumed(cnt, word):
        before = gw.counter('tls/resumed')
        what, said = attempt('dee.lab', next(names))
        check(what == word and f'tls=dane/{"verified" if word == "delivered" else "failed"}' in said, said)
        check_equal(gw.counter('tls/resumed') - before, cnt, 'sessions resumed')
    attempt('dee.lab', next(names))
    resumed(1, 'delivered')
    time.sleep(1.1)  # the records are asked for again, and come in another order: they are a set
    resumed(1, 'delivered')
    check(re.search(r'version=TLSv1\.3 .*key=resumed', gw.log()), 'the log tells it')
    zones.publish('_25._tcp.ee.lab', [good])
    resumed(0, 'delivered')
    resumed(1, 'delivered')
    zones.publish('_25._tcp.ee.lab', [wrong])
    resumed(0, 'deferred')
    zones.publish('_25._tcp.ee.lab', [wrong, good])


def test_literal(lab):
    """An address in place of a domain has itself for a name in what is said of it."""
    for recipient, level, words in (('b@[127.0.0.1]', 'dane', '4.4.4: 127.0.0.1 is a private address'),
                                    ('b@[10.9.0.35]', 'dane-only', 'dane-only: 10.9.0.35: an address has no TLSA records')):
        gw.change(delivery={'tls': level})
        gw.ctl('reload')
        said = gw.ctl('explain', recipient)
        check(words in said and 'has private' not in said, said)
    gw.change(delivery={'tls': 'dane'})
    gw.ctl('reload')


def test_text(lab):
    text = gw.ctl('probe', 'dtwo.lab')
    check(re.search(r'^probe address=10\.9\.0\.32:25 host=bad\.lab is=refused tls=dane/failed enhanced=4\.7\.5: ', text, re.M) and
          re.search(r'^probe address=10\.9\.0\.31:25 host=ee\.lab is=accepted tls=dane/verified: ', text, re.M), text)
    check('not permitted' not in text and gw.alive(), 'the gateway')
    check_equal(gw.ctl('queue', 'list'), 'the queue is empty\n', 'queue')
    check_equal(gw.stop(), 0, 'status')


if __name__ == '__main__':
    main(setup)
