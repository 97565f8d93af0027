#!/usr/bin/python3
# limit: 180
"""1,000 messages over 50 connections, compared byte for byte at the far side."""
from bodies import samples, sized, special
from gateway import Gateway
from harness import Skip, check, check_equal, main, wait_until
from mail import Client, Ledger, Load, plain, split_received, stuffed
from sinks import Aiosmtpd, Scripted

COUNT, CONNECTIONS, LARGE_BYTES = 1000, 50, 25 << 20
gw = far = aio = None


def setup(lab):
    global gw, far, aio
    far, aio = Scripted(lab, port=2525), Aiosmtpd(lab, port=2526)
    gw = Gateway(lab, spool={'size': '512M'}, **{'route_aio.example': {'host': '10.9.0.2:2526'}}).start()


def mixed(number):
    """Mostly ordinary mail; every tenth message is one of the special ones or a real sample."""
    odd = mixed.odd
    content = odd[number // 10 % len(odd)] if number % 10 == 0 else plain(number, 200 + number * 37 % 9000)
    domain = 'aio.example' if number % 4 == 1 else 'example.org'
    return 's@client.example', f'm{number}@{domain}', content


mixed.odd = list(special().values()) + list(samples().values())


def test_thousand_messages(lab):
    ledger = Ledger()
    load = Load(ledger, mixed, range(COUNT), CONNECTIONS)
    check_equal(load.join(100), [], 'errors of clients')
    check_equal(len(ledger.acked), COUNT, 'acknowledged')
    wait_until(lambda: len(far.messages) + len(aio.messages) >= COUNT, 60, f'{COUNT} messages at the next hops')
    ledger.audit(far.messages + aio.messages)
    check_equal(far.faults, [], 'faults of the SMTP client')
    check_equal(gw.counter('spool/reads'), 0, 'records read back from the disk for a first delivery')
    check(gw.counter('spool/reads_memory') >= COUNT, 'not every message was read from memory')


def test_large(lab):
    """25 MB, to each kind of next hop."""
    content = sized(LARGE_BYTES)
    check_equal(len(content), LARGE_BYTES, 'size of the test message')
    with Client(timeout=60) as c:
        for recipient in ('large@example.org', 'large@aio.example'):
            reply = c.deliver('s@client.example', [recipient], content, f' SIZE={len(content)} BODY=8BITMIME')
            check_equal(reply.code, 250, f'{recipient}: {reply}')
    for sink, recipient in ((far, 'large@example.org'), (aio, 'large@aio.example')):
        wait_until(lambda: sink.to(recipient), 60, f'message for {recipient}')
        check(split_received(sink.to(recipient)[0].content)[1] == content, f'bytes of {recipient} differ')


def test_each_special_body(lab):
    """One by one, so that a failure has its name."""
    for number, (name, content) in enumerate(special().items()):
        recipient = f'special{number}@example.org'
        with Client() as c:
            reply = c.deliver('s@client.example', [recipient], content, ' BODY=8BITMIME')
            check_equal(reply.code, 250, f'{name}: {reply}')
        wait_until(lambda: far.to(recipient), 30, f'{name} at the next hop')
        check(split_received(far.to(recipient)[0].content)[1] == content, f'{name}: bytes differ')


def test_split_anywhere(lab):
    """The same session in pieces of each small size: replies and bytes do not depend on the cut."""
    content = b'Subject: cut\r\n\r\n.\r\n..\r\n\r\nx\r\n'
    for piece in (1, 2, 3, 7):
        recipient = f'cut{piece}@example.org'
        session = f'MAIL FROM:<s@client.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n'.encode() + stuffed(content)
        with Client() as c:
            for i in range(0, len(session), piece):
                c.send(session[i:i + piece])
            check_equal([c.reply().code for _ in range(4)], [250, 250, 354, 250], f'replies in pieces of {piece}')
        wait_until(lambda: far.to(recipient), 30, recipient)
        check_equal(split_received(far.to(recipient)[0].content)[1], content, f'content in pieces of {piece}')


def test_samples_of_real_mail(lab):
    if not samples():
        raise Skip("Python's e-mail test data is not unpacked and tests/data/mime is empty")
    for number, (name, content) in enumerate(samples().items()):
        recipient = f'sample{number}@aio.example'
        with Client() as c:
            check_equal(c.deliver('s@client.example', [recipient], content, ' BODY=8BITMIME').code, 250, name)
        wait_until(lambda: aio.to(recipient), 30, f'{name} at the next hop')
        check(split_received(aio.to(recipient)[0].content)[1] == content, f'{name}: bytes differ')


def test_nothing_left(lab):
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 30, 'empty queue')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
