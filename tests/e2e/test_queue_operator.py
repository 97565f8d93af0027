#!/usr/bin/python3
# limit: 180
"""What an operator does to the queue lasts: holds and reasons survive a crash, a requeue starts afresh, a
message is read byte for byte while the gateway runs; and who may do what."""
import grp
import hashlib
import json
import os
import pwd
import random
import socket
import subprocess

from gateway import SLUICECTL, Gateway, for_others
from harness import check, check_equal, die_with_parent, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    group = grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name
    gw = Gateway(lab, queue={'backoff_min': '1h', 'backoff_max': '2h'}, control={'group': group}).start()


def rows(*words):
    """The rows of "queue list --json" for a filter."""
    text = gw.ctl('queue', 'list', '--json', *words)
    return [json.loads(line) for line in text.splitlines() if line.startswith('{')]


def send(to, content=None, sender='s@client.example'):
    """Sends a message and waits until it has failed once; its id."""
    with Client(timeout=60) as c:
        reply = c.deliver(sender, to, content or plain(1))
        check_equal(reply.code, 250, 'reply')
    return wait_until(lambda: [r['id'] for r in rows('--state', 'deferred') if r['recipients'][0]['to'] == to[0]],
                      60, f'{to[0]} deferred')[0]


def crash():
    gw.kill()
    gw.start()


def restarted_rows(count):
    return wait_until(lambda: len(r := rows()) == count and r, 60, f'{count} messages after the start')


def test_hold_and_reasons_survive_a_crash(lab):
    far.mode = 'rcpt'
    held = send(['temp-held@example.org'])
    other = send(['temp-other@example.org'])
    for words in (['--reason', 'MAILBOX asleep'], ['--reason', '451'], ['--reason', '4.2.1'], ['--code', '451'],
                  ['--code', '4xx'], ['--code', '4.2.x']):
        check_equal(len(rows(*words)), 2, f'messages by {words}')
    for words in (['--reason', 'mailbox full'], ['--code', '5xx'], ['--code', '452'], ['--code', '4.7.x']):
        check_equal(len(rows(*words)), 0, f'messages by {words}')
    check('held 1' in gw.ctl('queue', 'hold', held), 'hold')
    crash()
    for row in restarted_rows(2):
        check_equal(row['held'], row['id'] == held, f'{row["id"]} held')
        check_equal([row['recipients'][0][k] for k in ('code', 'enhanced', 'attempts')], [451, '4.2.1', 1], 'reason')
    check_equal([len(rows('--reason', '4.2.1')), len(rows('--code', '45x'))], [2, 2], 'filters after the start')
    far.mode = 'ok'
    gw.ctl('queue', 'flush', '--all')
    wait_until(lambda: far.to('temp-other@example.org'), 60, 'the other is delivered')
    wait_until(lambda: [r['id'] for r in rows()] == [held], 30, f'{other} is gone')
    crash()
    check_equal([r['held'] for r in restarted_rows(1)], [True], 'held after a second crash')
    check('released 1' in gw.ctl('queue', 'release', '--state', 'held'), 'release')
    crash()
    check_equal([r['held'] for r in restarted_rows(1)], [False], 'released after a third')
    gw.ctl('queue', 'flush', held)
    wait_until(lambda: far.to('temp-held@example.org'), 60, 'delivery')
    wait_until(lambda: not rows(), 30, 'the queue is empty')


def attempts(message):
    return [r['attempts'] for row in rows(message) for r in row['recipients']]


def test_requeue(lab):
    """No attempts are left, the hold is gone, and that lasts; the next attempt is made at once."""
    far.mode = 'rcpt'
    message = send(['temp-a@example.org'])
    gw.ctl('queue', 'flush', message)
    wait_until(lambda: attempts(message) == [2], 30, 'a second attempt')
    gw.ctl('queue', 'hold', message)
    gw.ctl('queue', 'requeue', ok=(2,))
    check('requeued 1' in gw.ctl('queue', 'requeue', '--reason', 'asleep'), 'requeue')
    wait_until(lambda: attempts(message) == [1], 30, 'the first attempt')
    crash()
    row = restarted_rows(1)[0]
    check_equal([row['held'], row['recipients'][0]['attempts']], [False, 1], 'after a crash')
    far.mode = 'ok'
    gw.ctl('queue', 'requeue', message)
    wait_until(lambda: far.to('temp-a@example.org'), 60, 'delivery')
    wait_until(lambda: not rows(), 30, 'the queue is empty')


def stored(message):
    """What "queue cat" prints, as bytes."""
    done = subprocess.run([SLUICECTL, '-s', gw.socket, 'queue', 'cat', message], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, preexec_fn=die_with_parent)
    check_equal([done.returncode, done.stderr], [0, b''], 'cat')
    return done.stdout


def big():
    r = random.Random(4)
    return b'Subject: big\r\n\r\n' + b''.join(
        bytes(r.choices([b for b in range(1, 256) if b not in (10, 13)], k=900)) + b'\r\n' for _ in range(5600))


