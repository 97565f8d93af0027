#!/usr/bin/python3
# limit: 180
"""Recipients refused for good: the sender's report, read by Python's email package."""
import random
import time

from dsn import Report, send
from gateway import Counted, Gateway
from harness import check, check_equal, main, wait_until
from mail import plain, split_received
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab, mode='rcpt')
    gw = Gateway(lab).start()


def empty():
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 60, 'the queue empty')


def report_to(sender):
    wait_until(lambda: far.to(sender), 60, f'the report to {sender}')
    check_equal(len(far.to(sender)), 1, f'reports to {sender}')
    return Report(far.to(sender)[0])


def test_report(lab):
    """One of two refused: the other has the mail, the sender has a report about the one, with the message."""
    with Counted(gw, 'courier/bounces', 1), Counted(gw, 'courier/told_failed', 1):
        send('s@client.example', ['good@example.org', 'perm-x@example.org'], plain(1))
        report = report_to('s@client.example')
    empty()
    check_equal(len(far.to('good@example.org')), 1, 'deliveries to good')
    check_equal(report.types[1:], ['message/delivery-status', 'message/rfc822'], 'parts')
    r = report.one()
    check_equal(r['Final-Recipient'], 'rfc822; perm-x@example.org', 'Final-Recipient')
    check_equal((r['Action'], r['Status']), ('failed', '5.1.1'), 'action and status')
    check_equal(r['Remote-MTA'], 'dns; 10.9.0.2', 'Remote-MTA')
    check_equal(r['Diagnostic-Code'], 'smtp; 550 5.1.1 no such user', 'Diagnostic-Code')
    check_equal(split_received(report.raw(2))[1], plain(1), 'the message in the report')
    check('Your message is attached' in report.text, report.text)


def test_three_fates(lab):
    """Of one message: delivered, deferred, failed; the report tells of the last alone, at once."""
    send('fates@client.example', ['good-f@example.org', 'temp-f@example.org', 'perm-f@example.org'], plain(2))
    check_equal(report_to('fates@client.example').actions(), {'perm-f@example.org': 'failed'}, 'told')
    check('temp-f@example.org' in gw.ctl('queue', 'list'), 'the deferred one is in the queue')
    far.mode = 'ok'
    wait_until(lambda: far.to('temp-f@example.org'), 60, 'the deferred one delivered')
    far.mode = 'rcpt'
    empty()
    check_equal([len(far.to(f'{w}-f@example.org')) for w in ('good', 'temp', 'perm')], [1, 1, 0], 'deliveries')
    check_equal(len(far.to('fates@client.example')), 1, 'reports')


def test_hundred(lab):
    """A hundred recipients, all refused: one report."""
    names = [f'perm-{i}@example.org' for i in range(100)]
    send('hundred@client.example', names, plain(3))
    report = report_to('hundred@client.example')
    check_equal(report.actions(), dict.fromkeys(names, 'failed'), 'told')
    check_equal(split_received(report.raw(2))[1], plain(3), 'the message in the report')
    empty()


def test_looks_like_a_report(lab):
    """Words of a report in the body make none of it: its sender hears of it. And each report has a name of its own."""
    body = plain(8) + b'Content-Type: multipart/report; report-type=delivery-status\r\n\r\nFrom: MAILER-DAEMON\r\n'
    send('words@client.example', ['perm-w@example.org'], body)
    check_equal(report_to('words@client.example').actions(), {'perm-w@example.org': 'failed'}, 'told')
    empty()
    names = [Report(m).message['Message-ID'] for m in far.messages if m.sender == '']
    check(len(names) > 2 and len(set(names)) == len(names), f'Message-IDs: {names}')


def test_null_sender(lab):
    """O11: what has no sender has no report."""
    with Counted(gw, 'courier/bounce_double', 1):
        send('', ['perm-d@example.org'], plain(4))
        empty()
    check_equal(far.to(''), [], 'reports')


def test_report_refused(lab):
    """O11: a report that fails for good is dropped."""
    with Counted(gw, 'courier/bounces', 1), Counted(gw, 'courier/bounce_double', 1):
        send('perm-sender@client.example', ['perm-r@example.org'], plain(5))
        empty()


def test_expired(lab):
    """Deferred for longer than its lifetime: failed, in words that say so."""
    gw.change(queue={'lifetime': '1s'})
    gw.ctl('reload')
    send('late@client.example', ['temp-late@example.org'], plain(6))
    report = report_to('late@client.example')
    gw.change(queue={'lifetime': None})
    gw.ctl('reload')
    r = report.one()
    check_equal((r['Action'], r['Status']), ('failed', '4.2.1'), 'action and status')
    check('not be delivered in time' in report.text, report.text)
    check('asleep' in r['Diagnostic-Code'], r['Diagnostic-Code'])
    empty()


def test_bad_form(lab):
    """A line like a boundary, one without an end, and octets over 127 that nobody announced."""
    body = plain(7) + b'--=_0123456789abcdef\r\n' + b'x' * 2000 + b'\r\n' + b'caf\xe9\r\n'
    send('form@client.example', ['perm-form@example.org'], body)
    report = report_to('form@client.example')
    check_equal(report.types[2], 'message/rfc822', 'the message')
    got = split_received(report.raw(2))[1]
    check_equal(got.replace(b'x\r\nx', b'xx'), body.replace(b'\xe9', b'?'), 'the message in the report')
    empty()


def test_killed(lab):
    """kill -9 between the failure and its report, again and again: each sender has one in the end, and only
    what was under way at a kill is told twice."""
    chance = random.Random(5)
    senders = []
    for number in range(6):
        far.down()
        names = [f'k{number}-{i}@client.example' for i in range(10)]
        for name in names:
            send(name, ['perm-k@example.org'], plain(100 + number))
        far.up()
        gw.ctl('queue', 'flush')
        time.sleep(chance.random() * 0.3)
        gw.kill()
        gw.start()
        senders += names
    wait_until(lambda: all(far.to(s) for s in senders), 60, 'reports')
    empty()
    counts = [len(far.to(s)) for s in senders]
    print(f'# {len(senders)} failed, {sum(counts)} reports', flush=True)
    check(all(n <= 3 for n in counts), f'reports for one failure: {max(counts)}')
    for s in senders:
        for m in far.to(s):
            check_equal(Report(m).actions(), {'perm-k@example.org': 'failed'}, f'told {s}')


def test_stays_up(lab):
    check_equal(far.faults, [], 'faults of the SMTP client')
    check(gw.alive(), 'the gateway runs')


if __name__ == '__main__':
    main(setup)
