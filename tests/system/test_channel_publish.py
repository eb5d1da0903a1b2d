"""Configuration on its way to workers: who gets what when, who is told, and what survives."""
import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from channel import Closed, FakeWorker
from harness.waiting import Stopwatch, wait_until
from lone_control import LoneControl


@pytest.fixture
def start_control(watch):
    def start(**env):
        gateway = LoneControl(env=env)
        watch.own.append(gateway)
        watch.gateways.append(gateway)
        return gateway.begin()
    return start


@pytest.fixture
def control(start_control):
    return start_control()


def join(control, **how):
    return FakeWorker(control.control_port, control.join_token, **how).join()


def test_welcome_and_first_snapshot(control):
    worker = join(control, name="w1")
    assert worker.welcome["node_id"] == worker.node_id
    assert len(worker.welcome["snapshot_key"]) == 64 and worker.welcome["epoch"] == worker.snapshot["epoch"]
    document = json.loads(worker.snapshot["payload"])
    assert document["format"] == 1 and document["revision"] == worker.snapshot["revision"]
    node = control.wait_node(worker, state="connected", lag=0, revision_served=worker.snapshot["revision"])
    assert node["name"] == "w1" and node["listen"] == "127.0.0.1:1" and node["address"].startswith("127.0.0.1:")
    worker.heartbeat(requests=7, in_flight=2)
    control.wait_node(worker, requests=7, in_flight=2)
    worker.heartbeat("draining")
    control.wait_node(worker, state="draining")
    worker.close()
    control.wait_node(worker, state="disconnected")


def test_who_serves_the_newest_gets_no_snapshot(control):
    worker = join(control)
    serving = {k: worker.snapshot[k] for k in ("epoch", "revision", "digest")}
    worker.close()
    again = FakeWorker(control.control_port, control.join_token, node_id=worker.node_id).hello(serving=serving)
    again.hear("welcome")
    control.wait_node(again, state="connected", revision_served=serving["revision"])
    with pytest.raises((TimeoutError, Closed)):
        again.hear("snapshot", 0.5)
    revision = control.change()
    assert again.hear("snapshot")["revision"] == revision
    again.close()
    other = FakeWorker(control.control_port, control.join_token).hello(serving={**serving, "epoch": "0" * 16})
    assert other.hear("snapshot")["revision"] == revision, "another epoch counts for nothing"
    other.close()


def test_a_change_comes_at_once_and_wait_knows(control):
    worker = join(control)
    took = []
    for _ in range(11):
        revision = control.change()
        watch = Stopwatch()                              # what storing it took is the disk's affair
        snapshot = worker.hear("snapshot")
        assert snapshot["revision"] == revision
        waiting = ThreadPoolExecutor(1).submit(control.admin.get, "nodes?min_revision=%d&wait=15s" % revision)
        worker.ack(snapshot)
        assert waiting.result(20).json()["reached"]
        took.append(watch.seconds())
    assert sorted(took)[5] < 1, took
    revision = control.change()
    assert not control.admin.get("nodes?min_revision=%d&wait=100ms" % revision).json()["reached"]
    worker.close()


def test_revisions_between_are_never_sent(control):
    worker = join(control)
    first = control.change()
    held = worker.hear("snapshot")
    assert held["revision"] == first
    for _ in range(8):
        newest = control.change()
    worker.ack(held)
    sent = []
    while not sent or sent[-1]["revision"] < newest:     # one more when the ack overtakes the last commit
        sent.append(worker.hear("snapshot"))
        worker.ack(sent[-1])
    assert sent[-1]["revision"] == newest and len(sent) <= 2, [s["revision"] for s in sent]
    control.wait_node(worker, lag=0, revision_served=newest)
    worker.close()


def test_a_refusal_is_shown_and_the_next_revision_is_tried(control):
    worker = join(control)
    served = worker.snapshot["revision"]
    control.change()
    worker.nack(worker.hear("snapshot"), "/routes/r1/targets/0", "no such provider type")
    node = control.wait_node(worker, revision_served=served, lag=1)
    node = wait_until(lambda: (control.node(worker) or {}).get("last_error"), 20, "the refusal in the node's row")
    assert "/routes/r1/targets/0" in node and "no such provider type" in node
    with pytest.raises(TimeoutError):
        worker.hear("snapshot", 0.5)
    revision = control.change()
    worker.ack(worker.hear("snapshot"))
    control.wait_node(worker, revision_served=revision, lag=0, last_error=None)
    worker.close()


def test_a_wrong_digest_is_not_believed(control):
    worker = join(control)
    control.change()
    snapshot = worker.hear("snapshot")
    worker.say("ack", revision=snapshot["revision"], digest="0" * 64, apply_ms=1, unknown=0)
    assert "digest" in worker.ended()[1]


