#!/usr/bin/python3
# limit: 120
"""The load generator before a gateway, by each of its options: what it has counted is what the gateway has, and what
its ledger says is what the next hop got."""
import os
import struct
import subprocess

import blast
from gateway import Gateway
from harness import BUILD, GATEWAY_IP, HOST_IP, check, check_equal, main, wait_until
from sinks import Scripted
from test_auth import SHA512, write_users
from test_tls import block, make_certificate

MX, PROXIED, CLEAR, IMPLICIT = 25, 2525, 2587, 465
RUN = 77
gw = far = None
at = {}  # a generator for each of the ports


def setup(lab):
    global gw, far
    far = Scripted(lab)
    users = {'tls': 'may', 'repair': 'no', 'spoof_protection': 'off'}
    listeners = {
        'listener_mx': {'kind': 'mx', 'port': 'net0', 'tcp_port': MX, 'tls_tickets': 1},
        'listener_proxied': {'kind': 'mx', 'port': 'net0', 'tcp_port': PROXIED, 'proxy': 'required',
                             'proxy_from': [f'{HOST_IP}/32']},
        'listener_clear': {'kind': 'submission', 'port': 'net0', 'tcp_port': CLEAR, 'auth_cleartext': True, **users},
        'listener_implicit': {'kind': 'submissions', 'port': 'net0', 'tcp_port': IMPLICIT, 'auth_required': 'no',
                              'repair': 'no'}}
    gw = Gateway(lab, certificate_ec=block(make_certificate(lab, 'ec', 'EC', 'mx.gateway.example')),
                 auth={'backend': 'passwd', 'passwd_file': write_users(lab, f'alice@example.org:{SHA512}\n')},
                 **listeners)
    gw.start()
    for port in (MX, PROXIED, CLEAR, IMPLICIT):
        at[port] = blast.Blast(lab, None, '--to', f'{GATEWAY_IP}:{port}', kernel=True)


class Grown:
    """By how much the gateway's counters have grown."""

    def __init__(self, *names):
        self.before = {name: gw.counter(name) for name in names}

    def check(self, **wanted):
        for name, value in wanted.items():
            name = name.replace('__', '/')
            wait_until(lambda: gw.counter(name) - self.before[name] >= value, 10, f'{value} at {name}')
            check_equal(gw.counter(name) - self.before[name], value, name)


def done(got, units, wanted):
    check_equal((got[units], got['failed'], got.get('refused_4xx', 0), got.get('refused_5xx', 0)), (wanted, 0, 0, 0),
                f'{units}: {got}')


def test_modes(lab):
    grown = Grown('conn/accepted', 'smtp/messages')
    done(at[MX].run('connect', '--messages', 40), 'connections', 40)
    done(at[MX].run('connect', '--messages', 10, '--ehlo'), 'connections', 10)
    done(at[MX].run('pingpong', '--messages', 200), 'roundtrips', 200)
    done(at[MX].run('smtp', '--messages', 60), 'messages', 60)
    done(at[MX].run('bulk', '--messages', 4), 'messages', 4)
    grown.check(conn__accepted=40 + 10 + 4 + 6 + 4, smtp__messages=64)


def test_refusals_are_the_unit(lab):
    got = at[PROXIED].run('reject', '--messages', 30, '--per-connection', 3, '--proxy', 'v2', '--recipient',
                          'x@elsewhere.example')  # this host may relay, and those clients not
    done(got, 'rejects', 30)
    check_equal(got['connections'], 10, 'connections')
    got = at[MX].run('reject', '--messages', 5, '--no-pipelining')  # this one is taken
    check_equal((got['rejects'], got['failed_reply']), (0, 5), 'recipients that are not refused')
    check(0 < got['refused_p50_us'] <= got['refused_p99_us'], f'how long a reply took that was not wanted: {got}')


def test_held(lab):
    got = at[MX].run('hold', '--connections', 30, '--messages', 30, '--time', 1)
    done(got, 'held', 30)
    check_equal((got['standing'], got['connections']), (30, 30), 'that stood to the end, and ended well')


