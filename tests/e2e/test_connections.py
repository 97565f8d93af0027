#!/usr/bin/python3
# limit: 120
"""sluicectl connections: who is connected, in and out, by filters; kick closes those and nobody else, and
mail that was whole is neither lost nor doubled by it."""
import grp
import json
import os
import pwd
import ssl
import subprocess

from gateway import SLUICECTL, Gateway, for_others
from harness import GATEWAY_IP, HOST_IP, check, check_equal, die_with_parent, main, run, wait_until
from mail import Client, plain, stuffed
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    chain, key = lab.path('chain.pem'), lab.path('key.pem')
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=mx.gateway.example',
        '-addext', 'subjectAltName=DNS:mx.gateway.example', '-days', '30', '-keyout', key, '-out', chain)
    group = grp.getgrgid(pwd.getpwnam('nobody').pw_gid).gr_name
    gw = Gateway(lab, control={'group': group}, certificate_a={'chain': chain, 'key': key},
                 gateway={'lanes': 2},
                 listener_proxied={'kind': 'mx', 'port': 'net0', 'tcp_port': 26, 'proxy': 'required', 'proxy_from': [f'{HOST_IP}/32']}).start()


def rows(*words):
    return [json.loads(line) for line in gw.ctl('connections', '--json', *words).splitlines()]


def quiet():
    wait_until(lambda: not rows(), 30, 'no connection is left')


def test_what_is_told(lab):
    """Session state, TCP state, bytes, age, TLS and the message under way."""
    check_equal(rows(), [], 'nobody')
    with Client() as a, Client() as b:
        a.expect(a.command('MAIL FROM:<s@client.example>'), 250)
        b.send(b'STARTTLS\r\n')
        b.expect(b.reply(), 220)
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        b.socket = context.wrap_socket(b.socket, server_hostname='mx.gateway.example')
        b.expect(b.command('EHLO again.example'), 250)
        both = wait_until(lambda: len(r := rows()) == 2 and r, 30, 'two connections')
        here = {r['helo']: r for r in both}
        mail, tls = here['client.example'], here['again.example']
        check_equal([mail[k] for k in ('direction', 'state', 'tcp', 'listener', 'local', 'messages')],
                    ['in', 'mail', 'ESTABLISHED', 'mx', f'{GATEWAY_IP}:25', 0], 'the one amid a message')
        check_equal(mail['remote'], '%s:%u' % a.socket.getsockname(), 'its client')
        check(len(mail['message']) > 10 and 'tls' not in mail, f'its message: {mail}')
        check(mail['in_bytes'] >= len('EHLO client.example\r\nMAIL FROM:<s@client.example>\r\n'), f'its bytes: {mail}')
        check_equal([tls['state'], tls['tls']], ['ready', 'TLSv1.3'], 'the one with TLS')
        check(tls['cipher'].startswith('TLS_'), f'its cipher: {tls}')
        # Filters, each of which leaves one, both or none.
        for words, count in ((['--state', 'mail'], 1), (['--state', 'established'], 2), (['--state', 'rcpt'], 0),
                             (['--listener', 'mx'], 2), (['--listener', 'proxied'], 0), (['--in'], 2), (['--out'], 0),
                             (['--address', f'{HOST_IP}/32'], 2), (['--address', '192.0.2.0/24'], 0), (['--user', ''], 2),
                             (['--user', 'alice'], 0), (['--older', '1h'], 0), ([mail['id']], 1), (['4000000000.1'], 0)):
            check_equal(len(rows(*words)), count, f'connections {words}')
        text = gw.ctl('connections', '--state', 'mail')
        check(f'in  {mail["remote"]} id={mail["id"]}' in text and 'state=mail' in text and 'helo=client.example' in text, text)
    quiet()


def test_behind_a_proxy(lab):
    """The client that the header names, and the proxy; before the header there is the proxy alone."""
    c = Client(port=26, greet=False)
    wait_until(lambda: [r['state'] for r in rows('--listener', 'proxied')] == ['proxy'], 30, 'it waits for the header')
    c.send(b'PROXY TCP4 198.51.100.7 203.0.113.9 4711 25\r\n')
    c.expect(c.reply(), 220)
    row = rows('--address', '198.51.100.0/24')[0]
    check_equal([row['remote'], row['proxy']], ['198.51.100.7:4711', '%s:%u' % c.socket.getsockname()], 'addresses')
    check_equal(len(rows('--address', f'{HOST_IP}')), 1, 'by the proxy, too')
    c.close()
    quiet()


