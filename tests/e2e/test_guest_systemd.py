#!/usr/bin/python3
# limit: 300
# long: boots a guest with systemd as its first process
"""The gateway as systemd runs it, by its own unit, on a PCI card of a guest: readiness, reload, the watchdog's pace, a restart after
kill -9, no root in its processes, and the stop; mail goes through it before and after."""
import glob
import os

from gateway import conf_text
from guest import ROOT, Guest, GuestGateway, Tap, Tree, make_disk
from harness import HOST_IP, check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

UNITS = ('basic', 'sysinit', 'multi-user', 'local-fs', 'local-fs-pre', 'network', 'network-online', 'network-pre', 'time-sync', 'shutdown', 'umount', 'final',
         'slices', 'sockets', 'paths', 'timers', 'swap', 'time-set')
g = gw = far = card = None


def setup(lab):
    global g, gw, far, card
    tree = Tree(lab)
    tree.gateway()
    tree.modules('uio_pci_generic', 'autofs4')
    for program in ('lib/systemd/systemd', 'lib/systemd/systemd-journald', 'bin/systemctl', 'bin/journalctl'):
        tree.program(os.path.join(ROOT, program), '/' + program)
    for unit in UNITS:
        tree.copy(os.path.join(ROOT, f'lib/systemd/system/{unit}.target'), f'/lib/systemd/system/{unit}.target')
    for unit in ('systemd-journald.service', 'systemd-journald.socket', 'systemd-journald-dev-log.socket'):
        tree.copy(os.path.join(ROOT, f'lib/systemd/system/{unit}'), f'/lib/systemd/system/{unit}')
    found = glob.glob(tree.dir + '-installed/**/sluice.service', recursive=True)
    check_equal(len(found), 1, 'units sluice.service')
    tree.copy(found[0], '/lib/systemd/system/sluice.service')
    tree.text('/etc/systemd/system/sluice.service.d/here.conf', '[Service]\nTimeoutStartSec=90\n')
    tree.text('/etc/machine-id', '0123456789abcdef0123456789abcdef\n')
    tree.text('/etc/os-release', 'ID=guest\nNAME=guest\nVERSION_ID=1\n')
    disk = lab.path('disk.img')
    make_disk(disk, 256 << 20)
    card = Tap('tap0', 'virtio-net-pci', queues=2, slot=0x10)
    run('ip', 'addr', 'add', f'{HOST_IP}/24', 'dev', 'tap0')
    far = Scripted(lab)
    # The shell goes on beside systemd, which knows nothing of it.
    end = 'mount -t ext4 /dev/vda /mnt\nsh <&3 >&3 2>&1 &\nexec 3>&-\nexec /lib/systemd/systemd --unit=multi-user.target'
    g = Guest(lab, tree, tree.pack(end), [card], [disk], name='systemd', words='systemd.show_status=0')
    g.bind(card.pci, 'uio_pci_generic')
    wait_until(lambda: 'running' in systemctl('is-system-running') or 'degraded' in systemctl('is-system-running'), 90, 'systemd runs')
    gw = GuestGateway(lab, g, port_net0={'device': card.pci}, gateway={'lanes': 2, 'user': 'sluice', 'state_dir': '/var/lib/sluice'},
                      control={'socket': '/run/sluice/control.sock'})
    gw.socket = '/run/sluice/control.sock'
    g.write('/etc/sluice/sluice.conf', conf_text(gw.blocks))


def systemctl(*words):
    return g.run('systemctl ' + ' '.join(words), ok=None)


def shown(*names):
    """Properties of the unit."""
    text = systemctl('show', 'sluice', *(f'-p {name}' for name in names))
    return dict(line.split('=', 1) for line in text.splitlines() if '=' in line)


def deliver(subject):
    with Client(timeout=60) as c:
        check_equal(c.deliver('s@client.example', [f'm{subject}@example.org'], plain(subject)).code, 250, 'a message')
    wait_until(lambda: far.to(f'm{subject}@example.org'), 60, 'the message at the next hop')


def test_start(lab):
    """systemctl start comes back when the gateway is ready."""
    text = systemctl('start', 'sluice')
    check_equal(shown('ActiveState', 'SubState'), {'ActiveState': 'active', 'SubState': 'running'}, f'the unit ({text}; {systemctl("status sluice")[-800:]})')
    deliver(1)


def test_no_root(lab):
    """No process of it has root's number but the openers."""
    pids = g.run('cat /sys/fs/cgroup/system.slice/sluice.service/cgroup.procs').split()
    check(len(pids) >= 2, f'processes of the unit: {pids}')
    for pid in pids:
        status = dict(line.split(':', 1) for line in g.run(f'cat /proc/{pid}/status').splitlines() if ':' in line)
        if '0' in status['Uid'].split():
            check('--role=opener' in g.run(f'cat /proc/{pid}/cmdline'), f'process {pid} ({status["Name"].strip()}) has root')
    main_pid = shown('MainPID')['MainPID']
    check_equal(g.run(f"sed -n 's/^Uid:\\t//p' /proc/{main_pid}/status").split(), ['990'] * 4, 'the user of the main process')


def test_reload(lab):
    before = shown('MainPID')
    check_equal(systemctl('reload', 'sluice'), '', 'what reload says')
    check_equal(shown('MainPID'), before, 'the process after a reload')
    deliver(2)


def test_watchdog(lab):
    """systemd hears of it in time: the last word is younger than the watchdog's time, twice."""
    check(shown('WatchdogUSec')['WatchdogUSec'] in ('1min', '60s'), f'{shown("WatchdogUSec")}')
    first = shown('WatchdogTimestampMonotonic')['WatchdogTimestampMonotonic']
    wait_until(lambda: shown('WatchdogTimestampMonotonic')['WatchdogTimestampMonotonic'] != first, 90, 'another word for the watchdog')


def test_kill(lab):
    before = shown('MainPID')['MainPID']
    g.run(f'kill -9 {before}')
    wait_until(lambda: shown('MainPID', 'ActiveState', 'SubState').get('SubState') == 'running' and shown('MainPID')['MainPID'] not in ('0', before), 120,
               'started again')
    check_equal(shown('NRestarts')['NRestarts'], '1', 'restarts')
    deliver(3)


def test_stop(lab):
    systemctl('stop', 'sluice')
    check_equal(shown('ActiveState', 'Result', 'ExecMainStatus'), {'ActiveState': 'inactive', 'Result': 'success', 'ExecMainStatus': '0'}, 'the unit')


if __name__ == '__main__':
    main(setup)
