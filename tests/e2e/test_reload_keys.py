#!/usr/bin/python3
# limit: 120
"""Each row of the table of settings is changed in turn below a running gateway: the reload says "taken" or "needs a restart", as
--default promises, and nothing else; and for some of both kinds that it is so."""
import os
import re

from gateway import SLUICED, Gateway, conf_text
from harness import HOST_IP, check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted
from test_auth import SHA512
from test_tls import HOST, block, make_certificate

gw = far = None
UNITS = {'size': {'': 1, 'k': 1 << 10, 'M': 1 << 20, 'G': 1 << 30, 'T': 1 << 40},
         'duration': {'': 1, 'ms': 1, 's': 1000, 'm': 60000, 'h': 3600000, 'd': 86400000, 'w': 604800000}}

# Another value where none can be made up: by block and key.
OTHER = {
    'gateway.hostname': 'other.example', 'gateway.user': 'nobody', 'gateway.run_dir': '/run/other', 'gateway.state_dir': '/var/other',
    'gateway.lane_cpus': ['0'], 'gateway.eal_args': ['--no-pci'], 'gateway.eal_prefix': 'other',
    'gateway.public_addresses': ['192.0.2.1'],
    'port.device': 'net_tap0,iface=gw1', 'port.address': ['10.9.0.1/24', '10.9.0.5/24', '10.9.0.3/24'], 'port.gateway': '10.9.0.9', 'port.gateway6': 'fe80::1',
    'port.host_device': 'host0', 'port.host_rate': 777, 'port.host_burst': 77, 'port.mtu': 1400, 'port.vlan': 7,
    'listener.port': None, 'listener.address': '10.9.0.1', 'listener.proxy': {'proxy': 'required', 'proxy_from': ['192.0.2.1']},
    'listener.proxy_from': {'proxy': 'required', 'proxy_from': ['192.0.2.1']}, 'listener.bare_newline_networks': ['192.0.2.0/24'],
    'listener.tls_ciphers': 'ECDHE-RSA-AES128-GCM-SHA256', 'listener.tls_ciphersuites': 'TLS_AES_256_GCM_SHA384', 'listener.tls_groups': 'P-256',
    'listener.tls_client_ca': 'CA', 'listener.xclient_networks': ['192.0.2.0/24'], 'listener.tcp_port': 588, 'listener.tls': 'may',
    'listener.kind': 'mx', 'listener.proxy_timeout': '9s', 'listener.repair': 'no',
    'certificate.chain': 'CHAIN2', 'certificate.key': 'CHAIN2',
    'spool.path': '/var/spool/other', 'spool.size': '512M', 'spool.segment_size': '8M', 'spool.batch_size': '128k',
    'limits.exempt_networks': ['192.0.2.0/24'], 'limits.client_prefix': 24,
    'dns_list.zone': 'other.example.net', 'dns_list.answers': ['127.0.0.2'], 'dns_list.weight': 5,
    'tls.key_cpus': ['0'],
    'relay.networks': ['10.9.0.0/24', '192.0.2.0/24'], 'relay.domains': ['example.org', 'example.net'],
    'sender.maps': ['MAP'], 'sender.exempt_logins': ['alice'], 'sender.exempt_networks': ['192.0.2.0/24'], 'sender.login_domain': 'example.org',
    'recipient.accounts': ['USERS'], 'recipient.aliases': ['MAP'], 'recipient.maps': ['MAP'], 'recipient.extension': '-',
    'srs.domain': {'domain': 'srs.example.org', 'secrets': ['SECRET']}, 'srs.secrets': {'domain': 'srs.example.org', 'secrets': ['SECRET']},
    'auth.passwd_file': '/etc/other', 'auth.dovecot_socket': '/run/dovecot', 'auth.mechanisms': ['PLAIN'], 'auth.backend': 'none',
    'route.host': ['10.9.0.9'], 'route.via': {'via': 'mx', 'host': None}, 'route.private_networks': {'host': None, 'private_networks': ['10.0.0.0/8']},
    'route.auth_user': {'auth_user': 'u', 'auth_password_file': 'SECRET'}, 'route.auth_password_file': {'auth_user': 'u', 'auth_password_file': 'SECRET'},
    'route.auth_mechanisms': ['PLAIN'], 'route.sources': ['out1'], 'route.proxy': 'v1',
    'source.address': '10.9.0.5', 'source.address6': None, 'source.ehlo': 'out2.example.org', 'source.sender_domains': ['example.org'],
    'source.warm_up_start': {'warm_up_start': '2026-01-31', 'warm_up': ['5']}, 'source.warm_up': {'warm_up_start': '2026-01-31', 'warm_up': ['5']},
    'source.warm_up_destination': {'warm_up_start': '2026-01-31', 'warm_up_destination': ['5']},
    'delivery.ca_file': 'CHAIN2', 'delivery.set_aside': ['421 4.7.28'], 'delivery.tls': 'may',
    'destination.tls': 'may', 'destination.names': {'tls': 'verify', 'names': ['a.example']},
    'destination.fingerprints': {'tls': 'fingerprint', 'fingerprints': ['ab' * 32]},
    'tlsrpt.organization': 'Example', 'tlsrpt.contact': 'a@example.org',
    'provider.mx': ['*.other.example'], 'provider.domains': ['other.example'], 'provider.rate': '5/s', 'provider.recipient_rate': '6/s',
    'provider.on_reply': ['421 wait=1m'],
    'dns.servers': ['192.0.2.53'], 'dns.stubs': ['a.example=192.0.2.53'], 'dns.trust_anchor': 'ANCHOR',
    'control.socket': '/run/other.sock', 'control.group': 'adm', 'control.change_group': 'adm', 'telemetry.group': 'adm',
    'log.file': '/var/log/other', 'log.socket': '/run/other', 'log.ident': 'other',
    'smtp.header_size': '64k', 'queue.backoff_min': '2s', 'queue.backoff_max': '9s', 'smtp.message_size': '40M',
}
# What is changed with them, and told of, too.
ALSO = {key: {f'{key.split(".")[0]}.{k}' for k in value} for key, value in OTHER.items() if isinstance(value, dict)}


