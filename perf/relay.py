"""In and out at once: case relay of perf/run. Mail from the generator through a server to the sink: ours and each peer between the
kernel's generator and sink in turns, and ours between our own over shared memory. How, and what the figures are: perf/README.md."""
import os
import statistics
import subprocess
import time

import accept
import limits
import load
import peers
from blast import Blast
from ground import FROM, Ground, Ours, Place
from harness import BUILD, HOST_IP, Failed, check, check_equal, wait_until
from sink import Sink

BYTES, CONNECTIONS, PER_CONNECTION = 4096, 64, 50
OUT_IP, SINK_IP, PORT, RUN = '10.8.0.1', '10.8.0.2', 2525, 7
MOST, QUICK_MOST, MOST_OF_A_PEER = 60000, 200, 20000
OURS_DRAIN_S, DRAIN_S = 60, 20  # a peer may have some left then
LEDGER = ('acked', 'lost', 'doubled', 'damaged')
SETTINGS = {'gateway': {'memory': '1G', 'lane_cpus': [0]}, 'spool': {'size': '4G', 'segment_size': '64M', 'buffers': 8192},
            'tcp': {'packet_buffers': 32768, 'msl': '1s'}, 'delivery': {'tls': 'none'},
            'queue': {'deliveries': 1000, 'backoff_min': '300s', 'backoff_max': '4000s', 'warn_after': '0s'}}


def compare(sent, seen):
    out = subprocess.run([os.path.join(BUILD, 'perf/ledger'), sent, seen], capture_output=True, text=True)
    if out.returncode == 2:
        raise Failed(f'ledger: {out.stderr}')
    return {name: int(value) for name, value in (line.split() for line in out.stdout.splitlines())}


class Relaying(Ours):
    """What it has accepted goes to the sink. memif: a port for each side, the second with other_device at its far end."""

    def __init__(self, place, memif):
        to = SINK_IP if memif else HOST_IP
        super().__init__(place, memif=memif, route_default={'host': f'{to}:{PORT}'}, **SETTINGS)
        if memif:
            end = f"id=0,socket={os.path.join(self.dir, 'run/out.sock')},socket-abstract=no,rsize=12"
            self.change(port_net1={'device': f'net_memif1,role=server,{end}', 'address': [f'{OUT_IP}/24']})
            self.other_device = f'net_memif0,role=client,{end}'

    def queued(self):
        return 0 if 'messages 0\n' in self.ctl('queue', 'stat') else 1


