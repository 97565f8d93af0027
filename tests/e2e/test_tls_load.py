#!/usr/bin/python3
# limit: 170
# alone: beside a flood, slow clients give way too
"""TLS under load, with private keys in threads of their own: all kinds of handshakes, a reload and an end amid them; and ten
thousand handshakes that are begun and never finished, beside clients that are served all the while."""
import os
import re
import resource
import select
import signal
import socket
import ssl
import threading
import time

from gateway import Counted, Gateway
from harness import GATEWAY_IP, Failed, check, check_equal, main, run, wait_until
from mail import Client, plain
from sinks import Scripted
from test_tls import HOST, MX, OTHER, SUBMISSIONS, Secure, block, context, make_certificate

FLOOD, WAVE = 10000, 400  # more come at once than there are places left free
SOURCES = [f'10.9.0.{n}' for n in range(10, 30)]
gw = far = None


def setup(lab):
    global gw, far
    resource.setrlimit(resource.RLIMIT_NOFILE, (2 * FLOOD, 2 * FLOOD))
    far = Scripted(lab)
    gw = Gateway(lab, listener_submissions={'kind': 'submissions', 'port': 'net0', 'tcp_port': SUBMISSIONS},
                 certificate_ec=block(make_certificate(lab, 'ec', 'EC', HOST)),
                 certificate_rsa=block(make_certificate(lab, 'rsa', 'RSA', HOST)),
                 certificate_other=block(make_certificate(lab, 'other', 'RSA', OTHER)),
                 tls={'handshake_timeout': '8s', 'key_operations': 'pool', 'key_threads': 2}).start()
    gw.host_addresses += [f'{a}/32' for a in SOURCES]
    gw.address()


def kinds():
    """Every kind of handshake: how it starts, version, key. With TLS 1.3 the name decides which key."""
    old = ssl.TLSVersion.TLSv1_2
    for port in (MX, SUBMISSIONS):
        for version in (None, old):
            for key in ('ECDSA', 'RSA'):
                ctx = context(version)
                if version == old:
                    ctx.set_ciphers(f'ECDHE-{key}-AES128-GCM-SHA256')
                yield port, ctx, OTHER if key == 'RSA' and version is None else HOST


def session(port, ctx, name, number):
    """A handshake and a message."""
    with Secure(port=port, start='starttls' if port == MX else 'tls', ctx=ctx, name=name) as c:
        c.hello()
        check_equal(c.deliver('a@client.example', ['b@example.org'], plain(number)).code, 250, 'message')
        check_equal(c.command('QUIT').code, 221, 'QUIT')


def tls(*names):
    values = gw.telemetry('/sluice/tls')
    return [values[name] for name in names]


def test_all_kinds_by_the_pool(lab):
    names = gw.telemetry('/sluice/threads')
    check('keyop0' in names and 'keyop1' in names, f'threads {names}')
    before = len(far.messages)
    for number, kind in enumerate(kinds()):
        session(*kind, number)
    far.wait(before + 8)
    accepted, parks, keyops, gathered, signed, bursts = tls('accepted', 'parks', 'keyops', 'keyop_gathered', 'keyop_signed',
                                                            'keyop_bursts')
    check_equal((accepted, parks, keyops, gathered, signed), (8,) * 5, 'handshakes, parked, operations, in bursts, by threads')
    check(1 <= bursts <= 8, f'bursts {bursts}')
    check_equal(tls('parked', 'waiting', 'handshaking'), [0, 0, 0], 'under way')
    check_equal(sum(gw.counter('tls/keyop_signed', names[n]) for n in ('keyop0', 'keyop1')), 8, 'by each thread')


def in_threads(cnt, work):
    """Runs work(number) in threads until the returned function is called; that one tells the errors and how often it ran."""
    errors, count, stop = [], [0] * cnt, threading.Event()

    def loop(number):
        try:
            while not stop.is_set():
                work(number)
                count[number] += 1
        except Exception as why:
            if not stop.is_set():
                errors.append(why)
    threads = [threading.Thread(target=loop, args=(i,), daemon=True) for i in range(cnt)]
    for t in threads:
        t.start()

    def end():
        stop.set()
        for t in threads:
            t.join(60)
        return errors, count
    return end, count, errors


