#!/usr/bin/python3
# limit: 180
"""
Our TCP against the kernel's, as client and as server, IPv4 and IPv6, through an emulated link that loses, delays,
reorders, duplicates and corrupts. Facts alone: bytes exact, connections that end as they should, what was
negotiated. Speed is perf/run's.

The kernel's stack is that of the test's namespace, at lx0. Ours is in stack_host (tests/link), in a
namespace of its own behind gw0. Between them link_emulator: "ab" is what the kernel sends, "ba" what we send.
A seed that is given first, as in "SEED=7 test_linux_tcp.py faults", makes the link's faults others.
"""
import errno
import fcntl
import hashlib
import os
import random
import socket
import struct
import termios
import threading
import time

import link
from harness import Failed, Skip, check, check_equal, main, run, wait_until

OURS, KERNEL = {4: '10.9.0.1', 6: 'fd00:9::1'}, {4: '10.9.0.2', 6: 'fd00:9::2'}
SEED = int(os.environ.get('SEED', '1'))
ECHO, READ, HOLD, GIVE, STAY = 7000, 7001, 7002, 7003, 7004  # ports, by what we do there
GIVEN = 50000
host = wire = None
rand = random.Random(SEED)


def setup(lab):
    global host, wire
    if not os.path.exists('/proc/sys/net/ipv6'):
        raise Skip('this kernel has no IPv6')
    host = link.StackHost(lab, f'address={OURS[4]}/24', f'address={OURS[6]}/64', f'gateway={KERNEL[4]}',
                          f'gateway6={KERNEL[6]}', 'keepalive_s=2', 'ecn=ask')
    wire = link.Emulator(lab, 'tap:lx0', f'packet:gw0@{host.path}', seed=SEED)
    link.set_kernel()
    link.set_device('lx0', f'{KERNEL[4]}/24', f'{KERNEL[6]}/64')
    for port, mode in ((ECHO, 'echo'), (READ, 'read'), (HOLD, 'stay'), (GIVE, f'send={GIVEN}:3 fin read'),
                       (STAY, 'read stay')):
        host.listen(port, mode)
    check_equal(len(link.round_trips(OURS[4], 3)), 3, 'echo replies')


def kernel(name, value):
    with open(f'/proc/sys/net/ipv4/{name}', 'w') as f:
        f.write(str(value))


def sha(data):
    return hashlib.sha256(data).hexdigest()


def read_all(s):
    parts = []
    while part := s.recv(65536):
        parts.append(part)
    return b''.join(parts)


