"""In and out at once: case relay of perf/run. Mail from the generator through a gateway to the sink, both on our own
stack over shared memory, and both on the kernel's. How, and what the figures are: perf/README.md."""
import os
import statistics
import subprocess
import time

import blast as client
from gateway import Gateway, make_veth
from harness import BUILD, GATEWAY_IP, HOST_IP, Failed, check_equal, wait_until
from sink import Sink

MESSAGES, KERNEL_MESSAGES, BYTES, CONNECTIONS, PER_CONNECTION, ROUNDS = 20000, 20000, 4096, 64, 50, 3
OUT_IP, SINK_IP, PORT, BOUND_S = '10.8.0.1', '10.8.0.2', 2525, 60
AF_PACKET = 'net_af_packet0,iface=gw0,blocksz=65536,framesz=2048,framecnt=8192,qdisc_bypass=1'
SETTINGS = {'spool': {'size': '4G', 'segment_size': '64M', 'buffers': 8192}, 'tcp': {'packet_buffers': 32768, 'msl': '1s'},
            'queue': {'deliveries': 1000, 'backoff_min': '300s', 'backoff_max': '4000s', 'warn_after': '0s'}, 'delivery': {'tls': 'none'}}


def memif(lab, where, number):
    """Both ends of a shared-memory link: the gateway's device, the other's."""
    end = f'id=0,socket={lab.path(where)},socket-abstract=no,rsize=12'
    return f'net_memif{number},role=server,{end}', f'net_memif0,role=client,{end}'


def compare(sent, seen):
    out = subprocess.run([os.path.join(BUILD, 'perf/ledger'), sent, seen], capture_output=True, text=True)
    if out.returncode == 2:
        raise Failed(f'ledger: {out.stderr}')
    return {name: int(value) for name, value in (line.split() for line in out.stdout.splitlines())}


class Relay:
    """A gateway between a generator and a sink. kernel: both over a veth pair; else over shared memory, a port each."""

    RUN = 7

    def __init__(self, lab, name, kernel, messages, sink_args=(), **changes):
        self.lab, self.messages = lab, messages
        self.sent, self.seen = lab.path(f'{name}-sent'), lab.path(f'{name}-seen')
        settings = {block: dict(values) for block, values in SETTINGS.items()}
        settings['gateway'] = {'memory': '1G', 'lane_cpus': [0]}
        for block, values in changes.items():
            settings.setdefault(block, {}).update(values)
        noted = ['--ledger', self.seen, '--messages', messages, '--run', self.RUN, *sink_args]
        if kernel:
            self.gw = Gateway(lab, name=name, port_net0={'device': AF_PACKET}, route_default={'host': f'{HOST_IP}:{PORT}'}, **settings)
            self.gw.start(addresses=False)
            self.sink = Sink(lab, '--kernel', '--listen', f'{HOST_IP}:{PORT}', *noted)
            self.far = client.Blast(lab, self.gw, kernel=True)
        else:
            device, other = memif(lab, f'{name}/run/out.sock', 1)
            self.gw = client.start(lab, name=name, port_net1={'device': device, 'address': [f'{OUT_IP}/24']},
                                   route_default={'host': f'{SINK_IP}:{PORT}'}, **settings)
            self.sink = Sink(lab, '--port', other, '--listen', f'{SINK_IP}:{PORT}', *noted)
            self.far = client.Blast(lab, self.gw)

    def run(self, *load, noted=False):
        """One load to its end, until the sink has all of it: what blast says, seconds, CPU seconds. noted: it is the one
        that the ledgers are of."""
        load += ('--ledger', self.sent, '--run', self.RUN) if noted else ()
        cpu, start = self.gw.cpu_seconds(), time.monotonic()
        got = self.far.run(*load)
        wait_until(lambda: 'messages 0\n' in self.gw.ctl('queue', 'stat'), BOUND_S, 'an empty queue')
        return got, time.monotonic() - start, self.gw.cpu_seconds() - cpu

    def stop(self):
        """What the ledgers say of the noted load."""
        self.sink.quiet()
        self.far.stop()
        self.sink.stop()
        return compare(self.sent, self.seen)


def measure(lab, add, name, kernel, messages):
    r = Relay(lab, f'relay-{name}', kernel, messages)
    load = ('smtp', '--connections', CONNECTIONS, '--per-connection', PER_CONNECTION, '--size', BYTES, '--time', BOUND_S)
    r.run(*load, '--messages', messages // 10)  # pages, caches, neighbors
    rounds, cycles_per_s = [], r.gw.cycles_per_s()
    for n in range(ROUNDS):
        got, seconds, cpu = r.run(*load, '--messages', messages, noted=n == ROUNDS - 1)
        check_equal(got['messages'], messages, 'messages that were accepted')
        rounds.append((messages / seconds, messages / cpu, cpu * cycles_per_s / messages, got['p50_us'], got['p99_us'], got['p999_us']))
    units = (('messages_per_s', '/s'), ('messages_per_cpu_s', '/s'), ('cycles_per_message', 'cycles'), ('p50_us', 'us'), ('p99_us', 'us'),
             ('p999_us', 'us'))
    for at, (metric, unit) in enumerate(units):
        add(f'{name}_{metric}', statistics.median(values[at] for values in rounds), unit)
    told = r.stop()
    for metric in ('acked', 'lost', 'doubled', 'damaged'):
        add(f'{name}_{metric}', told[metric], 'messages')


def relay(lab, table):
    def add(metric, value, unit):
        table.add('relay', metric, value, unit)
    measure(lab, add, 'memif', False, MESSAGES)
    make_veth()
    measure(lab, add, 'veth', True, KERNEL_MESSAGES)
