"""Meson's test log (JSON, one test a line) as lines "ok NAME", "not ok NAME: why", "skip NAME: why". Behind a
failed one stands the end of its output."""
import json
import sys

TAIL = 30

for line in open(sys.argv[1], encoding="utf-8", errors="replace"):
    test = json.loads(line)
    name, result = test["name"].split(" / ")[-1], test["result"]
    output = (test.get("stdout") or "").splitlines() + (test.get("stderr") or "").splitlines()
    if result in ("OK", "EXPECTEDFAIL"):
        print(f"ok {name}")
    elif result == "SKIP":
        print(f"skip {name}: {output[-1] if output else 'gave no reason'}")
    else:
        print(f"not ok {name}: {result} after {test['duration']:.0f} s")
        for text in output[-TAIL:]:
            print(f"    {text}")
