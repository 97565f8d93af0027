#!/usr/bin/python3
# limit: 120
"""Row R15: SIGTERM under load, with deliveries out, with a next hop that is silent and a client in the middle of a
message: what was acknowledged is there after the restart, the process ends by itself within its bound,
and with status 0."""
from gateway import Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, Ledger, Load, plain
from sinks import Scripted

CONNECTIONS, STOP_S, MARGIN_S = 50, 3, 30  # the margin is a bound for a busy machine, not an expectation
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, gateway={'stop_timeout': f'{STOP_S}s'}, queue={'deliveries': 20}).start()


def stop_in_time(what):
    gw.process.send_signal(15)
    check_equal(gw.wait(STOP_S + MARGIN_S), 0, f'exit status, {what}')


def test_under_load(lab):
    """50 clients in the middle of their messages: each 250 that one of them saw is kept."""
    ledger = Ledger()
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 30000)), range(1000000),
                CONNECTIONS, timeout=20)
    wait_until(lambda: len(ledger.acked) > 100, 60, 'acknowledgements')
    stop_in_time('under load')
    load.stop.set()
    load.join(60)
    check(load.errors, 'nobody was in the middle of anything')
    for why in load.errors:  # 421 at MAIL, the end of the connection, and nothing else
        check(isinstance(why, OSError) or ': 421 ' in str(why) or 'reply 421' in str(why), f'a client saw {why}')
    print(f'# {len(ledger.acked)} acknowledged, {len(far.messages)} arrived before the restart', flush=True)
    gw.start()
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, 'acknowledged messages')
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 60, 'empty queue')
    twice = ledger.audit(far.messages, duplicates=0)
    check_equal(twice, 0, 'delivered twice: every outcome was journalled')


def test_message_under_way(lab):
    """A client that is in the middle of a message when the signal comes may end it, and has its 250."""
    with Client(timeout=20) as c:
        content = plain(1, 5000)
        for reply in c.envelope('s@client.example', ['late@example.org']):
            check(reply.code in (250, 354), f'{reply}')
        gw.process.send_signal(15)
        def refused():
            with Client(timeout=20, greet=False) as new:
                return new.reply().code == 421
        wait_until(refused, 20, '421 for who comes now')
        c.send(content + b'.\r\n')
        check_equal(c.reply().code, 250, 'end of the message')
    check_equal(gw.wait(STOP_S + MARGIN_S), 0, 'exit status')
    gw.start()
    wait_until(lambda: far.to('late@example.org'), 30, 'the message')


def test_silent_next_hop(lab):
    """A delivery that does not end is cut off at the deadline; the message stays."""
    far.mode = 'mute'
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['kept@example.org'], plain(2)).code, 250, 'taken')
    wait_until(lambda: far.silent > 0, 30, 'the delivery is out')
    stop_in_time('with a silent next hop')
    check('connections cut off: 1' in gw.log(), 'the log tells')
    far.mode = 'ok'
    check(not far.to('kept@example.org'), 'delivered by a next hop that says nothing')
    gw.start()
    wait_until(lambda: far.to('kept@example.org'), 60, 'the message after the restart')


def test_silent_client(lab):
    """Who never ends his message is cut off; nothing of it is left."""
    with Client(timeout=STOP_S + MARGIN_S) as c:
        for reply in c.envelope('s@client.example', ['half@example.org']):
            check(reply.code in (250, 354), f'{reply}')
        c.send(b'Subject: half of a\r\n')
        stop_in_time('with a silent client')
    gw.start()
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['whole@example.org'], plain(3)).code, 250, 'after it')
    wait_until(lambda: far.to('whole@example.org'), 30, 'the next message')
    check(not far.to('half@example.org'), 'half a message was delivered')
    check_equal(far.faults, [], f'the next hop at {HOST_IP} saw')


if __name__ == '__main__':
    main(setup)
