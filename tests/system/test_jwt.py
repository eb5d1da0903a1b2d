"""Consumers known by JSON Web Tokens: who is let in, and that every wrong token is refused with its reason."""
import base64
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization

from harness.admin import faults
from harness.tokens import Key, KeyServer, Shared, claims, token
from harness.waiting import wait_until

ISS = "https://idp.example.com/"
ASK = [{"role": "user", "content": "who am I?"}]
SECRET = "a-canary-secret-of-forty-characters-9f2c"
RSA, EC, OTHER = Key("RSA", "rsa-1"), Key("P-256", "ec-1"), Key("RSA", "rsa-1")


@pytest.fixture
def key_server():
    server = KeyServer()
    yield server
    server.close()


def issuer(gateway, name="idp", **more):
    body = {"name": name, "issuer": ISS, "audiences": ["tidegate"], "algorithms": ["RS256", "ES256"],
            "jwks": {"keys": [RSA.jwk(), EC.jwk()]}, **more}
    if body.get("secret"):
        gateway.secrets.add(body["secret"])
    return gateway.admin.post("jwt-issuers", {k: v for k, v in body.items() if v is not None})


@pytest.fixture
def house(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("r", "m", ("p0", "qwq-32b"), served=False)
    gateway.key()                       # a consumer that has a key too
    gateway.sim = vllm_sim

    def ask(bearer, model="m", **headers):
        gateway.secrets.add(bearer)
        client = gateway.client()
        return client.post("/chat/completions", json={"model": model, "messages": ASK}, headers={"Authorization": "Bearer " + bearer, **headers})
    gateway.ask = ask
    return gateway


def mapped(house, value="user-1", issuer_name="idp", consumer=None):
    return house.admin.post("consumers/%s/credentials" % (consumer or house.consumer),
                            {"type": "jwt", "name": "sso", "issuer": issuer_name, "value": value}).json()


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"])
def test_every_algorithm(house, alg):
    kind = {"R": "RSA", "P": "RSA", "H": None}.get(alg[0]) or {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}.get(alg)
    key = Shared(SECRET) if alg[0] == "H" else RSA if kind == "RSA" else Key(kind)
    issuer(house, algorithms=[alg], jwks=None if alg[0] == "H" else {"keys": [key.jwk()]}, secret=SECRET if alg[0] == "H" else None)
    mapped(house)
    house.wait_served()
    assert house.ask(token(key, alg, claims(ISS))).status_code == 200
    good = token(key, alg, claims(ISS))
    head, body, signature = good.split(".")
    forged = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged["sub"] = "root"
    changed = head + "." + base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode() + "." + signature
    refused = house.ask(changed)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "token_signature")
    assert not any(good[:40] in value for call in house.sim.chats() for _, value in call.headers)


