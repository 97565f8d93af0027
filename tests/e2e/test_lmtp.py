#!/usr/bin/python3
# limit: 150
"""Final delivery by LMTP: into the mail boxes of real Dovecot, by a unix socket, by TCP of the gateway's own and by
the kernel's; to smtp-sink -L; and to a server that goes away between two replies."""
import glob
import json
import os
import re
import socket
import threading

from dsn import Report, send
from gateway import Counted, Gateway, for_others, SLUICED
from harness import BUILD, HOST_IP, Skip, check, check_equal, find_program, main, run, wait_until
from sinks import Scripted
from test_auth_dovecot import ROOT, Dovecot
from mail import plain
from test_tls import HOST, Secure, block, make_certificate
from tlshop import fingerprint

PORT = 2424
SENDER = 'alice@client.example'
CONF = '''
base_dir = {dir}/run
state_dir = {dir}/run
log_path = {dir}/log
default_internal_user = nobody
default_internal_group = nogroup
default_login_user = mail
protocols = lmtp
listen = {host}, 127.0.0.1
ssl = yes
ssl_cert = <{chain}
ssl_key = <{key}
hostname = store.example
auth_username_format = %Ln
first_valid_uid = 1
mail_location = maildir:{dir}/mail/%n
mail_plugins = quota
quota_full_tempfail = yes
passdb {{
  driver = passwd-file
  args = {dir}/users
}}
userdb {{
  driver = passwd-file
  args = {dir}/users
}}
plugin {{
  quota = maildir:User quota
  quota_grace = 0
}}
service lmtp {{
  unix_listener lmtp {{
    mode = 0666
  }}
  inet_listener lmtp {{
    port = {port}
  }}
}}
'''
gw = far = store = None


class Store(Dovecot):
    def __init__(self, lab):
        super().__init__(lab)
        chain, key = make_certificate(lab, 'store', 'EC', 'store.example')
        self.fingerprint = fingerprint((chain, key))
        self.mail = self.dir + '/mail'
        os.makedirs(self.mail)
        os.chown(self.mail, 65534, 65534)
        with open(self.dir + '/users', 'w') as f:
            for user in ('bob', 'amy', 'max'):
                f.write(f'{user}:{{PLAIN}}secret:65534:65534::{self.mail}::\n')
            f.write(f'full:{{PLAIN}}secret:65534:65534::{self.mail}::userdb_quota_rule=*:bytes=1\n')
        with open(self.dir + '/conf', 'w') as f:
            f.write(CONF.format(dir=self.dir, host=HOST_IP, port=PORT, chain=chain, key=key))

    def socket(self):
        return self.dir + '/run/lmtp'

    def box(self, user):
        """The messages, as they came, but for line ends."""
        out = []
        for path in sorted(glob.glob(f'{self.mail}/{user}/new/*')):
            with open(path, 'rb') as f:
                out.append(f.read())
        return out

    def wait(self, user, mark, seconds=30):
        def there():
            return [m for m in self.box(user) if mark.encode() in m]
        wait_until(there, seconds, f'{mark} in the mail box of {user}')
        check_equal(len(there()), 1, f'messages {mark} for {user}')
        return there()[0]


class Fake:
    """A server of LMTP on a unix socket that says what the test wants, word for word."""

    def __init__(self, lab, name, mode=0o666):
        self.path, self.final, self.sessions, self.seen = lab.path(name), [], 0, []
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(self.path)
        os.chmod(self.path, mode)
        self.listening.listen(16)
        threading.Thread(target=self.run, daemon=True).start()
        lab.at_end(self.listening.close)

    def run(self):
        while True:
            try:
                peer, _ = self.listening.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer):
        with peer, peer.makefile('rb') as f:
            def say(text):
                try:
                    peer.sendall(text.encode() + b'\r\n')
                except OSError:
                    pass  # a probe, or QUIT, waits for no answer
            say('220 fake LMTP')
            recipients = []
            for line in f:
                word = line.decode().strip()
                if word.startswith('LHLO'):
                    say('250-fake\r\n250-PIPELINING\r\n250 8BITMIME')
                elif word.startswith('RCPT'):
                    recipients.append(word[9:-1])
                    say('250 2.1.5 ok')
                elif word == 'DATA':
                    say('354 go')
                    content = b''
                    while not content.endswith(b'\r\n.\r\n'):
                        content += f.readline()
                    self.seen.append((recipients, content))
                    for reply in self.final.pop(0) if self.final else ['250 2.0.0 ok'] * len(recipients):
                        if reply is None:
                            return
                        say(reply)
                    recipients = []
                elif word == 'QUIT':
                    return say('221 bye')
                else:
                    say('250 2.0.0 ok')


