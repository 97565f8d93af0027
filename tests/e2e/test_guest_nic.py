#!/usr/bin/python3
# limit: 400
# ci: boots guests of emulated processors, from 80 MB of packages
"""The gateway on real PCI poll-mode drivers, in a guest: virtio-net with two queues and e1000e, bound to uio_pci_generic, and to
vfio-pci behind an IOMMU. Mail comes in from this namespace over the guest's card, is durable on the guest's disk, and goes out to
next hops here. What is acknowledged in one boot when its power goes is delivered in the next, over the other driver."""
import os

from bodies import sized
from gateway import ping
from guest import Guest, GuestGateway, Tap, Tree, make_disk
from harness import Failed, Skip, check, check_equal, main, run, wait_until
from mail import Client, Ledger, Load, plain, split_received
from sinks import Scripted

OURS, HOST = {4: '10.9.0.1', 6: 'fd00:9::1'}, {4: '10.9.0.2', 6: 'fd00:9::2'}
NETWORKS = ['10.9.0.0/24', 'fd00:9::/64']
COUNT, CONNECTIONS, LARGE_BYTES, LINK_S = 40, 8, 1 << 20, 60
tree = image = disk = far = far6 = virtio = spread = intel = vmware = None
kept = Ledger()  # acknowledged before the power went


def setup(lab):
    global tree, image, disk, far, far6, virtio, spread, intel, vmware
    if not os.path.exists('/dev/net/tun'):
        raise Skip('no /dev/net/tun')
    if not os.path.exists('/proc/sys/net/ipv6'):
        raise Skip('this kernel has no IPv6')
    tree = Tree(lab)
    tree.gateway()
    tree.modules('uio_pci_generic', 'vfio_pci', 'vfio_iommu_type1')
    image = tree.pack()
    disk = lab.path('disk.img')
    make_disk(disk, 256 << 20)
    with open('/proc/sys/net/ipv6/ip_nonlocal_bind', 'w') as f:
        f.write('1')
    virtio = Tap('tap0', 'virtio-net-pci', queues=2, slot=0x10)
    spread = Tap('tap1', 'virtio-net-pci', queues=2, slot=0x11, rss='on')
    intel = Tap('tap2', 'e1000e', slot=0x12)
    vmware = Tap('tap3', 'vmxnet3', slot=0x13)
    far, far6 = Scripted(lab), Scripted(lab, host=HOST[6])


def boot(lab, name, iommu=False):
    g = Guest(lab, tree, image, [virtio, spread, intel, vmware], [disk], name=name, iommu=iommu)
    g.run('mount -t ext4 /dev/vda /mnt; mkdir -p /mnt/spool')
    return g


class Running:
    """A gateway on one card, and the kernel's addresses at the other end, for a with statement."""

    def __init__(self, lab, g, card, lanes=1):
        self.card = card
        for s in (far, far6):
            s.messages.clear()
        run('ip', 'addr', 'add', f'{HOST[4]}/24', 'dev', card.name)
        run('ip', 'addr', 'add', f'{HOST[6]}/64', 'dev', card.name, 'nodad')
        self.gw = GuestGateway(lab, g, name=f'{g.name}-{card.name}', gateway={'lanes': lanes, 'user': 'sluice'}, smtp={'client_idle': '0'},
                               port_net0={'device': card.pci, 'address': [f'{OURS[4]}/24', f'{OURS[6]}/64']},
                               relay={'networks': NETWORKS}, route_six={'host': f'[{HOST[6]}]:2525'})

    def __enter__(self):
        return self.gw

    def __exit__(self, *_):
        run('ip', 'addr', 'flush', 'dev', self.card.name)


def checksum_errors():
    with open('/proc/net/snmp') as f:
        names, values = [line.split() for line in f if line.startswith('Tcp:')]
    return int(values[names.index('InCsumErrors')])


def send(ledger, numbers):
    load = Load(ledger, lambda n: ('s@client.example', f'm{n}@example.org', plain(n, 300 + n % 50 * 100)), numbers, CONNECTIONS,
                timeout=60, per_connection=2)
    check_equal(load.join(90), [], 'errors of clients')