class Both:
    """A connection with both ends in hand: the kernel's socket and our number. server: the end that listens."""

    def __init__(self, server='ours', family=4, port=STAY, mode='read stay', before=None, local=None, ours=0):
        if server == 'ours':
            self.socket = link.kernel_connect(OURS[family], port, local=local, before=before)
            self.number = host.accepted()
        else:
            with link.kernel_listen(KERNEL[family], 0) as listener:
                if before is not None:
                    before(listener)
                self.number = host.connect(KERNEL[family], listener.getsockname()[1], mode, ours)
                host.take(self.number, 'connected')
                self.socket = listener.accept()[0]
        self.socket.settimeout(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def facts(self):
        """What the kernel knows of it: the words of ss."""
        here, there = self.socket.getsockname(), self.socket.getpeername()
        return run('ss', '-toinH', f'( sport = :{here[1]} and dport = :{there[1]} )').split()

    def close(self, pause=0):
        """Both ends in order, ours first."""
        host.tell(f'shutdown {self.number}')
        check_equal(read_all(self.socket), b'', 'bytes after the last one')
        time.sleep(pause)
        self.socket.shutdown(socket.SHUT_WR)
        host.take(self.number, 'peer_closed')
        host.tell(f'close {self.number}')
        return host.ended(self.number)


def send_in_thread(s, data, errors):
    def work():
        try:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        except OSError as why:
            errors.append(why)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def exchange(connections, size):
    """Each end of each connection sends so many bytes, then FIN, at the same time; all must be exact."""
    errors, under_way = [], []
    for c in connections:
        data = rand.randbytes(size)
        host.tell(f'do {c.number} send={size}:{rand.getrandbits(32)} fin')
        under_way.append((c, data, send_in_thread(c.socket, data, errors)))
    for c, data, thread in under_way:
        got = read_all(c.socket)
        thread.join(60)
        check_equal(errors, [], f'errors (seed {SEED})')
        host.take(c.number, 'peer_closed', seconds=60)
        host.tell(f'close {c.number}')
        facts = host.ended(c.number)
        check_equal((len(got), sha(got)), (int(facts['sent']), facts['sent_sha']), f'what we sent (seed {SEED})')
        check_equal((int(facts['received']), facts['received_sha']), (size, sha(data)),
                    f'what the kernel sent (seed {SEED})')


def four(**kw):
    return [Both(server, family, **kw) for server in ('ours', 'kernel') for family in (4, 6)]


def nothing_left():
    """Every buffer is back, and no connection but those that time ends."""
    wire.set()
    wait_until(lambda: host.usage()['conn'] == host.usage()['mbuf'] == 0, 30, 'all connections and buffers back')


FAULTS = {
    'lost': ({'loss_ppm': 20000}, 300000),
    'lost_burst': ({'burst_ppm': 2000, 'burst_len': 6}, 300000),
    'reordered': ({'reorder_ppm': 100000, 'reorder_us': 4000, 'jitter_us': 2000}, 1000000),
    'duplicated': ({'duplicate_ppm': 50000}, 1000000),
    'corrupted': ({'corrupt_ppm': 20000}, 300000),
    'dropped_queue': ({'bytes_per_s': 1000000, 'queue_bytes': 15000}, 300000),
    'delivered': ({'loss_ppm': 20000, 'burst_ppm': 500, 'burst_len': 4, 'reorder_ppm': 50000, 'reorder_us': 7000,
                   'duplicate_ppm': 20000, 'corrupt_ppm': 5000, 'jitter_us': 1000}, 200000),  # all at once
}


def test_faults(lab):
    """Four connections at a time, as server and as client, IPv4 and IPv6, both ways at once."""
    for fate, (faults, size) in FAULTS.items():
        wire.set(delay_us=10000)
        connections = four()
        before = wire.count()
        wire.set(delay_us=10000, **faults)
        exchange(connections, size)
        after = wire.count()
        for way in ('ab', 'ba'):
            check(after[way][fate] > before[way][fate], f'no frame of {way} was {fate}')
        for c in connections:
            c.socket.close()
    nothing_left()


def test_echo(lab):
    """A program that only answers; the kernel ends first."""
    wire.set(delay_us=5000, loss_ppm=10000)
    for family in (4, 6):
        with link.kernel_connect(OURS[family], ECHO) as s:
            number = host.accepted()
            data, errors = rand.randbytes(300000), []
            thread = send_in_thread(s, data, errors)
            check_equal(sha(read_all(s)), sha(data), 'the echo')
            thread.join(60)
            check_equal(errors, [], 'errors')
            host.ended(number)
    nothing_left()


def test_handshake_losses(lab):
    """SYN, SYN-ACK and the first ACK of either side are lost once."""
    for way, kind in (('ab', 'syn'), ('ba', 'syn'), ('ab', 'ack'), ('ba', 'ack')):
        connections = []
        for server in ('ours', 'kernel'):
            wire.reset(SEED)
            wire.drop(way, kind)
            connections.append(Both(server))
            if kind == 'syn':
                check_equal(wire.count()[way]['dropped_rule'], 1, f'{kind} of {way} lost')
        exchange(connections, 20000)
        for c in connections:
            c.socket.close()
    wire.reset(SEED)
    nothing_left()


def test_closing_losses(lab):
    """The FIN of either side, and the ACK of it, are lost."""
    for way, kind, times in (('ab', 'fin', 2), ('ba', 'fin', 2), ('ab', 'ack', 1), ('ba', 'ack', 1)):
        for server in ('ours', 'kernel'):
            with Both(server) as c:
                wire.reset(SEED)
                wire.drop(way, kind, 1, times)
                c.close(pause=0.1 if kind == 'ack' else 0)  # an ACK apart from the FIN behind it
                wait_until(lambda: wire.count()[way]['dropped_rule'] == times, 10, f'{kind} of {way} lost')
    wire.reset(SEED)
    nothing_left()


def test_half_close(lab):
    """Each side goes on sending after the other has ended."""
    with Both('ours') as c:
        c.socket.sendall(b'request')
        c.socket.shutdown(socket.SHUT_WR)
        host.take(c.number, 'peer_closed')
        host.tell(f'do {c.number} send=200000:5 fin')
        got = read_all(c.socket)
        host.tell(f'close {c.number}')
        facts = host.ended(c.number)
        check_equal((sha(got), facts['received_sha']), (facts['sent_sha'], sha(b'request')), 'bytes')
    with Both('kernel', mode='read send=1000:5 fin') as c:
        check_equal(len(read_all(c.socket)), 1000, 'bytes before our FIN')
        data = rand.randbytes(200000)
        c.socket.sendall(data)
        c.socket.shutdown(socket.SHUT_WR)
        check_equal(host.ended(c.number)['received_sha'], sha(data), 'bytes after our FIN')
    nothing_left()


def reset_seen(s):
    try:
        s.recv(1)
    except ConnectionResetError:
        return
    raise Failed('no RST came')


def test_resets(lab):
    """By abort, of a port where nobody listens, and by closing with bytes unread: each side to the other."""
    abrupt = struct.pack('ii', 1, 0)  # SO_LINGER of 0 s: close sends RST
    for server in ('ours', 'kernel'):
        with Both(server) as c:
            c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, abrupt)
            c.socket.close()
            check_equal(host.ended(c.number, 'failed')['why'], 'reset', 'why')
        with Both(server) as c:
            host.tell(f'abort {c.number}')
            reset_seen(c.socket)
            host.ended(c.number, 'aborted')
        with Both(server, port=HOLD, mode='stay') as c:
            c.socket.sendall(b'x' * 5000)
            wait_until(lambda: host.state(c.number)['waiting'] == 5000, 10, '5000 bytes wait')
            host.tell(f'close {c.number}')
            reset_seen(c.socket)
            host.ended(c.number)
        with Both(server) as c:
            host.tell(f'do {c.number} send=5000:1')
            wait_until(lambda: len(c.socket.recv(5000, socket.MSG_PEEK)) == 5000, 10, '5000 bytes wait')
            c.socket.close()
            check_equal(host.ended(c.number, 'failed')['why'], 'reset', 'why')
    for family in (4, 6):
        try:
            link.kernel_connect(OURS[family], 9).close()
            raise Failed('a port without a listener answers')
        except ConnectionRefusedError:
            pass
        check_equal(host.ended(host.connect(KERNEL[family], 9, 'read'), 'failed')['why'], 'refused', 'why')
    nothing_left()


