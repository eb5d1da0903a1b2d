"""What a worker does for and against its clients: order, limits, leaving, back-pressure, draining, changes."""
import fcntl
import json
import os
import socket
import ssl
import struct
import subprocess
import termios
import threading
import time

import pytest

from harness.waiting import Stopwatch, wait_until
from harness.worker import KEY, Upstream, answer_plainly, chunk, completion, config, read_chunked, request


def head_of(talk):
    while b"\r\n\r\n" not in talk.rest:
        talk._fill()
    head, _, talk.rest = talk.rest.partition(b"\r\n\r\n")
    return head


# ---- order and connections ----

def test_pipelined_requests_are_answered_in_order(rig):
    def script(wire):
        while True:
            _, body = wire.request()
            text = json.loads(body)["messages"][0]["content"]
            time.sleep(0.05 if text == "0" else 0)
            wire.json(body=completion(text))
    worker, _ = rig(script)
    talk = worker.talk()
    talk.send(b"".join(request(messages=[{"role": "user", "content": str(i)}]) for i in range(40)))
    for i in range(40):
        number, _, body = talk.answer()
        assert number == 200 and json.loads(body)["choices"][0]["message"]["content"] == str(i)


def test_a_refused_request_keeps_the_connection(rig):
    worker, upstream = rig()
    talk = worker.talk()
    for bad, expected in ((request(key="tgk_nobody"), 401), (request(path="/v1/nothing"), 404), (request(model="other"), 404),
                          (request(body=b"{not json"), 400), (request(method="GET", path="/nothing"), 404)):
        number, headers, body = talk.send(bad).answer()
        assert number == expected and json.loads(body)["error"]["message"] and "connection" not in headers
    assert talk.send(request()).answer()[0] == 200 and len(upstream.requests) == 1


def test_http_1_0_and_connection_close(rig):
    worker, _ = rig()
    body = json.dumps({"model": "m", "messages": []}).encode()
    old = (b"POST /v1/chat/completions HTTP/1.0\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\n"
           b"content-length: %d\r\n\r\n" % (KEY.encode(), len(body))) + body
    for data in (old, request(headers="connection: close\r\n")):
        talk = worker.talk().send(data)
        number, headers, _ = talk.answer()
        assert number == 200 and headers["connection"] == "close" and talk.closed()


def test_expect_is_answered_after_authentication(rig):
    worker, _ = rig()
    data = request(headers="expect: 100-continue\r\n")
    head, _, body = data.partition(b"\r\n\r\n")
    talk = worker.talk().send(head + b"\r\n\r\n")
    assert head_of(talk) == b"HTTP/1.1 100 Continue"
    assert talk.send(body).answer()[0] == 200
    talk = worker.talk().send(head.replace(KEY.encode(), b"tgk_wrong") + b"\r\n\r\n")
    assert talk.answer()[0] == 401


def test_head_options_and_methods(rig):
    worker, _ = rig(data_plane={"cors_origins": ["https://app.example"]})
    talk = worker.talk()
    number, headers, _ = talk.send(request(method="HEAD", path="/v1/models")).answer(head=True)
    assert number == 200 and int(headers["content-length"]) > 0
    asked = "origin: https://app.example\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization\r\n"
    number, headers, _ = talk.send(request(method="OPTIONS", path="/v1/chat/completions", headers=asked)).answer()
    assert number == 204 and headers["access-control-allow-origin"] == "https://app.example"
    assert headers["access-control-allow-headers"] == "authorization"
    number, headers, _ = talk.send(request(method="OPTIONS", path="/v1/chat/completions", headers="origin: https://other.example\r\n")).answer()
    assert number == 204 and "access-control-allow-origin" not in headers
    number, headers, _ = talk.send(request(method="GET")).answer()
    assert number == 405 and headers["allow"]


# ---- limits ----

