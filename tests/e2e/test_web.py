#!/usr/bin/python3
# limit: 150
"""sluicectl web over HTTP: what it serves and under which rules; who may look and who may change; passwords, TLS, slow and hostile
clients; and sluicectl refusals, which it shows. In a real browser: test_web_browser.py."""
import grp
import base64
import json
import os
import pwd
import re
import signal
import socket
import ssl
import subprocess
import time

from gateway import SLUICECTL, Gateway, for_others
from harness import SOURCE, check, check_equal, die_with_parent, main, wait_until
from mail import Client
from pki import Pki
from sinks import Scripted
from webpage import HOSTILE_SENDER, PORT, ask, change, fill, queue, serve, token

MESSAGES = 120
FILES = {'/': 'text/html', '/page.css': 'text/css', '/page.js': 'text/javascript', '/queue.js': 'text/javascript', '/icon.svg': 'image/svg+xml'}
gw = far = server = None


def setup(lab):
    global gw, far, server
    far = Scripted(lab, mode='rcpt')
    group = grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name
    gw = Gateway(lab, queue={'backoff_min': '1h', 'backoff_max': '2h'}, control={'group': group}, relay={'networks': ['10.9.0.77/32']}).start()
    fill(gw, MESSAGES)
    server = serve(lab, gw)


def check_headers(answer, what):
    h = answer.headers
    policy = dict(p.strip().split(' ', 1) for p in h['Content-Security-Policy'].split(';'))
    check_equal((policy['default-src'], policy['script-src'], policy['frame-ancestors'], policy['base-uri']),
                ("'none'", "'self'", "'none'", "'none'"), f'policy of {what}')
    check('unsafe' not in h['Content-Security-Policy'], f'policy of {what}')
    check_equal((h['X-Content-Type-Options'], h['X-Frame-Options'], h['Referrer-Policy'], h['Cross-Origin-Resource-Policy']),
                ('nosniff', 'DENY', 'no-referrer', 'same-origin'), f'headers of {what}')
    check_equal((h['Set-Cookie'], h['Access-Control-Allow-Origin']), (None, None), f'{what}: no cookie, and nobody else\'s pages')


def test_files(lab):
    """Each as its type, under a strict policy; nothing inline, nothing from elsewhere."""
    for path, kind in FILES.items():
        a = ask(path)
        check_equal((a.status, a.headers['Content-Type']), (200, kind + '; charset=utf-8'), path)
        check_headers(a, path)
        name = 'index.html' if path == '/' else path[1:]
        with open(os.path.join(SOURCE, 'app/sluicectl/web', name), 'rb') as f:
            check_equal(a.body, f.read(), f'{path}: as in the source')
        urls = set(re.findall(r'https?://[^\s"\'<)]+', a.text)) - {'http://www.w3.org/2000/svg'}
        check_equal(urls, set(), f'{path}: addresses elsewhere')
    page = ask('/').text
    check_equal(re.findall(r'<script(?![^>]*src="/)[^>]*>|<style|\son\w+=|\sstyle=|javascript:', page), [], 'inline script or style')
    check_equal(re.findall(r'innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function', ask('/page.js').text + ask('/queue.js').text), [],
                'markup or script from strings')
    check_equal([ask(p).status for p in ('/other', '/api/other', '/../etc/passwd', '/page.css/')], [404] * 4, 'nothing else')
    check_equal([ask('/', m).status for m in ('HEAD', 'POST', 'PUT', 'DELETE')], [200, 405, 405, 405], 'methods')
    check_equal([ask(p, 'POST').status for p in ('/api/live', '/api/queue')], [405, 405], 'questions are not posted')


def test_live_and_state(lab):
    a = ask('/api/live')
    check_headers(a, '/api/live')
    check_equal((a.headers['Content-Type'], a.headers['Cache-Control']), ('application/json', 'no-store'), 'JSON')
    first = a.json
    check_equal((first['up'], first['read_only'], first['top']['accepting'], first['top']['queue_messages']), (True, False, 'yes', MESSAGES), 'live')
    check_equal((first['minute']['times'].keys(), len(first['top']['lanes'])), ({'handshake', 'durable', 'delivery_attempt'}, 1), 'latencies, lanes')
    check(re.fullmatch('[0-9a-f]{32}', first['token']), 'token')
    later = wait_until(lambda: (b := ask(f'/api/live?after={first["next"]}').json)['samples'] and b, 20, 'another sample')
    check(all(s['up'] and s['queue_messages'] == MESSAGES for s in later['samples']), 'only what came since')
    check(len(later['samples']) <= later['next'] - first['next'], 'only what came since')
    state = ask('/api/state').json
    check_equal((state['up'], state['status']['may_change'], state['status']['hostname']), (True, True, 'mx.gateway.example'), 'state')
    check('tls_out/may_clear' in state['status']['counters'], 'counters of TLS levels')


