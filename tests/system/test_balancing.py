"""Pools of servers: faithful hashing, limits and queues, active checks, drain after the client left."""
import json
import socket
import threading
import time

import pytest

from harness.callers import Callers
from harness.waiting import wait_until
from harness.worker import Upstream, answer_plainly, chunk, config, request

FALLBACK = {"fallback": {"enabled": True, "targets": [{"provider": "p1", "model": "up"}]}}


def pool(*upstreams, **more):
    return {"type": "vllm", "api_keys": [], "endpoints": [{"url": u.url} for u in upstreams], **more}


def asked(upstreams, what):
    """Which upstreams have seen a request whose head or body holds this text."""
    return [i for i, u in enumerate(upstreams) if any(what in head + body for head, body in u.requests)]


# ---- whom a hash is faithful to -----------------------------------------------------------------------------------------

AFFINITY = {"header": ({"by": "header", "header": "x-user"}, lambda name: {"headers": "x-user: %s\r\n" % name}),
            "session header": ({"by": "session"}, lambda name: {"headers": "x-session-id: %s\r\n" % name}),
            "session in the cache key": ({"by": "session"}, lambda name: {"prompt_cache_key": name}),
            "session in the user": ({"by": "session"}, lambda name: {"user": name})}


@pytest.mark.parametrize("how", AFFINITY)
def test_a_session_stays_with_its_server(rig, how):
    affinity, member = AFFINITY[how]
    servers = [Upstream(answer_plainly) for _ in range(4)]
    worker, *_ = rig(*servers, loops=2, provider=pool(*servers, load_balance="hash", affinity=affinity))
    for _ in range(3):
        for i in range(16):
            assert worker.talk().send(request(**member("session-%03d" % i))).answer()[0] == 200
    homes = [asked(servers, b"session-%03d" % i) for i in range(16)]
    assert all(len(home) == 1 for home in homes), homes
    assert len({home[0] for home in homes}) > 1, "sessions are spread"


def test_only_the_sessions_of_a_lost_server_move(rig):
    servers = [Upstream(answer_plainly) for _ in range(3)]
    worker, *_ = rig(*servers, provider=pool(*servers, load_balance="hash", affinity={"by": "session"}, breaker={"failures": 1, "cooldown": "1m"}))
    ask = lambda i, round: worker.talk().send(request(headers="x-session-id: s-%d-\r\n" % i, user="round-%d" % round)).answer()[0]
    for i in range(12):
        assert ask(i, 1) == 200
    before = [asked(servers, b"s-%d-" % i)[0] for i in range(12)]
    lost = before[0]
    servers[lost].close()
    for i in range(12):
        assert ask(i, 2) == 200
    for i in range(12):
        now = asked(servers, b"s-%d-" % i)
        assert (now == [before[i]]) == (before[i] != lost), (i, before[i], now)


# ---- limits of the pool ---------------------------------------------------------------------------------------------------

def test_max_connections_queue_and_the_queue_timeout(rig):
    gate = threading.Event()

    def script(wire):
        while True:
            wire.request()
            gate.wait(60)
            wire.json()
    worker, server = rig(script, provider={"pool": {"max_connections": 2, "max_queue": 1}, "timeouts": {"queue": "400ms"}})
    busy = [worker.talk().send(request()) for _ in range(2)]
    wait_until(lambda: len(server.requests) == 2, 20, "both connections to be busy")
    number, headers, body = worker.talk().send(request()).answer()
    assert number == 503 and int(headers["retry-after"]) >= 1, "the queue's own limit of time"
    assert "waited too long" in json.loads(body)["error"]["message"]
    worker.change(config(server, provider={"pool": {"max_connections": 2, "max_queue": 1}, "timeouts": {"queue": "60s"}}))
    waiting = worker.talk().send(request())
    wait_until(lambda: worker.metric("tidegate_requests_in_flight") == 3, 20, "the third to wait")
    number, headers, body = worker.talk().send(request()).answer()
    assert number == 503 and "too many requests wait" in json.loads(body)["error"]["message"]
    assert len(server.requests) == 2 and len(server.wires) == 2
    gate.set()
    assert all(talk.answer()[0] == 200 for talk in busy)
    assert waiting.answer()[0] == 200
    assert worker.talk().send(request()).answer()[0] == 200, "a full pool is no sickness of the server"
    assert len(server.wires) == 2


