"""
A guest: Debian's kernel under qemu with a small root of our own, for what the machine that runs the tests has not:
PCI network cards with DPDK's poll-mode drivers, an IOMMU, dm-flakey, dm-log-writes, netem.

The root is an initramfs made here: busybox, the modules that are wanted, the gateway as it is installed, and their libraries.
A shell in the guest reads commands from a virtio port (Guest.run); the kernel's own words go to a log of the test's.
Processors are emulated (tcg), so all is some ten times slower than outside: wait for facts.

Kernel, busybox and the rest are unpacked in build/guest by tests/run, qemu is installed by it.
"""
import glob
import os
import queue
import re
import shlex
import shutil
import socket
import subprocess
import threading

import sums
from gateway import BUILD, Gateway, conf_text
from harness import SOURCE, Failed, Skip, check, find_program, run, wait_until

ROOT = os.environ.get('SLUICE_GUEST') or os.path.join(SOURCE, 'build/guest')
LIBRARIES = '/usr/lib/x86_64-linux-gnu'
BOOT_S, COMMAND_S, LIFE_S = 90, 60, 900  # bounds
MEMORY_MB, HUGE_PAGES = 768, 160
DRIVERS = ('bus_pci', 'bus_vdev', 'mempool_ring', 'net_virtio', 'net_e1000', 'net_vmxnet3')

INIT = '''#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/
mkdir -p /proc /sys /dev /tmp /run /mnt
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/hugepages /dev/shm
mount -t hugetlbfs huge /dev/hugepages
mount -t tmpfs run /run
chmod 1777 /tmp /dev/shm
ip link set lo up
modprobe -a virtio_pci virtio_console virtio_blk ext4 @MODULES@
until port=$(ls /dev/vport*p1 2>/dev/null); do sleep 0.1; done
exec 3<>$port
echo '@@boot 0' >&3
@END@
'''
SHELL = 'sh <&3 >&3 2>&1\npoweroff -f'
PASSWD = 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\nsluice:x:990:990::/:/bin/false\n'
GROUP = 'root:x:0:\nnogroup:x:65534:\nsluice:x:990:\n'


def kernel():
    """The kernel's file and its modules' directory."""
    found = sorted(glob.glob(os.path.join(ROOT, 'boot/vmlinuz-*')))
    if not found:
        raise Skip(f'no kernel in {ROOT}: tests/run --long e2e, or .ci/run, brings it')
    version = os.path.basename(found[-1])[len('vmlinuz-'):]
    return found[-1], os.path.join(ROOT, 'lib/modules', version)


