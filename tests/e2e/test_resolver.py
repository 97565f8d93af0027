#!/usr/bin/python3
# limit: 120
"""The resolver process against a real nsd: what is secure, insecure, forged, absent, broken, never answered; its rights; its
death. And the one who asks at each start: control, whose TLSA records are published, and whether they fit."""
import os
import re
import signal
import subprocess
import time

from gateway import SLUICED, Gateway
from harness import check, check_equal, main, run, wait_until
from zones import A, AAAA, ANCHOR, CNAME, MX, NSD, SERVER, SILENT, STUB, TLSA, TXT, Answer, Process, Silent, Zones, STATUS

zones = silent = gw = None


def setup(lab):
    global zones, silent
    zones, silent = Zones(lab), Silent(lab)


def settings(*more):
    with open(zones.anchor) as f:
        anchor = f.read().split('\n')[1].split(';')[0].strip()
    return [(SERVER, f'{NSD[0]}@{NSD[1]}'), (ANCHOR, anchor), (STUB, f'silent.lab {SILENT[0]}@{SILENT[1]}'), *more]


def start(lab, *more):
    p = Process(lab, SLUICED, settings(*more))
    check_equal(p.receive()[0], 4, 'ready')
    return p


def test_what_answers_mean(lab):
    p = start(lab)
    for name, kind, status, secure, records, canonical in (
            ('a.lab', A, 'ok', True, 1, ''), ('a.lab', AAAA, 'ok', True, 1, ''), ('lab', MX, 'ok', True, 2, ''),
            ('text.lab', TXT, 'ok', True, 1, ''), ('many.lab', A, 'ok', True, 199, ''),
            ('alias.lab', A, 'ok', True, 1, 'a.lab'), ('alias.lab', CNAME, 'ok', True, 1, ''),
            ('out.lab', A, 'ok', False, 1, 'a.plain.lab'), ('out.lab', CNAME, 'ok', True, 1, ''),
            ('a.lab', TLSA, 'nodata', True, 0, ''), ('nobody.lab', A, 'nxdomain', True, 0, ''),
            ('a.plain.lab', A, 'ok', False, 1, ''), ('nobody.plain.lab', A, 'nxdomain', False, 0, ''),
            ('a.plain.lab', TLSA, 'nodata', False, 0, ''),
            ('a.bogus.lab', A, 'bogus', False, 0, ''), ('_25._tcp.mx.bogus.lab', TLSA, 'bogus', False, 0, ''),
            ('nobody.bogus.lab', A, 'bogus', False, 0, ''),
            ('a.broken.lab', A, 'servfail', False, 0, ''), ('elsewhere.example', A, 'servfail', False, 0, '')):
        got = p.ask(name, kind)
        check(got.is_(status, secure) and len(got.records) == records and (status != 'ok' or got.canonical == canonical),
              f'{name} {kind}: {got}, not {status} secure={secure}')
    got = p.ask('a.lab', A)
    check_equal(got.records, [bytes([192, 0, 2, 1])], 'address')
    check(got.ttl <= 1, f'ttl {got.ttl}')
    check_equal(p.ask('text.lab', TXT).records, [b'\x03one\x03two'], 'text')
    check('signature' in p.ask('a.bogus.lab', A).why or p.ask('a.bogus.lab', A).why != '', 'no reason for bogus')


def test_answers_at_the_limits(lab):
    """O3: aliases in a ring, 20 of them in a chain, 1,000 addresses and more, TXT of 50 KiB."""
    p = start(lab)
    for name, kind, status, records in (
            ('loop.lab', A, 'servfail', 0), ('c0.lab', A, 'servfail', 0), ('c15.lab', A, 'ok', 1),
            ('thousand.lab', A, 'ok', 1000), ('more.lab', A, 'failed', 0), ('wide.lab', TXT, 'ok', 250)):
        got = p.ask(name, kind)
        check((STATUS[got.status], len(got.records)) == (status, records), f'{name}: {STATUS[got.status]} {len(got.records)} {got.why}')


def test_no_answer_in_time(lab):
    p = start(lab)
    started = time.monotonic()
    got = p.ask('x.silent.lab', A, timeout_ms=700)
    check(got.is_('timeout'), f'{got}')
    check(time.monotonic() - started < 20, 'the deadline did not hold')
    # Many at a time, which nobody answers, keep nobody else waiting.
    for i in range(200):
        p.question(100 + i, f'n{i}.silent.lab', A, timeout_ms=2000)
    p.question(1, 'a.lab', A)
    kind, number, body = p.receive()
    check(kind == 6 and number == 1 and Answer(body).is_('ok', True), f'{kind} {number}')
    for _ in range(200):
        kind, number, body = p.receive()
        check(100 <= number < 300 and Answer(body).is_('timeout'), f'{number}: {Answer(body)}')


