#!/usr/bin/python3
# limit: 120
"""Users that Dovecot knows: the real one, asked over its socket; killed, away, and back again."""
import os
import re
import signal
import subprocess

from gateway import Counted, Gateway
from harness import BUILD, GATEWAY_IP, Failed, Skip, check, check_equal, die_with_parent, main, wait_until
from sinks import Scripted
from test_auth import CLEAR, SUBMISSION, b64, offer, plain_of
from test_tls import block, make_certificate
from mail import Client

HOST = 'mx.gateway.example'
ROOT = os.path.join(BUILD, '../root') if os.path.isdir(os.path.join(BUILD, '../root/usr/lib/dovecot')) else os.path.join(BUILD, 'root')
gw = far = dovecot = None

CONF = '''
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/log
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = mail
protocols =
ssl = no
disable_plaintext_auth = yes
auth_mechanisms = plain login scram-sha-256
auth_failure_delay = 0
auth_username_format = %Lu
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = static
  args = uid=65534 gid=65534 home=/nonexistent
}}
service auth {{
  unix_listener auth-client {{
    mode = 0666
  }}
}}
'''


class Dovecot:
    """Unpacked, not installed: its programs are where it looks for them in a mount namespace of its own."""

    def __init__(self, lab):
        self.dir, self.process = lab.path('dovecot'), None
        os.makedirs(self.dir + '/run')
        os.chmod(self.dir, 0o755)
        with open(self.dir + '/users', 'w') as f:
            f.write('bob:{PLAIN}secret::::::\n' 'slow:{PLAIN}secret::::::nologin\n')
        with open(self.dir + '/conf', 'w') as f:
            f.write(CONF.format(dir=self.dir))
        lab.at_end(self.kill)

    def start(self):
        usr = os.path.realpath(os.path.join(ROOT, 'usr'))
        libraries = f'{usr}/lib/dovecot:{usr}/lib/x86_64-linux-gnu'
        script = f'mount -t overlay -o lowerdir={usr}:/usr overlay /usr && exec /usr/sbin/dovecot -F -c {self.dir}/conf'
        with open(self.dir + '/out', 'ab') as out:
            self.process = subprocess.Popen(['unshare', '-m', 'sh', '-c', script], stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env=dict(os.environ, LD_LIBRARY_PATH=libraries), preexec_fn=die_with_parent, start_new_session=True)
        try:
            wait_until(lambda: os.path.exists(self.socket()), 15, 'Dovecot')
        except Failed as why:
            with open(self.dir + '/out') as out:
                raise Failed(f'{why}: {out.read()[-400:]}') from why

    def socket(self):
        return self.dir + '/run/auth-client'

    def kill(self):
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGKILL)  # those that serve would outlive the master
        self.process.wait(timeout=20)
        os.unlink(self.socket())


def setup(lab):
    global gw, far, dovecot
    if not os.path.exists(os.path.join(ROOT, 'usr/sbin/dovecot')):
        raise Skip(f'no Dovecot below {ROOT}: tests/run unpacks it')
    usr = os.path.realpath(os.path.join(ROOT, 'usr'))
    if subprocess.run(['unshare', '-m', 'mount', '-t', 'overlay', '-o', f'lowerdir={usr}:/usr', 'overlay', '/usr'],
                      stderr=subprocess.DEVNULL).returncode != 0:
        raise Skip('this kernel mounts no overlay, without which Dovecot does not find its own programs')
    dovecot = Dovecot(lab)
    dovecot.start()
    far = Scripted(lab)

    def listener(port, **more):
        return {'kind': 'submission', 'port': 'net0', 'tcp_port': port, 'spoof_protection': 'off', **more}
    gw = Gateway(lab, listener_submission=listener(SUBMISSION), listener_clear=listener(CLEAR, tls='may', auth_cleartext=True),
                 certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
                 relay={'networks': ['10.99.0.0/24'], 'domains': ['example.org']},
                 auth={'backend': 'dovecot', 'dovecot_socket': dovecot.socket(), 'failure_delay': '50ms', 'failures_client': 0,
                       'mechanisms': ['PLAIN', 'LOGIN', 'SCRAM-SHA-256'], 'timeout': '20s'})
    gw.start()


def swaks(mechanism, password, port=SUBMISSION):
    done = subprocess.run(['swaks', '--server', GATEWAY_IP, '-p', str(port), '-tls', '--from', 'a@client.example', '--to',
                           'b@far.example', '--auth', mechanism, '--auth-user', 'bob', '--auth-password', password],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          preexec_fn=die_with_parent)
    return done.returncode, done.stdout.decode(errors='replace')


def test_mechanisms(lab):
    for mechanism in ('PLAIN', 'LOGIN'):
        status, said = swaks(mechanism, 'secret')
        check(status == 0, f'{mechanism}: {said[-500:]}')
        status, said = swaks(mechanism, 'wrong')
        check(status == 28 and '535 5.7.8' in said, f'{mechanism}: {said[-500:]}')
    for password, code in (('secret', 235), ('wrong', 535)):
        done = subprocess.run(['gsasl', '--smtp', f'--connect={GATEWAY_IP}:{SUBMISSION}', '-m', 'SCRAM-SHA-256', '-a', 'bob', '-p',
                               password, '-z', 'bob', '--x509-ca-file=', '--no-cb', '--starttls', '--verbose'], input=b'QUIT\n',
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, preexec_fn=die_with_parent)
        said = done.stdout.decode(errors='replace')
        check(re.search(rf'^{code} ', said, re.M), f'SCRAM {password}: {said[-400:]}')
    wait_until(lambda: 'method=SCRAM-SHA-256 login=bob' in gw.log(), 10, 'the login in the log')


def login(user='bob', password='secret', authzid=''):
    with Client(port=CLEAR) as c:
        return c.command('AUTH PLAIN ' + plain_of(user, password, authzid)).code


def test_what_it_is_not_asked(lab):
    with Client(port=CLEAR) as c:
        check_equal(offer(c.command('EHLO x.example')), ['AUTH PLAIN LOGIN SCRAM-SHA-256'], 'offer')
    check_equal(login(authzid='amy'), 535, 'one who acts for another')
    with Client(port=CLEAR) as c:
        check_equal(c.command('AUTH PLAIN ' + b64('bob')).code, 501, 'malformed')
        check_equal(c.command('AUTH LOGIN').code, 334, 'LOGIN')
        check_equal(c.command(b64('bob\tAUTH')).code, 535, 'a name with a tab')


def test_it_is_killed_and_comes_back(lab):
    # In clear, as Dovecot sees it, it is not "secured" and refuses plaintext: so over TLS, by swaks.
    with Client(port=CLEAR) as c:
        check_equal(c.command('AUTH LOGIN').code, 334, 'a login under way')
        dovecot.kill()
        wait_until(lambda: 'logins must wait' in gw.log(), 10, 'its loss in the log')
        check_equal(c.command(b64('bob')).code, 454, 'the login under way')
        with Counted(gw, 'auth/unavailable'):
            status, said = swaks('PLAIN', 'secret')
        check(status == 28 and '454 4.7.0 Temporary authentication failure' in said, f'{said[-300:]}')
        check_equal(c.command('NOOP').code, 250, 'the session goes on')
    dovecot.start()
    wait_until(lambda: 'it answers again' in gw.log(), 15, 'its return in the log')
    status, said = swaks('PLAIN', 'secret')
    check(status == 0, f'after its return: {said[-500:]}')
    check_equal(gw.counter('auth/lost'), 0, 'our own process has lived through it')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
