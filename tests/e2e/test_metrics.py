#!/usr/bin/python3
# limit: 120
"""sluicectl metrics: Prometheus' text and OpenMetrics, once and served; read by promtool and by a strict reader; its bounds; and that
the dashboard and the alerts of conf/ ask for nothing that is not there."""
import http.client
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
import time

import openmetrics
import sums
from gateway import SLUICECTL, Gateway
from harness import SOURCE, Failed, check, check_equal, die_with_parent, find_program, main, wait_until
from mail import Client, plain
from sinks import Scripted

MESSAGES, PORT = 5, 9464
PROMETHEUS = 'text/plain; version=0.0.4; charset=utf-8'
OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8'
# What Prometheus 2.42 sends.
ACCEPT = 'application/openmetrics-text;version=1.0.0;q=0.75,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=0.0.4;q=0.25,*/*;q=0.1'
gw = far = half = drip = kept = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    gw = Gateway(lab, gateway={'lanes': 2}).start()
    with Client() as c:
        for i in range(MESSAGES):
            check_equal(c.deliver('s@client.example', [f'm{i}@example.org'], plain(i)).code, 250, 'message')
    far.wait(MESSAGES)
    wait_until(lambda: gw.counter('courier/delivered') == MESSAGES, 30, 'deliveries counted')


def serve(lab, *more, listen=f'127.0.0.1:{PORT}'):
    """sluicectl metrics --listen, once it answers."""
    child = lab.spawn(SLUICECTL, '-s', gw.socket, 'metrics', '--listen', listen, *more, stderr=subprocess.PIPE)
    line = child.stderr.readline().decode()
    check('metrics at http' in line, f'it says {line!r}')
    return child


def get(path='/metrics', method='GET', accept=None, port=PORT):
    """Status, type and text of an answer."""
    c = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    c.request(method, path, headers={'Accept': accept} if accept else {})
    r = c.getresponse()
    body = r.read().decode()
    c.close()
    return r.status, r.getheader('Content-Type'), body


