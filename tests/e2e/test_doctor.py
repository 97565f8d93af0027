#!/usr/bin/python3
# limit: 90
"""sluicectl doctor: each thing that it looks at, in trees of /proc and /sys that lack it, and once on this machine with a DNS, a disk,
certificates and a mail server of ours."""
import json
import os
import shutil
import subprocess
import time

from gateway import SLUICECTL, conf_text
from harness import HOST_IP, check, check_equal, die_with_parent, main, run
from loopdisk import LoopDisk
from sinks import Scripted
from test_tls import make_certificate
from zones import NSD, Zones

FLAGS = 'fpu sse4_2 popcnt cx16 aes pclmulqdq avx2 avx512f vaes constant_tsc nonstop_tsc'
NIC = '0000:03:00.0'
GOOD = {
    'proc/cpuinfo': f'processor\t: 0\nflags\t\t: {FLAGS}\n',
    'proc/meminfo': 'MemTotal:       16000000 kB\nMemAvailable:   9000000 kB\nHugePages_Total:     512\nHugePages_Free:      512\nHugepagesize:       2048 kB\n',
    'proc/sys/kernel/osrelease': '6.12.1-amd64\n',
    'proc/sys/kernel/io_uring_disabled': '0\n',
    'proc/self/limits': 'Limit                     Soft Limit           Hard Limit           Units     \n'
                        'Max open files            65536                524288               files     \n'
                        'Max locked memory         unlimited            unlimited            bytes     \n',
    'sys/kernel/security/lsm': 'capability,landlock,yama\n',
    'sys/devices/system/clocksource/clocksource0/current_clocksource': 'tsc\n',
    'sys/devices/system/cpu/online': '0-7\n',
    'sys/devices/system/cpu/isolated': '2-3\n',
    'sys/devices/system/cpu/cpu2/cpufreq/scaling_governor': 'performance\n',
    'sys/devices/system/cpu/cpu3/cpufreq/scaling_governor': 'performance\n',
    'sys/devices/system/cpu/cpu2/topology/thread_siblings_list': '2,6\n',
    'sys/devices/system/cpu/cpu3/topology/thread_siblings_list': '3,7\n',
    'sys/devices/system/node/node0/cpulist': '0-7\n',
    'sys/class/iommu/dmar0/name': 'dmar0\n',
    f'sys/bus/pci/devices/{NIC}/vendor': '0x8086\n',
    f'sys/bus/pci/devices/{NIC}/device': '0x1572\n',
    f'sys/bus/pci/devices/{NIC}/numa_node': '0\n',
    f'sys/bus/pci/devices/{NIC}/driver': '-> ../../../bus/pci/drivers/vfio-pci',
    'dev/net/tun': '',
}
CONF = {
    'gateway': {'hostname': 'a.lab', 'lanes': 2, 'lane_cpus': [2, 3], 'idle': 'poll', 'user': 'nobody'},
    'port net0': {'device': NIC, 'address': ['192.0.2.1/24'], 'gateway': '192.0.2.254'},
    'listener mx': {'kind': 'mx', 'port': 'net0'},
    'spool': {'path': '/var/spool/sluice', 'size': '1G'},
    'relay': {'domains': ['example.org']},
}
CPU = 'sys/devices/system/cpu'
HUGE = 'sys/kernel/mm/hugepages/hugepages'
KERNELS = {f'sys/bus/pci/devices/{NIC}/driver': '-> ../drivers/i40e', f'sys/bus/pci/devices/{NIC}/net/eth0/x': ''}
# what is so: files that differ (None: missing), settings that differ; what is said: level, check, words of the cause, of what to do.
ROWS = [
    ('an old processor', {'proc/cpuinfo': 'flags\t\t: fpu popcnt cx16\n'}, {}, 'fail', 'processor', 'sse4_2', '-cpu host'),
    ('no AES', {'proc/cpuinfo': f'flags\t\t: {FLAGS.replace(" aes", "")}\n'}, {}, 'warn', 'processor', 'no AES', '-cpu host'),
    ('no /proc', {'proc/cpuinfo': None}, {}, 'fail', 'processor', 'no flags', '/proc'),
    ('a TSC that changes', {'proc/cpuinfo': f'flags\t\t: {FLAGS.replace("nonstop_tsc", "")}\n'}, {}, 'warn', 'time stamp counter', 'pace', 'TSC'),
    ('too few processors', {f'{CPU}/online': '0-2\n'}, {}, 'fail', 'lanes', 'lane 1 is to run on processor 3', 'lane_cpus'),
    ('not isolated', {f'{CPU}/isolated': '\n'}, {}, 'warn', 'isolated processors', 'processor 2', 'isolcpus'),
    ('half isolated', {f'{CPU}/isolated': '2\n'}, {}, 'warn', 'isolated processors', 'processor 3', 'isolcpus'),
    ('a governor that saves', {f'{CPU}/cpu3/cpufreq/scaling_governor': 'powersave\n'}, {}, 'warn', 'processor clock', 'powersave', 'cpupower'),
    ('siblings', {f'{CPU}/cpu3/topology/thread_siblings_list': '2-3\n'}, {}, 'warn', 'SMT siblings', 'lanes 0 and 1', 'lane_cpus'),
    ('no huge pages', {'proc/meminfo': 'MemTotal: 16000000 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n'}, {}, 'warn', 'huge pages', '0 MiB', 'HUGEPAGES=256'),
    ('no huge pages, and they must be', {'proc/meminfo': 'MemTotal: 16000000 kB\nHugePages_Total: 128\nHugepagesize: 2048 kB\n'},
     {'gateway': {'huge_pages': 'yes'}}, 'fail', 'huge pages', '256 MiB', 'nic.conf'),
    ('huge pages of 1 GiB', {'proc/meminfo': 'MemTotal: 16000000 kB\nHugePages_Total: 1\nHugePages_Free: 1\nHugepagesize: 1048576 kB\n'}, {}, 'ok', 'huge pages', '1024 MiB', ''),
    ('huge pages of both sizes', {'proc/meminfo': 'MemTotal: 16000000 kB\nHugePages_Total: 0\nHugepagesize: 2048 kB\n', f'{HUGE}-2048kB/nr_hugepages': '100\n', f'{HUGE}-2048kB/free_hugepages': '1\n',
                                  f'{HUGE}-1048576kB/nr_hugepages': '1\n', f'{HUGE}-1048576kB/free_hugepages': '1\n'}, {}, 'ok', 'huge pages', '1224 MiB, 1026 MiB are free', ''),
    ('more lanes than processors', {f'{CPU}/online': '0-2\n', f'{CPU}/isolated': '0-2\n'}, {'gateway': {'lanes': 5, 'lane_cpus': None}}, 'warn', 'lanes', 'lanes 1 and 4 share processor 1', 'gateway: lanes'),
    ('none wanted', {'proc/meminfo': 'MemTotal: 16000000 kB\n'}, {'gateway': {'huge_pages': 'no'}}, 'ok', 'huge pages', 'not wanted', ''),
    ('little memory', {'proc/meminfo': 'MemTotal: 700000 kB\nHugePages_Total: 256\nHugepagesize: 2048 kB\n'}, {}, 'warn', 'memory', '683 MiB', 'gateway: memory'),
    ('too little memory', {'proc/meminfo': 'MemTotal: 300000 kB\n'}, {}, 'fail', 'memory', '292 MiB', 'gateway: memory'),
    ('an old kernel', {'proc/sys/kernel/osrelease': '5.4.0\n'}, {}, 'fail', 'kernel', '5.4.0', '5.10'),
    ('no io_uring', {'proc/sys/kernel/io_uring_disabled': '2\n'}, {}, 'fail', 'io_uring', 'switched off', 'sysctl'),
    ('io_uring for root', {'proc/sys/kernel/io_uring_disabled': '1\n'}, {}, 'ok', 'io_uring', 'root', ''),
    ('no Landlock', {'sys/kernel/security/lsm': 'capability,yama\n'}, {}, 'warn', 'Landlock', 'capability,yama', 'lsm='),
    ('a slow clock', {'sys/devices/system/clocksource/clocksource0/current_clocksource': 'hpet\n'}, {}, 'warn', 'clock source', 'hpet', 'tsc'),
    ('few files', {'proc/self/limits': GOOD['proc/self/limits'].replace('65536 ', '128   ')}, {}, 'warn', 'open files', '128 here', 'LimitNOFILE'),
    ('little locked memory', {'proc/self/limits': GOOD['proc/self/limits'].replace('unlimited            unlimited            bytes', '65536                65536                bytes')},
     {}, 'warn', 'locked memory', '64 KiB', 'LimitMEMLOCK'),
    ('no such NIC', {}, {'port net0': {'device': '0000:09:00.0'}}, 'fail', 'port net0', 'no PCI device 0000:09:00.0', 'dpdk-devbind'),
    ('not handed over', {f'sys/bus/pci/devices/{NIC}/driver': '-> ../drivers/i40e'}, {}, 'fail', 'port net0', 'bound to i40e', 'nic.conf'),
    ('the machine\'s own, by a route', {**KERNELS, 'proc/net/route': 'Iface\tDestination\neth0\t00000000\n'}, {}, 'fail', 'port net0', 'itself uses it (eth0)', 'ends your ssh'),
    ('by an IPv6 address', {**KERNELS, 'proc/net/if_inet6': 'fd000000000000000000000000000002 04 40 00 82     eth0\n'}, {}, 'fail', 'port net0', 'itself uses it (eth0)', 'ends your ssh'),
    ('by a bond', {**KERNELS, 'sys/class/net/eth0/master/x': ''}, {}, 'fail', 'port net0', 'itself uses it (eth0)', 'ends your ssh'),
    ('by a VLAN', {**KERNELS, 'sys/class/net/eth0/upper_eth0.5/x': ''}, {}, 'fail', 'port net0', 'itself uses it (eth0)', 'ends your ssh'),
    ('not by what each link has', {**KERNELS, 'proc/net/if_inet6': 'fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n', 'proc/net/route': 'Iface\tDestination\neth01\t00000000\n'}, {}, 'fail', 'port net0', 'not handed over', 'by hand'),
    ('a short address', {}, {'port net0': {'device': '03:00.0'}}, 'ok', 'port net0', 'IOMMU', ''),
    ('mana keeps its own', {f'sys/bus/pci/devices/{NIC}/driver': '-> ../drivers/mana', f'sys/bus/pci/devices/{NIC}/net/eth0/x': ''}, {}, 'ok', 'port net0', 'i40e', ''),
    ('no driver', {f'sys/bus/pci/devices/{NIC}/driver': None}, {}, 'fail', 'port net0', 'no driver', 'nic.conf'),
    ('mlx5 keeps its own', {f'sys/bus/pci/devices/{NIC}/driver': '-> ../drivers/mlx5_core', f'sys/bus/pci/devices/{NIC}/vendor': '0x15b3\n'}, {}, 'ok', 'port net0', 'mlx5', ''),
    ('vfio without an IOMMU', {'sys/class/iommu/dmar0/name': None}, {}, 'fail', 'port net0', 'no IOMMU', 'intel_iommu=on'),
    ('vfio without, and it knows', {'sys/class/iommu/dmar0/name': None, 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode': 'Y\n'}, {}, 'warn', 'port net0', 'without an IOMMU', 'IOMMU'),
    ('uio', {f'sys/bus/pci/devices/{NIC}/driver': '-> ../drivers/uio_pci_generic', f'sys/bus/pci/devices/{NIC}/device': '0x10d3\n'}, {}, 'warn', 'port net0', 'writes anywhere', 'vfio-pci'),
    ('its queues', {f'sys/bus/pci/devices/{NIC}/device': '0x10d3\n'}, {}, 'ok', 'port net0', 'at most two queues', ''),
    ('an unknown NIC', {f'sys/bus/pci/devices/{NIC}/device': '0xffff\n'}, {}, 'warn', 'port net0', '0x8086:0xffff', 'supported/nics'),
    ('another node', {'sys/devices/system/node/node0/cpulist': '4-7\n'}, {}, 'warn', 'port net0', 'NUMA node 0', 'lane_cpus'),
    ('no tun', {'dev/net/tun': None}, {'port net0': {'device': 'net_tap0,iface=gw0'}}, 'fail', 'port net0', '/dev/net/tun', 'modprobe tun'),
    ('no interface', {}, {'port net0': {'device': 'net_af_packet0,iface=eth7'}}, 'fail', 'port net0', 'eth7', 'ip link'),
    ('software', {}, {'port net0': {'device': 'net_tap0,iface=gw0'}}, 'ok', 'port net0', 'software', ''),
    ('a wrong setting', {}, {'gateway': {'lanes': 'many'}}, 'fail', 'configuration', 'lanes', '--check'),
]


def tree(lab, name, changes):
    root = lab.path(f'root-{name}')
    for path, text in {**GOOD, **changes}.items():
        if text is None:
            continue
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if text.startswith('-> '):
            os.symlink(text[3:], full)
        else:
            with open(full, 'w') as f:
                f.write(text)
    return root


def configuration(lab, changes):
    blocks = {name: dict(settings) for name, settings in CONF.items()}
    for name, settings in changes.items():
        blocks.setdefault(name, {}).update(settings)
    path = lab.path('doctor.conf')
    with open(path, 'w') as f:
        f.write(conf_text(blocks))
    return path


def doctor(*args):
    """Its findings and its exit status."""
    done = subprocess.run([SLUICECTL, 'doctor', '--json', *args], capture_output=True, text=True, timeout=60, preexec_fn=die_with_parent)
    check_equal(done.stderr, '', 'standard error')
    return [json.loads(line) for line in done.stdout.splitlines()], done.returncode


def setup(lab):
    check(os.path.exists(SLUICECTL), 'sluicectl is built')


def test_a_good_machine(lab):
    found, status = doctor('--root', tree(lab, 'good', {}), configuration(lab, {}))
    check_equal([f for f in found if f['level'] != 'ok'], [], 'what it has to say')
    check_equal(status, 0, 'status')
    check({'processor', 'lanes', 'huge pages', 'memory', 'kernel', 'io_uring', 'Landlock', 'open files', 'locked memory', 'port net0'}
          <= {f['check'] for f in found}, f'what it looked at: {found}')


def test_each_lack(lab):
    """Each row is said so, with what to do, and nothing else is found to be wrong."""
    for number, (name, files, settings, level, what, cause, to_do) in enumerate(ROWS):
        root = tree(lab, str(number), files)
        found, status = doctor('--root', root, configuration(lab, settings))
        shutil.rmtree(root)
        fitting = [f for f in found if (f['level'], f['check']) == (level, what) and cause in f['cause'] and to_do in f['next']]
        check(len(fitting) >= 1, f'{name}: {[f for f in found if f["check"] == what]}')
        check(level == 'fail' or not any(f['level'] == 'fail' for f in found), f'{name}: {found}')
        if level != 'ok':
            check(all(f['next'] != '' for f in found if f['level'] != 'ok'), f'{name}: says what to do: {found}')
        check_equal(status, 1 if any(f['level'] == 'fail' for f in found) else 0, f'{name}: status')


def test_wrong_use(lab):
    for args, status, words in (([lab.path('missing.conf')], 3, 'missing.conf'), (['--offline', '--probe', 'x', '/dev/null'], 2, '--probe'), (['a', 'b'], 2, 'doctor')):
        done = subprocess.run([SLUICECTL, 'doctor', *args], capture_output=True, text=True, timeout=60)
        check_equal(done.returncode, status, f'status of {args}')
        check(words in done.stderr, f'{args}: {done.stderr!r}')


def said(found, what):
    return [(f['level'], f['cause'] + ' -> ' + f['next']) for f in found if f['check'] == what]


def test_this_machine(lab):
    """A disk, a clock, keys and certificates that are there, names of a signed zone, and a mail server."""
    far = Scripted(lab)
    run('ip', 'addr', 'add', f'{HOST_IP}/32', 'dev', 'lo')
    zones = Zones(lab, {'lab': 'mx A 127.0.0.9\n'})
    chain, key = make_certificate(lab, 'doctor', 'EC', 'mx.lab')[:2]
    spool = lab.path('spool')
    os.makedirs(spool)
    servers = {'stubs': [f'lab={NSD[0]}:{NSD[1]}'], 'trust_anchor': zones.anchor}
    conf = configuration(lab, {'gateway': {'hostname': 'mx.lab', 'lanes': 1, 'lane_cpus': [0]}, 'port net0': {'device': 'net_tap0,iface=gw0'},
                               'spool': {'path': spool, 'size': '64M'}, 'certificate mx': {'chain': chain, 'key': key}, 'dns': servers})
    os.chmod(key, 0o600)
    began = time.monotonic()
    found, status = doctor('--probe', f'{HOST_IP}:2525', conf)
    check(time.monotonic() - began < 45, 'bounded in time')
    check_equal(said(found, 'DNSSEC'), [('ok', 'the SOA record of lab is validated -> ')], f'DNSSEC: {found}')
    check_equal(said(found, 'hostname')[0][0], 'ok', f'hostname: {found}')
    check('signed' in said(found, 'hostname')[0][1], 'signed')
    check('none; with one' in said(found, 'TLSA')[0][1], f'TLSA: {said(found, "TLSA")}')
    check(said(found, 'spool main') != [] and all(level != 'fail' for level, _ in said(found, 'spool main')), f'spool: {said(found, "spool main")}')
    check(any('durable write' in text for _, text in said(found, 'spool main')), 'the disk')
    check_equal([level for level, _ in said(found, 'certificate mx')], ['ok', 'ok'], f'certificate: {said(found, "certificate mx")}')
    check(len(said(found, 'clock')) == 1 and len(said(found, 'user')) == 1, 'clock and user')
    check_equal(os.listdir(spool), [], 'left in the spool')
    check_equal([level for level, _ in said(found, 'port 25 outbound')], ['ok'], f'probe: {said(found, "port 25 outbound")}')
    check_equal((far.sessions, far.faults), (1, []), 'sessions of the mail server')
    zones.publish('_25._tcp.mx.lab', ['3 1 1 ' + '0' * 64])
    found, status = doctor('--probe', f'{HOST_IP}:9', conf)
    check_equal((said(found, 'TLSA')[0][0], status), ('fail', 1), f'TLSA: {said(found, "TLSA")}')
    published = said(found, 'TLSA')[0][1].rsplit('TLSA ', 1)[1]
    check_equal([level for level, _ in said(found, 'port 25 outbound')], ['fail'], 'nobody there')
    zones.publish('_25._tcp.mx.lab', [published])
    found, status = doctor(conf)
    check_equal([level for level, _ in said(found, 'TLSA')], ['ok'], f'as it was told to: {said(found, "TLSA")}')
    zones.stop()
    found, status = doctor(conf)
    check_equal((said(found, 'DNS')[0][0], status), ('fail', 1), f'without a DNS: {found}')
    os.chmod(key, 0o644)
    found, status = doctor('--offline', conf)
    check_equal(status, 1, 'status')
    check_equal([level for level, text in said(found, 'certificate mx') if 'chmod' in text], ['fail'], f'a key for all: {found}')
    check_equal(said(found, 'DNSSEC') + said(found, 'PTR'), [], 'offline')


def test_no_journal(lab):
    """A spool on ext4 without a journal is warned of, one with a journal is not."""
    for name, options, want in (('journal', (), False), ('bare', ('-O', '^has_journal'), True)):
        disk = LoopDisk(lab, name, 64 << 20, *options)
        found, _ = doctor('--offline', configuration(lab, {'spool': {'path': disk.mount, 'size': '16M'}}))
        check_equal(any('without a journal' in text and 'tune2fs' in text for _, text in said(found, 'spool main')), want, f'{name}: {said(found, "spool main")}')


if __name__ == '__main__':
    main(setup)
