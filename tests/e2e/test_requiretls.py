#!/usr/bin/python3
# limit: 110
"""REQUIRETLS and "TLS-Required: no" (RFC 8689) to signed and unsigned next hops, over several of them, through a crash; and
hosts that refuse whoever talks to them."""
import re

from dsn import Report
from gateway import Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted
from test_tls import HOST, Secure, block, make_certificate
from tlshop import Hop, certificates, fingerprint
from zones import NSD, Zones

# Addresses 10.9.0.41 and on; the domain d<name>.lab has the host as its only MX.
HOSTS = {'ee': 'starttls', 'named': 'starttls', 'wrong': 'starttls', 'bad': 'starttls', 'strip': 'absent', 'refuse': 'refuse',
         'quiet': 'quiet', 'greet': 'greet554', 'greet4': 'greet450', 'ehlo': 'ehlo554', 'garb': 'garbage', 'down': None}
ADDRESS = {name: f'10.9.0.{41 + i}' for i, name in enumerate(HOSTS)}
PAIRS = {'dpair': ('quiet', 'ee'), 'dsoft': ('down', 'quiet'), 'dlast': ('quiet', 'strip'), 'dgreets': ('greet', 'ee'),
         'dgreets4': ('greet4', 'ee'), 'dehlos': ('ehlo', 'ee'), 'dgreetsoft': ('down', 'greet'), 'dboth': ('greet', 'ehlo')}
OTHERS = {'dopp': 'quiet', 'dstart': 'strip', 'dstart2': 'quiet', 'dnever': 'ee', 'donly': 'strip', 'dencrypt': 'strip'}
LAB = ''.join(f'{name} A {address}\n{"d" + name} MX 10 {name}\n' for name, address in ADDRESS.items()) \
    + ''.join(f'{name} MX 10 {first}\n{name} MX 20 {second}\n' for name, (first, second) in PAIRS.items()) \
    + ''.join(f'{name} MX 10 {host}\n' for name, host in OTHERS.items())
gw = reports = None
hops = {}
NO = b'TLS-Required: No\r\n'


def setup(lab):
    global gw, reports
    pairs = certificates(lab)
    zones = Zones(lab, {'lab': LAB, 'plain.lab': 'd MX 10 named.lab.\ndee MX 10 ee.lab.\n'})
    good, wrong = fingerprint(pairs.good, 'key'), '5a' * 32
    zones.records = {f'_25._tcp.{name}.lab': ['3 1 1 ' + (wrong if name == 'bad' else good)]
                     for name in ('ee', 'bad', 'strip', 'refuse', 'quiet', 'garb')}
    zones.publish('_25._tcp.greet.lab', ['3 1 1 ' + good])
    for name, mode in HOSTS.items():
        if mode is not None:
            hops[name] = Hop(lab, pairs.named if name == 'named' else pairs.good, mode, host=ADDRESS[name], port=25)
    reports = Scripted(lab, mode='rcpt')
    keep = {'dopp': 'opportunistic', 'dstart': 'starttls', 'dstart2': 'starttls', 'dnever': 'disable'}
    gw = Gateway(lab, dns={'servers': [f'{NSD[0]}:{NSD[1]}'], 'trust_anchor': zones.anchor, 'timeout': '5s'},
                 delivery={'ca_file': pairs.ca}, queue={'backoff_min': '20s', 'backoff_max': '20s'},
                 relay={'networks': ['10.9.0.0/24']}, smtp={'client_idle': '0', 'client_connect_timeout': '3s'},
                 route_default={'host': None, 'private_networks': ['10.9.0.0/24']},
                 **{'route_client.example': {'host': f'{HOST_IP}:2525'}},
                 **{f'destination_{d}.lab': {'tls': 'dane', 'requiretls': word} for d, word in keep.items()},
                 **{'destination_donly.lab': {'tls': 'dane-only'}, 'destination_dencrypt.lab': {'tls': 'encrypt'}},
                 certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)))
    gw.host_addresses = [f'{HOST_IP}/24'] + [f'{address}/24' for address in ADDRESS.values()]
    gw.start()


def attempt(domain, mail=' REQUIRETLS', content=None, sender='s@client.example'):
    """Sends a message inside TLS; what the log says that its first attempt came to, and its number."""
    with Secure() as c:
        c.hello()
        reply = c.deliver(sender, [f'b@{domain}'], content or plain(1), mail)
        check_equal(reply.code, 250, f'{reply}')
    number = reply.text.split()[-1]
    line = wait_until(lambda: re.findall(rf' (delivered|deferred|failed) id={number} .*?to=<b@{re.escape(domain)}> (.*)', gw.log()), 40, domain)
    return *line[0], number


def row(domain, what, *words, mail=' REQUIRETLS', content=None, sender='s@client.example'):
    got, said, number = attempt(domain, mail, content, sender)
    check_equal(got, what, f'{domain}: {said}')
    check(all(w in said for w in words), f'{domain}: {said}, not {words}')
    if what == 'deferred':
        gw.ctl('queue', 'delete', number)
    if what != 'failed':
        return number
    report = Report(wait_until(lambda: [m for m in reports.to('s@client.example') if f'b@{domain}'.encode() in m.content], 30, 'report')[-1])
    check_equal(report.one()['Status'], words[0], f'{domain}: Status')
    return report


