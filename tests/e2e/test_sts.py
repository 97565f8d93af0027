#!/usr/bin/python3
# limit: 150
"""MTA-STS (RFC 8461) in a world of signed and unsigned names, mail servers and policy hosts (world.py): each row of the decision
table, policy hosts that are hostile, and what is kept over a restart."""
import json
import os
import re
import signal
import socket
import ssl
import threading
import time

from gateway import Gateway
from harness import check, check_equal, main, run, wait_until
from mail import Client, plain
from pki import EXPIRED
from powers import check_powerless
from world import RESOLVER, Row, World

POLICIES = '198.51.101.250'  # answers at 443 for all of them
GOOD = 'version: STSv1\r\nmode: enforce\r\nmx: mx.{0}\r\nmax_age: 86400\r\n'
TESTING = GOOD.replace('enforce', 'testing')
OTHER = GOOD.replace('mx.{0}', 'mx.elsewhere.example')
TEXT = 'text/plain'

world = gw = None
rows = []
policy_of = {}  # host: (behaviour, text)
asked = []      # hosts, in order


class Case(Row):
    """A row with a policy. cert: of the mail server: good (by the authority, for its name), name (for another), self (by itself).
    policy: the text; host: how its host behaves. record: the TXT record's text, None: none. expect: what is to come of it, as in
    "sts/verified" or "defer 4.7.5"."""

    def __init__(self, id, name, expect, policy=GOOD, cert='good', host='well', record='v=STSv1; id=a1;', records=None, at=None,
                 to='domain', more=()):
        records = records or f'. MX 10 mx; mx A @{cert}'
        super().__init__(id, name, records, expect, expect, at=at, to=to)
        owner = f'mx.{self.domain}' if to == 'route' else self.domain
        prefix = 'mx.' if to == 'route' else ''
        if record:
            for text in ([record] if isinstance(record, str) else record):
                self.records.append([f'_mta-sts{"." + prefix[:-1] if prefix else ""}', 'TXT', f'"{text}"'])
        if host != 'absent':
            self.records.append([f'mta-sts{"." + prefix[:-1] if prefix else ""}', 'A', POLICIES if host != 'private' else '10.1.2.3'])
        self.owner = owner
        policy_of[f'mta-sts.{owner}'] = [host, policy.format(self.domain)]


