"""Rules that watch something else than a series: each fires for what is broken, for nothing else, and ends with it."""
import subprocess
import time

import httpx
import pytest

from channel import FakeWorker
from harness.ports import free_port
from harness.waiting import wait_until
from lone_control import LoneControl


def events(gateway, rule):
    return gateway.admin.get("alert-events?rule=" + rule).json()["items"]


def figures(gateway):
    """The control plane's own metrics; what stands in a label goes with the name."""
    lines = gateway.admin.http.get("/metrics").text.splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line and line[0] != "#"}


def firing(gateway, rule):
    return [e for e in events(gateway, rule) if e["ended_at"] is None]


def test_a_provider_that_answers_nobody(gateway, openai_sim):
    gateway.provider("well", openai_sim, served=False)
    gateway.admin.post("providers", {"name": "dead", "type": "openai", "base_url": "http://127.0.0.1:%d/v1" % free_port(),
                                     "api_keys": [{"name": "main", "value": "sk-canary-alert-kinds-01"}]})
    gateway.route("r-well", "gpt-4.1-nano", ("well", None), served=False)
    gateway.route("r-dead", "gone", ("dead", "gpt-4.1-nano"), served=False)
    gateway.admin.post("alerts", {"name": "down", "watch": "provider_down", "severity": "critical", "window": "1m", "min_count": 2, "for": "0s"})
    client = gateway.client(gateway.key())
    for model, status in (("gpt-4.1-nano", 200), ("gone", 502), ("gone", 502), ("gone", 502)):
        answer = client.post("chat/completions", json={"model": model, "messages": [{"role": "user", "content": "hi"}]})
        assert answer.status_code in (status, status + 1), answer.text
    [event] = wait_until(lambda: events(gateway, "down"), 60, "the event", every=0.3)
    assert event["object"] == "dead" and event["severity"] == "critical" and event["value"] >= 2
    assert event["text"].startswith("none of ") or "1 of 1 workers" in event["text"]
    # It stays down while nobody asks it: a breaker that has cooled down has not proved anything. It ends when an answer is good again.
    gateway.admin.patch("providers/dead", {"base_url": openai_sim.base_url, "api_keys": [{"name": "main", "value": openai_sim.key}]})
    gateway.wait_served()
    wait_until(lambda: client.post("chat/completions", json={"model": "gone", "messages": [{"role": "user", "content": "hi"}]}).status_code == 200,
               60, "a good answer", every=0.5)
    wait_until(lambda: not firing(gateway, "down"), 120, "its end", every=0.5)
    assert [e["object"] for e in events(gateway, "down")] == ["dead"]


def test_quotas_that_are_used_stand_in_the_metrics(gateway, openai_sim):
    """For Prometheus, whether a rule watches them or not."""
    gateway.provider("p", openai_sim, served=False)
    gateway.route("r", "gpt-4.1-nano", ("p", None), served=False)
    client = gateway.client(gateway.key("app"))
    for name, limit, more in (("five", 5, {}), ("many", 1000, {}), ("asleep", 1, {"enabled": False})):
        gateway.admin.post("quotas", {"name": name, "consumer": "app", "unit": "requests", "limit": limit, "on_exceeded": "allow", **more})
    gateway.wait_served()

    def used():
        seen = figures(gateway)
        return tuple(seen['tidegate_control_quotas_used{percent="%d"}' % percent] for percent in (80, 100))
    ask = {"model": "gpt-4.1-nano", "messages": [{"role": "user", "content": "hi"}]}
    for count, (most, everything) in ((3, (0, 0)), (1, (1, 0)), (1, (1, 1))):
        assert {client.post("chat/completions", json=ask).status_code for _ in range(count)} == {200}
        expected = sum(r.path.endswith("/chat/completions") for r in openai_sim.requests)
        wait_until(lambda: gateway.admin.get("quotas/five").json()["balance"]["used"] == expected, 30, "the balance", every=0.2)
        assert used() == (most, everything)


@pytest.fixture
def start_control(watch):
    def start(**how):
        gateway = LoneControl(**how)
        watch.own.append(gateway)
        watch.gateways.append(gateway)
        return gateway.begin()
    return start


def test_a_certificate_that_ends_and_a_worker_that_refuses(start_control, tmp_path):
    key, crt = tmp_path / "k.pem", tmp_path / "c.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "5", "-subj", "/CN=x",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", crt], check=True, capture_output=True)
    control = start_control(control_args=["--tls-cert", crt, "--tls-key", key])
    control.admin.post("alerts", {"name": "ends", "watch": "certificate_expiry", "threshold": 10, "for": "0s"})
    control.admin.post("alerts", {"name": "refused", "watch": "config_rejected", "for": "0s"})
    control.admin.patch("settings", {"tls": {"certificates": [{"name": "edge", "certificate_pem": crt.read_text(), "private_key": key.read_text()}]}})
    good, bad = (FakeWorker(control.control_port, control.join_token, name=name).join() for name in ("good", "bad"))
    control.change()
    good.ack(good.hear("snapshot"))
    bad.nack(bad.hear("snapshot"), "/routes/r1/targets/0", "no such provider type")
    told = wait_until(lambda: (f := figures(control))["tidegate_control_workers_refusing"] == 1 and f, 30, "the refusal in the metrics", every=0.2)
    assert 4 < (told["tidegate_control_certificate_end_time_seconds"] - time.time()) / 86400 < 5.1, told
    both = wait_until(lambda: len(events(control, "ends")) == 2 and events(control, "ends"), 60, "the certificates' events", every=0.3)
    assert {e["object"] for e in both} == {"console", "tls/edge"} and all(4 < e["value"] < 5.1 and "ends at" in e["text"] for e in both), both
    [refused] = wait_until(lambda: events(control, "refused"), 60, "the refusal's event", every=0.3)
    assert refused["object"] == "bad" and "/routes/r1/targets/0" in refused["text"] and "no such provider type" in refused["text"]
    control.admin.patch("alerts/ends", {"threshold": 2})
    control.change()
    newest = None
    while newest is None or newest["revision"] < int(control.admin.get("overview").json()["revision"]):
        newest = bad.hear("snapshot")
        bad.ack(newest)
    assert figures(control)["tidegate_control_workers_refusing"] == 0
    wait_until(lambda: not firing(control, "refused") and not firing(control, "ends"), 60, "both ends", every=0.3)
    assert len(events(control, "ends")) == 2 and len(events(control, "refused")) == 1
    for worker in (good, bad):
        worker.close()