@pytest.mark.parametrize("at_once", [True, False], ids=["whole", "dripped"])
def test_limits_of_size(rig, at_once):
    worker, upstream = rig(data_plane={"max_body_bytes": 65536, "max_header_bytes": 4096, "max_headers": 20})
    cases = ((request(body=b"x" * 65537), 413), (request(headers="x-a: %s\r\n" % ("y" * 5000)), 431),
             (request(headers="".join("x-%d: 1\r\n" % i for i in range(30))), 431))
    for data, expected in cases:
        talk = worker.talk()
        if at_once:
            talk.send(data)
        else:
            try:
                for i in range(0, len(data), 1024):
                    talk.send(data[i:i + 1024])
                    time.sleep(0.001)
            except OSError:
                pass
        number, headers, _ = talk.answer()
        assert number == expected and headers["connection"] == "close"
    assert upstream.requests == []
    assert worker.talk().send(request(body=b'{"model":"m","messages":[],"x":"%s"}' % (b"y" * 60000))).answer()[0] == 200


def test_limits_of_time(rig):
    worker, upstream = rig(data_plane={"header_timeout": "1s", "body_timeout": "1s", "keepalive_idle": "1s"})
    head, _, body = request().partition(b"\r\n\r\n")
    slow_head, slow_body, idle = worker.talk().send(head[:40]), worker.talk().send(head + b"\r\n\r\n" + body[:5]), worker.talk().send(request())
    assert idle.answer()[0] == 200
    assert slow_head.answer()[0] == 408 and slow_head.closed()
    assert slow_body.answer()[0] == 408 and slow_body.closed()
    assert idle.closed()
    assert len(upstream.requests) == 1


def test_too_many_connections_are_told_so(rig):
    worker, _ = rig(data_plane={"max_connections": 4})
    held = [worker.talk() for _ in range(4)]
    assert all(talk.send(request()).answer()[0] == 200 for talk in held)
    number, headers, _ = worker.talk().answer()
    assert number == 503 and int(headers["retry-after"]) >= 1
    assert "ok" in worker.admin("/healthz")
    held.pop().close()
    wait_until(lambda: worker.talk().send(request()).answer()[0] == 200, 20, "room for one more")


def test_a_large_body_with_the_model_at_its_end(rig):
    worker, upstream = rig()
    body = b'{"messages":[{"role":"user","content":"%s"}],"model":"m"}' % (b"ab" * (5 << 20))
    assert worker.talk(20).send(request(body=body)).answer()[0] == 200
    assert upstream.requests[0][1] == body.replace(b'"model":"m"', b'"model":"up"')


# ---- leaving ----

def leave(talk, how):
    if how == "reset":
        talk.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    talk.raw.close()


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("phase", ["waiting", "streaming", "before the head"])
def test_a_client_that_leaves_cancels_the_provider(rig, phase, how):
    asked, watches, took = threading.Event(), [], []

    def script(wire):
        wire.request()
        if phase == "streaming":
            wire.sse()
            wire.event(chunk("a"))
        elif phase == "before the head":
            wire.send(b"HTTP/1.1 200")
        asked.set()
        wire.gone(60)
        took.append(watches[0].seconds())
    worker, second = rig(script, answer_plainly, route={"fallback": {"enabled": True, "on": ["connect_error", "5xx"], "targets": [{"provider": "p1"}]}})[:2]
    talk = worker.talk().send(request(stream=phase == "streaming"))
    assert asked.wait(20)
    if phase == "streaming":
        head_of(talk)
        while b"\n\n" not in talk.rest:
            talk._fill()
    watches.append(Stopwatch())
    leave(talk, how)
    wait_until(lambda: took, 20, "the provider being let go")
    assert took[0] < 1.0
    worker.idle()
    assert worker.ended("client_closed") == 1
    estimated = worker.metric("tidegate_usage_estimated_total")
    assert estimated == 1, "what the provider was asked is charged"


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_document_is_charged(rig, stream):
    """Also where a stream was asked for and nothing of the document can be passed on yet."""
    half = json.dumps(completion("x" * 400)).encode().partition(b"x" * 400)[0] + b"x" * 400
    sent = threading.Event()

    def script(wire):
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9999\r\n\r\n" + half)
        sent.set()
        wire.gone(60)
    worker = rig(script)[0]
    talk = worker.talk().send(request(stream=stream))
    assert sent.wait(20)
    if stream:
        wait_until(worker.sleeps, 10, "all of it being read")
    else:
        head_of(talk)
        while not talk.rest.endswith(b"x" * 400):
            talk._fill()
    leave(talk, "reset")
    worker.idle()
    assert worker.ended("client_closed") == 1
    [tokens] = [float(line.rpartition(" ")[2]) for line in worker.admin("/metrics").split("\n")
                if line.startswith("tidegate_tokens_total{") and 'class="completion"' in line]
    assert 100 <= tokens < 130, "four bytes make a token"


