"""The ledger after a mixed load: a row for each request, and of what providers counted not a token more or less."""
from concurrent.futures import ThreadPoolExecutor

import httpx

from harness.waiting import wait_until

QUESTION = [{"role": "user", "content": "how many are we?"}]


def client_of(gateway, key):
    return httpx.Client(base_url=gateway.url, headers={"Authorization": "Bearer " + key}, timeout=30, trust_env=False, verify=False)


def ask(gateway, key, model, stream=False):
    with client_of(gateway, key) as client:
        answer = client.post("/chat/completions", json={"model": model, "messages": QUESTION, "stream": stream})
        return answer.status_code, answer.text


def leave(gateway, key, model):
    """Reads the first line of a stream and goes."""
    with client_of(gateway, key) as client:
        with client.stream("POST", "/chat/completions", json={"model": model, "messages": QUESTION, "stream": True}) as answer:
            return next(answer.iter_lines())


def rows(gateway, count):
    query = "requests?limit=200&consumer=" + gateway.consumer
    return wait_until(lambda: (page := gateway.admin.get(query).json())["items"][count - 1:] and page["items"], 20, "%d rows" % count, every=0.2)


def sums(items):
    return {name: sum(item[name] for item in items) for name in ("prompt_tokens", "completion_tokens")}


def test_the_ledger_equals_what_the_providers_counted(start_gateway, start_sim):
    gateway = start_gateway(workers=2)
    sound, frail = start_sim("openai", models=["m-one"]), start_sim("openai", models=["m-two"])
    for name, model, vendor in (("sound", "m-one", sound), ("frail", "m-two", frail)):
        gateway.provider(name, vendor, type="openai-compatible", served=False)
        gateway.route(name, model, (name, None), retry={"attempts": 1})
    key = gateway.key()
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda i: ask(gateway, key, "m-one", stream=i % 2 == 0), range(40)))
    assert {status for status, _ in said} == {200}
    frail.fail("truncate", after_events=4, times=6)
    broken = [ask(gateway, key, "m-two", stream=True) for _ in range(6)]
    assert all("error" in text and "[DONE]" not in text for _, text in broken)
    frail.fail("status", status=400, times=3)
    assert [ask(gateway, key, "m-two")[0] for _ in range(3)] == [400] * 3
    frail.behave(hold=True)
    with ThreadPoolExecutor(5) as pool:
        assert all(line.startswith("data:") for line in pool.map(lambda _: leave(gateway, key, "m-two"), range(5)))
    ledger = rows(gateway, 54)
    frail.release()
    assert len(ledger) == 54 == len({row["request_id"] for row in ledger}) == len(sound.chats()) + len(frail.chats())
    counted = [row for row in ledger if row["usage_source"] == "provider"]
    assert len(counted) == 40 and {row["provider"] for row in counted} == {"sound"}
    assert sums(counted) == sound.issued and sound.issued["completion_tokens"] > 0
    guessed = [row for row in ledger if row["usage_source"] == "estimated"]
    assert sorted(row["end_reason"] for row in guessed) == ["client_closed"] * 5 + ["upstream_error"] * 6
    assert all(row["prompt_tokens"] > 0 for row in guessed), "what was begun is paid for"
    refused = [row for row in ledger if row["usage_source"] == "none"]
    assert len(refused) == 3 and sums(refused) == {"prompt_tokens": 0, "completion_tokens": 0}
    totals = gateway.admin.get("usage?consumer=" + gateway.consumer).json()["totals"]
    assert (totals["requests"], totals["estimated"], totals["errors"] >= 3) == (54, 11, True)
    assert {name: totals[name] for name in sums(ledger)} == sums(ledger), "the reports are the sum of the rows"
