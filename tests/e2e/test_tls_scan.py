#!/usr/bin/python3
# limit: 300
"""What listeners offer and what not; and what scanners say of the three ports of mail, with --long: sslscan and testssl.sh. No
finding of weight, but for those that are listed here with the reason why they do not apply."""
import json
import os
import re
import subprocess
import threading
import xml.etree.ElementTree as xml

from gateway import Gateway
from harness import GATEWAY_IP, LONG, check, check_equal, die_with_parent, find_program, main, run
from sinks import Scripted
from test_tls import HOST, block, make_certificate

PORTS = {25: 'mx', 465: 'submissions', 587: 'submission'}
PICKY = 466  # a listener with lists of its own
# Ids of testssl.sh whose findings of MEDIUM and worse do not apply, and why.
DO_NOT_APPLY = {
    'cert_chain_of_trust': 'the certificate of this test is self-signed',
    'cert_trust': 'likewise, and it is asked for by address',
    'cert_caIssuers': 'likewise',
    'cert_revocation': 'likewise: there is nobody who would revoke it',
}
# What a whole report tells of, whatever it is.
LOOKED_AT = ('TLS1_3', 'TLS1_2', 'heartbleed', 'ROBOT', 'secure_client_renego', 'secure_renego', 'CRIME_TLS', 'BEAST', 'LUCKY13',
             'cert_commonName', 'PFS', 'fallback_SCSV', 'SWEET32', 'FREAK', 'DROWN', 'LOGJAM')
WEIGHT = ('MEDIUM', 'HIGH', 'CRITICAL', 'FATAL')
gw = None


def setup(lab):
    global gw
    Scripted(lab)
    listeners = {f'listener_p{port}': {'kind': kind, 'port': 'net0', 'tcp_port': port} for port, kind in PORTS.items()}
    gw = Gateway(lab, certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
                 certificate_rsa=block(make_certificate(lab, 'rsa', 'RSA', HOST)))
    listeners['listener_picky'] = {'kind': 'submissions', 'port': 'net0', 'tcp_port': PICKY, 'tls_groups': 'P-384:P-256',
                                   'tls_ciphers': 'ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384',
                                   'tls_ciphersuites': 'TLS_AES_256_GCM_SHA384'}
    gw.change(listener_mx=None, smtp={'errors': 1000}, **listeners)
    gw.start()


def s_client(*args, text='QUIT\n', port=465):
    done = subprocess.run(['openssl', 's_client', '-connect', f'{GATEWAY_IP}:{port}', '-crlf', *args], input=text.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, preexec_fn=die_with_parent)
    return done.stdout.decode(errors='replace')


def cipher_of(said):
    """Of a handshake; None: there was none."""
    found = re.search(r'^New, (\S+), Cipher is (\S+)$', said, re.M)
    return found.groups() if found and found[2] != '(NONE)' else None


