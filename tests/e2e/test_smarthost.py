#!/usr/bin/python3
# limit: 150
"""A smarthost: real Postfix that lets in who has logged in, its passwords in real Dovecot; and next hops that take
little: 7-bit mail, few recipients, few messages."""
import email
import os
import re
import stat
import subprocess

from gateway import SLUICED, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, main, wait_until
from mail import Client
from postfix import Postfix
from sinks import Scripted, Session
from test_auth_dovecot import CONF, Dovecot
from test_tls import make_certificate

OPEN, CLOSED, TLS, IMPLICIT, FAR, SMALL, FEW, SEVEN = 2526, 2527, 2528, 2529, 2530, 2531, 2532, 2533
MECHANISMS = ('SCRAM-SHA-256', 'CRAM-MD5', 'PLAIN', 'LOGIN')
PASSWORD = 'se=cret, really'
NAME = 'smart.example'
gw = far = small = few = postfix = None


class Few(Scripted):
    """Counts what LIMITS are about: recipients of each transaction, transactions of each session."""

    def __init__(self, lab, **kw):
        self.transactions = []
        super().__init__(lab, mode='rcpt', **kw)

    def serving(self, reader, writer):
        session = FewSession(self, reader, writer)
        session.mine = []
        self.transactions.append(session.mine)
        return session


class FewSession(Session):
    async def data(self):
        self.mine.append(len(self.recipients))
        return await super().data()


class Users(Dovecot):
    def __init__(self, lab):
        super().__init__(lab)
        with open(self.dir + '/users', 'w') as f:
            f.write(f'bob:{{PLAIN}}{PASSWORD}::::::\n')
        with open(self.dir + '/conf', 'w') as f:
            f.write(CONF.format(dir=self.dir).replace('disable_plaintext_auth = yes', 'disable_plaintext_auth = no')
                    .replace('auth_mechanisms = plain login', 'auth_mechanisms = plain login cram-md5'))


def password_file(lab, name, text, mode=0o640):
    path = lab.path(name)
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def route(port, login=None, **more):
    return {'host': f'{HOST_IP}:{port}', **({'auth_user': 'bob', 'auth_password_file': login} if login else {}), **more}


def setup(lab):
    global gw, far, small, few, postfix
    dovecot = Users(lab)
    dovecot.start()
    far = Scripted(lab, port=FAR)
    small = Scripted(lab, port=SMALL, offers=('PIPELINING', 'SIZE 100000'))
    few = Few(lab, port=FEW, offers=('PIPELINING', '8BITMIME', 'LIMITS RCPTMAX=2 MAILMAX=2'))
    chain, key = make_certificate(lab, 'smart', 'EC', NAME)
    postfix = Postfix(lab, listen={
        f'{HOST_IP}:{OPEN}': [], f'{HOST_IP}:{CLOSED}': ['-o', 'smtpd_tls_security_level=may', '-o', 'smtpd_tls_auth_only=yes'],
        f'{HOST_IP}:{TLS}': ['-o', 'smtpd_tls_security_level=encrypt'], f'{HOST_IP}:{IMPLICIT}': ['-o', 'smtpd_tls_wrappermode=yes'],
        f'{HOST_IP}:{SEVEN}': ['-o', 'smtpd_discard_ehlo_keywords=8bitmime,chunking,smtputf8', '-o', f'mynetworks={GATEWAY_IP}/32',
                               '-o', 'smtpd_relay_restrictions=permit_mynetworks,reject'],
    }, main={
        'smtpd_sasl_auth_enable': 'yes', 'smtpd_sasl_type': 'dovecot', 'smtpd_sasl_path': dovecot.socket(),
        'smtpd_sasl_security_options': 'noanonymous', 'smtpd_relay_restrictions': 'permit_sasl_authenticated, reject',
        'mynetworks': '', 'relayhost': f'[{HOST_IP}]:{FAR}', 'smtpd_tls_cert_file': chain, 'smtpd_tls_key_file': key,
    })
    good, bad = password_file(lab, 'good', PASSWORD + '\n'), password_file(lab, 'bad', 'wrong-PASSWORD')
    prep = password_file(lab, 'prep', PASSWORD.replace(' ', '\u00a0'))  # as some keyboards write it
    routes = {f'route_{m.lower()}.example': route(OPEN, good, auth_cleartext=True, auth_mechanisms=[m]) for m in MECHANISMS}
    gw = Gateway(lab, relay={'networks': [f'{HOST_IP}/32']},
                 **routes, **{
                     'route_default': route(FAR),
                     'route_any.example': route(OPEN, good, auth_cleartext=True),
                     'route_prep.example': {**route(OPEN, prep, auth_cleartext=True), 'auth_user': '\u24d1ob'},
                     'route_seven.example': route(SEVEN),
                     'route_wrong.example': route(OPEN, bad, auth_cleartext=True, auth_mechanisms=['PLAIN']),
                     'route_clear.example': route(OPEN, good),
                     'route_closed.example': route(CLOSED, good, auth_cleartext=True, tls='none'),
                     'route_nobody.example': route(OPEN),
                     'route_small.example': route(SMALL), 'route_few.example': route(FEW)})
    gw.bad = bad
    postfix.start()
    gw.start()