def test_cat(lab):
    """Every byte of a message of 5 MB with all values but NUL, and of small ones."""
    far.mode = 'rcpt'
    for number, content in enumerate((big(), plain(3), b'Subject: x\r\n', b'\r\n')):
        got = stored(send([f'temp-cat{number}@example.org'], content))
        check(got.startswith(b'Received: '), 'the field of the gateway comes first')
        got = got[len(got) - len(content):]
        check_equal(hashlib.sha256(got).hexdigest(), hashlib.sha256(content).hexdigest(), f'bytes of message {number}')
    check('no such message' in gw.ctl('queue', 'cat', '0' * 26, ok=(1,)), 'a message that is not there')
    check('has no option --all' in gw.ctl('queue', 'cat', '--all', ok=(2,)), 'without an id')


def test_message_vanishes_meanwhile(lab):
    """The reader is told, and has no end to take for the message's."""
    message = [r['id'] for r in rows() if r['bytes'] > 5000000][0]
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(60)
        s.connect(gw.socket)
        s.sendall(f'queue cat {message}\n'.encode())
        got = s.recv(1000)
        check(got.startswith(b'ok\ndata '), f'the front of the answer: {got[:40]!r}')
        check('deleted 1' in gw.ctl('queue', 'delete', message), 'delete')
        while more := s.recv(1 << 20):
            got = (got + more)[-1000000:]
        check(got.endswith(b'error: the message has left the queue meanwhile: it is not whole; the log tells where it went\n'),
              f'the end of the answer: {got[-200:]!r}')
    gw.ctl('queue', 'delete', '--all')
    wait_until(lambda: not rows(), 30, 'the queue is empty')


def test_show_and_stat(lab):
    """All recipients of one message, more than one piece of the answer takes; counts as JSON; words with
    spaces and quotes."""
    far.mode = 'rcpt'
    to = [f'temp-{n}-{"x" * 40}@example.org' for n in range(700)]
    message = send(to, sender='"two words"@client.example')
    wait_until(lambda: f'deferred={len(to)} ' in gw.ctl('queue', 'stat'), 60, 'all of them deferred')
    shown = json.loads(gw.ctl('queue', 'show', message, '--json'))
    check_equal([r['to'] for r in shown['recipients']], to, 'recipients')
    check_equal(gw.ctl('queue', 'show', message).count('\n    to=<'), len(to), 'recipients as text')
    check_equal(len(rows('--sender', '"two words"@client.example')), 1, 'by sender')
    totals, *domains = [json.loads(line) for line in gw.ctl('queue', 'stat', '--json').splitlines()]
    check_equal([totals['messages'], totals['recipients']], [1, len(to)], 'totals')
    check_equal([(d['domain'], d['deferred']) for d in domains], [('example.org', len(to))], 'by destination')
    check('has no option --all' in gw.ctl('status', '--all', ok=(2,)), 'words where there are none')
    check('--older' in gw.ctl('queue', 'list', '--older', ok=(2,)), 'a condition without its value')
    gw.ctl('queue', 'delete', message)


def test_rights(lab):
    """The group may look at states; what changes something or shows mail is for root."""
    message = send(['temp-secret@example.org'], plain(7))
    program, nobody = for_others(lab, SLUICECTL), pwd.getpwnam('nobody')
    os.chmod(gw.dir, 0o755)

    def by(gid, *words):
        done = subprocess.run([program, '-s', gw.socket, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, user=nobody.pw_uid, group=gid, extra_groups=[])
        return done.returncode, done.stdout.decode()
    for words in (['status'], ['queue', 'list'], ['queue', 'show', message], ['queue', 'stat']):
        check_equal(by(nobody.pw_gid, *words)[0], 0, f'{words} by the group')
    for words in (['queue', 'cat', message], ['queue', 'hold', message], ['queue', 'release', message],
                  ['queue', 'requeue', message], ['queue', 'flush'], ['queue', 'delete', message], ['reload'], ['stop']):
        status, text = by(nobody.pw_gid, *words)
        check(status == 1 and 'not permitted' in text and 'Subject' not in text, f'{words} by the group: {text}')
    status, text = by(nobody.pw_gid + 1 if nobody.pw_gid != 65534 else 65533, 'queue', 'list')
    check(status != 0 and message not in text, f'a stranger: {text}')
    check_equal([r['held'] for r in rows(message)], [False], 'nothing was changed')
    gw.ctl('queue', 'delete', message)


def test_told_means_durable(lab):
    """A change that was answered is on disk: killed right after it, each time."""
    far.mode = 'rcpt'
    message = send(['temp-durable@example.org'])
    for held in (True, False, True):
        gw.ctl('queue', 'hold' if held else 'release', message)
        crash()
        check_equal([r['held'] for r in restarted_rows(1)], [held], 'after the crash')
    gw.ctl('queue', 'delete', message)
    crash()
    check(send(['temp-after@example.org']) != message, 'another message')
    check_equal(len(rows()), 1, 'messages: the deleted one does not come back')


if __name__ == '__main__':
    main(setup)
