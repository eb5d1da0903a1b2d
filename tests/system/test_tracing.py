"""Traces: W3C context in and out, spans of requests and of their tries at a strict collector, and nothing that waits for it."""
import re
import threading
import time
from email.utils import formatdate

import pytest

from harness.otlp import Collector
from harness.waiting import wait_until
from harness.worker import KEY, Upstream, Worker, answer_plainly, chunk, config, request

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = "traceparent: 00-%s-%s-01\r\n" % (TRACE, SPAN)


@pytest.fixture
def collector():
    running = Collector()
    yield running
    running.close()


@pytest.fixture
def rig(tmp_path, collector):
    made = []

    def objects(upstreams, tracing, **more):
        told = config(*upstreams, **more)
        told["settings"]["settings"]["tracing"] = {"enabled": True, "endpoint": collector.endpoint, **tracing}
        return told

    def make(*scripts, tracing=None, **more):
        upstreams = [s if isinstance(s, Upstream) else Upstream(s) for s in scripts or (answer_plainly,)]
        worker = Worker(tmp_path, objects(upstreams, tracing or {}, **more))
        worker.objects = lambda change, **again: objects(upstreams, change, **{**more, **again})
        made.append((worker, upstreams))
        return worker, *upstreams
    yield make
    for worker, upstreams in made:
        worker.idle()
        worker.stop()
        for upstream in upstreams:
            upstream.close()


def ask(worker, headers="", **more):
    talk = worker.talk()
    talk.send(request(headers=headers, **more))
    status, got, body = talk.answer()
    talk.close()
    return status


def header(upstream, name, i=-1):
    found = re.findall(rb"\r\n%s: ([^\r]*)" % name.encode(), upstream.requests[i][0] + b"\r\n", re.I)
    assert len(found) <= 1, found
    return found[0].decode() if found else None


def arrived(collector, n):
    return wait_until(lambda: len(collector.spans) >= n and collector.spans, 40, "%d spans" % n)


def test_tracing_of_a_request(rig, collector):
    worker, upstream = rig(tracing={"service_name": "edge", "headers": [{"name": "x-token", "value": "collector-canary"}]})
    assert ask(worker, PARENT + "tracestate: vendor=a:1,other=b\r\nuser-agent: probe/1\r\n", max_tokens=50) == 200
    arrived(collector, 2)
    server, (child,) = collector.trace(TRACE)
    assert server.parent == SPAN and server.name == "POST /v1/chat/completions" and not server.failed
    assert child.name == "chat up" and not child.failed
    assert header(upstream, "traceparent") == "00-%s-%s-01" % (TRACE, child.id)
    assert header(upstream, "tracestate") == "vendor=a:1,other=b" == server.raw["traceState"]
    assert server.attributes["http.request.method"] == "POST" and server.attributes["http.response.status_code"] == 200
    assert server.attributes["tidegate.consumer"] == "app" and server.attributes["tidegate.route"] == "r"
    assert server.attributes["user_agent.original"] == "probe/1" and server.attributes["client.address"] == "127.0.0.1"
    assert server.attributes["gen_ai.request.max_tokens"] == 50
    for span in (server, child):
        assert span.attributes["gen_ai.operation.name"] == "chat" and span.attributes["gen_ai.response.model"] == "up"
        assert span.attributes["gen_ai.usage.input_tokens"] == 7 and span.attributes["gen_ai.usage.output_tokens"] == 3
    assert server.attributes["gen_ai.request.model"] == "m" and child.attributes["gen_ai.request.model"] == "up"
    assert child.attributes["gen_ai.provider.name"] == "openai" and child.attributes["tidegate.provider"] == "p0"
    assert child.attributes["server.address"] == "127.0.0.1" and child.attributes["server.port"] == upstream.port
    assert server.resource["service.name"] == "edge" and server.resource["service.version"]
    assert collector.exports[0][1]["x-token"] == "collector-canary"
    for secret in (KEY, "sk-upstream", "collector-canary", '"hi"', "hello"):
        assert secret not in "".join(collector.bodies) and (secret == "hello" or secret not in worker.daemon.log())


def test_tracing_of_a_fallback(rig, collector):
    def unwell(wire):
        while True:
            wire.request()
            wire.json(503, {"error": {"message": "full", "type": "x"}})
    worker, first, second = rig(unwell, answer_plainly, route={
        "retry": {"attempts": 1}, "fallback": {"enabled": True, "on": ["5xx"], "targets": [{"provider": "p1"}]}})
    assert ask(worker, PARENT) == 200
    arrived(collector, 3)
    server, (one, two) = collector.trace(TRACE)
    assert one.failed and one.attributes["http.response.status_code"] == 503 and one.attributes["error.type"]
    assert not two.failed and two.attributes["tidegate.provider"] == "p1" and two.attributes["tidegate.attempt"] == 2
    assert one.end <= two.start and not server.failed and server.attributes["tidegate.attempts"] == 2
    assert "gen_ai.usage.input_tokens" not in one.attributes and two.attributes["gen_ai.usage.input_tokens"] == 7
    assert header(first, "traceparent").split("-")[2] == one.id and header(second, "traceparent").split("-")[2] == two.id


