#!/usr/bin/python3
# limit: 120
"""Maps of addresses: aliases, lists and catch-alls, recipients that nobody has, addresses that are an account's; files that
change under way, whole or not at all; and what sluicectl and --check say of them."""
import email
import os
import smtplib
import time

from dsn import Report
from gateway import SLUICED, Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, find_program, main, run, wait_until
from mail import Client, plain, split_received, stuffed
from sinks import Scripted

STRANGER = '10.9.0.77'
ACCOUNTS = 'alice@example.org:{SHA512-CRYPT}$6$x\nbob@example.org|{PLAIN}x|y\ncarol@example.org:\n'
ALIASES = '''# aliases and lists
sales@example.org   alice@example.org
team@example.org    alice@example.org, bob@example.org
   carol@example.org
both@example.org    team@example.org sales@example.org
away@example.org    friend@far.example
perm@example.org    perm-1@far.example
loop@example.org    loop@other.example
@other.example      @example.org
@catch.example      bob@example.org
'''
PATTERNS = r'/^shop-(\d+)@example\.org$/  bob@example.org' + '\n'
RECIPIENTS = '/^known-[a-z]+@example\\.org$/  x\n/^perm-/ x\n'
OWNERS = 'press@example.org  alice@example.org\n'
gw = far = None
files = {}


def write(name, text):
    """As an editor does it: the whole, by rename."""
    with open(files[name] + '.new', 'w') as f:
        f.write(text)
    os.rename(files[name] + '.new', files[name])


def setup(lab):
    global gw, far
    far = Scripted(lab, offers=('PIPELINING', '8BITMIME', 'DSN', 'SIZE 100000000'))
    gw = Gateway(lab)
    for name, text in (('accounts', ACCOUNTS), ('aliases', ALIASES), ('patterns', PATTERNS), ('recipients', RECIPIENTS),
                       ('owners', OWNERS)):
        files[name] = os.path.join(gw.dir, name)
        write(name, text)
    gw.change(
        listener_users={'kind': 'submission', 'port': 'net0', 'tcp_port': 587, 'tls': 'none', 'auth_required': False},
        listener_strict={'kind': 'mx', 'port': 'net0', 'tcp_port': 26, 'reject_unauthenticated_sender': True},
        relay={'networks': [f'{HOST_IP}/32'], 'domains': ['example.org', 'other.example', 'catch.example']},
        recipient={'accounts': [files['accounts']], 'aliases': [files['aliases'], 'pcre:' + files['patterns']],
                   'maps': ['pcre:' + files['recipients']]},
        sender={'maps': [files['owners']], 'exempt_networks': ['10.9.0.78/32']})
    gw.start()
    for address in (STRANGER, '10.9.0.78'):
        run('ip', 'addr', 'add', f'{address}/32', 'dev', 'gw0')


def client(source=STRANGER, port=25):
    return Client(port=port, source=(source, 0))


def sent(recipients, sender='a@client.example', number=1):
    """What arrives of one message, as one list of recipients and their options."""
    before = len(far.messages)
    with client() as c:
        check_equal(c.deliver(sender, recipients, plain(number)).code, 250, 'message')
    wait_until(lambda: 'messages=0' in gw.ctl('status') and len(far.messages) > before, 20, 'delivered')
    got = far.messages[before:]
    return sorted(r for m in got for r in m.recipients), got


def test_aliases(lab):
    for recipients, want in (
            (['sales@example.org'], ['alice']),
            (['Sales+x@EXAMPLE.org'], ['alice']),
            (['team@example.org'], ['alice', 'bob', 'carol']),
            (['both@example.org'], ['alice', 'bob', 'carol']),
            (['bob@example.org', 'team@example.org', 'sales@example.org'], ['alice', 'bob', 'carol']),
            (['team@example.org', 'bob@example.org', 'team@example.org'], ['alice', 'bob', 'carol']),
            (['shop-17@example.org'], ['bob']),
            (['anything@catch.example'], ['bob']),
            (['alice@other.example'], ['alice'])):
        with Counted(gw, 'policy/rcpt_expanded'):
            got, messages = sent(recipients)
        check_equal(got, [f'{name}@example.org' for name in want], f'recipients of {recipients}')
        received = split_received(messages[0].content)[0]
        check_equal(received.group('for'), None, 'nobody is told who is behind an alias')
    with Counted(gw, 'policy/rcpt_forwarded'):
        check_equal(sent(['away@example.org'])[0], ['friend@far.example'], 'forwarded')
    got, _ = sent(['alice+news@example.org'])
    check_equal(got, ['alice+news@example.org'], 'an extension of an account stays')


