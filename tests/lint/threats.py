"""docs/security.md against the tests: every threat and fault has a row, every row names tests, and every one of them exists and names it."""
import re
import sys

from common import ROOT, report

THREATS = ["T%02d" % n for n in range(1, 41)]
FAULTS = ["F%02d" % n for n in [*range(1, 27), *range(30, 48)]]
ROW = re.compile(r"^\| ([TF]\d\d) \|(.*)\|\s*$", re.M)
TEST = re.compile(r"`((?:tests/)?[\w/.]+\.(?:py|c))::(\w+)`")


def defined(path, name):
    if not path.is_file():
        return False
    text = path.read_text()
    return bool(re.search(r"^def %s\(" % name if path.suffix == ".py" else r"START_TEST\(%s\)" % name, text, re.M))


def findings(root=ROOT):
    page = (root / "docs/security.md").read_text()
    rows, found = {}, []
    for number, text in ROW.findall(page):
        if number in rows:
            found.append("docs/security.md: %s stands there twice" % number)
        rows[number] = TEST.findall(text)
    for number in THREATS + FAULTS:
        if number not in rows:
            found.append("docs/security.md: %s is missing" % number)
        elif not rows[number]:
            found.append("docs/security.md: %s names no test" % number)
    for number, tests in rows.items():
        names_it = False
        for file, name in tests:
            path = root / file if file.startswith("tests/") else root / "tests/system" / file
            if not defined(path, name):
                found.append("docs/security.md: %s names %s::%s, which does not exist" % (number, file, name))
            else:
                names_it |= number in path.read_text()
        if tests and number.startswith("T") and not names_it:
            found.append("docs/security.md: no test of %s says in its file that it is about %s" % (number, number))
    return found


COMPARES = re.compile(r"\b(memcmp|strn?cmp|strcasecmp|gw_str_eq|gw_str_is)\s*\([^;]*(secret|signature|hmac|\bmac\b|key_hash|pepper)", re.I)
HARMLESS = re.compile(r"\bkind\b|name|not a secret|neither is a secret|it\.key|spelled|sealed_", re.I)


def comparisons(root=ROOT):
    """T16: what is secret is found by its hash or compared in constant time, never byte by byte until the first difference."""
    found = []
    for path in sorted([*(root / "controlplane").rglob("*.c"), *(root / "dataplane").rglob("*.c"), *(root / "proto").rglob("*.c")]):
        for number, line in enumerate(path.read_text().split("\n"), 1):
            if COMPARES.search(line) and not HARMLESS.search(line):
                found.append("%s:%d: compares a secret in the time of its first difference" % (path.relative_to(root).as_posix(), number))
    return found


if __name__ == "__main__":
    sys.exit(report(findings()))
