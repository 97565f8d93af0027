"""
Links with faults between network stacks: the kernel's and our own (tests/link/stack_host), through
tests/link/link_emulator, because kernels often come without netem.

Stacks stand in network namespaces of their own, or one would answer for the other: the test's namespace is
one of the kernel's stacks; Namespace is another, and StackHost and a gateway started by it run in theirs.
"""
import ctypes
import json
import os
import queue
import socket
import struct
import subprocess
import threading
import time

from harness import BUILD, CLONE_NEWNET, Failed, check, check_equal, die_with_parent, libc, run, wait_until

EMULATOR = os.path.join(BUILD, 'tests/link/link_emulator')
HOST = os.path.join(BUILD, 'tests/link/stack_host')
SETTINGS = {  # of a kernel stack: the same on every machine, and nothing remembered between connections
    'net/ipv4/tcp_no_metrics_save': 1,
    'net/ipv4/tcp_rmem': '4096 131072 8388608',
    'net/ipv4/tcp_wmem': '4096 65536 8388608',
    'net/ipv4/tcp_ecn': 2,
}


def own_namespace():
    """For preexec_fn: the child gets a network namespace of its own."""
    die_with_parent()
    if libc.unshare(CLONE_NEWNET) != 0:
        os._exit(126)


def set_kernel(**changes):
    """Settings of the kernel's stack in the namespace that we are in; tcp_ecn=1 changes one."""
    values = dict(SETTINGS, **{f'net/ipv4/{key}': value for key, value in changes.items()})
    for key, value in values.items():
        with open(f'/proc/sys/{key}', 'w') as f:
            f.write(str(value))


def kernel_socket(address, congestion='cubic'):
    """A socket of the kernel's for that address. The congestion control is set here: only some may be a
    namespace's default, and the machine's may be any."""
    s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
    s.settimeout(60)
    return s


def kernel_connect(address, port, local=None, before=None):
    s = kernel_socket(address)
    if before is not None:
        before(s)
    if local is not None:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(local)
    s.connect((address, port))
    return s


def kernel_listen(address, port):
    s = kernel_socket(address)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(64)
    return s


