"""Mail while passwords are guessed, 10,000 a second from 200 addresses, on a lab listener with auth_cleartext: the time of
a message beside the calm one's, and what came of the guesses."""
import os

PORT, RATE, SECONDS, MESSAGES = 2587, 12000, 10, 400  # of the rate, the client's own pauses leave 10,000


def settings(lab):
    from test_auth import SHA512, write_users
    os.makedirs(os.path.dirname(lab.path('gw/x')), exist_ok=True)
    return {'listener_lab': {'kind': 'submission', 'port': 'net0', 'tcp_port': PORT, 'tls': 'none', 'auth_cleartext': True},
            'smtp': {'errors': 1000, 'session_messages': 0},
            'auth': {'backend': 'passwd', 'passwd_file': write_users(lab, f'alice@example.org:{SHA512}\n'), 'failure_delay': '0s',
                     'failures_client': 0, 'failures_login': 0, 'exchanges': 2048}}


def measure(lab, add):
    from auth_flood import AuthFlood, Mail, add_sources
    from gateway import Gateway
    from harness import check
    from sinks import Scripted
    Scripted(lab)
    gw = Gateway(lab, **settings(lab)).start()
    add_sources(gw.iface)
    Mail().send(50)
    calm = Mail().send(MESSAGES)
    flood = AuthFlood(lab, PORT, RATE, SECONDS)
    Mail().send(50, flood.running)
    beside = Mail().send(MESSAGES, flood.running)
    told = flood.result()
    check(set(calm.codes) == {250} and set(beside.codes) == {250}, f'messages were taken: {calm.codes} {beside.codes}')
    for name, mail in (('calm_', calm), ('flood_', beside)):
        add(f'{name}p50_us', mail.microseconds(0.5), 'us')
        add(f'{name}p99_us', mail.microseconds(0.99), 'us')
    add('flood_messages', len(beside.times), 'messages')
    add('failures_per_s', (told.get('535', 0) + told.get('454', 0)) / told['seconds'], '/s')
    add('hashed_per_s', told.get('535', 0) / told['seconds'], '/s')
    gw.stop()