def test_kick(lab):
    """421 for who is meant, nothing for the others; by a filter, by an id once only."""
    with Client() as a, Client() as b, Client() as c:
        for client in (a, b):
            client.expect(client.command('MAIL FROM:<s@client.example>'), 250)
        gw.ctl('connections', 'kick', ok=(2,))
        check_equal(gw.ctl('connections', 'kick', '--state', 'mail').split(), ['closed', '2'], 'kick')
        for client in (a, b):
            check_equal(str(client.reply()), '421 4.3.2 Connection closed by the operator', 'what they hear')
            check(client.closed(), 'they are closed')
        c.expect(c.command('NOOP'), 250)
        wait_until(lambda: len(rows()) == 1, 30, 'one is left')
        name = rows()[0]['id']
        check_equal(json.loads(gw.ctl('connections', 'kick', name, '--json')), {'closed': 1, 'spared': 0}, 'by its id')
        check_equal(c.reply().code, 421, 'it hears, too')
        check(c.closed(), 'and is closed')
        quiet()
        with Client() as d:  # in the same place
            wait_until(lambda: len(rows()) == 1, 30, 'another one')
            check_equal(gw.ctl('connections', 'kick', name).split(), ['closed', '0'], 'an id of one that is gone')
            d.expect(d.command('NOOP'), 250)
    quiet()


def test_kick_amid_mail(lab):
    """Amid a body: nothing is delivered. A message that a next hop has whole is left alone, and comes once."""
    with Client() as a:
        a.envelope('s@client.example', ['half@example.org'])
        a.send(b'Subject: half\r\n\r\nhalf')
        wait_until(lambda: rows('--state', 'data', '--in'), 30, 'it is amid the body')
        check_equal(gw.ctl('connections', 'kick', '--state', 'data', '--in').split(), ['closed', '1'], 'kick')
        check_equal(a.reply().code, 421, 'it hears')
    far.mode = 'mute'
    with Client() as a:
        a.expect(a.deliver('s@client.example', ['one@example.org'], plain(1)), 250)
    row = wait_until(lambda: rows('--out', '--state', 'end'), 60, 'the next hop keeps silent')[0]
    check_equal([row['remote'], row['tcp']], [f'{HOST_IP}:2525', 'ESTABLISHED'], 'outbound')
    check_equal(json.loads(gw.ctl('connections', 'kick', '--out', '--json')), {'closed': 0, 'spared': 1}, 'it is left')
    check('twice' in gw.ctl('connections', 'kick', '--out'), 'and why is told')
    far.mode = 'ok'
    far.down()
    far.up()
    wait_until(lambda: far.to('one@example.org'), 60, 'delivery')
    check_equal(far.to('half@example.org'), [], 'half a message')
    # Idle ones to a next hop are ended in order.
    wait_until(lambda: rows('--out', '--state', 'idle'), 60, 'an idle connection')
    check_equal(gw.ctl('connections', 'kick', '--out').split(), ['closed', '1'], 'kick')
    quiet()


def test_rights_and_words(lab):
    """Who may look may not kick; a slip of the pen closes nothing."""
    tool = for_others(lab, SLUICECTL)
    nobody = pwd.getpwnam('nobody')

    def ask(*words):
        return subprocess.run([tool, '-s', gw.socket, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, text=True, user=nobody.pw_uid, group=nobody.pw_gid,
                              extra_groups=[], preexec_fn=die_with_parent)
    os.chmod(gw.dir, 0o755)
    with Client() as a:
        wait_until(lambda: len(rows()) == 1, 30, 'one connection')
        look, kick = ask('connections'), ask('connections', 'kick', '--all')
        check_equal([look.returncode, kick.returncode], [0, 1], f'{look.stdout} {kick.stdout}')
        check('not permitted' in kick.stdout and 'state=ready' in look.stdout, f'{look.stdout} {kick.stdout}')
        for words in (['--stat', 'x'], ['--state'], ['17'], ['--older', '5'], ['--in', '--out'], ['--address', '10.9.0.1/24']):
            gw.ctl('connections', *words, ok=(1, 2))
        a.expect(a.command('NOOP'), 250)


def test_many(lab):
    """More than a piece of an answer holds: each is told of once, while others come and go."""
    clients = [Client(greet=False) for _ in range(300)]
    for c in clients:
        c.expect(c.reply(), 220)
    want = {'%s:%u' % c.socket.getsockname() for c in clients}
    for _ in range(3):
        with Client():
            told = [r['remote'] for r in rows('--state', 'greeted')]
            check_equal(len(told), len(set(told)), 'each once')
            check(want <= set(told), f'{len(want - set(told))} are missing')
    check_equal({r['lane'] for r in rows()}, {0, 1}, 'of both lanes')
    wait_until(lambda: len(rows()) == 300, 30, 'the 300 alone')
    check_equal(gw.ctl('connections', 'kick', '--all').split(), ['closed', '300'], 'kick')
    for c in clients:
        check(c.closed(), 'closed')
    quiet()


main(setup)