def exchange(gw, lanes, cuts):
    """Mail both ways over both families, small and large, on all lanes; and what a card must not do to it."""
    for size in (0, 1472):
        check_equal(ping(size, seconds=LINK_S), 3, f'echo replies of {size} bytes')
    ledger, first = Ledger(), 0
    while True:
        send(ledger, range(first, first + COUNT))
        first += COUNT
        far.wait(first)
        counts = gw.by_lane()
        if all(len([n for n in counts[name] if n > 0]) == lanes for name in ('conn/accepted', 'conn/opened')):
            break
        check(first < 8 * COUNT, f'lanes without connections: {counts["conn/accepted"]}, {counts["conn/opened"]}')
    ledger.audit(far.messages)
    large = sized(LARGE_BYTES)
    with Client(OURS[6], timeout=60) as c:
        check_equal(c.deliver('s@client.example', ['big@six'], large, ' BODY=8BITMIME').code, 250, 'a large one over IPv6')
    far6.wait(1)
    check(split_received(far6.messages[0].content)[1] == large, 'bytes of the large one differ')
    counts = {name: sum(values) for name, values in gw.by_lane().items()}
    for name in ('net/drop_tcp_checksum', 'net/drop_ip_checksum', 'port/drop_tx_refused', 'lane/steer_dropped'):
        check_equal(counts[name], 0, name)
    check_equal(checksum_errors(), 0, 'bad checksums at the other end')
    check_equal(counts['tcp/tx_large'] > 0, cuts, 'large segments went out')
    return counts


def refused(lab, g, card, lanes=1, **gateway):
    """What a gateway says that must not start."""
    with Running(lab, g, card, lanes) as gw:
        gw.change(gateway=gateway)
        try:
            gw.start()
        except Failed:
            return gw.log_now()
        raise Failed(f'a gateway starts on {card.card} with {lanes} lanes, {gateway}')


def test_uio(lab):
    """Without an IOMMU. Lanes poll."""
    g = boot(lab, 'uio')
    text = refused(lab, g, virtio)
    check(f'{virtio.pci} is the kernel\'s (driver virtio-pci)' in text and '--bind=' in text, text)
    text = refused(lab, g, intel)
    check(f'no driver has {intel.pci}' in text, text)
    for card in (virtio, intel):
        g.bind(card.pci, 'uio_pci_generic')
    text = refused(lab, g, virtio, 3)
    check('has 2 queue pairs and 3 are needed' in text, text)
    text = refused(lab, g, virtio, memory='1G')
    check('bound to uio, which needs huge pages' in text, text)

    with Running(lab, g, virtio, 2) as gw:
        gw.start()
        check('idle lanes look at it every' in gw.log_now(), 'it is told that lanes nap')
        exchange(gw, 2, cuts=True)
        check_equal(gw.stop(), 0, 'exit status')
    with Running(lab, g, intel) as gw:
        gw.start()
        exchange(gw, 1, cuts=False)
        gw.kill()  # nobody stops the card
        gw.start()
        far.down()
        send(kept, range(1000, 1000 + COUNT))
        check_equal(len(kept.acked), COUNT, 'messages acknowledged')
        g.cut()


def test_vfio(lab):
    """Behind an IOMMU. Lanes sleep. What is owed from before the power went is delivered first."""
    g = boot(lab, 'vfio', iommu=True)
    for card in (spread, intel, vmware):
        g.bind(card.pci, 'vfio-pci')
    far.up()
    with Running(lab, g, spread, 2) as gw:
        gw.start()
        wait_until(lambda: kept.arrived(far.messages), 90, 'what was acknowledged before the power went')
        kept.audit(far.messages)
        far.messages.clear()
        counts = exchange(gw, 2, cuts=True)
        check_equal(counts['lane/steered'], 0, 'frames of connections of ours that the card gave to another lane')
        check(counts['lane/sleeps'] > 0, 'lanes sleep')
        check_equal(gw.stop(), 0, 'exit status')
    for card, cuts in ((intel, False), (vmware, True)):
        with Running(lab, g, card) as gw:
            gw.start()
            exchange(gw, 1, cuts)
            check_equal(gw.stop(), 0, 'exit status')


if __name__ == '__main__':
    main(setup)
