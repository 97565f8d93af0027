#!/usr/bin/python3
# limit: 150
"""The log in its forms and targets: Postfix's words read by pflogsumm and by fail2ban's own filters, JSON, syslog and
journald, rotation by logrotate, and targets that do not take what they get: nothing about a message is lost, and no
lane waits for them."""
import collections
import concurrent.futures
import json
import os
import re
import socket
import threading
import time

from gateway import SLUICECTL, Gateway
from harness import GATEWAY_IP, HOST_IP, PEERS, Skip, check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted
from test_auth import SHA512
from zones import NSD, Nsd

far = None
running = []
ID = r'[0-9A-Za-z]{26}'


def peer(path):
    full = os.path.join(PEERS, path)
    if not os.path.exists(full):
        raise Skip(f'{path} is not here (tests/run e2e brings it)')
    return full


def setup(lab):
    global far
    far = Scripted(lab)


def sluice(lab, name, log, **more):
    for other in running:  # one interface for all
        if other.alive():
            check_equal(other.stop(), 0, f'{other.name}: status')
    changes = {'smtp': {'client_idle': '0'}, 'log': log, 'queue': {'backoff_min': '600s', 'backoff_max': '700s'}, **more}
    running.append(Gateway(lab, name=name, **changes))
    return running[-1]


def text_of(path):
    with open(path, errors='replace') as f:
        return f.read()


def finished(path, number, pattern=r'qmgr\[\d+\]: \S+: removed'):
    wait_until(lambda: len(re.findall(pattern, text_of(path))) >= number, 60, f'{number} ends in the log')


# ---- Postfix's words ----

STRANGERS = ['10.9.0.71', '10.9.0.72', '10.9.0.73', '10.9.0.74', '10.9.0.75', '10.9.0.76', '10.9.0.77']
RELAY, GUESS, EARLY, LOST, ERRORS, UNKNOWN, LISTED = STRANGERS
words = None  # the gateway that speaks as Postfix does, and its log


def speak(lab):
    global words
    if words is not None:
        return words
    Nsd(lab, NSD, {'bl.lab': '77.0.9.10 A 127.0.0.2\n77.0.9.10 TXT "see http://bl.lab/?ip=1"\n'})
    words = sluice(lab, 'words', {'format': 'postfix', 'file': lab.path('maillog')},
                   listener_early={'kind': 'mx', 'port': 'net0', 'tcp_port': 26, 'greet_pause': '1s'},
                   listener_users={'kind': 'submission', 'port': 'net0', 'tcp_port': 2587, 'auth_cleartext': True,
                                   'tls': 'none', 'spoof_protection': 'off'},
                   auth={'backend': 'passwd', 'passwd_file': users(lab), 'failure_delay': '0'},
                   smtp={'client_idle': '0', 'errors': 3}, dns={'stubs': [f'bl.lab={NSD[0]}:{NSD[1]}']},
                   **{'dns_list bl': {'zone': 'bl.lab'}},
                   relay={'networks': [f'{HOST_IP}/32'], 'domains': ['example.org']})
    words.host_addresses += [f'{address}/24' for address in STRANGERS]
    words.maillog = lab.path('maillog')
    return words.start()


def users(lab):
    path = lab.path('users')
    with open(path, 'w') as f:
        f.write(f'alice@example.org|{SHA512}\n')
    return path


def summary(path, *options):
    """What pflogsumm makes of the log: {'received': 5, ...}, and its text."""
    text = run('perl', peer('usr/sbin/pflogsumm'), *options, path)
    totals = {what.strip(): int(n) for n, what in re.findall(r'^ +(\d+)k?  ([a-z/ ]+)', text.split('Per-Hour')[0], re.M)}
    return totals, text


def refused(source, recipient, port=25):
    with Client(source=(source, 0), port=port) as c:
        c.command('MAIL FROM:<x@stranger.example>')
        check(c.command(f'RCPT TO:<{recipient}>').code >= 500, 'refused')
        c.quit()


