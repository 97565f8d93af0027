#!/usr/bin/python3
# limit: 90
"""Row R10: a wall clock that is wrong at the start, jumps by a day, goes back, or goes past 2038, below a gateway that runs and
between two runs. Sessions go on, mail is taken and delivered, no time-out fires by it, and what waits is not given up."""
import os
import re
import struct
import time
from datetime import datetime, timezone

from gateway import Gateway
from harness import BUILD, Skip, check, check_equal, main, wait_until
from mail import Client, plain, split_received
from sinks import Scripted

SHIM = os.path.join(BUILD, 'tests/common/libwall_clock.so')
DAY = 86400
gw = far = clock = None
number = 0


def setup(lab):
    global gw, far, clock
    if not os.path.exists(SHIM):
        raise Skip(f'{SHIM} is not built')
    far = Scripted(lab)
    clock = lab.path('clock')
    gw = Gateway(lab, gateway={'stop_timeout': '3s'}, queue={'backoff_min': '1s', 'backoff_max': '1s', 'lifetime': '5d', 'warn_after': '0'},
                 **{'route_dead.example': {'host': '10.9.0.2:9'}, 'relay': {'domains': ['example.org', 'dead.example']}})


def offset(seconds):
    """The gateway's clock, by the machine's."""
    with open(clock, 'r+b' if os.path.exists(clock) else 'wb') as f:
        f.write(struct.pack('<q', int(seconds) * 10 ** 9))


def to(*when):
    offset(datetime(*when, tzinfo=timezone.utc).timestamp() - time.time())


def start():
    os.environ.update(LD_PRELOAD=SHIM, WALL_CLOCK=clock)
    try:
        gw.start()
    finally:
        del os.environ['LD_PRELOAD']


def passes(year, session=None, near=False):
    """A message goes through, with that year (near: or the next, it may be its last second) in its Received field, and a session
    from before goes on."""
    global number
    number += 1
    with Client() as c:
        check_equal(c.deliver('s@client.example', [f'm{number}@example.org'], plain(number)).code, 250, f'R10 {year}: taken')
    found = wait_until(lambda: far.to(f'm{number}@example.org'), 30, f'R10 {year}: delivered')
    check_equal(len(found), 1, f'R10 {year}: once')
    field, _ = split_received(found[0].content)
    check(any(f' {y} ' in field['date'].decode() for y in ((year, year + 1) if near else (year,))), f'R10 {year}: {field["date"]}')
    if session is not None:
        check_equal(session.command('NOOP').code, 250, f'R10 {year}: a session from before')


def waiting():
    """What waits for the dead next hop is there, and was given up by nobody."""
    wait_until(lambda: re.search(r'^messages 1$', gw.ctl('queue', 'stat'), re.M), 30, 'R10: what waits is there, and nothing else')
    check_equal((gw.counter('courier/failed'), far.to('s@client.example')), (0, []), 'R10: nothing is given up')


def test_wrong_at_the_start(lab):
    """R10: 1970, as without a battery; then it is set right, which is 56 years on."""
    to(1970, 1, 2)
    start()
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['waits@dead.example'], plain(0)).code, 250, 'taken')
    wait_until(lambda: 'deferred' in gw.log(), 30, 'a first attempt')
    passes(1970)
    session = Client()
    offset(0)
    passes(datetime.now(timezone.utc).year, session)
    waiting()


def test_jumps(lab):
    """R10: a day on and back, years back, over the ends of 31 and 32 bits, over a leap day."""
    session = Client()
    for when in ((1970, 1, 1, 0, 0, 1), (2000, 2, 28, 23, 59, 59), (2024, 2, 29, 23, 59, 59), (2038, 1, 19, 3, 14, 6), (2038, 1, 20),
                 (2106, 2, 7, 6, 28, 14), (2199, 12, 31)):
        to(*when)
        mark = gw.counter('courier/deferred')
        passes(when[0], session, near=True)
        wait_until(lambda: gw.counter('courier/deferred') > mark, 30, f'R10 {when}: the next attempt comes by running time')
        waiting()
    for days in (1, -1, 0):
        offset(days * DAY)
        passes(datetime.fromtimestamp(time.time() + days * DAY, timezone.utc).year, session)
        waiting()
    session.close()


def test_between_two_runs(lab):
    """R10: the clock is ten years on at the next start, then in 1970: what waits is as old as it has run, and half of its life at most."""
    for seconds in (3650 * DAY, 86400 - time.time(), 0):
        check_equal(gw.stop(), 0, 'exit status')
        offset(seconds)
        start()
        mark = gw.counter('courier/deferred')
        wait_until(lambda: gw.counter('courier/deferred') > mark, 30, 'R10: tried again after the start')
        waiting()


if __name__ == '__main__':
    main(setup)
