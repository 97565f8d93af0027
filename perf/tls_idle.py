"""Memory of idle TLS connections in the gateway itself, for perf/run tls: connections to a listener with TLS from the first
byte, each greeted; how much the process has grown for each, all layers together. Some stand before it begins, so that
what is made once (tables, OpenSSL's caches) is not counted."""
import concurrent.futures
import os
import socket
import ssl

CONNECTIONS, FIRST, CLIENTS, PORT = 2600, 600, 16, 465


def resident_bytes(pid):
    with open(f'/proc/{pid}/smaps_rollup') as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith('Anonymous:'))


def main_pid(gw):
    """Of its processes the one with the lanes: most threads."""
    pids = [gw.process.pid]
    for pid in pids:
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children') as f:
                pids += [int(child) for child in f.read().split()]
    return max(pids, key=lambda pid: len(os.listdir(f'/proc/{pid}/task')))


def measure(lab, add):
    from gateway import Gateway
    from harness import GATEWAY_IP, check, run
    os.makedirs(os.path.dirname(lab.path('gw/x')), exist_ok=True)
    chain, key = lab.path('gw/mx.pem'), lab.path('gw/mx.key')
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=mx.example',
        '-days', '9', '-keyout', key, '-out', chain)
    gw = Gateway(lab, gateway={'memory': '512M'}, tcp={'connections': CONNECTIONS + 512, 'packet_buffers': 16384},
                 listener_submissions={'kind': 'submissions', 'port': 'net0', 'tcp_port': PORT},
                 smtp={'command_timeout': '10m'}, certificate_ec={'chain': chain, 'key': key}).start()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    held, pid = [], main_pid(gw)

    def one(_):
        s = context.wrap_socket(socket.create_connection((GATEWAY_IP, PORT), timeout=20))
        check(s.recv(1000).startswith(b'220 '), 'a greeting')
        return s

    def more(cnt):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
            held.extend(clients.map(one, range(cnt)))
        return resident_bytes(pid)
    before = more(FIRST)
    after = more(CONNECTIONS - FIRST)
    check(gw.counter('tls/connections') >= CONNECTIONS, 'all are open')
    add('gateway_idle_bytes_per_connection', (after - before) / (CONNECTIONS - FIRST), 'bytes')
    add('gateway_idle_connections', len(held), 'connections')
    for s in held:
        s.close()
    gw.stop()
