"""Each resource on its own: settings, catalogue, keys, revisions, the declarative document, nodes, overview."""
import json
import socket
import threading
from contextlib import suppress

import pytest

from harness.admin import faults
from harness.contract import document
from samples import KEY, consumer, provider, route


@pytest.fixture
def admin(gateway):
    gateway.secrets.add(KEY)
    return gateway.admin


def test_openapi_is_what_the_repository_says(admin):
    assert admin.get("openapi.json").json() == json.loads(json.dumps(document()))


def test_health(gateway):
    stranger = gateway.browser(login=False)
    assert stranger.get("/healthz").json() == {"status": "ok"}
    assert stranger.get("/readyz").json()["status"] == "ok"


def test_settings(admin):
    before = admin.get("settings").json()
    assert before["data_plane"]["max_body_bytes"] == 33554432 and before["data_plane"]["sse_keepalive"] == "15s"
    changed = admin.patch("settings", {"data_plane": {"drain_timeout": "5s", "access_log": {"prompts": True}}}).json()
    assert changed["data_plane"] == {**before["data_plane"], "drain_timeout": "5s", "access_log": {**before["data_plane"]["access_log"], "prompts": True}}
    assert faults(admin.patch("settings", {"data_plane": {"max_headers": -1}}, expect=400)) == [("/data_plane/max_headers", "out_of_range")]
    assert faults(admin.patch("settings", {"data_plane": {"colour": 1}}, expect=400)) == [("/data_plane/colour", "unknown_member")]
    tracing = {"enabled": True, "endpoint": "http://127.0.0.1:4318", "sample_per_million": 50000, "service_name": "edge"}
    assert admin.patch("settings", {"tracing": tracing}).json()["tracing"].items() >= tracing.items()
    assert admin.put("settings", {}).json()["data_plane"]["drain_timeout"] == "30s"


@pytest.mark.smoke
def test_provider_types(admin):
    types = {item["type"]: item for item in admin.get("provider-types").json()["items"]}
    assert set(types) >= {"openai", "deepseek", "qwen", "vllm", "ollama", "moonshot", "zhipuai", "doubao", "siliconflow",
                          "openrouter", "groq", "mistral", "xai"}
    assert types["deepseek"]["default_base_url"].startswith("https://api.deepseek.com")
    assert all(item["label"]["zh"] and item["label"]["en"] for item in types.values())
    assert admin.get("provider-types/deepseek").json() == types["deepseek"]
    admin.get("provider-types/nothing", expect=404)


def test_plugins_are_listed(admin):
    for item in admin.get("plugins").json()["items"]:
        assert admin.get("plugins/" + item["name"]).json() == item


def test_consumer_keys(admin, gateway):
    admin.post("consumers", consumer("c1"))
    made = admin.post("consumers/c1/keys", {"name": "main"}).json()
    assert made["secret"].startswith("tgk_") and len(made["secret"]) == 47
    assert made["prefix"] == made["secret"][:len(made["prefix"])] and made["last4"] == made["secret"][-4:]
    assert made["secret"] not in admin.get("consumers/c1").text + admin.get("consumers/c1/keys").text
    second = admin.post("consumers/c1/keys/%s/rotate" % made["id"], {"grace": "60s"}).json()
    assert second["secret"] != made["secret"]
    assert admin.patch("consumers/c1/keys/" + second["id"], {"enabled": False}).json()["enabled"] is False
    admin.delete("consumers/c1/keys/" + second["id"])
    assert second["id"] not in [key["id"] for key in admin.get("consumers/c1/keys").json()["items"]]
    admin.post("consumers/c1/keys", {"name": "short", "value": "too-short"}, expect=400)
    brought = "brought-from-elsewhere-0123456789"
    gateway.secrets.add(brought)
    assert admin.post("consumers/c1/keys", {"name": "brought", "value": brought}).json()["last4"] == "6789"
    admin.post("consumers", consumer("c2"))
    admin.post("consumers/c2/keys", {"name": "stolen", "value": brought}, expect=409)


