"""The benchmark runs and its gate works. Nothing here looks at how long something took."""
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.daemon import bin_dir

BENCH = Path(__file__).resolve().parent.parent / "bench"


@pytest.fixture
def bench(monkeypatch, tmp_path):
    if not shutil.which("cc"):
        pytest.skip("the benchmark's mock and client need a C compiler")
    monkeypatch.syspath_prepend(str(BENCH))
    for name in ("mock", "load"):
        subprocess.run(["cc", "-O1", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-o", tmp_path / name, BENCH / (name + ".c")], check=True)
    import measure
    import systems
    started = []

    def mock(**how):
        started.append(systems.Mock(tmp_path, **how))
        return started[-1]
    yield measure, mock, measure.Load(tmp_path)
    for system in started:
        system.stop()
    for name in ("measure", "systems"):
        sys.modules.pop(name)


def test_answers_of_every_level_are_the_vendors():
    done = subprocess.run([sys.executable, BENCH / "bench.py", "--gate", "--bin-dir", bin_dir()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "are the vendor's" in done.stdout, done.stdout + done.stderr


def test_the_gate_finds_another_answer_and_another_stream(bench):
    measure, mock, _ = bench
    vendor = mock(reply=600, events=10, interval_ms=1)
    measure.gate([mock(reply=600, events=10, interval_ms=1)], vendor)
    with pytest.raises(SystemExit, match="does not answer as the vendor does"):
        measure.gate([mock(reply=700, events=10, interval_ms=1)], vendor)
    with pytest.raises(SystemExit, match="changes a stream"):
        measure.gate([mock(reply=600, events=9, interval_ms=1)], vendor)


def test_the_client_counts_what_it_got(bench):
    measure, mock, load = bench
    vendor = mock(reply=600, events=10, interval_ms=1)
    good = load.run("http", vendor, 4, 0.3, 0, measure.chat(300))
    assert good["requests"] > 0 and good["failed"] == 0 and 0 < good["p50_us"] <= good["p99_us"] <= good["max_us"] * 1.02
    paced = load.run("http", vendor, 4, 0.5, 100, measure.chat(300))
    assert paced["failed"] == 0 and 0 < paced["requests"] <= 51
    bad = load.run("http", vendor, 4, 0.3, 0, measure.chat(300), status=401)
    assert bad["requests"] == 0 and bad["failed"] > 0
    with pytest.raises(SystemExit, match="publishes nothing"):
        measure.window(load, vendor, "http", vendor, 4, 0.3, 0, measure.chat(300), status=401)
    streams = load.run("sse", vendor, 5, 0.5, 10, measure.chat(300, stream=True))
    assert streams["failed"] == 0 and streams["requests"] >= 5 and streams["events"] >= 10 * streams["requests"]
    assert load.run("sse", vendor, 5, 0.5, 12, measure.chat(300, stream=True))["failed"] > 0