def test_its_rights(lab):
    p = start(lab)
    check(p.ask('a.lab', A).is_('ok', True), 'answer')
    with open(f'/proc/{p.child.pid}/status') as f:
        status = dict(line.split(':\t', 1) for line in f.read().splitlines() if ':\t' in line)
    check_equal(status['Uid'].split(), ['65534'] * 4, 'user')
    check_equal((status['Seccomp'], status['NoNewPrivs'], int(status['CapEff'], 16)), ('2', '1', 0), 'seccomp, rights')
    check_equal(status['Groups'].strip(), '', 'groups')
    fds = [os.readlink(f'/proc/{p.child.pid}/fd/{fd}') for fd in os.listdir(f'/proc/{p.child.pid}/fd')]
    check(all(target.startswith(('socket:', 'pipe:', 'anon_inode:', '/dev/null')) or target == os.readlink('/proc/self/fd/2')
              or target == os.readlink('/proc/self/fd/1') for target in fds), f'open: {fds}')
    p.socket.close()
    check_equal(p.child.wait(timeout=20), 0, 'end with its socket')


def test_settings_and_messages_refused(lab):
    for key, text in ((ANCHOR, 'lab. IN DS nonsense'), (SERVER, 'not-an-address'), (STUB, 'zone')):
        p = Process(lab, SLUICED, [(key, text)])
        kind, _, why = p.receive()
        check_equal(kind, 5, f'{text}: refused')
        check(len(why) > 5, 'no reason')
        check(p.child.wait(timeout=20) != 0, 'it goes on')
    for kind, body in ((9, b''), (3, b'\1\0\1\0\0\0a b'), (3, b''), (1, bytes([SERVER]) + b'192.0.2.1'), (2, b''), (6, b'x')):
        p = start(lab)
        p.send(kind, 1, body)
        check_equal(p.child.wait(timeout=20), 0, f'end after message {kind} {body!r}')


# ---- the gateway ----

def certificate(lab, name, host):
    chain, key = lab.path(f'gw/{name}.pem'), lab.path(f'gw/{name}.key')
    os.makedirs(os.path.dirname(chain), exist_ok=True)
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={host}',
        '-addext', f'subjectAltName=DNS:{host}', '-days', '90', '-keyout', key + '.new', '-out', chain + '.new')
    os.rename(chain + '.new', chain)
    os.rename(key + '.new', key)
    return {'chain': chain, 'key': key}


def key_digest(chain):
    """As an operator computes it."""
    public = subprocess.run(f'openssl x509 -in {chain} -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum', shell=True,
                            stdout=subprocess.PIPE, check=True).stdout
    return public.decode().split()[0]


def state(name='ec'):
    found = re.search(rf'^certificate {name} .* tlsa=(\S+) ', gw.ctl('status'), re.M)
    return found.group(1) if found else ''


def reaches(wanted, name='ec'):
    wait_until(lambda: state(name) == wanted, 30, f'tlsa={wanted}, not {state(name)}')


def resolver_pid():
    return int(re.findall(r'resolver process started, pid (\d+)', gw.log())[-1])


def heard(host):
    """The question, or the part of it that a resolver tells first (RFC 9156)."""
    return any(name.endswith(host) for name in silent.heard)


def rename_host(host):
    """Another name to the world, and so other records; returns what the log says from there on."""
    gw.change(gateway={'hostname': host})
    before = len(gw.log())
    gw.ctl('reload')
    return lambda: gw.log()[before:]


def test_records_that_do_not_fit(lab):
    global gw
    pair = certificate(lab, 'ec', 'mx.lab')
    digest = key_digest(pair['chain'])
    zones.publish('_25._tcp.mx.lab', ['3 1 1 ' + '5a' * 32, '3 1 2 ' + 'a5' * 64])
    gw = Gateway(lab, gateway={'hostname': 'mx.lab'}, certificate_ec=pair,
                 dns={'servers': [f'{NSD[0]}:{NSD[1]}'], 'stubs': [f'silent.lab={SILENT[0]}:{SILENT[1]}'],
                      'trust_anchor': zones.anchor, 'timeout': '5s'}).start()
    reaches('mismatch')
    wait_until(lambda: f'to publish: TLSA 3 1 1 {digest}' in gw.log(), 10, 'what to publish')
    check(re.search(r'warning certificate ec: no TLSA record at _25\._tcp\.mx\.lab fits \(no match\)', gw.log()), gw.log()[-600:])
    check_equal(gw.counter('tls/tlsa_mismatch'), 1, 'counter')
    check_equal(gw.counter('dns/secure'), 1, 'counter')


