#!/usr/bin/python3
# limit: 180
"""Two directories of the spool, each on a small file system of its own. When one is full the other takes
the mail; when both are, 452 says why; room again, mail again. Directories may change places; a copy is
refused. Damage is told with file and offset, and passed only when the operator says so."""
import os
import re
import shutil

from gateway import SLUICECTL, Gateway
from harness import check, check_equal, main, run, wait_until
from loopdisk import LoopDisk
from mail import Client, Ledger, plain
from sinks import Scripted

FS_BYTES, SPOOL_BYTES, SEGMENT_BYTES = 48 << 20, 16 << 20, 2 << 20
gw = far = None
disks = {}


def settings(name):
    return {'path': f'{disks[name].mount}/spool', 'size': f'{SPOOL_BYTES >> 20}M', 'segment_size': f'{SEGMENT_BYTES >> 20}M'}


def setup(lab):
    global gw, far
    for name in ('a', 'b'):
        disks[name] = LoopDisk(lab, f'disk_{name}', FS_BYTES)
    far = Scripted(lab)
    gw = Gateway(lab, smtp={'message_size': '1M'}, spool=None, spool_a=settings('a'), spool_b=settings('b'))
    gw.start()


def spool(name):
    """What telemetry tells of one spool."""
    return gw.telemetry(f'/sluice/spool,{name}')


def send(ledger, recipient, size=60000):
    content = plain(len(ledger.sent), size)
    ledger.sending(recipient, content)
    with Client() as c:
        reply = c.deliver('s@client.example', [recipient], content)
    if reply.code == 250:
        ledger.acknowledged(recipient)
    return reply


def drained(ledger):
    far.up()
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, 'all that was acknowledged')
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 60, 'empty queue')
    ledger.audit(far.messages)
    far.messages.clear()


def test_both_are_used(lab):
    """One lane takes turns; each spool has its rows, and status shows both."""
    ledger = Ledger()
    far.down()
    for i in range(6):
        check_equal(send(ledger, f'm{i}@example.org').code, 250, 'taken')
    for name in 'ab':
        wait_until(lambda: spool(name)['messages_now'] == 3, 10, f'half of them in spool {name}')
        got = spool(name)
        check_equal((got['name'], got['accepting']), (name, 'yes'), 'rows of a spool')
        check(got['taken_bytes'] > 3 * 60000 and got['written_bytes'] >= got['taken_bytes'], f'bytes: {got}')
        check(float(got['amplification']) >= 1 and float(got['records_per_commit']) >= 1, f'ratios: {got}')
        check(re.search(rf'^spool {name} .*messages=3 .*accepting=yes$', gw.ctl('status'), re.M), 'status shows it')
    check(spool('a')['number'] != spool('b')['number'], 'two numbers')
    check_equal(gw.telemetry('/sluice/spool')['messages_now'], 6, 'the sum of both')
    drained(ledger)


def test_one_fills_up(lab):
    """Others take all room of one disk: it refuses when its segments are used up, and the rest of the mail
    goes to the other one. Then both, with the reason; then room."""
    check_equal(gw.stop(), 0, 'exit status')
    for name in 'ab':
        shutil.rmtree(f'{disks[name].mount}/spool')
    gw.change()
    gw.start()
    ledger = Ledger()
    far.down()
    others = [disks['a'].fill()]
    sent = 0
    while spool('a')['accepting'] == 'yes':
        check(sent < 300, 'spool a has a bound')
        check(send(ledger, f'one{sent}@example.org').code in (250, 451, 452), 'an answer')
        sent += 1
    check_equal(spool('a')['accepting'], 'spool is full', 'why')
    for i in range(10):
        check_equal(send(ledger, f'other{i}@example.org').code, 250, 'taken by the other one')
    check('accepting yes' in gw.ctl('status'), 'the gateway takes mail')
    others.append(disks['b'].fill())
    for i in range(300):
        if send(ledger, f'both{i}@example.org').code != 250:
            break
    wait_until(lambda: spool('b')['accepting'] != 'yes', 10, 'both refuse')
    with Client() as c:
        reply = c.command('MAIL FROM:<s@client.example>')
    check_equal((reply.code, reply.text), (452, '4.3.1 Insufficient system storage: spool is full'), 'MAIL')
    check('accepting no: spool is full' in gw.ctl('status'), 'status tells why')
    for path in others:
        os.unlink(path)
    wait_until(lambda: spool('a')['accepting'] == spool('b')['accepting'] == 'yes', 60, 'room again')
    drained(ledger)
    ledger = Ledger()
    check_equal(send(ledger, 'after@example.org').code, 250, 'after it')
    drained(ledger)
    told = len(re.findall('spool_refuses .*spool a', gw.log()))
    check(1 <= told <= 5, f'{told} lines told that spool a refuses: one for each change')


