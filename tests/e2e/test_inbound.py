#!/usr/bin/python3
# limit: 150
"""What is found out about clients and recipients before mail is taken: DNS lists, served by a real nsd, and whether the next
hop, a real Postfix, takes a recipient. What becomes of forwarded mail: senders rewritten and reports brought back, by that
Postfix's own bounce; lists, whose expansion is reported."""
import os
import time

from dsn import Report, send
from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, main, run, wait_until
from mail import Client, plain
from postfix import Postfix
from sinks import Scripted
from zones import Nsd, Silent

CLEAN, LISTED, WORSE, FRIEND, PARKED = '10.9.0.71', '10.9.0.72', '10.9.0.73', '10.9.0.74', '10.9.0.75'
SIX, SIX_CLEAN = 'fd00:9::bad', 'fd00:9::600d'
NSD, SILENT = ('127.0.0.1', 5310), ('127.0.0.1', 5311)


def reverse(address):
    return '.'.join(reversed(address.split('.')))


def reverse6(address):
    front, back = address.split('::')
    groups = front.split(':') + ['0'] * (8 - len(front.split(':')) - len(back.split(':'))) + back.split(':')
    return '.'.join(reversed(''.join(g.zfill(4) for g in groups)))


BLOCKED = (f'{reverse(LISTED)} A 127.0.0.2\n{reverse(LISTED)} TXT "see http://bl.lab/?ip" "=1"\n{reverse(WORSE)} A 127.0.0.2\n'
           f'{reverse(FRIEND)} A 127.0.0.2\n{reverse(PARKED)} A 192.0.2.1\n{reverse6(SIX)} A 127.0.0.3\n')
WORSE_ZONE = f'{reverse(WORSE)} A 127.0.0.10\n{reverse(WORSE)} TXT "worst of all"\n{reverse(CLEAN)} A 127.0.0.99\n'
ALIASES = ('away@example.org friend@far.example\ngone@example.org lost@bounce.example\n'
           'team@example.org alice@example.org, bob@example.org\n'
           '@catch.example alice@example.org\n')
gw = far = hop = silent = None


def setup(lab):
    global gw, far, hop, silent
    Nsd(lab, NSD, {'bl.lab': BLOCKED, 'worse.lab': WORSE_ZONE, 'white.lab': f'{reverse(FRIEND)} A 127.0.0.1\n'})
    silent = Silent(lab, SILENT)
    far = Scripted(lab, offers=('PIPELINING', '8BITMIME', 'SMTPUTF8', 'SIZE 100000000'))
    hop = Postfix(lab, listen={f'{HOST_IP}:2526': []})
    hop.main.update({
        'relay_domains': 'verify.example', 'relay_recipient_maps': hop.table('users', {'known@verify.example': 'x'}),
        'virtual_mailbox_domains': 'bounce.example', 'virtual_mailbox_maps': hop.table('boxes', {'lost@bounce.example': 'x'}),
        'virtual_transport': 'error:5.1.1 moved away', 'relayhost': f'[{GATEWAY_IP}]:25', 'bounce_queue_lifetime': '1h'})
    hop.write()
    gw = Gateway(lab)
    secret = os.path.join(gw.dir, 'srs.secret')
    with open(secret, 'w') as f:
        f.write('a secret of the test, long enough\n')
    os.chmod(secret, 0o600)
    aliases = os.path.join(gw.dir, 'aliases')
    with open(aliases, 'w') as f:
        f.write(ALIASES)
    gw.change(
        port_net0={'address': [f'{GATEWAY_IP}/24', 'fd00:9::1/64']},
        relay={'networks': [f'{HOST_IP}/32'], 'domains': ['example.org', 'catch.example', 'srs.example.org', 'verify.example',
                                                          'away.example', 'xn--bcher-kva.example']},
        dns={'stubs': [f'{zone}={NSD[0]}:{NSD[1]}' for zone in ('bl.lab', 'worse.lab', 'white.lab')] +
             [f'silent.lab={SILENT[0]}:{SILENT[1]}']},
        limits={'dns_list_threshold': 2, 'dns_list_timeout': '1s', 'unknown_recipients': 0},
        recipient={'aliases': [aliases], 'extension_propagate': True},
        srs={'domain': 'srs.example.org', 'secrets': [secret]},
        **{'dns_list bl': {'zone': 'bl.lab', 'weight': 2},
           'dns_list worse': {'zone': 'worse.lab', 'weight': 3, 'answers': ['127.0.0.[5..10]']},
           'dns_list white': {'zone': 'white.lab', 'weight': -2},
           'route_verify.example': {'host': f'{HOST_IP}:2526'}, 'route_away.example': {'host': f'{HOST_IP}:2527'},
           'route_bounce.example': {'host': f'{HOST_IP}:2526'}})
    gw.start()
    hop.start()
    for address in (CLEAN, LISTED, WORSE, FRIEND, PARKED):
        run('ip', 'addr', 'add', f'{address}/32', 'dev', 'gw0')
    with open('/proc/sys/net/ipv6/conf/gw0/disable_ipv6', 'w') as f:
        f.write('0')
    for address in (SIX, SIX_CLEAN):
        run('ip', '-6', 'addr', 'replace', f'{address}/64', 'dev', 'gw0', 'nodad')


