"""Twice what a server can take: case overload of perf/run, ours over shared memory and over the veth pair, each peer over veth. The
peak is found with a closed loop, then connections are started on a schedule at twice that rate, each with one message. How, and what
the figures are: perf/README.md."""
import os
import statistics

import limits
import load
import peers
from accept import RAM_BYTES, Effort, lane_cycles
from blast import ELSEWHERE as NOBODY, Blast
from ground import FROM, Ground, Ours, Place
from harness import Failed, check, wait_until

BYTES, FACTOR = 4096, 2
# So many connections may stand at the same time: more than the server may have messages under way, or the generator waits with it.
PEAK_CONNECTIONS, CONNECTIONS, PEER_CONNECTIONS = 256, 4000, 1000
BUFFERS, RING = 1024, 14
SPOOL = {'size': '3G', 'segment_size': '64M', 'buffers': BUFFERS}
TIMEOUT_S, DRAIN_S = 3, 30


def words(connections, seconds, *more):
    return ['smtp', '--connections', connections, '--per-connection', 1, '--size', BYTES, '--time', seconds, '--timeout', TIMEOUT_S, *more]


def spooled(gw):
    """Messages in the spool, as the queue has them."""
    for line in gw.ctl('queue', 'stat').splitlines():
        if line.startswith('messages '):
            return int(line.split()[1])
    raise Failed('queue stat tells no messages')


def overloaded(server, run, seconds, connections):
    """Peak, then twice as much: what became of it. run gives blast's figures for words."""
    ours = isinstance(server, Ours)
    run(words(32, 1, '--messages', 100))
    start = spooled(server) if ours else 0
    peak = run(words(min(PEAK_CONNECTIONS, connections), seconds))
    per_s = peak['messages_per_s']
    if not per_s:
        raise Failed(f'nothing succeeded: {peak}')
    cycles = lane_cycles(server) if ours else {}
    cpu = sum(server.meter.cpu())
    got = run(words(connections, seconds, '--rate', max(1, int(FACTOR * per_s))))
    cpu = sum(server.meter.cpu()) - cpu
    refused = sum(got.get(name, 0) for name in ('failed_reply', 'refused_4xx', 'refused_5xx'))
    figures = {'peak_messages_per_s': (per_s, '/s'), 'offered_share': (got['started'] / seconds / per_s, 'of the peak'),
               'goodput_per_s': (got['messages_per_s'], '/s'), 'goodput_share': (got['messages_per_s'] / per_s, 'of the peak'),
               'messages_per_cpu_s': (got['messages'] / cpu, '/s'),
               'refused_share': (refused / seconds / per_s, 'of the peak'),
               'unanswered_share': ((got['failed'] - got.get('failed_reply', 0)) / seconds / per_s, 'of the peak')}
    for name in (*load.LATENCIES, *(f'refused_{p}' for p in load.LATENCIES)):
        if got.get(name):  # none, when nothing was accepted
            figures[name] = got[name], 'us'
    for name in sorted(got):
        if name.startswith('failed_') or name in ('refused_4xx', 'refused_5xx'):
            figures[name] = got[name], 'in all'
    if ours:
        for name, n in lane_cycles(server).items():
            figures[f'lane_{name}_per_message'] = (n - cycles[name]) / max(1, got['messages']), 'cycles'
        accepted, kept = peak['messages'] + got['messages'], spooled(server) - start
        figures |= {'acknowledged': (accepted, 'messages'), 'kept': (kept, 'messages'), 'lost': (max(0, accepted - kept), 'messages')}
    return figures


class Overload:
    def __init__(self, lab, effort):
        self.lab, self.effort, self.ground = lab, effort, Ground(lab)
        self.disk = Place(lab, self.ground, 'disk')
        self.ram = self.disk if effort.quick else Place(lab, self.ground, 'ram', RAM_BYTES)
        self.seconds = 1 if effort.quick else 2

    def gateway(self, place, memif):
        self.ground.server_address(kernel=False)
        gw = Ours(place, None, memif, rsize=RING, gateway={'memory': '1G', 'lane_cpus': [0]}, spool=SPOOL, queue={'deliveries': 1},
                  tcp={'packet_buffers': 65536 if memif else 32768, 'msl': '1s'}, route_default={'host': NOBODY})
        gw.start(addresses=False)
        for task in os.listdir(f'/proc/{gw.process.pid}/task'):  # the client has the other: it must be able to offer twice as much
            os.sched_setaffinity(int(task), {0})
        return gw

    def memif(self, place):
        gw = self.gateway(place, True)
        far = Blast(self.lab, gw, '--connections', CONNECTIONS)
        far.run('connect', '--messages', 100)
        got = overloaded(gw, lambda w: far.run(*w), self.seconds, CONNECTIONS)
        check(got['lost'][0] == 0, f'{got["lost"][0]:.0f} messages that were acknowledged are not in the spool')
        far.stop()
        return got

    def veth(self, place):
        gw = self.gateway(place, False)
        got = overloaded(gw, lambda w: load.raw(w, FROM), self.seconds, CONNECTIONS)
        check(got['lost'][0] == 0, f'{got["lost"][0]:.0f} messages that were acknowledged are not in the spool')
        gw.stop()
        return got

    def peer(self, kind):
        """It delivers to nowhere what it has accepted, so that nothing is left to count."""
        self.ground.server_address(kernel=True)
        server = kind(self.lab, self.disk).start()

        def run(w):
            got = load.raw(w, FROM)
            wait_until(lambda: server.queued() == 0, DRAIN_S, f'{server.name} is quiet')
            return got
        try:
            return overloaded(server, run, self.seconds, PEER_CONNECTIONS)
        finally:
            server.stop()


def overload(lab, table, quick=False, names=None):
    case = Overload(lab, Effort(quick))
    servers = [('sluice-memif', 'ram_' if not quick else '', lambda: case.memif(case.ram))]
    if not quick:
        servers += [('sluice-memif', '', lambda: case.memif(case.disk))]
    servers += [('sluice', '', lambda: case.veth(case.disk))]
    servers += [(kind.name, '', lambda kind=kind: case.peer(kind)) for kind in peers.present(names or peers.packages.NAMES)]
    runs = {server[:2]: [] for server in servers}
    for _ in range(case.effort.rounds):
        for who, prefix, go in list(servers):
            try:
                runs[who, prefix].append(go())
            except Failed as why:
                if who.startswith('sluice'):
                    raise Failed(f'overload: {prefix}{who}: {why}') from None
                print(f'peer {who}: not in overload: {why}', flush=True)
                servers = [server for server in servers if server[0] != who]
    records, _ = limits.commits(case.disk, BYTES, 64)
    table.add('overload', 'disk_records_per_s', records, '/s', 'limit')
    for (who, prefix), done in runs.items():
        if who.startswith('sluice') and not prefix:
            table.add('overload', 'share_of_disk', statistics.median(got['goodput_per_s'][0] for got in done) / records, 'of the limit', who)
        units = {name: unit for got in done for name, (_, unit) in got.items()}
        for name, unit in units.items():
            values = [got.get(name, (0, unit))[0] for got in done]
            table.add('overload', prefix + name, max(values) if name == 'lost' else statistics.median(values), unit, who)
