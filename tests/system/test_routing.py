"""Which request goes where, and who may send it; and that `explain` says exactly what then happens."""
import collections
import time

import pytest

from harness.waiting import wait_until

ASK = [{"role": "user", "content": "where am I?"}]


def route(name, to="p0", models=None, kind="exact", **more):
    match = {"models": [{"type": kind, "value": m} for m in models or []], **more.pop("match", {})}
    return {"name": name, "match": match, "targets": [{"provider": to, "model": "qwq-32b"}], **more}


@pytest.fixture
def served(gateway, vllm_sim):
    """served(route, route, …) configures them, and gives a function that calls: where(model, host=…, path=…) → status or route."""
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    key = gateway.key()
    client = gateway.client(key)

    def configure(*routes):
        for body in routes:
            gateway.admin.post("routes", body)
        gateway.wait_served()

        def where(model, host="localhost", path="/v1/chat/completions", headers=None, query=None, key=None):
            told = gateway.admin.post("routes/explain", {
                "host": host, "path": path, "headers": headers or {}, "query": query or {}, "model": model, "consumer": gateway.consumer}, expect=200).json()
            answer = client.post("http://127.0.0.1:%d%s" % (gateway.data_port, path), json={"model": model, "messages": ASK},
                                 headers={"Host": host, **(headers or {})}, params=query)
            happened = answer.headers.get("x-tidegate-route") if answer.status_code == 200 else answer.status_code
            assert (told["route"] if told["allowed"] else told["status"]) == happened, (told, answer.text)
            return happened
        return where
    yield configure
    client.close()


def test_exact_before_prefix_before_regex(served):
    where = served(route("a-regex", models=["gpt-.*"], kind="regex"), route("b-prefix", models=["gpt-4"], kind="prefix"),
                   route("c-exact", models=["gpt-4o"]), route("d-any"))
    assert where("gpt-4o") == "c-exact"
    assert where("gpt-4o-mini") == "b-prefix"
    assert where("gpt-3.5") == "a-regex"
    assert where("claude") == "d-any"


def test_regular_expressions_are_anchored(served):
    where = served(route("r", models=["gpt-[0-9]"], kind="regex"))
    assert where("gpt-4") == "r"
    assert where("gpt-40") == 404 and where("my-gpt-4") == 404


def test_case_matters_unless_it_does_not(served):
    where = served(route("strict", models=["Model-A"]),
                   {**route("lax"), "match": {"models": [{"type": "exact", "value": "Model-B", "ignore_case": True}]}})
    assert where("Model-A") == "strict" and where("model-a") == 404
    assert where("model-b") == "lax" and where("MODEL-B") == "lax"


def test_hosts_and_paths(served):
    where = served(route("any"), route("suffix", hosts=["*.example.com"]), route("host", hosts=["api.example.com"]),
                   route("deep", path_prefix="/team/blue"))
    assert where("m") == "any"
    assert where("m", host="x.example.com") == "suffix"
    assert where("m", host="api.example.com:8080") == "host"
    assert where("m", host="example.com") == "any"
    assert where("m", path="/team/blue/v1/chat/completions") == "deep"
    assert where("m", path="/team/bluebird/v1/chat/completions") == "any", "a prefix ends at a slash"


def test_headers_and_queries(served):
    where = served(route("plain"),
                   route("header", match={"headers": [{"name": "X-Team", "type": "exact", "value": "blue"}]}),
                   route("both", match={"headers": [{"name": "x-team", "type": "prefix", "value": "bl"}],
                                        "query": [{"name": "tier", "type": "exact", "value": "1"}]}))
    assert where("m") == "plain"
    assert where("m", headers={"X-Team": "blue"}) == "header"
    assert where("m", headers={"X-Team": "blue"}, query={"tier": "1"}) == "both", "more predicates win"
    assert where("m", headers={"X-Team": "red"}, query={"tier": "1"}) == "plain"


def test_disabled_routes_and_providers_do_not_count(served, gateway):
    where = served(route("first", models=["m"]), route("second"))
    assert where("m") == "first"
    gateway.admin.patch("routes/first", {"enabled": False})
    gateway.wait_served()
    assert where("m") == "second"
    gateway.admin.patch("providers/p0", {"enabled": False})
    gateway.wait_served()
    assert where("m") in (502, 503)


