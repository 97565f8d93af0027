#!/usr/bin/python3
# limit: 120
"""The ready-made profiles in conf/profiles: each is without an error, starts, and does what its first lines say. Changed
are only what a machine has of its own: the NIC, the directories, the user, sizes."""
import base64
import os
import re
import ssl

from gateway import SLUICECTL, SLUICED, Gateway
from harness import SOURCE, check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted
from test_auth import SHA512
from test_tls import make_certificate

ADDRESS, NEXT, INTERNAL, CLIENT, HAPROXY = '192.0.2.1', '192.0.2.254', '10.20.0.25', '198.51.100.9', '192.0.2.10'
FOLDER = os.path.join(SOURCE, 'conf/profiles')
internal = None


def setup(lab):
    global internal
    run('ip', 'link', 'set', 'lo', 'up')
    for address in (INTERNAL, CLIENT):
        run('ip', 'addr', 'add', f'{address}/32', 'dev', 'lo')
    internal = Scripted(lab, host=INTERNAL, port=25)


class Profile(Gateway):
    """A gateway by a profile's text."""

    def __init__(self, lab, name, more=''):
        self.text = self.adapted(lab, name) + more
        super().__init__(lab, name=name)
        self.host_addresses = [f'{NEXT}/24', f'{HAPROXY}/24']

    def adapted(self, lab, name):
        with open(os.path.join(FOLDER, name + '.conf')) as f:
            text = f.read()
        for folder in ('etc', 'spool', 'run'):
            os.makedirs(lab.path(f'{name}/{folder}'), exist_ok=True)
        chain, key = make_certificate(lab, 'profile', 'EC', 'mx.example.org')
        for path, content in (('postfix-accounts.cf', f'alice@example.org|{SHA512}\n'),
                              ('postfix-virtual.cf', 'sales@example.org alice@example.org\n')):
            with open(lab.path(f'{name}/etc/{path}'), 'w') as f:
                f.write(content)
        for old, new in ((r'"0000:03:00\.0"|"net_tap0,iface=sluice0"', '"net_tap0,iface=gw0"'), (r'user = sluice;', ''),
                         (r'host_device = host0;', ''), (r'size = 20G;', 'size = 256M; segment_size = 16M;'),
                         (r'/etc/sluice/tls/fullchain\.pem', chain), (r'/etc/sluice/tls/privkey\.pem', key),
                         (r'/etc/sluice', lab.path(f'{name}/etc')), (r'/var/spool/sluice', lab.path(f'{name}/spool'))):
            text = re.sub(old, new, text)
        return text

    def change(self, **changes):
        own = {'gateway': {'run_dir': self.lab.path(f'{self.name}/run'), 'eal_prefix': self.prefix},
               'control': {'socket': self.socket}}
        with open(self.conf_path, 'w') as f:
            f.write(self.text)
            for block, settings in own.items():
                f.write(f'{block} {{ ' + ' '.join(f'{key} = "{value}";' for key, value in settings.items()) + ' }\n')


def profile(lab, name, more=''):
    gw = Profile(lab, name, more)
    run(SLUICED, '--check', gw.conf_path)
    return gw.start()


def arrives(sink, recipient):
    wait_until(lambda: sink.to(recipient), 30, f'mail for {recipient} at the next hop')


def logged_in(c):
    said = c.command('AUTH PLAIN ' + base64.b64encode(b'\0alice@example.org\0secret').decode())
    check_equal(said.code, 235, f'AUTH: {said.text}')


def over_tls(c):
    context = ssl._create_unverified_context()
    c.socket, c.buffer = context.wrap_socket(c.socket), b''


def test_every_profile_is_tried_here(lab):
    names = {name.removesuffix('.conf') for name in os.listdir(FOLDER)}
    check_equal({f'test_{name}' for name in names} - set(globals()), set(), 'profiles without a case')