C = Case
ROWS = [
    C('M8', 'ok/plain', 'sts/verified'),
    C('M8', 'wrongname/plain', 'defer 4.7.5', cert='name'),
    C('M8', 'selfsigned/plain', 'defer 4.7.5', cert='self'),
    C('M8', 'notls/plain', 'defer 4.7.4', cert='-'),
    C('M8', 'refused/plain', 'defer 4.7', cert='good,refused'),
    C('M8', 'nomatch/plain', 'defer 4.7.5', policy=OTHER),
    C('M8', 'second/plain', 'sts/verified', records='. MX 10 one; . MX 20 mx; one A @good; mx A @good', at='mx'),
    C('M6', 'norecord/plain', 'may/untrusted', record=None, cert='self'),
    C('M6', 'tworecords/plain', 'may/untrusted', record=['v=STSv1; id=a1;', 'v=STSv1; id=a2;'], cert='self'),
    C('M6', 'otherrecords/plain', 'sts/verified', record=['v=STSv1; id=a1;', 'v=spf1 -all', 'v=STSv2; id=b;']),
    C('M6', 'badid/plain', 'may/untrusted', record='v=STSv1; id=a-1;', cert='self'),
    C('M6', 'noid/plain', 'may/untrusted', record='v=STSv1;', cert='self'),
    C('M7', 'redirect/plain', 'may/untrusted', host='redirect', cert='self'),
    C('M7', 'missing/plain', 'may/untrusted', host='missing', cert='self'),
    C('M7', 'html/plain', 'may/untrusted', host='html', cert='self'),
    C('M7', 'huge/plain', 'may/untrusted', host='huge', cert='self'),
    C('M7', 'slow/plain', 'may/untrusted', host='slow', cert='self'),
    C('M7', 'broken/plain', 'may/untrusted', host='broken', cert='self'),
    C('M7', 'othername/plain', 'may/untrusted', host='name', cert='self'),
    C('M7', 'otherca/plain', 'may/untrusted', host='self', cert='self'),
    C('M7', 'lapsed/plain', 'may/untrusted', host='expired', cert='self'),
    C('M7', 'clear/plain', 'may/untrusted', host='clear', cert='self'),
    C('M7', 'nohost/plain', 'may/untrusted', host='absent', cert='self'),
    C('M7', 'inside/plain', 'may/untrusted', host='private', cert='self'),
    C('M9', 'testing/plain', 'sts-testing/verified', policy=TESTING),
    C('M9', 'testbad/plain', 'sts-testing/untrusted', policy=TESTING, cert='self'),
    C('M9', 'testclear/plain', 'sts-testing/clear', policy=TESTING, cert='-'),
    C('M9', 'testmx/plain', 'may/untrusted', policy=OTHER.replace('enforce', 'testing'), cert='self'),
    C('M9', 'modenone/plain', 'may/untrusted', policy='version: STSv1\nmode: none\nmax_age: 86400\n', cert='self'),
    C('M10', 'wild/plain', 'sts/verified', policy=GOOD.replace('mx.{0}', '*.{0}')),
    C('M10', 'deep/plain', 'defer 4.7.5', policy=GOOD.replace('mx.{0}', '*.{0}'), records='. MX 10 a.mx; a.mx A @good'),
    C('M10', 'bare/plain', 'defer 4.7.5', policy=GOOD.replace('mx.{0}', '*.{0}'), records='. A @good'),
    C('M12', 'nomode/plain', 'may/untrusted', policy=GOOD.replace('mode: enforce\r\n', ''), cert='self'),
    C('M12', 'toolong/plain', 'may/untrusted', policy=GOOD.replace('86400', '31557601'), cert='self'),
    C('M12', 'twice/plain', 'sts/verified', policy=GOOD + 'mode: none\r\nfoo: bar\r\n'),
    C('M12', 'lf/plain', 'sts/verified', policy=GOOD.replace('\r\n', '\n')),
    # Beside DANE
    C('M1', 'danefails', 'defer 4.7.5', records='. MX 10 mx; mx A @good; mx TLSA 3 1 1 self'),
    C('M2', 'danewins', 'dane/verified', records='. MX 10 mx; mx A @self; mx TLSA 3 1 1 self', policy=OTHER),
    C('M3', 'unusable', 'sts/verified', records='. MX 10 mx; mx A @good; mx TLSA 1 1 1 good'),
    C('M3', 'unusablebad', 'defer 4.7.5', records='. MX 10 mx; mx A @self; mx TLSA 1 1 1 self'),
    C('M4', 'tlsafails', 'defer 4.7.5', records='. MX 10 mx; mx A @good; _25._tcp.mx LAME'),
    C('M5', 'both/plain', 'dane/trusted', records='. MX 10 mx/; mx/ A @good; mx/ TLSA 3 1 1 good', policy=GOOD.replace('.plain.lab', '') and
      'version: STSv1\nmode: enforce\nmx: mx.both.lab\nmax_age: 86400\n'),
    C('M5', 'onlydane/plain', 'defer 4.7.5', records='. MX 10 mx/; mx/ A @self; mx/ TLSA 3 1 1 self',
      policy='version: STSv1\nmode: enforce\nmx: mx.onlydane.lab\nmax_age: 86400\n'),
    C('M5', 'notmx/plain', 'defer 4.7.5', records='. MX 10 mx/; mx/ A @good; mx/ TLSA 3 1 1 good', policy=OTHER),
    C('M8', 'signed', 'sts/verified'),  # signed, without TLSA
    C('M11', 'smart/plain', 'sts/verified', to='route'),
    C('M11', 'smartbad/plain', 'defer 4.7.5', to='route', policy=OTHER),
]


