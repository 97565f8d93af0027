"""Dependencies point down: an include of a library is its own or of one that stands above it in
lib/meson.build; drivers include libraries; internal headers stay in their folder. lib/ is sans-I/O: no
header of sockets, files, clocks, threads or ports."""
import re

import lint

FORBIDDEN = re.compile(
    r"sys/(socket|epoll|eventfd|stat|mman|time|un|ioctl|wait|uio|random|syscall)\.h|netdb\.h|fcntl\.h|unistd\.h|"
    r"time\.h|signal\.h|setjmp\.h|pthread\.h|threads\.h|dirent\.h|poll\.h|liburing\.h|"
    r"rte_(ethdev|eal|cycles|launch|lcore|dev|bus|alarm|interrupts|telemetry|random)\.h")
# Its only use: anonymous memory.
ALLOWED = {("lib/spool/spool_buf.c", "sys/mman.h")}
ENDS = re.compile(r"\brte_(panic|exit)\(")
# The library of each outside header that only some may use.
OPENSSL = {"tls", "dane", "smtp", "mail"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

order = re.search(r"libraries = \[(.*?)\]", lint.text(lint.SOURCE / "lib/meson.build"), re.S)
order = re.findall(r"'(\w+)'", order.group(1))
homes = {}
findings = []
for header in lint.files("*.h"):
    if header.name in homes:
        findings.append(f"{lint.name(header)}: {lint.name(homes[header.name])} has the same name")
    homes[header.name] = header


def check(path, line, quote, wanted):
    at = f"{lint.name(path)}:{line}: includes {wanted}"
    parts = path.relative_to(lint.SOURCE).parts
    library = parts[1] if parts[0] == "lib" else None
    if quote == "<":
        if library is None:
            return
        if FORBIDDEN.fullmatch(wanted) and (lint.name(path), wanted) not in ALLOWED:
            findings.append(f"{at}: lib/ is state and bytes, drivers/ is the outside")
        if wanted.startswith("openssl/") and library not in OPENSSL:
            findings.append(f"{at}: only in lib/{', lib/'.join(sorted(OPENSSL))}")
        return
    home = homes.get(wanted)
    if home is None:
        findings.append(f"{at}: no such header; a path is not part of an include")
        return
    if "_internal" in wanted and home.parent != path.parent:
        findings.append(f"{at}: it is private to {lint.name(home.parent)}")
    home_parts = home.relative_to(lint.SOURCE).parts
    if parts[0] == "drivers" and home_parts[0] == "app" or library and home_parts[0] != "lib":
        findings.append(f"{at}: of {lint.name(home.parent)}, which stands above it")
    elif library and order.index(home_parts[1]) > order.index(library):
        findings.append(f"{at}: lib/{home_parts[1]} stands after lib/{library} in lib/meson.build")


for folder in sorted(p.name for p in (lint.SOURCE / "lib").iterdir() if p.is_dir()):
    if folder not in order:
        findings.append(f"lib/{folder}: not in the list of lib/meson.build")
        order.append(folder)
for path in lint.files("*.c", "*.h"):
    for number, line in enumerate(lint.lines(path), 1):
        if match := INCLUDE.match(line):
            check(path, number, *match.groups())
        elif ENDS.search(line) and path.relative_to(lint.SOURCE).parts[0] != "app":
            findings.append(f"{lint.name(path)}:{number}: libraries and drivers do not exit")
lint.done(findings)
