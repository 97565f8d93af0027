"""The gateway as a child: its configuration, start, ends, control and counters; and its links."""
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import sums
from harness import BUILD, GATEWAY_IP, HOST_IP, Failed, check, die_with_parent, run, wait_until

SLUICED = os.path.join(BUILD, 'app/sluiced/sluiced')
SLUICECTL = os.path.join(BUILD, 'app/sluicectl/sluicectl')
START_S = 60  # bound, not expectation: pre-writing the spool and a busy machine take their time


def word(value):
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, (list, tuple)):
        return '{ ' + ', '.join(word(v) for v in value) + ' }'
    text = str(value)
    if text == '' or not text.isascii() or any(c in text for c in ' {}=;,#"\'\\\t'):
        return '"' + text.replace('\\', '\\\\').replace('"', '\\"') + '"'
    return text


def conf_text(blocks):
    out = []
    for name, settings in blocks.items():
        if settings is None:
            continue
        out.append(f'{name} {{')
        out += [f'    {key} = {word(value)};' for key, value in settings.items() if value is not None]
        out.append('}')
    return '\n'.join(out) + '\n'


def for_others(lab, program):
    """A copy where users other than root may reach it; the source tree may stand in a closed home."""
    copy = lab.path('bin-' + os.path.basename(program))
    shutil.copyfile(program, copy)
    os.chmod(copy, 0o755)
    return copy


class Gateway:
    """One configuration and the process that runs it. Keyword arguments change settings of blocks:
    Gateway(lab, smtp={'message_size': '1M'}, name='second')."""

    count = 0

    def __init__(self, lab, name='gw', **changes):
        Gateway.count += 1
        self.lab, self.name = lab, name
        self.dir = lab.path(name)
        os.makedirs(self.dir, exist_ok=True)
        self.prefix = f'sluice_e2e_{os.getpid()}_{Gateway.count}'
        self.conf_path = os.path.join(self.dir, 'sluice.conf')
        self.log_path = lab.path(f'{name}.log')
        self.socket = os.path.join(self.dir, 'control.sock')
        self.process = None
        self.iface, self.host_addresses = 'gw0', [f'{HOST_IP}/24']
        self.blocks = self.defaults()
        self.change(**changes)
        lab.at_end(self.end)
        lab.before_end(self.check_sums)

    def defaults(self):
        return {
            'gateway': {'hostname': 'mx.gateway.example', 'run_dir': os.path.join(self.dir, 'run'),
                        'state_dir': os.path.join(self.dir, 'state'),
                        'eal_prefix': self.prefix, 'memory': '256M'},
            'port net0': {'device': 'net_tap0,iface=gw0', 'address': [f'{GATEWAY_IP}/24'], 'gateway': HOST_IP},
            'listener mx': {'kind': 'mx', 'port': 'net0', 'tcp_port': 25},
            'spool': {'path': os.path.join(self.dir, 'spool'), 'size': '256M', 'segment_size': '16M'},
            'smtp': {'message_size': '50M'},
            'limits': {'connections_per_client': 0},  # all clients of a test have one address
            'queue': {'backoff_min': '1s', 'backoff_max': '2s'},
            'relay': {'networks': ['10.9.0.0/24'], 'domains': ['example.org']},
            'route default': {'host': f'{HOST_IP}:2525'},
            'control': {'socket': self.socket},
        }

    def change(self, **changes):
        """Changes settings and writes the file; a block named "port net0" is written port_net0."""
        for block, settings in changes.items():
            key = block.replace('_', ' ', 1) if block.split('_')[0] in ('port', 'listener', 'spool', 'route', 'certificate', 'destination', 'source') else block
            if settings is None:
                self.blocks.pop(key, None)
            else:
                self.blocks.setdefault(key, {}).update(settings)
        os.makedirs(os.path.join(self.dir, 'run'), exist_ok=True)
        for block in self.spools():
            os.makedirs(block['path'], exist_ok=True)
        with open(self.conf_path, 'w') as f:
            f.write(conf_text(self.blocks))

    def spools(self):
        return [settings for name, settings in self.blocks.items() if name.split(' ')[0] == 'spool']

    # ---- life ----

    def settle_log(self):
        """What the gateway has logged so far is in its log, if it runs: the log has a writer of its own."""
        if self.process is None or self.process.poll() is not None:
            return
        try:
            before = self.counter('log/caught_up')
            wait_until(lambda: self.counter('log/caught_up') >= before + 2, 5, 'the log is not written')
        except (OSError, ValueError, KeyError, Failed):
            pass  # it begins or ends, or its log takes nothing: the test reads what there is

    def log(self):
        self.settle_log()
        return self.log_now()

    def log_now(self):
        try:
            with open(self.log_path, errors='replace') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def launch(self, program=SLUICED, flags=(), **kw):
        """Starts the process; returns the length of the log before it."""
        self.launched_at = before = len(self.log_now())
        log = open(self.log_path, 'ab')
        # In a sanitizer's build: its search for leaks needs ptrace, which the sandbox forbids.
        env = dict(os.environ, ASAN_OPTIONS=os.environ.get('ASAN_OPTIONS', '') + ':detect_leaks=0')
        self.process = subprocess.Popen([program, *flags, self.conf_path], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                        env=env, preexec_fn=kw.pop('preexec_fn', die_with_parent), **kw)
        log.close()
        return before

    def start(self, addresses=True, flags=()):
        before = self.launch(flags=flags)

        def ready():
            if self.process.poll() is not None:
                raise Failed(f'{self.name} ended with {self.process.returncode}: {self.log_now()[before:][-500:]}')
            return 'sluiced: ready' in self.log_now()[before:]
        wait_until(ready, START_S, f'{self.name} ready')
        if addresses:
            self.address()
        return self

    def address(self):
        """Gives the kernel's end of the link its address."""
        for address in self.host_addresses:
            run('ip', 'addr', 'replace', address, 'dev', self.iface)
        run('ip', 'link', 'set', self.iface, 'up')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait(self, seconds=60):
        return self.process.wait(timeout=seconds)

    def stop(self):
        """Ends it as an operator would, after a look at its counters; its exit status."""
        self.check_sums()
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def end(self):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.kill()

    def alive(self):
        return self.process.poll() is None

    # ---- what it says ----

    def check_sums(self):
        """Its counters add up (sums.py). Nothing to look at: it has ended, or it is not up."""
        if self.process is not None and self.alive() and 'sluiced: ready' in self.log_now()[self.launched_at:]:
            sums.check_sums(self.metrics)

    def metrics(self):
        """The control socket's answer to metrics, without its blocks' heads; None when the gateway ends meanwhile."""
        data = b''
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(30)
                s.connect(self.socket)
                s.sendall(b'metrics\n')
                while piece := s.recv(1 << 20):
                    data += piece
        except (ConnectionError, FileNotFoundError):
            if not self.alive():
                return None
            raise
        check(data.startswith(b'ok\n'), f'metrics: {data[:200]!r}')
        data, text = data[3:], b''
        while data.startswith(b'data '):
            head, rest = data.split(b'\n', 1)
            size = int(head[5:])
            text, data = text + rest[:size], rest[size:]
        check(data == b'end\n', f'metrics end with {data[:200]!r}')
        return text.decode()

    def ctl(self, *args, ok=(0,)):
        return run(SLUICECTL, '-s', self.socket, *args, ok=ok)

    def telemetry_dir(self):
        return f'/var/run/dpdk/{self.prefix}'

    def telemetry(self, command):
        """One command on DPDK's telemetry socket, as dpdk-telemetry.py sends it."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            s.settimeout(10)
            s.connect(os.path.join(self.telemetry_dir(), 'dpdk_telemetry.v2'))
            limit = json.loads(s.recv(1024))['max_output_len']
            s.send(command.encode())
            return json.loads(s.recv(limit))[command.split(',')[0]]

    def counter(self, name, thread=None):
        """counter('smtp/refused_nul'): a counter, all threads together or of one."""
        group, key = name.split('/', 1)
        values = self.telemetry(f'/sluice/{group}' + ('' if thread is None else f',{thread}'))
        check(values is not None and key in values, f'telemetry has no {name}')
        return values[key]

    def lanes(self):
        return sorted(n for name, n in self.telemetry('/sluice/threads').items() if name.startswith('lane'))

    def cycles_per_s(self):
        """Of the clock that the lanes count by."""
        return int(re.search(r'^cycles_per_second\s+(\d+)$', self.metrics(), re.M).group(1))

    def cpu_seconds(self):
        """User and system time of all its threads."""
        with open(f'/proc/{self.process.pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


    def lanes_system_seconds(self):
        """System time of the lanes: what the kernel does in calls of theirs, which is a kernel device's work, where the port is one."""
        total = 0
        for task in os.listdir(f'/proc/{self.process.pid}/task'):
            with open(f'/proc/{self.process.pid}/task/{task}/stat') as f:
                text = f.read()
            if '(rte-worker' in text:
                total += int(text.rsplit(')', 1)[1].split()[12])
        return total / os.sysconf('SC_CLK_TCK')