def test_tracing_of_a_stream(rig, collector):
    heard = threading.Event()

    def slowly(wire):
        wire.request()
        wire.sse()
        for word in ("one", "two"):
            wire.event(chunk(word))
            assert heard.wait(20)
            time.sleep(0.1)                 # what is measured: the span must last as long as the stream
        wire.event(chunk(finish="stop"))
        wire.event({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [],
                    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}})
        wire.event(b"[DONE]")
        wire.last_chunk()
    worker, _ = rig(slowly)
    talk = worker.talk()
    talk.send(request(headers=PARENT, stream=True))
    while b"one" not in talk.rest:
        talk._fill()
    heard.set()
    _, _, whole = talk.stream()
    talk.close()
    assert whole
    arrived(collector, 2)
    server, (child,) = collector.trace(TRACE)
    for span in (server, child):
        assert span.end - span.start >= 180_000_000 and span.attributes["gen_ai.usage.output_tokens"] == 2
        assert span.end - span.events["gen_ai.first_token"] >= 150_000_000
    assert server.attributes["tidegate.stream"] is True


def test_tracing_of_a_broken_stream(rig, collector):
    def half(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("one"))
        wire.reset()
    worker, _ = rig(half)
    talk = worker.talk()
    talk.send(request(headers=PARENT, stream=True))
    talk.stream()
    talk.close()
    arrived(collector, 2)
    server, (child,) = collector.trace(TRACE)
    assert server.failed and child.failed and server.attributes["tidegate.end_reason"] == "upstream_error"
    assert server.attributes["error.type"] and server.attributes["tidegate.usage.source"] == "estimated"


def test_tracing_of_a_client_that_leaves(rig, collector):
    def hold(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("one"))
        wire.gone(10)
    worker, _ = rig(hold)
    talk = worker.talk()
    talk.send(request(headers=PARENT, stream=True))
    talk.raw.recv(10)
    talk.close()
    arrived(collector, 2)
    server, (child,) = collector.trace(TRACE)
    assert server.attributes["tidegate.end_reason"] == "client_closed" and not server.failed
    assert child.failed and child.attributes["error.type"] == "client_closed"


def test_tracing_of_a_refusal(rig, collector):
    worker, upstream = rig()
    assert ask(worker, PARENT, key="tgk_wrong-canary") == 401
    arrived(collector, 1)
    server, children = collector.trace(TRACE)
    assert children == [] and server.attributes["http.response.status_code"] == 401 and not server.failed
    assert server.attributes["error.type"] and "canary" not in "".join(collector.bodies)


@pytest.mark.parametrize("value", [
    "00-%s-%s-1" % (TRACE, SPAN), "ff-%s-%s-01" % (TRACE, SPAN), "00-%s-%s-01" % (TRACE.upper(), SPAN), "00-%s-%s-01-x" % (TRACE, SPAN),
    "00-%s-%s-01" % ("0" * 32, SPAN), "00-%s-%s-01" % (TRACE, "0" * 16), "garbage", ""])
def test_tracing_ignores_what_is_not_valid(rig, collector, value):
    worker, upstream = rig()
    assert ask(worker, "traceparent: %s\r\ntracestate: a=1\r\n" % value) == 200
    arrived(collector, 2)
    server = next(s for s in collector.spans if s.kind == 2)
    assert server.parent is None and server.trace != TRACE
    collector.trace(server.trace)
    assert header(upstream, "tracestate") is None and header(upstream, "traceparent").startswith("00-" + server.trace)


def test_tracing_samples_by_parent_then_by_ratio(rig, collector):
    worker, upstream = rig(tracing={"sample_per_million": 0})
    for _ in range(5):
        assert ask(worker) == 200
    assert header(upstream, "traceparent").endswith("-00")
    assert ask(worker, "traceparent: 00-%s-%s-00\r\n" % (TRACE, SPAN)) == 200
    assert header(upstream, "traceparent").startswith("00-" + TRACE) and header(upstream, "traceparent").endswith("-00")
    assert ask(worker, "traceparent: 00-%s-%s-01\r\n" % (TRACE, SPAN)) == 200
    arrived(collector, 2)
    assert {s.trace for s in collector.spans} == {TRACE} and len(collector.spans) == 2
    assert ask(worker, "traceparent: 01-%s-%s-01-more\r\n" % ("ab" * 16, SPAN)) == 200    # a later version may say more
    arrived(collector, 4)
    collector.trace("ab" * 16)