def test_a_limit_of_one_is_one_over_all_loops(rig):
    """The count is the worker's. No loop exceeds it, and none waits behind another that is never idle."""
    lock, now, most = threading.Lock(), [0], [0]

    def script(wire):
        while True:
            wire.request()
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            with lock:
                now[0] -= 1
            wire.json()
    worker, server = rig(script, loops=2, provider={"pool": {"max_connections": 1, "max_queue": 100}, "timeouts": {"queue": "20s"}})
    callers = Callers(worker.port, 8, keep=True)       # spread over the loops by the kernel, each busy without a pause
    wait_until(lambda: min(callers.each) >= 25, 40, "every one of them being served; so far %r" % (callers.each,))
    assert callers.stop().wrong == []
    assert most[0] == 1, "%d requests at a time" % most[0]
    assert worker.talk(20).send(request()).answer()[0] == 200 and worker.metric("tidegate_upstream_connections") == 1


def test_an_idle_connection_makes_room_for_another_loop(rig):
    worker, server = rig(answer_plainly, loops=2, provider={"pool": {"max_connections": 1, "max_queue": 100}, "timeouts": {"queue": "20s"}})
    for _ in range(40):                                # each on a connection of its own, so on either loop
        assert worker.talk(20).send(request()).answer()[0] == 200
    assert worker.metric("tidegate_upstream_connections") == 1
    worker.change(config(server, provider={"pool": {"max_connections": 3}}))
    worker.change(config(server))
    worker.change(config(server, provider={"pool": {"max_connections": 1}}))
    assert worker.talk(20).send(request()).answer()[0] == 200


@pytest.mark.parametrize("how", ["it fails", "its client leaves"])
def test_who_waits_is_served_when_a_dial_comes_to_nothing(rig, how):
    """One connection is allowed and being made; it never will be. The next one is tried at once, not when its time in the queue is over."""
    full = socket.create_server(("127.0.0.1", 0), backlog=0)
    plug = [socket.socket() for _ in range(4)]
    for raw in plug:                                   # a full accept queue: the kernel answers no SYN any more
        raw.setblocking(False)
        raw.connect_ex(full.getsockname())
    server = Upstream(answer_plainly)
    limits = {"pool": {"max_connections": 1}, "timeouts": {"connect": "4s" if how == "it fails" else "60s", "queue": "60s"}}
    objects = config(server, provider=limits)
    objects["providers"]["p0"]["base_url"] = "http://127.0.0.1:%d/v1" % full.getsockname()[1]
    worker, _ = rig(server)
    worker.change(objects)
    first = worker.talk(20).send(request())
    wait_until(lambda: len(dialling(full, plug)) == 1, 20, "the first to connect")
    dialled, second = dialling(full, plug), worker.talk(20).send(request())
    wait_until(lambda: worker.metric("tidegate_requests_in_flight") == 2, 20, "the second to wait")
    assert dialling(full, plug) == dialled
    if how == "its client leaves":
        first.reset()
    else:
        assert first.answer()[0] == 504
    wait_until(lambda: len(dialling(full, plug)) == 1 and dialling(full, plug) != dialled, 20, "the second to connect")
    second.reset()
    worker.idle()
    for raw in (full, *plug):
        raw.close()


def dialling(server, others):
    """Local ports of sockets that wait for an answer to their SYN from `server`."""
    known = {raw.getsockname()[1] for raw in others}
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table][1:]
    ports = {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == "02" and int(row[2].rpartition(":")[2], 16) == server.getsockname()[1]}
    return ports - known


