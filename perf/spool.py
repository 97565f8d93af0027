"""Case spool of perf/run: durable records a second beside a bare io_uring program and beside one file a message, on the
same disk, in turns; what a start costs; what is written for each byte while much is queued."""
import os
import shutil
import statistics
import subprocess
import tempfile

from harness import Failed

WHERE = '/var/tmp'
NEEDS_GB = 20  # at most half of it is used at a time
SIZES = ((4096, 1), (4096, 8), (4096, 64), (65536, 8), (1048576, 1))
ROUNDS = 3
LIVE_PERCENT = (50, 70, 85)
RECOVER = ((65536, 100000), (4096, 1000000))
# Who, and the load of bench_spool.
WHO = (('io_uring', 'bare'), ('sluice', 'spool'), ('files', 'files'))


def bench(folder, *args):
    path = os.path.join(os.environ['SLUICE_BUILD'], 'perf', 'bench_spool')
    load, rest = args[0], [str(a) for a in args[1:]]
    out = subprocess.run([path, load, folder, *rest], capture_output=True, text=True, timeout=900)
    if out.returncode != 0:
        raise Failed(f'bench_spool {load} {" ".join(rest)}: {out.stderr.strip()[-300:]}')
    rows = (line.split() for line in out.stdout.splitlines())
    return {name: (float(value), unit) for name, value, unit in rows}


def size_name(size):
    return f'{size >> 20}MiB' if size >= 1 << 20 else f'{size >> 10}KiB'


def rates(table, folders):
    """Each size and number at a commit, by each of the three in turns; the median of the rounds, and their ends."""
    for size, at_a_time in SIZES:
        got = {who: [] for who, _ in WHO}
        for _ in range(ROUNDS):
            for who, load in WHO:
                got[who].append(bench(folders[who], load, size, at_a_time))
        prefix = f'{size_name(size)}_x{at_a_time}_'
        for who, _ in WHO:
            for name, (_, unit) in got[who][0].items():
                values = sorted(run[name][0] for run in got[who])
                table.add('spool', prefix + name, statistics.median(values), unit, who)
                if name == 'records_per_s':
                    table.add('spool', prefix + 'records_per_s_min', values[0], unit, who)
                    table.add('spool', prefix + 'records_per_s_max', values[-1], unit, who)
        for other in ('io_uring', 'files'):
            ratio = statistics.median(a['records_per_s'][0] / b['records_per_s'][0]
                                      for a, b in zip(got['sluice'], got[other]))
            table.add('spool', f'{prefix}to_{other}', ratio, 'times')


def spool(_lab, table):
    free_gb = shutil.disk_usage(WHERE).free >> 30
    if free_gb < NEEDS_GB:
        raise Failed(f'{NEEDS_GB} GB free are needed in {WHERE}, there are {free_gb}')
    with tempfile.TemporaryDirectory(prefix='sluice-perf-', dir=WHERE) as top:
        folders = {who: os.path.join(top, who) for who, _ in WHO}
        for folder in folders.values():
            os.mkdir(folder)
        rates(table, folders)
        loads = [('live', 65536, percent) for percent in LIVE_PERCENT] + [('recover', *r) for r in RECOVER]
        for load in loads:
            shutil.rmtree(folders['sluice'])
            os.mkdir(folders['sluice'])
            for name, (value, unit) in bench(folders['sluice'], *load).items():
                if load[0] == 'recover':
                    name = f'{name}_{load[2]}x{size_name(load[1])}'
                table.add('spool', name, value, unit)
