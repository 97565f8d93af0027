"""Cases accept-new, accept-pipelined, accept-starttls, accept-bulk (plain and with TLS), connect and reject of perf/run: ours and each peer in turns,
by the same client over a veth pair, and ours by our own client over shared memory. How, and what it means: README.md."""
import os
import statistics
import time

import limits
import load
import peers
from blast import ELSEWHERE as NOBODY, Blast
from ground import FROM, Ground, Ours, Place
from half_load import half_load
from harness import Failed, check, run, wait_until

RAM_BYTES = 4 << 30
# Takes 1,300 messages of 1 MiB: so much is live at most, and nothing is delivered.
SPOOL = {'size': '2G', 'segment_size': '64M', 'buffers': 8192}
MEMIF_CONNECTIONS = 256  # the client is the other end of a wire there, and no thread waits
QUIET_S, SETTLE_S = 0.3, 1.2
DRAIN_S = {True: 20, False: 5}  # for a peer to be done with what it has accepted, by whether it is durable


class Case:
    """units: what blast counts. words: its load. most: units of a run at most, warm: of the load before it. disks: whether what it accepts is written; ram:
    and is measured with a disk in memory, too. bare: what its commits are compared with: bytes and records of a bare program's."""

    def __init__(self, units, words, most, disks=True, ram=True, tls=False, bare=None, warm=200):
        self.units, self.words, self.most, self.disks, self.tls, self.bare = units, words, most, disks, tls, bare
        self.ram, self.warm = disks and ram, warm


CASES = {
    'accept-new': Case('messages', 'smtp --connections 64 --per-connection 1 --size 4096', 200000, bare=(4096, 64)),
    'accept-pipelined': Case('messages', 'smtp --connections 64 --per-connection 100 --size 4096', 300000, bare=(4096, 64)),
    'accept-starttls': Case('messages', 'smtp --connections 64 --per-connection 1 --size 4096 --tls starttls --tls-version 1.3', 200000, ram=False, tls=True),
    'accept-bulk': Case('messages', 'bulk --connections 16 --size 1048576', 1000, bare=(1048576, 1), warm=20),
    'accept-bulk-tls': Case('messages', 'bulk --connections 16 --size 1048576 --tls starttls --tls-version 1.3', 1000, ram=False, tls=True, bare=(1048576, 1), warm=20),
    'connect': Case('connections', 'connect --connections 64 --ehlo', 2000000, disks=False),
    'reject': Case('rejects', 'reject --connections 64 --recipient someone@refused.example', 2000000, disks=False),
}


class Effort:
    """How much of everything: whole figures, or just enough to see that a case works."""

    def __init__(self, quick):
        self.quick = quick
        self.rounds, self.seconds, self.most = (1, 1, 300) if quick else (3, 2.5, None)


def certificate(lab):
    """A P-256 one for all servers; its chain and key."""
    pair = lab.path('mx.pem'), lab.path('mx.key')
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=mx.example',
        '-days', '9', '-keyout', pair[1], '-out', pair[0])
    os.chmod(pair[1], 0o640)
    return pair


class Run:
    """What one server did with one load."""

    cycles_per_s = None

    def __init__(self, figures, cpu, left=0):
        self.figures, self.cpu, self.cycles, self.left = figures, cpu, {}, left
        self.per_cpu_s = figures.done / sum(cpu)


def lane_cycles(gw):
    """The lanes' own counters, in all and by layer; those by layer are brought up to date each second."""
    time.sleep(SETTLE_S)
    return {name: n for name, n in (gw.telemetry('/sluice/lane') or {}).items() if name.startswith('cycles_') and name != 'cycles_idle'}


def measured(server, the_load):
    """Runs the load; the CPU time is that until the server is done with all that it has accepted."""
    ours = isinstance(server, Ours)
    wait_until(lambda: server.queued() == 0, 20, f'{server.name} is quiet')
    time.sleep(QUIET_S)
    cycles = lane_cycles(server) if ours else {}
    before = server.meter.cpu()
    figures = the_load()
    if not ours:  # what ours has said 250 to is where it stays
        end = time.monotonic() + DRAIN_S[server.durable]
        while server.queued() > 0 and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(QUIET_S)
    cpu = [after - b for after, b in zip(server.meter.cpu(), before)]
    got = Run(figures, cpu, server.queued())
    if ours:
        got.cycles = {name: n - cycles[name] for name, n in lane_cycles(server).items()}
        got.cycles_per_s = server.cycles_per_s()
    return got


