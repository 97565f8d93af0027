"""clang-format decides on every .c and .h."""
import shutil
import subprocess

import lint

if shutil.which("clang-format") is None:
    lint.skip("clang-format is not installed")
paths = lint.files("*.c", "*.h", under=("app", "lib", "drivers", "tests", "perf"))
findings = []
for start in range(0, len(paths), 32):
    run = subprocess.run(["clang-format", "--dry-run", "-Werror", *paths[start:start + 32]], cwd=lint.SOURCE,
                         capture_output=True, text=True, check=False)
    findings += [line for line in run.stderr.splitlines() if "error:" in line]
    if run.returncode != 0 and not findings:
        findings.append(run.stderr or f"clang-format: exit status {run.returncode}")
lint.done(findings)
