"""The man pages: mandoc finds nothing to warn of, and each command, each setting and each option is in its page."""
import re
import shutil
import subprocess

import lint

if shutil.which('mandoc') is None:
    lint.skip('mandoc is not installed')

WHERE = lint.BUILD / 'app/sluicectl'
findings = []


def rendered(page):
    said = subprocess.run(['mandoc', '-Tutf8', '-O', 'width=200', WHERE / page], capture_output=True, check=True).stdout.decode()
    return re.sub('.\b', '', said)


BY_HAND = sorted((lint.SOURCE / 'conf/man').glob('*'))
for page in [WHERE / name for name in ('sluicectl.1', 'sluiced.8', 'sluice.conf.5')] + BY_HAND:
    done = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', page], capture_output=True, text=True)
    findings += done.stdout.splitlines() + done.stderr.splitlines()
    if done.returncode != 0 and not findings:
        findings.append(f'{page}: mandoc ends with {done.returncode}')

usage = subprocess.run([WHERE / 'sluicectl', '--help'], capture_output=True, text=True, check=True).stdout
names = re.findall(r'^  ([a-z][a-z -]*?)(?: [A-Z[].*?)?(?:  +.*)?$', usage, re.M)
text = rendered('sluicectl.1')
for name in names:
    if not re.search(rf'^ +{re.escape(name)}\b', text, re.M):
        findings.append(f'sluicectl(1) has no {name}')
if len(names) < 30:
    findings.append(f'sluicectl --help has only {len(names)} commands')

text = rendered('sluice.conf.5')
keys = set(re.findall(r'^ +#?([a-z0-9_]+) = ', lint.text(lint.SOURCE / 'conf/sluice.conf'), re.M))
for key in sorted(keys):
    if not re.search(rf'^ +{key} \(', text, re.M):
        findings.append(f'sluice.conf(5) has no {key}')
if len(keys) < 100:
    findings.append(f'conf/sluice.conf has only {len(keys)} keys')

# What pages written by hand speak of is there: settings, commands, other pages. All of them are installed.
blocks = dict(re.findall(r'^#?(\w+)(?: [\w.]+)? \{\n(.*?)^#?\}', lint.text(lint.SOURCE / 'conf/sluice.conf'), re.M | re.S))
installed = lint.text(lint.SOURCE / 'conf/meson.build')
for page in BY_HAND:
    text = lint.text(page)
    if f"'man/{page.name}'" not in installed:
        findings.append(f'{page.name} is not installed')
    for said in re.findall(r'"([^"\n]+)"', text):
        setting = re.fullmatch(r'(\w+): (\w+)(?: = .*)?', said)
        if setting and setting[1] in blocks and not re.search(rf'^ +#?{setting[2]} = ', blocks[setting[1]], re.M):
            findings.append(f'{page.name}: there is no setting {said}')
    for said in re.findall(r'^ *(?:\.Li \(? ?")?sluicectl ([a-z]+(?: [a-z-]+)?)', text, re.M):
        if not any(n == said or n.split()[0] == said or n == said.split()[0] for n in names):
            findings.append(f'{page.name}: there is no command sluicectl {said}')
    for other, number in re.findall(r'^\.Xr (?:\( )?(\S+) (\d)', text, re.M):
        if other.startswith('sluice') and f'{other}.{number}' not in [p.name for p in BY_HAND] + ['sluicectl.1', 'sluiced.8', 'sluice.conf.5']:
            findings.append(f'{page.name}: there is no {other}({number})')

for finding in findings:
    print(finding)
raise SystemExit(1 if findings else 0)
