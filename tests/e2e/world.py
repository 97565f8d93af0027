"""
A signed world for tests of delivery: a root with a key of our own, zones below it that are signed, unsigned, forged or
lame, served by a real nsd and validated by a real unbound; and mail servers, each at an address of its own, of which some
are Postfix, aiosmtpd and smtp-sink and the rest one event loop of ours that behaves as it is told to.

    world = World(lab, ROWS).start()

A row (world_rows.py) is a domain with its records, its servers, and what a sender has to make of it. Records are written
"name TYPE data", separated by ";", with names relative to the row's domain and "." for the domain itself:

    mx A @leaf            a server of its own that shows the certificate leaf (World.certificates); see World.serve
    mx AAAA @leaf         the same at an IPv6 address
    mx TLSA 3 1 1 leaf    at _25._tcp.mx, of that certificate; "3 1 1 =00ff" has data as it stands
    mx CNAME real, . MX 10 mx
    mx/plain A @leaf      the name below plain.lab., mx.ROW.plain.lab; mx/ A @leaf likewise below lab.
    _dane TYPE52 3 1 1 x  a TLSA record at that name itself
    !mx TLSA              the signature of that set is broken
    _25._tcp.mx LAME      a delegation to a server that has not got the zone: SERVFAIL
    . STS enforce mx,=mx.lab,* slow max_age=60 txt=two
                          an MTA-STS policy for these hosts ("=": as it stands; "-": none), at a server that is slow
                          (stsweb.HOW, "good" as a rule), and its TXT record (TXT below); World.web has the servers
    . RUA https://reports.lab/tlsrpt
                          TLSRPT's record; reports.lab is a server that collects (World.collector)

Zones: lab. signed (NSEC), plain.lab. not signed, optout.lab. signed with NSEC3 and opt-out, bogus.lab. signed with another
key than lab. says. A row whose name is "NAME/plain" is the domain NAME.plain.lab.
"""
import asyncio
import hashlib
import logging
import os
import re
import ssl
import threading
import time

from harness import Skip, check, find_program, run, wait_until
from pki import Pki
from postfix import LIBRARIES, Postfix
from stsweb import StsWeb
from zones import A, ask

NET, NET6 = '198.51.100', '2001:db8:64:'
NSD, RESOLVER = f'{NET}.53', '127.0.0.1'
ZONES = ['.', 'lab', 'plain.lab', 'optout.lab', 'bogus.lab']
TXT = {'good': ['v=STSv1; id=n1;'], 'none': [], 'two': ['v=STSv1; id=n1;', 'v=STSv1; id=n2;'], 'version': ['v=STSv2; id=n1;'],
       'late': ['id=n1; v=STSv1;'], 'noid': ['v=STSv1;'], 'badid': ['v=STSv1; id=n-1;'], 'longid': [f'v=STSv1; id={"n" * 33};'],
       'beside': ['v=spf1 -all', 'v=STSv1; id=n1;'], 'parts': ['v=STSv1;" " id=n1;'], 'unknown': ['v=STSv1; id=n1; more=yes;']}
FIRST_HOST = 100  # 198.51.100.100 and so on, then 198.51.101.0 and so on


class Row:
    """id: of the table that it is a row of. dane, only: what is to come of mail at the levels dane and dane-only: how it
    arrives (verified, trusted, untrusted: by TLS; clear), or "defer 4.7.5", "bounce 5.1.2". at: name of the host at which
    it arrives, where that is not the first; names: either ("mx/6": that of IPv6). finger: what posttls-finger makes of it, where that is something else, and
    why says why; None: it has no opinion. to: "route": mail for the domain goes to its host mx by a route; "literal": mail is
    for the address of mx in brackets. records: one string, or a list of them where data have a ";" inside."""

    def __init__(self, id, name, records, dane, only=None, at=None, finger=(), why='', to='domain'):
        self.id, self.name, self.to = id, name, to
        self.label, _, self.zone = name.partition('/')
        self.domain = self.target = f'{self.label}.{self.zone + "." if self.zone else ""}lab'
        self.records = [r.split() for r in (records if isinstance(records, list) else records.split(';')) if r.strip()]
        self.expect = {'dane': dane, 'dane-only': only}
        self.finger = self.expect if finger == () else dict(zip(('dane', 'dane-only'), finger or (None, None)))
        self.at, self.why, self.level = at, why, None
        self.hosts, self.site = {}, None  # name: address; of an MTA-STS policy
        check(self.finger is self.expect or why, f'{name}: another opinion without a reason')

        if to == 'route':
            self.target = f'[mx.{self.domain}]'

    def recipient(self):
        """Whoever it is, the mail is for this row: hosts that rows share are told apart by it."""
        return f'{self.label}@{self.target if self.to == "literal" else self.domain}'

    def arrives_at(self):
        """The addresses, any of them."""
        names = self.at if isinstance(self.at, tuple) else (self.at,)
        return [self.hosts[n] for n in names if n in self.hosts] or list(self.hosts.values())[:1]


