"""
Counters that add up: what must be equal whenever nothing is under way, whatever a test has done. Looked at before each stop of a
gateway and at the end of each program (gateway.py). Both sides of a row are what the counters of all threads come to.
"""
import time

from harness import Failed

SETTLE_S = 20  # bound: what is under way ends, or is counted as open


class Counts:
    """The answer to the control socket's command metrics."""

    def __init__(self, text):
        self.values, self.counts, self.sums = {}, {}, {}
        for line in text.splitlines():
            fields = line.split('\t')
            if fields[0] in ('counter', 'gauge', 'listener_counter'):
                key = f'{fields[1]}/{fields[2]}'
                self.values[key] = sum(int(v.rsplit('=', 1)[1]) for v in fields[5].split())
            elif fields[0] == 'histogram':
                key = f'{fields[1]}/{fields[2]}'
                values = [v.rsplit('=', 1)[1].split(':') for v in fields[7].split()]
                self.sums[key] = sum(int(s) for s, _ in values)
                self.counts[key] = sum(int(c) for _, cs in values for c in cs.split(','))
        if not self.values:
            raise Failed(f'no metrics in {text[:200]!r}')

    def __call__(self, *names):
        """The sum of counters; "net/drop_*" is all that begin so, "-net/drop_tx_*" takes away."""
        total = 0
        for name in names:
            sign, name = (-1, name[1:]) if name[0] == '-' else (1, name)
            if name.endswith('*'):
                found = [v for k, v in self.values.items() if k.startswith(name[:-1])]
                if not found:
                    raise Failed(f'no counter {name}')
                total += sign * sum(found)
            else:
                total += sign * self.values[name]
        return total


# What it says; the two sides; where it does not hold by nature.
SUMS = [
    ('frames that came in: segments, handled, or dropped with a reason',
     lambda c: c('net/rx_packets'),
     lambda c: c('tcp/rx_segments', 'net/rx_handled', 'net/drop_*', '-net/drop_tx_*', '-net/drop_from_host'),
     lambda c: c('net/to_host', 'net/drop_to_host_*', 'net/from_host') == 0),
    ('TCP connections: opened, and closed or open',
     lambda c: c('tcp/to_syn_sent', 'tcp/passive_opens'),
     lambda c: c('tcp/to_closed', 'tcp/connections'), None),
    ('connections from clients: accepted, and closed by reason or open',
     lambda c: c('conn/accepted'),
     lambda c: c('conn/in_closed_*', 'conn/inbound', '-proxy/waiting'), None),
    ('connections from clients, by listener', lambda c: c('conn/accepted'), lambda c: c('listener/connections'), None),
    ('acknowledged messages, by listener', lambda c: c('conn/messages'), lambda c: c('listener/messages'), None),
    ('connections inside TLS, by listener', lambda c: c('tls/accepted'), lambda c: c('listener/tls'), None),
    ('frames that went out, by bursts', lambda c: c('net/tx_packets'), lambda c: c.sums['lane/tx_burst'], None),
    ('connections from proxies: with a header, refused by reason, or waiting for it',
     lambda c: c('proxy/connections'),
     lambda c: c('proxy/clients', 'proxy/local', 'proxy/unknown', 'proxy/refused_*', 'proxy/waiting'), None),
    ('connections to next hops: opened, and closed by reason or open',
     lambda c: c('conn/opened'),
     lambda c: c('conn/out_closed_*', 'conn/outbound'), None),
    ('handshakes: begun, and done, failed, given up or under way',
     lambda c: c('tls/begun'),
     lambda c: c('tls/accepted', 'tls/connected', 'tls/handshake_failed', 'tls/abandoned', 'tls/handshaking'), None),
    ('handshakes done, by version', lambda c: c('tls/accepted', 'tls/connected'), lambda c: c('tls/version_*'), None),
    ('handshakes done, by cipher', lambda c: c('tls/accepted', 'tls/connected'), lambda c: c('tls/cipher_*'), None),
    ('handshakes done, by key', lambda c: c('tls/accepted', 'tls/connected'), lambda c: c('tls/key_*'), None),
    ('messages made durable: acknowledged, and reports of our own',
     lambda c: c('spool/committed'), lambda c: c('conn/messages', 'courier/bounces', 'courier/suspensions_new'), None),
    ('messages in the queue: made durable, or found at the start',
     lambda c: c('courier/arrived', 'courier/suspensions'), lambda c: c('spool/committed', 'spool/recovered'), None),
    ('messages: arrived, and finished or in the queue',
     lambda c: c('courier/arrived'), lambda c: c('courier/finished', 'queue/messages'), None),
    ('recipients: arrived, and delivered, failed, deleted or in the queue',
     lambda c: c('courier/recipients'),
     lambda c: c('courier/delivered', 'courier/failed', 'courier/recipients_deleted', 'queue/recipients', '-queue/failed'), None),
    ('attempts: handed to lanes and come back',
     lambda c: c('courier/deliveries'), lambda c: c('courier/returned'), lambda c: c('queue/active') == 0),
    ('questions to the DNS and their answers',
     lambda c: c('dns/queries'),
     lambda c: c('dns/secure', 'dns/insecure', 'dns/bogus', 'dns/servfail', 'dns/timeout', 'dns/failed'), None),
    ('times of answers of the DNS', lambda c: c('dns/queries'), lambda c: c.counts['dns/answer_time'], None),
    ('HTTPS requests and what came of them',
     lambda c: c('https/requests'),
     lambda c: c('https/ok', 'https/status', 'https/too_large', 'https/timeout', 'https/name', 'https/connect', 'https/tls',
                 'https/certificate', 'https/broken', 'https/failed'), None),
    ('questions to DNS lists and their answers',
     lambda c: c('dns_lists/asked'), lambda c: c('dns_lists/listed', 'dns_lists/not_listed', 'dns_lists/failed'), None),
    ('times of commits', lambda c: c('spool/batches'), lambda c: c.counts['spool/sync_time'], None),
    ('records of commits', lambda c: c('spool/records'), lambda c: c.sums['spool/commit_records'], None),
    ('times of acknowledged messages', lambda c: c('conn/messages'), lambda c: c.counts['conn/store_time'], None),
    ('times of attempts', lambda c: c('courier/returned'), lambda c: c.counts['courier/attempt_time'], None),
    ('ages of what is delivered', lambda c: c('courier/delivered'), lambda c: c.counts['courier/delivered_age'], None),
]


def wrong(counts):
    """The rows that do not hold, in words."""
    found = []
    for what, left, right, where in SUMS:
        if where is None or where(counts):
            a, b = left(counts), right(counts)
            if a != b:
                found.append(f'{what}: {a} and {b}')
    return found


def check_sums(read, seconds=SETTLE_S):
    """read() gives the text of metrics, or None when the gateway has ended. What does not hold at once has some time to settle."""
    end = time.monotonic() + seconds
    while True:
        text = read()
        if text is None:
            return
        bad = wrong(Counts(text))
        if not bad:
            return
        if time.monotonic() > end:
            raise Failed('counters do not add up: ' + '; '.join(bad))
        time.sleep(0.1)
