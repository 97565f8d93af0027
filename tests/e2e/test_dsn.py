#!/usr/bin/python3
# limit: 240
"""DSN (RFC 3461) and SMTPUTF8 (RFC 6531) as clients and next hops see them: RET, ENVID, NOTIFY and ORCPT each
doing what it says, in reports and on the way; warnings of delay; the forms of RFC 6533."""
import email
import email.policy
import re

from dsn import Report, octets, send
from gateway import Counted, Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain, split_received
from sinks import Scripted

gw = far = new = None
ALL = ('PIPELINING', '8BITMIME', 'SIZE 100000000', 'DSN', 'SMTPUTF8')


def setup(lab):
    """Mail for new.example and sender.example goes to a next hop with DSN and SMTPUTF8, other mail to one without."""
    global gw, far, new
    far = Scripted(lab, mode='rcpt')
    new = Scripted(lab, mode='rcpt', offers=ALL, port=2526)
    route = {'host': f'{HOST_IP}:2526'}
    gw = Gateway(lab, relay={'domains': ['example.org', 'new.example']}, **{
        'route_new.example': route, 'route_sender.example': route})
    gw.start()


def queue(**settings):
    gw.change(queue=settings)
    gw.ctl('reload')


def empty():
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 60, 'the queue empty')


def report_to(sender, hop=None):
    hop = hop or far
    wait_until(lambda: hop.to(sender), 60, f'the report to {sender}')
    check_equal(len(hop.to(sender)), 1, f'reports to {sender}')
    return Report(hop.to(sender)[0])


def test_offered(lab):
    with Client() as c:
        words = c.command('EHLO client.example').text.split('\n')
        check('DSN' in words and 'SMTPUTF8' in words, words)


def test_identifiers(lab):
    """ENVID and ORCPT come back decoded."""
    send('ids@client.example', [('perm-i@example.org', 'ORCPT=rfc822;Old+2Bone@origin.example')], plain(1),
         'ENVID=QQ+2B314+3D159')
    report = report_to('ids@client.example')
    check_equal(report.about['Original-Envelope-Id'], 'QQ+314=159', 'Original-Envelope-Id')
    check_equal(report.one()['Original-Recipient'], 'rfc822; Old+one@origin.example', 'Original-Recipient')
    check_equal(report.one()['Final-Recipient'], 'rfc822; perm-i@example.org', 'Final-Recipient')


def test_ret_hdrs(lab):
    send('hdrs@client.example', ['perm-h@example.org'], plain(2), 'RET=HDRS')
    report = report_to('hdrs@client.example')
    check_equal(report.types[2], 'text/rfc822-headers', 'third part')
    head = plain(2).split(b'\r\n\r\n')[0] + b'\r\n'
    check_equal(split_received(report.raw(2))[1].rstrip(), head.rstrip(), 'the header section')
    check('The header of your message is attached' in report.text, report.text)


def test_ret_full_below(lab):
    body = plain(3, 45000)
    send('below@client.example', ['perm-b@example.org'], body, 'RET=FULL')
    report = report_to('below@client.example')
    check_equal(report.types[2], 'message/rfc822', 'third part')
    check_equal(split_received(report.raw(2))[1], body, 'the message')


def test_ret_full_above(lab):
    """O11: no report is larger than what it may quote."""
    body = plain(4, 60000)
    send('above@client.example', ['perm-a@example.org'], body, 'RET=FULL')
    report = report_to('above@client.example')
    check_equal(report.types[2], 'text/rfc822-headers', 'third part')
    check(len(report.octets) < 4000, f'the report has {len(report.octets)} bytes')
    check('too large to be sent back' in report.text, report.text)


def peak():
    with open(f'/proc/{gw.process.pid}/status') as f:
        return int(re.search(r'VmHWM:\s+(\d+) kB', f.read()).group(1))


def test_ret_full_large(lab):
    """A message of 16 MB goes back through few buffers: memory does not grow by it."""
    body = plain(5, 1000) + b'0123456789' * 9 + b'\r\n'
    body += (b'abcdefghi ' * 9 + b'\r\n') * 180000
    queue(dsn_quote='40M')
    send('s@client.example', ['ok-large@example.org'], body)
    wait_until(lambda: far.to('ok-large@example.org'), 60, 'the message')
    before = peak()
    send('large@client.example', ['perm-l@example.org'], body, 'RET=FULL')
    report = report_to('large@client.example')
    grown = peak() - before
    queue(dsn_quote=None)
    check_equal(report.types[2], 'message/rfc822', 'third part')
    check(split_received(report.raw(2))[1] == body, 'the message is as it was')
    check(grown < 6000, f'memory grew by {grown} kB for a report of {len(body) >> 10} kB')


