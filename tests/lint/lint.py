"""What the lint scripts share. Each is called as SCRIPT SOURCE BUILD, prints a line for each finding and exits
0 (none), 1, or 77 (can't look; the last line says why)."""
import pathlib
import sys

SOURCE = pathlib.Path(sys.argv[1]).resolve()
BUILD = pathlib.Path(sys.argv[2]).resolve()


def files(*patterns, under=("app", "lib", "drivers")):
    """The files of the given folders that match one of the patterns, sorted, without builds."""
    found = set()
    for folder in under:
        for pattern in patterns:
            found.update(p for p in (SOURCE / folder).rglob(pattern) if p.is_file())
    return sorted(found)


def name(path):
    return str(path.relative_to(SOURCE))


def text(path):
    return path.read_text(encoding="utf-8", errors="replace")


def lines(path):
    return text(path).splitlines()


def objects(*folders):
    """The object files of the build below the given folders."""
    found = []
    for folder in folders:
        found += sorted((BUILD / folder).rglob("*.o"))
    return found


def skip(why):
    print(why)
    sys.exit(77)


def needs_gateway():
    """Some rules hold for the whole only."""
    if not (SOURCE / "app/sluiced/main.c").exists():
        skip("app/sluiced/main.c is not there")


def done(findings):
    for finding in findings:
        print(finding)
    sys.exit(1 if findings else 0)