def test_original_recipient(lab):
    """RFC 3461: the address that was meant goes along, and comes back in a report."""
    _, messages = sent(['sales@example.org', 'bob@example.org'])
    options = {r: o for m in messages for r, o in zip(m.recipients, m.options[1:])}
    check('ORCPT=rfc822;sales@example.org' in options['alice@example.org'], options)
    check('ORCPT' not in options['bob@example.org'], options)
    before = len(far.messages)
    with client() as c:
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        c.expect(c.command('RCPT TO:<sales+a@example.org> ORCPT=rfc822;first@x.example NOTIFY=FAILURE'), 250)
        c.expect(c.command('DATA'), 354)
        c.send(stuffed(plain(1)))
        c.expect(c.reply(), 250)
    far.wait(before + 1)
    check('ORCPT=rfc822;first@x.example' in far.messages[-1].options[1] and 'NOTIFY=FAILURE' in far.messages[-1].options[1],
          far.messages[-1].options)
    far.mode = 'rcpt'
    with client() as c:
        check_equal(c.deliver('back@client.example', ['perm@example.org'], plain(2)).code, 250, 'message')
    wait_until(lambda: far.to('back@client.example'), 20, 'the report')
    report = Report(far.to('back@client.example')[0])
    far.mode = 'ok'
    check_equal(report.recipients[0]['Original-Recipient'], 'rfc822; perm@example.org', 'Original-Recipient')
    check_equal(report.recipients[0]['Final-Recipient'], 'rfc822; perm-1@far.example', 'Final-Recipient')


def test_nobody_has_it(lab):
    with client() as c, Counted(gw, 'policy/rcpt_unknown', 2):
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        for recipient in ('nobody@example.org', 'known-1@example.org'):
            reply = c.command(f'RCPT TO:<{recipient}>')
            check_equal((reply.code, reply.text), (550, f'5.1.1 <{recipient}>: Recipient address rejected: User unknown in '
                                                        'relay recipient table'), 'reply')
        for recipient in ('known-x@example.org', 'ALICE@example.org', 'team@example.org', 'shop-1@example.org'):
            c.expect(c.command(f'RCPT TO:<{recipient}>'), 250)
        check_equal(c.command('RCPT TO:<alice@elsewhere.example>').code, 554, 'no relay')
        check_equal(c.command('RCPT TO:<loop@other.example>').code, 451, 'an alias that leads to itself')
        check_equal(c.command('RCPT TO:<loop@example.org>').code, 451, 'likewise')
    # swaks, as an operator would ask
    answer = run(find_program('swaks'), '--server', GATEWAY_IP, '--from', 'a@client.example', '--to', 'nobody@example.org',
                 '--quit-after', 'RCPT', ok=(24,))
    check('550 5.1.1' in answer, answer)


def test_an_address_of_an_account_needs_a_login(lab):
    with client(port=587) as c, Counted(gw, 'policy/sender_not_logged_in', 4):
        for sender in ('alice@example.org', '"alice"@EXAMPLE.org', 'team@example.org', 'press@example.org', 'any@catch.example'):
            reply = c.command(f'MAIL FROM:<{sender}>')
            check_equal((reply.code, reply.text),
                        (553, f'5.7.1 <{sender}>: Sender address rejected: not logged in'), 'reply')
        check_equal(c.command('MAIL FROM:<x@client.example>').code, 250, 'what is no account is not guarded')
    with client('10.9.0.78', 587) as c:
        check_equal(c.command('MAIL FROM:<alice@example.org>').code, 250, 'an exempt network')
    with client(port=25) as c:
        check_equal(c.command('MAIL FROM:<alice@example.org>').code, 250, 'servers may, as long as nothing is said')
    with smtplib.SMTP(GATEWAY_IP, 26, source_address=(STRANGER, 0)) as s:
        s.ehlo('client.example')
        check_equal(s.mail('alice@example.org')[0], 553, 'where it is said')
        check_equal(s.mail('')[0], 250, 'the null sender is everybody\'s')
    wait_until(lambda: 'reason=<team@example.org>: Sender address rejected: not logged in' in gw.log(), 10, 'the log line')


