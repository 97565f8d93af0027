#!/usr/bin/python3
# limit: 150
"""The control socket: who may do what, JSON of every command that has it, and clients that mean no good."""
import grp
import json
import os
import pwd
import re
import socket
import stat
import subprocess
import sys

from gateway import SLUICECTL, Gateway, for_others
from harness import check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

LOOK, CHANGE = 'adm', 'staff'


def setup(lab):
    global gw, far, program
    far = Scripted(lab, mode='rcpt')
    gw = Gateway(lab, control={'group': LOOK, 'change_group': CHANGE}, queue={'backoff_min': '1h', 'backoff_max': '1h'},
                 tlsrpt={'enable': True, 'organization': 'Lab', 'contact': 'tls@gateway.example'}).start()
    program = for_others(lab, SLUICECTL)
    os.chmod(gw.dir, 0o755)


def by(groups, *words, user='nobody'):
    """Runs sluicectl as a user in these groups. Returns its status and what it says."""
    who = pwd.getpwnam(user)
    done = subprocess.run([program, '-s', gw.socket, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=60, user=who.pw_uid, group=who.pw_gid,
                          extra_groups=[grp.getgrnam(g).gr_gid for g in groups])
    return done.returncode, done.stdout.decode(errors='replace')


def waiting():
    """The id of a message that stays in the queue."""
    with Client() as c:
        c.deliver('s@client.example', ['temp-a@example.org'], plain(1))
    wait_until(lambda: 'code=4' in gw.ctl('queue', 'list'), 30, 'a first attempt')
    return json.loads(gw.ctl('queue', 'list', '--json').splitlines()[0])['id']


def commands():
    """Names of all commands, from the help."""
    names = re.findall(r'^  ([a-z][a-z -]*?)(?: [A-Z[].*?)?(?:  +.*)?$', gw.ctl('--help'), re.M)
    check(len(names) > 30, f'the help has {names}')
    return names


def test_json_of_every_command(lab):
    message = waiting()
    words = {'queue show': [message], 'explain': ['to@example.org'], 'probe': ['to@example.org'],
             'tlsrpt show': ['example.org'], 'sender check': ['someone', 'a@example.org'],
             'recipient check': ['a@example.org'], 'connections kick': ['--older', '1d'], 'trace': ['192.0.2.9', '--for', '1s']}
    tried = []
    for name in commands():
        about = gw.ctl('help', *name.split())
        if '--json' not in about or 'may open the files' in about:
            continue
        done = subprocess.run([SLUICECTL, '-s', gw.socket, *name.split(), *words.get(name, []), '--json'],
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        said, error = done.stdout.decode(), done.stderr.decode()
        if name == 'tlsrpt show':  # nothing went out over TLS
            check_equal([done.returncode, said, error], [1, '', 'error: no sessions of that domain are counted: sluicectl tlsrpt tells of which some are\n'], name)
            continue
        check_equal([done.returncode, error], [0, ''], name)
        rows = [json.loads(line) for line in said.splitlines()]
        check(all(isinstance(row, dict) for row in rows), f'{name}: {said}')
        tried.append(name)
    check(len(tried) >= 12 and 'status' in tried, f'tried {tried}')
    state = json.loads(gw.ctl('status', '--json'))
    check_equal([state['accepting'], state['counters']['queue/messages'], len(state['spools'])], [True, 1, 1], 'status')
    check_equal(json.loads(gw.ctl('log', 'level', '--json')), {'level': 'info'}, 'level')
    check_equal(json.loads(gw.ctl('sender', 'check', 'x', 'a@example.org', '--json'))['may'], False, 'sender check')
    gw.ctl('queue', 'delete', message)


def test_who_may(lab):
    """Root may all, change_group too, group may look, others nothing: also where the mode lets them connect."""
    message = waiting()
    check_equal(oct(stat.S_IMODE(os.stat(gw.socket).st_mode)), '0o666', 'mode, as there is room for one group alone')
    looks = (['status'], ['queue', 'list'], ['queue', 'show', message], ['config', 'show'], ['log', 'level'])
    changes = (['queue', 'cat', message], ['log', 'tail'], ['queue', 'hold', message], ['queue', 'release', message],
               ['reload'], ['log', 'level', 'debug'], ['log', 'level', 'info'])
    for words in looks:
        check_equal([by([LOOK], *words)[0], by([CHANGE], *words)[0]], [0, 0], f'{words}')
    for words in changes:
        status, text = by([LOOK], *words)
        check(status == 1 and 'not permitted' in text and 'change_group' in text, f'{words} by who may look: {text}')
        check('Subject' not in text, 'mail')
        check_equal(by([CHANGE], *words)[0], 0, f'{words} by who may change')
    for words in looks + changes:
        status, text = by([], *words)
        check(status == 1 and 'not permitted' in text and message not in text, f'{words} by a stranger: {text}')
    gw.ctl('queue', 'delete', message)


def test_unreachable(lab):
    """3: nobody is there. 2: nothing was asked."""
    check('is the gateway running?' in run(SLUICECTL, '-s', lab.path('nowhere'), 'status', ok=(3,)), 'no socket')
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(lab.path('deaf'))
    check('is the gateway running?' in run(SLUICECTL, '-s', lab.path('deaf'), 'status', ok=(3,)), 'nobody behind it')
    listener.close()
    check("Did you mean 'sluicectl queue list'?" in gw.ctl('queue', 'lits', ok=(2,)), 'a suggestion')


# Holds connections of a kind until its standard input ends.
HOSTILE = '''
import resource, socket, sys
path, kind = sys.argv[1:]
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
say = {'silent': b'', 'half': b'queue li', 'deaf': b'queue list --json\\n', 'garbage': bytes(range(256)) * 16, 'endless': b'x' * 100000}[kind]
held = []
for n in range(int(1000)):
    s = socket.socket(socket.AF_UNIX)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    try:
        s.connect(path)
        s.setblocking(False)
        s.send(say)
    except OSError:
        pass  # turned away
    held.append(s)
print('held', flush=True)
sys.stdin.read()
'''


def hold(kind, groups):
    who = pwd.getpwnam('nobody')
    child = subprocess.Popen([sys.executable, '-c', HOSTILE, gw.socket, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             user=who.pw_uid, group=who.pw_gid, extra_groups=[grp.getgrnam(g).gr_gid for g in groups])
    return child


def test_clients_that_mean_no_good(lab):
    """A thousand connections of each kind, of one who may look and of one who may nothing: others are answered, mail
    goes on."""
    with Client() as c:
        for n in range(300):  # more than the kernel keeps for who does not read
            c.deliver('s@client.example', [f'temp-{n}-{k}-{"x" * 40}@example.org' for k in range(10)], plain(n))
    wait_until(lambda: len(gw.ctl('queue', 'list', '--json')) > 250000, 30, 'a long list')
    for groups in ([LOOK], []):
        for kind in ('silent', 'half', 'deaf', 'garbage', 'endless'):
            what = f'{kind} by {groups}'
            child = hold(kind, groups)
            try:
                for n in range(5):  # while they come
                    check('accepting yes' in gw.ctl('status'), f'root is answered: {what}')
                check_equal(child.stdout.readline(), b'held\n', what)
                for n in range(5):  # while they stay
                    check('accepting yes' in gw.ctl('status'), f'root is answered: {what}')
                    # Another user has the same right to a place: at once, or when the deaf ones' time is over.
                    status, text = by([LOOK], 'status', user='daemon')
                    check_equal([status, 'accepting yes' in text], [0, True], f'another user is answered: {what}: {text}')
                with Client() as c:
                    c.deliver('s@client.example', [f'{kind}{len(groups)}@example.org'], plain(7))
                wait_until(lambda: far.to(f'{kind}{len(groups)}@example.org'), 30, f'mail goes on: {what}')
            finally:
                child.stdin.close()
                child.wait(timeout=30)
    gw.ctl('queue', 'delete', '--all')
    check(gw.alive(), 'the gateway')


if __name__ == '__main__':
    main(setup)
