#!/usr/bin/python3
# limit: 60
"""The next hop of the benchmarks behind a gateway, before which the generator is: the ledgers of both say that nothing is lost,
doubled or damaged, and they say so when something is."""
import os
import subprocess

import blast
from gateway import Gateway
from harness import BUILD, HOST_IP, check, check_equal, main, run, wait_until
from sink import SINK, Sink

MESSAGES, EACH, PORT = 300, 50, 2525
gw = far = None
runs = 0


def setup(lab):
    global gw, far
    gw = Gateway(lab, queue={'backoff_min': '1s', 'backoff_max': '1s'}, delivery={'tls': 'may'}).start()
    far = blast.Blast(lab, gw, kernel=True)


def relayed(lab, *args):
    """A load through the gateway to a sink; what the ledgers say, and the sink's counts."""
    global runs
    runs += 1
    sent, seen = lab.path(f'sent{runs}'), lab.path(f'seen{runs}')
    sink = Sink(lab, '--kernel', '--listen', f'{HOST_IP}:{PORT}', '--ledger', seen, '--messages', MESSAGES, *args)
    got = far.run('smtp', '--connections', 8, '--per-connection', 20, '--messages', MESSAGES, '--size', 4096, '--ledger', sent, '--time', 30)
    check_equal(got['messages'], MESSAGES, 'messages that were accepted')
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 30, 'an empty queue')
    counts = sink.counts()
    sink.stop()
    out = subprocess.run([os.path.join(BUILD, 'perf/ledger'), sent, seen], capture_output=True, text=True)
    told = {name: int(value) for name, value in (line.split() for line in out.stdout.splitlines())}
    check_equal(told['acked'], MESSAGES, out.stderr)
    return told, counts, out.returncode


def test_all_is_whole(lab):
    """In clear and by TLS, with a reply that takes its time."""
    for args in ((), ('--tls', '--delay', 0.01)):
        told, counts, status = relayed(lab, *args)
        check_equal((told['lost'], told['doubled'], told['damaged'], status), (0, 0, 0, 0), args)
        check_equal((counts['messages'], counts['unnamed'], counts['strange']), (MESSAGES, 0, 0), counts)
        check((counts['tls'] > 0) == ('--tls' in args), counts)


def test_refused_comes_again(lab):
    told, counts, status = relayed(lab, '--reject', 10)
    check(counts['rejected'] >= MESSAGES // 10, counts)
    check_equal((told['lost'], told['doubled'], status), (0, 0, 0), told)


def test_lost_is_found(lab):
    told, _, status = relayed(lab, '--fault', f'lose:{EACH}')
    check_equal((told['lost'], told['damaged'], status), (MESSAGES // EACH, 0, 1), told)


def test_damaged_is_found(lab):
    told, counts, status = relayed(lab, '--fault', f'alter:{EACH}')
    check_equal((told['lost'], told['damaged'], status), (0, MESSAGES // EACH, 1), told)
    check_equal(counts['damaged'], MESSAGES // EACH, counts)


def test_doubled_is_found(lab):
    """Its connection ends behind the message, before the reply: the gateway sends it again, and each hundredth of these."""
    told, _, _ = relayed(lab, '--fault', 'cut:100')
    check_equal((told['lost'], told['damaged']), (0, 0), told)
    check(told['doubled'] >= 2, told)


def test_options(lab):
    """What is wrong with them is said."""
    for args, why in ((('--listen', '127.0.0.1:25'), '--kernel or --port'), (('--kernel',), '--listen'),
                      (('--kernel', '--listen', '127.0.0.1:25', '--fault', 'eat:3'), '--fault'),
                      (('--kernel', '--listen', '127.0.0.1:65535', '--ports', '2'), '--ports'), (('--kernle',), 'no such option')):
        done = subprocess.run([SINK, *args], capture_output=True, text=True)
        check(done.returncode == 2 and why in done.stderr, f'{args}: {done.stderr}')
    check('--ledger' in run(SINK, '--help'), 'help')


if __name__ == '__main__':
    main(setup)
