#!/usr/bin/python3
# limit: 120
"""sluicectl import: what Debian's Postfix brings, all of Postfix's parameters, and the fixtures of tests/data/import become
configurations that are accepted and pass nothing over; two of them run: an office's Postfix and a docker-mailserver.
SLUICE_GOLDEN=1 writes the results of the fixtures anew."""
import base64
import os
import re
import shutil
import socketserver
import ssl
import subprocess
import threading

from gateway import SLUICECTL, SLUICED, Gateway
from harness import GATEWAY_IP, HOST_IP, PEERS, SOURCE, Skip, check, check_equal, die_with_parent, main, run, wait_until
from mail import Client, plain
from postfix import LIBRARIES
from sinks import Scripted
from test_auth import SHA512
from test_auth_dovecot import Dovecot
from test_tls import make_certificate

DATA = os.path.join(SOURCE, 'tests/data/import')
DEBIAN = os.path.join(PEERS, 'usr/share/postfix')
CONFIG = 'mailserver/config'
pair = None


def setup(lab):
    global pair
    pair = make_certificate(lab, 'imported', 'EC', 'gate.office.example')


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)


def read(path):
    with open(path) as f:
        return f.read()


def imported(lab, kind, directory, name, text=None):
    """The result for a directory, which must be accepted; its path."""
    out = lab.path(f'{name}.conf')
    done = subprocess.run([SLUICECTL, 'import', kind, directory, '--output', out], input=text or '', text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, preexec_fn=die_with_parent)
    check_equal(done.returncode, 0, done.stdout)
    run(SLUICED, '--check', out)
    return out


def set_there(text):
    """Names of parameters, found without the importer's own reader."""
    return re.findall(r'^([A-Za-z0-9_.-]+)[ \t]*=', text, re.M)


def passed_over(names, result):
    return [name for name in names if not re.search(rf'(?<![\w-]){re.escape(name)}(?![\w-])', result)]


def test_every_parameter(lab):
    """All that this Postfix has, set to its default: each is known, and what comes of it is accepted."""
    postconf = os.path.join(PEERS, 'usr/sbin/postconf')
    if not os.path.exists(postconf):
        raise Skip('Postfix is not here (tests/run e2e brings it)')
    shutil.copy(os.path.join(DEBIAN, 'master.cf.dist'), lab.path('master.cf'))
    write(lab.path('main.cf'), '')
    text = run(postconf, '-c', lab.dir, '-d', env={**os.environ, 'LD_LIBRARY_PATH': LIBRARIES})
    names = set_there(text)
    check(len(names) > 800, f'{len(names)} parameters')
    result = read(imported(lab, 'postfix', '-', 'all', text))
    check_equal(passed_over(names, result), [], 'passed over')
    check_equal(re.findall(r'.*\n.*Postfix has no such parameter', result), [], 'unknown')


def debian(lab, name, main_cf, change=lambda text: text):
    directory = lab.path(name)
    master = change(read(os.path.join(DEBIAN, 'master.cf.dist')))
    main_cf = main_cf.replace('/etc/ssl/certs/ssl-cert-snakeoil.pem', pair[0]).replace(
        '/etc/ssl/private/ssl-cert-snakeoil.key', pair[1])
    write(os.path.join(directory, 'main.cf'), main_cf)
    write(os.path.join(directory, 'master.cf'), master)
    result = read(imported(lab, 'postfix', directory, name))
    check_equal(passed_over(set_there(main_cf), result), [], f'{name}: passed over')
    return result


def listeners(result):
    return {name: set(re.findall(r'^    (\w+ = [^;]+);', body, re.M))
            for name, body in re.findall(r'^listener (\S+) \{\n(.*?)^\}', result, re.M | re.S)}