def test_refusals(lab):
    """The last ones, with their reasons; by the command, too."""
    with Client() as c:
        c.command(f'MAIL FROM:<{HOSTILE_SENDER}>')
        check_equal(c.command('RCPT TO:<who@elsewhere.example>').code // 100, 5, 'relay refused')
    line = wait_until(lambda: [json.loads(s) for s in gw.ctl('refusals', '--json').splitlines() if 'elsewhere.example' in s], 20, 'refusals')[-1]
    check_equal((line['event'], line['code'], line['to'], line['stage']), ('refused', 554, 'who@elsewhere.example', 'RCPT'), 'refusal')
    check('<script>' in line['from'] and line['reason'], f'{line}')
    check('who@elsewhere.example' in gw.ctl('refusals'), 'as text')
    shown = wait_until(lambda: (r := ask('/api/state').json['refusals']) and r[-1] == line and r, 20, 'the page has it')
    check(len(shown) <= 100, 'at most a hundred')
    for _ in range(120):
        with Client() as c:
            c.command('MAIL FROM:<a@client.example>')
            c.command('RCPT TO:<x@elsewhere.example>')
    full = wait_until(lambda: (s := gw.ctl('refusals', '--json').splitlines()) and '"to":"x@' in s[0] and s, 20, 'a hundred newer ones')
    check_equal(len(full), 100, 'as many as are kept')
    wait_until(lambda: len(ask('/api/state').json['refusals']) == 100, 20, 'a hundred in the page')


def test_queue_pages(lab):
    """Pages of 50 that together are the queue; searches run at the gateway, which counts."""
    seen, after = [], ''
    for size, more in ((50, True), (50, True), (20, False)):
        a = queue(after=after) if after else queue()
        check_equal((len(a['messages']), a['more'], a['stat']['matched']), (size, more, MESSAGES), 'page')
        seen += [m['id'] for m in a['messages']]
        after = seen[-1]
    check_equal(seen, [json.loads(s)['id'] for s in gw.ctl('queue', 'list', '--json').splitlines()], 'all, in the order of the list')
    for conditions, count in (({'sender': 's7@client.example'}, 1), ({'recipient': 'temp-8@example.org'}, 1), ({'domain': 'example.org'}, MESSAGES),
                              ({'domain': 'example.net'}, 0), ({'state': 'held'}, 0), ({'code': '4xx'}, MESSAGES), ({'code': '4xx', 'sender': 's9@client.example'}, 1),
                              ({'id': seen[3]}, 1), ({'reason': 'nobody says this'}, 0), ({'older': '100000'}, 0)):
        a = queue(**conditions)
        check_equal((a['stat']['matched'], len(a['messages'])), (count, min(count, 50)), f'{conditions}')
    check('is no message id' in queue(code='9')['error'], 'a condition that is none')
    check('both kinds of quotes' in queue(reason='\'"')['error'] and 'control character' in queue(reason='a\nqueue delete --all')['error'], 'words that cannot be said')
    check('is no message id' in queue(id='--all')['error'] and 'error' in queue(sender='x' * 2000), 'values stay values')
    one = ask(f'/api/message?id={seen[0]}').json['message']
    check_equal((one['id'], one['recipients'][0]['to']), (seen[0], 'temp-0@example.org'), 'one message')
    check('no such message' in ask('/api/message?id=00000000000000000000000000').json['error'], 'none')
    text = gw.ctl('queue', 'list', '--limit', '3', '--after', seen[1])
    check_equal([s.split()[0] for s in text.splitlines() if not s.startswith(' ')], seen[2:5], 'queue list --limit --after')
    gw.ctl('queue', 'delete', '--all', '--limit', '3', ok=(2,))


def test_changes(lab):
    ids = [m['id'] for m in queue()['messages']]
    a = change([('verb', 'hold'), ('which', 'ids')] + [('id', i) for i in ids[:3]])
    check_equal((a.status, a.json), (200, {'done': 3, 'busy': 0, 'missing': 0}), 'hold')
    check_equal([m['id'] for m in queue(state='held')['messages']], ids[:3], 'held')
    check_equal(change([('verb', 'release'), ('which', 'matching'), ('state', 'held'), ('shown', 3)]).json['done'], 3, 'release what matches')
    check_equal(queue(state='held')['stat']['matched'], 0, 'none is held')
    a = change([('verb', 'delete'), ('which', 'ids'), ('id', ids[0]), ('id', '00000000000000000000000000')])
    check_equal(a.json, {'done': 1, 'busy': 0, 'missing': 1}, 'delete, and one that is not there')
    check_equal(queue(id=ids[0])['stat']['matched'], 0, 'it is gone')
    check_equal(change([('verb', 'flush'), ('which', 'ids'), ('id', ids[1])]).json['done'], 1, 'flush')
    one = [('verb', 'delete'), ('which', 'matching'), ('sender', 's9@client.example')]
    for pairs in (one, one + [('shown', '')], one + [('shown', '-1')], one + [('shown', 1), ('id', ids[9])], one + [('shown', 1), ('newer', '60')],
                  one + [('shown', 1), ('sender', 's8@client.example')], [('verb', 'delete'), ('which', 'all'), ('shown', MESSAGES), ('id', ids[9])],
                  [('verb', 'delete'), ('which', 'ids'), ('id', ids[9]), ('newer', '60')], [('verb', 'delete'), ('which', 'matching'), ('shown', MESSAGES)], [('verb', 'delete')], [('verb', 'stop'), ('which', 'all')], [],
                  [('verb', 'delete'), ('which', 'all'), ('state', 'held')], [('verb', 'delete'), ('which', 'ids')]):
        check_equal(change(pairs).status, 400, f'{pairs}')
    for shown in (60, 0, 108):  # 119 there are: 118 would do
        a = change([('verb', 'delete'), ('which', 'all'), ('shown', shown)])
        check(a.status == 409 and f'{shown} were shown, and {MESSAGES - 1} match by now' in a.text, f'more than were shown: {a.status} {a.text}')
    a = change([('verb', 'delete'), ('which', 'matching'), ('domain', 'example.org'), ('shown', 1)])
    check_equal(a.status, 409, 'more match than were shown')
    check_equal(change([('verb', 'hold'), ('which', 'all'), ('shown', 110)]).json['done'], MESSAGES - 1, 'a tenth more may have come meanwhile')
    check_equal(change([('verb', 'release'), ('which', 'all'), ('shown', 5000)]).json['done'], MESSAGES - 1, 'and others have gone')
    check('is no message id' in change([('verb', 'delete'), ('which', 'ids'), ('id', '--all')]).json['error'], 'an id is no option')
    check_equal(change([('verb', 'hold'), ('which', 'ids')] + [('id', i) for i in ids] + [('id', 'x')] * 100).status, 413, 'more ids than a page has')
    check_equal(queue()['stat']['matched'], MESSAGES - 1, 'nothing else is gone')


def test_other_sites(lab):
    """No page of another origin can ask, nor change anything; no name of another leads here."""
    hold = [('verb', 'hold'), ('which', 'all'), ('shown', MESSAGES)]
    good = token()
    for headers in ({'Origin': 'http://evil.example'}, {'Origin': 'null'}, {'Origin': f'http://127.0.0.1:{PORT + 1}'}, {'Sec-Fetch-Site': 'cross-site'},
                    {'Sec-Fetch-Site': 'same-site'}, {'X-Sluice-Token': 'f' * 32}, {'X-Sluice-Token': ''}, {'X-Sluice-Token': good + '0'}):
        check_equal(change(hold, headers={'X-Sluice-Token': good} | headers, with_token=False).status, 403, f'change with {headers}')
    check_equal(change(hold, with_token=False).status, 403, 'without a token')
    check_equal(ask('/api/change?verb=hold&which=all', headers={'X-Sluice-Token': good}).status, 405, 'by a link')
    check_equal(ask('/api/live', headers={'Sec-Fetch-Site': 'cross-site'}).status, 403, 'a question of another site')
    check_equal(queue(state='held')['stat']['matched'], 0, 'nothing was held')
    for host, status in (('evil.example', 403), (f'evil.example:{PORT}', 403), ('127.0.0.1.evil.example', 403), ('localhost.evil.example', 403), ('', 403),
                         ('localhost', 200), ('LOCALHOST:9999', 200), ('127.0.0.1', 200), ('[::1]:8025', 200), ('[::1', 403), ('localhost:x', 403)):
        check_equal(ask('/api/live', headers={'Host': host}).status, status, f'Host: {host}')
    a = change([('verb', 'release'), ('which', 'all'), ('shown', MESSAGES)], headers={'Origin': f'http://127.0.0.1:{PORT}', 'Sec-Fetch-Site': 'same-origin'})
    check_equal(a.status, 200, 'our own page')


ASK = '''
import http.client, sys
c = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=30)
c.request('GET', '/api/live')
r = c.getresponse()
print(r.status, r.read().decode()[:300])
'''


def as_user(name, port=PORT):
    who = pwd.getpwnam(name)
    done = subprocess.run(['/usr/bin/python3', '-c', ASK, str(port)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, cwd='/', check=False,
                          user=who.pw_uid, group=who.pw_gid, extra_groups=[], preexec_fn=die_with_parent)
    return done.stdout.decode()


def test_users_of_this_machine(lab):
    """Without a password: root, who started it, and whom sudo made root."""
    text = as_user('nobody')
    check(text.startswith('403 ') and '--password-file' in text, f'another user: {text}')
    serve(lab, gw, listen=f'127.0.0.1:{PORT + 1}', env=dict(os.environ, SUDO_UID=str(pwd.getpwnam('nobody').pw_uid)))
    check(as_user('nobody', PORT + 1).startswith('200 '), 'who started it by sudo')
    check(as_user('daemon', PORT + 1).startswith('403 '), 'nobody else')
    # A request whose sender has closed already has no owner any more, whoever it was.
    good = token()
    with socket.create_connection(('127.0.0.1', PORT)) as s:
        server.send_signal(signal.SIGSTOP)
        os.waitpid(server.pid, os.WUNTRACED)  # it stands
        s.sendall(f'POST /api/change HTTP/1.1\r\nHost: localhost\r\nX-Sluice-Token: {good}\r\nContent-Type: application/x-www-form-urlencoded\r\n'
                  'Content-Length: 21\r\n\r\nverb=delete&which=all'.encode())
        s.shutdown(socket.SHUT_WR)
        server.send_signal(signal.SIGCONT)
        s.settimeout(30)
        check(s.recv(100).startswith(b'HTTP/1.1 403'), 'a connection that is being closed')
    check_equal(queue()['stat']['matched'], MESSAGES - 1, 'nothing was deleted')


def test_who_may_only_look(lab):
    """The rights are those of whoever runs it: the gateway refuses, the page knows."""
    program, who = for_others(lab, SLUICECTL), pwd.getpwnam('nobody')
    os.chmod(lab.dir, 0o755)
    child = serve(lab, gw, listen=f'127.0.0.1:{PORT + 2}', program=program, user=who.pw_uid, group=who.pw_gid, extra_groups=[])
    check_equal(ask('/api/state', port=PORT + 2).json['status']['may_change'], False, 'may_change')
    check_equal(ask('/api/queue', port=PORT + 2).json['stat']['matched'], MESSAGES - 1, 'it looks')
    a = change([('verb', 'hold'), ('which', 'all'), ('shown', MESSAGES)], port=PORT + 2).json
    check('not permitted' in a['error'] and a['done'] == 0, f'{a}')
    child.terminate()
    serve(lab, gw, '--read-only', listen=f'127.0.0.1:{PORT + 3}')
    check_equal(ask('/api/live', port=PORT + 3).json['read_only'], True, 'read_only')
    a = change([('verb', 'hold'), ('which', 'all')], port=PORT + 3)
    check(a.status == 403 and '--read-only' in a.text, f'--read-only: {a.text}')
    check_equal(queue(state='held')['stat']['matched'], 0, 'nothing was held')


def basic(password, user='operator'):
    return {'Authorization': 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()}


def write(lab, name, text, mode):
    path = lab.path(name)
    with open(path, 'w') as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def request(password):
    return f'GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: {basic(password)["Authorization"]}\r\n\r\n'.encode()


def connect(port, uid):
    """A connection of another user's: a socket is its who made it."""
    os.seteuid(uid)
    try:
        return socket.create_connection(('127.0.0.1', port), timeout=30)
    finally:
        os.seteuid(0)


def taken(port, uid, password):
    with connect(port, uid) as s:
        s.sendall(request(password))
        return s.recv(100).startswith(b'HTTP/1.1 200')


def test_password(lab):
    port, path = PORT + 4, write(lab, 'password', 'correct horse\nand no more\n', 0o600)
    serve(lab, gw, '--password-file', path, listen=f'127.0.0.1:{port}')
    a = ask('/', port=port)
    check_equal((a.status, a.headers['WWW-Authenticate'].split(' ')[0]), (401, 'Basic'), 'without')
    check_headers(a, '401')
    check_equal(ask('/api/live', port=port).status, 401, 'nothing without')
    for user in ('operator', '', 'x y'):
        check_equal(ask('/api/live', port=port, headers=basic('correct horse', user)).status, 200, f'with, as {user!r}')
    check(as_user('nobody', port).startswith('401 '), 'other users need it, and nothing else')
    wrong = ('correct horsf', 'correct hors', 'correct horse ', '', 'x' * 2000)
    check_equal([ask('/', port=port, headers=basic(p)).status for p in wrong], [401] * 5, 'wrong ones')
    a = ask('/', port=port, headers=basic('correct horse'))
    check_equal((a.status, a.headers['Retry-After']), (429, '12'), 'then nobody from there for a while')
    check_equal(ask('/', port=port, address='127.0.0.1').status, 401, 'who guesses nothing is asked')
    with socket.create_connection(('127.0.0.1', port), source_address=('127.0.0.9', 0)) as s:
        s.sendall(request('correct horse'))
        check(s.recv(100).startswith(b'HTTP/1.1 429'), 'nor by another address of the same user')
    check(taken(port, 3000, 'correct horse'), 'another user is let in')
    write(lab, 'password', 'battery staple\n', 0o600)

    users = iter(range(3001, 4000))  # each by another: those that guess wrong have to wait
    wait_until(lambda: time.sleep(0.5) or _quiet(lambda: taken(port, next(users), 'battery staple')), 40, 'a new password is read')
    check(not taken(port, next(users), 'correct horse'), 'the old one is none any more')


def _quiet(f):
    try:
        return f()
    except OSError:
        return False


def test_places_of_a_user(lab):
    """One user of this machine cannot take all places of another; nor can root's be taken."""
    port = PORT + 4
    silent = [connect(port, 3000) for _ in range(30)]
    ended = [s for s in silent[16:] if s.recv(1) == b'']
    check_equal(len(ended), 14, 'more than sixteen')
    check(taken(port, 4001, 'battery staple'), 'another user')
    check_equal(ask('/', port=port).status, 401, 'and root')
    for s in silent:
        s.close()


def test_wrong_use(lab):
    pki = Pki(lab.path('pki'))
    leaf, other = pki.make('leaf', names=['web.example']), pki.make('other', names=['web.example'])
    os.chmod(leaf.key, 0o600)
    good = write(lab, 'pass-good', 'long enough\n', 0o600)
    tls = ['--certificate', leaf.path, '--key', leaf.key]
    for words, says in ((['--listen', '0.0.0.0:8030'], '--password-file FILE; or listen at 127.0.0.1'), (['--listen', '[::]:8030', *tls], 'other machines'),
                        (['--listen', '10.9.0.2:8030', '--password-file', good], 'other machines'), (['--listen', 'localhost:1'], 'no address'),
                        (['--certificate', leaf.path], 'go together'), (['--password-file', lab.path('none')], 'No such file'),
                        (['--password-file', write(lab, 'pass-open', 'long enough\n', 0o640)], 'chmod 600'),
                        (['--password-file', write(lab, 'pass-short', 'short\n', 0o600)], '5 bytes, not 8'),
                        (['--certificate', leaf.path, '--key', other.key], 'too many may read it, mode 644'),
                        (['--certificate', leaf.key, '--key', leaf.key], 'no certificate'), (['--certificate', lab.dir, '--key', leaf.key], 'that is no file')):
        text = gw.ctl('web', *words, ok=(2,))
        check(says in text, f'{words}: {text!r}')
    os.chmod(other.key, 0o600)
    text = gw.ctl('web', '--certificate', leaf.path, '--key', other.key, ok=(2,))
    check('not the private key of' in text, text)
    check('cannot listen' in gw.ctl('web', '--listen', f'127.0.0.1:{PORT}', ok=(3,)), 'a port that is taken')


def test_tls(lab):
    """At an address that others reach: TLS 1.2 and 1.3, by the certificate's name; a new certificate is taken when its file changes."""
    pki, port = Pki(lab.path('pki-tls')), PORT + 5
    names = {'more': {'dns_name': '"web.example"', 'ip_address': '"10.9.0.2"'}}
    first, second = pki.make('first', **names), pki.make('second', **names)
    os.chmod(first.key, 0o600)
    auth = basic('long enough')
    child = serve(lab, gw, '--certificate', first.path, '--key', first.key, '--password-file', write(lab, 'pass-tls', 'long enough\n', 0o600), listen=f'10.9.0.2:{port}')
    check('https://' in child.said, child.said)
    go = {'port': port, 'address': '10.9.0.2'}
    check_equal(ask('/', tls=first.path, **go).status, 401, 'without the password')
    check_equal(ask('/api/live', tls=first.path, headers=auth, **go).status, 200, 'with it')
    for host, status in (('web.example', 200), (f'WEB.example:{port}', 200), ('evil.example', 403), ('localhost', 200)):
        check_equal(ask('/', tls=first.path, headers=auth | {'Host': host}, **go).status, status, f'Host: {host}')
    for version, taken in ((ssl.TLSVersion.TLSv1_3, True), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_1, False)):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers('DEFAULT:@SECLEVEL=0')
        context.minimum_version = context.maximum_version = version
        try:
            with socket.create_connection(('10.9.0.2', port), timeout=30) as s, context.wrap_socket(s):
                done = True
        except OSError:
            done = False
        check_equal(done, taken, f'{version}')

    def certificate():
        return ssl.get_server_certificate(('10.9.0.2', port), timeout=30)

    def replace(path, by):
        with open(by) as f, open(path + '.new', 'w') as out:
            os.chmod(path + '.new', 0o600)
            out.write(f.read())
        os.rename(path + '.new', path)
    replace(first.path, second.path)  # half of a pair: the old one stays
    check('not the private key' in child.stderr.readline().decode(), 'it says why')
    check_equal(ssl.PEM_cert_to_DER_cert(certificate()), first.der, 'the old one stays')
    replace(first.key, second.key)
    wait_until(lambda: _quiet(lambda: ssl.PEM_cert_to_DER_cert(certificate()) == second.der), 40, 'the new certificate')
    check_equal(ask('/api/live', tls=second.path, headers=auth, **go).status, 200, 'and it serves')


def test_hostile_clients(lab):
    """Heads and bodies without end, and of other kinds."""
    s = socket.create_connection(('127.0.0.1', PORT))
    s.settimeout(30)
    try:
        s.sendall(b'GET /' + b'x' * 200000 + b' HTTP/1.1\r\nHost: localhost\r\n\r\n')
        check(s.recv(20)[:12] in (b'', b'HTTP/1.1 414', b'HTTP/1.1 431', b'HTTP/1.1 413'), 'an address of 200 KB')
    except ConnectionError:
        pass
    s.close()
    for head, body in ((f'Content-Length: {1 << 30}', b''), ('Transfer-Encoding: chunked', b'5\r\nverb=\r\n' * 10), ('Content-Length: -1', b'')):
        with socket.create_connection(('127.0.0.1', PORT)) as s:
            s.settimeout(30)
            s.sendall(f'POST /api/change HTTP/1.1\r\nHost: localhost\r\nX-Sluice-Token: {token()}\r\n{head}\r\n\r\n'.encode() + body)
            check(s.recv(12) in (b'HTTP/1.1 403', b'HTTP/1.1 400', b'HTTP/1.1 413'), f'a body with {head}')
    a = ask('/api/change', 'POST', headers={'X-Sluice-Token': token(), 'Content-Type': 'multipart/mixed'}, body=b'x' * 100)
    check(a.status in (400, 415), f'another type: {a.status}')
    check(gw.alive() and server.poll() is None, 'both go on')


def test_gateway_comes_and_goes(lab):
    gw.stop()
    down = wait_until(lambda: not (a := ask('/api/live').json)['up'] and a, 20, 'down')
    check(gw.socket in down['why'] and 'top' not in down, f'{down["why"]}')
    wait_until(lambda: not ask('/api/state').json['up'], 20, 'the state, too')
    check('is the gateway running?' in queue()['error'], 'queue')
    a = change([('verb', 'delete'), ('which', 'all'), ('shown', MESSAGES)]).json
    check(a['done'] == 0 and 'is the gateway running?' in a['error'], f'{a}')
    gw.start()
    up = wait_until(lambda: (a := ask('/api/live').json)['up'] and a, 30, 'up again')
    check(any(not s['up'] for s in up['samples']) and up['samples'][-1]['up'], 'the gap is in the samples')
    check_equal(queue()['stat']['matched'], MESSAGES - 1, 'all as before')


if __name__ == '__main__':
    main(setup)
