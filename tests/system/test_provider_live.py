"""GET /providers/{name}/health: the connections, the queue and the addresses of each server, as the workers have them at that moment."""
import threading
from datetime import datetime

import pytest

from harness.names import NameServer, may_mount, worker_that_asks
from harness.rawhttp import Talk
from harness.waiting import wait_until
from harness.worker import Upstream, request

KEY = "sk-canary-live-77aa88bb"


class Vendor(Upstream):
    """Answers nobody before `let_go`."""

    def __init__(self):
        self.let_go = threading.Event()
        super().__init__(self._play)

    def _play(self, wire):
        while True:
            wire.request()
            assert self.let_go.wait(120)
            wire.json()

    def close(self):
        self.let_go.set()
        super().close()


@pytest.fixture
def vendor(start_gateway):
    """After the gateway in the order of ending: its requests are let go first."""
    made = Vendor()
    yield made
    made.close()
    assert not made.errors, made.errors


def ask(port, key, model="m", times=1):
    return [Talk(port, 60).send(request(key=key, model=model)) for _ in range(times)]


def answers(talks):
    """Their status, each; and no connection is left."""
    found = [talk.answer()[0] for talk in talks]
    for talk in talks:
        talk.close()
    return found


def endpoint(gateway, provider="pool", at=0):
    return gateway.admin.get("providers/%s/health" % provider).json()["endpoints"][at]


def seen(gateway, what, **wanted):
    """The endpoint as soon as its connections and its queue are as wanted."""
    def reached():
        now = endpoint(gateway)
        flat = {**{k: now["pool"][k] for k in ("connections", "busy", "idle")}, "waiting": now["queue"]["waiting"]}
        return now if all(flat[k] == v for k, v in wanted.items()) else None
    return wait_until(reached, 30, what)


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def provider(gateway, url, name="pool", model="m", **more):
    gateway.secrets.add(KEY)
    gateway.admin.post("providers", {"name": name, "type": "openai", "base_url": url, "api_keys": [{"name": "main", "value": KEY}], **more})
    gateway.route(name, model, (name, None))


def test_a_full_pool_and_a_full_queue_are_seen(gateway):
    vendor = Vendor()
    provider(gateway, vendor.url, pool={"max_connections": 2, "max_queue": 3}, timeouts={"queue": "50s"})
    key = gateway.key()
    before = endpoint(gateway)
    assert before["pool"] == {"connections": 0, "busy": 0, "idle": 0, "connecting": 0, "limit": 2}
    assert before["queue"] == {"waiting": 0, "limit": 3, "timeout_ms": 50000}
    talks = ask(gateway.data_port, key, times=2)
    seen(gateway, "two connections", busy=2)
    talks += ask(gateway.data_port, key, times=3)
    full = seen(gateway, "three requests in the queue", waiting=3)
    assert full["pool"] == {"connections": 2, "busy": 2, "idle": 0, "connecting": 0, "limit": 2}
    assert full["in_flight"] == 5 and len(full["workers"]) == 1 and full["workers_left_out"] == 0
    assert full["workers"][0]["pool"] == full["pool"] and full["workers"][0]["queue"] == full["queue"]
    assert full["workers"][0]["name"] in [n["name"] for n in gateway.admin.get("nodes").json()["items"]]
    refused = ask(gateway.data_port, key)[0]
    status, headers, _ = refused.answer()
    refused.close()
    assert status == 503 and headers["retry-after"], "no place in the queue is left: what is shown is what counts"
    metrics = gateway.metrics()
    assert metrics['tidegate_upstream_waiting{provider="pool"}'] == 3
    vendor.let_go.set()
    assert answers(talks) == [200] * 5
    after = seen(gateway, "nobody to be waiting", waiting=0, busy=0)
    assert after["pool"]["connections"] == after["pool"]["idle"] > 0
    assert after["addresses"] == [{"address": "127.0.0.1", "family": "ipv4", "state": "in_use", "connections": after["pool"]["idle"],
                                   "last_error": None, "last_error_at": None, "workers": 1}]
    assert (after["resolved_at"], after["expires_at"], after["ttl_ms"], after["lookup_error"]) == (None,) * 4, "an address is not looked up"
    vendor.close()


def test_an_address_of_either_family_and_one_that_is_blocked(gateway):
    """Nobody is asked, so nothing is connected: what is configured is seen all the same."""
    gateway.secrets.add(KEY)
    gateway.admin.post("providers", {"name": "pool", "type": "vllm", "allow_private": False, "api_keys": [{"name": "main", "value": KEY}],
                                     "endpoints": [{"url": "http://[2606:4700::1111]:8000/v1"}, {"url": "http://10.1.2.3/v1"}]})
    gateway.wait_served()
    rows = {e["url"]: e["addresses"] for e in gateway.admin.get("providers/pool/health").json()["endpoints"]}
    assert [(a["address"], a["family"], a["state"]) for a in rows["http://[2606:4700::1111]:8000/v1"]] == [("2606:4700::1111", "ipv6", "spare")]
    assert [(a["address"], a["family"], a["state"]) for a in rows["http://10.1.2.3/v1"]] == [("10.1.2.3", "ipv4", "blocked")]


def test_without_a_worker_nothing_is_claimed(start_gateway):
    gateway = start_gateway(setup=False, split=True, workers=1)
    gateway.set_up()
    provider(gateway, "http://127.0.0.1:9/v1")
    gateway.daemon("worker-0").stop()
    wait_until(lambda: gateway.admin.get("providers/pool/health").json()["workers"] == 0, 20, "the worker to be gone")
    now = endpoint(gateway)
    assert now["state"] == "unknown" and now["workers"] == [] and now["addresses"] == []
    assert now["pool"]["limit"] is None and now["queue"] == {"waiting": 0, "limit": 0, "timeout_ms": None}