def certificates(pki):
    ca, other = pki.make('ca', ca=True), pki.make('other', ca=True)
    names = [f'mx.{r.domain}' for r in ROWS] + ['mx.both.lab', 'mx.notmx.lab', 'mx.onlydane.lab', 'one.second.plain.lab',
                                               'bare.plain.lab', 'a.mx.deep.plain.lab']
    c = {'good': pki.make('good', names, issuer=ca), 'name': pki.make('name', ['mx.nobody.example'], issuer=ca),
         'self': pki.make('self', names), 'ca': ca}
    hosts = list(policy_of)
    c |= {'policy-well': pki.make('policy-well', hosts, issuer=ca), 'policy-name': pki.make('policy-name', ['nobody.example'], issuer=ca),
          'policy-self': pki.make('policy-self', hosts, issuer=other), 'policy-expired': pki.make('policy-expired', hosts, issuer=ca, more=EXPIRED)}
    return c, {}


class Policies:
    """The policy hosts, behind one address."""

    def __init__(self, lab):
        self.contexts = {}
        for kind in ('well', 'name', 'self', 'expired'):
            c = world.certificates[f'policy-{kind}']
            self.contexts[kind] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.contexts[kind].load_cert_chain(c.path, c.key)
        self.front = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        c = world.certificates['policy-well']
        self.front.load_cert_chain(c.path, c.key)
        self.front.sni_callback = self.named
        self.socket = socket.create_server((POLICIES, 443), backlog=64)
        threading.Thread(target=self.run, daemon=True).start()
        lab.at_end(self.socket.close)

    def named(self, connection, name, _):
        connection.name = name
        kind = policy_of.get(name, ['well'])[0]
        connection.context = self.contexts.get(kind, self.front)

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.client, args=(connection,), daemon=True).start()

    def client(self, raw):
        raw.settimeout(20)
        try:
            if b'mta-sts.clear.plain.lab' in raw.recv(4096, socket.MSG_PEEK):  # its name in the hello
                asked.append('mta-sts.clear.plain.lab')
                raw.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n')
                return
            with self.front.wrap_socket(raw, server_side=True) as s:
                request = b''
                while b'\r\n\r\n' not in request:
                    more = s.recv(4096)
                    if not more:
                        return
                    request += more
                self.answer(s, request.decode('latin-1'))
        except OSError:
            pass
        finally:
            raw.close()

    @staticmethod
    def answer(s, request):
        host = re.search(r'(?i)\r\nhost: ([^\r:]+)', request)[1]
        asked.append(host)
        how, text = policy_of.get(host, ['missing', ''])
        body, kind, status = text.encode(), TEXT, '200 OK'
        if how == 'slow':
            time.sleep(8)
        if how == 'huge':
            body += b'x: ' + b'x' * 100000 + b'\r\n'
        if how == 'html':
            kind = 'text/html'
        if how == 'missing' or 'GET /.well-known/mta-sts.txt HTTP/1.1' not in request:
            status = '404 Not Found'
        head = f'Content-Type: {kind}\r\nContent-Length: {len(body) + (100 if how == "broken" else 0)}\r\n'
        if how == 'redirect':
            status, head = '301 Moved', head + 'Location: https://mta-sts.ok.plain.lab/.well-known/mta-sts.txt\r\n'
        s.sendall(f'HTTP/1.1 {status}\r\n{head}\r\n'.encode() + body)


def setup(lab):
    global world
    world = World(lab, ROWS, certificates).start()
    world.use_resolver()
    Policies(lab)


LINE = re.compile(r'(delivered|deferred|failed) id=\S+ relay=(\S+) .*?to=<([^>]+)> (.*)')


def outcomes():
    """recipient: (word of the table, relay, rest of the line); of the last line of each."""
    found = {}
    for verb, relay, recipient, rest in LINE.findall(gw.log()):
        tls = re.search(r'tls=([\w-]+/\w+)', rest)
        code = re.search(r'\b([245]\.\d+\.\d+)\b', re.sub(r'tls=\S+|host=\S+', '', rest))
        word = (tls[1] if tls else 'clear') if verb == 'delivered' else f'{verb[:5]} {code[1] if code else "-"}'
        found[recipient] = (word, relay.rsplit(':', 1)[0], rest)
    return found


def send(*recipients):
    with Client() as c:
        for n, r in enumerate(recipients):
            check_equal(c.deliver('', [r], plain(n)).code, 250, r)


