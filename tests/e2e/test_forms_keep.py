"""A form that is saved changes what was touched and nothing else, also what it does not show."""
import pytest

from harness.waiting import wait_until
from test_pages import logged_in

PROVIDER = {
    "name": "full", "type": "openai", "description": "before", "labels": {"team": "a"}, "enabled": True,
    "endpoints": [{"url": "http://127.0.0.1:9/v1", "weight": 3}, {"url": "http://127.0.0.1:10/v1", "weight": 1}],
    "api_keys": [{"name": "main", "value": "sk-canary-keep-0123456789", "weight": 2}, {"name": "spare", "value": "sk-canary-keep-9876543210", "enabled": False}],
    "models": ["gpt-4o"], "load_balance": "hash", "affinity": {"by": "header", "header": "x-session"},
    "timeouts": {"connect": "3s", "first_byte": "61s", "idle": "62s", "total": "11m"}, "model_timeouts": {"gpt-*": {"idle": "9s", "total": "2m"}},
    "on_status": {"404": "next_target"}, "key_failover": {"enabled": True, "failure_threshold": 4, "cooldown": "31s"}, "allow_private": True,
    "tls": {"verify": False, "server_name": "a.example.com", "min_version": "1.3"}, "headers": {"x-extra": "1"}}
ROUTE = {
    "name": "full", "description": "before", "labels": {"team": "a"}, "enabled": True, "hosts": ["*.example.com"], "path_prefix": "/deep",
    "ignore_case": True, "timeout": "4m", "retry": {"attempts": 3, "on": ["503"]},
    "match": {"models": [{"type": "exact", "value": "m", "ignore_case": True}], "headers": [{"type": "prefix", "name": "x-team", "value": "a"}],
              "query": [{"type": "exact", "name": "q", "value": "1"}]},
    "targets": [{"provider": "full", "model": None, "model_map": {"m": "gpt-4o"}, "weight": 2}],
    "fallback": {"enabled": True, "on": ["rate_limited"], "targets": [{"provider": "full", "model": "z", "model_map": {"m": "gpt-4o"}, "timeout": "7s"}]},
    "auth": {"required": True, "consumers": ["full"], "groups": ["full"]},
    "log": {"prompts": "full", "max_bytes": 512, "sample_percent": 7, "mask": ["secret-[0-9]+"]},
    "plugins": {"token-ratelimit": {"enabled": True, "fail_open": True, "limit_by": "header", "name": "x-team", "tokens": 5, "window": "7s", "rules": [
        {"limit_by": "ip", "networks": ["10.0.0.0/8"], "tokens": 9, "window": "1h", "count": "completion"}]}}}
CONSUMER = {"name": "full", "description": "before", "labels": {"team": "a"}, "groups": ["full"], "models": ["gpt-*"],
            "plugins": {"request-ratelimit": {"enabled": True, "requests": 3, "window": "9s", "on_outage": "open"}}}
GROUP = {"name": "full", "description": "before", "labels": {"team": "a"}, "models": ["gpt-*"],
         "plugins": {"concurrency": {"enabled": False, "calls": 3}}}
PRICE = {"name": "full", "description": "kept", "labels": {"team": "a"}, "enabled": False, "models": ["m-*"], "provider_type": "openai", "currency": "EUR",
         "valid_from": "2026-01-02T03:04:05Z", "rates": {"input": 1_000_000, "request": 3},
         "variants": [{"above_prompt_tokens": 9, "rates": {"input": 2_000_000}}]}
OWN = ("updated_at", "revision", "warnings")


@pytest.fixture(scope="module")
def filled(shared_gateway):
    for path, body in (("providers", PROVIDER), ("groups", GROUP), ("consumers", CONSUMER), ("routes", ROUTE)):
        shared_gateway.admin.post(path, body)
    return shared_gateway


def stored(gateway, path):
    return {name: value for name, value in gateway.admin.get(path).json().items() if name not in OWN}


def kept(before, after):
    """Everything of `before` is in `after`, which may say defaults as well."""
    if isinstance(before, dict):
        return isinstance(after, dict) and all(name in after and kept(value, after[name]) for name, value in before.items())
    if isinstance(before, list):
        return isinstance(after, list) and len(before) == len(after) and all(map(kept, before, after))
    return before == after


@pytest.mark.parametrize("kind", ["provider", "group", "consumer", "route"])
def test_a_saved_form_keeps_what_was_not_touched(filled, open_window, watch, kind):
    watch.gateways.append(filled)
    path = kind + "s/full"
    before = stored(filled, path)
    window = logged_in(open_window(filled))
    window.open("/" + path)
    window.fill(kind + "-description", "after").click(kind + "-save")
    wait_until(lambda: stored(filled, path)["description"] == "after", 10, "the saved form")
    after = stored(filled, path)
    assert kept({**before, "description": "after"}, after), [(name, before[name], after.get(name)) for name in before if before[name] != after.get(name)]


def test_a_saved_price_keeps_what_was_not_touched(filled, open_window, watch):
    watch.gateways.append(filled)
    filled.admin.put("prices/full", PRICE)
    before = stored(filled, "prices/full")
    window = logged_in(open_window(filled))
    window.open("/prices?source=operator").fill("prices-search", "full").click("price-full-edit").fill("price-rate-output", "4").click("price-save")
    wait_until(lambda: stored(filled, "prices/full")["rates"]["output"] == 4_000_000, 10, "the saved price")
    after = stored(filled, "prices/full")
    assert kept({**before, "rates": {**before["rates"], "output": 4_000_000}}, after), (before, after)


def test_a_stored_password_of_redis_goes_by_a_click(filled, open_window, watch):
    watch.gateways.append(filled)
    secret = "canary-redis-console-77"
    filled.secrets.add(secret)
    filled.admin.patch("settings", {"counters": {"backend": "redis", "url": "redis://127.0.0.1:1", "on_failure": "open", "password": secret}})

    def counters():
        return filled.admin.get("settings").json()["counters"]
    window = logged_in(open_window(filled))
    window.open("/settings/counters").fill("counters-url", "redis://127.0.0.1:2").click("counters-save")
    wait_until(lambda: counters()["url"] == "redis://127.0.0.1:2", 10, "the saved address")
    assert counters()["password"]["last4"] == secret[-4:], "a password that nobody touched stays"
    window.page.wait_for_load_state("networkidle")
    window.click("counters-password-forget").click("counters-save")
    wait_until(lambda: not counters().get("password"), 10, "the password to be gone")
    filled.admin.patch("settings", {"counters": None})