def test_debian(lab):
    if not os.path.exists(DEBIAN):
        raise Skip('Postfix is not here (tests/run e2e brings it)')
    installed = read(f'{DEBIAN}/main.cf.debian') + read(f'{DEBIAN}/main.cf.tls')
    result = debian(lab, 'installed', installed)
    check_equal(set(listeners(result)), {'mx'}, 'listeners')
    check('tls = may' in listeners(result)['mx'], result)
    debian(lab, 'commented', read(f'{DEBIAN}/main.cf.dist'))

    def users(text):
        """Both services for users as Debian's comments have them."""
        begin, end = text.index('#submission inet'), text.index('#628 ')
        lines = [line.removeprefix('#') if re.match(r'#(submissions? |  -o \w+=)', line) and '$mua' not in line else line
                 for line in text[begin:end].split('\n')]
        return text[:begin] + '\n'.join(lines) + text[end:]
    more = installed + 'smtpd_sasl_type = dovecot\nsmtpd_sasl_path = private/auth\nmyhostname = mail.example.org\n'
    found = listeners(debian(lab, 'users', more, users))
    check_equal(set(found), {'mx', 'submission', 'submissions'}, 'listeners')
    check({'tcp_port = 587', 'tls = encrypt'} <= found['submission'], str(found))
    check({'tcp_port = 465', 'tls = implicit'} <= found['submissions'], str(found))


def golden(lab, name, kind, certificate):
    directory = lab.path(name)
    shutil.copytree(os.path.join(DATA, name), directory)
    for source, end in zip(pair, ('chain.pem', 'key.pem')):
        write(os.path.join(directory, certificate, end), read(source), 0o600)
    result = read(imported(lab, kind, directory, f'{name}-imported'))
    result = result.replace(directory, '@DIR@').replace(lab.dir, '@OUT@')
    path = os.path.join(DATA, f'{name}.conf')
    if os.environ.get('SLUICE_GOLDEN') == '1':
        write(path, result)
    wanted = read(path)
    for number, (line, other) in enumerate(zip(result.split('\n'), wanted.split('\n')), 1):
        check_equal(line, other, f'{path}:{number}')
    check_equal(result, wanted, path)
    return result


def test_fixtures(lab):
    for name, certificate in (('gateway', 'tls'), ('transports', 'tls')):
        result = golden(lab, name, 'postfix', certificate)
        check_equal(passed_over(set_there(read(os.path.join(DATA, name, 'main.cf'))), result), [], f'{name}: passed over')
        check('correct-horse' not in result and 's3cret-word' not in result, 'a password is in the configuration')
    result = golden(lab, 'mailserver', 'docker-mailserver', 'config/ssl')
    there = set_there(read(os.path.join(DATA, 'mailserver/mailserver.env'))) + \
        set_there(read(os.path.join(DATA, CONFIG, 'postfix-main.cf')))
    check_equal(passed_over(there, result), [], 'passed over')
    check('tell-nobody' not in result and 'sixteen' not in result, 'a password is in the configuration')
    check_equal(os.stat(lab.path('mailserver-imported.conf.password1')).st_mode & 0o777, 0o600, 'who may read a password')


def test_wrong_use(lab):
    empty = lab.path('empty')
    os.makedirs(empty)
    for kind, why in (('postfix', 'main.cf'), ('docker-mailserver', 'postfix-accounts.cf')):
        check(why in run(SLUICECTL, 'import', kind, empty, ok=(3,)), kind)
        check('No such file' in run(SLUICECTL, 'import', kind, empty + '/none', ok=(3,)), kind)
    write(empty + '/main.cf', 'myhostname = a.example\n')
    out = lab.path('there.conf')
    run(SLUICECTL, 'import', 'postfix', empty, '--output', out)
    check('--replace' in run(SLUICECTL, 'import', 'postfix', empty, '--output', out, ok=(1,)), 'a file that is there')
    run(SLUICECTL, 'import', 'postfix', empty, '--output', out, '--replace')
    check('hostname = a.example;' in run(SLUICECTL, 'import', 'postfix', empty + '/main.cf'), 'a file, printed')


# ---- two that run ----

