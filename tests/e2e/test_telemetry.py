#!/usr/bin/python3
# limit: 90
"""DPDK's telemetry socket as dpdk-telemetry.py sees it: names, sums, threads, and who may read it."""
import grp
import json
import os
import re
import stat
import subprocess

from gateway import SLUICED, Gateway
from harness import check, check_equal, die_with_parent, find_program, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

MESSAGES = 7
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, telemetry={'group': 'adm'}, gateway={'lanes': 2}).start()
    with Client() as c:
        for i in range(MESSAGES):
            check_equal(c.deliver('s@client.example', [f'm{i}@example.org'], plain(i)).code, 250, 'message')
    far.wait(MESSAGES)
    wait_until(lambda: gw.counter('courier/delivered') == MESSAGES, 30, 'deliveries counted')


def ask(*commands, user=None):
    """What Debian's dpdk-telemetry.py prints for the commands, as one dictionary."""
    args = [find_program('dpdk-telemetry.py', 'package dpdk-dev'), '-f', gw.prefix]
    if user:
        args = ['setpriv', '--reuid=nobody', '--regid=nogroup', *user, 'env', 'RUNTIME_DIRECTORY=/var/run'] + args
    done = subprocess.run(args, input='\n'.join(commands + ('quit',)).encode() + b'\n', timeout=30,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=die_with_parent)
    found = {}
    for line in done.stdout.decode().splitlines():
        start = line.find('{"/')
        if start >= 0:
            found.update(json.loads(line[start:]))
    return found


def test_dpdk_telemetry_reads_counters(lab):
    got = ask('/sluice/smtp', '/sluice/courier', '/sluice/net', '/sluice/tcp', '/sluice/spool')
    check_equal(got['/sluice/smtp']['messages'], MESSAGES, 'smtp/messages')
    check_equal(got['/sluice/courier']['delivered'], MESSAGES, 'courier/delivered')
    check_equal(got['/sluice/spool']['committed'], MESSAGES, 'spool/committed')
    check(got['/sluice/net']['rx_packets'] > 0 and got['/sluice/tcp']['rx_segments'] > 0, 'packets are counted')


def test_names(lab):
    """All that we add is listed under /sluice/ and named in letters, digits, _ and /."""
    commands = [c for c in ask('/')['/'] if c.startswith('/sluice/')]
    for want in ('threads', 'memory', 'net', 'tcp', 'smtp', 'smtp_client', 'spool', 'queue', 'courier', 'lane', 'log'):
        check(f'/sluice/{want}' in commands, f'/sluice/{want} is not among {commands}')
    answers = ask(*commands)
    check_equal(set(commands) ^ set(answers), set(), "commands without an answer, answers without a command")
    for command, values in answers.items():
        for name, value in values.items():
            check(re.fullmatch(r'[A-Za-z0-9_/]+', name), f'{command}: name {name!r}')
            check(isinstance(value, int), f'{command}: {name} is {value!r}')


def test_threads_add_up(lab):
    threads = gw.telemetry('/sluice/threads')
    for want in ('lane0', 'lane1', 'spooler', 'courier', 'control'):
        check(want in threads, f'{want} is not among {threads}')
    lanes = [gw.counter('smtp/messages', n) for name, n in threads.items()]
    check_equal(sum(lanes), gw.counter('smtp/messages'), 'sum over threads')


def test_memory(lab):
    memory = gw.telemetry('/sluice/memory')
    with open(SLUICED, 'rb') as f:
        sanitizer = b'__asan_init' in f.read()  # brings an allocator of its own
    check(sanitizer or any(n.startswith('jemalloc/') for n in memory), f'jemalloc shows: {sorted(memory)}')
    pools = [n[:-5] for n in memory if n.endswith('/size')]
    check(pools, f'packet pools show: {sorted(memory)}')
    for pool in pools:
        check(memory[pool + '/free'] <= memory[pool + '/size'], f'pool {pool}')


def test_wrong_parameters(lab):
    check(gw.telemetry('/sluice/smtp,999') is None, 'a thread that is not there')
    check(gw.telemetry('/sluice/smtp,x') is None, 'a parameter that is no number')
    check(gw.alive(), 'the gateway runs')


def test_rights(lab):
    """The named group reads; others do not get past the directory."""
    leaf = gw.telemetry_dir()
    adm = grp.getgrnam('adm').gr_gid
    for path, mode in ((leaf, 0o750), (leaf + '/dpdk_telemetry.v2', 0o660)):
        st = os.stat(path)
        check_equal((oct(stat.S_IMODE(st.st_mode)), st.st_gid), (oct(mode), adm), f'mode and group of {path}')
    check_equal(ask('/sluice/smtp', user=['--groups', 'adm']).get('/sluice/smtp', {}).get('messages'), MESSAGES,
                'as a member of the group')
    check_equal(ask('/sluice/smtp', user=['--clear-groups']), {}, 'as nobody')


def test_switched_off(lab):
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(telemetry={'enabled': False, 'group': None})
    gw.start()
    check(not os.path.exists(gw.telemetry_dir() + '/dpdk_telemetry.v2'), 'no socket when it is off')
    check('lanes 2' in gw.ctl('status'), 'status works without it')


if __name__ == '__main__':
    main(setup)
