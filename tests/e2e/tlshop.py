"""A next hop that has TLS, or does with it what no server should; and certificates for it."""
import os
import socket
import ssl
import struct
import threading
import time
from types import SimpleNamespace

from harness import HOST_IP, check, run, wait_until

NAME = 'mx.next.example'
PATIENCE = 60


def certificates(lab):
    """An authority of our own and certificates for next hops, each as (chain, key)."""
    def path(name):
        return lab.path(f'gw/{name}')  # below the configuration's directory: it may be read again
    os.makedirs(lab.path('gw'), exist_ok=True)
    new = ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

    def authority(name):
        run(*new, '-subj', f'/CN={name}', '-days', '3650', '-addext', 'basicConstraints=critical,CA:TRUE',
            '-addext', 'keyUsage=critical,keyCertSign', '-keyout', path(name + '.key'), '-out', path(name + '.pem'))

    def certificate(name, names, authority='ca', days=('20200101000000Z', '20990101000000Z')):
        with open(path(name + '.ext'), 'w') as f:
            f.write('[x]\nbasicConstraints=CA:FALSE\nsubjectAltName=' + ','.join(names) + '\n')
        run('openssl', 'req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
            f'/CN={names[0].split(":")[1]}', '-keyout', path(name + '.key'), '-out', path(name + '.csr'))
        database = path(authority + '.db')
        with open(database, 'w'), open(database + '.attr', 'w') as f:
            f.write('unique_subject = no\n')
        with open(path('ca.cnf'), 'w') as f:
            f.write(f'[ca]\ndefault_ca=d\n[d]\ndatabase={database}\nrand_serial=yes\npolicy=p\nnew_certs_dir={lab.path("gw")}\n'
                    'default_md=sha256\n[p]\ncommonName=supplied\n')
        run('openssl', 'ca', '-batch', '-notext', '-config', path('ca.cnf'), '-cert', path(authority + '.pem'), '-keyfile',
            path(authority + '.key'), '-in', path(name + '.csr'), '-out', path(name + '.pem'), '-extfile', path(name + '.ext'),
            '-extensions', 'x', '-startdate', days[0], '-enddate', days[1])
        return path(name + '.pem'), path(name + '.key')
    authority('ca')
    authority('stranger')
    return SimpleNamespace(
        ca=path('ca.pem'),
        good=certificate('good', ['DNS:' + NAME, 'DNS:secure.example', f'IP:{HOST_IP}']),
        named=certificate('named', ['DNS:named.lab']),
        wild=certificate('wild', ['DNS:*.next.example']),
        other=certificate('other', ['DNS:other.example']),
        old=certificate('old', ['DNS:' + NAME, f'IP:{HOST_IP}'], days=('20200101000000Z', '20210101000000Z')),
        strange=certificate('strange', ['DNS:' + NAME, f'IP:{HOST_IP}'], authority='stranger'))


def fingerprint(pair, of='certificate'):
    """SHA-256 of the certificate, or of its key, in hexadecimal digits."""
    import hashlib
    with open(pair[0]) as f:
        der = ssl.PEM_cert_to_DER_cert(f.read().split('-----END CERTIFICATE-----')[0] + '-----END CERTIFICATE-----\n')
    if of == 'key':
        run('openssl', 'pkey', '-in', pair[1], '-pubout', '-outform', 'DER', '-out', pair[1] + '.public')
        with open(pair[1] + '.public', 'rb') as f:
            der = f.read()
    return hashlib.sha256(der).hexdigest()


class Gone(Exception):
    """The session is to end."""


class Hop:
    """A server with a thread for each connection. Its mode:
    starttls, implicit; absent (no STARTTLS); refuse (454); unknown (502); inject (bytes behind the 220); garbage, cut, mute
    (in place of a handshake); picky (as cut, to a ClientHello over limit bytes). quiet (without REQUIRETLS);
    greet554, greet450, ehlo554."""

    def __init__(self, lab, pair=None, mode='starttls', host=HOST_IP, port=2525):
        self.messages, self.sessions, self.hellos, self.mode, self.names, self.limit = [], [], [], mode, [], 0
        self.context, self.pair = None, pair
        if pair is not None:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*pair)
            self.context.sni_callback = lambda connection, name, context: self.names.append(name)
        self.listening = socket.socket(socket.AF_INET)
        self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listening.bind((host, port))
        self.listening.listen(64)
        self.ended = False
        threading.Thread(target=self.accepting, daemon=True).start()
        lab.at_end(self.end)

    def end(self):
        if not self.ended:
            self.ended = True
            self.listening.shutdown(socket.SHUT_RDWR)
            self.listening.close()

    def wait(self, count, seconds=60):
        wait_until(lambda: len(self.messages) >= count, seconds, f'{count} messages at the next hop')
        return self.messages

    def accepting(self):
        while not self.ended:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self.session, args=(connection,), daemon=True).start()

    def session(self, connection):
        session = Session(self, connection)
        self.sessions.append(session)
        try:
            session.run()
        except (Gone, OSError):
            pass
        finally:
            try:
                session.socket.close()
            except OSError:
                pass