def rcpt(source, recipient='alice@example.org', host=GATEWAY_IP):
    with Client(host=host, source=(source, 0)) as c:
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        return c.command(f'RCPT TO:<{recipient}>')


def blocked(client, by):
    return f'5.7.1 Service unavailable; Client host [{client}] blocked using {by}'


def test_lists(lab):
    with Counted(gw, 'dns_lists/refused', 3), Counted(gw, 'dns_lists/listed', 4):
        check_equal(rcpt(CLEAN).code, 250, 'in no list, or with an answer that does not count')
        reply = rcpt(LISTED)
        check_equal((reply.code, reply.text), (554, blocked(LISTED, 'bl.lab; see http://bl.lab/?ip=1')), 'reply')
        reply = rcpt(WORSE)
        check_equal((reply.code, reply.text), (554, blocked(WORSE, 'worse.lab; worst of all')), 'the one that weighs most')
        check_equal(rcpt(FRIEND).code, 250, 'a list of friends outweighs')
        check_equal(rcpt(PARKED).code, 250, 'an answer beyond 127.0.0.0/8 is none')
        check_equal(rcpt(LISTED).code, 554, 'known now')
    check_equal(gw.counter('dns_lists/cached'), 1, 'answers that were known')
    wait_until(lambda: f'client={LISTED}' in gw.log() and 'reason=Service unavailable; Client host' in gw.log(), 10, 'the log line')
    before = gw.counter('dns_lists/asked')
    with Client() as c:  # in a relay network
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        c.expect(c.command('RCPT TO:<x@anywhere.example>'), 250)
    check_equal(gw.counter('dns_lists/asked'), before, 'a relay network is not looked up')


def test_lists_ipv6(lab):
    wait_until(lambda: rcpt(SIX_CLEAN, host='fd00:9::1').code == 250, 20, 'IPv6 is there')
    reply = rcpt(SIX, host='fd00:9::1')
    check_equal((reply.code, reply.text), (554, blocked(SIX, 'bl.lab')), 'reply')


def test_a_list_that_is_silent(lab):
    """It weighs nothing, and holds the client up no longer than its time."""
    gw.change(**{'dns_list quiet': {'zone': 'silent.lab', 'weight': 5}})
    gw.ctl('reload')
    started = time.monotonic()
    with Counted(gw, 'dns_lists/failed', 2), Counted(gw, 'dns_lists/waited', 2):
        check_equal(rcpt(CLEAN).code, 250, 'nobody answers')
        check_equal(rcpt(LISTED).code, 554, 'the others count')
    check(time.monotonic() - started < 30, 'the time-out did not hold')
    check_equal(rcpt(CLEAN).code, 250, 'that it fails is kept for a while')
    gw.change(**{'dns_list quiet': None})
    gw.ctl('reload')
    check_equal(rcpt(PARKED).code, 250, 'asked anew by the new lists')


def test_the_next_hop_is_asked(lab):
    gw.change(recipient={'verify': 'next_hop', 'verify_timeout': '20s'})
    gw.ctl('reload')
    with Counted(gw, 'verify/probes', 2), Counted(gw, 'verify/deliverable'), Counted(gw, 'verify/undeliverable'):
        check_equal(rcpt(CLEAN, 'known@verify.example').code, 250, 'known')
        reply = rcpt(CLEAN, 'nobody@verify.example')
    check_equal(reply.code, 550, 'unknown')
    check(reply.text.startswith('5.1.1 <nobody@verify.example>: Recipient address rejected: undeliverable address: the next hop '
                                'said: 550 5.1.1 <nobody@verify.example>: Recipient address rejected: User unknown'), reply)
    before = gw.counter('verify/probes')
    with Counted(gw, 'verify/cached', 2):
        check_equal(rcpt(CLEAN, 'KNOWN@Verify.example').code, 250, 'known, spelled otherwise')
        check_equal(rcpt(CLEAN, 'nobody@verify.example').code, 550, 'unknown')
    check_equal(gw.counter('verify/probes'), before, 'asked once')
    check_equal(gw.counter('verify/kept_now'), 2, 'kept')
    check('from=<>' not in hop.log() or 'status=sent' not in hop.log(), 'a probe is no mail')
    gw.ctl('reload')  # forgets refusals: the user may have come meanwhile
    with Counted(gw, 'verify/probes'):
        check_equal(rcpt(CLEAN, 'nobody@verify.example').code, 550, 'asked again')
    check_equal(rcpt(CLEAN, 'away@example.org').code, 250, 'an alias is not asked for')


