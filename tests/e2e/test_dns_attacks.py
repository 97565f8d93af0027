#!/usr/bin/python3
# limit: 120
"""O3, O4: names that cost their resolver as much as they can: keys that collide, hashes without end, aliases without end, answers at
the limits, servers that lie. The resolver process stays within bounds, mail for others goes on meanwhile, and mail for such
names waits, with its reason."""
import json
import os
import re

from badnames import KEYS, SIGNATURES, BadNames, Hostile
from gateway import SLUICED, Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from tlshop import Hop, certificates, fingerprint
from zones import A, ANCHOR, NSD, SERVER, STATUS, STUB, TLSA, Answer, Process, Zones

EVIL = ('127.0.0.1', 5302)
GOOD, TLS = '10.9.0.31', '10.9.0.32'
OTHERS = 60
CPU_S = 10  # one answer of trap.lab alone has 9,100 pairs to try, tens of seconds of a core
DEEP = '.'.join('a' * 115)
MANY = ''.join(f'_25._tcp.mx.tlsas TLSA 3 1 1 {n:064x}\n' for n in range(800))  # whose signed form has 58 KiB
OVER = ''.join(f'_25._tcp.mx.toomany TLSA 3 1 1 {n:064x}\n' for n in range(1700))  # more than a message has room for
FULL = ''.join(f'_25._tcp.mx.full TLSA 2 0 0 {n:02x}{"5a" * 15000}\n' for n in range(4))
HOSTILE = ('endless', 'referred', 'deeper', 'truncated', 'other', 'looped', 'short', 'silent')
# domain: what may come of mail for it. One of the absent names with many labels may be hashed to its end within the time.
WAITS = ('deferred 4.4.3',)
STORM = {
    'trap.lab': WAITS, 'mxtrap.trap.lab': WAITS, 'addresstrap.trap.lab': WAITS, 'tlsatrap.trap.lab': ('deferred 4.7.5',),
    'nowhere.dear.lab': ('deferred 4.4.3', 'failed 5.4.4'), 'nowhere.deep.lab': ('deferred 4.4.3', 'failed 5.4.4'),
    'chain.lab': WAITS, 'ring.lab': WAITS, 'overmany.lab': WAITS,
} | {f'{how}.evil.lab': WAITS for how in HOSTILE}
# Afterwards: answers of the largest size are taken, what is over it is no answer, and nothing of the storm is left.
CALM = {'dear.lab': ('delivered',), 'tlsas.lab': ('delivered',), 'full.lab': ('delivered',), 'toomany.lab': ('deferred 4.7.5',),
        'thousand.lab': ('delivered',)}
# What the log says of those that wait for ever: why.
REASONS = {'chain.lab': 'servfail|timeout', 'ring.lab': 'servfail|timeout', 'overmany.lab': 'the answer is too large',
           'silent.evil.lab': 'servfail|timeout', 'toomany.lab': 'servfail|timeout'}
zones = gw = evil = None


def setup(lab):
    global zones, gw, evil
    pairs = certificates(lab)
    trap = (f'@ MX 10 mx\nmx A {GOOD}\nmxtrap MX 10 mx\naddresstrap MX 10 spoilt\nspoilt A {GOOD}\ntlsatrap MX 10 tmx\ntmx A {GOOD}\n'
            f'_25._tcp.tmx TLSA 3 1 1 {"5a" * 32}\n')
    bad = BadNames(lab, trap, [('trap.lab', 'MX'), ('mxtrap.trap.lab', 'MX'), ('spoilt.trap.lab', 'A'), ('_25._tcp.tmx.trap.lab', 'TLSA')],
                   f'@ MX 10 mx\nmx A {GOOD}\nnowhere MX 10 {DEEP}\n', f'nowhere MX 10 {DEEP}\n')
    ours = ''.join(f'g{n} MX 10 mx.g{n}\nmx.g{n} A {GOOD}\n' for n in range(OTHERS))
    ours += ('chain MX 10 ch0\n' + ''.join(f'ch{n} CNAME ch{n + 1}\n' for n in range(60)) + f'ch60 A {GOOD}\nring MX 10 lo0\nlo0 CNAME lo1\nlo1 CNAME lo0\n'
             f'tlsas MX 10 mx.tlsas\nmx.tlsas A {TLS}\n_25._tcp.mx.tlsas TLSA 3 1 1 {fingerprint(pairs.good, "key")}\n{MANY}'
             f'toomany MX 10 mx.toomany\nmx.toomany A {TLS}\n{OVER}full MX 10 mx.full\nmx.full A {TLS}\n{FULL}'
             # Its answer has the addresses and their signatures, too: 64 KiB, of which 22 are of use.
             + ''.join(f'thousand MX {n} mx{n}.thousand\nmx{n}.thousand A {GOOD}\n' for n in range(1000))
             + ''.join(f'overmany MX {n} mx{n}.overmany\n' for n in range(1100)))
    zones = Zones(lab, {'lab': ours + bad.ds}, bad.files)
    evil = Hostile(lab, EVIL)
    hop = Hop(lab, None, 'absent', host=GOOD, port=25)
    tls = Hop(lab, pairs.good, 'starttls', host=TLS, port=25)
    gw = Gateway(lab, dns={'servers': [f'{NSD[0]}:{NSD[1]}'], 'stubs': [f'evil.lab={EVIL[0]}:{EVIL[1]}'], 'trust_anchor': zones.anchor,
                           'timeout': '6s'}, queue={'backoff_min': '1d', 'backoff_max': '2d'},
                 route_default={'host': None, 'private_networks': ['10.9.0.0/24']})
    gw.host_addresses = [f'{HOST_IP}/24', f'{GOOD}/24', f'{TLS}/24']
    gw.start()
    gw.hops = hop, tls


