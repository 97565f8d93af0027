"""Other mail servers beside ours: each with the defaults of its package, in a root and a control group of its own, in the
network namespace of servers. What it accepts is thrown away, or relayed to one next hop. What differs from defaults is said at each class; why: README.md."""
import os
import shutil
import signal
import subprocess

import packages
import postfix
from harness import GATEWAY_IP, Failed, die_with_parent, run, wait_until
from meter import Meter

START_S, DOMAIN = 60, 'example.org'
HELD_MAX = 1200  # connections at a time, for those that have a limit


class Peer:
    """Peer(lab, place, tls): place has a directory and the way into the servers' namespace (ground.py), tls a chain and a key;
    relay an address and a port that all mail goes to.
    start() returns when port 25 greets."""

    name = durable = None
    tls_broken = None  # why it has none
    pipelining = True

    def __init__(self, lab, place, tls=None, many=False, relay=None):
        self.lab, self.place, self.tls, self.many, self.relay, self.process = lab, place, tls, many, relay, None
        place.count += 1
        self.dir = place.path(f'{self.name}{place.count}')
        os.makedirs(self.dir)
        self.meter = Meter(lab, self.name)
        self.cpus = None  # a set of processors that its processes are kept to

    def enter_meter(self):
        self.meter.enter()
        if self.cpus:
            os.sched_setaffinity(0, self.cpus)

    def spawn(self, argv, **env):
        def enter():
            self.enter_meter()
            die_with_parent()
        self.output = os.path.join(self.dir, 'output')
        with open(self.output, 'wb') as out:
            self.process = subprocess.Popen([*self.place.enter, *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=enter,
                                            env=dict(os.environ, **env), cwd=self.dir)
        self.lab.at_end(self.stop)

    def start(self):
        self.begin()

        def greets():
            if self.process.poll() is not None:
                raise Failed(f'{self.name} ended with {self.process.returncode}: {self.says()[-400:]}')
            return self.place.greeting().startswith(b'220')
        wait_until(greets, START_S, f'{self.name} greets: {self.says()[-200:]}')
        return self

    def says(self):
        with open(self.output, errors='replace') as f:
            return f.read()

    def queued(self):
        """Files of messages that it still has."""
        return sum(len(files) for folder in self.queues() for _, _, files in os.walk(folder))

    def queues(self):
        return []

    def stop(self):
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
        self.meter.end_all()
        self.process.wait()
        self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)
        self.meter.close()


class Postfix(Peer):
    """Its transport is discard; texthash instead of hash where a table is needed; in (g) more processes."""
    name, durable = 'postfix', True
    settings = {}
    without = ()

    def begin(self):
        main = {'mynetworks': '127.0.0.0/8', 'relay_domains': DOMAIN, 'transport_maps': '', 'relay_transport': 'discard:',
                'default_transport': 'discard:', 'smtpd_relay_restrictions': 'permit_mynetworks, reject_unauth_destination',
                'relay_recipient_maps': '', 'message_size_limit': '50000000', 'smtpd_client_connection_count_limit': '0'}
        if self.relay:
            main['relay_transport'] = main['default_transport'] = f'relay:[{self.relay[0]}]:{self.relay[1]}'
        main |= self.settings
        if self.many:
            main['default_process_limit'] = str(HELD_MAX)
        if self.tls:
            main |= {'smtpd_tls_security_level': 'may', 'smtpd_tls_cert_file': self.tls[0], 'smtpd_tls_key_file': self.tls[1]}
        place = self.place

        class Here:  # Postfix's own directory is below ours, and its end is ours
            path = staticmethod(lambda name: os.path.join(self.dir, name))
            at_end = staticmethod(lambda ending: None)
        real = postfix.Postfix(Here, name='p', listen={f'{GATEWAY_IP}:25': []}, main=main, root=packages.root('postfix'))
        real.without = self.without
        real.write()
        real.prefix, real.enter = place.enter, self.enter_meter
        self.lab.at_end(self.stop)
        real.start()
        self.process, self.real, self.output = real.process, real, real.log_path

    def queues(self):
        return [os.path.join(self.real.queue, d) for d in ('incoming', 'active', 'maildrop', 'deferred')]