def serial():
    with context().wrap_socket(socket.create_connection((GATEWAY_IP, SUBMISSIONS), timeout=30), server_hostname=HOST) as s:
        return s.getpeercert(True)


def test_reload_under_load(lab):
    all_kinds = list(kinds())
    end, count, errors = in_threads(8, lambda n: session(*all_kinds[n], n))
    seen = {serial()}
    for _ in range(4):
        make_certificate(lab, 'ec', 'EC', HOST)
        gw.ctl('reload')
        wait_until(lambda: serial() not in seen, 20, 'the new certificate')
        seen.add(serial())
        mark = sum(count)
        wait_until(lambda: sum(count) > mark + 8 or errors, 60, 'load goes on')
    check_equal(end()[0], [], 'errors of clients')
    check_equal(tls('failed_keyop', 'failed_internal', 'failed_memory'), [0, 0, 0], 'failed')
    parks, signed = tls('parks', 'keyop_signed')
    check_equal(parks, signed, 'parked and signed')


def begun_too_often(source):
    """A connection that is reset, while it is opened or afterwards."""
    try:
        with Client(port=SUBMISSIONS, greet=False, source=(source, 0)) as c:
            return c.closed()
    except ConnectionResetError:
        return True


def test_cap_of_a_client(lab):
    """Changed by a reload; other clients have places of their own."""
    gw.change(tls={'handshakes_per_client': 2})
    try:
        gw.ctl('reload')
        held = [Client(port=SUBMISSIONS, greet=False, source=(SOURCES[0], 0)) for _ in range(2)]
        wait_until(lambda: gw.counter('tls/handshaking') == 2, 10, 'two begun')
        with Counted(gw, 'conn/tls_client_full', 2):
            check(begun_too_often(SOURCES[0]), 'the third is closed')
            with Client(source=(SOURCES[0], 0)) as c:
                check_equal(c.command('STARTTLS').code, 454, 'and told, where it can be')
        wait_until(lambda: re.search(rf'client={SOURCES[0]}:\d+ reason=too many handshakes of this client', gw.log()), 10,
                   'the reason in the log')
        session(SUBMISSIONS, context(), HOST, 1)
        for c in held:
            c.close()
    finally:
        gw.change(tls={'handshakes_per_client': None})
        gw.ctl('reload')
    wait_until(lambda: gw.counter('tls/handshaking') == 0, 10, 'none')


