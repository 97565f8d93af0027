"""HTTPS servers of MTA-STS policies, good ones and hostile ones, and a collector of TLSRPT's reports.

    web = StsWeb(lab, pki)                     web.ca.path: the authority to be believed; pki: Pki (pki.py)
    site = web.site('good.lab', mode='enforce', mx=['mx.good.lab'])
    site.records()                             zone lines: _mta-sts.good.lab. TXT, mta-sts.good.lab. A
    site.change(mode='testing')                another policy and another id: what the TXT record is to say now
    site.requests                              what was asked for: Request(method, path, headers, body, name)
    web.collector('reports.lab').reports       bodies that were posted to https://reports.lab/tlsrpt

Each site has an address of its own in 198.51.102.0/24, port 443. How it behaves is site.how, which may be changed at any
time, but neither from nor to CERTIFICATES and BENEATH:
"""
import asyncio
import ssl
import threading
from types import SimpleNamespace

from harness import check, run
from pki import EXPIRED

NET = '198.51.102'
HOW = {
    'good': 'the policy, text/plain',
    'redirect': '301 to the good policy of elsewhere',
    'found': '302 likewise',
    'missing': '404, with a good policy as its body',
    'error': '500 likewise',
    'created': '201 likewise: a success, but not 200',
    'html': 'text/html',
    'untyped': 'no Content-Type',
    'charset': 'text/plain; charset=utf-8: as good as none',
    'chunked': 'in chunks of 7 octets, as good as whole',
    'limit': 'a policy of 64 KiB: as good',
    'huge': 'a good policy with so much behind it that it has 64 KiB and one octet',
    'endless': 'a body that never ends, as fast as it is read',
    'endless-chunks': 'the same in chunks of one octet',
    'endless-header': 'header fields that never end',
    'long-header': 'a header field of a mebibyte',
    'zipped': 'Content-Encoding: gzip, of a mebibyte of zeros',
    'slow': 'an octet of the body every half second',
    'slow-header': 'the same with the header',
    'hang': 'reads the request and never answers',
    'silent': 'takes the connection and never says a word, not even of TLS',
    'cut': 'ends in the middle of the body that Content-Length has told of',
    'reset': 'ends without an answer',
    'continue': '100 Continue without end',
    'plain': 'HTTP where TLS is expected',
    'garbage': 'what is neither',
    'lf': 'lines end with LF alone: RFC 8461 allows it',
    'cr': 'with CR alone: no policy',
    'empty': '200 with nothing',
    'nul': 'a NUL among the lines',
    'binary': 'octets at random',
    'wrong-name': 'a certificate for another name',
    'expired': 'one that has lapsed',
    'self-signed': 'one that it has signed itself',
    'stranger': "one of another's authority",
    'common': 'one with the name in CN alone',
    'wild': 'one for *.DOMAIN: as good',
    'absent': 'nobody listens',
}
CERTIFICATES = ('wrong-name', 'expired', 'self-signed', 'stranger', 'common', 'wild')
BENEATH = ('plain', 'garbage', 'silent', 'absent')  # TLS
LIMIT = 64 * 1024  # of a policy (RFC 8461 section 3.3)


class Site:
    """A host with HTTPS. policy: mode, mx, max_age (None: no such line), version, more (lines as they stand), or body: the
    bytes in place of all that. status: of the answer to POST."""

    def __init__(self, web, name, domain, how, policy):
        check(how in HOW, f'no behaviour {how}')
        self.web, self.name, self.domain, self.how = web, name, domain, how
        self.policy = SimpleNamespace(version='STSv1', mode='enforce', mx=[], max_age=86400, more=[], body=None)
        self.policy.__dict__.update(policy)
        self.id, self.status, self.to = 1, 201, f'https://elsewhere.lab/{name}'
        self.requests, self.reports, self.connections = [], [], 0
        self.address = None

    def body(self):
        p = self.policy
        if p.body is not None:
            return p.body
        lines = [f'{key}: {value}' for key, value in (('version', p.version), ('mode', p.mode)) if value is not None]
        lines += [f'mx: {mx}' for mx in p.mx] + ([] if p.max_age is None else [f'max_age: {p.max_age}']) + p.more
        end = {'lf': '\n', 'cr': '\r'}.get(self.how, '\r\n')
        return ''.join(line + end for line in lines).encode()

    def change(self, **policy):
        """Another policy, under another id."""
        self.policy.__dict__.update(policy)
        self.id += 1

    def txt(self):
        return f'v=STSv1; id=n{self.id};'

    def records(self):
        return [f'_mta-sts.{self.domain}. TXT "{self.txt()}"\n', self.host_record()]

    def host_record(self):
        return f'{self.name}. A {self.address}\n'


