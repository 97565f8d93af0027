#!/usr/bin/python3
# limit: 120
"""Reload under load: what can change does, what cannot is named, what is wrong changes nothing, no
connection is lost. And who may use the control socket."""
import json
import os
import re
import stat
import subprocess

from gateway import SLUICECTL, SLUICED, Gateway, for_others
from harness import check, check_equal, main, run, wait_until
from mail import Client, Ledger, Load, plain
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, smtp={'message_size': '1M'}, control={'group': 'adm'}).start()


def generation():
    return int(re.search(r'settings_generation (\d+)', gw.ctl('status')).group(1))


def size_offered():
    with Client(greet=False) as c:
        c.reply()
        return int(re.search(r'SIZE (\d+)', c.command('EHLO x.example').text).group(1))


def test_reload_under_load(lab):
    ledger = Ledger()
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 2000)), range(1000000), 10)
    wait_until(lambda: len(ledger.acked) > 50, 30, 'load')
    before = generation()
    for number in range(30):
        gw.change(smtp={'message_size': f'{2 + number}M'})
        gw.ctl('reload')
        mark = len(ledger.acked)
        wait_until(lambda: len(ledger.acked) > mark + 5 or load.errors, 30, 'load goes on')
    load.stop.set()
    check_equal(load.join(30), [], 'errors of clients')
    check_equal(size_offered(), 31 << 20, 'SIZE after the last reload')
    check_equal(generation(), before + 30, 'generation')
    wait_until(lambda: ledger.arrived(list(far.messages)), 60, 'all messages')
    ledger.audit(far.messages)


def test_session_goes_on_with_the_new_setting(lab):
    with Client() as c:
        gw.change(smtp={'message_size': '1M'})
        gw.ctl('reload')
        check_equal(c.command(f'MAIL FROM:<a@b.example> SIZE={2 << 20}').code, 552, 'the new limit in an old session')
        check_equal(c.command('MAIL FROM:<a@b.example> SIZE=1000').code, 250, 'and it goes on')


def test_relay_domains(lab):
    """A list: an address outside of the relay networks may send to the new domain, no more to the old."""
    run('ip', 'addr', 'add', '10.8.0.2/32', 'dev', gw.iface)

    def reply(domain):
        with Client(source=('10.8.0.2', 0)) as c:
            c.command('MAIL FROM:<a@client.example>')
            return c.command(f'RCPT TO:<a@{domain}>').code
    check_equal((reply('example.org'), reply('new.example')), (250, 554), 'before')
    gw.change(relay={'domains': ['new.example']})
    gw.ctl('reload')
    check_equal((reply('example.org'), reply('new.example')), (554, 250), 'after')
    gw.change(relay={'domains': ['example.org']})
    gw.ctl('reload')


def test_routes(lab):
    other = Scripted(lab, port=2600)
    gw.change(**{'route_moved.example': {'host': '10.9.0.2:2600'}})
    gw.ctl('reload')
    with Client() as c:
        c.deliver('s@client.example', ['x@moved.example'], plain(1))
    wait_until(lambda: other.to('x@moved.example'), 30, 'message by the new route')


def test_what_needs_a_restart_is_named(lab):
    gw.change(gateway={'lanes': 2}, tcp={'connections': 999})
    said = gw.ctl('reload')
    check('gateway.lanes' in said and 'tcp.connections' in said, f'reload said: {said}')
    check(re.search(r'^lanes 1$', gw.ctl('status'), re.M), 'still one lane')
    shown = gw.ctl('config', 'show', '--changed')
    check('    lanes = 2; # until a restart: 1\n' in shown and 'connections = 999;' in shown, f'shown: {shown}')
    check_equal(json.loads(gw.ctl('config', 'show', '--json'))['needs_restart'],
                ['gateway.lanes', 'tcp.connections'], 'needs_restart')
    gw.change(gateway={'lanes': 1}, tcp={'connections': None})
    check('restart' not in gw.ctl('reload'), 'changed back')


def test_config_show_is_a_configuration(lab):
    """The whole one, also where it is longer than an answer's block, and what differs from the defaults."""
    networks = [f'10.{100 + i // 256}.{i % 256}.0/24' for i in range(4000)] + ['10.9.0.0/24']
    gw.change(relay={'networks': networks})
    gw.ctl('reload')
    whole = gw.ctl('config', 'show')
    check(len(whole) > 65536, f'{len(whole)} bytes are several blocks')
    for text in (whole, gw.ctl('config', 'show', '--changed')):
        with open(lab.path('shown.conf'), 'w') as f:
            f.write(text)
        run(SLUICED, '--check', lab.path('shown.conf'))
    found = json.loads(gw.ctl('config', 'show', '--changed', '--json'))
    check_equal(found['relay']['networks'], networks, 'the list')
    check('idle' not in found['gateway'], 'a default is not told')
    said = gw.ctl('config', 'show', 'everything', ok=(2,))
    check('--changed' in said, f'what it takes: {said}')
    gw.change(relay={'networks': ['10.9.0.0/24']})
    gw.ctl('reload')