def test_routes_explain(admin):
    admin.post("providers", provider("p0"))
    admin.post("consumers", consumer("c1"))
    admin.post("consumers", consumer("c2"))
    admin.post("routes", route("narrow", model="gpt-4", targets=[{"provider": "p0", "model": "deepseek-chat", "weight": 3},
                                                                {"provider": "p0", "model": "deepseek-reasoner"}],
                               auth={"required": True, "consumers": ["c1"]}))
    admin.post("routes", route("wide", match={"models": [{"type": "prefix", "value": "gpt-"}]}))
    told = admin.post("routes/explain", {"model": "gpt-4", "consumer": "c1"}, expect=200).json()
    assert told["route"] == "narrow" and told["allowed"]
    assert [(t["model"], t["weight"]) for t in told["targets"]] == [("deepseek-chat", 3), ("deepseek-reasoner", 1)]
    assert admin.post("routes/explain", {"model": "gpt-5", "consumer": "c2"}, expect=200).json()["route"] == "wide"
    refused = admin.post("routes/explain", {"model": "gpt-4", "consumer": "c2"}, expect=200).json()
    assert (refused["allowed"], refused["status"]) == (False, 403)
    nothing = admin.post("routes/explain", {"model": "claude", "consumer": "c1"}, expect=200).json()
    assert (nothing["route"], nothing["allowed"], nothing["status"]) == (None, False, 404)


def test_warnings(admin):
    admin.post("providers", provider("p0"))
    weightless = admin.post("routes", route("r1", targets=[{"provider": "p0", "weight": 0}, {"provider": "p0", "model": "x"}])).json()
    assert "zero_weight" in [w["code"] for w in weightless["warnings"]]
    open_door = admin.post("routes?dry_run=true", route("r2", model="m2", auth={"required": False}), expect=200).json()
    assert "no_auth" in [w["code"] for w in open_door["warnings"]]
    shadowed = admin.post("routes?dry_run=true", route("r3", model="m1"), expect=200).json()
    assert "shadowed_route" in [w["code"] for w in shadowed["warnings"]]
    won = admin.post("routes?dry_run=true", route("a0", model="m1"), expect=200).json()["warnings"]
    assert [w["path"] for w in won if w["code"] == "takes_model" and "to the route `a0` and not to" in w["message"]] == ["/match/models"]
    part = {"models": [{"type": "exact", "value": m} for m in ("m1", "other")]}
    lost = admin.post("routes?dry_run=true", route("z9", match=part), expect=200).json()["warnings"]
    assert [w["path"] for w in lost if w["code"] == "model_taken" and "not to `z9`" in w["message"]] == ["/match/models"]


def test_revisions_diff_and_rollback(admin):
    start = admin.post("consumers", consumer("c1", description="old")).json()["revision"]
    changed = admin.patch("consumers/c1", {"description": "new"}).json()["revision"]
    admin.post("providers", provider("p0"))
    assert admin.get("revisions?limit=1").json()["items"][0]["kind"] == "provider"
    assert admin.get("revisions/%d" % start).json()["config"]["consumers"][0]["description"] == "old"
    [change] = admin.get("revisions/%d/diff/%d" % (start, changed)).json()["changes"]
    assert (change["op"], change["kind"], change["name"]) == ("change", "consumer", "c1")
    assert (change["before"]["description"], change["after"]["description"]) == ("old", "new")
    tried = admin.post("revisions/%d/rollback?dry_run=true" % start, expect=200).json()
    assert {(c["op"], c["kind"]) for c in tried["plan"]} == {("change", "consumer"), ("delete", "provider")}
    assert admin.get("consumers/c1").json()["description"] == "new"
    back = admin.post("revisions/%d/rollback" % start, expect=200).json()
    assert back["revision"] > changed and admin.get("consumers/c1").json()["description"] == "old"
    admin.get("providers/p0", expect=404)
    admin.get("revisions/999999", expect=404)


def test_rollback_brings_secrets_back(admin):
    before = admin.post("providers", provider("p0")).json()
    admin.delete("providers/p0")
    admin.post("revisions/%d/rollback" % before["revision"], expect=200)
    assert admin.get("providers/p0").json()["api_keys"][0]["value"]["fingerprint"] == before["api_keys"][0]["value"]["fingerprint"]


def test_a_group_with_a_budget_is_in_use(admin):
    admin.post("groups", {"name": "design"})
    admin.post("quotas", {"name": "q1", "group": "design", "unit": "tokens", "limit": 5})
    told = admin.delete("groups/design", expect=409).json()
    assert [e["url"] for e in told["errors"]] == ["/api/v1/quotas/q1"] and told["detail"].startswith("1 object refers")
    admin.put("config", {"format": 1, "consumers": [consumer("c%03d" % i, groups=["design"]) for i in range(101)]})
    assert admin.delete("groups/design", expect=409).json()["detail"].startswith("at least 100 objects refer")
    admin.put("config", {"format": 1, "consumers": []})
    admin.delete("quotas/q1")
    admin.delete("groups/design")


