#!/usr/bin/python3
# limit: 120
"""Submission beyond passwords: EXTERNAL by client certificates, XCLIENT from a proxy, limits by login, what mail programs
send, and clients that go away in the middle of it."""
import os
import socket
import ssl

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, main, run, wait_until
from mail import Client, plain, split_received, stuffed
from sinks import Scripted
from test_auth import SHA512, b64, offer, plain_of, swaks, write_users
from test_tls import Secure, block, context, make_certificate, s_client

HOST = 'mx.gateway.example'
MX, SUBMISSION, SUBMISSIONS, PROXY_TLS, CLEAR = 25, 587, 465, 1465, 2587
gw = far = None


class Authority:
    """A certificate authority of the lab; issue makes a pair for mail addresses."""

    def __init__(self, lab, name, kind='EC'):
        self.lab, self.name = lab, name
        self.chain, self.key = lab.path(f'gw/{name}.pem'), lab.path(f'gw/{name}.key')
        os.makedirs(os.path.dirname(self.chain), exist_ok=True)
        new = ('ec', '-pkeyopt', 'ec_paramgen_curve:P-384') if kind == 'EC' else ('rsa:2048',)
        run('openssl', 'req', '-x509', '-newkey', *new, '-nodes', '-subj', f'/CN={name}',
            '-addext', 'basicConstraints=critical,CA:true', '-keyout', self.key, '-out', self.chain)

    def issue(self, name, *addresses, usage='clientAuth', days=30):
        path = self.lab.path(f'gw/{self.name}-{name}')
        names = ','.join(f'email:{a}' for a in addresses) or 'DNS:client.example'
        with open(path + '.ext', 'w') as f:
            f.write(f'subjectAltName={names}\nextendedKeyUsage={usage}\n')
        run('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', f'/CN={name}',
            '-keyout', path + '.key', '-out', path + '.csr')
        run('openssl', 'x509', '-req', '-in', path + '.csr', '-CA', self.chain, '-CAkey', self.key, '-set_serial', '7',
            '-days', str(days), '-extfile', path + '.ext', '-out', path + '.pem')
        return path + '.pem', path + '.key'


def setup(lab):
    global gw, far, ours, foreign
    far = Scripted(lab)
    ours, foreign = Authority(lab, 'ours'), Authority(lab, 'foreign', 'RSA')

    def listener(port, kind='submission', **more):
        return {'kind': kind, 'port': 'net0', 'tcp_port': port, 'repair': 'no', **more}
    proxy = {'xclient_networks': [f'{HOST_IP}/32']}
    gw = Gateway(lab, listener_mx={**listener(MX, 'mx', **proxy), 'repair': 'auto'},
                 listener_submission=listener(SUBMISSION, tls_client_ca=ours.chain, spoof_protection='login'),
                 listener_submissions=listener(SUBMISSIONS, 'submissions', tls_client_ca=ours.chain, tls_min='1.3',
                                               spoof_protection='login'),
                 listener_clear=listener(CLEAR, tls='none', auth_cleartext=True, spoof_protection='login', **proxy),
                 certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
                 relay={'networks': ['10.99.0.0/24'], 'domains': ['example.org']},
                 recipient={'accounts': [write_users(lab, USERS)]},
                 limits={'login_message_rate': 20, 'login_recipient_rate': 40, 'exempt_networks': []},
                 auth={'backend': 'passwd', 'passwd_file': lab.path('gw/users'), 'failure_delay': '100ms',
                       'failures_client': 0, 'failures_login': 0})
    gw.start()


USERS = ''.join(f'{name}@example.org:{SHA512}\n' for name in ('alice', 'carol', 'quick', 'many'))


def with_certificate(pair, maximum=None):
    c = context(maximum)
    if pair is not None:
        c.load_cert_chain(*pair)
    return c


def secure(pair, port=SUBMISSIONS, **kw):
    start = 'implicit' if port == SUBMISSIONS else 'starttls'
    return Secure(port, start, ctx=with_certificate(pair, **kw))


def test_external(lab):
    pair = ours.issue('alice', 'alice@example.org')
    for port, maximum in ((SUBMISSIONS, None), (SUBMISSION, None), (SUBMISSION, ssl.TLSVersion.TLSv1_2)):
        before = len(far.messages)
        with Counted(gw, 'auth/certificates'), secure(pair, port, maximum=maximum) as c:
            check_equal(offer(c.hello()), ['AUTH PLAIN LOGIN EXTERNAL'], 'offer')
            check_equal(c.command('AUTH EXTERNAL =').code, 235, 'EXTERNAL')
            reply = c.command('MAIL FROM:<carol@example.org>')
            check_equal(f'{reply.code} {reply.text}', '553 5.7.1 <carol@example.org>: Sender address rejected: not owned by user '
                        'alice@example.org', "another's address")
            check_equal(c.deliver('alice@example.org', ['b@far.example'], plain(1)).code, 250, 'message')
            far.wait(before + 1)
            check_equal(split_received(far.messages[-1].content)[0].group('with'), b'ESMTPSA', 'protocol')
    for lines, code in ((['AUTH EXTERNAL', ''], 235), (['AUTH EXTERNAL ' + b64('alice@example.org')], 235),
                        (['AUTH EXTERNAL ' + b64('carol@example.org')], 535), (['AUTH EXTERNAL', '*'], 501),
                        (['AUTH EXTERNAL ' + b64('a\0b')], 501), (['AUTH PLAIN ' + plain_of('carol@example.org', 'secret')], 235)):
        with secure(pair) as c:
            c.hello()
            for line in lines:
                reply = c.command(line)
            check_equal(reply.code, code, f'{lines}')
    wait_until(lambda: 'method=EXTERNAL login=alice@example.org' in gw.log(), 10, 'the login in the log')