def send(domain, content=b'Subject: x\r\n\r\nhello\r\n.dots\r\n', to=('u',), options=''):
    with Client() as c:
        c.expect(c.command(f'MAIL FROM:<alice@client.example>{options}'), 250)
        for user in to:
            c.expect(c.command(f'RCPT TO:<{user}@{domain}>'), 250)
        c.expect(c.command('DATA'), 354)
        c.send(content.replace(b'\r\n.', b'\r\n..') + b'.\r\n')
        return c.expect(c.reply(), 250)


def deferred(domain, words, advice):
    """The mail waits; the reason stands in its line, what to change in another."""
    send(domain)

    def logged():
        lines = [line for line in gw.log().split('\n') if f'@{domain}' in line and words in line]
        return any('deferred' in line for line in lines)
    wait_until(logged, 20, f'{domain}: deferred with "{words}"')
    wait_until(lambda: f'route {domain}: {advice}' in gw.log(), 10, f'the advice "{advice}"')
    check('@' + domain not in [line for line in gw.log().split('\n') if 'failed ' in line], f'{domain}: the mail has not failed')


def arrived(sink, address, seconds=30):
    wait_until(lambda: sink.to(address), seconds, f'mail for {address}')
    return sink.to(address)[0]


def test_mechanisms(lab):
    before = gw.counter('smtp_client/chunked')
    for m in MECHANISMS:
        send(f'{m.lower()}.example')
    send('any.example')
    for m in MECHANISMS:
        arrived(far, f'u@{m.lower()}.example')
        check(re.search(rf'sasl_method={m}, sasl_username=bob', postfix.log()), f'{m}: Postfix logged it')
    check(b'\r\nhello\r\n.dots\r\n' in arrived(far, 'u@any.example').content, 'the content')
    check_equal(len(re.findall('sasl_method=SCRAM-SHA-256, ', postfix.log())), 2, 'the strongest is taken where all are there')
    check_equal(gw.counter('smtp_client/auth_ok'), 5, 'logins')
    check_equal(gw.counter('smtp_client/chunked') - before, 5, 'messages by BDAT')


def test_saslprep(lab):
    """User and password as RFC 4013 has them, whatever they were typed with."""
    send('prep.example')
    arrived(far, 'u@prep.example')


def test_a_login_is_the_sessions(lab):
    """Mail that needs no login never goes over a connection that has one: refused by Postfix, for good."""
    send('nobody.example')
    wait_until(lambda: re.search(r'failed .*code=554 to=<u@nobody\.example>.*denied', gw.log()), 20, 'a refusal')
    check(not far.to('u@nobody.example'), 'nothing arrived')


def test_wrong_password(lab):
    deferred('wrong.example', '4.7.8 AUTH refused: 535 5.7.8', 'the login was refused: check auth_user and auth_password_file')
    status = gw.ctl('status')
    with open(gw.bad, 'w') as f:
        f.write(PASSWORD)
    gw.ctl('reload')
    arrived(far, 'u@wrong.example')
    for text in (gw.log(), str(status), str(gw.ctl('queue', 'list', '--all', '--json'))):
        check('wrong-PASSWORD' not in text and PASSWORD not in text, 'no password is told')


def test_no_auth_in_clear(lab):
    deferred('clear.example', '4.7.11 No AUTH over a connection that is not encrypted', 'AUTH is not done in clear: give the route TLS')
    check('AUTH' not in ''.join(line for line in postfix.log().split('\n') if 'clear.example' in line), 'nothing of it was sent')


def test_auth_not_offered(lab):
    deferred('closed.example', '4.7.0 The server does not offer AUTH', 'the next hop offers no AUTH: many do so inside TLS alone')