def test_lists_of_a_listener(lab):
    """Versions, ciphers and groups are each listener's own; the server's order decides."""
    for arguments, picky, default in (
            (('-tls1_3',), ('TLSv1.3', 'TLS_AES_256_GCM_SHA384'), ('TLSv1.3', 'TLS_AES_128_GCM_SHA256')),
            (('-tls1_3', '-ciphersuites', 'TLS_CHACHA20_POLY1305_SHA256'), None, ('TLSv1.3', 'TLS_CHACHA20_POLY1305_SHA256')),
            (('-tls1_2', '-cipher', 'ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305'),
             ('TLSv1.2', 'ECDHE-RSA-CHACHA20-POLY1305'), ('TLSv1.2', 'ECDHE-RSA-CHACHA20-POLY1305')),
            (('-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), None, ('TLSv1.2', 'ECDHE-RSA-AES128-GCM-SHA256')),
            (('-tls1_2', '-cipher', 'AES128-SHA:DHE-RSA-AES128-GCM-SHA256'), None, None),
            (('-groups', 'X25519'), None, ('TLSv1.3', 'TLS_AES_128_GCM_SHA256')), (('-groups', 'P-521'), None, None),
            (('-groups', 'P-256'), ('TLSv1.3', 'TLS_AES_256_GCM_SHA384'), ('TLSv1.3', 'TLS_AES_128_GCM_SHA256')),
            (('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'), None, None)):
        for port, want in ((PICKY, picky), (465, default)):
            check_equal(cipher_of(s_client(*arguments, port=port)), want, f'{arguments} on {port}')
    for port, groups, temporary in ((PICKY, 'P-256:P-384', 'secp384r1'), (465, 'P-384:P-256:X25519', 'X25519')):
        said = s_client('-tls1_2', '-groups', groups, port=port)
        check(re.search(f'Server Temp Key: .*{temporary}', said), f'group on {port}: {said[-900:]}')


def test_what_is_not_there(lab):
    """Renegotiation by the client, early data, tickets where none are set. (OpenSSL as Debian has it cannot offer compression:
    tests/unit/test_tls_domain.c puts that into a client's words.)"""
    said = s_client('-tls1_2', text='R\nQUIT\n')
    check('RENEGOTIATING' in said and 'no renegotiation' in said, f'renegotiation: {said[-400:]}')
    said = s_client('-tls1_2', '-ign_eof')
    check('Secure Renegotiation IS supported' in said, f'said {said[-900:]}')
    said = s_client('-tls1_3', '-ign_eof')
    check('Early data was not sent' in said and 'New Session Ticket' not in said, f'said {said[-900:]}')
    check(gw.alive(), 'the gateway runs')


def with_sslscan(lab):
    program = find_program('sslscan', 'tests/run --long e2e brings it')
    for port in PORTS:
        report = lab.path(f'sslscan-{port}.xml')
        run(program, f'--xml={report}', '--no-colour', f'--sni-name={HOST}', *(() if port == 465 else ('--starttls-smtp',)),
            f'{GATEWAY_IP}:{port}', timeout=120)
        test = xml.parse(report).getroot().find('ssltest')
        on = {(p.get('type') + p.get('version')) for p in test.iter('protocol') if p.get('enabled') == '1'}
        check_equal(on, {'tls1.2', 'tls1.3'}, f'versions on {port}')
        for one, attribute in (('renegotiation', 'supported'), ('heartbleed', 'vulnerable')):  # Debian's cannot see compression
            seen = [e.get(attribute) for e in test.iter(one)]
            check(seen and set(seen) == {'0'}, f'{port}: {one} {attribute} {seen}')
        ciphers = [(c.get('sslversion'), c.get('cipher'), int(c.get('bits')), c.get('strength')) for c in test.iter('cipher')]
        check({v for v, *_ in ciphers} == {'TLSv1.2', 'TLSv1.3'}, f'ciphers {ciphers}')
        for version, cipher, bits, strength in ciphers:
            check(bits >= 128 and strength in ('strong', 'acceptable') and cipher.startswith(('TLS_', 'ECDHE-')),
                  f'{port}: {version} {cipher} {bits} {strength}')
        groups = [g.get('name') for g in test.iter('group')]
        check(groups and set(groups) <= {'x25519', 'X25519', 'secp256r1 (NIST P-256)', 'secp384r1 (NIST P-384)'}, f'{port}: groups {groups}')


def testssl(lab, port):
    """Its findings, as a list."""
    program = find_program('testssl', 'tests/run --long e2e brings it')
    etc = program.replace('/bin/testssl', '/etc/testssl')
    # It wants one program that asks the DNS, of which it has nothing to ask.
    os.makedirs(lab.path('tools'), exist_ok=True)
    with open(lab.path('tools/drill'), 'w') as f:
        f.write('#!/bin/sh\nexit 1\n')
    os.chmod(lab.path('tools/drill'), 0o755)
    report = lab.path(f'testssl-{port}.json')
    env = dict(os.environ, PATH=f'{lab.path("tools")}:{os.path.dirname(program)}:/usr/bin:/bin:/usr/sbin:/sbin')
    if os.path.isdir(etc):
        env['TESTSSL_INSTALL_DIR'] = etc
    done = subprocess.run([program, '--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none', '--jsonfile', report,
                           *(() if port == 465 else ('-t', 'smtp')), f'{GATEWAY_IP}:{port}'], stdin=subprocess.DEVNULL, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=900, preexec_fn=die_with_parent)
    with open(lab.path(f'testssl-{port}.txt'), 'wb') as f:
        f.write(done.stdout)
    try:
        with open(report) as f:
            return json.load(f)
    except (OSError, ValueError):
        raise AssertionError(f'no report of {port}: {done.stdout[-1500:].decode(errors="replace")}')


def with_testssl(lab):
    found, errors = {}, []

    def scan(port):
        try:
            found[port] = testssl(lab, port)
        except BaseException as why:
            errors.append(why)
    threads = [threading.Thread(target=scan, args=(port,)) for port in PORTS]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    weighty, unseen = [], []
    for port, findings in found.items():
        names = {re.split(r'[ <]', f['id'])[0] for f in findings}
        unseen += [(port, one) for one in LOOKED_AT if one not in names]
        weighty += [(port, f['id'], f['severity'], f['finding']) for f in findings if f['severity'] in WEIGHT
                    and re.split(r'[ <]', f['id'])[0] not in DO_NOT_APPLY]
        print(f'# {port}: {len(findings)} findings, of which LOW: '
              f'{[(f["id"], f["finding"]) for f in findings if f["severity"] == "LOW"]}', flush=True)
    check_equal(weighty, [], 'findings')
    check_equal(unseen, [], 'what it did not look at')
    check(gw.alive(), 'the gateway runs')


if LONG:
    test_sslscan, test_testssl = with_sslscan, with_testssl


if __name__ == '__main__':
    main(setup)
