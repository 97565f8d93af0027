#!/usr/bin/python3
# limit: 120
"""swaks, smtplib and smtp-source deliver through the gateway to aiosmtpd and to smtp-sink; the Received
field is right and nothing else has changed."""
import email.utils
import re
import smtplib
import time

from gateway import Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, find_program, main, run, wait_until
from mail import Client, split_received
from sinks import Aiosmtpd, SmtpSink

gw = aio = sink = None
BODY = 'first line\r\n.leading dot\r\n..\r\nGr\u00fc\u00dfe\r\nlast line\r\n'


def setup(lab):
    global gw, aio, sink
    aio = Aiosmtpd(lab, port=2525)
    gw = Gateway(lab, **{'route_sink.example': {'host': f'{HOST_IP}:2526'},
                         'relay': {'domains': ['example.org', 'sink.example']}}).start()


def received(content, recipient, extended=True, helo=None):
    field, rest = split_received(content)
    check_equal(field['client'].decode(), HOST_IP, "client's address")
    check_equal(field['by'].decode(), 'mx.gateway.example', 'by')
    check_equal(field['with'].decode(), 'ESMTP' if extended else 'SMTP', 'with')
    check_equal((field['for'] or b'').decode(), recipient, 'for')
    if helo is not None:
        check_equal(field['helo'].decode(), helo, 'from')
    date = email.utils.parsedate_to_datetime(field['date'].decode()).timestamp()
    check(abs(date - time.time()) < 3600, f"date {field['date']} is not now")
    return rest


def arrived(recipient):
    """The one message for the recipient at aiosmtpd."""
    found = wait_until(lambda: aio.to(recipient), 30, f'message for {recipient}')
    check_equal(len(found), 1, f'messages for {recipient}')
    return found[0]


def smtp_sink(lab):
    global sink
    if sink is None:
        sink = SmtpSink(lab, port=2526)
    return sink


def sink_message(lab, mark, count):
    """The message that has the mark, at smtp-sink, which has got count in all."""
    s = smtp_sink(lab)
    found = [d for d in s.wait(count) if mark in d]
    check_equal(len(found), 1, f'dumps with {mark}')
    return s.content(found[0])


def test_smtplib(lab):
    message = ('From: <a@client.example>\r\nTo: <smtplib@example.org>\r\nSubject: smtplib\r\n\r\n' + BODY).encode()
    with smtplib.SMTP(GATEWAY_IP, 25, 'client.example', timeout=30) as s:
        code, text = s.ehlo()
        for word in (b'PIPELINING', b'SIZE 52428800', b'8BITMIME', b'CHUNKING', b'ENHANCEDSTATUSCODES'):
            check(word in text.split(b'\n'), f'EHLO does not offer {word}: {text}')
        s.sendmail('a@client.example', ['smtplib@example.org'], message, mail_options=['BODY=8BITMIME'])
    m = arrived('smtplib@example.org')
    check_equal(received(m.content, 'smtplib@example.org', helo='client.example'), message, 'content')
    check_equal(m.sender, 'a@client.example', 'sender')
    check_equal(m.helo, 'mx.gateway.example', "gateway's HELO")
    check('BODY=8BITMIME' in m.options, f'declared as {m.options}')


def test_smtplib_helo(lab):
    with smtplib.SMTP(GATEWAY_IP, 25, timeout=30) as s:
        s.helo('old.example')
        s.mail('a@client.example')
        s.rcpt('helo@example.org')
        s.data(b'Subject: helo\r\n\r\nbody\r\n')
    m = arrived('helo@example.org')
    check_equal(received(m.content, 'helo@example.org', False, 'old.example'), b'Subject: helo\r\n\r\nbody\r\n', 'content')


def test_several_recipients(lab):
    """No "for" when there is more than one: it would tell each of the others."""
    with smtplib.SMTP(GATEWAY_IP, 25, timeout=30) as s:
        s.sendmail('', ['both1@example.org', 'both2@example.org'], b'Subject: two\r\n\r\nbody\r\n')
    m = arrived('both1@example.org')
    check_equal(sorted(m.recipients), ['both1@example.org', 'both2@example.org'], 'recipients in one transaction')
    check_equal(m.sender, '', 'null sender')
    received(m.content, '')