class PostfixAccepting(Postfix):
    """Without its queue manager: what it accepts stays, as it does with ours. Nothing delays the sender for that."""
    name = 'postfix-accept'
    settings = {'in_flow_delay': '0'}
    without = ('qmgr',)

    def queued(self):
        return 0


class Rooted(Peer):
    """In a root that has the machine's /usr with the package's own over it, and /etc and /var of its own."""
    users = {}

    def make_root(self, files):
        """files: what is in /etc besides what every program needs."""
        etc = os.path.join(self.dir, 'etc')
        os.makedirs(os.path.join(etc, 'ssl'))
        for name in ('passwd', 'group', 'nsswitch.conf', 'ld.so.cache', 'services', 'protocols', 'localtime', 'ssl/openssl.cnf'):
            if os.path.exists(os.path.join('/etc', name)):
                shutil.copyfile(os.path.join('/etc', name), os.path.join(etc, name))
        files = {'hosts': '127.0.0.1 localhost\n', 'resolv.conf': 'nameserver 127.0.0.1\noptions timeout:1 attempts:1\n', **files}
        for name, text in files.items():
            os.makedirs(os.path.dirname(os.path.join(etc, name)), exist_ok=True)
            with open(os.path.join(etc, name), 'w') as f:
                f.write(text)
        for name, number in self.users.items():
            with open(os.path.join(etc, 'passwd'), 'a') as f:
                f.write(f'{name}:x:{number}:{number}::/var/empty:/bin/false\n')
            with open(os.path.join(etc, 'group'), 'a') as f:
                f.write(f'{name}:x:{number}:\n')
        if self.tls:
            os.makedirs(os.path.join(etc, 'tls'))
            for path, name in zip(self.tls, ('mx.pem', 'mx.key')):
                shutil.copyfile(path, os.path.join(etc, 'tls', name))
                os.chown(os.path.join(etc, 'tls', name), 0, self.key_group())
                os.chmod(os.path.join(etc, 'tls', name), self.key_mode)
        for name in ('new', 'var/empty', 'var/log', 'var/spool', 'var/tmp', 'var/lib'):
            os.makedirs(os.path.join(self.dir, name))
        os.chmod(os.path.join(self.dir, 'var/tmp'), 0o1777)

    key_mode = 0o640

    def key_group(self):
        return 0

    def in_root(self, *argv):
        new, here = os.path.join(self.dir, 'new'), self.dir
        script = f'''set -e
            mount -t tmpfs -o mode=755 none "{new}"
            cd "{new}"
            mkdir usr etc var dev proc tmp run root sys
            chmod 1777 tmp
            for d in bin sbin lib lib64; do ln -s usr/$d $d; done
            mount -t overlay -o lowerdir="{packages.root(self.name)}/usr:/usr" overlay usr
            mount --bind "{here}/etc" etc
            mount --bind "{here}/var" var
            ln -s /run var/run
            mount --rbind /dev dev
            mount --rbind /proc proc
            exec chroot . "$@"'''
        return ['unshare', '-m', '--propagation', 'private', 'sh', '-c', script, 'sh', *argv]


class Exim(Rooted):
    """Messages go to :blackhole:. More connections at a time than the default of 20, a longer listen queue, and no rest of a
    connection's mail is left to the next queue run (smtp_accept_queue_per_connection, 10 by default)."""
    name, durable = 'exim', True
    users = {'Debian-exim': 64999}

    def key_group(self):
        return self.users['Debian-exim']

    def begin(self):
        tls = 'tls_advertise_hosts = *\ntls_certificate = /etc/tls/mx.pem\ntls_privatekey = /etc/tls/mx.key\n' if self.tls else 'tls_advertise_hosts =\n'
        away = 'driver = redirect\n  data = :blackhole:'
        transport = ''
        if self.relay:
            away = f'driver = manualroute\n  transport = out\n  route_list = * {self.relay[0]}'
            transport = f'out:\n  driver = smtp\n  port = {self.relay[1]}\n  hosts_avoid_tls = *\n'
        self.make_root({'exim4/exim4.conf': f'''primary_hostname = exim.example
domainlist ours = {DOMAIN}
acl_smtp_rcpt = rcpt
daemon_smtp_ports = 25
local_interfaces = {GATEWAY_IP}
disable_ipv6 = true
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 1500
smtp_connect_backlog = 1024
smtp_accept_queue_per_connection = 0
spool_directory = /var/spool/exim4
log_file_path = /var/log/exim4/%slog
keep_environment =
{tls}
begin acl
rcpt:
  accept domains = +ours
  deny message = relay not permitted
begin routers
away:
  {away}
begin transports
{transport}begin retry
* * F,1h,10m
'''})
        for name in ('spool/exim4', 'log/exim4', 'lib/exim4'):
            path = os.path.join(self.dir, 'var', name)
            os.makedirs(path)
            os.chown(path, self.users['Debian-exim'], self.users['Debian-exim'])
        self.spawn(self.in_root('/usr/sbin/exim4', '-bdf', '-q30m'))

    def queues(self):
        return [os.path.join(self.dir, 'var/spool/exim4/input')]