class Tree:
    """The guest's root as it grows, in a directory of the test's."""

    def __init__(self, lab, name='root'):
        self.dir = lab.path(name)
        for folder in ('bin', 'sbin', 'etc', 'usr/bin', 'usr/sbin', 'lib64', 'var'):
            os.makedirs(os.path.join(self.dir, folder))
        os.symlink('/run', os.path.join(self.dir, 'var/run'))
        self.kernel, self.modules_from = kernel()
        self.copy(os.path.join(ROOT, 'bin/busybox'), '/bin/busybox')
        self.text('/etc/passwd', PASSWD)
        self.text('/etc/group', GROUP)
        self.wanted = []

    def path(self, name):
        path = os.path.join(self.dir, name.lstrip('/'))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def text(self, name, content, mode=0o644):
        with open(self.path(name), 'w') as f:
            f.write(content)
        os.chmod(self.path(name), mode)

    def copy(self, source, name):
        if not os.path.exists(source):
            raise Skip(f'{source} is not here: tests/run --long e2e, or .ci/run, brings it')
        if not os.path.exists(self.path(name)):
            shutil.copyfile(source, self.path(name))
            shutil.copymode(source, self.path(name))

    def program(self, source, name):
        """A program or a library, with the libraries that it links."""
        self.library(source, name) if '.so' in name else self.copy(source, name)
        env = dict(os.environ, LD_LIBRARY_PATH=f'{ROOT}{LIBRARIES}:{ROOT}{LIBRARIES}/systemd:{ROOT}/lib/x86_64-linux-gnu')
        text = run('ldd', source, env=env)
        check('not found' not in text, f'{source} needs libraries that are not here: {text}')
        for library in re.findall(r'(/\S+) \(0x', text):
            at = '/lib64/' if '/ld-linux' in library else LIBRARIES + '/'
            self.library(library, at + os.path.basename(library))

    def library(self, source, name):
        """One file by whatever name: the loader would take two for two libraries."""
        real = f'{LIBRARIES}/{os.path.basename(os.path.realpath(source))}'
        self.copy(source, real)
        if not os.path.lexists(self.path(name)):
            os.symlink(real, self.path(name))

    def modules(self, *names):
        """Modules of the kernel and what they need; loaded at boot."""
        with open(os.path.join(self.modules_from, 'modules.dep')) as f:
            needs = dict(line.rstrip('\n').split(':', 1) for line in f)
        paths = {os.path.basename(path)[:-3].replace('-', '_'): path for path in needs}
        where = '/lib/modules/' + os.path.basename(self.modules_from)
        for name in names:
            check(name.replace('-', '_') in paths, f'this kernel has no module {name}')
            path = paths[name.replace('-', '_')]
            for file in (path, *needs[path].split()):
                self.copy(os.path.join(self.modules_from, file), f'{where}/{file}')
        self.copy(os.path.join(self.modules_from, 'modules.dep'), f'{where}/modules.dep')
        self.wanted += names

    def gateway(self):
        """The gateway out of the package in SLUICE_PACKAGE, else as meson installs it, with DPDK's drivers that a guest can use."""
        stage, package = self.dir + '-installed', os.environ.get('SLUICE_PACKAGE')
        if package:
            run('dpkg-deb', '-x', package, stage)
        else:
            run('meson', 'install', '--no-rebuild', '-C', BUILD, '--destdir', stage, timeout=120)
        print(f'# the gateway is {package or "what meson installs"}', flush=True)
        for program, place in (('sluiced', '/usr/sbin'), ('sluicectl', '/usr/bin')):
            found = glob.glob(f'{stage}/usr/**/{program}', recursive=True)
            found = [f for f in found if os.path.isfile(f) and os.access(f, os.X_OK)]
            check(len(found) == 1, f'{program} is installed once: {found}')
            self.program(found[0], f'{place}/{program}')
        plugins = glob.glob(f'{LIBRARIES}/dpdk/pmds-*')
        check(len(plugins) == 1, f'DPDK keeps its drivers in one place: {plugins}')
        for name in DRIVERS:
            for file in glob.glob(f'{plugins[0]}/librte_{name}.so.*'):
                self.program(file, file)
        self.program(os.path.join(ROOT, 'usr/bin/socat'), '/usr/bin/socat')

    def pack(self, end=SHELL):
        """The initramfs, whole. end: what init does when the guest is ready; a port with commands is its descriptor 3."""
        self.modules('virtio_pci', 'virtio_console', 'virtio_blk', 'ext4', 'crc32c_generic')
        self.text('/init', INIT.replace('@MODULES@', ' '.join(self.wanted)).replace('@END@', end), 0o755)
        image = self.dir + '.cpio'
        with open(image, 'wb') as out:
            names = subprocess.run(['find', '.', '-print0'], cwd=self.dir, stdout=subprocess.PIPE, check=True).stdout
            subprocess.run([os.path.join(ROOT, 'bin/busybox'), 'cpio', '-0', '-o', '-H', 'newc'], cwd=self.dir, input=names,
                           stdout=out, stderr=subprocess.DEVNULL, check=True)
        return image


def make_disk(path, size, *options):
    """A file with an ext4 in it."""
    with open(path, 'wb') as f:
        f.truncate(size)
    run('mkfs.ext4', '-q', '-F', *options, path)


class Tap:
    """A tap of this namespace with a card of the guest behind it."""

    def __init__(self, name, card, queues=1, slot=0x10, **options):
        self.name, self.card, self.queues, self.slot, self.options = name, card, queues, slot, options
        multi = ['multi_queue'] if queues > 1 else []
        run('ip', 'tuntap', 'add', 'name', name, 'mode', 'tap', *multi)
        with open(f'/proc/sys/net/ipv6/conf/{name}/disable_ipv6', 'w') as f:
            f.write('0')
        run('ip', 'link', 'set', name, 'up')

    @property
    def pci(self):
        return f'0000:00:{self.slot:02x}.0'

    def arguments(self, iommu):
        many = f',queues={self.queues}' if self.queues > 1 else ''
        device = {'netdev': self.name, 'mac': f'52:54:00:00:00:{self.slot:02x}', 'addr': hex(self.slot), 'romfile': '', **self.options}
        if iommu and self.card.startswith('virtio'):
            device.update({'iommu_platform': 'on', 'disable-legacy': 'on'})
        if self.queues > 1:
            device.update(mq='on', vectors=2 * self.queues + 2)
        words = ''.join(f',{key}={value}' for key, value in device.items())
        return ['-netdev', f'tap,id={self.name},ifname={self.name},script=no,downscript=no,vhost=off{many}', '-device', self.card + words]


