#!/usr/bin/python3
# limit: 150
"""TLS to next hops: every level against servers that have it, refuse it, break it or lie, from a gateway that has no
certificate of its own."""
import re

from gateway import Counted, Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from postfix import Postfix
from sinks import Aiosmtpd
from tlshop import NAME, Hop, certificates, fingerprint

BACKOFF = '3s'
# Each case has a next hop of its own, by a domain of its own: route settings, then destination's.
CASES = {
    'may.example': ({}, None),
    'clear.example': ({}, None),
    'refuse.example': ({}, None),
    'encrypt.example': ({}, {'tls': 'encrypt'}),
    'finger.example': ({}, {'tls': 'fingerprint', 'fingerprints': lambda p: [fingerprint(p.other), fingerprint(p.good)]}),
    'key.example': ({}, {'tls': 'fingerprint', 'fingerprints': lambda p: [fingerprint(p.good, 'key')]}),
    'verify.example': ({}, {'tls': 'verify', 'names': [NAME]}),
    'address.example': ({'verify': 'yes'}, None),
    'secure.example': ({}, {'tls': 'secure'}),
    'flow.example': ({}, {'tls': 'secure', 'defer_on_tls_error': 'no'}),
    'implicit.example': ({'tls': 'implicit'}, None),
    'none.example': ({'tls': 'none'}, {'tls': 'secure'}),
    'only.example': ({}, {'tls': 'dane-only'}),
    'broken.example': ({}, None),
    'small.example': ({}, {'tls': 'encrypt'}),
    'inject.example': ({}, None),
    'postfix.example': ({}, {'tls': 'verify', 'names': [NAME]}),
}
gw = pairs = None


def port_of(domain):
    return 2600 + list(CASES).index(domain)


def setup(lab):
    global gw, pairs
    pairs = certificates(lab)
    blocks = {}
    for domain, (route, destination) in CASES.items():
        blocks['route_' + domain] = {'host': f'{HOST_IP}:{port_of(domain)}', **route}
        if destination is not None:
            blocks['destination_' + domain] = {key: value(pairs) if callable(value) else value
                                               for key, value in destination.items()}
    gw = Gateway(lab, delivery={'tls': 'dane', 'ca_file': pairs.ca}, relay={'domains': ['.example']},
                 queue={'backoff_min': BACKOFF, 'backoff_max': BACKOFF}, smtp={'client_idle': '500ms'}, **blocks).start()


def send(domain):
    with Client() as c:
        check_equal(c.deliver('a@client.example', [f'b@{domain}'], plain(1)).code, 250, 'message')


def log_of(domain, what='delivered'):
    return re.findall(rf' {what} .*to=<b@{re.escape(domain)}> (.*)', gw.log())


def outcome(domain, what):
    """Sends a message; what the log says of its first attempt."""
    count = len(log_of(domain, what))
    send(domain)
    wait_until(lambda: len(log_of(domain, what)) > count, 20, f'"{what}" of {domain} in the log')
    return log_of(domain, what)[count]


def delivered(hop, domain, tls):
    before = len(hop.messages)
    said = outcome(domain, 'delivered')
    check(said.startswith(f'tls={tls} '), f'log: {said}')
    hop.wait(before + 1)
    return hop.messages[-1]


def hop(lab, domain, pair=None, mode='starttls'):
    return Hop(lab, pair or pairs.good, mode, port=port_of(domain))


def test_may_without_a_certificate_of_ours(lab):
    far = hop(lab, 'may.example')
    with Counted(gw, 'tls/connected'), Counted(gw, 'tls_out/may_untrusted'):
        check(delivered(far, 'may.example', 'may/untrusted').encrypted, 'the message came in clear')
    check(re.search(r'tls relay=\S+ version=TLSv1\.3 cipher=TLS_\S+', gw.log()), 'no handshake in the log')
    check_equal(far.sessions[0].commands[:4], ['EHLO', 'STAR', 'EHLO', 'MAIL'], 'the session')


def test_may_in_clear(lab):
    far = Aiosmtpd(lab, port=port_of('clear.example'))
    with Counted(gw, 'tls_out/may_clear'), Counted(gw, 'smtp_client/starttls_absent'):
        delivered(far, 'clear.example', 'may/clear')


