#!/usr/bin/python3
# limit: 120
"""The service manager's protocol, spoken with a socket of our own: readiness when clients are really served, a watchdog that is fed only
while every thread makes progress, and a stop that says how long it takes. And the units: systemd finds nothing wrong with them."""
import ctypes
import os
import shutil
import signal
import socket
import time

from gateway import Gateway
from harness import PEERS, SOURCE, Skip, check, check_equal, libc, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH, WALL = 0x4206, 0x4207, 17, 0x40000000
gw = far = listener = None


class Manager:
    """What systemd is to the gateway: a socket, and words in its environment."""

    def __init__(self, path):
        self.heard = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.path = path

    def listen(self, seconds=0.0):
        """All datagrams that come within the time, each as its lines with the time they came."""
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                lines = self.socket.recv(4096).decode().split('\n')
            except (TimeoutError, BlockingIOError):
                return self.heard
            self.heard.append((time.monotonic(), lines))

    def has(self, line):
        return any(line in lines for _, lines in self.listen())

    def count(self, line):
        return sum(line in lines for _, lines in self.listen())


def start(usec, **more):
    for name, value in {'NOTIFY_SOCKET': listener.path, 'WATCHDOG_USEC': str(usec), **more}.items():
        os.environ[name] = value
    listener.heard.clear()
    try:
        gw.launch()
    finally:
        for name in ('NOTIFY_SOCKET', 'WATCHDOG_USEC', *more):
            os.environ.pop(name, None)


def setup(lab):
    global gw, far, listener
    far = Scripted(lab)
    listener = Manager(lab.path('notify'))
    gw = Gateway(lab, gateway={'lanes': 2, 'stop_timeout': '20s'})


def test_ready_when_it_listens(lab):
    """READY=1 comes once, and by then a client is served; what it was told stands in no environment of a role."""
    start(2000000)
    wait_until(lambda: listener.has('READY=1'), 60, 'readiness')
    gw.address()
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['x@example.org'], plain(1)).code, 250, 'a message')
    check_equal(listener.count('READY=1'), 1, 'how often')
    check(listener.has('STATUS=2 lanes, 1 spools'), f'status: {listener.heard}')


def test_fed_while_all_is_well(lab):
    before = listener.count('WATCHDOG=1')
    wait_until(lambda: listener.count('WATCHDOG=1') >= before + 3, 20, 'three words')


def thread_named(number):
    """Ids of threads by the kernel's name; lanes are DPDK's workers."""
    found = []
    for task in sorted(map(int, os.listdir(f'/proc/{gw.process.pid}/task'))):
        with open(f'/proc/{gw.process.pid}/task/{task}/comm') as f:
            found.append((task, f.read().strip()))
    return [task for task, name in found if name.startswith(number)]


class Stopped:
    """with Stopped(thread): it stands still inside, the others go on."""

    def __init__(self, thread):
        self.thread = thread

    def call(self, what):
        libc.ptrace.restype = ctypes.c_long
        if libc.ptrace(what, self.thread, None, None) != 0:
            raise Skip(f'ptrace: {os.strerror(ctypes.get_errno())}')

    def __enter__(self):
        self.call(PTRACE_SEIZE)
        self.call(PTRACE_INTERRUPT)
        os.waitpid(self.thread, WALL)

    def __exit__(self, *_):
        self.call(PTRACE_DETACH)


def test_starves_when_one_stands_still(lab):
    """Each lane, the spooler, the courier: while one of them stands still no word comes, the log names it, and afterwards all is well
    again. A service manager would have ended the process after WATCHDOG_USEC."""
    for name, thread in (('lane 0', thread_named('rte-worker')[0]), ('lane 1', thread_named('rte-worker')[1]),
                         ('spooler 0', thread_named('spooler')[0]), ('courier 0', thread_named('courier')[0])):
        at = len(gw.log_now())
        with Stopped(thread):
            wait_until(lambda: f'{name} stands still' in gw.log_now()[at:], 20, f'{name} is named')
            before = listener.count('WATCHDOG=1')
            listener.listen(1.5)  # more than two words' time
            check_equal(listener.count('WATCHDOG=1'), before, f'words while {name} stands still')
        wait_until(lambda: listener.count('WATCHDOG=1') > before, 20, f'a word after {name} goes on')
        wait_until(lambda: 'every thread makes progress again' in gw.log_now()[at:], 20, 'told')


