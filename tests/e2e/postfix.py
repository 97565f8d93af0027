"""A real Postfix as a peer, from the unpacked package: as a next hop, as a client, or beside us in a benchmark. It
has a configuration and a queue of its own below the lab and its processes end with the test. No user or group is
made: "mail" owns its queue, and nothing is set-gid."""
import os
import pwd
import shutil
import signal
import subprocess

from harness import PEERS, Failed, Skip, check, die_with_parent, run, wait_until


def libraries(root):
    return os.pathsep.join(os.path.join(root, d) for d in ('usr/lib/postfix', 'usr/lib/x86_64-linux-gnu'))


LIBRARIES = libraries(PEERS)

# name, type, chroot and so on, command; what mail needs and no more
SERVICES = '''\
pickup    unix       n - n 60    1   pickup
cleanup   unix       n - n -     0   cleanup
qmgr      unix       n - n 300   1   qmgr
tlsmgr    unix       - - n 1000? 1   tlsmgr
rewrite   unix       - - n -     -   trivial-rewrite
bounce    unix       - - n -     0   bounce
defer     unix       - - n -     0   bounce
trace     unix       - - n -     0   bounce
verify    unix       - - n -     1   verify
flush     unix       n - n 1000? 0   flush
proxymap  unix       - - n -     -   proxymap
smtp      unix       - - n -     -   smtp
relay     unix       - - n -     -   smtp
showq     unix       n - n -     -   showq
error     unix       - - n -     -   error
retry     unix       - - n -     -   error
discard   unix       - - n -     -   discard
anvil     unix       - - n -     1   anvil
scache    unix       - - n -     1   scache
tlsproxy  unix       - - n -     0   tlsproxy
postlog   unix-dgram n - n -     1   postlogd
'''