def resolver():
    return int(re.findall(r'resolver process started, pid (\d+)', gw.log())[-1])


def cpu_s(pid):
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def peak_kib(pid):
    with open(f'/proc/{pid}/status') as f:
        return int(re.search(r'VmHWM:\s+(\d+)', f.read())[1])


def outcomes():
    found = {}
    for verb, domain, rest in re.findall(r' (delivered|deferred|failed) id=.*? to=<a@([^>]+)> (.*)', gw.log()):
        code = re.search(r'\b([45]\.\d+\.\d+)\b', re.sub(r'tls=\S+|host=\S+', '', rest))
        found[domain] = verb if verb == 'delivered' else f'{verb} {code[1] if code else "-"}', rest
    return found


def send(domains):
    with Client() as c:
        for domain in domains:
            check_equal(c.deliver('', [f'a@{domain}'], plain(1)).code, 250, domain)


def judged(table):
    wait_until(lambda: table.keys() <= outcomes().keys(), 60, f'an outcome of {sorted(table.keys() - outcomes().keys())}')
    wrong = [f'{domain}: {said}' for domain, said in outcomes().items() if domain in table and said[0] not in table[domain]]
    check(not wrong, '; '.join(wrong))
    untold = [f'{domain}: {outcomes()[domain][1]}' for domain, why in REASONS.items() if domain in table and not re.search(why, outcomes()[domain][1])]
    check(not untold, '; '.join(untold))


def test_all_at_once(lab):
    """Mail for others between them arrives; it does not wait for what the resolver makes of the rest."""
    send(('g0.lab', *STORM, *(f'g{n}.lab' for n in range(1, OTHERS))))
    wait_until(lambda: all(f'g{n}.lab' in outcomes() for n in range(OTHERS)), 60, 'mail for others')
    check_equal({outcomes()[f'g{n}.lab'][0] for n in range(OTHERS)}, {'delivered'}, 'mail for others')
    judged(STORM)
    pid = resolver()
    check(cpu_s(pid) < CPU_S, f'{cpu_s(pid)} s of a core for {KEYS} keys and {SIGNATURES} signatures')
    check(peak_kib(pid) < 256 << 10, f'{peak_kib(pid)} KiB')
    check(evil.heard < 100 * len(HOSTILE), f'{evil.heard} questions to a hostile server')
    check_equal((gw.counter('dns/processes'), gw.counter('dns/processes_lost')), (1, 0), 'resolver processes')
    print(f'# the resolver: {cpu_s(pid):.2f} s of a core, {peak_kib(pid)} KiB; {evil.heard} questions to the hostile server')


def test_afterwards(lab):
    before = cpu_s(resolver())
    send(CALM)
    judged(CALM)
    check(cpu_s(resolver()) - before < CPU_S, 'CPU time')
    check_equal(len(json.loads(gw.ctl('explain', 'x@thousand.lab', '--json'))['host']), 50, 'of 1,000 hosts')
    recipients = [m.recipient for hop in gw.hops for m in hop.messages]
    check_equal(sorted(set(recipients)), sorted([f'a@g{n}.lab' for n in range(OTHERS)] + [f'a@{d}' for d, o in CALM.items() if o == ('delivered',)]),
                'what has arrived')
    check_equal(len(recipients), len(set(recipients)), 'twice')


def test_tcp_that_nobody_answers(lab):
    """Questions that hold a TCP connection each keep nobody else from one."""
    with open(zones.anchor) as f:
        anchor = f.read().split('\n')[1].split(';')[0].strip()
    p = Process(lab, SLUICED, [(SERVER, f'{NSD[0]}@{NSD[1]}'), (ANCHOR, anchor), (STUB, f'evil.lab {EVIL[0]}@{EVIL[1]}')])
    check_equal(p.receive()[0], 4, 'ready')
    before = evil.accepted()
    for n in range(40):
        p.question(100 + n, f'w{n}.truncated.evil.lab', A, timeout_ms=8000)
    wait_until(lambda: evil.accepted() >= before + 20, 5, 'connections')
    p.question(1, '_25._tcp.mx.full.lab', TLSA)
    kind, number, body = p.receive()
    check(number == 1 and Answer(body).is_('ok', True) and len(Answer(body).records) == 4, f'{number}: {Answer(body)}')
    for _ in range(40):
        kind, number, body = p.receive()
        check(100 <= number < 140 and STATUS[Answer(body).status] in ('timeout', 'servfail'), f'{number}: {Answer(body)}')


if __name__ == '__main__':
    main(setup)
