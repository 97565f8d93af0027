#!/usr/bin/python3
# limit: 180
"""TLS on listeners: STARTTLS and from the first byte, by OpenSSL, GnuTLS and Python, behind a PROXY header too; certificates
by name and kind, reloaded under load; and what must never happen: a byte of clear text that is read after it."""
import os
import re
import smtplib
import socket
import ssl
import subprocess
import threading
import time

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, Failed, check, check_equal, die_with_parent, find_program, main, run, wait_until
from mail import Client, plain, split_received
from sinks import Scripted

HOST, OTHER = 'mx.gateway.example', 'other.example'
MX, SUBMISSION, SUBMISSIONS, NONE, STRICT = 25, 587, 465, 2525, 2526
PROXIED, PROXIED_TLS = 26, 466
gw = far = None


def make_certificate(lab, name, kind, host, days=90):
    """A self-signed one; its chain and key."""
    new = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] if kind == 'EC' else ['-newkey', 'rsa:2048']
    chain, key = lab.path(f'gw/{name}.pem'), lab.path(f'gw/{name}.key')
    os.makedirs(os.path.dirname(chain), exist_ok=True)
    run('openssl', 'req', '-x509', *new, '-nodes', '-subj', f'/CN={host}', '-addext', f'subjectAltName=DNS:{host}', '-days',
        str(days), '-keyout', key + '.new', '-out', chain + '.new')
    os.rename(chain + '.new', chain)
    os.rename(key + '.new', key)
    return chain, key


def block(pair):
    return {'chain': pair[0], 'key': pair[1]}


def setup(lab):
    global gw, far
    far = Scripted(lab)

    def listener(port, **more):
        whole = {'repair': 'no'} if more.get('kind', 'mx') != 'mx' else {}  # messages arrive as they were
        return {'kind': 'mx', 'port': 'net0', 'tcp_port': port, **whole, **more}
    proxy = {'proxy': 'required', 'proxy_from': [f'{HOST_IP}/32']}
    gw = Gateway(lab, listener_submission=listener(SUBMISSION, kind='submission'),
                 listener_submissions=listener(SUBMISSIONS, kind='submissions'),
                 listener_none=listener(NONE, tls='none'),
                 listener_strict=listener(STRICT, tls_min='1.3', tls_tickets=1),
                 listener_proxied=listener(PROXIED, **proxy),
                 listener_proxied_tls=listener(PROXIED_TLS, kind='submissions', **proxy),
                 certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
                 certificate_rsa=block(make_certificate(lab, 'rsa', 'RSA', HOST)),
                 certificate_other=block(make_certificate(lab, 'other', 'RSA', OTHER)),
                 tls={'handshake_timeout': '3s'}).start()