def test_negotiated(lab):
    """What the kernel says was agreed: all it offers, and each left out in turn; data flows all the same."""
    options = {'sack': 'tcp_sack', 'ts': 'tcp_timestamps', 'wscale': 'tcp_window_scaling', 'ecn': 'tcp_ecn'}
    for off in (None, *options):
        kernel('tcp_ecn', 1)
        if off is not None:
            kernel(options[off], 0)
        wire.set(delay_us=5000)
        connections = four()
        for c in connections:
            words = c.facts()
            for name in options:
                if (name, off) == ('ecn', 'sack'):
                    continue  # we leave ECN alone then, which a kernel that was asked cannot tell
                there = any(word == name or word.startswith(name + ':') for word in words)
                check_equal(there, name != off, f'{name} while {off} is off: {" ".join(words)}')
        wire.set(delay_us=5000, loss_ppm=10000)
        exchange(connections, 60000)
        for c in connections:
            c.socket.close()
        kernel(options[off or 'ecn'], 1)
    kernel('tcp_ecn', 2)
    nothing_left()


def fill(c):
    """The kernel sends until it cannot; how much."""
    c.socket.setblocking(False)
    total = 0
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < 1:
        try:
            total += c.socket.send(bytes(65536))
            idle_since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.02)
    c.socket.settimeout(60)
    return total


