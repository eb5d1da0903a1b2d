"""Who calls: what a provider is told about it, whom it believes, and addresses that hold for a consumer and a group."""
import httpx

import pytest

from harness.worker import KEY, Upstream, Worker, answer_plainly, config, request

CLAIMS = ("X-Mse-Consumer", "x-consumer-username", "X-Consumer-Custom-ID", "X-Consumer-Groups", "X-Credential-Identifier", "X-Higress-Consumer",
          "x-tidegate-consumer", "X_Tidegate_Consumer", "x_mse_consumer", "X-Authenticated-Userid", "X-Auth-Request-Email", "Remote-User",
          "X-Remote-User", "X-Forwarded-User", "X-WebAuth-User", "X-Goog-Authenticated-User-Email", "X-Amzn-Oidc-Identity", "X-Ms-Client-Principal")
OTHER = "tgk_worker-test-key-of-another"


@pytest.fixture
def rig(tmp_path):
    made = []

    def make(change=lambda objects: None, **more):
        upstream = Upstream(answer_plainly)
        objects = config(upstream, **more)
        objects["consumers"]["other"] = {"keys": [{"id": "k2", "secret": OTHER, "enabled": True}]}
        change(objects)
        worker = Worker(tmp_path, objects)
        made.append((worker, upstream))
        return worker, upstream
    yield make
    for worker, upstream in made:
        worker.idle()
        worker.stop()
        upstream.close()
        assert not upstream.errors, upstream.errors


def asked(worker, upstream, **how):
    """The header lines that the provider received, by name; a name twice is a failure."""
    assert worker.talk().send(request(**how)).answer()[0] == 200
    lines = [line.decode("latin-1").partition(":") for line in upstream.requests[-1][0].split(b"\r\n")[1:]]
    names = [name.lower() for name, _, _ in lines]
    assert len(set(names)) == len(names), names
    return {name.lower(): value.strip() for name, _, value in lines}


def test_a_provider_is_told_nothing_and_clients_can_claim_nothing(rig):
    worker, upstream = rig()
    plain = asked(worker, upstream)
    assert "app" not in plain.values()
    claimed = asked(worker, upstream, headers="".join("%s: root\r\n" % name for name in CLAIMS) + "x-harmless: 1\r\n")
    assert claimed.pop("x-harmless") == "1"
    assert set(claimed) == set(plain) and "root" not in claimed.values()


@pytest.mark.parametrize("name", ["x-tidegate-consumer", "X-Mse-Consumer", "x-caller"])
def test_a_provider_is_told_the_name_under_its_header(rig, name):
    worker, upstream = rig(provider={"consumer_header": name})
    plain = asked(worker, upstream)
    assert plain[name.lower()] == "app"
    lies = "".join("%s: root\r\n" % claim for claim in (*CLAIMS, name, name.upper(), name.replace("-", "_")))
    claimed = asked(worker, upstream, headers=lies)
    assert set(claimed) == set(plain) and claimed[name.lower()] == "app" and "root" not in claimed.values()
    assert asked(worker, upstream, key=OTHER)[name.lower()] == "other"


def test_nobody_has_no_name(rig):
    worker, upstream = rig(provider={"consumer_header": "x-caller"}, route={"auth": {"required": False}})
    bare = request(headers="x-caller: root\r\nx_caller: root\r\n").replace(b"authorization: Bearer %s\r\n" % KEY.encode(), b"")
    assert worker.talk().send(bare).answer()[0] == 200
    assert b"caller" not in upstream.requests[-1][0].lower()


# ---- addresses ----

INSIDE, OUTSIDE = "x-forwarded-for: 192.0.2.7\r\n", "x-forwarded-for: 203.0.113.9\r\n"
ONLY_INSIDE = {"ip-restriction": {"allow": ["192.0.2.0/24"]}}


def statuses(worker, *keys):
    return [tuple(worker.talk().send(request(key=key, headers=where)).answer()[0] for where in (INSIDE, OUTSIDE, "")) for key in keys]


