#!/usr/bin/python3
"""Inputs to begin with for fuzz_tcp and fuzz_tcp_pair: whole lives of connections, which a fuzzer that starts from
nothing takes hours to find.

    seeds_tcp.py pair|one DIRECTORY [COUNT]

The bytes are those that the two programs read: a step, then its arguments (see enum step there)."""
import os
import random
import sys

# fuzz_tcp_pair.c
DELIVER, LATE, BURST, LOSE, DUPLICATE, SPLIT, JOIN, MARK, STRIP, CONNECT, SEND, READ, END, TIME, POOLS, FORGE, \
    ROUND = range(17)
# fuzz_tcp.c
SEGMENT, RIGHT, RAW, OPEN, WRITE, TAKE, SHUTDOWN, CLOSE, ABORT, WAIT, LISTEN, TROUBLE = range(12)


def times(rand):
    """Mostly a round trip, now and then a timeout."""
    return bytes([TIME, rand.choice((0x15, 0x24, 0x52, 0x72, 0x91, 0xa2, rand.randrange(256)))])


def pair_step(rand, byte):
    kind = rand.randrange(100)
    if kind < 30:
        return bytes([ROUND])
    if kind < 45:
        return bytes([SEND, byte(), byte()])
    if kind < 60:
        return bytes([rand.choice((DELIVER, LATE, BURST, LOSE, LOSE, DUPLICATE, MARK, JOIN)), byte()])
    if kind < 65:
        return bytes([SPLIT, byte() & 0xc3, byte() & 31, byte() & 31])
    if kind < 72:
        return bytes([FORGE, byte(), byte()])
    if kind < 75:
        return bytes([READ, byte(), byte()])
    if kind < 90:
        return times(rand)
    if kind < 93:
        return bytes([POOLS, byte()])
    if kind < 96:
        return bytes([CONNECT, byte()])
    if kind < 97:
        return bytes([STRIP, byte()])
    return bytes([END, byte()])


def pair(rand):
    def byte():
        return rand.randrange(256)
    out = bytes([byte(), byte()]) + bytes([ROUND]) * rand.randrange(5)
    return out + b''.join(pair_step(rand, byte) for _ in range(rand.randrange(10, 200)))


def one_step(rand, byte, who):
    kind = rand.randrange(100)
    if kind < 35:
        return bytes([RIGHT, who, byte(), rand.choice((0, 1, 3))])
    if kind < 55:
        flags = rand.choice((0x10, 0x10, 0x18, 0x11, 0x14, 0x04, 0x02, 0x12))
        head = bytes([SEGMENT, who, byte(), rand.choice((0, 1, 60, 255)), rand.choice((0, 0, 1, 255)), flags, byte()])
        options = bytes([rand.choice((0, 1, 9, 17, 25)), byte(), byte(), byte(), byte(), byte(), byte()])
        return head + options
    if kind < 70:
        return bytes([WRITE, byte() & 7, byte()])
    if kind < 80:
        return bytes([TAKE, byte() & 7, byte()])
    if kind < 92:
        return bytes([WAIT, rand.choice((0x15, 0x24, 0x52, 0x72, 0x91, 0xa2, byte()))])
    if kind < 95:
        return bytes([TROUBLE, byte()])
    return bytes([rand.choice((OPEN, SHUTDOWN, CLOSE, ABORT, LISTEN)), byte() & 7, byte()])


def one(rand):
    def byte():
        return rand.randrange(256)
    out, who = bytes([byte()]), rand.randrange(4)
    out += bytes([SEGMENT, who, 0, 0, 0, 0x02, 255, 1, rand.choice((0xc3, 0x83, 0x43, 0x01)), 182])
    out += bytes([RIGHT, who, 0, 1])
    return out + b''.join(one_step(rand, byte, who) for _ in range(rand.randrange(10, 150)))


def main():
    what, directory = sys.argv[1], sys.argv[2]
    os.makedirs(directory, exist_ok=True)
    for number in range(int(sys.argv[3]) if len(sys.argv) > 3 else 200):
        rand = random.Random(f'{what} {number}')
        with open(os.path.join(directory, f'seed-{number}'), 'wb') as f:
            f.write({'pair': pair, 'one': one}[what](rand))


main()
