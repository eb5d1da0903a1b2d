"""Limits: what is reserved and given back, whom they concern, what a refusal says, and where a limited request goes."""
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.admin import faults
from harness.waiting import wait_until

ASK = [{"role": "user", "content": "say something"}]
LIMIT = {"limit_by": "consumer", "tokens": 1000, "window": "1h"}


def chat(client, model="m", **more):
    return client.post("/chat/completions", json={"model": model, "messages": ASK, **more})


def reservations(gateway, workers=1):
    return sum(gateway.metrics(i)["tidegate_reservations_open"] for i in range(workers))


def nothing_open(gateway):
    """Soon: a client may have its last byte before the worker has closed its books."""
    wait_until(lambda: reservations(gateway) == 0, 10, "no reservation open")


def used(answer):
    return int(answer.headers["x-ratelimit-limit-tokens"]) - int(answer.headers["x-ratelimit-remaining-tokens"])


@pytest.fixture
def served(gateway, openai_sim):
    """served(plugins, …): a route of its own, for the model `m`, with these plugins, and a key; the simulator says 80 tokens."""
    openai_sim.behave(tokens=80)
    gateway.provider("p", openai_sim, models=["up"])

    def make(plugins=None, **more):
        gateway.route("r-" + gateway.consumer, "m", ("p", "gpt-4o-mini"), plugins=plugins or {}, **more)
        return gateway.client(gateway.key())
    make.sim = openai_sim
    return make


def test_parallel_calls_never_overshoot(gateway, served):
    """50 at once against a budget for ten: what is reserved counts before anything is answered."""
    client = served({"token-ratelimit": LIMIT})
    served.sim.behave(hold=True)
    with ThreadPoolExecutor(50) as pool:
        calls = [pool.submit(chat, client, max_tokens=80, stream=True) for _ in range(50)]
        wait_until(lambda: sum(call.done() for call in calls) >= 38, 20, "the refusals")
        served.sim.release()
        answers = [call.result() for call in calls]
    ok = [a for a in answers if a.status_code == 200]
    refused = [a for a in answers if a.status_code == 429]
    assert len(ok) + len(refused) == 50
    spent = sum(row["prompt_tokens"] + row["completion_tokens"] for row in gateway.usage(requests=50))
    each = spent / len(ok)
    assert 1000 / each - 2 < len(ok) and spent <= 1000 + each, (len(ok), each)
    assert spent == sum(served.sim.issued.values())
    error = refused[0].json()["error"]
    assert error["code"] == "rate_limit_exceeded" and "1000 tokens per 1h" in error["message"], error
    assert all(int(a.headers["retry-after"]) >= 1 for a in refused)
    nothing_open(gateway)
    assert used(chat(client, max_tokens=1)) >= min(spent, 1000)


def test_what_was_not_needed_comes_back_at_once(gateway, served):
    client = served({"token-ratelimit": LIMIT})
    served.sim.behave(tokens=10)
    first = chat(client, max_tokens=80)
    total = first.json()["usage"]["total_tokens"]
    second = chat(client, max_tokens=80)
    assert used(second) - used(first) == total, "only what was used is gone, not what was reserved"
    assert used(first) > total


def test_a_large_max_tokens_waits_for_an_empty_counter_only(gateway, served):
    client = served({"token-ratelimit": LIMIT})
    served.sim.behave(tokens=5)
    assert chat(client, max_tokens=50000).status_code == 200
    assert chat(client, max_tokens=50000).status_code == 429


def test_several_windows_dimensions_and_exceptions(gateway, served):
    """A rule for one team replaces the general one; all rules of other dimensions hold at the same time; a refusal takes nothing."""
    client = served({"request-ratelimit": {
        "limit_by": "header", "name": "x-team", "requests": 2, "window": "1h", "rules": [
            {"limit_by": "header", "name": "x-team", "values": ["gold"], "requests": 5, "window": "1h"},
            {"limit_by": "header", "name": "x-team", "regex": "blocked-.*", "requests": 1, "window": "1h", "shared": True},
            {"limit_by": "all", "requests": 9, "window": "1h"}]}})

    def ask(team, n):
        return [chat(client, max_tokens=1, **{}).status_code if team is None else
                client.post("/chat/completions", json={"model": "m", "messages": ASK, "max_tokens": 1}, headers={"x-team": team}).status_code
                for _ in range(n)]
    assert ask("red", 3) == [200, 200, 429]
    assert ask("gold", 4) == [200] * 4
    assert ask("blocked-1", 1) + ask("blocked-2", 1) == [200, 429]
    assert ask(None, 3) == [200, 200, 429], "the limit for all: nine were admitted, refusals did not count"


