#!/usr/bin/python3
# limit: 120
"""Who may send as what, with real logins: an account, its aliases and lists, owners' maps, extensions, and everybody else's
addresses; the From header where a listener is strict; logins and networks that are free of it."""
import os
import smtplib

from gateway import Counted, Gateway
from harness import GATEWAY_IP, check, check_equal, main
from mail import Client, stuffed
from sinks import Scripted
from test_auth import SHA512, plain_of
from test_tls import block, context, make_certificate

HOST = 'mx.gateway.example'
STRICT, LOGIN, OFF, SUBMISSIONS = 2587, 2588, 2589, 465
USERS = ''.join(f'{name}:{SHA512}\n' for name in ('alice@example.org', 'bob@example.org', 'short', 'root@example.org'))
ALIASES = '''sales@example.org  alice@example.org
chain@example.org  sales@example.org
team@example.org   alice@example.org, bob@example.org
'''
OWNERS = '''press@example.org   alice@example.org
@brand.example      bob@example.org
'''
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab)
    files = {}
    for name, text in (('users', USERS), ('aliases', ALIASES), ('owners', OWNERS)):
        files[name] = os.path.join(gw.dir, name)
        with open(files[name], 'w') as f:
            f.write(text)

    def listener(port, spoof, kind='submission', **more):
        return {'kind': kind, 'port': 'net0', 'tcp_port': port, 'spoof_protection': spoof, **more}
    clear = {'tls': 'none', 'auth_cleartext': True}
    gw.change(listener_strict=listener(STRICT, 'strict', **clear), listener_login=listener(LOGIN, 'auto', **clear),
              listener_off=listener(OFF, 'off', **clear),
              listener_submissions=listener(SUBMISSIONS, 'strict', 'submissions'),
              certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
              relay={'networks': ['10.9.0.78/32'], 'domains': ['example.org']},
              recipient={'accounts': [files['users']], 'aliases': [files['aliases']]},
              sender={'maps': [files['owners']], 'exempt_logins': ['root@example.org'], 'exempt_networks': ['10.9.0.78/32'],
                      'login_domain': 'example.org'},
              auth={'backend': 'passwd', 'passwd_file': files['users'], 'failure_delay': '0'})
    gw.start()


def session(port, login):
    c = Client(port=port)
    if login:
        check_equal(c.command('AUTH PLAIN ' + plain_of(login, 'secret')).code, 235, f'{login} logs in')
    return c


def mail_as(port, login, sender):
    with session(port, login) as c:
        return c.command(f'MAIL FROM:<{sender}>')


def test_what_an_account_owns(lab):
    for login, sender in (('alice@example.org', 'alice@example.org'), ('alice@example.org', 'ALICE@Example.Org'),
                          ('Alice@Example.ORG', '"alice"@example.org'), ('alice@example.org', 'alice+list@example.org'),
                          ('alice@example.org', 'sales@example.org'), ('alice@example.org', 'chain@example.org'),
                          ('alice@example.org', 'team@example.org'), ('bob@example.org', 'team@example.org'),
                          ('alice@example.org', 'press@example.org'), ('bob@example.org', 'anything@brand.example'),
                          ('short', 'short@example.org'), ('alice@example.org', '')):
        for port in (LOGIN, STRICT):
            check_equal(mail_as(port, login, sender).code, 250, f'{login} as <{sender}>')


def test_what_it_does_not(lab):
    with Counted(gw, 'policy/sender_not_owned', 7):
        for login, sender in (('alice@example.org', 'bob@example.org'), ('bob@example.org', 'sales@example.org'),
                              ('bob@example.org', 'press@example.org'), ('alice@example.org', 'x@brand.example'),
                              ('alice@example.org', 'nobody@example.org'), ('alice@example.org', 'alice@elsewhere.example'),
                              ('short', 'alice@example.org')):
            reply = mail_as(LOGIN, login, sender)
            check_equal((reply.code, ' '.join(reply.lines)[4:]),
                        (553, f'5.7.1 <{sender}>: Sender address rejected: not owned by user {login}'), f'{login} as {sender}')
    check_equal(mail_as(OFF, 'alice@example.org', 'bob@example.org').code, 250, 'a listener without protection')


def test_without_a_login(lab):
    check_equal(mail_as(LOGIN, None, 'alice@example.org').code, 530, 'a login is missing')


def test_who_is_free(lab):
    check_equal(mail_as(STRICT, 'root@example.org', 'alice@example.org').code, 250, 'an exempt login')


def send(port, login, sender, header):
    with session(port, login) as c:
        content = header + b'Subject: x\r\n\r\nbody\r\n'
        for command, code in ((f'MAIL FROM:<{sender}>', 250), ('RCPT TO:<r@far.example>', 250), ('DATA', 354)):
            check_equal(c.command(command).code, code, command)
        c.send(stuffed(content))
        return c.reply()


def test_the_from_header(lab):
    alice = 'alice@example.org'
    for header, code in ((b'From: Alice <alice@example.org>\r\n', 250), (b'from: =?utf-8?q?bob=40example.org?= <sales@example.org>\r\n', 250),
                         (b'From: "bob@example.org" <alice@example.org>\r\n', 250),
                         (b'From: alice@example.org,\r\n press@example.org\r\n', 250),
                         (b'From: Bob <bob@example.org>\r\n', 550), (b'From: alice@example.org, bob@example.org\r\n', 550),
                         (b'From: alice@example.org\r\nFrom: bob@example.org\r\n', 550), (b'', 550),
                         (b'From: (alice@example.org) bob@example.org\r\n', 550), (b'From: x:;\r\n', 550)):
        reply = send(STRICT, alice, alice, header)
        check_equal(reply.code, code, f'{header}: {reply}')
    check_equal(send(LOGIN, alice, alice, b'From: bob@example.org\r\n').code, 250, 'login looks at the envelope alone')
    reply = send(STRICT, alice, alice, b'From: Bob <bob@example.org>\r\n')
    check(' '.join(reply.lines).startswith('550 5.7.1 ') and 'not owned by user alice@example.org' in ' '.join(reply.lines), f'{reply}')


def test_inside_tls(lab):
    with smtplib.SMTP_SSL(GATEWAY_IP, SUBMISSIONS, context=context(), timeout=30) as c:
        c.login('bob@example.org', 'secret')
        check_equal(c.mail('alice@example.org')[0], 553, 'bob as alice')
        c.rset()
        before = len(far.messages)
        c.sendmail('bob@example.org', ['r@far.example'], b'From: bob@example.org\r\nSubject: x\r\n\r\nbody\r\n')
    far.wait(before + 1)


def test_the_operator_is_told(lab):
    for login, sender, yes in (('alice@example.org', 'team@example.org', True), ('bob@example.org', 'press@example.org', False)):
        said = gw.ctl('sender', 'check', login, sender)
        check_equal('nothing says that the login owns the address' in said, not yes, said)
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
