#!/usr/bin/python3
# limit: 180
"""kill -9 of the gateway under load, at a random moment, also while it starts, and a restart on the same
spool: every recipient of what was acknowledged gets it, whole and byte for byte, or is refused by the next
hop; nothing arrives that was not sent; duplicates are at most what was being delivered at the time of the
kill. 10 rounds; with tests/run --long 100."""
import os
import random
import time

from gateway import Gateway
from harness import LONG, Failed, check, main, wait_until
from mail import Client, Ledger, Load, plain
from sinks import Scripted
from storm import Book, MoodyNextHop, Storm, audit, wait_empty, wait_settled

ROUNDS, DELIVERIES = 100 if LONG else 10, 10
SEED = int(os.environ.get('SLUICE_SEED', '0')) or random.SystemRandom().randrange(1, 1 << 32)
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, queue={'deliveries': DELIVERIES}).start()
    print(f'# SLUICE_SEED={SEED}', flush=True)


def killed_rounds(moody, book, chance):
    first = 0
    for _ in range(ROUNDS):
        storm = Storm(book, chance.randrange(1 << 32), first=first)
        storm.wait_acked(20)
        time.sleep(chance.random() * 0.5)
        gw.kill()
        first = storm.cut()
        moody.life += 1
        if chance.random() < 0.2:  # amid the start: recovery writes, too
            gw.launch()
            time.sleep(chance.random() * 1.5)
            gw.kill()
            moody.life += 1
        gw.start()


def test_killed_under_load(lab):
    book, chance = Book(), random.Random(SEED)
    far.down()
    moody = MoodyNextHop(lab, SEED)
    try:
        killed_rounds(moody, book, chance)
        wait_settled(book, moody, 90)
        wait_empty(gw, 60)
        check(set(book.replies) <= {250, 452}, f'replies under load: {book.replies}')
        twice = audit(book, moody, DELIVERIES)
    except Failed as why:
        raise Failed(f'SLUICE_SEED={SEED}: {why}') from None
    finally:
        moody.down()
        far.up()
    print(f'# {ROUNDS} kills: {len(book.acked)} messages acknowledged, {len(moody.deliveries)} deliveries, {twice} twice, '
          f'{len(moody.refused)} recipients refused', flush=True)


def test_old_peers_are_freed(lab):
    """A connection from before the kill gets RST from the new process, not silence."""
    with Client(timeout=20) as idle:
        gw.kill()
        gw.start()
        try:
            while True:
                idle.command('NOOP')
        except ConnectionResetError:
            pass
        except (TimeoutError, ConnectionError) as why:
            raise Failed(f'old connection: {why!r}, not a reset') from None


def test_killed_with_the_next_hop_down(lab):
    """What nobody has taken yet survives two kills."""
    ledger = Ledger()
    far.down()
    Load(ledger, lambda n: ('s@client.example', f'down{n}@example.org', plain(n, 2000)), range(100), 5).join(60)
    check(len(ledger.acked) == 100, f'{len(ledger.acked)} acknowledged')
    for _ in range(2):
        gw.kill()
        gw.start()
    far.messages.clear()
    far.up()
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, '100 messages after two kills')
    ledger.audit(far.messages)


def test_clean_restart_keeps_the_queue(lab):
    ledger = Ledger()
    far.down()
    Load(ledger, lambda n: ('s@client.example', f'term{n}@example.org', plain(n, 2000)), range(20), 2).join(60)
    check(gw.stop() == 0, 'exit status of a clean end')
    gw.start()
    far.messages.clear()
    far.up()
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, '20 messages after a clean restart')
    ledger.audit(far.messages)


if __name__ == '__main__':
    main(setup)