class Postfix:
    """Postfix(lab, listen={'10.9.0.2:25': []}, main={'mydestination': ''}): a map of address:port, or
    address:port=program, to smtpd's arguments; settings of main.cf. Tables are files of the type texthash. root: where
    the package was unpacked. prefix: words before its own command; enter is called in the child before it."""

    prefix, enter = (), staticmethod(lambda: None)

    def __init__(self, lab, name='postfix', listen=None, main=None, root=PEERS):
        self.root, self.sbin = root, os.path.join(root, 'usr/lib/postfix/sbin')
        if not os.path.exists(os.path.join(self.sbin, 'master')):
            raise Skip('Postfix is not here (tests/run e2e brings it)')
        self.lab, self.name, self.process = lab, name, None
        self.dir = lab.path(name)
        self.conf, self.queue, self.data = (os.path.join(self.dir, d) for d in ('etc', 'queue', 'data'))
        self.log_path = os.path.join(self.dir, 'maillog')
        self.owner = pwd.getpwnam('mail')
        self.make_queue()
        self.main = self.defaults() | (main or {})
        self.listen = listen or {}
        self.without = ()  # services that are not started
        self.write()
        lab.at_end(self.stop)

    def defaults(self):
        return {
            'compatibility_level': '3.6', 'myhostname': 'postfix.example', 'mail_owner': 'mail', 'setgid_group': 'staff',
            'queue_directory': self.queue, 'data_directory': self.data, 'daemon_directory': self.sbin,
            'command_directory': os.path.join(self.root, 'usr/sbin'), 'shlib_directory': 'no', 'meta_directory': self.conf,
            'maillog_file': self.log_path, 'maillog_file_prefixes': self.dir, 'inet_protocols': 'ipv4',
            'alias_maps': '', 'alias_database': '', 'mydestination': '', 'local_recipient_maps': '', 'biff': 'no',
            'import_environment': 'MAIL_CONFIG LD_LIBRARY_PATH', 'export_environment': 'TZ LD_LIBRARY_PATH',
            'default_database_type': 'texthash', 'smtp_host_lookup': 'native', 'smtp_dns_support_level': 'disabled',
        }

    def make_queue(self):
        for d in (self.dir, self.conf, self.queue, self.data):
            os.makedirs(d, exist_ok=True)
            os.chmod(d, 0o755)
        os.chown(self.data, self.owner.pw_uid, self.owner.pw_gid)
        for d in ('active', 'bounce', 'corrupt', 'defer', 'deferred', 'flush', 'hold', 'incoming', 'private', 'saved',
                  'trace', 'maildrop', 'public', 'pid'):
            path = os.path.join(self.queue, d)
            os.makedirs(path, exist_ok=True)
            os.chmod(path, 0o700)
            if d != 'pid':
                os.chown(path, self.owner.pw_uid, -1)

    def write(self):
        """main.cf and master.cf, anew."""
        with open(os.path.join(self.conf, 'main.cf'), 'w') as f:
            f.writelines(f'{key} = {value}\n' for key, value in self.main.items())
        with open(os.path.join(self.conf, 'master.cf'), 'w') as f:
            f.writelines(line for line in SERVICES.splitlines(True) if line.split()[0] not in self.without)
            for where, args in self.listen.items():
                address, _, program = where.partition('=')
                f.write(f'{address} inet n - n - - {program or "smtpd"}' + ''.join(f' {a}' for a in args) + '\n')
        maps = os.path.join(self.root, 'etc/postfix/dynamicmaps.cf')
        shutil.copyfile(maps if os.path.exists(maps) else os.devnull, os.path.join(self.conf, 'dynamicmaps.cf'))

    def table(self, name, rows):
        """A texthash file; what main.cf calls it."""
        path = os.path.join(self.dir, name)
        with open(path, 'w') as f:
            f.writelines(f'{key}\t{value}\n' for key, value in rows.items())
        return f'texthash:{path}'

    def environment(self):
        return dict(os.environ, LD_LIBRARY_PATH=libraries(self.root), MAIL_CONFIG=self.conf)

    def start(self):
        def enter():
            self.enter()
            die_with_parent()
        self.output = open(os.path.join(self.dir, 'master.out'), 'ab')
        self.process = subprocess.Popen([*self.prefix, os.path.join(self.sbin, 'master'), '-c', self.conf], stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.output, env=self.environment(), preexec_fn=enter)

        def ready():
            if self.process.poll() is not None:
                with open(self.output.name, errors='replace') as f:
                    raise Failed(f'Postfix ended with {self.process.returncode}: {(f.read() + self.log())[-400:]}')
            return 'daemon started' in self.log()
        wait_until(ready, 20, 'Postfix started')
        return self

    def log(self):
        try:
            with open(self.log_path, errors='replace') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def command(self, program, *args):
        """One of its commands, run to its end: postqueue -f, say."""
        return run(os.path.join(self.root, 'usr/sbin', program), '-c', self.conf, *args, env=self.environment())

    def reload(self):
        self.write()
        self.process.send_signal(signal.SIGHUP)

    def tree(self):
        """Its processes that are alive, by pid."""
        children = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open(f'/proc/{pid}/stat') as f:
                    fields = f.read().rsplit(')', 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(int(fields[1]), []).append((int(pid), fields))
        found, at = {}, [self.process.pid]
        with open(f'/proc/{self.process.pid}/stat') as f:
            found[self.process.pid] = f.read().rsplit(')', 1)[1].split()
        while at:
            for pid, fields in children.get(at.pop(), []):
                found[pid] = fields
                at.append(pid)
        return found

    def cpu_seconds(self):
        """User and system time of all its processes, those that have ended, too."""
        return sum(int(n) for fields in self.tree().values() for n in fields[11:15]) / os.sysconf('SC_CLK_TCK')

    def stop(self):
        if self.process is None or self.process.poll() is not None:
            return
        pids = list(self.tree())
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in pids[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        check(self.process.returncode is not None, 'Postfix has ended')
