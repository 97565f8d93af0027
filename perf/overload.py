"""Twice what a gateway can take: case overload of perf/run. The peak is found with a closed loop, then connections are started
on a schedule at twice that rate, each with one message. How, and what the figures are: perf/README.md."""
import os

import blast as client
from harness import Failed, check, run
from loopdisk import LoopDisk

BYTES, PEAK_CONNECTIONS, PEAK_S, OVERLOAD_S, FACTOR = 4096, 128, 5, 8, 2
CONNECTIONS, SPOOL_GB = 2000, 5


class Memory:
    """An ext4 on a loop device that lies in memory, beside the disk of this machine. Stands for the lab where LoopDisk asks
    it for paths."""

    def __init__(self, lab, name, gigabytes):
        self.lab, self.dir = lab, lab.path(f'{name}-memory')
        os.mkdir(self.dir)
        run('mount', '-t', 'tmpfs', '-o', f'size={gigabytes}g', 'none', self.dir)
        self.at_end = lab.at_end
        lab.at_end(lambda: run('umount', '-l', self.dir, ok=None))
        self.mount = LoopDisk(self, name, (gigabytes << 30) - (64 << 20)).mount

    def path(self, name):
        return os.path.join(self.dir, name)


def spooled(gw):
    """Messages in the spool, as the queue has them."""
    for line in gw.ctl('queue', 'stat').splitlines():
        if line.startswith('messages '):
            return int(line.split()[1])
    raise Failed('queue stat tells no messages')


def overload_on(lab, add, name, path):
    spool = {'size': f'{SPOOL_GB - 1}G', 'segment_size': '64M', 'buffers': 8192}
    if path:
        spool['path'] = path
    gw = client.start(lab, name=f'gw-{name}', gateway={'memory': '1G', 'lane_cpus': [0]}, tcp={'packet_buffers': 32768, 'msl': '1s'}, spool=spool)
    far = client.Blast(lab, gw, '--connections', CONNECTIONS)
    for task in os.listdir(f'/proc/{gw.process.pid}/task'):  # the generator has the other: it must be able to offer twice as much
        os.sched_setaffinity(int(task), {0})
    far.run('smtp', '--connections', 64, '--per-connection', 10, '--messages', 1000, '--size', BYTES, '--time', 30)
    before = spooled(gw)
    peak = far.run('smtp', '--connections', PEAK_CONNECTIONS, '--per-connection', 1, '--size', BYTES, '--time', PEAK_S)
    rate = int(FACTOR * peak['messages_per_s'])
    got = far.run('smtp', '--connections', CONNECTIONS, '--per-connection', 1, '--size', BYTES, '--rate', rate, '--time', OVERLOAD_S)
    kept = spooled(gw) - before
    add(f'{name}_peak_messages_per_s', peak['messages_per_s'], '/s')
    add(f'{name}_offered_per_s', got['started'] / OVERLOAD_S, '/s')
    add(f'{name}_goodput_per_s', got['messages_per_s'], '/s')
    add(f'{name}_goodput_share', got['messages_per_s'] / peak['messages_per_s'], 'of the peak')
    for metric in sorted(got):
        if metric.startswith(('failed', 'refused', 'p50', 'p99', 'max', 'retrans')):
            add(f'{name}_{metric}', got[metric], '')
    accepted = peak['messages'] + got['messages']
    add(f'{name}_acknowledged', accepted, 'messages')
    add(f'{name}_kept', kept, 'messages')
    check(kept >= accepted, f'{accepted - kept:.0f} messages that were acknowledged are not in the spool')
    far.stop()


def overload(lab, table):
    def add(metric, value, unit):
        table.add('overload', metric, value, unit)
    overload_on(lab, add, 'memory', os.path.join(Memory(lab, 'ram', SPOOL_GB).mount, 'spool'))
    overload_on(lab, add, 'disk', None)
