"""Seeds for fuzz_import: the fixtures' files as its four parts, and every parameter that the tables know, a few in each."""
import os
import random
import re
import sys

out, count = sys.argv[2], int(sys.argv[3])
os.makedirs(out, exist_ok=True)
source = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
data = os.path.join(source, 'tests/data/import')


def read(*parts):
    with open(os.path.join(*parts), 'rb') as f:
        return f.read()


def table(name):
    return re.findall(r'^    [A-Z]+\("([^"]+)"', read(source, 'lib/import', name).decode(), re.M)


def seed(name, *parts):
    with open(os.path.join(out, name), 'wb') as f:
        f.write(b'\xff'.join(parts))


env = read(data, 'mailserver/mailserver.env')
for folder in ('gateway', 'transports'):
    for kind in sorted(os.listdir(os.path.join(data, folder))):
        seed(f'{folder}-{kind}', read(data, folder, 'main.cf'), read(data, folder, 'master.cf'), read(data, folder, kind), env)
VALUES = ['yes', 'no', '0', '7', '1d', '30s', 'may', 'encrypt', 'secure', 'hash:/etc/postfix/map', 'pcre:/x', 'inline:{ a.example=smtp:[b.example]:25 }',
          'static:u:p', '[192.0.2.9]:587', 'example.org .example.net', '$mydomain', '${x?y}', '${{1} < {2} ? {a} : {b}}', '10.0.0.0/8 ![::1]/128',
          'lmtp:unix:private/x', 'reject_rbl_client bl.example=127.0.0.[1..4]*2', 'haproxy', '/etc/postfix/file', '']
rows, words, variables = table('import_table.c'), table('import_rule.c'), table('import_dms_table.c')
chance = random.Random(1)
for i in range(count):
    main = ''.join(f"{name.replace('*', 'slow')} = {chance.choice(VALUES)}\n" for name in chance.sample(rows, 12))
    main += 'smtpd_recipient_restrictions = ' + ', '.join(chance.sample(words, 4)) + '\n'
    master = ''.join(f"{port} inet n - - - - smtpd -o {chance.choice(rows).replace('*', 'x')}={chance.choice(VALUES)}\n"
                     for port in chance.sample(['smtp', '465', 'submission', '[::1]:25', '192.0.2.3:2525', 'x'], 3))
    maps = 'example.org smtp:[192.0.2.9]\n.example.org lmtp:inet:x:24\n* slow:\na@b.example c d@e.example\n/^x(.*)$/ $1@y.example\n192.0.2.0/24 OK\n'
    names = ''.join(f"{name.replace('*', 'X')}={chance.choice(VALUES)}\n" for name in chance.sample(variables, 8))
    seed(f'row{i}', main.encode(), master.encode(), maps.encode(), names.encode())