def test_zero_window_of_ours(lab):
    """We do not read; then we do, and the ACK that tells it is lost: the kernel's probe brings it on."""
    for lost in (0, 1):
        wire.reset(SEED)
        with Both('ours', port=HOLD) as c:
            total = fill(c)
            waiting = host.state(c.number)['waiting']
            check(0 < waiting < total, f'{waiting} bytes wait of {total}: the window has not closed')
            if lost:
                wire.drop('ba', 'ack', 1, 1)
            host.tell(f'do {c.number} read')
            wait_until(lambda: host.state(c.number)['received'] == total, 30, 'all bytes')
            check_equal(wire.count()['ba']['dropped_rule'], lost, 'window updates lost')
            c.socket.shutdown(socket.SHUT_WR)
            host.take(c.number, 'peer_closed')
            host.tell(f'close {c.number}')
            check_equal(host.ended(c.number)['received_sha'], sha(bytes(total)), 'bytes')
    nothing_left()


def test_zero_window_of_the_kernel(lab):
    """The kernel does not read; we probe, and go on when it does, although its word of it is lost."""
    for lost in (0, 1):
        wire.reset(SEED)
        with Both('kernel', before=lambda s: s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 20000)) as c:
            probes = host.counter('tcp/zero_window_probes')
            host.tell(f'do {c.number} send=300000:9 fin')
            wait_until(lambda: host.counter('tcp/zero_window_probes') > probes, 30, 'a probe')
            if lost:
                wire.drop('ab', 'ack', 1, 1)
            got = read_all(c.socket)
            c.socket.close()
            host.take(c.number, 'peer_closed')
            host.tell(f'close {c.number}')
            check_equal(sha(got), host.ended(c.number)['sent_sha'], 'bytes')
            check_equal(wire.count()['ab']['dropped_rule'], lost, 'window updates lost')
    nothing_left()


def unacknowledged(s):
    return struct.unpack('i', fcntl.ioctl(s, termios.TIOCOUTQ, bytes(4)))[0]


def test_keepalive(lab):
    """Each side asks the other whether it is there, and gets its answer. When the link is cut, both give up."""
    def quick(s):
        s.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 2)):
            s.setsockopt(socket.IPPROTO_TCP, option, value)
    with Both('ours', before=quick) as asked, Both('kernel') as asks:
        probes, frames = host.counter('tcp/keepalive_probes'), wire.count()['ab']['delivered']
        wait_until(lambda: host.counter('tcp/keepalive_probes') >= probes + 2, 30, 'two probes of ours')
        wait_until(lambda: wire.count()['ab']['delivered'] >= frames + 5, 30, 'probes and answers of the kernel')
        for c in (asked, asks):
            c.socket.sendall(b'still here')
            wait_until(lambda: host.state(c.number)['received'] == 10, 10, 'bytes after the probes')
        asks.close()
        wait_until(lambda: unacknowledged(asked.socket) == 0, 10, 'the ACK of it')  # else it is sent again, for minutes
        wire.set(loss_ppm=1000000)
        try:
            asked.socket.recv(1)
            raise Failed('the kernel does not give up')
        except TimeoutError as why:
            check_equal(why.errno, errno.ETIMEDOUT, 'why the kernel gives up')
        check_equal(host.ended(asked.number, 'failed')['why'], 'timeout', 'why')
    wire.reset(SEED)
    nothing_left()


def connect_from(port):
    """From a port of the kernel's that its last connection has left, or is about to."""
    def connect():
        try:
            return link.kernel_connect(OURS[4], GIVE, local=(KERNEL[4], port))
        except OSError as why:
            if why.errno != errno.EADDRNOTAVAIL:  # our last ACK is not there yet
                raise
            return None
    return wait_until(connect, 10, 'the port is free')


def test_port_again(lab):
    """A fast client comes again from the same port, while the other side is in TIME-WAIT (RFC 6191)."""
    reused = host.counter('tcp/time_wait_reused')
    for _ in range(30):
        with connect_from(33000) as s:
            number = host.accepted()
            check_equal(len(read_all(s)), GIVEN, 'bytes')
        host.ended(number)  # we have ended first
    check(host.counter('tcp/time_wait_reused') >= reused + 29, 'TIME-WAITs taken over')
    with link.kernel_listen(KERNEL[4], 33001) as listener:
        for _ in range(30):
            number = host.connect(KERNEL[4], 33001, 'read', 33002)
            with listener.accept()[0] as s:
                s.sendall(b'hello')
                s.shutdown(socket.SHUT_WR)  # the kernel ends first
                host.take(number, 'peer_closed')
                check_equal(read_all(s), b'', 'bytes of ours')
            check_equal(host.ended(number)['received'], '5', 'bytes')
            time.sleep(0.002)  # a tick of timestamps, by which the kernel tells new from old
    nothing_left()