def wrong_tokens():
    now = int(time.time())
    pem = RSA.private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    good = token(RSA, "RS256", claims(ISS))
    head, body, signature = good.split(".")
    weak = Key("RSA", "rsa-1", bits=1024)
    return {
        "alg none": (token(None, "none", claims(ISS)) + "", "token_algorithm"),
        "alg None, signed": (token(RSA, "RS256", claims(ISS), {"alg": "NoNe"}), "token_algorithm"),
        "alg none, no dot": (".".join(token(None, "none", claims(ISS)).split(".")[:2]), "invalid_api_key"),
        "key confusion, PEM": (token(Shared(pem, "rsa-1"), "HS256", claims(ISS)), "token_algorithm"),
        "key confusion, DER": (token(Shared(pem.strip(), None), "HS256", claims(ISS)), "token_algorithm"),
        "alg not allowed": (token(RSA, "RS512", claims(ISS)), "token_algorithm"),
        "RS with the EC key": (token(RSA, "RS256", claims(ISS), {"kid": "ec-1"}), "token_key"),
        "wrong kid": (token(RSA, "RS256", claims(ISS), {"kid": "nobody"}), "token_key"),
        "kid is a path": (token(RSA, "RS256", claims(ISS), {"kid": "../../etc/passwd"}), "token_key"),
        "kid is a number": (token(RSA, "RS256", claims(ISS), {"kid": 7}), "token_malformed"),
        "kid of another": (token(OTHER, "RS256", claims(ISS)), "token_signature"),
        "weak key": (token(weak, "RS256", claims(ISS)), "token_signature"),
        "own key in the header": (token(OTHER, "RS256", claims(ISS), {"jwk": OTHER.jwk(), "jku": "http://127.0.0.1:9/"}), "token_signature"),
        "expired": (token(RSA, "RS256", claims(ISS, lasts=-61)), "token_expired"),
        "not yet valid": (token(RSA, "RS256", claims(ISS, nbf=now + 200)), "token_not_yet_valid"),
        "issued in the future": (token(RSA, "RS256", {**claims(ISS), "iat": now + 3600, "exp": now + 7200}), "token_not_yet_valid"),
        "never expires": (token(RSA, "RS256", {"iss": ISS, "sub": "user-1", "aud": "tidegate"}), "token_claims"),
        "exp is a text": (token(RSA, "RS256", {**claims(ISS), "exp": "soon"}), "token_claims"),
        "wrong audience": (token(RSA, "RS256", claims(ISS, aud="other")), "token_audience"),
        "no audience": (token(RSA, "RS256", {k: v for k, v in claims(ISS).items() if k != "aud"}), "token_audience"),
        "audiences of others": (token(RSA, "RS256", claims(ISS, aud=["a", "b"])), "token_audience"),
        "wrong issuer": (token(RSA, "RS256", claims("https://evil.example.com/")), "token_issuer"),
        "no issuer": (token(RSA, "RS256", {"sub": "user-1"}), "token_issuer"),
        "issuer is a list": (token(RSA, "RS256", {**claims(ISS), "iss": [ISS]}), "token_issuer"),
        "truncated": (good[:-10], "token_signature"),
        "truncated to a dot": (head + "." + body + ".", "token_malformed"),
        "crit": (token(RSA, "RS256", claims(ISS), {"crit": ["exp"]}), "token_malformed"),
        "claim twice": (token(RSA, "RS256", None, raw_payload=json.dumps(claims(ISS)).encode()[:-1] + b', "sub": "root"}'), "token_malformed"),
        "payload is a list": (token(RSA, "RS256", None, raw_payload=b'["x"]'), "token_malformed"),
        "payload is no JSON": (token(RSA, "RS256", None, raw_payload=b"hello"), "token_malformed"),
        "payload is deep": (token(RSA, "RS256", None, raw_payload=b'{"a":' + b"[" * 200 + b"]" * 200 + b"}"), "token_malformed"),
        "an ID of another type": (token(RSA, "RS256", claims(ISS), {"typ": "dpop+jwt"}), "token_malformed"),
        "huge": (token(RSA, "RS256", claims(ISS, pad="x" * 9000)), "token_malformed"),
        "unknown subject": (token(RSA, "RS256", claims(ISS, sub="stranger")), "token_subject"),
        "no subject": (token(RSA, "RS256", {k: v for k, v in claims(ISS).items() if k != "sub"}), "token_subject"),
    }


def test_every_wrong_token_is_refused_with_its_reason(house):
    issuer(house)
    mapped(house)
    house.wait_served()
    seen = {}
    wanted = {}
    for name, (text, code) in wrong_tokens().items():
        answer = house.ask(text)
        seen[name] = (answer.status_code, answer.json()["error"]["code"])
        wanted[name] = (401, code)
    assert seen == wanted
    assert house.sim.chats() == []
    assert house.ask(token(RSA, "RS256", claims(ISS, lasts=-30))).status_code == 200, "within the tolerance"


