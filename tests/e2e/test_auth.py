#!/usr/bin/python3
# limit: 170
"""Logging in: PLAIN and LOGIN by clients of several makes, users out of files of both forms, where AUTH is not to be had,
limits of failures, files that change, and the death of the process that knows the passwords."""
import base64
import hashlib
import hmac
import os
import re
import signal
import smtplib
import subprocess
import time
import warnings

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, Failed, check, check_equal, die_with_parent, main, wait_until
from mail import Client, plain, split_received
from sinks import Scripted
from test_tls import ENDS, Secure, block, context, end_tls, make_certificate

warnings.simplefilter('ignore', DeprecationWarning)
import crypt  # noqa: E402 (it warns that Python 3.13 has it no more)

HOST = 'mx.gateway.example'
MX, SUBMISSION, SUBMISSIONS, CLEAR, PROXIED = 25, 587, 465, 2587, 26
gw = far = None
SHA512 = '{SHA512-CRYPT}' + crypt.crypt('secret', crypt.mksalt(crypt.METHOD_SHA512, rounds=1000))
BCRYPT = '{BLF-CRYPT}' + crypt.crypt('secret', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))
YESCRYPT = crypt.crypt('secret', '$y$j75$eQsBeAcnOBDtmrhA27O7l.')


def verifier(password, iterations=4096, salt=b'sixteen bytes !!'):
    salted = hashlib.pbkdf2_hmac('sha256', password.encode(), salt, iterations)
    key = hmac.digest(salted, b'Client Key', 'sha256')
    return '{SCRAM-SHA-256}' + ','.join([str(iterations)] + [base64.b64encode(b).decode() for b in (
        salt, hashlib.sha256(key).digest(), hmac.digest(salted, b'Server Key', 'sha256'))])


def write_users(lab, text):
    path = lab.path('gw/users')
    with open(path + '.new', 'w') as f:
        f.write(text)
    os.rename(path + '.new', path)
    return path


def users(more=''):
    return ('# users\n\n' f'alice@example.org|{SHA512}\n' f'bob:{BCRYPT}:1000:1000::/home/bob::userdb_quota_rule=*:storage=5G\n'
            f'carol@example.org:{YESCRYPT}\n' f'gone:{SHA512}:::::: nologin\n' f'sam:{verifier("secret")}\n' + more)


def setup(lab):
    global gw, far
    far = Scripted(lab)

    def listener(port, kind='submission', **more):
        return {'kind': kind, 'port': 'net0', 'tcp_port': port, 'spoof_protection': 'off', **more}
    certificate = make_certificate(lab, 'ec', 'EC', HOST)
    gw = Gateway(lab, listener_submission=listener(SUBMISSION), listener_submissions=listener(SUBMISSIONS, 'submissions'),
                 listener_clear=listener(CLEAR, tls='may', auth_cleartext=True),
                 listener_proxied=listener(PROXIED, 'mx', proxy='required', proxy_from=[f'{HOST_IP}/32']),
                 certificate_ec=block(certificate), relay={'networks': ['10.99.0.0/24'], 'domains': ['example.org']},
                 auth={'backend': 'passwd', 'passwd_file': write_users(lab, users()), 'failure_delay': '300ms',
                       'failures_client': 0, 'failures_login': 0})
    gw.start()


def b64(text):
    return base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def plain_of(login, password, authzid=''):
    return b64(f'{authzid}\0{login}\0{password}')


def offer(reply):
    return [line[4:] for line in reply.lines if line[4:8].upper() == 'AUTH']


class Clear(Client):
    """On the listener that takes passwords in clear, so that each byte can be chosen."""

    def __init__(self, port=CLEAR, **kw):
        super().__init__(port=port, **kw)

    def auth(self, *lines):
        for line in lines:
            reply = self.command(line)
        return reply


def text_of(reply):
    return ' '.join(reply.lines)


