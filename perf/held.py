"""Case idle of perf/run, its second half: connections that are held and say nothing, ours and each peer's; what one takes."""
import socket
import time

import peers
from ground import CLIENTS, Ground, Ours, Place
from harness import GATEWAY_IP, check, wait_until

FIRST, CONNECTIONS, OURS = 50, 1000, 10000
OPEN_AT_A_TIME = 32


def hold(held, cnt):
    """So many more connections, each greeted; a few at a time, so that nobody's listen queue is what is tried."""
    while cnt > 0:
        new = []
        for n in range(min(cnt, OPEN_AT_A_TIME)):
            s = socket.socket()
            s.settimeout(30)
            s.bind((f'10.9.0.{2 + n % CLIENTS}', 0))
            s.connect((GATEWAY_IP, 25))
            new.append(s)
        for s in new:
            check(s.recv(1000).startswith(b'220'), 'a greeting')
        held += new
        cnt -= len(new)


def memory(server):
    """When it has settled: PSS, the kernel's (None: not told), processes."""
    time.sleep(1.0)
    return server.meter.pss_bytes(), server.meter.kernel_bytes(), len(server.meter.pids())


def one(table, who, server, cnt):
    """The first ones are not counted: what is made once is theirs."""
    held = []
    try:
        hold(held, FIRST)
        pss, kernel, before = memory(server)
        hold(held, cnt)
        more_pss, more_kernel, after = memory(server)
    finally:
        for s in held:
            s.close()
    table.add('idle', 'held_connections', cnt, 'connections', who)
    table.add('idle', 'held_pss_bytes_per_connection', max(0, more_pss - pss) / cnt, 'bytes', who)
    if kernel is not None:
        table.add('idle', 'held_kernel_bytes_per_connection', max(0, more_kernel - kernel) / cnt, 'bytes', who)
    table.add('idle', 'held_pss_before', pss, 'bytes', who)
    table.add('idle', 'held_processes', after, 'processes', who)
    return before


def held(lab, table, quick=False, names=None):
    ground = Ground(lab)
    place = Place(lab, ground, 'held')
    cnt = 50 if quick else CONNECTIONS
    ground.server_address(kernel=False)
    ours = cnt if quick else OURS
    gw = Ours(place, gateway={'memory': '768M'}, tcp={'connections': ours + 512, 'packet_buffers': 32768},
              smtp={'command_timeout': '10m'}).start(addresses=False)
    one(table, 'sluice', gw, ours)
    wait_until(lambda: gw.counter('conn/accepted') >= ours, 10, 'all were accepted')
    gw.stop()
    for kind in peers.present(names or peers.packages.NAMES):
        ground.server_address(kernel=True)
        server = kind(lab, place, None, many=True).start()
        try:
            one(table, kind.name, server, cnt)
        finally:
            server.stop()