def test_the_client_address_by_network(gateway, served):
    client = served({"request-ratelimit": {"requests": 0, "rules": [
        {"limit_by": "ip", "networks": ["127.0.0.0/8"], "requests": 1, "window": "1h"},
        {"limit_by": "ip", "networks": ["10.0.0.0/8"], "requests": 1000}]}})
    assert [chat(client, max_tokens=1).status_code for _ in range(2)] == [200, 429]


def test_concurrency_is_released_on_every_ending(gateway, served):
    client = served({"concurrency": {"limit_by": "consumer", "calls": 1}})
    served.sim.behave(hold=True)
    with client.stream("POST", "/chat/completions", json={"model": "m", "messages": ASK, "stream": True}) as held:
        assert held.status_code == 200
        refused = chat(client)
        assert refused.status_code == 429 and refused.json()["error"]["code"] == "concurrency_limit_exceeded"
        assert int(refused.headers["retry-after"]) >= 1
    served.sim.release()                                         # the client has gone in the middle
    served.sim.behave(hold=False)
    wait_until(lambda: chat(client).status_code == 200, 20, "the place of the client that went")
    for kind, status in (("status", 400), ("reset", 502), ("truncate", 502)):
        served.sim.fail(kind, status=400)
        assert chat(client).status_code == status
        served.sim.heal()
        assert chat(client).status_code == 200, kind
    nothing_open(gateway)


def test_after_faults_of_every_kind_the_counters_equal_the_ledger(gateway, served):
    """Random endings, then rest: nothing is open, and what is left is the limit less the ledger."""
    client = served({"token-ratelimit": {"limit_by": "consumer", "tokens": 100000000, "window": "1h"},
                     "concurrency": {"limit_by": "consumer", "calls": 1000}})
    served.sim.behave(tokens=12)
    dice = random.Random(4)
    models = ["sim-status-500", "sim-status-400", "sim-reset", "sim-reset-3", "sim-truncate", "sim-truncate-2", "sim-error_event-2",
              "sim-no_done", "gpt-4o-mini", "gpt-4o-mini", "gone"]
    gateway.admin.patch("routes/r-" + gateway.consumer, {"targets": [{"provider": "p"}], "match": {"models": []}})
    gateway.wait_served()
    served.sim.behave(interval=0.001)

    def one(model, stream):
        body = {"model": "sim-drip-5" if model == "gone" else model, "messages": ASK, "stream": stream or model == "gone", "max_tokens": 12}
        try:
            with client.stream("POST", "/chat/completions", json=body) as answer:
                for _ in answer.iter_bytes():
                    if model == "gone":
                        break
        except Exception as error:           # a broken answer is what was asked for
            assert type(error).__module__.startswith("httpx"), error
    n = 300
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda draw: one(*draw), [(dice.choice(models), dice.random() < 0.6) for _ in range(n)]))
    nothing_open(gateway)
    rows = gateway.usage(requests=n)
    assert sum(row["requests"] for row in rows) == n
    spent = sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows)
    last = chat(client, model="gpt-4o-mini", max_tokens=1)
    reserved = used(last) - spent
    assert 0 < reserved < 40, "what is used is the ledger's sum and what this call reserved: %d, %d" % (used(last), spent)


# -- fallback ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def deepseek_then_qwq(gateway, deepseek_sim, dashscope_sim):
    gateway.provider("deepseek", deepseek_sim, type="deepseek", served=False)
    gateway.provider("qwq", dashscope_sim, type="qwen", served=False)

    def make(plugins, on=("rate_limited",), **more):
        make.route = "my-deepseek-r1-" + gateway.consumer        # counters know a route by its name, and outlive a test
        gateway.route(make.route, "deepseek-r1", ("deepseek", "deepseek-reasoner"), plugins=plugins,
                      fallback={"enabled": True, "on": list(on), "targets": [{"provider": "qwq", "model": "qwq-32b"}]}, **more)
        return gateway.client(gateway.key())
    return make


