"""Adds up the JUnit files of all parts; the last line is the verdict. Called by run.sh."""
import argparse
import sys
import xml.etree.ElementTree as ET
from pathlib import Path


def count(path):
    """(passed, failed, skipped) of one JUnit file, from its test cases and not from its own sums."""
    passed = failed = skipped = 0
    for case in ET.parse(path).getroot().iter("testcase"):
        tags = {child.tag for child in case}
        if tags & {"failure", "error"}:
            failed += 1
        elif "skipped" in tags or case.get("status") in ("notrun", "disabled"):
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("results", type=Path)
    parser.add_argument("--selection", action="store_true", help="-k was given: a part may select nothing")
    parser.add_argument("--expected", nargs="*", default=[])
    parser.add_argument("--broken", nargs="*", default=[])
    options = parser.parse_args()

    total = [0, 0, 0]
    print("%-16s %7s %7s %7s" % ("part", "passed", "failed", "skipped"))
    for name in options.broken:
        print("%-16s %7d %7d %7d   does not build" % (name, 0, 1, 0))
        total[1] += 1
    for part in options.expected:
        path, note = options.results / (part + ".xml"), ""
        try:
            figures = count(path)
        except (OSError, ET.ParseError):
            figures, note = (0, 1, 0), "   left no result"
        if options.selection:
            figures = (*figures[:2], 0)
        elif sum(figures[:2]) == 0:
            figures, note = (0, 1, figures[2]), "   ran nothing"
        print("%-16s %7d %7d %7d%s" % (part, *figures, note))
        total = [a + b for a, b in zip(total, figures)]
    if sum(total[:2]) == 0:
        print("nothing was run")
        total[1] = 1
    skipped = ", %d skipped" % total[2] if total[2] else ""
    print("%d passed, %d failed%s" % (total[0], total[1], skipped))
    sys.exit(1 if total[1] else 0)


if __name__ == "__main__":
    main()
