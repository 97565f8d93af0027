#!/usr/bin/python3
# limit: 120
"""The spool on a small file system of its own: no room for segments at the start, room that others
take, and a queue that fills it. 452 at MAIL each time, and recovery by itself when room returns."""
import os

from gateway import Gateway
from harness import check, check_equal, main, run, wait_until
from loopdisk import LoopDisk
from mail import Client, Ledger, plain, split_received
from sinks import Scripted

FS_BYTES, SPOOL_BYTES, SEGMENT_BYTES = 64 << 20, 32 << 20, 4 << 20
gw = far = disk = None


def setup(lab):
    global gw, far, disk
    disk = LoopDisk(lab, 'disk', FS_BYTES)
    far = Scripted(lab)
    gw = Gateway(lab, smtp={'message_size': '1M'}, spool={'path': disk.mount + '/spool', 'size': f'{SPOOL_BYTES >> 20}M',
                             'segment_size': f'{SEGMENT_BYTES >> 20}M'})


def mail_reply():
    with Client() as c:
        return c.command('MAIL FROM:<s@client.example> SIZE=1000')


def send_until_full(ledger, number, limit):
    """Messages into the gateway until it says 452; how many it took."""
    with Client() as c:
        for i in range(limit):
            recipient, content = f'fill{number}-{i}@example.org', plain(i, 100000)
            ledger.sending(recipient, content)
            reply = c.deliver('s@client.example', [recipient], content)
            if reply.code != 250:
                check(reply.code in (451, 452), f'full: {reply}')
                return i, reply
            ledger.acknowledged(recipient)
    return limit, None


def test_queue_fills_the_spool(lab):
    """The next hop is down; what was acknowledged before 452 arrives when it is up again."""
    gw.start()
    ledger = Ledger()
    far.down()
    taken, reply = send_until_full(ledger, 1, 2 * SPOOL_BYTES // 100000)
    check(reply is not None, 'the spool has a bound')
    check(taken > 20, f'only {taken} messages of 100 kB fit into {SPOOL_BYTES} bytes')
    reply = mail_reply()
    check(reply.code == 452 and '4.3.1' in reply.text, f'MAIL with a full spool: {reply}')
    check('accepting no' in gw.ctl('status'), 'status tells that nothing is accepted')
    far.up()
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, 'all that was acknowledged')
    wait_until(lambda: mail_reply().code == 250, 60, 'room again')
    ledger.audit(far.messages)
    check('accepting yes' in gw.ctl('status'), 'status tells that mail is accepted')


def test_others_fill_the_disk(lab):
    """A spool that cannot grow: still one that works, or 452; and it recovers when the room returns."""
    check_equal(gw.stop(), 0, 'exit status')
    run('sh', '-c', f'rm -rf {disk.mount}/spool && mkdir {disk.mount}/spool')
    far.messages.clear()
    gw.start()
    other = disk.fill()
    ledger = Ledger()
    far.down()
    taken, reply = send_until_full(ledger, 2, 2 * SPOOL_BYTES // 100000)
    check(reply is not None, f'{taken} messages taken without room')
    check_equal(mail_reply().code, 452, 'MAIL without room')
    os.unlink(other)
    far.up()
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, 'all that was acknowledged')
    wait_until(lambda: mail_reply().code == 250, 60, 'room again')
    ledger.audit(far.messages)
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['after@example.org'], plain(1)).code, 250, 'after it')
    wait_until(lambda: far.to('after@example.org'), 30, 'message after it')
    check_equal(split_received(far.to('after@example.org')[0].content)[1], plain(1), 'content after it')


def test_restart_on_a_full_disk(lab):
    """Mail that is queued is not held back by a disk that filled while we were away."""
    ledger = Ledger()
    far.down()
    far.messages.clear()
    with Client() as c:
        for i in range(10):
            ledger.sending(f'kept{i}@example.org', plain(i, 50000))
            check_equal(c.deliver('s@client.example', [f'kept{i}@example.org'], plain(i, 50000)).code, 250, 'taken')
            ledger.acknowledged(f'kept{i}@example.org')
    gw.kill()
    other = disk.fill()
    gw.start()
    far.up()
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, 'queued mail from a full disk')
    ledger.audit(far.messages)
    os.unlink(other)
    wait_until(lambda: mail_reply().code == 250, 60, 'room again')


if __name__ == '__main__':
    main(setup)
