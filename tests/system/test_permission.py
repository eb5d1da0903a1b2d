"""Who may be served by what: groups, lists of models, and that no side door leads past them."""
import pytest

from harness.admin import faults

ASK = [{"role": "user", "content": "may I?"}]
SMALL, LARGE = "qwq-32b", "Qwen/QwQ-32B"


@pytest.fixture
def admin(gateway):
    return gateway.admin


def exact(*models):
    return {"models": [{"type": "exact", "value": m} for m in models]}


def asker(gateway, key):
    client = gateway.client(key)

    def ask(model, path="/v1/chat/completions", **how):
        body = {"model": model, "messages": ASK} if model else {"messages": ASK}
        return client.post("http://127.0.0.1:%d%s" % (gateway.data_port, path), json=body, **how)
    ask.listed = lambda: sorted(m["id"] for m in client.get("/models").json()["data"])
    return ask


@pytest.fixture
def house(gateway, start_sim):
    """Two servers and routes of every kind by which somebody could come to the large model."""
    sims = {name: start_sim("vllm") for name in ("cheap", "dear")}
    for name, sim in sims.items():
        gateway.provider(name, sim, type="vllm", served=False)
    to = {"small": {"provider": "cheap", "model": SMALL}, "large": {"provider": "dear", "model": LARGE}}
    for body in (
        {"name": "small", "match": exact("small"), "targets": [to["small"]],
         "fallback": {"enabled": True, "on": ["connect_error", "5xx", "429"], "targets": [to["large"]]}},
        {"name": "large", "match": exact("large", "small-looking"), "targets": [to["large"]]},
        {"name": "mixed", "match": exact("mixed"), "targets": [to["small"], to["large"]]},
        {"name": "mapped", "match": exact("pet", "tiny"), "targets": [{"provider": "dear", "model_map": {"pet": SMALL, "*": LARGE}}]},
        {"name": "pattern", "match": {"models": [{"type": "prefix", "value": "small"}]}, "targets": [to["large"]]},
        {"name": "premium", "path_prefix": "/premium", "match": {"models": []}, "targets": [{"provider": "dear", "model_map": {"*": LARGE}}]},
        {"name": "beta", "match": {**exact("small"), "headers": [{"name": "x-beta", "type": "exact", "value": "1"}]}, "targets": [to["large"]]},
    ):
        gateway.admin.post("routes", body)
    gateway.sims = sims
    return gateway


def test_every_side_door_is_closed(house):
    ask = asker(house, house.key(models=[SMALL]))
    asked = {
        "its alias": ask("small"), "an alias of the large one": ask("large"), "an alias that looks alike": ask("small-looking"),
        "a map that names the small one": ask("pet"), "a map that leads on": ask("tiny"), "a pattern": ask("smaller"),
        "another path": ask(SMALL, "/premium/v1/chat/completions"), "another path, its alias": ask("small", "/premium/v1/chat/completions"),
        "dots": ask("small", "/v1/../premium/v1/chat/completions"), "two slashes": ask("small", "//premium/v1/chat/completions"),
        "an escaped slash": ask("small", "/premium%2fv1/chat/completions"),
        "a header": ask("small", headers={"x-beta": "1"}), "upper case": ask("SMALL"),
    }
    ok = {name for name, answer in asked.items() if answer.status_code == 200}
    assert ok == {"its alias", "a map that names the small one"}, {n: (a.status_code, a.text[:80]) for n, a in asked.items()}
    refused = [a for n, a in asked.items() if n.startswith("an alias")]
    assert all(a.status_code == 403 and a.json()["error"]["code"] == "model_not_allowed" for a in refused), refused[0].text
    assert all(row["model"] != LARGE for row in house.usage(requests=2))
    assert not [call for call in house.sims["dear"].chats() if call.json["model"] == LARGE]
    assert ask.listed() == ["mixed", "pet", "small"]


def test_a_route_with_both_uses_only_what_is_granted(house):
    ask = asker(house, house.key(models=[SMALL]))
    assert {ask("mixed").headers["x-tidegate-provider"] for _ in range(12)} == {"cheap"}


def test_a_fallback_must_be_granted_too(house):
    house.admin.patch("providers/cheap", {"base_url": "http://127.0.0.1:9/v1"})
    keys = {name: house.key(name, models=models) for name, models in {
        "alias": ["small"], "both": ["small", LARGE], "route": ["route:small"], "target": ["small", "target:dear/*"]}.items()}
    status = {name: asker(house, key)("small").status_code for name, key in keys.items()}
    assert status == {"alias": 502, "both": 200, "route": 200, "target": 200}, status


def test_the_list_is_what_would_be_accepted(house):
    for number, models in enumerate((["*"], [SMALL], [LARGE], ["small"], ["small*"], ["route:mapped"], ["target:dear/" + SMALL], [])):
        ask = asker(house, house.key("lister%d" % number, models=models))
        names = ["small", "large", "small-looking", "mixed", "pet", "tiny", "smaller", SMALL, LARGE]
        accepted = {name for name in names if ask(name).status_code == 200}
        assert set(ask.listed()) == accepted - {"smaller"}, (models, accepted)  # a pattern has no names to list