def test_files_change(lab):
    with client() as c:
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        check_equal(c.command('RCPT TO:<new@example.org>').code, 550, 'before')
        write('aliases', ALIASES + 'new@example.org carol@example.org\n')

        def taken():
            time.sleep(0.3)
            return c.command('RCPT TO:<new@example.org>').code == 250
        with Counted(gw, 'policy/maps_loaded'):
            wait_until(taken, 15, 'the new alias, in the middle of a transaction')
    broken = ALIASES + 'new@example.org carol@example.org\nbroken@example.org\n'
    with Counted(gw, 'policy/maps_refused', seconds=15):
        write('aliases', broken)
    place = f'{files["aliases"]}:{broken.count(chr(10))}: there is no value behind the key'
    wait_until(lambda: place in gw.log() and 'the old maps stay' in gw.log(), 10, 'the log line')
    check(place in gw.ctl('reload', ok=(1,)), 'reload names it')
    check(place in run(SLUICED, '--check', gw.conf_path, ok=(2,)), '--check names it')
    check_equal(sent(['new@example.org'])[0], ['carol@example.org'], 'the old maps')
    os.unlink(files['aliases'])
    wait_until(lambda: f'{files["aliases"]}: cannot be read' in gw.log(), 15, 'a file that is gone')
    check_equal(sent(['new@example.org'])[0], ['carol@example.org'], 'the old maps')
    with Counted(gw, 'policy/maps_loaded', seconds=15):
        write('aliases', ALIASES)
    with client() as c:
        c.expect(c.command('MAIL FROM:<a@client.example>'), 250)
        check_equal(c.command('RCPT TO:<new@example.org>').code, 550, 'mended')


def test_swapped_columns(lab):
    with Counted(gw, 'policy/maps_loaded', seconds=15):
        write('owners', 'alice@example.org  press@example.org, news@example.org\n')
    wait_until(lambda: f'{files["owners"]}:1: warning: the columns look swapped' in gw.log(), 10, 'the warning')
    check('the columns look swapped' in run(SLUICED, '--check', gw.conf_path), '--check warns')
    with Counted(gw, 'policy/maps_loaded', seconds=15):
        write('owners', OWNERS)


def test_questions(lab):
    for login, address, words in (
            ('alice@example.org', 'alice+x@example.org', ["yes: it is the login's own address"]),
            ('alice@example.org', 'both@example.org', ['yes: mail to the address goes to the login, by', f'{files["aliases"]}:5',
                                                       'its mail goes to bob@example.org']),
            ('alice@example.org', 'press@example.org', ["yes: the owners' map says so", f'{files["owners"]}:1']),
            ('bob@example.org', 'press@example.org', ['no: nothing says', f'its owners by {files["owners"]}:1: alice@example.org']),
            ('alice', 'alice@example.org', ['no:', 'there is no sender: login_domain']),
            ('bob@example.org', 'SHOP-1@example.org', ['yes:', f'{files["patterns"]}:1'])):
        answer = gw.ctl('sender', 'check', login, address)
        for text in words + ['listener users: spoof_protection login', 'listener mx: spoof_protection off']:
            check(text in answer, f'{login} {address}: no {text!r} in {answer}')
    answer = gw.ctl('recipient', 'check', 'away@example.org')
    check('accepted: it is known' in answer and 'its mail goes to friend@far.example (forwarded)' in answer, answer)
    check('user unknown' in gw.ctl('recipient', 'check', 'nobody@example.org'), 'unknown')
    check('is no address' in gw.ctl('sender', 'check', 'alice', 'a@b@c', ok=(1,)), 'no address')
    check('needs LOGIN ADDRESS' in gw.ctl('sender', 'check', 'alice', ok=(2,)), 'one word')
    check(f'map aliases {files["aliases"]} keys=' in gw.ctl('status'), 'status names the files')


def test_settings_that_can_not_be(lab):
    for changes, why in (({'recipient': {'accounts': ['pcre:/x']}}, 'an account is no pattern'),
                         ({'recipient': {'aliases': ['accounts:/x']}}, 'accounts have no values'),
                         ({'recipient': {'maps': ['hash:/x']}}, 'must be /path, texthash:/path, pcre:/path or accounts:/path'),
                         ({'recipient': {'extension': 'ab'}}, 'must be one of + - _ = #')):
        saved = {k: dict(v) for k, v in gw.blocks.items()}
        gw.change(**changes)
        answer = gw.ctl('reload', ok=(1,))
        gw.blocks = saved
        gw.change()
        check(why in answer, f'{why!r} is not in {answer}')
    check('settings_generation' in gw.ctl('reload'), 'and as it was')


if __name__ == '__main__':
    main(setup)
