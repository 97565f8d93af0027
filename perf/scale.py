"""Case scale of perf/run: what a message costs us with one lane and with two, in turns, over the veth pair (whose client sleeps) and
over shared memory with as many queues and lanes of the client, on all processors and on one; and what it costs peers with one processor and with two."""
import os
import statistics

import accept
import limits
import load
import peers
from blast import ELSEWHERE as NOBODY, Blast
from ground import FROM, Ground, Ours, Place
from harness import Failed, check, check_equal

COUNTS = (1, 2)
RAM_BYTES = 4 << 30
PER_MESSAGE = ('steered', 'passes_busy', 'sleeps')  # of the lanes' counters beside their cycles


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


class Scale:
    def __init__(self, lab, effort):
        self.lab, self.effort, self.ground = lab, effort, Ground(lab)
        self.place = Place(lab, self.ground, 'disk') if effort.quick else Place(lab, self.ground, 'ram', RAM_BYTES)

    def words(self, memif=False):
        case = accept.CASES['accept-new' if self.effort.quick else 'accept-pipelined']
        words = case.words.replace('--connections 64', f'--connections {accept.MEMIF_CONNECTIONS}') if memif else case.words
        return [*words.split(), '--time', self.effort.seconds, '--messages', min(case.most, self.effort.most or case.most)]

    def gateway(self, lanes, memif):
        self.ground.server_address(kernel=False)
        gw = Ours(self.place, None, memif, queues=lanes, gateway={'memory': '1G', 'lanes': lanes}, spool=accept.SPOOL, queue={'deliveries': 1},
                  tcp={'packet_buffers': 32768, 'msl': '1s'}, route_default={'host': NOBODY})
        gw.start(addresses=False)
        check_equal(len(gw.lanes()), lanes, 'lanes')
        return gw

    def measured(self, gw, the_load):
        """With user and more: the lanes' user time, and their other counters, while the load ran."""
        def counts():
            values = gw.telemetry('/sluice/lane')
            return {name: values[name] for name in PER_MESSAGE} | {'rx_packets': gw.counter('net/rx_packets')}

        grown = {}

        def load_and_count():
            user, before = lanes_user_seconds(gw), counts()
            figures = the_load()
            grown['user'] = lanes_user_seconds(gw) - user
            grown['more'] = {name: n - before[name] for name, n in counts().items()}
            return figures

        accepted = [gw.counter('conn/accepted', n) for n in gw.lanes()]
        got = accept.measured(gw, load_and_count)
        got.user, got.more = grown['user'], grown['more']
        accepted = [gw.counter('conn/accepted', n) - before for n, before in zip(gw.lanes(), accepted)]
        check(min(accepted) > 0, f'connections of the lanes: {accepted}')
        return got

    def veth(self, lanes):
        gw = self.gateway(lanes, False)
        got = self.measured(gw, lambda: load.kernel('messages', self.words(), FROM))
        gw.stop()
        return got

    def memif(self, lanes, apart=False):
        """A lane of the client has a queue of its own, and the gateway's lane of that queue is at its other end. apart: all threads
        of the gateway have the first processor, the client's the last; else each lane has a processor, with one of the client's."""
        gw = self.gateway(lanes, True)
        far = Blast(self.lab, gw, '--lanes', lanes)
        far.run('connect', '--messages', 10)  # all its threads are there
        for process, cpu in ((gw.process, min(os.sched_getaffinity(0))), (far.process, load.last_cpu())) if apart else ():
            for task in os.listdir(f'/proc/{process.pid}/task'):
                os.sched_setaffinity(int(task), {cpu})
        far.run('connect', '--messages', 100)
        far.run('smtp', '--connections', 64, '--messages', 100)
        got = self.measured(gw, lambda: load.Figures('messages', far.run(*self.words(True))))
        far.stop()
        return got

    def peer(self, kind, processors):
        """taskset: its processes have the first so many."""
        self.ground.server_address(kernel=True)
        server = kind(self.lab, self.place)
        server.cpus = set(sorted(os.sched_getaffinity(0))[:processors])
        server.start()
        try:
            load.kernel('messages', ['smtp', '--connections', 64, '--messages', 100, '--time', 2], FROM)
            return accept.measured(server, lambda: load.kernel('messages', self.words(), FROM))
        finally:
            server.stop()


