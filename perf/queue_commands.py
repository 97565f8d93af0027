"""An operator's commands on a queue of 100,000 messages: case queue of perf/run. How, and what the figures
are: perf/README.md."""
import os
import subprocess
import time

from harness import BUILD, Failed, check_equal, wait_until

MESSAGES, BYTES, SEGMENT = 100000, 600, 64 << 20


def timed(gw, *words):
    """Seconds that a command of sluicectl takes, and its output as bytes. The output goes into a file, as
    with a shell."""
    from gateway import SLUICECTL
    path = os.path.join(gw.dir, 'answer')
    with open(path, 'wb') as out:
        start = time.perf_counter()
        done = subprocess.run([SLUICECTL, '-s', gw.socket, *words], stdin=subprocess.DEVNULL, stdout=out,
                              stderr=subprocess.PIPE, timeout=120)
        seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise Failed(f'{words}: {done.stderr[-300:]}')
    with open(path, 'rb') as f:
        return seconds, f.read()


def queue_commands(lab, add, messages=MESSAGES):
    """add(metric, value, unit) for each figure. Needs 1 GiB of disk; the queue is written by spool_fill."""
    from gateway import Gateway
    gw = Gateway(lab, name='queue', spool={'size': '1G', 'segment_size': '64M'},
                 queue={'backoff_min': '1h', 'backoff_max': '2h'})
    spool = gw.blocks['spool']['path']
    done = subprocess.run([os.path.join(BUILD, 'perf/spool_fill'), spool, str(messages), str(BYTES), str(SEGMENT)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if done.returncode != 0:
        raise Failed(f'spool_fill: {done.stdout.decode(errors="replace")[-300:]}')
    gw.start()
    wait_until(lambda: f'messages {messages}\n' in gw.ctl('queue', 'stat'), 120, 'the whole queue')
    time.sleep(1)  # what a start leaves behind
    for name, words in (('list', ['queue', 'list']), ('list_json', ['queue', 'list', '--json'])):
        seconds, text = timed(gw, *words)
        check_equal(text.count(b'"id":' if 'json' in name else b' from=<'), messages, 'messages listed')
        add(f'{name}_{messages}_s', seconds, 's')
    for name in ('hold', 'delete'):
        seconds, text = timed(gw, 'queue', name, '--all')
        check_equal(text.split()[1], str(messages).encode(), f'messages of {name}')
        add(f'{name}_{messages}_s', seconds, 's')
    check_equal(gw.ctl('queue', 'stat').split()[1], '0', 'messages left')
    add('log_dropped', gw.counter('log/dropped'), 'records')
    gw.stop()