class Relay:
    def __init__(self, lab, effort):
        self.lab, self.effort, self.ground, self.count = lab, effort, Ground(lab), 0
        self.place = Place(lab, self.ground, 'disk')

    def paths(self):
        self.count += 1
        return [self.lab.path(f'{name}{self.count}') for name in ('sent', 'seen')]

    def words(self, seconds, messages, *more):
        return ['smtp', '--connections', CONNECTIONS, '--per-connection', PER_CONNECTION, '--size', BYTES, '--time', seconds,
                '--messages', messages, *more]

    def measured(self, server, run, sent, most):
        """From the first connection until the queue is empty. A first load, which is not counted, warms caches and connections."""
        ours = isinstance(server, Ours)
        run(self.words(2, min(100, most)))
        wait_until(lambda: server.queued() == 0, OURS_DRAIN_S, f'{server.name} is quiet')
        time.sleep(accept.QUIET_S)
        cycles = accept.lane_cycles(server) if ours else {}
        before, start = server.meter.cpu(), time.monotonic()
        figures = load.Figures('messages', run(self.words(self.effort.seconds, most, '--ledger', sent, '--run', RUN)))
        end = time.monotonic() + (OURS_DRAIN_S if ours else DRAIN_S)
        while server.queued() > 0 and time.monotonic() < end:
            time.sleep(0.02)
        check(not ours or server.queued() == 0, f'{server.name} has not sent all')
        figures.per_s = figures.done / (time.monotonic() - start)
        if not ours:
            time.sleep(accept.QUIET_S)
        got = accept.Run(figures, [after - b for after, b in zip(server.meter.cpu(), before)], server.queued())
        if ours:
            got.cycles = {name: n - cycles[name] for name, n in accept.lane_cycles(server).items()}
            got.cycles_per_s = server.cycles_per_s()
        return got

    def veth(self, server, most):
        """Whoever it is, between the kernel's generator and sink; it is stopped at the end."""
        sent, seen = self.paths()
        sink = Sink(self.lab, '--kernel', '--listen', f'{HOST_IP}:{PORT}', '--ledger', seen, '--run', RUN)
        try:
            if isinstance(server, Ours):
                server.start(addresses=False)
            else:
                server.start()
            got = self.measured(server, lambda words: load.raw(words, FROM), sent, most)
        finally:
            if server.process is not None:
                server.stop()
            sink.stop()
        got.ledger = compare(sent, seen)
        return got

    def ours(self):
        self.ground.server_address(kernel=False)
        return self.veth(Relaying(self.place, False), QUICK_MOST if self.effort.quick else MOST)

    def peer(self, kind):
        self.ground.server_address(kernel=True)
        return self.veth(kind(self.lab, self.place, relay=(HOST_IP, PORT)), QUICK_MOST if self.effort.quick else MOST_OF_A_PEER)

    def memif(self):
        sent, seen = self.paths()
        gw = Relaying(self.place, True).start(addresses=False)
        sink = Sink(self.lab, '--port', gw.other_device, '--listen', f'{SINK_IP}:{PORT}', '--ledger', seen, '--run', RUN)
        far = Blast(self.lab, gw)
        far.run('connect', '--messages', 100)  # each end knows the other's addresses
        got = self.measured(gw, lambda words: far.run(*words), sent, QUICK_MOST if self.effort.quick else MOST)
        sink.quiet()
        far.stop()
        sink.stop()
        got.ledger = compare(sent, seen)
        return got


def relay(lab, table, quick=False, names=None):
    case = Relay(lab, accept.Effort(quick))
    servers = [('sluice', True, case.ours), ('sluice-memif', True, case.memif)]
    servers += [(kind.name, kind.durable, lambda kind=kind: case.peer(kind)) for kind in peers.present(names or peers.packages.NAMES)]
    runs = {who: [] for who, _, _ in servers}
    for _ in range(case.effort.rounds):
        for server in list(servers):
            try:
                runs[server[0]].append(server[2]())
            except Failed as why:
                if server[0].startswith('sluice'):
                    raise Failed(f'relay: {server[0]}: {why}') from None
                print(f'peer {server[0]}: not in relay: {why}', flush=True)
                servers.remove(server)
    report = accept.Report(table, 'relay', '', 'messages')
    for who, durable, _ in servers:
        report.server(who, durable, runs[who])
        for metric in LEDGER:
            report.add(who, metric, sum(r.ledger[metric] for r in runs[who]), 'messages')
    for who in ('sluice', 'sluice-memif'):
        report.cycles(who, runs[who])
        check_equal([sum(r.ledger[m] for r in runs[who]) for m in ('lost', 'damaged')], [0, 0], f'{who}: lost and damaged')
    for who, _, _ in servers[2:]:
        report.ratio('sluice', who, f'per_cpu_s_to_{who}')
        report.ratio('sluice-memif', who, f'memif_per_cpu_s_to_{who}')
    rate, p99 = limits.commits(case.place, BYTES, 64)
    report.add('limit', 'disk_records_per_s', rate, '/s')
    report.add('limit', 'disk_p99_us', p99, 'us')
    for who, name in (('sluice', ''), ('sluice-memif', 'memif_')):
        report.add('ratio', name + 'share_of_disk', statistics.median(r.figures.per_s for r in runs[who]) / rate, 'of the limit')
