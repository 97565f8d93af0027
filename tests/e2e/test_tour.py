#!/usr/bin/python3
# limit: 60
"""The ten minutes of sluice(7), word for word: the commands of its sections 2 to 6 are typed into a shell as they stand there,
and come to what the page says. Section 1 is app/quickstart, which the suite script runs."""
import os
import re
import subprocess

from harness import BUILD, SOURCE, Failed, check, check_equal, die_with_parent, main, run, wait_until

shell = sections = None


def setup(lab):
    global shell, sections
    for name in ('run', 'var/spool', 'var/lib'):  # the profile has the usual places, which are the machine's
        os.makedirs(lab.path(name))
        run('mount', '--bind', lab.path(name), '/' + name)
    os.makedirs(lab.path('clone'))
    os.symlink(os.path.join(SOURCE, 'conf'), lab.path('clone/conf'))
    os.symlink(BUILD, lab.path('clone/build'))
    with open(os.path.join(SOURCE, 'conf/man/sluice.7')) as f:
        page = f.read().split('.Sh TEN MINUTES\n')[1].split('.Sh ')[0]
    sections = {}
    for part in page.split('.Ss ')[1:]:
        blocks = re.findall(r'^\.Bd -literal.*?\n(.*?)^\.Ed', part, re.M | re.S)
        sections[int(part[0])] = [line.replace('\\e', '\\') for block in blocks for line in block.splitlines()]
    shell = lab.spawn('bash', cwd=lab.path('clone'), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                      bufsize=1, start_new_session=True, preexec_fn=die_with_parent)
    lab.at_end(lambda: typed('kill $(jobs -p); wait') if shell.poll() is None else None)


def typed(line):
    """Types one line; what the shell and its jobs print until it is done, and its status."""
    shell.stdin.write(line + '\necho "@@$?"\n')
    shell.stdin.flush()
    said = []
    for answer in shell.stdout:
        found = re.search(r'@@(\d+)$', answer)
        if found:
            return ''.join(said), int(found.group(1))
        said.append(answer)
    raise Failed(f'the shell ended at: {line}')


def follow(number):
    """All lines of a section; what each printed. Each has to come to a good end."""
    said = {}
    for line in sections[number]:
        said[line], status = typed(line)
        check_equal(status, 0, f'status of {line}: {said[line][-300:]}')
        if 'aiosmtpd' in line:
            wait_until(lambda: typed('exec 3<>/dev/tcp/192.0.2.254/2525 && exec 3>&-')[1] == 0, 30, 'the receiver listens')
        if line == 'sluicectl queue flush':
            wait_until(lambda: typed('sluicectl queue list')[0].count('@') == 0, 30, 'the queue is empty')
        if line.startswith('swaks'):
            wait_until(lambda: 'refused' in typed('sluicectl queue list')[0], 30, 'the first try is over')
    return said


def test_configuration(lab):
    check_equal(sorted(sections), [1, 2, 3, 4, 5, 6], 'sections of the page')
    check_equal(sections[1], ['app/quickstart'], 'the first section')
    said = follow(2)
    check('my.conf: ok' in said['sluiced --check my.conf'], said['sluiced --check my.conf'])
    typed("sed 's/hostname/hostnam/' my.conf >bad.conf")
    told, status = typed('sluiced --check bad.conf')
    check(status != 0 and re.search(r'^.*bad\.conf:\d+: gateway: hostnam: ', told, re.M), f'a slip is told with its line: {told}')


def test_send(lab):
    said = follow(3)
    check('250 2.0.0 Ok: queued as ' in said[sections[3][0]], said[sections[3][0]])
    check('words="refused"' in said['sluicectl queue list'] and 'next=' in said['sluicectl queue list'], said['sluicectl queue list'])


def test_deliver(lab):
    said = follow(4)
    check_equal(said['sluicectl queue list'].strip(), 'the queue is empty', 'the queue')
    log = said['sluicectl log tail']
    delivered = re.search(r' delivered id=(\w+) ', log)
    check(delivered and re.search(rf' accepted id={delivered.group(1)} ', log) and
          re.search(rf' finished id={delivered.group(1)}', log), log[-600:])


def test_change(lab):
    said = follow(5)
    check('hostname = lab.example.org;' in said['sluicectl config show --changed'], said['sluicectl config show --changed'])
    check('message_size' in said['sluicectl reload'], said['sluicectl reload'])


def test_stop(lab):
    follow(6)
    wait_until(lambda: typed('sluicectl status')[1] == 3, 30, 'the gateway is gone')


main(setup)
