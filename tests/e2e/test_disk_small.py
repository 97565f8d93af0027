#!/usr/bin/python3
# limit: 180
"""A file system of 16 MiB that is too small: filled by the spool itself, then by a stranger's file, one that has
no inodes left, one that turns read-only under load, and one that keeps every write waiting. 4xx with the reason each time; what is queued goes on
being delivered, and what became of it is written into the reserve: a kill amid all that does not deliver it
again. Mail is taken again by itself when there is room."""
import os
import random
import threading
import time

from gateway import Counted, Gateway
from harness import Failed, check, check_equal, main, run, wait_until
from loopdisk import LoopDisk
from mail import Client, plain, stuffed
from sinks import Scripted
from storm import Book, MoodyNextHop, Storm, audit, wait_empty, wait_settled, wait_written

FS_BYTES, DELIVERIES, SIZE = 16 << 20, 10, 60000
SEED = int(os.environ.get('SLUICE_SEED', '0')) or random.SystemRandom().randrange(1, 1 << 32)
far = gw = None


def setup(lab):
    global far
    far = Scripted(lab)


def gateway_on(lab, disk, backoff=10, **spool):
    """One at a time: the one of a test that failed ends here."""
    global gw
    if gw is not None and gw.alive():
        gw.kill()
    gw = Gateway(lab, name=os.path.basename(disk.mount) + '-gw', smtp={'message_size': '1M'},
                 queue={'deliveries': DELIVERIES, 'backoff_min': f'{backoff}s', 'backoff_max': f'{2 * backoff}s'},
                 spool={'path': disk.mount + '/spool', 'size': '64M', 'segment_size': '1M', **spool})
    return gw.start()


def mail_reply():
    with Client() as c:
        return c.command('MAIL FROM:<s@client.example> SIZE=1000')


def fill(name, limit):
    """Messages with a recipient that will get it and one that will be deferred, until there is no room: their
    numbers and the refusal."""
    taken = []
    with Client() as c:
        for i in range(limit):
            to = [f'{name}{i}@example.org', f'temp-{name}{i}@example.org']
            reply = c.deliver('s@client.example', to, plain(i, SIZE))
            if reply.code != 250:
                check(reply.code in (451, 452), f'full: {reply}')
                check('4.3' in reply.text, f'a reason: {reply}')
                return taken, reply
            taken.append(i)
    raise Failed(f'{limit} messages of {SIZE} bytes fit into {FS_BYTES}')


def refused_for_room(gw):
    reply = mail_reply()
    check(reply.code == 452 and '4.3.1' in reply.text, f'MAIL without room: {reply}')
    check('accepting no: spool is full' in gw.ctl('status'), 'status tells that nothing is accepted')


