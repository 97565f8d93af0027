#!/usr/bin/python3
# limit: 60
"""Guessing of passwords from 200 addresses, faster than hashes can be made: mail goes on beside it, the queue of hashes
stays bounded (454), and each attempt is answered and counted once."""
from auth_flood import AuthFlood, Mail, add_sources
from gateway import Gateway
from harness import check, check_equal, main, wait_until
from mail import Client
from sinks import Scripted
from test_auth import SHA512, b64, plain_of, write_users
from test_tls import make_certificate

MX, CLEAR = 25, 2587
RATE, SECONDS = 10000, 4
gw = None


def setup(lab):
    global gw
    Scripted(lab)
    make_certificate(lab, 'unused', 'EC', 'mx.gateway.example')  # and the directory
    gw = Gateway(lab, listener_lab={'kind': 'submission', 'port': 'net0', 'tcp_port': CLEAR, 'tls': 'none', 'auth_cleartext': True},
                 smtp={'errors': 1000, 'session_messages': 0},
                 auth={'backend': 'passwd', 'passwd_file': write_users(lab, f'alice@example.org:{SHA512}\n'), 'failure_delay': '0s',
                       'failures_client': 0, 'failures_login': 0, 'exchanges': 2048, 'workers': 1, 'queue': 8})
    gw.start()
    add_sources(gw.iface)


def test_mail_goes_on(lab):
    names = ('tries', 'refused', 'busy', 'accepted', 'no_room', 'unavailable')
    before = {n: gw.counter(f'auth/{n}') for n in names}
    with Client(port=CLEAR) as user:
        check_equal(user.command('AUTH PLAIN ' + plain_of('alice@example.org', 'secret')).code, 235, 'login before it')
        flood = AuthFlood(lab, CLEAR, RATE, SECONDS)
        wait_until(lambda: gw.counter('auth/busy') > before['busy'], 20, 'the queue of hashes is full')
        mail = Mail(MX).send(100, flood.running)
        user_mail = [user.command(c).code for c in ('MAIL FROM:<alice@example.org>', 'RCPT TO:<b@far.example>', 'DATA')]
        user.send(b'Subject: x\r\n\r\nx\r\n.\r\n')
        check_equal(user_mail + [user.reply().code], [250, 250, 354, 250], 'mail of who has logged in')
        check(flood.running(), 'all that was beside the flood')
        told = flood.result()
    check(len(mail.times) >= 10 and set(mail.codes) == {250}, f'mail from other servers: {mail.codes}')
    grown = {n: gw.counter(f'auth/{n}') - before[n] for n in names}
    print(f'# {told} {grown}')
    check_equal(told['broken'], 0, 'connections of the flood that broke')
    check(told.get('535', 0) > 0 and told.get('454', 0) > 0, f'both answers: {told}')
    check_equal(told['535'] + told['454'], told['sent'], 'each attempt was answered')
    check_equal(grown['refused'], told['535'], 'auth/refused')
    check_equal(grown['busy'] + grown['no_room'], told['454'], 'auth/busy')
    check_equal(grown['tries'] + grown['no_room'], told['sent'] + 1, 'auth/tries')
    with Client(port=CLEAR) as c:
        check_equal([c.command(line).code for line in ('AUTH LOGIN', b64('alice@example.org'), b64('secret'))], [334, 334, 235],
                    'a login after it')


if __name__ == '__main__':
    main(setup)
