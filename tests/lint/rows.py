"""Every row of the tables of what delivery must withstand has a test that names it: O1 to O11 (hostile name servers and next
hops), L6 (replies before TLS), D01 to D59 (DANE). So whoever has a row finds its tests by grep; SLUICE_ROWS=1 prints them all."""
import os
import re

import lint

ROWS = [f"O{n}" for n in range(1, 12)] + ["L6"] + [f"D{n:02}" for n in (*range(1, 31), *range(40, 60))]
# At the begin of a string, docstring or comment, or behind another one there.
NAMED = re.compile(r"""(?:["'/(*#;]|, |and |to |^)\s*\b([OLD]\d{1,2})\b(?: to ([OLD]\d{1,2}))?""", re.M)

found = {row: [] for row in ROWS}
tests = lint.SOURCE / "tests"
for path in sorted(p for kind in ("unit/*.[ch]", "e2e/*.py", "fuzz/*.c") for p in tests.glob(kind)):
    for first, last in NAMED.findall(lint.text(path)):
        numbers = range(int(first[1:]), int((last or first)[1:]) + 1)
        for row in ROWS:
            if row[0] == first[0] and int(row[1:]) in numbers and path.name not in found[row]:
                found[row].append(path.name)
if os.environ.get("SLUICE_ROWS") == "1":
    for row, files in found.items():
        print(row, *files)
lint.done([f"tests: no test names {row}" for row, files in found.items() if not files])
