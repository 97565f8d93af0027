#!/usr/bin/python3
# limit: 180
"""kill -9 of the gateway under load, at a random moment, and a restart on the same spool: every message that
was acknowledged arrives, whole and byte for byte; nothing arrives that was not sent; duplicates are at
most what was being delivered at the time of the kill."""
import os
import random
import time

from gateway import Gateway
from harness import LONG, Failed, check, main, wait_until
from mail import Client, Ledger, Load, plain
from sinks import Scripted

ROUNDS, CONNECTIONS, DELIVERIES = 20 if LONG else 5, 12, 10
SEED = int(os.environ.get('SLUICE_SEED', '0')) or random.SystemRandom().randrange(1, 1 << 32)
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, queue={'deliveries': DELIVERIES}).start()
    print(f'# SLUICE_SEED={SEED}', flush=True)


def round_of(number, chance, ledger):
    """Load, kill in its middle, restart. Returns how many messages had been acknowledged by then."""
    base = number * 1000000
    load = Load(ledger, lambda n: ('s@client.example', f'm{base + n}@example.org', plain(base + n, chance.choice(
        (300, 3000, 30000)))), range(1000000), CONNECTIONS, timeout=5)
    before = len(ledger.acked)
    wait_until(lambda: len(ledger.acked) > before + 20 or load.errors, 30, 'acknowledgements')
    time.sleep(chance.random() * 0.5)
    gw.kill()
    load.stop.set()
    acked = len(ledger.acked) - before
    check(not any(isinstance(e, Failed) for e in load.errors), f'refused under load: {load.errors[:2]}')
    gw.start()
    load.join(30)
    return acked


def test_killed_under_load(lab):
    ledger, chance = Ledger(), random.Random(SEED)
    try:
        for number in range(ROUNDS):
            acked = round_of(number, chance, ledger)
            check(acked > 20, f'round {number}: only {acked} messages before the kill')
        wait_until(lambda: ledger.arrived(list(far.messages)), 60, 'acknowledged messages at the next hop')
        wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 60, 'empty queue')
        twice = ledger.audit(far.messages, duplicates=ROUNDS * DELIVERIES)
        print(f'# {len(ledger.acked)} acknowledged, {len(far.messages)} arrived, {twice} twice', flush=True)
    except Failed as why:
        raise Failed(f'SLUICE_SEED={SEED}: {why}') from None


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
