#!/usr/bin/env python3
"""bench.py: what one worker loop costs, beside nginx in the same run.

    tests/bench/run.sh [--quick] [--json FILE]

The gateway (or nginx) is pinned to CPU 0, the load and the mock vendor to CPU 1.  The figure is CPU time of the
gateway's processes per answered request, from /proc/PID/task/*/schedstat; rounds alternate between the systems, so a
machine whose speed drifts moves both.  Tidegate does key authentication, routing by model, permission, usage, metrics
and the ledger; nginx forwards.  A round with any answer that is not 200 publishes nothing.
"""
import argparse
import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BODY = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "x" * 900}]})


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, check, seconds=20.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.005)
    raise SystemExit(f"bench: {what} did not happen within {seconds:.0f} s")


def tree(pid):
    """The process and all its children."""
    pids, queue = [], [pid]
    while queue:
        p = queue.pop()
        pids.append(p)
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/children") as f:
                    queue += [int(c) for c in f.read().split()]
        except OSError:
            pass
    return pids


def cpu_seconds(pids):
    total = 0
    for p in pids:
        try:
            for task in os.listdir(f"/proc/{p}/task"):
                with open(f"/proc/{p}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[0])
        except OSError:
            pass
    return total / 1e9


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))


def pinned(cpu, *argv):
    return ["taskset", "-c", str(cpu), *map(str, argv)]


