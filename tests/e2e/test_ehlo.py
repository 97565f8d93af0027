#!/usr/bin/python3
# limit: 120
"""What EHLO promises is kept to the end: LIMITS; REQUIRETLS, which outlives a crash and never leaves in clear."""
import json
import re

from dsn import Report, octets
from gateway import SLUICECTL, Counted, Gateway
from harness import HOST_IP, check, check_equal, main, run, wait_until
from mail import Client, plain, split_received
from test_tls import HOST, Secure, block, make_certificate
from sinks import Scripted

gw = far = near = None
ALL = ('PIPELINING', '8BITMIME', 'SIZE 100000000', 'DSN', 'SMTPUTF8')
BOOKS = 'xn--bcher-kva.example'


def setup(lab):
    global gw, far, near
    far = Scripted(lab, mode='rcpt')
    near = Scripted(lab, mode='rcpt', offers=ALL, port=2526)
    gw = Gateway(lab, relay={'networks': [], 'domains': ['example.org', BOOKS]},
                 **{'route_' + BOOKS: {'host': f'{HOST_IP}:2526'}}, smtp={'session_messages': 3, 'recipients': 4},
                 listener_submission={'kind': 'submission', 'port': 'net0', 'tcp_port': 587, 'tls': 'none'},
                 listener_untouched={'kind': 'submission', 'port': 'net0', 'tcp_port': 588, 'tls': 'none', 'repair': 'no'},
                 certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST))).start()


def test_limits(lab):
    with Client() as c, Counted(gw, 'smtp/refused_mails'):
        words = c.expect(c.command('EHLO client.example'), 250).text.split('\n')
        check('LIMITS MAILMAX=3 RCPTMAX=4' in words, words)
        check('REQUIRETLS' not in words, words)
        for n in range(3):
            check_equal(c.deliver('a@client.example', [f'limit-{n}@example.org'], plain(n)).code, 250, 'within MAILMAX')
        check_equal(c.command('MAIL FROM:<a@client.example>').code, 421, 'over MAILMAX')
        check(c.closed(), 'the session is over')
    with Client() as c:
        c.expect(c.command('EHLO client.example'), 250)
        check_equal(c.command('MAIL FROM:<a@client.example> REQUIRETLS').code, 555, 'in clear')
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        codes = [c.command(f'RCPT TO:<r{n}@example.org>').code for n in range(5)]
        check_equal(codes, [250] * 4 + [452], 'RCPTMAX')


def test_requiretls(lab):
    """Kept through a crash, shown to the operator; its next hop is never told of it in clear, its sender is told why."""
    far.down()
    with Secure() as c:
        check('REQUIRETLS' in c.hello().text.split('\n'), 'the offer inside TLS')
        reply = c.deliver('secret@client.example', ['closed@example.org'], plain(10), ' REQUIRETLS RET=FULL')
        check_equal(reply.code, 250, f'{reply}')
    number = reply.text.split()[-1]
    check('> requiretls\n' in gw.ctl('queue', 'show', number), 'queue show')
    gw.kill()
    dump = run(SLUICECTL, 'spool', 'dump', '--json', gw.blocks['spool']['path']).splitlines()
    check([json.loads(line)['requiretls'] for line in dump if number in line] == [True], f'spool dump: {dump}')
    gw.start()
    check('> requiretls\n' in gw.ctl('queue', 'show', number), 'after the crash')
    with Counted(gw, 'smtp_client/starttls_absent', at_least=1):
        far.up()
        wait_until(lambda: far.to('secret@client.example'), 60, 'the report')
    check_equal(far.to('closed@example.org'), [], 'sent in clear')
    report = Report(far.to('secret@client.example')[0])
    check_equal(report.one()['Status'], '5.7.30', 'Status')
    check_equal(len(report.types), 2, 'nothing of the message goes back')


def test_one_domain(lab):
    """U-labels and A-labels are one relay domain, one route and one destination."""
    same = ['one@xn--bcher-kva.example', octets('zwei@bücher.example'), octets('drei@BÜCHER.example')]
    with Client() as c:
        check_equal(c.deliver('a@client.example', same, plain(12), ' SMTPUTF8').code, 250, 'all of them')
        replies = c.envelope('a@client.example', [octets('x@büchner.example')], ' SMTPUTF8')
        check_equal([r.code for r in replies][1], 554, 'another domain')
    wait_until(lambda: near.messages, 30, 'the message')
    check_equal(len(near.messages), 1, 'one transaction for all of them')
    check_equal(len(near.messages[0].recipients), 3, f'{near.messages[0].recipients}')


def arrived(recipient, content, port):
    """What has become of the content on its way, without our Received field."""
    with Client(port=port) as c:
        check_equal(c.deliver('a@client.example', [recipient], content).code, 250, 'submitted')
    wait_until(lambda: far.to(recipient), 30, 'the message')
    return split_received(far.to(recipient)[0].content)[1]


def test_repair(lab):
    gw.change(relay={'networks': [f'{HOST_IP}/32']})
    gw.ctl('reload')
    whole = b'Date: Sat, 29 Feb 2020 12:34:56 +0000\r\nmessage-id: <x@y>\r\nTo: z@example.org\r\n\r\nBcc: body\r\n'
    check_equal(arrived('whole@example.org', whole, 587), whole, 'one that lacks nothing')
    bare = b'From: a@client.example\r\nBcc: hidden@example.org,\r\n\tmore@example.org\r\nTo: z@example.org\r\n\r\nhi\r\n'
    with Counted(gw, 'conn/repaired_bcc'), Counted(gw, 'conn/repaired_date'), Counted(gw, 'conn/repaired_message_id'):
        got = arrived('bare@example.org', bare, 587)
    match = re.fullmatch(rb'Date: \w{3}, [^\r]+ [+-]\d{4}\r\nMessage-ID: <\w+@mx.gateway.example>\r\n'
                         rb'From: a@client.example\r\nTo: z@example.org\r\n\r\nhi\r\n', got)
    check(match, f'repaired: {got!r}')
    check_equal(arrived('mx@example.org', bare, 25), bare, 'mail of other servers')
    check_equal(arrived('no@example.org', bare, 588), bare, 'repair = no')


def test_repair_over_buffers(lab):
    """Header sections that end at any place around the end of a buffer of 16 KiB, and longer ones; Bcc across it."""
    filler = b'X-Filler: ' + b'x' * 80 + b'\r\n'
    for n, size in enumerate((*range(15700, 16500, 37), 40000)):
        lines = filler * (size // len(filler))
        lines += b'X: ' + b'y' * (size - len(lines) + 3) + b'\r\n'
        content = lines + b'bCc: hidden@example.org,\r\n more@example.org\r\nX-Last: z\r\n\r\n' + plain(n, 3000)
        got = arrived(f'long-{n}@example.org', content, 587)
        check(got.startswith(b'Date: ') and b'\r\nMessage-ID: <' in got[:200], got[:300])
        want = lines + b'X-Last: z\r\n\r\n' + plain(n, 3000)
        check(got.endswith(b'>\r\n' + want) and len(got) - len(want) < 200, f'with {size} bytes: {got[-4000:]!r}')


def test_null_sender(lab):
    """One that nobody could be told of goes on without it."""
    with Secure() as c, Counted(gw, 'smtp_client/tls_waived'):
        c.hello()
        check_equal(c.deliver('', ['report@example.org'], plain(11), ' REQUIRETLS').code, 250, 'with the null sender')
        wait_until(lambda: far.to('report@example.org'), 30, 'the message')


if __name__ == '__main__':
    main(setup)
