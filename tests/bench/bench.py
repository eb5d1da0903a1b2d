#!/usr/bin/env python3
"""bench.py: what Tidegate costs, beside nginx and HAProxy in the same run.

    tests/bench/run.sh [--quick] [--json FILE] [--bin-dir DIR] [--rounds N] [--only M1,M4] [--portkey DIR]

The gateway (or the ruler in its place) is pinned to CPU 0, the load and the mock vendor to CPU 1.  The figure is CPU time
of the processes per answered request or event, from /proc/PID/task/*/schedstat; rounds rotate among the systems, so a
machine whose speed drifts moves all of them; what is compared is the ratio to nginx within a round, as a median with a
bootstrap interval of 95 %.  Before anything is timed the answers are compared with the vendor's; a window with any
failure publishes nothing.

Levels: L0 a worker that only forwards; L1 key, route by model, permission, usage, metrics, ledger; L2 L1 with a token
limit, a budget and the access log.  nginx and HAProxy only forward.  --portkey takes a folder into which
`npm install @portkey-ai/gateway` was done, for a gateway of the same kind at its defaults.
"""
import argparse
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measure as m
from systems import Haproxy, Mock, Nginx, Portkey, Static, Tidegate

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Plan:
    """How long and how much; the quick form fits into three minutes."""

    def __init__(self, quick, rounds=None):
        self.quick = quick
        self.rounds, self.seconds = (rounds or 3, 1.2) if quick else (rounds or 9, 3)
        self.sizes = {"small": (600, 300)} if quick else {"small": (600, 300), "16k": (16384, 16384), "100k": (1024, 102400)}
        self.connections = (32,) if quick else (8, 32)
        self.stream_sets = ((200, 2),) if quick else ((200, 4), (1000, 4))
        self.memory = (0, 1000, 2000) if quick else (0, 1000, 4000, 9000)
        self.objects = 10000
        self.pushes = 30 if quick else 200
        self.cards = ((10, 10), (10000, 10000)) if quick else ((10, 10), (1000, 1000), (10000, 10000), (10000, 100000))


def interval(values):
    """Median and its bootstrap interval of 95 %."""
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(500))
    return {"median": round(statistics.median(values), 3), "low": round(medians[12], 3), "high": round(medians[487], 3)}


def against(taken, what, ruler="nginx"):
    """Ratios within each round to the ruler's."""
    out = {}
    for name, rows in taken.items():
        if name != ruler and name in taken and what in rows[0]:
            out[name] = interval([r[what] / b["cpu_us"] for r, b in zip(rows, taken[ruler])])
    return out


def middle(rows, what):
    return round(statistics.median(r[what] for r in rows), 2)


def summary(taken):
    keys = ("cpu_us", "cpu_tree_us", "cpu_control_us", "rps", "p50_us", "p99_us", "gap_p50_us", "gap_p99_us", "busy")
    return {name: {k: middle(rows, k) for k in keys if k in rows[0]} for name, rows in taken.items()}


