"""A row of a table that nothing uses is a promise: counters, log events, settings."""
import re

import lint

lint.needs_gateway()
code = {path: lint.text(path) for path in lint.files("*.c", "*.h")}


def found(pattern, *without):
    """What the pattern matches anywhere but in these files."""
    regex = re.compile(pattern)
    return {match for path, text in code.items() if not lint.name(path).startswith(without)
            for match in regex.findall(text)}


counts = found(r"\bSTATS_\w+", "lib/stats/stats_table.h")
words = found(r"\b\w+", "lib/stats/")
logged = found(r"\bSTATS_LOG_\w+", "lib/stats/stats_log.h")
fields = found(r"(?:\.|->)(\w+)", "lib/conf/", "drivers/")  # conf->block.field, or of an instance: port->field
# Macros that put names together: STATS_SMTP_##x makes x of each STATS_SMTP_x a use.
pasted = {match for path, text in code.items() if not lint.name(path).startswith("lib/stats/")
          for match in re.findall(r"\b(STATS_\w*)##", text)}


def counted(row):
    name = f"STATS_{row}"
    return name in counts or any(name.startswith(prefix) and name.removeprefix(prefix) in words for prefix in pasted)


findings = []
stats = lint.SOURCE / "lib/stats/stats_table.h"
for row in re.findall(r"^STATS\((\w+),", code[stats], re.M):
    if not counted(row):
        findings.append(f"counter {row} is never counted")
for row in re.findall(r"^STATS_HISTOGRAM\((\w+),", code[stats], re.M):
    if f"STATS_HISTOGRAM_{row}" not in counts:
        findings.append(f"histogram {row} is never told a value")
events = lint.SOURCE / "lib/stats/stats_log.h"
for row in re.findall(r"^\s+X\((\w+), STATS_LOG_", code[events], re.M):
    if f"STATS_LOG_{row}" not in logged:
        findings.append(f"log event {row} is never logged")
SUFFIX = {"SIZE": "_bytes", "DURATION": "_ns"}
table = lint.SOURCE / "lib/conf/conf_table.c"
settings = 0
for macro, arguments in re.findall(r"^    (TEXT|NUMBER|SIZE|DURATION|WORDS)\((.*)$", code[table], re.M):
    parts = [part.strip() for part in arguments.split(",")]
    block, key = parts[0], parts[2] if macro == "TEXT" else parts[1]
    field = parts[2] if macro == "SIZE" else key
    field += SUFFIX.get(macro, "")
    settings += 1
    if field not in fields:
        findings.append(f"setting {block}.{key}: nothing reads {field}")
if settings < 40:
    findings.append("lib/conf/conf_table.c: its rows could not be read")
lint.done(findings)
