#!/usr/bin/python3
# limit: 300
"""What meson installs, the scripts of the package, and, with SLUICE_LONG=1, the package itself: built twice to the same bytes, looked at by lintian, installed,
upgraded and purged in a root of its own."""
import hashlib
import os
import re
import shutil
import subprocess

from harness import BUILD, LONG, SOURCE, Skip, check, check_equal, die_with_parent, find_program, main, run

FILES = {
    'usr/sbin/sluiced', 'usr/bin/sluicectl', 'usr/libexec/sluice/prepare', 'etc/sluice/sluice.conf', 'etc/sluice/nic.conf',
    'usr/share/man/man1/sluicectl.1', 'usr/share/man/man8/sluiced.8', 'usr/share/man/man5/sluice.conf.5',
    'usr/share/bash-completion/completions/sluicectl', 'usr/share/zsh/site-functions/_sluicectl',
    'usr/share/sluice/grafana-dashboard.json', 'usr/share/sluice/alerts.rules.yml', 'usr/share/sluice/cpu-isolation.conf',
    'usr/lib/sysusers.d/sluice.conf', 'usr/lib/tmpfiles.d/sluice.conf',
} | {f'usr/lib/systemd/system/sluice{name}.service' for name in ('', '-prepare', '-metrics', '-web')} \
  | {f'usr/share/man/man7/{name}' for name in os.listdir(os.path.join(SOURCE, 'conf/man'))} \
  | {f'usr/share/sluice/profiles/{name}' for name in os.listdir(os.path.join(SOURCE, 'conf/profiles'))}


def setup(lab):
    """Nothing to begin with."""


def files_of(root):
    return {os.path.relpath(os.path.join(at, name), root) for at, _, names in os.walk(root) for name in names}


def test_meson_installs_all(lab):
    """Each file and no other; the configuration has a user of its own, and can be read by the programs."""
    root = lab.path('root')
    env = dict(os.environ, DESTDIR=root)
    prefix = re.search(r'"name": "prefix", "value": "([^"]*)"', run('meson', 'introspect', '--buildoptions', BUILD)).group(1)
    run('meson', 'install', '-C', BUILD, '--no-rebuild', '--quiet', env=env, timeout=120)
    at = os.path.join(root, prefix.lstrip('/'))
    want = {path[4:] if path.startswith('usr/') else path for path in FILES}
    found = {path for path in files_of(at)} | {os.path.relpath(p, '.') for p in files_of(root) if p.startswith('etc/')}
    check_equal(sorted(want - found), [], 'missing')
    check_equal(sorted(found - want), [], 'not expected')
    conf = os.path.join(at, 'etc/sluice/sluice.conf')
    with open(conf if os.path.exists(conf) else os.path.join(root, 'etc/sluice/sluice.conf')) as f:
        text = f.read()
    check_equal((text.count('\n    user = sluice;\n'), text.count('\n    group = sluice-read;\n')), (1, 1), 'user and group of the default')


def prepare(root, *args, ok=(0,), **env):
    """conf/prepare with a tree for /sys, and a dpdk-devbind that binds in it."""
    done = subprocess.run([os.path.join(SOURCE, 'conf/prepare'), *args], capture_output=True, text=True, timeout=30, preexec_fn=die_with_parent,
                          env={'PATH': os.path.join(root, 'bin') + ':/usr/bin:/bin', 'ROOT': root, **env})
    check(done.returncode in ok, f'prepare {args}: status {done.returncode}: {done.stderr}')
    return done.stderr


def put(root, path, text, mode=0o644):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, 'w') as f:
        f.write(text)
    os.chmod(full, mode)


def read(root, path):
    with open(os.path.join(root, path)) as f:
        return f.read().strip()


