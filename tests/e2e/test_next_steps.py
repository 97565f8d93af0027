#!/usr/bin/python3
# limit: 60
"""Each error tells its cause and the next step: what an operator may do wrong with sluicectl, with sluiced --check and at a start, a
row each. test_config has the configuration's errors, test_start_errors those of a start."""
import os
import subprocess

from gateway import SLUICECTL, SLUICED, Gateway, conf_text
from harness import check, main, run
from mail import Client, plain
from sinks import Scripted

gw = None
NO_ID = '0' * 26

# Words of the command, exit status, the cause, the next step.
ROWS = [
    (['stauts'], 2, "there is no command 'stauts'", "Did you mean 'sluicectl status'?"),
    (['queue'], 2, 'queue', 'queue list'),
    (['queue', 'show', NO_ID], 1, 'there is no such message in the queue', 'sluicectl queue list tells'),
    (['queue', 'cat', NO_ID], 1, 'there is no such message in the queue', 'sluicectl queue list tells'),
    (['queue', 'show', 'x'], 1, 'no message id', 'message id'),
    (['queue', 'delete'], 2, 'queue delete', '--all'),
    (['queue', 'list', '--state', 'x'], 2, '--state', 'deferred'),
    (['queue', 'list', '--sender', 'a\nb'], 2, 'a control character', 'type it without'),
    (['queue', 'list', '--reason', '"\''], 2, 'both kinds of quotes', 'take one of them out'),
    (['queue', 'list', '--reason', 'x' * 1100], 2, 'longer than', 'give fewer words'),
    (['connections', '--address', 'x'], 1, "'x' is no", '--address NET'),
    (['connections', 'kick'], 2, 'connections kick', '--all'),
    (['trace', 'a b'], 1, "trace needs a client's address", '--for TIME'),
    (['trace', '..'], 1, 'is no address, network or domain', 'example.org'),
    (['trace', 'example.org', '--for', '2h'], 1, '1h at most', 'ask for another one then'),
    (['capture', '--all', '--for', '2h', '--out', '/dev/null/x'], 2, 'Not a directory', 'name a directory'),
    (['capture'], 1, 'which packets?', '--all'),
    (['log', 'level', 'loud'], 2, 'loud', 'info'),
    (['explain', 'nobody'], 1, 'no address with a domain', 'give it as user@example.org'),
    (['resume', 'example.org'], 1, 'nothing of that name is suspended', 'queue destinations and providers tell'),
    (['suspend', 'x' * 300], 1, 'too long', 'give a shorter one'),
    (['sources', 'release', 'nosuch'], 1, 'there is no such source', 'sluicectl sources tells'),
    (['tlsrpt'], 1, 'tlsrpt: enable = no', 'set it to yes, and reload'),
    (['sts', 'refresh', 'example.org'], 1, 'mta_sts = no', 'set it to yes, and reload'),
    (['sts', 'show', 'nothing.example'], 1, 'nothing is kept of that domain', 'sts refresh asks'),
    (['sender', 'check', 'alice', 'nobody'], 1, 'no address with a domain', 'give it as user@example.org'),
    (['recipient', 'check', 'nobody'], 1, 'no address with a domain', 'give it as user@example.org'),
    (['spool', 'check', '/nowhere'], 3, 'No such file or directory', 'is the path right?'),
    (['spool', 'check', '/etc/passwd'], 3, 'Not a directory', 'name a directory'),
    (['spool', 'check', '/etc'], 3, 'this is no spool', 'no folder seg'),
    (['spool', 'adopt', '/nowhere'], 3, 'No such file or directory', 'is the path right?'),
    (['metrics', '--listen', 'x'], 2, "'x' is no address to listen at", '127.0.0.1:9464'),
    (['metrics', '--listen', '0.0.0.0:9464'], 2, 'can be reached from other machines', '--allow-remote'),
    (['metrics', '--allow-remote'], 2, 'says nothing without --listen', 'ADDRESS:PORT'),
    (['metrics', '--listen', '127.0.0.1:9464', '--json'], 2, 'what each client asks for', 'leave --json'),
    (['frob', '--help'], 2, 'frob', '--help'),
]


def setup(lab):
    global gw
    Scripted(lab, mode='rcpt')
    gw = Gateway(lab, delivery={'mta_sts': False}).start()


def test_sluicectl(lab):
    wrong = []
    for words, status, cause, step in ROWS:
        done = subprocess.run([SLUICECTL, '-s', gw.socket, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=20)
        got, text = done.returncode, ' '.join(done.stdout.decode().split())
        if cause not in text or step not in text or got != status:
            wrong.append(f'{" ".join(words)[:60]}: status {got}, {text[:300]!r}, not {cause!r} and {step!r}, {status}')
    check(not wrong, f'{len(wrong)}: ' + ' | '.join(wrong))


def test_sockets(lab):
    for path, cause, step in ((lab.path('none'), 'No such file', 'is the gateway running? -s takes'), ('/etc/passwd', '', '-s takes'),
                              ('/' + 'x' * 120, 'File name too long', 'at most 107 bytes')):
        for words in (['status'], ['metrics'], ['top', '--once']):
            text = run(SLUICECTL, '-s', path, *words, ok=(3,))
            check(cause in text and step in text, f'{words} at {path}: {text!r}')


def test_check(lab):
    """A configuration; the rest of its errors: test_config."""
    blocks = {k: dict(v) for k, v in gw.blocks.items()}
    blocks['gateway'].update({'user': 'nosuchuser', 'zebra': 1})
    blocks['control'] = {**blocks.get('control', {}), 'group': 'nosuchgroup'}
    blocks['telemetry'] = {'group': 'nosuchgroup'}
    path = lab.path('wrong.conf')
    with open(path, 'w') as f:
        f.write(conf_text(blocks))
    text = run(SLUICED, '--check', path, ok=(1, 2))
    for words in ('zebra: unknown key; sluiced --help tells', 'adduser --system --group nosuchuser makes it',
                  'make it (groupadd --system nosuchgroup), or name another'):
        check(words in text, f'{words}: {text}')


def test_a_second_one(lab):
    """At a start, while the first one runs."""
    text = run(SLUICED, gw.conf_path, ok=(2,))
    check(text.count('\n') <= 3 and ('stop it, or name another' in text), text)
    check(gw.alive() and os.path.exists(gw.socket), 'the first one')
    with Client() as c:
        c.expect(c.deliver('s@client.example', ['a@example.org'], plain(1)), 250)


if __name__ == '__main__':
    main(setup)
