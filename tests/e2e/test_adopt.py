#!/usr/bin/python3
# limit: 120
"""Another gateway's spool is taken over (sluicectl spool adopt): with crashes at its end, between the command and the
start, after the start and in the middle of the deliveries."""
import fcntl
import json
import os
import re
import shutil

from gateway import Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

CNT = 40
settings = {'queue': {'backoff_min': '1h', 'backoff_max': '1h'}}


def setup(lab):
    global old, new, far
    far = Scripted(lab, mode='rcpt')
    old, new = Gateway(lab, name='old', **settings), Gateway(lab, name='new', **settings)


def spools(gw):
    return {s['name']: s for s in json.loads(gw.ctl('status', '--json'))['spools']}


def queue(gw):
    """Recipients in the queue with the ids of their messages."""
    return {r['to']: m['id'] for m in map(json.loads, gw.ctl('queue', 'list', '--json').splitlines()) if 'id' in m
            for r in m['recipients']}


def fill(gw, recipients):
    with Client() as c:
        for n, to in enumerate(recipients):
            check_equal(c.deliver('s@client.example', [to], plain(n)).code, 250, to)
    wait_until(lambda: gw.ctl('queue', 'stat').count('deferred') > 0 and
               json.loads(gw.ctl('queue', 'stat', '--json').splitlines()[0])['deferred'] >= len(recipients), 60, 'first attempts')


def arrived():
    return [to for m in list(far.messages) for to in m.recipients]


def crash(gw):
    gw.kill()
    return gw.start()


def refused(where, words, status=1):
    """adopt says why, and what to do; nothing is written."""
    text = new.ctl('spool', 'adopt', where, ok=(status,))
    check(words in text, f'{where}: {text!r}, not {words!r}')
    check(not os.path.exists(os.path.join(new.dir, 'state', 'adopted.conf')), 'adopted.conf is there')


def test_refusals(lab):
    new.start()
    fill(new, ['temp-own@example.org'])
    own = new.spools()[0]['path']
    same, empty, damaged, plain_one = (lab.path(name) for name in ('same', 'empty', 'damaged', 'plain'))
    new.stop()
    shutil.copytree(own, same)
    new.start()
    refused(same, "have the number of this gateway's spool main")
    third = Gateway(lab, name='third')
    new.stop()  # two at a time want the same interface
    third.start()
    third.stop()
    shutil.copytree(third.spools()[0]['path'], empty)
    third.start()
    with Client() as c:
        for n in range(3):
            check_equal(c.deliver('s@client.example', [f'temp-{n}@example.org'], plain(n)).code, 250, 'mail')
    busy = third.spools()[0]['path']
    text = third.ctl('spool', 'adopt', busy, ok=(1,))
    check('spool main already' in text, f'its own, while it runs: {text!r}')
    third.kill()
    shutil.copytree(busy, damaged)
    name = min(n for n in os.listdir(os.path.join(damaged, 'seg')))
    with open(os.path.join(damaged, 'seg', name), 'r+b') as f:
        data = f.read(1 << 20)
        f.seek(data.index(b's@client.example'))
        f.write(b'S')
    new.start()
    refused(empty, 'nothing is queued there')
    refused(damaged, 'is damaged, nothing was changed: ')
    os.mkdir(plain_one)
    refused(plain_one, plain_one, status=3)
    refused('/etc/passwd', 'Not a directory', status=3)
    lock = open(os.path.join(busy, 'lock'), 'r+b')
    fcntl.flock(lock, fcntl.LOCK_EX)
    refused(busy, 'use', status=3)
    lock.close()
    for gw in (new, third):
        gw.kill()
        for spool in gw.spools():
            shutil.rmtree(spool['path'])
    far.messages.clear()
    new.change()


