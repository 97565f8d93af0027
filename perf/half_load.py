"""How long a durable 250 takes at half of what the same link brings, beside the disk's own commits: part of the case accept-new. Method and
what bounds it: README.md."""
import statistics
import time

import limits
import load
from blast import Blast

# Where a message's time goes, as far as the gateway says: of the lane, from a message's end to its 250; of the spooler, from a commit's write to its end.
STAGES = {'store': 'conn_store_time', 'commit': 'spool_sync_time'}
RECORDS = 8  # of the bare program's commits: about as many as are in half of ours


def buckets(gw, name):
    """How many values were at most so large, by bound in order; the last has none."""
    got = gw.telemetry(f'/sluice/histograms,{name}')
    return {bound: n for bound, n in got.items() if bound != 'sum'}


def percentile(before, after, share):
    """Of the values between two readings, even within their bucket: good for a factor of 1.4. 0: there is none."""
    counts = [(bound, n - before[bound]) for bound, n in after.items()]
    left, low = share * sum(n for _, n in counts), 0
    for bound, n in counts:
        high = 2 * low if bound == 'above' else int(bound.removeprefix('to_'))
        if n > 0 and left <= n:
            return low + (high - low) * left / n
        left, low = left - n, high
    return 0


class Half:
    """Runs of one link: clients' latencies and the gateway's stages."""

    def __init__(self, measuring, memif, rate):
        self.m, self.memif, self.rate, self.clients, self.stages = measuring, memif, max(1, int(rate / 2)), [], []

    def round(self):
        self.m.ground.server_address(kernel=False)
        gw = self.m.gateway(memif=self.memif)
        if self.memif:
            far = Blast(self.m.lab, gw)
            far.run('connect', '--messages', 100)
            far.run(*self.m.words(1, 200, True))
            def the_load():
                return load.Figures('messages', far.run(*self.m.words(memif=True), '--rate', self.rate))
        else:
            the_load = self.m.kernel_load('--rate', self.rate)
        time.sleep(0.3)
        before = {stage: buckets(gw, name) for stage, name in STAGES.items()}
        self.clients.append(the_load().latency)
        self.stages.append({f'{stage}_{p}': percentile(before[stage], buckets(gw, name), share) / 1e3
                            for stage, name in STAGES.items() for p, share in (('p50_us', 0.5), ('p99_us', 0.99))})
        if self.memif:
            far.stop()
        else:
            gw.stop()


def half_load(measuring, table, rates, prefix, rounds):
    """rates: what came at saturation, by who."""
    halves = {who: Half(measuring, who == 'sluice-memif', rate) for who, rate in rates.items()}
    bare = []
    for _ in range(rounds):
        bare.append(limits.commits(measuring.place, 4096, RECORDS)[1])
        for half in halves.values():
            half.round()

    def add(metric, value, unit, who):
        table.add('accept-new', f'{prefix}half_load_{metric}', value, unit, who)
    add('disk_p99_us', statistics.median(bare), 'us', 'limit')
    for who, half in halves.items():
        add('per_s', half.rate, '/s', who)
        for rows in (half.clients, half.stages):
            for name in rows[0]:
                add(name, statistics.median([row[name] for row in rows]), 'us', who)
        link = 'memif_' if half.memif else ''
        for name, rows, key in (('p99_to_disk', half.clients, 'p99_us'), ('store_p99_to_disk', half.stages, 'store_p99_us')):
            add(link + name, statistics.median([row[key] / b for row, b in zip(rows, bare)]), 'times', 'ratio')