class Counted:
    """with Counted(gw, 'smtp/refused_nul', 1): the counter grows by at least that inside."""

    def __init__(self, gw, name, at_least=1, seconds=10):
        self.gw, self.name, self.at_least, self.seconds = gw, name, at_least, seconds

    def __enter__(self):
        self.before = self.gw.counter(self.name)
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            return False
        end = time.monotonic() + self.seconds
        while (grown := self.gw.counter(self.name) - self.before) < self.at_least:
            if time.monotonic() > end:
                raise Failed(f'{self.name} grew by {grown}, not {self.at_least}')
            time.sleep(0.05)
        return False


def ping(size=56, count=3, seconds=5, address=GATEWAY_IP, source=''):
    """How many of count ICMP echo requests with size bytes are answered with the same bytes."""
    def checksum(data):
        total = sum(struct.unpack(f'>{len(data) // 2}H', data))
        total = (total & 0xffff) + (total >> 16)
        return ~(total + (total >> 16)) & 0xffff
    answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(seconds)
        s.bind((source, 0))
        for number in range(count):
            payload = os.urandom(size // 2 * 2)
            head = struct.pack('>BBHHH', 8, 0, 0, os.getpid() & 0xffff, number)
            value = checksum(head + payload)
            s.sendto(head[:2] + struct.pack('>H', value) + head[4:] + payload, (address, 0))
            try:
                reply = s.recv(65536)
            except TimeoutError:
                continue
            answered += reply[20] == 0 and reply[24:28] == head[4:] and reply[28:] == payload
    return answered


def make_veth(host='cl0', gateway='gw0'):
    """A veth pair for net_af_packet. The gateway's end has no address, else the kernel answers too; the
    client's end computes its checksums, because af_packet cannot tell a left-out one from a wrong one."""
    run('ip', 'link', 'add', host, 'type', 'veth', 'peer', 'name', gateway)
    run('ethtool', '-K', host, 'tx', 'off')
    run('ip', 'addr', 'add', f'{HOST_IP}/24', 'dev', host)
    run('ip', 'link', 'set', host, 'up')
    run('ip', 'link', 'set', gateway, 'up')
