"""The access log: one JSON line a request, where it goes, what stands in it, and what never does."""
import json
import os
import signal

import pytest

from harness.waiting import wait_until
from harness.worker import KEY, Upstream, Worker, answer_plainly, chunk, config, request

FIELDS = {"time", "request_id", "trace_id", "client_ip", "method", "path", "user_agent", "consumer", "key_id", "route", "provider",
          "model", "served_model", "operation", "status", "end_reason", "error_code", "step", "stream", "attempts", "prompt_tokens",
          "cached_tokens", "completion_tokens", "reasoning_tokens", "usage_source", "queue_ms", "first_byte_ms", "first_token_ms",
          "total_ms", "request_bytes", "response_bytes"}


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(script=answer_plainly, **log):
        upstream = Upstream(script)
        worker = Worker(tmp_path, config(upstream, data_plane={"access_log": {"target": "file", **log}}),
                        env={"TIDEGATE_LOG_DIR": str(tmp_path / "log")})
        made.append((worker, upstream))
        return worker, upstream
    yield make
    for worker, upstream in made:
        worker.idle()
        worker.stop()
        upstream.close()


def lines(tmp_path, n, name="access.log"):
    path = tmp_path / "log" / name

    def enough():
        rows = path.read_text().splitlines() if path.exists() else []
        return rows if len(rows) >= n else None
    return [json.loads(row) for row in wait_until(enough, 10, "%d lines in %s" % (n, name))]


def ask(worker, count=1, **more):
    """The answers' statuses, over one connection."""
    talk, statuses = worker.talk(), []
    for _ in range(count):
        talk.send(request(**more))
        statuses.append(talk.answer()[0])
    talk.close()
    return statuses


def test_access_log_line(rig, tmp_path):
    worker, _ = rig()
    assert ask(worker, headers="user-agent: probe\"\\\x01\r\n".replace("\x01", "")) == [200]
    assert ask(worker, key="tgk_wrong-canary-key-0123456789") == [401]
    assert ask(worker, path="/v1/chat/completions?api_key=canary-in-query") == [200]
    rows = lines(tmp_path, 3)
    good, refused, query = rows
    assert set(good) == FIELDS
    assert good["status"] == 200 and good["end_reason"] == "complete" and good["consumer"] == "app" and good["route"] == "r"
    assert good["model"] == "m" and good["served_model"] == "up" and good["provider"] == "p0" and good["attempts"] == 1
    assert good["prompt_tokens"] == 7 and good["completion_tokens"] == 3 and good["usage_source"] == "provider"
    assert good["user_agent"] == "probe\"\\" and good["client_ip"] == "127.0.0.1" and good["method"] == "POST"
    assert good["total_ms"] >= good["first_byte_ms"] >= 0 and good["stream"] is False
    assert good["step"] == "done" and refused["step"] == "head"
    assert refused["status"] == 401 and refused["end_reason"] == "rejected" and refused["error_code"] and refused["consumer"] == ""
    assert query["path"] == "/v1/chat/completions"
    text = (tmp_path / "log/access.log").read_text()
    for secret in (KEY, "canary", "sk-upstream", "hi"):
        assert secret not in text, secret
    assert os.stat(tmp_path / "log/access.log").st_mode & 0o077 == 0


def test_the_step_is_where_it_failed(rig, tmp_path):
    """Not where the answer was taken, which all have in common."""
    def streams(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("hel"))
        wire.gone(60)

    def refuses(wire):
        wire.request()
        wire.json(500, {"error": {"message": "no"}}, "connection: close\r\n")
    worker, upstream = rig([streams, refuses])
    gone = worker.talk()
    gone.send(request(stream=True))
    while b"hel" not in gone.rest:
        gone._fill()
    gone.close()
    lines(tmp_path, 1)
    assert ask(worker) == [500]
    upstream.close()
    assert ask(worker) == [502]
    left, failed, refused = lines(tmp_path, 3)
    assert (left["end_reason"], left["step"]) == ("client_closed", "relay")
    assert (failed["end_reason"], failed["step"]) == ("upstream_error", "wait")
    assert (refused["end_reason"], refused["step"]) == ("upstream_error", "connect")


def test_access_log_reopens_on_sighup(rig, tmp_path):
    worker, _ = rig()
    ask(worker, 2)
    assert len(lines(tmp_path, 2)) == 2
    (tmp_path / "log/access.log").rename(tmp_path / "log/access.log.1")
    worker.daemon.send(signal.SIGHUP)
    wait_until((tmp_path / "log/access.log").exists, 10, "the new file")
    ask(worker, 3)
    assert len(lines(tmp_path, 3)) == 3
    assert len(lines(tmp_path, 2, "access.log.1")) == 2


def test_access_log_settings_are_live(rig, tmp_path):
    worker, upstream = rig(sample_percent=0)
    ask(worker, 5)
    ask(worker, key="tgk_wrong")          # what failed is always logged
    assert [row["status"] for row in lines(tmp_path, 1)] == [401]

    def change(**log):
        worker.change(config(upstream, data_plane={"access_log": {"target": "file", **log}}))
    change(path="other.log", fields=["status", "consumer"])
    ask(worker, 2)
    assert lines(tmp_path, 2, "other.log") == [{"consumer": "app", "status": 200}] * 2
    change(enabled=False)
    ask(worker)
    change(path="third.log")
    ask(worker)
    assert len(lines(tmp_path, 1, "third.log")) == 1
    assert worker.metric("tidegate_access_log_lines_total") == 4 and worker.metric("tidegate_access_log_dropped_total") == 0
    assert len(lines(tmp_path, 2, "other.log")) == 2 and len(lines(tmp_path, 1)) == 1


def test_access_log_knows_how_a_stream_ended(rig, tmp_path):
    def half(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("one"))
        wire.reset()
    worker, _ = rig(half)
    talk = worker.talk()
    talk.send(request(stream=True, headers="user-agent: reader/1\r\n"))
    head, body, _ = talk.stream()
    assert b" 200 " in head and b"error" in body
    talk.close()
    row = lines(tmp_path, 1)[0]
    assert row["end_reason"] == "upstream_error" and row["stream"] is True and row["first_token_ms"] >= 0
    assert row["user_agent"] == "reader/1" and row["method"] == "POST" and row["path"] == "/v1/chat/completions"
    assert row["client_ip"] == "127.0.0.1"  # although the request's head was let go while the stream went on
    assert row["usage_source"] == "estimated" and row["error_code"]


def test_access_log_goes_to_standard_output(tmp_path):
    upstream = Upstream()
    worker = Worker(tmp_path, config(upstream))
    ask(worker, 2)

    def rows():
        found = [json.loads(row) for row in worker.daemon.log().splitlines() if row.startswith('{"time":')]
        return found if len(found) == 2 else None
    wait_until(rows, 10, "two lines on standard output")
    worker.stop()
    upstream.close()
