#!/usr/bin/python3
# limit: 120
"""Programs that real users have: nodemailer, a Postfix with us as its relayhost (SASL, over STARTTLS and TLS from the first
byte), and nmap's search for open relays, which finds one where there is one."""
import json
import os
import re
import subprocess

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, PEERS, Skip, check, check_equal, die_with_parent, find_program, main, run, wait_until
from mail import split_received
from postfix import Postfix
from sinks import Scripted
from test_auth import SHA512, write_users
from test_tls import block, make_certificate

HOST = 'mx.gateway.example'
MX, SUBMISSION, SUBMISSIONS, POSTFIX = 25, 587, 465, 2625
gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)

    def listener(port, kind='submission', **more):
        return {'kind': kind, 'port': 'net0', 'tcp_port': port, **more}
    certificate = make_certificate(lab, 'ec', 'EC', HOST)
    users = write_users(lab, f'alice@example.org:{SHA512}\n')
    gw = Gateway(lab, listener_mx=listener(MX, 'mx'), listener_submission=listener(SUBMISSION),
                 listener_submissions=listener(SUBMISSIONS, 'submissions'),
                 certificate_ec=block(certificate), recipient={'accounts': [users]},
                 relay={'networks': [], 'domains': ['example.org']},
                 auth={'backend': 'passwd', 'passwd_file': users, 'failure_delay': '100ms'})
    gw.start()


NODEMAILER = '''
const nodemailer = require('nodemailer');
const o = JSON.parse(process.argv[1]);
const t = nodemailer.createTransport({host: o.host, port: o.port, secure: o.secure, requireTLS: !o.secure, pool: true,
    maxConnections: 1, name: 'node.example', tls: {rejectUnauthorized: false},
    auth: {user: 'alice@example.org', pass: o.password, method: o.method}});
const one = (i) => t.sendMail({from: 'Alice <alice@example.org>', to: ['b@far.example', 'carol@far.example'],
    bcc: 'd@far.example', subject: 'number ' + i + ' \\u00e4', text: '.\\r\\n..\\n' + 'x'.repeat(2000) + '\\u00e4',
    attachments: [{filename: 'a.bin', content: Buffer.alloc(30000, i)}], dsn: {id: 'n' + i, return: 'headers', notify: 'failure',
    recipient: 'alice@example.org'}});
Promise.all([1, 2, 3].map(one)).then(
    (done) => { console.log(JSON.stringify(done.map((d) => [d.accepted, d.response]))); t.close(); },
    (e) => { console.log(JSON.stringify({code: e.code, response: e.response})); t.close(); });
'''


def nodemailer(**options):
    modules = os.path.join(PEERS, 'usr/share/nodejs')
    if not os.path.exists(os.path.join(modules, 'nodemailer')):
        raise Skip('nodemailer is not here (tests/run e2e brings it)')
    done = subprocess.run([find_program('node'), '-e', NODEMAILER, json.dumps({'host': GATEWAY_IP, **options})],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                          env=dict(os.environ, NODE_PATH=modules), preexec_fn=die_with_parent)
    text = done.stdout.decode(errors='replace')
    check_equal(done.returncode, 0, f'node: {text[-500:]}')
    return json.loads(text.splitlines()[-1])


def test_nodemailer(lab):
    for port, secure, method in ((SUBMISSION, False, 'PLAIN'), (SUBMISSIONS, True, 'LOGIN')):
        before = len(far.messages)
        said = nodemailer(port=port, secure=secure, method=method, password='secret')
        check_equal([(len(accepted), re.match(r'250 2\.0\.0 Ok: queued as ', response) is not None) for accepted, response in said],
                    [(3, True)] * 3, 'what nodemailer was told')
        far.wait(before + 3)
        for m in far.messages[before:]:
            match, content = split_received(m.content)
            check_equal((match.group('with'), match.group('helo')), (b'ESMTPSA', b'node.example'), 'Received')
            check(b'\r\nBcc:' not in content and len(content) > 30000, 'the message as it was')
    check_equal(nodemailer(port=SUBMISSION, secure=False, method='PLAIN', password='wrong'),
                {'code': 'EAUTH', 'response': '535 5.7.8 Error: authentication failed'}, 'a wrong password')


def test_postfix_as_client(lab):
    """As on a machine whose provider takes mail by submission alone."""
    secrets = {f'[{GATEWAY_IP}]:{p}': 'alice@example.org:secret' for p in (SUBMISSION, SUBMISSIONS)}
    postfix = Postfix(lab, listen={f'{HOST_IP}:{POSTFIX}': []}, main={
        'relayhost': f'[{GATEWAY_IP}]:{SUBMISSION}', 'mynetworks': f'{HOST_IP}/32', 'smtpd_relay_restrictions': 'permit_mynetworks,reject',
        'smtp_sasl_auth_enable': 'yes', 'smtp_sasl_security_options': 'noanonymous', 'smtp_tls_security_level': 'encrypt',
        'minimal_backoff_time': '1s', 'queue_run_delay': '1s', 'smtp_cname_overrides_servername': 'no'})
    postfix.main['smtp_sasl_password_maps'] = postfix.table('secrets', secrets)
    postfix.write()
    postfix.start()

    def send(count):
        run(find_program('swaks'), '--server', f'{HOST_IP}:{POSTFIX}', '--from', 'alice@example.org', '--to',
            ','.join(f'r{i}@far.example' for i in range(count)), '--header', 'Subject: by Postfix')
    before = len(far.messages)
    with Counted(gw, 'auth/accepted'):
        send(3)
        far.wait(before + 1)
    check_equal(split_received(far.messages[-1].content)[0].group('with'), b'ESMTPSA', 'by STARTTLS')
    wait_until(lambda: 'status=sent (250 2.0.0 Ok: queued as' in postfix.log(), 10, 'sent, says Postfix')
    postfix.main |= {'relayhost': f'[{GATEWAY_IP}]:{SUBMISSIONS}', 'smtp_tls_wrappermode': 'yes'}
    postfix.reload()
    with Counted(gw, 'auth/accepted'):
        send(1)
        far.wait(before + 2)
    check_equal(split_received(far.messages[-1].content)[0].group('with'), b'ESMTPSA', 'by TLS from the first byte')


def open_relay(port=MX):
    said = run('nmap', '-n', '-Pn', '-sT', '-p', str(port), '--script', 'smtp-open-relay', '--script-args',
               'smtp-open-relay.domain=nmap.example', '-v', GATEWAY_IP, timeout=60)
    check(f'{port}/tcp open' in said, f'nmap: {said[-600:]}')
    return said


def test_nmap_finds_no_open_relay(lab):
    for port in (MX, SUBMISSION):
        before = gw.counter('smtp/recipients')
        said = open_relay(port)
        check('smtp-open-relay: Server' in said and 'Server is an open relay' not in said, f'nmap: {said[-600:]}')
        check_equal(gw.counter('smtp/recipients'), before, 'recipients that were taken')
    gw.change(relay={'networks': [f'{HOST_IP}/32']})
    gw.ctl('reload')
    said = open_relay()
    check(re.search(r'Server is an open relay \(\d+/16 tests\)', said), f'for its own network it is one: {said[-800:]}')


if __name__ == '__main__':
    main(setup)