def test_pflogsumm(lab):
    """Counts of what is known to have happened: by senders, recipients, bytes, ends."""
    gw = speak(lab)
    far.mode = 'rcpt'
    sent = [('a@client.example', ['one@example.org']), ('a@client.example', ['two@example.org', 'three@example.net']),
            ('', ['one@example.org']), ('b@client.example', ['perm-x@example.org', 'four@example.org']),
            ('c@client.example', ['temp-x@example.org'])]
    for number, (sender, recipients) in enumerate(sent):
        with Client(source=(HOST_IP, 0)) as c:
            content = b'Message-ID: <m%d@client.example>\r\n' % number + plain(number, 400 + 100 * number)
            check_equal(c.deliver(sender, recipients, content).code, 250, 'taken')
            c.quit()
    with Client(port=2587) as c:  # one with a login
        c.expect(c.command('AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHNlY3JldA=='), 235)
        check_equal(c.deliver('alice@example.org', ['five@example.net'], plain(9)).code, 250, 'taken')
        c.quit()
    refused(RELAY, 'u@elsewhere.example')
    refused(RELAY, 'v@elsewhere.example')
    with Client(source=(HOST_IP, 0)) as c:  # a message that is refused at its end
        check_equal(c.deliver('a@client.example', ['one@example.org'], b'Subject: x\r\n\r\na\rb\r\n').code, 550, 'a bare CR')
        c.quit()
    finished(gw.maillog, 6)  # five of ours, and the report to b@client.example
    wait_until(lambda: 'status=deferred' in text_of(gw.maillog), 30, 'a deferral')
    log = text_of(gw.maillog)
    totals, text = summary(gw.maillog, '-i')
    arrived = {m.sender: 0 for m in far.messages}
    for m in far.messages:
        arrived[m.sender] += 1
    received = [int(n) for qid, n in re.findall(rf'qmgr\[\d+\]: ({ID}): from=<[^>]*>, size=(\d+)', log)
                if f'{qid}: client=' in log]
    check_equal(len(received), 6, 'messages with size')
    # received: six; delivered: seven of their recipients and the report; deferred, bounced: one each.
    for what, want in (('received', 6), ('delivered', 7), ('deferred', 1), ('bounced', 1), ('rejected', 3), ('held', 0),
                       ('discarded', 0), ('senders', 5), ('recipients', 6), ('sending hosts/domains', 3), ('recipient hosts/domains', 3)):
        check_equal(totals.get(what), want, f'{what}: {text[:1500]}')
    check_equal(totals['bytes received'], sum(received), 'bytes received')
    check_equal(totals['bytes delivered'], sum(len(m.content) * len(m.recipients) for m in far.messages), 'bytes delivered')
    for sender, n in (('a@client.example', 2), ('b@client.example', 1), ('alice@example.org', 1), ('from=<>', 1)):
        check(re.search(rf'^ +{n}   {re.escape(sender)}$', text.split('Senders by message count')[1].split('Recipients by')[0], re.M),
              f'{sender}: {text}')
    check('Relay access denied' in text and 'said: 550 5.1.1 no such user' in text and 'mailbox asleep' in text, text)
    check(re.search(r'smtpd\[\d+\]: ' + ID + r': client=unknown\[' + re.escape(HOST_IP) + r'\], sasl_method=PLAIN, '
                    r'sasl_username=alice@example\.org\n', log), 'the login')


def test_one_id(lab):
    """From the first line to the last, in Received, and to the client."""
    gw = speak(lab)
    far.mode = 'ok'
    before = len(far.messages)
    with Client(source=(HOST_IP, 0)) as c:
        reply = c.deliver('id@client.example', ['id@example.org'], b'Message-ID: <this@one>\r\n' + plain(1))
        qid = re.search(rf'queued as ({ID})$', reply.text).group(1)
        c.quit()
    wait_until(lambda: f'{qid}: removed' in text_of(gw.maillog), 30, 'its end')
    check(f'id {qid}'.encode() in far.messages[before].content, 'Received has it')
    lines = [re.sub(r'^.*? postfix/(\w+)\[\d+\]: \w+: (\S*).*', r'\1 \2', line)
             for line in text_of(gw.maillog).splitlines() if f' {qid}: ' in line]
    check_equal(sorted(lines), sorted(['cleanup message-id=<this@one>', f'smtpd client=unknown[{HOST_IP}]',
                                       'qmgr from=<id@client.example>,', 'smtp to=<id@example.org>,', 'qmgr removed']), 'lines')


