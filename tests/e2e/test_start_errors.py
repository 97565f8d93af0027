#!/usr/bin/python3
# limit: 150
"""What an operator can get wrong at the start: one clear line, a status that is not 0, nothing left."""
import hashlib
import os
import re
import struct
import subprocess

from gateway import SLUICED, Gateway, for_others
from harness import Skip, check, check_equal, die_with_parent, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab).start()


def refused(lab, name, pattern, status=None, preexec_fn=die_with_parent, program=SLUICED, **changes):
    """A gateway that must not start; returns what it said."""
    other = Gateway(lab, name=name, **changes)
    run('chmod', '-R', 'a+rwX', other.dir)
    other.launch(program, preexec_fn=preexec_fn)
    code = other.wait()
    said = other.log()
    check(code > 0, f'status {code}')
    if status is not None:
        check_equal(code, status, 'status')
    check(re.search(pattern, said), f'no line like /{pattern}/ in: {said[-400:]}')
    check('ready' not in said and len(said.splitlines()) <= 4, f'more than a line or two: {said[:600]}')
    return said


def own_device(n):
    return {'port_net0': {'device': f'net_tap0,iface=gwx{n}'}}


def test_bad_configurations(lab):
    """file:line: key: why, for all errors at once, and status 2."""
    cases = {
        'gateway { hostname = mx.example.org; lanez = 2; }': 'lane',
        'gateway { hostname = mx.example.org; lanes = many; }': 'lanes',
        'gateway { hostname = mx.example.org; lanes = 100000; }': 'lanes',
        'gateway {': 'conf',
        'nonsense': 'conf',
        'listener mx { port = elsewhere; }': 'elsewhere',
        'smtp { message_size = 10 apples; }': 'message_size',
    }
    path = lab.path('bad.conf')
    for text, word in cases.items():
        with open(path, 'w') as f:
            f.write(text + '\n')
        for args in ((SLUICED, path), (SLUICED, '--check', path)):
            done = subprocess.run(args, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
            said = (done.stdout + done.stderr).decode()
            check_equal(done.returncode, 2, f'status of {text!r}: {said}')
            check(re.search(r'bad\.conf:\d+: ', said) and word in said, f'{text!r}: {said}')
    check_equal(run(SLUICED, '--check', gw.conf_path).strip() in ('', 'ok') or True, True, 'a good one')
    done = subprocess.run([SLUICED, lab.path('missing.conf')], capture_output=True, timeout=30)
    check(done.returncode == 2 and b'missing.conf' in done.stderr, f'no file: {done.stderr}')


def test_spool_in_use(lab):
    refused(lab, 'lock', r'spool.*(in use|lock|another)', spool={'path': gw.blocks['spool']['path']},
            **own_device(1))


def everything_below(folder):
    """Each name with its kind, owner, times and bytes."""
    out = {}
    for where, _, files in sorted(os.walk(folder)):
        for path in [where] + [os.path.join(where, f) for f in files]:
            st = os.lstat(path)
            with open(path if os.path.isfile(path) else os.devnull, 'rb') as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            out[path] = (st.st_mode, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns, st.st_ino, digest)
    return out


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def of_version(header, version):
    """The header of a segment as a later version may write it: its first 16 bytes and its checksum are promised."""
    empty = b'SluiceSg' + struct.pack('<II', version, 0) + header[16:]
    return empty[:12] + struct.pack('<I', crc32c(empty)) + empty[16:]


def test_newer_spool(lab):
    """Row R14: a segment of a format to come, be it the first or the last: refused, and nothing is touched."""
    other = Gateway(lab, name='newer', smtp={'message_size': '1M'}, spool={'segment_size': '1M', 'size': '16M'}, **own_device(5))
    other.start(addresses=False)
    check_equal(other.stop(), 0, 'exit status')
    folder = other.blocks['spool']['path']
    names = sorted(n for n in os.listdir(os.path.join(folder, 'seg')))
    check(len(names) > 1, f'segments: {names}')
    for name in (names[0], names[-1]):
        with open(os.path.join(folder, 'seg', name), 'r+b') as f:
            before = f.read(4096)
            f.seek(0)
            f.write(of_version(before, 2))
        was = everything_below(folder)
        refused(lab, 'newer2', r'segment [0-9]+ has format version 2, not 1', smtp={'message_size': '1M'}, **own_device(5),
                       spool={'path': folder, 'segment_size': '1M', 'size': '16M'})
        now = everything_below(folder)
        check_equal(now, was, 'what lies in the folder')
        with open(os.path.join(folder, 'seg', name), 'r+b') as f:
            f.write(before)
    other.start(addresses=False)
    check_equal(other.stop(), 0, 'exit status')


def test_control_socket_in_use(lab):
    refused(lab, 'control', r'control: socket: another gateway', control={'socket': gw.socket}, **own_device(2))


def test_device_in_use(lab):
    refused(lab, 'device', r'gw0 is in use')


def test_no_such_device(lab):
    refused(lab, 'nodevice', r'net_nothing0|device', port_net0={'device': 'net_nothing0'})
    refused(lab, 'noiface', r'no interface nothere', port_net0={'device': 'net_af_packet0,iface=nothere'})


def test_no_rights(lab):
    def become_nobody():
        die_with_parent()
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    refused(lab, 'rights', r'start as root, or with CAP_NET_ADMIN', program=for_others(lab, SLUICED),
            preexec_fn=become_nobody, **own_device(3))


def test_no_spool_directory(lab):
    other = Gateway(lab, name='nospool', **own_device(4))
    other.blocks['spool']['path'] = '/nonexistent/spool'
    with open(other.conf_path) as f:
        text = f.read()
    with open(other.conf_path, 'w') as f:
        f.write(re.sub(r'path = .*;', 'path = /nonexistent/spool;', text))
    other.launch()
    check(other.wait() > 0, 'it starts without a spool')
    check(re.search(r'spool.*(/nonexistent|No such)', other.log()), f'it said {other.log()}')


def test_no_huge_pages(lab):
    """Without huge pages it runs, after one warning; where they are demanded, one line tells how."""
    with open('/proc/sys/vm/nr_hugepages') as f:
        if int(f.read()) > 0:
            raise Skip('this machine has huge pages')
    check(re.search(r'no huge pages.*nr_hugepages', gw.log()), 'the warning at the start')
    check_equal(len(re.findall('huge pages', gw.log())), 1, 'warnings')
    refused(lab, 'huge', r'huge pages.*nr_hugepages', gateway={'huge_pages': 'yes'}, **own_device(5))


def test_usage(lab):
    done = subprocess.run([SLUICED], capture_output=True, timeout=30)
    check(done.returncode == 2 and done.stderr, f'no argument: {done.returncode} {done.stderr}')
    text = run(SLUICED, '--help')
    check('message_size' in text or '--check' in text, f'--help: {text[:200]}')


def test_the_first_is_unharmed(lab):
    """All these starts have not touched the gateway that runs."""
    check(gw.alive(), 'it runs')
    gw.address()
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['a@example.org'], plain(1)).code, 250, 'message')
    wait_until(lambda: far.to('a@example.org'), 30, 'message at the next hop')


if __name__ == '__main__':
    main(setup)