def outcome_of(recipient, seconds=30):
    wait_until(lambda: recipient in outcomes(), seconds, f'an outcome of {recipient}')
    return outcomes()[recipient][0]


def test_rows(lab):
    """Each row of the table comes out as it says; what is refused has been told nothing of the message."""
    global gw
    routes = {f'route_{r.domain}': {'host': f'{r.target}:25'} for r in ROWS if r.to == 'route'}
    gw = Gateway(lab, queue={'backoff_min': '1d', 'backoff_max': '2d'}, relay={'networks': ['10.9.0.0/24']},
                 smtp={'client_connect_timeout': '5s'}, dns={'servers': [RESOLVER], 'trust_anchor': world.names.anchor},
                 route_default={'host': None, 'via': 'mx', 'private_networks': ['198.51.100.0/23']},
                 delivery={'tls': 'dane', 'ca_file': world.certificates['ca'].path, 'mta_sts_timeout': '4s'}, **routes).start()
    check_equal(len({r.recipient() for r in ROWS}), len(ROWS), 'recipients')
    for number in range(1, 13):
        check(any(r.id == f'M{number}' for r in ROWS), f'M{number} has no row')
    send(*(r.recipient() for r in ROWS))
    wait_until(lambda: {r.recipient() for r in ROWS} <= set(outcomes()), 60, 'an outcome of each')
    found, wrong = outcomes(), []
    for row in ROWS:
        word, relay, rest = found[row.recipient()]
        if not word.startswith(row.expect['dane']):
            wrong.append(f'{row.id} {row.domain}: {word}, not {row.expect["dane"]}: {rest}')
        elif word.startswith('defer') and [w for a, w in world.hosts.talked if a in row.hosts.values() and w in ('MAIL', 'DATA')]:
            wrong.append(f'{row.id} {row.domain}: its server was told of the message')
        elif not word.startswith('defer') and row.at and relay not in row.arrives_at():
            wrong.append(f'{row.id} {row.domain}: it went to {relay}')
    print(*wrong, sep='\n', flush=True)
    check(not wrong, '; '.join(wrong)[:400])
    check('mta-sts.inside.plain.lab' not in asked, 'no private address was asked')
    check_equal(asked.count('mta-sts.redirect.plain.lab'), 1, 'the redirect, by one request')
    check('mta-sts.danewins.lab' not in asked, 'where DANE decides no policy is fetched')


def test_told(lab):
    """Why there is no policy stands in the log, in explain and in counters."""
    check(gw is not None, 'the gateway has started')
    log = gw.log()
    for name, why in (('redirect', 'redirect: HTTP status 301'), ('missing', 'HTTP status 404'), ('html', 'text/html, not text/plain'),
                      ('huge', 'too-large'), ('slow', 'timeout'), ('broken', 'broken'), ('othername', 'certificate'),
                      ('otherca', 'certificate'), ('lapsed', 'certificate'), ('clear', 'tls'), ('nohost', 'no-name'),
                      ('inside', 'private-address'), ('nomode', 'it has no mode'), ('toolong', 'max_age is over')):
        line = [t for t in log.split('\n') if f'mta-sts {name}.plain.lab: no policy: ' in t]
        check(len(line) == 1 and why in line[0], f'{name}: {line}')
    said = json.loads(gw.ctl('explain', 'to@ok.plain.lab', '--json'))
    check_equal([(s['domain'], s['id'], s['mode']) for s in said['mta_sts']], [('ok.plain.lab', 'a1', 'enforce')], 'explain')
    check(0 < said['mta_sts'][0]['expires_s'] <= 86400, 'how long it holds')
    check_equal(said['host'][0]['requirement']['proof'], 'names', 'what is asked for')
    check('id=a1' in gw.ctl('explain', 'to@ok.plain.lab') and 'mode=enforce' in gw.ctl('probe', 'ok.plain.lab'), 'as text')
    said = json.loads(gw.ctl('explain', 'to@nomatch.plain.lab', '--json'))
    check('does not name the host' in said['outcome']['why'], said['outcome'])
    said = json.loads(gw.ctl('explain', 'to@redirect.plain.lab', '--json'))
    check('not fetched again yet: redirect' in said['mta_sts'][0]['why'], said['mta_sts'])
    check_equal(asked.count('mta-sts.redirect.plain.lab'), 1, 'no second request so soon')
    check_equal(asked.count('mta-sts.ok.plain.lab'), 1, 'nor where the policy is there')
    for name, value in (('sts_verified', 9), ('sts_testing_untrusted', 1), ('sts_testing_clear', 1)):
        check(gw.counter(f'tls_out/{name}') >= value, f'{name}: {gw.counter(f"tls_out/{name}")}')
    check(gw.counter('sts/hosts_tested') >= 1 and gw.counter('sts/hosts_refused') >= 5, 'hosts')
    check(gw.counter('https/requests') > 20 and gw.counter('https/processes') >= 1, 'requests')