def ban(mode, path):
    """The addresses that fail2ban's filter finds, each as often as it does."""
    env = dict(os.environ, PYTHONPATH=os.path.join(PEERS, 'usr/lib/python3/dist-packages'))
    conf = peer('etc/fail2ban')
    text = run('/usr/bin/python3', '-W', 'ignore', peer('usr/bin/fail2ban-regex'), '-c', conf, '-o', 'ip', path, f'{conf}/filter.d/postfix.conf[mode={mode}]',
               env=env, ok=(0, 1))
    return collections.Counter(re.findall(r'^[\d.]+$', text, re.M))


def test_fail2ban(lab):
    gw = speak(lab)
    refused(RELAY, 'w@elsewhere.example')
    for _ in range(2):
        with Client(source=(GUESS, 0), port=2587) as c:
            c.expect(c.command('AUTH PLAIN AGFsaWNlQGV4YW1wbGUub3JnAHdyb25n'), 535)
            c.quit()
    with Client(source=(GUESS, 0), port=2587) as c:
        for _ in range(2):
            c.expect(c.command('AUTH LOGIN'), 334)
            c.expect(c.command('YWxpY2VAZXhhbXBsZS5vcmc='), 334)
            c.expect(c.command('d3Jvbmc='), 535)
    with socket.create_connection((GATEWAY_IP, 26), source_address=(EARLY, 0)) as s:
        s.sendall(b'EHLO early.example\r\nMAIL FROM:<x@y>\r\n')
        s.recv(1000)
    with Client(source=(LOST, 0)) as c:
        c.command('MAIL FROM:<x@stranger.example>')
    with Client(source=(ERRORS, 0)) as c:
        for _ in range(3):
            c.command('RUBBISH from unknown[10.9.0.2]: 554 5.7.1 ')
        c.closed()
    # Words that look like another client's line: nobody but who said them is found.
    with Client(source=(UNKNOWN, 0)) as c:
        c.command('EHLO x')
        c.command('MAIL FROM:<"from unknown[10.9.0.2]: 554 5.7.1 "@stranger.example>')
        c.command('RCPT TO:<"unknown[10.9.0.2]: SASL LOGIN authentication failed: x"@elsewhere.example>')
        c.command('VRFY reject: RCPT from unknown[10.9.0.2]: 554 5.7.1 <x>: Relay access denied')
        c.quit()
    with Client(source=(LISTED, 0)) as c:  # in a DNS list: as Postfix words it
        c.command('MAIL FROM:<x@stranger.example>')
        reply = c.command('RCPT TO:<one@example.org>')
        check_equal((reply.code, reply.text), (554, f'5.7.1 Service unavailable; Client host [{LISTED}] blocked using bl.lab; see http://bl.lab/?ip=1'), 'refused')
        c.quit()
    wait_until(lambda: all(len(re.findall(rf'disconnect from unknown\[{re.escape(a)}\]', text_of(gw.maillog))) >= n
                           for a, n in ((GUESS, 3), (LOST, 1), (ERRORS, 1), (UNKNOWN, 1), (LISTED, 1))), 20, 'ends of sessions')
    wait_until(lambda: 'PREGREET' in text_of(gw.maillog), 20, 'PREGREET')
    wanted = {'auth': {GUESS: 4}, 'normal': {RELAY: 3, UNKNOWN: 1, ERRORS: 1, LISTED: 1},
              'more': {RELAY: 3, UNKNOWN: 1, ERRORS: 1, LISTED: 1}, 'errors': {ERRORS: 1}, 'rbl': {LISTED: 1}}
    modes = [*wanted, 'ddos', 'aggressive']
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        found = dict(zip(modes, pool.map(lambda mode: ban(mode, gw.maillog), modes)))
    for mode, want in wanted.items():
        check_equal(dict(found[mode]), want, f'mode {mode}: {text_of(gw.maillog)[-3000:]}')
    ddos = found['ddos']
    check(ddos[EARLY] >= 1 and ddos[LOST] == 1 and set(ddos) <= {EARLY, LOST, GUESS}, f'ddos: {ddos}')
    check_equal(set(found['aggressive']), {RELAY, GUESS, EARLY, LOST, ERRORS, UNKNOWN, LISTED}, 'aggressive')


# ---- JSON ----

