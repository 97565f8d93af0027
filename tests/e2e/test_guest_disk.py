#!/usr/bin/python3
# limit: 400
# long: boots guests whose disks log every write, fail and forget
"""The spool on disks that the device mapper of a guest makes, under load over a PCI card.

dm-log-writes: what was written, in order, with each flush. The disk is made again as it was at each flush, at which the power could have
failed, mounted (its journal is replayed), and the spool read: nothing is damaged, and all that had been acknowledged is in
it, byte for byte, or had been delivered.
dm-flakey: a disk that fails for a while (451 or 452, then mail is taken again), and one that says it has written and has not, until the
power goes: what was acknowledged before is delivered."""
import hashlib
import os
import re
import shutil
import struct
import threading
import time

from gateway import SLUICECTL
from guest import Guest, GuestGateway, Tap, Tree, make_disk, ROOT
from harness import HOST_IP, Failed, check, check_equal, main, run, wait_until
from storm import Book, MoodyNextHop, Storm, audit, wait_empty, wait_settled

DELIVERIES, SEED = 10, int(os.environ.get('SLUICE_SEED', '1'))
MAGIC, FLUSH, DISCARD, MARK = 0x6a736677736872, 1, 4, 8
POINTS = int(os.environ.get('SLUICE_POINTS', '400'))  # flushes that are looked at, at most
tree = image = card = far = None


def setup(lab):
    global tree, image, card, far
    tree = Tree(lab)
    tree.gateway()
    tree.modules('uio_pci_generic', 'dm_flakey', 'dm_log_writes')
    tree.program(os.path.join(ROOT, 'sbin/dmsetup'), '/usr/sbin/dmsetup')
    image = tree.pack()
    card = Tap('tap0', 'virtio-net-pci', slot=0x10)
    run('ip', 'addr', 'add', f'{HOST_IP}/24', 'dev', 'tap0')
    far = MoodyNextHop(lab, SEED)
    print(f'# SLUICE_SEED={SEED}', flush=True)


def boot(lab, name, *disks):
    g = Guest(lab, tree, image, [card], disks, name=name)
    g.bind(card.pci, 'uio_pci_generic')
    return g


def device(g, table):
    """The disk as the mapper's device "mail", by a table without its beginning."""
    size = g.run('blockdev --getsz /dev/vda')
    table = f'0 {size} {table}'
    if 'mail' in g.run('dmsetup ls'):
        g.run(f"dmsetup load mail --noudevsync --table '{table}' && dmsetup suspend --nolockfs --noflush --noudevsync mail && "
              'dmsetup resume --noudevsync mail')
    else:
        g.run(f"dmsetup create mail --noudevsync --table '{table}'")


def start(lab, g, name, **changes):
    g.run('mount -t ext4 /dev/dm-0 /mnt && mkdir -p /mnt/spool')
    gw = GuestGateway(lab, g, name=name, port_net0={'device': card.pci}, queue={'deliveries': DELIVERIES}, **changes)
    gw.change(spool={'size': '32M'}, smtp={'message_size': '1M'})
    return gw.start()


# ---- every point at which the power could fail ----

def entries(path):
    """Of dm-log-writes' log (Documentation/admin-guide/device-mapper/log-writes.rst): (flags, byte of the device, data)."""
    with open(path, 'rb') as f:
        magic, version, count, sector = struct.unpack('<QQQI', f.read(28))
        check_equal((magic, version), (MAGIC, 1), 'the head of the log')
        at = sector
        for _ in range(count):
            f.seek(at)
            where, sectors, flags, size = struct.unpack('<QQQQ', f.read(32))
            mark = f.read(size) if flags & MARK else b''
            at += sector
            data = b''
            if not flags & (MARK | DISCARD):
                f.seek(at)
                data = f.read(sectors * sector)
                at += sectors * sector
            yield flags, where * sector, mark if flags & MARK else data


