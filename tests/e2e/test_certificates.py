#!/usr/bin/python3
# limit: 90
"""Certificates as files: what --check and a start say of bad ones, and what a running gateway does when they change below it,
without a command, whole, by halves and broken."""
import os
import re
import shutil
import subprocess
import threading

from gateway import SLUICED, Gateway
from harness import check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted
from test_tls import HOST, OTHER, Secure, block, context, make_certificate
import test_tls

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, listener_submissions={'kind': 'submissions', 'port': 'net0', 'tcp_port': 465},
                 certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
                 certificate_rsa=block(make_certificate(lab, 'rsa', 'RSA', HOST)), tls={'certificate_check': '1s'})


def line_of(block_name):
    with open(gw.conf_path) as f:
        return next(n for n, line in enumerate(f, 1) if line.startswith(block_name + ' '))


def said(*arguments):
    """What sluiced says, and its exit status."""
    done = subprocess.run([SLUICED, *arguments, gw.conf_path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30)
    return done.stdout.decode(), done.returncode


def make_expired(lab, name):
    chain, key = lab.path(f'gw/{name}.pem'), lab.path(f'gw/{name}.key')
    request = lab.path(f'gw/{name}.csr')
    run('openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={HOST}',
        '-addext', f'subjectAltName=DNS:{HOST}', '-keyout', key, '-out', request)
    run('openssl', 'x509', '-req', '-in', request, '-signkey', key, '-days', '-1', '-copy_extensions', 'copy', '-out', chain)
    return chain, key


def test_check_says_what_is_wrong(lab):
    ec, rsa = (lab.path('gw/ec.pem'), lab.path('gw/ec.key')), (lab.path('gw/rsa.pem'), lab.path('gw/rsa.key'))
    rubbish, read_by_all, encrypted = lab.path('gw/rubbish'), lab.path('gw/all.key'), lab.path('gw/encrypted.key')
    with open(rubbish, 'w') as f:
        f.write('-----BEGIN CERTIFICATE-----\nrubbish\n')
    os.chmod(rubbish, 0o600)
    shutil.copy(ec[0], no_key := lab.path('gw/no.key'))
    os.chmod(no_key, 0o600)
    shutil.copy(ec[1], read_by_all)
    os.chmod(read_by_all, 0o644)
    run('openssl', 'pkey', '-in', ec[1], '-aes128', '-passout', 'pass:secret', '-out', encrypted)
    os.chmod(encrypted, 0o600)
    check_equal(said('--check'), (f'{gw.conf_path}: ok\n', 0), 'what is said of good ones')
    for pair, key, why in (
            ((ec[0], rsa[1]), 'key', 'the key does not belong to the certificate'),
            ((rubbish, ec[1]), 'chain', 'a certificate in it is damaged'),
            ((ec[1], ec[1]), 'chain', 'holds no certificate'),
            ((ec[0], no_key), 'key', 'no private key could be read'),
            ((ec[0], encrypted), 'key', 'the key is encrypted'),
            ((lab.path('gw/none'), ec[1]), 'chain', f'cannot read {lab.path("gw/none")} (No such file or directory)'),
            ((ec[0], lab.path('gw/none')), 'key', f'cannot read {lab.path("gw/none")} (No such file or directory)'),
            ((ec[0], lab.path('gw')), 'key', f'cannot read {lab.path("gw")} (not a file)'),
            ((ec[0], read_by_all), 'key', f'cannot read {read_by_all} (too many may read or change it: at most mode 640)')):
        gw.change(certificate_ec=block(pair))
        want = f'{gw.conf_path}:{line_of("certificate")}: certificate ec: {key}: {why}\n'
        check_equal(said('--check'), (want, 2), f'what is said of {pair}')
    gw.change(certificate_rsa=block((rubbish, rsa[1])))
    text, status = said('--check')
    check_equal((len(text.splitlines()), status), (2, 2), 'both are told of')
    text, status = said()
    check(status == 2 and ': certificate ec: key: ' in text, f'a start says {text}')
    gw.change(certificate_ec=block(ec), certificate_rsa=block(rsa))


def test_check_authorities(lab):
    """Those that next hops, and clients, are verified by: an error where a level needs them, a warning where some mail may."""
    none, empty = lab.path('gw/none.pem'), lab.path('gw/empty.pem')
    with open(empty, 'w') as f:
        f.write('nothing\n')
    place = rf'^{re.escape(gw.conf_path)}:\d+: '
    for level, word, status in (('verify', '', 2), ('dane', 'warning: ', 0)):
        for path, why in ((none, rf'cannot read {re.escape(none)} \(No such file or directory\)'), (empty, f'there is no certificate in {re.escape(empty)}')):
            gw.change(delivery={'tls': level, 'ca_file': path})
            text, got = said('--check')
            check(got == status and re.search(f'{place}delivery: ca_file: {word}{why}$', text, re.M), f'{level} {path}: {got} {text}')
    gw.change(delivery={'tls': 'dane', 'requiretls': 'opportunistic', 'mta_sts': 'no'})
    check_equal(said('--check'), (f'{gw.conf_path}: ok\n', 0), 'nobody wants them')
    gw.change(delivery=None)


def test_check_warns(lab):
    """What is bad, but better than nothing: an operator hears of it, and a start goes on."""
    gw.change(certificate_ec=block(make_expired(lab, 'expired')))
    text, status = said('--check')
    check_equal(status, 0, 'status of an expired one')
    check('certificate ec: chain: warning: the certificate has expired' in text, f'said {text}')
    other = block(make_certificate(lab, 'other', 'EC', OTHER))
    gw.change(certificate_ec=other, certificate_rsa=other)
    text, status = said('--check')
    check(status == 0 and 'warning: no certificate is for gateway: hostname' in text, f'said {text}')
    gw.change(certificate_ec={'chain': lab.path('gw/ec.pem'), 'key': lab.path('gw/ec.key')},
              certificate_rsa={'chain': lab.path('gw/rsa.pem'), 'key': lab.path('gw/rsa.key')})
    for name, value, why in (('tls_ciphers', 'NOT-A-CIPHER', 'ciphers'), ('tls_ciphersuites', 'TLS_NONE', 'cipher suites'),
                             ('tls_groups', 'X25519:P-999', 'groups')):
        gw.change(listener_submissions={name: value})
        text, status = said('--check')
        check(status == 2 and re.search(rf'^{gw.conf_path}:\d+: listener submissions: tls: the list of .*{why}', text), f'said {text}')
        gw.change(listener_submissions={name: None})


def shown():
    """The certificate that a client sees."""
    with Secure(port=465, start='tls') as c:
        return c.socket.getpeercert(True)


def test_files_change(lab):
    gw.start()
    test_tls.gw, test_tls.far = gw, far
    old = Secure(port=465, start='tls')
    old.hello()
    stop, errors, count = threading.Event(), [], [0]

    def work():
        try:
            while not stop.is_set():
                with Secure() as c:
                    c.hello()
                    count[0] += 1
        except Exception as why:
            errors.append(why)
    thread = threading.Thread(target=work)
    thread.start()
    before = shown()
    make_certificate(lab, 'ec', 'EC', HOST)
    wait_until(lambda: shown() != before, 20, 'the new certificate')
    wait_until(lambda: 'certificate files have changed: loaded' in gw.log(), 10, 'said in the log')
    mark = count[0]
    wait_until(lambda: count[0] > mark + 3 or errors, 30, 'clients go on')
    stop.set()
    thread.join(60)
    check_equal(errors, [], 'errors of clients')
    check_equal(old.deliver('a@client.example', ['b@example.org'], plain(1)).code, 250, 'the connection of the old certificate')
    old.close()


def said_since(mark, text):
    wait_until(lambda: text in gw.log()[mark:], 20, f'in the log: {text}')


def test_half_a_pair(lab):
    """The chain first, then the key: the old pair stays until both match, in either order."""
    for first, second in (('pem', 'key'), ('key', 'pem')):
        before, mark = shown(), len(gw.log())
        chain, key = make_certificate(lab, 'new', 'EC', HOST)
        os.rename(lab.path(f'gw/new.{first}'), lab.path(f'gw/ec.{first}'))
        said_since(mark, 'the key does not belong to the certificate; the old ones stay')
        check_equal(shown(), before, 'the certificate in use')
        os.rename(lab.path(f'gw/new.{second}'), lab.path(f'gw/ec.{second}'))
        wait_until(lambda: shown() != before, 20, 'the new certificate')


def test_broken_files(lab):
    before = shown()
    with open(lab.path('gw/ec.key')) as f:
        good = f.read()

    def put(text, mode=0o600):
        with open(lab.path('gw/ec.key.new'), 'w') as f:
            f.write(text)
        os.chmod(lab.path('gw/ec.key.new'), mode)
        os.rename(lab.path('gw/ec.key.new'), lab.path('gw/ec.key'))
    for change, why in ((lambda: put('rubbish'), 'no private key could be read'),
                        (lambda: put(good, 0o644), 'at most mode 640'),
                        (lambda: os.remove(lab.path('gw/ec.key')), 'No such file or directory')):
        mark = len(gw.log())
        change()
        said_since(mark, why)
        check('; the old ones stay' in gw.log()[mark:], 'said that the old ones stay')
        check_equal(shown(), before, 'the certificate in use')
    mark = len(gw.log())
    put(good, 0o640)
    said_since(mark, 'certificate files have changed: loaded')
    check_equal(shown(), before, 'the certificate in use')
    check_equal(gw.stop(), 0, 'exit status')


def test_a_start_with_an_expired_one(lab):
    gw.change(certificate_ec=block(make_expired(lab, 'expired')))
    gw.start()
    wait_until(lambda: 'certificate ec: it has expired' in gw.log(), 10, 'the warning')
    check_equal(gw.counter('tls/expiry_days'), 0, 'days')
    with Client() as c:
        check_equal(c.command('STARTTLS').code, 220, 'STARTTLS')
        context().wrap_socket(c.socket)
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
