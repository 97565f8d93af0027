#!/usr/bin/python3
# limit: 300
# long: boots a guest that stands between two TCP stacks with netem
"""Our TCP against the kernel's, as client and as server, IPv4 and IPv6, through a guest that is a bridge with netem at both
of its ends: what test_linux_tcp.py does over an emulator of our own, over the one that the kernel's developers test with."""
import os
import re

import link
import test_linux_tcp as tcp
from guest import Guest, Tap, Tree
from harness import Skip, check, check_equal, find_program, main, wait_until

# What virtio would leave undone between the two ends (checksums, cutting) is done by nobody in a bridge like this.
PLAIN = {key: 'off' for key in ('csum', 'gso', 'guest_csum', 'guest_tso4', 'guest_tso6', 'guest_ecn', 'guest_ufo', 'host_tso4',
                                'host_tso6', 'host_ecn', 'host_ufo')}
ROWS = {
    'loss': ('delay 10ms loss 2%', 300000),
    'bursts': ('delay 10ms loss gemodel 1% 30% 70% 0.1%', 300000),
    'reordering': ('delay 10ms reorder 75% 50% gap 3', 600000),
    'jitter': ('delay 15ms 5ms 25%', 600000),
    'duplicates': ('delay 10ms duplicate 5%', 600000),
    'corruption': ('delay 10ms corrupt 2%', 300000),
    'a slow link': ('delay 10ms rate 8mbit limit 20', 600000),
    'all': ('delay 10ms 2ms loss 1% reorder 5% duplicate 2% corrupt 1%', 300000),
}
g = None


class Box:
    """The guest's bridge, as test_linux_tcp.py's link."""

    def set(self, netem='limit 1000'):
        for device in ('eth0', 'eth1'):
            g.run(f'/usr/sbin/tc qdisc replace dev {device} root netem {netem}')

    def dropped(self):
        return sum(int(n) for n in re.findall(r'dropped (\d+)', g.run('/usr/sbin/tc -s qdisc show')))


def setup(lab):
    global g
    if not os.path.exists('/proc/sys/net/ipv6'):
        raise Skip('this kernel has no IPv6')
    tree = Tree(lab)
    tree.modules('virtio_net', 'bridge', 'sch_netem')
    tree.program(find_program('tc'), '/usr/sbin/tc')
    here, there = (Tap(f'tap{i}', 'virtio-net-pci', slot=0x10 + i, **PLAIN) for i in range(2))
    g = Guest(lab, tree, tree.pack(), [here, there], name='box')
    g.run('ip link add br0 type bridge 2>/dev/null || brctl addbr br0; for d in eth0 eth1; do echo 1 >/proc/sys/net/ipv6/conf/$d/disable_ipv6; '
          'brctl addif br0 $d; ip link set $d up; done; echo 1 >/proc/sys/net/ipv6/conf/br0/disable_ipv6; ip link set br0 up')
    tcp.host = link.StackHost(lab, f'address={tcp.OURS[4]}/24', f'address={tcp.OURS[6]}/64', f'gateway={tcp.KERNEL[4]}',
                              f'gateway6={tcp.KERNEL[6]}', 'keepalive_s=2', 'ecn=ask')
    link.Emulator(lab, f'packet:{there.name}', f'packet:gw0@{tcp.host.path}')  # a plain cable
    link.set_kernel()
    link.set_device(here.name, f'{tcp.KERNEL[4]}/24', f'{tcp.KERNEL[6]}/64')
    for port, mode in ((tcp.READ, 'read'), (tcp.STAY, 'read stay')):
        tcp.host.listen(port, mode)
    tcp.wire = Box()
    tcp.wire.set()
    wait_until(lambda: len(link.round_trips(tcp.OURS[4], 1)) == 1, 60, 'an echo reply through the box')  # a bridge learns first


def test_netem(lab):
    """Four connections at a time, both ways at once; every byte is as it was sent."""
    for name, (netem, size) in ROWS.items():
        tcp.wire.set('delay 10ms')
        connections = tcp.four()
        tcp.wire.set(netem)
        tcp.exchange(connections, size)
        for c in connections:
            c.socket.close()
        print(f'# {name}: {tcp.wire.dropped()} frames dropped', flush=True)
    check(tcp.wire.dropped() > 0, 'frames that netem dropped')
    tcp.nothing_left()
    check_equal(len(link.round_trips(tcp.OURS[4], 3)), 3, 'echo replies in the end')


if __name__ == '__main__':
    main(setup)
