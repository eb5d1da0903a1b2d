"""What is measured, one function a metric of the protocol (docs/performance.md names them M1 to M14)."""
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import threading
import time

from systems import Static, cpu_seconds, get, pinned, rss_kib, wait_for


class Load:
    """Runs load.c on CPU 1 and reads its answer."""

    def __init__(self, scratch):
        self.scratch, self.program = scratch, scratch / "load"

    def file(self, name, text):
        path = self.scratch / name
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
        return path

    def start(self, mode, system, connections, seconds, last, body, keys=None, more=(), status=200):
        env = dict(os.environ, LOAD_STATUS=str(status), LOAD_HEADERS=system.headers)
        key_file = self.file("keys-%s" % system.name, "\n".join(keys or [system.key]) + "\n")
        body_file = self.file("body-%d-%d" % (len(body), hash(body) & 0xffffff), body)
        return subprocess.Popen(pinned(1, self.program, mode, system.port, connections, seconds, last, body_file, key_file, *more),
                                stdout=subprocess.PIPE, env=env, text=True)

    @staticmethod
    def result(process):
        out = process.communicate()[0]
        if process.returncode != 0 or not out:
            raise SystemExit("bench: the load ended with %s: %r" % (process.returncode, out))
        return json.loads(out)

    def run(self, *args, **how):
        return self.result(self.start(*args, **how))


def chat(size, model="bench", stream=False):
    empty = json.dumps({"model": model, "messages": [{"role": "user", "content": ""}], **({"stream": True} if stream else {})})
    return empty.replace('"content": ""', '"content": "%s"' % ("x" * max(1, size - len(empty))))


def ask(system, body):
    c = http.client.HTTPConnection("127.0.0.1", system.port, timeout=20)
    headers = dict(line.split(": ", 1) for line in system.headers.split("\r\n") if line)
    c.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Authorization": "Bearer " + system.key, **headers})
    r = c.getresponse()
    return r.status, r.read()


def frames(text):
    """The data lines that carry content: usage may be asked for, and then hidden, on the way."""
    return [line for line in text.split(b"\n") if line.startswith(b"data: ") and b'"choices":[]' not in line]


def gate(systems, direct):
    """Before anything is timed: same answers, same streams, and a wrong key is refused where keys are checked."""
    body, stream = chat(300), chat(300, stream=True)
    want, want_stream = ask(direct, body), ask(direct, stream)
    for s in systems:
        status, answer = ask(s, body)
        if status != 200 or (s.level != "its own" and answer != want[1]):
            raise SystemExit("bench: %s does not answer as the vendor does: %d %r" % (s.name, status, answer[:200]))
        status, answer = ask(s, stream)
        if status != 200 or frames(answer) != frames(want_stream[1]):
            raise SystemExit("bench: %s changes a stream: %d, %d of %d frames" % (s.name, status, len(frames(answer)), len(frames(want_stream[1]))))
        if s.level in ("L1", "L2"):
            key, s.key = s.key, "tgk_wrong00000000000000000000000000000"
            status, _ = ask(s, body)
            s.key = key
            if status != 401:
                raise SystemExit("bench: %s lets a wrong key in: %d" % (s.name, status))


def window(load, system, *args, **how):
    """One window: the load's figures and the CPU of each part per request (per event for streams)."""
    parts = system.parts()
    before = {name: cpu_seconds(pids) for name, pids in parts.items()}
    began = time.monotonic()
    out = load.run(*args, **how)
    took = time.monotonic() - began
    if out["failed"]:
        raise SystemExit("bench: %s failed %d of %d; a window with failures publishes nothing" % (system.name, out["failed"], out["requests"]))
    n = out.get("events") or out["requests"]
    for name, pids in parts.items():
        out[name] = (cpu_seconds(pids) - before[name]) / max(1, n) * 1e6
    out["busy"] = (sum(cpu_seconds(p) - before[n] for n, p in parts.items() if n == "cpu_us")) / took
    return out


def steal():
    fields = open("/proc/stat").readline().split()
    return int(fields[8]) if len(fields) > 8 else 0


