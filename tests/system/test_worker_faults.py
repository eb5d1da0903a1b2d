"""What a worker does when its provider misbehaves: every fault, with and without another target."""
import json
import threading
import time

import pytest

from harness.waiting import wait_until
from harness.worker import Upstream, answer_plainly, chunk, completion, read_chunked, refuse, request

FALLBACK = {"fallback": {"enabled": True, "on": ["connect_error", "timeout", "rate_limited", "429", "5xx"], "targets": [{"provider": "p1"}]}}
QUICK = {"timeouts": {"first_byte": "1s", "idle": "1s"}}     # only for providers that say nothing: the others are to answer in time


def drop_at_once(wire):
    wire.request()


def reset_at_once(wire):
    wire.request()
    wire.reset()


def half_a_head(wire):
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-ty")


def half_a_body(wire):
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n{\"id\":")


def silent(wire):
    wire.request()
    wire.gone(60)


def garbage(wire):
    wire.request()
    wire.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n")


def two_lengths(wire):
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}")


def error_in_200(wire):
    wire.request()
    wire.sse()
    wire.event({"error": {"message": "engine on fire", "type": "server_error", "code": 500}})
    wire.last_chunk()


REFUSED = "refused"
FAULTS = {
    "refused": (REFUSED, 502), "closes": (drop_at_once, 502), "resets": (reset_at_once, 502), "half a head": (half_a_head, 502),
    "half a body": (half_a_body, 502), "silent": (silent, 504), "garbage": (garbage, 502), "two lengths": (two_lengths, 502),
    "500": (refuse(500), 500), "503": (refuse(503), 503), "429": (refuse(429), 429),
}


def read_stream(talk):
    """(head, body, ended properly) of a streamed answer, chunked or with a length."""
    while b"\r\n\r\n" not in talk.rest:
        talk._fill()
    head, _, talk.rest = talk.rest.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" in head:
        return head, *read_chunked(talk)
    length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(talk.rest) < length:
        talk._fill()
    return head, talk.rest[:length], True


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_without_another_target(rig, fault, stream):
    script, expected = FAULTS[fault]
    worker, upstream = rig(answer_plainly if script == REFUSED else script, provider=QUICK if fault == "silent" else {})
    if script == REFUSED:
        upstream.close()
    if fault == "half a body" and not stream:
        # The head and a length have been promised by then; only a broken connection is honest.
        expected = None
    talk = worker.talk().send(request(stream=stream))
    if expected is None:
        with pytest.raises(ConnectionError):
            talk.answer()
        return
    number, headers, body = talk.answer()
    assert number == expected and json.loads(body)["error"]["message"]
    assert int(headers.get("retry-after", 1)) >= 1 and (number not in (429, 503) or "retry-after" in headers)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "half a body"])
def test_a_fault_with_another_target(rig, fault, stream):
    script, _ = FAULTS[fault]

    def good(wire):
        while True:
            _, body = wire.request()
            assert json.loads(body)["model"] == "m", "the fallback keeps the client's model, not the first target's"
            if stream:
                wire.sse()
                wire.event(chunk("hi", "stop"))
                wire.event(b"[DONE]")
                wire.last_chunk()
            else:
                wire.json()
    worker, first, second = rig(answer_plainly if script == REFUSED else script, good, route=FALLBACK,
                                provider={"model_timeouts": {"up": QUICK["timeouts"]}} if fault == "silent" else {})
    if script == REFUSED:
        first.close()
    talk = worker.talk().send(request(stream=stream))
    if stream:
        head, body, ended = read_stream(talk)
        assert b" 200 " in head and ended and b"[DONE]" in body
    else:
        number, headers, body = talk.answer()
        assert number == 200 and json.loads(body)["choices"]
        assert headers["x-tidegate-provider"] == "p1" and headers["x-tidegate-attempts"] == "2"
    assert len(second.requests) == 1
    assert b"sk-upstream-1" in second.requests[0][0] and b"sk-upstream-0" not in second.requests[0][0]


def test_an_error_event_first_is_a_failure_like_any_other(rig):
    def good(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("hi", "stop"))
        wire.event(b"[DONE]")
        wire.last_chunk()
    worker, _, second = rig(error_in_200, good, route=FALLBACK)
    talk = worker.talk().send(request(stream=True))
    _, body, ended = read_stream(talk)
    assert ended and b"[DONE]" in body and b"on fire" not in body and len(second.requests) == 1