def test_commands(lab):
    with Client() as c:
        for text, code in (('NOOP', 250), ('VRFY someone', 252), ('RSET', 250), ('HELP', 502), ('BDAT 0 LAST', 503),
                           ('RCPT TO:<a@example.org>', 503), ('DATA', 503), ('MAIL FROM:<a@b.example>', 250),
                           ('MAIL FROM:<a@b.example>', 503), ('RCPT TO:<>', 501), ('RCPT TO:<@>', 501), ('DATA', 503),
                           ('RSET', 250), ('MAIL FROM:<a@b.example> FOO=1', 555)):
            reply = c.command(text)
            check(reply.code == code or (code == 502 and reply.code == 500) or (code == 503 and reply.code == 554),
                  f'{text}: {reply}')
        check_equal(c.quit().code, 221, 'QUIT')


def test_relay_refused(lab):
    """From an address outside of relay networks only relay domains are served."""
    run('ip', 'addr', 'add', '10.8.0.2/32', 'dev', 'gw0')
    with Client(source=('10.8.0.2', 0)) as c:
        check_equal(c.command('MAIL FROM:<a@client.example>').code, 250, 'MAIL')
        reply = c.command('RCPT TO:<a@elsewhere.example>')
        check(reply.code in (550, 554) and '5.7.1' in reply.text, f'relaying: {reply}')
        check_equal(c.command('RCPT TO:<a@example.org>').code, 250, 'relay domain')


def swaks(recipient, *args):
    return run(find_program('swaks'), '--server', GATEWAY_IP, '--from', 'a@client.example', '--to', recipient,
               '--ehlo', 'swaks.example', '--body', 'from swaks\n.dot\n', '--suppress-data', *args)


def test_swaks(lab):
    out = swaks('swaks@example.org')
    check('<-  250' in out and 'QUIT' in out, f'swaks said {out[-300:]}')
    rest = received(arrived('swaks@example.org').content, 'swaks@example.org', helo='swaks.example')
    check(b'\r\nfrom swaks\r\n.dot\r\n' in rest, f'body from swaks: {rest[-100:]}')


def test_swaks_pipelined(lab):
    swaks('piped@example.org', '--pipeline')
    received(arrived('piped@example.org').content, 'piped@example.org', helo='swaks.example')


def test_smtp_source(lab):
    run(find_program('smtp-source'), '-4', '-s', '5', '-m', '50', '-l', '3000', '-f', 'a@client.example', '-t',
        'source@example.org', '-M', 'source.example', f'inet:{GATEWAY_IP}:25')
    wait_until(lambda: len(aio.to('source@example.org')) == 50, 60, '50 messages of smtp-source')
    for m in aio.to('source@example.org'):
        check(len(received(m.content, 'source@example.org', False, 'source.example')) >= 3000, 'length')


def test_to_smtp_sink(lab):
    smtp_sink(lab)
    swaks('swaks@sink.example')
    rest = received(sink_message(lab, b'swaks@sink.example', 1), 'swaks@sink.example')
    check(b'\r\nfrom swaks\r\n.dot\r\n' in rest, f'body from swaks: {rest[-100:]}')
    with smtplib.SMTP(GATEWAY_IP, 25, timeout=30) as s:
        s.sendmail('a@client.example', ['py@sink.example'], BODY.encode(), mail_options=['BODY=8BITMIME'])
    check(BODY.encode() in sink_message(lab, b'py@sink.example', 2), 'bytes at smtp-sink differ')
    run(find_program('smtp-source'), '-4', '-s', '4', '-m', '20', '-t', 'src@sink.example', f'inet:{GATEWAY_IP}:25')
    got = [d for d in smtp_sink(lab).wait(22) if b'src@sink.example' in d]
    check_equal(len(got), 20, 'messages of smtp-source at smtp-sink')
    for dump in got:
        received(smtp_sink(lab).content(dump), 'src@sink.example', False)  # it says HELO


def test_clean_end(lab):
    """SIGTERM: everything delivered, exit status 0."""
    # The next hop's 250 comes before the journal has the outcome.
    wait_until(lambda: re.findall(r'messages (\d+)', gw.ctl('queue', 'stat')) == ['0'], 30, 'an empty queue')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