def rotated(systems, rounds, one):
    """{name: [figures of each round]}; the order moves on each round, a round with more than 2 % steal is flagged."""
    taken = {s.name: [] for s in systems}
    for r in range(rounds):
        order = systems[r % len(systems):] + systems[:r % len(systems)]
        for s in order:
            before, at = steal(), time.monotonic()
            figures = one(s)
            figures["flagged"] = (steal() - before) / os.sysconf("SC_CLK_TCK") > 0.02 * (time.monotonic() - at) * os.cpu_count()
            taken[s.name].append(figures)
    return taken


def requests(load, systems, rounds, seconds, connections, size):
    body = chat(size)
    return rotated(systems, rounds, lambda s: window(load, s, "http", s, connections, seconds, 0, body))


def latency(load, systems, rounds, seconds, rate):
    """M2: an open loop at a fixed rate; what stands in a queue counts."""
    body = chat(300)
    return rotated(systems, rounds, lambda s: window(load, s, "http", s, 16, seconds, rate, body))


def frontier(load, system, seconds):
    """M3: the most requests a second with p99 below each bound, over a ladder of connections."""
    best = {1: 0, 5: 0, 10: 0, 50: 0}
    for connections in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        out = window(load, system, "http", system, connections, seconds, 0, chat(300))
        for bound in best:
            if out["p99_us"] <= bound * 1000:
                best[bound] = max(best[bound], round(out["rps"]))
    return best


def streams(load, systems, rounds, seconds, n, events):
    """M4, M5: events that come every 20 ms on each of n streams."""
    body = chat(300, stream=True)
    return rotated(systems, rounds, lambda s: window(load, s, "sse", s, n, seconds, events, body))


def slope(points):
    """KiB for each stream, by least squares."""
    mx, my = statistics.mean(p[0] for p in points), statistics.mean(p[1] for p in points)
    return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)


def memory(load, system, pids, counts, events):
    """M6: resident memory with so many streams open that say little."""
    points, body = [], chat(300, stream=True)
    for n in counts:
        if n == 0:
            points.append((0, rss_kib(pids)))
            continue
        held = load.start("sse", system, n, 3, events, body, more=("hold",))
        if held.stdout.readline() != "held\n":
            raise SystemExit("bench: %s does not open %d streams: %s" % (system.name, n, held.communicate()[0]))
        time.sleep(1)
        points.append((n, rss_kib(pids)))
        out = load.result(held)
        if out["failed"] or out["open"] != n:
            raise SystemExit("bench: %s kept %d of %d streams" % (system.name, out["open"], n))
        time.sleep(1)
    return {"points_kib": points, "slope_kib": round(slope(points), 2), "after_close_kib": rss_kib(pids)}


def leak(load, system, pids, seconds):
    """M7: growth under a steady load."""
    load.run("http", system, 16, 3, 0, chat(16384))
    before = rss_kib(pids)
    load.run("http", system, 16, seconds, 0, chat(16384))
    return {"idle_to_loaded_kib": before, "after_kib": rss_kib(pids), "mib_per_minute": (rss_kib(pids) - before) / 1024 / seconds * 60}


# ---- configuration ------------------------------------------------------------------------------------------------------


def fill(gateway, n):
    """Until there are n routes and n consumers, as one declarative apply."""
    document = gateway.api("GET", "/config")
    have = {r["name"] for r in document["routes"]} | {c["name"] for c in document["consumers"]}
    document["routes"] += [{"name": "r%05d" % i, "match": {"models": [{"type": "exact", "value": "m-%05d" % i}]},
                            "targets": [{"provider": "mock"}]} for i in range(n) if "r%05d" % i not in have]
    document["consumers"] += [{"name": "c%05d" % i} for i in range(n) if "c%05d" % i not in have]
    gateway.api("PUT", "/config", document)
    gateway.wait_served(gateway.api.revision)