def test_directories_change_places(lab):
    """The number lies on the disk: mail is found by it whatever the blocks are called."""
    ledger = Ledger()
    far.down()
    for i in range(6):
        check_equal(send(ledger, f'swap{i}@example.org').code, 250, 'taken')
    numbers = {name: spool(name)['number'] for name in 'ab'}
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(spool_a={'path': f'{disks["b"].mount}/spool'}, spool_b={'path': f'{disks["a"].mount}/spool'})
    gw.start()
    check_equal({'a': spool('b')['number'], 'b': spool('a')['number']}, numbers, 'numbers went with the directories')
    drained(ledger)
    wait_until(lambda: spool('a')['messages_now'] == spool('b')['messages_now'] == 0, 30, 'both are empty')
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(spool_a=settings('a'), spool_b=settings('b'))
    gw.start()


def test_a_directory_is_away(lab):
    """Its messages are simply not there, and there again with it."""
    ledger = Ledger()
    far.down()
    for i in range(4):
        check_equal(send(ledger, f'away{i}@example.org').code, 250, 'taken')
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(spool_b=None)
    gw.start()
    wait_until(lambda: 'messages 2\n' in gw.ctl('queue', 'stat'), 30, 'half of them')
    check_equal(gw.stop(), 0, 'exit status')
    gw.change(spool_b=settings('b'))
    gw.start()
    wait_until(lambda: 'messages 4\n' in gw.ctl('queue', 'stat'), 30, 'all of them')
    drained(ledger)


def refused_start():
    """Starts what must not start; what it says."""
    before = gw.launch()
    check_equal(gw.wait(), 2, f'exit status; it said {gw.log()[before:]}')
    return gw.log()[before:]


def test_copies_are_refused(lab):
    check_equal(gw.stop(), 0, 'exit status')
    shutil.rmtree(f'{disks["b"].mount}/spool')
    shutil.copytree(f'{disks["a"].mount}/spool', f'{disks["b"].mount}/spool')
    said = refused_start()
    check(re.search(r'spool b: .*/disk_b/spool: is a copy of spool a', said), f'a copy: {said}')
    gw.change(spool_b={'path': f'{disks["a"].mount}/./spool'})
    said = refused_start()
    check('is the directory of spool a, too' in said, f'one directory twice: {said}')
    shutil.rmtree(f'{disks["b"].mount}/spool')
    gw.change(spool_b=settings('b'))
    gw.start()


def damage(directory):
    """Flips a bit in the middle of the body of a queued message; the number of the segment."""
    for line in run(SLUICECTL, 'spool', 'dump', '--json', directory).splitlines():
        body = re.search(r'"part":"body","segment":(\d+),"offset":(\d+),"bytes":(\d+)', line)
        if body and int(body[3]) > 1000:
            break
    check(body, 'spool dump tells where a body lies')
    with open(f'{directory}/seg/{int(body[1]):08}.seg', 'r+b') as f:
        f.seek(int(body[2]) + int(body[3]) // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))
    return int(body[1])


def test_damage(lab):
    """A start tells of damaged mail and leaves it alone; the flag goes past it, once, and tells more."""
    ledger = Ledger()
    far.down()
    for i in range(20):
        check_equal(send(ledger, f'rot{i}@example.org').code, 250, 'taken')
    check_equal(gw.stop(), 0, 'exit status')
    directory = f'{disks["b"].mount}/spool'
    segment = damage(directory)
    for _ in range(2):  # it was left as it was
        said = refused_start()
        check(re.search(rf'spool b: {directory}: segment {segment}: the batch at \d+ is damaged', said), said)
        check('--accept-corruption' in said, f'what can be done: {said}')
        check_equal(os.listdir(f'{directory}/quarantine'), [], 'quarantine')
    before = len(gw.log())
    gw.start(flags=['--accept-corruption'])
    said = gw.log()[before:]
    check(re.search(rf'warning: spool b: {directory}: started past damage in \d+ places', said), f'it said {said}')
    wait_until(lambda: os.listdir(f'{directory}/quarantine'), 60, 'the segment in quarantine')
    check_equal(os.listdir(f'{directory}/quarantine'), [f'{segment:08}.seg.0'], 'quarantine')
    wait_until(lambda: 'put into quarantine/' in gw.log()[before:], 10, 'the log tells')
    far.up()
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 60, 'empty queue')
    kept = {m.recipients[0] for m in far.messages}
    lost = ledger.acked - kept
    check(0 < len(lost) < 10, f'{len(lost)} of 20 messages are lost: the others of the segment are saved')
    check_equal(gw.stop(), 0, 'exit status')
    gw.start()  # without the flag: nothing is damaged any more
    check_equal(send(ledger, 'sound@example.org').code, 250, 'after it')
    wait_until(lambda: far.to('sound@example.org'), 30, 'the next message')


if __name__ == '__main__':
    main(setup)
