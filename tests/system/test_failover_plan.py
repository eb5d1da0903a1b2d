"""Which target, key and endpoint comes next: rule by rule, with a scripted provider."""
import json
import threading
import time

import pytest

from harness.waiting import Stopwatch, wait_until
from harness.worker import Upstream, answer_plainly, chunk, config, refuse, request

FALLBACK = {"fallback": {"enabled": True, "targets": [{"provider": "p1", "model": "up"}]}}
TWO_KEYS = {"api_keys": [{"name": "a", "value": "sk-aaaaaaaa"}, {"name": "b", "value": "sk-bbbbbbbb"}]}


def by_key(answers):
    """Scripts by the key of the request: {b"sk-aaaaaaaa": (status, headers, message)}; others are answered well."""
    def script(wire):
        while True:
            head, _ = wire.request()
            for key, (number, headers, message) in answers.items():
                if key in head:
                    wire.json(number, {"error": {"message": message, "type": "x", "code": None}}, headers)
                    break
            else:
                wire.json()
    return script


def ask(worker, **more):
    number, headers, body = worker.talk().send(request(**more)).answer()
    return number, headers.get("x-tidegate-provider"), headers.get("x-tidegate-attempts"), body


# ---- the table of statuses, and a provider's own ----------------------------------------------------------------------

USUAL = {400: "return", 401: "next", 402: "next", 403: "next", 404: "return", 408: "next", 409: "next", 413: "return", 418: "return",
         422: "return", 429: "next", 500: "next", 502: "next", 503: "next", 504: "next", 529: "next"}


@pytest.mark.parametrize("number", USUAL)
def test_statuses_and_the_next_target(rig, number):
    """Two targets on one route, the first always first: rule 17's table."""
    worker, first, second = rig(refuse(number), answer_plainly, route={
        "targets": [{"provider": "p0", "model": "up", "weight": 1}, {"provider": "p1", "model": "up", "weight": 0}],
        "fallback": {"enabled": True, "on": ["4xx", "5xx"], "targets": [{"provider": "p1", "model": "up"}]}} if USUAL[number] == "next" else {
        "targets": [{"provider": "p0", "model": "up"}, {"provider": "p1", "model": "up", "weight": 0}], **FALLBACK})
    got, provider, attempts, _ = ask(worker)
    if USUAL[number] == "return":
        assert (got, provider, attempts) == (number, "p0", "1") and not second.requests
    else:
        assert (got, provider, attempts) == (200, "p1", "2") and len(first.requests) == 1


def test_on_status_return_keeps_the_answer(rig):
    worker, _, second = rig(refuse(503), answer_plainly, route=FALLBACK, provider={"on_status": {"5xx": "return"}})
    assert ask(worker)[:3] == (503, "p0", "1") and not second.requests


def test_on_status_next_target_moves_on_whatever_the_route_says(rig):
    """404 is in no list of the route: the provider's word is enough."""
    worker, _, second = rig(refuse(404), answer_plainly, route=FALLBACK, provider={"on_status": {"404": "next_target"}})
    assert ask(worker)[:3] == (200, "p1", "2") and len(second.requests) == 1


def test_on_status_next_key(rig):
    worker, upstream = rig(by_key({b"sk-aaaaaaaa": (418, "", "teapot")}), provider={**TWO_KEYS, "on_status": {"418": "next_key"}})
    assert ask(worker)[:3] == (200, "p0", "2") and len(upstream.requests) == 2


def test_on_status_retry_same_waits_and_asks_again(rig):
    def script(wire):
        for number in (500, 200):
            wire.request()
            times.append(time.monotonic())
            wire.json(number, None if number == 200 else {"error": {"message": "hiccup"}})
    times = []
    worker, upstream = rig(script, provider={"on_status": {"500": "retry_same"}})
    assert ask(worker)[:3] == (200, "p0", "2")
    assert len(upstream.requests) == 2 and times[1] - times[0] >= 0.1, "a pause stands between them"
    assert upstream.requests[0][1] == upstream.requests[1][1], "the second request is the first"