def test_kept(lab):
    """By its TLSA records; by its name, where the MX set is signed and the level asks for less."""
    row('dee.lab', 'delivered', 'tls=dane/verified requiretls=yes')
    row('dnamed.lab', 'delivered', 'tls=verify/verified requiretls=yes')
    for name in ('ee', 'named'):
        check([m.mail for m in hops[name].messages][-1].endswith(' REQUIRETLS'), f'{hops[name].messages}')
    row('dnamed.lab', 'delivered', 'tls=may/untrusted', mail='')


def test_not_kept(lab):
    """O10: each reason its code; the report quotes nothing of the message; nothing of it was told to the host."""
    for domain, code in (('dwrong', '5.7.10'), ('dbad', '5.7.10'), ('drefuse', '5.7.10'), ('dgarb', '5.7.10'), ('dstrip', '5.7.30'),
                         ('dquiet', '5.7.30'), ('d.plain', '5.7.10'), ('dee.plain', '5.7.10'), ('dlast', '5.7.')):
        report = row(f'{domain}.lab', 'failed', code if domain != 'dlast' else '5.7.30')
        check_equal(report.types, ['text/plain', 'message/delivery-status'], f'{domain}: parts')
    for name in ('wrong', 'bad', 'strip', 'refuse', 'quiet', 'garb'):
        check(all('MAIL' not in s.commands for s in hops[name].sessions), f'MAIL to {name}')
    said = gw.ctl('explain', 'b@d.plain.lab')
    check(re.search(r'requiretls proof=- enhanced=5\.7\.10: REQUIRETLS: the MX records are not signed', said), said)


def test_the_next_host(lab):
    row('dpair.lab', 'delivered', 'host=ee.lab', 'requiretls=yes')
    check(re.search(r' next_host id=\S+ relay=\S+ code=550 host=quiet\.lab tls=dane/verified requiretls=no 5\.7\.30 ', gw.log()), 'log')
    row('dsoft.lab', 'deferred', 'host=down.lab')


def test_policies(lab):
    row('dopp.lab', 'delivered', 'requiretls=no')
    row('dstart2.lab', 'delivered', 'requiretls=no')
    row('dstart.lab', 'failed', '5.7.30')
    row('dnever.lab', 'delivered', 'requiretls=no')
    check(not hops['ee'].messages[-1].mail.endswith('REQUIRETLS'), 'disable')


def test_null_sender(lab):
    row('dquiet.lab', 'delivered', 'requiretls=no', sender='')
    row('dee.lab', 'delivered', 'requiretls=yes', sender='')


def test_tls_optional(lab):
    """The policy of the recipient's domain is passed over, the operator's level is not, nor REQUIRETLS."""
    content = b'Subject: x\r\n' + NO + b'\r\nyour certificate is wrong\r\n'
    row('dbad.lab', 'delivered', 'tls=may/untrusted', mail='', content=content)
    check(NO in hops['bad'].messages[-1].content, 'passed on')
    row('dstrip.lab', 'delivered', 'tls=may/clear', mail='', content=content)
    row('donly.lab', 'deferred', 'tls=dane-only/failed', mail='', content=content)
    row('dencrypt.lab', 'deferred', '4.7.4', mail='', content=content)
    row('dstrip.lab', 'failed', '5.7.30', content=content)
    for other in (NO + NO, b'TLS-Required: yes\r\n', b'X-' + NO):
        row('dstrip.lab', 'deferred', '4.7.4', mail='', content=other + b'\r\nhi\r\n')
    report = row('dboth.lab', 'failed', '5.3.2', mail='', content=content)
    check_equal(report.message['TLS-Required'], 'No', 'in the report')


def test_optional_survives(lab):
    """Over a crash, and in a header section over several buffers of the spool."""
    content = (b'X-Filler: ' + b'x' * 900 + b'\r\n') * 40 + NO + b'\r\nhi\r\n'
    _, _, number = attempt('ddown.lab', '', content)
    check('> tls_optional\n' in gw.ctl('queue', 'show', number), 'queue show')
    kept = attempt('ddown.lab')[2]
    gw.kill()
    gw.start()
    check('> tls_optional\n' in gw.ctl('queue', 'show', number) and '> requiretls\n' in gw.ctl('queue', 'show', kept), 'after the crash')
    plain_hop = Hop(lab, None, 'absent', host=ADDRESS['down'], port=25)
    gw.ctl('queue', 'flush', '--all')
    wait_until(lambda: f'finished id={number}' in gw.log() and f'finished id={kept}' in gw.log(), 40, 'both')
    check_equal([m.content.endswith(b'\r\nhi\r\n') for m in plain_hop.messages], [True], 'what has left in clear')
    plain_hop.end()


def test_hosts_that_refuse_all(lab):
    """5xx or 4xx in place of a greeting, 5xx to EHLO and HELO: the next host; for good only when all say so."""
    for domain in ('dgreets', 'dgreets4', 'dehlos'):
        row(f'{domain}.lab', 'delivered', 'host=ee.lab', mail='')
    check(re.search(r' info next_host id=\S+ relay=\S+ code=554 host=greet\.lab 5\.3\.2 no mail here', gw.log()), 'log')
    row('dboth.lab', 'failed', '5.3.2', mail='')
    row('dgreet.lab', 'failed', '5.3.2', mail='')
    row('dgreetsoft.lab', 'deferred', 'host=down.lab', mail='')
    row('dgreet4.lab', 'deferred', '4.3.2', mail='')
    check_equal(gw.stop(), 0, 'status')


if __name__ == '__main__':
    main(setup)
