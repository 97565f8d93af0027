#!/usr/bin/python3
# limit: 120
"""What an operator does to the queue: look, hold, release, delete."""
import json

from gateway import Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    far.down()
    gw = Gateway(lab).start()


def rows(*words):
    """The rows of "queue list --json" for a filter."""
    text = gw.ctl('queue', 'list', '--json', *words)
    return [json.loads(line) for line in text.splitlines() if line.startswith('{')]


def test_commands(lab):
    for n, to in enumerate(('a@example.org', 'b@example.org')):
        with Client() as c:
            check_equal(c.deliver(f's{n}@client.example', [to], plain(n)).code, 250, 'reply')
    wait_until(lambda: len(rows('--state', 'deferred')) == 2, 60, 'both deferred')
    check_equal(len(rows('--sender', 's0@client.example')), 1, 'by sender')
    check_equal(len(rows('--domain', 'other.example')), 0, 'by domain')
    check('domain example.org ' in gw.ctl('queue', 'stat'), 'counts by destination')
    gone = rows('--sender', 's0@client.example')[0]['id']
    check(gone in gw.ctl('queue', 'show', gone), 'show')
    gw.ctl('queue', 'delete', ok=(2,))
    check('held 2' in gw.ctl('queue', 'hold', '--domain', 'example.org'), 'hold')
    check_equal(len(rows('--state', 'held')), 2, 'held')
    wait_until(lambda: 'deleted 1' in gw.ctl('queue', 'delete', gone), 30, 'delete')
    wait_until(lambda: len(rows()) == 1, 30, 'one is left')
    far.up()
    gw.ctl('queue', 'release', '--all')
    gw.ctl('queue', 'flush')
    wait_until(lambda: far.to('b@example.org'), 60, 'the other is delivered')
    wait_until(lambda: not rows(), 30, 'the queue is empty')
    check_equal(len(far.to('a@example.org')), 0, 'the deleted one is not delivered')


if __name__ == '__main__':
    main(setup)
