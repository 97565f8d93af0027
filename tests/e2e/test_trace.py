#!/usr/bin/python3
# limit: 120
"""sluicectl trace: one client, or one domain, through every layer, and nobody else; what is said to log in and content are
not in it; it ends by time, by lines, and with who asked for it."""
import base64
import json
import os
import socket
import subprocess
import threading

from gateway import SLUICECTL, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, die_with_parent, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

OTHER_IP = '10.9.0.3'
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    chain, key = lab.path('chain.pem'), lab.path('key.pem')
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=mx.gateway.example',
        '-addext', 'subjectAltName=DNS:mx.gateway.example', '-days', '30', '-keyout', key, '-out', chain)
    gw = Gateway(lab, certificate_a={'chain': chain, 'key': key},
                 relay={'networks': ['10.9.0.0/24'], 'domains': ['example.org', 'other.example']}).start()
    run('ip', 'addr', 'add', f'{OTHER_IP}/24', 'dev', gw.iface)


class Trace:
    """sluicectl trace in the background: its lines as they come."""

    def __init__(self, lab, *words):
        self.child = lab.spawn(SLUICECTL, '-s', gw.socket, 'trace', *words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, bufsize=1)
        self.lines = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()
        wait_until(lambda: self.lines, 30, 'the trace begins')

    def read(self):
        for line in self.child.stdout:
            self.lines.append(line.rstrip('\n'))

    def text(self):
        return '\n'.join(self.lines)

    def wait(self, *parts, seconds=60):
        """Until these are in it, in this order."""
        def there():
            at = 0
            for part in parts:
                at = self.text().find(part, at)
                if at < 0:
                    return False
                at += len(part)
            return True
        try:
            wait_until(there, seconds, 'lines of the trace')
        except AssertionError:
            raise AssertionError(f'not in this order: {parts} in:\n{self.text()}') from None

    def end(self):
        self.child.terminate()
        self.child.wait(30)
        self.thread.join(30)


def test_a_client_through_every_layer(lab):
    """TCP, session, each command and reply, the message, the spool, the delivery and its dialog, the end."""
    trace = Trace(lab, OTHER_IP, '--for', '5m')  # the next hop has the other one's address
    with Client() as b:
        b.expect(b.deliver('s@client.example', ['b@other.example'], plain(2)), 250)
    with Client(source=(OTHER_IP, 0)) as a:
        reply = a.deliver('s@client.example', ['a@example.org'], b'Subject: a secret\r\n\r\nNobody reads this.\r\n')
        a.expect(reply, 250)
        message = reply.text.split()[-1]
        a.quit()
    trace.wait('tcp: LISTEN -> SYN-RECEIVED', 'ESTABLISHED', 'session: begins at listener mx', 'us: 220 mx.gateway.example',
               'peer: EHLO client.example', 'us: 250', 'peer: MAIL FROM:<s@client.example>', 'message: followed',
               'peer: RCPT TO:<a@example.org>', 'peer: DATA', 'us: 354', 'message: is whole', 'spool: durable',
               f'us: 250 2.0.0 Ok: queued as {message}', 'peer: QUIT', 'session: ends')
    # The courier's lines have the message's id; so has the dialog with the next hop.
    trace.wait('courier: an attempt for 1 recipients at example.org', 'courier: goes to', 'delivered')
    trace.wait('us: MAIL FROM:<s@client.example>', 'us: RCPT TO:<a@example.org>', 'us: DATA', 'peer: 354', 'peer: 250')
    check(any(message in line and 'goes to' in line for line in trace.lines), 'the id in the courier\'s line')
    check('Nobody reads' not in trace.text() and 'a secret' not in trace.text(), 'content')
    check('b@other.example' not in trace.text(), 'mail of another client')
    trace.end()


def test_a_domain(lab):
    """Whoever sends to it; from the recipient on."""
    trace = Trace(lab, 'OTHER.example', '--json', '--for', '5m')
    with Client() as a:
        a.expect(a.deliver('s@client.example', ['a@example.org'], plain(3)), 250)
    with Client() as a:
        a.expect(a.deliver('s@client.example', ['b@other.example'], plain(4)), 250)
    trace.wait('b@other.example', 'goes to')
    wait_until(lambda: any(json.loads(line)['event'] == 'delivered' for line in trace.lines), 60, 'the delivery')
    rows = [json.loads(line) for line in list(trace.lines)]
    check(not any('a@example.org' in json.dumps(r) for r in rows), 'mail to another domain')
    check(any(r.get('layer') == 'smtp' and r['what'] == 'peer: RCPT TO:<b@other.example>' for r in rows), f'{rows}')
    # TCP of the connection to the next hop, which nobody has named; of the client's what comes behind the recipient.
    message = next(r['id'] for r in rows if r['event'] == 'delivered')
    tcp = [r['what'].split(',')[0] for r in rows if r.get('layer') == 'tcp' and r['peer'].endswith(':2525')]
    check_equal(tcp[:2], ['CLOSED -> SYN-SENT', 'SYN-SENT -> ESTABLISHED'], f'{rows}')
    check(all(r['id'] == message for r in rows if r.get('layer') == 'tcp' and r['peer'].endswith(':2525')), 'with its id')
    check(all(r.get('peer', HOST_IP).startswith(HOST_IP) for r in rows), 'peers')
    trace.end()