def test_the_model_is_mapped(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.admin.post("routes", {"name": "r", "match": {"models": []}, "targets": [
        {"provider": "p0", "model_map": {"exact-one": "qwq-32b", "gpt-*": "qwq-32b", "gpt-4*": "Qwen/QwQ-32B", "*": "Qwen/QwQ-32B"}}]})
    client = gateway.client(gateway.key())
    wanted = {"exact-one": "qwq-32b", "gpt-3": "qwq-32b", "gpt-4o": "Qwen/QwQ-32B", "other": "Qwen/QwQ-32B"}
    for asked, sent in wanted.items():
        assert client.post("/chat/completions", json={"model": asked, "messages": ASK}).status_code == 200
        assert vllm_sim.last.json["model"] == sent, asked


def test_weights(gateway, start_sim):
    sims = {name: start_sim("vllm") for name in ("a", "b", "never")}
    for name, sim in sims.items():
        gateway.provider(name, sim, type="vllm", served=False)
    gateway.admin.post("routes", {"name": "r", "match": {"models": []}, "targets": [
        {"provider": "a", "model": "qwq-32b", "weight": 3}, {"provider": "b", "model": "qwq-32b", "weight": 1},
        {"provider": "never", "model": "qwq-32b", "weight": 0}]})
    client = gateway.client(gateway.key())
    seen = collections.Counter(client.post("/chat/completions", json={"model": "m", "messages": ASK}).headers["x-tidegate-provider"]
                               for _ in range(240))
    assert seen["never"] == 0 and 28 <= seen["b"] <= 95 and seen["a"] + seen["b"] == 240, seen       # drawn: 60 give or take five deviations


def test_who_may_call(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    keys = {name: gateway.key(name, **more) for name, more in {
        "named": {}, "grouped": {"groups": ["blue"]}, "stranger": {}, "narrow": {"models": ["allowed", "gpt-*"], "groups": ["blue"]}}.items()}
    gateway.admin.post("routes", route("closed", models=["m", "allowed", "gpt-4"], auth={"required": True, "consumers": ["named"], "groups": ["blue"]}))
    gateway.admin.post("routes", route("open", models=["free"], auth={"required": False}))
    gateway.wait_served()

    def status(who, model):
        with gateway.client(keys.get(who)) as client:
            return client.post("/chat/completions", json={"model": model, "messages": ASK}).status_code
    assert [status(who, "m") for who in ("named", "grouped", "stranger", "narrow", None)] == [200, 200, 403, 403, 401]
    assert [status("narrow", model) for model in ("allowed", "gpt-4", "m")] == [200, 200, 403]
    assert status(None, "free") == 200
    listed = {who: sorted(m["id"] for m in gateway.client(key).get("/models").json()["data"]) for who, key in keys.items()}
    assert listed == {"named": ["allowed", "free", "gpt-4", "m"], "grouped": ["allowed", "free", "gpt-4", "m"],
                      "stranger": ["free"], "narrow": ["allowed", "gpt-4"]}, listed


def test_rotation_with_grace_and_expiry(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.admin.post("routes", route("r"))
    old = gateway.key()
    [stored] = gateway.admin.get("consumers/%s/keys" % gateway.consumer).json()["items"]
    new = gateway.admin.post("consumers/%s/keys/%s/rotate" % (gateway.consumer, stored["id"]), {"grace": "4s"}).json()["secret"]
    rotated = time.monotonic()
    gateway.wait_served()

    def status(key):
        with gateway.client(key) as client:
            return client.post("/chat/completions", json={"model": "m", "messages": ASK}).status_code
    assert status(new) == 200
    assert status(old) == 200 or time.monotonic() - rotated > 4
    wait_until(lambda: status(old) == 401, 20, "the old key ending after its grace")
    assert status(new) == 200


@pytest.mark.parametrize("path, body, member", [
    ("/embeddings", {"model": "m", "input": ["one", "two"], "encoding_format": "base64"}, "data"),
    ("/completions", {"model": "g", "prompt": "Once", "max_tokens": 5}, "choices"),
])
def test_other_endpoints_of_the_dialect(gateway, openai_sim, path, body, member):
    gateway.provider("p0", openai_sim, served=False)
    gateway.route("e", "m", ("p0", "text-embedding-3-small"), served=False)
    gateway.route("c", "g", ("p0", "gpt-4o-mini"), served=False)
    client = gateway.client(gateway.key())
    answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.content == bytes(openai_sim.last.sent) and answer.json()[member]
    [row] = gateway.usage()
    assert row["prompt_tokens"] == openai_sim.issued["prompt_tokens"] > 0


def test_a_pool_of_endpoints(gateway, start_sim):
    sims = [start_sim("vllm") for _ in range(3)]
    gateway.admin.post("providers", {"name": "pool", "type": "vllm", "endpoints": [{"url": s.base_url, "weight": 1} for s in sims]})
    gateway.admin.post("routes", route("r", to="pool"))
    client = gateway.client(gateway.key())
    for _ in range(30):
        assert client.post("/chat/completions", json={"model": "m", "messages": ASK}).status_code == 200
    assert all(len(s.chats()) == 10 for s in sims), [len(s.chats()) for s in sims]


def test_an_upstream_that_is_not_there(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    from harness.ports import free_port
    gateway.admin.patch("providers/p0", {"base_url": "http://127.0.0.1:%d/v1" % free_port()})
    gateway.admin.post("routes", route("r"))
    answer = gateway.client(gateway.key()).post("/chat/completions", json={"model": "m", "messages": ASK})
    assert answer.status_code == 502 and answer.json()["error"]["code"] == "upstream_error"
    assert "p0" in answer.json()["error"]["message"]
    [row] = gateway.usage()
    assert (row["requests"], row["errors"]) == (1, 1)


@pytest.mark.parametrize("address", ["http://169.254.169.254/v1", "http://[fe80::1]/v1"])
def test_metadata_addresses_are_never_called(gateway, address):
    made = gateway.admin.post("providers", {"name": "p0", "type": "vllm", "base_url": address}, expect=(201, 400))
    if made.status_code == 400:
        return
    gateway.admin.post("routes", route("r"))
    answer = gateway.client(gateway.key()).post("/chat/completions", json={"model": "m", "messages": ASK})
    assert answer.status_code == 502
