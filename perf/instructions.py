#!/usr/bin/python3
"""
Instructions that the work of one message, connection or handshake takes, under valgrind's callgrind, beside the table
perf/instructions.txt. They do not depend on what else the machine does: the same build counts the same within 0.1 %.

usage: perf/instructions.py [--update] [CASE...]

Needs the programs of SLUICE_BUILD (build/gcc; the table is that of its flags), valgrind, and a processor with AVX2: valgrind has
no wider vectors, so what AVX-512 would do is done by the code for AVX2.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get('SLUICE_BUILD', os.path.join(SOURCE, 'build/gcc'))
TABLE = os.path.join(SOURCE, 'perf/instructions.txt')
WORSE, BETTER = 0.03, 0.05  # of the table's figure
SIM_WORSE = 0.15  # what a seed does changes with what is drawn before it

TLS = ('server_open', 'server_pass', 'server_close')
# Name, unit, functions whose instructions count (none: all), units done, program and its arguments.
CASES = [
    ('log_message', 'message', ['counted_message'], 2000, ['perf/bench_log', 'count', '2000']),
    ('smtp_transaction_4k', 'message', ['counted_mail'], 200, ['perf/bench_smtp', 'count', 'avx2', '200']),
    ('smtp_transaction_4k_scalar', 'message', ['counted_mail'], 200, ['perf/bench_smtp', 'count', 'scalar', '200']),
    ('tcp_connect', 'connection', ['counted_server'], None, ['perf/bench_tcp', 'connect', '0', '1000']),
    ('tcp_pingpong', 'ping-pong', ['counted_server'], None, ['perf/bench_tcp', 'pingpong', '0', '5000']),
    ('tcp_receive', 'byte', ['counted_server'], None, ['perf/bench_tcp', 'receive', '0', '10000000']),
    ('tcp_send', 'byte', ['counted_server'], None, ['perf/bench_tcp', 'send', '0', '10000000']),
    ('tls_handshake', 'handshake', TLS, 64, ['perf/bench_tls', 'count', 'ours', '64']),
    ('tls_handshake_openssl', 'handshake', TLS, 64, ['perf/bench_tls', 'count', 'plain', '64']),
    ('gateway', 'seed', [], 3, ['tests/sim/sim_gateway', '3', '1']),
]
# Name, the two cases; may not fall.
RATIOS = [
    ('ratio_openssl_to_tls_handshake', 'tls_handshake_openssl', 'tls_handshake'),
    ('ratio_scalar_to_smtp_transaction_4k', 'smtp_transaction_4k_scalar', 'smtp_transaction_4k'),
]
REFERENCE = ('tls_handshake_openssl', 'smtp_transaction_4k_scalar')  # what ours is compared with, is not ours to hold


class Failed(Exception):
    pass


def missing():
    """Why nothing can be counted here, or None."""
    if shutil.which('valgrind') is None:
        return 'no valgrind: apt-get install valgrind'
    with open('/proc/cpuinfo', encoding='ascii', errors='replace') as f:
        if not re.search(r'\bavx2\b', f.read()):
            return 'this processor has no AVX2, which the table is for'
    return None


def count(case):
    """Instructions for each unit."""
    name, _, functions, done, command = case
    program = os.path.join(BUILD, command[0])
    if not os.path.exists(program):
        raise Failed(f'{name}: no {program}: ninja -C {BUILD} {command[0]}')
    with tempfile.TemporaryDirectory() as folder:
        run = subprocess.run(['valgrind', '--tool=callgrind', f'--callgrind-out-file={folder}/out',
                              *(f'--toggle-collect={f}' for f in functions), program, *command[1:]],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600, check=False)
    text = run.stdout.decode(errors='replace')
    found = re.search(r'Collected : (\d+)', text)
    if run.returncode != 0 or found is None or int(found.group(1)) == 0:
        raise Failed(f'{name}: {" ".join(command)}: status {run.returncode}: {text[-500:]}')
    if done is None:
        done = int(re.search(r'^done (\d+)$', text, re.M).group(1))
    return int(found.group(1)) / done


def read_table():
    """Figure by name."""
    with open(TABLE, encoding='ascii') as f:
        rows = [line.split() for line in f if line.strip() and not line.startswith('#')]
    return {row[0]: float(row[1]) for row in rows}


def write_table(figures):
    units = {case[0]: f'instructions a {case[1]}' for case in CASES}
    with open(TABLE, encoding='ascii') as f:
        head = [line for line in f if line.startswith('#')]
    with open(TABLE, 'w', encoding='ascii') as f:
        f.writelines(head)
        for name, value in figures.items():
            f.write(f'{name:40} {value:14.4f} {units.get(name, "x")}\n')


def judge(name, value, table):
    """Whether it holds, and a sentence."""
    if name not in table:
        return False, f'{name}: {value:.4f}, not in the table: perf/instructions.py --update'
    change = value / table[name] - 1
    said = f'{name}: {value:.4f}, table {table[name]:.4f}, {100 * change:+.2f} %'
    cost = -change if name.startswith('ratio_') else change
    worse = SIM_WORSE if name == 'gateway' else WORSE
    if name in REFERENCE:
        return True, said
    if cost > worse:
        return False, f'{said}: worse by more than {100 * worse:.0f} %; where that has its reason, perf/instructions.py --update'
    if cost < -BETTER:
        said += ': better; perf/instructions.py --update keeps it so'
    return True, said


def figures_of(names):
    """Each figure as it is known."""
    found = {}
    for case in CASES:
        if not names or case[0] in names:
            found[case[0]] = count(case)
            yield case[0], found[case[0]]
    for name, above, below in RATIOS:
        if above in found and below in found:
            yield name, found[above] / found[below]


def main():
    update = '--update' in sys.argv[1:]
    names = [a for a in sys.argv[1:] if a != '--update']
    unknown = set(names) - {case[0] for case in CASES}
    if unknown or any(n.startswith('-') for n in names):
        sys.exit(f'{__doc__.strip()}\n\ncases: {" ".join(case[0] for case in CASES)}')
    why = missing()
    if why:
        sys.exit(f'perf/instructions.py: {why}')
    table, ok = read_table(), True
    for name, value in figures_of(names):
        holds, said = judge(name, value, table)
        print(said, flush=True)
        ok &= holds
        if update:
            table[name] = value
    if update:
        write_table(table)
    sys.exit(0 if ok or update else 1)


if __name__ == '__main__':
    try:
        main()
    except Failed as e:
        sys.exit(f'perf/instructions.py: {e}')