def network(root, state='running', up=True, **more):
    """What systemctl and ip say: v4, v6 are addresses of eth0, route4, route6 all routes."""
    put(root, 'bin/systemctl', f'#!/bin/sh\necho {state}\n', 0o755)
    said = {'global': '2: eth9    inet 192.0.2.9/24 scope global eth9' if up else '', 'v4': '', 'v6': '2: eth0    inet6 fe80::1/64 scope link', 'route4': '',
            'route6': 'fe80::/64 dev eth0 proto kernel\nlocal fe80::1 dev eth0 table local\nmulticast ff00::/8 dev eth0 table local', **more}
    for name, text in said.items():
        put(root, f'said/{name}', text + '\n' if text else '')
    put(root, 'bin/ip', f'#!/bin/sh\ncase "$*" in "-o addr show scope global") f=global;; "-o -4 addr show dev eth0") f=v4;; "-o -6 addr show dev eth0") f=v6;;\n'
        f'"-o -4 route show table all") f=route4;; "-o -6 route show table all") f=route6;; *) exit 1;; esac\ncat {root}/said/$f\n', 0o755)


# A NIC with the interface eth0: what is so (arguments of network(), files below /sys/class/net/eth0), and what is said of it.
OWN = [
    ('an address', {'v4': '2: eth0    inet 192.0.2.1/24 scope global eth0'}, (), 'the address 192.0.2.1/24'),
    ('an IPv6 address', {'v6': '2: eth0    inet6 2001:db8::1/64 scope global'}, (), 'the address 2001:db8::1/64'),
    ('a route', {'route4': 'default via 192.0.2.254 dev eth0'}, (), 'the route default'),
    ('an IPv6 route alone', {'route6': 'fe80::/64 dev eth0\ndefault via fe80::2 dev eth0 metric 9'}, (), 'the route default'),
    ('a route of two hops', {'route4': 'default proto static \\\tnexthop via 192.0.2.2 dev eth9 weight 1 \\\tnexthop via 192.0.2.3 dev eth0 weight 1'}, (), 'the route default'),
    ('of a bond', {}, ('master',), 'bond or bridge'),
    ('with a VLAN', {}, ('upper_eth0.7',), 'carries eth0.7'),
    ('while it boots', {'state': 'starting'}, (), 'by hand'),
    ('before the network', {'state': 'initializing', 'up': False}, (), 'by hand'),
    ('no network, by hand', {'up': False}, (), 'by hand'),
]