@pytest.mark.parametrize("fault", ["no end mark", "error event", "bad chunk"])
@pytest.mark.parametrize("cut", [False, True], ids=["one segment", "two segments"])
def test_segments_do_not_decide_whether_content_counts(rig, fault, cut):
    event = b"data: %s\n\n" % json.dumps(chunk("Hi")).encode()
    error = b'data: {"error":{"message":"engine on fire","type":"server_error"}}\n\n'
    framed = lambda data: b"%x\r\n%s\r\n" % (len(data), data)
    end = {"no end mark": b"0\r\n\r\n", "error event": framed(error) + b"0\r\n\r\n", "bad chunk": b"zz\r\n"}[fault]

    def script(wire):
        wire.request()
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + framed(event)
        if cut:
            wire.send(head)
            time.sleep(0.1)
            wire.send(end)
        else:
            wire.send(head + end)
        wire.gone()
    worker, _, second = rig(script, answer_plainly, route=FALLBACK)
    _, body, ended = read_stream(worker.talk().send(request(stream=True)))
    events = [e for e in body.split(b"\n\n") if e]
    assert ended and len(events) == 2 and "error" in json.loads(events[1][6:]) and second.requests == []


@pytest.mark.parametrize("how", ["truncate", "reset", "idle"])
def test_a_stream_that_breaks_after_content(rig, how):
    def script(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("Hel"))
        wire.event(chunk("lo"))
        time.sleep(0.1)
        if how == "reset":
            wire.reset()
        elif how == "idle":
            wire.gone(60)
    worker, _, second = rig(script, answer_plainly, provider=QUICK if how == "idle" else {}, route=FALLBACK)
    talk = worker.talk().send(request(stream=True))
    _, body, ended = read_stream(talk)
    events = [e for e in body.split(b"\n\n") if e]
    assert ended and b"[DONE]" not in body and json.loads(events[-1][6:])["error"]["message"]
    assert len(events) == 3 and second.requests == [], "after content no other target is asked"
    worker.idle()
    assert worker.ended("timeout" if how == "idle" else "upstream_error") == 1


def test_keys_change_over_when_one_is_refused(rig):
    def script(wire):
        while True:
            head, _ = wire.request()
            if b"Bearer sk-bad" in head:
                wire.json(401, {"error": {"message": "bad key", "type": "x", "code": "invalid_api_key"}})
            else:
                wire.json()
    keys = {"api_keys": [{"name": "a", "value": "sk-bad"}, {"name": "b", "value": "sk-good"}]}
    worker, upstream = rig(script, provider=keys)
    talk = worker.talk()
    for _ in range(6):
        assert talk.send(request()).answer()[0] == 200
    bad = [head for head, _ in upstream.requests if b"sk-bad" in head]
    assert len(bad) == 1 and len(upstream.requests) == 7, "a refused key rests"


def test_retry_after_is_obeyed(rig):
    def script(wire):
        while True:
            head, _ = wire.request()
            if b"Bearer sk-a" in head:
                wire.json(429, {"error": {"message": "slow down"}}, "retry-after: 30\r\n")
            else:
                wire.json()
    keys = {"api_keys": [{"name": "a", "value": "sk-a"}, {"name": "b", "value": "sk-b"}]}
    worker, upstream = rig(script, provider=keys)
    talk = worker.talk()
    for _ in range(6):
        assert talk.send(request()).answer()[0] == 200
    assert len([head for head, _ in upstream.requests if b"sk-a" in head]) == 1


def test_a_stale_connection_costs_nothing(rig):
    def script(wire):
        wire.request()
        wire.json()
        wire.request()      # the second request on this connection meets a closed door
    worker, upstream = rig(script)
    talk = worker.talk()
    assert talk.send(request()).answer()[0] == 200
    number, headers, _ = talk.send(request()).answer()
    assert number == 200 and headers["x-tidegate-attempts"] == "1"
    assert len(upstream.wires) == 2