class Guest:
    """One boot, which ends the one before. cards: Tap; disks: files, /dev/vda and so on."""

    current = None

    def __init__(self, lab, tree, image, cards=(), disks=(), name='guest', iommu=False, words=''):
        if Guest.current is not None:
            Guest.current.cut()  # a card has one guest
        Guest.current = self
        self.lab, self.name, self.number = lab, name, 0
        self.console = lab.path(f'{name}-console.log')
        path = lab.path(f'{name}.sock')
        machine = ['-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '2', '-m', str(MEMORY_MB)]
        append = f'console=ttyS0 panic=-1 quiet hugepages={HUGE_PAGES} {words}'
        if iommu:
            machine += ['-device', 'intel-iommu']
            append += ' intel_iommu=on'
        arguments = ['-nodefaults', '-display', 'none', '-no-reboot', '-kernel', tree.kernel, '-initrd', image, '-append', append,
                     '-serial', f'file:{self.console}', '-device', 'virtio-serial-pci',
                     '-chardev', f'socket,id=shell,path={path},server=on,wait=off', '-device', 'virtserialport,chardev=shell']
        for card in cards:
            arguments += card.arguments(iommu)
        for i, disk in enumerate(disks):
            arguments += ['-drive', f'file={disk},format=raw,if=none,id=disk{i},cache=writeback,aio=threads', '-device', f'virtio-blk-pci,drive=disk{i}']
        self.log = open(lab.path(f'{name}-qemu.log'), 'ab')
        qemu = find_program('qemu-system-x86_64', 'tests/run --long e2e, or .ci/run, brings it')
        self.process = lab.spawn(qemu, *machine, *arguments, stdout=self.log, stderr=self.log)
        self.limit = threading.Timer(LIFE_S, self.process.kill)
        self.limit.daemon = True
        self.limit.start()
        lab.at_end(self.end)
        self.socket = socket.socket(socket.AF_UNIX)
        wait_until(lambda: self.dead() or self.socket.connect_ex(path) == 0, 20, 'qemu listens')
        self.check_alive()
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.until('@@boot', BOOT_S)

    def dead(self):
        return self.process.poll() is not None

    def check_alive(self):
        if self.dead():
            with open(self.log.name, errors='replace') as f:
                raise Failed(f'qemu has ended with {self.process.returncode}: {f.read()[-500:]}')

    def read(self):
        try:
            for line in self.socket.makefile('rb'):
                self.lines.put(line.decode(errors='replace').rstrip('\n'))
        except OSError:
            pass
        self.lines.put(None)

    def until(self, mark, seconds):
        """Lines up to the one that begins with the mark, and that one's number."""
        out = []
        while True:
            try:
                line = self.lines.get(timeout=seconds)
            except queue.Empty:
                raise Failed(f'{self.name}: nothing within {seconds} s behind {out[-3:]}') from None
            if line is None:
                raise Failed(f'{self.name} has ended behind {out[-3:]}')
            at = line.find(mark + ' ')
            if at >= 0:
                return '\n'.join(out + [line[:at]]).rstrip('\n'), int(line.split()[-1])
            out.append(line)

    def run(self, command, ok=(0,), seconds=COMMAND_S):
        """A command of the guest's shell; what it says."""
        self.number += 1
        self.socket.sendall(f'{{ {command}\n}} </dev/null 2>&1; echo "@@{self.number} $?"\n'.encode())
        text, status = self.until(f'@@{self.number}', seconds)
        if ok is not None and status not in ok:
            raise Failed(f'{self.name}: {command[:100]}: status {status}: {text[-400:]}')
        return text

    def write(self, name, content):
        self.run(f"mkdir -p $(dirname {name}); cat >{name} <<'END_OF_FILE'\n{content}\nEND_OF_FILE")

    def bind(self, pci, driver):
        """As an operator would: the device goes from whatever has it to the driver."""
        at = f'/sys/bus/pci/devices/{pci}'
        self.run(f'echo {driver} >{at}/driver_override; [ ! -e {at}/driver ] || echo {pci} >{at}/driver/unbind; echo {pci} >/sys/bus/pci/drivers_probe')
        check(self.run(f'readlink {at}/driver').endswith('/' + driver), f'{pci} is bound to {driver}')

    def cut(self):
        """The power goes."""
        self.process.kill()
        self.process.wait()
        self.limit.cancel()

    def end(self):
        self.cut()
        self.socket.close()
        self.log.close()


class GuestGateway(Gateway):
    """A gateway in a guest; its configuration as Gateway's, its files below /mnt in the guest."""

    def __init__(self, lab, guest, name='gw', **changes):
        self.guest = guest
        super().__init__(lab, name, **changes)
        self.log_path, self.conf_path, self.pid = f'/run/{name}.log', f'/run/{name}.conf', None

    def defaults(self):
        blocks = super().defaults()
        blocks['gateway'].update(run_dir='/run/sluice', state_dir='/mnt/state', eal_prefix='guest')
        blocks['spool'].update(path='/mnt/spool', size='64M', segment_size='4M')
        blocks['control']['socket'] = '/run/control.sock'
        blocks['tcp'] = {'packet_buffers': 4096, 'connections': 2000}
        self.socket = '/run/control.sock'
        return blocks

    def change(self, **changes):
        """The file is written when it starts."""
        for block, settings in changes.items():
            key = block.replace('_', ' ', 1) if block.split('_')[0] in ('port', 'route', 'listener') else block
            self.blocks.setdefault(key, {}).update(settings)

    def log_now(self):
        return self.guest.run(f'cat {self.log_path}', ok=None)

    def start(self, seconds=90, flags=''):
        self.guest.write(self.conf_path, conf_text(self.blocks))
        self.guest.write('/run/start', f'sluiced {flags} {self.conf_path} >{self.log_path} 2>&1 &\necho $! >/run/pid; wait $!; echo $? >/run/status')
        self.guest.run('rm -f /run/pid /run/status; setsid sh /run/start >/dev/null 2>&1 & until [ -s /run/pid ]; do sleep 0.1; done')
        self.pid = int(self.guest.run('cat /run/pid'))

        def ready():
            text = self.guest.run(f'grep -c "sluiced: ready" {self.log_path}; ls /run/status', ok=None)
            if '/run/status' in text.splitlines():
                raise Failed(f'{self.name} ended: {self.log_now()[-600:]}')
            return text.split()[0] == '1'
        wait_until(ready, seconds, f'{self.name} ready')
        return self

    def alive(self):
        return self.pid is not None and not self.guest.dead() and 'none' in self.guest.run('ls /run/status || echo none', ok=None)

    def check_sums(self):
        if self.pid is not None and not self.guest.dead() and self.alive():
            sums.check_sums(self.metrics)

    def metrics(self):
        text = self.guest.run(f'echo metrics | socat -t 20 - UNIX-CONNECT:{self.socket}', ok=None)
        data = re.sub(r'^data \d+\n', '', text, flags=re.MULTILINE)
        check(data.startswith('ok\n') and data.endswith('end'), f'metrics: {data[:200]!r}')
        return data[3:-3]

    def counter(self, name, thread=None):
        return sums.Counts(self.metrics())(name)

    def by_lane(self):
        """All counters, each a list of its lanes' values."""
        out = {}
        for line in self.metrics().splitlines():
            fields = line.split('\t')
            if fields[0] in ('counter', 'gauge'):
                out['/'.join(fields[1:3])] = [int(v.rsplit('=', 1)[1]) for v in fields[5].split() if v.startswith('lane')]
        return out

    def ctl(self, *args, ok=(0,)):
        return self.guest.run(f'sluicectl -s {self.socket} {shlex.join(args)}', ok=ok)

    def kill(self):
        self.guest.run(f'kill -9 {self.pid}')
        wait_until(lambda: not self.alive(), 30, 'killed')

    def stop(self):
        self.check_sums()
        self.guest.run(f'kill {self.pid}')
        wait_until(lambda: not self.alive(), 60, 'stopped')
        self.pid = None
        return int(self.guest.run('cat /run/status'))

    def end(self):
        self.pid = None