def test_prepare_leaves_the_machines_own(lab):
    """Without FORCE=yes: no NIC that the machine uses, and at boot none that nobody has taken by hand; with it, each."""
    nic = '0000:03:00.0'

    def machine(name, net, interface_files):
        root = lab.path(f'own-{name}'.replace(' ', '-'))
        put(root, 'bin/modprobe', '#!/bin/sh\n', 0o755)
        put(root, 'bin/dpdk-devbind.py', f'#!/bin/sh\nfor a; do case $a in --bind=*) d=${{a#--bind=}};; esac; done\nfor nic; do :; done\n[ ! -e {root}/stuck ] || exit 1\n'
            f'ln -sfn ../drivers/$d {root}/sys/bus/pci/devices/$nic/driver\n', 0o755)
        for driver in ('e1000e', 'uio_pci_generic'):
            os.makedirs(os.path.join(root, 'sys/bus/pci/devices/drivers', driver))
        put(root, f'sys/bus/pci/devices/{nic}/net/eth0/x', '')
        put(root, f'sys/bus/pci/devices/{nic}/vendor', '0x8086\n')
        put(root, f'sys/bus/pci/devices/{nic}/device', '0x10d3\n')
        put(root, 'sys/class/net/eth0/address', '02:00:00:00:00:01\n')
        for file in interface_files:
            put(root, f'sys/class/net/eth0/{file}', '')
        os.symlink('../drivers/e1000e', os.path.join(root, 'sys/bus/pci/devices', nic, 'driver'))
        network(root, **net)
        return root

    def driver(root):
        return os.path.basename(os.readlink(os.path.join(root, 'sys/bus/pci/devices', nic, 'driver')))

    def start(root, ok=(0,), **more):
        return prepare(root, 'start', ok=ok, NICS=nic, DRIVER='uio_pci_generic', **more)
    for name, net, files, words in OWN:
        root = machine(name, net, files)
        check(words in start(root, ok=(1,)), f'{name}: why')
        check_equal(driver(root), 'e1000e', f'{name}: left alone')
        network(root, 'starting', up=False)
        start(root, ok=(1,))
        check_equal(driver(root), 'e1000e', f'{name}: at the next boot, too')
        start(root, FORCE='yes')
        check_equal(driver(root), 'uio_pci_generic', f'{name}: FORCE=yes')

    def reboot(mac='02:00:00:00:00:01'):
        shutil.rmtree(os.path.join(root, 'run'), ignore_errors=True)
        link = os.path.join(root, 'sys/bus/pci/devices', nic, 'driver')
        os.unlink(link)
        os.symlink('../drivers/e1000e', link)
        put(root, 'sys/class/net/eth0/address', mac + '\n')
        network(root, 'starting', up=False)
    root = machine('unused', {}, ())
    start(root)
    check_equal(driver(root), 'uio_pci_generic', 'by hand')
    reboot()
    start(root)
    check_equal(driver(root), 'uio_pci_generic', 'later boots do as that did')
    reboot('02:00:00:00:00:02')
    check('by hand' in start(root, ok=(1,)), 'another card at its address')
    reboot()
    start(root)
    # nic.conf is not in the environment of a release by hand.
    put(root, 'stuck', '')
    check('not given back to e1000e' in prepare(root, 'release', ok=(1,)), 'a gateway that runs')
    check_equal(os.listdir(os.path.join(root, 'run/sluice-prepare')), [nic], 'still to be given back')
    os.unlink(os.path.join(root, 'stuck'))
    prepare(root, 'release')
    check_equal((driver(root), os.listdir(os.path.join(root, 'run/sluice-prepare'))), ('e1000e', []), 'given back')
    reboot()
    check('by hand' in start(root, ok=(1,)), 'given back is given back, for later boots')
    network(root)
    start(root)
    reboot()
    network(root, v4='2: eth0    inet 192.0.2.1/24 scope global eth0')
    check('the address' in start(root, ok=(1,)), 'the machine has it now')
    reboot()
    start(root, ok=(1,))
    check_equal(driver(root), 'e1000e', 'the machine keeps it')


def test_prepare(lab):
    """Huge pages and NICs: what the file says is done, and given back; what cannot be is told with what to do."""
    root, nic = lab.path('machine'), '0000:03:00.0'
    pages, node = 'sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages', 'sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages'
    put(root, pages, '0\n')
    for n in (0, 1):
        put(root, node.format(n), '0\n')
    device = os.path.join(root, 'sys/bus/pci/devices', nic)
    os.makedirs(device)
    os.symlink('../drivers/e1000e', device + '/driver')
    put(root, 'bin/modprobe', '#!/bin/sh\n[ "$1" != missing ]\n', 0o755)
    put(root, 'bin/dpdk-devbind.py', '#!/bin/sh\nfor a; do case $a in --bind=*) d=${a#--bind=};; --force) f=1;; --unbind) d=;; esac; done\nfor nic; do :; done\n'
        f'l={root}/sys/bus/pci/devices/$nic/driver\n[ ! -e {root}/busy ] || [ -n "$f" ] || exit 1\nrm -f $l; [ -z "$d" ] || ln -s ../drivers/$d $l\n'
        f'[ -z "$d" ] || mkdir -p {root}/sys/bus/pci/devices/drivers/$d {root}/sys/bus/pci/devices/{nic}/../drivers/$d\n', 0o755)
    os.makedirs(os.path.join(root, 'sys/bus/pci/devices/drivers/e1000e'))
    network(root)

    def driver():
        return os.path.basename(os.readlink(device + '/driver'))
    check_equal(prepare(root, 'start'), '', 'nothing to do')
    check_equal((read(root, pages), driver()), ('0', 'e1000e'), 'nothing done')
    prepare(root, 'start', HUGEPAGES='64')
    check_equal(read(root, pages), '64', 'pages')
    prepare(root, 'start', HUGEPAGES='16 32')
    check_equal((read(root, node.format(0)), read(root, node.format(1))), ('16', '32'), 'pages of nodes')
    check('numbers of pages' in prepare(root, 'start', ok=(1,), HUGEPAGES='many'), 'no number')
    check('no pages of 1048576 KiB' in prepare(root, 'start', ok=(1,), HUGEPAGES_1G='1'), 'no such pages')
    check('there is no IOMMU' in prepare(root, 'start', ok=(1,), NICS=nic), 'vfio without an IOMMU')
    check_equal(driver(), 'e1000e', 'left alone')
    check('no such module' in prepare(root, 'start', ok=(1,), NICS=nic, DRIVER='missing'), 'no module')
    check('no PCI device' in prepare(root, 'start', ok=(1,), NICS='0000:09:00.0', DRIVER='uio_pci_generic'), 'no NIC')
    put(root, 'busy', '')
    check('FORCE=yes' in prepare(root, 'start', ok=(1,), NICS=nic, DRIVER='uio_pci_generic'), 'one in use')
    check_equal(driver(), 'e1000e', 'left alone')
    os.unlink(os.path.join(root, 'busy'))
    os.makedirs(os.path.join(root, 'sys/class/iommu/dmar0'))
    prepare(root, 'start', NICS=nic)
    check_equal((driver(), read(root, f'run/sluice-prepare/{nic}')), ('vfio-pci', 'e1000e'), 'handed over')
    prepare(root, 'start', NICS=nic)
    check_equal(read(root, f'run/sluice-prepare/{nic}'), 'e1000e', 'what it was, at a second start, too')
    prepare(root, 'release')
    check_equal((driver(), os.listdir(os.path.join(root, 'run/sluice-prepare'))), ('e1000e', []), 'given back')
    check('usage' in prepare(root, ok=(2,)), 'no argument')