def test_a_slow_reader_slows_the_provider(rig):
    sent = []

    def script(wire):
        wire.request()
        wire.sse()
        wire.raw.settimeout(30)
        event = json.dumps(chunk("x" * 4000)).encode()
        try:
            for _ in range(16000):
                wire.event(event)
                sent.append(1)
        except OSError:
            pass
    worker, _ = rig(script, data_plane={"stream_buffer_bytes": 65536})
    talk = worker.talk()
    talk.raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    talk.send(request(stream=True))
    head_of(talk)

    def stands_still():
        before = len(sent)
        time.sleep(0.5)
        return 0 < len(sent) == before
    wait_until(stands_still, 20, "the provider being read no further")
    assert len(sent) * 4200 < 24 << 20
    rss = worker.rss()
    other = worker.talk().send(request(method="GET", path="/v1/models"))
    assert other.answer()[0] == 200
    assert rss < 400 << 20
    talk.close()


def test_a_client_that_stops_reading_is_given_up(rig):
    def script(wire):
        wire.request()
        wire.sse()
        event = json.dumps(chunk("x" * 4000)).encode()
        for _ in range(16000):
            wire.event(event)
    worker, upstream = rig(script, data_plane={"stream_buffer_bytes": 65536, "write_stall_timeout": "1s"})
    talk = worker.talk()
    talk.send(request(stream=True))
    head_of(talk)
    wait_until(lambda: worker.ended("client_closed") == 1, 20, "the stalled client being given up")
    wait_until(lambda: worker.metric("tidegate_client_connections") == 0, 10, "its connection being closed")


def test_a_silent_stream_is_kept_alive(rig):
    pinged = threading.Semaphore(0)

    def script(wire):
        wire.request()
        assert pinged.acquire(timeout=20)
        wire.sse()
        wire.event(chunk("a"))
        assert pinged.acquire(timeout=20)
        wire.event(chunk("b", "stop"))
        wire.event(b"[DONE]")
        wire.last_chunk()
    worker, _ = rig(script, data_plane={"sse_keepalive": "1s"})
    talk = worker.talk(20).send(request(stream=True))
    assert b" 200 " in head_of(talk) and not talk.rest.lstrip().startswith(b"data")
    while b": ping" not in talk.rest:
        talk._fill()
    assert b"data: " not in talk.rest, "before the provider has said anything"
    pinged.release()
    while b": ping" not in talk.rest.partition(b"data: ")[2]:
        talk._fill()
    pinged.release()
    body, ended = read_chunked(talk)
    assert ended and body.startswith(b":") and body.rstrip().endswith(b"[DONE]")


# ---- changes, draining, trust ----