def test_json(lab):
    path = lab.path('log.json')
    gw = sluice(lab, 'json', {'format': 'json', 'file': path, 'level': 'debug'}).start()
    far.mode = 'rcpt'
    with Client() as c:
        qid = re.search(ID, c.deliver('a@client.example', ['j@example.org', 'temp-j@example.org'], plain(1)).text).group(0)
        c.quit()
    wait_until(lambda: '"event":"deferred"' in text_of(path), 30, 'a deferral')
    check_equal(gw.stop(), 0, 'status')
    lines = [json.loads(line) for line in text_of(path).splitlines()]
    own = [line for line in lines if line.get('id') == qid]
    of = {line['event']: line for line in own}
    # One id, from the first line about it to the last, and in what the next hop got.
    told = [line['event'] for line in own]
    check_equal((told[0], sorted(told[1:])), ('message', ['accepted', 'deferred', 'delivered', 'queued']), 'lines of the id')
    check(any(f'id {qid}'.encode() in m.content for m in far.to('j@example.org')), 'Received has it')
    check_equal((of['accepted']['recipients'], of['queued']['from'], of['delivered']['to'], of['delivered']['code']),
                (2, 'a@client.example', 'j@example.org', 250), 'fields')
    check_equal((of['deferred']['to'], of['deferred']['reply'], of['deferred']['level']),
                ('temp-j@example.org', '4.2.1 mailbox asleep', 'warn'), 'the deferral')
    check_equal([line['commands'] for line in lines if line['event'] == 'disconnect'], ['ehlo=1 mail=1 rcpt=2 data=1 quit=1 commands=6'], 'commands')


# ---- files ----

def test_logrotate(lab):
    """Both ways of it, with a user without rights on the log's directory."""
    os.makedirs(lab.path('logs'), exist_ok=True)
    os.chmod(lab.path('logs'), 0o755)
    path = lab.path('logs/sluice.log')
    gw = sluice(lab, 'rotated', {'file': path}, gateway={'user': 'nobody'}, route_default={'host': f'{HOST_IP}:2525'})
    gw.start()
    far.mode = 'ok'

    def send(number):
        with Client() as c:
            check_equal(c.deliver('r@client.example', ['r@example.org'], plain(number)).code, 250, 'taken')
            c.quit()
        wait_until(lambda: text_of(path).count('finished') == 1, 30, 'the new file has it')

    def rotate(name, directives):
        with open(lab.path(name), 'w') as f:
            f.write(f'"{path}" {{\n rotate 3\n {directives}\n}}\n')
        os.chmod(lab.path(name), 0o644)
        env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(PEERS, 'usr/lib/x86_64-linux-gnu'))
        run(peer('usr/sbin/logrotate'), '-f', '-s', lab.path('rotate.state'), lab.path(name), env=env)
    send(1)
    rotate('rename', f'create 0640 root root\n postrotate\n {SLUICECTL} -s {gw.socket} log reopen\n endscript')
    send(2)
    check(text_of(path + '.1').count('finished') == 1, 'the old file has the first')
    rotate('copy', 'copytruncate')
    send(3)
    rotate('hup', f'create 0640 root root\n postrotate\n kill -HUP {gw.process.pid}\n endscript')
    send(4)
    os.rename(path, path + '.by-hand')  # the user may not make it: the opener does
    check_equal(gw.ctl('log', 'reopen'), '', 'silent')
    send(5)
    check_equal(gw.stop(), 0, 'status')


def test_level_and_tail(lab):
    gw = sluice(lab, 'level', {'level': 'warn'}).start()
    check_equal(gw.ctl('log', 'level'), 'warn\n', 'level')
    gw.ctl('log', 'level', 'info')
    check_equal(gw.ctl('log', 'level'), 'info\n', 'level')
    far.mode = 'ok'
    with Client() as c:
        check_equal(c.deliver('t@client.example', ['t@example.org'], plain(1)).code, 250, 'taken')
        c.quit()
    wait_until(lambda: 'disconnect' in gw.ctl('log', 'tail'), 10, 'tail')
    check(re.search(rf'info accepted id={ID} ', gw.ctl('log', 'tail')), 'tail has the message')
    check('level' in gw.ctl('log', 'level', 'loud', ok=(2,)), 'a level that is none')
    gw.ctl('reload')
    check_equal(gw.ctl('log', 'level'), 'warn\n', 'a reload has what the file says')
    gw.stop()


