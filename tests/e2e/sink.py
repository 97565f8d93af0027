"""perf/sink: a next hop that takes mail, checks it and notes it in a ledger; over the kernel's sockets or our own stack."""
import os
import subprocess
import time

from harness import BUILD, check_equal, die_with_parent, wait_until

SINK = os.path.join(BUILD, 'perf/sink')


class Sink:
    """Sink(lab, '--kernel', '--listen', '10.9.0.2:2525'). One on a port of the gateway's: quiet() before the gateway is
    stopped (perf/README.md, blast)."""

    def __init__(self, lab, *args):
        self.process = subprocess.Popen([SINK, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=die_with_parent)
        lab.at_end(self.stop)
        check_equal(self.process.stdout.readline(), 'ready\n', 'the sink')
        self.base = self.counts()

    def ask(self, line):
        self.process.stdin.write(line + '\n')
        self.process.stdin.flush()
        return self.process.stdout.readline()

    def counts(self):
        words = self.ask('').split()
        return dict(zip(words[::2], map(int, words[1::2])))

    def wait(self, messages, flush=lambda: None, bound=120):
        """Has the queue flushed; seconds until so many messages more have come; what came in all since the last
        time."""
        start = time.monotonic()
        flush()
        wait_until(lambda: self.counts()['messages'] - self.base['messages'] >= messages, bound, f'{messages} messages')
        seconds, now = time.monotonic() - start, self.counts()
        got = {key: now[key] - self.base[key] for key in now}
        self.base = now
        return seconds, got

    def quiet(self):
        check_equal(self.ask('quiet'), 'quiet\n', 'the sink')

    def stop(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            self.process.wait(10)
        return self.process.returncode
