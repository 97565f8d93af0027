"""Where the peers' programs come from: Debian's packages, each with the libraries that it lacks unpacked below build/peers/NAME,
as they conflict and none may be installed; Haraka from npm. What is missing is told by why_not(), never passed over."""
import json
import os
import re
import shutil
import subprocess

SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '..'))
ROOTS = os.path.join(SOURCE, 'build/peers')
PACKAGES = {'postfix': ['postfix'], 'exim': ['exim4-base', 'exim4-daemon-light'], 'opensmtpd': ['opensmtpd'], 'gnuplot': ['gnuplot-nox']}
# Haraka by the least major version of Node that it runs on: Debian 12 has 18.
HARAKA = ((20, '3.1.7'), (18, '3.0.5'))
NAMES = ('postfix', 'exim', 'opensmtpd', 'haraka')
DONE = '.complete'


class Missing(Exception):
    """Why a peer is not here."""


def root(name):
    return os.path.join(ROOTS, name)


def command(*args, cwd=None):
    done = subprocess.run(args, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=600, env=dict(os.environ, DEBIAN_FRONTEND='noninteractive', LC_ALL='C.UTF-8'))
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if re.search('^E:|err', line, re.I)] or done.stdout.splitlines()
        raise Missing(f'{" ".join(args[:3])}: {(lines or ["no output"])[0][:200]}')
    return done.stdout


def unpack(name):
    """The packages, and those that this machine would have to install with them."""
    wanted = list(PACKAGES[name])
    try:
        plan = command('apt-get', '-s', '--no-install-recommends', 'install', *wanted)
    except Missing:
        command('apt-get', 'update')
        plan = command('apt-get', '-s', '--no-install-recommends', 'install', *wanted)
    wanted += [p for p in re.findall(r'^Inst (\S+)', plan, re.M) if p not in wanted]
    where = root(name)
    debs = os.path.join(where, 'debs')
    os.makedirs(debs)
    try:
        command('apt-get', 'download', *wanted, cwd=debs)
    except Missing:
        command('apt-get', 'update')
        command('apt-get', 'download', *wanted, cwd=debs)
    for deb in sorted(os.listdir(debs)):
        command('dpkg-deb', '-x', os.path.join(debs, deb), where)
    versions = [deb.split('_')[1].replace('%3a', ':') for deb in os.listdir(debs) if deb.split('_')[0] == PACKAGES[name][-1]]
    shutil.rmtree(debs)
    return versions[0]


def node_major():
    node = shutil.which('node') or shutil.which('nodejs')
    if node is None:
        raise Missing('no node: apt-get install nodejs')
    return int(re.match(r'v(\d+)', command(node, '--version')).group(1))


def install_haraka():
    major = node_major()
    version = next((v for least, v in HARAKA if major >= least), None)
    if version is None:
        raise Missing(f'node {major} is too old, Haraka wants {HARAKA[-1][0]}')
    if shutil.which('npm') is None:
        raise Missing('no npm: apt-get install npm')
    os.makedirs(root('haraka'))
    command('npm', 'install', '--prefix', root('haraka'), f'Haraka@{version}', '--omit=dev', '--no-audit', '--no-fund')
    with open(os.path.join(root('haraka'), 'node_modules/Haraka/package.json')) as f:
        return json.load(f)['version']


def is_here(name):
    return os.path.exists(os.path.join(root(name), DONE))


def fetch(name):
    """Brings a peer unless it is here; raises Missing. Not from a network namespace of a test: it has no way out."""
    stamp = os.path.join(root(name), DONE)
    if is_here(name):
        return
    shutil.rmtree(root(name), ignore_errors=True)
    os.makedirs(ROOTS, exist_ok=True)
    try:
        version = install_haraka() if name == 'haraka' else unpack(name)
    except (Missing, OSError, subprocess.TimeoutExpired) as why:
        shutil.rmtree(root(name), ignore_errors=True)
        raise Missing(' '.join(str(why).split())) from None
    with open(stamp, 'w') as f:
        f.write(version + '\n')


def version(name):
    with open(os.path.join(root(name), DONE)) as f:
        return f.read().strip()


def fetch_all(names=NAMES):
    """Those that are here; a line for each that is not."""
    here = []
    for name in names:
        try:
            fetch(name)
            here.append(name)
        except Missing as why:
            print(f'peer {name}: not installed: {why}', flush=True)
    return here