def test_certificates_that_say_nothing(lab):
    for what, pair in (('none', None), ('a foreign authority', foreign.issue('alice', 'alice@example.org')),
                       ('no address', ours.issue('nameless')),
                       ('two addresses', ours.issue('two', 'alice@example.org', 'carol@example.org')),
                       ("a server's", ours.issue('server', 'alice@example.org', usage='serverAuth')),
                       ('expired', ours.issue('old', 'alice@example.org', days=-1))):
        for port in (SUBMISSIONS, SUBMISSION):
            with secure(pair, port) as c:
                check_equal(offer(c.hello()), ['AUTH PLAIN LOGIN'], f'{what}: offer')
                check_equal(c.command('AUTH EXTERNAL =').code, 504, f'{what}: EXTERNAL')
                check_equal(c.command('AUTH PLAIN ' + plain_of('alice@example.org', 'secret')).code, 235, f'{what}: password')
    with secure(ours.issue('nobody', 'nobody@example.org')) as c:
        check_equal(offer(c.hello()), ['AUTH PLAIN LOGIN EXTERNAL'], 'offer')
        check_equal(c.command('AUTH EXTERNAL =').code, 535, 'a certificate without an account')
    said = s_client('-starttls', 'smtp', port=MX)
    check('Acceptable client certificate CA names' not in said and 'No client certificate CA names sent' in said,
          f'a certificate is asked for on mx: {said[-500:]}')
    said = s_client('-starttls', 'smtp', port=SUBMISSION)
    check('CN = ours' in said.split('Acceptable client certificate CA names')[1], f'names: {said[-500:]}')


