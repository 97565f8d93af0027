"""From the spool to a next hop, beside Postfix on the same machine to the same sink: case delivery of perf/run. How,
and what the figures are: perf/README.md."""
import os
import smtplib
import statistics
import subprocess
import time

from harness import BUILD, GATEWAY_IP, HOST_IP, Failed, check_equal, wait_until
from gateway import Gateway, make_veth
from postfix import Postfix
from sink import Sink
from zones import Nsd

MESSAGES, BYTES = 10000, 4096
POSTFIX_MESSAGES = 4000
DEAD, DEAD_DOMAINS, LIVE = 100000, 10000, 40000
SEGMENT, ROUNDS = 64 << 20, 3
PORT, BOUND_S = 3000, 120
NAMES = ('127.0.0.1', 5300)
# Not a TAP: that raises a signal for each frame, which would be most of the figure.
AF_PACKET = 'net_af_packet0,iface=gw0,blocksz=65536,framesz=2048,framecnt=8192,qdisc_bypass=1'


def open_sink(lab, ports, tls=False):
    """On the kernel's end of the link, on a port for each destination."""
    return Sink(lab, '--kernel', '--listen', f'{HOST_IP}:{PORT}', '--ports', ports, *(['--tls'] if tls else []))


def gateway(lab, name, routes, messages, domains, live=0, **changes):
    """A gateway whose spool has the messages already; none is due for an hour. routes: where the mail of a domain
    goes."""
    gw = Gateway(lab, name=name, gateway={'idle': 'adaptive', 'memory': '512M'},
                 spool={'size': '2G', 'segment_size': '64M'}, **changes)
    gw.blocks['port net0']['device'] = AF_PACKET
    gw.blocks.update({f'route {domain}': {'host': host} for domain, host in routes.items()})
    gw.change(queue={'warn_after': '0s', 'backoff_min': '300s', 'backoff_max': '4000s'})  # no wait is longer than these
    fill = subprocess.run([os.path.join(BUILD, 'perf/spool_fill'), gw.blocks['spool']['path'], str(messages), str(BYTES if not live else 600),
                           str(SEGMENT), str(domains), str(live)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    if fill.returncode != 0:
        raise Failed(f'spool_fill: {fill.stdout.decode(errors="replace")[-300:]}')
    gw.start(addresses=False)
    wait_until(lambda: f'messages {messages + live}\n' in gw.ctl('queue', 'stat'), 120, 'the whole queue')
    time.sleep(1)  # what a start leaves behind
    return gw


def ours(lab, sink, destinations, reuse, tls):
    routes = {f'd{i}.example.org': f'{HOST_IP}:{PORT + i}' for i in range(destinations)}
    gw = gateway(lab, f'gw{destinations}{reuse}{tls}', routes, MESSAGES, destinations,
                 smtp={} if reuse else {'client_reuse': 1}, delivery={'tls': 'may' if tls else 'none'})
    cpu, device = gw.cpu_seconds(), gw.lanes_system_seconds()
    seconds, got = sink.wait(MESSAGES, lambda: gw.ctl('queue', 'flush'))
    wait_until(lambda: 'messages 0\n' in gw.ctl('queue', 'stat'), BOUND_S, 'an empty queue')
    cpu, device = gw.cpu_seconds() - cpu, gw.lanes_system_seconds() - device
    gw.stop()
    return MESSAGES, seconds, cpu, got | {'device': device}


def fill_postfix(peer, messages, domains):
    with smtplib.SMTP('127.0.0.1', 2526, timeout=30) as s:
        body = b'Subject: x\r\n\r\n' + (b'x' * 76 + b'\r\n') * (BYTES // 78)
        for n in range(messages):
            s.sendmail('sender@client.example', [f'recipient{n}@d{n % domains}.example.org'], body)


def theirs(lab, sink, destinations, reuse, tls):
    peer = Postfix(lab, name=f'postfix{destinations}{reuse}{tls}', listen={'127.0.0.1:2526': []}, main={
        'mynetworks': '127.0.0.0/8', 'in_flow_delay': '0', 'smtp_connection_cache_on_demand': 'yes' if reuse else 'no',
        'smtp_connection_cache_destinations': '' if not reuse else 'static:all', 'smtp_tls_connection_reuse': 'yes' if reuse and tls else 'no',
        'smtp_tls_security_level': 'may' if tls else 'none', 'smtpd_client_connection_count_limit': '0'})
    peer.main['transport_maps'] = peer.table('transport', {f'd{i}.example.org': f'smtp:[{HOST_IP}]:{PORT + i}' for i in range(destinations)})
    peer.without = ('qmgr',)  # the queue fills, and nobody takes from it
    peer.write()
    peer.start()
    fill_postfix(peer, POSTFIX_MESSAGES, destinations)
    check_equal(sum(len(files) for _, _, files in os.walk(os.path.join(peer.queue, 'incoming'))), POSTFIX_MESSAGES, 'its queue')
    peer.stop()
    peer.without = ()
    peer.write()
    seconds, got = sink.wait(POSTFIX_MESSAGES, peer.start)
    wait_until(lambda: peer.log().count('status=sent') >= POSTFIX_MESSAGES, BOUND_S, 'Postfix has sent all')
    cpu = peer.cpu_seconds()
    peer.stop()
    return POSTFIX_MESSAGES, seconds, cpu, got


def dead_names(lab):
    """DEAD_DOMAINS domains with an MX host each, of which half refuse and half are silent, at a real nsd; the settings of
    block dns for them. No zone above is signed: the trust anchor is of another name."""
    anchor = lab.path('anchor.ds')
    with open(anchor, 'w') as f:
        f.write('lab. IN DS 1 13 2 ' + '00' * 32 + '\n')
    Nsd(lab, NAMES, {'example.org': '$TTL 3600\n' + ''.join(
        f'd{i} MX 10 mx.d{i}\nmx.d{i} A {HOST_IP if i % 2 else f"198.51.{100 + i // 250}.{1 + i % 250}"}\n' for i in range(DEAD_DOMAINS))})
    return {'servers': [f'{NAMES[0]}:{NAMES[1]}'], 'trust_anchor': anchor}


def beside(lab, sink, dns, name, dead, known):
    """Messages a second and a CPU second to the one domain that answers."""
    gw = gateway(lab, name, {'live.example.org': f'{HOST_IP}:{PORT}'}, dead, min(dead, DEAD_DOMAINS), LIVE, dns=dns, delivery={'tls': 'none'},
                 route_default={'host': None, 'via': 'mx', 'private_networks': ['10.9.0.0/24', '198.51.0.0/16']})
    if known:
        with smtplib.SMTP(GATEWAY_IP, 25, timeout=30) as s:
            s.sendmail('sender@client.example', ['first@live.example.org'], b'Subject: x\r\n\r\nx\r\n')
        sink.wait(1, lambda: None)
    cpu = gw.cpu_seconds()
    seconds, got = sink.wait(LIVE, lambda: gw.ctl('queue', 'flush'))
    cpu = gw.cpu_seconds() - cpu
    gw.stop()
    return got['messages'] / seconds, got['messages'] / cpu


def unreachable(lab, add):
    """One domain that answers, without and with many beside it that do not: half of those refuse, half are silent.
    Known: a message has just gone there, as to a domain with traffic. Unknown: nothing is known of any of them, as after
    a start. In turns; the medians."""
    sink, dns, rates = open_sink(lab, 1), dead_names(lab), {}
    loads = (('alone', 1, True), ('known', DEAD, True), ('unknown', DEAD, False))
    for n in range(ROUNDS):
        for name, dead, known in loads:
            rates.setdefault(name, []).append(beside(lab, sink, dns, f'{name}{n}', dead, known))
    for name, _, _ in loads:
        for at, unit in enumerate(('messages_per_s', 'messages_per_cpu_s')):
            mid = statistics.median(pair[at] for pair in rates[name])
            add('sluice', f'live_{name}_{unit}', mid, '/s')
            if name != 'alone':
                share = statistics.median(pair[at] / alone[at] for pair, alone in zip(rates[name], rates['alone']))
                add('sluice', f'live_{name}_{unit}_share', share, 'of alone')


def delivery(lab, table):
    make_veth()
    def add(who, metric, value, unit):
        table.add('delivery', metric, value, unit, who)
    for tls in (False, True):
        for destinations in (1, 1000):
            sink = open_sink(lab, destinations, tls)
            for reuse in (True, False):
                share = {}
                name = f'{"tls" if tls else "plain"}_{destinations}_{"reused" if reuse else "single"}_'
                for who, load in (('sluice', ours), ('postfix', theirs)):
                    messages, seconds, cpu, got = load(lab, sink, destinations, reuse, tls)
                    share[who] = messages / cpu
                    add(who, name + 'messages_per_s', messages / seconds, '/s')
                    add(who, name + 'messages_per_cpu_s', messages / cpu, '/s')
                    add(who, name + 'connections', got['connections'], '')
                    if tls:
                        add(who, name + 'tls', got['tls'], '')
                    if who == 'sluice':
                        add(who, name + 'device_share', got['device'] / cpu, 'of the CPU time')
                add('ratio', name + 'per_cpu_s', share['sluice'] / share['postfix'], 'times')
            sink.stop()
    unreachable(lab, add)