def test_a_slip_in_a_name_is_warned_about(admin):
    told = lambda answer: [(w["path"], w["code"]) for w in answer.json()["warnings"]]
    price = {"name": "mine", "models": ["m"], "currency": "USD", "rates": {"input": 1}, "provider": "depseek"}
    assert told(admin.put("prices/mine", price)) == [("/provider", "unused_price")]
    admin.post("providers", provider("depseek"))
    assert told(admin.put("prices/mine", price)) == []
    quota = {"name": "q1", "group": "desing", "unit": "tokens", "limit": 5}
    assert told(admin.post("quotas?dry_run=true", quota, expect=200)) == []       # groups may be words alone
    admin.post("groups", {"name": "design"})
    assert told(admin.post("quotas", quota)) == [("/group", "undefined_group")]


def test_lists_are_searched_by_what_they_show(admin):
    admin.post("providers", provider("elsewhere"))
    admin.post("providers", provider("p0"))
    admin.post("routes", route("r1", model="Sonnet-9"))
    admin.post("routes", {**route("r2", model="other"), "targets": [{"provider": "elsewhere", "model": "far-model"}]})
    admin.post("consumers", consumer("c1"))
    admin.post("quotas", {"name": "q1", "consumer": "c1", "unit": "tokens", "limit": 5})
    found = lambda kind, q: [i["name"] for i in admin.get("%s?q=%s" % (kind, q)).json()["items"]]
    assert (found("routes", "sonnet"), found("routes", "elsewhere"), found("routes", "FAR-")) == (["r1"], ["r2"], ["r2"])
    assert (found("quotas", "c1"), found("routes", "c1"), found("consumers", "sonnet")) == (["q1"], [], [])


def test_keys_do_not_come_back_and_that_is_said(admin):
    start = admin.post("providers", provider("p0")).json()["revision"]
    admin.post("consumers", consumer("c1"))
    made = admin.post("consumers/c1/keys", {"name": "main"}).headers["X-Tidegate-Revision"]
    gone = admin.post("revisions/%d/rollback?dry_run=true" % start, expect=200).json()
    assert [(w["path"], w["code"]) for w in gone["warnings"]] == [("/consumers/c1", "keys_end")]
    assert "(1)" in gone["warnings"][0]["message"]
    admin.delete("consumers/c1")
    back = admin.post("revisions/%s/rollback" % made, expect=200).json()
    assert ("/consumers/c1", "keys_missing") in [(w["path"], w["code"]) for w in back["warnings"]]
    assert admin.get("consumers/c1").json()["keys"] == []
    without = {"format": 1, "consumers": []}
    assert "keys_end" not in [w["code"] for w in admin.put("config?dry_run=true", without).json()["warnings"]]
    admin.post("consumers/c1/keys", {"name": "main"})
    assert "keys_end" in [w["code"] for w in admin.put("config?dry_run=true", without).json()["warnings"]]


def test_what_is_over_when_it_is_made_is_refused(admin):
    admin.post("consumers", consumer("c1"))
    past = "2020-01-01T00:00:00Z"
    for path, body in (("keys", {"name": "late"}), ("credentials", {"type": "hmac", "name": "late"})):
        told = admin.post("consumers/c1/" + path, {**body, "expires_at": past}, expect=400)
        assert faults(told) == [("/expires_at", "out_of_range")], told.text
    assert admin.get("consumers/c1").json()["keys"] == []
    key = admin.post("consumers/c1/keys", {"name": "ends"}).json()
    admin.patch("consumers/c1/keys/" + key["id"], {"expires_at": past})


def test_config_document(admin):
    admin.post("providers", provider("p0"))
    admin.post("routes", route("r1"))
    key = admin.post("consumers", consumer("c1")) and admin.post("consumers/c1/keys", {"name": "main"}).json()
    exported = admin.get("config").json()
    assert KEY not in json.dumps(exported) and key["secret"] not in json.dumps(exported)
    same = admin.put("config", exported).json()
    assert same["plan"] == [] and admin.get("consumers/c1/keys").json()["items"][0]["id"] == key["id"]
    exported["routes"][0]["description"] = "changed"
    exported["consumers"].append({"name": "c2"})
    exported["providers"].append(provider("p1"))
    tried = admin.put("config?dry_run=true", exported).json()
    planned = {(c["op"], c["kind"], c["name"]) for c in tried["plan"]}
    assert planned == {("change", "route", "r1"), ("create", "consumer", "c2"), ("create", "provider", "p1")}
    assert tried["dry_run"] and admin.get("consumers/c2", expect=404)
    done = admin.put("config", exported).json()
    assert {(c["op"], c["kind"], c["name"]) for c in done["plan"]} == planned and not done["dry_run"]
    revisions = admin.get("revisions?limit=1").json()["items"][0]
    assert (revisions["revision"], revisions["action"]) == (done["revision"], "apply")