def by_provider(answers):
    return [a.headers.get("x-tidegate-provider", a.status_code) for a in answers]


def test_a_limited_route_falls_back(gateway, deepseek_then_qwq, deepseek_sim):
    """The tutorial: limit DeepSeek-R1, then QwQ answers."""
    client = deepseek_then_qwq({"token-ratelimit": {"limit_by": "all", "tokens": 200, "window": "1h"}})
    deepseek_sim.behave(tokens=30, reasoning_tokens=60)
    seen = by_provider([chat(client, "deepseek-r1", max_tokens=100) for _ in range(5)])
    assert seen[0] == "deepseek" and seen[-2:] == ["qwq", "qwq"] and seen == sorted(seen), seen
    assert gateway.metrics()["tidegate_limit_refusals_total"] >= 2
    rows = {row["provider"]: row["requests"] for row in gateway.usage(requests=5)}
    assert rows["deepseek"] == seen.count("deepseek") and rows["qwq"] == seen.count("qwq")
    nothing_open(gateway)


def test_without_rate_limited_in_the_conditions_it_fails(deepseek_then_qwq):
    client = deepseek_then_qwq({"request-ratelimit": {"limit_by": "all", "requests": 1, "window": "1h"}}, on=("5xx",))
    assert by_provider([chat(client, "deepseek-r1") for _ in range(2)]) == ["deepseek", 429]


def test_a_consumers_own_limit_follows_to_the_fallback(gateway, deepseek_then_qwq):
    client = deepseek_then_qwq({})
    gateway.admin.patch("consumers/" + gateway.consumer, {"plugins": {"request-ratelimit": {"requests": 1, "window": "1h"}}})
    gateway.wait_served()
    assert by_provider([chat(client, "deepseek-r1") for _ in range(2)]) == ["deepseek", 429]


def test_the_fallback_has_limits_of_its_own(gateway, deepseek_then_qwq):
    """Two requests may go to the route's own target, one to the fallback, and then nobody is left."""
    client = deepseek_then_qwq({"request-ratelimit": {"limit_by": "all", "requests": 2, "window": "1h", "targets": "primary"},
                                "concurrency": {"limit_by": "all", "calls": 5, "targets": "fallback"}})
    assert by_provider([chat(client, "deepseek-r1") for _ in range(3)]) == ["deepseek", "deepseek", "qwq"]
    gateway.admin.patch("routes/" + deepseek_then_qwq.route, {"plugins": {"token-ratelimit": {"limit_by": "route", "tokens": 1, "window": "1h", "targets": "fallback"}}})
    gateway.wait_served()
    assert by_provider([chat(client, "deepseek-r1") for _ in range(5)])[-1] == 429


def test_a_failing_provider_leads_through_the_same_admission(gateway, deepseek_then_qwq, deepseek_sim):
    """Whoever comes to the fallback because of a failure passes the fallback's limit as well; what it left behind is free again."""
    client = deepseek_then_qwq({"request-ratelimit": {"limit_by": "all", "requests": 1, "window": "1h", "targets": "fallback"},
                                "concurrency": {"limit_by": "all", "calls": 1, "targets": "primary"}}, on=("5xx", "rate_limited"))
    deepseek_sim.fail("status", status=500)
    assert by_provider([chat(client, "deepseek-r1") for _ in range(2)]) == ["qwq", "deepseek"]
    last = chat(client, "deepseek-r1")
    assert last.status_code == 429 and int(last.headers["retry-after"]) >= 1
    nothing_open(gateway)


