#!/usr/bin/env python3
"""Fills a database with a million requests and times what the request log is asked most.

    tests/bench/request_log.py [--rows 1000000] [--folder DIR]      needs build/bin or TIDEGATE_BIN

The control plane is asked over HTTP, as the console asks it; each question 20 times, the worst is shown beside the median.
"""
import argparse
import os
import random
import re
import sqlite3
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from harness.admin import Admin                        # noqa: E402
from harness.gateway import Gateway                    # noqa: E402

QUESTIONS = {
    "newest 100": "requests?limit=100",
    "of one key": "requests?limit=100&key_id=k-0000000000000007",
    "of a rare key": "requests?limit=100&key_id=k-rare",
    "of one consumer": "requests?limit=100&consumer=team-7",
    "failed": "requests?limit=100&status=5xx",
    "of one error code": "requests?limit=100&error_code=upstream_timeout",
    "one by its id": "requests?request_id=req_500000",
    "of a model, slow": "requests?limit=100&model=gpt-3&min_duration=29s",
    "nothing at all": "requests?limit=100&client_ip=192.0.2.1",
    "an hour long ago": "requests?limit=100&from=HOUR&to=HOUR_LATER",
}


def rows(n):
    dice = random.Random(1)
    start = int(1000 * time.time()) - n * 20 - 60000     # newer than anything that retention takes
    for i in range(n):
        team, failed = dice.randrange(200), dice.random() < 0.01
        yield ("boot", i, "n" * 32, "req_%d" % i, "team-%d" % team, "k-rare" if i % 250000 == 3 else "k-%016x" % team, "route-%d" % (team % 20),
               "provider-%d" % (team % 5), "gpt-%d" % (team % 8), "gpt-%d-real" % (team % 8), "chat",
               dice.choice(("upstream_error", "upstream_timeout")) if failed else "", "upstream_error" if failed else "complete", "provider",
               start + i * 20, 502 if failed else 200, 1, i % 2, 500, 0, 0, 200, 0, 1, 300, 400, dice.randrange(500, 30000), 4000, 9000,
               "USD", "main", "203.0.113.%d" % (i % 250), '[{"start_ms":1,"connect_ms":2,"sent_ms":2}]')


COLUMNS = ("boot_id, seq, node, request_id, consumer, key_id, route, provider, requested_model, served_model, operation, error_code, end_reason,"
           " usage_source, started_at_ms, status, attempts, stream, prompt_tokens, cached_tokens, cache_write_tokens, completion_tokens,"
           " reasoning_tokens, queue_ms, first_byte_ms, first_token_ms, total_ms, request_bytes, response_bytes, currency, provider_key, client_ip,"
           " attempt_log")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=1000000)
    arguments = parser.parse_args()
    os.environ.setdefault("TIDEGATE_BIN", str(Path(__file__).resolve().parents[2] / "build/bin"))
    gateway = Gateway(workers=0, split=True)
    try:
        gateway.start()
        gateway.stop()
        began = time.monotonic()
        with sqlite3.connect(gateway.data_dir / "tidegate.db") as db:
            db.execute("PRAGMA synchronous = OFF")
            db.executemany("INSERT INTO requests (%s) VALUES (%s)" % (COLUMNS, ",".join("?" * 33)), rows(arguments.rows))
        db.close()
        size = (gateway.data_dir / "tidegate.db").stat().st_size
        print("%d rows in %.0f s, %.0f bytes a row with its indexes" % (arguments.rows, time.monotonic() - began, size / arguments.rows))
        began = time.monotonic()
        gateway.start_control()
        print("ready %.0f ms after its start" % (1000 * (time.monotonic() - began)))
        token = (gateway.data_dir / "setup-token").read_text().strip()
        browser = Admin(gateway.console_url)
        browser.csrf = browser.post("setup", {"setup_token": token, "username": "root", "password": "correct horse battery"}).json()["csrf_token"]
        print("%-20s %10s %10s %6s" % ("question", "median ms", "worst ms", "rows"))
        for name, path in QUESTIONS.items():
            times = []
            hour = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - arguments.rows * 0.015 + more)) for more in (0, 3600)]
            path = path.replace("HOUR_LATER", hour[1]).replace("HOUR", hour[0])
            for _ in range(20):
                began = time.perf_counter()
                answer = browser.http.get("/api/v1/" + path)
                times.append(1000 * (time.perf_counter() - began))
                assert answer.status_code == 200, answer.text
            print("%-20s %10.1f %10.1f %6d" % (name, statistics.median(times), max(times), len(answer.json()["items"])))
        for form in ("csv", "ndjson"):
            began, size = time.perf_counter(), 0
            with browser.http.stream("GET", "/api/v1/requests?format=" + form) as answer:
                for piece in answer.iter_bytes():
                    size += len(piece)
            seconds = time.perf_counter() - began
            peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/%d/status" % gateway.daemon("control").process.pid).read_text()).group(1)
            print("%-20s %8.1f s  %7.1f MB  %8.0f rows/s; peak memory of the control plane so far %d MB" % (
                "all as " + form, seconds, size / 1e6, arguments.rows / seconds, int(peak) // 1024))
        browser.close()
    finally:
        gateway.stop()
        gateway.clean()


if __name__ == "__main__":
    main()
