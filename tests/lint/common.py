"""What every lint needs: the files of the project, and C code without comments and strings."""
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {".git", ".cache", "node_modules", "dist", "build", "__pycache__"}
SOURCE_ROOTS = ("proto", "controlplane", "dataplane")


def files(root, *suffixes):
    """Files below root with one of the suffixes; in a git checkout only those that git knows or would add."""
    root = Path(root)
    if (root / ".git").exists():
        listed = subprocess.run(["git", "-C", root, "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"],
                                capture_output=True)
        if listed.returncode == 0:
            found = [root / name for name in listed.stdout.decode().split("\0") if name]
            return sorted(p for p in found if p.is_file() and (not suffixes or p.name.endswith(suffixes)))
    found = [p for p in root.rglob("*") if p.is_file() and not SKIPPED & set(p.relative_to(root).parts[:-1])]
    return sorted(p for p in found if not suffixes or p.name.endswith(suffixes))


def c_sources(root, *suffixes):
    """C files of the product (not of the tests)."""
    return [p for p in files(root, *(suffixes or (".c", ".h"))) if p.relative_to(root).parts[0] in SOURCE_ROOTS]


_C_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def _blank(match):
    text = match.group(0)
    if text[0] in "\"'":
        return text[0] + text[0]
    return " " + "\n" * text.count("\n")


def strip_c(text):
    """C code with comments and the inside of strings removed and every line still at its number."""
    return _C_NOISE.sub(_blank, text)


def report(findings):
    """For use by hand: prints and gives the exit status."""
    for line in findings:
        print(line)
    return 1 if findings else 0