def test_the_next_hop_is_away(lab):
    reply = rcpt(CLEAN, 'third@away.example')
    check(reply.code == 450 and reply.text.startswith('4.1.1 <third@away.example>: Recipient address rejected: unverified address: '),
          reply)
    gw.change(recipient={'verify': 'no'})
    gw.ctl('reload')
    check_equal(rcpt(CLEAN, 'nobody@verify.example').code, 250, 'nobody is asked for it now')


def from_clean(sender, recipient, number, parameters=''):
    send(sender, [(recipient, parameters)], plain(number), client=Client(source=(CLEAN, 0)))


def test_forwarded(lab):
    with Counted(gw, 'policy/srs_rewritten'):
        from_clean('joe@sender.example', 'away@example.org', 1)
    wait_until(lambda: far.to('friend@far.example'), 30, 'the message')
    sender = far.to('friend@far.example')[0].sender
    check(sender.startswith('SRS0=') and sender.endswith('=sender.example=joe@srs.example.org'), sender)
    # A report comes back to who sent it, though his domain is not ours; nothing else does.
    with Client(source=(CLEAN, 0)) as c:
        check_equal(c.deliver('', [sender], plain(2)).code, 250, 'the report')
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        check_equal(c.command(f'RCPT TO:<{sender}>').code, 550, 'mail with a sender')
        c.command('RSET')
        c.expect(c.command('MAIL FROM:<>'), 250)
        for forged in (sender.replace('joe', 'eve'), sender.replace('sender.example', 'victim.example'),
                       'SRS0=AAAAAA=AA=victim.example=eve@srs.example.org'):
            check_equal(c.command(f'RCPT TO:<{forged}>').code, 550, forged)
    wait_until(lambda: far.to('joe@sender.example'), 30, 'the report at the sender')
    check_equal(gw.counter('policy/srs_forged'), 3, 'counter')


def test_forwarded_and_bounced(lab):
    """A real Postfix takes the forwarded message and bounces it later, to the rewritten address."""
    from_clean('jane@sender.example', 'gone@example.org', 3)
    wait_until(lambda: far.to('jane@sender.example'), 60, 'the bounce at the sender')
    got = far.to('jane@sender.example')[0]
    check_equal(got.sender, '', 'sender of the bounce')
    check(b'moved away' in got.content and b'SRS0=' in hop.log().encode(), got.content)


def test_list_success(lab):
    from_clean('list@sender.example', 'team@example.org', 4, 'NOTIFY=SUCCESS')
    wait_until(lambda: far.to('list@sender.example') and far.to('bob@example.org'), 30, 'the report and the message')
    report = Report(far.to('list@sender.example')[0])
    one = report.one()
    check_equal((one['Action'], one['Final-Recipient'], one['Status']), ('expanded', 'rfc822; team@example.org', '2.0.0'), 'report')
    check_equal(len(far.to('list@sender.example')), 1, 'reports')
    check(not far.to('team@example.org'), 'nothing is delivered to the list itself')


def test_extension_goes_on(lab):
    from_clean('x@sender.example', 'any+news@catch.example', 5)
    wait_until(lambda: far.to('alice+news@example.org'), 30, 'the message')


def test_queue_by_any_spelling(lab):
    far.down()
    with Client() as c:
        c.expect(c.command('MAIL FROM:<x@sender.example> SMTPUTF8'), 250)
        c.expect(c.command('RCPT TO:<y@b\u00fccher.example>'.encode().decode('latin-1')), 250)
        c.expect(c.command('DATA'), 354)
        c.send(plain(6) + b'.\r\n')
        c.expect(c.reply(), 250)
    wait_until(lambda: 'cher.example' in gw.ctl('queue', 'list'), 20, 'queued')
    for domain in ('xn--bcher-kva.example', 'XN--BCHER-KVA.example', 'B\u00dcCHER.example', 'b\u00fccher.example'):
        check('cher.example' in gw.ctl('queue', 'list', '--domain', domain), domain)
    check('cher.example' not in gw.ctl('queue', 'list', '--domain', 'bucher.example'), 'another domain')
    far.up()


def test_a_secret_that_many_read(lab):
    secret = gw.blocks['srs']['secrets'][0]
    os.chmod(secret, 0o644)
    check('at most mode 640' in gw.ctl('reload', ok=(1,)), 'reload')
    os.chmod(secret, 0o600)
    gw.ctl('reload')


if __name__ == '__main__':
    main(setup)
