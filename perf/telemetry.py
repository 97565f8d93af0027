"""What log and counters cost a lane a message, and what share of a core that is at 100,000 messages a second; where its cycles go."""
import os
import subprocess
import time

import blast as client
from harness import BUILD

MESSAGES = 20000
ROUNDS = 5
PARTS = ('rx', 'net_tcp', 'conn', 'tls', 'rings', 'timers', 'tx')
SETTLE_S = 1.5  # until the lane has shared out its cycles (lane_cycles.h)


def growth(gw, groups, before=None):
    """Lane 0's counters by name, or how much they have grown since."""
    lane = gw.telemetry('/sluice/threads')['lane0']
    now = {f'{g}/{name}': value for g in groups for name, value in gw.telemetry(f'/sluice/{g},{lane}').items()}
    return now if before is None else {name: value - before[name] for name, value in now.items()}


def measure(lab, table):
    """Cycles of lane 0 a message that comes in, by part. And no more than so many times a lane changes a counter for a message that comes in: what its counters grow by, all of which
    but bytes grow by one or more at a time; each counter of bytes, and each gauge, with every packet or pass at most."""
    gw = client.start(lab, name='telemetry', gateway={'memory': '768M', 'lane_cpus': [0]}, tcp={'packet_buffers': 32768, 'msl': '1s'},
                      spool={'size': '2G', 'segment_size': '64M', 'buffers': 8192})
    far = client.Blast(lab, gw)
    far.run('connect', '--messages', 100)
    groups = sorted({c.split('/')[2].split(',')[0] for c in gw.telemetry('/') if c.startswith('/sluice/')} - {'threads', 'memory', 'destinations'})
    groups = [g for g in groups if gw.telemetry(f'/sluice/{g},0')]
    before = growth(gw, groups)
    far.run('smtp', '--connections', 64, '--per-connection', 100, '--messages', MESSAGES, '--time', 20)
    time.sleep(SETTLE_S)
    grown = growth(gw, groups, before)
    far.stop()
    messages = grown['smtp/messages']
    packets = max(grown['net/rx_packets'], grown['net/tx_packets'])
    ones = sum(value for name, value in grown.items() if 'bytes' not in name and 0 < value and not name.startswith('lane/'))
    byte_rows = sum(1 for name, value in grown.items() if 'bytes' in name and value > 0)
    for name in ('busy', *PARTS):
        table.add('telemetry', f'lane_cycles_{name}', grown[f'lane/cycles_{name}'] / messages, 'cycles')
    return (ones + byte_rows * packets) / messages, packets / messages


def telemetry(lab, table):
    updates, packets = measure(lab, table)
    table.add('telemetry', 'packets_per_message', packets, 'packets')
    table.add('telemetry', 'updates_per_message', updates, 'updates')
    for mode, suffix in ([], ''), (['spin'], '_spinning'):
        shares = []
        for _ in range(ROUNDS):
            out = subprocess.run([os.path.join(BUILD, 'perf/bench_log'), 'lane', str(round(updates)), *mode], stdout=subprocess.PIPE,
                                 check=True, timeout=120).stdout.decode()
            figures = {line.split()[1]: float(line.split()[2]) for line in out.splitlines()}
            shares.append((figures['share_at_100000_per_s'], figures['cycles_per_message_both']))
        share, cycles = sorted(shares)[len(shares) // 2]
        table.add('telemetry', f'cycles_per_message{suffix}', cycles, 'cycles')
        table.add('telemetry', f'share_at_100000_per_s{suffix}', share, '% of a lane')