class Measuring:
    """One case on one disk: its servers, each started anew for every round."""

    def __init__(self, lab, ground, place, name, effort, tls):
        self.lab, self.ground, self.place, self.case, self.effort = lab, ground, place, CASES[name], effort
        self.tls = tls if self.case.tls else None

    def words(self, seconds=None, most=None, memif=False):
        most = most or min(self.case.most, self.effort.most or self.case.most)
        words = self.case.words.replace('--connections 64', f'--connections {MEMIF_CONNECTIONS}') if memif else self.case.words
        return [*words.split(), '--time', seconds or self.effort.seconds, '--messages', most]

    def kernel_load(self, *more):
        load.kernel(self.case.units, [*self.words(1, self.case.warm), *more], FROM)  # its processes stand, caches are warm
        return lambda: load.kernel(self.case.units, [*self.words(), *more], FROM)

    def peer(self, kind):
        self.ground.server_address(kernel=True)
        server = kind(self.lab, self.place, self.tls).start()
        more = ['--no-pipelining'] if not kind.pipelining and self.case.units == 'rejects' else []  # messages look for themselves
        try:
            return measured(server, self.kernel_load(*more))
        finally:
            server.stop()

    def gateway(self, memif=False):
        gw = Ours(self.place, self.tls, memif, gateway={'memory': '768M', 'lane_cpus': [0]}, spool=SPOOL, queue={'deliveries': 1},
                  tcp={'packet_buffers': 32768, 'msl': '1s'}, route_default={'host': NOBODY})
        return gw.start(addresses=False)

    def ours(self):
        self.ground.server_address(kernel=False)
        gw = self.gateway()
        got = measured(gw, self.kernel_load())
        gw.stop()
        return got

    def over_memif(self):
        """By our own client: what the stack does without a kernel beside it."""
        gw = self.gateway(memif=True)
        far = Blast(self.lab, gw)
        far.run('connect', '--messages', 100)  # each end knows the other's addresses
        far.run(*self.words(1, self.case.warm, True))
        got = measured(gw, lambda: load.Figures(self.case.units, far.run(*self.words(memif=True))))
        far.stop()
        return got


def median(values):
    return statistics.median(values)


class Report:
    """The rows of one case on one disk. durable: whether that server syncs before its 250; None where nothing is accepted."""

    def __init__(self, table, case, prefix, units):
        self.table, self.case, self.prefix, self.units = table, case, prefix, units
        self.runs = {}

    def add(self, who, metric, value, unit, **more):
        self.table.add(self.case, self.prefix + metric, value, unit, who, **more)

    def server(self, who, durable, runs):
        self.runs[who] = runs
        for metric, values in (('per_s', [r.figures.per_s for r in runs]), ('per_cpu_s', [r.per_cpu_s for r in runs])):
            name = f'{self.units}_{metric}'
            self.add(who, name, median(values), '/s', durable=durable)
            self.add(who, name + '_min', min(values), '/s', durable=durable)
            self.add(who, name + '_max', max(values), '/s', durable=durable)
        self.add(who, 'user_share', median([r.cpu[0] / sum(r.cpu) for r in runs]), 'of the CPU time')
        for name in load.LATENCIES:
            self.add(who, name, median([r.figures.latency[name] for r in runs]), 'us', durable=durable)
        self.add(who, 'failed', sum(r.figures.failed for r in runs), self.units)
        for run_ in runs:
            if run_.figures.failed:
                self.table.say(f'{self.case}: {who}: failed: {run_.figures.reasons}')
        if any(r.left for r in runs):
            self.add(who, 'left', max(r.left for r in runs), 'files')

    def cycles(self, who, runs):
        """What one unit costs us: all threads, and each layer of the lane by its counters."""
        unit = self.units.rstrip('s')
        self.add(who, f'cycles_per_{unit}', median([sum(r.cpu) * r.cycles_per_s / r.figures.done for r in runs]), 'cycles')
        for name in runs[0].cycles:
            self.add(who, f'lane_{name}_per_{unit}', median([r.cycles[name] / r.figures.done for r in runs]), 'cycles')

    def ratio(self, ours, theirs, metric):
        values = [a.per_cpu_s / b.per_cpu_s for a, b in zip(self.runs[ours], self.runs[theirs])]
        self.add('ratio', metric, median(values), 'times')

    def summary(self, servers):
        """One line for each server, for people."""
        line = '{:16} {:14} {:>8} {:>9} {:>20} {:>20} {:>9} {:>9} {:>9}'.format
        self.table.say(line(self.prefix + self.case, 'who', 'durable', '/s', 'per CPU-s (min-max)', 'sluice, memif to it', 'p50 us', 'p99 us', 'p999 us'))
        for who, durable, _ in servers:
            runs = self.runs[who]
            each = sorted(r.per_cpu_s for r in runs)
            ratios = [median([a.per_cpu_s / b.per_cpu_s for a, b in zip(self.runs[ours], runs)]) for ours in ('sluice', 'sluice-memif')]
            self.table.say(line('', who, ('yes' if durable else 'no') if CASES[self.case].disks else '', f'{median([r.figures.per_s for r in runs]):.0f}',
                                f'{median(each):.0f} ({each[0]:.0f}-{each[-1]:.0f})', '' if who.startswith('sluice') else f'{ratios[0]:.1f}, {ratios[1]:.1f}',
                                *(f'{median([r.figures.latency[name] for r in runs]):.0f}' for name in load.LATENCIES)))