def test_a_full_pool_goes_to_the_fallback(rig):
    gate = threading.Event()

    def script(wire):
        wire.request()
        gate.wait(60)
        wire.json()
    worker, first, second = rig(script, answer_plainly, route={"fallback": {"enabled": True, "on": ["503"], "targets": [{"provider": "p1"}]}},
                                provider={"pool": {"max_connections": 1, "max_queue": 0}})
    busy = worker.talk().send(request())
    wait_until(lambda: len(first.requests) == 1, 20, "the connection to be busy")
    assert worker.talk().send(request()).answer()[1]["x-tidegate-provider"] == "p1"
    gate.set()
    assert busy.answer()[0] == 200


def test_no_more_servers_are_out_than_allowed(rig):
    def fails(wire):
        while True:
            wire.request()
            wire.json(500, {"error": {"message": "down"}})
    for percent, most in ((100, 1), (49, 8)):
        bad, good = Upstream(fails), Upstream(answer_plainly)
        breaker = {"failures": 1, "cooldown": "1m", "max_ejected_percent": percent}
        worker, *_ = rig(bad, good, provider=pool(bad, good, breaker=breaker))
        numbers = [worker.talk().send(request()).answer()[0] for _ in range(8)]
        assert len(bad.requests) == numbers.count(500) and 1 <= len(bad.requests) <= most, (percent, numbers)
        assert percent == 100 or len(bad.requests) == 4, "one of two would be more than 49 %, so nobody stays away"


# ---- active checks ----------------------------------------------------------------------------------------------------------

def test_checks_take_a_server_out_and_bring_it_back(rig):
    well = threading.Event()
    well.set()
    checks = []

    def script(wire):
        while True:
            head, _ = wire.request()
            if head.startswith(b"GET "):
                checks.append(head)
                wire.send(b"HTTP/1.1 %s X\r\ncontent-length: 2\r\n\r\nok" % (b"200" if well.is_set() else b"503"))
            else:
                wire.json()
    sick, good = Upstream(script), Upstream(script)
    # The good one is checked by the same script, so it needs an event of its own.
    def always(wire):
        while True:
            head, _ = wire.request()
            wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok") if head.startswith(b"GET ") else wire.json()
    good.script = always
    worker, *_ = rig(sick, good, loops=2, provider=pool(sick, good, health_check={
        "enabled": True, "path": "/health", "interval": "500ms", "timeout": "400ms", "unhealthy_after": 2, "healthy_after": 2}))
    wait_until(lambda: len(checks) >= 2, 10, "checks")
    assert b"GET /health HTTP/1.1" in checks[0], "from the server's root, not behind /v1"
    posts = lambda u: len([h for h, _ in u.requests if h.startswith(b"POST")])
    well.clear()

    def is_out():
        before = posts(sick)
        for _ in range(4):
            assert worker.talk().send(request()).answer()[0] == 200
        return posts(sick) == before
    wait_until(is_out, 15, "the server to be taken out")
    well.set()
    wait_until(lambda: not is_out(), 15, "the server to come back, without anybody's help")


def test_no_check_is_sent_unless_it_is_switched_on(rig):
    worker, server = rig(answer_plainly)
    for _ in range(5):
        assert worker.talk().send(request()).answer()[0] == 200
    assert all(head.startswith(b"POST ") for head, _ in server.requests)


def test_a_change_of_configuration_keeps_and_ends_checks(rig):
    checks = []

    def script(wire):
        while True:
            head, _ = wire.request()
            if head.startswith(b"GET "):
                checks.append(head)
                wire.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            else:
                wire.json()
    server = Upstream(script)
    on = {"health_check": {"enabled": True, "interval": "500ms", "path": "/v1/models"}}
    worker, _ = rig(server, provider=on)
    wait_until(lambda: len(checks) >= 1, 10, "a check")
    worker.change(config(server, provider={**on, "timeouts": {"idle": "7s"}}))
    seen = len(checks)
    wait_until(lambda: len(checks) >= seen + 2, 10, "checks after a change of something else")
    worker.change(config(server))
    seen = len(checks)
    assert worker.talk().send(request()).answer()[0] == 200
    assert len(checks) <= seen + 1


