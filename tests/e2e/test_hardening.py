#!/usr/bin/python3
# limit: 120
"""What the processes of a running gateway may do, as the kernel tells it of each process and each thread. What a role's sandbox
refuses is tried in tests/unit/test_sandbox.c; that all goes on working inside of it is the other programs' part."""
import os
import pwd
import signal

from gateway import SLUICED, Gateway
from harness import check, check_equal, main, run, wait_until
from mail import Client, plain
from powers import SETS, check_closed, check_powerless, role_pids, status_of
from sinks import Scripted

USER = 'daemon'
# What an opener keeps: to read what others may not, to become the other roles' users, to take rights from them.
DAC_OVERRIDE, DAC_READ_SEARCH, SETGID, SETUID, SETPCAP = 1 << 1, 1 << 2, 1 << 6, 1 << 7, 1 << 8
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    users = lab.path('users')
    with open(users, 'w') as f:
        f.write('user@example.org:{CRYPT}$6$rounds=1000$saltsalt$' + 'a' * 86 + '\n')
    os.chmod(users, 0o640)
    os.makedirs(lab.path('logs'))
    os.chown(lab.path('logs'), pwd.getpwnam(USER).pw_uid, -1)
    gw = Gateway(lab, gateway={'user': USER}, log={'file': lab.path('logs/sluice.log')},
                 listener_submission={'kind': 'submission', 'port': 'net0', 'tcp_port': 587, 'tls': 'none', 'auth_cleartext': True},
                 auth={'backend': 'passwd', 'passwd_file': users})
    os.chmod(gw.dir, 0o755)
    # The resolver's process starts with the first question: about a client. Nobody answers.
    gw.blocks['dns_list bl'] = {'zone': 'bl.example.net'}
    gw.change(relay={'networks': ['10.99.0.0/24'], 'domains': ['example.org']}, dns={'servers': ['127.0.0.1']}, limits={'dns_list_timeout': '100ms'})
    gw.start()
    send(0)


def send(number):
    with Client() as c:
        return c.deliver('s@client.example', ['x@example.org'], plain(number)).code


def check_all():
    uid = pwd.getpwnam(USER).pw_uid
    check_powerless(gw.process.pid, uid, 'main')
    wait_until(lambda: len(role_pids('auth')) == 1 and len(role_pids('opener')) == 2 and role_pids('resolver'), 20, 'the roles')
    check_powerless(role_pids('auth')[0], uid, 'auth')
    wait_until(lambda: status_of(role_pids('resolver')[0])['Uid'].split()[0] == '65534', 20, 'the resolver begins')
    check_powerless(role_pids('resolver')[0], 65534, 'resolver')
    for pid in role_pids('opener'):
        check_closed(pid, 'opener')
        rights = DAC_OVERRIDE | DAC_READ_SEARCH | SETGID | SETUID | SETPCAP
        status = status_of(pid)
        check_equal([int(status[name], 16) for name in SETS], [0, rights, rights, rights, 0], 'rights of an opener')


def test_no_process_holds_root(lab):
    """All ids, groups and five sets of capabilities of every thread; the openers keep what they are for."""
    check('no Landlock' not in gw.log_now() and 'seccomp' not in gw.log_now(), 'the sandbox is not whole: ' + gw.log_now()[:500])
    check_all()


def test_the_same_user_sees_nothing(lab):
    """Another process of the gateway's user neither traces it nor reads its memory, its environment or its descriptors."""
    account = pwd.getpwnam(USER)
    as_user = ('setpriv', f'--reuid={account.pw_uid}', f'--regid={account.pw_gid}', '--clear-groups')
    for name in ('mem', 'environ', 'maps'):
        said = run(*as_user, 'head', '-c', '1', f'/proc/{gw.process.pid}/{name}', ok=None)
        check('denied' in said.lower() or 'not permitted' in said.lower(), f'{name}: {said!r}')
    said = run(*as_user, 'ls', f'/proc/{gw.process.pid}/fd', ok=None)
    check('denied' in said.lower(), f'fd: {said!r}')


def test_it_works_on(lab):
    """Mail, a reload, the log's reopening, and roles that are started again: they have no more rights than the first."""
    check_equal(send(1), 250, 'a message')
    check('error' not in gw.ctl('reload'), 'reload')
    os.rename(lab.path('logs/sluice.log'), lab.path('logs/old'))
    gw.ctl('log', 'reopen')
    wait_until(lambda: os.path.exists(lab.path('logs/sluice.log')), 20, 'the new log')
    for name in ('auth', 'resolver', 'opener'):
        before = role_pids(name)
        os.kill(before[0], signal.SIGKILL)
        if name == 'resolver':
            send(4)  # with the next question
        wait_until(lambda: len(role_pids(name)) == len(before) and role_pids(name) != before, 20, f'{name} is started again')
    wait_until(lambda: all(status_of(pid)['Seccomp'] == '2' for pid in role_pids('auth') + role_pids('resolver')), 20, 'their sandbox')

    def settled():
        status = status_of(role_pids('auth')[0])
        return status['Uid'].split()[0] != '0'
    wait_until(settled, 20, 'auth becomes its user')
    check_equal(send(2), 250, 'a message')
    wait_until(lambda: len(far.messages) == 4, 30, 'their arrival')
    check_all()


def test_no_sandbox_where_none_is_wanted(lab):
    """gateway: sandbox = no, for who looks into it with a debugger; rights are given up all the same."""
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(gateway={'sandbox': False})
    gw.start()
    status = status_of(gw.process.pid)
    check_equal(status['Seccomp'], '0', 'a filter')
    check_equal([int(status[name], 16) for name in SETS], [0] * 5, 'rights')
    check_equal(send(3), 250, 'a message')


def test_a_role_may_say_something(lab):
    """Standard error is a file, and the resolver, which may write none, has something to say: it is said, and it lives and answers."""
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(gateway={'user': None, 'sandbox': True})
    at = gw.launch(program='setpriv', flags=('--bounding-set', '-setgid', SLUICED))
    wait_until(lambda: 'sluiced: ready' in gw.log_now()[at:], 60, 'ready')
    gw.address()
    check_equal(send(5), 250, 'a message')
    wait_until(lambda: 'resolver: cannot become nobody' in gw.log_now()[at:], 20, 'what it says')
    wait_until(lambda: role_pids('resolver') and int(status_of(role_pids('resolver')[0])['Seccomp_filters']) > 1, 20, 'it is confined')
    pid = role_pids('resolver')[0]
    check(int(status_of(pid)['SigIgn'], 16) & 1 << signal.SIGXFSZ - 1, 'a line that it cannot write would end it')
    with open(f'/proc/{pid}/limits') as f:
        check_equal([line.split()[3:5] for line in f if line.startswith('Max file size')], [['0', '0']], 'it writes no file')
    check_equal(send(6), 250, 'a message')
    check_equal(role_pids('resolver'), [pid], 'it lives on')


if __name__ == '__main__':
    main(setup)
