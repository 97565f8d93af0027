"""What this machine can do at most, measured in the same run: commits to a disk, handshakes, copies of memory."""
import ctypes
import os
import shutil
import statistics
import subprocess
import time

from harness import BUILD, Failed

COPY_BYTES, COPIES = 64 << 20, 12


def rows(program, *args):
    done = subprocess.run([os.path.join(BUILD, 'perf', program), *map(str, args)], capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        raise Failed(f'{program} {" ".join(map(str, args))}: {done.stderr.strip()[-300:]}')
    return [line.split() for line in done.stdout.splitlines()]


def commits(place, size, at_a_time):
    """A bare io_uring program that writes so many records at a time, two writes under way: (records/s, p99 us)."""
    place.count += 1
    folder = place.path(f'bare{place.count}')
    os.mkdir(folder)
    try:
        got = {row[0]: float(row[1]) for row in rows('bench_spool', 'bare', folder, size, at_a_time)}
    finally:
        shutil.rmtree(folder)
    return got['records_per_s'], got['p99_us']


def handshakes_per_cpu_s():
    """Full ones of TLS 1.3 with ECDSA P-256, in memory, without TCP and SMTP: ours, and plain OpenSSL's."""
    got = {row[0]: float(row[2]) for row in rows('bench_tls', 'handshake', '13_ecdsa') if row[1] == '13_ecdsa_handshakes_per_cpu_s'}
    return got['sluice'], got['openssl']


def copy_bytes_per_s():
    """Of memory that no cache holds, by one core."""
    source, target = ctypes.create_string_buffer(b'x' * COPY_BYTES, COPY_BYTES), ctypes.create_string_buffer(COPY_BYTES)
    times = []
    for _ in range(COPIES):
        start = time.perf_counter()
        ctypes.memmove(target, source, COPY_BYTES)
        times.append(time.perf_counter() - start)
    return COPY_BYTES / statistics.median(times)
