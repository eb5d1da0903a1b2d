"""Ten thousand calls ended by faults of every kind, then rest: nothing is open, and every counter is the ledger's sum."""
import pytest

from harness.redis import Redis, running
from harness.storm import GENERATED, PROMPT, Storm
from harness.waiting import wait_until

LIMIT = 10**12
PLUGINS = {"token-ratelimit": {"limit_by": "consumer", "tokens": LIMIT, "window": "1d"},
           "request-ratelimit": {"limit_by": "consumer", "requests": 10**9, "window": "1d"}}


def ledger(gateway, consumer):
    """Every row of it, once all have come."""
    rows, cursor = [], ""
    while cursor is not None:
        page = gateway.admin.get("requests?limit=200&consumer=%s%s" % (consumer, cursor and "&cursor=" + cursor)).json()
        rows, cursor = rows + page["items"], page["next_cursor"]
    return rows


def gauges(gateway, name):
    return sum(gateway.metrics(i)[name] for i in range(gateway.workers))


def at_rest(gateway):
    names = ("tidegate_requests_in_flight", "tidegate_reservations_open", "tidegate_usage_queued", "tidegate_client_connections")
    for name in names:
        wait_until(lambda n=name: gauges(gateway, n) == 0, 20, name + " at 0")
    assert gauges(gateway, "tidegate_usage_dropped_total") == 0


def tokens(rows):
    return sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows)


def check_rows(rows):
    """One for each request; what the provider counted is kept to the token, what it could not say is estimated, never zero."""
    assert len({row["request_id"] for row in rows}) == len(rows)
    seen = {}
    for row in rows:
        seen.setdefault((row["end_reason"], row["usage_source"]), []).append(row)
    assert {"complete", "client_closed", "upstream_error", "blocked"} <= {reason for reason, _ in seen}, {k: len(v) for k, v in seen.items()}
    counted = [row for (_, source), found in seen.items() if source == "provider" for row in found]
    assert counted and {(row["prompt_tokens"], row["completion_tokens"]) for row in counted} == {(PROMPT, GENERATED)}
    assert all(row["prompt_tokens"] > 0 for (_, source), found in seen.items() if source == "estimated" for row in found)
    assert tokens(seen[("blocked", "none")]) == 0


def check_counters(gateway, consumer, rows):
    """remaining = limit − ledger, in every counter that there is."""
    spent = tokens(rows)
    live = {(item["plugin"], item["owner_scope"]): item for item in gateway.admin.get("consumers/%s/limits" % consumer).json()["items"]}
    counter = live[("token-ratelimit", "route")]
    assert (counter["used"], counter["left"]) == (spent, LIMIT - spent)
    balance = wait_until(lambda: (b := gateway.admin.get("quotas/" + consumer).json()["balance"]) and b["used"] == spent and b, 20,
                         "the quota being the ledger's sum, %d" % spent)
    assert balance["left"] == LIMIT - spent
    totals = gateway.admin.get("usage?consumer=" + consumer).json()["totals"]
    assert (totals["requests"], totals["prompt_tokens"] + totals["completion_tokens"]) == (len(rows), spent)


@pytest.mark.parametrize("workers, shared, calls", [(1, False, 5000), (2, True, 5000)], ids=["one worker", "two workers and Redis"])
def test_after_a_storm_everything_is_as_the_ledger_says(start_gateway, workers, shared, calls):
    gateway = start_gateway(workers=workers)
    with running(*[Redis()] if shared else []) as servers:
        if shared:      # on a machine too busy to answer in time nobody is admitted by guess, so the counters stay exact
            gateway.admin.patch("settings", {"counters": {"backend": "redis", "url": servers[0].url, "on_failure": "closed"}})
        names = ["storm-a", "storm-b"]
        keys = [gateway.key(name) for name in names]
        clients = 32 if shared else 64
        storm = Storm(gateway.data_port, keys, seed=calls + workers, clients=clients)
        for name in ("frail", "sound"):
            gateway.admin.post("providers", {"name": name, "type": "openai-compatible", "base_url": storm.url, "key_failover": {"enabled": False}})
        for name in names:
            gateway.admin.post("quotas", {"name": name, "consumer": name, "unit": "tokens", "limit": LIMIT})
        gateway.admin.post("routes", {"name": "r", "match": {"models": []}, "targets": [{"provider": "frail"}],
                                      "plugins": {**PLUGINS, "concurrency": {"limit_by": "all", "calls": clients - clients // 8}},
                                      "retry": {"attempts": 2}, "fallback": {"enabled": True, "on": ["5xx", "connect_error"], "targets": [{"provider": "sound"}]}})
        gateway.wait_served()
        storm.run(calls)
        at_rest(gateway)
        rows = {name: ledger(gateway, name) for name in names}
        assert sum(map(len, rows.values())) == calls == sum(storm.heard.values()), storm.heard
        assert storm.heard["broken"] > 0 and {200, 400, 429} <= set(storm.heard), storm.heard
        for name in names:
            check_rows(rows[name])
            check_counters(gateway, name, rows[name])
        for server in servers:
            counters = [key for key in server.command("KEYS", "tg:*").split() if not key.endswith(":l")]
            assert counters and {server.command("HGET", key, "o") for key in counters} == {"0"}
