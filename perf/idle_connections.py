"""A million idle connections in a whole gateway, for case idle of perf/run: greeted, EHLO answered, and then silent. How, and
what the figures are: perf/README.md."""
import re
import subprocess
import time

import blast as client
from harness import Failed, check, wait_until
from tls_idle import main_pid

CONNECTIONS, FIRST, HOLD_S = 1000000, 1000, 600
FREE_MB = 12000  # of the machine, for both ends


def memory(pid):
    """What the process has in all: ordinary pages, also those of shared memory, and huge ones."""
    with open(f'/proc/{pid}/smaps_rollup') as f:
        kib = {line.split(':')[0]: int(line.split()[1]) for line in f if line.endswith('kB\n')}
    return 1024 * (kib['Rss'] + kib.get('Private_Hugetlb', 0) + kib.get('Shared_Hugetlb', 0))


def start(lab, name, connections):
    return client.start(lab, name=name, gateway={'memory': '512M', 'lane_cpus': [0]}, smtp={'command_timeout': '1h'}, limits={'stress': 0},
                        tcp={'connections': connections, 'packet_buffers': 32768, 'half_open': 16384},
                        spool={'size': '256M', 'segment_size': '16M'})


def measure(lab, add):
    """What is wrong with the figures, when fewer connections than wanted were held; None otherwise."""
    with open('/proc/meminfo') as f:
        free = int(re.search(r'MemAvailable:\s+(\d+)', f.read()).group(1)) >> 10
    if free < FREE_MB:
        print(f'skip idle connections: {free} MB of memory are free, {FREE_MB} are needed', flush=True)
        return None
    small = start(lab, 'small', FIRST)
    base = memory(main_pid(small))
    small.stop()
    gw = start(lab, 'million', CONNECTIONS + FIRST)
    pid = main_pid(gw)
    add('gateway_of_1000_bytes', base, 'bytes')
    add('gateway_started_bytes', memory(pid), 'bytes')
    far = client.Blast(lab, gw, '--connections', CONNECTIONS)
    far.run('connect', '--connections', 64, '--messages', FIRST)
    line = f'hold --connections {CONNECTIONS} --messages {CONNECTIONS} --rate 20000 --time {HOLD_S} --timeout {HOLD_S}\n'
    far.process.stdin.write(line.encode())
    far.process.stdin.flush()
    began = time.monotonic()
    try:
        wait_until(lambda: gw.counter('conn/inbound') >= CONNECTIONS, HOLD_S // 2, 'all connections')
    except Failed:
        check(gw.alive(), gw.log_now()[-300:])
    held, seconds = gw.counter('conn/inbound'), time.monotonic() - began
    time.sleep(3)
    after = memory(pid)
    add('connections_wanted', CONNECTIONS, 'connections')
    add('connections_held', held, 'connections')
    add('connections_opened_in_s', seconds, 's')
    add('bytes_per_connection', (after - base) / max(1, held), 'bytes')
    add('gateway_bytes', after, 'bytes')
    add('gateway_gib', after / (1 << 30), 'GiB')
    cpu = gw.cpu_seconds()
    time.sleep(5)
    add('held_cpu_share', (gw.cpu_seconds() - cpu) / 5, 'cores')
    far.process.kill()  # the gateway first, else it would have a million ends to see
    gw.kill()
    return None if held >= CONNECTIONS else f'connections_held is {held}, wanted were {CONNECTIONS} within {HOLD_S // 2} s: the figures behind it are of fewer'
