"""Names of providers: several addresses, changes, a name server that fails, and addresses that must not be dialled.

A name server of our own on a loopback address, and a worker whose /etc/resolv.conf (in a mount namespace) names it.
"""
import pytest

from harness.names import NameServer, may_mount, worker_that_asks
from harness.waiting import wait_until
from harness.worker import Upstream, Worker, answer_plainly, config, request


pytestmark = pytest.mark.skipif(not may_mount(), reason="needs root and mount namespaces")


@pytest.fixture
def rig(tmp_path, monkeypatch):
    names, made = NameServer(), []
    monkeypatch.setenv("TIDEGATE_BIN", str(worker_that_asks(names, tmp_path)))

    def make(upstream, host="api.vendor.test", **provider):
        worker = Worker(tmp_path, config(upstream, provider={
            "base_url": "http://%s:%d/v1" % (host, upstream.port), "timeouts": {"connect": "3s"}, **provider}))
        made.append((worker, upstream))
        return worker
    yield names, make
    for worker, upstream in made:
        worker.idle()
        worker.stop()
        upstream.close()
    names.close()


def fresh(worker):
    """A request on a client connection of its own."""
    return worker.talk().send(request()).answer()


def closing(wire):
    """One answer a connection, so that every request needs a new one."""
    wire.request()
    wire.json(headers="connection: close\r\n")


def test_addresses_are_tried_in_turn(rig):
    names, make = rig
    names.records["api.vendor.test"] = ["127.0.0.99", "127.0.0.98", "127.0.0.1"]  # nobody listens on the first two
    worker = make(Upstream(closing))
    for _ in range(3):
        number, headers, _ = fresh(worker)
        assert number == 200 and headers["x-tidegate-attempts"] == "1"


def test_a_change_is_seen_when_the_ttl_is_over_and_an_outage_is_not(rig):
    names, make = rig
    names.records["api.vendor.test"] = ["127.0.0.1"]
    worker = make(Upstream(closing))
    assert fresh(worker)[0] == 200
    asked = len(names.asked)

    def asked_again():
        assert fresh(worker)[0] == 200
        return len(names.asked) >= asked + 2
    wait_until(asked_again, 15, "a refresh after a TTL of one second, not of thirty")
    names.records["api.vendor.test"] = "silent"
    asked = len(names.asked)

    def still_served():
        assert fresh(worker)[0] == 200, "the last addresses serve"
        return "cannot be looked up now" in worker.daemon.log()
    wait_until(still_served, 30, "the refresh to fail")
    assert fresh(worker)[0] == 200 and len(names.asked) > asked
    names.records["api.vendor.test"] = ["127.0.0.99"]  # and it is believed again when it is back

    def moved():
        return fresh(worker)[0] == 502
    wait_until(moved, 30, "the new address to be used")


def test_a_name_that_does_not_exist_is_a_failure_at_once(rig):
    names, make = rig
    worker = make(Upstream(closing), host="nobody.vendor.test")
    number, _, body = fresh(worker)
    assert number == 502 and b"dns" in body


@pytest.mark.parametrize("address", ["169.254.169.254", "100.100.100.200", "0.0.0.0", "224.0.0.1"])
def test_the_guard_judges_what_the_name_resolves_to_T09(rig, address):
    names, make = rig
    names.records["api.vendor.test"] = [address]
    worker = make(Upstream(closing))
    number, _, body = fresh(worker)
    assert number == 502 and b"blocked" in body


def test_a_name_that_changes_its_mind_gains_nothing_T09(rig):
    """Rebinding: good at first, then a metadata address. It is judged at every connection."""
    names, make = rig
    names.records["api.vendor.test"] = ["127.0.0.1"]
    worker = make(Upstream(closing))
    assert fresh(worker)[0] == 200
    names.records["api.vendor.test"] = ["169.254.169.254"]

    def refused():
        number, _, body = fresh(worker)
        assert number == 200 or (number == 502 and b"blocked" in body)
        return number == 502
    wait_until(refused, 15, "the new address")


def test_loopback_is_refused_unless_it_was_configured(rig):
    """A vendor's own name must not lead into the house."""
    names, make = rig
    names.records["api.vendor.test"] = ["127.0.0.1"]
    worker = make(Upstream(answer_plainly), allow_private=False)
    number, _, body = fresh(worker)
    assert number == 502 and b"blocked" in body


WAYS = {"no such name": (None, 502), "the server fails": (2, 502), "the server refuses": (5, 502), "silence": ("silent", 502), "an answer after 30 s": (30.0, 502),
        "a late answer": (0.4, 200), "an alias of itself": ("loop", 502), "no address": ([], 502), "64 addresses, all but the last dead": (["127.0.0.99"] * 63 + ["127.0.0.1"], (200, 502)),
        "two addresses, the first dead": (["127.0.0.99", "127.0.0.1"], 200)}


def test_every_way_a_name_can_fail_F10(rig):
    """Each within the limit of connecting, by its own code, while a hundred requests wait for names that nobody answers for; others are served."""
    names, make = rig
    names.ttl = 0
    upstream = Upstream(closing)
    names.records["api.vendor.test"] = ["127.0.0.1"]
    worker = make(upstream)
    assert fresh(worker)[0] == 200
    objects = config(upstream, provider={"base_url": "http://api.vendor.test:%d/v1" % upstream.port})
    for i, (what, (found, _)) in enumerate(WAYS.items()):
        names.records["way%d.vendor.test" % i] = found
    for i in range(100):
        names.records["dead%d.vendor.test" % i] = "silent"
    for name in ["way%d" % i for i in range(len(WAYS))] + ["dead%d" % i for i in range(100)]:
        objects["providers"][name] = {**objects["providers"]["p0"], "base_url": "http://%s.vendor.test:%d/v1" % (name, upstream.port),
                                      "timeouts": {"connect": "300ms" if name[0] == "d" else "5s"}, "breaker": {"enabled": False}}
        objects["routes"][name] = {"match": {"models": [{"type": "exact", "value": name}]}, "targets": [{"provider": name, "model": "up"}]}
    worker.change(objects)
    dead = [worker.talk(60).send(request(model="dead%d" % i)) for i in range(100)]
    for _ in range(3):
        assert fresh(worker)[0] == 200, "a name that was known serves on"
    for talk in dead:
        number, _, body = talk.answer()
        assert number == 504 and b"upstream_timeout" in body
    for i, (what, (_, expected)) in enumerate(WAYS.items()):
        number, _, body = worker.talk(30).send(request(model="way%d" % i)).answer()
        assert number in (expected if isinstance(expected, tuple) else (expected,)), (what, number, body)
    dead[0].close()
    worker.idle()