@pytest.fixture
def named(tmp_path, monkeypatch, start_gateway):
    """A gateway of two workers whose names are ours: (names, gateway)."""
    if not may_mount():
        pytest.skip("needs root and mount namespaces")
    names = NameServer()
    names.ttl = 120
    monkeypatch.setenv("TIDEGATE_BIN", str(worker_that_asks(names, tmp_path)))
    yield names, start_gateway(split=True, workers=2, loops=2, own_ports=True)
    names.close()


def test_several_addresses_and_several_workers(named, vendor):
    names, gateway = named
    dead = ["127.0.0.99", "127.0.0.98"]
    names.records["api.vendor.test"] = [*dead, "127.0.0.1"]
    names.records["gone.vendor.test"] = [dead[0]]
    provider(gateway, "http://api.vendor.test:%d/v1" % vendor.port, pool={"max_connections": 2, "max_queue": 50}, timeouts={"queue": "50s"})
    provider(gateway, "http://gone.vendor.test:%d/v1" % vendor.port, "gone", "gone")
    key = gateway.key()
    blank = endpoint(gateway)
    assert blank["addresses"] == [] and blank["resolved_at"] is None, "nobody has asked for the name yet"
    talks = ask(gateway.data_ports[0], key, times=3) + ask(gateway.data_ports[1], key)
    now = seen(gateway, "three connections of two workers, and one that waits", busy=3, waiting=1)
    assert now["pool"]["limit"] == 4 and now["queue"]["limit"] == 100 and now["queue"]["timeout_ms"] == 50000
    each = {row["name"]: row for row in now["workers"]}
    assert [(each[w]["pool"]["busy"], each[w]["queue"]["waiting"]) for w in ("worker-0", "worker-1")] == [(2, 1), (1, 0)]
    assert each["worker-0"]["pool"]["limit"] == 2 and each["worker-0"]["queue"]["limit"] == 50

    assert {a["address"] for a in now["addresses"]} == {*dead, "127.0.0.1"} and now["addresses_left_out"] == 0
    order = [a["address"] for a in now["addresses"]]
    used = now["addresses"][order.index("127.0.0.1")]
    assert used == {"address": "127.0.0.1", "family": "ipv4", "state": "in_use", "connections": 3, "last_error": None, "last_error_at": None, "workers": 2}
    for at, address in enumerate(now["addresses"]):
        if address["address"] in dead:
            tried = at < order.index("127.0.0.1")
            assert (address["state"], address["connections"]) == ("failing" if tried else "spare", 0), now["addresses"]
            assert ("refused" in address["last_error"] and moment(address["last_error_at"]) if tried else address["last_error"] is None)
    told = wait_until(lambda: (e := endpoint(gateway))["ttl_ms"] is not None and e, 20, "the name server's time to live")
    assert told["ttl_ms"] == 120000 and abs(moment(told["expires_at"]) - moment(told["resolved_at"]) - 120) < 2
    assert all(row["resolved_at"] and [a["address"] for a in row["addresses"]] for row in told["workers"])

    assert answers(ask(gateway.data_ports[0], key, "gone")) == [502]
    gone = endpoint(gateway, "gone")
    assert [(a["address"], a["state"], a["workers"]) for a in gone["addresses"]] == [(dead[0], "failing", 1)]
    vendor.let_go.set()
    assert answers(talks) == [200] * 4


def test_a_name_that_moves_and_a_name_server_that_fails(named, vendor):
    """What connections still lead to is shown until they end; a look-up that fails is said while the old addresses serve."""
    names, gateway = named
    names.ttl = 1
    names.records["api.vendor.test"] = ["127.0.0.1"]
    provider(gateway, "http://api.vendor.test:%d/v1" % vendor.port, breaker={"enabled": False})
    provider(gateway, "http://nobody.vendor.test:%d/v1" % vendor.port, "nobody", "nobody")
    key = gateway.key()
    talks = ask(gateway.data_ports[0], key)
    seen(gateway, "one connection", busy=1)

    def poked(done):
        """One more request, which needs a new connection, since all there are are busy; then what is seen."""
        talks.extend(ask(gateway.data_ports[0], key))
        now = endpoint(gateway)
        return now if done(now, {a["address"]: a["state"] for a in now["addresses"]}) else None
    names.records["api.vendor.test"] = ["127.0.0.99"]
    now = wait_until(lambda: poked(lambda _, states: states == {"127.0.0.99": "failing", "127.0.0.1": "former"}), 60, "the new address", every=0.4)
    assert now["pool"]["busy"] == sum(a["connections"] for a in now["addresses"]) > 0
    names.records["api.vendor.test"] = 2
    now = wait_until(lambda: poked(lambda now, _: now["lookup_error"]), 60, "a look-up that failed", every=0.4)
    assert now["addresses"][0]["address"] == "127.0.0.99" and now["resolved_at"], "what is known serves on, and is shown"
    vendor.let_go.set()
    assert set(answers(talks)) == {200, 502}

    assert answers(ask(gateway.data_ports[0], key, "nobody")) == [502]
    nobody = endpoint(gateway, "nobody")
    assert nobody["lookup_error"] and nobody["addresses"] == [] and nobody["resolved_at"] is None