def test_secrets(lab):
    """What is said to log in, in whatever way, and lines that are no commands."""
    trace = Trace(lab, f'{HOST_IP}/32', '--for', '5m')
    secret = base64.b64encode(b'\0alice\0opensesame').decode()
    with Client() as a:
        for line in (f'AUTH PLAIN {secret}', f'auth\tplain {secret}', f'  AUTH  PLAIN  {secret}', secret, 'AUTH LOGIN', secret,
                     'MAIL FROM:<s@client.example>', 'Subject: opensesame'):
            a.command(line)
        a.quit()
    trace.wait('peer: AUTH PLAIN (not shown)', 'peer: AUTH plain (not shown)', 'not shown: no command', 'peer: AUTH LOGIN',
               'not shown: no command', 'peer: MAIL', 'not shown: no command', 'peer: QUIT', 'session: ends')
    check(secret not in trace.text() and 'opensesame' not in trace.text(), 'a secret')
    trace.end()


def test_tls(lab):
    """The handshake's result, and what is said behind it."""
    trace = Trace(lab, HOST_IP, '--for', '5m')
    with Client() as a:
        a.expect(a.command('STARTTLS'), 220)
        a.send(b'this is no TLS at all\r\n')
        check(a.closed(), 'closed')
    trace.wait('peer: STARTTLS', 'us: 220', 'tls: failed:', 'session: ends')
    import ssl
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with Client() as a:
        a.expect(a.command('STARTTLS'), 220)
        a.socket = context.wrap_socket(a.socket, server_hostname='mx.gateway.example')
        a.expect(a.command('EHLO again.example'), 250)
        a.quit()
    trace.wait('tls: version=TLSv1.3', 'peer: EHLO again.example', 'us: 250', 'peer: QUIT')
    trace.end()


def test_bounds(lab):
    """By lines, by time; four at a time, and a place is free again when who asked for it goes."""
    trace = Trace(lab, HOST_IP, '--count', '5')
    with Client() as a:
        a.quit()
    check_equal(trace.child.wait(60), 0, 'status')
    trace.thread.join(30)
    check_equal(len(trace.lines), 7, trace.text())
    check('lines=5 lost=0' in trace.lines[-1], trace.lines[-1])
    short = Trace(lab, HOST_IP, '--for', '1s')
    check_equal(short.child.wait(60), 0, 'status')
    short.thread.join(30)
    check('time is over' in short.lines[-1], short.text())
    four = [Trace(lab, HOST_IP) for _ in range(4)]
    check('4 traces run already' in gw.ctl('trace', HOST_IP, ok=(1,)), 'a fifth')
    four[0].child.kill()
    four[0].child.wait()
    wait_until(lambda: 'traces run' not in gw.ctl('trace', HOST_IP, '--for', '1s', ok=(0, 1)), 30, 'a place is free')
    with Client() as a:
        a.quit()
    for t in four[1:]:
        t.wait('peer: QUIT', 'session: ends')
        t.end()
    for words in ([], ['--for', '1s'], ['not a', 'domain'], [HOST_IP, '--for', '2h'], [HOST_IP, '--count', '0'], ['10.9.0.1/24']):
        gw.ctl('trace', *words, ok=(1, 2))


def test_lost_lines_are_told(lab):
    """Who does not read loses lines, which he is told, and nobody else does."""
    quick = Trace(lab, HOST_IP, '--for', '5m', '--count', '1000000')
    with socket.socket(socket.AF_UNIX) as slow:
        slow.settimeout(60)
        slow.connect(gw.socket)
        slow.sendall(f'trace {HOST_IP} --for 5m --count 1000000\n'.encode())
        got = slow.recv(100)
        check(got.startswith(b'ok'), f'{got}')
        for n in range(1, 121):
            with Client() as a:
                a.send(b'NOOP\r\n' * 50)
                for _ in range(50):
                    a.reply()
            wait_until(lambda: sum('NOOP' in line for line in list(quick.lines)) >= n * 50, 60, 'the quick one has them')
        while b'trace lost lines: ' not in got:
            piece = slow.recv(65536)
            check(piece, 'the slow one is cut off')
            got += piece
    check('trace lost' not in quick.text(), 'the quick one loses none')
    quick.end()


main(setup)