def ours(table, who, runs):
    """Rows of one link's."""
    cycles = {}
    for lanes, done in runs.items():
        prefix, tsc = f'lanes_{lanes}_', done[0].cycles_per_s
        cycles[lanes] = [sum(r.cpu) * tsc / r.figures.done for r in done]

        def add(name, values, unit, prefix=prefix):
            table.add('scale', prefix + name, statistics.median(values), unit, who)
        add('messages_per_s', [r.figures.per_s for r in done], '/s')
        add('messages_per_cpu_s', [r.per_cpu_s for r in done], '/s')
        add('cycles_per_message', cycles[lanes], 'cycles')
        add('lane_user_cycles_per_message', [r.user * tsc / r.figures.done for r in done], 'cycles')
        for name in load.LATENCIES:
            add(name, [r.figures.latency[name] for r in done], 'us')
        for name in done[0].cycles:
            add(f'{name}_per_message', [r.cycles[name] / r.figures.done for r in done], 'cycles')
        for name in done[0].more:
            add(f'{name}_per_message', [r.more[name] / r.figures.done for r in done], '')
        add('rx_packets_per_pass', [r.more['rx_packets'] / max(1, r.more['passes_busy']) for r in done], 'packets')
    busy = {lanes: [r.cycles['cycles_busy'] / r.figures.done for r in done] for lanes, done in runs.items()}
    for name, of in (('cycles', cycles), ('busy_cycles', busy)):
        table.add('scale', f'{who}_{name}_2_to_1', statistics.median(b / a for a, b in zip(of[1], of[2])), 'times', 'ratio')


def theirs(table, who, runs):
    for processors, done in runs.items():
        for name, values, unit in (('messages_per_s', [r.figures.per_s for r in done], '/s'), ('messages_per_cpu_s', [r.per_cpu_s for r in done], '/s'),
                                   *((n, [r.figures.latency[n] for r in done], 'us') for n in load.LATENCIES)):
            table.add('scale', f'cpus_{processors}_{name}', statistics.median(values), unit, who)
    table.add('scale', f'{who}_cpu_per_message_2_to_1', statistics.median(a.per_cpu_s / b.per_cpu_s for a, b in zip(runs[1], runs[2])), 'times', 'ratio')


def scale(lab, table, quick=False, names=None):
    case = Scale(lab, accept.Effort(quick))
    servers = {'sluice': case.veth, 'sluice-memif': case.memif, 'sluice-memif-1cpu': lambda lanes: case.memif(lanes, apart=True)}
    if quick:
        del servers['sluice-memif']  # the last one is the same and more
    for kind in peers.present(names or peers.packages.NAMES):
        servers[kind.name] = lambda count, kind=kind: case.peer(kind, count)
    runs = {who: {count: [] for count in COUNTS} for who in servers}
    for _ in range(case.effort.rounds):
        for who, go in list(servers.items()):
            try:
                for count in COUNTS:
                    runs[who][count].append(go(count))
            except Failed as why:
                if who.startswith('sluice'):
                    raise Failed(f'scale: {who}: {why}') from None
                print(f'peer {who}: not in scale: {why}', flush=True)
                del servers[who]
    records, _ = limits.commits(case.place, 4096, 64)
    table.add('scale', 'disk_records_per_s', records, '/s', 'limit')
    for who in servers:
        if who.startswith('sluice'):
            table.add('scale', 'lanes_2_share_of_disk', statistics.median(r.figures.per_s for r in runs[who][2]) / records, 'of the limit', who)
        (ours if who.startswith('sluice') else theirs)(table, who, runs[who])