def on_a_disk(lab, ground, place, table, name, effort, kinds, tls, prefix):
    case, m = CASES[name], Measuring(lab, ground, place, name, effort, tls)
    report = Report(table, name, prefix, case.units)
    servers = [('sluice', True, m.ours), ('sluice-memif', True, m.over_memif)]
    for kind in kinds:
        if case.tls and kind.tls_broken:
            print(f'peer {kind.name}: not in {name}: {kind.tls_broken}', flush=True)
        else:
            servers.append((kind.name, kind.durable, lambda kind=kind: m.peer(kind)))
    runs = {who: [] for who, _, _ in servers}
    for _ in range(max(1, effort.rounds - (prefix != ''))):  # one less in memory, which nothing disturbs
        for server in list(servers):
            who, _, go = server
            try:
                runs[who].append(go())
            except Failed as why:
                if who.startswith('sluice'):
                    raise Failed(f'{name}: {who}: {why}') from None
                print(f'peer {who}: not in {name}: {why}', flush=True)
                servers.remove(server)
    for who, durable, _ in servers:
        report.server(who, durable if case.disks else None, runs[who])
    for who in ('sluice', 'sluice-memif'):
        report.cycles(who, runs[who])
    for who, _, _ in servers[2:]:
        report.ratio('sluice', who, f'per_cpu_s_to_{who}')
        report.ratio('sluice-memif', who, f'memif_per_cpu_s_to_{who}')
    physical(report, place, name, runs['sluice-memif'])
    report.summary(servers)
    return report


def physical(report, place, name, runs):
    """Our share, over shared memory, of what the machine can do."""
    case = CASES[name]
    per_s = median([r.figures.per_s for r in runs])
    if case.bare:
        rate, p99 = limits.commits(place, *case.bare)
        report.add('limit', 'disk_records_per_s', rate, '/s')
        report.add('limit', 'disk_p99_us', p99, 'us')
        report.add('ratio', 'memif_share_of_disk', per_s / rate, 'of the limit')
    if name == 'accept-starttls':
        ours, openssl = limits.handshakes_per_cpu_s()
        report.add('limit', 'handshakes_per_cpu_s', ours, '/s')
        report.add('limit', 'openssl_handshakes_per_cpu_s', openssl, '/s')
        report.add('ratio', 'memif_share_of_crypto', median([r.per_cpu_s for r in runs]) / ours, 'of the limit')
    if name.startswith('accept-bulk'):
        rate = limits.copy_bytes_per_s()
        report.add('limit', 'memory_copy_bytes_per_s', rate, 'bytes/s')
        report.add('sluice-memif', 'gbit_per_s', per_s * (1 << 20) * 8 / 1e9, 'Gbit/s')
        busy = median([r.cycles['cycles_busy'] / r.figures.done / r.cycles_per_s for r in runs])
        report.add('sluice-memif', 'lane_gbit_per_s', (1 << 20) * 8 / 1e9 / busy, 'Gbit/s')
        report.table.say(f'{report.prefix + name}: over shared memory {per_s * (1 << 20) * 8 / 1e9:.1f} Gbit/s; a lane that has a processor to itself '
                         f'and a disk that keeps up: {(1 << 20) * 8 / 1e9 / busy:.1f}')
        report.add('ratio', 'memif_share_of_memory', per_s * (1 << 20) / rate, 'of the limit')


def accept(lab, table, name, quick=False, names=None):
    """names: the peers; all, when none are given."""
    effort, kinds = Effort(quick), peers.present(names or peers.packages.NAMES)
    if CASES[name].disks and peers.Postfix in kinds and not quick:
        kinds.insert(kinds.index(peers.Postfix) + 1, peers.PostfixAccepting)
    ground, tls = Ground(lab), certificate(lab)
    disks = [('', Place(lab, ground, 'disk'))] if not CASES[name].ram or quick else [
        ('', Place(lab, ground, 'disk')), ('ram_', Place(lab, ground, 'ram', RAM_BYTES))]
    for prefix, place in disks:
        report = on_a_disk(lab, ground, place, table, name, effort, kinds, tls, prefix)
        if name == 'accept-new':
            rates = {who: median([r.figures.per_s for r in report.runs[who]]) for who in ('sluice', 'sluice-memif')}
            half_load(Measuring(lab, ground, place, name, effort, None), table, rates, prefix, effort.rounds)
    check(report.runs, 'nothing was measured')