@pytest.mark.parametrize("change, path", [
    ({"format": 2}, "/format"),
    ({"routes": [route("r1", to="nobody")]}, "/routes/0/targets/0/provider"),
    ({"providers": [provider("p1"), provider("p1")]}, "/providers/1/name"),
    ({"consumers": [consumer("c1", keys=[{"name": "new"}])]}, "/consumers/0/keys/0/value"),
    ({"colour": 1}, "/colour"),
    ({"global_plugins": {"no-such-plugin": {}}}, "/global_plugins/no-such-plugin"),
])
def test_a_bad_document_changes_nothing(admin, change, path):
    admin.post("consumers", consumer("stays"))
    empty = {"format": 1, "providers": [], "routes": [], "consumers": [], "global_plugins": {}}
    assert path in [p for p, _ in faults(admin.put("config", {**empty, **change}, expect=400))]
    admin.get("consumers/stays")


def test_join_tokens(admin, gateway):
    made = admin.post("join-tokens", {"name": "rack-2"}).json()
    identifier, _, digest = made["secret"].removeprefix("tgj_").split(".")
    assert made["channel_port"] == gateway.control_port and len(digest) == 64 and identifier
    listed = admin.get("join-tokens").json()["items"]
    assert "rack-2" in [item["name"] for item in listed] and made["secret"] not in json.dumps(listed)
    admin.delete("join-tokens/" + made["id"])


@pytest.mark.smoke
def test_nodes_and_overview(admin, gateway):
    newest = admin.post("consumers", consumer("c1")).json()["revision"]
    nodes = admin.get("nodes?min_revision=%d&wait=2s" % newest).json()
    [node] = nodes["items"]
    assert nodes["reached"] and node["state"] == "connected" and node["revision_served"] >= newest
    assert node["lag"] == 0 and node["last_error"] is None and node["version"] == admin.get("version").json()["version"]
    assert admin.get("nodes/" + node["id"]).json()["name"] == node["name"]
    admin.delete("nodes/" + node["id"], expect=409)
    seen = admin.get("overview").json()
    assert seen["workers"] == {"connected": 1, "total": 1, "current": 1}
    assert seen["revision"] == newest and seen["counts"]["consumers"] == 1
    assert seen["data_plane_port"] == gateway.data_port
    assert admin.get("nodes?min_revision=999999&wait=100ms").json()["reached"] is False


def test_provider_test_and_models(admin, gateway, deepseek_sim):
    gateway.provider("deepseek", deepseek_sim, type="deepseek", models=["deepseek-chat"])
    told = admin.post("providers/deepseek/test", {"model": "deepseek-chat"}, expect=200).json()
    assert (told["ok"], told["status"], told["model"]) == (True, 200, "deepseek-chat") and told["latency_ms"] >= 0
    assert deepseek_sim.chats()[-1].json["max_tokens"] == 1
    assert [m["id"] for m in admin.get("providers/deepseek/models").json()["items"]] == ["deepseek-chat", "deepseek-reasoner"]
    admin.patch("providers/deepseek", {"api_keys": [{"name": "main", "value": "sk-canary-wrong-4f5e6d"}]})
    gateway.secrets.add("sk-canary-wrong-4f5e6d")
    gateway.wait_served()
    told = admin.post("providers/deepseek/test", {"model": "deepseek-chat"}, expect=200).json()
    assert (told["ok"], told["status"]) == (False, 401) and told["detail"]
    health = admin.get("providers/deepseek/health").json()
    assert health["workers"] == 1 and [k["name"] for k in health["keys"]] == ["main"]