# ---- the client left --------------------------------------------------------------------------------------------------------

def stream_in_steps(step):
    def script(wire):
        wire.request()
        wire.sse()
        for word in ("one", "two"):
            wire.event(chunk(word))
            assert step.acquire(timeout=60)
        wire.event({**chunk(None, "stop"), "usage": {"prompt_tokens": 7, "completion_tokens": 222, "total_tokens": 229}})
        wire.event(b"[DONE]")
        wire.last_chunk()
        wire.request()
    return script


def test_drain_reads_to_the_end_for_the_exact_count(rig):
    step = threading.Semaphore(0)
    worker, server, second = rig(stream_in_steps(step), answer_plainly, route=FALLBACK,
                                 provider={"on_client_gone": {"action": "drain", "limit": "30s"}})
    talk = worker.talk().send(request(stream=True))
    while b"one" not in talk.rest:
        talk._fill()
    talk.close()
    assert worker.talk().send(request(path="/nowhere")).answer()[0] == 404      # the loop has seen the end by now
    step.release()
    step.release()
    worker.idle()
    assert worker.ended("client_closed") == 1 and second.requests == []
    assert worker.metric("tidegate_usage_estimated_total") == 0, "the provider's own figure is known"
    assert [line for line in worker.admin("/metrics").split("\n") if 'class="completion"' in line and line.endswith(" 222")]


def test_drain_has_a_limit(rig):
    def script(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("one"))
        wire.gone(60)
    worker, server = rig(script, provider={"on_client_gone": {"action": "drain", "limit": "300ms"}})
    talk = worker.talk().send(request(stream=True))
    while b"one" not in talk.rest:
        talk._fill()
    left = time.monotonic()
    talk.close()
    wait_until(lambda: server.wires[0].end, 30, "the provider's connection to be closed")
    worker.idle()
    assert worker.ended("client_closed") == 1 and server.wires[0].ended_at - left >= 0.2


def test_drain_starts_no_other_attempt(rig):
    step = threading.Event()

    def script(wire):
        wire.request()
        step.wait(60)
        wire.json(500, {"error": {"message": "down"}})
    worker, first, second = rig(script, answer_plainly, route=FALLBACK, provider={"on_client_gone": {"action": "drain"}})
    talk = worker.talk().send(request())
    wait_until(lambda: len(first.requests) == 1, 20, "the attempt")
    talk.close()
    assert worker.talk().send(request(path="/nowhere")).answer()[0] == 404
    step.set()
    worker.idle()
    assert worker.ended("client_closed") == 1 and second.requests == []


# ---- state that lives at the provider ---------------------------------------------------------------------------------------