def test_tls(lab):
    grown = Grown('tls/accepted', 'tls/version_12', 'tls/version_13', 'tls/resumed', 'smtp/messages')
    for port, when in ((MX, 'starttls'), (IMPLICIT, 'implicit')):
        for version in ('1.2', '1.3'):
            got = at[port].run('handshake', '--messages', 20, '--connections', 2, '--tls', when, '--tls-version', version)
            done(got, 'connections', 20)
            check_equal((got['handshakes'], got['resumed']), (20, 0), 'whole handshakes')
            check(0 < got['handshake_p50_us'] <= got['handshake_max_us'], f'their times: {got}')
    got = at[MX].run('handshake', '--messages', 20, '--connections', 2, '--tls-resume')
    done(got, 'connections', 20)
    resumed = int(got['resumed'])
    check(resumed >= 15, f'{resumed} of 20 were resumed')
    done(at[IMPLICIT].run('smtp', '--messages', 20, '--size', 100000, '--tls', 'implicit', '--sender',
                          'alice@example.org'), 'messages', 20)
    done(at[MX].run('pingpong', '--messages', 20, '--per-connection', 10, '--tls', 'starttls'), 'roundtrips', 20)
    grown.check(tls__accepted=80 + 20 + 2 + 2, tls__version_12=40, tls__resumed=resumed, smtp__messages=20)


def test_no_tls_where_there_is_none(lab):
    got = at[MX].run('handshake', '--messages', 3, '--tls', 'implicit')
    check_equal((got['connections'], got['failed_tls']), (0, 3), 'TLS before a greeting in clear')


def test_proxy(lab):
    for version in ('v1', 'v2'):
        done(at[PROXIED].run('smtp', '--messages', 6, '--per-connection', 2, '--proxy', version, '--clients',
                             f'198.51.100.{version[1]}0-198.51.100.{version[1]}2'), 'messages', 6)
    log = gw.log()
    for client in (f'198.51.100.{n}' for n in (10, 11, 12, 20, 21, 22)):
        check(client in log, f'{client} in the log')


def test_login_chunks_and_single_steps(lab):
    grown = Grown('auth/accepted', 'smtp/chunked', 'smtp/messages', 'smtp/cmd_bdat')
    mine = ('--sender', 'alice@example.org')
    done(at[CLEAR].run('smtp', '--messages', 6, '--per-connection', 3, '--auth', 'alice@example.org:secret', *mine),
         'messages', 6)
    got = at[CLEAR].run('smtp', '--messages', 1, '--auth', 'alice@example.org:wrong', *mine)
    check_equal((got['messages'], got['failed']), (0, 1), 'with a wrong password')
    done(at[MX].run('smtp', '--messages', 10, '--bdat'), 'messages', 10)
    done(at[MX].run('bulk', '--messages', 2, '--bdat', '--tls', 'starttls'), 'messages', 2)
    done(at[MX].run('smtp', '--messages', 5, '--no-pipelining'), 'messages', 5)
    grown.check(auth__accepted=2, smtp__chunked=12, smtp__cmd_bdat=12, smtp__messages=6 + 12 + 5)


def crc32c(data, table=[]):
    if not table:
        for i in range(256):
            for _ in range(8):
                i = i >> 1 ^ (0x82f63b78 if i & 1 else 0)
            table.append(i)
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


def seen(messages, path, capacity, recipients):
    """The next hop's ledger, by the words of perf/ledger.h."""
    counts = bytearray(capacity * recipients)
    for m in messages:
        head, _, body = m.content.partition(b'\r\n\r\n')
        field, = (line.split(b': ')[1] for line in head.split(b'\r\n') if line.startswith(b'X-Blast-Id'))
        run, number, crc, size = (int(word, 16) for word in field.split(b'-'))
        check_equal((run, crc, size), (RUN, crc32c(body), len(body)), 'run, checksum and length of the body')
        for recipient in m.recipients:
            counts[number * recipients + int(recipient.split('@')[0].strip('sink') or 0)] += 1
    with open(path, 'wb') as f:
        f.write(struct.pack('<8sIIQQIIQ', b'SLUICELG', 1, 1, RUN, capacity, recipients, 0, 0).ljust(4096, b'\0') + counts)


def compare(sent, got):
    out = subprocess.run([os.path.join(BUILD, 'perf/ledger'), sent, got], capture_output=True, text=True, timeout=30)
    return out.returncode, {line.split()[0]: int(line.split()[1]) for line in out.stdout.splitlines()}


