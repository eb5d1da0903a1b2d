"""Series for charts: what the console shows is exactly what the vendors answered, also over breaks of the channel."""
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.admin import faults
from harness.waiting import wait_until


def chart(gateway, query):
    return gateway.admin.get("metrics-series?" + query).json()


def total(gateway, metric, more=""):
    """The sum over all steps of the last hour."""
    items = chart(gateway, "metric=%s%s" % (metric, more))["items"]
    return sum(sum(value or 0 for value in item["values"]) for item in items)


def load(gateway, key, model, requests, stream=False, threads=4):
    """Status codes of so many requests."""
    def ask(_):
        body = {"model": model, "messages": [{"role": "user", "content": "tell me"}], "stream": stream}
        with httpx.Client(base_url=gateway.url, headers={"Authorization": "Bearer " + key}, trust_env=False, verify=False, timeout=30) as client:
            return client.post("chat/completions", json=body).status_code
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ask, range(requests)))


def test_charts_equal_what_the_vendor_answered(gateway, openai_sim):
    gateway.provider("p1", openai_sim)
    gateway.route("r1", "gpt-4.1-nano", ("p1", None))
    gateway.route("r2", "fast", ("p1", "gpt-4o-mini"))
    first, second = gateway.key(), gateway.key("series-2")
    before = {name: total(gateway, name) for name in ("requests", "tokens", "attempts")}
    assert set(load(gateway, first, "gpt-4.1-nano", 17) + load(gateway, second, "fast", 9, stream=True)) == {200}
    assert load(gateway, first, "nobody-serves-this", 2) == [404, 404]
    assert load(gateway, "tgk_wrong", "gpt-4.1-nano", 1) == [401]
    asked = [r for r in openai_sim.requests if r.path.endswith("/chat/completions")]
    assert len(asked) == 26
    wait_until(lambda: total(gateway, "requests") - before["requests"] >= 29, 30, "the cut of ten seconds", every=0.3)

    assert total(gateway, "requests") - before["requests"] == 29
    assert total(gateway, "attempts") - before["attempts"] == 26
    usage = gateway.admin.get("usage?group_by=route").json()["items"]
    spent = {row["route"]: row["prompt_tokens"] + row["completion_tokens"] for row in usage if row["route"] in ("r1", "r2")}
    for route, count in (("r1", 17), ("r2", 9)):
        assert total(gateway, "requests", "&route=" + route) == count
        assert total(gateway, "tokens", "&route=" + route) == spent[route] > 0
        assert total(gateway, "duration", "&route=" + route) == count
    assert total(gateway, "first_token", "&route=r2") == 9
    lines = {line["labels"]["model"]: line["total"] for line in chart(gateway, "metric=requests&by=model&provider=p1")["items"]}
    assert lines == {"gpt-4.1-nano": 17, "gpt-4o-mini": 9}
    lines = {line["labels"]["consumer"]: line["total"] for line in chart(gateway, "metric=requests&by=consumer")["items"]}
    assert lines[gateway.consumer] == 19 and lines["series-2"] == 9
    lines = {line["labels"]["status"]: line["total"] for line in chart(gateway, "metric=requests&by=status&consumer=" + gateway.consumer)["items"]}
    assert lines == {"2xx": 17, "4xx": 2}
    duration = chart(gateway, "metric=duration&route=r1")
    summary = duration["items"][0]["summary"]
    assert duration["unit"] == "seconds" and 0 < summary["p50"] <= summary["p95"] <= summary["p99"] < 30
    assert len(duration["items"][0]["p95"]) == len(duration["items"][0]["values"])
    [worker] = chart(gateway, "metric=requests&by=node")["items"]
    assert worker["total"] == total(gateway, "requests") and worker["labels"]["node_name"]
    memory = chart(gateway, "metric=memory")
    assert memory["kind"] == "gauge" and max(v or 0 for v in memory["items"][0]["values"]) > 1e6


def test_queries_that_make_no_sense_are_refused(gateway):
    for query, path in (("metric=nothing", "?metric"), ("metric=requests&by=colour", "?by"), ("metric=requests&by=consumer,route", "?by"),
                        ("metric=requests&by=route&consumer=a", "?consumer"),
                        ("metric=requests&step=7s", "?step"), ("metric=requests&step=10s&from=2020-01-01T00:00:00Z", "?step"),
                        ("metric=requests&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "?from"), ("by=route", "?metric")):
        answer = gateway.admin.get("metrics-series?" + query, expect=400)
        assert faults(answer)[0][0] == path, (query, answer.text)


def test_nothing_is_lost_or_counted_twice_over_breaks(start_gateway, start_sim):
    """The control plane is killed during the load and comes back; then the worker ends with counts that no cut has seen."""
    sim = start_sim("openai")
    gateway = start_gateway(split=True)
    gateway.provider("p1", sim)
    gateway.route("r1", "gpt-4.1-nano", ("p1", None))
    key = gateway.key()
    assert set(load(gateway, key, "gpt-4.1-nano", 10)) == {200}
    wait_until(lambda: total(gateway, "requests") == 10, 30, "the first cut", every=0.3)
    gateway.daemon("control").send(signal.SIGKILL)
    gateway.daemon("control").process.wait()
    assert set(load(gateway, key, "gpt-4.1-nano", 20)) == {200}, "workers serve without the control plane"
    gateway.start_control()
    wait_until(lambda: total(gateway, "requests") >= 30, 40, "the cuts made meanwhile", every=0.3)
    assert set(load(gateway, key, "gpt-4.1-nano", 5)) == {200}
    assert gateway.daemon("worker-0").stop() == 0, "the last cut is sent before it ends"
    assert len([r for r in sim.requests if r.path.endswith("/chat/completions")]) == 35
    wait_until(lambda: total(gateway, "requests") == 35, 10, "every request in the charts", every=0.2)
    assert total(gateway, "tokens") == sum(row["prompt_tokens"] + row["completion_tokens"]
                                           for row in gateway.admin.get("usage").json()["items"])
    gateway.start_worker(0)
    gateway.wait_served()


def test_the_control_plane_has_metrics_too(gateway):
    answer = gateway.admin.http.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.text
    found = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    assert 'tidegate_control_workers{state="current"} 1' in text
    assert "tidegate_control_revision %d\n" % gateway.admin.get("overview").json()["revision"] in text
    with httpx.Client(base_url=gateway.console_url, trust_env=False, verify=False) as nobody:
        assert nobody.get("/metrics").status_code == 401
