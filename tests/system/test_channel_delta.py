"""A change is sent as a change: who gets one, what it holds, what happens when it does not fit, and what stays on disk."""
import hashlib
import json

import httpx
import pytest

from harness.waiting import wait_until

from channel import FakeWorker
from lone_control import LoneControl


@pytest.fixture
def control(watch):
    gateway = LoneControl()
    watch.own.append(gateway)
    watch.gateways.append(gateway)
    return gateway.begin()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Configuration:
    """A worker's memory of the whole, and the state of proto/README.md computed anew each time."""

    def __init__(self, snapshot):
        self.doc = json.loads(snapshot["payload"])

    def apply(self, delta):
        body = json.loads(delta["payload"])
        for kind, objects in body["objects"].items():
            for name, spec in objects.items():
                if spec is None:
                    del self.doc["objects"][kind][name]
                else:
                    self.doc["objects"].setdefault(kind, {})[name] = spec
        self.doc["revision"] = delta["revision"]

    def state(self):
        total = 0
        for kind, objects in self.doc["objects"].items():
            for name, spec in objects.items():
                digest = hashlib.sha256(("%s/%s\n" % (kind, name)).encode() + canonical(spec)).digest()
                total = (total + int.from_bytes(digest, "little")) % 2 ** 256
        pepper = hashlib.sha256(canonical(self.doc["pepper"])).hexdigest()
        text = "tidegate state 1\n%s\n%d\n%s\n%s\n" % (self.doc["epoch"], self.doc["revision"], pepper,
                                                      total.to_bytes(32, "little").hex())
        return hashlib.sha256(text.encode()).hexdigest()


class DeltaWorker(FakeWorker):
    def join(self, **more):
        self.hello(deltas=1, **more)
        self.welcome = self.hear("welcome")
        self.snapshot = self.hear("snapshot")
        self.has = Configuration(self.snapshot)
        self.agree(self.snapshot)
        return self

    def agree(self, message, state=None):
        assert hashlib.sha256(message["payload"]).hexdigest() == message["digest"]
        self.say("ack", revision=message["revision"], digest=message["digest"], state=state or self.has.state(), apply_ms=1,
                 unknown=0)

    def follow(self, delta):
        assert delta["type"] == "delta" and delta["base"] == self.has.doc["revision"]
        self.has.apply(delta)
        assert self.has.state() == delta["state"]
        self.agree(delta)

    def next(self):
        while True:
            message = self.hear()
            if message["type"] in ("snapshot", "delta"):
                return message


def join(control):
    return DeltaWorker(control.control_port, control.join_token).join()


def fill(control, n=30):
    control.admin.post("providers", {"name": "p", "type": "openai-compatible", "base_url": "http://127.0.0.1:9/v1"})
    for i in range(n):
        control.admin.post("routes", {"name": "r%02d" % i, "targets": [{"provider": "p"}],
                                      "match": {"models": [{"type": "exact", "value": "m%d" % i}]}})


def test_a_change_holds_what_changed_and_leads_to_the_whole(control):
    fill(control)
    worker = join(control)
    assert len(worker.has.doc["objects"]["routes"]) == 30
    steps = [("patch", "routes/r07", {"enabled": False}), ("post", "consumers", {"name": "c"}),
             ("post", "consumers/c/keys", {}), ("patch", "providers/p", {"base_url": "http://127.0.0.1:10/v1"}),
             ("post", "groups", {"name": "g", "models": ["m1"]}), ("delete", "routes/r08", None), ("delete", "consumers/c", None),
             ("patch", "settings", {"data_plane": {"max_headers": 77}})]
    for method, target, body in steps:
        if body is None:
            control.admin.delete(target)
        else:
            getattr(control.admin, method)(target, body)
        delta = worker.next()
        worker.follow(delta)
        changed = json.loads(delta["payload"])["objects"]
        assert sum(len(objects) for objects in changed.values()) == 1, (target, changed)
    assert "r08" not in worker.has.doc["objects"]["routes"]
    control.wait_node(worker, lag=0, revision_served=worker.has.doc["revision"], last_error=None)
    # Somebody who comes new and gets the whole has the same.
    other = join(control)
    assert other.has.doc == worker.has.doc and other.has.state() == worker.has.state()


def test_several_changes_come_as_one(control):
    fill(control, 5)
    worker = join(control)
    control.change()
    first = worker.next()
    for i in range(4):
        control.admin.patch("routes/r01", {"description": "d", "match": {"models": [{"type": "exact", "value": "n%d" % i}]}})
    worker.follow(first)
    second = worker.next()
    assert second["revision"] == first["revision"] + 4 and list(json.loads(second["payload"])["objects"]) == ["routes"]
    worker.follow(second)