def test_a_provider_test_finds_its_model_by_itself(admin, gateway, deepseek_sim, vllm_sim):
    """The first that is listed, else what a route asks for, else what the type knows, else what the vendor lists; and it says which."""
    def told(name="deepseek"):
        answer = admin.post("providers/%s/test" % name, {}, expect=200).json()
        return answer["ok"], answer["model"], answer["model_from"]
    gateway.provider("deepseek", deepseek_sim, type="deepseek", models=["deepseek-chat"])
    assert told() == (True, "deepseek-chat", "provider")
    admin.patch("providers/deepseek", {"models": []})
    assert told() == (True, "deepseek-reasoner", "type")
    gateway.route("r", "mine", ("deepseek", "deepseek-chat"))
    assert told() == (True, "deepseek-chat", "route")
    assert admin.post("providers/deepseek/test", {"model": "deepseek-reasoner"}, expect=200).json()["model_from"] == "request"
    gateway.provider("own", vllm_sim, type="vllm")
    listed = admin.get("providers/own/models").json()["items"][0]["id"]
    assert told("own") == (True, listed, "vendor")
    admin.post("providers", provider("dead", type="openai-compatible", base_url="http://127.0.0.1:9/v1"))
    problem = admin.post("providers/dead/test", {}, expect=400).json()
    assert problem["errors"][0]["path"] == "/model" and "127.0.0.1" in problem["errors"][0]["message"], problem


def test_explain_says_that_nobody_speaks_the_api(admin, gateway, deepseek_sim):
    """The same as the worker answers, and which target is to blame."""
    gateway.provider("deepseek", deepseek_sim, type="deepseek", models=["deepseek-chat"])
    gateway.route("r", "m", ("deepseek", "deepseek-chat"))
    key = gateway.key()
    ask = {"model": "m", "consumer": gateway.consumer, "path": "/v1/messages"}
    told = admin.post("routes/explain", ask, expect=200).json()
    answer = gateway.client(key).post("messages", json={"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]})
    assert (told["status"], told["allowed"], told["route"]) == (404, False, "r") and answer.status_code == 404
    assert "speaks that API" in told["reason"] and "api_not_supported" in told["reason"] and not told["targets"][0]["usable"]
    assert "no provider of the route `r` speaks that API" in answer.text
    assert admin.post("routes/explain", {**ask, "path": "/v1/chat/completions"}, expect=200).json()["status"] == 200
    admin.post("providers", {"name": "claude", "type": "anthropic", "enabled": False, "api_keys": [{"name": "k", "value": "sk-canary-claude-00aa"}]})
    gateway.secrets.add("sk-canary-claude-00aa")
    admin.patch("routes/r", {"targets": [{"provider": "deepseek"}, {"provider": "claude"}]})
    assert admin.post("routes/explain", ask, expect=200).json()["status"] == 502, "one speaks it, and is switched off"


def test_a_provider_that_speaks_no_http_is_told_so(admin, gateway):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        def serve():
            while True:
                try:
                    raw, _ = stranger.accept()
                except OSError:
                    return
                with raw, suppress(OSError):
                    raw.recv(65536)
                    raw.sendall(b"-ERR\r\n\r\n")
                    raw.shutdown(socket.SHUT_WR)
                    while raw.recv(65536):               # closed with bytes unread, its answer would be a reset
                        pass
        threading.Thread(target=serve, daemon=True).start()
        admin.post("providers", provider("queer", base_url="http://127.0.0.1:%d/v1" % stranger.getsockname()[1]))
        gateway.wait_served()
        told = admin.post("providers/queer/test", {"model": "m"}, expect=200).json()
        assert (told["ok"], told["status"]) == (False, None) and "not well-formed HTTP" in told["detail"], told
        assert "not well-formed HTTP" in admin.get("providers/queer/models", expect=502).json()["detail"]
        stranger.shutdown(socket.SHUT_RDWR)


def test_usage_and_overview_count(admin, gateway, deepseek_sim):
    gateway.provider("deepseek", deepseek_sim, type="deepseek")
    gateway.route("r1", "r1", ("deepseek", "deepseek-reasoner"))
    key = gateway.key("counted")
    for _ in range(3):
        gateway.openai(key).chat.completions.create(model="r1", messages=[{"role": "user", "content": "count"}])
    [row] = gateway.usage(requests=3, consumer="counted")
    assert (row["requests"], row["errors"], row["route"], row["provider"]) == (3, 0, "r1", "deepseek")
    assert row["prompt_tokens"] == deepseek_sim.issued["prompt_tokens"]
    assert row["completion_tokens"] == deepseek_sim.issued["completion_tokens"] == 96
    assert row["reasoning_tokens"] == 36
    assert admin.get("overview").json()["last_hour"]["requests"] >= 3
    assert admin.get("consumers/counted").json()["keys"][0]["last_used_at"]
