#!/usr/bin/python3
# limit: 120
"""Recipients refused for good: the sender's report, read by Python's email package."""
import email
import email.policy

from gateway import Counted, Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab, mode='rcpt')
    gw = Gateway(lab).start()


def send(sender, *recipients):
    with Client() as c:
        check_equal(c.deliver(sender, recipients, plain(1)).code, 250, 'the gateway takes it')


def empty():
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 30, 'the queue empty')


def test_report(lab):
    """One of two refused: the other has the mail, the sender has a report about the one."""
    with Counted(gw, 'courier/bounces', 1):
        send('s@client.example', 'good@example.org', 'perm-x@example.org')
        wait_until(lambda: far.to('s@client.example'), 30, 'the report')
    empty()
    check_equal(len(far.to('good@example.org')), 1, 'deliveries to good')
    check_equal(len(far.to('s@client.example')), 1, 'reports')
    got = far.to('s@client.example')[0]
    check_equal(got.sender, '', 'sender of the report')
    m = email.message_from_bytes(got.content, policy=email.policy.default)
    check_equal(m.get_content_type(), 'multipart/report', 'type')
    check_equal(m.get_param('report-type'), 'delivery-status', 'kind of report')
    check_equal(m.defects, [], 'defects')
    parts = list(m.iter_parts())
    check_equal([p.get_content_type() for p in parts],
                ['text/plain', 'message/delivery-status', 'text/rfc822-headers'], 'parts')
    message, *recipients = parts[1].get_payload()
    check('Reporting-MTA' in message, 'Reporting-MTA')
    check_equal(len(recipients), 1, 'recipients told of')
    r = recipients[0]
    check_equal(r['Final-Recipient'].replace(' ', ''), 'rfc822;perm-x@example.org', 'Final-Recipient')
    check_equal((r['Action'], r['Status']), ('failed', '5.1.1'), 'action and status')
    check('550' in r['Diagnostic-Code'] and 'no such user' in r['Diagnostic-Code'], r['Diagnostic-Code'])
    check('Received:' in parts[2].get_content(), 'the header section of the original')


def test_null_sender(lab):
    with Counted(gw, 'courier/bounce_double', 1):
        send('', 'perm-d@example.org')
        empty()


def test_report_refused(lab):
    """A report that fails for good is dropped."""
    with Counted(gw, 'courier/bounce_double', 1):
        send('perm-sender@client.example', 'perm-r@example.org')
        empty()


def test_stays_up(lab):
    check_equal(far.faults, [], 'faults of the SMTP client')
    check(gw.alive(), 'the gateway runs')


if __name__ == '__main__':
    main(setup)