def test_who_does_not_answer_is_dropped_and_may_start_over(start_control):
    control = start_control(TIDEGATE_CHANNEL_ANSWER_TIMEOUT="3s")
    worker = join(control)
    control.change()
    worker.hear("snapshot")
    assert "not answered" in worker.ended(20)[1]
    control.wait_node(worker, state="disconnected")
    wait_until(lambda: "not answered" in (control.node(worker)["last_error"] or ""), 20, "the reason in its row")
    again = join(control, node_id=worker.node_id)
    control.wait_node(again, state="connected", lag=0)
    again.close()


def test_who_is_silent_is_dropped(start_control):
    control = start_control(TIDEGATE_CHANNEL_HEARTBEAT="200ms")

    def beats():
        """Whether it is kept for five heartbeats; a machine on which they came too late says nothing about that."""
        worker, at = join(control), [time.monotonic()]
        assert worker.welcome["heartbeat_ms"] == 200
        try:
            for _ in range(5):
                worker.heartbeat()
                at.append(time.monotonic())
                time.sleep(0.2)
            worker.heartbeat()
        except OSError:
            assert max(b - a for a, b in zip(at, [*at[1:], time.monotonic()])) > 0.5
            return None
        return worker
    assert "heartbeat" in wait_until(beats, 60, "heartbeats in time").ended(20)[1]


def test_the_same_worker_twice_leaves_the_newer(control):
    older = join(control, name="twin")
    newer = join(control, name="twin", node_id=older.node_id)
    assert "again" in older.ended()[1]
    assert control.wait_node(newer, state="connected", lag=0)
    assert control.admin.get("nodes").json()["total"] == 1
    newer.close()


def test_twenty_workers_and_five_that_never_read(control):
    with ThreadPoolExecutor(20) as pool:
        watch = Stopwatch()
        workers = list(pool.map(lambda n: join(control, name="w%d" % n), range(20)))
        assert watch.seconds() < 30
        stuck, good = workers[:5], workers[5:]
        for _ in range(5):
            watch = Stopwatch()
            revision = control.change()

            def serve(worker):
                snapshot = worker.hear("snapshot")
                assert snapshot["revision"] == revision
                worker.ack(snapshot)
                return watch.seconds()
            assert max(pool.map(serve, good)) < 5, "the five hold up nobody: they would be given up after half a minute"
    for worker in good:
        control.wait_node(worker, revision_served=revision)
    for worker in stuck:
        assert control.node(worker)["lag"] == 5
    for worker in workers:
        worker.close()


def test_killed_and_back_nothing_is_lost(control):
    worker = join(control)
    revision = control.change()
    worker.ack(worker.hear("snapshot"))
    control.wait_node(worker, revision_served=revision)
    control.daemon("control").process.send_signal(signal.SIGKILL)
    control.daemon("control").process.wait(10)
    worker.ended()
    watch = Stopwatch()
    control.start_control()
    assert watch.seconds() < 20
    again = join(control)
    assert again.snapshot["revision"] == revision and again.snapshot["epoch"] == worker.snapshot["epoch"]
    assert again.snapshot["payload"] == worker.snapshot["payload"] or again.snapshot["digest"] != worker.snapshot["digest"]
    control.wait_node(worker, state="disconnected")
    again.close()


def test_it_says_bye_when_it_stops(control):
    worker = join(control)
    assert control.daemon("control").stop() == 0
    assert "stops" in worker.ended()[1]
    control.start_control()


# -- usage -----------------------------------------------------------------------------------------------------------


def record(seq, **more):
    return {"request_id": "r%d" % seq, "consumer": "app1", "key_id": "k1", "route": "r", "provider": "p", "requested_model": "m",
            "served_model": "m", "operation": "chat", "error_code": "", "seq": seq, "started_at_ms": int(time.time() * 1000),
            "status": 200, "attempts": 1, "stream": 0, "prompt_tokens": 3, "cached_tokens": 0, "cache_write_tokens": 0,
            "completion_tokens": 4, "reasoning_tokens": 0, "queue_ms": 0, "first_byte_ms": 1, "first_token_ms": 1, "total_ms": 2,
            "request_bytes": 10, "response_bytes": 20, "end_reason": "complete", "usage_source": "provider", **more}


TEXTS = ["request_id", "consumer", "key_id", "route", "provider", "requested_model", "served_model", "operation"]     # tags 1, 2, …
NUMBERS = {"started_at_ms": 65, "status": 66, "attempts": 67, "prompt_tokens": 69, "completion_tokens": 72, "total_ms": 77}