class Namespace:
    """Another kernel stack, for as long as its holder lives. "with namespace:" what is opened is opened there
    (by this thread; sockets stay there)."""

    def __init__(self, lab):
        self.holder = lab.spawn('sleep', 'infinity', preexec_fn=own_namespace)
        self.path = f'/proc/{self.holder.pid}/ns/net'
        with open('/proc/self/ns/net') as home:
            wait_until(lambda: os.readlink(self.path) != os.readlink(f'/proc/self/fd/{home.fileno()}'), 10,
                       'a namespace')

    def __enter__(self):
        self.home = os.open('/proc/thread-self/ns/net', os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        enter(there)
        os.close(there)
        return self

    def __exit__(self, *_):
        enter(self.home)
        os.close(self.home)


def enter(fd):
    if libc.setns(fd, CLONE_NEWNET) != 0:
        raise Failed(f'setns: {os.strerror(ctypes.get_errno())}')


def set_device(name, *addresses):
    """Brings a device of the kernel's up, with addresses of both families."""
    path = f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6'
    for address in addresses:
        if ':' in address and os.path.exists(path):
            with open(path, 'w') as f:
                f.write('0')
        run('ip', 'addr', 'replace', address, 'dev', name, *(['nodad'] if ':' in address else []))
    run('ip', 'link', 'set', name, 'up')


class Talker:
    """A child with commands on its standard input and lines from its standard output."""

    def __init__(self, lab, *args, **kw):
        self.lab, self.name = lab, os.path.basename(args[0])
        self.log = open(lab.path(f'{self.name}.log'), 'ab')
        self.child = lab.spawn(*args, stdout=subprocess.PIPE, stderr=self.log, stdin=subprocess.PIPE, **kw)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.expect('ready', 30)

    def read(self):
        for line in self.child.stdout:
            self.lines.put(line.decode().rstrip('\n'))
        self.lines.put(None)

    def line(self, seconds=30):
        try:
            line = self.lines.get(timeout=seconds)
        except queue.Empty:
            raise Failed(f'{self.name} says nothing within {seconds} s') from None
        if line is None:
            raise Failed(f'{self.name} has ended with {self.child.wait()}')
        return line

    def expect(self, what, seconds=30):
        check_equal(self.line(seconds), what, self.name)

    def tell(self, text):
        self.child.stdin.write(text.encode() + b'\n')
        self.child.stdin.flush()

    def end(self):
        """Ends it in order; its status."""
        self.child.stdin.close()
        try:
            return self.child.wait(timeout=20)
        finally:
            self.log.close()


class Emulator(Talker):
    """The link between two ends; see tests/link/link_end.h for their names."""

    def __init__(self, lab, a, b, seed=1, seconds=300):
        super().__init__(lab, EMULATOR, str(seconds), str(seed), a, b)

    def ask(self, text):
        self.tell(text)
        return self.line()

    def set(self, way='both', **faults):
        """Faults from now on, such as delay_us=25000, loss_ppm=10000; none without any."""
        check_equal(self.ask(' '.join([way] + [f'{key}={value}' for key, value in faults.items()])), 'ok', 'faults')

    def drop(self, way, kind, nth=1, times=1):
        check_equal(self.ask(f'drop {way} {kind} {nth} {times}'), 'ok', 'drop rule')

    def reset(self, seed):
        check_equal(self.ask(f'reset {seed}'), 'ok', 'reset')

    def count(self):
        return json.loads(self.ask('count'))


class StackHost(Talker):
    """A host with our TCP; its news are kept by connection."""

    def __init__(self, lab, *options, device='net_tap0,iface=gw0', seconds=300):
        super().__init__(lab, HOST, str(seconds), device, *options, preexec_fn=own_namespace)
        self.path = f'/proc/{self.child.pid}/ns/net'
        self.news = {}  # (number, word) -> the rest of the line
        self.answers = []

    def sort(self, line):
        words = line.split(' ', 2)
        if words[0].isdigit():
            number, what = int(words[0]), words[1]
            self.news.setdefault((number, what), []).append(words[2] if len(words) > 2 else '')
        else:
            self.answers.append(line)

    def take(self, number, *whats, seconds=30):
        """The next of these news of a connection: (what, rest)."""
        while True:
            for what in whats:
                if self.news.get((number, what)):
                    return what, self.news[number, what].pop(0)
            self.sort(self.line(seconds))

    def answer(self, text):
        self.tell(text)
        while not self.answers:
            self.sort(self.line())
        return self.answers.pop(0)

    def listen(self, port, mode=''):
        check_equal(self.answer(f'listen {port} {mode}'), 'ok', 'listen')

    def connect(self, address, port, mode='', local_port=0):
        """Returns the number of the connection."""
        self.tell(f'connect {address} {port} {local_port} {mode}')
        while True:
            line = self.line()
            words = line.split()
            if words[0] == 'error':
                raise Failed(f'connect: {line}')
            if words[1:] == ['opens']:
                return int(words[0])
            self.sort(line)

    def accepted(self, seconds=30):
        """The number of the next connection accepted."""
        while True:
            for (number, what), rests in self.news.items():
                if what == 'accepted' and rests:
                    rests.pop(0)
                    return number
            self.sort(self.line(seconds))

    def ended(self, number, how='closed', seconds=60):
        """The facts of a connection at its end: received, sent, received_sha, sent_sha, why."""
        what, rest = self.take(number, 'closed', 'aborted', 'failed', seconds=seconds)
        facts = dict(word.split('=') for word in rest.split() if '=' in word)
        facts['why'] = ' '.join(word for word in rest.split() if '=' not in word)
        check_equal(what, how, f'end of connection {number} ({facts["why"]})')
        return facts

    def state(self, number):
        self.tell(f'tell {number}')
        _, rest = self.take(number, 'is')
        return {key: int(value) for key, value in (word.split('=') for word in rest.split())}

    def usage(self):
        words = self.answer('usage').split()[1:]
        return {key: int(value) for key, value in (word.split('=') for word in words)}

    def counter(self, name):
        answer = self.answer(f'count {name}')
        check(answer.startswith('count '), f'{name}: {answer}')
        return int(answer.split()[1])


def round_trips(address, count=20):
    """Seconds that ICMP echoes to an IPv4 address took, sorted; those that were lost are left out."""
    took = []
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(1)
        for number in range(count):
            data = struct.pack('>BBHHH', 8, 0, 0xffff - 0x0800 - number, 0, number)  # the sum of all is 0xffff
            start = time.perf_counter()
            s.sendto(data, (address, 0))
            try:
                while s.recv(65536)[26:28] != data[6:8]:
                    pass
                took.append(time.perf_counter() - start)
            except TimeoutError:
                pass
    return sorted(took)
