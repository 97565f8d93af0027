#!/usr/bin/python3
# limit: 240
# alone: it looks at what is reached under a load
"""Floods of forged frames over a shared-memory port, as fast as a share of this machine goes, while real
connections go on beside them on the same port."""
import blast
from harness import check, check_equal, main, wait_until

RATE = 200000  # frames a second, asked for
SHARE = 0.99   # of the real connections must succeed
HALF_OPEN = 256  # entries, all taken within 2 ms: what comes then gets cookies
# Sources of their own: else the ACKs would be of the half-open connections that the SYNs left.
SEEDS = {'synflood': 1, 'ackflood': 2, 'rstflood': 3, 'udpflood': 4, 'fragflood': 5}
gw = client = None


def setup(lab):
    global gw, client
    gw = blast.start(lab, tcp={'half_open': HALF_OPEN, 'msl': '100ms'})
    # Both ends know each other before the first flood.
    client = blast.Blast(lab, gw)
    check_equal(client.run('connect', '--messages', 20)['connections'], 20, 'connections without a flood')


class Counters:
    """The gateway's counters, and how far they have come since."""

    def __init__(self):
        self.before = self.read()

    @staticmethod
    def read():
        return {f'{group}/{name}': value for group in ('net', 'tcp')
                for name, value in gw.telemetry(f'/sluice/{group}').items()}

    def since(self):
        return {name: value - self.before[name] for name, value in self.read().items()}


def flood(kind, seconds, connection_rate):
    """A flood with real connections beside it; blast's figures and the gateway's counters, which were waited
    for: every frame that the port took has been seen."""
    counters = Counters()
    got = client.run('connect', '--rate', connection_rate, '--connections', 2000, '--time', seconds,
                     '--timeout', 30, kind, '--flood-rate', RATE, '--seed', SEEDS[kind])
    wait_until(lambda: counters.since()['net/rx_packets'] >= got['tx_frames'], 30, 'all frames at the gateway')
    seen = counters.since()
    print(f'   {kind}: {got["flood_per_s"]:.0f}/s of {RATE}/s ({got["flood_port_full"]:.0f} not taken by the port), '
          f'{got["connections"]:.0f} of {got["started"]:.0f} connections, p99 {got["p99_us"] / 1000:.1f} ms', flush=True)
    check_equal(seen['net/rx_packets'], int(got['tx_frames']), 'frames seen by the gateway')
    dropped = sum(n for name, n in seen.items() if name.startswith('net/drop_') and
                  not name.startswith(('net/drop_tx_', 'net/drop_arp_')))
    check_equal(seen['tcp/rx_segments'] + seen['net/rx_arp'] + dropped, seen['net/rx_packets'],
                'segments, ARP and counted drops')
    check(got['flood_sent'] > 10000, f'only {got["flood_sent"]:.0f} frames in {seconds} s: no flood')
    check(got['started'] >= connection_rate, f'only {got["started"]:.0f} real connections')
    check(got['connections'] >= SHARE * got['started'],
          f'{got["connections"]:.0f} of {got["started"]:.0f} real connections: '
          f'{ {n: v for n, v in got.items() if n.startswith("failed_")} }')
    return got, seen


def test_syn_flood(lab):
    got, seen = flood('synflood', 5, 200)
    half_open = gw.counter('tcp/half_open')
    check(half_open <= HALF_OPEN, f'{half_open} half-open entries')
    check(seen['tcp/cookies_sent'] > 0 and seen['tcp/cookies_accepted'] > 0, 'SYNs of both kinds got cookies')
    # What became of each SYN: none is lost without a word. One that was sent again may count twice.
    ends = ('syn_evicted', 'syn_timeouts', 'cookies_sent', 'drop_syn_full', 'drop_syn_memory', 'rx_resets',
            'to_established')
    fates = sum(seen.get(f'tcp/{name}', 0) for name in ends) + seen['tcp/half_open'] - seen.get('tcp/cookies_accepted', 0)
    sent = got['flood_sent'] + got['started']
    check(sent <= fates <= sent + got['retransmits'] + seen['tcp/rx_resets'],
          f'{sent:.0f} SYNs, of which {fates} are accounted for')


def test_ack_flood(lab):
    got, seen = flood('ackflood', 2, 100)
    told = sum(seen.get(f'tcp/{name}', 0) for name in ('drop_unknown', 'cookies_bad', 'cookies_expired'))
    check(told >= got['flood_sent'], f'{told} of {got["flood_sent"]:.0f} ACKs counted as of no connection')
    check(seen['tcp/tx_resets'] + seen['tcp/reply_limited'] >= got['flood_sent'], 'answers, sent or held back')


def test_rst_flood(lab):
    got, seen = flood('rstflood', 2, 100)
    check(seen['tcp/drop_unknown'] >= got['flood_sent'], 'RSTs counted as of no connection')


def test_udp_flood(lab):
    got, seen = flood('udpflood', 2, 100)
    check_equal(seen['net/drop_ip_protocol'], int(got['flood_sent']), 'datagrams dropped')


def test_fragment_flood(lab):
    got, seen = flood('fragflood', 2, 100)
    check_equal(seen['net/drop_ip_fragment'], int(got['flood_sent']), 'fragments dropped')


def usage():
    values = gw.telemetry('/sluice/tcp')
    return {name: values[name] for name in ('connections', 'half_open', 'time_wait', 'buffers')}


def pools_in_use():
    memory = gw.telemetry('/sluice/memory')
    return {name[:-5]: memory[name] - memory[name[:-5] + '/free'] for name in memory if name.endswith('/size')}


def test_everything_is_back(lab):
    """Nothing of the floods is held; a half-open entry lives for 63 s at most."""
    wait_until(lambda: not any(usage().values()), 120, 'connections and buffers given back')
    got = client.run('connect', '--messages', 50, '--timeout', 20)
    check_equal((got['connections'], got['failed']), (50, 0), 'connections after the floods')
    wait_until(lambda: not any(usage().values()), 30, 'these, too')
    wait_until(lambda: not any(pools_in_use().values()), 30, 'full pools of packet buffers')
    check_equal(gw.counter('conn/inbound'), 0, 'connections of the gateway')
    client.stop()


def test_two_lanes(lab):
    """Each lane answers what comes to it, and fragments are not taken for another lane's segments."""
    two = blast.start(lab, name='two', gateway={'lanes': 2}, tcp={'msl': '100ms'})
    both = blast.Blast(lab, two, '--lanes', 2)
    got = both.run('connect', '--messages', 200, '--timeout', 30, 'fragflood', '--frames', 2000)
    check_equal((got['connections'], got['failed']), (200, 0), 'connections')
    wait_until(lambda: two.counter('net/rx_packets') == got['tx_frames'], 30, 'all frames at the gateway')
    check_equal(two.counter('net/drop_ip_fragment'), int(got['flood_sent']), 'fragments dropped')
    check_equal(two.counter('lane/steered'), 0, 'frames passed between lanes')
    check_equal([two.counter('conn/accepted', n) for n in two.lanes()], [100, 100], 'connections of each lane')
    both.stop()


if __name__ == '__main__':
    main(setup)
