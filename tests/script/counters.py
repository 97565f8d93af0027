#!/usr/bin/python3
"""Every counter of /sluice/net and /sluice/tcp can move: runs the given programs and tells the rows that none of them has
moved (tests/common/counted.h). Gauges, which a lane sets in each pass, are no part of it.

    counters.py SOURCE SCRIPT-RUNNER PROGRAM..."""
import os
import re
import subprocess
import sys
import tempfile

GROUPS = ('net', 'tcp')


def rows(source):
    with open(os.path.join(source, 'lib/stats/stats_table.h'), encoding='utf-8') as f:
        found = re.findall(r'^STATS\(\w+,\s*"(\w+)",\s*"(\w+)",\s*"([^"]*)"', f.read(), re.MULTILINE)
    return [f'{group}/{name}' for group, name, unit in found if group in GROUPS and not unit.endswith('now')]


def run(command, directory):
    done = subprocess.run(command, env=dict(os.environ, SLUICE_COUNTED=directory), stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        sys.stdout.write(done.stdout.decode(errors='replace')[-2000:])
        sys.exit(f'{command[0]}: status {done.returncode}')


def main():
    source, runner, programs = sys.argv[1], sys.argv[2], sys.argv[3:]
    folder = os.path.join(source, 'tests/script')
    scripts = sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith('.pkt') and n != 'common.pkt')
    moved = set()
    with tempfile.TemporaryDirectory(prefix='sluice-counted-') as directory:
        for command in [[runner] + scripts] + [[p] for p in programs]:
            run(command, directory)
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), encoding='utf-8') as f:
                moved.update(f.read().split())
    wanted = rows(source)
    if len(wanted) < 100 or not moved:
        sys.exit(f'{len(wanted)} counters and {len(moved)} moved: this looks at the wrong place')
    still = [row for row in wanted if row not in moved]
    for row in still:
        print(f'no test moves {row}')
    print(f'{len(wanted) - len(still)} of {len(wanted)} counters moved')
    sys.exit(1 if still else 0)


main()
