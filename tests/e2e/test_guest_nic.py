#!/usr/bin/python3
# limit: 240
# ci: boots guests of emulated processors, from 80 MB of packages
"""The gateway on real PCI poll-mode drivers, in a guest: virtio-net with two queues and e1000e, bound to uio_pci_generic, and to
vfio-pci behind an IOMMU. Mail comes in from this namespace over the guest's card, is durable on the guest's disk, and goes out to
next hops here. What is acknowledged in one boot when its power goes is delivered in the next, over the other driver."""
import os

from bodies import sized
from gateway import ping
from guest import Guest, GuestGateway, Tap, Tree
from harness import Skip, check, check_equal, main, run, wait_until
from mail import Client, Ledger, Load, plain, split_received
from sinks import Scripted

OURS, HOST = {4: '10.9.0.1', 6: 'fd00:9::1'}, {4: '10.9.0.2', 6: 'fd00:9::2'}
COUNT, CONNECTIONS, LARGE_BYTES = 40, 8, 1 << 20
tree = image = disk = far = far6 = virtio = spread = intel = vmware = None
kept = Ledger()  # acknowledged before the power went


def setup(lab):
    global tree, image, disk, far, far6, virtio, spread, intel, vmware
    if not os.path.exists('/dev/net/tun'):
        raise Skip('no /dev/net/tun')
    tree = Tree(lab)
    tree.gateway()
    tree.modules('uio_pci_generic', 'vfio_pci')
    image = tree.pack()
    disk = lab.path('disk.img')
    with open(disk, 'wb') as f:
        f.truncate(256 << 20)
    run('mkfs.ext4', '-q', '-F', disk)
    with open('/proc/sys/net/ipv6/ip_nonlocal_bind', 'w') as f:
        f.write('1')
    virtio = Tap('tap0', 'virtio-net-pci', queues=2, slot=0x10)
    spread = Tap('tap1', 'virtio-net-pci', queues=2, slot=0x11, rss='on')
    intel = Tap('tap2', 'e1000e', slot=0x12)
    vmware = Tap('tap3', 'vmxnet3', slot=0x13)
    far, far6 = Scripted(lab), Scripted(lab, host=HOST[6])


def boot(lab, name, driver, iommu=False):
    g = Guest(lab, tree, image, [virtio, spread, intel, vmware], [disk], name=name, iommu=iommu)
    for card in (virtio, spread, intel, vmware):
        g.bind(card.pci, driver)
    g.run('mount -t ext4 /dev/vda /mnt; mkdir -p /mnt/spool')
    return g


class Running:
    """A gateway on one card, and the kernel's addresses at its end of it, for a with statement."""

    def __init__(self, lab, g, card, lanes, **changes):
        self.card = card
        for s in (far, far6):
            s.messages.clear()
        run('ip', 'addr', 'add', f'{HOST[4]}/24', 'dev', card.name)
        run('ip', 'addr', 'add', f'{HOST[6]}/64', 'dev', card.name, 'nodad')
        self.gw = GuestGateway(lab, g, name=f'{g.name}-{card.name}', port_net0={'device': card.pci, 'address': [f'{OURS[4]}/24', f'{OURS[6]}/64']},
                               gateway={'lanes': lanes}, smtp={'client_idle': '0'}, **changes)
        self.gw.blocks['relay']['networks'] = ['10.9.0.0/24', 'fd00:9::/64']
        self.gw.blocks['route six.example'] = {'host': f'[{HOST[6]}]:2525'}

    def __enter__(self):
        return self.gw

    def __exit__(self, *_):
        run('ip', 'addr', 'flush', 'dev', self.card.name)


def csum_errors():
    with open('/proc/net/snmp') as f:
        names, values = [line.split() for line in f if line.startswith('Tcp:')]
    return int(values[names.index('InCsumErrors')])


def by_lane(gw, name):
    """A counter of each lane."""
    group, key = name.split('/')
    for line in gw.metrics().splitlines():
        fields = line.split('\t')
        if fields[1:3] == [group, key]:
            return [int(v.rsplit('=', 1)[1]) for v in fields[5].split() if v.startswith('lane')]
    return []


def exchange(gw, lanes):
    """Mail both ways over both families, small and large, and what the card's offloads must not do."""
    for size in (0, 56, 1472):
        check_equal(ping(size, seconds=20), 3, f'echo replies of {size} bytes')
    ledger = Ledger()
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 300 + n * 100)), range(COUNT), CONNECTIONS,
                timeout=60, per_connection=5)
    check_equal(load.join(90), [], 'errors of clients')
    far.wait(COUNT)
    ledger.audit(far.messages)
    large = sized(LARGE_BYTES)
    with Client(OURS[6], timeout=60) as c:
        check_equal(c.deliver('s@client.example', ['big@six.example'], large, ' BODY=8BITMIME').code, 250, 'a large one over IPv6')
    far6.wait(1)
    check(split_received(far6.messages[0].content)[1] == large, 'bytes of the large one differ')
    check_equal(gw.counter('net/drop_tcp_checksum') + gw.counter('net/drop_ip_checksum'), 0, 'bad checksums')
    check_equal(csum_errors(), 0, 'bad checksums at the other end')
    check_equal(gw.counter('port/drop_tx_refused'), 0, 'frames that the port refused')
    check_equal(gw.counter('lane/steer_dropped'), 0, 'frames lost between lanes')
    for name in ('conn/accepted', 'conn/opened'):
        shares = by_lane(gw, name)
        check(len(shares) == lanes and all(shares), f'{name} of the lanes: {shares}')


def test_uio(lab):
    g = boot(lab, 'uio', 'uio_pci_generic')
    for card, lanes in ((virtio, 2), (spread, 2), (intel, 1), (vmware, 1)):
        with Running(lab, g, card, lanes) as gw:
            gw.start()
            try:
                exchange(gw, lanes)
                print(card.card, 'steered', gw.counter('lane/steered'), 'large', gw.counter('tcp/tx_large'), flush=True)
                check_equal(gw.stop(), 0, 'exit status')
            except Exception as e:
                print(card.card, repr(e), gw.log_now()[-1500:])
                gw.kill()
            print('\n'.join(l for l in gw.log_now().splitlines() if not l.startswith('2026')))


if __name__ == '__main__':
    main(setup)