def test_who_cannot_apply_a_change_gets_the_whole(control):
    worker = join(control)
    control.change()
    delta = worker.next()
    worker.nack(delta, "", "no such base")
    whole = worker.next()
    assert whole["type"] == "snapshot" and whole["revision"] == delta["revision"]
    worker.has = Configuration(whole)
    worker.agree(whole)
    control.wait_node(worker, lag=0, last_error=None)
    control.change()
    assert worker.next()["type"] == "snapshot", "one that could not once is not asked again on this connection"


def test_who_served_another_state_gets_the_whole(control):
    worker = join(control)
    serving = {"epoch": worker.snapshot["epoch"], "revision": worker.snapshot["revision"], "digest": "0" * 64}
    worker.close()
    control.change()
    for state, kind in (("0" * 64, "snapshot"), (None, "snapshot"), (worker.has.state(), "delta")):
        again = FakeWorker(control.control_port, control.join_token, node_id=worker.node_id)
        again.hello(deltas=1, serving={**serving, **({"state": state} if state else {})})
        again.hear("welcome")
        told = again.hear()
        while told["type"] == "fleet":   # how many workers there are: it may come at any time
            told = again.hear()
        assert told["type"] == kind, state
        again.close()


def test_a_wrong_state_is_not_believed(control):
    worker = join(control)
    control.change()
    worker.agree(worker.next(), state="0" * 64)
    assert "digest" in worker.ended()[1]


def test_an_older_worker_never_gets_a_change(control):
    worker = FakeWorker(control.control_port, control.join_token).join()
    control.change()
    told = worker.hear()
    while told["type"] == "fleet":
        told = worker.hear()
    assert told["type"] == "snapshot"


# -- a real worker -------------------------------------------------------------------------------------------------------


def served(control):
    try:
        return httpx.get(control.worker_url() + "/snapshot", trust_env=False, verify=False).json()
    except httpx.HTTPError:
        return {"revision": None}


def wait_revision(control, revision):
    wait_until(lambda: served(control)["revision"] == revision, 20, "revision %s on the worker" % revision)
    return served(control)["digest"]


def files(control):
    state = control.folder / "worker-0"
    journal = state / "snapshot.journal"
    return state / "snapshot.last", journal, journal.stat().st_size if journal.exists() else 0


def test_changes_stand_in_a_journal_and_are_served_after_a_crash(control):
    fill(control)
    daemon = control.start_worker()
    wait_revision(control, control.change())
    whole, journal, _ = files(control)
    wait_until(lambda: whole.exists(), 10, "the snapshot on disk")
    before = whole.read_bytes()
    for i in range(10):
        revision = control.change()
        digest = wait_revision(control, revision)
    wait_until(lambda: b'"revision":%d' % revision in journal.read_bytes(), 10, "the last change on disk")
    assert whole.read_bytes() == before and files(control)[2] < len(before) * 2, "the whole is not written again"
    control.daemon("control").kill()
    daemon.kill()
    daemon = control.start_worker()
    assert wait_revision(control, revision) == digest
    # A torn end counts as far as it is whole.
    daemon.kill()
    journal.write_bytes(journal.read_bytes()[:-20])
    daemon = control.start_worker()
    wait_revision(control, revision - 1)
    assert "counts up to a broken one" in daemon.log()
    # A control plane that was started anew sends the whole, and nothing follows the torn end.
    control.start_control()
    assert wait_revision(control, revision) == digest
    wait_until(lambda: whole.read_bytes() != before and files(control)[2] == 0, 10, "the whole written anew")
    revision = control.change()
    digest = wait_revision(control, revision)
    wait_until(lambda: files(control)[2] > 0, 10, "the change on disk")
    daemon.kill()
    control.daemon("control").kill()
    control.start_worker()
    assert wait_revision(control, revision) == digest


def test_a_journal_that_has_grown_is_folded_into_the_whole(control):
    fill(control, 3)
    daemon = control.start_worker()
    wait_revision(control, control.change())
    whole, _, _ = files(control)
    wait_until(lambda: whole.exists(), 10, "the snapshot on disk")
    before = whole.read_bytes()
    revision, grown = 0, 0
    for i in range(60):
        models = [{"type": "exact", "value": "a-model-with-a-long-name-%d-%d" % (i, k)} for k in range(256)]
        answer = control.admin.patch("routes/r01", {"match": {"models": models}})
        revision = int(answer.headers["x-tidegate-revision"])
        digest = wait_revision(control, revision)
        if whole.read_bytes() != before:
            break
        grown = max(grown, files(control)[2])
    assert i < 59 and grown > 0, "after 256 KiB of changes the whole is written"
    daemon.kill()
    control.daemon("control").kill()
    control.start_worker()
    assert wait_revision(control, revision) == digest
