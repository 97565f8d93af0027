#!/usr/bin/python3
# limit: 60
"""O10: addresses and header fields beyond ASCII, and reports about them (RFC 6531 to 6533), to next hops with SMTPUTF8, without
it, and without 8BITMIME: what can be said in ASCII is, what cannot fails with 5.6.7, nothing is changed in silence."""
import json
import re

from dsn import Report, octets, send
from gateway import Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

new = old = seven = gw = None
IDN, ALABEL = 'bücher', 'xn--bcher-kva'
BODY = 'From: <jörg@sender.example>\r\nSubject: Grüße\r\n\r\nHallo ✓\r\n'.encode()


def setup(lab):
    """Mail for new.example goes to a next hop with all there is, for old.example and reports to one with 8BITMIME and DSN, for
    seven.example to one with neither."""
    global gw, new, old, seven
    new = Scripted(lab, mode='rcpt', port=2526, offers=('PIPELINING', '8BITMIME', 'SIZE 100000000', 'DSN', 'SMTPUTF8'))
    old = Scripted(lab, mode='rcpt', port=2527, offers=('PIPELINING', '8BITMIME', 'SIZE 100000000', 'DSN'))
    seven = Scripted(lab, mode='rcpt', port=2528, offers=('PIPELINING', 'SIZE 100000000'))
    routes = {}
    for name, port in (('new', 2526), ('old', 2527), ('seven', 2528)):
        for domain in (f'{name}.example', f'.{name}.example'):
            routes[f'route_{domain}'] = {'host': f'{HOST_IP}:{port}'}
    gw = Gateway(lab, relay={'networks': [f'{HOST_IP}/32']}, route_default={'host': None, 'private_networks': []}, **routes)
    gw.start()


def arrived(hop, address):
    wait_until(lambda: hop.to(address), 30, f'mail for {address}')
    check_equal(len(hop.to(address)), 1, f'mail for {address}')
    return hop.to(address)[0]


def empty():
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), 30, 'the queue empty')


def test_local_parts(lab):
    """Recipients whose local part is beyond ASCII fail alone, the others have the message once; a sender's fails it for all."""
    names = ['one@old.example', 'ä@old.example', 'ö@old.example', 'two@old.example']
    send('s1@old.example', names, plain(1), 'SMTPUTF8')
    report = Report(arrived(old, 's1@old.example'))
    check_equal({r['Final-Recipient']: (r['Action'], r['Status']) for r in report.recipients},
                {f'utf-8; {name}': ('failed', '5.6.7') for name in names[1:3]}, 'told of')
    check('SMTPUTF8' in report.text, report.text)
    for name in (names[0], names[3]):
        got = arrived(old, name)
        check('SMTPUTF8' not in str(got.options), f'{got.options}')
    send('jörg@new.example', ['three@old.example', 'four@old.example'], plain(2), 'SMTPUTF8')
    report = Report(arrived(new, octets('jörg@new.example')))
    check_equal([(r['Action'], r['Status']) for r in report.recipients], [('failed', '5.6.7')] * 2, 'told of')
    check_equal(old.to('three@old.example') + old.to('four@old.example'), [], 'with a sender that cannot be said')
    for name in names:
        send('s2@new.example', [name.replace('old', 'new')], plain(3), 'SMTPUTF8')
        arrived(new, octets(name.replace('old', 'new')))
    empty()


def test_header_fields(lab):
    """Beyond ASCII they fail it, whatever the envelope is."""
    for hop, number in (('old', 4), ('seven', 5)):
        send(f'h{number}@new.example', [f'h@{hop}.example'], BODY, 'SMTPUTF8 BODY=8BITMIME')
        check_equal(Report(arrived(new, f'h{number}@new.example')).one()['Status'], '5.6.7', hop)
    check_equal(old.to('h@old.example') + seven.to('h@seven.example'), [], 'delivered')


def test_domains(lab):
    """Mail that is ASCII but for its domains goes with A-labels, also ORCPT has a form in ASCII; with SMTPUTF8 it goes as it is."""
    def envelope(hop, name):
        send(f'a@{IDN}.old.example', [(f'b@{IDN}.{name}.example', 'ORCPT=utf-8;b@ä✓.example')], plain(6), 'SMTPUTF8')
        wait_until(lambda: any(m.sender.startswith('a@') for m in hop.messages), 30, f'mail for {name}')
        return [m for m in hop.messages if m.sender.startswith('a@')][0]
    for hop, name in ((old, 'old'), (seven, 'seven')):
        got = envelope(hop, name)
        check_equal((got.sender, got.recipients), (f'a@{ALABEL}.old.example', [f'b@{ALABEL}.{name}.example']), name)
        check('SMTPUTF8' not in got.options[0], f'{got.options}')
    check_equal(old.to(f'b@{ALABEL}.old.example')[0].options[1], ' ORCPT=utf-8;b@\\x{E4}\\x{2713}.example', 'ORCPT')
    got = envelope(new, 'new')
    check_equal((got.sender, got.recipients), (octets(f'a@{IDN}.old.example'), [octets(f'b@{IDN}.new.example')]), 'as it is')
    check_equal(got.options[1], octets(' ORCPT=utf-8;b@ä✓.example'), 'ORCPT as it is')


