"""Requests signed with a shared secret: what is bound by the signature, and that nothing can be sent twice."""
import hashlib
import json
import secrets
import time

import httpx
import pytest

from harness.admin import faults
from harness.tokens import signed_headers

SECRET = "a-canary-signing-secret-4d1f8e2b7c9a"
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "signed"}]}).encode()


@pytest.fixture
def signer(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("r", "m", ("p0", "qwq-32b"), served=False)
    gateway.admin.post("consumers", {"name": gateway.consumer})
    gateway.secrets.add(SECRET)
    made = gateway.admin.post("consumers/%s/credentials" % gateway.consumer, {"type": "hmac", "key_id": "partner-1", "secret": SECRET}).json()
    gateway.wait_served()
    client = gateway.client()

    def send(body=BODY, sent=None, path="/v1/chat/completions", method="POST", change=None, key_id="partner-1", secret=SECRET, **more):
        url = httpx.URL("http://127.0.0.1:%d%s" % (gateway.data_port, path))
        headers = signed_headers(key_id, secret, method, url, body, **more)
        headers.update(change or {})
        headers = {name: value for name, value in headers.items() if value is not None}
        answer = client.request(method, url, content=body if sent is None else sent, headers=headers)
        return answer.status_code, None if answer.status_code == 200 else answer.json()["error"]["code"]
    send.made, send.sim = made, vllm_sim
    return send


def test_a_signed_request_is_served(signer, gateway):
    assert signer() == (200, None)
    assert signer() == (200, None)
    assert signer(b"", path="/v1/models?a=1", method="GET", content_type="", change={"content-type": None}) == (200, None)
    big = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 300000}]}).encode()
    assert signer(big) == (200, None)
    for call in signer.sim.chats():
        assert not any(name.lower().startswith("x-tidegate") or "HMAC" in value for name, value in call.headers)
    [row] = gateway.usage(requests=3)
    assert row["requests"] == 3


@pytest.mark.parametrize("how, code", [
    ({"secret": SECRET + "x"}, "signature_mismatch"), ({"key_id": "nobody"}, "signature_key"),
    ({"sent": BODY.replace(b"signed", b"forged")}, "signature_body"), ({"sent": b""}, "signature_body"),
    ({"digest": hashlib.sha256(b"other").hexdigest()}, "signature_body"),
    ({"change": {"x-tidegate-content-sha256": hashlib.sha256(b"other").hexdigest()}}, "signature_mismatch"),
    ({"change": {"x-tidegate-nonce": "another-nonce-of-24-bytes"}}, "signature_mismatch"),
    ({"change": {"content-type": "text/plain"}}, "signature_mismatch"),
    ({"date": "2020-01-01T00:00:00Z"}, "signature_time"),
    ({"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86400))}, "signature_time"),
    ({"date": "yesterday"}, "signature_malformed"), ({"nonce": "short"}, "signature_malformed"),
    ({"change": {"x-tidegate-nonce": None}}, "signature_malformed"),
    ({"change": {"x-tidegate-date": None}}, "signature_malformed"),
    ({"change": {"x-tidegate-content-sha256": "zz"}}, "signature_malformed"),
    ({"change": {"authorization": "TIDEGATE-HMAC-SHA256 nonsense"}}, "signature_malformed"),
])
def test_what_is_not_signed_so_is_refused(signer, how, code):
    assert signer(**how) == (401, code)
    assert signer.sim.chats() == []


def test_the_address_is_signed(signer, gateway):
    url = httpx.URL("http://127.0.0.1:%d/v1/embeddings" % gateway.data_port)
    assert signer(change=signed_headers("partner-1", SECRET, "POST", url, BODY)) == (401, "signature_mismatch")
    url = httpx.URL("http://elsewhere.example.com/v1/chat/completions")
    stolen = signed_headers("partner-1", SECRET, "POST", url, BODY)
    stolen["host"] = "127.0.0.1:%d" % gateway.data_port
    assert signer(change=stolen) == (401, "signature_mismatch")


def test_no_request_is_served_twice(signer):
    """T19."""
    nonce = secrets.token_urlsafe(18)
    assert signer(nonce=nonce) == (200, None)
    assert signer(nonce=nonce) == (401, "signature_replayed")
    # A nonce is used up by a right signature only: a forger cannot burn it.
    other = secrets.token_urlsafe(18)
    assert signer(nonce=other, secret=SECRET + "x") == (401, "signature_mismatch")
    assert signer(nonce=other) == (200, None)


def test_a_key_beside_the_signature_is_refused(signer):
    assert signer(change={"x-api-key": "tgk_whatever-it-is"})[0] == 401


def test_disable_rotate_and_delete(signer, gateway):
    admin, path = gateway.admin, "consumers/%s/credentials" % gateway.consumer
    admin.patch("%s/%s" % (path, signer.made["id"]), {"enabled": False})
    gateway.wait_served()
    assert signer() == (401, "signature_key")
    admin.patch("%s/%s" % (path, signer.made["id"]), {"enabled": True, "expires_at": "2020-01-01T00:00:00Z"})
    gateway.wait_served()
    assert signer() == (401, "signature_key")
    fresh = admin.post(path, {"type": "hmac", "name": "second"}).json()
    gateway.secrets.add(fresh["secret"])
    gateway.wait_served()
    assert fresh["secret"].startswith("tgh_") and fresh["key_id"]
    assert signer(key_id=fresh["key_id"], secret=fresh["secret"]) == (200, None)
    listed = admin.get(path).json()["items"]
    assert fresh["secret"] not in json.dumps(listed) and {c["last4"] for c in listed} == {SECRET[-4:], fresh["secret"][-4:]}
    document = admin.get("config").json()
    assert SECRET not in json.dumps(document) and admin.put("config", document).json()["plan"] == []
    admin.delete("%s/%s" % (path, fresh["id"]))
    gateway.wait_served()
    assert signer(key_id=fresh["key_id"], secret=fresh["secret"]) == (401, "signature_key")


def test_bad_credentials_are_refused_by_name(signer, gateway):
    admin, path = gateway.admin, "consumers/%s/credentials" % gateway.consumer
    assert faults(admin.post(path, {"type": "hmac", "key_id": "partner-1"}, expect=409))[0][0] == "/key_id"
    assert faults(admin.post(path, {"type": "hmac", "secret": "short"}, expect=400))[0][0] == "/secret"
    assert faults(admin.post(path, {"type": "hmac", "key_id": "no blanks please"}, expect=400))[0][0] == "/key_id"
    assert faults(admin.post(path, {"type": "mtls", "match": "fingerprint", "value": "abc"}, expect=400))[0][0] == "/value"
    assert faults(admin.post(path, {"type": "mtls", "match": "san", "value": "app1"}, expect=400))[0][0] == "/value"
    assert faults(admin.post(path, {"type": "password"}, expect=400))[0][0] == "/type"
