#!/usr/bin/python3
# limit: 120
"""sluicectl capture: a whole dialog is read back by tshark, in both directions and in order; filters, bounds, what is dropped
is told, and nothing stays behind when who asked for it goes."""
import os
import signal
import subprocess

from gateway import SLUICECTL, Gateway
from harness import GATEWAY_IP, HOST_IP, Failed, check, check_equal, find_program, main, run, wait_until
from mail import Client, plain
from sinks import Scripted

OTHER_IP = '10.9.0.3'
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab).start()
    run('ip', 'addr', 'add', f'{OTHER_IP}/24', 'dev', gw.iface)


class Capture:
    """In the background, from when all lanes take part in it."""

    def __init__(self, lab, name, *words):
        self.path = lab.path(name)
        self.child = lab.spawn(SLUICECTL, '-s', gw.socket, 'capture', '--out', self.path, *words, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
        wait_until(lambda: self.child.poll() is not None or os.path.exists(self.path) and os.path.getsize(self.path) > 0, 30, 'the capture begins')
        wait_until(lambda: self.child.poll() is not None or gw.counter('lane/capturing') == 1, 30, 'the lane takes part')

    def end(self):
        """As by ^C; what it says."""
        self.child.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self, status=0):
        said = self.child.communicate(timeout=60)[0]
        check_equal(self.child.returncode, status, said)
        return said


def tshark(path, *words):
    text = run(find_program('tshark'), '-r', path, '-n', '-t', 'e', *words, timeout=60, env=dict(os.environ, HOME='/var/empty'))
    return '\n'.join(line for line in text.splitlines() if not line.startswith('Running as user'))


def fields(path, filter, *names):
    words = [w for name in names for w in ('-e', name)]
    return [line.split('\t') for line in tshark(path, '-Y', filter, '-T', 'fields', *words).splitlines() if '\t' in line or len(names) == 1]


def test_a_dialog_is_read_back(lab):
    capture = Capture(lab, 'dialog.pcapng', '--address', OTHER_IP, '--for', '5m')
    with Client() as b:  # of another client: not in it
        b.expect(b.command('NOOP'), 250)
    with Client(source=(OTHER_IP, 0)) as a:
        a.expect(a.deliver('s@client.example', ['a@example.org'], plain(1, size=20000)), 250)
        client = '%s:%u' % a.socket.getsockname()
        a.quit()
    said = capture.end()
    check('stopped' in said and ' 0 dropped' in said, said)
    # Who reads it: the packets' own facts, the stream of the dialog, the statistics.
    check_equal(run('stat', '-c', '%a', capture.path).strip(), '600', 'who may read it')
    info = run(find_program('capinfos'), capture.path, timeout=60)
    check('Wireshark/... - pcapng' in info and 'mx.gateway.example' in info and 'net0' in info, info)
    rows = fields(capture.path, 'tcp', 'ip.src', 'ip.dst', 'tcp.srcport', 'tcp.dstport', 'frame.time_epoch')
    check(len(rows) > 10, f'{rows}')
    check(all(OTHER_IP in r[:2] and GATEWAY_IP in r[:2] for r in rows), 'of nobody else')
    times = [r[4] for r in rows]
    check_equal(times, sorted(times), 'in order')
    check(any(int(t.split('.')[1]) % 1000 for t in times), f'nanoseconds: {times}')
    follow = tshark(capture.path, '-q', '-z', 'follow,tcp,ascii,0')
    check(client in follow, follow[:500])
    at = 0
    for part in ('220 mx.gateway.example', 'EHLO client.example', 'MAIL FROM:<s@client.example>', 'RCPT TO:<a@example.org>', 'DATA', '250 2.1.0',
                 '354', 'Subject: message 1', '250 2.0.0 Ok: queued as', 'QUIT', '221'):
        at = follow.find(part, at)
        check(at >= 0, f'{part} is not where it should be in {follow}')
    lost = tshark(capture.path, '-Y', 'tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment || frame.len > frame.cap_len')
    check_equal(lost.strip().splitlines(), [], 'missing')
    flags = {r[0]: r[1] for r in fields(capture.path, 'frame.packet_flags_direction', 'ip.src', 'frame.packet_flags_direction')}
    check_equal({k: int(v, 0) for k, v in flags.items()}, {OTHER_IP: 1, GATEWAY_IP: 2}, 'directions')


def test_filters_and_snap(lab):
    """By port and address together; outbound, too; the first bytes alone."""
    capture = Capture(lab, 'out.pcapng', '--port', '2525', '--snap', '96', '--for', '5m')
    with Client() as a:
        a.expect(a.deliver('s@client.example', ['o@example.org'], plain(2, size=5000)), 250)
    wait_until(lambda: far.to('o@example.org'), 60, 'delivery')
    capture.end()
    rows = fields(capture.path, 'tcp', 'tcp.srcport', 'tcp.dstport', 'frame.cap_len', 'frame.len')
    check(len(rows) > 3 and all('2525' in r[:2] for r in rows), f'{rows}')
    check(max(int(r[2]) for r in rows) == 96 and max(int(r[3]) for r in rows) > 1000, f'{rows}')


def test_bounds(lab):
    """By time, by bytes; one at a time; words that are none."""
    capture = Capture(lab, 'short.pcapng', '--all', '--for', '1s')
    check('time is over' in capture.wait(), 'by time')
    capture = Capture(lab, 'small.pcapng', '--all', '--for', '5m', '--bytes', '20K')
    with Client() as a:
        a.expect(a.deliver('s@client.example', ['c@example.org'], plain(3, size=100000)), 250)
    check('as large as it may be' in capture.wait(), 'by bytes')
    check(10000 < os.path.getsize(capture.path) <= 21000, f'{os.path.getsize(capture.path)}')
    check(len(tshark(capture.path).splitlines()) > 5, 'it is a whole file')
    first = Capture(lab, 'first.pcapng', '--all', '--for', '5m')
    check('runs already' in Capture(lab, 'second.pcapng', '--all').wait(status=1), 'a second')
    first.child.kill()  # it goes without a word
    first.child.wait()
    wait_until(lambda: gw.counter('lane/capturing') == 0, 30, 'the lane is free of it')
    capture = Capture(lab, 'third.pcapng', '--all', '--for', '5m')
    capture.end()
    for words, part in (([], 'which packets'), (['--port', '0'], 'is no'), (['--address', 'x'], 'is no'), (['--all', '--for', '2h'], 'at most'),
                        (['--all', '--bytes', '5T'], 'is no'), (['--all', '--snap', '70000'], 'is no')):
        said = Capture(lab, 'none.pcapng', *words).child.communicate(timeout=60)[0]
        check(part in said, f'{words}: {said}')


def test_a_restart_amid_a_capture(lab):
    """The gateway goes down: so does the capture, and what was written stays a file."""
    capture = Capture(lab, 'amid.pcapng', '--all', '--for', '5m')
    with Client() as a:
        a.quit()
    wait_until(lambda: os.path.getsize(capture.path) > 1000, 30, 'packets')
    check_equal(gw.stop(), 0, 'the gateway ends in order')
    check('broke off' in capture.child.communicate(timeout=60)[0], 'it is told')
    check(len(tshark(capture.path, '-Y', 'tcp').splitlines()) > 5, 'packets are there')
    gw.start()


main(setup)
