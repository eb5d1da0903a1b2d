"""GET /providers/{name}/health and its clearing: what the workers know, merged, per key and endpoint."""
import calendar
import time

import pytest

from harness.waiting import wait_until
from harness.worker import Upstream

GOOD, BAD = "sk-canary-good-11aa22bb", "sk-canary-slow-33cc44dd"


@pytest.fixture
def admin(gateway):
    return gateway.admin


@pytest.fixture
def upstream(gateway):
    gateway.secrets.update({GOOD, BAD})

    def script(wire):
        while True:
            head, _ = wire.request()
            if BAD.encode() in head:
                wire.json(429, {"error": {"message": "slow down", "type": "x", "code": None}}, "retry-after: 120\r\n")
            else:
                wire.json()
    made = Upstream(script)
    yield made
    made.close()
    assert not made.errors, made.errors


def entry(health, kind, **wanted):
    found = [e for e in health[kind] if all(e[k] == v for k, v in wanted.items())]
    assert len(found) == 1, health
    return found[0]


def test_states_cooldowns_and_clearing(gateway, admin, upstream):
    admin.post("providers", {"name": "pool", "type": "openai", "base_url": upstream.url + "/",
                             "api_keys": [{"name": "good", "value": GOOD}, {"name": "slow", "value": BAD}]})
    gateway.route("r", "m", ("pool", None))
    key = gateway.key("app")
    health = admin.get("providers/pool/health").json()
    assert health["workers"] == 1 and {e["state"] for e in health["keys"] + health["endpoints"]} == {"healthy"}
    client = gateway.client(key)
    for _ in range(4):
        answer = client.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "x"}]})
        assert answer.status_code == 200
    health = admin.get("providers/pool/health").json()
    slow, good = entry(health, "keys", name="slow"), entry(health, "keys", name="good")
    assert health["keys"][0] == slow, "the worst comes first"
    assert slow["state"] == "cooling" and slow["last_error"] == "slow down" and slow["last_error_at"]
    left = calendar.timegm(time.strptime(slow["cooldown_until"][:19], "%Y-%m-%dT%H:%M:%S")) - time.time()
    assert 60 < left <= 121
    assert good["state"] == "healthy" and good["cooldown_until"] is None and good["last_error"] is None
    assert entry(health, "endpoints", state="healthy")["in_flight"] == 0
    sent = len(upstream.requests)

    cleared = admin.post("providers/pool/health/clear", {"key": "slow"}, expect=200).json()
    assert entry(cleared, "keys", name="slow")["state"] == "healthy" and entry(cleared, "keys", name="slow")["last_error"] is None

    def asked_again():
        client.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "x"}]})
        return any(BAD.encode() in head for head, _ in upstream.requests[sent:])
    wait_until(asked_again, 20, "the cleared key to be used")
    assert entry(admin.get("providers/pool/health").json(), "keys", name="slow")["state"] == "cooling"
    assert entry(admin.post("providers/pool/health/clear", {}, expect=200).json(), "keys", name="slow")["state"] == "healthy"


def test_clearing_says_what_it_does_not_know(gateway, admin, upstream):
    admin.post("providers", {"name": "pool", "type": "openai", "base_url": upstream.url, "api_keys": [{"name": "good", "value": GOOD}]})
    problem = admin.post("providers/pool/health/clear", {"key": "nobody"}, expect=400).json()
    assert problem["errors"][0]["path"] == "/key"
    problem = admin.post("providers/pool/health/clear", {"endpoint": "http://elsewhere"}, expect=400).json()
    assert problem["errors"][0]["path"] == "/endpoint"
    admin.post("providers/none/health/clear", {}, expect=404)


def test_the_vendors_list_may_come_compressed(gateway, admin):
    gateway.secrets.add(GOOD)
    import gzip

    def script(wire):
        while True:
            wire.request()
            data = gzip.compress(b'{"object":"list","data":[{"id":"model-a"},{"id":"model-b"}]}')
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
    vendor = Upstream(script)
    admin.post("providers", {"name": "pool", "type": "openai", "base_url": vendor.url, "api_keys": [{"name": "good", "value": GOOD}]})
    gateway.wait_served()
    assert [m["id"] for m in admin.get("providers/pool/models").json()["items"]] == ["model-a", "model-b"]
    vendor.close()