def test_groups_bound_and_hand_down(house):
    admin = house.admin
    admin.post("groups", {"name": "design", "models": [LARGE]})
    admin.post("groups", {"name": "interns", "models": [SMALL], "plugins": {"request-ratelimit": {"requests": 2, "window": "24h"}}})
    key = {"designer": house.key("designer", groups=["design"]), "intern": house.key("intern", groups=["interns"]),
           "both": house.key("both", groups=["interns", "design"]), "word": house.key("word", groups=["just-a-word"])}
    ask = {name: asker(house, secret) for name, secret in key.items()}
    seen = {name: (a("small").status_code, a("large").status_code) for name, a in ask.items()}
    assert seen == {"designer": (403, 200), "intern": (200, 403), "both": (200, 200), "word": (200, 200)}, seen
    for name, limited in {"intern": True, "both": True, "word": False, "designer": False}.items():
        model = "large" if name == "designer" else "small"
        assert (429 in [ask[name](model).status_code for _ in range(4)]) is limited, name
    admin.patch("groups/design", {"enabled": False})
    house.wait_served()
    assert ask["designer"]("large").status_code == 403


def test_a_group_that_is_referred_to_stays(admin, gateway):
    gateway.admin.post("groups", {"name": "team"})
    admin.post("providers", {"name": "p0", "type": "vllm", "base_url": "http://127.0.0.1:9/v1"})
    admin.post("consumers", {"name": "c1", "groups": ["team", "word"]})
    admin.post("routes", {"name": "r1", "targets": [{"provider": "p0"}], "auth": {"required": True, "groups": ["team"]}})
    refused = admin.delete("groups/team", expect=409).json()
    assert {e["url"] for e in refused["errors"]} == {"/api/v1/consumers/c1", "/api/v1/routes/r1"}
    admin.patch("routes/r1", {"auth": {"required": True, "groups": []}})
    admin.patch("consumers/c1", {"groups": ["word"]})
    admin.delete("groups/team")
    admin.get("groups/team", expect=404)


def test_a_slip_in_a_group_is_warned_about(admin):
    admin.post("groups", {"name": "design"})
    [warning] = admin.post("consumers", {"name": "c1", "groups": ["desing"]}).json()["warnings"]
    assert (warning["code"], warning["path"]) == ("undefined_group", "/groups/0") and "desing" in warning["message"]
    wrong = admin.post("groups", {"name": "g", "models": ["target:nowhere"]}, expect=400)
    assert faults(wrong)[0][0] == "/models/0" and "target:PROVIDER/MODEL" in wrong.text


def test_a_provider_is_told_who_calls_if_asked_for(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("r", "m", ("p0", SMALL), served=False)
    ask = asker(gateway, gateway.key())
    assert gateway.admin.get("providers/p0").json()["consumer_header"] is None
    assert ask("m", headers={"x-mse-consumer": "root"}).status_code == 200
    assert {vllm_sim.last.header(name) for name in ("x-caller", "x-mse-consumer")} == {None}
    refused = gateway.admin.patch("providers/p0", {"consumer_header": "Authorization"}, expect=400)
    assert faults(refused)[0][0] == "/consumer_header" and "begins with `x-`" in refused.text
    gateway.admin.patch("providers/p0", {"consumer_header": "x-caller"})
    gateway.wait_served()
    assert ask("m", headers={"x-mse-consumer": "root", "x-caller": "root"}).status_code == 200
    assert (vllm_sim.last.header("x-caller"), vllm_sim.last.header("x-mse-consumer")) == (gateway.consumer, None)


def test_groups_are_part_of_the_document(admin):
    admin.post("groups", {"name": "design", "models": ["m"], "description": "pictures"})
    document = admin.get("config").json()
    assert [g["models"] for g in document["groups"]] == [["m"]]
    plan = admin.put("config", {**document, "groups": []}).json()["plan"]
    assert [(c["op"], c["kind"], c["name"]) for c in plan] == [("delete", "group", "design")]
    admin.put("config", document)
    assert admin.get("groups/design").json()["description"] == "pictures"


def test_routes_are_reserved_for_a_group_as_a_whole_or_not_at_all(gateway, openai_sim):
    """The group, its members and the routes: one revision. A name that does not exist leaves nothing half done."""
    gateway.provider("p", openai_sim, served=False)
    gateway.route("vision", "vision", ("p", "gpt-4o-mini"), served=False)
    gateway.route("alias", "pictures", ("p", "gpt-4o-mini"), served=False)
    keys = {name: gateway.key(name) for name in ("painter", "writer")}

    def state():
        return [gateway.admin.get(path).json() for path in ("routes/vision", "routes/alias", "consumers/painter")] + [gateway.admin.get("groups").json()["total"]]
    before = state()
    bad = gateway.admin.post("groups/design/reserve", {"routes": ["vision", "nowhere"], "consumers": ["painter", "nobody"]}, expect=400)
    assert {f["path"] for f in bad.json()["errors"]} == {"/routes/1", "/consumers/1"} and state() == before
    gateway.admin.post("groups/design/reserve?dry_run=true", {"routes": ["vision"], "consumers": ["painter"]}, expect=200)
    assert state() == before
    done = gateway.admin.post("groups/design/reserve", {"routes": ["vision", "alias"], "consumers": ["painter"]}, expect=200)
    assert {k: v for k, v in done.json().items() if k != "warnings"} == {"group_created": True, "consumers_changed": 1, "routes_changed": 2}
    revision = int(done.headers["x-tidegate-revision"])
    assert {gateway.admin.get(path).json()["revision"] for path in ("routes/vision", "routes/alias", "consumers/painter", "groups/design")} == {revision}
    gateway.wait_served()

    def status(who, model):
        return gateway.client(keys[who]).post("/chat/completions", json={"model": model, "messages": [{"role": "user", "content": "x"}]}).status_code
    assert [status(who, model) for who in ("painter", "writer") for model in ("vision", "pictures")] == [200, 200, 403, 403]
    again = gateway.admin.post("groups/design/reserve", {"routes": ["vision"], "consumers": ["painter"]}, expect=200).json()
    assert (again["group_created"], again["consumers_changed"], again["routes_changed"]) == (False, 0, 0)
