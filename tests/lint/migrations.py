"""A migration is never edited once it is listed in tests/lint/migrations.sha256; a change is a new file.

  python3 tests/lint/migrations.py --add      lists the migrations that are new
"""
import hashlib
import sys

from common import ROOT, report


def read_list(root):
    path = root / "tests/lint/migrations.sha256"
    if not path.exists():
        return {}
    rows = (line.split() for line in path.read_text().split("\n") if line and not line.startswith("#"))
    return {name: digest for digest, name in rows}


def present(root):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((root / "migrations").glob("*.sql"))}


def findings(root=ROOT):
    listed, there = read_list(root), present(root)
    found = ["migrations/%s is gone; migrations stay for ever" % name for name in listed if name not in there]
    for name, digest in there.items():
        if name not in listed:
            found.append("migrations/%s is not listed: run python3 tests/lint/migrations.py --add" % name)
        elif listed[name] != digest:
            found.append("migrations/%s was edited; write a new migration instead" % name)
    numbers = [name.split("_")[0] for name in there]
    if numbers != ["%04d" % (i + 1) for i in range(len(numbers))]:
        found.append("migrations are numbered 0001, 0002, … without a gap; found %s" % ", ".join(numbers))
    return found


def add(root=ROOT):
    listed = read_list(root)
    rows = {**present(root), **listed}
    lines = ["# SHA-256 of every migration. Kept by tests/lint/migrations.py --add; never edited by hand."]
    lines += ["%s %s" % (digest, name) for name, digest in sorted(rows.items())]
    (root / "tests/lint/migrations.sha256").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--add"]:
        add()
    sys.exit(report(findings()))