def full_and_back(gw, name, still=True):
    """Full; half of each message delivered while it is full; killed; the other half; room again. Not still:
    there is room on the disk again, and the spool may find it at any time."""
    far.down()
    taken, _ = fill(name, 2 * FS_BYTES // SIZE)
    check(len(taken) > 10, f'only {len(taken)} messages')
    refused_for_room(gw)
    far.messages.clear()
    far.mode = 'rcpt'  # defers those of temp-
    far.up()
    gw.ctl('queue', 'flush', '--all')
    wait_until(lambda: all(far.to(f'{name}{i}@example.org') for i in taken), 60, 'deliveries with a full spool')
    wait_written(gw, 30)  # in the reserve
    if still:
        refused_for_room(gw)
    gw.kill()
    gw.start()
    far.mode = 'ok'
    gw.ctl('queue', 'flush', '--all')
    wait_until(lambda: all(far.to(f'temp-{name}{i}@example.org') for i in taken), 60, 'the other half')
    wait_empty(gw, 30)
    for i in taken:
        for to in (f'{name}{i}@example.org', f'temp-{name}{i}@example.org'):
            got = far.to(to)
            check_equal(len(got), 1, f'messages for {to}')
            check(got[0].content.endswith(plain(i, SIZE)), f'bytes for {to}')
    wait_until(lambda: mail_reply().code == 250, 30, 'room again')
    with Client() as c:
        check_equal(c.deliver('s@client.example', [f'after-{name}@example.org'], plain(1)).code, 250, 'after it')
    wait_until(lambda: far.to(f'after-{name}@example.org'), 30, 'message after it')
    return len(taken)


def more_room(gw, names):
    """The files go, and the spool finds that out by itself."""
    made = gw.counter('spool/segments_created')
    for name in names:
        os.unlink(name)
    wait_until(lambda: gw.counter('spool/segments_created') > made, 30, 'segments where the room is')


def test_the_spool_fills_it(lab):
    disk = LoopDisk(lab, 'self', FS_BYTES)
    gw = gateway_on(lab, disk)
    full_and_back(gw, 'a')
    full_and_back(gw, 'b')
    check_equal(gw.stop(), 0, 'exit status')


def test_a_stranger_fills_it(lab):
    """The spool keeps what it has; what the stranger gives back is used."""
    disk = LoopDisk(lab, 'stranger', FS_BYTES)
    gw = gateway_on(lab, disk)
    other = os.path.join(disk.mount, 'other')
    run('fallocate', '-l', str(4 << 20), other)
    with open(other, 'ab', buffering=0) as f:
        try:
            while True:
                f.write(bytes(4096))
        except OSError:
            pass
    little = full_and_back(gw, 'c')
    more_room(gw, [other])
    much = full_and_back(gw, 'd', still=False)
    check(much > little, f'{much} messages with the room of a stranger, {little} without')
    check_equal(gw.stop(), 0, 'exit status')


def test_no_inodes(lab):
    disk = LoopDisk(lab, 'inodes', FS_BYTES, '-b', '4096', '-N', '32')
    gw = gateway_on(lab, disk)
    names = []
    try:
        for i in range(64):
            names.append(os.path.join(disk.mount, f'file{i}'))
            with open(names[-1], 'w'):
                pass
    except OSError:
        names.pop()
    else:
        raise Failed('64 files where 32 inodes are')
    little = full_and_back(gw, 'e')
    more_room(gw, names)
    much = full_and_back(gw, 'f', still=False)
    check(much > little, f'{much} messages with inodes, {little} without')
    check_equal(gw.stop(), 0, 'exit status')


def test_the_disk_stands_still(lab):
    """Messages wait for the disk, and buffers are full: servers that connect are told so, those who are in wait, and get their 250."""
    disk = LoopDisk(lab, 'still', 64 << 20)
    gw = gateway_on(lab, disk, buffers=128)
    far.mode = 'ok'
    far.up()
    names = [f'still{i}@example.org' for i in range(24)]
    clients = [Client() for _ in names]
    for c, name in zip(clients, names):
        check_equal(c.envelope('s@client.example', [name])[-1].code, 354, 'DATA')
    disk.pause()
    try:
        for i, c in enumerate(clients):  # half end; the others go on until their windows are full
            size = 10000 if i % 2 == 0 else 600000
            threading.Thread(target=c.send, args=(stuffed(plain(i, size)),), daemon=True).start()
        wait_until(lambda: gw.counter('conn/busy') == 1, 30, 'busy')
        with Counted(gw, 'conn/refused_busy'), Client(greet=False) as c:
            check_equal(f'{c.reply()}', '421 4.3.2 All server ports are busy', 'who connects')
            check(c.closed(), 'and the end')
        wait_until(lambda: 'reason=busy: few spool buffers are left' in gw.log(), 10, 'the log names the reason')
    finally:
        disk.go_on()
    for c in clients:
        check_equal(c.reply().code, 250, 'who was in')
        c.close()
    wait_until(lambda: gw.counter('conn/busy') == 0, 30, 'no longer busy')
    check_equal(gw.counter('conn/busy_begun'), 1, 'times')
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['after-still@example.org'], plain(99)).code, 250, 'mail again')
    for name in names + ['after-still@example.org']:
        wait_until(lambda name=name: len(far.to(name)) == 1, 30, f'the message for {name}')
    check_equal(gw.stop(), 0, 'exit status')


def test_read_only_under_load(lab):
    """An error of the file system: nothing can be written any more. What is queued is delivered all the same."""
    disk = LoopDisk(lab, 'readonly', 64 << 20)
    far.down()
    moody = MoodyNextHop(lab, SEED)
    gw = gateway_on(lab, disk, backoff=1)
    book = Book()
    storm = Storm(book, SEED, connections=4, size_max=100000, perm=False)
    try:
        storm.wait_acked(50)
        cut = (moody.life, time.monotonic())
        disk.fail()
        wait_until(lambda: book.replies[451] + book.replies[452] > 20 or storm.faults, 60, 'refusals')
        acked = len(book.acked)
        wait_until(lambda: 'accepting no: spool cannot write' in gw.ctl('status'), 10, 'status')
        reply = mail_reply()
        check(reply.code == 452 and '4.3.1' in reply.text, f'MAIL without a disk: {reply}')
        storm.stop()
        check_equal(len(book.acked), acked, 'acknowledged without a disk')
        wait_settled(book, moody, 60)
        gw.stop()
        moody.life += 1
        disk.down()
        disk.up()
        gw.start()
        wait_empty(gw, 60)
        check_equal(mail_reply().code, 250, 'MAIL with a disk')
        audit(book, moody, DELIVERIES, [cut])
    except Failed as why:
        raise Failed(f'SLUICE_SEED={SEED}: {why}') from None


if __name__ == '__main__':
    main(setup)
