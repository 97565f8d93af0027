#!/usr/bin/python3
# limit: 60
"""What one client may do, against the running gateway with two lanes: connections and rates, also of clients behind a
proxy; recipients that nobody has; the pause before the greeting; commands sent too early; and a message that is too slow."""
import os
import time

from gateway import Counted, Gateway
from harness import HOST_IP, check, check_equal, main, run, wait_until
from mail import Client, plain
from proxies import v1
from sinks import Scripted

PROXIED, PAUSED = 26, 27
SOURCES = [f'10.9.0.{n}' for n in range(21, 27)]  # each test has clients of its own
gw = None


def setup(lab):
    global gw
    Scripted(lab)
    gw = Gateway(lab, gateway={'lanes': 2},
                 listener_proxied={'kind': 'mx', 'port': 'net0', 'tcp_port': PROXIED, 'proxy': 'required',
                                   'proxy_from': [f'{HOST_IP}/32']},
                 listener_paused={'kind': 'mx', 'port': 'net0', 'tcp_port': PAUSED, 'greet_pause': '1s'},
                 limits={'connections_per_client': 8, 'message_rate': 3, 'unknown_recipients': 2,
                         'early_commands': 'refuse', 'data_rate_min': 1000, 'exempt_networks': [f'{HOST_IP}/32']},
                 smtp={'data_timeout': '2s'}, relay={'networks': [f'{HOST_IP}/32'], 'domains': ['example.org']})
    known = os.path.join(gw.dir, 'known')
    with open(known, 'w') as f:
        f.write('known@example.org x\n')
    gw.change(recipient={'maps': [f'texthash:{known}']})
    gw.start()
    for address in SOURCES:
        run('ip', 'addr', 'add', f'{address}/32', 'dev', 'gw0')


def client(source, **kw):
    return Client(source=(source, 0), **kw)


def fill(connect):
    """Opens until refused; the connections that were greeted, and the refusal."""
    taken = []
    while len(taken) < 20:
        c = connect()
        reply = c.reply()
        if reply.code != 220:
            c.close()
            return taken, reply
        taken.append(c)
    return taken, None


def full(connect, address):
    taken, refusal = fill(connect)
    check_equal(len(taken), 8, 'connections of a client, over both lanes')
    check_equal(f'{refusal}', f'421 4.7.0 mx.gateway.example Error: too many connections from unknown[{address}]', 'refusal')
    wait_until(lambda: f'client={address}' in gw.log() and 'reason=connection concurrency limit exceeded' in gw.log(), 10,
               'the log names the reason')
    for c in taken:
        c.close()
    wait_until(lambda: gw.counter('conn/inbound') == 0, 10, 'they are gone')


def test_connections(lab):
    with Counted(gw, 'limits/connections', 2):
        for _ in range(2):  # all places are free again after they have gone
            full(lambda: client(SOURCES[0], greet=False), SOURCES[0])


def test_connections_behind_a_proxy(lab):
    """The client of the header counts, not the proxy."""
    def behind(address):
        c = client(HOST_IP, port=PROXIED, greet=False)
        c.send(v1(address))
        return c
    full(lambda: behind('203.0.113.8'), '203.0.113.8')
    other = behind('203.0.113.9')
    check_equal(other.reply().code, 220, 'another client of the same proxy')
    other.close()


def test_message_rate(lab):
    with client(SOURCES[1]) as c, Counted(gw, 'limits/messages'):
        for i in range(3):
            check_equal(c.deliver('a@client.example', ['known@example.org'], plain(i)).code, 250, 'message')
        check_equal(f'{c.command("MAIL FROM:<a@client.example>")}',
                    f'450 4.7.1 Error: too much mail from unknown[{SOURCES[1]}]', 'over the rate')
    with client(HOST_IP) as c:  # exempt
        for i in range(4):
            check_equal(c.deliver('a@client.example', ['known@example.org'], plain(i)).code, 250, 'exempt')


def test_unknown_recipients(lab):
    with client(SOURCES[2]) as c, Counted(gw, 'limits/unknown_session'):
        c.command('MAIL FROM:<a@client.example>')
        for _ in range(2):
            check_equal(c.command('RCPT TO:<nobody@example.org>').code, 550, 'unknown')
        check_equal(c.command('RCPT TO:<known@example.org>').code, 421, 'then whatever is next')
        check(c.closed(), 'and the end')


def test_greet_pause(lab):
    with client(SOURCES[3], port=PAUSED) as c:
        check_equal(c.command('NOOP').code, 250, 'who waits is served')
    with client(SOURCES[3], port=PAUSED, greet=False) as c, Counted(gw, 'limits/pregreet'):
        c.send(b'EHLO client.example\r\n')
        check_equal(f'{c.reply()}', '521 5.5.1 Protocol error', 'who does not')
        check(c.closed(), 'and the end')


def test_early_commands(lab):
    with client(SOURCES[4], greet=False) as c, Counted(gw, 'limits/early_refused'):
        c.reply()
        c.send(b'EHLO client.example\r\nMAIL FROM:<a@client.example>\r\n')
        check_equal(c.reply().code, 250, 'EHLO')
        check_equal(f'{c.reply()}', '554 5.5.0 Error: SMTP protocol synchronization', 'refusal')
        check(c.closed(), 'and the end')


def test_slow_message(lab):
    """Never silent for data_timeout, but too slow."""
    with client(SOURCES[5]) as c, Counted(gw, 'limits/data_rate'):
        check_equal(c.envelope('a@client.example', ['known@example.org'])[-1].code, 354, 'DATA')
        end = time.monotonic() + 10
        try:
            while gw.counter('limits/data_rate') == 0 and time.monotonic() < end:
                c.send(b'x')
                time.sleep(0.3)
        except ConnectionError:
            pass
        check_equal(f'{c.reply()}', '421 4.4.2 mx.gateway.example Error: timeout exceeded', 'refusal')


if __name__ == '__main__':
    main(setup)