def test_watchdogs_signal(lab):
    """SIGABRT, by which systemd ends one that stands still, ends it at once; what was acknowledged is there after the next start."""
    far.mode = 'end_451'
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['kept@example.org'], plain(2)).code, 250, 'a message')
    gw.process.send_signal(signal.SIGABRT)
    check_equal(gw.wait(10), -signal.SIGABRT, 'how it ended')
    far.mode = 'ok'
    start(2000000)
    wait_until(lambda: listener.has('READY=1'), 60, 'readiness')
    gw.address()
    wait_until(lambda: far.to('kept@example.org'), 60, 'the message after the restart')
    check('corrupt' not in gw.log(), f'the spool: {gw.log()[-500:]}')


def test_stop_says_how_long(lab):
    check_equal(gw.stop(), 0, 'exit status')
    last = [lines for _, lines in listener.listen() if 'STOPPING=1' in lines]
    check_equal(len(last), 1, 'STOPPING=1')
    values = dict(line.split('=', 1) for line in last[0])
    check(int(values['EXTEND_TIMEOUT_USEC']) >= 23000000, f'less than gateway: stop_timeout: {values}')


def test_another_ones_watchdog(lab):
    """WATCHDOG_PID of another process: ready is told, the watchdog is not ours. An abstract socket is as good."""
    global listener
    listener = Manager('\0sluice-test-notify')
    listener.path = '@sluice-test-notify'
    start(400000, WATCHDOG_PID='1')
    wait_until(lambda: listener.has('READY=1'), 60, 'readiness')
    listener.listen(1)
    check_equal(listener.count('WATCHDOG=1'), 0, 'words to the watchdog')
    check_equal(gw.stop(), 0, 'exit status')


def test_nobody_to_tell(lab):
    """A manager that has gone, or a path too long: it starts, serves and stops as ever."""
    for path in ('/nowhere/notify', '/' + 'x' * 200, 'relative'):
        os.environ['NOTIFY_SOCKET'] = path
        try:
            gw.start()
        finally:
            del os.environ['NOTIFY_SOCKET']
        check_equal(gw.stop(), 0, 'exit status')


def test_units(lab):
    """systemd-analyze verify has nothing to say, and what the units start is what meson installs."""
    analyze = shutil.which('systemd-analyze') or os.path.join(PEERS, 'usr/bin/systemd-analyze')
    libraries = os.path.join(PEERS, 'usr/lib/x86_64-linux-gnu')
    env = dict(os.environ, LD_LIBRARY_PATH=f'{libraries}:{libraries}/systemd') if analyze.startswith(PEERS) else None
    if not os.path.exists(analyze):
        raise Skip('systemd-analyze is not here (tests/run e2e brings it)')
    root = lab.path('root')
    units = os.path.join(root, 'lib/systemd/system')
    os.makedirs(units)
    for name in os.listdir(os.path.join(SOURCE, 'conf/systemd')):
        if name.endswith('.service'):
            shutil.copy(os.path.join(SOURCE, 'conf/systemd', name), units)
    for target in ('network-online', 'network-pre', 'local-fs', 'time-sync', 'multi-user', 'sysinit', 'basic', 'shutdown', 'network'):
        with open(os.path.join(units, f'{target}.target'), 'w') as f:
            f.write(f'[Unit]\nDescription={target}\n')
    for name in ('-.slice', 'system.slice'):
        with open(os.path.join(units, name), 'w') as f:
            f.write('[Unit]\nDescription=slice\nDefaultDependencies=no\n')
    for program in ('usr/sbin/sluiced', 'usr/bin/sluicectl', 'usr/libexec/sluice/prepare'):
        os.makedirs(os.path.dirname(os.path.join(root, program)), exist_ok=True)
        shutil.copy('/bin/true', os.path.join(root, program))
    names = [os.path.join(units, n) for n in sorted(os.listdir(units)) if n.endswith('.service')]
    check_equal(len(names), 4, 'units')
    said = run(analyze, '--man=no', '--recursive-errors=no', f'--root={root}', 'verify', *[os.path.basename(n) for n in names], env=env)
    check_equal(said.strip(), '', 'systemd-analyze verify')
    with open(os.path.join(units, 'sluice.service'), 'a') as f:
        f.write('[Service]\nExecStopPost=/nowhere/program\nWatchdogSekunden=1\n')
    said = run(analyze, '--man=no', '--recursive-errors=no', f'--root={root}', 'verify', 'sluice.service', ok=(0, 1), env=env)
    check('WatchdogSekunden' in said, f'a unit with an error: {said!r}')


if __name__ == '__main__':
    main(setup)
