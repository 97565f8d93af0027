#!/usr/bin/python3
# limit: 100
"""Reports of TLS (RFC 8460): deliveries into a signed world, some of which fail, and a real HTTPS collector. A day is made
to end by moving what the gateway has written down to the day before, while it does not run."""
import gzip
import json
import os
import re
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

from gateway import Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from world import RESOLVER, Row, World
from world_rows import certificates

ON = '. MX 10 mx;'
COLLECTOR = ('198.51.101.200', 8443)
ROWS = [
    Row('D24', 'good', ON + 'mx A @leaf; mx TLSA 3 1 1 leaf', 'verified', 'verified'),
    Row('D29', 'bad', ON + 'mx A @leaf; mx TLSA 3 1 1 other', 'defer 4.7.5', 'defer 4.7.5'),
    Row('D28', 'strip', ON + 'mx A @-; mx TLSA 3 1 1 leaf', 'defer 4.7.4', 'defer 4.7.4'),
    Row('D25', 'unus', ON + 'mx A @leaf; mx TLSA 1 1 1 leaf', 'untrusted', 'defer 4.7.5'),
    Row('D20', 'lame', ON + 'mx A @leaf; _25._tcp.mx LAME', 'defer 4.7.5', 'defer 4.7.5'),
    Row('D21', 'none', ON + 'mx A @leaf', 'untrusted', 'defer 4.7.5'),
    Row('D21', 'clear', ON + 'mx A @-', 'clear', 'defer 4.7.5'),
    Row('D49', 'tan', ON + 'mx A @tan; mx TLSA 2 1 1 ca', 'defer 4.7.5', 'defer 4.7.5'),
    Row('D21', 'mailto', ON + 'mx A @leaf', 'untrusted', 'defer 4.7.5'),
    Row('D21', 'unasked', ON + 'mx A @leaf', 'untrusted', 'defer 4.7.5'),
    # Policies of MTA-STS, where there are no TLSA records
    Row('M8', 'stsgood', ON + 'mx A @sts; . STS enforce mx', 'verified'),
    Row('M9', 'ststest', ON + 'mx A @leaf; . STS testing mx', 'untrusted'),
    Row('M8', 'stshost', ON + 'mx A @sts; . STS enforce =mx.elsewhere.lab,=*.elsewhere.lab', 'defer 4.7.5'),
    Row('M9', 'ststhost', ON + 'mx A @sts; . STS testing =mx.elsewhere.lab', 'untrusted'),
    Row('M7', 'stsfetch', ON + 'mx A @leaf; . STS enforce mx missing', 'untrusted'),
    Row('M7', 'stspki', ON + 'mx A @leaf; . STS enforce mx wrong-name', 'untrusted'),
    Row('M12', 'stsbad', ON + 'mx A @leaf; . STS - mx', 'untrusted'),
]
WANTED = [r.domain for r in ROWS if r.name not in ('mailto', 'unasked')]
RESULTS = ('starttls-not-supported certificate-host-mismatch certificate-expired certificate-not-trusted validation-failure '
           'tlsa-invalid dnssec-invalid dane-required sts-policy-fetch-error sts-policy-invalid sts-webpki-invalid').split()
world = gw = collector = None


