"""What goes over the wire and what must not: framing, headers, credentials, ambiguous bodies, limits."""
import json

import httpx
import pytest

from harness.rawhttp import Talk, exchange

ASK = [{"role": "user", "content": "hello"}]
BODY = json.dumps({"model": "m", "messages": ASK}).encode()


@pytest.fixture
def key(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("r0", "m", ("p0", "qwq-32b"), served=False)
    return gateway.key()


def post(key, body=BODY, *headers, path="/v1/chat/completions", method="POST"):
    """The bytes of a good request; headers are added at its end."""
    lines = ["%s %s HTTP/1.1" % (method, path), "Host: gateway", "Authorization: Bearer " + key,
             "Content-Type: application/json", "Content-Length: %d" % len(body), *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def test_the_good_request_is_good(gateway, key):
    """Guards the table below: what it spoils is otherwise accepted."""
    assert Talk(gateway.data_port).send(post(key)).answer()[0] == 200


BAD_FRAMING = {
    "length and coding": lambda r: r.replace(b"Host:", b"Transfer-Encoding: chunked\r\nHost:"),
    "two lengths": lambda r: r.replace(b"Host:", b"Content-Length: 3\r\nHost:"),
    "same length twice in one": lambda r: r.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: %d, %d" % (len(BODY), len(BODY))),
    "length with a plus": lambda r: r.replace(b"Content-Length: ", b"Content-Length: +"),
    "negative length": lambda r: r.replace(b"Content-Length: ", b"Content-Length: -"),
    "hexadecimal length": lambda r: r.replace(b"Content-Length: ", b"Content-Length: 0x"),
    "empty length": lambda r: r.replace(b"Content-Length: %d" % len(BODY), b"Content-Length:"),
    "enormous length": lambda r: r.replace(b"Content-Length: ", b"Content-Length: 99999999999999999999"),
    "gzip coding": lambda r: r.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: gzip, chunked"),
    "chunked not last": lambda r: r.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked, identity"),
    "chunked twice": lambda r: r.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
    "xchunked": lambda r: r.replace(b"Content-Length: %d" % len(BODY), b"Transfer-Encoding: xchunked"),
    "space before colon": lambda r: r.replace(b"Host:", b"X-A : b\r\nHost:"),
    "folded header": lambda r: r.replace(b"Host: gateway", b"Host: gateway\r\nX-A: b\r\n c"),
    "bare LF": lambda r: r.replace(b"Host: gateway\r\n", b"Host: gateway\nX-A: b\r\n"),
    "bare CR": lambda r: r.replace(b"Host: gateway\r\n", b"Host: gateway\r\nX-A: b\rc\r\n"),
    "NUL in a value": lambda r: r.replace(b"Host:", b"X-A: b\0c\r\nHost:"),
    "empty name": lambda r: r.replace(b"Host:", b": b\r\nHost:"),
    "no colon": lambda r: r.replace(b"Host:", b"nonsense\r\nHost:"),
    "two hosts": lambda r: r.replace(b"Host:", b"Host: other\r\nHost:"),
    "no host": lambda r: r.replace(b"Host: gateway\r\n", b""),
    "three blank lines": lambda r: b"\r\n\r\n\r\n" + r,
    "version 1.2": lambda r: r.replace(b"HTTP/1.1", b"HTTP/1.2", 1),
    "version 0.9": lambda r: r.replace(b" HTTP/1.1", b"", 1),
    "garbage": lambda r: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + r,
}


@pytest.mark.parametrize("name", list(BAD_FRAMING))
def test_bad_framing_is_refused_and_the_connection_ends(gateway, key, vllm_sim, name):
    answer = exchange(gateway.data_port, BAD_FRAMING[name](post(key)))
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 ", b"HTTP/1.1 501 ", b"HTTP/1.1 413 ")), answer[:200]
    assert answer.count(b"\nHTTP/1.1 ") == 0 and b"onnection: close" in answer
    assert vllm_sim.requests == [], "the upstream sees nothing"


@pytest.mark.parametrize("chunks", [b"2\r\n{}\r\n0\r\n\r\n"[:0] + b"zz\r\n{}\r\n0\r\n\r\n", b"2\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n",
                                    b"-2\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"fffffffffffffffff\r\n{}\r\n"])
def test_bad_chunks_are_refused(gateway, key, vllm_sim, chunks):
    head = post(key, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    answer = exchange(gateway.data_port, head + chunks)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 413 ")) and vllm_sim.requests == []


def test_chunked_requests_go_up_with_a_length(gateway, key, vllm_sim):
    head = post(key, b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(BODY[i:i + 9]), BODY[i:i + 9]) for i in range(0, len(BODY), 9)) + b"0\r\n\r\n"
    talk = Talk(gateway.data_port).send(head + chunks)
    assert talk.answer()[0] == 200
    assert vllm_sim.last.header("content-length") == str(len(vllm_sim.last.body))
    assert vllm_sim.last.header("transfer-encoding") is None


def test_what_a_client_sends_that_must_not_go_up(gateway, key, vllm_sim):
    """The simulator refuses hop-by-hop headers, cookies, x-tidegate-* and our keys; the fixture looks at its list."""
    answer = gateway.client(key).post("/chat/completions", content=BODY, headers={
        "Content-Type": "application/json", "Cookie": "session=1", "X-Tidegate-Route": "other", "TE": "trailers",
        "Proxy-Authorization": "Basic eDp5", "Connection": "keep-alive, X-Secret-Hop", "X-Secret-Hop": "1", "Keep-Alive": "timeout=5",
        "Upgrade": "websocket", "X-Api-Key": key, "Api-Key": key})
    assert answer.status_code == 200
    sent = {name.lower() for name, _ in vllm_sim.last.headers}
    assert not sent & {"x-secret-hop", "cookie", "x-api-key", "api-key", "x-goog-api-key", "authorization"}
    assert vllm_sim.last.header("host") == "127.0.0.1:%d" % vllm_sim.port


def test_what_a_vendor_sends_that_must_not_come_down(gateway, openai_sim):
    """T35."""
    gateway.provider("p0", openai_sim)
    gateway.route("r0", "m", ("p0", "gpt-4.1-nano"))
    answer = gateway.client(gateway.key()).post("/chat/completions", json={"model": "m", "messages": ASK})
    assert "set-cookie" not in answer.headers and "keep-alive" not in answer.headers
    assert (answer.headers["x-tidegate-provider"], answer.headers["x-tidegate-route"]) == ("p0", "r0")
    assert answer.headers["x-tidegate-attempts"] == "1"


def test_every_answer_has_a_request_id_of_its_own(gateway, key):
    client = gateway.client(key)
    ids = [client.post("/chat/completions", json={"model": model, "messages": ASK}).headers["x-request-id"] for model in "mmx"]
    ids.append(gateway.client().get("/models").headers["x-request-id"])
    assert len(set(ids)) == 4 and all(len(i) >= 16 for i in ids)


@pytest.mark.parametrize("body, code", [
    (b"", "invalid_json"), (b"{", "invalid_json"), (b"[]", "invalid_json"), (b"null", "invalid_json"),
    (b'{"model":"m"} x', "invalid_json"), (b'{"model":"m","messages":' + b"[" * 200 + b"]" * 200 + b"}", "invalid_json"),
    (b'{"model":"m","x":"\xff\xfe"}', "invalid_json"),
    (b'{"messages":[]}', "missing_required_parameter"), (b'{"model":7}', "missing_required_parameter"),
    (b'{"model":"m","model":"m"}', "ambiguous_member"), (b'{"model":"m","mod\\u0065l":"x"}', "ambiguous_member"),
    (b'{"model":"m","stream":true,"stream":false}', "ambiguous_member"),
    (b'{"model":"m","max_tokens":1,"max_tokens":9}', "ambiguous_member"),
    (b'{"model":"m","n":1,"n":9}', "ambiguous_member"),
])
def test_bodies_that_cannot_be_read_in_one_way(gateway, key, vllm_sim, body, code):
    answer = gateway.client(key).post("/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == code, answer.text
    assert vllm_sim.requests == []


def test_an_escaped_member_name_is_the_same_member(gateway, key, vllm_sim):
    body = b'{"mod\\u0065l":"m","messages":[{"role":"user","content":"x"}]}'
    answer = gateway.client(key).post("/chat/completions", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200 and vllm_sim.last.json["model"] == "qwq-32b"


def test_the_model_at_the_end_of_a_large_body(gateway, key, vllm_sim):
    body = b'{"messages":[{"role":"user","content":"' + b"tide " * 1_000_000 + b'"}],"model":"m"}'
    answer = gateway.client(key).post("/chat/completions", content=body, headers={"Content-Type": "application/json"}, timeout=60)
    assert answer.status_code == 200 and len(vllm_sim.last.body) == len(body) - 1 + len("qwq-32b")


def test_limits(gateway, key):
    big = post(key, b"").replace(b"Content-Length: 0", b"Content-Length: 33554433")
    assert exchange(gateway.data_port, big).startswith(b"HTTP/1.1 413 ")
    assert exchange(gateway.data_port, post(key, BODY, "X-Big: " + "a" * 40_000)).startswith(b"HTTP/1.1 431 ")
    assert exchange(gateway.data_port, post(key, BODY, *["X-%d: a" % i for i in range(120)])).startswith(b"HTTP/1.1 431 ")
    assert exchange(gateway.data_port, post(key, path="/v1/" + "a" * 20_000)).startswith(b"HTTP/1.1 414 ")


def test_expect_is_answered_after_authentication(gateway, key):
    for credential, first in ((key, 100), ("tgk_" + "x" * 43, 401)):
        talk = Talk(gateway.data_port).send(post(credential, BODY, "Expect: 100-continue")[:-len(BODY)])
        assert talk.answer()[0] == first
        if first == 100:
            assert talk.send(BODY).answer()[0] == 200
        talk.close()


def test_pipelined_requests_are_served_in_order(gateway, key):
    bodies = [json.dumps({"model": m, "messages": ASK}).encode() for m in ("m", "absent-1", "m", "absent-2")]
    talk = Talk(gateway.data_port, 10).send(b"".join(post(key, body) for body in bodies))
    answers = [talk.answer() for _ in bodies]
    assert [status for status, _, _ in answers] == [200, 404, 200, 404]
    assert b"absent-1" in answers[1][2] and b"absent-2" in answers[3][2]
    talk.close()


def test_one_byte_at_a_time(gateway, key):
    talk = Talk(gateway.data_port, 10)
    for byte in post(key):
        talk.send(bytes([byte]))
    assert talk.answer()[0] == 200
    talk.close()


def test_connections_are_kept(gateway, key, vllm_sim):
    talk = Talk(gateway.data_port)
    for _ in range(5):
        assert talk.send(post(key)).answer()[0] == 200
    talk.close()
    assert len({request.connection for request in vllm_sim.requests}) == 1
    last = Talk(gateway.data_port).send(post(key, BODY, "Connection: close"))
    assert last.answer()[0] == 200 and last.closed()


def test_methods_and_paths(gateway, key):
    client = gateway.client(key)
    for method, path, status in (("GET", "/v1/chat/completions", 405), ("POST", "/v1/nothing", 404), ("GET", "/", 404),
                                 ("POST", "/v1/models", 405), ("HEAD", "/v1/models", 200), ("DELETE", "/v1/chat/completions", 405)):
        answer = client.request(method, "http://127.0.0.1:%d%s" % (gateway.data_port, path))
        assert answer.status_code == status, (method, path, answer.status_code)
        assert method == "HEAD" or status == 200 or answer.json()["error"]["message"]


def test_browsers_may_ask_first(gateway):
    gateway.admin.patch("settings", {"data_plane": {"cors_origins": ["https://app.example"]}})
    gateway.wait_served()
    answer = httpx.options(gateway.url + "/chat/completions", trust_env=False, verify=False, headers={
        "Origin": "https://app.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"})
    assert answer.status_code in (200, 204) and answer.headers["access-control-allow-origin"]


def test_upstream_certificates_are_verified(gateway, start_sim):
    vendor = start_sim("vllm", tls=True)
    gateway.provider("p0", vendor, type="vllm")
    gateway.route("r0", "m", ("p0", "qwq-32b"))
    client = gateway.client(gateway.key())
    refused = client.post("/chat/completions", json={"model": "m", "messages": ASK})
    assert refused.status_code == 502 and vendor.requests == [], "nothing is said to a stranger"
    for tls in ({"verify": True, "ca_pem": vendor.ca_pem}, {"verify": False}):
        gateway.admin.patch("providers/p0", {"tls": tls})
        gateway.wait_served()
        assert client.post("/chat/completions", json={"model": "m", "messages": ASK}).status_code == 200
    assert len(vendor.requests) == 2


def test_worker_admin(gateway, key):
    newest = gateway.admin.get("overview").json()["revision"]
    for path in ("/healthz", "/readyz"):
        assert httpx.get(gateway.worker_url() + path, trust_env=False, verify=False).status_code == 200
    snapshot = httpx.get(gateway.worker_url() + "/snapshot", trust_env=False, verify=False).json()
    assert snapshot["revision"] == newest and len(snapshot["digest"]) >= 32
    assert gateway.metrics()["tidegate_snapshot_revision"] == newest