def test_may_where_starttls_is_refused(lab):
    far = hop(lab, 'refuse.example', mode='refuse')
    for mode in ('refuse', 'unknown'):
        far.mode = mode
        with Counted(gw, 'smtp_client/starttls_refused'):
            check(not delivered(far, 'refuse.example', 'may/clear').encrypted, 'how was that encrypted?')
        wait_until(lambda: gw.counter('conn/idle') == 0, 10, 'idle connections are closed')


def deferred(domain, *words):
    """A message is not delivered at the first attempt, and the log says why in all of these words. It is taken back: the
    queue is empty for the next case."""
    said = outcome(domain, 'deferred')
    for word in words:
        check(word in said, f'{domain}: no "{word}" in: {said}')
    gw.ctl('queue', 'delete', '--domain', domain)


def again(far, domain):
    """What a hop has had so far is forgotten; no idle connection to it is left."""
    wait_until(lambda: gw.counter('conn/idle') == 0, 10, f'idle connections are closed ({domain})')
    if far is not None:
        far.sessions.clear()
        far.hellos.clear()
        far.names.clear()


def test_encrypt(lab):
    domain = 'encrypt.example'
    far = hop(lab, domain, pairs.strange)
    check(delivered(far, domain, 'encrypt/untrusted').encrypted, 'in clear')
    for mode, words in (('absent', ('tls=encrypt/failed', '4.7.4 TLS is required, but the server does not offer it')),
                        ('refuse', ('tls=encrypt/failed', '4.7.4', '454 4.7.0 TLS not available')),
                        ('unknown', ('4.7.4', '502 5.5.1'))):
        again(far, domain)
        far.mode = mode
        with Counted(gw, 'tls_out/encrypt_failed'):
            deferred(domain, *words)
        check_equal(far.sessions[0].commands[-1], 'QUIT', f'the end of the session ({mode})')
        check('MAIL' not in far.sessions[0].commands, f'MAIL was sent ({mode})')


def test_fingerprints(lab):
    for domain in ('finger.example', 'key.example'):
        far = hop(lab, domain)
        with Counted(gw, 'tls_out/fingerprint_verified'):
            delivered(far, domain, 'fingerprint/verified')
        again(far, domain)
        far.end()
        far = hop(lab, domain, pairs.wild)
        with Counted(gw, 'tls_out/fingerprint_failed'):
            deferred(domain, 'tls=fingerprint/failed', '4.7.5 fingerprint: none matches the certificate of *.next.example')
        check_equal(far.sessions[0].commands, ['EHLO', 'STAR'], 'the session')
        far.end()


def test_verify_and_secure(lab):
    """A certificate is by an authority, of today and for the name, or nothing is sent."""
    for domain, name, level in (('verify.example', NAME, 'verify'), ('secure.example', 'secure.example', 'secure'),
                                ('address.example', None, 'verify')):
        far = hop(lab, domain)
        with Counted(gw, f'tls_out/{level}_verified'):
            delivered(far, domain, f'{level}/verified')
        check_equal(far.names[0], name, 'SNI')
        again(far, domain)
        far.end()
        for pair, words in ((pairs.other, f'4.7.5 certificate is for other.example, not {name or HOST_IP}'),
                            (pairs.old, '4.7.5 certificate expired on 2021-01-01'),
                            (pairs.strange, '4.7.5 certificate is by stranger, which is no trusted authority')):
            far = hop(lab, domain, pair)
            with Counted(gw, f'tls_out/{level}_failed'), Counted(gw, 'conn/tls_out_unproved'):
                deferred(domain, f'tls={level}/failed', words)
            check_equal(far.sessions[0].commands, ['EHLO', 'STAR'], 'the session')
            far.end()
    far = hop(lab, 'verify.example', pairs.wild)  # one label
    delivered(far, 'verify.example', 'verify/verified')
    far.end()


def test_mail_that_must_flow(lab):
    """defer_on_tls_error = no: what cannot be proved, or encrypted, is sent and told of."""
    domain = 'flow.example'
    far = hop(lab, domain, pairs.strange)
    with Counted(gw, 'tls_out/secure_untrusted'):
        check(delivered(far, domain, 'secure/untrusted').encrypted, 'in clear')
    again(far, domain)
    far.mode = 'absent'
    with Counted(gw, 'tls_out/secure_clear'):
        check(not delivered(far, domain, 'secure/clear').encrypted, 'encrypted')