def test_notify(lab):
    """To a next hop without DSN. Never, failure, success; each about two recipients, one of them refused."""
    def about(word):
        return [(f'{fate}-{word.lower()}@example.org', f'NOTIFY={word}') for fate in ('ok', 'perm')]
    with Counted(gw, 'courier/bounce_unwanted', 2), Counted(gw, 'courier/told_relayed', 1):
        for word in ('NEVER', 'FAILURE', 'SUCCESS'):
            send(f'{word.lower()}@client.example', about(word), plain(6))
        empty()
    check_equal(far.to('never@client.example'), [], 'reports with NEVER')
    check_equal(report_to('failure@client.example').actions(), {'perm-failure@example.org': 'failed'}, 'FAILURE')
    report = report_to('success@client.example')
    check_equal(report.actions(), {'ok-success@example.org': 'relayed'}, 'SUCCESS')
    check_equal(report.one()['Status'][0], '2', 'class of the status')
    check_equal(report.types[2], 'text/rfc822-headers', 'third part')
    check_equal(len(far.to('ok-success@example.org')), 1, 'deliveries')


def test_success_and_failure(lab):
    """Both in one report, in the words for each."""
    send('both@client.example', [(f'{fate}-both@example.org', 'NOTIFY=SUCCESS,FAILURE') for fate in ('ok', 'perm')],
         plain(7))
    report = report_to('both@client.example')
    check_equal(report.actions(), {'ok-both@example.org': 'relayed', 'perm-both@example.org': 'failed'}, 'told')
    check_equal(report.types[2], 'message/rfc822', 'third part')
    empty()


def test_success_without_asking(lab):
    before = len(far.messages)
    send('quiet@client.example', ['ok-quiet@example.org'], plain(8))
    empty()
    check_equal(len(far.messages), before + 1, 'messages')


def test_passed_on(lab):
    """A next hop with DSN gets all four as they were written, and answers for the rest itself."""
    parameters = 'NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+2Bb@origin.example'
    send('on@client.example', [('ok-on@new.example', parameters), ('ok-plain@new.example', '')], plain(9),
         'RET=HDRS ENVID=x+2By')
    empty()
    got = new.to('ok-on@new.example')
    check_equal(len(got), 1, 'deliveries')
    check('RET=HDRS' in got[0].options[0].split() and 'ENVID=x+2By' in got[0].options[0].split(), got[0].options)
    check_equal(sorted(got[0].options[1].split()), sorted(parameters.split()), 'parameters of RCPT')
    check_equal(got[0].options[2], '', 'parameters of the other RCPT')
    check_equal(far.to('on@client.example'), [], 'reports')


def test_refused_behind_dsn(lab):
    """What it refuses in the session is still ours to tell."""
    send('ours@client.example', [('perm-o@new.example', 'NOTIFY=FAILURE')], plain(10))
    check_equal(report_to('ours@client.example').actions(), {'perm-o@new.example': 'failed'}, 'told')


def warned(sender):
    wait_until(lambda: far.to(sender), 60, f'the warning to {sender}')
    return Report(far.to(sender)[0])


def attempts(address, cnt):
    def tried():
        found = re.search(rf'to=<{re.escape(address)}> .*attempts=(\d+)', gw.ctl('queue', 'list'))
        return found and int(found.group(1)) >= cnt
    wait_until(tried, 60, f'{cnt} attempts for {address}')