def responses(wire):
    """Every key is an account of its own: answers are known only where they were made."""
    while True:
        head, body = wire.request()
        account = head.split(b"Bearer ")[1].split(b"\r\n")[0].decode()
        previous = json.loads(body).get("previous_response_id")
        if previous and not previous.startswith("resp_%s" % account[-4:]):
            wire.json(400, {"error": {"message": "not here", "type": "invalid_request_error", "code": "previous_response_not_found"}})
        else:
            count[0] += 1
            wire.json(200, {"id": "resp_%s_%d" % (account[-4:], count[0]), "object": "response", "status": "completed",
                            "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}})


count = [0]


def test_a_follow_up_goes_to_the_account_that_answered(rig):
    keys = [{"name": "k%d" % i, "value": "sk-account-%04d" % i} for i in range(4)]
    consumers = {"consumers": {}}
    worker, upstream = rig(responses, loops=2, provider={"api_keys": keys})
    ask = lambda **body: worker.talk().send(request(json.dumps({"model": "m", "input": "hi", **body}).encode(), path="/v1/responses")).answer()
    number, _, body = ask()
    assert number == 200
    first = json.loads(body)["id"]
    for _ in range(6):
        number, _, body = ask(previous_response_id=first)
        assert number == 200, body
    used = {head.split(b"Bearer ")[1].split(b"\r\n")[0] for head, _ in upstream.requests}
    assert len(used) == 1, "one consumer, one account"


def test_a_follow_up_is_not_sent_elsewhere(rig):
    """Its account is gone from the configuration: a clear refusal, not somebody else's 'not found'."""
    keys = [{"name": "a", "value": "sk-account-aaaa"}, {"name": "b", "value": "sk-account-bbbb"}]
    worker, upstream = rig(responses, provider={"api_keys": keys})
    ask = lambda **body: worker.talk().send(request(json.dumps({"model": "m", "input": "hi", **body}).encode(), path="/v1/responses")).answer()
    first = json.loads(ask()[2])["id"]
    other = [k for k in keys if first[5:9] not in k["value"]]
    worker.change(config(upstream, provider={"api_keys": other}))
    sent = len(upstream.requests)
    number, _, body = ask(previous_response_id=first)
    error = json.loads(body)["error"]
    assert number == 400 and error["code"] == "previous_response_not_found" and "no longer uses" in error["message"]
    assert len(upstream.requests) == sent
    number, _, body = ask(previous_response_id="resp_unknown")
    assert number == 400 and json.loads(body)["error"]["message"] == "not here", "what is not known here is the provider's to judge"


def test_another_consumers_answer_does_not_exist(rig):
    worker, upstream = rig(responses)
    objects = config(upstream)
    objects["consumers"]["other"] = {"keys": [{"id": "k2", "secret": "tgk_of-somebody-else", "enabled": True}]}
    worker.change(objects)
    ask = lambda key, **body: worker.talk().send(request(json.dumps({"model": "m", "input": "hi", **body}).encode(), key=key,
                                                         path="/v1/responses")).answer()
    first = json.loads(ask("tgk_worker-test-key")[2])["id"]
    sent = len(upstream.requests)
    number, _, body = ask("tgk_of-somebody-else", previous_response_id=first)
    assert number == 400 and json.loads(body)["error"]["code"] == "previous_response_not_found" and len(upstream.requests) == sent
    for text in ('{"model": "m", "previous_response_id": "%s"}' % first.replace("_", "\\u005f", 1),
                 '{"model": "m", "previous\\u005fresponse_id": "%s"}' % first):
        number, _, body = worker.talk().send(request(text.encode(), key="tgk_of-somebody-else", path="/v1/responses")).answer()
        assert number == 400 and json.loads(body)["error"]["code"] == "previous_response_not_found", "an escape is another spelling only"
        assert len(upstream.requests) == sent
    assert ask("tgk_worker-test-key", previous_response_id=first)[0] == 200


# ---- providers that come and go ---------------------------------------------------------------------------------------------

def test_nothing_is_kept_of_a_provider_that_is_gone(rig):
    """Neither a series, which would be there for ever, nor memory: names of providers may be made by programs."""
    worker, server = rig(answer_plainly)
    of = lambda: {line.split('provider="')[1].split('"')[0] for line in worker.admin("/metrics").split("\n")
                  if line.startswith("tidegate_upstream_connections{")}
    for i in range(12):
        objects = config(server)
        objects["providers"]["made-%d" % i] = objects["providers"].pop("p0")
        objects["routes"]["r"]["targets"][0]["provider"] = "made-%d" % i
        worker.change(objects)
        assert worker.talk().send(request()).answer()[0] == 200
    assert "made-11" in of() and len(of()) <= 2, of()
