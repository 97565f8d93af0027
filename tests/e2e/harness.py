"""
What every program of tests/e2e stands on: a network namespace of its own, children that end with it,
the lines that tests/run counts, and waiting with a bound.

A program has functions test_NAME(lab), run in the order they are written by main(). Each prints
"ok NAME", "not ok NAME: why" or "skip NAME: why". Exit status: 0, 1 when something failed, 77 with a
plain last line when nothing could be run here.

The namespaces (network and mounts) belong to the test process, not to a name: they vanish with it and
its children, also when it is killed, and children die with it (PR_SET_PDEATHSIG). Nothing is left but
a directory below /var/tmp when it was killed by SIGKILL.
"""
import ctypes
import inspect
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

try:
    import aiosmtpd  # noqa: F401  Debian's python has it; one from elsewhere in PATH has not
except ImportError:
    if sys.executable != '/usr/bin/python3' and os.path.exists('/usr/bin/python3'):
        os.execv('/usr/bin/python3', ['/usr/bin/python3'] + sys.argv)

SOURCE = os.environ.get('SLUICE_SOURCE') or os.path.realpath(os.path.join(os.path.dirname(__file__), '../..'))
BUILD = os.path.realpath(os.environ.get('SLUICE_BUILD') or os.path.join(SOURCE, 'build/gcc'))
PEERS = os.path.join(SOURCE, 'build/root')  # packages that are unpacked, not installed: see tests/run
LONG = os.environ.get('SLUICE_LONG') == '1'
GATEWAY_IP, HOST_IP = '10.9.0.1', '10.9.0.2'

CLONE_NEWNS, CLONE_NEWNET, PR_SET_PDEATHSIG = 0x00020000, 0x40000000, 1
libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """Cannot be tested here; the text says why."""


class Failed(AssertionError):
    """A fact does not hold."""


def check(fact, why):
    if not fact:
        raise Failed(why)


def check_equal(got, want, what):
    if got != want:
        raise Failed(f'{what}: {got!r}, not {want!r}')


def wait_until(condition, seconds, what):
    """Waits for condition() to be true and returns its value. The bound is generous: it is there to
    end a failing test, never to measure."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failed(f'{what}: not within {seconds} s')
        time.sleep(0.02)


def find_program(name, hint=None):
    path = os.pathsep.join([os.path.join(PEERS, 'bin'), os.environ.get('PATH', ''), '/usr/sbin:/usr/bin:/sbin:/bin'])
    found = shutil.which(name, path=path)
    if found is None:
        raise Skip(f'{name} is not here ({hint or "tests/run e2e brings it"})')
    return found


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def enter_namespaces():
    if libc.unshare(CLONE_NEWNET | CLONE_NEWNS) != 0:
        raise Skip(f'cannot make a network namespace: {os.strerror(ctypes.get_errno())}')
    run('mount', '--make-rprivate', '/')
    for which in ('default', 'all'):  # the kernel's own IPv6 chatter is not part of any test
        path = f'/proc/sys/net/ipv6/conf/{which}/disable_ipv6'
        if os.path.exists(path):
            with open(path, 'w') as f:
                f.write('1')
    with open('/proc/sys/net/ipv4/ip_nonlocal_bind', 'w') as f:
        f.write('1')  # next hops listen on an address that comes and goes with the gateway's device
    run('ip', 'link', 'set', 'lo', 'up')


def run(*args, ok=(0,), timeout=60, **kw):
    """Runs a program to its end; its output as text. A status not in ok fails."""
    done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout, preexec_fn=kw.pop('preexec_fn', die_with_parent), **kw)
    text = done.stdout.decode(errors='replace')
    if ok is not None and done.returncode not in ok:
        raise Failed(f'{" ".join(args[:3])}...: status {done.returncode}: {text[-400:]}')
    return text


class Lab:
    """The directory, the children and the endings of one test program."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix='sluice-e2e-', dir='/var/tmp')  # a disk: the spool is O_DIRECT
        os.chmod(self.dir, 0o755)
        self.endings = []
        self.last_looks = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def at_end(self, ending):
        self.endings.append(ending)

    def before_end(self, look):
        """look() is called when all cases are over, and may fail."""
        self.last_looks.append(look)

    def look_at_last(self):
        for look in self.last_looks:
            look()

    def spawn(self, *args, **kw):
        """A child that ends with us at the latest."""
        child = subprocess.Popen(args, stdin=kw.pop('stdin', subprocess.DEVNULL),
                                 preexec_fn=kw.pop('preexec_fn', die_with_parent), **kw)

        def end():
            if child.poll() is None:
                child.kill()
            child.wait()
        self.at_end(end)
        return child

    def close(self):
        for ending in reversed(self.endings):
            try:
                ending()
            except Exception:  # the others must still be run
                traceback.print_exc()
        self.endings = []
        shutil.rmtree(self.dir, ignore_errors=True)


