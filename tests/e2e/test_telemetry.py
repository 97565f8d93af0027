#!/usr/bin/python3
# limit: 90
"""DPDK's telemetry socket as dpdk-telemetry.py sees it: names, sums, threads, and who may read it."""
import grp
import json
import os
import re
import socket
import stat
import subprocess

from gateway import SLUICED, Gateway
from harness import SOURCE, check, check_equal, die_with_parent, find_program, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

MESSAGES = 7
ENTRY_MAX = 256  # of DPDK 22.11, in one answer
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, telemetry={'group': 'adm'}, gateway={'lanes': 4, 'memory': '512M'}, tcp={'packet_buffers': 4096}).start()
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


def test_listeners(lab):
    """Each counter behind its listener's name, or those of one."""
    found = ask('/sluice/listeners')['/sluice/listeners']
    check_equal((found['mx_messages'], found['mx_refused'], found['mx_tls']), (MESSAGES, 0, 0), 'of mx')
    check_equal(gw.telemetry('/sluice/listeners,mx'), {k.removeprefix('mx_'): v for k, v in found.items() if k.startswith('mx_')}, 'of one')
    check(gw.telemetry('/sluice/listeners,x') is None, 'a listener that is not there')


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


def poll(commands):
    """As telegraf's input dpdk does: one connection of SOCK_SEQPACKET, the greeting with max_output_len, each command in
    one message, each answer in one; then values that are objects are made flat, and only numbers are taken."""
    fields = {}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.settimeout(10)
        s.connect(os.path.join(gw.telemetry_dir(), 'dpdk_telemetry.v2'))
        greeting = json.loads(s.recv(1024))
        check_equal(greeting['pid'], gw.process.pid, 'pid')
        for command in commands:
            check(len(command) <= 56 and command.startswith('/'), f'{command}: longer than a command may be')
            s.send(command.encode())
            answer = s.recv(greeting['max_output_len'])
            check(len(answer) < greeting['max_output_len'], f'{command}: {len(answer)} bytes')
            (name, values), = json.loads(answer).items()
            check_equal(name, command.split(',')[0], 'the command in the answer')
            check(isinstance(values, dict) and 0 < len(values) <= ENTRY_MAX, f'{command}: {values}')
            for key, value in values.items():
                check(isinstance(value, int) and not isinstance(value, bool), f'{command}: {key} is {value!r}')
                fields[command + ' ' + key] = value
    return fields


def test_telegraf_style(lab):
    """Every command, of all threads and of one, and each histogram, flat numbers all."""
    commands = [c for c in ask('/')['/'] if c.startswith('/sluice/')]
    check_equal(len(commands), len(set(commands)), 'a command is there once')
    check(len(commands) < 40, f'{len(commands)} commands: DPDK takes 64 in all, its own among them')
    names = sorted(n.removesuffix('_count') for n in gw.telemetry('/sluice/histograms') if n.endswith('_count'))
    check(len(names) >= 8, f'histograms: {names}')
    plain_ones = ('/sluice/threads', '/sluice/memory', '/sluice/histograms', '/sluice/listeners')
    fields = poll(commands + [f'{c},0' for c in commands if c not in plain_ones] + [f'/sluice/histograms,{n}' for n in names])
    check_equal(fields['/sluice/smtp messages'], MESSAGES, 'smtp/messages')
    check_equal(fields['/sluice/histograms conn_store_time_count'], MESSAGES, 'times of acknowledged messages')
    for n in names:
        counts = [v for k, v in fields.items() if k.startswith(f'/sluice/histograms,{n} ') and not k.endswith(' sum')]
        check_equal(sum(counts), fields[f'/sluice/histograms {n}_count'], f'{n}: counts and their number')
    got = ask(*[f'/sluice/histograms,{n}' for n in names])['/sluice/histograms']
    check('sum' in got and 'above' in got, f'dpdk-telemetry.py reads {got}')
    check(gw.telemetry('/sluice/histograms,x') is None, 'a histogram that is not there')


def test_room(lab):
    """With the most threads there may be and counters of 20 digits each answer still fits: 16 KiB, 256 entries."""
    with open(os.path.join(SOURCE, 'lib/stats/stats_table.h')) as f:
        text = f.read()
    groups = {'threads': [f'lane{i}' for i in range(64)] + [f'spooler_{"x" * 64}{i}' for i in range(16)] +
              [f'keyop{i}' for i in range(64)] + ['courier', 'control', 'host', 'resolver', 'auth', 'stream', 'log']}
    for group, name in re.findall(r'^STATS\(\w+,\s*"(\w+)",\s*"(\w+)"', text, re.M):
        groups.setdefault(group, []).append(name)
    histograms = re.findall(r'^STATS_HISTOGRAM\(\w+,\s*"(\w+)",\s*"(\w+)".*, (\d+)\)$', text, re.M)
    groups['histograms'] = [f'{g}_{n}_{what}' for g, n, _ in histograms for what in ('count', 'sum')]
    check(len(histograms) >= 8 and len(groups) > 20, 'the table is read')
    for group, names in groups.items():
        size = sum(len(name) + len('"":,') + 20 for name in names) + len(group) + 20
        check(len(names) <= ENTRY_MAX and size < 16384, f'/sluice/{group}: {len(names)} entries, {size} bytes')
        check(all(re.fullmatch(r'[A-Za-z0-9_/]+', name) for name in names), f'{group}: names')


def test_threads_add_up(lab):
    threads = gw.telemetry('/sluice/threads')
    for want in ('lane0', 'lane1', 'spooler', 'courier', 'control'):
        check(want in threads, f'{want} is not among {threads}')
    lanes = [gw.counter('smtp/messages', n) for name, n in threads.items()]
    check_equal(sum(lanes), gw.counter('smtp/messages'), 'sum over threads')


def test_cycles_add_up(lab):
    """Of each lane: its busy cycles are those of its parts, to the last; those that had work to do have some."""
    parts = [f'cycles_{p}' for p in ('rx', 'net_tcp', 'conn', 'tls', 'rings', 'timers', 'tx')]
    threads = gw.telemetry('/sluice/threads')
    for lane in range(4):
        wait_until(lambda n=threads[f'lane{lane}']: (now := gw.telemetry(f'/sluice/lane,{n}'))['cycles_busy'] == sum(now[p] for p in parts),
                   30, f'the parts of lane {lane} make its busy cycles')
    total = gw.telemetry('/sluice/lane')
    for part in ('cycles_rx', 'cycles_net_tcp', 'cycles_conn', 'cycles_rings', 'cycles_tx'):
        check(0 < total[part] < total['cycles_busy'], f'{part}: {total}')


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
    check('lanes 4' in gw.ctl('status'), 'status works without it')


if __name__ == '__main__':
    main(setup)