def test_who_stands_behind_a_token(house):
    admin = house.admin
    admin.post("consumers", {"name": "visitors"})
    admin.post("consumers", {"name": "alice"})
    issuer(house, consumer_claim="ext.user", claim_is_consumer=True, default_consumer="visitors")
    made = mapped(house, "bob@example.com")
    house.wait_served()

    def served(user):
        more = {} if user is None else {"ext": {"user": user}}
        assert house.ask(token(EC, "ES256", claims(ISS, **more))).status_code == 200
    for user in ("alice", "bob@example.com", "somebody", None):
        served(user)
    counted = wait_until(lambda: (lambda rows: rows if sum(rows.values()) >= 4 else None)(
        {r["consumer"]: r["requests"] for r in admin.get("usage?group_by=consumer").json()["items"] if r["consumer"] in ("alice", "visitors", house.consumer)}),
        10, "four requests in the usage report")
    assert counted == {"alice": 1, house.consumer: 1, "visitors": 2}
    wait_until(lambda: admin.get("consumers/%s/credentials" % house.consumer).json()["items"][0]["last_used_at"], 20, "the last use of the credential")
    admin.patch("consumers/%s/credentials/%s" % (house.consumer, made["id"]), {"enabled": False})
    house.wait_served()
    refused = house.ask(token(EC, "ES256", claims(ISS, ext={"user": "bob@example.com"})))
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "token_subject")


def test_groups_of_a_token(house):
    admin = house.admin
    admin.post("groups", {"name": "design"})
    admin.post("groups", {"name": "small-only", "models": ["small"]})
    admin.post("routes", {"name": "pictures", "match": {"models": [{"type": "exact", "value": "vision"}]},
                          "targets": [{"provider": "p0", "model": "qwq-32b"}], "auth": {"required": True, "groups": ["design"]}})
    issuer(house, groups_claim="roles", group_map={"Design Dept": "design"})
    mapped(house)
    house.wait_served()

    def status(model, roles):
        return house.ask(token(RSA, "RS256", claims(ISS, roles=roles)), model).status_code
    assert [status("vision", roles) for roles in ([], ["x"], ["Design Dept"], "design", ["design", "x"])] == [403, 403, 200, 200, 200]
    assert (status("m", ["x"]), status("m", ["small-only"])) == (200, 403)


def test_keys_from_an_address(house, key_server):
    old, new = Key("RSA", "2026-01"), Key("RSA", "2026-02")
    key_server.keys = [old]
    issuer(house, jwks=None, jwks_url=key_server.url)
    mapped(house)
    house.wait_served()
    assert house.ask(token(old, "RS256", claims(ISS))).status_code == 200
    asked, began = key_server.asked, time.monotonic()
    for _ in range(5):
        assert house.ask(token(old, "RS256", claims(ISS))).status_code == 200
        refused = house.ask(token(new, "RS256", claims(ISS)))
        assert refused.json()["error"]["code"] == "token_key"
    allowed = 1 + (time.monotonic() - began) / 5         # a new kid may make it ask every five seconds
    assert key_server.asked <= asked + allowed, "strangers' kids must not make it ask again and again"


def test_a_rotation_is_followed_at_once(house, key_server):
    old, new = Key("P-256", "one"), Key("P-256", "two")
    key_server.keys = [old]
    issuer(house, jwks=None, jwks_url=key_server.url)
    mapped(house)
    house.wait_served()
    assert house.ask(token(old, "ES256", claims(ISS))).status_code == 200
    key_server.keys = [new]
    # Within 5 s of the last fetch a new kid has to wait; then the first such token makes it happen.
    wait_until(lambda: house.ask(token(new, "ES256", claims(ISS))).status_code == 200, 30, "the new key", every=0.5)
    assert house.ask(token(old, "ES256", claims(ISS))).json()["error"]["code"] == "token_key"


