"""Case scale of perf/run: what a message costs us with one lane and with two, in turns, over the veth pair: its client sleeps where
the one over shared memory would take the cores that the lanes want."""
import os
import statistics

import accept
import load
from blast import ELSEWHERE as NOBODY
from ground import FROM, Ground, Ours, Place
from harness import check, check_equal

LANES = (1, 2)
RAM_BYTES = 4 << 30


def lanes_user_seconds(gw):
    """User time of the lanes: without what the kernel does for the veth pair."""
    total = 0
    for task in os.listdir(f'/proc/{gw.process.pid}/task'):
        try:
            with open(f'/proc/{gw.process.pid}/task/{task}/stat') as f:
                text = f.read()
        except (FileNotFoundError, ProcessLookupError):
            continue  # a helper of io_uring that has just ended
        if '(rte-worker' in text:
            total += int(text.rsplit(')', 1)[1].split()[11])
    return total / os.sysconf('SC_CLK_TCK')


def one(place, lanes, effort):
    gw = Ours(place, queues=lanes, gateway={'memory': '1G', 'lanes': lanes}, spool=accept.SPOOL, queue={'deliveries': 1},
              tcp={'packet_buffers': 32768, 'msl': '1s'}, route_default={'host': NOBODY})
    gw.start(addresses=False)
    check_equal(len(gw.lanes()), lanes, 'lanes')
    case = accept.CASES['accept-new' if effort.quick else 'accept-pipelined']
    words = [*case.words.split(), '--time', effort.seconds, '--messages', min(case.most, effort.most or case.most)]
    cpu, accepted = lanes_user_seconds(gw), [gw.counter('conn/accepted', n) for n in gw.lanes()]
    got = accept.measured(gw, lambda: load.kernel(case.units, words, FROM))
    cpu = lanes_user_seconds(gw) - cpu
    accepted = [gw.counter('conn/accepted', n) - before for n, before in zip(gw.lanes(), accepted)]
    check(min(accepted) > 0, f'connections of the lanes: {accepted}')
    gw.stop()
    return got, cpu


def scale(lab, table, quick=False):
    effort, ground = accept.Effort(quick), Ground(lab)
    place = Place(lab, ground, 'disk') if quick else Place(lab, ground, 'ram', RAM_BYTES)
    ground.server_address(kernel=False)
    runs = {lanes: [] for lanes in LANES}
    for _ in range(effort.rounds):
        for lanes in LANES:
            runs[lanes].append(one(place, lanes, effort))
    cycles = {}
    for lanes, done in runs.items():
        prefix, tsc = f'lanes_{lanes}_', done[0][0].cycles_per_s
        cycles[lanes] = [sum(r.cpu) * tsc / r.figures.done for r, _ in done]
        table.add('scale', prefix + 'messages_per_s', statistics.median(r.figures.per_s for r, _ in done), '/s')
        table.add('scale', prefix + 'messages_per_cpu_s', statistics.median(r.per_cpu_s for r, _ in done), '/s')
        table.add('scale', prefix + 'cycles_per_message', statistics.median(cycles[lanes]), 'cycles')
        table.add('scale', prefix + 'lane_user_cycles_per_message', statistics.median(cpu * tsc / r.figures.done for r, cpu in done), 'cycles')
        for name in done[0][0].cycles:
            table.add('scale', f'{prefix}{name}_per_message', statistics.median(r.cycles[name] / r.figures.done for r, _ in done), 'cycles')
    table.add('scale', 'cycles_2_to_1', statistics.median(b / a for a, b in zip(cycles[1], cycles[2])), 'times', 'ratio')