def test_a_message_by_smtplib(lab):
    for login, mechanism, make in (
            ('alice@example.org', 'PLAIN', lambda: smtplib.SMTP_SSL(GATEWAY_IP, SUBMISSIONS, context=context(), timeout=30)),
            ('bob', 'LOGIN', lambda: smtplib.SMTP(GATEWAY_IP, SUBMISSION, timeout=30)),
            ('Carol@Example.ORG', 'PLAIN', lambda: smtplib.SMTP(GATEWAY_IP, SUBMISSION, timeout=30))):
        before = len(far.messages)
        with make() as c:
            if not isinstance(c, smtplib.SMTP_SSL):
                c.starttls(context=context())
            c.ehlo()
            check_equal(c.esmtp_features['auth'].split(), ['PLAIN', 'LOGIN'], 'offer')
            c.user, c.password = login, 'secret'
            c.auth(mechanism, c.auth_plain if mechanism == 'PLAIN' else c.auth_login)
            c.sendmail('a@client.example', ['b@far.example'], plain(1))
        far.wait(before + 1)
        match, _ = split_received(far.messages[-1].content)
        check_equal(match.group('with'), b'ESMTPSA', 'protocol')
    wait_until(lambda: 'method=PLAIN login=carol@example.org' in gw.log(), 10, 'the login as its account is spelled')


def swaks(*args):
    done = subprocess.run(['swaks', '--server', GATEWAY_IP, '--from', 'a@client.example', '--to', 'b@far.example', *args],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          preexec_fn=die_with_parent)
    return done.returncode, done.stdout.decode(errors='replace')


def test_swaks(lab):
    for mechanism in ('PLAIN', 'LOGIN'):
        user = ('--auth', mechanism, '--auth-user', 'alice@example.org', '--auth-password')
        status, said = swaks('-p', str(SUBMISSION), '-tls', *user, 'secret')
        check(status == 0, f'{mechanism}: {said[-500:]}')
        status, said = swaks('-p', str(SUBMISSION), '-tls', *user, 'wrong')
        check(status == 28 and '535 5.7.8 Error: authentication failed' in said, f'{mechanism}: {said[-500:]}')


def test_same_answer_for_unknown_and_wrong(lab):
    said = set()
    for login, password in (('alice@example.org', 'wrong'), ('nobody@example.org', 'secret'), ('gone', 'secret')):
        with Clear() as c, Counted(gw, 'auth/refused'):
            start = time.monotonic()
            said.add(text_of(c.auth('AUTH PLAIN ' + plain_of(login, password))))
            check(time.monotonic() - start >= 0.3, 'the refusal was not held back')
    check_equal(said, {'535 5.7.8 Error: authentication failed'}, 'replies')
    wait_until(lambda: re.search(rf'warning: [-._\w]+\[{re.escape(HOST_IP)}\]: SASL (?i:PLAIN|LOGIN) authentication failed: '
                                 r'sasl_username=nobody@example\.org', gw.log()), 10, 'the line that fail2ban knows')
    check('secret' not in gw.log() and b64('secret') not in gw.log(), 'a password in the log')


def test_where_it_is_not_to_be_had(lab):
    with Client() as c:
        check_equal(text_of(c.command('AUTH PLAIN ' + plain_of('bob', 'secret'))), '503 5.5.1 Error: authentication not enabled', 'mx')
        check_equal(offer(c.command('EHLO x.example')), [], 'offer of mx')
    with Client(port=PROXIED, greet=False) as c:
        c.send(b'PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n')
        c.reply()
        check_equal(offer(c.command('EHLO x.example')), [], 'offer of mx behind a proxy')
        check_equal(c.command('AUTH PLAIN ' + plain_of('bob', 'secret')).code, 503, 'mx behind a proxy')
    with Client(port=SUBMISSION, greet=False) as c:
        c.reply()
        check_equal(offer(c.command('EHLO x.example')), [], 'offer before TLS')
        check_equal(text_of(c.command('AUTH PLAIN ' + plain_of('bob', 'secret'))), '530 5.7.0 Must issue a STARTTLS command first',
                    'before TLS')
    with Clear() as c:
        check_equal(offer(c.command('EHLO x.example')), ['AUTH PLAIN LOGIN'], 'offer in clear')
        check_equal(text_of(c.command('MAIL FROM:<a@x.example>')), '530 5.7.0 Authentication required', 'MAIL')


