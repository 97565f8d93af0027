"""The way of one message is told twice: README.md's table for readers, topology_way in
app/sluiced/topology.c for the program. They must agree, step by step, and what they name must exist.

README: rows "| number | step | where | leaves as |"; the paths are what stands in backquotes in "where" and
has a slash. topology.c: rows {"step", "path"}; several paths with blanks between them."""
import re

import lint

lint.needs_gateway()
readme = lint.SOURCE / "README.md"
topology = lint.SOURCE / "app/sluiced/topology.c"
findings = [f"{lint.name(p)}: is missing" for p in (readme, topology) if not p.exists()]
if findings:
    lint.done(findings)

told = []
inside = False
for number, line in enumerate(lint.lines(readme), 1):
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    if cells[:4] == ["#", "step", "where", "leaves as"]:
        inside = True
    elif inside and not line.startswith("|"):
        break
    elif inside and cells[0].isdigit():
        paths = [path for path in re.findall(r"`([^`]+)`", cells[2]) if "/" in path]
        told.append((f"README.md:{number}", int(cells[0]), cells[1], paths))
        findings += [f"README.md:{number}: {path} does not exist" for path in paths
                     if not (lint.SOURCE / path).exists()]
        if not paths:
            findings.append(f"README.md:{number}: names no path")
if not told:
    findings.append('README.md: has no table "| # | step | where | leaves as |"')
findings += [f"{at}: is row {n}, not {wanted}" for wanted, (at, n, _, _) in enumerate(told, 1) if n != wanted]

table = re.search(r"topology_way\[[^\]]*\]\s*=\s*\{(.*?)\n\};", lint.text(topology), re.S)
rows = re.findall(r'\{\s*"([^"]*)"\s*,\s*((?:"[^"]*"\s*)+),?\s*\}', table.group(1)) if table else []
rows = [(step, " ".join(re.findall(r'"([^"]*)"', paths)).split()) for step, paths in rows]
if not rows:
    findings.append("app/sluiced/topology.c: has no table topology_way")
for (at, n, step, paths), (code_step, code_paths) in zip(told, rows):
    if step != code_step:
        findings.append(f'{at}: step {n} is "{step}", in topology_way "{code_step}"')
    if paths != code_paths:
        findings.append(f"{at}: step {n} is in {' '.join(paths)}, in topology_way {' '.join(code_paths)}")
if len(told) != len(rows):
    findings.append(f"README.md has {len(told)} steps, topology_way {len(rows)}")
lint.done(findings)
