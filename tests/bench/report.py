#!/usr/bin/env python3
"""report.py FILE: puts the figures of a benchmark run (bench.py --json FILE) into docs/performance.md, between its marks."""
import json
import sys
from pathlib import Path

DOC = Path(__file__).resolve().parent.parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: written by tests/bench/report.py -->", "<!-- end of the figures -->"


def row(*cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def goals(result):
    yield row("What", "Measured", "Goal", "Must")
    yield "|---|---|---|---|"
    for g in result["goals"]:
        unit = " " + g["unit"] if g["unit"] else ""
        must = "" if g["must"] is None else "≤ %g: %s" % (g["must"], "met" if g["must_met"] else "**not met**")
        yield row(g["what"], "%s%s" % (g["value"], unit), "≤ %g%s: %s" % (g["goal"], unit, "met" if g["met"] else "**not met**"), must)


def systems(result):
    yield row("Window", "System", "CPU µs", "all processes µs", "per second", "p50 µs", "p99 µs", "times nginx [95 %]")
    yield "|---|---|---|---|---|---|---|---|"
    for key, part in result.items():
        if not key.startswith(("M1 ", "M4 ")):
            continue
        for name, f in part["systems"].items():
            ratio = part["to_nginx"].get(name)
            yield row(key, name, f["cpu_us"], f.get("cpu_tree_us", ""), "%.0f" % f["rps"], "%.0f" % f["p50_us"], "%.0f" % f["p99_us"],
                      "%.2f [%.2f–%.2f]" % (ratio["median"], ratio["low"], ratio["high"]) if ratio else "")


def others(result):
    yield row("What", "Figures")
    yield "|---|---|"
    for key in ("M2", "M3", "M6", "M7", "M8", "M9", "M10", "M12", "M13", "M14", "loops", "start_to_ready_ms", "L2_has", "note_tree"):
        if key in result:
            value = result[key]
            if isinstance(value, dict):
                value = {k: v for k, v in value.items() if k not in ("systems", "rounds")}
            yield row(key, "`%s`" % json.dumps(value, ensure_ascii=False))


def text(result):
    machine = result["machine"]
    return "\n".join([BEGIN, "", "Measured %s on %s cores of %s, Linux %s, load average %.1f at the start; %s, %s; %s run." % (
        machine["at"], machine["cores"], machine["cpu"], machine["kernel"], machine["load_average"], machine["nginx"], machine["haproxy"],
        "a quick" if result["quick"] else "the full"), "", *goals(result), "", *systems(result), "", *others(result), "",
        "Not measured: %s." % ", ".join(result["not_measured"]), "", END])


def main():
    result = json.loads(Path(sys.argv[1]).read_text())
    whole = DOC.read_text()
    front, rest = whole.split(BEGIN, 1)
    DOC.write_text(front + text(result) + rest.split(END, 1)[1])


if __name__ == "__main__":
    sys.exit(main())