def setup(lab):
    global gw, far, store, fake
    if not os.path.exists(os.path.join(ROOT, 'usr/lib/dovecot/lmtp')):
        raise Skip(f'no LMTP server of Dovecot below {ROOT}: tests/run unpacks it')
    run('ip', 'link', 'set', 'lo', 'up')
    far, fake = Scripted(lab), Fake(lab, 'fake')
    store = Store(lab)
    os.makedirs(lab.path('sink'))
    os.chmod(lab.path('sink'), 0o777)
    path = store.socket()
    tcp, known = {'via': 'lmtp', 'host': f'[{HOST_IP}]:{PORT}'}, {'tls': 'fingerprint', 'fingerprints': [store.fingerprint]}
    gw = Gateway(lab, relay={'networks': [f'{HOST_IP}/32']}, telemetry=None, **{
        'route_default': {'host': f'{HOST_IP}:2525'},
        'route_box.example': {'via': 'lmtp', 'host': f'unix:{path}'},
        'route_shared.example': {'host': f'lmtp:unix:{path}', 'delivered_to': False},
        'route_bare.example': {'via': 'lmtp', 'host': f'unix:{path}', 'delivered_to': False, 'return_path': False},
        'route_tcp.example': {'via': 'lmtp', 'host': f'[{HOST_IP}]:{PORT}'},
        'destination_tcp.example': {'tls': 'encrypt'}, 'destination_box.example': {'tls': 'encrypt'},
        'route_named.example': {'via': 'lmtp', 'host': f'[{HOST_IP}]:{PORT}'}, 'destination_named.example': {'tls': 'verify'},
        'route_kernel.example': {'host': f'lmtp:inet:127.0.0.1:{PORT}'},
        'route_fake.example': {'via': 'lmtp', 'host': f'unix:{fake.path}', 'delivered_to': False},
        'route_sink.example': {'via': 'lmtp', 'host': f'unix:{lab.path("sink")}/socket'},
        'route_smtp.example': {'via': 'lmtp', 'host': f'{HOST_IP}:2525'},
        'route_known.example': tcp, 'destination_known.example': known,
        'route_lenient.example': tcp, 'destination_lenient.example': known | {'requiretls': 'starttls'},
        'certificate_ec': block(make_certificate(lab, 'ec', 'EC', HOST)),
    })
    gw.start()
    # On the interface that the gateway brings.
    store.start()


def mail(mark, to, content=b'', **more):
    send(SENDER, to, b'Subject: ' + mark.encode() + b'\r\n' + (content or b'\r\nhello\r\n.dots\r\n..\r\n'), **more)


def report(about, seconds=30):
    """The report to the sender that has the word in it."""
    def there():
        return [m for m in far.to(SENDER) if about.encode() in m.content]
    wait_until(there, seconds, f'a report about {about}')
    return Report(there()[0])


def lines(word, *words):
    return [line for line in gw.log().split('\n') if f' {word} ' in line and all(w in line for w in words)]


def told(what, word, *words):
    """The log has such a line, soon."""
    wait_until(lambda: lines(word, *words), 20, f'{what} in the log')


def test_unix_socket(lab):
    mail('mark-unix', ['bob@box.example', 'amy@box.example', 'nobody@box.example'],
         b'Return-Path: <forged@evil.example>\r\nX-A: b\r\nreturn-path:\r\n <again@evil.example>\r\n\r\nhello\r\n.dots\r\n..\r\n')
    for user in ('bob', 'amy'):
        got = store.wait(user, 'mark-unix').replace(b'\r\n', b'\n')
        head, body = got.split(b'\n\n', 1)
        # Dovecot puts its own on top of ours.
        check(f'Return-Path: <{SENDER}>\nDelivered-To: {user}@box.example\nReceived: from client.example'.encode() in head,
              f'fields of final delivery: {head!r}')
        check(b'evil' not in head and b'X-A: b' in head, f'what the message brought: {head!r}')
        check_equal(body, b'hello\n.dots\n..\n', 'the body')
        # Its level is encrypt, which is nothing to a socket of this machine.
        told(user, 'delivered', f'relay=unix:{store.socket()} ', f'to=<{user}@box.example>', 'tls=none/clear')
    failed = report('nobody@box.example').one()
    check_equal(failed['Status'], '5.1.1', 'status of the unknown user')
    check('550' in failed['Diagnostic-Code'], 'what Dovecot said')