def test_broken_configuration(lab):
    before = generation()
    with open(gw.conf_path) as f:
        good = f.read()
    with open(gw.conf_path, 'w') as f:
        f.write(good.replace('message_size = 1M', 'message_size = lots') + 'rubbish {\n')
    said = gw.ctl('reload', ok=None)
    check(re.search(r'sluice\.conf:\d+: .*message_size', said) and said.count('sluice.conf:') >= 2,
          f'all errors with their lines: {said}')
    check_equal(generation(), before, 'generation')
    check_equal(size_offered(), 1 << 20, 'the old setting')
    with open(gw.conf_path, 'w') as f:
        f.write(good)
    gw.ctl('reload')


def test_sighup(lab):
    before = generation()
    gw.change(smtp={'message_size': '3M'})
    os.kill(gw.process.pid, 1)
    wait_until(lambda: generation() == before + 1, 30, 'a new generation')
    check_equal(size_offered(), 3 << 20, 'SIZE')


def test_drain(lab):
    """No new mail, what is under way ends, what is there is delivered; and back. The command waits for it."""
    open_session, idle = Client(), Client()
    far.mode = 'slow'
    with Client() as c:
        c.deliver('s@client.example', ['under-way@example.org'], plain(1))
    open_session.command('MAIL FROM:<s@client.example>')
    open_session.command('RCPT TO:<last@example.org>')
    check_equal(open_session.command('DATA').code, 354, 'a message that has begun')
    command = subprocess.Popen([SLUICECTL, '-s', gw.socket, 'drain'], stdout=subprocess.PIPE, text=True)
    wait_until(lambda: 'accepting no: drained by the operator' in gw.ctl('status'), 30, 'drained')
    check_equal(idle.reply().code, 421, 'an idle client')
    with Client(greet=False) as c:
        check_equal(c.reply().code, 421, 'a new client')
    check(command.poll() is None, 'the command waits')
    open_session.send(plain(2) + b'.\r\n')
    check_equal(open_session.reply().code, 250, 'what had begun is taken')
    check_equal(open_session.reply().code, 421, 'and then')
    far.mode = 'ok'
    said, _ = command.communicate(timeout=60)
    check_equal(command.returncode, 0, said)
    check('no new mail is taken; clients 0, recipients in a delivery 0' in said, said)
    wait_until(lambda: far.to('under-way@example.org') and far.to('last@example.org'), 30, 'both delivered')
    gw.ctl('undrain')
    with Client() as c:
        c.deliver('s@client.example', ['again@example.org'], plain(3))
    check('\naccepting yes' in gw.ctl('status'), 'status')


def as_user(lab, user, *args):
    return run('setpriv', f'--reuid={user[0]}', f'--regid={user[1]}', *(('--groups', user[2]) if len(user) > 2 else
               ('--clear-groups',)), for_others(lab, SLUICECTL), '-s', gw.socket, *args, ok=None)


def test_rights_on_the_control_socket(lab):
    """Root may all; the group may look; others get nothing, by credentials also where the mode would let them."""
    os.chmod(gw.dir, 0o755)
    mode = stat.S_IMODE(os.stat(gw.socket).st_mode)
    check_equal(oct(mode), '0o660', 'mode of the socket')
    nobody, member = ('nobody', 'nogroup'), ('nobody', 'nogroup', 'adm')
    check('uptime_s' not in as_user(lab, nobody, 'status'), 'nobody sees the status')
    check('uptime_s' in as_user(lab, member, 'status'), 'a member of the group sees the status')
    before = generation()
    check('not permitted' in as_user(lab, member, 'reload'), 'a member of the group may not reload')
    check_equal(generation(), before, 'generation')
    os.chmod(gw.socket, 0o666)
    check('not permitted' in as_user(lab, nobody, 'status'), 'nobody sees the status through an open mode')
    os.chmod(gw.socket, mode)


def test_unknown_command(lab):
    said = gw.ctl('frobnicate', ok=None)
    check('frobnicate' in said or 'usage' in said.lower(), f'said {said}')
    check(gw.alive(), 'the gateway runs')


if __name__ == '__main__':
    main(setup)
