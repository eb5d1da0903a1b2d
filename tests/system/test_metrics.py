"""/metrics of a worker: what Prometheus makes of it, and that strangers cannot make it grow."""
import json
import random
import re
import subprocess

import httpx
import pytest

from harness.daemon import Daemon
from harness.ports import free_port
from harness.waiting import wait_until
from harness.worker import KEY, Upstream, Worker, answer_plainly, chunk, config, request


def promtool(text):
    return subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)


def stream(wire):
    while True:
        wire.request()
        body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in (
            chunk("a"), chunk("b"), chunk("c", "stop"), {**chunk(), "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}}))
        body += b"data: [DONE]\n\n"
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(body) + body)


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(script=answer_plainly, **more):
        upstream = Upstream(script)
        worker = Worker(tmp_path, config(upstream, **more), loops=2)
        made.append((worker, upstream))
        return worker
    yield make
    for worker, upstream in made:
        if worker.daemon.running:
            worker.stop()
        upstream.close()


def test_promtool_finds_nothing_to_say(rig):
    worker = rig(stream)
    assert promtool(worker.admin("/metrics")).returncode == 0, "before the first request"
    talk = worker.talk()
    for _ in range(3):
        assert talk.send(request(stream=True)).answer()[0] == 200
    assert talk.send(request(key="tgk_wrong")).answer()[0] == 401
    worker.idle()
    text = worker.admin("/metrics")
    found = promtool(text)
    assert found.returncode == 0, found.stdout + found.stderr
    assert worker.metric("tidegate_requests_total") == 4
    assert 'tidegate_tokens_total{route="r",provider="p0",model="up",class="prompt"} 27' in text
    assert 'tidegate_time_to_first_token_seconds_count{route="r"} 3' in text
    assert 'gen_ai_client_token_usage_sum{gen_ai_provider_name="p0",gen_ai_request_model="up",gen_ai_token_type="output"} 9.0' in text
    assert 'tidegate_consumer_requests_total{consumer="app",status="2xx"} 3' in text
    assert 'tidegate_rejected_total{code="invalid_api_key"} 1' in text
    assert worker.metric("process_resident_memory_bytes") > 1e6 and worker.metric("process_open_fds") > 5


def series(text):
    """The names of all samples: what a time series database would keep."""
    return {line.rpartition(" ")[0] for line in text.split("\n") if line and not line.startswith("#")}


def junk(rng):
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    return "".join(rng.choice(letters) for _ in range(12))


def test_ten_thousand_strange_names_add_no_series(rig):
    """T36: Model names, paths and user agents; a tenth of the models reach the provider, under a route that takes any name."""
    rng = random.Random(7)
    worker = rig(answer_plainly, route={"match": {"models": [{"type": "prefix", "value": "any-"}, {"type": "exact", "value": "m"}]},
                                        "targets": [{"provider": "p0"}]})
    talk = worker.talk(60)

    def send(n):
        batch = []
        for i in range(n):
            kind = i % 10
            path = "/v1/%s" % junk(rng) if kind == 1 else "/v1/chat/completions?%s=%s" % (junk(rng), junk(rng))
            model = ("any-" if kind == 0 else "") + junk(rng)
            batch.append(request(model=model, path=path, headers="user-agent: %s\r\n" % junk(rng),
                                 key="tgk_" + junk(rng) if kind == 2 else KEY))
        talk.send(b"".join(batch))
        return [talk.answer()[0] for _ in range(n)]
    statuses = set(send(100))
    assert talk.send(request(model="m")).answer()[0] == 200
    worker.idle()
    before = series(worker.admin("/metrics"))
    for _ in range(100):
        statuses |= set(send(100))
    worker.idle()
    after = worker.admin("/metrics")
    assert {200, 404, 401} <= statuses
    # A bucket is written for a histogram that has values, so the set of names is all that can change: it must not.
    assert series(after) == before
    assert worker.metric("tidegate_requests_total") == 10101
    assert re.search(r'tidegate_requests_total\{route="r",provider="p0",model="other",status="2xx",end_reason="complete"\} 1010\b', after)
    assert 'model="m"' in after


def test_prometheus_scrapes_a_worker(rig, tmp_path):
    """Debian's own, as it comes."""
    worker = rig()
    assert worker.talk().send(request()).answer()[0] == 200
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(json.dumps({
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": "tidegate", "static_configs": [{"targets": ["127.0.0.1:%d" % worker.admin_port]}]}]}))
    prometheus = Daemon("prometheus", ["/usr/bin/prometheus", "--config.file", tmp_path / "prometheus.yml", "--storage.tsdb.path",
                                       tmp_path / "tsdb", "--web.listen-address", "127.0.0.1:%d" % port], tmp_path).start()
    try:
        def ask(query):
            answer = httpx.get("http://127.0.0.1:%d/api/v1/query" % port, params={"query": query}, trust_env=False, verify=False, timeout=30)
            answer.raise_for_status()
            return answer.json()["data"]["result"]
        prometheus.wait_for(lambda: httpx.get("http://127.0.0.1:%d/-/ready" % port, trust_env=False, verify=False).status_code == 200, 60)
        [row] = wait_until(lambda: ask("sum by (end_reason) (tidegate_requests_total)"), 60, "a scrape", every=0.2)
        assert row["metric"] == {"end_reason": "complete"} and row["value"][1] == "1"
        wait_until(lambda: ask("up")[0]["value"][1] == "1", 30, "a scrape in time", every=0.2)
        wait_until(lambda: ask("histogram_quantile(0.5, sum by (le) (gen_ai_server_request_duration_seconds_bucket))"), 30, "a quantile", every=0.2)
    finally:
        prometheus.kill()