class Imported(Gateway):
    """A gateway by an imported configuration; of it are changed what an operator changes."""

    def __init__(self, lab, name, path, addresses):
        text = read(path)
        for old, new in ((r'"net_tap0,iface=sluice0"', '"net_tap0,iface=gw0"'), (r'target = syslog', 'target = file'),
                         (r'^    gateway = .*', f'    gateway = {HOST_IP};'), (r'size = 4G', 'size = 256M; segment_size = 16M'),
                         (r'address = \{[^}]*\}', f'address = {GATEWAY_IP}/24')):
            text, count = re.subn(old, new, text, flags=re.M)
            check(count > 0, f'{old} is not in it')
        self.text = text
        super().__init__(lab, name=name)
        self.host_addresses = addresses

    def change(self, **changes):
        os.makedirs(os.path.join(self.dir, 'spool'), exist_ok=True)
        own = {'gateway': {'run_dir': f'{self.dir}/run', 'state_dir': f'{self.dir}/state', 'eal_prefix': self.prefix, 'memory': '256M'},
               'control': {'socket': self.socket}}
        text = self.text.replace('spool {', f'spool {{ path = {self.dir}/spool;')
        write(self.conf_path, text + ''.join(
            f'{block} {{ ' + ' '.join(f'{key} = "{value}";' for key, value in settings.items()) + ' }\n'
            for block, settings in own.items()))


def log_in(c, user, password):
    said = c.command('AUTH PLAIN ' + base64.b64encode(f'\0{user}\0{password}'.encode()).decode())
    check_equal(said.code, 235, f'AUTH: {said.text}')


def inside_tls(port):
    c = Client(port=port, greet=False)
    if port == 587:
        check_equal((c.reply().code, c.command('EHLO x.example').code, c.command('STARTTLS').code), (220, 250, 220), 'STARTTLS')
    c.socket, c.buffer = ssl._create_unverified_context().wrap_socket(c.socket), b''
    if port == 465:
        c.reply()
    c.command('EHLO x.example')
    return c


def arrives(sink, recipient):
    wait_until(lambda: sink.to(recipient), 30, f'mail for {recipient}')
    return sink.to(recipient)[0]


def refused(sender, recipient, code):
    with Client() as c:
        check_equal(c.command(f'MAIL FROM:<{sender}>').code, 250, 'MAIL')
        said = c.command(f'RCPT TO:<{recipient}>')
        check_equal(said.code, code, f'{recipient}: {said.text}')


def test_postfix_runs(lab):
    """Relay with a transport, a list of recipients and aliases; users by Dovecot; the rest by a smarthost."""
    directory = lab.path('office/etc')
    internal, smarthost = Scripted(lab, port=2525), Scripted(lab, port=2626)
    dovecot = Dovecot(lab)
    try:
        dovecot.start()
        users = True
    except Skip:
        users = False
    main_cf = f'''
myhostname = gate.office.example
mydestination =
inet_interfaces = {GATEWAY_IP}
mynetworks = 10.77.0.0/24
recipient_delimiter = +
relay_domains = office.example
relay_recipient_maps = hash:/etc/postfix/recipients
transport_maps = hash:/etc/postfix/transport
relayhost = [{HOST_IP}]:2626
virtual_alias_maps = hash:/etc/postfix/virtual
smtpd_tls_cert_file = {pair[0]}
smtpd_tls_key_file = {pair[1]}
smtpd_tls_security_level = may
smtpd_sasl_type = dovecot
smtpd_sasl_path = {dovecot.socket()}
smtp_tls_security_level = may
maximal_queue_lifetime = 1h
'''
    write(f'{directory}/main.cf', main_cf)
    write(f'{directory}/master.cf', 'smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n'
          '  -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes\n')
    write(f'{directory}/recipients', 'anna@office.example ok\n')
    write(f'{directory}/transport', f'office.example smtp:[{HOST_IP}]:2525\n')
    write(f'{directory}/virtual', 'info@office.example anna@office.example\n')
    gw = Imported(lab, 'office', imported(lab, 'postfix', directory, 'office-made'), [f'{HOST_IP}/24']).start()
    with Client() as c:
        offered = c.command('EHLO x.example').text
        check('STARTTLS' in offered and 'AUTH' not in offered, offered)
        check_equal(c.deliver('s@far.example', ['info@office.example'], plain(1)).code, 250, 'an alias')
    check_equal(arrives(internal, 'anna@office.example').sender, 's@far.example', 'sender')
    refused('s@far.example', 'nobody@office.example', 550)
    refused('s@far.example', 'x@elsewhere.example', 554)
    if not users:
        print('skip logins: Dovecot is not here')
    with inside_tls(587) as c:
        if users:
            check_equal(c.command('MAIL FROM:<bob@office.example>').code, 530, 'mail without a login')
            log_in(c, 'bob', 'secret')
            check_equal(c.deliver('bob@office.example', ['you@far.example'], plain(2)).code, 250, 'a user')
            arrives(smarthost, 'you@far.example')
    gw.stop()