def test_password_files(lab):
    """--check and a reload tell what is wrong with one, and the reload changes nothing."""
    settings = gw.blocks['route wrong.example']
    good = settings['auth_password_file']
    cases = ((password_file(lab, 'open', 'x', 0o644), 'too many may read or change it'),
             (password_file(lab, 'writable', 'x', 0o660), 'too many may read or change it'),
             (password_file(lab, 'two', 'x\ny\n'), 'it has to be one line'), (password_file(lab, 'none', '\n'), 'it has to be one line'),
             (password_file(lab, 'long', 'x' * 256), 'it has to be one line'), (lab.path('missing'), 'No such file'),
             (lab.path(''), 'not a file'))
    for path, why in cases:
        gw.change(**{'route_wrong.example': {'auth_password_file': path.rstrip('/')}})
        checked = subprocess.run([SLUICED, '--check', gw.conf_path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        said = checked.stdout.decode()
        check(checked.returncode == 2 and 'route wrong.example: auth_password_file: ' in said and why in said, f'{why}: {said}')
        # The opener has the paths of the start, and those below the directory of the configuration.
        refused = gw.ctl('reload', ok=(0, 1))
        check('auth_password_file: cannot read' in str(refused) and 'the old configuration stays' in str(refused), str(refused))
    gw.change(**{'route_wrong.example': {'auth_password_file': good}})
    check_equal(stat.S_IMODE(os.stat(good).st_mode), 0o640, 'mode')
    gw.ctl('reload')


MIXED = ('From: a@client.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n'
         '--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n.\r\n..punkt\r\n'
         '--b\r\nContent-Type: text/plain\r\n\r\nplain\r\n--b--\r\n')


def parts(content):
    return [p.get_payload(decode=True).replace(b'\r\n', b'\n').rstrip(b'\n') for p in email.message_from_bytes(content).walk() if not p.is_multipart()]


def test_converted(lab):
    for to, options in (('declared', ' BODY=8BITMIME'), ('silent', '')):
        send('small.example', MIXED.encode(), (to,), options)
        got = arrived(small, f'{to}@small.example')
        check(got.content.isascii() and 'BODY' not in str(got.options), f'7-bit: {got.content!r}')
        check_equal(parts(got.content), parts(MIXED.encode()), 'decoded')
    large = MIXED.encode().replace(b'plain\r\n--b--', ('Zeile mit Umlaut ä und mehr\r\n' * 3000).encode() + b'--b--')
    send('small.example', large, ('large',))
    got = arrived(small, 'large@small.example')
    check_equal(parts(got.content), parts(large), 'a large one, over several buffers')
    check_equal(gw.counter('smtp_client/converted'), 3, 'converted')


def test_seven_bit_postfix(lab):
    """O10: a Postfix without 8BITMIME, CHUNKING and SMTPUTF8: converted, by DATA; what needs SMTPUTF8 fails with 5.6.7."""
    before = gw.counter('smtp_client/chunked')
    send('seven.example', MIXED.encode(), ('converted',), ' BODY=8BITMIME')
    got = arrived(far, 'converted@seven.example')
    check(got.content.isascii(), f'7-bit: {got.content!r}')
    check_equal(parts(got.content), parts(MIXED.encode()), 'decoded')
    send('seven.example', 'Subject: ä\r\n\r\nx\r\n'.encode(), ('header',), ' SMTPUTF8')
    wait_until(lambda: re.search('failed .*header@seven.example.*5.6.7 ', gw.log()), 20, 'header: 5.6.7')
    wait_until(lambda: any(b'<header@seven.example>' in m.content for m in far.to('alice@client.example')), 20, 'header: the notice')
    send('seven.example', to=('plain',))  # what is converted never goes by BDAT; this would
    arrived(far, 'plain@seven.example')
    check_equal(gw.counter('smtp_client/chunked'), before, 'by BDAT')


def test_ascii_goes_as_it_is(lab):
    """Declared, but not needed: neither BODY nor SMTPUTF8 stands in the way."""
    content = b'Subject: plain\r\n\r\nnothing but ASCII\r\n'
    before = gw.counter('smtp_client/utf8_spared')  # notices of failures count, too
    send('small.example', content, ('ascii',), ' BODY=8BITMIME SMTPUTF8')
    got = arrived(small, 'ascii@small.example')
    check(got.content.endswith(content) and 'UTF8' not in str(got.options), f'{got.options} {got.content!r}')
    check_equal(gw.counter('smtp_client/utf8_spared') - before, 1, 'spared')


def test_not_converted(lab):
    """Signed mail, and all of it where the operator says so, goes back with a reason."""
    signed = MIXED.replace('multipart/mixed', 'multipart/signed')
    send('small.example', signed.encode(), ('signed',))
    wait_until(lambda: re.search('failed .*signed@small.example.*5.6.3 Message is 8-bit and signed', gw.log()), 20, 'signed: 5.6.3')
    send('small.example', 'Subject: ä\r\n\r\nx\r\n'.encode(), ('header',), ' SMTPUTF8')
    wait_until(lambda: re.search('failed .*header@small.example.*5.6.7 ', gw.log()), 20, 'header: 5.6.7')
    gw.change(delivery={'eightbit': 'bounce'})
    gw.ctl('reload')
    send('small.example', MIXED.encode(), ('bounced',))
    wait_until(lambda: re.search('failed .*bounced@small.example.*5.6.3 ', gw.log()), 20, 'bounced: 5.6.3')
    send('small.example', b'Subject: x\r\n\r\nplain\r\n', ('plain',))
    arrived(small, 'plain@small.example')
    check(not small.to('bounced@small.example') and not small.to('signed@small.example'), 'nothing of it was sent')
    gw.change(delivery={'eightbit': 'convert'})
    gw.ctl('reload')


def test_limits(lab):
    """A job of seven is four transactions of two sessions; each recipient has its own result, once."""
    to = ('u1', 'perm-2', 'u3', 'u4', 'temp-5', 'u6', 'u7')
    send('few.example', to=to)
    for user in ('u1', 'u3', 'u4', 'u6', 'u7'):
        arrived(few, f'{user}@few.example')
        check_equal(len(few.to(f'{user}@few.example')), 1, f'copies for {user}')
    wait_until(lambda: re.search('failed .*perm-2@few.example', gw.log()) and re.search('deferred .*temp-5@few.example', gw.log()), 20,
               'their results')
    first = [t for t in few.transactions if t][:2]
    check(all(len(t) <= 2 and max(t) <= 2 for t in few.transactions if t), f'limits kept: {few.transactions}')
    check_equal(sum(map(sum, first)), 5, f'recipients that were taken: {few.transactions}')
    check_equal(few.faults, [], 'faults')
    check(gw.counter('smtp_client/limited') >= 1, 'counted')
    for user in ('u1', 'u3', 'u4', 'u6', 'u7'):
        check_equal(len(few.to(f'{user}@few.example')), 1, f'copies for {user}, later')


def test_inside_tls(lab):
    """By STARTTLS and from the first byte: the same login, without auth_cleartext."""
    good = gw.blocks['route any.example']['auth_password_file']
    gw.change(**{'route_starttls.example': route(TLS, good, tls='starttls'),
                 'route_implicit.example': route(IMPLICIT, good, tls='implicit')})
    gw.ctl('reload')
    for domain in ('starttls.example', 'implicit.example'):
        send(domain)
        arrived(far, f'u@{domain}')
        check(re.search('sasl_method=SCRAM-SHA-256, sasl_username=bob', postfix.log()), f'{domain}: logged in')


def test_tls_failures(lab):
    """Untrusted certificate; a server without STARTTLS: the mail waits, the log says what to change, and no password was
    sent."""
    good = gw.blocks['route any.example']['auth_password_file']
    gw.change(**{'route_untrusted.example': route(TLS, good, verify=True),
                 'route_nostarttls.example': route(OPEN, good, auth_cleartext=True), 'destination_nostarttls.example': {'tls': 'encrypt'}})
    gw.ctl('reload')
    before = gw.counter('smtp_client/auth_ok')
    for domain, words, advice in (('untrusted.example', '4.7.5', 'its certificate is not what is asked for: see delivery: ca_file'),
                                  ('nostarttls.example', '4.7.4 TLS is required, but the server does not offer it',
                                   'the next hop does no STARTTLS: tls = implicit')):
        send(domain)
        wait_until(lambda: re.search(f'deferred .*u@{domain}.*{words}', gw.log()), 20, f'{domain} deferred')
        wait_until(lambda: f'route {domain}: {advice}' in gw.log(), 20, f'{domain}: what to change')
        check(not far.to(f'u@{domain}'), 'nothing arrived')
    check_equal(gw.counter('smtp_client/auth_ok'), before, 'logins')


if __name__ == '__main__':
    main(setup)