def test_shown(lab):
    """What is kept is shown: mode, id, age, until when, and what failed last."""
    check(gw is not None, 'the gateway has started')
    kept = {s['sts']: s for s in map(json.loads, gw.ctl('sts', 'show', '--json').splitlines())}
    ok = kept['ok.plain.lab']
    check_equal((ok['mode'], ok['id'], ok['mx'], ok['mx_count']), ('enforce', 'a1', ['mx.ok.plain.lab'], 1), 'a policy')
    check(0 <= ok['age_s'] <= 120 and 86400 - 120 <= ok['expires_s'] <= 86400 and ok['until'].endswith('Z'), ok)
    check_equal((kept['testing.plain.lab']['mode'], kept['modenone.plain.lab']['mode']), ('testing', 'none'), 'other modes')
    bad = kept['redirect.plain.lab']
    check_equal((bad['mode'], bad['failures'], bad['failed_id'], bad['why']), (None, 1, 'a1', 'redirect: HTTP status 301'), 'a failure')
    check('norecord.plain.lab' not in kept and 'danewins.lab' not in kept, 'where nothing was fetched nothing is kept')
    line = gw.ctl('sts', 'show', 'OK.plain.lab')
    check(line.startswith('sts ok.plain.lab mode=enforce id=a1 age_s=') and ' mx=mx.ok.plain.lab' in line and line.count('\n') == 1, line)
    check_equal(len(gw.ctl('sts', 'show').splitlines()), len(kept), 'as text')
    for words, why in ((['show', 'nobody.example'], 'nothing is kept of that domain'), (['show', 'a..b'], 'no domain'),
                       (['refresh', 'norecord.plain.lab'], 'it has no record')):
        said = gw.ctl('sts', *words, ok=(0, 1))
        check(why in said, f'{words}: {said}')


def test_refresh(lab):
    """An operator's refresh asks again at once, whatever the id says and however lately a fetch has failed, and mail goes by what came."""
    check(gw is not None, 'the gateway has started')
    policy_of['mta-sts.twice.plain.lab'] = ['well', OTHER]
    send('before@twice.plain.lab')
    check_equal(outcome_of('before@twice.plain.lab'), 'sts/verified', 'by what is kept')
    said = json.loads(gw.ctl('sts', 'refresh', 'twice.plain.lab', '--json'))
    check_equal((said['sts'], said['mx']), ('twice.plain.lab', ['mx.elsewhere.example']), 'answered with the new policy')
    send('after@twice.plain.lab')
    check(outcome_of('after@twice.plain.lab').startswith('defer 4.7.5'), 'by what came')
    before = asked.count('mta-sts.missing.plain.lab')
    said = gw.ctl('sts', 'refresh', 'missing.plain.lab', ok=(0, 1))
    check('could not be had' in said, said)
    check_equal(asked.count('mta-sts.missing.plain.lab'), before + 1, 'no wait for the time of the next try')
    policy_of['mta-sts.missing.plain.lab'] = ['well', GOOD.format('missing.plain.lab')]
    check('mode=enforce' in gw.ctl('sts', 'refresh', 'missing.plain.lab'), 'had now')
    cnt = len(gw.ctl('sts', 'show').splitlines())

    def ended():
        return sum(gw.counter(f'sts/{name}') for name in ('fetched', 'fetch_failed', 'invalid'))
    before, lf = ended(), asked.count('mta-sts.lf.plain.lab')
    check_equal(json.loads(gw.ctl('sts', 'refresh', '--json')), {'refreshing': cnt}, 'all')
    wait_until(lambda: ended() >= before + cnt, 90, 'each is fetched again, or has failed again')
    check(asked.count('mta-sts.lf.plain.lab') > lf, 'its host was asked')


