#!/usr/bin/python3
# limit: 120
"""Row R13: whatever is wrong with a configuration, or with a file that it names, is told word for word, all of it at once, by
sluiced --check; a gateway does not start by it, and one that runs keeps what it has."""
import os
import re
import resource
import subprocess

from gateway import SLUICED, Gateway
from harness import check, check_equal, main, run, wait_until
from mail import Client
from sinks import Scripted
from test_tls import HOST, make_certificate

gw = far = None



def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab).start()


# A whole configuration behind what is under test.
REST = b'''gateway { hostname = mx.example.org; }
port net0 { device = "net_tap0,iface=nobody0"; address = 10.9.0.1/24; }
listener mx { port = net0; }
relay { domains = example.org; }
'''


def write(lab, name, data, mode=0o644):
    path = lab.path(name)
    with open(path, 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    os.chmod(path, mode)
    return path


def checked(path):
    done = subprocess.run([SLUICED, '--check', path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60)
    return done.stdout.decode(errors='replace'), done.returncode


def golden(lab, rows):
    """name: (bytes, lines). D stands for the directory, F for the file; without lines it is good. Warnings leave it good, too."""
    for name, (data, lines) in rows.items():
        path = write(lab, f'{name}.conf', data.replace(b'D/', lab.dir.encode() + b'/'))
        said, status = checked(path)
        want = ''.join(line.replace('F:', f'{path}:').replace('D/', f'{lab.dir}/') + '\n' for line in lines)
        good = all(': warning: ' in line for line in lines)
        got, want = said.splitlines(), (want + (f'{path}: ok\n' if good else '')).splitlines()
        for place, (is_, should) in enumerate(zip(got + [None] * len(want), want + [None] * len(got)), 1):
            check_equal(is_, should, f'R13 {name}: line {place}')
        check_equal(status, 0 if good else 2, f'R13 {name}: status')


def test_text(lab):
    """R13: bytes and words."""
    write(lab, 'loop.inc', f'\ninclude {lab.dir}/loop.inc;\n')
    write(lab, 'level.inc', 'log { level = loud; }\n')
    for n in range(17):
        write(lab, f'deep{n}.inc', f'include {lab.dir}/deep{n + 1}.inc;\n')
    os.makedirs(lab.path('folder.inc'), exist_ok=True)
    golden(lab, {
        'good': (REST, []),
        'crlf': (REST.replace(b'\n', b'\r\n'), []),
        'bom': (b'\xef\xbb\xbf' + REST, []),
        'bom_and_crlf_with_errors': (b'\xef\xbb\xbf# a comment\r\nlog { level = loud; }\r\n' + REST.replace(b'\n', b'\r\n'), [
            'F:2: log: level: must be one of: error warn info debug, not loud']),
        'utf16': (REST.decode().encode('utf-16'), [
            'F:1: is UTF-16; store it as UTF-8 or ASCII', 'F:1: gateway: hostname: is required',
            'F:1: port: at least one is required', 'F:1: listener: at least one is required']),
        'nul': (b'log { level = in\0fo; }\n' + REST, ['F:1: log: NUL byte']),
        'bare_cr': (b'log { level = info;\r level = warn; }\n' + REST, ['F:1: log: carriage return that ends no line']),
        'unknown_key': (b'smtp { mesage_size = 1M; }\n' + REST, ['F:1: smtp: mesage_size: unknown key; did you mean message_size?']),
        'unknown_block': (b'gatewya { lanes = 1; }\n' + REST, ['F:1: gatewya: unknown block; did you mean gateway?']),
        'key_of_another_block': (b'smtp { lanes = 1; }\n' + REST, ['F:1: smtp: lanes: unknown key; it belongs into block gateway']),
        'bad_number': (b'smtp { recipients = many; hops = 0x10; }\n' + REST, [
            'F:1: smtp: recipients: must be a number: digits, not many', 'F:1: smtp: hops: must be a number: digits, not 0x10']),
        'out_of_range': (b'smtp { recipients = 0;\nhops = 1001;\n}\n' + REST, [
            'F:1: smtp: recipients: must be 1 to 100000, not 0', 'F:2: smtp: hops: must be 1 to 1000, not 1001']),
        'overflow': (b'smtp { recipients = 18446744073709551617; message_size = 99999999999T; }\n' + REST, [
            'F:1: smtp: recipients: must be 1 to 100000, not 18446744073709551617',
            'F:1: smtp: message_size: must be 1k to 4G, not 99999999999T']),
        'duplicate': (b'smtp { hops = 5; }\nsmtp { hops = 6; }\n' + REST, ['F:2: smtp: hops: given twice, first at F:1']),
        'missing_include': (b'include missing.inc;\ninclude D/folder.inc;\n' + REST, [
            'F:1: include: missing.inc: No such file or directory', 'F:2: include: D/folder.inc: not a file']),
        'include_loop': (b'include D/loop.inc;\n' + REST, ['D/loop.inc:2: include: D/loop.inc: a file cannot include itself']),
        'include_deep': (b'include D/deep0.inc;\n' + REST, ['D/deep15.inc:1: include: D/deep16.inc: includes nest deeper than 16']),
        'error_in_include': (b'include level.inc;\nsmtp { hops = 0; }\n' + REST, [
            'level.inc:1: log: level: must be one of: error warn info debug, not loud', 'F:2: smtp: hops: must be 1 to 1000, not 0']),
        'empty': (b'', ['F:1: gateway: hostname: is required', 'F:1: port: at least one is required',
                        'F:1: listener: at least one is required']),
        'half_written': (REST[:-9], ["F:4: relay: domains: expected ';'", 'F:4: relay: block is not closed']),
    })
    for path, why in ((lab.path('none.conf'), 'No such file or directory'), (lab.dir, 'Not a file')):
        check_equal(checked(path), (f'{path}: {why}\n', 2), 'what cannot be read')


def test_values_that_contradict_each_other(lab):
    """R13: errors where a gateway could not do what it is told; warnings where a setting has no effect or is hardly meant."""
    golden(lab, {
        'proxy_from_nobody': (b'listener p { port = net0; tcp_port = 26; proxy = required; }\n' + REST, [
            'F:1: listener p: proxy_from: is required where proxy = required']),
        'passwords_for_servers': (b'listener p { port = net0; tcp_port = 26; auth_cleartext = yes; }\n' + REST, [
            'F:1: listener p: auth_cleartext: has no place where kind = mx']),
        'users_on_25': (b'listener p { port = net0; kind = submission; tls = none; tcp_port = 25; address = 10.9.0.2; }\n' +
                        REST.replace(b'10.9.0.1/24', b'{ 10.9.0.1/24, 10.9.0.2/24 }').replace(b'port = net0;', b'port = net0; address = 10.9.0.1;'), [
            'F:1: listener p: kind: warning: nobody can send here: there are no users (auth: backend) and no relay: networks',
            'F:1: listener p: tcp_port: warning: other servers send to port 25, without a login: kind = mx']),
        'wrong_ports': (b'listener p { port = net0; kind = submission; tls = none; tcp_port = 465; }\n'
                        b'listener q { port = net0; tcp_port = 587; }\nrelay { networks = 10.0.0.0/8; }\n' + REST, [
            'F:1: listener p: tcp_port: warning: clients begin TLS at once on port 465: kind = submissions',
            "F:2: listener q: tcp_port: warning: users' programs use port 587, by STARTTLS: kind = submission"]),
        'open_relay': (b'relay { networks = { 10.0.0.0/8, 0.0.0.0/0, ::/0 }; }\n' + REST, [
            'F:1: relay: networks: warning: 0.0.0.0/0 is everybody: an open relay',
            'F:1: relay: networks: warning: ::/0 is everybody: an open relay']),
        'no_effect': (b'auth { workers = 3; passwd_file = /x; }\nlog { socket = /dev/log;\nfacility = local1; }\n'
                      b'tls { key_threads = 2; }\nlimits { dns_list_timeout = 2s; }\ntelemetry { enabled = no; group = adm; }\n'
                      b'delivery { mta_sts = no; mta_sts_timeout = 5s; set_aside_min = 5m; }\ntlsrpt { spread = 1h; }\n'
                      b'recipient { verify_cache = 50; expansion = 7; extension_propagate = yes; }\nsrs { max_age = 2d; }\n'
                      b'relay { proxied = yes; }\nroute a.example { auth_cleartext = yes; }\n'
                      b'listener p { port = net0; tcp_port = 26; proxy_timeout = 4s; tls = none; tls_min = 1.3; tls_tickets = 1; }\n' + REST, [
            'F:1: auth: passwd_file: warning: has no effect without backend',
            'F:1: auth: workers: warning: has no effect without backend',
            'F:2: log: socket: warning: has no effect without target = syslog or journald',
            'F:3: log: facility: warning: has no effect without target = syslog or journald',
            'F:4: tls: key_threads: warning: has no effect without key_operations = pool',
            'F:5: limits: dns_list_timeout: warning: has no effect without a dns_list block',
            'F:6: telemetry: group: warning: has no effect without enabled = yes',
            'F:7: delivery: set_aside_min: warning: has no effect without a source block',
            'F:7: delivery: mta_sts_timeout: warning: has no effect without mta_sts = yes',
            'F:8: tlsrpt: spread: warning: has no effect without enable = yes',
            'F:9: recipient: verify_cache: warning: has no effect without verify = next_hop',
            'F:9: recipient: extension_propagate: warning: has no effect without aliases',
            'F:9: recipient: expansion: warning: has no effect without aliases',
            'F:10: srs: max_age: warning: has no effect without domain',
            'F:11: relay: proxied: warning: has no effect without a listener with proxy = required or xclient_networks',
            'F:12: route a.example: auth_cleartext: warning: has no effect without auth_user',
            'F:13: listener p: proxy_timeout: warning: has no effect without proxy = required',
            'F:13: listener p: tls_min: warning: has no effect without TLS',
            'F:13: listener p: tls_tickets: warning: has no effect without TLS']),
        'nobody_may_send': (REST.replace(b'relay { domains = example.org; }\n', b''), [
            'F: relay: warning: no mail is taken: there are no domains, no networks and no users (auth: backend)']),
    })


def test_files(lab):
    """R13: what a configuration names, in one go with the errors of its text."""
    ec, other = make_certificate(lab, 'ec', 'EC', HOST), make_certificate(lab, 'other', 'EC', HOST)
    write(lab, 'open.key', open(ec[1], 'rb').read(), 0o644)
    write(lab, 'password', 'secret of the next hop\n', 0o644)
    write(lab, 'secret', 'a secret of sixteen bytes\n', 0o604)
    write(lab, 'users', 'a@example.org:{PLAIN}secret\n', 0o644)
    write(lab, 'anchor', '. IN DS 20326 8 2 E06D\nnonsense\n')
    write(lab, 'aliases', 'a@example.org b@example.org\nc@example.org\nd@example.org: e@example.org\nhalf@example.org half@exam')
    write(lab, 'cut', 'a@example.org b@example.org\nhalf@example.org half@exam')
    write(lab, 'patterns', '/^a@/ b@example.org\n/(/ c@example.org\n/d$/\n')
    golden(lab, {
        'everything': (b'gateway { user = nosuchuser; lanez = 1; }\ncertificate a { chain = D/gw/ec.pem; key = D/gw/other.key; }\n'
                       b'certificate b { chain = D/gw/ec.pem; key = D/open.key; }\n'
                       b'route a.example { host = 10.9.0.2; auth_user = u; auth_password_file = D/password; }\n'
                       b'srs { domain = example.org;\nsecrets = { D/secret, D/nosecret }; }\n'
                       b'auth { backend = passwd;\npasswd_file = D/users; }\ndns { trust_anchor = D/anchor; }\n'
                       b'recipient { aliases = { D/aliases, D/nothing, pcre:D/patterns }; }\n'
                       b'control { group = nosuchgroup; }\ndelivery { ca_file = D/password; }\n' + REST, [
            'F:1: gateway: lanez: unknown key; did you mean lanes?',
            'F:2: certificate a: key: the key does not belong to the certificate',
            'F:3: certificate b: key: cannot read D/open.key (too many may read or change it: at most mode 640)',
            'F:12: delivery: ca_file: warning: there is no certificate in D/password',
            'D/aliases:2: there is no value behind the key \'c@example.org\'',
            'D/aliases:3: \'d@example.org:\' ends with a colon: is this an aliases(5) file? keys have none here',
            'F:10: recipient: aliases: D/nothing: cannot be read (No such file or directory)',
            'D/patterns:2: the pattern is wrong at its byte 2: missing closing parenthesis',
            'D/patterns:3: there is no value behind the pattern',
            'F:6: srs: secrets: D/secret: too many may read or change it: at most mode 640',
            'F:6: srs: secrets: D/nosecret: No such file or directory',
            'F:4: route a.example: auth_password_file: cannot read D/password (too many may read or change it: at most mode 640)',
            'F:8: auth: passwd_file: warning: D/users: too many may read or change it: at most mode 640',
            'F:8: auth: passwd_file: D/users:1: scheme PLAIN is not taken: make a hash for crypt(3), such as {SHA512-CRYPT}, or {SCRAM-SHA-256}',
            'F:9: dns: trust_anchor: D/anchor:1: must end with a digest in hexadecimal digits',
            'F:1: gateway: user: there is no user nosuchuser on this machine: adduser --system --group nosuchuser makes it; without '
            'the line the gateway stays who starts it',
            'F:11: control: group: there is no group nosuchgroup on this machine: make it (groupadd --system nosuchgroup), or name another']),
        'cut_off_map': (b'recipient { aliases = D/cut; }\n' + REST, [
            'D/cut:2: warning: nothing ends the last line: if the file is whole, end it']),
    })


def test_million_lines(lab):
    """R13: a map of 1,000,000 lines is taken, in bounded time and memory, also while mail comes in."""
    path = lab.path('gw/million')
    with open(path, 'w') as f:
        f.writelines(f'user{n}@example.org box{n}@example.org\n' for n in range(1000000))
    conf = write(lab, 'million.conf', REST + f'recipient {{ aliases = {path}; }}\n'.encode())
    check_equal(checked(conf), (f'{conf}: ok\n', 0), 'R13: --check')
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    check(peak < 512 * 1024, f'R13: {peak} KiB for a file of {os.path.getsize(path) >> 10}')  # the table is small beside it
    gw.change(recipient={'aliases': [path]})
    with Client() as c:
        said = gw.ctl('reload')
        check('taken: recipient.aliases' in said, said)
        check(re.search(r'map aliases \S+ keys=1000000 ', gw.ctl('status')), 'R13: the map is in use')
        c.command('MAIL FROM:<s@client.example>')
        check_equal(c.command('RCPT TO:<user999999@example.org>').code, 250, 'R13: the same session goes on')
    check('box999999' in gw.ctl('recipient', 'check', 'user999999@example.org'), 'R13: an answer')
    with open(path, 'a') as f:
        f.write('one-more@example.org\n')
    said = gw.ctl('reload', ok=(1,))
    check(f'{path}:1000001: there is no value behind the key' in said and 'the old configuration stays' in said, f'R13: {said}')
    check(re.search(r'map aliases \S+ keys=1000000 ', gw.ctl('status')), 'R13: the old map stays')
    gw.change(recipient=None)
    gw.ctl('reload')


def generation():
    return int(re.search(r'settings_generation (\d+)', gw.ctl('status')).group(1))


def test_half_written_map(lab):
    """R13: half a map never comes into use by itself, and one with errors never: the old one stays, and it is told why."""
    path = write(lab, 'gw/half', 'a@example.org b@example.org\nzz@example.org whole@example.org\n')
    gw.change(recipient={'aliases': [path]})
    gw.ctl('reload')

    def target(address):
        return gw.ctl('recipient', 'check', address)
    check('whole@example.org' in target('zz@example.org'), 'before')
    write(lab, 'gw/half', 'a@example.org b@example.org\nzz@example.org whole@exam')
    wait_until(lambda: f'{path}:2: nothing ends the last line: if the file is whole, end it, or reload; the old maps stay' in gw.log(), 20,
               'R13: a map that ends in the middle of a line')
    check('whole@example.org' in target('zz@example.org'), 'R13: the old map is in use')
    check_equal(gw.counter('policy/maps_refused') >= 1, True, 'R13: it is counted')
    write(lab, 'gw/half', 'a@example.org b@example.org\nzz@example.org\n')
    wait_until(lambda: re.search(re.escape(path) + r':2: there is no value behind the key .*the old maps stay', gw.log()), 20,
               'R13: a map with a wrong line')
    check('whole@example.org' in target('zz@example.org'), 'R13: the old map is in use still')
    write(lab, 'gw/half', 'a@example.org b@example.org\nzz@example.org other@example.org\n')
    wait_until(lambda: 'other@example.org' in target('zz@example.org'), 20, 'R13: the whole file')
    gw.change(recipient=None)
    gw.ctl('reload')


def test_start_and_reload(lab):
    """R13: the same lines at a start, which ends with status 2, and from a reload, which leaves all as it was."""
    with open(gw.conf_path, 'rb') as f:
        good = f.read()
    before, shown = generation(), gw.ctl('config', 'show')
    for name, text, why in (
            ('unknown key', b'smtp { mesage_size = 1M; }\n', ':1: smtp: mesage_size: unknown key; did you mean message_size?'),
            ('overflow', b'smtp { hops = 18446744073709551617; }\n', ':1: smtp: hops: must be 1 to 1000, not 18446744073709551617'),
            ('NUL', b'log { level = \0; }\n', ':1: log: NUL byte'),
            ('missing include', b'include missing.inc;\n', ':1: include: missing.inc: No such file or directory'),
            ('missing map', b'recipient { maps = /nonexistent/map; }\n', ':1: recipient: maps: /nonexistent/map: cannot be read ('),
            ('missing certificate', b'certificate a { chain = /nonexistent/a; key = /nonexistent/b; }\n', '/nonexistent/a')):
        with open(gw.conf_path, 'wb') as f:
            f.write(text + good)
        mark = len(gw.log())
        said = gw.ctl('reload', ok=(1,))
        check(why in said and 'the old' in said, f'R13 {name}: {said}')
        wait_until(lambda: 'refused: ' in gw.log()[mark:] and why.lstrip(':1: ') in gw.log()[mark:], 10, f'R13 {name}: the log')
        done = subprocess.run([SLUICED, gw.conf_path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        text = done.stdout.decode(errors='replace')
        check(why.split('(')[0] in text and done.returncode != 0 and 'ready' not in text, f'R13 {name}: a start: {done.returncode} {text}')
        check_equal(generation(), before, f'R13 {name}: generation')
        check_equal(gw.ctl('config', 'show'), shown, f'R13 {name}: what is in use')
    with open(gw.conf_path, 'wb') as f:
        f.write(good)
    check_equal(gw.ctl('reload'), f'settings_generation {before + 1}\n', 'nothing has changed')
    check_equal(gw.ctl('config', 'show'), shown, 'what is in use')


def test_warnings_of_a_reload(lab):
    gw.change(telemetry={'group': 'adm'}, relay={'networks': ['10.9.0.0/24', '0.0.0.0/0']})
    said = gw.ctl('reload')
    check(re.search(r'sluice\.conf:\d+: relay: networks: warning: 0\.0\.0\.0/0 is everybody: an open relay\n', said), said)
    check('taken: relay.networks\n' in said and 'needs a restart: telemetry.group\n' in said, said)
    wait_until(lambda: 'an open relay' in gw.log() and
               'published; taken: relay.networks; some changed keys need a restart: telemetry.group' in gw.log(), 10, 'the log')
    gw.change(telemetry=None, relay={'networks': ['10.9.0.0/24']})
    gw.ctl('reload')


if __name__ == '__main__':
    main(setup)
