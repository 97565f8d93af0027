"""A second network namespace: the rest of the world, where the program's own one is the machine."""
import os

from harness import CLONE_NEWNET, HOST_IP, check_equal, libc, run


class Namespace:
    """with far: what this thread opens and starts is over there."""

    def __init__(self, lab):
        self.home = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        check_equal(libc.unshare(CLONE_NEWNET), 0, 'unshare')
        self.there = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        run('ip', 'link', 'set', 'lo', 'up')
        with open('/proc/sys/net/ipv4/ip_nonlocal_bind', 'w') as f:
            f.write('1')
        self.child = lab.spawn('sleep', 'infinity')  # a name for ip link set ... netns
        self.__exit__()

    def __enter__(self):
        check_equal(libc.setns(self.there, CLONE_NEWNET), 0, 'setns')

    def __exit__(self, *_):
        check_equal(libc.setns(self.home, CLONE_NEWNET), 0, 'setns')

    def take(self, interface, addresses=(f'{HOST_IP}/24',)):
        run('ip', 'link', 'set', interface, 'netns', str(self.child.pid))
        with self:
            for address in addresses:
                run('ip', 'addr', 'replace', address, 'dev', interface, *(['nodad'] if ':' in address else []))
            run('ip', 'link', 'set', interface, 'up')