# ---- sockets ----

class Listener:
    """A datagram socket as syslog and journald have it, which can go and come."""

    def __init__(self, path):
        self.path, self.got = path, []
        self.up()

    def up(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        threading.Thread(target=self.read, args=(self.socket,), daemon=True).start()

    def read(self, s):
        try:
            while (data := s.recv(65536)):
                self.got.append(data.decode())
        except OSError:
            pass

    def down(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def has(self, pattern):
        return [line for line in list(self.got) if re.search(pattern, line, re.S)]


def test_syslog_goes_and_comes(lab):
    listener = Listener(lab.path('devlog'))
    gw = sluice(lab, 'syslog', {'target': 'syslog', 'socket': listener.path, 'format': 'postfix', 'ident': 'mx1', 'facility': 'local3'}).start()
    far.mode = 'ok'

    def send(number):
        with Client() as c:
            reply = c.deliver('s@client.example', [f'sys{number}@example.org'], plain(number))
            check_equal(reply.code, 250, 'taken')
            c.quit()
        return re.search(ID, reply.text).group(0)
    qid = send(1)
    wait_until(lambda: listener.has(rf'^<158>\w{{3}} [ \d]\d \d\d:\d\d:\d\d mx1/qmgr\[\d+\]: {qid}: removed$'), 20, 'a line')
    listener.down()
    ids = [send(number) for number in range(2, 6)]
    wait_until(lambda: len(far.messages) and [m for m in far.messages if m.recipients == ['sys5@example.org']], 30, 'delivered')
    listener.up()
    for qid in ids:
        for what in ('client=', 'from=<', 'to=<', 'removed'):
            wait_until(lambda: listener.has(f'{qid}: {what}'), 20, f'{qid} {what}')
    gw.stop()


def test_journald(lab):
    listener = Listener(lab.path('journal-socket'))
    gw = sluice(lab, 'journal', {'target': 'journald', 'socket': listener.path}).start()
    far.mode = 'ok'
    with Client() as c:
        qid = re.search(ID, c.deliver('s@client.example', ['j@example.org'], plain(1)).text).group(0)
        c.quit()
    wait_until(lambda: listener.has(f'SLUICE_EVENT=finished.*SLUICE_ID={qid}'), 20, 'the last line')
    entry = dict(line.split('=', 1) for line in listener.has('SLUICE_EVENT=accepted')[0].splitlines())
    check_equal((entry['PRIORITY'], entry['SYSLOG_FACILITY'], entry['SYSLOG_IDENTIFIER'], entry['SYSLOG_PID'], entry['SLUICE_ADDRESS'], entry['SLUICE_ID']),
                ('6', '2', 'sluiced', str(gw.process.pid), HOST_IP, qid), 'fields')
    check(entry['MESSAGE'].startswith(f'accepted id={qid} client='), entry['MESSAGE'])
    gw.stop()


def of_systemd(path):
    """A program of systemd's, unpacked or the machine's own, and its environment."""
    libraries = ':'.join(os.path.join(PEERS, 'usr/lib/x86_64-linux-gnu', d) for d in ('systemd', '.'))
    if os.path.exists(os.path.join(PEERS, path)):
        return os.path.join(PEERS, path), dict(os.environ, LD_LIBRARY_PATH=libraries)
    if os.path.exists(f'/{path}'):
        return f'/{path}', None
    raise Skip(f'{path} is not here (tests/run e2e brings it)')


def start_journald(lab):
    """The real one, with sockets and files of its own; returns its directory of files."""
    program, env = of_systemd('lib/systemd/systemd-journald')
    if not os.path.exists('/etc/machine-id') or os.path.getsize('/etc/machine-id') < 32:
        raise Skip('journald needs /etc/machine-id')
    for where in ('/run/systemd', '/run/log'):  # of this test's mounts alone
        os.makedirs(where, exist_ok=True)
        run('mount', '-t', 'tmpfs', 'none', where)
        lab.at_end(lambda where=where: run('umount', '-l', where, ok=None))
    os.makedirs('/run/systemd/journald.conf.d')
    os.makedirs('/run/log/journal')
    with open('/run/systemd/journald.conf.d/sluice.conf', 'w') as f:
        f.write('[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\nForwardToWall=no\nRateLimitIntervalSec=0\n')
    said = open(lab.path('journald.log'), 'wb')
    lab.spawn(program, stdout=said, stderr=said, env=env)
    wait_until(lambda: os.path.exists('/run/systemd/journal/socket'), 20, 'journald listens')
    return '/run/log/journal'


def test_real_journald(lab):
    """What journalctl finds by the fields."""
    files = start_journald(lab)
    journalctl, env = of_systemd('usr/bin/journalctl')
    gw = sluice(lab, 'realjournal', {'target': 'journald'}).start()
    far.mode = 'ok'
    with Client() as c:
        qid = re.search(ID, c.deliver('s@client.example', ['real@example.org'], plain(1)).text).group(0)
        c.quit()

    def entries():
        text = run(journalctl, '-D', files, '-o', 'json', '--no-pager', f'SLUICE_ID={qid}', ok=(0, 1), env=env)
        return [json.loads(line) for line in text.splitlines() if line.startswith('{')]
    found = wait_until(lambda: len(all_of := entries()) >= 5 and all_of, 30, 'five lines')
    by_event = {e['SLUICE_EVENT']: e for e in found}
    check_equal(sorted(by_event), ['accepted', 'delivered', 'finished', 'message', 'queued'], 'events')
    check_equal({(e['_TRANSPORT'], e['SYSLOG_IDENTIFIER'], e['_PID'], e['PRIORITY']) for e in found},
                {('journal', 'sluiced', str(gw.process.pid), '6')}, 'fields')
    check(re.search(rf'^delivered id={qid} .*to=<real@example\.org>', by_event['delivered']['MESSAGE']), by_event['delivered']['MESSAGE'])
    check_equal(by_event['accepted']['SLUICE_ADDRESS'], HOST_IP, 'the client')
    check_equal(gw.stop(), 0, 'status')


def test_rsyslog(lab):
    """The real one."""
    config, path, out = lab.path('rsyslog.conf'), lab.path('rsys-socket'), lab.path('rsys.log')
    library = os.path.join(PEERS, 'usr/lib/x86_64-linux-gnu')
    with open(config, 'w') as f:
        f.write(f'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="{path}" CreatePath="off")\n'
                f'global(workDirectory="{lab.dir}")\n*.* action(type="omfile" file="{out}")\n')
    lab.spawn(peer('usr/sbin/rsyslogd'), '-n', '-f', config, '-i', lab.path('rsys.pid'), '-M', f'{library}/rsyslog',
              env=dict(os.environ, LD_LIBRARY_PATH=library))
    wait_until(lambda: os.path.exists(path), 20, 'rsyslog listens')
    gw = sluice(lab, 'rsyslog', {'target': 'syslog', 'socket': path, 'format': 'postfix'}).start()
    far.mode = 'ok'
    for number in range(3):
        with Client() as c:
            check_equal(c.deliver('s@client.example', [f'rs{number}@example.org'], plain(number)).code, 250, 'taken')
            c.quit()
    wait_until(lambda: os.path.exists(out) and text_of(out).count(': removed') == 3, 30, 'its file')
    totals, text = summary(out)
    check_equal((totals['received'], totals['delivered']), (3, 3), text[:600])
    gw.stop()


# ---- targets that do not take what they get ----

def flood(count, threads=8, header=b''):
    """Messages from several clients, with the header line if any; returns the ids that were accepted."""
    ids, lock = [], threading.Lock()

    def one(which):
        for number in range(count // threads):
            try:
                with Client(timeout=60) as c:
                    reply = c.deliver(f'f{which}@client.example', [f'f{which}-{number}@example.org'], header + plain(number, 200))
                if reply.code == 250:
                    with lock:
                        ids.append(re.search(ID, reply.text).group(0))
            except OSError:
                return
    workers = [threading.Thread(target=one, args=(which,), daemon=True) for which in range(threads)]
    for w in workers:
        w.start()
    return ids, workers


def everything_told(ids, text, counters):
    """Each message that was accepted was told of, from its first line to its last, once."""
    for what in ('accepted', 'queued', 'delivered', 'finished'):
        told = collections.Counter(re.findall(rf' {what} id=({ID})', text))
        check(set(ids) <= set(told), f'{len(set(ids) - set(told))} of {len(ids)} not {what}')
        check(max(told.values()) == 1, f'{what} told twice')
        check_equal(len(told), counters[what], what)


def told_lost(text):
    lost = collections.Counter()
    for n, kind in re.findall(r' lost lines=(\d+) kind=(\w+)', text):
        lost[kind] += int(n)
    return lost


def test_reader_that_stops(lab):
    """A FIFO whose reader does not read: connections are lost from the log, and told of; messages wait; the gateway answers."""
    path = lab.path('fifo-log')
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    gw = sluice(lab, 'fifo', {'file': path}).start()
    far.mode = 'ok'
    knocks, threads = 0, []
    end = time.monotonic() + 30
    while gw.counter('log/dropped') == 0:  # connections alone fill three quarters
        check(time.monotonic() < end, 'the ring does not fill')
        for _ in range(200):
            socket.create_connection((GATEWAY_IP, 25)).close()
            knocks += 1
    # The last quarter is for what is told of 1,365 messages at most, whose ids are as long as these.
    ids, threads = flood(8 * 180, header=b'Message-ID: <' + b'i' * 236 + b'@client.example>\r\n')
    wait_until(lambda: gw.counter('conn/stalled_log') > 0, 60, 'messages wait')
    check('lanes 1' in gw.ctl('status'), 'the gateway answers')
    text, stop = [], threading.Event()

    def read():
        while not stop.is_set():
            try:
                data = os.read(reader, 1 << 20)
                text.append(data.decode())
            except BlockingIOError:
                time.sleep(0.005)
    threading.Thread(target=read, daemon=True).start()
    for t in threads:
        t.join(120)
        check(not t.is_alive(), 'a client still waits')
    wait_until(lambda: gw.counter('courier/finished') == len(ids), 60, 'all delivered')
    wait_until(lambda: sum(told_lost(''.join(text)).values()) == gw.counter('log/dropped') + gw.counter('log/lost'), 30, 'losses told')
    counters = {'accepted': gw.counter('conn/messages'), 'queued': gw.counter('courier/arrived'),
                'delivered': gw.counter('courier/delivered'), 'finished': gw.counter('courier/finished')}
    wait_until(lambda: ''.join(text).count(' finished id=') == counters['finished'], 30, 'the last lines')
    everything_told(ids, ''.join(text), counters)
    lost = told_lost(''.join(text))
    check(set(lost) <= {'connect', 'disconnect', 'message'} and lost['connect'] > 0, f'lost: {lost}')
    told = len(re.findall(' connect client=', ''.join(text))) + lost['connect']
    check_equal(told, gw.counter('conn/accepted'), 'connections told of and lost')
    check_equal(gw.stop(), 0, 'status')
    stop.set()
    os.close(reader)


def test_full_disk(lab):
    """While the disk is full lines about connections may be lost, about messages none. Then there is room again."""
    where = lab.path('small')
    os.makedirs(where)
    run('mount', '-t', 'tmpfs', '-o', 'size=64k', 'none', where)
    lab.at_end(lambda: run('umount', '-l', where, ok=None))
    gw = sluice(lab, 'full', {'file': where + '/log'}).start()
    far.mode = 'ok'
    ids, threads = flood(8 * 40)
    wait_until(lambda: os.path.getsize(where + '/log') == 65536, 60, 'the disk is full')
    for t in threads:
        t.join(60)
        check(not t.is_alive(), 'a client still waits')
    check('lanes 1' in gw.ctl('status'), 'the gateway answers')
    wait_until(lambda: gw.counter('courier/finished') == len(ids), 60, 'all delivered')
    run('mount', '-o', 'remount,size=16m', where)
    wait_until(lambda: text_of(where + '/log').count(' finished id=') == len(ids), 30, 'all told')
    wait_until(lambda: sum(told_lost(text_of(where + '/log')).values()) == gw.counter('log/lost') + gw.counter('log/dropped'), 30, 'losses told')
    everything_told(ids, text_of(where + '/log'), {'accepted': len(ids), 'queued': len(ids), 'delivered': len(ids), 'finished': len(ids)})
    check(all(re.match(r'\d{4}-\d\d-\d\dT[\d:.]+Z (error|warn|info) \w+ ', line) for line in text_of(where + '/log').splitlines()), 'a torn line')
    check_equal(gw.stop(), 0, 'status')


if __name__ == '__main__':
    main(setup)