def test_versions_agree(lab):
    with open(os.path.join(SOURCE, 'meson.build')) as f:
        version = re.search(r"version: '([^']*)'", f.read()).group(1)
    with open(os.path.join(SOURCE, 'conf/debian/changelog')) as f:
        check_equal(re.match(r'sluice \(([^)]*)\)', f.read()).group(1), version, 'the version of the package')


def build(lab, name, revision):
    out = lab.path(name)
    run(os.path.join(SOURCE, 'conf/package'), out, timeout=1800, env=dict(os.environ, REVISION=revision))
    return [os.path.join(out, n) for n in sorted(os.listdir(out)) if re.match(r'sluice_.*\.deb$', n)][0]


def check_hardened(program):
    """Position independent, read-only relocations, all bound at the start, no executable stack, CET, the stack's canary, checked copies."""
    headers, dynamic = run('readelf', '-lW', program), run('readelf', '-dW', program)
    check(re.search(r'Elf file type is DYN', headers) and 'PIE' in dynamic, 'not position independent')
    check('GNU_RELRO' in headers and 'NOW' in dynamic, 'relocations')
    check(re.search(r'GNU_STACK .* RW +0x', headers), 'an executable stack')
    check(not re.search(r'LOAD .* RWE ', headers), 'a segment that is written and executed')
    symbols = run('readelf', '--dyn-syms', '-W', program)
    with open(program, 'rb') as f:  # Debian's C runtime has no mark of it, so that the programs have none either
        check(f.read().count(b'\xf3\x0f\x1e\xfa') > 100, 'functions do not begin with endbr64 (CET)')
    check('__stack_chk_fail' in symbols and '_chk@' in symbols, 'no canary, or no checked copies')


