"""The short form of tests/soak.sh: load with faults and changes, then nothing in flight, nothing kept, one row each. Threat T31."""
import subprocess
from pathlib import Path

from harness import soak


def test_a_short_soak():
    soak.run(20, say=lambda text: print(text))


def test_the_soak_says_what_it_wants():
    program = Path(__file__).resolve().parents[1] / "soak.sh"
    assert "MINUTES" in subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    wrong = subprocess.run([program, "ten"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "not a number of minutes" in wrong.stderr
