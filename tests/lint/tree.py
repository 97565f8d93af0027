"""The top level holds what was agreed and nothing else; no promises instead of code; no file without
end."""
import re
import subprocess

import lint

TOP = {"meson.build", "README.md", "LICENSE", "app", "lib", "drivers", "conf", "perf", "tests", ".ci",
       ".clang-format", ".clang-tidy", ".gitignore"}
PROMISE = re.compile("|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X:", "HA" + "CK:"]))
FAIL_LINES, WARN_LINES, FUNCTION_LINES = 800, 500, 70

findings, warnings = [], []
tracked = subprocess.run(["git", "-C", lint.SOURCE, "ls-files", "-z", "--cached", "--others",
                          "--exclude-standard"], capture_output=True, text=True, check=False).stdout.split("\0")
paths = [lint.SOURCE / p for p in tracked if p] or [
    p for p in lint.SOURCE.rglob("*") if not p.relative_to(lint.SOURCE).parts[0].startswith("build")
    and ".git" not in p.parts]
paths = [p for p in paths if p.is_file()]
present = {p.relative_to(lint.SOURCE).parts[0] for p in paths}
findings += [f"{p}: does not belong to the top level" for p in sorted(present - TOP)]
if (lint.SOURCE / "app/sluiced/main.c").exists():
    findings += [f"{p}: is missing" for p in sorted(TOP - present)]


def functions(path, lines):
    """Functions as clang-format leaves them: from a brace in the first column to the next."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            start = number
        elif line == "}" and start is not None:
            if number - start - 1 > FUNCTION_LINES:
                warnings.append(f"{lint.name(path)}:{start}: function of {number - start - 1} lines")
            start = None


for path in paths:
    if path.suffix not in (".c", ".h", ".py", ".sh", ".build", ".md", ".conf", ".service", "") or \
            path.name == "LICENSE" or "data" in path.relative_to(lint.SOURCE).parts:
        continue
    lines = lint.lines(path)
    findings += [f"{lint.name(path)}:{number}: a promise instead of code"
                 for number, line in enumerate(lines, 1) if PROMISE.search(line)]
    if path.suffix in (".c", ".h", ".py"):
        if len(lines) > FAIL_LINES:
            findings.append(f"{lint.name(path)}: {len(lines)} lines, at most {FAIL_LINES}")
        elif len(lines) > WARN_LINES:
            warnings.append(f"{lint.name(path)}: {len(lines)} lines, worth a look")
    if path.suffix == ".c":
        functions(path, lines)
for warning in warnings:
    print(f"warning: {warning}")
lint.done(findings)
