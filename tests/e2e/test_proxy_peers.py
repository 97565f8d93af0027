#!/usr/bin/python3
# limit: 120
"""HAProxy, nginx and swaks in front of the three ports of mail: 25 and 587 with STARTTLS, 465 with TLS behind the header; seen by
OpenSSL, GnuTLS and Python. The certificate is ours, the client is the one who stands before the proxy."""
import ssl
import subprocess
import threading
import time

from gateway import Counted, Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, find_program, main, run, wait_until
from mail import Client, plain, split_received
from proxies import CLIENT, haproxy, nginx, reachable, v1, v2
from sinks import Scripted
from test_tls import HOST, OTHER, Secure, block, context, make_certificate

BEFORE = '198.51.100.9'  # an address of this host, where clients before the proxies are
PORTS = {25: 'mx', 465: 'submissions', 587: 'submission'}
OPTIONS = {'v1': 'send-proxy', 'v2': 'send-proxy-v2', 'tlvs': 'send-proxy-v2 proxy-v2-options crc32c,unique-id,authority,ssl'}
# A proxy's port: in front of which, by which header.
HAPROXY = {8000 + 100 * i + j: (port, how) for i, port in enumerate(PORTS) for j, how in enumerate(OPTIONS)}
NGINX = {8400 + i: port for i, port in enumerate(PORTS)}
gw = far = None
silent = []  # connections that say nothing at all, to each port


def setup(lab):
    global gw, far
    run('ip', 'addr', 'add', f'{BEFORE}/32', 'dev', 'lo')
    far = Scripted(lab)
    listeners = {f'listener_p{port}': {'kind': kind, 'port': 'net0', 'tcp_port': port, 'proxy': 'required',
                                       'proxy_from': [f'{HOST_IP}/32'], 'proxy_timeout': '3s',
                                       'auth_required': 'no' if kind != 'mx' else None,
                                       'repair': 'no' if kind != 'mx' else None}  # users are no matter of this test
                 for port, kind in PORTS.items()}
    gw = Gateway(lab, certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
                 certificate_other=block(make_certificate(lab, 'other', 'RSA', OTHER)))
    gw.change(listener_mx=None, **listeners)
    gw.start()
    with Counted(gw, 'proxy/local', 3, seconds=20):  # its health checks
        haproxy(lab, 'haproxy', [(f'{BEFORE}:{at}', f'{GATEWAY_IP}:{port} source {HOST_IP} {OPTIONS[how]} check inter 500ms '
                                  'check-send-proxy') for at, (port, how) in HAPROXY.items()])
    nginx(lab, 'nginx', [(f'{BEFORE}:{at}', f'proxy_bind {HOST_IP}; proxy_pass {GATEWAY_IP}:{port}; proxy_protocol on;')
                         for at, port in NGINX.items()])
    for at in (*HAPROXY, *NGINX):
        reachable(at, BEFORE)
    silent.extend(Client(port=port, greet=False, source=(HOST_IP, 0)) for port in PORTS)


def start_of(port):
    return 'tls' if port == 465 else 'starttls'


def carries(at, port, number):
    """A message of a client before the proxy at this port."""
    before = len(far.messages)
    with Secure(port=at, host=BEFORE, start=start_of(port), source=(BEFORE, 0)) as c:
        client = c.socket.getsockname()
        c.hello()
        check_equal(c.deliver('a@client.example', ['b@example.org'], plain(number)).code, 250, f'message by {at} to {port}')
    far.wait(before + 1)
    match, content = split_received(far.messages[-1].content)
    check_equal((match.group('client'), match.group('with')), (BEFORE.encode(), b'ESMTPS'), f'Received by {at}')
    check_equal(content, plain(number), 'content')
    return client


def test_haproxy(lab):
    for number, (at, (port, _)) in enumerate(HAPROXY.items()):
        client = carries(at, port, number)
        wait_until(lambda: f'client={client[0]}:{client[1]} lane=0 proxy={HOST_IP}:' in gw.log(), 5, 'both addresses in the log')


def test_nginx(lab):
    for number, (at, port) in enumerate(NGINX.items()):
        carries(at, port, number)


def test_clear_text(lab):
    """Where TLS is not required: also through both."""
    for at in [at for at, (port, _) in HAPROXY.items() if port == 25] + [at for at, port in NGINX.items() if port == 25]:
        before = len(far.messages)
        with Client(BEFORE, at, source=(BEFORE, 0)) as c:
            check_equal(c.deliver('a@client.example', ['b@example.org'], plain(1)).code, 250, 'message')
        far.wait(before + 1)
        check_equal(split_received(far.messages[-1].content)[0].group('client'), BEFORE.encode(), 'the client')