def test_package(lab):
    if not LONG:
        raise Skip('builds for minutes; with --long')
    find_program('dpkg-buildpackage')
    find_program('dh', 'debhelper')
    done = subprocess.run(['git', '-C', SOURCE, 'rev-parse', 'HEAD'], capture_output=True, text=True)
    revision = done.stdout.strip() or 'HEAD'  # of a tree that may change meanwhile
    first = build(lab, 'one', revision)
    check(os.path.getsize(first) > 100000, 'its size')
    with open(first, 'rb') as a, open(build(lab, 'two', revision), 'rb') as b:
        check_equal(hashlib.sha256(a.read()).hexdigest(), hashlib.sha256(b.read()).hexdigest(), 'the second build')
    control = run('dpkg-deb', '-I', first)
    for word in ('librte-net-tap', 'libunbound8', 'liburing2'):
        check(word in control, f'depends on {word}')
    conffiles = run('dpkg-deb', '-I', first, 'conffiles').split()
    check_equal(conffiles, ['/etc/sluice/nic.conf', '/etc/sluice/sluice.conf'], 'conffiles')
    unpacked = lab.path('unpacked')
    run('dpkg-deb', '-x', first, unpacked)
    for program in ('usr/sbin/sluiced', 'usr/bin/sluicectl'):
        check_hardened(os.path.join(unpacked, program))
    if shutil.which('lintian'):
        said = run('lintian', '--allow-root', '--fail-on', 'error', first, timeout=300)
        check('\nE:' not in '\n' + said, said)
    installs(lab, first)


# Run in a copy of this machine's root whose changes are memory's.
LIFE = """
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
mkdir -p /run && rm -rf /var/spool/sluice /var/lib/sluice /etc/sluice
dpkg -i --force-depends /root/p.deb || exit 1
getent passwd sluice && getent group sluice-read || exit 2
[ "$(stat -c %U:%a /var/spool/sluice /var/lib/sluice | tr '\n' ' ')" = 'sluice:700 sluice:750 ' ] || exit 3
sluiced --check /etc/sluice/sluice.conf && sluicectl --version || exit 4
[ ! -e /etc/systemd/system/multi-user.target.wants/sluice.service ] || exit 5
echo '# mine' >>/etc/sluice/sluice.conf && mkdir /var/spool/sluice/seg && echo mail >/var/spool/sluice/seg/1 && touch /etc/sluice/tls/kept.pem
dpkg -i --force-depends --force-confdef /root/p.deb || exit 6
grep -qx '# mine' /etc/sluice/sluice.conf && [ -e /var/spool/sluice/seg/1 ] || exit 7
dpkg -r --force-depends sluice && [ -e /var/spool/sluice/seg/1 ] && [ -e /etc/sluice/sluice.conf ] || exit 8
dpkg -P --force-depends sluice 2>&1 | grep -q 'mail may be in /var/spool/sluice' || exit 9
[ -e /var/spool/sluice/seg/1 ] && [ -e /etc/sluice/tls/kept.pem ] && [ ! -e /etc/sluice/sluice.conf ] || exit 10
dpkg -i --force-depends /root/p.deb && SLUICE_PURGE_SPOOL=yes dpkg -P --force-depends sluice || exit 11
[ ! -e /var/spool/sluice ] && [ -e /etc/sluice/tls/kept.pem ] || exit 12
"""


def installs(lab, package):
    """Installed, upgraded, removed and purged by dpkg: user and group are there, configuration and mail stay as long as they have to."""
    at = lab.path('over')
    os.makedirs(at)
    script = lab.path('life')
    with open(script, 'w') as f:
        f.write(LIFE)
    mounts = (f'mount -t tmpfs tmpfs {at} && mkdir {at}/upper {at}/work {at}/root && '
              f'mount -t overlay overlay -o lowerdir=/,upperdir={at}/upper,workdir={at}/work {at}/root || exit 99; '
              f'mount -t proc proc {at}/root/proc && mount --bind /dev {at}/root/dev && cp {package} {at}/root/root/p.deb && cp {script} {at}/root/root/life')
    done = subprocess.run(['unshare', '-m', 'sh', '-c', f'{mounts} && exec chroot {at}/root sh /root/life'], capture_output=True, text=True, timeout=170,
                          preexec_fn=die_with_parent)
    if done.returncode == 99:
        raise Skip(f'the package is built; no overlay file system to install it in: {done.stderr.strip()}')
    check_equal(done.returncode, 0, f'the step of LIFE that failed: {done.stdout[-600:]} {done.stderr[-400:]}')


if __name__ == '__main__':
    main(setup)
