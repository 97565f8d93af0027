"""Where servers are measured: a veth pair with the client at one end and the servers' own network namespace at the other, and
disks for what they accept. One server runs at a time, at the same address whoever it is."""
import os
import shutil
import socket

from gateway import SLUICED, Gateway, make_veth
from harness import GATEWAY_IP, check, die_with_parent, run, wait_until
from loopdisk import LoopDisk
from meter import Meter

# Not a TAP: that raises a signal for each frame, which would be most of the figure.
AF_PACKET = 'net_af_packet0,iface=gw0,blocksz=65536,framesz=2048,framecnt=8192,qdisc_bypass=1'
CLIENTS = 16  # addresses of the client: the kernel has but so many ports for one
FROM = f'10.9.0.2-10.9.0.{1 + CLIENTS}/24'


class Ground:
    def __init__(self, lab):
        self.lab = lab
        make_veth()
        for last in range(3, 2 + CLIENTS):
            run('ip', 'addr', 'add', f'10.9.0.{last}/24', 'dev', 'cl0')
        with open('/proc/sys/net/ipv4/ip_local_port_range', 'w') as f:
            f.write('1024 65535')
        holder = lab.spawn('unshare', '--net', 'sleep', 'infinity')
        net = f'/proc/{holder.pid}/ns/net'
        wait_until(lambda: os.readlink(net) != os.readlink('/proc/self/ns/net'), 10, 'a namespace for servers')
        self.enter = ['nsenter', f'--net={net}', '--']
        run('ip', 'link', 'set', 'gw0', 'netns', str(holder.pid))
        self.inside('ip', 'link', 'set', 'lo', 'up')
        self.inside('ip', 'link', 'set', 'gw0', 'up')

    def inside(self, *args):
        return run(*self.enter, *args)

    def server_address(self, kernel):
        """Whether the servers' kernel has the address, or our stack."""
        self.inside('ip', 'addr', 'flush', 'dev', 'gw0')
        if kernel:
            self.inside('ip', 'addr', 'add', f'{GATEWAY_IP}/24', 'dev', 'gw0')
        run('ip', 'neigh', 'flush', 'dev', 'cl0')

    @staticmethod
    def greeting():
        """What port 25 says first, b'' when nobody is there."""
        try:
            with socket.create_connection((GATEWAY_IP, 25), timeout=5) as s:
                said = s.recv(1000)
                s.sendall(b'QUIT\r\n')
                while s.recv(1000):
                    pass
                return said
        except OSError:
            return b''


class Place:
    """A directory on the machine's disk, or on an ext4 that a loop device has in memory: what a server costs beyond what
    this machine's disk gives. Stands for the lab where a program asks for paths."""

    count = 0

    def __init__(self, lab, ground, name, ram_bytes=0):
        self.lab, self.enter, self.greeting, self.ram = lab, ground.enter, ground.greeting, ram_bytes > 0
        self.dir = lab.path(name)
        if self.ram:
            memory = lab.path(name + '-memory')
            os.mkdir(memory)
            run('mount', '-t', 'tmpfs', '-o', f'size={ram_bytes + (64 << 20)}', 'none', memory)
            lab.at_end(lambda: run('umount', '-l', memory, ok=None))

            class Memory:
                path = staticmethod(lambda n: lab.path(n) if not n.endswith('.img') else os.path.join(memory, n))
                at_end = staticmethod(lab.at_end)
            LoopDisk(Memory, name, ram_bytes)
        else:
            os.mkdir(self.dir)
        os.chmod(self.dir, 0o755)

    def path(self, name):
        return os.path.join(self.dir, name)

    def at_end(self, ending):
        self.lab.at_end(ending)

    def before_end(self, look):
        pass


class Ours(Gateway):
    """Our gateway in the servers' namespace, over af_packet or shared memory; with the calls of a Peer."""

    durable, tls_broken = True, None

    def __init__(self, place, tls=None, memif=False, queues=1, rsize=12, **changes):
        place.count += 1
        self.place, self.meter = place, Meter(place, 'sluice')
        if tls:
            changes['certificate_ec'] = {'chain': tls[0], 'key': tls[1]}
        super().__init__(place, name=f'sluice{place.count}', **changes)
        end = f"id=0,socket={os.path.join(self.dir, 'run/memif.sock')},socket-abstract=no,rsize={rsize}"
        self.client_device = f'net_memif0,role=client,{end}'
        self.blocks['port net0']['device'] = f'net_memif0,role=server,{end}' if memif else f'{AF_PACKET},qpairs={queues}'
        self.change(relay={'networks': None}, gateway={'idle': 'adaptive'})

    def launch(self, program=SLUICED, flags=(), **kw):
        def enter():
            self.meter.enter()
            die_with_parent()
        return super().launch(self.place.enter[0], (*self.place.enter[1:], program, *flags), preexec_fn=enter, **kw)

    def stop(self):
        """At once: what it has accepted has nowhere to go, and is not to be waited for."""
        check(self.alive(), f'{self.name} has ended with {self.process.returncode}: {self.log_now()[-300:]}')
        self.check_sums()
        self.kill()
        self.meter.end_all()
        self.meter.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        return 0

    @staticmethod
    def queued():
        return 0
