#!/usr/bin/python3
# limit: 150
# ci: it waits for time-outs, 40 s
"""sluicectl web and what is slow: a gateway that hangs, an end and a new password with questions under way, clients that say nothing."""
import base64
import os
import signal
import socket
import threading
import time

from gateway import Gateway
from harness import check, check_equal, main, wait_until
from sinks import Scripted
from webpage import PORT, ask, change, fill, queue, serve

gw = server = None


def setup(lab):
    global gw, server
    Scripted(lab, mode='rcpt')
    gw = Gateway(lab, queue={'backoff_min': '1h', 'backoff_max': '2h'}).start()
    fill(gw, 3)
    server = serve(lab, gw)


def taken():
    try:
        return ask('/api/live').status == 200
    except OSError:
        return False


def test_silent_clients(lab):
    """Others are served beside them; places come back."""
    silent = [socket.create_connection(('127.0.0.1', PORT)) for _ in range(55)]
    for s in silent[:20]:
        s.sendall(b'GET / HTTP/1.1\r\nHost: loc')
    check(taken(), 'beside those')
    silent += [socket.create_connection(('127.0.0.1', PORT)) for _ in range(40)]  # more than there are places
    wait_until(taken, 60, 'their places are free again: they had ten seconds')
    for s in silent:
        s.close()


def test_gateway_hangs(lab):
    """It takes the question, and does not answer: the page itself is there, and says so."""
    gw.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: not (check_equal(ask('/').status, 200, 'the page itself') or ask('/api/live').json['up']), 60, 'down')
    finally:
        gw.process.send_signal(signal.SIGCONT)
    wait_until(lambda: ask('/api/live').json['up'], 30, 'up again')
    check_equal(queue()['stat']['matched'], 3, 'all as before')


def test_ends_in_the_middle(lab):
    """SIGTERM with questions under way."""
    child = serve(lab, gw, listen=f'127.0.0.1:{PORT + 6}')
    gw.process.send_signal(signal.SIGSTOP)
    try:
        with socket.create_connection(('127.0.0.1', PORT + 6)) as s:
            s.sendall(b'GET /api/queue HTTP/1.1\r\nHost: localhost\r\n\r\n')
            time.sleep(0.2)
            child.send_signal(signal.SIGTERM)
            check_equal(child.wait(timeout=40), 0, 'its end')
    finally:
        gw.process.send_signal(signal.SIGCONT)


def write(path, text):
    with open(path + '.new', 'w') as f:
        os.chmod(path + '.new', 0o600)
        f.write(text + '\n')
    os.rename(path + '.new', path)


def test_new_password_during_a_change(lab):
    """It waits for the change; a file that is no good after one that was does not end the server."""
    port, path, answers = PORT + 7, lab.path('password'), []
    write(path, 'correct horse')
    child = serve(lab, gw, '--password-file', path, listen=f'127.0.0.1:{port}')

    def auth(password):
        return {'Authorization': 'Basic ' + base64.b64encode(f'x:{password}'.encode()).decode()}
    token = ask('/api/live', port=port, headers=auth('correct horse')).json['token']
    ids = [m['id'] for m in queue()['messages']]
    gw.process.send_signal(signal.SIGSTOP)
    try:
        hold = threading.Thread(target=lambda: answers.append(change([('verb', 'hold'), ('which', 'ids')] + [('id', i) for i in ids], port=port, with_token=False,
                                                                     headers=auth('correct horse') | {'X-Sluice-Token': token})), daemon=True)
        hold.start()
        time.sleep(1)
        write(path, 'battery staple')
        time.sleep(5)  # it has looked at the file twice
    finally:
        gw.process.send_signal(signal.SIGCONT)
    hold.join(60)
    check_equal([(a.status, a.json) for a in answers], [(200, {'done': 3, 'busy': 0, 'missing': 0})], 'the change')

    def new_taken(path='/api/live'):
        try:
            return ask(path, port=port, headers=auth('battery staple')).status == 200
        except OSError:
            return False
    wait_until(lambda: time.sleep(0.5) or new_taken(), 40, 'then the new password')
    gw.process.send_signal(signal.SIGSTOP)
    try:  # its end waits for a question: the file changes again before it begins anew
        threading.Thread(target=new_taken, kwargs={'path': '/api/queue'}, daemon=True).start()
        time.sleep(0.5)
        write(path, 'staple battery')
        time.sleep(3)
        write(path, 'short')
    finally:
        gw.process.send_signal(signal.SIGCONT)
    wait_until(lambda: 'what was read before stays in use' in child.stderr.readline().decode(), 40, 'it says so')
    check(child.poll() is None, 'the one before stays')


if __name__ == '__main__':
    main(setup)
