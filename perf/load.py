"""perf/blast as a client of the kernel's TCP, which is the same for ours and for peers; and its figures by common names."""
import os
import re
import subprocess

from harness import BUILD, GATEWAY_IP, Failed, die_with_parent

PROGRAM = os.path.join(BUILD, 'perf/blast')
LATENCIES = ('p50_us', 'p99_us', 'p999_us')


def last_cpu():
    return max(os.sched_getaffinity(0))


def parse(text):
    rows = (line.split() for line in text.splitlines())
    return {row[0]: float(row[1]) for row in rows if len(row) == 3 and row[1][0].isdigit()}


class Figures:
    """done, per_s, latencies by name, failed: of units (messages, connections), whatever blast calls them."""

    def __init__(self, units, got):
        if not got.get(units):
            raise Failed(f'nothing succeeded: {got}')
        self.done, self.per_s = got[units], got[f'{units}_per_s']
        self.latency = {name: got[name] for name in LATENCIES}
        self.reasons = {name: n for name, n in got.items() if n and re.match(r'failed_|refused_\dxx', name)}
        self.failed = got['failed'] + got.get('refused_4xx', 0) + (got.get('refused_5xx', 0) if units == 'messages' else 0)


def raw(words, sources):
    """One load over the kernel's TCP, on the last processor: what blast says, by name."""
    argv = [PROGRAM, '--kernel', '--to', f'{GATEWAY_IP}:25', '--from', sources, '--cpus', str(last_cpu()), *map(str, words)]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120,
                          preexec_fn=die_with_parent)
    if done.returncode not in (0, 1):  # 1: a connection failed
        raise Failed(f'{" ".join(argv[1:])}: status {done.returncode}: {done.stderr.strip()[-300:]}')
    return parse(done.stdout)


def kernel(units, words, sources):
    return Figures(units, raw(words, sources))