def test_records_that_fit(lab):
    digest = key_digest(gw.blocks['certificate ec']['chain'])
    zones.publish('_25._tcp.mx.lab', ['3 1 1 ' + '5a' * 32, '3 1 1 ' + digest])
    wait_until(lambda: 'certificate ec: a TLSA record at _25._tcp.mx.lab fits it now' in gw.log(), 30, 'asked again by itself')
    check_equal((state(), gw.counter('tls/tlsa_mismatch')), ('match', 0), 'state, counter')
    log = rename_host('mx.lab')
    reaches('match')
    check('TLSA' not in log(), f'warned: {log()}')


def test_after_a_new_certificate(lab):
    pair = certificate(lab, 'ec', 'mx.lab')
    gw.ctl('reload')
    reaches('mismatch')
    wait_until(lambda: f'to publish: TLSA 3 1 1 {key_digest(pair["chain"])}' in gw.log(), 10, 'what to publish')


def test_records_that_mean_nothing(lab):
    zones.records['_25._tcp.mx.plain.lab'] = ['3 1 1 ' + '5a' * 32]
    zones.publish('_25._tcp.old.lab', ['1 1 1 ' + '5a' * 32, '0 0 1 ' + '5a' * 32])
    for host, wanted, said in (('none.lab', 'none', None), ('mx.plain.lab', 'unsigned', 'are not signed'),
                               ('old.lab', 'unusable', 'usages 2 and 3'), ('mx.bogus.lab', 'unknown', 'bogus'),
                               ('mx.broken.lab', 'unknown', 'servfail')):
        log = rename_host(host)
        reaches(wanted)
        if said:
            wait_until(lambda: said in log(), 10, f'{host}: {said}')
        check('to publish' not in log(), f'{host}: {log()}')
        check_equal(gw.counter('tls/tlsa_mismatch'), 0, f'{host}: counter')
    check(gw.counter('dns/bogus') >= 1 and gw.counter('dns/servfail') >= 1 and gw.counter('dns/insecure') >= 1, 'counters')


def test_killed_while_it_asks(lab):
    log = rename_host('mx.silent.lab')
    wait_until(lambda: heard('mx.silent.lab'), 20, 'the question')
    first = resolver_pid()
    silent.heard.clear()
    silent.answers = True
    os.kill(first, signal.SIGKILL)
    reaches('none')  # asked again by the next one, and answered
    check(resolver_pid() != first, 'no other process')
    wait_until(lambda: 'resolver process ended; questions to be asked again: 1' in log(), 10, f'the log: {log()}')
    check_equal(gw.counter('dns/processes_lost'), 1, 'counter')


def test_hangs_while_it_asks(lab):
    silent.answers = False
    silent.heard.clear()
    first = resolver_pid()
    gw.change(dns={'timeout': '1s'})
    log = rename_host('deaf.silent.lab')
    wait_until(lambda: heard('deaf.silent.lab'), 20, 'the question')
    os.kill(first, signal.SIGSTOP)
    try:
        reaches('unknown')
        wait_until(lambda: 'are not known: timeout' in log(), 10, 'the log')
        wait_until(lambda: 'resolver process does not answer' in log(), 20, 'given up')
        silent.answers = True
        rename_host('deaf.silent.lab')
        reaches('none')
        check(resolver_pid() != first, 'no other process')
    finally:
        os.kill(first, signal.SIGCONT)
    wait_until(lambda: not os.path.exists(f'/proc/{first}'), 20, 'the old one ends')


def test_other_settings(lab):
    """A reload with other servers: the process that is there is replaced; a wrong file changes nothing."""
    first = resolver_pid()
    bad = lab.path('gw/bad.ds')
    with open(bad, 'w') as f:
        f.write('; comment\nlab. IN DS what\n')
    gw.change(dns={'trust_anchor': bad})
    said = gw.ctl('reload', ok=(0, 1))
    check('bad.ds:2: must have three numbers' in said, said)
    check_equal(gw.ctl('status').count('hostname deaf.silent.lab'), 1, 'the old configuration')
    gw.change(dns={'trust_anchor': zones.anchor, 'stubs': []}, gateway={'hostname': 'none.lab'})
    gw.ctl('reload')
    reaches('none')
    wait_until(lambda: resolver_pid() != first, 20, 'another process')
    check(gw.alive(), 'the gateway')
    pid = resolver_pid()
    check_equal(gw.stop(), 0, 'status')
    wait_until(lambda: not os.path.exists(f'/proc/{pid}'), 20, 'the resolver ends with the gateway')


def test_a_start_with_a_wrong_file(lab):
    gw.change(dns={'trust_anchor': lab.path('gw/bad.ds')})
    before = gw.launch()
    check_equal(gw.wait(), 2, 'status')
    check('dns: trust_anchor:' in gw.log()[before:] and 'bad.ds:2: must have' in gw.log()[before:], gw.log()[before:])


if __name__ == '__main__':
    main(setup)