class Collector:
    """POSTs as they came: (path, Content-Type, report). Answers by status, one after the other, the last one for good."""

    def __init__(self, lab, chain, key):
        self.got, self.status, self.hold, this = [], [200], threading.Event(), self
        self.hold.set()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers['Content-Length']))
                status = this.status.pop(0) if len(this.status) > 1 else this.status[0]
                this.got.append((self.path, self.headers['Content-Type'], json.loads(gzip.decompress(body)), status))
                this.hold.wait(20)
                self.send_response(status)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass
        server = HTTPServer(COLLECTOR, Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lab.at_end(server.shutdown)

    def taken(self, domain=None):
        """Reports that were answered by 200."""
        return [r for _, _, r, status in self.got if status == 200 and (domain is None or of(r) == domain)]


def of(report):
    return re.fullmatch(r'\d{4}-\d\d-\d\d\.(.+)@mx\.gateway\.example', report['report-id'])[1]


def all_certificates(pki):
    c, chains = certificates(pki)
    c['sts'] = pki.make('sts', [f'mx.{r.domain}' for r in ROWS if r.id.startswith('M')], issuer=c['ca'])
    return c, chains


def setup(lab):
    global world, collector
    world = World(lab, ROWS, all_certificates)
    ca = world.certificates['ca']
    mine = world.pki.make('collector', ['c.collect.lab'], issuer=ca)
    zone = world.names.zones['lab']
    zone.append(f'c.collect.lab. A {COLLECTOR[0]}\n')
    for domain in WANTED:
        zone.append(f'_smtp._tls.{domain}. TXT "v=TLSRPTv1; rua=https://c.collect.lab:{COLLECTOR[1]}/{domain}?v=1"\n')
    zone.append('_smtp._tls.mailto.lab. TXT "v=TLSRPTv1;rua=mailto:reports@mailto.lab"\n')
    world.names.write()
    world.start()
    collector = Collector(lab, mine.path, mine.key)
    trusted = lab.path('trusted.pem')
    with open(trusted, 'w') as f:
        for one in (ca, world.web.ca):
            with open(one.path) as of_one:
                f.write(of_one.read())
    global gw
    gw = Gateway(lab, queue={'backoff_min': '1d', 'backoff_max': '2d'}, relay={'networks': ['10.9.0.0/24']}, smtp={'client_idle': '60s'},
                 dns={'servers': [RESOLVER], 'trust_anchor': world.names.anchor},
                 route_default={'host': None, 'via': 'mx', 'private_networks': ['198.51.100.0/23']},
                 delivery={'tls': 'dane', 'ca_file': trusted},
                 tlsrpt={'enable': True, 'organization': 'Sluice "test"', 'contact': 'tls@gateway.example', 'spread': '0s',
                         'backoff_min': '1s'}).start()


# ---- the gateway's file ----

def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def day_before():
    """All that is counted becomes yesterday's, and what was sent the day before that; as if midnight had passed."""
    path = os.path.join(gw.dir, 'state', 'tlsrpt', 'reports')
    with open(path) as f:
        head, *lines = f.read().splitlines(keepends=True)
    check_equal(head, 'sluice-tlsrpt 1\n', 'the first line')
    lines = [re.sub(r'^([cfjd])\t(\d+)', lambda m: f'{m[1]}\t{int(m[2]) - 1}', line) for line in lines if not line.startswith('.')]
    text = ''.join(lines)
    with open(path, 'w') as f:
        f.write(head + text + f'.\t{crc32c(text.encode()):08x}\n')


def counted():
    return {d['domain']: (d['successful'], d['failed']) for d in map(json.loads, gw.ctl('tlsrpt', '--json').splitlines())
            if not d['closed']}


def sent():
    return [json.loads(line) for line in gw.ctl('tlsrpt', 'sent', '--json').splitlines()]


def deliver(names):
    """One message each, by one attempt: the queue does not try again for a day."""
    with Client() as c:
        for number, name in enumerate(names):
            check_equal(c.deliver('', [f'to@{name}.lab'], plain(number)).code, 250, name)


# ---- the tests ----

def check_report(r, domain):
    """The form of RFC 8460 section 4.4."""
    check_equal(set(r), {'organization-name', 'date-range', 'contact-info', 'report-id', 'policies'}, 'keys')
    check_equal((r['organization-name'], r['contact-info']), ('Sluice "test"', 'tls@gateway.example'), 'who')
    yesterday = time.strftime('%Y-%m-%d', time.gmtime(time.time() - 86400))
    check_equal(r['date-range'], {'start-datetime': f'{yesterday}T00:00:00Z', 'end-datetime': f'{yesterday}T23:59:59Z'}, 'range')
    check_equal(r['report-id'], f'{yesterday}.{domain}@mx.gateway.example', 'id')
    for p in r['policies']:
        check(set(p) - {'failure-details'} == {'policy', 'summary'}, f'policy {p}')
        check(p['policy']['policy-type'] in ('tlsa', 'sts', 'no-policy-found'), 'type')
        check(isinstance(p['policy']['policy-domain'], str), 'domain')
        check(all(isinstance(s, str) for s in p['policy'].get('policy-string', [])), 'strings')
        check_equal(set(p['summary']), {'total-successful-session-count', 'total-failure-session-count'}, 'summary')
        details = p.get('failure-details', [])
        for d in details:
            check(d['result-type'] in RESULTS and d['failed-session-count'] > 0, f'detail {d}')
            check(set(d) <= {'result-type', 'sending-mta-ip', 'receiving-mx-hostname', 'receiving-ip', 'failed-session-count',
                             'failure-reason-code'}, f'detail {d}')
        check_equal(sum(d['failed-session-count'] for d in details), p['summary']['total-failure-session-count'], 'sum')


def facts(report):
    """(policy type, result type or success, sessions) of each."""
    out = []
    for p in report['policies']:
        kind = p['policy']['policy-type']
        if p['summary']['total-successful-session-count']:
            out.append((kind, 'success', p['summary']['total-successful-session-count']))
        out += [(kind, d['result-type'], d['failed-session-count']) for d in p.get('failure-details', [])]
    return out


EXPECTED = {
    'good.lab': [('tlsa', 'success', 2)],
    'bad.lab': [('tlsa', 'validation-failure', 1)],
    'strip.lab': [('tlsa', 'starttls-not-supported', 1)],
    'unus.lab': [('tlsa', 'tlsa-invalid', 1)],
    'lame.lab': [('no-policy-found', 'dnssec-invalid', 1)],
    'none.lab': [('no-policy-found', 'success', 1)],
    'clear.lab': [('no-policy-found', 'starttls-not-supported', 1)],
    'tan.lab': [('tlsa', 'certificate-host-mismatch', 1)],
    'stsgood.lab': [('sts', 'success', 1)],
    'ststest.lab': [('sts', 'certificate-not-trusted', 1)],
    'stshost.lab': [('sts', 'validation-failure', 1)],
    'ststhost.lab': [('sts', 'validation-failure', 1)],
    'stsfetch.lab': [('sts', 'sts-policy-fetch-error', 1)],
    'stspki.lab': [('sts', 'sts-webpki-invalid', 1)],
    'stsbad.lab': [('sts', 'sts-policy-invalid', 1)],
}


def test_counts(lab):
    """Sessions are counted once, by domain; over a kept connection there is no second one. Restarts lose none."""
    deliver(r.name for r in ROWS)
    wait_until(lambda: set(counted()) == {r.domain for r in ROWS}, 40, f'counts of each: {counted()}')
    wait_until(lambda: counted()['good.lab'] == (1, 0), 20, 'a session of good.lab')
    deliver(['good'])  # the connection has been kept
    wait_until(lambda: gw.counter('conn/reused') >= 1, 20, 'the connection is used again')
    shown = json.loads(gw.ctl('tlsrpt', 'show', 'BAD.lab'))
    check_equal(facts(shown), EXPECTED['bad.lab'], 'tlsrpt show')
    check_equal(gw.stop(), 0, 'status')
    gw.start()
    check_equal(counted()['good.lab'], (1, 0), 'after a stop')
    deliver(['good'])
    wait_until(lambda: counted()['good.lab'] == (2, 0), 20, 'another session of good.lab')
    gw.kill()
    gw.start()
    check_equal(counted()['good.lab'], (2, 0), 'after a kill')
    check_equal(collector.got, [], 'reports before the day is over')


def check_sts_policies():
    """Told line by line; the domain alone of one that could not be had."""
    policy = {d: collector.taken(f'{d}.lab')[0]['policies'][0] for d in ('stsgood', 'stshost', 'ststhost', 'stsfetch', 'ststest')}
    check_equal(policy['stshost']['policy'],
                {'policy-type': 'sts', 'policy-domain': 'stshost.lab', 'mx-host': ['mx.elsewhere.lab', '*.elsewhere.lab'],
                 'policy-string': ['version: STSv1', 'mode: enforce', 'mx: mx.elsewhere.lab', 'mx: *.elsewhere.lab', 'max_age: 86400']}, 'policy')
    check('mode: testing' in policy['ststest']['policy']['policy-string'], policy['ststest'])
    check_equal(policy['stsfetch']['policy'], {'policy-type': 'sts', 'policy-domain': 'stsfetch.lab'}, 'none')
    check('404' in policy['stsfetch']['failure-details'][0]['failure-reason-code'], policy['stsfetch'])
    for name in ('stshost', 'ststhost'):
        detail = policy[name]['failure-details'][0]
        check_equal(detail['receiving-mx-hostname'], f'mx.{name}.lab', 'the host')
        check('does not name the host' in detail['failure-reason-code'], detail)
    check_equal({r for r, _, _, _ in world.hosts.arrived if r.startswith('to@sts')},
                {f'to@{n}.lab' for n in ('stsgood', 'ststest', 'ststhost', 'stsfetch', 'stspki', 'stsbad')}, 'mail that went')


def test_reports(lab):
    """Midnight: one report for each domain that wants one, with what was counted. Collectors fail at first."""
    gw.kill()
    day_before()
    collector.status = [503] * 5 + [200]
    gw.start()
    wait_until(lambda: len(collector.taken()) >= len(WANTED), 40, 'all reports')
    wait_until(lambda: len([e for e in sent() if e['state'] == 'sent']) == len(WANTED), 20, 'all are told as sent')
    for path, kind, report, _ in collector.got:
        domain = of(report)
        check_equal((path, kind), (f'/{domain}?v=1', 'application/tlsrpt+gzip'), 'request')
        check_report(report, domain)
        check_equal(facts(report), EXPECTED[domain], domain)
    bad = collector.taken('bad.lab')[0]['policies'][0]
    check_equal(bad['policy']['policy-domain'], 'mx.bad.lab', 'the TLSA base domain')
    check_equal(bad['policy']['policy-string'], [world.certificates['other'].tlsa()], 'the records')
    row = next(r for r in ROWS if r.name == 'bad')
    detail = bad['failure-details'][0]
    check_equal((detail['sending-mta-ip'], detail['receiving-mx-hostname'], detail['receiving-ip']),
                ('10.9.0.1', 'mx.bad.lab', row.hosts['mx']), 'the hosts')
    check('TLSA' in detail['failure-reason-code'], detail['failure-reason-code'])
    check_sts_policies()
    states = {e['domain']: (e['state'], e['why']) for e in sent()}
    check_equal(states['mailto.lab'][0], 'skipped', 'by mail alone')
    check('DKIM' in states['mailto.lab'][1], states['mailto.lab'][1])
    check('unasked.lab' not in states, 'who wants none')
    check_equal(gw.ctl('tlsrpt', '--json'), '', 'counts that are left')


def test_one_a_day(lab):
    """Neither a stop nor a kill sends one again."""
    before = len(collector.got)
    for end in (gw.stop, gw.kill):
        end()
        gw.start()
        time.sleep(1.5)  # it looks twice a second
    check_equal(len(collector.got), before, 'reports')
    for domain in WANTED:
        check_equal(len(collector.taken(domain)), 1, domain)


def test_kill_amid_a_report(lab):
    """A kill while the collector has not answered: it is the same report that comes again, and counts as one."""
    collector.got.clear()
    deliver(['good'])
    wait_until(lambda: counted().get('good.lab') == (1, 0), 20, 'a session')
    gw.kill()
    day_before()
    collector.hold.clear()
    gw.start()
    wait_until(lambda: collector.got, 20, 'a report')
    gw.kill()
    collector.hold.set()
    gw.start()
    wait_until(lambda: len(collector.got) == 2, 30, 'the report again')
    check_equal(collector.got[0][2], collector.got[1][2], 'the report that comes again')
    wait_until(lambda: len([e for e in sent() if e['state'] == 'sent' and e['domain'] == 'good.lab']) == 2, 20, 'it is sent')
    time.sleep(1.2)
    check_equal(len(collector.got), 2, 'reports')


def test_damaged_state(lab):
    """What a crash has left of a line is passed over, and told."""
    deliver(['none'])
    wait_until(lambda: counted().get('none.lab') == (1, 0), 20, 'a session')
    gw.kill()
    with open(os.path.join(gw.dir, 'state', 'tlsrpt', 'reports'), 'a') as f:
        f.write('c\t99999\tnone.lab\t77\tno-pol')
    gw.start()
    check_equal(counted(), {'none.lab': (1, 0)}, 'counts')
    check('1 pieces are damaged' in gw.log(), 'the log tells')


if __name__ == '__main__':
    main(setup)
