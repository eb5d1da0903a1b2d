"""Quotas and budgets: hard stops at the right request, balances that survive everything, books that add up."""
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx

from harness.rawhttp import Talk
from harness.waiting import wait_until
from harness.worker import request

BODY = {"model": "m-one", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 40}


def quota(gateway, name="q", **more):
    body = {"name": name, "consumer": gateway.consumer, "unit": "requests", "limit": 10, **more}
    if "group" in more or "key" in more:
        del body["consumer"]
    answer = gateway.admin.post("quotas", body).json()
    gateway.wait_served()
    return answer


def balance(gateway, name="q"):
    return gateway.admin.get("quotas/" + name).json()["balance"]


def used(gateway, count, name="q"):
    wait_until(lambda: balance(gateway, name)["used"] == count, 15, "%d used of %s" % (count, name), every=0.1)


def setup(gateway, start_sim, **behaviour):
    sim = start_sim("openai", models=["m-one"])
    if behaviour:
        sim.behave(**behaviour)
    gateway.provider("vendor", sim, type="openai-compatible")
    gateway.route("a", "m-one", ("vendor", None))
    return sim, gateway.key()


def statuses(url, key, n, parallel=50, **more):
    def one(_):
        with httpx.Client(trust_env=False, verify=False, timeout=30, headers={"Authorization": "Bearer " + key}) as client:
            return client.post(url + "/chat/completions", json={**BODY, **more}).status_code
    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(one, range(n)))


def test_a_prepaid_quota_ends_at_the_right_request(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=3)
    client = gateway.client(key)
    assert [client.post("chat/completions", json=BODY).status_code for _ in range(3)] == [200, 200, 200]
    refused = client.post("chat/completions", json=BODY)
    assert refused.status_code == 429 and refused.json()["error"]["code"] == "insufficient_quota" and "`q`" in refused.text
    assert int(refused.headers["retry-after"]) >= 1
    assert len(sim.chats()) == 3, "the provider was not asked"
    used(gateway, 3)
    assert balance(gateway)["left"] == 0 and balance(gateway)["state"] == "exhausted"
    # added by hand: at once; taken again: at once
    said = gateway.admin.post("quotas/q/entries", {"kind": "add", "amount": 2, "reason": "the project goes on"}).json()
    assert said["balance"]["left"] == 2
    wait_until(lambda: client.post("chat/completions", json=BODY).status_code == 200, 20, "a request after the addition")
    used(gateway, 4)
    gateway.admin.post("quotas/q/entries", {"kind": "subtract", "amount": 1, "reason": "by mistake"})
    wait_until(lambda: client.post("chat/completions", json=BODY).status_code == 429, 20, "a refusal after the subtraction")
    used(gateway, len(sim.chats()))  # a request may have been let in before the subtraction arrived
    gateway.admin.post("quotas/q/entries", {"kind": "refresh", "reason": "new project"})
    assert balance(gateway)["left"] == 3
    book = gateway.admin.get("quotas/q/entries").json()
    kinds = [e["kind"] for e in book["items"]]
    assert kinds[0] == "refresh" and {"add", "subtract", "threshold", "exhausted"} <= set(kinds) and book["total"] == len(kinds)
    assert [e["reason"] for e in book["items"] if e["kind"] == "add"] == ["the project goes on"]
    audit = gateway.admin.get("audit?kind=quota&name=q").json()["items"]
    assert {"quota.add", "quota.subtract", "quota.refresh"} <= {e["action"] for e in audit}
    refusals = [r for r in gateway.admin.get("requests?consumer=%s&limit=50" % gateway.consumer).json()["items"] if r["status"] == 429]
    assert refusals and all(not r["attempts"] and not r["cost"] for r in refusals)


def test_fifty_at_once_never_exceed_ten(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=10)
    said = statuses(gateway.url, key, 50)
    assert sorted(set(said)) == [200, 429] and said.count(200) == 10 == len(sim.chats())
    used(gateway, 10)


def test_fifty_at_once_on_three_workers_never_exceed_ten(start_gateway, start_sim):
    gateway = start_gateway(workers=3)
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=10)
    said = statuses(gateway.url, key, 50)
    assert said.count(200) <= 10 and set(said) <= {200, 429}
    # what one worker holds and another needs moves over, so all of it can be used
    wait_until(lambda: statuses(gateway.url, key, 6, parallel=6) and len(sim.chats()) == 10, 30, "the rest to be used", every=0.2)
    statuses(gateway.url, key, 12, parallel=6)
    assert len(sim.chats()) == 10
    used(gateway, 10)


