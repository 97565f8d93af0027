"""sluicectl web for tests: its start, its questions as a browser's script puts them, and mail that shows in it."""
import http.client
import json
import ssl
import subprocess
import urllib.parse

from gateway import SLUICECTL
from harness import check, wait_until
from mail import Client, plain

PORT = 8025
# What would be markup, or end an attribute, if it were not put in as text.
HOSTILE_SENDER = '"<script>window.hit=1</script>"@client.example'
HOSTILE_TO = '"temp-<img src=x onerror=window.hit=1>\'"@example.org'


def serve(lab, gw, *more, listen=f'127.0.0.1:{PORT}', program=SLUICECTL, **kw):
    """sluicectl web, once it listens; .said is its first line."""
    child = lab.spawn(program, '-s', gw.socket, 'web', '--listen', listen, *more, stderr=subprocess.PIPE, **kw)
    child.said = child.stderr.readline().decode()
    check('web page at http' in child.said, f'it says {child.said!r}')
    return child


class Answer:
    def __init__(self, r):
        self.status, self.headers, self.body = r.status, r.headers, r.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)


def ask(path, method='GET', port=PORT, headers=None, body=None, address='127.0.0.1', tls=None):
    """One request over a connection of its own. tls: the certificate that is trusted."""
    if tls:
        c = http.client.HTTPSConnection(address, port, timeout=60, context=ssl.create_default_context(cafile=tls))
    else:
        c = http.client.HTTPConnection(address, port, timeout=60)
    try:
        c.request(method, path, body=body, headers=headers or {})
        return Answer(c.getresponse())
    finally:
        c.close()


def token(**kw):
    return ask('/api/live', **kw).json['token']


def change(pairs, headers=None, with_token=True, **kw):
    """A change as the page posts it."""
    all_headers = {'Content-Type': 'application/x-www-form-urlencoded'} | (headers or {})
    if with_token:
        all_headers['X-Sluice-Token'] = token(**kw)
    return ask('/api/change', 'POST', headers=all_headers, body=urllib.parse.urlencode(pairs), **kw)


def queue(**conditions):
    return ask('/api/queue?' + urllib.parse.urlencode(conditions)).json


def send(recipients, sender='s@client.example'):
    with Client(timeout=60) as c:
        reply = c.deliver(sender, recipients, plain(1))
        check(reply.code == 250, f'reply {reply}')


def fill(gw, count):
    """count messages that stay, each deferred: recipients are such as the next hop refuses for now."""
    with Client(timeout=60) as c:
        for i in range(count):
            check(c.deliver(f's{i}@client.example', [f'temp-{i}@example.org'], plain(i)).code == 250, 'message')
    wait_until(lambda: gw.counter('courier/deferred') >= count, 120, 'deferred')