def test_changes_touch_no_request_in_flight(rig):
    go = threading.Event()

    def script(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("a"))
        go.wait(60)
        wire.event(chunk("b", "stop"))
        wire.event(b"[DONE]")
        wire.last_chunk()
    worker, upstream = rig(script, loops=2)
    talks = [worker.talk().send(request(stream=True)) for _ in range(10)]
    for talk in talks:
        head_of(talk)
    objects = config(upstream)
    for i in range(20):
        objects["routes"]["r%d" % i] = objects["routes"]["r"]
        worker.change(objects)
    worker.change({**objects, "providers": {}, "routes": {}})
    go.set()
    for talk in talks:
        body, ended = read_chunked(talk)
        assert ended and b"[DONE]" in body
    assert worker.talk().send(request()).answer()[0] == 404


def test_a_broken_file_changes_nothing(rig):
    worker, upstream = rig()
    worker.write({**config(upstream), "providers": {"p0": {"type": "openai", "base_url": "http://user@host/"}}})
    worker.daemon.send(1)
    wait_until(lambda: "not applied" in worker.daemon.log(), 20, "the refusal")
    assert "base_url" in worker.daemon.log() or "endpoints" in worker.daemon.log()
    assert worker.talk().send(request()).answer()[0] == 200


def test_draining_finishes_what_is_in_flight(rig):
    go = threading.Event()

    def script(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("a"))
        go.wait(60)
        wire.event(chunk("b", "stop"))
        wire.event(b"[DONE]")
        wire.last_chunk()
    worker, _ = rig(script)
    idle, talk = worker.talk(), worker.talk().send(request(stream=True))
    head_of(talk)
    worker.admin("/drain", "POST")
    assert idle.closed(), "an idle connection is closed soon"
    wait_until(lambda: refused(worker.port), 10, "no new connections")
    assert worker.daemon.running
    go.set()
    body, ended = read_chunked(talk)
    assert ended and b"[DONE]" in body
    assert worker.daemon.process.wait(40) == 0 and not worker.daemon.complaints()


def refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return False
    except ConnectionRefusedError:
        return True


def test_the_drain_limit_ends_streams_honestly(rig):
    def script(wire):
        wire.request()
        wire.sse()
        wire.event(chunk("a"))
        wire.gone(60)
    worker, _ = rig(script, data_plane={"drain_timeout": "1s"})
    talk = worker.talk().send(request(stream=True))
    head_of(talk)
    worker.daemon.send(15)
    body, ended = read_chunked(talk)
    assert ended and b"error" in body and b"[DONE]" not in body
    assert worker.daemon.process.wait(40) == 0 and not worker.daemon.complaints()


def certificate(folder, name, *, issuer=None, days=30, ca=False, san="DNS:up.example,IP:127.0.0.1"):
    key, crt = folder / (name + ".key"), folder / (name + ".pem")
    ext = folder / (name + ".ext")
    ext.write_text("subjectAltName=%s\nbasicConstraints=critical,CA:%s\n" % (san, str(ca).upper()))
    run = lambda *a: subprocess.run(["openssl", *map(str, a)], check=True, capture_output=True)
    run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", str(crt) + ".csr", "-subj", "/CN=" + name)
    sign = ["-signkey", key] if issuer is None else ["-CA", folder / (issuer + ".pem"), "-CAkey", folder / (issuer + ".key"), "-CAcreateserial"]
    run("x509", "-req", "-in", str(crt) + ".csr", "-out", crt, "-days", days, "-extfile", ext, *sign)
    return crt, key