def test_tokens_are_reserved_and_what_is_unused_comes_back(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    client = gateway.client(key)
    one = client.post("chat/completions", json=BODY).json()["usage"]["total_tokens"]
    quota(gateway, unit="tokens", limit=one * 5, assumed_tokens=40)
    said = [client.post("chat/completions", json=BODY).status_code for _ in range(7)]
    assert said == [200] * 5 + [429] * 2, "the last one is admitted on what is left, the next is not"
    used(gateway, one * 5)


def test_a_budget_of_money(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    gateway.admin.put("prices/p", {"name": "p", "models": ["m-one"], "currency": "CNY", "rates": {"request": 1_000_000}})
    quota(gateway, "money", unit="money", currency="USD", exchange={"CNY": 140_000}, limit=420_000, status=402, period="month", time_zone="Asia/Shanghai")
    client = gateway.client(key)
    answers = [client.post("chat/completions", json=BODY) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 200, 402]
    used(gateway, 420_000, "money")
    until = balance(gateway, "money")["until"]
    assert "T16:00:00" in until and until[:10] in answers[3].text, "until the month ends in Shanghai"
    strict = quota(gateway, "strict", unit="money", currency="EUR", limit=1000, unpriced="refuse")
    assert strict["balance"]["left"] == 1000
    assert client.post("chat/completions", json=BODY).status_code in (402, 403)


def test_groups_and_keys_pay_too(gateway, start_sim):
    sim = start_sim("openai", models=["m-one"])
    gateway.provider("vendor", sim, type="openai-compatible")
    gateway.route("a", "m-one", ("vendor", None))
    keys = [gateway.key(gateway.consumer, groups=["design"]), gateway.key(gateway.consumer + "-b", groups=["design"])]
    quota(gateway, group="design", limit=2)
    ids = gateway.admin.get("consumers/%s/keys" % gateway.consumer).json()["items"]
    quota(gateway, "k", key=ids[0]["id"], limit=1)
    first, second = (gateway.client(k) for k in keys)
    assert first.post("chat/completions", json=BODY).status_code == 200
    assert first.post("chat/completions", json=BODY).status_code == 429, "its key has used its own"
    assert second.post("chat/completions", json=BODY).status_code == 200
    assert second.post("chat/completions", json=BODY).status_code == 429, "the group has used its own"
    used(gateway, 2)
    used(gateway, 1, "k")


def test_soft_quotas_only_count(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=1, on_exceeded="allow", thresholds=[50, 150])
    client = gateway.client(key)
    assert [client.post("chat/completions", json=BODY).status_code for _ in range(3)] == [200] * 3
    used(gateway, 3)
    entries = wait_until(lambda: (e := gateway.admin.get("quotas/q/entries").json()["items"]) and len(e) == 3 and e, 20, "three entries")
    assert {(e["kind"], e["amount"]) for e in entries} >= {("threshold", 50), ("threshold", 150)}


def test_what_a_policy_makes_of_max_tokens_is_reserved(gateway, start_sim):
    sim, key = setup(gateway, start_sim, hold=True)
    gateway.admin.patch("routes/a", {"plugins": {"parameter-policy": {"rules": ["max_tokens: = 600"]}}})
    quota(gateway, unit="tokens", limit=1000)
    held = threading.Thread(target=lambda: gateway.client(key).post("chat/completions", json={**BODY, "max_tokens": 1, "stream": True}))
    held.start()
    wait_until(lambda: sim.chats(), 20, "the request at the provider")
    assert sim.last.json["max_tokens"] == 600
    refused = gateway.client(key).post("chat/completions", json={**BODY, "max_tokens": 1})
    assert refused.status_code == 429 and refused.json()["error"]["code"] == "insufficient_quota", "600 are held, and 600 more are wanted"
    sim.release()
    held.join(20)
    wait_until(lambda: gateway.client(key).post("chat/completions", json=BODY).status_code == 200, 20, "room again")
    assert len(sim.chats()) == 2


def test_what_a_limit_refuses_spends_nothing(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    gateway.admin.patch("routes/a", {"plugins": {"request-ratelimit": {"requests": 2, "window": "1h"}}})
    quota(gateway, limit=10)
    client = gateway.client(key)
    answers = [client.post("chat/completions", json=BODY) for _ in range(4)]
    assert [a.status_code for a in answers] == [200, 200, 429, 429] and answers[3].json()["error"]["code"] == "rate_limit_exceeded"
    used(gateway, 2)
    assert balance(gateway)["left"] == 8


def test_a_client_that_leaves_gives_back_what_it_did_not_use(gateway, start_sim):
    sim, key = setup(gateway, start_sim, hold=True)
    quota(gateway, unit="tokens", limit=1_000_000)
    talk = Talk(gateway.data_port, 20).send(request(key=key, **{**BODY, "max_tokens": 900_000}))
    wait_until(lambda: sim.chats(), 20, "the request at the provider")
    refused = gateway.client(key).post("chat/completions", json={**BODY, "max_tokens": 900_000})
    assert refused.status_code == 429
    talk.close()
    wait_until(lambda: sim.last.gone_at, 20, "the call at the provider ending too")
    sim.release()
    wait_until(lambda: gateway.client(key).post("chat/completions", json={**BODY, "max_tokens": 900_000}).status_code == 200, 20, "room again")


def test_what_a_person_gets_wrong_is_named(gateway):
    gateway.key()
    good = {"name": "q", "consumer": gateway.consumer, "unit": "tokens", "limit": 5}
    for change, path in [({"consumer": "nobody"}, "/consumer"), ({"group": "g"}, "/group"), ({"unit": "money"}, "/currency"),
                         ({"currency": "USD"}, "/currency"), ({"time_zone": "Mars/Base"}, "/time_zone"), ({"thresholds": [80, 50]}, "/thresholds/1"),
                         ({"limit": -1}, "/limit"), ({"status": 500}, "/status"), ({"exchange": {"cny": 1}}, "/exchange/cny")]:
        answer = gateway.admin.call("POST", "quotas", {**good, **change}, expect=400)
        assert path in {f["path"] for f in answer.json()["errors"]}, (change, answer.text)
    gateway.admin.post("quotas", good)
    answer = gateway.admin.call("PATCH", "quotas/q", {"unit": "requests"}, expect=400)
    assert answer.json()["errors"][0]["path"] == "/unit"
    gateway.admin.patch("quotas/q", {"limit": 7})
    assert balance(gateway)["granted"] == 7
    gateway.admin.call("POST", "quotas/q/entries", {"kind": "add", "reason": "x"}, expect=400)
    gateway.admin.call("POST", "quotas/q/entries", {"kind": "add", "amount": 5}, expect=400)
    assert gateway.admin.get("quotas?subject=consumer:" + gateway.consumer).json()["total"] == 1
    refused = gateway.admin.delete("consumers/" + gateway.consumer, expect=409).json()
    assert [e["url"] for e in refused["errors"]] == ["/api/v1/quotas/q"]
    assert gateway.admin.get("quotas?subject=group:x").json()["total"] == 0


def test_balances_survive_restarts_of_either_side(start_gateway, start_sim):
    gateway = start_gateway(split=True)
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=10)
    assert statuses(gateway.url, key, 4, parallel=4) == [200] * 4
    used(gateway, 4)
    gateway.daemon("worker-0").stop()
    gateway.start_worker(0)
    gateway.wait_served()
    assert statuses(gateway.url, key, 2, parallel=2) == [200] * 2
    used(gateway, 6)
    gateway.daemon("control").kill()
    # the share goes on without the control plane, and no further
    assert statuses(gateway.url, key, 6, parallel=3).count(200) == 4
    gateway.start_control()
    gateway.wait_served()
    used(gateway, 10)
    assert statuses(gateway.url, key, 3, parallel=3) == [429] * 3 and len(sim.chats()) == 10


def patched(gateway, **members):
    gateway.admin.patch("quotas/q", members)
    gateway.wait_served()


def test_a_quota_that_becomes_hard_counts_what_was_used_before(start_gateway, start_sim):
    gateway = start_gateway(split=True)
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=10, on_exceeded="allow")
    assert statuses(gateway.url, key, 4, parallel=4) == [200] * 4
    used(gateway, 4)
    patched(gateway, on_exceeded="refuse")
    assert statuses(gateway.url, key, 2, parallel=1) == [200] * 2
    used(gateway, 6)
    gateway.daemon("control").stop()
    gateway.start_control()
    gateway.wait_served()
    wait_until(lambda: 429 in statuses(gateway.url, key, 2, parallel=1), 20, "the end of it")
    assert len(sim.chats()) == 10
    used(gateway, 10)


def test_what_is_used_while_a_quota_is_soft_is_not_there_again(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=10)
    assert statuses(gateway.url, key, 2, parallel=1) == [200] * 2
    patched(gateway, on_exceeded="allow")
    assert statuses(gateway.url, key, 5, parallel=1) == [200] * 5
    used(gateway, 7)
    patched(gateway, on_exceeded="refuse")
    assert statuses(gateway.url, key, 5, parallel=1).count(200) == 3
    assert len(sim.chats()) == 10


def test_a_quota_that_was_off_goes_on_where_it_was(gateway, start_sim):
    sim, key = setup(gateway, start_sim)
    quota(gateway, limit=10)
    assert statuses(gateway.url, key, 4, parallel=1) == [200] * 4
    used(gateway, 4)
    patched(gateway, enabled=False)
    assert statuses(gateway.url, key, 3, parallel=1) == [200] * 3
    log = "requests?limit=50&consumer=" + gateway.consumer
    wait_until(lambda: len(gateway.admin.get(log).json()["items"]) == 7, 15, "the rows of those")
    patched(gateway, enabled=True)
    wait_until(lambda: 429 in statuses(gateway.url, key, 2, parallel=1), 20, "the end of it")
    assert len(sim.chats()) == 13
    used(gateway, 10)