def test_rotation(lab):
    """Another id has the new policy fetched; when that fails the old one holds."""
    check(gw is not None, 'the gateway has started')

    def publish(domain, id):
        world.names.publish('plain.lab', f'_mta-sts.{domain}', 'TXT', f'"v=STSv1; id={id};"')
        wait_until(lambda: f'record={id} ' in gw.ctl('explain', f'to@{domain}'), 20, 'the new record')
        time.sleep(1.2)  # its TTL: what plans were made of
    policy_of['mta-sts.ok.plain.lab'] = ['well', OTHER]
    publish('ok.plain.lab', 'a2')
    send('rotated@ok.plain.lab')
    check(outcome_of('rotated@ok.plain.lab').startswith('defer 4.7.5'), 'by the new policy')
    policy_of['mta-sts.wild.plain.lab'] = ['missing', '']
    publish('wild.plain.lab', 'b2')
    send('kept@wild.plain.lab')
    check_equal(outcome_of('kept@wild.plain.lab'), 'sts/verified', 'by the old policy')
    check('mta-sts wild.plain.lab: no policy: status: HTTP status 404; the old one holds' in gw.log(), 'told')


def test_process(lab):
    """The process that fetches has no rights, and another takes its place."""
    check(gw is not None, 'the gateway has started')
    pid = int(re.findall(r'https process started, pid (\d+)', gw.log())[-1])
    check_powerless(pid, 65534, 'https')
    kept = {os.readlink(f'/proc/{pid}/fd/{n}').split(':')[0] for n in os.listdir(f'/proc/{pid}/fd')}
    check(not any(k.startswith('/') and k != '/dev/null' and '.log' not in k for k in kept), f'open: {kept}')
    os.kill(pid, signal.SIGKILL)
    world.names.publish('plain.lab', '_mta-sts.lf.plain.lab', 'TXT', '"v=STSv1; id=c2;"')
    wait_until(lambda: 'id=c2' in gw.ctl('explain', 'to@lf.plain.lab'), 20, 'a policy by the next one')
    check(len(re.findall(r'https process started', gw.log())) >= 2, 'started again')


def test_restart(lab):
    """What was in force is in force after a restart, without anybody to ask; a damaged file is fetched again."""
    global gw
    check(gw is not None, 'the gateway has started')
    path = os.path.join(gw.dir, 'state', 'mta-sts', 'policies')
    wait_until(lambda: os.path.exists(path), 20, 'the file')
    gw.stop()
    for host in policy_of:
        policy_of[host][0] = 'missing'
    before = len(asked)
    gw.start()
    wait_until(lambda: 'policies that were kept are in force' in gw.log(), 20, 'told')
    send('again@selfsigned.plain.lab', 'again@second.plain.lab')
    check(outcome_of('again@selfsigned.plain.lab').startswith('defer 4.7.5'), 'as before the restart')
    check_equal(outcome_of('again@second.plain.lab'), 'sts/verified', 'as before the restart')
    check_equal(len(asked), before, 'nothing was fetched')
    gw.stop()
    with open(path, 'r+b') as f:
        f.seek(40)
        f.write(b'#')
    policy_of['mta-sts.second.plain.lab'] = ['well', GOOD.format('second.plain.lab')]
    gw.start()
    wait_until(lambda: 'cannot be read (the file is damaged)' in gw.log(), 20, 'told')
    send('third@second.plain.lab')
    check_equal(outcome_of('third@second.plain.lab'), 'sts/verified', 'fetched again')
    check_equal(asked[-1], 'mta-sts.second.plain.lab', 'fetched')


if __name__ == '__main__':
    main(setup)
