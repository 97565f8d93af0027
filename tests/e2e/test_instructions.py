#!/usr/bin/python3
# limit: 300
# long: counts instructions under valgrind
"""Instructions of a message, a connection, a handshake: no more than perf/instructions.txt has, and in no worse ratio to others'."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../perf'))
import instructions  # noqa: E402


def main():
    why = instructions.missing()
    if why:
        print(f'skip instructions: {why}')
        return 77
    table, bad = instructions.read_table(), 0
    try:
        for name, value in instructions.figures_of(()):
            holds, said = instructions.judge(name, value, table)
            print(f'{"ok" if holds else "not ok"} {name}' + ('' if holds else f': {said}'), flush=True)
            print(f'# {said}')
            bad += not holds
    except instructions.Failed as e:
        print(f'not ok instructions: {e}')
        bad += 1
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