def test_limits_of_all_levels_hold_together(gateway, served):
    """Everybody's, the route's, the groups' and the consumer's own: the tightest is met first, whichever level it stands on."""
    def requests(n, by="consumer"):
        return {"request-ratelimit": {"limit_by": by, "requests": n, "window": "1h", "algorithm": "sliding_window"}}
    for name in ("one", "two"):
        gateway.admin.post("groups", {"name": name, "plugins": requests(5 if name == "two" else 50, "group")})
    client = served(requests(4))

    def patch(kind, name, **more):
        gateway.admin.patch("%s/%s" % (kind, name), more)
        gateway.wait_served()
    patch("consumers", gateway.consumer, groups=["one", "two"], plugins=requests(30))

    def ask(n):
        answers = [chat(client, max_tokens=1) for _ in range(n)]
        return [a.status_code for a in answers], answers[-1]
    said, last = ask(5)
    assert said == [200] * 4 + [429] and "4 requests per 1h for consumer" in last.text, "the route's, though the consumer has more"
    assert (last.headers["x-ratelimit-limit-requests"], last.headers["x-ratelimit-remaining-requests"]) == ("4", "0")
    patch("routes", "r-" + gateway.consumer, plugins=requests(40))
    said, last = ask(2)
    assert said == [200, 429] and "5 requests per 1h for group `two`" in last.text, "all five of the second group are used"
    patch("groups", "two", plugins={"request-ratelimit": {"enabled": False}})
    said, last = ask(1)
    assert said == [200] and last.headers["x-ratelimit-limit-requests"] == "30", "what is tightest is told"
    live = [item for path in ("consumers/" + gateway.consumer, "groups/one", "routes/r-" + gateway.consumer)
            for item in gateway.admin.get(path + "/limits").json()["items"]]
    used = {item["owner"]: item["used"] for item in live if item["plugin"] == "request-ratelimit"}
    assert used == {gateway.consumer: 6, "one": 6, "r-" + gateway.consumer: 5}
    # what is switched off where it is more specific frees from what is less specific
    patch("routes", "r-" + gateway.consumer, plugins=requests(1))
    patch("consumers", gateway.consumer, plugins={"request-ratelimit": {"enabled": False}})
    assert ask(10)[0] == [200] * 10


def test_live_state(gateway, served):
    """What the console's bars show: of the consumer, and of the route in whose settings the limit stands."""
    client = served({"token-ratelimit": LIMIT, "request-ratelimit": {"requests": 2, "window": "1h", "algorithm": "sliding_window"}})
    answers = [chat(client, max_tokens=20) for _ in range(3)]
    assert [a.status_code for a in answers] == [200, 200, 429]
    spent = sum(a.json()["usage"]["total_tokens"] for a in answers[:2])
    states = {path: gateway.admin.get(path + "/limits").json() for path in ("consumers/" + gateway.consumer, "routes/r-" + gateway.consumer)}
    for state in states.values():
        assert state["workers"] == 1
        items = {item["plugin"]: item for item in state["items"]}
        tokens, requests = items["token-ratelimit"], items["request-ratelimit"]
        assert (tokens["used"], tokens["left"], tokens["limit"], tokens["who"]) == (spent, 1000 - spent, 1000, gateway.consumer)
        assert (requests["used"], requests["left"], requests["refusals"]) == (2, 0, 1) and requests["refused_at"]
        assert requests["owner_scope"] == "route" and requests["owner"] == "r-" + gateway.consumer and not requests["shared"]
    gateway.admin.post("consumers", {"name": "idle"})
    assert gateway.admin.get("consumers/idle/limits").json()["items"] == []
    gateway.admin.get("consumers/nobody/limits", expect=404)


def test_a_limit_that_makes_no_sense_is_refused_when_saved(gateway):
    for settings, path in (({"rules": [{"limit_by": "header"}]}, "rules/0/name"), ({"limit_by": "cookie"}, "name"),
                           ({"rules": [{"limit_by": "ip", "networks": ["10.0.0.0/40"]}]}, "rules/0/networks/0"),
                           ({"rules": [{"regex": "("}]}, "rules/0/regex"), ({"rules": [{"tokens": 0}]}, "rules/0/tokens"),
                           ({"window": "0s"}, "window"), ({"limit_by": "moon"}, "limit_by")):
        answer = gateway.admin.post("consumers", {"name": "x", "plugins": {"token-ratelimit": settings}}, expect=400)
        assert faults(answer)[0][0] == "/plugins/token-ratelimit/" + path, answer.text
