#!/usr/bin/python3
# limit: 180
"""The gateway's processes: the opener dies and is replaced, rights are given up and mail still flows,
signals do what they are for, and the end is clean."""
import os
import pwd
import re
import signal
import socket
import threading
import time

from gateway import Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None
logs = None


def setup(lab):
    global gw, far, logs
    far = Scripted(lab)
    logs = lab.path('logs')
    os.makedirs(logs)
    gw = Gateway(lab, smtp={'message_size': '1M'}, log={'file': os.path.join(logs, 'sluice.log')}).start()


def status_of(pid):
    with open(f'/proc/{pid}/status') as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)


def role_pids():
    """The openers of this gateway: by their command line and the namespace that is ours alone."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                line = f.read()
            ours = os.readlink(f'/proc/{pid}/ns/net') == os.readlink('/proc/self/ns/net')
            if line == b'sluiced\0--role=opener\0' and ours and status_of(pid)['State'][0] != 'Z':
                found.append(int(pid))
        except OSError:
            continue
    return sorted(found)


def active_opener():
    """The one that main made first: the older of the two, by its start time."""
    def started(pid):
        with open(f'/proc/{pid}/stat') as f:
            return int(f.read().rsplit(')', 1)[1].split()[19])
    return min(role_pids(), key=lambda pid: (started(pid), pid))


def value(name):
    return int(re.search(rf'^{name} (\d+)$', gw.ctl('status'), re.M).group(1))


def log_text(name='sluice.log'):
    with open(os.path.join(logs, name), errors='replace') as f:
        return f.read()


def send(number, to='x@example.org', size=600):
    with Client() as c:
        return c.deliver('s@client.example', [to], plain(number, size)).code


def test_two_openers_and_no_rights_too_many(lab):
    check_equal(len(role_pids()), 2, 'openers')
    main_status = status_of(gw.process.pid)
    check_equal((main_status['Seccomp'], main_status['NoNewPrivs']), ('2', '1'), 'Seccomp and NoNewPrivs of main')
    for task in os.listdir(f'/proc/{gw.process.pid}/task'):
        check_equal(status_of(f'{gw.process.pid}/task/{task}')['Seccomp'], '2', f'Seccomp of thread {task}')
    for pid in role_pids():
        check_equal(status_of(pid)['Seccomp'], '2', 'Seccomp of an opener')
        check_equal(len(os.listdir(f'/proc/{pid}/fd')), 4, 'descriptors of an opener')
        with open(f'/proc/{pid}/environ', 'rb') as f:
            check_equal(f.read(), b'', 'environment of an opener')
    for pid in [gw.process.pid] + role_pids():
        with open(f'/proc/{pid}/limits') as f:
            check(re.search(r'^Max core file size +0 +0 ', f.read(), re.M), f'RLIMIT_CORE of {pid}')


def test_the_opener_is_replaced(lab):
    """Twice in a row, each time the one that answers; the reload after it works."""
    for number in (1, 2):
        victim = active_opener()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: value('opener_restarts') == number, 30, f'restart {number}')
        wait_until(lambda: len(role_pids()) == 2 and victim not in role_pids(), 30, 'two openers')
        before = value('settings_generation')
        gw.change(smtp={'message_size': f'{number + 1}M'})
        check(gw.ctl('reload').startswith('settings_generation'), 'reload')
        check_equal(value('settings_generation'), before + 1, 'generation')
        with Client(greet=False) as c:
            c.reply()
            check(f'SIZE {(number + 1) << 20}' in c.command('EHLO x.example').text, 'the new setting')
    wait_until(lambda: log_text().count('its reserve took over') == 2, 10, 'two lines in the log')
    check_equal(send(1), 250, 'a message')


def test_reload_right_after_the_death(lab):
    """Nobody has noticed yet: the question itself finds the reserve."""
    restarts = value('opener_restarts')
    os.kill(active_opener(), signal.SIGKILL)
    check('error' not in gw.ctl('reload'), 'reload')
    wait_until(lambda: value('opener_restarts') == restarts + 1, 30, 'the restart')


def test_traffic_is_no_death(lab):
    """net_tap signals control for each packet: none of it counts."""
    restarts = value('opener_restarts')
    for number in range(2, 202):
        check_equal(send(number), 250, 'a message')
    check_equal(value('opener_restarts'), restarts, 'restarts of the opener')


def test_log_rotation(lab):
    check_equal(send(300), 250, 'a message')
    wait_until(lambda: 'accepted' in log_text(), 10, 'the log')
    os.rename(os.path.join(logs, 'sluice.log'), os.path.join(logs, 'sluice.log.1'))
    gw.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: os.path.exists(os.path.join(logs, 'sluice.log')), 10, 'a new log file')
    check_equal(send(301), 250, 'a message')
    wait_until(lambda: 'accepted' in log_text(), 10, 'the new log')


def test_hostile_control_clients(lab):
    """Clients that say nothing, too much, or read nothing leave the socket usable."""
    idle = []
    for _ in range(20):
        s = socket.socket(socket.AF_UNIX)
        s.connect(gw.socket)
        idle.append(s)
    s = socket.socket(socket.AF_UNIX)
    s.connect(gw.socket)
    try:
        s.sendall(b'x' * 4096)
    except OSError:
        pass
    idle.append(s)
    wait_until(lambda: 'uptime_s' in gw.ctl('status', ok=None), 30, 'status while others hold the socket')
    for s in idle:
        s.close()
    check_equal(send(302), 250, 'a message')


def test_telemetry_while_it_stops(lab):
    """Requests up to the very end: the exit is clean, and clients that are idle hear 421."""
    stopped = threading.Event()

    def ask():
        while not stopped.is_set():
            try:
                gw.telemetry('/sluice/smtp')
                gw.telemetry('/sluice/memory')
            except (OSError, ValueError):
                pass
    askers = [threading.Thread(target=ask) for _ in range(4)]
    with Client() as c:
        for a in askers:
            a.start()
        started = time.monotonic()
        gw.process.send_signal(signal.SIGTERM)
        check_equal(c.reply().code, 421, 'the word to an idle client')
        check(c.closed(), 'and its connection is closed')
        check_equal(gw.wait(), 0, 'exit status')
        check(time.monotonic() - started < 8, 'the drain does not wait for idle clients until its deadline')
    stopped.set()
    for a in askers:
        a.join()
    wait_until(lambda: not role_pids(), 10, 'the openers are gone')


def test_clean_stops_deliver_once(lab):
    """Started and stopped amid deliveries, with nothing lost and nothing twice."""
    total = 0

    def arrived():  # what an earlier test has left may come meanwhile
        return [m.recipients for m in list(far.messages) if m.recipients[0].startswith('clean')]
    for _ in range(5):
        gw.start()
        with Client() as c:
            for _ in range(20):
                total += 1
                check_equal(c.deliver('s@client.example', [f'clean{total}@example.org'], plain(total)).code, 250, 'reply')
        check_equal(gw.stop(), 0, 'exit status')
    gw.start()
    wait_until(lambda: len(arrived()) >= total, 60, 'all messages')
    wait_until(lambda: gw.counter('queue/messages') == 0, 30, 'empty')
    check_equal(sorted(arrived()), sorted([f'clean{n + 1}@example.org'] for n in range(total)), 'deliveries')
    check_equal(gw.stop(), 0, 'exit status')


def test_another_user(lab):
    """gateway: user: every id of every thread is that user's, and mail flows, new spool files included."""
    if gw.alive():
        gw.stop()
    os.chmod(gw.dir, 0o755)
    gw.change(gateway={'user': 'nobody'}, smtp={'message_size': '5M'},
              spool={'path': os.path.join(gw.dir, 'spool2'), 'segment_size': '1M', 'size': '64M'})
    gw.start()
    uid = pwd.getpwnam('nobody').pw_uid
    for task in os.listdir(f'/proc/{gw.process.pid}/task'):
        status = status_of(f'{gw.process.pid}/task/{task}')
        check_equal(status['Uid'].split(), [str(uid)] * 4, 'user ids')
        check_equal(int(status['CapEff'], 16), 0, 'capabilities')
    check_equal(os.stat(gw.socket).st_uid, uid, 'owner of the control socket')
    before = len(far.messages)
    for number in range(400, 406):
        check_equal(send(number, size=2000000), 250, 'a message that needs new spool files')
    wait_until(lambda: len(far.messages) == before + 6, 60, 'their arrival')
    check('error' not in gw.ctl('reload'), 'reload through the opener, which is still root')
    check_equal(gw.stop(), 0, 'exit status')
    gw.start()
    check_equal(send(410), 250, 'a message after a restart')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