def test_the_order_of_commands(lab):
    with Clear() as c:
        check_equal(c.auth('AUTH PLAIN', plain_of('bob', 'secret')).code, 235, 'AUTH')
        check_equal(text_of(c.auth('AUTH PLAIN ' + plain_of('bob', 'secret'))), '503 5.5.1 Error: already authenticated', 'twice')
        check_equal(c.command('MAIL FROM:<a@x.example> AUTH=<>').code, 250, 'MAIL')
        check_equal(c.command('RSET').code, 250, 'RSET')
        check_equal(c.command('MAIL FROM:<a@x.example> AUTH=a+40b').code, 250, 'MAIL after RSET')
        check_equal(c.command('RCPT TO:<b@anywhere.example>').code, 250, 'RCPT')
        check_equal(text_of(c.auth('AUTH LOGIN')), '503 5.5.1 Error: MAIL transaction in progress', 'in a transaction')
    with Client(port=CLEAR, greet=False) as c:
        c.reply()
        check_equal(c.command('AUTH PLAIN ' + plain_of('bob', 'secret')).code, 503, 'without EHLO')
    with Clear() as c:
        check_equal(c.auth('AUTH PLAIN ' + plain_of('bob', 'secret')).code, 235, 'AUTH')
        check_equal(c.command('STARTTLS').code, 220, 'STARTTLS')
        c.socket = context().wrap_socket(c.socket, server_hostname=HOST)
        c.command('EHLO x.example')
        check_equal(c.command('MAIL FROM:<a@x.example>').code, 530, 'STARTTLS forgets the login')


def test_what_is_no_login(lab):
    secret = plain_of('bob', 'secret')
    for lines, code in ((['AUTH PLAIN !'], 501), (['AUTH PLAIN ' + secret[:-1]], 501), (['AUTH PLAIN ='], 501),
                        (['AUTH PLAIN', '*'], 501), (['AUTH LOGIN', b64('bob'), '*'], 501), (['AUTH PLAIN', ' '], 501),
                        (['AUTH'], 501), (['AUTH CRAM-MD5'], 504), (['AUTH PLAIN ' + secret + ' x'], 501),
                        (['AUTH PLAIN ' + b64('bob\0secret')], 501), (['AUTH PLAIN ' + b64('\0bob\0sec\0ret')], 501),
                        (['AUTH PLAIN ' + plain_of('bob', 'secret', 'alice@example.org')], 535),
                        (['AUTH PLAIN ' + plain_of('', '')], 535), (['AUTH PLAIN ' + plain_of('bob', 'x' * 256)], 535),
                        (['AUTH LOGIN', b64('bob'), ''], 535), (['AUTH LOGIN', '', b64('secret')], 535),
                        (['AUTH LOGIN', b64(b'\xff\xfe'), b64('secret')], 535),
                        (['AUTH PLAIN', 'A' * 65536], 500), (['AUTH PLAIN ' + plain_of('bob', 'secret', 'bob')], 235),
                        (['AUTH LOGIN ' + b64('bob'), b64('secret')], 235), (['auth login', b64('bob'), b64('secret')], 235)):
        with Clear() as c:
            check_equal(c.auth(*lines).code, code, f'{lines}'[:80])
            if code != 235:
                check_equal(c.auth('AUTH LOGIN', b64('bob'), b64('secret')).code, 235, f'a fresh login after {lines}'[:80])