def test_simultaneous(lab):
    """SYNs cross, and so do FINs."""
    wire.set(delay_us=100000)
    opens, closes = host.counter('tcp/to_syn_received'), host.counter('tcp/to_closing')
    with link.kernel_socket(KERNEL[4]) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((KERNEL[4], 33003))
        s.setblocking(False)
        s.connect_ex((OURS[4], 33004))
        number = host.connect(KERNEL[4], 33003, 'read stay', 33004)
        host.take(number, 'connected')
        s.settimeout(60)
        check_equal(host.counter('tcp/to_syn_received'), opens + 1, 'simultaneous opens')
        host.tell(f'do {number} send=20000:8')
        data = rand.randbytes(20000)
        s.sendall(data)
        got = b''
        while len(got) < 20000:
            got += s.recv(65536)
        wait_until(lambda: host.state(number)['received'] == 20000, 10, 'bytes of the kernel')
        time.sleep(0.3)  # what is acknowledged late
        host.tell(f'shutdown {number}')
        s.shutdown(socket.SHUT_WR)
        check_equal(read_all(s), b'', 'bytes after the last one')
        host.take(number, 'peer_closed')
        host.tell(f'close {number}')
        facts = host.ended(number)
        check_equal((facts['sent_sha'], facts['received_sha']), (sha(got), sha(data)), 'bytes')
        wait_until(lambda: host.counter('tcp/to_closing') == closes + 1, 10, 'FINs crossed')
    nothing_left()


FAR, PATH_MTU = {4: '10.7.0.2', 6: 'fd00:7::2'}, 1300


def far_kernel(lab):
    """A kernel behind the one that we know, which has become its router; the path there takes PATH_MTU bytes."""
    far = link.Namespace(lab)
    run('ip', 'link', 'add', 'r0', 'type', 'veth', 'peer', 'name', 'f0')
    run('ip', 'link', 'set', 'f0', 'netns', str(far.holder.pid))
    link.set_device('r0', '10.7.0.1/24', 'fd00:7::1/64')
    for path in ('ipv4/ip_forward', 'ipv6/conf/all/forwarding'):
        with open(f'/proc/sys/net/{path}', 'w') as f:
            f.write('1')
    with far:
        link.set_kernel()
        link.set_device('f0', f'{FAR[4]}/24', f'{FAR[6]}/64')
        run('ip', 'route', 'add', 'default', 'via', '10.7.0.1')
        run('ip', '-6', 'route', 'add', 'default', 'via', 'fd00:7::1')
    for family, address in FAR.items():
        run('ip', f'-{family}', 'route', 'replace', address, 'dev', 'r0', 'mtu', str(PATH_MTU))
    return far


def test_path_mtu(lab):
    """A router says that our segments are too big; they become smaller, and all arrives."""
    far = far_kernel(lab)
    for family in (4, 6):
        lowered = host.counter('tcp/path_mtu_lowered')
        with far:
            listener = link.kernel_listen(FAR[family], 33005)
        number = host.connect(FAR[family], 33005, 'send=300000:4 fin read')
        with listener.accept()[0] as s:
            s.settimeout(60)
            words = run('nsenter', f'--net={far.path}', 'ss', '-tinH', 'sport = :33005').split()
            got = read_all(s)
        listener.close()
        check_equal(sha(got), host.ended(number)['sent_sha'], 'bytes')
        check(f'advmss:{1448 if family == 4 else 1428}' in words, f'the far end did not ask for less: {words}')
        check_equal(host.counter('tcp/path_mtu_lowered'), lowered + 1, f'times it became smaller, IPv{family}')
    nothing_left()


def test_ends_in_order(lab):
    """The programs of this test themselves."""
    check_equal(host.end(), 0, 'status of stack_host')
    check_equal(wire.end(), 0, 'status of link_emulator')


if __name__ == '__main__':
    main(setup)