def test_delay(lab):
    """A warning after warn_after, once for a message, also after kill -9; not where it is not wanted."""
    queue(warn_after='2s')
    send('slow@client.example', ['temp-1@example.org', ('temp-2@example.org', 'NOTIFY=DELAY')], plain(11))
    send('', ['temp-3@example.org'], plain(12))
    send('mixed@client.example', ['temp-4@example.org', ('temp-5@example.org', 'NOTIFY=FAILURE'),
                                  ('temp-6@example.org', 'NOTIFY=NEVER')], plain(12))
    report = warned('slow@client.example')
    check_equal(report.actions(), {'temp-1@example.org': 'delayed', 'temp-2@example.org': 'delayed'}, 'told')
    check('4.2.1' in [r['Status'] for r in report.recipients], 'status')
    check('asleep' in ' '.join(r['Diagnostic-Code'] for r in report.recipients), 'the words of the server')
    for r in report.recipients:
        check_equal(r['Status'][:2], '4.', 'status')
        check('Will-Retry-Until' in r, 'Will-Retry-Until')
    check_equal(report.types[2], 'text/rfc822-headers', 'third part')
    check_equal(str(report.message['Subject']), 'Your message is delayed', 'Subject')
    check('you need not send it again' in report.text, report.text)
    check_equal(warned('mixed@client.example').actions(), {'temp-4@example.org': 'delayed'}, 'told')
    attempts('temp-1@example.org', 4)
    gw.kill()
    gw.start()
    attempts('temp-1@example.org', 7)
    check_equal(len(far.to('slow@client.example')), 1, 'warnings')
    far.mode = 'ok'
    empty()
    far.mode = 'rcpt'
    check_equal([len(far.to(f'temp-{i}@example.org')) for i in range(1, 7)], [1] * 6, 'deliveries')
    check_equal([len(far.to(f'{w}@client.example')) for w in ('slow', 'mixed')], [1, 1], 'reports at the end')


def test_delay_without_a_reply(lab):
    """The next hop is down: there is no reply to tell of."""
    send('down@sender.example', ['x-down@example.org'], plain(13))
    far_messages = len(far.messages)
    wait_until(lambda: len(far.messages) > far_messages, 60, 'the first goes through')
    far.down()
    send('down@sender.example', ['y-down@example.org'], plain(14))
    report = report_to('down@sender.example', new)
    check_equal(report.actions(), {'y-down@example.org': 'delayed'}, 'told')
    check_equal(report.one()['Status'][:2], '4.', 'status')
    check_equal(report.one().get('Remote-MTA'), None, 'Remote-MTA')
    far.up()
    empty()


def test_delay_off(lab):
    queue(warn_after='0')
    send('off@client.example', ['temp-off@example.org'], plain(15))
    attempts('temp-off@example.org', 4)
    far.mode = 'ok'
    empty()
    far.mode = 'rcpt'
    queue(warn_after=None)
    check_equal(far.to('off@client.example'), [], 'warnings')


def test_utf8(lab):
    """A message of RFC 6531 refused by a next hop that has SMTPUTF8: the report has the forms of RFC 6533."""
    body = 'From: <j\u00f6rg@sender.example>\r\nSubject: Gr\u00fc\u00dfe\r\n\r\nHallo \u2713\r\n'.encode()
    send('j\u00f6rg@sender.example', [('perm-\u00e4@new.example', 'ORCPT=utf-8;\u00e4@origin.example')], body,
         'SMTPUTF8 BODY=8BITMIME')
    name = octets('j\u00f6rg@sender.example')
    wait_until(lambda: new.to(name), 60, 'the report')
    got = new.to(name)[0]
    check_equal(email.message_from_bytes(got.content, policy=email.policy.SMTPUTF8)['To'].encode(
        'utf-8', 'surrogateescape').decode(), 'j\u00f6rg@sender.example', 'To')
    check('SMTPUTF8' in got.options[0].split() and 'BODY=8BITMIME' in got.options[0].split(), got.options)
    report = Report(got)
    check_equal(report.types[1:], ['message/global-delivery-status', 'message/global'], 'parts')
    check_equal(report.one()['Final-Recipient'], 'utf-8; perm-\u00e4@new.example', 'Final-Recipient')
    check_equal(report.one()['Original-Recipient'], 'utf-8; \u00e4@origin.example', 'Original-Recipient')
    check(report.raw(2).endswith(body), 'the message in the report')
    empty()


def test_utf8_next_hop_without(lab):
    """RFC 6531 section 3.2: it is returned, not changed."""
    send('utf@sender.example', ['\u00fc@example.org'], plain(16), 'SMTPUTF8')
    report = report_to('utf@sender.example', new)
    r = report.one()
    check_equal((r['Action'], r['Status']), ('failed', '5.6.7'), 'action and status')
    check('SMTPUTF8' in report.text, report.text)
    check_equal(report.types[1], 'message/global-delivery-status', 'second part')
    empty()


def test_ends_well(lab):
    empty()
    check_equal(far.faults + new.faults, [], 'faults of the SMTP client')
    check(gw.alive(), 'the gateway runs')


if __name__ == '__main__':
    main(setup)