def pushes(gateway, n, rounds):
    """M8: from the begin of the admin call until every worker serves it; and what it costs all processes together."""
    times, cpu, pids = [], cpu_seconds(gateway.pids()), gateway.pids()
    for i in range(rounds):
        begin = time.monotonic()
        gateway.api("PATCH", "/routes/r%05d" % ((i * 7919) % n), {"match": {"models": [
            {"type": "exact", "value": "m-%05d" % ((i * 7919) % n)}, {"type": "exact", "value": "extra-%d" % i}]}})
        gateway.wait_served(gateway.api.revision)
        times.append((time.monotonic() - begin) * 1000)
    times.sort()
    return {"p50_ms": round(statistics.median(times), 1), "p99_ms": round(times[min(len(times) - 1, int(len(times) * 0.99))], 1),
            "max_ms": round(times[-1], 1), "cpu_ms_per_push": round((cpu_seconds(pids) - cpu) / rounds * 1000, 2), "rounds": rounds}


def pushes_under_load(load, gateway, n, rounds, rate, seconds):
    """M9: pushes while requests come at a rate and streams are open; none may be lost."""
    http_load = load.start("http", gateway, 32, seconds, rate, chat(300))
    sse_load = load.start("sse", gateway, 50, seconds, 100, chat(300, stream=True))
    time.sleep(0.5)
    out = pushes(gateway, n, rounds)
    h, s = load.result(http_load), load.result(sse_load)
    return {**out, "requests": h["requests"], "failed": h["failed"], "rps": h["rps"], "p99_us": h["p99_us"], "events": s["events"],
            "broken_streams": s["failed"]}


def ready(gateway, rounds):
    """A killed worker's successor: from its start until it is ready, from what lies on its disk."""
    times = []
    for _ in range(rounds):
        old = set(gateway.of("tidegate-worker"))
        gone = sorted(old)[0]
        port = next(p for p in range(gateway.admin, gateway.admin + gateway.workers)
                    if ("--admin-listen\0127.0.0.1:%d" % p) in open("/proc/%d/cmdline" % gone).read()
                    or (":%d" % p) in open("/proc/%d/cmdline" % gone).read())
        os.kill(gone, signal.SIGKILL)
        wait_for("a new worker", lambda: set(gateway.of("tidegate-worker")) - old)
        begin = time.monotonic()
        wait_for("readiness", lambda: get(port, "/readyz")[0] == 200)
        times.append(round((time.monotonic() - begin) * 1000, 1))
    return times


# ---- the rest -----------------------------------------------------------------------------------------------------------


def cardinality(load, bin_dir, mock, scratch, sizes, rounds, seconds):
    """M10: route and key by chance for each request, out of few and out of many."""
    systems = [Static(bin_dir, mock, scratch, "many-%d-%d" % (r, c), r, c) for r, c in sizes]
    try:
        body = {s.name: chat(300, "m-@@@@@") for s in systems}
        routes = {s.name: r for s, (r, _) in zip(systems, sizes)}
        return rotated(systems, rounds, lambda s: window(load, s, "http", s, 32, seconds, 0, body[s.name], s.secrets, (routes[s.name],)))
    finally:
        for s in systems:
            s.stop()


def rejected(load, system, rounds, seconds):
    """M11: a flood of wrong keys, beside requests that are served."""
    body, wrong = chat(300), ["tgk_wrong%027d" % i for i in range(1000)]
    ratios = []
    for _ in range(rounds):
        good = window(load, system, "http", system, 32, seconds, 0, body)
        bad = window(load, system, "http", system, 32, seconds, 0, body, wrong, status=401)
        ratios.append({"served_us": good["cpu_us"], "rejected_us": bad["cpu_us"], "ratio": bad["cpu_us"] / good["cpu_us"]})
    return ratios


