#!/usr/bin/python3
# limit: 180
"""Next hops that are down, refuse for now, refuse for good, or break in the middle."""
import re

from gateway import Counted, Gateway
from harness import HOST_IP, check, check_equal, main, wait_until
from mail import Client, plain, split_received
from sinks import Scripted

gw = far = None


def setup(lab):
    global gw, far
    far = Scripted(lab)
    # Each message over a connection of its own: one that is kept from the case before would go on as that.
    gw = Gateway(lab, smtp={'client_idle': '0'}).start()


def send(*recipients, number=1):
    with Client() as c:
        reply = c.deliver('s@client.example', recipients, plain(number))
        check_equal(reply.code, 250, f'the gateway takes it: {reply}')


def listed(recipient):
    """The line of a recipient in "queue list", or None."""
    found = re.search(rf'to=<{re.escape(recipient)}> (.*)', gw.ctl('queue', 'list'))
    return found and found.group(1)


def deferred(recipient, attempts=1):
    """Waits for the recipient to have been tried so often in vain."""
    def there():
        line = listed(recipient) or ''
        tried = re.search(r'attempts=(\d+)', line)
        return 'deferred' in line and tried and int(tried.group(1)) >= attempts and line
    return wait_until(there, 60, f'{recipient} deferred after {attempts} attempts')


def delivered(recipient):
    wait_until(lambda: far.to(recipient), 60, f'message for {recipient}')
    check_equal(len(far.to(recipient)), 1, f'messages for {recipient}')
    wait_until(lambda: listed(recipient) is None, 30, f'{recipient} off the queue')
    return far.to(recipient)[0]


def test_down_then_up(lab):
    far.down()
    send('down@example.org')
    check('next=' in deferred('down@example.org', 2), 'the list tells when the next attempt is')
    far.up()
    check_equal(split_received(delivered('down@example.org').content)[1], plain(1), 'content')


def test_flush(lab):
    """queue flush tries at once what would wait for long."""
    far.down()
    gw.change(queue={'backoff_min': '1000s', 'backoff_max': '4000s'})
    gw.ctl('reload')
    send('flush@example.org')
    deferred('flush@example.org')
    far.up()
    gw.ctl('queue', 'flush')
    delivered('flush@example.org')
    gw.change(queue={'backoff_min': '1s', 'backoff_max': '2s'})
    gw.ctl('reload')


def temporary(mode, code):
    """In this mode the next hop fails for now; then it recovers."""
    recipient = f'{mode.replace("_", "-")}@example.org'
    far.mode = mode
    send(recipient)
    line = deferred(recipient, 2)
    if code:
        check(f'code={code}' in line, f'{mode}: {line}')
    check_equal(far.to(recipient), [], f'{mode}: messages that got through')
    far.mode = 'ok'
    delivered(recipient)


def test_greeting_421(lab):
    temporary('greet_421', 421)


def test_closed_at_connect(lab):
    temporary('connect_close', 0)


def test_data_refused_for_now(lab):
    temporary('data_451', 451)


def test_end_of_data_refused_for_now(lab):
    with Counted(gw, 'courier/deferred', 2):
        temporary('end_451', 451)


def test_closed_in_data(lab):
    temporary('close_in_data', 0)


def test_closed_before_the_reply(lab):
    """O8: perhaps it has the message; it is sent again, and counted."""
    with Counted(gw, 'smtp_client/unheard', 2):
        temporary('close_before_reply', 0)


def test_garbage(lab):
    temporary('garbage', 0)


def test_endless_greeting(lab):
    temporary('endless', 0)


def test_slow(lab):
    far.mode = 'slow'
    send('slow@example.org')
    delivered('slow@example.org')
    far.mode = 'ok'


def test_refused_for_good(lab):
    """One attempt; the sender's report takes the message's place (test_bounce.py reads it)."""
    far.mode = 'end_554'
    with Counted(gw, 'courier/failed', 1):
        send('end554@example.org')
        wait_until(lambda: listed('end554@example.org') is None, 30, 'off the queue')
    far.mode = 'ok'


def test_mixed_recipients(lab):
    """O7: one message, three fates: delivered once, tried again, failed; each by its own."""
    far.mode = 'rcpt'
    send('good@example.org', 'temp-a@example.org', 'perm-a@example.org')
    deferred('temp-a@example.org', 2)
    wait_until(lambda: 'failed' in (listed('perm-a@example.org') or ''), 30, 'perm-a is failed')
    check('code=550' in listed('perm-a@example.org'), 'perm-a has its code')
    check('delivered' in (listed('good@example.org') or 'delivered'), 'good is delivered')
    check_equal(len(far.to('good@example.org')), 1, 'deliveries to good')
    far.mode = 'ok'
    wait_until(lambda: far.to('temp-a@example.org'), 60, 'temp-a delivered later')
    check_equal(far.to('temp-a@example.org')[0].recipients, ['temp-a@example.org'], 'recipients of the second try')
    wait_until(lambda: 'deferred 0\n' in gw.ctl('queue', 'stat'), 30, 'nothing deferred')
    check_equal(far.to('perm-a@example.org'), [], 'deliveries to perm-a')
    check_equal(len(far.to('good@example.org')), 1, 'deliveries to good at the end')


def test_unreachable_host(lab):
    """A next hop that no one has the address of: ARP fails, the mail waits, others go on."""
    gw.change(**{'route_nowhere.example': {'host': '10.9.0.77:25'}}, smtp={'client_connect_timeout': '2s'})
    gw.ctl('reload')
    send('x@nowhere.example')
    send('meanwhile@example.org')
    delivered('meanwhile@example.org')
    deferred('x@nowhere.example')
    gw.change(**{'route_nowhere.example': {'host': f'{HOST_IP}:2525'}})
    gw.ctl('reload')
    delivered('x@nowhere.example')


def test_clean_commands(lab):
    check_equal(far.faults, [], 'faults of the SMTP client')
    check(gw.alive(), 'the gateway runs')


if __name__ == '__main__':
    main(setup)