def context(maximum=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if maximum is not None:
        c.maximum_version = maximum
    return c


class Secure(Client):
    """A client whose bytes go through Python's TLS, from the start or after STARTTLS."""

    def __init__(self, port=MX, start='starttls', name=HOST, header=b'', ctx=None, **kw):
        super().__init__(port=port, greet=False, **kw)
        self.clear = self.socket
        if header:
            self.send(header)
        if start == 'starttls':
            self.expect(self.reply(), 220)
            offer = self.expect(self.command('EHLO client.example'), 250)
            check('STARTTLS' in offer.lines[1:][0] or any(line[4:] == 'STARTTLS' for line in offer.lines), f'no offer: {offer}')
            self.expect(self.command('STARTTLS'), 220)
        check_equal(self.buffer, b'', 'bytes behind the 220')
        self.socket = (ctx or context()).wrap_socket(self.clear, server_hostname=name, suppress_ragged_eofs=False)
        if start != 'starttls':
            self.expect(self.reply(), 220)

    def hello(self):
        return self.expect(self.command('EHLO client.example'), 250)


def s_client(*args, text='QUIT\n', port=MX, target=None):
    target = target or f'{GATEWAY_IP}:{port}'
    done = subprocess.run(['openssl', 's_client', '-connect', target, '-crlf', '-ign_eof', *args], input=text.encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=30, preexec_fn=die_with_parent)
    return done.stdout.decode(errors='replace')


def last_message(count):
    far.wait(count)
    return far.messages[-1]


def test_starttls_by_openssl(lab):
    with Counted(gw, 'tls/accepted'):
        said = s_client('-starttls', 'smtp', '-servername', HOST, text='EHLO c.example\nQUIT\n')
    check('TLSv1.3' in said and '250 ENHANCEDSTATUSCODES' in said and '221 ' in said, f'said {said[-600:]}')
    said = s_client('-starttls', 'smtp', '-tls1_2', text='EHLO c.example\nQUIT\n')
    check('TLSv1.2' in said and '221 ' in said, f'said {said[-600:]}')
    wait_until(lambda: re.search(r'tls client=\S+ version=TLSv1\.3 cipher=TLS_\S+ bits=\d+ group=\S+ key=EC resumed=no '
                                 rf'sni={re.escape(HOST)}', gw.log()), 10, 'the handshake in the log')


def test_implicit_by_openssl(lab):
    said = s_client(port=SUBMISSIONS, text='EHLO c.example\nQUIT\n')
    check(f'220 {HOST} ESMTP' in said and '221 ' in said, f'said {said[-600:]}')
    check('STARTTLS' not in said, 'STARTTLS offered inside TLS')


def test_certificates_by_name_and_kind(lab):
    for name, arguments, subject, kind in (
            (HOST, (), HOST, 'ecdsa'), (OTHER, (), OTHER, 'RSA'), ('who.knows', (), HOST, 'ecdsa'),
            (HOST, ('-sigalgs', 'rsa_pss_rsae_sha256'), HOST, 'RSA')):
        said = s_client('-servername', name, *arguments, port=SUBMISSIONS)
        check(f'subject=CN = {subject}' in said, f'{name}: no {subject} in {said[:400]}')
        check(re.search(rf'Peer signature type: .*{kind}', said, re.I), f'{name}: {kind}: {said[:1200]}')


def test_a_message_and_its_received_field(lab):
    for version, maximum in (('TLSv1.3', None), ('TLSv1.2', ssl.TLSVersion.TLSv1_2)):
        before = len(far.messages)
        with Secure(ctx=context(maximum)) as c:
            check('STARTTLS' not in c.hello().text, 'STARTTLS offered inside TLS')
            check_equal(c.deliver('a@client.example', ['b@example.org'], plain(1)).code, 250, 'message')
            check_equal(c.command('QUIT').code, 221, 'QUIT')
            check_equal(c.socket.recv(10), b'', 'close_notify behind the 221')
        match, rest = split_received(last_message(before + 1).content)
        check_equal(match.group('with'), b'ESMTPS', 'protocol')
        check(f'(using {version} with cipher '.encode() in match.group(0), f'TLS in {match.group(0)!r}')
        check_equal(rest, plain(1), 'content')


def test_nothing_said_before_is_remembered(lab):
    with Secure() as c:
        check_equal(c.command('MAIL FROM:<a@client.example>').code, 503, 'MAIL without a new EHLO')
        c.hello()
        check_equal(c.command('STARTTLS').code, 503, 'STARTTLS inside TLS')


def test_smuggling_over_records(lab):
    """No end of data but CRLF.CRLF, wherever records are cut."""
    second = b'MAIL FROM:<evil@client.example>\r\nRCPT TO:<bad@example.org>\r\nDATA\r\nSubject: y\r\n\r\nx\r\n.\r\n'
    known = len(far.messages)
    for end in (b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r\n.\r', b'\r\n\0.\r\n', b'\r\r\n.\r\r\n'):
        data = b'Subject: x\r\n\r\nbody' + end + second
        start = data.index(b'body') + 4
        with Secure(SUBMISSIONS, 'implicit') as c:
            c.hello()
            for cut in range(start, start + len(end) + 1):
                check_equal(c.envelope('bad@client.example', ['bad@example.org'])[-1].code, 354, 'DATA')
                c.send(data[:cut])
                c.send(data[cut:])
                check_equal(c.reply().code, 550, f'{end!r}, cut at {cut - start}')
                check_equal(c.command('RSET').code, 250, 'one reply for one message')
    check_equal(len(far.messages), known, 'messages at the next hop')


def test_chunks_over_records(lab):
    """BDAT, a record ends anywhere."""
    known = len(far.messages)
    with Secure(SUBMISSIONS, 'implicit') as c:
        c.hello()
        body = b'Subject: x\r\n\r\n.\r\n..\r\nQUIT\r\n'
        text = b'MAIL FROM:<s@client.example>\r\nRCPT TO:<r@example.org>\r\nBDAT %d LAST\r\n%s' % (len(body), body)
        for step in (1, 7, 50, 1000):
            for at in range(0, len(text), step):
                c.send(text[at:at + step])
            check_equal([c.reply().code for _ in range(3)], [250, 250, 250], 'replies')
    wait_until(lambda: len(far.messages) == known + 4, 20, 'messages at the next hop')
    for m in far.messages[known:]:
        check_equal(split_received(m.content)[1], body, 'the message')


def test_levels(lab):
    with Client(port=NONE) as c:
        check_equal(c.command('STARTTLS').code, 502, 'none')
        check('STARTTLS' not in c.command('EHLO client.example').text, 'offered')
    with Client(port=SUBMISSION) as c, Counted(gw, 'smtp/refused_clear', 3):
        codes = [c.command(t).code for t in ('MAIL FROM:<a@b.example>', 'RSET', 'VRFY x', 'NOOP', 'QUIT')]
        check_equal(codes, [530, 530, 530, 250, 221], 'in clear where TLS is required')
    with Secure(port=SUBMISSION) as c:
        c.hello()
        check_equal(c.deliver('a@client.example', ['b@example.org'], plain(2)).code, 250, 'message')
    with Client() as c:
        check_equal(c.deliver('a@client.example', ['b@example.org'], plain(3)).code, 250, 'message in clear')
    with Client(port=STRICT) as c, Counted(gw, 'tls/failed_version'):
        c.expect(c.command('STARTTLS'), 220)
        try:
            context(ssl.TLSVersion.TLSv1_2).wrap_socket(c.socket)
            raise Failed('TLS 1.2 where 1.3 is the oldest')
        except (ssl.SSLError, OSError):
            pass


def test_bytes_behind_starttls(lab):
    for behind in (b'NOOP\r\n', b'EHLO x\r\nMAIL FROM:<a@b.example>\r\n', b'\x16\x03\x01\x02\x00', b'\n'):
        with Client() as c, Counted(gw, 'conn/starttls_injected'):
            c.send(b'STARTTLS\r\n' + behind)
            check_equal(c.reply().code, 554, f'{behind!r} behind STARTTLS')
            check(c.closed(), 'closed')
    with Client() as c, Counted(gw, 'tls/failed_not_tls'):  # one that comes later is no command either
        c.expect(c.command('STARTTLS'), 220)
        c.send(b'NOOP\r\nEHLO x\r\n')
        said = b''
        try:
            while more := c.socket.recv(1000):
                said += more
        except ConnectionError:
            pass
        check(b'250' not in said, f'clear text was answered: {said!r}')


def test_one_byte_a_segment(lab):
    """Both ends of Python's TLS in memory, so that each byte goes out alone."""
    for port, start in ((MX, b'EHLO c\r\nSTARTTLS\r\n'), (SUBMISSIONS, b'')):
        with Client(port=port, greet=False) as c:
            if start:
                c.expect(c.reply(), 220)
                c.expect(c.command('EHLO c'), 250)
                c.expect(c.command('STARTTLS'), 220)
            inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context().wrap_bio(inward, outward, server_hostname=HOST)

            def step(call):
                while True:
                    try:
                        result = call()
                        done = True
                    except ssl.SSLWantReadError:
                        done = False
                    for byte in outward.read():
                        c.send(bytes([byte]))
                    if done:
                        return result
                    inward.write(c.socket.recv(65536))
            step(tls.do_handshake)
            said = b'' if start else step(lambda: tls.read(1000))
            check(start or said.startswith(b'220 '), f'said {said}')
            step(lambda: tls.write(b'EHLO c.example\r\n'))
            check(step(lambda: tls.read(1000)).startswith(b'250-'), 'EHLO inside')


ENDS = {'close_notify': 'tls/close_notifies', 'FIN': 'tls/failed_truncated', 'clear bytes': 'tls/failed_not_tls'}


def end_tls(c, end, rest):
    """Ends TLS in one of these ways; what would complete that in the middle of which it ends follows in clear. No more
    than an alert comes back."""
    clear = socket.socket(fileno=os.dup(c.socket.fileno()))
    said = b''
    try:
        if end == 'close_notify':
            c.socket.settimeout(2)
            try:
                c.socket.unwrap()
            except (ssl.SSLError, OSError):
                pass
        if end == 'FIN':
            clear.shutdown(socket.SHUT_WR)
        else:
            clear.sendall(rest)
        clear.settimeout(10)
        while more := clear.recv(1000):
            said += more
    except ConnectionError:
        pass
    finally:
        clear.close()
        c.close()
    alert = b'\x17\x03\x03\0\x13'  # and 19 bytes more: no reply is as short
    check(len(said) % 24 == 0 and all(said[at:at + 5] == alert for at in range(0, len(said), 24)), f'after {end}: {said!r}')


def test_end_in_the_middle_of_a_message(lab):
    accepted = gw.counter('conn/messages')
    half = b'Subject: cut\r\n\r\nhalf'
    for begin, codes, more, rest in (
            (b'DATA\r\n', [354], half, b'\r\n.\r\nQUIT\r\n'),
            (b'BDAT 30 LAST\r\n', [], half, b' and whole\r\nQUIT\r\n'),
            (b'BDAT 20\r\n' + half, [250], b'', b'BDAT 0 LAST\r\nQUIT\r\n'),
            (b'BDAT 20\r\n' + half, [250], b'BDAT 0 LA', b'ST\r\nQUIT\r\n')):
        for end, counter in ENDS.items():
            with Counted(gw, counter), Secure() as c:
                c.hello()
                for text in (b'MAIL FROM:<a@client.example>\r\n', b'RCPT TO:<cut@example.org>\r\n'):
                    c.send(text)
                    check_equal(c.reply().code, 250, text)
                c.send(begin)
                check_equal([c.reply().code for _ in codes], codes, begin)
                c.send(more)
                end_tls(c, end, rest)
    wait_until(lambda: gw.counter('conn/inbound') == 0, 10, 'all ended')
    check_equal(gw.counter('conn/messages'), accepted, 'messages')
    check(not far.to('cut@example.org'), 'half a message was delivered')


def test_behind_a_proxy(lab):
    """The header and the ClientHello in one segment, STARTTLS, and openssl through a relay that says the header first."""
    v1 = b'PROXY TCP4 198.51.100.7 203.0.113.1 4711 25\r\n'
    v2 = b'\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c' + bytes([198, 51, 100, 7, 203, 0, 113, 1, 0x12, 0x67, 0, 25])
    for header in (v1, v2):
        with Client(port=PROXIED_TLS, greet=False, source=(HOST_IP, 0)) as c:
            inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = context().wrap_bio(inward, outward, server_hostname=HOST)
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            c.send(header + outward.read())
            while True:
                inward.write(c.socket.recv(65536))
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    pass
            c.send(outward.read())
        with Secure(port=PROXIED, header=header, source=(HOST_IP, 0)) as c:
            c.hello()
            before = len(far.messages)
            check_equal(c.deliver('a@client.example', ['b@example.org'], plain(4)).code, 250, 'message')
            match, _ = split_received(last_message(before + 1).content)
            check_equal((match.group('client'), match.group('with')), (b'198.51.100.7', b'ESMTPS'), 'Received')
        relay = Relay(header, PROXIED_TLS)
        said = s_client('-servername', OTHER, target=f'127.0.0.1:{relay.port}')
        check(f'subject=CN = {OTHER}' in said and f'220 {HOST}' in said, f'openssl behind the proxy: {said[-500:]}')


class Relay:
    """One connection, passed on to a port of the gateway behind a header."""

    def __init__(self, header, port):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.work, args=(header, port), daemon=True).start()

    def work(self, header, port):
        near, _ = self.listener.accept()
        out = socket.create_connection((GATEWAY_IP, port), source_address=(HOST_IP, 0))
        out.sendall(header)

        def pump(a, b):
            try:
                while data := a.recv(65536):
                    b.sendall(data)
                b.shutdown(socket.SHUT_WR)
            except OSError:
                pass
        back = threading.Thread(target=pump, args=(out, near), daemon=True)
        back.start()
        pump(near, out)
        back.join(10)
        near.close()
        out.close()


def test_swaks(lab):
    swaks = find_program('swaks')
    for arguments in (('--port', str(MX), '--tls'), ('--port', str(SUBMISSIONS), '--tls-on-connect'),
                      ('--port', str(PROXIED), '--tls', '--proxy-version', '1', '--proxy-family', 'TCP4', '--proxy-source',
                       '198.51.100.7', '--proxy-source-port', '4711', '--proxy-dest', GATEWAY_IP, '--proxy-dest-port', '25'),
                      ('--port', str(PROXIED), '--tls', '--proxy-version', '2', '--proxy-command', 'PROXY', '--proxy-family',
                       'AF_INET', '--proxy-protocol', 'STREAM', '--proxy-source', '198.51.100.7', '--proxy-source-port', '4711',
                       '--proxy-dest', GATEWAY_IP, '--proxy-dest-port', '25')):
        before = len(far.messages)
        said = run(swaks, '--server', GATEWAY_IP, '--local-interface', HOST_IP, '--to', 'b@example.org', '--from',
                   'a@client.example', *arguments)
        check('queued as' in said, f'swaks {arguments}: {said[-400:]}')
        check(b'with ESMTPS id' in last_message(before + 1).content, 'ESMTPS')


def test_gnutls(lab):
    program = find_program('gnutls-cli', 'package gnutls-bin')
    for priority in ('NORMAL', 'NORMAL:-VERS-TLS1.3', 'NORMAL:-GROUP-ALL:+GROUP-SECP384R1'):
        child = lab.spawn(program, '--insecure', '--starttls-proto=smtp', '--port', str(MX), '--priority', priority,
                          GATEWAY_IP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        child.stdin.write(b'EHLO c.example\r\nQUIT\r\n')
        child.stdin.flush()  # and not closed: it would end with it
        timer = threading.Timer(30, child.kill)
        timer.start()
        said = child.stdout.read().decode(errors='replace')
        timer.cancel()
        check('Handshake was completed' in said and '221 ' in said, f'{priority}: {said[-500:]}')


def test_no_renegotiation_no_early_data_one_ticket(lab):
    session = lab.path('session')
    said = s_client('-starttls', 'smtp', '-sess_out', session, '-tls1_3', text='EHLO x\nQUIT\n', port=STRICT)
    check_equal(re.findall(r'Max Early Data: (\d+)', said), ['0'], f'one ticket, no early data: {said[-900:]}')
    with Counted(gw, 'tls/resumed'):
        said = s_client('-starttls', 'smtp', '-sess_in', session, text='EHLO x\nQUIT\n', port=STRICT)
    check('Reused, TLSv1.3' in said, f'not resumed: {said[-500:]}')
    s_client('-starttls', 'smtp', '-sess_out', lab.path('none'), '-tls1_3', text='EHLO x\nQUIT\n', port=MX)
    check(not os.path.exists(lab.path('none')), 'a ticket where none is given')


def test_silent_clients(lab):
    """The handshake has a deadline of its own; a stranger's protocol ends it at once."""
    with Counted(gw, 'conn/tls_timeouts', 2):
        silent = [Client(port=SUBMISSIONS, greet=False) for _ in range(2)]
        silent[1].send(b'\x16\x03\x01\x01\x00\x01')
        for c in silent:
            check(c.closed(), 'closed')
            c.close()
    with Counted(gw, 'tls/failed_not_tls'), Client(port=SUBMISSIONS, greet=False) as c:
        c.send(b'EHLO client.example\r\n')
        check(c.closed(), 'closed')
    with Counted(gw, 'tls/failed_alpn'):
        foreign = context()
        foreign.set_alpn_protocols(['h2', 'http/1.1'])
        try:
            Secure(port=SUBMISSIONS, start='tls', ctx=foreign)
            raise Failed('a browser is let in')
        except OSError:
            pass
    check(gw.alive(), 'the gateway runs')


def test_two_hundred_messages_in_parallel(lab):
    errors, before = [], len(far.messages)

    def work(first):
        try:
            with smtplib.SMTP(GATEWAY_IP, MX, 'client.example', timeout=60) as s:
                s.starttls(context=context())
                for n in range(first, first + 20):
                    s.sendmail('a@client.example', [f'p{n}@example.org'], plain(n, 20000))
        except Exception as why:
            errors.append(why)
    threads = [threading.Thread(target=work, args=(i * 20,)) for i in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    check_equal(errors, [], 'errors')
    far.wait(before + 200)
    contents = {m.recipients[0]: m.content for m in far.messages[before:]}
    for n in range(200):
        _, content = split_received(contents[f'p{n}@example.org'])
        check_equal(content, plain(n, 20000), f'content {n}')


def serial(port=SUBMISSIONS):
    der = context().wrap_socket(socket.create_connection((GATEWAY_IP, port), timeout=30), server_hostname=HOST)
    try:
        return der.getpeercert(True)
    finally:
        der.close()


def test_reload_under_load(lab):
    errors, count, stop = [], [0], threading.Event()

    def work():
        try:
            while not stop.is_set():
                with Secure() as c:
                    c.hello()
                    for _ in range(5):
                        check_equal(c.deliver('a@client.example', ['b@example.org'], plain(7)).code, 250, 'message')
                        count[0] += 1
                    check_equal(c.command('QUIT').code, 221, 'QUIT')
        except Exception as why:
            errors.append(why)
    old = Secure()
    old.hello()
    first = serial()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    seen = {first}
    for _ in range(5):
        make_certificate(lab, 'ec', 'EC', HOST)
        gw.ctl('reload')
        wait_until(lambda: serial() not in seen, 10, 'the new certificate')
        seen.add(serial())
        mark = count[0]
        wait_until(lambda: count[0] > mark + 5 or errors, 30, 'load goes on')
    stop.set()
    for t in threads:
        t.join(60)
    check_equal(errors, [], 'errors of clients')
    check_equal(old.deliver('a@client.example', ['b@example.org'], plain(8)).code, 250, 'a connection of the first certificate')
    old.close()


def test_broken_pair(lab):
    before = serial()
    path = lab.path('gw/ec.key')
    good = open(path).read()
    for text, why in (('rubbish', 'key'), (open(lab.path('gw/other.key')).read(), 'does not belong')):
        with open(path, 'w') as f:
            f.write(text)
        said = gw.ctl('reload', ok=None)
        check('error' in said and 'ec' in said and why in said, f'reload said {said}')
        check_equal(serial(), before, 'the certificate in use')
    os.remove(path)
    said = gw.ctl('reload', ok=None)
    check('ec.key' in said and 'error' in said, f'reload said {said}')
    with open(path, 'w') as f:
        f.write(good)
    os.chmod(path, 0o644)
    said = gw.ctl('reload', ok=None)
    check('ec.key' in said and 'mode 640' in said, f'reload said {said}')
    os.chmod(path, 0o600)
    gw.ctl('reload')
    check_equal(serial(), before, 'the certificate in use')
    wait_until(lambda: 'refused: ' in gw.log(), 10, 'the reason in the log')


def test_expiry(lab):
    check(gw.counter('tls/expiry_days') in (89, 90), 'days')
    make_certificate(lab, 'other', 'RSA', OTHER, days=5)
    gw.ctl('reload')
    wait_until(lambda: re.search(r'certificate other: it expires in [45] days', gw.log()), 10, 'a warning')
    check(gw.counter('tls/expiry_days') in (4, 5), 'days')
    check(re.search(r'^certificate other key=RSA 2048 days=[45]', gw.ctl('status'), re.M), 'status')
    make_certificate(lab, 'other', 'RSA', OTHER)
    gw.ctl('reload')


def test_without_a_certificate(lab):
    check_equal(gw.stop(), 0, 'exit status')
    for name in ('certificate_ec', 'certificate_rsa', 'certificate_other', 'listener_submission', 'listener_submissions',
                 'listener_strict', 'listener_proxied_tls', 'listener_proxied'):
        gw.change(**{name: None})
    gw.start()
    wait_until(lambda: 'TLS is not offered' in gw.log(), 10, 'said once')
    check_equal(gw.counter('tls/connections'), 0, 'connections')
    with Client() as c:
        check_equal(c.command('STARTTLS').code, 502, 'STARTTLS')
        check_equal(c.deliver('a@client.example', ['b@example.org'], plain(9)).code, 250, 'message in clear')
    check('no certificate is for' not in gw.log(), 'a warning too early')
    for name in ('other', 'ec'):
        gw.change(**{f'certificate_{name}': {'chain': lab.path(f'gw/{name}.pem'), 'key': lab.path(f'gw/{name}.key')}})
        gw.ctl('reload')
        time.sleep(0.1)
        with Secure() as c:
            c.hello()
        wait_until(lambda: f'no certificate is for {HOST}, our gateway: hostname' in gw.log(), 10, 'said of the first one')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
