#!/usr/bin/python3
# limit: 150
"""A next hop behind a narrow link: the kernel as its router says so by ICMP, or drops without a word."""
import ctypes
import os

from bodies import sized
from gateway import Gateway
from harness import CLONE_NEWNET, Failed, check, check_equal, die_with_parent, libc, main, run, wait_until
from mail import Client, split_received
from sinks import Scripted

FAR, ROUTER, NARROW = '10.77.0.2', '10.77.0.1', 1300
far = child = None


class FarScripted(Scripted):
    """Listens in the namespace of the process child; a socket stays where it was made."""

    def listening(self):
        with open(f'/proc/{child.pid}/ns/net') as there, open('/proc/thread-self/ns/net') as here:
            if libc.setns(there.fileno(), CLONE_NEWNET) != 0:
                raise Failed(os.strerror(ctypes.get_errno()))
            try:
                return super().listening()
            finally:
                check_equal(libc.setns(here.fileno(), CLONE_NEWNET), 0, 'back home')


def there(*command):
    return run('nsenter', '-t', str(child.pid), '-n', *command)


def setup(lab):
    global far, child
    child = lab.spawn('unshare', '-n', 'sleep', '1000', preexec_fn=die_with_parent)
    home = os.readlink('/proc/self/ns/net')
    wait_until(lambda: os.readlink(f'/proc/{child.pid}/ns/net') != home, 10, 'a namespace for the next hop')
    run('ip', 'link', 'add', 'narrow0', 'type', 'veth', 'peer', 'name', 'narrow1')
    run('ip', 'link', 'set', 'narrow1', 'netns', str(child.pid))
    run('ip', 'addr', 'add', f'{ROUTER}/24', 'dev', 'narrow0')
    run('ip', 'link', 'set', 'narrow0', 'up')
    there('ip', 'link', 'set', 'lo', 'up')
    there('ip', 'addr', 'add', f'{FAR}/24', 'dev', 'narrow1')
    there('ip', 'link', 'set', 'narrow1', 'up')
    # The next hop's own MSS is that of a wide link: only the path tells that it is not.
    there('ip', 'route', 'add', 'default', 'via', ROUTER, 'advmss', '1460')
    with open('/proc/sys/net/ipv4/ip_forward', 'w') as f:
        f.write('1')
    far = FarScripted(lab, host=FAR)


def deliver(gw, name, body):
    with Client() as c:
        check_equal(c.deliver('s@client.example', [name], body, ' BODY=8BITMIME').code, 250, 'a large message')
    wait_until(lambda: far.to(name), 60, 'it at the next hop')
    check(split_received(far.to(name)[0].content)[1] == body, 'its bytes differ')


def narrow(lab, name, lanes, near_mtu, far_mtu, counter):
    run('ip', 'link', 'set', 'narrow0', 'mtu', str(near_mtu))
    there('ip', 'link', 'set', 'narrow1', 'mtu', str(far_mtu))
    gw = Gateway(lab, name=name, gateway={'lanes': lanes}, route_default={'host': f'{FAR}:2525'})
    try:
        gw.start()
        body = sized(1 << 20)
        for n in range(4):
            deliver(gw, f'{name}-{n}@example.org', body)
        check(gw.counter(f'tcp/{counter}') > 0, f'{counter} has not moved')
        # Later connections start with what the first has learned, so it is not learned each time.
        check(gw.counter(f'tcp/{counter}') <= 2 * lanes, f'{counter}: {gw.counter(f"tcp/{counter}")} times')
        check_equal(gw.stop(), 0, 'exit status')
    finally:
        gw.end()
        wait_until(lambda: 'gw0' not in run('ip', '-o', 'link'), 30, 'gw0 is gone')


def test_router_says_so(lab):
    narrow(lab, 'told', 1, NARROW, 1500, 'path_mtu_lowered')


def test_router_says_so_to_two_lanes(lab):
    narrow(lab, 'told2', 2, NARROW, 1500, 'path_mtu_lowered')


def test_black_hole(lab):
    """What is longer than the far end of a veth takes vanishes there."""
    narrow(lab, 'hole', 1, 1500, NARROW, 'black_holes')


if __name__ == '__main__':
    main(setup)