def cases_of(module):
    found = [(name[5:], f) for name, f in vars(module).items() if name.startswith('test_') and inspect.isfunction(f)]
    return sorted(found, key=lambda item: inspect.unwrap(item[1]).__code__.co_firstlineno)


def run_case(name, function, lab, skips):
    started = time.monotonic()
    try:
        function(lab)
        print(f'ok {name}', flush=True)
        result = 'ok'
    except Skip as why:
        skips.append(f'{name}: {why}')
        result = 'skip'
    except Exception as why:
        one_line = ' '.join(str(why).split()) or type(why).__name__
        print(f'not ok {name}: {one_line[:300]}', flush=True)
        if not isinstance(why, Failed):
            traceback.print_exc()
        result = 'not ok'
    print(f'# {name}: {time.monotonic() - started:.1f} s', file=sys.stderr, flush=True)
    return result


def prepare():
    if os.geteuid() != 0:
        raise Skip('needs root: namespaces, TAP')
    if not os.path.exists(os.path.join(BUILD, 'app/sluiced/sluiced')):
        raise Skip(f'no gateway in {BUILD}: tests/run builds it, or set SLUICE_BUILD')
    find_program('ip')
    enter_namespaces()


def interrupted(number, frame):
    raise SystemExit(128 + number)


def main(setup=None):
    """Runs the calling program's cases. setup(lab) comes first; when it fails, so does everything."""
    module = sys.modules['__main__']
    only = sys.argv[1:]
    lab, skips, results = None, [], []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, interrupted)
    try:
        unknown = set(only) - {name for name, _ in cases_of(module)}
        if unknown:
            sys.exit(f'no such case: {" ".join(sorted(unknown))}')
        prepare()
        lab = Lab()
        results.append('ok' if setup is None else run_setup(setup, lab))
        if results[0] == 'ok':
            results = [run_case(n, f, lab, skips) for n, f in cases_of(module) if not only or n in only]
            if lab.last_looks:
                results.append(run_case('counters_add_up', Lab.look_at_last, lab, skips))
    except Skip as why:
        print(why)
        sys.exit(77)
    finally:
        bad = 'not ok' in results
        if lab is not None:
            if bad:
                show_logs(lab)
            lab.close()
    if results and set(results) == {'skip'}:
        print('; '.join(skips))
        sys.exit(77)
    for skip in skips:
        print(f'skip {skip}')
    sys.exit(1 if bad else 0)


def run_setup(setup, lab):
    try:
        setup(lab)
        return 'ok'
    except Skip:
        raise
    except Exception as why:
        print(f'not ok setup: {" ".join(str(why).split())[:300]}', flush=True)
        if not isinstance(why, Failed):
            traceback.print_exc()
        return 'not ok'


def show_logs(lab):
    """The ends of all logs in the directory, for the one who reads the failure."""
    for name in sorted(os.listdir(lab.dir)):
        if name.endswith('.log'):
            with open(lab.path(name), errors='replace') as f:
                lines = f.read().splitlines()[-25:]
            print(f'--- {name}', *lines, sep='\n', file=sys.stderr)