def packed(row):
    """The row as bytes, by proto/usage.h and not by our C."""
    def number(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + number(n >> 7)
    out = b"\1" + b"".join(bytes([i + 1]) + number(len(row[name])) + row[name].encode() for i, name in enumerate(TEXTS))
    return out + b"".join(bytes([tag]) + number(row[name] + 1) for name, tag in NUMBERS.items()) + b"\x7e\1\x7f\2"


def totals(control):
    [row] = control.admin.get("usage?group_by=consumer").json()["items"] or [None]
    return (row["requests"], row["prompt_tokens"], row["completion_tokens"]) if row else (0, 0, 0)


def as_json(worker, boot_id, numbers):
    worker.say("usage", boot_id=boot_id, records=[record(n) for n in numbers])


def as_rows(worker, boot_id, numbers):
    worker.rows(boot_id, [(n, packed(record(n))) for n in numbers])


def as_json_rows(worker, boot_id, numbers):
    """What an earlier release left on the disk."""
    worker.rows(boot_id, [(n, json.dumps(record(n)).encode()) for n in numbers])


@pytest.mark.parametrize("send", [as_json, as_rows, as_json_rows])
def test_usage_counts_once_however_often_it_is_sent(control, send):
    before = totals(control)
    worker = join(control)
    for _ in range(3):
        send(worker, worker.boot_id, range(1, 11))
        ack = worker.hear("usage_ack")
        assert ack["boot_id"] == worker.boot_id and ack["seq"] == 10
    send(worker, worker.boot_id, range(8, 13))
    assert worker.hear("usage_ack")["seq"] == 12
    assert tuple(a - b for a, b in zip(totals(control), before)) == (12, 36, 48)
    send(worker, "another-boot-" + send.__name__, [1])
    assert worker.hear("usage_ack")["boot_id"] == "another-boot-" + send.__name__
    assert totals(control)[0] == before[0] + 13
    worker.close()


def test_a_record_that_cannot_be_read_does_not_stop_the_others(control, watch):
    before = totals(control)[0]
    worker = join(control)
    worker.say("usage", boot_id=worker.boot_id, records=[record(1), {"seq": 2, "status": "x"}, 7, record(3)])
    assert worker.hear("usage_ack")["seq"] == 3
    worker.rows(worker.boot_id, [(4, packed(record(4))), (5, b"\2from the future"), (6, packed(record(6))[:-4]), (7, b"{}"), (8, b"")])
    assert worker.hear("usage_ack")["seq"] == 8
    assert totals(control)[0] == before + 4, "the sixth lost its last words only"
    worker.close()


def test_acknowledged_usage_outlives_a_kill(control):
    worker = join(control)
    worker.say("usage", boot_id=worker.boot_id, records=[record(n) for n in range(1, 401)])
    assert worker.hear("usage_ack")["seq"] == 400
    control.daemon("control").process.send_signal(signal.SIGKILL)
    control.daemon("control").process.wait(10)
    control.start_control()
    assert totals(control)[0] == 400


# -- calls -----------------------------------------------------------------------------------------------------------


def provider(control):
    control.admin.post("providers", {"name": "p1", "type": "openai", "api_keys": [{"name": "main", "value": "sk-canary-calls-000"}]})
    control.secrets.add("sk-canary-calls-000")


def test_without_a_worker_a_call_says_so(control):
    provider(control)
    answer = control.admin.post("providers/p1/test", {"model": "m"}, expect=503)
    assert "no worker is connected" in answer.json()["detail"]


def test_a_call_goes_to_a_worker_and_back(control):
    provider(control)
    worker = join(control)

    def answer():
        call = worker.hear("call")
        assert call["op"] == "provider_test" and call["args"]["provider"] == "p1" and call["args"]["model"] == "m"
        worker.say("result", id=call["id"], ok=True,
                   result={"ok": True, "status": 200, "latency_ms": 5, "model": "m", "detail": "answered"})
    thread = threading.Thread(target=answer)
    thread.start()
    result = control.admin.post("providers/p1/test", {"model": "m"}, expect=200).json()
    thread.join()
    assert result["ok"] and result["latency_ms"] == 5
    worker.close()


def test_a_call_to_a_worker_that_leaves_fails_at_once(control):
    provider(control)
    worker = join(control)

    def leave():
        worker.hear("call")
        worker.close()
    thread = threading.Thread(target=leave)
    thread.start()
    watch = Stopwatch()
    answer = control.admin.post("providers/p1/test", {"model": "m"}, expect=200).json()
    thread.join()
    assert watch.seconds() < 5 and not answer["ok"] and "disconnected" in answer["detail"]
