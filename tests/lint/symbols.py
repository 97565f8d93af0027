"""What the objects of the build say: lib/ calls nothing of the outside, neither prints nor exits (drivers
neither), and nothing in lib/, drivers/ and app/ is writable and static: a core's state is one struct."""
import re
import shutil
import subprocess

import lint

OUTSIDE = re.compile(
    r"_*(open|open64|openat|openat64|creat|read|pread|pread64|write|pwrite|pwrite64|close|fsync|fdatasync|unlink|"
    r"rename|mkdir|fopen|fopen64|freopen|opendir|socket|connect|accept|bind|listen|recv\w*|send|sendto|sendmsg|"
    r"poll|select|epoll_\w+|clock_\w+|gettimeofday|time|localtime\w*|gmtime\w*|sleep|usleep|nanosleep|"
    r"getrandom|getentropy|rand|random|rand_r|drand48|getenv|setenv|fork|execv\w*|system|popen|mmap|mmap64|"
    r"syscall|pthread_\w+|thrd_\w+|signal|sigaction|setlocale|strtok|setjmp|longjmp|io_uring_\w+|"
    r"rte_eth_\w+|rte_eal_\w+|rte_delay_\w+|rte_rand)(_2|_chk)?")
QUIET = re.compile(r"_*(printf|vprintf|puts|putchar|putc|perror|psignal|exit|_exit|_Exit|quick_exit|abort|err|errx|"
                   r"stdout|stderr|rte_exit|__assert_fail)(_chk)?")
ALLOWED = {
    # An assertion that fails is a bug: it says so and ends the process.
    ("base_assert", "abort"), ("base_assert", "stderr"),
    # Anonymous memory, whole pages of which go to disks that want no copy.
    ("spool_buf", "mmap64"), ("spool_buf", "mmap"),
}
WRITABLE = {
    ("tls_memory", "cache"),  # OpenSSL gives its allocator no argument of ours; a thread's own
    ("tls_thin", "tables"), ("tls_thin", "building"),  # nor its providers; the same for all, a thread's own
    ("telemetry", "shown"), ("telemetry", "lock"),  # DPDK gives its callbacks no argument of ours
}

if shutil.which("objdump") is None:
    lint.skip("objdump is not installed")
findings = set()
objects = lint.objects("lib", "drivers", "app")
if not objects:
    lint.skip("nothing is built")
for path in objects:
    parts = path.relative_to(lint.BUILD).parts
    unit = path.name.removesuffix(".c.o")
    if parts[0] == "lib":
        unit = unit.split("_", 1)[1]  # behind the folder's name
    table = subprocess.run(["objdump", "-t", path], capture_output=True, text=True, check=True).stdout
    for line in table.splitlines():
        match = re.match(r"[0-9a-f]{16} .{7} (\S+)\s+[0-9a-f]+\s+(?:\.hidden )?(\S+)$", line)
        if match is None:
            continue
        section, symbol = match.groups()
        where = f"{'/'.join(parts[:2])}: {path.name}: {symbol}"
        if section == "*UND*":
            plain = symbol.split("@")[0]
            if (unit, plain) in ALLOWED:
                continue
            if parts[0] == "lib" and OUTSIDE.fullmatch(plain):
                findings.add(f"{where}: lib/ is state and bytes, drivers/ is the outside")
            if parts[0] != "app" and QUIET.fullmatch(plain):
                findings.add(f"{where}: libraries and drivers neither print nor exit")
        elif re.match(r"\.t?(data|bss)|\*COM\*", section) and not section.startswith(".data.rel.ro"):
            if symbol.startswith((".data", ".bss", ".tbss", ".tdata", "__asan", "__ubsan", "__sancov")):
                continue
            if (unit, symbol) not in WRITABLE:
                findings.add(f"{where}: is writable and static")
lint.done(sorted(findings))
