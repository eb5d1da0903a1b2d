"""Every function that another file can see carries its side's prefix: gw_ proto, dp_ data plane, cp_ control plane."""
import re
import sys

from common import ROOT, c_sources, report, strip_c
from sizes import c_functions

PREFIXES = {"proto": ("gw_",), "dataplane": ("dp_",), "controlplane": ("cp_",)}


def exported(text):
    """Names of functions that are defined without `static`."""
    lines = strip_c(text).split("\n")
    for name, line, _ in c_functions(text):
        head = " ".join(lines[line - 1:line + 2])
        if not re.search(r"\bstatic\b", head.split("(")[0]):
            yield name, line


def findings(root=ROOT):
    found = []
    for path in c_sources(root, ".c"):
        name = path.relative_to(root).as_posix()
        if name.startswith("controlplane/cli/"):
            continue        # a program of its own, linked with nothing but proto
        for function, line in exported(path.read_text(errors="replace")):
            if function != "main" and not function.startswith(PREFIXES[name.split("/")[0]]):
                found.append("%s:%d: %s() is visible elsewhere and lacks the prefix %s"
                             % (name, line, function, PREFIXES[name.split("/")[0]][0]))
    return found


if __name__ == "__main__":
    sys.exit(report(findings()))