def test_requests_wait_for_the_keys_and_not_for_ever(house, key_server):
    import threading
    key = Key("RSA", "late")
    key_server.keys = [key]
    other = house.key("other")
    key_server.gate.clear()
    issuer(house, jwks=None, jwks_url=key_server.url)
    mapped(house)
    house.wait_served()
    wait_until(lambda: key_server.asked, 20, "the fetch to begin")
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(house.ask(token(key, "RS256", claims(ISS))).status_code)) for _ in range(3)]
    for one in asking:
        one.start()
    assert house.client(other).get("/models").status_code == 200   # the loop is free meanwhile
    key_server.gate.set()
    for one in asking:
        one.join()
    assert answers == [200, 200, 200] and key_server.asked == 1


def test_an_unreachable_address_is_our_fault_not_the_clients(house):
    from harness.ports import free_port
    issuer(house, jwks=None, jwks_url="http://127.0.0.1:%d/jwks" % free_port())
    mapped(house)
    house.wait_served()
    answer = house.ask(token(RSA, "RS256", claims(ISS)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "auth_unavailable")
    assert int(answer.headers["retry-after"]) >= 1


def test_keys_work_next_to_tokens(house):
    issuer(house)
    mapped(house)
    house.wait_served()
    key = house.admin.post("consumers/%s/keys" % house.consumer, {"name": "second"}).json()["secret"]
    house.wait_served()
    assert house.ask(key).status_code == 200
    assert house.ask(token(RSA, "RS256", claims(ISS))).status_code == 200
    both = house.ask(key, **{"x-api-key": token(RSA, "RS256", claims(ISS))})
    assert both.status_code == 401


@pytest.mark.parametrize("body, path", [
    ({"jwks": None}, "/jwks_url"), ({"algorithms": ["HS256"], "jwks": None}, "/secret"), ({"algorithms": ["none"]}, "/algorithms/0"),
    ({"secret": "short"}, "/secret"), ({"jwks": {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}}, "/jwks/keys/0"),
    ({"jwks": {"keys": [Key("RSA", bits=1024).jwk()]}}, "/jwks/keys/0"), ({"jwks": {"keys": [{**EC.jwk(), "x": EC.jwk()["y"]}]}}, "/jwks/keys/0"),
    ({"jwks_url": "http://x/"}, "/jwks_url"), ({"default_consumer": "nobody"}, "/default_consumer"), ({"clock_skew": "1h"}, "/clock_skew"),
    ({"group_map": {"a": "Not A Name"}}, "/group_map/a"), ({"issuer": ""}, "/issuer"),
])
def test_bad_issuers_are_refused_by_name(gateway, body, path):
    sent = {"name": "idp", "issuer": ISS, "jwks": {"keys": [RSA.jwk()]}, "algorithms": ["RS256"], **body}
    refused = gateway.admin.post("jwt-issuers", {k: v for k, v in sent.items() if v is not None}, expect=400)
    assert faults(refused)[0][0] == path, refused.text


def test_the_secret_is_write_only_and_references_hold(house):
    admin = house.admin
    made = issuer(house, algorithms=["HS256"], jwks=None, secret=SECRET).json()
    assert set(made["secret"]) == {"last4", "fingerprint", "created_at"}
    assert SECRET not in admin.get("jwt-issuers").text + admin.get("config").text + admin.get("audit").text
    credential = mapped(house)
    assert admin.delete("jwt-issuers/idp", expect=409).json()["errors"][0]["url"].endswith("/consumers/" + house.consumer)
    admin.post("consumers/%s/credentials" % house.consumer, {"type": "jwt", "issuer": "idp", "value": "user-1"}, expect=409)
    assert faults(admin.post("consumers/%s/credentials" % house.consumer, {"type": "jwt", "issuer": "no", "value": "x"}, expect=400)) == [("/issuer", "unknown_reference")]
    assert faults(admin.post("consumers/%s/credentials" % house.consumer, {"type": "jwt", "issuer": "idp"}, expect=400)) == [("/value", "required")]
    document = admin.get("config").json()
    assert admin.put("config", document).json()["plan"] == []
    admin.delete("consumers/%s/credentials/%s" % (house.consumer, credential["id"]))
    admin.delete("jwt-issuers/idp")
