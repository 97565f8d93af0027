#!/usr/bin/python3
# limit: 150
"""TLS to next hops: every level against servers that have it, refuse it, break it or lie, from a gateway that has no
certificate of its own."""
import re

from gateway import Counted, Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
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
    """A message is not delivered, and the log says why in all of these words."""
    said = outcome(domain, 'deferred')
    for word in words:
        check(word in said, f'{domain}: no "{word}" in: {said}')
    return said


def cleared(domain):
    """Nothing of the domain stays in the queue, so that the next case sees its own attempts alone."""
    gw.ctl('queue', 'delete', f'recipient=b@{domain}')


def test_encrypt(lab):
    far = hop(lab, 'encrypt.example', pairs.strange)
    check(delivered(far, 'encrypt.example', 'encrypt/untrusted').encrypted, 'in clear')
    far.end()
    far = hop(lab, 'encrypt.example', mode='absent')


if __name__ == '__main__':
    main(setup)