def gsasl(port, mechanism, user, password, *args):
    done = subprocess.run(['gsasl', '--smtp', f'--connect={GATEWAY_IP}:{port}', '-m', mechanism, '-a', user, '-p', password, '-z', user,
                           '--x509-ca-file=', '--no-client-first', '--verbose', *args], input=b'QUIT\n', stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30, preexec_fn=die_with_parent)
    return done.returncode, done.stdout.decode(errors='replace')


def test_scram_by_gsasl(lab):
    gw.change(auth={'mechanisms': ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS']})
    gw.ctl('reload')
    with Clear() as c:
        check_equal(offer(c.command('EHLO x.example')), ['AUTH PLAIN LOGIN SCRAM-SHA-256'], 'offer in clear')
    for mechanism, port, user, password, code in (
            ('SCRAM-SHA-256', CLEAR, 'sam', 'secret', 235), ('SCRAM-SHA-256', SUBMISSION, 'sam', 'wrong', 535),
            ('SCRAM-SHA-256', SUBMISSION, 'nobody', 'secret', 535), ('SCRAM-SHA-256', SUBMISSION, 'bob', 'secret', 535),
            ('SCRAM-SHA-256-PLUS', SUBMISSION, 'sam', 'secret', 235), ('SCRAM-SHA-256-PLUS', SUBMISSION, 'sam', 'wrong', 535),
            ('PLAIN', SUBMISSION, 'sam', 'secret', 235)):
        binding = () if mechanism.endswith('PLUS') else ('--no-cb',)
        _, said = gsasl(port, mechanism, user, password, '--starttls' if port == SUBMISSION else '--no-starttls', *binding)
        check(re.search(rf'^{code} ', said, re.M), f'{mechanism} {user} {password}: {said[-250:]}')
        check_equal('SCRAM-SHA-256-PLUS' in said, port == SUBMISSION, f'offer of -PLUS: {said[-600:]}')
    gw.change(auth={'mechanisms': None})
    gw.ctl('reload')


def test_gone_in_the_middle(lab):
    for lines in (['AUTH LOGIN'], ['AUTH LOGIN', b64('bob')], []):
        with Clear() as c:
            c.auth('NOOP', *lines)
            c.send(('AUTH PLAIN ' if not lines else '').encode() + plain_of('bob', 'secret').encode() + b'\r\n')
    with Clear() as c:
        check_equal(c.auth('AUTH PLAIN ' + plain_of('bob', 'secret')).code, 235, 'AUTH')


def test_tls_ends_in_the_middle(lab):
    """Where a response should come, or in the middle of it: what follows in clear is none."""
    accepted = gw.counter('auth/accepted')
    whole = plain_of('alice@example.org', 'secret')
    for end, counter in ENDS.items():
        for first in ('', whole[:9]):
            with Counted(gw, counter), Secure(SUBMISSIONS, 'implicit') as c:
                c.hello()
                check_equal(c.command('AUTH PLAIN').code, 334, 'AUTH')
                if first:
                    c.send(first.encode())
                end_tls(c, end, f'{whole[len(first):]}\r\nMAIL FROM:<alice@example.org>\r\n'.encode())
    wait_until(lambda: gw.counter('conn/inbound') == 0, 10, 'all ended')
    check_equal(gw.counter('auth/accepted'), accepted, 'logins')


def test_files_that_change(lab):
    dave = f'dave:{SHA512}\n'
    with Counted(gw, 'auth/loaded'):
        write_users(lab, users(dave))
    with Clear() as c:
        check_equal(c.auth('AUTH PLAIN ' + plain_of('dave', 'secret')).code, 235, 'a new user')
    for broken, why in ((users('eve:{PLAIN}secret\n'), r'users:\d+: scheme PLAIN'), (users(dave + 'eve\n'), r'users:\d+: neither'),
                        (users(dave + 'DAVE|' + SHA512), 'stands twice'),
                        (users(f'eve:{SHA512}::::::allow_nets=127.0.0.1\n'), 'allow_nets')):
        with Counted(gw, 'auth/not_loaded'):
            write_users(lab, broken)
            gw.ctl('reload')
        wait_until(lambda: re.search(why, gw.log()), 10, why)
        with Clear() as c:
            check_equal(c.auth('AUTH PLAIN ' + plain_of('dave', 'secret')).code, 235, 'the old file stays')
    with Counted(gw, 'auth/loaded'):
        write_users(lab, users())
    with Clear() as c:
        check_equal(c.auth('AUTH PLAIN ' + plain_of('dave', 'secret')).code, 535, 'a user that is gone')


def role_pid():
    """The process of the accounts: the one in this gateway's namespace."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                named = f.read().rstrip(b'\0').split(b'\0')[1:] == [b'--role=auth']
            if named and os.readlink(f'/proc/{pid}/ns/net') == os.readlink(f'/proc/{gw.process.pid}/ns/net'):
                return int(pid)
        except OSError:
            continue
    raise Failed('there is no process of the accounts')


def test_its_process_dies(lab):
    pid = role_pid()
    with open(f'/proc/{pid}/status') as f:
        status = f.read()
    check('NoNewPrivs:\t1' in status and re.search(r'Seccomp:\t2', status), 'its sandbox')
    with Clear() as waiting:
        check_equal(waiting.auth('AUTH LOGIN', b64('bob')).code, 334, 'a login under way')
        with Counted(gw, 'auth/lost'):
            os.kill(pid, signal.SIGKILL)
        check_equal(text_of(waiting.auth(b64('secret'))), '454 4.7.0 Temporary authentication failure', 'the login under way')
        check_equal(waiting.command('NOOP').code, 250, 'the session goes on')

    def logs_in():
        with Clear() as c:
            return c.auth('AUTH PLAIN ' + plain_of('bob', 'secret')).code == 235
    wait_until(logs_in, 15, 'another process')
    check('auth_restarts 1' in gw.ctl('status'), 'status')


def test_limits(lab):
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(auth={'failures_client': 3, 'failures_login': 2, 'failure_delay': '50ms'})
    gw.start()
    bad = 'AUTH PLAIN ' + plain_of('bob', 'wrong')
    with Clear() as c:
        check_equal(c.auth('AUTH PLAIN ' + plain_of('alice@example.org', 'secret')).code, 235, 'AUTH')
    with Clear() as c, Counted(gw, 'auth/limited_login'):
        check_equal([c.auth(bad).code for _ in range(2)], [535, 535], 'failures')
        check_equal(c.auth('AUTH PLAIN ' + plain_of('bob', 'secret')).code, 454, 'a login that is being guessed')
        check_equal(text_of(c.auth('AUTH PLAIN ' + plain_of('bob', 'wrong'))),
                    '421 4.7.0 Error: too many authentication failures', 'one too many')
        check(c.closed(), 'closed')
    with Clear() as c, Counted(gw, 'auth/limited_client'):
        check_equal(c.auth('AUTH PLAIN ' + plain_of('alice@example.org', 'secret')).code, 421, 'the client is not listened to')
    check_equal(gw.stop(), 0, 'exit status')


def test_bad_files_at_the_start(lab):
    write_users(lab, 'alice:{PLAIN}secret\n')
    gw.launch()
    check_equal(gw.wait(), 2, 'exit status')
    wait_until(lambda: re.search(r'sluice\.conf:\d+: auth: passwd_file: \S+/users:1: scheme PLAIN is not taken', gw.log()), 10, 'why')
    check_equal(gw.log().count('alice:'), 0, 'the line itself')
    os.unlink(lab.path('gw/users'))
    gw.launch()
    check_equal(gw.wait(), 2, 'exit status')


if __name__ == '__main__':
    main(setup)
