#!/usr/bin/python3
# limit: 90
# alone: it looks at what an idle gateway does
"""Policy adaptive: lanes of a gateway without work sleep, wake for the first packet, and sleep again; with poll they
never do. Where the port cannot wake it a lane naps. How much that saves and how fast it wakes: perf/run idle."""
import time

import blast
from gateway import Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, gateway={'idle': 'adaptive', 'lanes': 2}).start()


def sleeps(thread):
    return gw.counter('lane/sleeps', thread)


def test_lanes_sleep(lab):
    for lane in gw.lanes():
        before = sleeps(lane)
        wait_until(lambda: sleeps(lane) > before, 30, f'lane {lane} sleeps')


def test_passes_stop(lab):
    """A sleeping lane does not go round: over two seconds it makes few passes, where a spinning one makes a
    million."""
    before, start = gw.counter('lane/passes_idle'), gw.cpu_seconds()
    time.sleep(2)
    passes = gw.counter('lane/passes_idle') - before
    print(f'# {passes} idle passes and {(gw.cpu_seconds() - start) / 2:.1%} of a core in 2 s', flush=True)
    check(passes < 100000, f'{passes} passes in 2 s of nothing to do')


def test_wakes_for_mail(lab):
    for number in range(5):
        time.sleep(0.3)
        with Client() as c:
            check_equal(c.deliver('s@client.example', ['a@example.org'], plain(number)).code, 250, 'message')
        far.wait(number + 1)


def test_sleeps_again(lab):
    test_lanes_sleep(lab)
    gw.ctl('status')
    check_equal(gw.stop(), 0, 'exit status')


def test_poll_never_sleeps(lab):
    gw.change(gateway={'idle': 'poll', 'lanes': 1})
    gw.start()
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['poll@example.org'], plain(9)).code, 250, 'message')
    wait_until(lambda: far.to('poll@example.org'), 30, 'message')
    check_equal([sleeps(n) for n in gw.lanes()], [0], 'sleeps of a polling lane')
    check_equal(gw.stop(), 0, 'exit status')


def test_naps_beside_a_port_that_wakes_nobody(lab):
    """Shared memory has nothing to wait on: the lane looks at it now and then, and takes what has come meanwhile."""
    near = blast.start(lab, name='naps', gateway={'idle': 'adaptive', 'memory': '512M'})
    client = blast.Blast(lab, near)
    for _ in range(3):
        before = near.counter('lane/sleeps')
        wait_until(lambda: near.counter('lane/sleeps') > before + 5, 30, 'the lane naps')
        got = client.run('connect', '--connections', 1, '--messages', 50)
        check_equal((got['connections'], got['failed']), (50, 0), 'connections')
    client.stop()


if __name__ == '__main__':
    main(setup)
