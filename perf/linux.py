"""Case linux of perf/run: bulk between Sluice's TCP and the kernel's through an emulated link, beside kernel to
kernel through the same. How, and what the figures are: perf/README.md."""
import re
import statistics
import threading
import time

import link
from harness import check_equal, run

RTT_US, BYTES_PER_S = 50000, 12500000
QUEUE_BYTES = BYTES_PER_S * RTT_US // 1000000  # of the emulated link: what is in flight at its rate
CASES = ((0, 1), (1000, 4), (10000, 8), (30000, 8))  # loss in parts a million, connections side by side
REPETITIONS, SECONDS = 3, 10
PORT, BUFFER = 5000, 1 << 20
ENDLESS = 1 << 40  # bytes: more than a run takes


class KernelEnd:
    """Connections of a kernel stack: senders that send until they are stopped, receivers that count."""

    def __init__(self, sockets):
        self.sockets, self.bytes, self.stop = sockets, 0, False
        self.lock = threading.Lock()

    def start(self, work):
        self.threads = [threading.Thread(target=self.until_stopped, args=(work, s), daemon=True)
                        for s in self.sockets]
        for t in self.threads:
            t.start()

    def until_stopped(self, work, s):
        try:
            while not self.stop:
                work(s)
        except OSError:
            if not self.stop:
                raise

    def send(self, s, data=bytes(65536)):
        s.send(data)

    def receive(self, s, cap=65536):
        n = len(s.recv(cap))
        with self.lock:
            self.bytes += n

    def end(self):
        self.stop = True
        for s in self.sockets:
            s.setsockopt(link.socket.SOL_SOCKET, link.socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            try:
                s.shutdown(link.socket.SHUT_RDWR)  # wakes its thread
            except OSError:
                pass  # the other end was first
            s.close()
        for t in self.threads:
            t.join(10)


def connect_kernels(there, address, count):
    """Connections of two kernel stacks: from here to the one there."""
    with there:
        listener = link.kernel_listen(address, PORT)
    near = [link.kernel_connect(address, PORT) for _ in range(count)]
    far = [listener.accept()[0] for _ in range(count)]
    listener.close()
    return near, far


def window_share(text):
    """How much of the senders' time the receiver's window was what held them, of ss -tin."""
    busy = sum(int(ms) for ms in re.findall(r'busy:(\d+)ms', text))
    limited = sum(int(ms) for ms in re.findall(r'rwnd_limited:(\d+)ms', text))
    return limited / busy if busy else 0


class Bench:
    def __init__(self, lab):
        self.host = link.StackHost(lab, 'address=10.9.0.1/24', f'window={4 << 20}', f'buffer={4 << 20}', seconds=1800)
        self.other = link.Namespace(lab)
        self.mixed = link.Emulator(lab, 'tap:lx0', f'packet:gw0@{self.host.path}', seconds=1800)
        self.kernels = link.Emulator(lab, 'tap:lx1', f'tap:lx2@{self.other.path}', seconds=1800)
        link.set_kernel()
        link.set_device('lx0', '10.9.0.2/24')
        link.set_device('lx1', '10.8.0.2/24')
        with self.other:
            link.set_kernel()
            link.set_device('lx2', '10.8.0.1/24')
        self.host.listen(PORT, 'read')
        self.host.listen(PORT + 1, '')
        link.round_trips('10.9.0.1', 3)  # neighbors are known from here on
        link.round_trips('10.8.0.1', 3)

    def linux_to_linux(self, count, begin):
        near, far = connect_kernels(self.other, '10.8.0.1', count)
        sender, receiver = KernelEnd(near), KernelEnd(far)
        begin(self.kernels)
        receiver.start(receiver.receive)
        sender.start(sender.send)
        time.sleep(SECONDS)
        done = receiver.bytes
        held = window_share(run('ss', '-tinH', 'dst', '10.8.0.1'))
        sender.end()
        receiver.end()
        return done, held

    def linux_to_sluice(self, count, begin):
        sender = KernelEnd([link.kernel_connect('10.9.0.1', PORT) for _ in range(count)])
        numbers = [self.host.accepted() for _ in range(count)]
        begin(self.mixed)
        sender.start(sender.send)
        time.sleep(SECONDS)
        done = sum(self.host.state(n)['received'] for n in numbers)
        held = window_share(run('ss', '-tinH', 'dst', '10.9.0.1'))
        sender.stop = True
        for n in numbers:
            self.host.tell(f'abort {n}')
            self.host.ended(n, 'aborted')
        sender.end()
        return done, held

    def sluice_to_linux(self, count, begin):
        receiver = KernelEnd([link.kernel_connect('10.9.0.1', PORT + 1) for _ in range(count)])
        numbers = [self.host.accepted() for _ in range(count)]
        begin(self.mixed)
        receiver.start(receiver.receive)
        for n in numbers:
            self.host.tell(f'do {n} send={ENDLESS}:{n}')
        time.sleep(SECONDS)
        done = receiver.bytes
        receiver.stop = True
        for n in numbers:
            self.host.tell(f'abort {n}')
            self.host.ended(n, 'aborted')
        receiver.end()
        return done, 0

    def one(self, way, loss_ppm, count, seed):
        """Bytes a second of a run, and what share of the time the receiver's window held the sender."""
        emulator = self.kernels if way == 'linux_to_linux' else self.mixed
        plain = {'delay_us': RTT_US // 2, 'bytes_per_s': BYTES_PER_S, 'queue_bytes': QUEUE_BYTES}
        emulator.reset(seed)
        emulator.set(**plain)
        done, held = getattr(self, way)(count, lambda e: e.set(loss_ppm=loss_ppm, **plain))
        self.late = emulator.count()['late_us']
        emulator.set()
        check_equal(emulator.child.poll(), None, 'the emulator lives')
        return done / SECONDS, held


WAYS = ('linux_to_linux', 'sluice_to_linux', 'linux_to_sluice')


def linux(lab, table, cases=CASES, repetitions=REPETITIONS):
    bench = Bench(lab)
    bench.mixed.set(delay_us=RTT_US // 2)
    trips = link.round_trips('10.9.0.1', 20)
    table.add('linux', 'rtt_p50_ms', trips[len(trips) // 2] * 1e3, 'ms', 'emulator')
    for loss_ppm, count in cases:
        got = {way: [] for way in WAYS}
        late, held = [], {way: [] for way in WAYS}
        for seed in range(1, repetitions + 1):
            for way in WAYS:
                rate, share = bench.one(way, loss_ppm, count, seed)
                got[way].append(rate)
                held[way].append(share)
                late.append(bench.late['p99'])
        name = f'loss_{loss_ppm / 10000:g}%_'
        base = statistics.mean(got['linux_to_linux'])
        for way in WAYS:
            mean = statistics.mean(got[way])
            table.add('linux', f'{name}{way}', mean * 8 / 1e6 / count, 'Mbit/s', way.split('_')[0])
            if way != 'linux_to_linux':
                table.add('linux', f'{name}{way}_ratio', mean / base, '', way.split('_')[0])
            if way != 'sluice_to_linux':
                table.add('linux', f'{name}{way}_window_held', statistics.mean(held[way]), '', way.split('_')[0])
        table.add('linux', f'{name}late_p99_us', max(late), 'us', 'emulator')