def test_ledger(lab):
    """Three copies of each; the last of the next hop's is then taken away, and told as lost."""
    def mine():
        return [m for m in list(far.messages) if b'X-Blast-Id: %016x-' % RUN in m.content]
    sent, got = lab.path('sent'), lab.path('seen')
    done(at[MX].run('smtp', '--messages', 50, '--recipients', 3, '--size', 2000, '--ledger', sent, '--run', RUN),
         'messages', 50)
    wait_until(lambda: sum(len(m.recipients) for m in mine()) >= 150, 30, 'all at the next hop')
    messages = mine()
    seen(messages, got, 60, 3)
    status, result = compare(sent, got)
    check_equal((status, result['acked'], result['seen'], result['lost'], result['doubled'], result['damaged']),
                (0, 150, 150, 0, 0, 0), 'comparison')
    seen(messages[:-1] + messages[:1], got, 60, 3)
    status, result = compare(sent, got)
    check_equal((status, result['lost'], result['doubled']), (1, len(messages[-1].recipients), len(messages[0].recipients)),
                'one lost, one doubled')


def test_rates_and_histogram(lab):
    """A schedule of messages in few long connections, one of connections, and what is written of their latencies."""
    path = lab.path('histogram')
    got = at[MX].run('smtp', '--message-rate', 40, '--connections', 4, '--per-connection', 1000, '--time', 1)
    check(20 <= got['messages'] <= 40, f'{got["messages"]} messages at 40/s in 1 s')
    check_equal((got['connections'], got['failed']), (4, 0), 'connections')
    got = at[MX].run('connect', '--rate', 50, '--time', 1, '--histogram', path)
    check(30 <= got['connections'] <= 50, f'{got["connections"]} connections at 50/s in 1 s')
    with open(path) as f:
        rows = [line.split() for line in f]
    check_equal(sum(int(count) for _, count in rows), int(got['connections']), 'counts of the histogram')
    check_equal(float(rows[-1][0]), got['max_us'], 'its last value')
    check(got['p50_us'] <= got['p90_us'] <= got['p99_us'] <= got['p999_us'] <= got['max_us'], 'percentiles in order')


def test_own_stack(lab):
    """The same over shared memory, without the kernel."""
    memif = blast.start(lab, name='memif', certificate_ec=gw_certificate(lab), gateway={'stop_timeout': '1s'},
                        listener_mx={'kind': 'mx', 'port': 'net0', 'tcp_port': MX, 'tls_tickets': 1})
    client = blast.Blast(lab, memif)
    path = lab.path('sent-memif')
    got = client.run('smtp', '--messages', 40, '--tls', 'starttls', '--size', 50000, '--bdat', '--ledger', path)
    done(got, 'messages', 40)
    done(client.run('smtp', '--message-rate', 200, '--time', 1, '--per-connection', 1000, '--connections', 2), 'connections', 2)
    got = client.run('handshake', '--messages', 20, '--tls-resume', '--connections', 2)
    done(got, 'connections', 20)
    check(got['resumed'] >= 15, f'{got["resumed"]} of 20 were resumed')
    done(client.run('hold', '--connections', 500, '--messages', 500, '--time', 1), 'held', 500)
    # more at a time than the generator has packet buffers for
    busy = memif.counter('conn/refused_busy')
    got = client.run('smtp', '--connections', 600, '--messages', 600, '--per-connection', 1, '--size', 65536, '--time', 30)
    refused = got.get('failed_reply', 0)  # 421: more than there is room for
    check_equal(memif.counter('conn/refused_busy') - busy, refused, 'turned away as the lane was busy')
    check_equal((got['failed'] - refused, got['messages'] + got.get('refused_4xx', 0) + refused), (0, 600), f'none stands still: {got}')
    check_equal((memif.counter('smtp/chunked'), memif.counter('tls/accepted')), (40, 24), 'messages by BDAT, handshakes')
    client.stop()


def gw_certificate(lab):
    os.makedirs(lab.path('memif'), exist_ok=True)
    return block(make_certificate(lab, 'memif', 'EC', 'mx.gateway.example'))


if __name__ == '__main__':
    main(setup)