def test_one_transaction_with_all_outcomes(lab):
    mail('mark-mixed', ['bob@shared.example', 'full@shared.example', 'nobody@shared.example', 'amy@shared.example'])
    for user in ('bob', 'amy'):
        head = store.wait(user, 'mark-mixed').replace(b'\r\n', b'\n').split(b'\n\n', 1)[0]
        check(f'\nReturn-Path: <{SENDER}>\nReceived: from client.example'.encode() in head, f'Return-Path alone: {head!r}')
    told('who is over quota waits', 'deferred', 'to=<full@shared.example>', 'code=452', '4.2.2')
    check_equal(report('nobody@shared.example').one()['Status'], '5.1.1', 'the unknown one')
    gw.ctl('queue', 'delete', '--domain', 'shared.example')


def test_nothing_is_added(lab):
    mail('mark-bare', ['bob@bare.example'], b'Return-Path: <old@client.example>\r\n\r\nx\r\n')
    head = store.wait('bob', 'mark-bare').replace(b'\r\n', b'\n').split(b'\n\n', 1)[0]
    check_equal(len(re.findall(rb'^Return-Path:', head, re.M)), 2, f'Dovecot\'s and the old one: {head!r}')


def test_tcp(lab):
    mail('mark-tcp', ['bob@tcp.example'])
    store.wait('bob', 'mark-tcp')
    told('the gateway\'s own TCP', 'delivered', f'relay={HOST_IP}:{PORT} ', 'to=<bob@tcp.example>', 'tls=encrypt/untrusted')
    with Counted(gw, 'stream/opened', 1):
        mail('mark-kernel', ['bob@kernel.example'])
        store.wait('bob', 'mark-kernel')
    told('the kernel\'s', 'delivered', f'relay=127.0.0.1:{PORT} ', 'to=<bob@kernel.example>')


def test_tls_that_proves_nothing(lab):
    """Over TCP a store is held to the level of its destination, as any next hop."""
    mail('mark-named', ['bob@named.example'])
    told('why it waits', 'deferred', 'to=<bob@named.example>', 'tls=verify/failed 4.7.5')
    gw.ctl('queue', 'delete', '--domain', 'named.example')
    check(not [m for m in store.box('bob') if b'mark-named' in m], 'nothing was delivered')


def test_requiretls(lab):
    """Mail with REQUIRETLS goes into a store over a unix socket, whether that offers it or not. Over TCP RFC 8689 holds for LMTP as for SMTP: the
    store proves itself and offers it, or the mail goes back; unless the operator asks for less of that destination."""
    def attempt(mark, domain):
        with Secure() as c:
            c.hello()
            reply = c.deliver(SENDER, [f'bob@{domain}'], b'Subject: ' + mark.encode() + b'\r\n\r\n' + plain(1), ' REQUIRETLS')
            check_equal(reply.code, 250, f'{reply}')
    attempt('mark-kept-unix', 'box.example')
    store.wait('bob', 'mark-kept-unix')
    told('over the unix socket', 'delivered', 'to=<bob@box.example>', 'requiretls=no')
    attempt('mark-kept-tcp', 'tcp.example')
    told('without a proof', 'failed', 'to=<bob@tcp.example>', 'requiretls=no 5.7.10')
    attempt('mark-kept-known', 'known.example')
    told('proved, but not offered', 'failed', 'to=<bob@known.example>', 'tls=fingerprint/verified requiretls=no 5.7.30')
    for name in ('tcp', 'known'):
        check_equal(report(f'bob@{name}.example').types, ['text/plain', 'message/delivery-status'], 'the report quotes nothing')
    attempt('mark-kept-lenient', 'lenient.example')
    store.wait('bob', 'mark-kept-lenient')
    check(not [m for m in store.box('bob') if b'mark-kept-tcp' in m or b'mark-kept-known' in m], 'nothing else came')


def test_big_mail(lab):
    body = b''.join(b'%08d' % i + b'.' * 60 + b'\r\n.\r\n' for i in range(120000))
    mail('mark-big', ['max@box.example'], b'\r\n' + body)
    got = store.wait('max', 'mark-big', 60).replace(b'\r\n', b'\n').split(b'\n\n', 1)[1]
    check(got == body.replace(b'\r\n', b'\n'), f'8 MB arrive as they were sent ({len(got)} bytes)')


