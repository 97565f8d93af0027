"""A gateway on a shared-memory port, and perf/blast at the other end of it."""
import os
import subprocess

from gateway import Gateway
from harness import BUILD, GATEWAY_IP, Failed, check_equal

BLAST = os.path.join(BUILD, 'perf/blast')
SOURCES = '10.9.0.2-10.9.0.17/24'  # on the link; the first is the gateway's way to all forged sources
ELSEWHERE = '10.9.0.99:25'  # on the link, and nobody: nothing is delivered


def start(lab, name='gw', rsize=12, **changes):
    """The gateway, started. What it accepts stays in its queue."""
    path = lab.path(f'{name}/run/memif.sock')
    end = f'id=0,socket={path},socket-abstract=no,rsize={rsize}'
    changes.setdefault('queue', {}).setdefault('deliveries', 1)
    changes.setdefault('route_default', {}).setdefault('host', ELSEWHERE)
    changes.setdefault('port_net0', {})['device'] = f'net_memif0,role=server,{end}'
    gw = Gateway(lab, name=name, **changes)
    gw.client_device = f'net_memif0,role=client,{end}'
    return gw.start(addresses=False)


class Blast:
    """The generator, for any number of loads one after the other. DPDK 22.11 takes a shared-memory ring from
    under the lane that polls it when the other end goes: so the gateway is stopped first, while this one, between
    two loads, polls nothing.

    With kernel=True it is over the kernel's sockets, and gw may be None: then only what args say is told to it,
    --to among that (perf/run measures other servers so), and stop stops nothing else. program: how it is started,
    such as in another network namespace (['ip', 'netns', 'exec', NAME])."""

    count = 0

    def __init__(self, lab, gw, *args, kernel=False, program=()):
        Blast.count += 1
        self.gw, self.log_path = gw, lab.path(f'blast-{Blast.count}.log')
        link = ['--kernel'] if kernel else ['--port', gw.client_device, '--from', SOURCES]
        if '--to' not in args:
            link += ['--to', f'{GATEWAY_IP}:25']
        with open(self.log_path, 'wb') as log:
            self.process = lab.spawn(*program, BLAST, *link, '--loads', *map(str, args), stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=log)

    def run(self, *args):
        """One load to its end; its figures by name."""
        figures = {}
        self.process.stdin.write(' '.join(map(str, args)).encode() + b'\n')
        self.process.stdin.flush()
        for line in self.process.stdout:
            words = line.decode().split()
            if words[0] == 'end' and len(words) == 2:
                if words[1] not in '01':  # 1: a connection failed
                    break
                return figures
            if len(words) == 3:
                figures[words[0]] = float(words[1])
        with open(self.log_path, errors='replace') as f:
            raise Failed(f'blast {" ".join(map(str, args))}: {f.read()[-400:]}')

    def stop(self):
        """Stops the gateway, then the generator."""
        status = self.gw.stop() if self.gw is not None else 0
        self.process.stdin.close()
        self.process.wait(timeout=30)
        check_equal(status, 0, 'exit status of the gateway')
