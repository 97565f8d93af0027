#!/usr/bin/python3
# limit: 240
"""The power goes: ext4 on a loop device of its own is shut down under load by EXT4_IOC_SHUTDOWN, which drops
what the file system had not written, the gateway is killed a moment later, the file system is mounted again
(its journal is replayed) and the gateway starts on what is left. The book of storm.py must hold each time;
what was answered with 250 between the shutdown and the kill is in it too. 3 rounds; with tests/run --long 20.

And a part of the disk that fails for a while: the loop device is made shorter, so that the spool's files lie
behind its end, and longer again. Everything is refused with 4xx meanwhile, and the gateway recovers by itself."""
import os
import random
import time

from gateway import Gateway
from harness import LONG, Failed, check, check_equal, main, wait_until
from loopdisk import LoopDisk
from mail import Client, plain
from storm import Book, MoodyNextHop, Storm, audit, wait_empty, wait_settled

ROUNDS, DELIVERIES, FS_BYTES = 20 if LONG else 3, 10, 256 << 20
# Flags: 0 writes everything first (a frozen block device), 1 flushes the journal, 2 nothing.
SHUTDOWNS = ((2, 'nothing flushed'), (1, 'journal flushed'), (0, 'all flushed'))
SEED = int(os.environ.get('SLUICE_SEED', '0')) or random.SystemRandom().randrange(1, 1 << 32)
gw = far = disk = None


def setup(lab):
    global gw, far, disk
    disk = LoopDisk(lab, 'disk', FS_BYTES)
    far = MoodyNextHop(lab, SEED)
    gw = Gateway(lab, queue={'deliveries': DELIVERIES},
                 spool={'path': disk.mount + '/spool', 'size': '128M', 'segment_size': '4M'}).start()
    print(f'# SLUICE_SEED={SEED}', flush=True)


def cut_round(number, book, chance, first):
    """Load, the file system's end, the gateway's, and the next start. Returns the next number and the cut."""
    flags, _ = SHUTDOWNS[number % len(SHUTDOWNS)]
    storm = Storm(book, chance.randrange(1 << 32), first=first)
    storm.wait_acked(20)
    time.sleep(chance.random() * 0.5)
    cut = (far.life, time.monotonic())
    disk.shutdown(flags)
    time.sleep(chance.random() * 0.3)
    check(gw.alive(), f'round {number}: the gateway ended with its disk')
    gw.kill()
    first = storm.cut()
    far.life += 1
    disk.down()
    disk.up()
    gw.start()
    return first, cut


def test_power_cuts(lab):
    book, chance, first, cuts = Book(), random.Random(SEED), 0, []
    try:
        for number in range(ROUNDS):
            first, cut = cut_round(number, book, chance, first)
            cuts.append(cut)
        wait_settled(book, far, 90)
        wait_empty(gw, 60)
        check(set(book.replies) <= {250, 451, 452}, f'replies under load: {book.replies}')
        twice = audit(book, far, DELIVERIES, cuts)
    except Failed as why:
        raise Failed(f'SLUICE_SEED={SEED}: {why}') from None
    print(f'# {ROUNDS} shutdowns: {len(book.acked)} messages acknowledged, {len(far.deliveries)} deliveries, '
          f'{twice} twice, replies {dict(book.replies)}', flush=True)


def test_a_part_of_the_disk_fails(lab):
    """Reads and writes of the spool fail with EIO and later do not: G5 and G7 on a real file system."""
    global disk
    check_equal(gw.stop(), 0, 'exit status')
    # No journal: an error of that would end the file system for good.
    disk = LoopDisk(lab, 'weak', FS_BYTES, '-b', '4096', '-O', '^has_journal')
    gw.change(spool={'path': disk.mount + '/spool', 'size': '64M'})
    gw.start()
    book, chance = Book(), random.Random(SEED + 1)
    far.deliveries.clear()
    far.refused.clear()
    storm = Storm(book, SEED, connections=4, size_max=100000)
    storm.wait_acked(50)
    disk.cut_at(disk.first_block(os.path.join(disk.mount, 'spool/seg')))
    wait_until(lambda: book.replies[451] + book.replies[452] > 20 or storm.faults, 60, 'refusals without a disk')
    acked = len(book.acked)
    time.sleep(chance.random())
    check('accepting no: spool cannot write' in gw.ctl('status'), 'status tells that the spool cannot write')
    with Client() as c:
        reply = c.command('MAIL FROM:<s@client.example>')
        check_equal(reply.code, 452, 'MAIL without a disk')
    check(gw.counter('spool/write_errors') > 0, 'write errors are counted')
    check(acked == len(book.acked), f'{len(book.acked) - acked} acknowledged without a disk')
    disk.cut_at(0)
    storm.wait_acked(50, 60)
    storm.stop()
    wait_settled(book, far, 90)
    wait_empty(gw, 60)
    audit(book, far, DELIVERIES)
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['after@example.org'], plain(1)).code, 250, 'after it')


if __name__ == '__main__':
    main(setup)
