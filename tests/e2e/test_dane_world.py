#!/usr/bin/python3
# limit: 120
"""Mail to a world of signed, unsigned and forged names, and of servers that are who they say or not (world.py, world_rows.py):
what posttls-finger of Postfix makes of each row, and what the gateway does; both as the table says."""
import json
import os
import re
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from gateway import Gateway
from harness import Failed, check, check_equal, main, run, wait_until
from mail import Client, plain
from world import RESOLVER, World
from world_rows import NOT_HERE, ROWS, certificates

LEVELS = ('dane', 'dane-only')
OURS6, NEAR6 = 'fd00:9::1', 'fd00:9::2'
world = gw = None


def setup(lab):
    global world
    world = World(lab, ROWS, certificates).start()
    world.use_resolver()


def tell(differences, what):
    if differences:
        print(*differences, sep='\n', flush=True)
        raise Failed(f'{len(differences)} {what}: ' + '; '.join(d.split('\n')[0] for d in differences))


def test_second_opinion(lab):
    """The world is as the table says: a sender that knows DANE finds the same, wherever it has an opinion."""
    cases = [(row, level, None, row.finger[level].split()[0]) for row in ROWS for level in LEVELS
             if row.finger[level] and not (row.level and level == 'dane-only')]
    # It looks at one host alone: where the message goes on to the next, at that one, too.
    cases += [(row, level, f'[{row.at}.{row.domain}]', row.expect[level]) for row in ROWS for level in LEVELS
              if row.at == 'two' and row.why == NOT_HERE and not (row.level and level == 'dane-only')]
    check(len(cases) > 230, f'{len(cases)} opinions')
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda case: world.finger(*case[:3]), cases))
    tell([f'{row.id} {target or row.domain} {level}: {word}, not {wanted}\n{said}' for (row, level, target, wanted), (word, said)
          in zip(cases, found) if word != wanted], 'of the world')


def test_rows(lab):
    """Each row of the table has a name of its own, and each number has a row."""
    check_equal(len({r.recipient() for r in ROWS}), len(ROWS), 'recipients')
    for number in ('D01 D02 D03 D04 D05 D06 D07 D08 D09 D10 D11 D12 D13 D14 D15 D16 D17 D18 D19 D20 D21 D22 D23 D24 D25 D26 D27 D28 '
                   'D29 D30 D40 D41 D42 D43 D44 D45 D46 D47 D48 D49 D50 D51 D52 D53 D54 D55 D56 D57 D59 L6').split():
        check(any(r.id == number for r in ROWS), f'{number} has no row')


def test_start_gateway(lab):
    global gw
    routes = {f'route_{r.domain}': {'host': f'{r.target}:25'} for r in ROWS if r.to == 'route'}
    levels = {f'destination_{r.domain}': r.destination(world.certificates) for r in ROWS if r.level}
    os.makedirs(lab.path('gw'), exist_ok=True)
    gw = Gateway(lab, port_net0={'address': ['10.9.0.1/24', f'{OURS6}/64'], 'gateway6': NEAR6}, queue={'backoff_min': '1d', 'backoff_max': '2d'}, relay={'networks': ['10.9.0.0/24']},
                 smtp={'client_connect_timeout': '5s', 'client_idle': '60s'},
                 dns={'servers': [RESOLVER], 'trust_anchor': world.names.anchor},
                 route_default={'host': None, 'via': 'mx', 'private_networks': ['198.51.100.0/23', '2001:db8:64::/64']},
                 delivery={'tls': 'dane', 'ca_file': world.certificates['ca'].path}, **routes, **levels)
    start()


def start():
    gw.start()
    with open('/proc/sys/net/ipv6/conf/gw0/disable_ipv6', 'w') as f:
        f.write('0')
    run('ip', '-6', 'addr', 'replace', f'{NEAR6}/64', 'dev', 'gw0', 'nodad')


# The first word of the log's lines about a delivery, and of the table.
LINE = re.compile(r'(delivered|deferred|failed) id=\S+ relay=(\S+) .*?to=<([^>]+)> (.*)')


def outcomes():
    """recipient: (word of the table, relay, rest of the line); of the last line of each."""
    found = {}
    for verb, relay, recipient, rest in LINE.findall(gw.log()):
        tls = re.search(r'tls=[\w-]+/(\w+)', rest)
        code = re.search(r'\b([245]\.\d+\.\d+)\b', re.sub(r'tls=\S+|host=\S+', '', rest))
        code = code[1] if code else '-'
        word = {'delivered': tls[1] if tls else 'clear', 'deferred': f'defer {code}', 'failed': f'bounce {code}'}[verb]
        found[recipient] = (word, relay.rsplit(':', 1)[0].strip('[]'), rest)
    return found


def difference(row, level, found, arrived):
    """What is not as the table says; None: all is."""
    if row.recipient() not in found:
        return 'nothing in the log'
    word, relay, rest = found[row.recipient()]
    if word != row.expect[level]:
        return f'{word}, not {row.expect[level]}: {rest}'
    if not word.startswith(('defer', 'bounce')):
        if relay not in row.arrives_at() and level == 'dane' or relay not in row.hosts.values():
            return f'it went to {relay}, not {row.arrives_at()}'
        # The level that was held to: where there is no usable record it is may, and encrypt where all are unusable.
        held = row.level or (level if word in ('verified', 'trusted') else 'encrypt' if row.id == 'D25' else 'may')
        if f'tls={held}/{word} ' not in rest:
            return f'no tls={held}/{word}: {rest}'
    for _, address, secure, name in arrived.get(row.recipient(), []):
        if word.startswith(('defer', 'bounce')):
            return f'it has arrived at {address}'
        if secure != (word != 'clear'):
            return f'TLS {secure} at {address}'
    return None


