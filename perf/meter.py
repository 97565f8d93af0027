"""What a server costs, whatever processes it consists of: a control group of its own for them all, ended ones included."""
import os
import re
import signal
import time

from harness import Failed, wait_until

V2 = next((d for d in ('/sys/fs/cgroup/unified', '/sys/fs/cgroup') if os.path.exists(os.path.join(d, 'cgroup.procs'))
           and os.path.exists(os.path.join(d, 'cgroup.controllers'))), None)
V1_MEMORY = '/sys/fs/cgroup/memory'


class Meter:
    """enter() is called in the child between fork and exec; all that it starts belongs to the group then."""

    count = 0

    def __init__(self, lab, name):
        if V2 is None:
            raise Failed('no cgroup file system of version 2: mount -t cgroup2 none /sys/fs/cgroup')
        Meter.count += 1
        name = f'sluice-perf-{os.getpid()}-{Meter.count}-{name}'
        self.group = os.path.join(V2, name)
        self.folders = [self.group]
        if os.path.exists(os.path.join(V1_MEMORY, 'memory.kmem.usage_in_bytes')):
            self.folders.append(os.path.join(V1_MEMORY, name))
        for folder in self.folders:
            os.mkdir(folder)
        lab.at_end(self.close)

    def enter(self):
        for folder in self.folders:
            with open(os.path.join(folder, 'cgroup.procs'), 'w') as f:
                f.write(str(os.getpid()))

    def pids(self):
        with open(os.path.join(self.group, 'cgroup.procs')) as f:
            return [int(line) for line in f]

    def cpu(self):
        """Seconds of user and of system time since the group was made."""
        with open(os.path.join(self.group, 'cpu.stat')) as f:
            rows = dict(line.split() for line in f)
        return int(rows['user_usec']) / 1e6, int(rows['system_usec']) / 1e6

    def cpu_seconds(self):
        return sum(self.cpu())

    def pss_bytes(self):
        """Resident memory, what several processes share divided among them."""
        total = 0
        for pid in self.pids():
            try:
                with open(f'/proc/{pid}/smaps_rollup') as f:
                    total += int(re.search(r'^Pss: +(\d+)', f.read(), re.M).group(1)) * 1024
            except (FileNotFoundError, ProcessLookupError, AttributeError):
                pass  # it has just ended
        return total

    def kernel_bytes(self):
        """Page tables, stacks, sockets; None where the kernel does not tell it for a group."""
        if len(self.folders) > 1:
            with open(os.path.join(self.folders[1], 'memory.kmem.usage_in_bytes')) as f:
                return int(f.read())
        try:
            with open(os.path.join(self.group, 'memory.stat')) as f:
                rows = dict(line.split() for line in f)
            return int(rows['kernel']) + int(rows.get('sock', 0))
        except (FileNotFoundError, KeyError):
            return None

    def end_all(self):
        """Ends what is left in the group, by its ids."""
        def gone():
            for pid in self.pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not self.pids()
        wait_until(gone, 20, 'all processes of the group gone')

    def close(self):
        if not os.path.exists(self.group):
            return
        self.end_all()
        for folder in self.folders:
            end = time.monotonic() + 5
            while os.path.exists(folder):
                try:
                    os.rmdir(folder)
                except OSError:  # of a process that is just being taken away
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.05)