class Level(Row):
    """A domain that is held to a level of its own, whatever level the others are. names, fingerprints: of its destination
    block, which posttls-finger is told, too; fingerprints are names of certificates."""

    def __init__(self, level, name, records, expect, finger=(), why='', names=(), fingerprints=(), **how):
        super().__init__(level, name, records, expect, expect, finger=(finger, finger) if finger != () else (), why=why, **how)
        self.level, self.names, self.fingerprints = level, names, fingerprints

    def destination(self, certificates):
        prints = [hashlib.sha256(certificates[c].der).hexdigest() for c in self.fingerprints]
        return {'tls': self.level, 'names': self.names or None, 'fingerprints': prints or None}


def zone_of(name, row):
    """Whole name and zone of a name in a row's records."""
    name, slash, zone = name.partition('/')
    zone = zone if slash else row.zone
    zone = f'{zone}.lab' if zone else 'lab'
    return (f'{row.label}.{zone}' if name == '.' else f'{name}.{row.label}.{zone}'), zone


class Names:
    """nsd with the zones, unbound with the root's key."""

    def __init__(self, lab, zones, broken, lame):
        self.lab, self.dir, self.lame = lab, lab.path('names'), lame
        os.makedirs(self.dir, mode=0o755)
        self.keygen, self.signer = find_program('ldns-keygen', 'ldnsutils'), find_program('ldns-signzone', 'ldnsutils')
        self.keys = {z: self.key(z) for z in ('.', 'lab', 'optout.lab', 'bogus.lab')}
        self.anchor = os.path.join(self.dir, 'anchor.ds')
        with open(self.anchor, 'w') as f:
            f.write(self.ds('.'))
        self.zones, self.broken, self.nsd = zones, broken, None
        self.other = self.key('bogus.lab')
        self.write()

    def key(self, zone):
        made = run(self.keygen, '-k', '-a', 'ECDSAP256SHA256', '-r', '/dev/urandom', zone, cwd=self.dir).split()[-1]
        return os.path.join(self.dir, made)

    def ds(self, zone):
        with open(self.keys[zone] + '.ds') as f:
            return f.read()

    def path(self, zone):
        return os.path.join(self.dir, (zone if zone != '.' else 'root') + '.zone')

    def write(self):
        glue = f'ns.lab. A {NSD}\n'
        parts = {'.': f'lab. NS ns.lab.\n{glue}{self.ds("lab")}\n',
                 'lab': f'{glue}plain NS ns.lab.\noptout NS ns.lab.\nbogus NS ns.lab.\n{self.ds("optout.lab")}\n'}
        with open(self.other + '.ds') as f:
            parts['lab'] += f.read() + '\n'
        for zone in ZONES:
            with open(self.path(zone), 'w') as f:
                f.write(f'$ORIGIN {zone.strip(".")}.\n$TTL 1\n@ SOA ns.lab. root.lab. 1 3600 600 86400 1\n@ NS ns.lab.\n' +
                        parts.get(zone, '') + ''.join(self.zones.get(zone, [])))
            if zone in self.keys:
                how = ['-n', '-p', '-t', '0', '-s', 'ab'] if zone == 'optout.lab' else []
                run(self.signer, *how, '-o', zone, '-f', self.path(zone) + '.signed', self.path(zone), self.keys[zone], cwd=self.dir)
                os.rename(self.path(zone) + '.signed', self.path(zone))
        for zone, name, kind in self.broken:
            self.spoil(zone, name, kind)

    def spoil(self, zone, name, kind):
        with open(self.path(zone)) as f:
            text = f.read()
        text, count = re.subn(rf'(?m)^({re.escape(name)}\.\s.*RRSIG\s+{kind}\s.*\s)(\S{{8}})(\S+)$',
                              lambda m: m[1] + m[2][::-1] + m[3], text)
        check(count == 1, f'{count} signatures of {name} {kind}')
        with open(self.path(zone), 'w') as f:
            f.write(text)

    def publish(self, zone, name, kind, data):
        """In place of what the name has of the kind. Others may remember that for a second."""
        line = f'{name}. {kind} '
        self.zones[zone] = [r for r in self.zones[zone] if not r.startswith(line)] + [f'{line}{data}\n']
        self.nsd.terminate()
        self.nsd.wait()
        self.write()
        self.start_nsd()

    def start_nsd(self):
        conf, log = os.path.join(self.dir, 'nsd.conf'), open(self.lab.path('nsd.log'), 'ab')
        with open(conf, 'w') as f:
            f.write(f'server:\n  ip-address: {NSD}\n  username: ""\n  chroot: ""\n  zonesdir: "{self.dir}"\n  database: ""\n'
                    f'  pidfile: "{self.dir}/nsd.pid"\n  xfrdfile: "{self.dir}/xfrd.state"\n  zonelistfile: '
                    f'"{self.dir}/zone.list"\n  server-count: 1\n  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n')
            for zone in ZONES + self.lame:  # of the lame ones there is no file: SERVFAIL
                f.write(f'zone:\n  name: "{zone}"\n  zonefile: "{self.path(zone)}"\n')
        self.nsd = self.lab.spawn(find_program('nsd'), '-d', '-c', conf, stdout=log, stderr=log)
        wait_until(lambda: ask((NSD, 53), 'ns.lab', A) is not None, 20, 'nsd answers')

    def start(self):
        self.start_nsd()
        conf, log = os.path.join(self.dir, 'unbound.conf'), open(self.lab.path('unbound.log'), 'ab')
        with open(conf, 'w') as f:
            f.write(f'server:\n  interface: {RESOLVER}\n  username: ""\n  chroot: ""\n  directory: "{self.dir}"\n  pidfile: ""\n'
                    f'  use-syslog: no\n  do-daemonize: no\n  do-ip6: no\n  num-threads: 1\n  module-config: "validator iterator"\n'
                    f'  trust-anchor-file: "{self.anchor}"\n  val-log-level: 1\n  cache-max-ttl: 1\n'
                    f'stub-zone:\n  name: "."\n  stub-addr: {NSD}\nremote-control:\n  control-enable: no\n')
        self.lab.spawn(find_program('unbound'), '-d', '-c', conf, stdout=log, stderr=log)
        wait_until(lambda: (ask((RESOLVER, 53), 'ns.lab', A, True) or b'xxxx')[3] & 15 == 0, 20, 'unbound answers')


