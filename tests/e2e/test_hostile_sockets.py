#!/usr/bin/python3
# limit: 120
"""Slow and hostile clients of all sockets of this machine at once (control, telemetry, metrics) never slow a lane: mail goes on, no
lane ever waits for the kernel, and the gateway holds neither memory nor descriptors for them."""
import os
import subprocess
import sys
import threading

from gateway import SLUICECTL, Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

MESSAGES, CLIENTS, PORT = 80, 3, 9480
gw = far = None

# Sits on a socket in all bad ways and makes new connections without end, until its standard input ends. Tells how many it made.
HOSTILE = '''
import select, socket, sys
kind, where = sys.argv[1:]
family, how = (socket.AF_INET, socket.SOCK_STREAM) if kind == 'http' else \\
    (socket.AF_UNIX, socket.SOCK_SEQPACKET if kind == 'telemetry' else socket.SOCK_STREAM)
address = ('127.0.0.1', int(where)) if kind == 'http' else where
say = {'control': [b'', b'queue li', b'metrics\\n', b'connections --json\\n', b'log tail --json\\n', b'top\\n', b'\\xff' * 4000, b'x' * 100000],
       'telemetry': [b'', b'/', b'/sluice/smtp', b'/sluice/histograms', b'\\xff' * 4000, b'/help,/sluice/net', b'/sluice/'],
       'http': [b'', b'GET /met', b'GET /metrics HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' * 50, b'\\xff' * 4000, b'GET /metrics HTTP/1.1\\r\\nX: ' + b'y' * 9000]}[kind]
held, made = [], 0
while not select.select([sys.stdin], [], [], 0.001)[0]:
    s = socket.socket(family, how)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    s.setblocking(False)
    try:
        s.connect_ex(address)
        s.send(say[made % len(say)])
    except OSError:
        pass  # turned away, or no room
    held.append(s)
    made += 1
    if made == 100:
        print('sits', flush=True)
    if len(held) > 200:
        held.pop(0).close()
print(made, flush=True)
'''


def setup(lab):
    """One lane that never sleeps by itself: whatever it would wait for shows."""
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, gateway={'lanes': 1, 'idle': 'poll'}, relay={'networks': ['10.9.0.0/24']}).start()


def lane_status():
    """/proc's status of the lane's thread."""
    for task in os.listdir(f'/proc/{gw.process.pid}/task'):
        with open(f'/proc/{gw.process.pid}/task/{task}/status') as f:
            fields = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
        if fields['Name'].startswith('rte-worker'):
            return fields
    raise AssertionError('no lane')


def memory_kib():
    with open(f'/proc/{gw.process.pid}/status') as f:
        return int(next(line for line in f if line.startswith('VmRSS:')).split()[1])


def descriptors():
    return len(os.listdir(f'/proc/{gw.process.pid}/fd'))


def send(number, replies):
    with Client() as c:
        for n in range(MESSAGES):
            replies.append(c.deliver('s@client.example', [f'm{number}.{n}@example.org'], plain(n)).code)


def mail():
    """Over some connections at a time; all of it arrives."""
    before = len(far.messages)
    replies = []
    threads = [threading.Thread(target=send, args=(n, replies), daemon=True) for n in range(CLIENTS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(90)
    check_equal(replies, [250] * MESSAGES * CLIENTS, 'replies')
    wait_until(lambda: len(far.messages) - before == MESSAGES * CLIENTS, 60, 'all is delivered')


def waits_of(work):
    """How often the lane gave up its processor by itself meanwhile."""
    before = int(lane_status()['voluntary_ctxt_switches'])
    work()
    return int(lane_status()['voluntary_ctxt_switches']) - before


def test_all_sockets(lab):
    calm = waits_of(mail)
    metrics = lab.spawn(SLUICECTL, '-s', gw.socket, 'metrics', '--listen', f'127.0.0.1:{PORT}', stderr=subprocess.PIPE)
    check(b'metrics at' in metrics.stderr.readline(), 'metrics are served')
    held, fds = memory_kib(), descriptors()
    sockets = (('control', gw.socket), ('telemetry', os.path.join(gw.telemetry_dir(), 'dpdk_telemetry.v2')), ('http', str(PORT)))
    hostile = [subprocess.Popen([sys.executable, '-c', HOSTILE, kind, where], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
               for kind, where in sockets for _ in range(2)]
    made = []
    try:
        for child in hostile:
            check_equal(child.stdout.readline(), b'sits\n', 'a hostile client')
        beside = waits_of(mail)
        most_fds = descriptors()
        check(all(child.poll() is None for child in hostile), 'they were there all the time')
    finally:
        for child in hostile:
            child.stdin.close()
            made.append(int(child.stdout.readline() or 0))
            child.wait(timeout=30)
    check(min(made) > 200, f'connections of each: {made}')
    # A lane may wait for a lock of the kernel's device that it sends by: as often as in calm.
    check(beside <= calm + 5, f'the lane waited {beside} times, in calm {calm} times')
    check(most_fds <= fds + 64, f'{fds} descriptors before, {most_fds} beside them')
    wait_until(lambda: 'accepting yes' in gw.ctl('status'), 30, 'control answers')
    wait_until(lambda: memory_kib() <= held + 32768, 30, f'memory as before: {held} KiB')
    wait_until(lambda: descriptors() <= fds + 10, 30, f'as many descriptors as before: {fds}')  # DPDK's telemetry has 10 places
    check_equal(metrics.poll(), None, 'metrics are served')
    wait_until(lambda: gw.telemetry('/sluice/smtp')['messages'] == 2 * MESSAGES * CLIENTS, 30, 'telemetry answers')


if __name__ == '__main__':
    main(setup)
