"""shellcheck on every shell script, found by name or by its first line."""
import subprocess
import sys

from common import ROOT, files, report


def is_shell(path):
    if path.suffix in (".sh", ".bash"):
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        first = file.readline(80)
    return first.startswith(b"#!") and any(word in first for word in (b"bash", b"/sh", b"env sh", b"dash"))


def findings(root=ROOT):
    scripts = [path for path in files(root) if is_shell(path)]
    if not scripts:
        return []
    done = subprocess.run(["shellcheck", "--severity=warning", "--format=gcc", *scripts], capture_output=True, text=True)
    return [line.replace(str(root) + "/", "") for line in (done.stdout + done.stderr).split("\n") if line]


if __name__ == "__main__":
    sys.exit(report(findings()))