class Hosts:
    """Servers in one event loop, each at its address. What arrives is (recipient, address, TLS or not, name asked for);
    talked has what those were told that no mail has come to: (address, command)."""

    def __init__(self, lab):
        self.arrived, self.talked, self.servers, self.contexts = [], [], [], {}
        logging.getLogger('asyncio').setLevel(logging.ERROR)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        lab.at_end(self.end)

    def context(self, chain, key):
        if (chain, key) not in self.contexts:
            ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            ctx.load_cert_chain(chain, key)

            def named(connection, name, _):
                connection.asked_for = name
            ctx.sni_callback = named
            self.contexts[chain, key] = ctx
        return self.contexts[chain, key]

    def up(self, address, context, starttls):
        async def client(reader, writer):
            try:
                await self.session(reader, writer, address, context, starttls)
            except (OSError, asyncio.IncompleteReadError, ValueError):
                pass
            finally:
                writer.close()
        start = asyncio.start_server(client, address, 25)
        self.servers.append(asyncio.run_coroutine_threadsafe(start, self.loop).result(20))

    async def session(self, reader, writer, address, context, starttls):
        """starttls: yes, no (not offered), refused (454), broken (what is no TLS answers), injected (a reply behind 220)."""
        secure, name, recipients = False, None, []
        writer.write(b'220 world ESMTP\r\n')
        while line := await reader.readline():
            word = line[:4].upper()
            self.talked.append((address, word.decode('ascii', 'replace').strip()))
            if word == b'EHLO':
                writer.write(b'250-world\r\n250-PIPELINING\r\n' +
                             (b'250-STARTTLS\r\n' if starttls != 'no' and not secure else b'') + b'250 8BITMIME\r\n')
            elif word == b'STAR' and starttls == 'refused':
                writer.write(b'454 4.7.0 not now\r\n')
            elif word == b'STAR' and starttls == 'broken':
                writer.write(b'220 go\r\n')
                await reader.read(1)
                writer.write(b'this is not TLS at all\r\n')
            elif word == b'STAR' and not secure:
                writer.write(b'220 go\r\n' + (b'250 injected\r\n' if starttls == 'injected' else b''))
                await writer.drain()
                await writer.start_tls(context)
                secure, name = True, getattr(writer.get_extra_info('ssl_object'), 'asked_for', None)
            elif word == b'RCPT':
                recipients.append(line[line.index(b'<') + 1:line.index(b'>')].decode())
                writer.write(b'250 2.1.5 yes\r\n')
            elif word == b'DATA':
                writer.write(b'354 go\r\n')
                await writer.drain()
                await reader.readuntil(b'\r\n.\r\n')
                self.arrived += [(r, address, secure, name) for r in recipients]
                recipients = []
                writer.write(b'250 2.0.0 taken\r\n')
            elif word == b'QUIT':
                writer.write(b'221 2.0.0 bye\r\n')
                await writer.drain()
                return
            else:
                writer.write(b'250 2.0.0 yes\r\n')
            await writer.drain()

    def end(self):
        async def close():
            for s in self.servers:
                s.close()
        asyncio.run_coroutine_threadsafe(close(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


class World:
    def __init__(self, lab, rows, certificates):
        self.lab, self.rows = lab, rows
        self.pki = Pki(lab.path('pki'))
        self.certificates, self.chains = certificates(self.pki)
        self.hosts, self.next = Hosts(lab), 0
        self.listen, self.sinks, self.web = {}, [], None
        run('ip', 'route', 'add', 'local', f'{NET}.0/23', 'dev', 'lo')
        if not os.path.exists('/proc/sys/net/ipv6'):
            raise Skip('this kernel has no IPv6')
        for name, value in (('conf/lo/disable_ipv6', '0'), ('ip_nonlocal_bind', '1'), ('conf/all/forwarding', '1')):
            with open(f'/proc/sys/net/ipv6/{name}', 'w') as f:
                f.write(value)
        run('ip', '-6', 'route', 'add', 'local', f'{NET6}:/64', 'dev', 'lo')
        zones, broken, self.lame = {}, [], []
        if any(record[1] in ('STS', 'RUA') for row in rows for record in row.records):
            self.web = StsWeb(lab, self.pki)
            self.collector = self.web.collector('reports.lab')
            zones['lab'] = [self.collector.host_record()]
        for row in rows:
            for record in row.records:
                self.take(row, record, zones, broken)
        self.names = Names(lab, zones, broken, self.lame)

    def take(self, row, record, zones, broken):
        """One record of a row: into its zone."""
        name, kind, *data = record
        bad, name = name.startswith('!'), name.lstrip('!')
        whole, zone = zone_of(name, row)
        if kind == 'TLSA':
            whole = f'_25._tcp.{whole}'
        elif kind == 'TYPE52':  # the same record, at the name itself
            kind = 'TLSA'
        if bad:
            return broken.append((zone, whole, kind))
        if kind in ('A', 'AAAA') and data[0].startswith('@'):
            data = [self.serve(row, name if kind == 'A' else f'{name}/6', data[0][1:], kind)]
        elif kind == 'TLSA' and len(data) == 4:
            usage, selector, matching = map(int, data[:3])
            data = [f'{usage} {selector} {matching} {data[3][1:]}'] if data[3].startswith('=') else \
                [self.certificates[data[3]].tlsa(usage, selector, matching)]
        elif kind in ('CNAME', 'MX') and data[-1] != '.':
            data[-1] = zone_of(data[-1], row)[0] + '.'
        elif kind == 'LAME':
            self.lame.append(whole)
            kind, data = 'NS', ['ns.lab.']
        elif kind == 'STS':
            return zones.setdefault(zone, []).extend(self.policy(row, whole, *data))
        elif kind == 'RUA':
            whole, kind, data = f'_smtp._tls.{whole}', 'TXT', [f'"v=TLSRPTv1; rua={data[0]}"']
        zones.setdefault(zone, []).append(f'{whole}. {kind} {" ".join(data)}\n')

    def policy(self, row, domain, mode, hosts, *more):
        """Opens the server of a policy; its records."""
        how, txt, policy = 'good', 'good', {}
        for word in more:
            key, equal, value = word.partition('=')
            if not equal:
                how = key
            elif key == 'txt':
                txt = value
            else:
                policy[key] = None if value == '-' else value
        mx = [h[1:] if h.startswith('=') else zone_of(h, row)[0] for h in hosts.split(',') if h != '-']
        row.site = self.web.site(domain, how, mode=None if mode == '-' else mode, mx=mx, **policy)
        return [row.site.host_record()] + [f'_mta-sts.{domain}. TXT "{t}"\n' for t in TXT[txt]]

    def serve(self, row, name, what, kind='A'):
        """A server: "leaf" (a chain, or a certificate alone), "leaf,refused" and so on (Hosts.session), "-" in place of a
        chain: no TLS; "leaf,postfix", "leaf,aiosmtpd", "-,sink": not one of ours."""
        number = FIRST_HOST + self.next
        address = f'198.51.{100 + number // 256}.{number % 256}' if kind == 'A' else f'{NET6}:{number:x}'
        self.next += 1
        row.hosts[name] = address
        if row.to == 'literal':
            row.target = f'[{address}]'
        chain, _, how = what.partition(',')
        if chain != '-':
            first = self.chains[chain][0] if chain in self.chains else self.certificates[chain]
            path = self.pki.chain(chain, *self.chains[chain]) if chain in self.chains else first.path
        if how == 'postfix':
            self.listen[f'{address}:25'] = [f'-o smtpd_tls_chain_files={first.key},{path}']
        elif how == 'aiosmtpd':
            self.sinks.append((address, path, first.key))
        elif how == 'sink':
            self.sinks.append((address, None, None))
        elif chain == '-':
            self.hosts.up(address, None, 'no')
        else:
            self.hosts.up(address, self.hosts.context(path, first.key), how or 'yes')
        return address

    def start(self):
        self.names.start()
        if self.listen:
            self.postfix = Postfix(self.lab, listen=self.listen, main={
                'smtpd_tls_security_level': 'may', 'mynetworks': '', 'relay_domains': 'lab', 'relay_transport': 'discard',
                'smtpd_peername_lookup': 'no', 'smtpd_recipient_restrictions': 'permit_auth_destination, reject'}).start()
        for address, chain, key in self.sinks:
            self.start_sink(address, chain, key)
        return self

    def start_sink(self, address, chain, key):
        if chain is None:
            self.lab.spawn(find_program('smtp-sink'), '-u', 'mail', f'{address}:25', '100')
            return
        from aiosmtpd.controller import Controller
        world = self

        class Handler:
            async def handle_DATA(self, server, session, envelope):
                secure = session.ssl is not None
                world.hosts.arrived += [(r, address, secure, None) for r in envelope.rcpt_tos]
                return '250 2.0.0 taken'
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.load_cert_chain(chain, key)
        controller = Controller(Handler(), hostname=address, port=25, tls_context=ctx)
        controller.start()
        self.lab.at_end(controller.stop)

    # ---- what came of a row ----

    def use_resolver(self):
        """/etc/resolv.conf of this test's mount namespace: for libresolv, which is to believe unbound."""
        path = self.lab.path('resolv.conf')
        with open(path, 'w') as f:
            f.write(f'nameserver {RESOLVER}\noptions edns0 trust-ad timeout:20 attempts:1\n')
        run('mount', '--bind', path, '/etc/resolv.conf')
        self.finger_conf()  # by one thread

    def finger(self, row, level, target=None):
        """posttls-finger's word about a row, or of the target in it: a word of Row.expect without codes; and all that it has said."""
        more = []
        if row.level:
            level = row.level
            more = [*row.names, *(':'.join(re.findall('..', digest)) for digest in row.destination(self.certificates)['fingerprints'] or ())]
        trusted = ['-F', self.certificates['ca'].path, '-d', 'sha256'] if row.level else []
        said = run(find_program('posttls-finger'), '-c', '-t', '20', '-T', '20', '-l', level, '-L', 'summary,certmatch,verbose', *trusted,
                   target or row.target, *more, ok=None, timeout=60, env=dict(os.environ, LD_LIBRARY_PATH=LIBRARIES, MAIL_CONFIG=self.finger_conf()))
        met = re.findall(r'(\w+) TLS connection established', said)
        if 'does not accept mail' in said or (re.search('type=A(AAA)?: Host not found', said) and 'try again' not in said):
            return 'bounce', said
        # It connects whatever it finds, and tells; where Postfix itself would not send, the word is defer.
        bound = 'DNSSEC-signed TLSA record' in said and 'all TLSA records unusable' not in said
        if 'resorting to "secure"' in said or (met and met[-1] == 'Untrusted' and bound):
            return 'defer', said
        if level in ('fingerprint', 'verify', 'secure') and (not met or met[-1] != 'Verified'):
            return 'defer', said
        if level == 'encrypt' and not met:
            return 'defer', said
        if met:
            return met[-1].lower(), said
        if re.search('lookup failed|Failed to establish|TLSA record|all TLSA records unusable|unsupported TLSA', said):
            return 'defer', said
        return 'clear', said

    def finger_conf(self):
        path = self.lab.path('finger')
        if not os.path.isdir(path):
            os.makedirs(path)
            with open(os.path.join(path, 'main.cf'), 'w') as f:
                f.write('compatibility_level = 3.6\ninet_protocols = all\nshlib_directory = no\nmyhostname = finger.example\n'
                        'mail_owner = mail\nsetgid_group = staff\nsmtp_dns_support_level = dnssec\nsmtp_host_lookup = dns\n')
        return path
