"""Generated pages are what their generator writes today. docs/gen/*.py are the generators; see `--check` of each."""
import os
import subprocess
import sys
from pathlib import Path

from common import ROOT, report


def worker():
    """The worker whose catalogue the pages describe: of the build under test, else of a plain build."""
    for folder in (os.environ.get("TIDEGATE_BIN"), ROOT / ".cache/tests/build-asan/bin", ROOT / ".cache/tests/build-release/bin",
                   ROOT / "build/bin"):
        if folder and Path(folder, "tidegate-worker").exists():
            return Path(folder, "tidegate-worker")
    return None


def findings(root=ROOT):
    generators = sorted((root / "docs/gen").glob("*.py"))
    program = worker()
    if not generators:
        return []
    if program is None:
        return ["no tidegate-worker is built, so the generated pages cannot be checked"]
    found = []
    for generator in generators:
        if "--check" not in generator.read_text():
            continue
        done = subprocess.run([sys.executable, generator, "--check", "--worker", program], cwd=root, capture_output=True, text=True)
        if done.returncode != 0:
            found.append("%s: %s" % (generator.relative_to(root).as_posix(), (done.stdout + done.stderr).strip()[:400]))
    return found


if __name__ == "__main__":
    sys.exit(report(findings()))