def tls_upstream(crt, key, script=answer_plainly, chain=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    return Upstream(script, context)


def test_certificates(rig, tmp_path):
    certificate(tmp_path, "ca", ca=True)
    good = tls_upstream(*certificate(tmp_path, "good", issuer="ca"))
    wrong = tls_upstream(*certificate(tmp_path, "wrong", issuer="ca", san="DNS:other.example"))
    ca = (tmp_path / "ca.pem").read_text()
    worker, *_ = rig(good, wrong, provider={"tls": {"verify": True, "ca_pem": ca}})
    objects = config(good, wrong, provider={"tls": {"verify": True, "ca_pem": ca}})
    assert worker.talk().send(request()).answer()[0] == 200
    objects["routes"]["r"]["targets"] = [{"provider": "p1", "model": "up"}]
    worker.change(objects)
    number, _, body = worker.talk().send(request()).answer()
    assert number == 502 and b"tls" in body and wrong.requests == []
    objects["providers"]["p1"]["tls"]["server_name"] = "other.example"
    worker.change(objects)
    assert worker.talk().send(request()).answer()[0] == 200
    objects["providers"]["p1"]["tls"] = {"verify": True}
    worker.change(objects)
    assert worker.talk().send(request()).answer()[0] == 502, "an authority nobody named"
    objects["providers"]["p1"]["tls"] = {"verify": False}
    worker.change(objects)
    assert worker.talk().send(request()).answer()[0] == 200
    objects["providers"]["p1"]["tls"] = {"verify": True}
    worker.change(objects)
    assert worker.talk().send(request()).answer()[0] == 502, "a session made without trust must not be resumed"


def test_tls_streams_and_sessions(rig, tmp_path):
    certificate(tmp_path, "ca", ca=True)
    resumed = []

    def script(wire):
        while True:
            wire.request()
            resumed.append(wire.raw.session_reused)
            wire.sse()
            for i in range(50):
                wire.event(chunk("word %d " % i))
            wire.event(chunk("", "stop"))
            wire.event(b"[DONE]")
            wire.last_chunk()
    up = tls_upstream(*certificate(tmp_path, "good", issuer="ca"), script)
    worker, *_ = rig(up, provider={"tls": {"ca_pem": (tmp_path / "ca.pem").read_text()}})
    for _ in range(3):
        talk = worker.talk().send(request(stream=True))
        assert b" 200 " in head_of(talk)
        body, ended = read_chunked(talk)
        assert ended and body.count(b"data: ") == 52
        up.hang_up()
        time.sleep(0.1)
    assert resumed[0] is False and any(resumed[1:]), resumed


@pytest.mark.parametrize("address", ["169.254.169.254", "[fe80::1]", "0.0.0.0", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", "224.0.0.1"])
def test_some_addresses_are_never_dialled(rig, address):
    worker, up = rig()
    objects = config(up)
    objects["providers"]["p0"]["base_url"] = "http://%s/v1" % address
    objects["providers"]["p0"]["allow_private"] = True
    worker.change(objects)
    watch = Stopwatch()
    number, _, body = worker.talk().send(request()).answer()
    assert number == 502 and b"blocked" in body and watch.seconds() < 3


def test_private_addresses_only_where_allowed(rig):
    worker, up = rig()
    objects = config(up)
    objects["providers"]["p0"]["allow_private"] = False
    worker.change(objects)
    assert worker.talk().send(request()).answer()[0] == 502 and up.requests == []


def test_what_goes_out_is_built_not_copied(rig):
    worker, up = rig(provider={"headers": {"x-team": "blue"}})
    given = ("cookie: a=b\r\nx-tidegate-trick: 1\r\nx-forwarded-for: 9.9.9.9\r\nopenai-beta: assistants=v2\r\nuser-agent: me/1\r\n"
             "proxy-authorization: Basic x\r\nte: trailers\r\nx-api-key: %s\r\naccept-encoding: gzip\r\n" % KEY)
    assert worker.talk().send(request(headers=given, path="/v1/chat/completions?key=secret&beta=true")).answer()[0] == 200
    head = up.requests[0][0].lower()
    assert head.startswith(b"post /v1/chat/completions?beta=true http/1.1\r\nhost: 127.0.0.1:%d" % up.port)
    assert b"authorization: bearer sk-upstream-0" in head and head.count(b"authorization") == 1 and KEY.encode() not in head
    assert b"openai-beta: assistants=v2" in head and b"user-agent: me/1" in head and b"x-team: blue" in head
    assert b"accept-encoding: identity" in head
    for absent in (b"cookie", b"x-tidegate", b"x-forwarded-for", b"proxy-", b"te:", b"x-api-key", b"secret"):
        assert absent not in head, absent


@pytest.mark.parametrize("lines, allowed", [
    ("x-forwarded-for: 192.0.2.7\r\n", True),
    ("x-forwarded-for: 192.0.2.7\r\nx-forwarded-for: 203.0.113.9\r\n", False),
    ("x-forwarded-for: 203.0.113.9\r\nx-forwarded-for: 192.0.2.7\r\n", True),
    ("x-forwarded-for: 192.0.2.7\r\nx-forwarded-for: 203.0.113.9, 127.0.0.1\r\n", False),
    ("x-forwarded-for: 203.0.113.9, 192.0.2.7\r\nX-Forwarded-For: 127.0.0.1\r\n", True),
])
def test_the_nearest_hop_says_who_calls(rig, lines, allowed):
    worker, _ = rig(data_plane={"trusted_proxies": ["127.0.0.0/8"]}, route={"plugins": {"ip-restriction": {"allow": ["192.0.2.0/24"]}}})
    assert worker.talk().send(request(headers=lines)).answer()[0] == (200 if allowed else 403)


def test_a_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "static.json"
    path.write_text("{}")
    path.chmod(0o644)
    from harness.daemon import bin_dir, environment
    done = subprocess.run([bin_dir() / "tidegate-worker", "--static-config", path, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
                          capture_output=True, text=True, timeout=60, env=environment(tmp_path))
    assert done.returncode in (1, 2) and "static.json" in done.stderr
    assert os.path.exists(path)


# ---- refused while still arriving ----

def unsent(worker, s):
    """Bytes that stand in the worker's socket for this client, by the kernel's table."""
    mine, theirs = "%04X" % s.getsockname()[1], "%04X" % worker.port
    for line in open("/proc/net/tcp"):
        f = line.split()
        if f[1].endswith(":" + theirs) and f[2].endswith(":" + mine):
            return int(f[4].split(":")[0], 16)
    return 0


def unread(s):
    return struct.unpack("i", fcntl.ioctl(s, termios.FIONREAD, b"\0" * 4))[0]


@pytest.mark.parametrize("first, rest", [
    (b"OPTIONS /v1/x HTTP/1.1\r\nHo", b"st: a\r\nContent-Length: 9\r\n\r\nab"),
    (b"OPTIONS /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", b"cdefghi"),
], ids=["head", "body"])
def test_what_follows_a_late_refusal_is_not_read(rig, first, rest):
    """A 408 that cannot be written, because nobody reads, keeps its request open: the rest of it is no new request."""
    worker, _ = rig(data_plane={"header_timeout": "1s", "body_timeout": "1s", "write_stall_timeout": "20s"})
    ask = b"GET /" + b"x" * 90 + b" HTTP/1.1\r\nHost: a\r\nx-request-id: " + b"q" * 60 + b"\r\n\r\n"

    def connect():
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        s.connect(("127.0.0.1", worker.port))
        return s
    with connect() as s:
        s.sendall(ask)
        s.settimeout(5)
        answer = len(s.recv(4096))
    with connect() as s:
        s.setblocking(False)
        try:
            for _ in range(1200):
                s.send(ask * 20)
                time.sleep(0.001)
        except BlockingIOError:
            pass
        time.sleep(0.3)
        room = (unsent(worker, s) + unread(s)) // answer
    clients = []
    for n in range(max(room - 6, 0), room + 2):  # one of them fills the socket just so that the refusal does not fit
        s = connect()
        for at in range(0, n, 20):
            s.sendall(ask * min(20, n - at))
            time.sleep(0.001)
        s.sendall(first)
        clients.append(s)
    time.sleep(1.5)  # past the head's and the body's limit
    for s in clients:
        try:
            s.sendall(rest)
        except OSError:
            pass
    time.sleep(0.3)
    assert worker.daemon.running, worker.daemon.log()[-2000:]
    for s in clients:
        s.close()