def test_adopt(lab):
    theirs = [f'temp-{n}@example.org' for n in range(CNT)]
    ours = [f'temp-own-{n}@example.org' for n in range(5)]
    held = 'temp-held@example.org'
    old.start()
    fill(old, theirs + [held])
    ids = queue(old)
    old.ctl('queue', 'hold', ids[held])
    number = spools(old)['main']['number']
    old.kill()

    new.start()
    while spools(new)['main']['number'] == number:  # one in 256
        new.stop()
        shutil.rmtree(new.spools()[0]['path'])
        new.change()
        new.start()
    fill(new, ours)
    before = queue(new)
    where = old.spools()[0]['path']
    check('spool main already' in new.ctl('spool', 'adopt', new.spools()[0]['path'], ok=(1,)), 'its own')
    check('No such file' in new.ctl('spool', 'adopt', where + 'x', ok=(3,)), 'none')
    check(re.match(rf'{CNT + 1} messages of ', new.ctl('spool', 'adopt', where)), 'adopted')
    check('restart it first' in new.ctl('spool', 'adopt', where, ok=(1,)), 'twice')
    check_equal(queue(new), before, 'until the start nothing changes')
    check('needs a restart' in new.ctl('reload'), 'a reload says what it takes')

    crash(new)
    crash(new)
    check_equal(queue(new), {**before, **ids}, 'all are there, with their ids')
    state = spools(new)
    check_equal([(s, state[s]['accepting'], state[s]['messages']) for s in sorted(state)],
                [('adopted1', False, CNT + 1), ('main', True, len(ours))], 'spools')
    check('needs a restart' not in new.ctl('reload'), 'nothing waits for a restart')
    check('spool adopted1 already' in new.ctl('spool', 'adopt', where, ok=(1,)), 'once more')
    with Client() as c:
        for n in range(10):
            c.deliver('s@client.example', [f'temp-new-{n}@example.org'], plain(n))
    ours += [f'temp-new-{n}@example.org' for n in range(10)]
    wait_until(lambda: spools(new)['main']['messages'] == len(ours), 30, 'new mail lies in the own spool')
    check_equal(spools(new)['adopted1']['messages'], CNT + 1, 'not in the adopted one')

    check_equal(arrived(), [], 'nothing was delivered yet')
    far.mode = 'ok'
    new.ctl('queue', 'flush', '--domain', 'example.org')
    wait_until(lambda: len(arrived()) >= 3, 30, 'deliveries')
    crash(new)
    new.ctl('queue', 'flush')
    wait_until(lambda: list(queue(new)) == [held], 60, 'all but the held one are delivered')
    came = arrived()
    check_equal(set(came), set(theirs + ours), 'who has got mail')
    # Only what was under way at the crash may come twice: its outcome was not on the disk yet.
    check(len(came) <= 2 * len(theirs + ours), f'{len(came)} deliveries')
    new.ctl('queue', 'release', ids[held])
    new.ctl('queue', 'flush')
    wait_until(lambda: held in arrived(), 30, 'the held one')
    wait_until(lambda: spools(new)['adopted1']['messages'] == 0, 30, 'the adopted spool is empty')
    check_equal(arrived().count(held), 1, 'once')
    check_equal(new.stop(), 0, 'status')


def test_adopted_and_missing(lab):
    """A directory that is not there is missed, not begun anew."""
    where = old.spools()[0]['path']
    os.rename(where, where + '.away')
    before = new.launch()
    check_equal(new.process.wait(timeout=60), 2, 'status')
    check('adopted1' in new.log_now()[before:] and not os.path.exists(where), new.log_now()[before:])
    os.rename(where + '.away', where)
    adopted = os.path.join(new.dir, 'state', 'adopted.conf')
    os.chmod(adopted, 0o666)
    before = new.launch()
    check_equal(new.process.wait(timeout=60), 2, 'status with what anybody may write')
    check('adopted.conf in it has to be a file of root' in new.log_now()[before:], 'why')
    os.chmod(adopted, 0o644)
    new.start()
    check_equal(new.stop(), 0, 'with it')


if __name__ == '__main__':
    main(setup)