def setup(lab):
    global gw, far
    far = Scripted(lab)
    files = {'MAP': 'a@example.org b@example.org\n', 'USERS': f'alice@example.org|{SHA512}\n', 'SECRET': 'a secret of sixteen bytes\n',
             'ANCHOR': '. IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n'}
    pair, second = make_certificate(lab, 'ec', 'EC', HOST), make_certificate(lab, 'ec2', 'EC', HOST)
    paths = {'CA': pair[0], 'CHAIN2': second[0]}
    for name, text in files.items():
        paths[name] = lab.path(f'gw/{name.lower()}')
        with open(paths[name], 'w', opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.write(text)

    def real(value):
        if isinstance(value, dict):
            return {k: real(v) for k, v in value.items()}
        return [paths.get(v, v) for v in value] if isinstance(value, list) else paths.get(value, value)
    for key, value in OTHER.items():
        OTHER[key] = real(value)
    OTHER['certificate.chain'], OTHER['certificate.key'] = dict(zip(('chain', 'key'), second)), None  # both or none
    ALSO['certificate.chain'] = {'certificate.chain', 'certificate.key'}
    gw = Gateway(lab, auth={'backend': 'passwd', 'passwd_file': paths['USERS']}, queue={'deliveries': 4, 'destination_deliveries': 20},
                 listener_users={'kind': 'submission', 'port': 'net0', 'tcp_port': 587}, certificate_a=block(pair),
                 source_out1={'address': '10.9.0.1', 'ehlo': 'out1.example.org'}, destination_a={'tls': 'dane'},
                 route_other={'host': [f'{HOST_IP}:2525']}, delivery={'ca_file': paths['CA'], 'tls': 'none', 'mta_sts': False})
    gw.blocks['provider p'] = {'mx': ['*.mail.example.net']}
    gw.blocks['spool other'] = {'path': lab.path('gw/other'), 'size': '64M', 'segment_size': '4M'}  # one has to accept
    gw.blocks['dns_list l'] = {'zone': 'bl.example.net'}
    gw.blocks['limits']['dns_list_threshold'] = 0
    gw.blocks['port net0']['address'] = ['10.9.0.1/24', '10.9.0.5/24']
    gw.change()
    gw.start()


def rows():
    """What --default tells of each row: (block, key, type, range, words, needs a restart, default)."""
    found, of_block, about = [], None, None
    for line in run(SLUICED, '--default').splitlines():
        opened = re.fullmatch(r'#?(\w+)( \S+)? \{', line)
        told = re.match(r'#?    # ([a-z ]+): (.*)', line)
        given = re.match(r'#?    #?(\w+) = (.*);$', line)
        if opened:
            of_block = opened.group(1)
        elif told:
            about = told
        elif given:
            kind, text = about.groups()
            restart = text.endswith('; needs a restart')
            text = text.removesuffix('; needs a restart')
            words = re.search(r'\(([^()]*)\)$', text)
            span = re.search(r'\((\S+) to (\S+)\)$', text)
            found.append((of_block, given.group(1), kind, span and span.groups(), words and words.group(1).split(), restart, given.group(2)))
    return found


def numeric(kind, text):
    digits, unit = re.fullmatch(r'(-?\d+)([a-zA-Z]*)', str(text)).groups()
    return int(digits) * UNITS.get(kind, {'': 1})[unit]


def another(kind, span, words, now):
    """A value other than now."""
    if kind == 'yes or no':
        return 'no' if now in ('yes', True) else 'yes'
    if kind == 'word':
        return words[(words.index(now) + 1) % len(words)]
    low, high = (numeric(kind, x) for x in span)
    value = numeric(kind, now)
    step = {'duration': 1000, 'size': 4096}.get(kind, 1)
    other = value + step if value + step <= high else value - step
    check(low <= other <= high, f'{now} in {span}')
    return f'{other}ms' if kind == 'duration' else str(other)


BLOCKS = {'listener': 'listener users', 'port': 'port net0', 'certificate': 'certificate a', 'dns_list': 'dns_list l', 'route': 'route other',
          'source': 'source out1', 'destination': 'destination a', 'provider': 'provider p'}


def reload_with(changes):
    """Reloads the configuration with these; what is taken, and what needs a restart."""
    blocks = {name: dict(settings) for name, settings in gw.blocks.items()}
    for name, settings in changes.items():
        blocks.setdefault(name, {}).update(settings)
    with open(gw.conf_path, 'w') as f:
        f.write(conf_text(blocks))
    said = gw.ctl('reload')
    check(said.startswith('settings_generation '), said)
    return (set(re.findall(r'^taken: (\S+)$', said, re.M)), set(re.findall(r'^needs a restart: (\S+)$', said, re.M)))


def test_every_row(lab):
    table = rows()
    check(len(table) > 200, f'{len(table)} rows')
    restart = {f'{b}.{k}': r for b, k, *_, r, _ in table}
    before, tried = set(), 0
    for of_block, key, kind, span, words, _, default in table:
        name = f'{of_block}.{key}'
        place = BLOCKS.get(of_block, of_block)
        now = gw.blocks.get(place, {}).get(key, default.strip('"'))
        value = OTHER[name] if name in OTHER else another(kind, span, words, now)
        if value is None:
            continue
        settings = value if isinstance(value, dict) else {key: value}
        changed = ALSO.get(name, {name})
        if changed & before:  # the same again would be no change
            reload_with({})
            before = set()
        taken, waiting = reload_with({place: settings})
        # What was changed before has its old value again, which is a change, too.
        check_equal(taken, {n for n in changed | before if not restart[n]}, f'{name} = {value}: taken')
        check_equal(waiting, {n for n in changed if restart[n]}, f'{name} = {value}: needs a restart')
        before, tried = changed, tried + 1
    check(tried >= len(table) - 3, f'{tried} of {len(table)} rows')
    taken, waiting = reload_with({})
    check_equal((taken, waiting), ({n for n in before if not restart[n]}, set()), 'all as it was')


def test_blocks_that_come_and_go(lab):
    taken, waiting = reload_with({'route new.example': {'host': '10.9.0.9'}, 'listener more': {'port': 'net0', 'tcp_port': 2500}})
    check_equal((taken, waiting), ({'route.via'}, {'listener.kind'}), 'a new route, a new listener')
    reload_with({})


def test_values_that_need_another_block(lab):
    """The rows of which every_row makes up no other value."""
    restart = {f'{b}.{k}': r for b, k, *_, r, _ in rows()}
    second = {'device': 'net_tap1,iface=gw1', 'address': ['10.9.1.1/24']}
    for changes, name in (({'port net1': second, 'listener mx': {'port': 'net0'}, 'listener users': {'port': 'net1'}}, 'listener.port'),
                          ({'port net0': {'address': ['10.9.0.1/24', '10.9.0.5/24', '2001:db8::1/64']}, 'source out1': {'address6': '2001:db8::1'}},
                           'source.address6')):
        taken, waiting = reload_with(changes)
        check(name in (waiting if restart[name] else taken) and name not in (taken if restart[name] else waiting),
              f'{name}: taken {taken}, needs a restart {waiting}')
        reload_with({})


def test_taken_has_effect(lab):
    """In a session that has begun, in the next one, and for mail on its way out."""
    with Client() as old:
        reload_with({'gateway': {'hostname': 'new.example'}, 'smtp': {'recipients': 2, 'hops': 1}, 'limits': {'connections_per_client': 2}})
        old.command('MAIL FROM:<a@client.example>')
        check_equal([old.command(f'RCPT TO:<{n}@example.org>').code for n in range(3)], [250, 250, 452], 'recipients in the old session')
        old.command('RSET')
        check_equal(old.deliver('a@client.example', ['a@example.org'], b'Received: x\r\nReceived: y\r\n' + plain(1)).code, 554, 'hops')
        with Client() as new:
            check(' new.example' in f' {new.banner.text}', f'the greeting: {new.banner}')
            with Client(greet=False) as third:
                check_equal(third.reply().code, 421, 'connections of a client')
    reload_with({})


def test_more_deliveries(lab):
    """Raised over what it was at the start: as many go out, each over a connection of its own."""
    far.mode = 'mute'
    routes = {f'route mute{n}.example': {'host': [f'{HOST_IP}:2525', f'10.9.0.{100 + n}']} for n in range(8)}  # a destination each
    reload_with(routes)
    for number in range(8):
        with Client() as c:
            check_equal(c.deliver('s@client.example', [f'x@mute{number}.example'], plain(number)).code, 250, 'taken')
    wait_until(lambda: far.silent > 0, 30, 'deliveries are out')
    check(gw.counter('queue/active') <= 4, 'at most four')
    reload_with(routes | {'queue': {'deliveries': 40}})
    wait_until(lambda: gw.counter('queue/active') > 4, 30, 'more than there was room for at the start')
    far.mode = 'ok'
    reload_with({})


def test_needs_a_restart_has_none(lab):
    """Until then all is as it was."""
    reload_with({'listener mx': {'tcp_port': 2501, 'kind': 'submission', 'auth_required': True, 'tls': 'none'},
                 'gateway': {'lanes': 2}, 'tcp': {'connections': 16}})
    with Client() as c:
        c.command('MAIL FROM:<a@client.example>')
        check_equal(c.command('RCPT TO:<a@example.org>').code, 250, 'as a server, on the old port')
    check(re.search(r'^lanes 1$', gw.ctl('status'), re.M), 'one lane')
    reload_with({})


if __name__ == '__main__':
    main(setup)