class Api:
    def __init__(self, port, token=None):
        self.port, self.token = port, token

    def __call__(self, method, path, body=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        c.request(method, "/api/v1" + path, json.dumps(body) if body is not None else None, headers)
        r = c.getresponse()
        data = r.read()
        if r.status >= 300:
            raise SystemExit(f"bench: {method} {path} gave {r.status}: {data[:300]!r}")
        return json.loads(data) if data else None


class Tidegate:
    name = "tidegate"

    def __init__(self, bin_dir, mock_port, scratch):
        self.port, self.console, control, self.admin = (free_port() for _ in range(4))
        self.data = scratch / "tidegate"
        self.log = open(scratch / "tidegate.log", "wb")
        started = time.monotonic()
        self.process = subprocess.Popen(pinned(0, bin_dir / "tidegate", "up", "--data-dir", self.data, "--console-port",
            self.console, "--data-port", self.port, "--control-port", control, "--worker-admin-port", self.admin,
            "--workers", 1, "--loops", 1), stdout=self.log, stderr=self.log)
        wait_for("the control plane's start", lambda: self.get(self.console, "/healthz") == 200)
        self.started_s = time.monotonic() - started
        token = subprocess.run([bin_dir / "tidegate", "token", "create", "--role", "admin", "--data-dir", self.data],
            check=True, capture_output=True, text=True).stdout.strip()
        self.api = Api(self.console, token)
        self.api("POST", "/providers", {"name": "mock", "type": "openai-compatible",
            "base_url": f"http://127.0.0.1:{mock_port}/v1", "api_keys": [{"name": "main", "value": "sk-bench-000000000000"}]})
        self.api("POST", "/routes", {"name": "bench", "match": {"models": [{"type": "exact", "value": "bench"}]},
            "targets": [{"provider": "mock"}]})
        self.api("POST", "/consumers", {"name": "bench"})
        self.key = self.api("POST", "/consumers/bench/keys", {"name": "k"})["secret"]
        wait_for("the first answer", lambda: self.ask() == 200)
        self.worker = next(p for p in tree(self.process.pid) if self.comm(p) == "tidegate-worker"[:15])
        self.control = next(p for p in tree(self.process.pid) if self.comm(p) == "tidegate-control"[:15])
        self.parts = {"cpu_worker_us": [self.worker], "cpu_control_us": [self.control], "cpu_supervisor_us": [self.process.pid]}
        self.idle = {"worker_kib": rss_kib(self.worker), "control_kib": rss_kib(self.control)}

    @staticmethod
    def comm(pid):
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()

    @staticmethod
    def get(port, path):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        c.request("GET", path)
        return c.getresponse().status

    def ask(self, model="bench"):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        c.request("POST", "/v1/chat/completions", BODY.replace('"bench"', json.dumps(model)),
            {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"})
        return c.getresponse().status

    def pids(self):
        return tree(self.process.pid)

    def propagation_ms(self, rounds=9):
        """From the write's begin to the first request that a worker serves by it."""
        times = []
        for i in range(rounds):
            model = f"new-{i}"
            begin = time.monotonic()
            self.api("POST", "/routes", {"name": model, "match": {"models": [{"type": "exact", "value": model}]},
                "targets": [{"provider": "mock"}]})
            wait_for("the new route", lambda m=model: self.ask(m) == 200)
            times.append((time.monotonic() - begin) * 1000)
        return times

    def worker_ready_ms(self, rounds=3):
        """A killed worker's successor: from its start to readiness, last good snapshot on disk."""
        times = []
        for _ in range(rounds):
            old = self.worker
            os.kill(old, signal.SIGKILL)
            self.worker = wait_for("a new worker", lambda o=old: next((p for p in tree(self.process.pid)
                if p != o and self.comm(p) == "tidegate-worker"[:15]), None))
            begin = time.monotonic()
            wait_for("readiness", lambda: self.get(self.admin, "/readyz") == 200)
            times.append((time.monotonic() - begin) * 1000)
        return times

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


class Nginx:
    name = "nginx"

    def __init__(self, mock_port, scratch):
        self.port = free_port()
        home = scratch / "nginx"
        home.mkdir()
        (home / "nginx.conf").write_text(f"""
daemon off; worker_processes 1; pid {home}/pid; error_log {home}/error.log; user root;
events {{ worker_connections 10000; }}
http {{ access_log off; client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
  uwsgi_temp_path {home}/u; scgi_temp_path {home}/s; keepalive_requests 10000000;
  upstream mock {{ server 127.0.0.1:{mock_port}; keepalive 512; keepalive_requests 10000000; }}
  server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass http://mock; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; }} }} }}
""")
        self.process = subprocess.Popen(pinned(0, "nginx", "-c", home / "nginx.conf", "-p", home),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("nginx", lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)
        self.key = "none"

    def pids(self):
        return tree(self.process.pid)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def wrk(port, key, connections, seconds, scratch):
    script = scratch / "post.lua"
    script.write_text(f"""wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Bearer {key}"
wrk.body = [==[{BODY}]==]
""")
    out = subprocess.run(pinned(1, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", script,
        f"http://127.0.0.1:{port}/v1/chat/completions"), capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"bench: the load saw errors, nothing is published:\n{out}")

    def ms(text):
        number, unit = re.match(r"([\d.]+)(us|ms|s)", text).groups()
        return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return {"requests": int(re.search(r"(\d+) requests in", out).group(1)),
            "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)),
            "p50_ms": ms(re.search(r"^ +50%\s+(\S+)", out, re.M).group(1)), "p99_ms": ms(re.search(r"^ +99%\s+(\S+)", out, re.M).group(1))}


def measure(system, connections, seconds, scratch):
    parts = {"cpu_us": system.pids(), **getattr(system, "parts", {})}
    before = {name: cpu_seconds(pids) for name, pids in parts.items()}
    figures = wrk(system.port, system.key, connections, seconds, scratch)
    for name, pids in parts.items():
        figures[name] = (cpu_seconds(pids) - before[name]) / figures["requests"] * 1e6
    return figures


def middle(rounds, what):
    return statistics.median(r[what] for r in rounds)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin-dir", type=Path, default=ROOT / "build" / "bin")
    p.add_argument("--quick", action="store_true", help="3 rounds of 2 s instead of 9 of 4 s")
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--json", type=Path)
    options = p.parse_args()
    for tool in ("wrk", "nginx", "taskset"):
        if not shutil.which(tool):
            raise SystemExit(f"bench: {tool} is not installed (apt-get install wrk nginx util-linux)")
    rounds, seconds = (3, 2) if options.quick else (9, 4)

    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as scratch:
        scratch = Path(scratch)
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", scratch / "mock", HERE / "mock.c"], check=True)
        mock_port = free_port()
        mock = subprocess.Popen(pinned(1, scratch / "mock", mock_port, 600), stdout=subprocess.PIPE)
        mock.stdout.readline()
        systems, result = [], {}
        try:
            systems = [Tidegate(options.bin_dir, mock_port, scratch), Nginx(mock_port, scratch)]
            ours = systems[0]
            for s in systems:
                wrk(s.port, s.key, options.connections, 1, scratch)
            taken = {s.name: [] for s in systems}
            for r in range(rounds):
                for s in systems if r % 2 else reversed(systems):
                    taken[s.name].append(measure(s, options.connections, seconds, scratch))
            for name, rows in taken.items():
                result[name] = {k: round(middle(rows, k), 3) for k in rows[0]}
                result[name]["rounds"] = rows
            ratios = [a["cpu_us"] / b["cpu_us"] for a, b in zip(taken["tidegate"], taken["nginx"])]
            workers = [a["cpu_worker_us"] / b["cpu_us"] for a, b in zip(taken["tidegate"], taken["nginx"])]
            result["ratio_worker_cpu_to_nginx"] = round(statistics.median(workers), 3)
            result["ratio_cpu_to_nginx"] = {"median": round(statistics.median(ratios), 3),
                "min": round(min(ratios), 3), "max": round(max(ratios), 3)}
            result["idle_rss_kib"] = ours.idle
            result["worker_rss_after_load_kib"] = rss_kib(ours.worker)
            result["control_start_ms"] = round(ours.started_s * 1000)
            result["propagation_ms"] = [round(t, 1) for t in ours.propagation_ms()]
            result["worker_ready_ms"] = [round(t, 1) for t in ours.worker_ready_ms()]
        finally:
            for s in systems:
                s.stop()
            mock.terminate()
            mock.wait(10)
    for name in ("tidegate", "nginx"):
        f = result[name]
        print(f"{name:9} {f['rps']:9.0f} req/s  {f['cpu_us']:6.1f} us CPU/request  p50 {f['p50_ms']:.2f} ms  p99 {f['p99_ms']:.2f} ms")
    r = result["ratio_cpu_to_nginx"]
    t = result["tidegate"]
    print(f"of it: worker {t['cpu_worker_us']:.1f} us, control plane {t['cpu_control_us']:.1f} us, supervisor {t['cpu_supervisor_us']:.1f} us")
    print(f"CPU per request against nginx: all of Tidegate {r['median']} (min {r['min']}, max {r['max']}), "
          f"the worker alone {result['ratio_worker_cpu_to_nginx']}")
    print(f"idle RSS: worker {ours.idle['worker_kib']} KiB, control plane {ours.idle['control_kib']} KiB; "
          f"worker after load {result['worker_rss_after_load_kib']} KiB")
    print(f"a change is served after: median {statistics.median(result['propagation_ms']):.0f} ms, max {max(result['propagation_ms']):.0f} ms")
    print(f"worker start to ready: {result['worker_ready_ms']} ms")
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
