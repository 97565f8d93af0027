#!/usr/bin/python3
# limit: 60
"""Two lanes, and tuples that all meet in one place under the hash key that every card comes with; and the settings of TCP
that can be seen on the wire."""
from gateway import Counted, Gateway
from harness import check, check_equal, main, wait_until
from mail import Client, plain
from sinks import Scripted
from wire import ACK, RST, SYN, Peer, Wire

gw = far = wire = None
ECE, CWR = 64, 128
COLLIDING = 64
# The key of Microsoft's RSS specification, which most drivers set when nobody tells them another.
DEFAULT_KEY = bytes.fromhex('6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa')


def setup(lab):
    global gw, far, wire
    far = Scripted(lab)
    gw = Gateway(lab, gateway={'lanes': 2},
                 tcp={'ecn': 'ask', 'congestion': 'newreno', 'timestamps': False, 'keepalive': '2s',
                      'keepalive_interval': '1s', 'keepalive_probes': 2, 'rto_min': '100ms', 'msl': '100ms'}).start()
    wire = Wire(gw)


def toeplitz(data):
    key, out = int.from_bytes(DEFAULT_KEY, 'big'), 0
    for i in range(len(data) * 8):
        if data[i // 8] >> (7 - i % 8) & 1:
            out ^= key >> (len(DEFAULT_KEY) * 8 - 32 - i) & 0xffffffff
    return out


def good():
    with Client() as c:
        check_equal(c.deliver('s@client.example', ['good@example.org'], plain(1)).code, 250, 'good message')
    check(gw.alive(), 'the gateway runs')


def colliding():
    """Source addresses and ports whose hashes under the default key have the same low nine bits."""
    seen = {}
    while True:
        source, sport = wire.host(), next(Peer.ports)
        data = bytes(int(b) for b in source.split('.')) + b'\x0a\x09\x00\x01' + sport.to_bytes(2, 'big') + b'\x00\x19'
        same = seen.setdefault(toeplitz(data) & 511, [])
        same.append((source, sport))
        if len(same) == COLLIDING:
            return same


def test_T17_colliding_tuples(lab):
    """They do not all end up on one lane, and each is served."""
    peers = []
    for source, sport in colliding():
        peer = Peer(wire, source=source, sport=sport)
        peer.open()
        peers.append(peer)
    for peer in peers:
        peer.read(b'220 ')
        peer.alive()
    accepted = [gw.counter('conn/accepted', n) for n in gw.lanes()]
    check(min(accepted) >= 4, f'connections of the lanes: {accepted}')
    with Counted(gw, 'tcp/rx_resets', COLLIDING):
        for peer in peers:
            peer.reset()
    check_equal(gw.counter('lane/steer_dropped'), 0, 'frames lost between lanes')
    good()


def test_settings_on_the_wire(lab):
    peer = Peer(wire, options=[('MSS', 1460), ('SAckOK', b''), ('Timestamp', (1, 0)), ('WScale', 7)])
    peer.send(SYN | ECE | CWR, options=peer.options, ack=0)
    segment = peer.expect(SYN | ACK | ECE, 'SYN that asks for ECN')
    check('Timestamp' not in segment.options, 'timestamps, though they are off')
    check('SAckOK' in segment.options and 'WScale' in segment.options, f'options of the SYN-ACK: {segment.options}')
    peer.send(RST, seq=peer.seq + 1)
    good()
    wait_until(lambda: far.to('good@example.org'), 20, 'the message at the next hop')
    flags = {frame[47] for frame in list(wire.other) if frame[12:14] == b'\x08\x00' and frame[23] == 6 and
             frame[36:38] == (2525).to_bytes(2, 'big') and frame[47] & (SYN | ACK) == SYN}
    check_equal(flags, {SYN | ECE | CWR}, 'flags of SYNs to next hops')


def test_T20_silent_peer(lab):
    """Keepalive as it is set: probes, and then the end."""
    with Counted(gw, 'tcp/keepalive_probes', 2), Counted(gw, 'tcp/keepalive_timeouts'):
        peer = Peer(wire).greet()
        peer.all(0.05)
        for number in (1, 2):
            peer.expect(ACK, f'probe {number}', seconds=10, seq=peer.ack - 1)
        peer.expect(RST | ACK, 'the end of a silent peer', seconds=10)
    good()


if __name__ == '__main__':
    main(setup)