def test_limits_of_a_label(lab):
    """63 bytes of a label and 253 of a name are those of A-labels: over them there is no such domain, and the sender is told."""
    fits = f'x@{"a" * 55}ä.old.example'
    send('l0@old.example', [fits], plain(7), 'SMTPUTF8')
    arrived(old, f'x@xn--{"a" * 55}-uve.old.example')
    send('l1@old.example', [f'x@{"ä." * 29}old.example'], plain(7), 'SMTPUTF8')  # 29 * 8 + 11 = 243
    arrived(old, f'x@{"xn--4ca." * 29}old.example')
    for number, domain in (('2', f'{"a" * 56}ä.old.example'), ('3', f'{"ä." * 31}old.example')):
        check(len(domain.encode()) < 120, 'short as it is written')
        send(f'l{number}@old.example', [f'x@{domain}'], plain(8), 'SMTPUTF8')
        got = Report(arrived(old, f'l{number}@old.example')).one()
        check_equal((got['Action'], got['Status']), ('failed', '5.1.2'), domain)


def test_reports(lab):
    """RFC 6533 section 4.1: to where there is no SMTPUTF8 their parts are encoded, with 8BITMIME or without; decoded they are what
    they are for others. A sender whose domain alone is beyond ASCII has one."""
    content = {}
    for hop, domain in ((new, 'new'), (old, 'old'), (seven, 'seven')):
        send(f'r@{domain}.example', ['perm-ä@new.example'], BODY, 'SMTPUTF8 BODY=8BITMIME')
        got = arrived(hop, f'r@{domain}.example')
        report = Report(got)
        check_equal(report.types[1:], ['message/global-delivery-status', 'message/global'], f'parts for {domain}')
        check_equal(report.one()['Final-Recipient'], 'utf-8; perm-ä@new.example', f'Final-Recipient for {domain}')
        check_equal(report.octets.isascii(), domain != 'new', f'7-bit for {domain}')
        check_equal(('SMTPUTF8' in got.options[0], 'BODY=8BITMIME' in got.options[0]), (domain == 'new', domain == 'new'), f'{got.options}')
        content[domain] = re.sub(rb'(?s)^.*?\r\n(?=From: )', b'', report.raw(2)).rstrip()
    check_equal(set(content.values()), {BODY.rstrip()}, 'the message in the report')
    send(f'r@{IDN}.old.example', ['perm-ö@new.example'], BODY, 'SMTPUTF8 BODY=8BITMIME')
    report = Report(arrived(old, f'r@{ALABEL}.old.example'))
    check_equal(report.one()['Final-Recipient'], 'utf-8; perm-ö@new.example', 'to an IDN domain')


def test_lists(lab):
    """What waits is listed with its addresses as they are, as text and as JSON; the filters take them so, too."""
    send('jörg@new.example', ['temp-ä✓@new.example'], plain(10), 'SMTPUTF8')
    got = wait_until(lambda: [json.loads(line) for line in gw.ctl('queue', 'list', '--json', '--sender', 'jörg@new.example').splitlines()], 30,
                     'a deferred message')[0]
    check_equal((got['sender'], got['recipients'][0]['to']), ('jörg@new.example', 'temp-ä✓@new.example'), 'as JSON')
    text = gw.ctl('queue', 'list')
    check('jörg@new.example' in text and 'temp-ä✓@new.example' in text, text)
    wait_until(lambda: 'deleted 1' in gw.ctl('queue', 'delete', '--sender', 'jörg@new.example', ok=(0, 1)), 30, 'deleted by its address')
    empty()


def test_report_that_cannot_go(lab):
    """To a sender who can be told by SMTPUTF8 alone, at a next hop without: it is given up, once, and nothing waits for ever."""
    before = gw.counter('smtp_client/not_utf8')
    send('jörg@old.example', ['perm-ä@new.example'], BODY, 'SMTPUTF8 BODY=8BITMIME')
    wait_until(lambda: re.search(r'failed .*J?j\S*rg@old\.example.* 5\.6\.7 ', gw.log()), 30, 'the report failed')
    empty()
    check_equal(gw.counter('smtp_client/not_utf8') - before, 1, 'counted')


def test_clean(lab):
    check_equal(new.faults + old.faults + seven.faults, [], 'faults of the SMTP client')
    beyond = [m.sender for hop in (old, seven) for m in hop.messages if not (m.sender + str(m.recipients) + str(m.options)).isascii()]
    check_equal(beyond, [], 'said beyond ASCII')
    with Client() as c:
        check_equal(c.deliver('s@new.example', ['end@old.example'], plain(9)).code, 250, 'mail goes on')
    arrived(old, 'end@old.example')
    check_equal(gw.stop(), 0, 'status')


if __name__ == '__main__':
    main(setup)
