#!/usr/bin/python3
# limit: 60
"""O6: next hops that lie, never end, or are no SMTP servers, all at once: each message has the fate that RFC 5321 gives it, what they
say gets nowhere but into the log and a report, escaped and cut, and mail for others goes on. Time without end is told of in virtual
time (tests/unit/test_conn_out.c)."""
import asyncio
import re
import threading

from dsn import Report
from gateway import Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted

HELLO = b'250-bad.example\r\n250 PIPELINING\r\n'
GOOD = {'CONNECT': b'220 bad.example\r\n', 'EHLO': HELLO, 'MAIL': b'250 ok\r\n', 'RCPT': b'250 ok\r\n', 'DATA': b'354 go\r\n',
        'end': b'250 2.0.0 taken\r\n', 'QUIT': b'221 bye\r\n', 'RSET': b'250 ok\r\n', 'HELO': b'250 ok\r\n'}
LONG = b''.join(b'550-5.1.1 ' + b'x' * 1030 + b'\r\n' for _ in range(98)) + b'550 5.1.1 end\r\n'  # 100 KiB
TRICK = b'5.1.1 no\x00 \xff\xfe\x1b[31m id=1 to=<evil@example.org> status=sent (250 ok)'
WIDE = b''.join(b'250-' + b'X-KEYWORD-%d ' % n + b'y' * 2000 + b'\r\n' for n in range(90)) + b'250 8BITMIME\r\n'
ENDLESS = object()
# name: what differs of GOOD, what comes of a message, and words of its line in the log.
ROWS = {
    'endless-greeting': ({'CONNECT': (ENDLESS, b'220-more\r\n')}, 'deferred', 'too many lines'),
    'endless-ehlo': ({'EHLO': (ENDLESS, b'250-MORE\r\n')}, 'deferred', 'too many lines'),
    'endless-line': ({'CONNECT': (ENDLESS, b'A' * 4096)}, 'deferred', ''),
    'endless-rcpt': ({'RCPT': (ENDLESS, b'250 ' + b'A' * 4096)}, 'deferred', 'line'),
    'other-code': ({'RCPT': b'250-yes\r\n550 no\r\n'}, 'deferred', ''),
    'bare-lf': ({'EHLO': b'250-bad.example\n250 PIPELINING\r\n'}, 'deferred', ''),
    'three-for-mail': ({'MAIL': b'354 go\r\n'}, 'deferred', '3xx'),
    'two-for-data': ({'DATA': b'250 ok\r\n'}, 'deferred', 'neither 354'),
    'six': ({'MAIL': b'650 what\r\n'}, 'deferred', ''),
    'no-code': ({'CONNECT': b'hello there\r\n'}, 'deferred', ''),
    'web': ({'CONNECT': b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'}, 'deferred', ''),
    **{f'421-{at.lower()}': ({at: b'421 4.3.2 down\r\n'}, 'deferred', '4.3.2 down') for at in ('CONNECT', 'EHLO', 'MAIL', 'RCPT', 'DATA', 'end')},
    'too-many': ({'RCPT': b'250 ok\r\n250 and more\r\n250 yet more\r\n250 of them\r\n'}, 'deferred', ''),
    'no-keyword': ({'EHLO': b'250 bad.example\r\n'}, 'delivered', 'taken'),
    'many-keywords': ({'EHLO': WIDE}, 'delivered', 'taken'),
    'no-text': ({'MAIL': b'250\r\n', 'RCPT': b'250\r\n', 'end': b'250\r\n'}, 'delivered', ''),
    'helo': ({'EHLO': b'502 what\r\n'}, 'delivered', 'taken'),
    'long': ({'RCPT': LONG}, 'failed', '5.1.1 x'),
    'trick': ({'RCPT': b'550 ' + TRICK + b'\r\n'}, 'failed', '5.1.1 no'),
}
gw = good = bad = None


class Bad:
    """A server for each row, at a port of its own, in one event loop."""

    def __init__(self, lab):
        self.loop, self.ports, self.sent = asyncio.new_event_loop(), {}, 0
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        for number, name in enumerate(ROWS):
            self.ports[name] = 3000 + number
            serving = asyncio.start_server(lambda r, w, name=name: self.session(name, r, w), HOST_IP, 3000 + number, limit=1 << 20)
            asyncio.run_coroutine_threadsafe(serving, self.loop).result(10)
        lab.at_end(lambda: self.loop.call_soon_threadsafe(self.loop.stop))

    async def say(self, name, state, writer):
        what = {**GOOD, **ROWS[name][0]}[state]
        if not isinstance(what, tuple):
            writer.write(what)
            return await writer.drain()
        for _ in range(1 << 14):  # until it is closed, by whoever reads it
            writer.write(what[1])
            self.sent += len(what[1])
            await asyncio.wait_for(writer.drain(), 20)
        raise ConnectionError('enough')

    async def session(self, name, reader, writer):
        try:
            await self.say(name, 'CONNECT', writer)
            while line := await reader.readline():
                word = line[:4].decode('latin-1').upper()
                await self.say(name, word, writer)
                if word == 'DATA' and (ROWS[name][0].get('DATA') or b'354').startswith(b'354'):
                    while await reader.readline() not in (b'.\r\n', b''):
                        pass
                    await self.say(name, 'end', writer)
                if word == 'QUIT':
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, KeyError):
            pass
        finally:
            writer.close()


def setup(lab):
    global gw, good, bad
    good, bad = Scripted(lab), Bad(lab)
    gw = Gateway(lab, relay={'networks': [f'{HOST_IP}/32']}, queue={'backoff_min': '1d', 'backoff_max': '2d'}, smtp={'client_idle': '0'},
                 **{f'route_{name}.example': {'host': f'{HOST_IP}:{port}'} for name, port in bad.ports.items()})
    gw.start()


def line_of(name):
    found = re.findall(rf' (delivered|deferred|failed) id=.*? to=<x@{re.escape(name)}\.example> (.*)', gw.log())
    return found[0] if found else None


def peak_kib():
    with open(f'/proc/{gw.process.pid}/status') as f:
        return int(re.search(r'VmHWM:\s+(\d+) kB', f.read()).group(1))


def test_each_has_its_fate(lab):
    before = peak_kib()
    with Client() as c:
        for number, name in enumerate(ROWS):
            check_equal(c.deliver('s@example.org', [f'x@{name}.example'], plain(number)).code, 250, name)
        check_equal(c.deliver('s@client.example', ['other@example.org'], plain(99)).code, 250, 'mail for others')
    wait_until(lambda: good.to('other@example.org'), 30, 'mail for others')
    wait_until(lambda: all(line_of(name) for name in ROWS), 40, f'an outcome of {[n for n in ROWS if not line_of(n)]}')
    wrong = [f'{name}: {line_of(name)}' for name, (_, fate, words) in ROWS.items() if line_of(name)[0] != fate or words not in line_of(name)[1]]
    check(not wrong, '; '.join(wrong))
    check(gw.counter('smtp_client/bad_reply') >= 10, 'bad replies')
    check_equal(gw.counter('smtp_client/closed_421'), 6, '421 in each state')
    check(peak_kib() - before < 20000, f'memory grew by {peak_kib() - before} KiB')
    check(bad.sent < 64 << 20, f'{bad.sent} bytes were taken of those without an end')


def test_what_they_say(lab):
    """One line each, without control characters, cut; in the report likewise; and no line of the log is theirs."""
    for name in ('long', 'trick'):
        check(len(line_of(name)[1]) < 1000, f'{name}: {len(line_of(name)[1])} characters in the log')

    def reports():
        return {r.one()['Final-Recipient'].split('@')[1]: r for r in map(Report, good.to('s@example.org'))}
    wait_until(lambda: len(good.to('s@example.org')) == 2, 30, 'two reports')
    for name, report in reports().items():
        said = report.one()['Diagnostic-Code']
        check(len(said) < 900 and said.isprintable() and said.isascii(), f'{name}: {said}')
        check(all(len(line) <= 998 for line in report.octets.split(b'\r\n')), name)
    check_equal(reports().keys(), {'long.example', 'trick.example'}, 'reports')
    with open(gw.log_path, 'rb') as f:
        log = f.read()
    check_equal(re.findall(rb'[^\n\x20-\x7e].{0,40}', log), [], 'bytes of theirs in the log')
    check(not re.search(rb'(?m)^\S+ \S+ delivered .*to=<evil', log), 'a line of theirs')


def test_afterwards(lab):
    gw.ctl('queue', 'delete', '--all')
    check_equal(gw.counter('conn/outbound'), 0, 'connections that are left')
    check_equal(good.faults, [], 'faults of the SMTP client')
    check_equal(gw.stop(), 0, 'status')


if __name__ == '__main__':
    main(setup)