def deliver(level):
    """A message for each row; returns where those arrived that are for servers of ours."""
    gw.stop()
    shutil.rmtree(os.path.join(gw.dir, 'spool'))
    os.rename(gw.log_path, f'{gw.log_path}.{level}.before')
    gw.change(delivery={'tls': level})
    world.hosts.arrived.clear()
    world.hosts.talked.clear()
    start()
    with Client() as c:
        for number, row in enumerate(ROWS):
            check_equal(c.deliver('', [row.recipient()], plain(number)).code, 250, row.recipient())
    wanted = {r.recipient() for r in ROWS}
    wait_until(lambda: wanted <= set(outcomes()), 60, 'an outcome of each')
    arrived = {}
    for a in world.hosts.arrived:
        arrived.setdefault(a[0], []).append(a)
    return arrived


def gateway_rows(level):
    check(gw is not None, 'the gateway has started')
    arrived, found = deliver(level), outcomes()
    wrong = [(row, difference(row, level, found, arrived)) for row in ROWS]
    tell([f'{row.id} {row.recipient()} {level}: {why}' for row, why in wrong if why], f'rows at {level}')
    for row in ROWS:  # hosts that proved nothing were told nothing of the message
        if row.expect[level].startswith('defer'):
            said = [(a, w) for a, w in world.hosts.talked if a in row.hosts.values() and w in ('MAIL', 'RCPT', 'DATA')]
            check(not said, f'{row.id} {row.name}: {said}')
    explained(level, found)


def explained(level, found):
    """explain and what then came of it are of one mind."""
    proofs = {'verified': {'records', 'names', 'fingerprints'}, 'trusted': {'records'}, 'untrusted': {'optional', 'encrypted'},
              'clear': {'optional', 'clear'}}
    wrong = []
    for row in ROWS:
        said = json.loads(gw.ctl('explain', row.recipient(), '--json'))
        word, outcome = row.expect[level], said['outcome']
        tried = [t['proof'] for t in said.get('order', [])]
        if outcome['is'] == 'ready':
            fine = (word.startswith('defer') and tried) or set(tried) & proofs.get(word, set())
        else:
            fine = word == {'deferred': 'defer ', 'fails': 'bounce '}[outcome['is']] + outcome['enhanced'] and not tried
        if not fine:
            wrong.append(f'{row.id} {row.recipient()}: {outcome} {tried}, but {word}')
    tell(wrong, f'explanations at {level}')


def test_gateway_dane(lab):
    gateway_rows('dane')


# What posttls-finger's word about a destination is, of probe's words about its hosts.
def probe_word(row):
    plan, *probes = [json.loads(line) for line in gw.ctl('probe', row.target if row.to == 'route' else row.domain, '--json').splitlines()]
    if plan['outcome']['is'] == 'fails':
        return 'bounce', plan, probes
    taken = [p for p in probes if p['is'] == 'accepted']
    return taken[0]['tls'] if taken else 'defer', plan, probes


def test_probe_and_finger(lab):
    """probe's verdict on each row is the one that the delivery had, and posttls-finger's, where that has one."""
    check(gw is not None, 'the gateway has started')
    rows = [row for row in ROWS if row.finger['dane'] and row.to != 'literal']
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(probe_word, rows))
    check(len(rows) > 50, f'{len(rows)} opinions')
    # The table's reason, where posttls-finger differs from what is delivered, is a reason here, too.
    tell([f'{row.id} {row.domain}: {word}, not {row.expect["dane"].split()[0]}: {plan["outcome"]} {probes}'
          for row, (word, plan, probes) in zip(rows, found)
          if word != row.expect['dane'].split()[0] or (not row.why and word != row.finger['dane'].split()[0])], 'verdicts of probe')


def outcome(recipient, before=0):
    """The word of the table, of the line of the log that comes behind the first ones."""
    def there():
        lines = [line for line in LINE.findall(gw.log()) if line[2] == recipient]
        return lines if len(lines) > before else None
    wait_until(there, 30, f'an outcome of {recipient}')
    return outcomes()[recipient][0]


def test_records_change(lab):
    """D58, D59, O9: what was proved by the records before proves nothing by others: no kept connection, no session. The next try asks anew."""
    check(gw is not None, 'the gateway has started')

    def send(recipient):
        with Client() as c:
            check_equal(c.deliver('', [recipient], plain(1)).code, 250, recipient)
        return outcome(recipient)

    def publish(name):
        record = world.certificates[name].tlsa()
        world.names.publish('lab', '_25._tcp.mx.rekey.lab', 'TLSA', record)
        wait_until(lambda: record.split()[3] in gw.ctl('explain', 'to@rekey.lab'), 20, 'the new record')
        time.sleep(1.2)  # its TTL: what deliveries have been told of the old
    check_equal(send('first@rekey.lab'), 'verified', 'before')
    publish('other')
    check_equal(send('second@rekey.lab'), 'defer 4.7.5', 'with another key published')
    publish('leaf')
    gw.ctl('queue', 'flush', '--domain', 'rekey.lab')
    check_equal(outcome('second@rekey.lab', 1), 'verified', 'with its own again')


def test_gateway_dane_only(lab):
    gateway_rows('dane-only')


if __name__ == '__main__':
    main(setup)