def head_of_line(load, system, seconds, events):
    """M12: streams while somebody sends bodies of 10 MB, beside the same streams alone."""
    alone = window(load, system, "sse", system, 16, seconds, events, chat(300, stream=True))
    big, stop = chat(10 << 20), threading.Event()

    def send():
        os.sched_setaffinity(0, {1})  # this thread: the gateway's core is the gateway's
        while not stop.is_set():
            ask(system, big)
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        beside = window(load, system, "sse", system, 16, seconds, events, chat(300, stream=True))
    finally:
        stop.set()
        sender.join(30)
    return {"alone_gap_p99_us": alone["gap_p99_us"], "beside_gap_p99_us": beside["gap_p99_us"], "beside_gap_max_us": beside["gap_max_us"],
            "added_p99_us": beside["gap_p99_us"] - alone["gap_p99_us"]}


def certificate(scratch):
    """P-256, as most of the web has; (certificate, key)."""
    cert, key = scratch / "cert.pem", scratch / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert,
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    return cert, key


def tls_window(scratch, system, seconds):
    """Requests over TLS on 32 connections that live, from wrk; CPU of the gateway for each."""
    script = scratch / ("post-%s.lua" % system.name)
    script.write_text('wrk.method = "POST"\nwrk.body = [==[%s]==]\nwrk.headers["Content-Type"] = "application/json"\n'
                      'wrk.headers["Authorization"] = "Bearer %s"\n' % (chat(300), system.key))
    before = cpu_seconds(system.parts()["cpu_us"])
    out = subprocess.run(pinned(1, "wrk", "-t1", "-c32", "-d%.0fs" % max(1, seconds), "-s", script,
                                "https://127.0.0.1:%d/v1/chat/completions" % system.tls_port), capture_output=True, text=True).stdout
    found = re.search(r"(\d+) requests in ([\d.]+)s", out)
    if not found or "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit("bench: %s over TLS: %s" % (system.name, out))
    return {"cpu_us": (cpu_seconds(system.parts()["cpu_us"]) - before) / int(found[1]) * 1e6, "rps": int(found[1]) / float(found[2])}


def handshakes(system, seconds):
    """Full handshakes, one after another; CPU of the gateway for each."""
    before = cpu_seconds(system.parts()["cpu_us"])
    out = subprocess.run(pinned(1, "openssl", "s_time", "-connect", "127.0.0.1:%d" % system.tls_port, "-new", "-time", seconds),
                         capture_output=True, text=True).stdout
    found = re.search(r"(\d+) connections in [\d.]+ real seconds|(\d+) connections in [\d.]+s", out)
    if not found:
        raise SystemExit("bench: handshakes with %s: %s" % (system.name, out))
    n = int(found[1] or found[2])
    return {"cpu_us": round((cpu_seconds(system.parts()["cpu_us"]) - before) / max(1, n) * 1e6, 1), "connections": n}


def instructions(load, bin_dir, mock, scratch, seconds):
    """M14: a worker that checks a key and routes by model, under callgrind; its other threads sleep meanwhile."""
    out = scratch / "callgrind.out"
    s = Static(bin_dir, mock, scratch, "instructions", 1, 1, under=("valgrind", "--tool=callgrind", "--instr-atstart=no",
                                                                   "--callgrind-out-file=%s" % out))
    try:
        body = chat(300, "m-00000")
        load.run("http", s, 16, 1, 0, body, s.secrets)
        subprocess.run(["callgrind_control", "-i", "on", str(s.process.pid)], check=True, capture_output=True)
        n = load.run("http", s, 16, seconds, 0, body, s.secrets)["requests"]
        subprocess.run(["callgrind_control", "-i", "off", str(s.process.pid)], check=True, capture_output=True)
    finally:
        s.stop()
    total = max(int(line.split()[1]) for line in open(out) if line.startswith(("summary:", "totals:")))
    return {"per_request": round(total / n), "requests": n}


def scaling(load, bin_dir, mock, scratch, seconds):
    """Throughput with one loop and with two; on two cores the load competes, so this is a check and no figure."""
    out = {}
    for loops in (1, 2):
        s = Static(bin_dir, mock, scratch, "loops-%d" % loops, loops=loops, cpus="0,1")
        try:
            out[str(loops)] = round(load.run("http", s, 64, seconds, 0, chat(300))["rps"])
        finally:
            s.stop()
    return out

