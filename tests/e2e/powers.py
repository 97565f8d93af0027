"""What a process may do, as the kernel tells it: ids, capabilities, its filter, its memory."""
import os
import re

from harness import check, check_equal

SETS = ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb')


def status_of(path):
    with open(f'/proc/{path}/status') as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)


def threads(pid):
    return [f'{pid}/task/{task}' for task in os.listdir(f'/proc/{pid}/task')]


def role_pids(name):
    """The processes of that role in the test's own network namespace."""
    found = []
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                line = f.read()
            if line == f'sluiced\0--role={name}\0'.encode() and os.readlink(f'/proc/{pid}/ns/net') == os.readlink('/proc/self/ns/net') \
                    and status_of(pid)['State'][0] != 'Z':
                found.append(int(pid))
        except OSError:
            continue
    return sorted(found)


def check_closed(pid, what):
    """Each thread has a filter and never gains a right; nobody looks into it, it leaves no core, has no code that was written."""
    for thread in threads(pid):
        status = status_of(thread)
        check_equal((status['NoNewPrivs'], status['Seccomp']), ('1', '2'), f'{what}: no_new_privs and seccomp of {thread}')
    check_equal(os.stat(f'/proc/{pid}/environ').st_uid, 0, f'{what}: dumpable')
    with open(f'/proc/{pid}/limits') as f:
        check(re.search(r'^Max core file size +0 +0 ', f.read(), re.M), f'{what}: may write a core')
    with open(f'/proc/{pid}/maps') as f:
        both = [line for line in f if re.match(r'\S+ \Sw\Sx|\S+ .wx', line)]
    check_equal(both, [], f'{what}: memory that is written and executed')


def check_powerless(pid, uid, what):
    """Each thread is that user in all four ids and has no right of root, nor a group of root's, nor a way back."""
    check_closed(pid, what)
    for thread in threads(pid):
        status = status_of(thread)
        check_equal(status['Uid'].split(), [str(uid)] * 4, f'{what}: user ids of {thread}')
        check(status['Gid'].split()[0] != '0' and len(set(status['Gid'].split())) == 1, f'{what}: group ids of {thread}: {status["Gid"]}')
        check('0' not in status['Groups'].split(), f'{what}: groups of {thread}: {status["Groups"]}')
        for name in SETS:
            check_equal(int(status[name], 16), 0, f'{what}: {name} of {thread}')