class Flood(threading.Thread):
    """Connections on which a handshake is begun, or less. WAVE of them for each token."""

    def __init__(self):
        super().__init__(daemon=True)
        self.tokens = threading.Semaphore(0)
        self.sockets, self.error = [], None
        inward, outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = context().wrap_bio(inward, outward, server_hostname=HOST)
        try:
            hello.do_handshake()
        except ssl.SSLWantReadError:
            pass
        whole = outward.read()
        self.said = [b'', whole[:1], whole[:5], whole[:len(whole) // 2], whole[:-1], whole]

    def open(self, number):
        s = socket.socket()
        s.setblocking(False)
        # Half of them from many addresses, the other half from two.
        source = SOURCES[number % len(SOURCES)] if number < FLOOD // 2 else SOURCES[number % 2]
        s.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        s.bind((source, 0))
        s.connect_ex((GATEWAY_IP, SUBMISSIONS))
        self.sockets.append(s)
        return s

    def run(self):
        try:
            for first in range(0, FLOOD, WAVE):
                self.tokens.acquire()
                epoll = select.epoll()
                waiting = {}
                for number in range(first, first + WAVE):
                    s = self.open(number)
                    waiting[s.fileno()] = s, self.said[number % len(self.said)]
                    epoll.register(s, select.EPOLLOUT)
                end = time.monotonic() + 60
                while waiting:
                    if time.monotonic() > end:
                        raise Failed(f'{len(waiting)} connections do not open')
                    for fd, _ in epoll.poll(1):
                        s, said = waiting.pop(fd)
                        epoll.unregister(fd)
                        try:
                            s.send(said)
                        except OSError:
                            pass  # refused meanwhile: it has as many as it may
                epoll.close()
        except Exception as why:
            self.error = why


ENDS = ('conn/tls_client_full', 'conn/tls_pressed', 'conn/tls_timeouts', 'tls/refused_full')


def ends():
    return {name: gw.counter(name) for name in ENDS}


def test_half_open_flood(lab):
    """Each client that comes meanwhile is served; every one of the flood ends by a reason that is counted."""
    before, accepted, done = ends(), gw.counter('conn/accepted'), gw.counter('tls/accepted')
    flood, served, most = Flood(), 0, 0
    all_kinds = list(kinds())
    flood.start()
    while flood.is_alive():
        session(*all_kinds[served % len(all_kinds)], served)
        served += 1
        most = max(most, *tls('handshaking'))
        flood.tokens.release()
        time.sleep(0.01)
    check(flood.error is None, f'flood: {flood.error}')
    check_equal(len(flood.sockets), FLOOD, 'connections of the flood')
    check(served >= FLOOD // WAVE, f'{served} clients served meanwhile')
    check(500 < most <= 1024, f'{most} unfinished handshakes, of the 1024 that may be')
    wait_until(lambda: gw.counter('conn/accepted') - accepted == FLOOD + served, 30, 'all of the flood arrive')
    wait_until(lambda: gw.counter('tls/handshaking') == 0, 30, 'the last of the flood end')
    grown = {name: count - before[name] for name, count in ends().items()}
    check_equal(sum(grown.values()), FLOOD, f'ends of the flood: {grown}')
    grown.pop('tls/refused_full')  # only where hellos come faster than they are answered
    check(all(grown.values()), f'each of the ends: {grown}')
    check_equal(gw.counter('tls/accepted') - done, served, 'handshakes done')
    check_equal(gw.counter('conn/accepted') - accepted, FLOOD + served, 'connections')
    check_equal(tls('failed_keyop', 'failed_internal'), [0, 0], 'no handshake failed for want of us')
    for s in flood.sockets:
        s.close()
    wait_until(lambda: gw.counter('conn/inbound') == 0, 30, 'all connections ended')
    check_equal(tls('parked', 'waiting', 'connections'), [0, 0, 0], 'held afterwards')
    wait_until(lambda: len(far.messages) >= served, 30, 'messages')


def test_stop_under_load(lab):
    """With handshakes at the key threads the gateway ends as it should."""
    all_kinds = list(kinds())
    end, count, _ = in_threads(16, lambda n: session(*all_kinds[n % 8], n))
    wait_until(lambda: sum(count) > 16, 60, 'load')
    gw.process.send_signal(signal.SIGTERM)
    check_equal(gw.wait(), 0, 'exit status')
    end()
    check(gw.log().count('Assertion') == 0, 'log')


def test_inline_and_pool_alike(lab):
    """The same settings and clients without the pool: nothing is parked."""
    gw.change(tls={'key_operations': 'inline'})
    gw.start()
    gw.address()
    for number, kind in enumerate(kinds()):
        session(*kind, number)
    check_equal(tls('accepted', 'keyops', 'parks', 'keyop_signed'), [8, 8, 0, 0], 'handshakes')
    check('keyop0' not in gw.telemetry('/sluice/threads'), 'no thread for keys')
    check_equal(gw.stop(), 0, 'exit status')


def test_two_lanes_share_the_pool(lab):
    gw.change(tls={'key_operations': 'pool', 'key_threads': 1}, gateway={'lanes': 2})
    gw.start()
    gw.address()
    all_kinds = list(kinds())
    end, count, errors = in_threads(8, lambda n: session(*all_kinds[n], n))
    lanes = gw.lanes()
    wait_until(lambda: errors or (min(count) > 1 and all(gw.counter('tls/parks', n) > 4 for n in lanes)), 60, 'load on both')
    check_equal(end()[0], [], 'errors of clients')
    parks, signed = tls('parks', 'keyop_signed')
    check_equal(parks, signed, 'parked and signed')
    check_equal(gw.stop(), 0, 'exit status')


def test_processors_that_are_not_there(lab):
    gw.change(tls={'key_cpus': ['1023']}, gateway={'lanes': 1})
    before = gw.launch()
    check_equal(gw.wait(), 2, 'exit status')
    check('tls: the key threads do not start: lower key_threads, or see key_cpus' in gw.log()[before:], 'why')


if __name__ == '__main__':
    main(setup)