def test_retry_same_keeps_to_its_own_configuration(rig):
    """Meanwhile another one, with more servers, serves new requests from the same pool."""
    def script(wire):
        wire.request()
        if not step.is_set():
            step.wait(60)
            wire.json(500, {"error": {"message": "hiccup"}})
            wire.request()  # on this connection or on a new one
        wire.json()
    step = threading.Event()
    new = [Upstream() for _ in range(24)]
    worker, first, *_ = rig(script, *new, provider={"on_status": {"500": "retry_same"}})
    talk = worker.talk().send(request())
    wait_until(lambda: len(first.requests) == 1, 20, "the first attempt")
    worker.change(config(*new, provider={"type": "vllm", "api_keys": [{"name": "k%d" % i, "value": "sk-new-%05d" % i} for i in range(24)],
                                         "endpoints": [{"url": u.url} for u in new]}))
    assert ask(worker)[0] == 200 and len(first.requests) == 1, "the new configuration serves"
    step.set()
    assert talk.answer()[0] == 200 and len(first.requests) == 2


def test_a_client_that_leaves_in_back_off_ends_it(rig):
    """Rule 8: no attempt starts afterwards."""
    worker, upstream = rig(refuse(500, "retry-after: 2\r\n"), provider={"on_status": {"500": "retry_same"}})
    talk = worker.talk().send(request())
    wait_until(lambda: len(upstream.requests) == 1, 20, "the first attempt")
    wait_until(lambda: worker.metric("tidegate_upstream_attempts_total") == 1, 20, "its failure")
    talk.close()
    watch = Stopwatch()
    worker.idle()
    assert watch.seconds() < 1.5, "the pause is not sat out"
    assert worker.ended("client_closed") == 1 and len(upstream.requests) == 1


def test_attempts_are_at_most_four(rig):
    worker, upstream = rig(refuse(500), provider={
        "api_keys": [{"name": "k%d" % i, "value": "sk-%08d" % i} for i in range(8)], "on_status": {"500": "next_key"}})
    assert ask(worker)[:3] == (500, "p0", "4") and len(upstream.requests) == 4


# ---- keys ---------------------------------------------------------------------------------------------------------------

RETRY_AFTER = {"integer": "retry-after: 30\r\n", "fraction": "retry-after: 29.5\r\n", "date": None, "milliseconds": "retry-after-ms: 30000\r\n",
               "limit": "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 30s\r\n", "huge": "retry-after: 1000000000000\r\n",
               "body": ""}


