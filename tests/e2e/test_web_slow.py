#!/usr/bin/python3
# limit: 150
# ci: it waits for time-outs, 40 s
"""sluicectl web and what is slow: a gateway that hangs, an end with questions under way, clients that say nothing."""
import signal
import socket
import time

from gateway import Gateway
from harness import check, check_equal, main, wait_until
from sinks import Scripted
from webpage import PORT, ask, fill, queue, serve

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


if __name__ == '__main__':
    main(setup)
