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
  | {f'usr/share/sluice/profiles/{name}' for name in os.listdir(os.path.join(SOURCE, 'conf/profiles'))} \
  | {f'usr/share/man/man7/{name}' for name in os.listdir(os.path.join(SOURCE, 'conf/man')) if name.endswith('.7')}


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
