"""Where two things happen to one request at once: silence and an error, a client that left and a stale connection, a pause and a limit of time."""
import json
import threading

import pytest

from harness.waiting import wait_until
from harness.worker import Upstream, answer_plainly, chunk, config, refuse, request

FALLBACK = {"fallback": {"enabled": True, "on": ["5xx"], "targets": [{"provider": "p1", "model": "up"}]}}


# ---- a stream that was kept alive before it failed -----------------------------------------------------------------------

@pytest.mark.parametrize("fault", ["error event", "error status", "cut", "redirect"])
def test_a_stream_that_only_was_kept_alive_ends_with_an_error_event(rig, fault):
    """Its head and some comments have gone out, nothing else: whatever comes now, an error event comes last."""
    go = threading.Event()

    def script(wire):
        wire.request()
        assert go.wait(20)
        if fault == "error event":
            wire.sse()
            wire.event({"error": {"message": "sold out, key sk-upstream-0", "type": "server_error"}})
        elif fault == "error status":
            wire.json(500, {"error": {"message": "sold out, key sk-upstream-0"}})
        elif fault == "redirect":
            wire.head(307, "location: http://127.0.0.1/", "content-length: 0")
    worker, _ = rig(script, data_plane={"sse_keepalive": "1s"})
    talk = worker.talk(20).send(request(stream=True))
    while b": ping" not in talk.rest:
        talk._fill()
    go.set()
    head, body, ended = talk.stream()
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: ")]
    assert b" 200 " in head and ended and len(events) == 1 and b"[DONE]" not in body, body
    assert json.loads(events[0])["error"]["message"].startswith("The answer broke off: ")
    assert b"sk-upstream" not in body
    worker.idle()
    assert worker.ended("upstream_error") == 1


def test_an_error_event_goes_on_without_the_key_in_it(rig):
    def script(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("a"))
        wire.event({"error": {"message": "key sk-upstream-0 has been revoked meanwhile, sk-upstream-0!", "type": "x"}})
        wire.last_chunk()
    worker, _ = rig(script)
    _, body, ended = worker.talk().send(request(stream=True)).stream()
    assert ended and b"sk-upstream" not in body and b"has been revoked meanwhile" in body and b"[DONE]" not in body
    assert json.loads([line for line in body.split(b"\n") if line.startswith(b"data: ")][-1][6:])["error"]["message"]


@pytest.mark.parametrize("early", [False, True])
def test_an_error_without_end_is_judged_by_its_beginning(rig, early):
    """64 KiB of it are enough; the connection is closed, and another target answers."""
    ended = []

    def script(wire):
        while b"\r\n\r\n" not in wire.rest if early else not wire.request():
            wire._fill()
        wire.send(b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while len(ended) == 0:
                wire.send(b"1000\r\n" + b"x" * 4096 + b"\r\n")
        except OSError:
            ended.append(True)
    worker, _, second = rig(script, answer_plainly, route=FALLBACK)
    body = b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"x" * (8 << 20 if early else 10))
    status, headers, _ = worker.talk(20).send(request(body=body)).answer()
    assert status == 200 and headers["x-tidegate-provider"] == "p1"
    wait_until(lambda: ended, 10, "the provider being let go")


# ---- redirects -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [301, 302, 303, 304, 307, 308])
def test_a_redirect_is_a_failed_attempt(rig, number):
    """Never followed; but it is no reason to keep the client from another target, and it counts against the server."""
    away = Upstream(answer_plainly)
    body = b"" if number == 304 else b"moved"

    def script(wire):
        while True:
            wire.request()
            wire.head(number, "location: http://127.0.0.1:%d/v1/chat/completions" % away.port, "content-length: %d" % len(body))
            wire.send(body)
    worker, first, second = rig(script, answer_plainly, route=FALLBACK, provider={"breaker": {"failures": 2, "cooldown": "1m"}})
    for _ in range(4):
        status, headers, _ = worker.talk().send(request()).answer()
        assert status == 200 and headers["x-tidegate-provider"] == "p1" and "location" not in headers
    assert len(first.requests) == 2 and len(second.requests) == 4, "after two of them the breaker is open"
    assert away.requests == [] and away.wires == []
    away.close()
    assert 'tidegate_upstream_attempts_total{' in worker.admin("/metrics")
    worker.change(config(first, second, provider={"breaker": {"enabled": False}}))
    status, _, answer = worker.talk().send(request()).answer()
    assert status == 502 and "it answered %d, and redirects are not followed" % number in json.loads(answer)["error"]["message"]


# ---- after the client left -----------------------------------------------------------------------------------------------

def test_nothing_is_sent_again_for_a_client_that_left(rig):
    """The provider may finish its answer (`drain`), on a pooled connection that dies instead: another client's request would be sent again."""
    go = threading.Event()

    def script(wire):
        wire.request()
        wire.json()
        wire.request()
        assert go.wait(20)                        # and closes without a byte
    worker, upstream = rig(script, provider={"on_client_gone": {"action": "drain"}})
    assert worker.talk().send(request()).answer()[0] == 200
    talk = worker.talk().send(request())
    wait_until(lambda: len(upstream.requests) == 2, 10, "the second request on the same connection")
    assert len(upstream.wires) == 1
    talk.reset()
    seen = worker.talk().send(request(path="/nowhere")).answer()
    assert seen[0] == 404                          # the loop has noticed the reset by now
    go.set()
    worker.idle()
    assert worker.ended("client_closed") == 1 and len(upstream.requests) == 2, "no attempt after the client left"


# ---- a pause that a limit of time ends -----------------------------------------------------------------------------------

def test_a_key_that_an_error_repeats_is_blotted_out_in_a_pause_too(rig):
    """The route's time is over while it waits to ask the same key once more: the answer is the last failure, without the key."""
    worker, upstream = rig(refuse(500, "retry-after: 2\r\n", {"error": {"message": "Incorrect key sk-upstream-0 given", "type": "x"}}),
                           provider={"on_status": {"500": "retry_same"}}, route={"timeout": "1500ms"})
    status, _, body = worker.talk().send(request()).answer()
    message = json.loads(body)["error"]["message"]
    assert status == 500 and "Incorrect key" in message and "sk-upstream" not in message
    assert len(upstream.requests) == 1, "the pause had not ended"


# ---- a plugin that fails ------------------------------------------------------------------------------------------------

def test_a_change_that_cannot_be_read_leaves_the_request_as_it_was(rig):
    """`fail_open`: the request goes on without the plugin, whole: its model, its length, what it is charged for."""
    sound, unreadable = "temperature: 0..1, clamp", "stream_options: = 5"
    worker, upstream = rig(answer_plainly)

    def ask(rules, fail_open):
        worker.change(config(upstream, route={"plugins": {"parameter-policy": {"rules": rules, "fail_open": fail_open}}}))
        status, _, body = worker.talk().send(request(temperature=2, n=1)).answer()
        return status, upstream.requests[-1][1] if upstream.requests else b"", body
    status, sent, _ = ask([sound], False)
    assert status == 200 and json.loads(sent)["temperature"] == 1
    status, sent, _ = ask([unreadable], True)
    assert status == 200 and json.loads(sent) == {"model": "up", "messages": [{"role": "user", "content": "hi"}], "temperature": 2, "n": 1}
    status, sent, _ = ask([sound, unreadable], True)
    assert status == 200 and json.loads(sent)["temperature"] == 1 and json.loads(sent)["n"] == 1 and json.loads(sent)["model"] == "up"
    before = len(upstream.requests)
    assert ask([unreadable], False)[0] == 500 and len(upstream.requests) == before