def test_tracing_off_passes_the_context_on(rig, collector):
    worker, upstream = rig(tracing={"enabled": False})
    assert ask(worker, PARENT + "tracestate: v=1\r\n") == 200
    assert header(upstream, "traceparent") == "00-%s-%s-01" % (TRACE, SPAN) and header(upstream, "tracestate") == "v=1"
    assert ask(worker) == 200 and header(upstream, "traceparent") is None
    worker.change(worker.objects({}))       # switched on while it runs
    assert ask(worker, PARENT) == 200
    arrived(collector, 2)
    collector.trace(TRACE)
    assert len(collector.exports) == 1


def test_tracing_tries_again_and_gives_up(rig, collector):
    worker, upstream = rig()
    collector.answers = [(503, (("retry-after", "0"),)), (429, (("retry-after", "0"),))]
    assert ask(worker, PARENT) == 200
    arrived(collector, 2)
    assert len(collector.exports) == 3
    collector.answers = [400]               # the collector will never take this batch: it is dropped, the next one is sent
    assert ask(worker) == 200
    wait_until(lambda: len(collector.exports) == 4, 10, "the refused export")
    assert ask(worker) == 200
    arrived(collector, 4)
    assert len(collector.spans) == 4 and "spans are not taken" in worker.daemon.log()
    wait_until(lambda: worker.metric("tidegate_spans_sent_total") == 4, 20, "the spans that were taken, counted")
    assert worker.metric("tidegate_spans_dropped_total") == 2


def test_tracing_is_compressed_and_says_so(rig, collector):
    worker, upstream = rig()
    assert ask(worker, PARENT) == 200
    arrived(collector, 2)
    assert collector.exports[0][1]["content-encoding"] == "gzip"
    assert int(collector.exports[0][1]["content-length"]) < len(collector.bodies[0]) / 2


def test_tracing_goes_plain_to_who_reads_no_gzip(rig, collector):
    collector.reads_gzip = False
    worker, upstream = rig()
    assert ask(worker, PARENT) == 200
    arrived(collector, 2)
    assert ask(worker) == 200
    arrived(collector, 4)
    assert [e[1].get("content-encoding") for e in collector.exports] == ["gzip", None, None], "asked once, then known"
    assert worker.metric("tidegate_spans_dropped_total") == 0


def test_tracing_waits_as_long_as_it_is_told(rig, collector):
    """Seconds or a date; without either it is a pause that grows. Nothing is lost meanwhile, and each span comes once."""
    worker, upstream = rig()
    soon = int(time.time()) + 5
    collector.answers = [(429, (("retry-after", "1"),)), (503, (("retry-after", formatdate(soon, usegmt=True)),)), 502]
    assert ask(worker, PARENT) == 200
    arrived(collector, 2)
    first, second, third, fourth = collector.at
    assert second - first >= 0.9 and fourth - third >= 2.9      # the third pause of its own: 4 s, a quarter less at least
    assert third - time.monotonic() + time.time() >= soon - 0.1, "not before the date that it was told"
    assert len(collector.spans) == 2 and worker.metric("tidegate_spans_dropped_total") == 0


def test_tracing_counts_what_a_collector_took_in_part(rig, collector):
    worker, upstream = rig()
    collector.answers = [{"partialSuccess": {"rejectedSpans": "1", "errorMessage": "one is too old"}},
                         {"partialSuccess": {"errorMessage": "please upgrade"}}]
    assert ask(worker, PARENT) == 200
    arrived(collector, 2)
    wait_until(lambda: worker.metric("tidegate_spans_dropped_total") == 1, 10, "the rejected span, counted")
    assert worker.metric("tidegate_spans_sent_total") == 1 and "one is too old" in worker.daemon.log()
    assert ask(worker) == 200
    arrived(collector, 4)
    wait_until(lambda: "please upgrade" in worker.daemon.log(), 10, "the remark")
    assert len(collector.exports) == 2, "what was taken in part is not sent again"


def test_tracing_never_holds_up_a_request(rig, collector):
    worker, upstream = rig()
    collector.hold.clear()                  # it takes the export and does not answer
    talk = worker.talk()
    began = time.monotonic()
    for _ in range(300):
        talk.send(request())
        assert talk.answer()[0] == 200
    assert time.monotonic() - began < 20
    talk.close()
    collector.hold.set()
    arrived(collector, 600)


def test_tracing_refuses_forbidden_addresses(rig, collector):
    worker, upstream = rig(tracing={"endpoint": "http://169.254.169.254/v1/traces"})
    assert ask(worker) == 200
    wait_until(lambda: "spans are not taken" in worker.daemon.log(), 10, "the refusal in the log")
    assert not collector.exports