class Marks:
    """A thread that marks the log: what was acknowledged before the mark, and what had come to its end behind it."""

    def __init__(self, g, book):
        self.g, self.book, self.known, self.stop, self.errors = g, book, [(set(), set())], threading.Event(), []
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def mark(self):
        acked = set(self.book.acked)
        self.g.run(f'dmsetup message mail 0 mark {len(self.known)}')
        self.known.append((acked, {r for d in list(far.deliveries) for r in d.recipients} | set(far.refused)))

    def work(self):
        try:
            while not self.stop.wait(0.05):
                self.mark()
        except Exception as why:
            self.errors.append(why)

    def end(self):
        self.stop.set()
        self.thread.join(60)
        check_equal(self.errors, [], 'marking the log')
        self.mark()


class Replay:
    """The disk, written again, and a copy of it that is looked at."""

    def __init__(self, lab, base):
        self.image, self.copy, self.mount, self.out = lab.path('again.img'), lab.path('copy.img'), lab.path('copy'), lab.path('out')
        shutil.copyfile(base, self.image)
        os.mkdir(self.mount)
        self.file = open(self.image, 'r+b', buffering=0)

    def write(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def look(self, book, acked, gone, whole):
        """The spool as a start would find it: all that was acknowledged is there, but what had been delivered."""
        shutil.copyfile(self.image, self.copy)
        run('mount', '-t', 'ext4', '-o', 'loop', self.copy, self.mount)
        try:
            spool = os.path.join(self.mount, 'spool')
            if not os.path.exists(os.path.join(spool, 'seg')):
                check(not acked, f'{len(acked)} messages acknowledged before there was a spool')
                return 0
            if acked:
                run(SLUICECTL, 'spool', 'check', spool)
            text = run(SLUICECTL, 'spool', 'dump', spool, ok=(0,) if acked else None)
            there = set(re.findall(r'(?:perm-)?m\d+-\d+@example\.org', text))
            owed = {r for n in acked for r in book.sent[n][0]}
            lost = owed - there - gone
            check(not lost, f'{len(lost)} acknowledged recipients are not in the spool, such as {sorted(lost)[:3]}')
            if whole:
                self.bytes_are_those_sent(spool, book)
            return len(there)
        finally:
            run('umount', self.mount)

    def bytes_are_those_sent(self, spool, book):
        shutil.rmtree(self.out, ignore_errors=True)
        os.mkdir(self.out)
        run(SLUICECTL, 'spool', 'export', spool, self.out)
        for name in os.listdir(self.out):
            if not name.endswith('.eml'):
                continue
            with open(os.path.join(self.out, name), 'rb') as f:
                content = f.read()
            number = re.search(rb'^X-Number: (\d+)\r?$', content[:2000], re.MULTILINE)
            if number is None or b'multipart/report' in content[:2000]:
                continue  # a report, which quotes a message
            body = content[content.index(b'From: <s@client.example>'):]
            check_equal(hashlib.sha256(body).digest(), book.sent[int(number[1])][1], f'the bytes of message {number[1]}')


def test_every_flush(lab):
    base, disk, log = lab.path('base.img'), lab.path('logged.img'), lab.path('log.img')
    make_disk(base, 80 << 20)
    shutil.copyfile(base, disk)
    with open(log, 'wb') as f:
        f.truncate(1 << 30)
    g = boot(lab, 'logged', disk, log)
    device(g, 'log-writes /dev/vda /dev/vdb')
    gw = start(lab, g, 'logged-gw')
    book = Book()
    far.down()
    marks = Marks(g, book)
    storm = Storm(book, SEED, connections=4, size_max=30000)
    storm.wait_acked(60, 90)
    far.up()
    storm.wait_acked(60, 90)
    wait_until(lambda: len(far.deliveries) > 60, 60, 'deliveries')
    storm.stop()
    marks.end()
    gw.kill()
    g.run('until umount /mnt; do sleep 0.2; done; dmsetup remove --noudevsync mail', seconds=120)  # helpers end a moment later
    g.cut()
    all_points = sum(flags & FLUSH for flags, _, _ in entries(log))
    every, number, at, looked, most, replay = max(1, all_points // POINTS), 0, 0, 0, 0, Replay(lab, base)
    for flags, where, data in entries(log):
        if flags & MARK:
            word = data.split(b'\0')[0]
            number = int(word) if word.isdigit() else number  # the kernel makes one at the end
            continue
        if flags & DISCARD:
            continue
        if flags & FLUSH:
            at += 1
            if at % every == 0 and number > 0 and number + 1 < len(marks.known):
                try:
                    most = max(most, replay.look(book, marks.known[number][0], marks.known[number + 1][1], looked % 20 == 0))
                except Failed as why:
                    raise Failed(f'SLUICE_SEED={SEED}: flush {at}, mark {number}: {why}') from None
                looked += 1
        replay.write(where, data)
    check(looked > 50 and most > 50, f'{looked} points, {most} messages at most')
    print(f'# {len(book.acked)} messages acknowledged, {all_points} flushes, {looked} of them looked at, up to {most} recipients in the spool', flush=True)


# ---- a disk that fails, a disk that lies ----

def test_errors_for_a_while(lab):
    far.up()
    far.deliveries.clear()
    disk = lab.path('errors.img')
    make_disk(disk, 80 << 20, '-O', '^has_journal')  # an error of that would end the file system for good
    g = boot(lab, 'errors', disk)
    device(g, 'flakey /dev/vda 0 86400 0')
    gw = start(lab, g, 'errors-gw')
    book = Book()
    storm = Storm(book, SEED, connections=4, size_max=30000)
    storm.wait_acked(40, 90)
    device(g, 'flakey /dev/vda 0 0 86400')
    wait_until(lambda: book.replies[451] + book.replies[452] > 20 or storm.faults, 90, 'refusals without a disk')
    acked = len(book.acked)
    time.sleep(1)
    check_equal(len(book.acked) - acked, 0, 'messages acknowledged without a disk')
    check(gw.counter('spool/write_errors') > 0, 'write errors are counted')
    device(g, 'flakey /dev/vda 0 86400 0')
    storm.wait_acked(40, 120)
    storm.stop()
    wait_settled(book, far, 120)
    wait_empty(gw, 90)
    audit(book, far, DELIVERIES)
    check_equal(gw.stop(), 0, 'exit status')
    g.cut()


def test_writes_that_are_dropped(lab):
    far.deliveries.clear()
    far.refused.clear()
    far.messages.clear()
    disk = lab.path('drops.img')
    make_disk(disk, 80 << 20)
    g = boot(lab, 'drops', disk)
    device(g, 'flakey /dev/vda 0 86400 0')
    gw = start(lab, g, 'drops-gw')
    book = Book()
    far.down()
    storm = Storm(book, SEED, connections=4, size_max=30000, perm=False)
    storm.wait_acked(60, 90)
    before = set(book.acked)
    device(g, 'flakey /dev/vda 0 0 86400 1 drop_writes')
    storm.wait_acked(60, 90)  # the disk says so
    g.cut()
    storm.cut()
    far.life += 1
    far.up()
    g = boot(lab, 'drops2', disk)
    device(g, 'flakey /dev/vda 0 86400 0')
    gw = start(lab, g, 'drops2-gw')
    owed = {r for n in before for r in book.sent[n][0]}
    wait_until(lambda: owed <= {r for d in list(far.deliveries) for r in d.recipients}, 120, 'what was acknowledged before the disk lied')
    check(not far.faults, f'faults at the next hop: {far.faults[:2]}')
    for d in far.deliveries:
        check_equal(d.digest, book.sent[d.number][1], f'the bytes of message {d.number}')
    wait_empty(gw, 90)
    check_equal(gw.stop(), 0, 'exit status')
    g.cut()


if __name__ == '__main__':
    main(setup)
