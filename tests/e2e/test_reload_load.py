#!/usr/bin/python3
# limit: 120
"""Reloads under load: settings, maps, certificates and routes change with each one while clients send over connections that stay
open, in clear and inside TLS, and others wait. Not one connection ends, not one message is lost or comes twice, and nothing
is left of the settings that were. 1,000 of them with tests/run --long, 100 without."""
import os
import re
import ssl

from gateway import Gateway
from harness import HOST_IP, LONG, Failed, check, check_equal, main, wait_until
from mail import Client, Ledger, Load, plain
from sinks import Scripted
from test_auth import SHA512
from test_tls import HOST, Secure, block, make_certificate

RELOADS = 1000 if LONG else 100
SENDERS, TLS_SENDERS, IDLE, IDLE_TLS = 6, 2, 20, 5
# What a reload leaves behind would be a configuration (1 MB and more), a map or a TLS context of each: ten times that at least.
GROWTH_BYTES = 48 << 20
gw = None
sinks, pairs = [], []


class TlsLoad(Load):
    """Over one connection with TLS each, begun before the first reload."""

    def work(self):
        try:
            with Secure(timeout=60) as c:
                c.hello()
                while (number := self.next_number()) is not None:
                    self.one(c, number)
                c.quit()
        except (OSError, Failed) as why:
            self.errors.append(why)


def setup(lab):
    global gw
    sinks.extend([Scripted(lab), Scripted(lab, port=2600)])
    pairs.extend([make_certificate(lab, 'first', 'EC', HOST), make_certificate(lab, 'second', 'EC', HOST)])
    write_map(lab, 0)
    with open(lab.path('gw/users'), 'w') as f:
        f.write(f'alice@example.org|{SHA512}\n')
    gw = Gateway(lab, certificate_a=block(pairs[0]), gateway={'lanes': 2}, smtp={'client_idle': '1s'},
                 auth={'backend': 'passwd', 'passwd_file': lab.path('gw/users')},
                 recipient={'aliases': [lab.path('gw/aliases')], 'accounts': [lab.path('gw/users')]}).start()


def write_map(lab, number):
    """One line says which reload it is for; whole at any time."""
    with open(lab.path('gw/aliases.new'), 'w') as f:
        f.writelines(f'user{n}@example.org box{n}@example.org\n' for n in range(2000))
        f.write(f'now@example.org reload{number}@example.org\n')
    os.rename(lab.path('gw/aliases.new'), lab.path('gw/aliases'))


def arrived():
    return [m for sink in sinks for m in list(sink.messages)]


def change(lab, number):
    write_map(lab, number)
    gw.change(smtp={'message_size': f'{10 + number % 30}M'}, certificate_a=block(pairs[number % 2]),
              route_default={'host': f'{HOST_IP}:{(2525, 2600)[number % 2]}'},
              **{f'route_r{number}.example': {'host': f'{HOST_IP}:2525'}, f'route_r{number - 2}.example': None})


def generation():
    return int(re.search(r'settings_generation (\d+)', gw.ctl('status')).group(1))


def memory():
    return gw.telemetry('/sluice/memory').get('jemalloc/allocated_bytes')


def reload(number):
    """By command, and by signal each eighth time."""
    if number % 8 == 7:
        before = generation()
        os.kill(gw.process.pid, 1)
        wait_until(lambda: generation() > before, 30, f'reload {number} by SIGHUP')
        return
    said = gw.ctl('reload')
    check('taken: smtp.message_size' in said and 'restart' not in said, f'reload {number}: {said}')


def test_nothing_is_lost(lab):
    ledger = Ledger()
    idle = [Client() for _ in range(IDLE)] + [Secure() for _ in range(IDLE_TLS)]
    for c in idle[IDLE:]:
        c.hello()
    load = [Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 3000)), range(10 ** 7), SENDERS, timeout=60),
            TlsLoad(ledger, lambda n: ('t@client.example', f't{n}@example.org', plain(n, 3000)), range(10 ** 7), TLS_SENDERS)]
    wait_until(lambda: len(ledger.acked) > 20, 30, 'load')
    first, low, at = generation(), None, len(ledger.acked)
    for number in range(RELOADS):
        change(lab, number)
        reload(number)
        if number == RELOADS // 10:  # all that is made once has been made
            low = memory()
        if number % 5 == 4:
            wait_until(lambda: len(ledger.acked) > at or any(l.errors for l in load), 60, f'load goes on after reload {number}')
            at = len(ledger.acked)
    check_equal(generation(), first + RELOADS, 'each one was taken')
    for l in load:
        l.stop.set()
    check_equal([why for l in load for why in l.join(60)], [], 'errors of clients')
    for c in idle:
        check_equal(c.command('NOOP').code, 250, 'a connection from before the first reload')
    print(f'# {RELOADS} reloads, {len(ledger.acked)} messages over {SENDERS + TLS_SENDERS} connections', flush=True)
    # The last settings are the ones in use: size, map, certificate.
    last = RELOADS - 1
    offer = idle[0].command('EHLO client.example').text
    check(f'SIZE {(10 + last % 30) << 20}' in offer, f'SIZE: {offer}')
    check(f'reload{last}@example.org' in gw.ctl('recipient', 'check', 'now@example.org'), 'the map')
    with Secure() as c, open(pairs[last % 2][0]) as f:
        c.hello()
        check_equal(c.socket.getpeercert(binary_form=True), ssl.PEM_cert_to_DER_cert(f.read()), 'the certificate')
    for c in idle:
        c.close()
    wait_until(lambda: ledger.arrived(arrived()), 60, 'all messages')
    check_equal(ledger.audit(arrived(), duplicates=0), 0, 'messages that came twice')
    check(all(sink.messages for sink in sinks), 'both routes have had mail')
    for name in ('conn/refused_full', 'smtp/refused_timeout', 'tcp/tx_resets'):
        check_equal(gw.counter(name), 0, name)
    if low is not None:  # a sanitizer's allocator tells nothing
        grown = memory() - low
        print(f'# grown by {grown} bytes since reload {RELOADS // 10}', flush=True)
        check(grown < GROWTH_BYTES, f'{grown} bytes are left of {RELOADS - RELOADS // 10} reloads')
    check_equal(sum(sink.faults != [] for sink in sinks), 0, 'faults of the client')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