def promtool(*args, **kw):
    return subprocess.run([find_program('promtool'), *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60, preexec_fn=die_with_parent, check=False, **kw)


def value(found, name, **labels):
    metric = next((m for m in found.values() if name in [m.name + s for s in ('', '_total', '_bucket', '_sum', '_count')]), None)
    check(metric is not None, f'no metric {name}')
    return sum(v for (n, got), v in metric.samples.items() if n == name and labels.items() <= dict(got).items())


class Drip(threading.Thread):
    """Brings a byte of its request's head a second until the connection ends."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.socket = socket.create_connection(('127.0.0.1', port))
        self.sent = 0
        self.start()

    def run(self):
        try:
            self.socket.sendall(b'GET /metrics HTTP/1.1\r\nX: ')
            while not select.select([self.socket], [], [], 1)[0]:
                self.socket.sendall(b'y')
                self.sent += 1
        except OSError:
            pass


class Kept(threading.Thread):
    """Asks every few seconds over one connection, as Prometheus does, until stopped."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.client = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
        self.client.connect()
        self.begun, self.socket, self.error = time.monotonic(), self.client.sock, None
        self.over = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.wait(3):
                self.client.request('GET', '/metrics')
                r = self.client.getresponse()
                body = r.read()
                if r.status not in (200, 503) or not body or self.client.sock is not self.socket:
                    raise Failed(f'after {time.monotonic() - self.begun:.1f} s: {r.status}, {len(body)} bytes, {r.getheaders()}')
        except (OSError, http.client.HTTPException, Failed) as e:
            self.error = repr(e)


def test_lives_begin(lab):
    """Connections that lives_end looks at: half a request, one that never ends, one that is asked over again and again."""
    global half, drip, kept
    serve(lab, listen=f'127.0.0.1:{PORT + 2}')
    half = socket.create_connection(('127.0.0.1', PORT + 2))
    half.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n')
    drip, kept = Drip(PORT + 2), Kept(PORT + 2)
    check_equal(get(port=PORT + 2)[0], 200, 'beside them')


def test_promtool_has_no_complaint(lab):
    done = promtool('check', 'metrics', input=gw.ctl('metrics').encode())
    check_equal((done.returncode, done.stdout.decode()), (0, ''), 'promtool check metrics')


def test_strict_reader(lab):
    """Both forms say the same, and what has happened."""
    old = openmetrics.parse(gw.ctl('metrics'), openmetrics=False)
    new = openmetrics.parse(gw.ctl('metrics', '--openmetrics'), openmetrics=True)
    check_equal({m.name.removesuffix('_total') for m in old.values() if m.type == 'counter'},
                {m.name for m in new.values() if m.type == 'counter'}, 'counters of both forms')
    check_equal({m.name for m in old.values() if m.type != 'counter'},
                {m.name for m in new.values() if m.type != 'counter'}, 'gauges and histograms of both forms')
    for found in (old, new):
        check_equal(value(found, 'sluice_smtp_messages_total'), MESSAGES, 'messages')
        check_equal(value(found, 'sluice_smtp_commands_total', command='mail'), MESSAGES, 'MAIL')
        check_equal(value(found, 'sluice_courier_delivered_total'), MESSAGES, 'delivered')
        check_equal(value(found, 'sluice_delivery_tls_total', level='may', outcome='clear'), MESSAGES, 'deliveries in clear')
        check_equal(value(found, 'sluice_spool_committed_total', spool='main'), MESSAGES, 'committed')
        check_equal(value(found, 'sluice_listener_messages_total', listener='mx'), MESSAGES, 'messages of the listener')
        check_equal(value(found, 'sluice_listener_connections_total', listener='mx'), 1, 'connections of the listener')
        check(value(found, 'sluice_lane_tx_burst_packets_sum') == value(found, 'sluice_net_tx_packets_total') > 0, 'bursts that went out')
        check_equal(value(found, 'sluice_conn_store_seconds_count'), MESSAGES, 'times of acknowledged messages')
        check(0 < value(found, 'sluice_conn_store_seconds_sum') < 60 * MESSAGES, 'their sum, in seconds')
        check(value(found, 'sluice_spool_disk_free_bytes', spool='main') > 0, 'what the disk has free')
        check(value(found, 'sluice_lane_busy_seconds_total', lane='0') > 0, 'busy time of lane 0')
        check(value(found, 'sluice_lane_rx_burst_packets_sum') == value(found, 'sluice_net_rx_packets_total') > 0, 'bursts')
        check(value(found, 'sluice_memory_rx_buffers') >= value(found, 'sluice_memory_rx_buffers_free') > 0, 'buffers')
    check(new['sluice_net_rx_bytes'].unit == 'bytes' and new['sluice_conn_store_seconds'].unit == 'seconds', 'units')


def test_every_row_is_there(lab):
    """Each counter of the table, by JSON, and none is lost on the way to Prometheus."""
    rows = [json.loads(line) for line in gw.ctl('metrics', '--json').splitlines()]
    with open(os.path.join(SOURCE, 'lib/stats/stats_table.h')) as f:
        text = f.read()
    table = set(re.findall(r'^STATS(?:_HISTOGRAM)?\(\w+,\s*"(\w+)",\s*"(\w+)"', text, re.M))
    table |= {('listener', name) for name in re.findall(r'^STATS_LISTENER\(\w+,\s*"(\w+)"', text, re.M)}
    check_equal({(r['group'], r['name']) for r in rows} ^ table, set(), 'rows of the table and of the answer')
    found = openmetrics.parse(gw.ctl('metrics'), openmetrics=False)
    series = {(m.name, tuple((k, v) for k, v in labels if k not in ('lane', 'spool', 'listener', 'thread', 'le')))
              for m in found.values() for _, labels in m.samples if m.type != 'histogram'}
    check_equal(len(series) + sum(m.type == 'histogram' for m in found.values()), len(rows), 'series, apart from lanes and spools')


def test_sums_can_fail(lab):
    """Each row of sums.py is wrong as soon as one of its counters is."""
    counts = sums.Counts(gw.metrics())
    wait_until(lambda: not sums.wrong(sums.Counts(gw.metrics())), 20, 'all rows hold')
    noticed = set()
    for values in (counts.values, counts.counts, counts.sums):
        for key in values:
            values[key] += 1
            noticed.update(row.rsplit(': ', 1)[0] for row in sums.wrong(counts))
            values[key] -= 1
    check_equal({what for what, *_ in sums.SUMS} - noticed, set(), 'rows that no counter can make wrong')


def test_served(lab):
    """By Accept; what is not there, and what is not understood."""
    server = serve(lab)
    for accept, kind in ((None, PROMETHEUS), (ACCEPT, OPENMETRICS), ('text/plain', PROMETHEUS),
                         ('application/openmetrics-text;q=0', PROMETHEUS), ('application/openmetrics-text;q=0.0, */*', PROMETHEUS)):
        status, got, text = get(accept=accept)
        check_equal((status, got), (200, kind), f'Accept: {accept}')
        openmetrics.parse(text, openmetrics=kind == OPENMETRICS)
    check_equal(get(method='HEAD')[::2], (200, ''), 'HEAD')
    check_equal(get('/other')[0], 404, '/other')
    check_equal(get('/')[0], 200, '/')
    check_equal(get(method='POST')[0], 405, 'POST')
    server.send_signal(signal.SIGTERM)
    check_equal(server.wait(timeout=20), 0, 'ended by SIGTERM')


def test_gateway_comes_and_goes(lab):
    server = serve(lab)
    check_equal(get()[0], 200, 'while it runs')
    gw.stop()
    wait_until(lambda: get()[0] == 503, 20, '503')
    text = get()[2]
    check(gw.socket in text and 'is the gateway running?' in text, f'it says {text!r}')
    gw.start()
    wait_until(lambda: get()[0] == 200, 20, '200 again')
    gw.process.send_signal(signal.SIGSTOP)  # it takes the question, and does not answer
    try:
        wait_until(lambda: get()[0] == 503, 30, '503 of a gateway that hangs')
        check('does not answer' in get()[2], 'it says so')
    finally:
        gw.process.send_signal(signal.SIGCONT)
    wait_until(lambda: get()[0] == 200, 20, '200 again')
    check_equal(server.poll(), None, 'it goes on')


def test_slow_and_many(lab):
    """Who reads slowly, says nothing or comes in numbers holds up neither others nor the gateway; places are free again after."""
    server = serve(lab, listen=f'127.0.0.1:{PORT + 1}')
    slow = [socket.create_connection(('127.0.0.1', PORT + 1)) for _ in range(40)]
    for s in slow[:20]:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')  # and never reads
    for _ in range(20):
        check_equal(get(port=PORT + 1)[0], 200, 'beside slow ones')
    before = gw.cpu_seconds()
    more = [socket.create_connection(('127.0.0.1', PORT + 1)) for _ in range(150)]  # more than there are places
    for s in more + slow:
        s.close()
    wait_until(lambda: get(port=PORT + 1)[0] == 200, 30, 'places are free again')
    check(gw.alive() and gw.cpu_seconds() - before < 20, 'the gateway has no work with it')
    with socket.create_connection(('127.0.0.1', PORT + 1)) as s:  # a head without an end
        s.settimeout(30)
        try:
            s.sendall(b'GET /metrics HTTP/1.1\r\n' + b'X: ' + b'y' * 100000 + b'\r\n')
            check(s.recv(100)[:12] in (b'', b'HTTP/1.1 431', b'HTTP/1.1 413'), 'a head of 100 KB')
        except ConnectionError:
            pass
    check_equal(server.poll(), None, 'it goes on')


def test_addresses(lab):
    """This machine alone, unless the operator says otherwise."""
    for listen, words in (('0.0.0.0:9470', '--allow-remote'), ('[::]:9470', '--allow-remote'), ('9470', 'no address to listen at'),
                          ('127.0.0.1:0', 'no address'), ('127.0.0.1:99999', 'no address'), ('localhost:9470', 'no address')):
        text = gw.ctl('metrics', '--listen', listen, ok=(2,))
        check(words in text, f'{listen}: {text!r}')
    serve(lab, '--allow-remote', listen='0.0.0.0:9471')
    check_equal(get(port=9471)[0], 200, 'another address, as it was said')
    text = gw.ctl('metrics', '--listen', '127.0.0.1:9471', ok=(3,))
    check('cannot listen' in text, f'a port that is taken: {text!r}')


def names_in(expression):
    """Names of ours, without the suffixes of a histogram."""
    return set(re.findall(r'\bsluice_[a-z0-9_]+', expression))


def known_names():
    found = openmetrics.parse(gw.ctl('metrics'), openmetrics=False)
    known = set(found)
    for m in found.values():
        if m.type == 'histogram':
            known |= {m.name + s for s in ('_bucket', '_sum', '_count')}
    return known, found


def test_dashboard(lab):
    """Each panel asks for metrics that are there, by labels that they have."""
    with open(os.path.join(SOURCE, 'conf/grafana-dashboard.json')) as f:
        board = json.load(f)
    known, found = known_names()
    asked, expressions = set(), []

    def walk(panels):
        for p in panels:
            walk(p.get('panels', []))
            if p['type'] == 'row':
                continue
            check(p.get('title') and p.get('description'), f'panel {p.get("id")}: title and description')
            check(p.get('targets'), f'panel {p["title"]}: no targets')
            for t in p['targets']:
                expressions.append(t['expr'])
                asked.update(names_in(t['expr']))
    walk(board['panels'])
    check(len(expressions) > 20, f'only {len(expressions)} queries')
    check_equal(asked - known, set(), 'asked for, and not there')
    ids = [p['id'] for p in board['panels']]
    check_equal(len(ids), len(set(ids)), 'ids of panels')
    check_labels(expressions, found)
    rules = {'groups': [{'name': 'dashboard', 'rules': [
        {'record': f'x:y{i}', 'expr': e.replace('$__rate_interval', '5m').replace('$instance', '.*').replace('$job', '.*')}
        for i, e in enumerate(expressions)]}]}
    path = lab.path('dashboard.rules.json')  # JSON is YAML
    with open(path, 'w') as f:
        json.dump(rules, f)
    done = promtool('check', 'rules', path)
    check_equal(done.returncode, 0, f'expressions: {done.stdout.decode()}')


def check_labels(expressions, found):
    """The labels that expressions select by, and their values, occur."""
    for e in expressions:
        for name, selector in re.findall(r'(sluice_[a-z0-9_]+)\{([^}]*)\}', e):
            base = next((m for m in found.values() if m.name == name or name in (m.name + '_bucket', m.name + '_sum', m.name + '_count')), None)
            check(base is not None, f'{e}: no {name}')
            for label, op, want in re.findall(r'(\w+)(=~|!~|!=|=)"([^"]*)"', selector):
                if label in ('job', 'instance'):
                    continue
                values = {dict(labels).get(label) for _, labels in base.samples}
                check(values != {None}, f'{e}: {name} has no label {label}')
                for one in want.split('|') if '~' in op else [want]:
                    pattern = re.compile(one if '~' in op else re.escape(one))
                    check(any(v is not None and pattern.fullmatch(v) for v in values), f'{e}: no {label} like {one}')


def test_alerts(lab):
    """promtool finds them right; each names what there is, a cause and the next step; and they fire when they should."""
    path = os.path.join(SOURCE, 'conf/alerts.rules.yml')
    done = promtool('check', 'rules', path)
    check_equal(done.returncode, 0, f'promtool check rules: {done.stdout.decode()}')
    with open(path) as f:
        text = f.read()
    known, found = known_names()
    expressions = re.findall(r'^ +expr: (?:\|\n)?((?:.|\n)*?)(?=^ +for:|^ +labels:)', text, re.M)
    check(len(expressions) == text.count('- alert:') > 15, f'{len(expressions)} expressions')
    check_equal(set().union(*map(names_in, expressions)) - known, set(), 'asked for, and not there')
    check_labels(expressions, found)
    alerts = re.split(r'^ +- alert: ', text, flags=re.M)[1:]
    for alert in alerts:
        name = alert.split('\n')[0]
        check(re.search(r'severity: (warning|critical|info)\n', alert), f'{name}: severity')
        check(re.search(r'summary: .+', alert), f'{name}: summary')
        told = re.search(r'description: ["\']?(.+)', alert)
        check(told and 'Cause: ' in told[1] and 'Next: ' in told[1], f'{name}: description names cause and next step')
    done = promtool('test', 'rules', os.path.join(SOURCE, 'tests/e2e/alerts.test.yml'))
    check_equal(done.returncode, 0, f'promtool test rules: {done.stdout.decode()[-1500:]}')
    with open(os.path.join(SOURCE, 'tests/e2e/alerts.test.yml')) as f:
        tried = set(re.findall(r'alertname="(\w+)"', f.read()))
    check_equal({a.split('\n')[0] for a in alerts} - tried, set(), 'alerts that no test makes fire')


def test_lives_end(lab):
    """Who asks half of a question is let go after 15 s, who never ends it after 30; who reads answers goes on for longer."""
    half.settimeout(40)
    check_equal(half.recv(100), b'', 'half a request, and no answer')
    drip.join(90)
    check(not drip.is_alive(), f'a byte a second holds its place: {drip.sent} s')
    check(drip.sent >= 10, f'it had its time: {drip.sent} s')
    wait_until(lambda: kept.error or time.monotonic() - kept.begun > 40, 60, 'a kept connection')
    kept.over.set()
    kept.join(30)
    check_equal(kept.error, None, 'a connection over which answers were read')


main(setup)
