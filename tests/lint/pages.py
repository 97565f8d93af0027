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


for page in ('sluicectl.1', 'sluiced.8', 'sluice.conf.5'):
    done = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', WHERE / page], capture_output=True, text=True)
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

for finding in findings:
    print(finding)
raise SystemExit(1 if findings else 0)