class Store:
    """The server with the mailboxes, as far as LMTP goes."""

    def __init__(self, lab, port):
        self.messages = messages = []

        class Session(socketserver.StreamRequestHandler):
            def say(self, *lines):
                self.wfile.write(''.join(line + '\r\n' for line in lines).encode())

            def handle(self):
                self.say('220 store.example LMTP')
                recipients = []
                while line := self.rfile.readline():
                    word = line.split()[0].upper() if line.split() else b''
                    if word == b'LHLO':
                        self.say('250-store.example', '250-PIPELINING', '250 8BITMIME')
                    elif word == b'RCPT':
                        recipients.append(re.search(rb'<(.*?)>', line)[1].decode())
                        self.say('250 2.1.5 OK')
                    elif word == b'DATA':
                        self.say('354 go on')
                        while self.rfile.readline() != b'.\r\n':
                            pass
                        messages.extend(recipients)
                        self.say(*['250 2.0.0 OK' for _ in recipients])
                        recipients = []
                    else:
                        self.say('221 bye' if word == b'QUIT' else '250 OK')
                    if word == b'QUIT':
                        return
        server = socketserver.ThreadingTCPServer(('0.0.0.0', port), Session)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        lab.at_end(server.shutdown)


def test_mailserver_runs(lab):
    """The accounts' file is used where it lies; mail goes to the store by LMTP."""
    directory, store = lab.path('club'), Store(lab, 2424)
    write(f'{directory}/mailserver.env', 'OVERRIDE_HOSTNAME=mail.club.example\nSPOOF_PROTECTION=1\nSSL_TYPE=manual\n'
          f'SSL_CERT_PATH={pair[0]}\nSSL_KEY_PATH={pair[1]}\nPOSTFIX_DAGENT=lmtp:inet:[{HOST_IP}]:2424\n'
          'POSTSCREEN_ACTION=ignore\n')
    write(f'{directory}/config/postfix-accounts.cf', f'anna@club.example|{SHA512}\nbert@club.example|{SHA512}\n', 0o640)
    write(f'{directory}/config/postfix-virtual.cf', 'info@club.example anna@club.example\n')
    gw = Imported(lab, 'club', imported(lab, 'docker-mailserver', directory, 'club-made'), [f'{HOST_IP}/24']).start()
    with Client() as c:
        check_equal(c.deliver('s@far.example', ['info@club.example'], plain(1)).code, 250, 'an alias')
    wait_until(lambda: 'anna@club.example' in store.messages, 30, 'mail in the store')
    refused('s@far.example', 'nobody@club.example', 550)
    for port in (587, 465):
        with inside_tls(port) as c:
            log_in(c, 'anna@club.example', 'secret')
            check_equal(c.command('MAIL FROM:<bert@club.example>').code, 553, "somebody else's address")
            check_equal(c.deliver('info@club.example', ['bert@club.example'], plain(port)).code, 250, 'her own alias')
    wait_until(lambda: store.messages.count('bert@club.example') == 2, 30, 'their mail in the store')
    gw.stop()


if __name__ == '__main__':
    main(setup)