class Bench:
    def __init__(self, options, scratch):
        self.o, self.scratch, self.plan = options, scratch, Plan(options.quick, options.rounds)
        self.result = {"machine": self.machine(), "quick": options.quick, "goals": []}
        for name in ("mock", "load"):
            subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", scratch / name, HERE / (name + ".c")], check=True)
        self.load = m.Load(scratch)
        self.running = []

    def start(self, make, *args, **how):
        system = make(*args, **how)
        self.running.append(system)
        return system

    def stop(self, *systems):
        for s in systems:
            self.running.remove(s)
            s.stop()

    def machine(self):
        model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "")

        def version(*argv):
            done = subprocess.run(argv, capture_output=True, text=True) if shutil.which(argv[0]) else None
            return (done.stdout + done.stderr).split("\n")[0] if done else "not installed"
        return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "nginx": version("nginx", "-v"),
                "haproxy": version("haproxy", "-v"), "tidegate": version(self.o.bin_dir / "tidegate-worker", "--version"),
                "load_average": os.getloadavg()[0], "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}

    def goal(self, what, value, wanted, must=None, unit=""):
        met = value is not None and value <= wanted
        self.result["goals"].append({"what": what, "value": value, "goal": wanted, "must": must, "unit": unit,
            "met": met, "must_met": None if must is None else value is not None and value <= must})

    def wants(self, name):
        return not self.o.only or name in self.o.only

    # -- the parts -------------------------------------------------------------------------------------------------------

    def rulers(self, mock):
        return [self.start(Nginx, mock, self.scratch), self.start(Haproxy, mock, self.scratch)]

    def requests(self):
        for size, (reply, ask) in self.plan.sizes.items():
            mock = self.start(Mock, self.scratch, reply)
            systems = self.rulers(mock)
            systems += [self.start(Static, self.o.bin_dir, mock, self.scratch, "tidegate-L0"),
                        self.start(Tidegate, self.o.bin_dir, mock, self.scratch, "tidegate-L1"),
                        self.start(Tidegate, self.o.bin_dir, mock, self.scratch, "tidegate-L2", level="L2")]
            if self.o.portkey:
                systems.append(self.start(Portkey, self.o.portkey, mock))
            self.result.setdefault("L2_has", systems[4].has)
            m.gate(systems, mock)
            for s in systems:
                m.window(self.load, s, "http", s, 32, 1, 0, m.chat(ask))
            for connections in self.plan.connections:
                taken = m.requests(self.load, systems, self.plan.rounds, self.plan.seconds, connections, ask)
                direct = m.window(self.load, mock, "http", mock, connections, self.plan.seconds, 0, m.chat(ask))
                self.result["M1 %s c=%d" % (size, connections)] = {"systems": summary(taken), "to_nginx": against(taken, "cpu_us"),
                    "tree_to_nginx": against(taken, "cpu_tree_us"), "direct_rps": direct["rps"], "rounds": taken}
            if size == "small":
                self.small(mock, systems, taken)
            for s in systems + [mock]:
                self.stop(s)
            for name in ("tidegate-L1", "tidegate-L2"):
                shutil.rmtree(self.scratch / name, ignore_errors=True)

    def small(self, mock, systems, taken):
        """What needs the small bodies' systems: goals of M1, M2, M3, M7, M11."""
        ratio = against(taken, "cpu_us")
        tree = against(taken, "cpu_tree_us")
        self.goal("CPU per request, L1, worker, times nginx", ratio["tidegate-L1"]["median"], 1.0, 1.25)
        self.goal("CPU per request, L2, worker, times nginx", ratio["tidegate-L2"]["median"], 1.2, 1.6)
        self.result["note_tree"] = "with the control plane, which stores the ledger: L1 %s, L2 %s times nginx" % (
            tree["tidegate-L1"]["median"], tree["tidegate-L2"]["median"])
        rate = 0.3 * min(middle(taken[n], "rps") for n in ("nginx", "haproxy"))
        ours = [s for s in systems if s.name in ("nginx", "tidegate-L1")]
        open_loop = m.latency(self.load, [mock] + ours, self.plan.rounds, self.plan.seconds, round(rate))
        added = {n: middle(open_loop[n], "p50_us") - middle(open_loop["direct"], "p50_us") for n in ("nginx", "tidegate-L1")}
        above = round(statistics.median(a["p50_us"] - b["p50_us"] for a, b in zip(open_loop["tidegate-L1"], open_loop["nginx"])))
        self.result["M2"] = {"rate": round(rate), "systems": summary(open_loop), "added_p50_us": added,
            "added_p99_us": {n: middle(open_loop[n], "p99_us") - middle(open_loop["direct"], "p99_us") for n in added}}
        self.goal("p50 at a third of nginx's rate above nginx's in the same round", above, 0, unit="us")
        flood = m.rejected(self.load, systems[3], self.plan.rounds, self.plan.seconds)
        self.result["M11"] = flood
        self.goal("CPU of a rejected request, times that of a served one", round(statistics.median(r["ratio"] for r in flood), 3), 0.5)
        if not self.plan.quick:
            self.result["M3"] = {s.name: m.frontier(self.load, s, 2) for s in ours}
            self.result["M7"] = m.leak(self.load, systems[3], systems[3].of("tidegate-worker"), 120)

    def streams(self):
        for n, seconds in self.plan.stream_sets:
            mock = self.start(Mock, self.scratch, 600, 50, 20, 240)
            systems = self.rulers(mock) + [self.start(Tidegate, self.o.bin_dir, mock, self.scratch, "tidegate-L1")]
            if n == self.plan.stream_sets[0][0]:
                m.gate(systems, mock)
            taken = m.streams(self.load, systems, self.plan.rounds, seconds, n, 50)
            direct = m.streams(self.load, [mock], 1, seconds, n, 50)["direct"]
            ratio = against(taken, "cpu_us")
            self.result["M4 %d streams" % n] = {"systems": summary(taken), "to_nginx": ratio, "rounds": taken}
            first = {k: middle(rows, "p50_us") for k, rows in taken.items()}
            gap = {k: middle(rows, "gap_p99_us") for k, rows in taken.items()}
            self.result["M5 %d streams" % n] = {"first_event_p50_us": first, "gap_p99_us": gap, "direct": summary({"direct": direct})}
            self.goal("CPU per event with usage counted, %d streams, times nginx" % n, ratio["tidegate-L1"]["median"], 1.0, 1.25)
            plateau = [k for k in ("p50_us", "p99_us") if any(low <= middle(taken["tidegate-L1"], k) - middle(direct, k) <= high
                for low, high in ((37000, 45000), (195000, 215000)))]
            self.goal("plateaus of 40 or 200 ms, %d streams" % n, len(plateau), 0)
            for s in systems + [mock]:
                self.stop(s)
            shutil.rmtree(self.scratch / "tidegate-L1", ignore_errors=True)

    def memory(self):
        mock = self.start(Mock, self.scratch, 600, 60, 1000, 240)
        nginx, ours = self.start(Nginx, mock, self.scratch), self.start(Tidegate, self.o.bin_dir, mock, self.scratch, "tidegate-M6")
        worker = ours.of("tidegate-worker")
        self.result["M6"] = {"tidegate": m.memory(self.load, ours, worker, self.plan.memory, 60),
                             "nginx": m.memory(self.load, nginx, nginx.pids(), self.plan.memory, 60)}
        points = self.result["M6"]["tidegate"]["points_kib"]
        self.goal("resident KiB for each open stream", self.result["M6"]["tidegate"]["slope_kib"], 8, 12, "KiB")
        if points[-1][0] >= 9000:
            self.goal("resident MiB with 9,000 streams", round(points[-1][1] / 1024, 1), 120, unit="MiB")
        self.stop(nginx, ours, mock)

    def configuration(self):
        mock = self.start(Mock, self.scratch, 600, 100, 20, 240)
        gateway = self.start(Tidegate, self.o.bin_dir, mock, self.scratch, "tidegate-M8", workers=3)
        few = self.push_set(gateway, 10)
        many = self.push_set(gateway, self.plan.objects)
        self.result["M8"] = {"10": few, str(self.plan.objects): many}
        self.goal("change on 3 workers with 10,000 routes and consumers, p99", many["p99_ms"], 100, unit="ms")
        self.goal("CPU of a change with 10,000 routes and consumers, times that with 10",
                  round(many["cpu_ms_per_push"] / max(0.01, few["cpu_ms_per_push"]), 2), 1.5)
        under = m.pushes_under_load(self.load, gateway, self.plan.objects, 20, 1500 if self.plan.quick else 5000, 5 if self.plan.quick else 15)
        self.result["M9"] = under
        self.goal("requests and streams lost over 20 changes under load", under["failed"] + under["broken_streams"], 0)
        self.result["start_to_ready_ms"] = m.ready(gateway, 3)
        self.goal("start to ready with 10,000 routes and consumers", max(self.result["start_to_ready_ms"]), 1000, unit="ms")
        self.stop(gateway, mock)

    def push_set(self, gateway, n):
        m.fill(gateway, n)
        time.sleep(1)
        out = m.pushes(gateway, n, self.plan.pushes)
        out["worker_rss_kib"] = [m.rss_kib([p]) for p in gateway.of("tidegate-worker")]
        return out

    def cardinality(self):
        mock = self.start(Mock, self.scratch)
        taken = m.cardinality(self.load, self.o.bin_dir, mock, self.scratch, self.plan.cards, self.plan.rounds, self.plan.seconds)
        base = taken["many-%d-%d" % self.plan.cards[0]]
        last = taken["many-%d-%d" % self.plan.cards[-1]]
        ratio = interval([a["cpu_us"] / b["cpu_us"] for a, b in zip(last, base)])
        self.result["M10"] = {"systems": summary(taken), "largest_to_smallest": ratio}
        self.goal("CPU per request with %d routes and %d consumers, times that with 10" % self.plan.cards[-1], ratio["median"], 1.05)
        self.stop(mock)

    def line(self):
        mock = self.start(Mock, self.scratch, 600, 50, 20, 240)
        ours = self.start(Tidegate, self.o.bin_dir, mock, self.scratch, "tidegate-M12")
        nginx = self.start(Nginx, mock, self.scratch)
        seconds = 2 if self.plan.quick else 10
        self.result["M12"] = {s.name: m.head_of_line(self.load, s, seconds, 50) for s in (mock, nginx, ours)}
        added = {name: figures["added_p99_us"] for name, figures in self.result["M12"].items()}
        self.stop(nginx)
        # Bodies of 10 MB keep the core of mock and load busy as well: what happens without a gateway is not the gateway's.
        self.goal("delay of others' events beside bodies of 10 MB, p99, above that without a gateway",
                  round((added[ours.name] - added[mock.name]) / 1000, 2), 2, unit="ms")
        self.goal("... above nginx's", round((added[ours.name] - added[nginx.name]) / 1000, 2), 0, unit="ms")
        if not self.plan.quick:
            self.result["loops"] = m.scaling(self.load, self.o.bin_dir, mock, self.scratch, 5)
        self.stop(ours, mock)

    def tls(self):
        """M13: TLS 1.3 towards the client; requests on connections that live, and handshakes."""
        if not shutil.which("wrk"):
            self.result["M13"] = "wrk is not installed"
            return
        mock = self.start(Mock, self.scratch)
        cert = m.certificate(self.scratch)
        nginx = self.start(Nginx, mock, self.scratch, cert)
        ours = self.start(Tidegate, self.o.bin_dir, mock, self.scratch, "tidegate-M13")
        ours.speak_tls(cert)
        taken = m.rotated([nginx, ours], self.plan.rounds, lambda s: m.tls_window(self.scratch, s, self.plan.seconds))
        self.result["M13"] = {"requests": {k: {"cpu_us": middle(v, "cpu_us"), "rps": middle(v, "rps")} for k, v in taken.items()},
            "requests_to_nginx": against(taken, "cpu_us"),
            "handshakes": {s.name: m.handshakes(s, 1 if self.plan.quick else 5) for s in (nginx, ours)}}
        self.stop(ours, nginx, mock)

    def instructions(self):
        """M14: user instructions of a request, which do not depend on the machine's noise."""
        if not shutil.which("valgrind"):
            self.result["M14"] = "valgrind is not installed"
            return
        mock = self.start(Mock, self.scratch)
        self.result["M14"] = m.instructions(self.load, self.o.bin_dir, mock, self.scratch, 3 if self.plan.quick else 10)
        self.stop(mock)

    def run(self):
        parts = (("M1", self.requests), ("M4", self.streams), ("M6", self.memory), ("M8", self.configuration),
                 ("M10", self.cardinality), ("M12", self.line), ("M13", self.tls), ("M14", self.instructions))
        for name, part in parts:
            if self.wants(name):
                began = time.monotonic()
                part()
                print("bench: %s took %.0f s" % (name, time.monotonic() - began), file=sys.stderr)
        self.result["not_measured"] = ["translation between dialects", "more than one machine", "more than two cores", "real providers"]


