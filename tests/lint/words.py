"""Calls that are banned, and promises that belong into an issue and not into the code."""
import re
import sys

from common import ROOT, c_sources, files, report, strip_c

BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atoll|atof|alloca|system|popen|rand|"
                    r"srand|tmpnam|mktemp)\s*\(")
PROMISES = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|\b(?:for now|not implemented)\b")
PROMISES_MAY_STAND = ("tests/lint/", "docs/")   # the lint itself and its examples


def banned_calls(root):
    found = []
    for path in c_sources(root):
        code = strip_c(path.read_text(errors="replace"))
        for match in BANNED.finditer(code):
            found.append("%s:%d: %s() is banned"
                         % (path.relative_to(root).as_posix(), code.count("\n", 0, match.start()) + 1, match.group(1)))
    return found


def promises(root):
    found = []
    for path in files(root, ".c", ".h", ".py", ".ts", ".tsx", ".sh", ".cmake", ".yaml", ".yml", "CMakeLists.txt"):
        name = path.relative_to(root).as_posix()
        if name.startswith(PROMISES_MAY_STAND):
            continue
        for number, line in enumerate(path.read_text(errors="replace").split("\n"), 1):
            match = PROMISES.search(line)
            if match:
                found.append("%s:%d: '%s': do it or write an issue" % (name, number, match.group(0)))
    return found


def findings(root=ROOT):
    return banned_calls(root) + promises(root)


if __name__ == "__main__":
    sys.exit(report(findings()))