def openssl(*args):
    done = subprocess.run(['openssl', 's_client', '-crlf', '-ign_eof', *args], input=b'QUIT\n', stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=30)
    return done.stdout.decode(errors='replace')


def test_openssl(lab):
    """The certificate is seen behind each kind of header, on each port, by name."""
    for at, port in [(at, port) for at, (port, _) in HAPROXY.items()] + list(NGINX.items()):
        name = OTHER if at % 2 else HOST
        said = openssl('-connect', f'{BEFORE}:{at}', '-servername', name, *(() if port == 465 else ('-starttls', 'smtp')))
        check(f'subject=CN = {name}' in said and '221 ' in said, f'openssl by {at} to {port}: {said[-500:]}')


def test_gnutls(lab):
    program = find_program('gnutls-cli', 'package gnutls-bin')
    for at, (port, how) in HAPROXY.items():
        if how == 'tlvs':
            continue
        child = lab.spawn(program, '--insecure', *(() if port == 465 else ('--starttls-proto=smtp',)), '--port', str(at), BEFORE,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        child.stdin.write(b'EHLO c.example\r\nQUIT\r\n')
        child.stdin.flush()  # and not closed: it would end with it
        timer = threading.Timer(30, child.kill)
        timer.start()
        said = child.stdout.read().decode(errors='replace')
        timer.cancel()
        check('Handshake was completed' in said and '221 ' in said, f'gnutls by {at} to {port}: {said[-500:]}')


def test_swaks(lab):
    swaks = find_program('swaks')
    address = ('--proxy-source', CLIENT, '--proxy-source-port', '4711', '--proxy-dest', '203.0.113.1', '--proxy-dest-port', '25')
    for port in PORTS:
        for header in (('--proxy-version', '1', '--proxy-family', 'TCP4'),
                       ('--proxy-version', '2', '--proxy-family', 'AF_INET', '--proxy-protocol', 'STREAM')):
            for tls in ('--tls-on-connect',) if port == 465 else ('--tls',) if port == 587 else ('--tls', '--no-hints'):
                before = len(far.messages)
                run(swaks, '--server', GATEWAY_IP, '--port', str(port), '--local-interface', HOST_IP, '--from', 'a@client.example',
                    '--to', 'b@example.org', tls, *header, *address)
                far.wait(before + 1)
                match, _ = split_received(far.messages[-1].content)
                check_equal((match.group('client'), match.group('with')),
                            (CLIENT.encode(), b'ESMTP' if tls == '--no-hints' else b'ESMTPS'), f'Received on {port}')


def handshakes(pieces_of, header):
    """A TLS client in memory on 465: header and ClientHello in the pieces that pieces_of makes of them, up to the banner."""
    with Client(port=465, greet=False, source=(HOST_IP, 0)) as c:
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context().wrap_bio(inward, outward, server_hostname=HOST)

        def step(call):
            while True:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    if data := outward.read():
                        c.send(data)
                    inward.write(c.socket.recv(65536))
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        for piece in pieces_of(header + outward.read()):
            c.send(piece)
            time.sleep(0.0005)
        step(tls.do_handshake)
        check(step(lambda: tls.read(1000)).startswith(b'220 '), 'banner')


def test_header_and_hello(lab):
    """In one segment; cut at every byte of the header and of what follows it at once; each byte alone."""
    for header in (v1(), v2(tlvs=b'\x02\0\x0bexample.org\x05\0\x03abc')):
        handshakes(lambda data: [data], header)
        for at in range(1, len(header) + 12):
            handshakes(lambda data: [data[:at], data[at:]], header)
        handshakes(lambda data: [data[i:i + 1] for i in range(len(data))], header)


def said_nothing(c):
    try:
        return c.socket.recv(100) == b''
    except ConnectionError:
        return True


def test_nothing_before_the_header(lab):
    for port in PORTS:
        for data in (b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', b'EHLO client.example\r\n'):
            with Counted(gw, 'proxy/refused_signature'), Client(port=port, greet=False, source=(HOST_IP, 0)) as c:
                c.send(data)
                check(said_nothing(c), f'{port} answers {data!r}')
    for c in silent:
        check(said_nothing(c), 'a banner before the header')
        c.close()
    check(gw.counter('proxy/refused_timeout') >= len(silent), 'silent ones are counted')
    check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