def test_implicit(lab):
    domain = 'implicit.example'
    far = hop(lab, domain, mode='implicit')
    check(delivered(far, domain, 'encrypt/untrusted').encrypted, 'in clear')
    check_equal(far.sessions[0].commands[:2], ['EHLO', 'MAIL'], 'the session')
    again(far, domain)
    far.end()
    deferred(domain, 'refused')  # nobody is there: no second try for a shorter message
    far = hop(lab, domain)  # it greets in clear
    deferred(domain, 'tls=encrypt/failed', '4.7.5 TLS handshake failed: what the server sent is not TLS')
    check_equal(far.sessions[0].commands, [], 'the session')


def test_postfix(lab):
    domain = 'postfix.example'
    postfix = Postfix(lab, listen={f'{HOST_IP}:{port_of(domain)}': []}, main={
        'smtpd_tls_cert_file': pairs.good[0], 'smtpd_tls_key_file': pairs.good[1], 'smtpd_tls_security_level': 'encrypt',
        'smtpd_tls_loglevel': '1', 'relay_domains': domain, 'relay_transport': 'discard:'}).start()
    check(outcome(domain, 'delivered').startswith('tls=verify/verified '), f'log: {log_of(domain)}')
    check('TLS connection established from' in postfix.log(), 'Postfix saw no TLS')
    again(None, domain)
    postfix.stop()


def test_none(lab):
    far = hop(lab, 'none.example')
    check(not delivered(far, 'none.example', 'none/clear').encrypted, 'encrypted')
    check('STAR' not in far.sessions[0].commands, 'STARTTLS was said')


def test_dane_only(lab):
    """No TLSA record is looked up for what a route names: nothing is even connected to."""
    far = hop(lab, 'only.example')
    deferred('only.example', '4.7.5 dane-only: ')
    check_equal(far.sessions, [], 'connections')


def test_injection(lab):
    """L6: bytes behind the 220 to STARTTLS came in clear: the session ends, nothing is delivered."""
    far = hop(lab, 'inject.example', mode='inject')
    with Counted(gw, 'smtp_client/starttls_injected'):
        deferred('inject.example', 'tls=may/failed', '4.7.5 bytes in clear came behind the reply to STARTTLS')
    check_equal(far.messages, [], 'messages')


def test_small_hello(lab):
    """A server to which a usual ClientHello is too long gets a short one at once, behind one without the session that there is."""
    domain = 'small.example'
    far = hop(lab, domain)
    delivered(far, domain, 'encrypt/untrusted')
    far.mode, far.limit = 'picky', far.hellos[0] - 20
    again(far, domain)
    with Counted(gw, 'conn/tls_out_small'), Counted(gw, 'conn/tls_out_fresh'):
        check(delivered(far, domain, 'encrypt/untrusted').encrypted, 'in clear')
    check_equal(len(far.hellos), 3, 'handshakes')
    check(far.hellos[2] < far.hellos[1] - 30, f'lengths {far.hellos}')


def test_clear_text_after_a_failed_handshake(lab):
    """Only where TLS is optional, only for a message that has waited, never on the same connection."""
    domain = 'broken.example'
    far = hop(lab, domain)
    for mode, reason in (('garbage', 'what the server sent is not TLS'), ('cut', 'closed')):
        far.mode = mode
        far.sessions.clear()
        before, count = len(far.messages), len(log_of(domain))
        said = outcome(domain, 'deferred')
        check('tls=may/failed' in said and '4.7.5 TLS handshake failed: ' in said and reason in said, f'said: {said}')
        check_equal([s.commands for s in far.sessions][-1], ['EHLO', 'STAR'], 'the first attempt')
        with Counted(gw, 'conn/tls_out_clear'):
            far.wait(before + 1)
        check(not far.messages[-1].encrypted, 'encrypted')
        check('STAR' not in far.messages[-1].session.commands, 'STARTTLS on the connection that is in clear')
        wait_until(lambda: len(log_of(domain)) > count, 10, 'the delivery in the log')
        check(log_of(domain)[-1].startswith('tls=may/clear '), f'log: {log_of(domain)[-1]}')
        check_equal(far.messages[-1].session.mails, 1, 'messages over it')
        wait_until(lambda: gw.counter('conn/idle') == 0, 10, 'idle connections')


if __name__ == '__main__':
    main(setup)