def test_authorities_are_loaded_anew(lab):
    pair, own = foreign.issue('alice', 'alice@example.org'), ours.issue('alice', 'alice@example.org')
    with open(foreign.chain) as f, open(ours.chain) as g:
        old = g.read()
        both = old + f.read()
    try:
        for text, code in ((both, 235), (old, 504)):
            with open(ours.chain + '.new', 'w') as f:
                f.write(text)
            os.rename(ours.chain + '.new', ours.chain)
            gw.ctl('reload')
            with secure(pair) as c:
                c.hello()
                check_equal(c.command('AUTH EXTERNAL =').code, code, 'EXTERNAL after a reload')
        with open(ours.chain, 'w') as f:
            f.write('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
        check('tls_client_ca has a certificate that cannot be read' in gw.ctl('reload', ok=(1,)), 'what a reload says')
        with secure(own) as c:
            check('EXTERNAL' in offer(c.hello())[0], 'the old authorities stay')
    finally:
        with open(ours.chain, 'w') as f:
            f.write(old)


def xclient(c, text):
    c.send(f'XCLIENT {text}\r\n'.encode())
    return c.reply()


def test_xclient(lab):
    with Counted(gw, 'proxy/xclient', 3), Client(port=MX) as c:
        check(any('XCLIENT NAME ADDR' in line for line in c.command('EHLO p.example').lines), 'offer')
        check_equal(xclient(c, 'ADDR=203.0.113.9 NAME=client.example PORT=4711').code, 220, 'XCLIENT')
        check_equal(c.command('MAIL FROM:<a@x.example>').code, 503, 'the session has begun anew')
        c.command('EHLO client.example')
        before = len(far.messages)
        check_equal(c.deliver('a@x.example', ['alice@example.org'], plain(1)).code, 250, 'message')
        far.wait(before + 1)
        match, _ = split_received(far.messages[-1].content)
        check_equal((match.group('client'), match.group('helo')), (b'203.0.113.9', b'client.example'), 'who sent it')
        c.command('MAIL FROM:<a@x.example>')
        check_equal(c.command('RCPT TO:<b@far.example>').code, 554, 'relaying for the client')
        c.command('RSET')
        check_equal(xclient(c, 'ADDR=10.99.0.77').code, 220, "a client in relay: networks, by the proxy's word")
        c.command('EHLO client.example')
        c.command('MAIL FROM:<a@x.example>')
        check_equal(c.command('RCPT TO:<b@far.example>').code, 554, 'by its address alone it has no rights')
        c.command('RSET')
        check_equal(xclient(c, 'ADDR=IPV6:2001:db8::7 LOGIN=alice@example.org').code, 501, 'nobody logs in on mx')
        check_equal(xclient(c, 'ADDR=IPV6:2001:db8::7').code, 220, 'IPv6')
        wait_until(lambda: '2001:db8::7' in gw.log(), 10, 'the address in the log')


def test_xclient_login(lab):
    with Client(port=CLEAR) as c:
        check_equal(xclient(c, 'ADDR=203.0.113.9 LOGIN=alice@example.org HELO=client.example').code, 220, 'XCLIENT')
        check_equal(c.command('MAIL FROM:<carol@example.org>').code, 553, 'an address of another login')
        check_equal(c.command('MAIL FROM:<alice@example.org>').code, 250, 'its own')
        check_equal(c.command('RCPT TO:<b@far.example>').code, 250, 'anywhere')
        c.command('RSET')
        check_equal(xclient(c, 'ADDR=203.0.113.9').code, 220, 'another client')
        c.command('EHLO client.example')
        check_equal(c.command('MAIL FROM:<alice@example.org>').code, 530, 'who is not logged in')
    status, said = swaks('-p', str(CLEAR), '--xclient', 'ADDR=203.0.113.9 NAME=client.example LOGIN=alice@example.org',
                         '--from', 'alice@example.org')
    check(status == 0, f'swaks: {said[-500:]}')


def test_xclient_from_anybody(lab):
    with Secure(SUBMISSION) as c:
        check(not any('XCLIENT' in line for line in c.hello().lines), 'offer')
        check_equal(c.command('XCLIENT ADDR=203.0.113.9').code, 502, 'XCLIENT')


def test_limits_by_login(lab):
    """Real logins: what one has used up the other has not, from the same client."""
    def login(name):
        c = Client(port=CLEAR)
        check_equal(c.command('AUTH PLAIN ' + plain_of(f'{name}@example.org', 'secret')).code, 235, 'AUTH')
        return c
    with login('quick') as c, login('quick') as d, login('carol') as other, Counted(gw, 'limits/login_messages', 2):
        said = []
        for i in range(22):
            said.append((d if i % 2 else c).command('MAIL FROM:<quick@example.org>').code)
            (d if i % 2 else c).command('RSET')
        check_equal(said, [250] * 20 + [450] * 2, 'messages of one login over two connections')
        check_equal(other.command('MAIL FROM:<carol@example.org>').code, 250, 'another login')
    with login('many') as c, Counted(gw, 'limits/login_recipients', 3):
        c.command('MAIL FROM:<many@example.org>')
        check_equal([c.command(f'RCPT TO:<r{i}@far.example>').code for i in range(43)], [250] * 40 + [450] * 3, 'recipients')


def test_what_thunderbird_sends(lab):
    """EHLO, STARTTLS, EHLO, AUTH with and without an initial response, SIZE, several recipients, QUIT."""
    for initial in (True, False):
        before = len(far.messages)
        with Secure(SUBMISSION) as c:
            c.hello()
            if initial:
                reply = c.command('AUTH PLAIN ' + plain_of('alice@example.org', 'secret'))
            else:
                check_equal(c.command('AUTH PLAIN').code, 334, 'AUTH')
                reply = c.command(plain_of('alice@example.org', 'secret'))
            check_equal(reply.code, 235, 'login')
            content = plain(3)
            check_equal(c.command(f'MAIL FROM:<alice@example.org> BODY=8BITMIME SIZE={len(content)}').code, 250, 'MAIL')
            for r in ('b@far.example', 'c@far.example', 'carol@example.org'):
                check_equal(c.command(f'RCPT TO:<{r}>').code, 250, r)
            check_equal(c.command('DATA').code, 354, 'DATA')
            c.send(stuffed(content))
            check_equal(c.reply().code, 250, 'message')
            check_equal(c.command('QUIT').code, 221, 'QUIT')
        far.wait(before + 1)


def test_who_goes_away(lab):
    """In the middle of anything nothing is queued, and nothing is held."""
    before = gw.counter('conn/messages')
    start = [b'EHLO c.example\r\n', b'AUTH PLAIN ' + plain_of('alice@example.org', 'secret').encode() + b'\r\n',
             b'MAIL FROM:<alice@example.org>\r\n', b'RCPT TO:<b@far.example>\r\n', b'DATA\r\n', b'Subject: half\r\n\r\nof it']
    for n in range(1, len(start) + 1):
        with Client(port=CLEAR, greet=False) as c:
            c.reply()
            for line in start[:n]:
                c.send(line)
                if line.endswith(b'\r\n') and not line.startswith(b'Subject'):
                    c.reply()
    with Secure(SUBMISSION) as c:
        c.hello()
        c.command('AUTH PLAIN')
    check_equal(gw.counter('conn/messages'), before, 'messages')
    for port, said in ((CLEAR, b'EHLO c.exa'), (CLEAR, b'AUTH LOGIN\r\nYWxpY'), (MX, b'MAIL FR'), (MX, b'\r')):
        with Client(port=port) as c:  # it says no more, and waits for the answer
            c.send(said)
            c.socket.shutdown(socket.SHUT_WR)
            c.socket.settimeout(8)
            check(c.closed(), f'held after {said!r}')


if __name__ == '__main__':
    main(setup)