def test_extra_bytes_never_reach_the_next_client(rig):
    def script(wire):
        wire.request()
        data = json.dumps(completion("mine")).encode()
        ghost = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\nghost"
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s%s" % (len(data), data, ghost))
        while True:
            wire.request()
            wire.json()
    worker, upstream = rig(script)
    for _ in range(3):
        _, _, body = worker.talk().send(request()).answer()
        assert b"ghost" not in body and json.loads(body)["choices"][0]["message"]["content"] == "mine"
    assert len(upstream.wires) == 3, "such a connection is not used again"


def test_bytes_on_an_idle_connection_close_it(rig):
    answered = threading.Event()

    def script(wire):
        wire.request()
        wire.json()
        assert answered.wait(20)
        wire.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
        wire.gone()
    worker, upstream = rig(script)
    assert worker.talk().send(request()).answer()[0] == 200
    answered.set()
    wait_until(lambda: upstream.wires[0].end, 10, "the connection being closed")
    assert worker.talk().send(request()).answer()[0] == 200
    assert len(upstream.wires) == 2


def test_interim_answers_are_swallowed(rig):
    def script(wire):
        wire.request()
        wire.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 3)
        wire.json()
    worker, _ = rig(script)
    number, headers, _ = worker.talk().send(request()).answer()
    assert number == 200 and "link" not in headers


def test_an_answer_before_the_request_was_read_F13(rig):
    """The provider has seen enough of 900 kB: it answers and closes, which resets what still comes. The client mostly gets its answer, never nothing."""
    def script(wire):
        while b"\r\n\r\n" not in wire.rest:
            wire._fill()
        wire.json(413, {"error": {"message": "too long for me", "type": "invalid_request_error"}})
    worker, _ = rig(script)
    body = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"x" * 900000)
    numbers = [worker.talk(20).send(request(body=body)).answer()[0] for _ in range(50)]
    assert set(numbers) <= {413, 502} and numbers.count(413) >= 45, numbers


def test_redirects_are_not_followed(rig):
    worker, upstream = rig(refuse(302, "location: http://169.254.169.254/\r\n"))
    number, headers, _ = worker.talk().send(request()).answer()
    assert number == 502 and "location" not in headers and len(upstream.requests) == 1


def test_least_requests_spreads(rig):
    gate = threading.Event()

    def script(wire):
        wire.request()
        gate.wait(60)
        wire.json()
    a, b = Upstream(script), Upstream(script)
    endpoints = {"endpoints": [{"url": a.url, "weight": 1}, {"url": b.url, "weight": 1}], "load_balance": "least_requests"}
    worker, *_ = rig(a, b, provider=endpoints)
    talks = [worker.talk().send(request()) for _ in range(8)]
    wait_until(lambda: len(a.requests) + len(b.requests) == 8, 10, "all of them being asked")
    gate.set()
    assert all(talk.answer()[0] == 200 for talk in talks)
    assert len(a.requests) == len(b.requests) == 4


def test_a_stream_that_said_its_last_word_is_whole(rig):
    def script(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("a", "stop"))
        wire.event(b"[DONE]")  # and never HTTP's last chunk
    worker, _ = rig(script)
    _, body, ended = read_stream(worker.talk().send(request(stream=True)))
    assert ended and body.rstrip().endswith(b"[DONE]") and b'"error"' not in body
    worker.idle()
    assert worker.ended("complete") == 1


def test_failures_in_a_row_open_an_endpoint(rig):
    """Each connection stands and each answer breaks: what counts is the answer."""
    bad, good = Upstream(lambda wire: wire.request()), Upstream(answer_plainly)
    worker, _, _ = rig(bad, good, provider={"endpoints": [{"url": bad.url}, {"url": good.url}]})
    for _ in range(40):
        worker.talk().send(request()).answer()
    assert 0 < len(bad.requests) <= 12 and len(good.requests) >= 28


def test_an_api_that_no_target_speaks_is_the_clients_to_change(rig):
    """A 502 would be sent again by every SDK, and count as the provider's failure."""
    worker, upstream = rig(answer_plainly)
    status, _, body = worker.talk().send(request(path="/v1/messages", max_tokens=9)).answer()
    assert status == 404, body
    assert "not served at /v1/messages: no provider of the route `r` speaks that API" in json.loads(body)["error"]["message"]
    assert not upstream.requests
    assert 'tidegate_rejected_total{code="api_not_supported"} 1' in worker.admin("/metrics")
    assert worker.talk().send(request()).answer()[0] == 200