class Session:
    def __init__(self, hop, connection):
        self.hop, self.socket, self.encrypted, self.buffer, self.mails = hop, connection, False, b'', 0
        self.commands = []
        connection.settimeout(PATIENCE)

    def say(self, text):
        self.socket.sendall(text.encode() + b'\r\n')

    def until(self, end):
        while end not in self.buffer:
            more = self.socket.recv(65536)
            if not more:
                raise Gone
            self.buffer += more
        taken, self.buffer = self.buffer.split(end, 1)
        return taken

    def secure(self):
        mode, header = self.hop.mode, b''
        while len(header) < 5:
            header = self.socket.recv(5, socket.MSG_PEEK)
            if header == b'':
                raise Gone
        size = struct.unpack('>H', header[3:5])[0]
        self.hop.hellos.append(size)
        if mode in ('garbage', 'cut'):
            self.socket.recv(65536)  # else the end would be a reset
        if mode == 'garbage':
            self.socket.sendall(b'550 this is not TLS at all\r\n')
            raise Gone
        if mode == 'cut' or (mode == 'picky' and size > self.hop.limit):
            raise Gone
        if mode == 'mute':
            while self.socket.recv(65536):
                pass
            raise Gone
        check(self.buffer == b'', f'bytes in clear before the handshake: {self.buffer}')
        self.socket = self.hop.context.wrap_socket(self.socket, server_side=True)
        self.encrypted = True

    def run(self):
        if self.hop.mode == 'implicit':
            self.secure()
        self.say({'greet554': '554 5.3.2 no mail here', 'greet450': '450 4.3.2 not now'}.get(self.hop.mode, f'220 {NAME} ESMTP'))
        while self.command(self.until(b'\r\n').decode('latin-1')):
            pass

    def starttls(self):
        if self.hop.mode == 'refuse':
            self.say('454 4.7.0 TLS not available due to temporary reason')
        elif self.hop.mode == 'unknown':
            self.say('502 5.5.1 what is that')
        elif self.hop.mode == 'inject':
            self.socket.sendall(b'220 2.0.0 go ahead\r\n250-next.example\r\n250 PIPELINING\r\n')
            self.until(b'never comes')
        else:
            self.say('220 2.0.0 go ahead')
            self.secure()

    def command(self, line):
        verb = line[:4].upper()
        self.commands.append(verb)
        if verb in ('EHLO', 'HELO') and self.hop.mode == 'ehlo554':
            self.say('554 5.3.2 no mail here')
        elif verb in ('EHLO', 'HELO'):
            offer = self.hop.context is not None and not self.encrypted and self.hop.mode != 'absent'
            self.say(f'250-{NAME}\r\n250-PIPELINING\r\n250-8BITMIME\r\n' + ('250-STARTTLS\r\n' if offer else '')
                     + ('250-REQUIRETLS\r\n' if self.encrypted and self.hop.mode != 'quiet' else '') + '250 SIZE 100000000')
        elif line.upper() == 'STARTTLS':
            self.starttls()
        elif verb == 'MAIL':
            self.mail = line
            self.say('250 2.1.0 Ok')
        elif verb == 'RCPT':
            self.recipient = line[line.index('<') + 1:line.index('>')]
            self.say('250 2.1.5 Ok')
        elif verb == 'DATA':
            self.say('354 go')
            content = self.until(b'\r\n.\r\n')
            self.mails += 1
            self.hop.messages.append(SimpleNamespace(recipient=self.recipient, mail=self.mail, content=content + b'\r\n',
                                                     encrypted=self.encrypted, session=self))
            self.say('250 2.0.0 Ok')
        elif verb == 'RSET':
            self.say('250 2.0.0 Ok')
        elif verb == 'QUIT':
            self.say('221 2.0.0 Bye')
            return False
        else:
            self.say('500 5.5.2 unknown')
        return True
