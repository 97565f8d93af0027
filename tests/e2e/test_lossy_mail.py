#!/usr/bin/python3
# limit: 180
"""
The whole gateway behind a bad link: 20 ms there and back, 5 % of all frames lost, 5 % late and overtaken. smtp-source,
swaks and a client of our own send through it to smtp-sink; all of it arrives, byte for byte, once.

The gateway runs in a network namespace of its own, behind gw0; link_emulator stands between that and lx0, which is
the kernel's end (link.py). Received fields apart, nothing may differ.
"""
import threading

import link
from gateway import Gateway
from harness import GATEWAY_IP, HOST_IP, check, check_equal, find_program, main, run, wait_until
from mail import Client, plain, split_received
from sinks import SmtpSink

FAULTS = {'delay_us': 10000, 'loss_ppm': 50000, 'reorder_ppm': 50000, 'reorder_us': 5000}
gw = wire = sink = None


class FarGateway(Gateway):
    """In a namespace of its own."""

    def launch(self, *args, **kw):
        return super().launch(*args, preexec_fn=link.own_namespace, **kw)


def setup(lab):
    global gw, wire, sink
    gw = FarGateway(lab).start(addresses=False)
    wire = link.Emulator(lab, 'tap:lx0', f'packet:gw0@/proc/{gw.process.pid}/ns/net')
    link.set_kernel()
    link.set_device('lx0', f'{HOST_IP}/24')
    check_equal(len(link.round_trips(GATEWAY_IP, 3)), 3, 'echo replies over the good link')
    sink = SmtpSink(lab)
    wire.set(**FAULTS)


def arrived(recipient, count):
    """The contents for the recipient at smtp-sink, without the Received field of ours."""
    mark = f'X-Rcpt-Args: <{recipient}>'.encode()

    def there():
        return [d for d in sink.dumps() if mark in d and d.endswith(b'\n\n')]
    wait_until(lambda: len(there()) >= count, 120, f'{count} messages for {recipient} at smtp-sink')
    check_equal(len(there()), count, f'messages for {recipient}')
    return [split_received(sink.content(d))[1] for d in there()]


def body(content):
    return content.split(b'\r\n\r\n', 1)[1]


def test_smtp_source(lab):
    """What smtp-source sends to smtp-sink directly is the measure."""
    source = find_program('smtp-source')
    direct = SmtpSink(lab, host='127.0.0.1', port=2526)

    def send(recipient, count, server):
        run(source, '-4', '-s', '6', '-m', str(count), '-l', '20000', '-f', 'a@client.example', '-t', recipient,
            f'inet:{server}', timeout=120)
    wait_until(lambda: 'LISTEN' in run('ss', '-tlnH', 'sport = :2526'), 30, 'the direct smtp-sink')
    send('direct@example.org', 1, '127.0.0.1:2526')
    want = body(direct.content(direct.wait(1)[0]))
    check(len(want) > 19000, 'the measure is as long as it was meant to be')
    send('source@example.org', 30, f'{GATEWAY_IP}:25')
    for content in arrived('source@example.org', 30):
        check(body(content) == want, 'the body of a message of smtp-source differs')


def test_swaks(lab):
    """Five at a time; what swaks is given as data is what arrives."""
    swaks, errors = find_program('swaks'), []

    def send(number):
        path = lab.path(f'swaks-{number}')
        with open(path, 'wb') as f:
            f.write(plain(number, 5000).replace(b'\r\n', b'\n'))
        try:
            run(swaks, '--server', GATEWAY_IP, '--from', 'a@client.example', '--to', f'swaks{number}@example.org',
                '--data', f'@{path}', '--timeout', '60', timeout=120)
        except Exception as why:
            errors.append(why)
    threads = [threading.Thread(target=send, args=(n,), daemon=True) for n in range(5)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(120)
    check_equal(errors, [], 'errors of swaks')
    for number in range(5):
        content = arrived(f'swaks{number}@example.org', 1)[0]
        check(content.rstrip(b'\r\n') == plain(number, 5000).rstrip(b'\r\n'), f'message {number} of swaks differs')


def test_large(lab):
    content = plain(9, 1 << 20)
    with Client(timeout=60) as c:
        check_equal(c.deliver('a@client.example', ['large@example.org'], content).code, 250, '1 MB')
    check(arrived('large@example.org', 1)[0] == content, 'bytes of 1 MB differ')


def test_what_the_link_did(lab):
    """It was as bad as it was meant to be, and TCP alone has mended it: no delivery was tried twice."""
    counted = wire.count()
    for way in ('ab', 'ba'):
        for fate in ('lost', 'reordered'):
            check(counted[way][fate] > 20, f'frames of {way} {fate}: {counted[way]}')
    check(gw.counter('tcp/retransmits') > 10, 'segments sent again')
    check(gw.counter('tcp/out_of_order') > 10, 'segments out of order')
    wait_until(lambda: 'messages 0' in gw.ctl('queue', 'stat'), 60, 'an empty queue')
    check('deferred' not in gw.log(), 'a delivery was deferred')
    check_equal(gw.stop(), 0, 'exit status')
    check_equal(wire.end(), 0, 'status of link_emulator')


if __name__ == '__main__':
    main(setup)