class OpenSmtpd(Rooted):
    """Messages go to cat and /dev/null, a process for each: one that reads nothing fails with long ones. Its listen queue of 5 is raised by a preloaded listen()."""
    name, durable = 'opensmtpd', False
    users = {'opensmtpd': 64997, 'opensmtpq': 64998}
    key_mode = 0o600
    pipelining = False
    tls_broken = 'this version fails every handshake with OpenSSL 3 (its issues 1171, 1239; mended in later ones)'

    def begin(self):
        away = f'relay host "smtp://{self.relay[0]}:{self.relay[1]}"' if self.relay else 'mda "exec cat >/dev/null" virtual { "@" = "receiver" }'
        self.make_root({'smtpd.conf': f'''listen on {GATEWAY_IP} port 25 hostname opensmtpd.example
action "away" {away}
match from any for domain "{DOMAIN}" action "away"
'''})
        with open(os.path.join(self.dir, 'etc/passwd'), 'a') as f:
            f.write('receiver:x:64996:64996::/var/receiver:/bin/sh\n')
        for name, mode, owner in (('spool/smtpd', 0o711, (0, 0)), ('lib/opensmtpd/empty', 0o755, (0, 0)), ('receiver', 0o755, (64996, 64996))):
            path = os.path.join(self.dir, 'var', name)
            os.makedirs(path)
            os.chmod(path, mode)
            os.chown(path, *owner)
        preload = os.path.join(os.environ['SLUICE_BUILD'], 'perf/libbacklog.so')
        shutil.copyfile(preload, os.path.join(self.dir, 'etc/libbacklog.so'))
        self.spawn(self.in_root('env', 'LD_PRELOAD=/etc/libbacklog.so', '/usr/sbin/smtpd', '-d'))

    def queues(self):
        return [os.path.join(self.dir, 'var/spool/smtpd/queue')]


class Haraka(Peer):
    """One process, as by default. queue/discard: messages never leave its memory, which is less than any user has it do.
    As a relay it hands them on before its own 250 (queue/smtp_forward), and has no queue."""
    name, durable = 'haraka', False

    def begin(self):
        queue = 'smtp_forward' if self.relay else 'discard'
        files = {'smtp.ini': f'listen={GATEWAY_IP}:25\n', 'me': 'haraka.example\n', 'host_list': DOMAIN + '\n',
                 'plugins': ('tls\n' if self.tls else '') + f'rcpt_to.in_host_list\nqueue/{queue}\n', 'log.ini': '[main]\nlevel=notice\n'}
        if self.tls:
            files['tls.ini'] = f'key={self.tls[1]}\ncert={self.tls[0]}\n'
        if self.relay:
            files['smtp_forward.ini'] = f'host={self.relay[0]}\nport={self.relay[1]}\n'
        home = os.path.join(self.dir, 'home')
        program = [shutil.which('node') or 'nodejs', os.path.join(packages.root('haraka'), 'node_modules/Haraka/bin/haraka')]
        run(*program, '-i', home)  # its own defaults
        for name, text in files.items():
            with open(os.path.join(home, 'config', name), 'w') as f:
                f.write(text)
        self.spawn([*program, '-c', home], YES_REALLY_DO_DISCARD='1')


KINDS = {kind.name: kind for kind in (Postfix, PostfixAccepting, Exim, OpenSmtpd, Haraka)}


def present(names=packages.NAMES):
    """The kinds that are here. Whoever starts a case has fetched them, and has been told of those that could not be."""
    return [KINDS[name] for name in names if packages.is_here(name)]