def table(result):
    lines = []
    for key, part in result.items():
        if not key.startswith(("M1 ", "M4 ")):
            continue
        lines.append(key)
        for name, f in part["systems"].items():
            ratio = part["to_nginx"].get(name)
            lines.append("  %-12s %8.2f us CPU  %9.0f/s  p50 %7.0f us  p99 %8.0f us%s%s" % (name, f["cpu_us"], f["rps"], f["p50_us"], f["p99_us"],
                "  %.2f times nginx [%.2f-%.2f]" % (ratio["median"], ratio["low"], ratio["high"]) if ratio else "",
                "  (all processes %.1f us)" % f["cpu_tree_us"] if "cpu_tree_us" in f else ""))
    lines.append("Goals")
    for g in result["goals"]:
        must = "" if g["must"] is None else ", must %g: %s" % (g["must"], "met" if g["must_met"] else "NOT MET")
        lines.append("  %-7s %s: %s %s (goal %g%s)" % ("met" if g["met"] else "NOT MET", g["what"], g["value"], g["unit"], g["goal"], must))
    if "note_tree" in result:
        lines.append("  " + result["note_tree"])
    lines.append("Not measured here: " + ", ".join(result["not_measured"]))
    return "\n".join(lines)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin-dir", type=Path, default=ROOT / "build" / "bin")
    p.add_argument("--quick", action="store_true", help="fewer and shorter rounds, at most three minutes")
    p.add_argument("--rounds", type=int, help="instead of 9 (quick: 3)")
    p.add_argument("--only", type=lambda s: s.split(","), default=None, help="M1,M4,M6,M8,M10,M12,M13,M14")
    p.add_argument("--gate", action="store_true", help="compare the answers of all systems and end, without timing anything")
    p.add_argument("--portkey", type=Path)
    p.add_argument("--json", type=Path)
    options = p.parse_args()
    rulers = shutil.which("nginx") and shutil.which("haproxy")
    for tool in ("taskset", "cc") if options.gate else ("nginx", "haproxy", "taskset", "cc"):
        if not shutil.which(tool):
            raise SystemExit("bench: %s is not installed (apt-get install nginx-light haproxy util-linux gcc)" % tool)
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as scratch:
        bench = Bench(options, Path(scratch))
        try:
            if options.gate:
                mock = bench.start(Mock, bench.scratch, 600, 20, 5, 240)
                m.gate((bench.rulers(mock) if rulers else []) + [bench.start(Static, options.bin_dir, mock, bench.scratch),
                    bench.start(Tidegate, options.bin_dir, mock, bench.scratch, "tidegate-L1"),
                    bench.start(Tidegate, options.bin_dir, mock, bench.scratch, "tidegate-L2", level="L2")], mock)
                print("bench: the answers of all systems are the vendor's%s" % ("" if rulers else "; nginx or HAProxy is not installed"))
                return
            bench.run()
        finally:
            for s in list(bench.running):
                bench.stop(s)
    print(table(bench.result))
    if options.json:
        options.json.write_text(json.dumps(bench.result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