def test_mx(lab):
    gw = profile(lab, 'mx')
    with Client(ADDRESS, source=(CLIENT, 0)) as c:
        offered = c.command('EHLO x.example').text
        check('STARTTLS' in offered and 'AUTH' not in offered, offered)
        c.deliver('s@far.example', ['a@example.org'], plain(1))
        c.command('MAIL FROM:<s@far.example>')
        check_equal(c.command('RCPT TO:<a@elsewhere.example>').code, 554, 'relaying for strangers')
        internal.mode = 'rcpt'
        check_equal(c.command('RCPT TO:<perm-x@example.net>').code, 550, 'who the internal server does not know')
        internal.mode = 'ok'
    arrives(internal, 'a@example.org')
    with Client(ADDRESS, source=(INTERNAL, 0)) as c:
        c.command('MAIL FROM:<s@example.org>')
        check_equal(c.command('RCPT TO:<a@elsewhere.example>').code, 250, 'the internal server sends anywhere')
    gw.stop()


def test_submission(lab):
    gw = profile(lab, 'submission')
    for port in (587, 465):
        with Client(ADDRESS, port=port, source=(CLIENT, 0), greet=False) as c:
            if port == 587:
                check_equal((c.reply().code, c.command('EHLO x.example').code), (220, 250), 'in clear')
                check_equal(c.command('MAIL FROM:<alice@example.org>').code, 530, 'mail before STARTTLS')
                check_equal(c.command('STARTTLS').code, 220, 'STARTTLS')
            over_tls(c)
            if port == 465:
                c.reply()
            c.command('EHLO x.example')
            check_equal(c.command('MAIL FROM:<alice@example.org>').code, 530, 'mail without a login')
            logged_in(c)
            check_equal(c.command('MAIL FROM:<bob@example.org>').code, 553, "somebody else's address")
            c.deliver('sales@example.org', [f'u{port}@example.org'], plain(port))
        arrives(internal, f'u{port}@example.org')
    gw.stop()


def test_relay(lab):
    gw = profile(lab, 'relay', f'route default {{ host = "[{INTERNAL}]"; }}\n')
    with Client(ADDRESS, source=(INTERNAL, 0)) as c:
        c.deliver('s@example.org', ['a@relayed.example'], plain(1))
    arrives(internal, 'a@relayed.example')
    with Client(ADDRESS, source=(CLIENT, 0)) as c:
        c.command('MAIL FROM:<s@example.org>')
        check_equal(c.command('RCPT TO:<a@relayed.example>').code, 554, 'strangers')
    gw.stop()


def test_haproxy(lab):
    gw = profile(lab, 'haproxy')
    with Client(ADDRESS, port=465, source=(HAPROXY, 0), greet=False) as c:
        c.send(f'PROXY TCP4 {CLIENT} 192.0.2.1 4711 465\r\n'.encode())
        over_tls(c)
        c.reply()
        c.command('EHLO x.example')
        logged_in(c)
        c.deliver('alice@example.org', ['proxied@example.org'], plain(1))
    arrives(internal, 'proxied@example.org')
    received = internal.to('proxied@example.org')[0].content
    check(CLIENT.encode() in received, 'the true client stands in Received')
    try:
        with Client(ADDRESS, source=(CLIENT, 0), greet=False) as c:
            check(False, f'greeted: {c.reply().text}')
    except ConnectionError:
        pass  # nobody but HAProxy may connect
    gw.stop()


def test_lab(lab):
    gw = profile(lab, 'lab')
    far = Scripted(lab, host=NEXT, port=2525)
    with Client(ADDRESS, source=(NEXT, 0)) as c:
        c.deliver('s@example.org', ['you@example.org'], plain(1))
    arrives(far, 'you@example.org')
    check('lab.example.org' in run(SLUICECTL, '-s', gw.socket, 'config', 'show', '--changed'), 'config show')
    gw.stop()


if __name__ == '__main__':
    main(setup)