def test_success_is_told_as_delivered(lab):
    mail('mark-told', [('bob@box.example', 'NOTIFY=SUCCESS')])
    store.wait('bob', 'mark-told')
    told = report('mark-told')
    check_equal(told.one()['Action'], 'delivered', 'action')


def test_a_loop_ends(lab):
    with Counted(gw, 'smtp_client/looped', 1):
        mail('mark-loop', ['bob@box.example', 'amy@box.example'], b'Delivered-To: <BOB@Box.example>\r\n\r\nx\r\n')
        store.wait('amy', 'mark-loop')
    failed = report('Mail loops').one()
    check_equal((failed['Final-Recipient'], failed['Status']), ('rfc822; bob@box.example', '5.4.6'), 'who has had it')
    check(not [m for m in store.box('bob') if b'mark-loop' in m], 'it was not delivered again')


def test_a_server_of_smtp_bounces_nothing(lab):
    """The next hop of the default route speaks SMTP: LHLO is unknown there."""
    mail('mark-smtp', ['bob@smtp.example'])
    told('it waits, with the reason', 'deferred', 'to=<bob@smtp.example>', 'the server does not speak LMTP')
    gw.ctl('queue', 'delete', '--domain', 'smtp.example')


def test_lost_between_replies(lab):
    fake.final = [['250 2.0.0 first', '550 5.2.1 second', None], ['250 2.0.0 third']]
    mail('mark-lost', ['first@fake.example', 'second@fake.example', 'third@fake.example'])
    told('the third', 'delivered', 'to=<third@fake.example>')
    check(lines('delivered', 'to=<first@fake.example>', '2.0.0 first'), 'the first has had its reply')
    check(lines('failed', 'to=<second@fake.example>', '5.2.1 second'), 'and the second')
    check_equal([r for r, _ in fake.seen], [['first@fake.example', 'second@fake.example', 'third@fake.example'],
                                            ['third@fake.example']], 'who was tried')
    check(lines('deferred', 'to=<third@fake.example>', 'closed by peer'), 'why the third was tried again')


def test_smtp_sink(lab):
    sink = lab.spawn(find_program('smtp-sink'), '-u', 'nobody', '-L', f'unix:{lab.path("sink")}/socket', '10')
    wait_until(lambda: os.path.exists(lab.path('sink') + '/socket'), 10, 'smtp-sink')
    mail('mark-sink', ['a@sink.example', 'b@sink.example'])
    for user in 'ab':
        told(user, 'delivered', f'to=<{user}@sink.example>')
    sink.terminate()


def test_away_and_back(lab):
    store.kill()
    mail('mark-away', ['bob@box.example'])
    told('why it waits', 'deferred', 'to=<bob@box.example>', 'there is no such socket: is its server running?')
    store.start()
    store.wait('bob', 'mark-away', 40)


def test_explain_and_probe(lab):
    said = gw.ctl('explain', 'bob@box.example')
    check('via=lmtp return_path=yes delivered_to=yes' in said and f'address=unix:{store.socket()} ' in said, said)
    about = json.loads(gw.ctl('explain', '--json', 'bob@shared.example'))
    check_equal(about['route']['via'], 'lmtp', about)
    check(f'address=unix:{fake.path} host=- is=accepted' in gw.ctl('probe', 'bob@fake.example'), 'a probe by the route')
    check('is=accepted' in gw.ctl('probe', f'lmtp:unix:{fake.path}'), 'and of a socket')


def test_permission(lab):
    """A gateway that has become another user is told what it lacks."""
    global gw
    gw.stop()
    closed = Fake(lab, 'closed', mode=0o600)
    os.chmod(os.path.dirname(closed.path), 0o755)
    gw = Gateway(lab, name='other', gateway={'user': 'nobody'}, relay={'networks': [f'{HOST_IP}/32']},
                 route_default={'via': 'lmtp', 'host': f'unix:{closed.path}'})
    before = gw.launch(program=for_others(lab, SLUICED))
    wait_until(lambda: 'sluiced: ready' in gw.log()[before:], 60, 'ready')
    gw.address()
    mail('mark-closed', ['bob@any.example'])
    told('the reason', 'deferred', 'permission denied: user nobody needs rw on the socket')
    os.chmod(closed.path, 0o666)
    told('it goes once that is mended', 'delivered', 'to=<bob@any.example>')


if __name__ == '__main__':
    main(setup)
