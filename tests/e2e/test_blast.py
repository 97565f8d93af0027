#!/usr/bin/python3
# limit: 120
"""The load generator before a gateway, by each of its options: what it counts is what the gateway has counted."""
import blast
from gateway import Gateway
from harness import GATEWAY_IP, check, check_equal, main, wait_until

gw = kernel = None


def setup(lab):
    global gw, kernel
    gw = Gateway(lab, queue={'deliveries': 1}, route_default={'host': blast.ELSEWHERE}).start()
    kernel = blast.Blast(lab, gw, kernel=True)


def test_kernel_modes(lab):
    """Over the kernel's sockets."""
    accepted = gw.counter('conn/accepted')
    got = kernel.run('connect', '--messages', 40)
    check_equal((got['connections'], got['failed']), (40, 0), 'connections')
    check_equal(gw.counter('conn/accepted') - accepted, 40, 'connections at the gateway')


if __name__ == '__main__':
    main(setup)