@pytest.mark.parametrize("form", RETRY_AFTER)
def test_every_form_of_retry_after_rests_the_key(rig, form):
    header, message = RETRY_AFTER[form], "slow down"
    if form == "date":
        header = time.strftime("retry-after: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime(time.time() + 40))
    if form == "body":
        message = "Rate limit reached. Please try again in 30s."
    worker, upstream = rig(by_key({b"sk-aaaaaaaa": (429, header, message)}), provider=TWO_KEYS)
    for _ in range(6):
        assert ask(worker)[0] == 200
    assert len([h for h, _ in upstream.requests if b"sk-aaaaaaaa" in h]) == 1


NO_MONEY = {"openai": (429, "You exceeded your current quota: insufficient_quota"), "deepseek": (402, "Insufficient Balance"),
            "qwen": (400, "Arrearage: access denied, your account is in arrears"), "zhipuai": (429, "\"1113\" balance"),
            "doubao": (403, "AccountOverdueError")}


@pytest.mark.parametrize("vendor", NO_MONEY)
def test_no_money_is_not_retried_on_that_key(rig, vendor):
    number, message = NO_MONEY[vendor]

    def script(wire):
        while True:
            head, _ = wire.request()
            if b"sk-aaaaaaaa" in head:
                code = "1113" if vendor == "zhipuai" else message.split(":")[0]
                wire.json(number, {"error": {"message": message, "code": code}})
            else:
                wire.json()
    worker, upstream = rig(script, provider={**TWO_KEYS, "type": vendor})
    for _ in range(5):
        assert ask(worker)[0] == 200
    assert len([h for h, _ in upstream.requests if b"sk-aaaaaaaa" in h]) == 1


def test_a_key_comes_back_by_itself(rig):
    healed = threading.Event()

    def script(wire):
        while True:
            head, _ = wire.request()
            if b"sk-aaaaaaaa" in head and not healed.is_set():
                wire.json(429, {"error": {"message": "slow down"}}, "retry-after: 1\r\n")
            else:
                wire.json()
    worker, upstream = rig(script, provider=TWO_KEYS)
    used = lambda: len([h for h, _ in upstream.requests if b"sk-aaaaaaaa" in h])
    while used() == 0:
        assert ask(worker)[0] == 200
    healed.set()

    def served_again():
        assert ask(worker)[0] == 200
        return used() >= 3
    wait_until(served_again, 10, "the key to be used again")


def test_weights_of_keys(rig):
    keys = [{"name": "a", "value": "sk-aaaaaaaa", "weight": 3}, {"name": "b", "value": "sk-bbbbbbbb", "weight": 1}]
    worker, upstream = rig(answer_plainly, provider={"api_keys": keys})
    talk = worker.talk()
    for _ in range(16):
        assert talk.send(request()).answer()[0] == 200
    assert len([h for h, _ in upstream.requests if b"sk-aaaaaaaa" in h]) == 12


# ---- the breaker --------------------------------------------------------------------------------------------------------

def test_the_breaker_opens_and_one_request_tries(rig):
    """Open: the fallback answers without delay. Half open: one real request at a time. Closed again: nobody had to act."""
    gate, entered, healed = threading.Event(), threading.Semaphore(0), threading.Event()

    def script(wire):
        while True:
            wire.request()
            if not healed.is_set():
                wire.json(500, {"error": {"message": "down"}})
                continue
            entered.release()
            gate.wait(60)
            wire.json()
    worker, first, second = rig(script, answer_plainly, route=FALLBACK,
                                provider={"breaker": {"failures": 3, "window": "60s", "cooldown": "4s"}})
    for _ in range(3):
        assert ask(worker)[:3] == (200, "p1", "2")
    for _ in range(5):
        assert ask(worker)[:3] == (200, "p1", "1"), "open: not even tried"
    assert len(first.requests) == 3
    assert 'tidegate_upstream_out{provider="p0",what="endpoint"} 1' in worker.admin("/metrics")
    healed.set()
    talks = []

    def tried():
        talks.append(worker.talk().send(request()))
        return entered.acquire(timeout=0.2)
    wait_until(tried, 20, "the one that tries it")
    for _ in range(5):
        assert ask(worker)[:3] == (200, "p1", "1"), "one at a time: the others go elsewhere"
    assert len(first.requests) == 4
    gate.set()
    wait_until(lambda: ask(worker)[1] == "p0", 20, "recovery")
    assert worker.metric("tidegate_upstream_out") == 0


def test_when_everything_is_open_the_least_bad_is_tried(rig):
    worker, upstream = rig(refuse(500), provider={"breaker": {"failures": 2, "cooldown": "60s"}})
    for _ in range(5):
        assert ask(worker)[0] == 500
    assert len(upstream.requests) == 5


def test_a_busy_endpoint_that_fails_now_and_then_stays(rig):
    def script(wire):
        while True:
            wire.request()
            count[0] += 1
            if count[0] % 4 == 0:
                wire.json(500, {"error": {"message": "hiccup"}})
            else:
                wire.json()
    count = [0]
    worker, first, second = rig(script, answer_plainly, route=FALLBACK, provider={"breaker": {"failures": 3}})
    for _ in range(40):
        assert ask(worker)[0] == 200
    assert len(first.requests) == 40, "a quarter of failures is no reason to take it out"


def test_a_server_without_keys_obeys_retry_after_too(rig):
    first, second = Upstream(refuse(503, "retry-after: 30\r\n")), Upstream(answer_plainly)
    worker, *_ = rig(first, second, provider={"api_keys": [], "type": "vllm", "endpoints": [{"url": first.url}, {"url": second.url}]})
    for _ in range(6):
        assert ask(worker)[0] == 200
    assert len(first.requests) == 1


# ---- limits of time by model ------------------------------------------------------------------------------------------

def test_timeouts_of_one_model(rig):
    """The provider waits 300 ms for a first byte, but a minute for slow-*."""
    def script(wire):
        while True:
            _, body = wire.request()
            hold.wait(1.0)
            wire.json()
    hold = threading.Event()
    worker, _ = rig(script, provider={"timeouts": {"first_byte": "300ms"}, "model_timeouts": {"slow-*": {"first_byte": "1m"}}},
                    route={"match": {"models": [{"type": "prefix", "value": "quick"}, {"type": "prefix", "value": "slow-"}]},
                           "targets": [{"provider": "p0"}]})
    body = lambda model: json.dumps({"model": model, "messages": [{"role": "user", "content": "x"}]}).encode()
    assert worker.talk().send(request(body("quick"))).answer()[0] == 504
    assert worker.talk().send(request(body("slow-1"))).answer()[0] == 200


# ---- silence does not close the window ------------------------------------------------------------------------------

@pytest.mark.parametrize("path,ping,error", [
    ("/v1/chat/completions", b": ping", b'data: {"error"'), ("/v1/messages", b"event: ping", b"event: error"),
    ("/v1/responses", b": ping", b"response.failed")])
@pytest.mark.parametrize("second_works", [True, False], ids=["fallback works", "fallback fails"])
def test_a_ping_before_the_answer_keeps_the_fallback(rig, path, ping, error, second_works):
    def silent(wire):
        wire.request()
        wire.gone(10)

    def good(wire):
        wire.request()
        if not second_works:
            wire.json(500, {"error": {"message": "down too"}})
            return
        wire.sse()
        if path == "/v1/messages":
            wire.send(framed(b'event: message_start\ndata: {"type":"message_start","message":{"usage":{"input_tokens":1}}}\n\n'
                             b'event: message_stop\ndata: {"type":"message_stop"}\n\n'))
        elif path == "/v1/responses":
            wire.send(framed(b'event: response.completed\ndata: {"type":"response.completed","response":{"id":"resp_1","status":"completed"}}\n\n'))
        else:
            wire.event(chunk("hi", "stop"))
            wire.event(b"[DONE]")
        wire.last_chunk()
    framed = lambda data: b"%x\r\n%s\r\n" % (len(data), data)
    kind = "anthropic" if path == "/v1/messages" else "openai"
    worker, _, second = rig(silent, good, provider={"type": kind, "timeouts": {"first_byte": "2500ms"}}, data_plane={"sse_keepalive": "1s"},
                            route={"fallback": {"enabled": True, "targets": [{"provider": "p1", "model": "up"}]}})
    body = {"model": "m", "stream": True, "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], "input": "hi"}
    from harness.worker import read_chunked
    talk = worker.talk(15).send(request(json.dumps(body).encode(), path=path))
    while b"\r\n\r\n" not in talk.rest:
        talk._fill()
    head, _, talk.rest = talk.rest.partition(b"\r\n\r\n")
    answer, ended = read_chunked(talk)
    assert b" 200 " in head and ended and ping in answer and len(second.requests) == 1
    if second_works:
        assert error not in answer and answer.index(ping) < answer.rindex(b"data:")
    else:
        assert error in answer and b"[DONE]" not in answer