class Certificates:
    """By site and behaviour, all with one key."""

    def __init__(self, pki):
        self.pki, self.made = pki, {}
        self.ca = pki.make('web-ca', ca=True)
        self.stranger = pki.make('web-stranger', ca=True)
        self.key = pki.make('web-key', issuer=self.ca)

    def of(self, site):
        how = site.how if site.how in CERTIFICATES else 'good'
        file = f'web-{site.name}-{how}'
        if file not in self.made:
            names = {'wrong-name': ['somebody.example'], 'common': [], 'wild': [f'*.{site.domain}']}.get(how, [site.name])
            issuer = {'self-signed': None, 'stranger': self.stranger}.get(how, self.ca)
            self.made[file] = self.pki.make(file, names, issuer=issuer, common=site.name if how == 'common' else file[:60],
                                            key_from=self.key, more=EXPIRED if how == 'expired' else None)
        return self.made[file]


class StsWeb:
    def __init__(self, lab, pki):
        self.certificates, self.sites, self.count = Certificates(pki), {}, 0
        self.ca, self.servers, self.tasks = self.certificates.ca, [], set()
        run('ip', 'route', 'replace', 'local', f'{NET}.0/24', 'dev', 'lo')
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        lab.at_end(self.end)

    def site(self, domain, how='good', name=None, **policy):
        """The server of a domain's policy, mta-sts.DOMAIN."""
        return self.open(Site(self, name or f'mta-sts.{domain}', domain, how, policy))

    def collector(self, name, how='good'):
        """A server that is posted reports; Site.reports has them, Site.status what it says."""
        return self.open(Site(self, name, name, how, {}))

    def open(self, site):
        self.count += 1
        site.address = f'{NET}.{self.count}'
        self.sites[site.name] = site
        context = None
        if site.how not in BENEATH:
            certificate = self.certificates.of(site)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.path, certificate.key)

            def named(connection, name, _):
                connection.asked_for = name
            context.sni_callback = named

        async def client(reader, writer):
            self.tasks.add(asyncio.current_task())
            site.connections += 1
            try:
                await serve(site, reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
                pass
            finally:
                self.tasks.discard(asyncio.current_task())
                writer.close()
        if site.how != 'absent':
            start = asyncio.start_server(client, site.address, 443, ssl=context)
            self.servers.append(asyncio.run_coroutine_threadsafe(start, self.loop).result(20))
        return site

    def end(self):
        async def close():
            for s in self.servers:
                s.close()
            for task in self.tasks:
                task.cancel()
        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class Request:
    def __init__(self, head, name):
        first, *lines = head.decode('latin-1').split('\r\n')
        self.method, self.path, self.version = first.split(' ')
        self.headers = {key.strip().lower(): value.strip() for key, _, value in (line.partition(':') for line in lines if line)}
        self.name, self.body = name, b''  # name: asked for by SNI

    def __repr__(self):
        return f'{self.method} {self.path} {self.headers} {len(self.body)} octets'


async def never():
    await asyncio.sleep(3600)


async def serve(site, reader, writer):
    if site.how == 'silent':
        return await never()
    if site.how == 'garbage':
        writer.write(bytes(range(255, -1, -1)) * 8)
        return await writer.drain()
    if site.how == 'plain':
        writer.write(head('200 OK', site.body()) + site.body())
        return await writer.drain()
    while True:
        request = Request(await reader.readuntil(b'\r\n\r\n'), getattr(writer.get_extra_info('ssl_object'), 'asked_for', None))
        if request.headers.get('expect') == '100-continue':
            writer.write(b'HTTP/1.1 100 Continue\r\n\r\n')
        request.body = await reader.readexactly(int(request.headers.get('content-length', 0)))
        site.requests.append(request)
        if request.method == 'POST':
            await taken(site, request, writer)
        else:
            await answer(site, request, writer)
        await writer.drain()
        if request.headers.get('connection') == 'close':
            return


async def taken(site, request, writer):
    if site.how == 'hang':
        await never()
    if site.how == 'reset':
        writer.transport.abort()
        raise OSError
    if site.how == 'redirect':
        writer.write(head('301 Moved Permanently', b'', {'Location': site.to}))
        return
    if site.status // 100 == 2 and request.path == '/tlsrpt':
        site.reports.append(request.body)
    status = site.status if request.path == '/tlsrpt' else 404
    writer.write(head(f'{status} so', b'so be it\r\n') + b'so be it\r\n')


def head(status, body, more=None, kind='text/plain', length=True):
    fields = ([('Content-Type', kind)] if kind else []) + ([('Content-Length', str(len(body)))] if length else [])
    fields += (more or {}).items()
    return f'HTTP/1.1 {status}\r\n'.encode() + ''.join(f'{k}: {v}\r\n' for k, v in fields).encode() + b'\r\n'


async def slowly(writer, data):
    for n in range(len(data)):
        writer.write(data[n:n + 1])
        await writer.drain()
        await asyncio.sleep(0.5)


async def forever(writer, data):
    """As far as anybody can be interested: 256 MiB."""
    for _ in range((256 << 20) // len(data)):
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0)


def whole(site, body):
    """The answers that are sent in one piece."""
    if site.how in ('redirect', 'found'):
        return head('301 Moved Permanently' if site.how == 'redirect' else '302 Found', body, {'Location': site.to}) + body
    if site.how in ('limit', 'huge'):
        lines = b''.join(b'more: ' + b'x' * 92 + b'\r\n' for _ in range(LIMIT // 100 + 1))
        body = (body + lines)[:LIMIT - 2 + (site.how == 'huge')] + b'\r\n'
    elif site.how == 'empty':
        body = b''
    elif site.how == 'nul':
        body = body.replace(b'mode', b'm\0de', 1) if b'mode' in body else b'\0' + body
    elif site.how == 'binary':
        body = bytes((n * n * 7 + n // 5) & 255 for n in range(5000))
    status = {'missing': '404 Not Found', 'error': '500 Internal Server Error', 'created': '201 Created'}.get(site.how, '200 OK')
    kind = {'html': 'text/html', 'untyped': None, 'charset': 'text/plain; charset=utf-8'}.get(site.how, 'text/plain')
    return head(status, body, kind=kind) + body


async def answer(site, request, writer):
    """To GET."""
    if request.path != '/.well-known/mta-sts.txt':
        writer.write(head('404 Not Found', b''))
        return
    how, body = site.how, site.body()
    chunk = {'Transfer-Encoding': 'chunked'}
    if how == 'hang':
        await never()
    elif how == 'reset':
        writer.transport.abort()
        raise OSError
    elif how == 'chunked':
        writer.write(head('200 OK', b'', chunk, length=False))
        for at in range(0, len(body), 7):
            piece = body[at:at + 7]
            writer.write(f'{len(piece):x}\r\n'.encode() + piece + b'\r\n')
        writer.write(b'0\r\n\r\n')
    elif how == 'endless':
        writer.write(head('200 OK', b'', {'Content-Length': 1 << 40}, length=False) + body)
        await forever(writer, b'more: ' + b'x' * 4000 + b'\r\n')
    elif how == 'endless-chunks':
        writer.write(head('200 OK', b'', chunk, length=False) + f'{len(body):x}\r\n'.encode() + body + b'\r\n')
        await forever(writer, b'1\r\nx\r\n' * 500)
    elif how == 'endless-header':
        writer.write(b'HTTP/1.1 200 OK\r\n')
        await forever(writer, b'X-More: and more\r\n' * 200)
    elif how == 'continue':
        await forever(writer, b'HTTP/1.1 100 Continue\r\n\r\n' * 100)
    elif how == 'long-header':
        writer.write(head('200 OK', body, {'X-Long': 'x' * (1 << 20)}) + body)
    elif how == 'zipped':
        import gzip
        body = gzip.compress(body + b'\0' * (1 << 20))
        writer.write(head('200 OK', body, {'Content-Encoding': 'gzip'}) + body)
    elif how == 'slow':
        writer.write(head('200 OK', body))
        await slowly(writer, body)
    elif how == 'slow-header':
        await slowly(writer, head('200 OK', body) + body)
    elif how == 'cut':
        writer.write(head('200 OK', body) + body[:-20])
        await writer.drain()
        writer.close()
    else:
        writer.write(whole(site, body))


__doc__ += ''.join(f'    {how:<16}{what}\n' for how, what in HOW.items())