def test_addresses_of_a_consumer(rig):
    def change(objects):
        objects["consumers"]["app"]["plugins"] = ONLY_INSIDE
    worker, upstream = rig(change, data_plane={"trusted_proxies": ["127.0.0.0/8"]})
    assert statuses(worker, KEY, OTHER) == [(200, 403, 403), (200, 200, 200)]
    assert len(upstream.requests) == 4, "who is refused reaches nobody"
    spoofed = request(headers="x-forwarded-for: 192.0.2.7, 203.0.113.9\r\n")
    assert worker.talk().send(spoofed).answer()[0] == 403, "only what trusted proxies have appended counts"


def test_addresses_of_a_group(rig):
    def change(objects):
        objects["groups"] = {"office": {"plugins": ONLY_INSIDE}}
        objects["consumers"]["app"]["groups"] = ["office"]
    worker, _ = rig(change, data_plane={"trusted_proxies": ["127.0.0.0/8"]})
    assert statuses(worker, KEY, OTHER) == [(200, 403, 403), (200, 200, 200)]


def test_the_consumers_own_addresses_win_over_its_groups(rig):
    def change(objects):
        objects["groups"] = {"office": {"plugins": ONLY_INSIDE}}
        objects["consumers"]["app"].update(groups=["office"], plugins={"ip-restriction": {"deny": ["192.0.2.0/24"]}})
        objects["consumers"]["other"]["groups"] = ["office"]
    worker, _ = rig(change, data_plane={"trusted_proxies": ["127.0.0.0/8"]})
    assert statuses(worker, KEY, OTHER) == [(403, 200, 200), (200, 403, 403)]


def test_without_trusted_proxies_nobody_is_believed(rig):
    def change(objects):
        objects["consumers"]["app"]["plugins"] = ONLY_INSIDE
        objects["consumers"]["other"]["plugins"] = {"ip-restriction": {"allow": ["127.0.0.1"]}}
    worker, _ = rig(change)
    assert statuses(worker, KEY, OTHER) == [(403, 403, 403), (200, 200, 200)]


def test_a_name_with_a_key_as_its_password(gateway, openai_sim):
    """HTTP Basic: the consumer's name and one of its keys, rotated, disabled and revoked like every key; nothing of it goes upstream."""
    gateway.provider("p", openai_sim, served=False)
    gateway.route("r", "m", ("p", "gpt-4o-mini"), served=False)
    key, other = gateway.key(), gateway.key(gateway.consumer + "-other")
    brought = "an-old-password-of-theirs"
    gateway.admin.post("consumers/%s/keys" % gateway.consumer, {"name": "old", "value": brought})
    gateway.secrets |= {key, other, brought}
    gateway.wait_served()
    url, body = gateway.url + "/chat/completions", {"model": "m", "messages": [{"role": "user", "content": "x"}]}

    def ask(name, password, **headers):
        answer = httpx.post(url, json=body, auth=(name, password), headers=headers, trust_env=False, verify=False, timeout=30)
        return answer.status_code, answer.json().get("error", {}).get("code")
    me = gateway.consumer
    assert [ask(me, key), ask(me, brought), ask(key, "")] == [(200, None)] * 3
    for name, password in ((me, other), (me + "-other", key), (me, key[:-1]), (me, ""), ("", key), ("", ""), (me.upper(), key)):
        assert ask(name, password) == (401, "invalid_api_key"), (name, password)
    assert ask(me, key, **{"x-api-key": key}) == (401, "invalid_api_key"), "two credentials"
    for broken in ("!!!", "YQ", "A" * 8000):
        answer = httpx.post(url, json=body, headers={"authorization": "Basic " + broken}, trust_env=False, verify=False, timeout=30)
        assert answer.status_code == 401, (broken[:20], answer.text)
    assert not any(secret in str(request.headers) + str(request.body) for request in openai_sim.requests for secret in (key, other, brought))
    kept = gateway.admin.get("consumers/%s/keys" % me).json()["items"]
    gateway.admin.patch("consumers/%s/keys/%s" % (me, next(k["id"] for k in kept if k["name"] == "main")), {"enabled": False})
    gateway.wait_served()
    assert [ask(me, key)[0], ask(me, brought)[0]] == [401, 200]
    assert {row["requests"] for row in gateway.usage(requests=4)} == {4}
