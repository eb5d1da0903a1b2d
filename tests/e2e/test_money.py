"""Quotas, prices and the usage report by clicks: granted, used, adjusted, priced, reported."""
import csv
import io
from pathlib import Path

import pytest

from harness.receivers import Chats
from harness.waiting import wait_until
from test_pages import logged_in

SECRET = "SEC-canary-budget-51ce07"
ASK = {"model": "m-one", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def served(gateway, start_sim):
    sim = start_sim("openai", models=["m-one"])
    gateway.provider("vendor", sim, type="openai-compatible", served=False)
    gateway.route("a", "m-one", ("vendor", None))
    return gateway


def ask(gateway, key, count=1):
    client = gateway.client(key)
    return [client.post("chat/completions", json=ASK).status_code for _ in range(count)]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_quota_is_granted_used_and_adjusted_by_clicks(served, open_window, language):
    key, name = served.key(), served.consumer
    window = logged_in(open_window(served, language))
    window.click("nav-quotas").click("quota-add")
    window.fill("quota-name", "q-one").fill("quota-who", name).fill("quota-limit", "2")
    window.get("quota-unit").locator("input[value=requests]").check()
    window.picture("quota-new")
    faults = window.axe()
    window.click("quota-create").get("quota-q-one").wait_for()
    served.wait_served()
    assert ask(served, key, 3) == [200, 200, 429]
    bar = window.get("quota-bar-q-one")
    wait_until(lambda: "2" in bar.inner_text() and bar.locator(".ant-progress-status-exception").count(), 15, "the full bar", every=0.2)
    window.picture("quotas-used")
    window.click("quota-q-one-book").get("quota-book").wait_for()
    window.fill("quota-change-amount", "3").fill("quota-change-reason", "the project goes on").click("quota-change-save")
    window.get("quota-book").get_by_text("the project goes on").wait_for()
    window.page.locator(".ant-btn-loading").wait_for(state="detached")
    window.picture("quota-book")
    faults += window.axe()
    assert served.admin.get("quotas/q-one").json()["balance"]["granted"] == 5
    wait_until(lambda: ask(served, key) == [200], 10, "a request after the addition")
    # the same on its consumer's page, with what it used over time
    window.open("/consumers/" + name).get("consumer-quotas").get_by_test_id("quota-bar-q-one").wait_for()
    window.get("usage-chart").wait_for()
    window.picture("consumer")
    window.open("/quotas").click("quota-q-one-delete").click("confirm-ok").get("quota-q-one").wait_for(state="detached")
    assert served.admin.get("quotas").json()["total"] == 0
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language, width, scheme", [("en", 1280, "light"), ("zh", 400, "dark")])
def test_a_quota_grows_and_reports_elsewhere_by_clicks(served, open_window, language, width, scheme):
    key, name = served.key(), served.consumer
    served.admin.post("quotas", {"name": "grows", "description": "kept", "consumer": name, "unit": "money", "currency": "CNY", "limit": 2_500_000,
                                 "status": 402, "thresholds": [50]})
    window = logged_in(open_window(served, language, width, scheme)).open("/quotas").click("quota-grows-edit")
    limit, marks = window.get("quota-edit-limit"), window.get("quota-edit-thresholds")
    wait_until(lambda: limit.input_value() == "2.5", 20, "the stored limit in the form")
    assert marks.locator(".ant-select-selection-item").all_inner_texts() == ["50"]
    window.fill("quota-edit-limit", "1e3").fill("quota-edit-thresholds", "most")
    window.page.keyboard.press("Enter")
    window.click("quota-save").page.locator(".ant-form-item-explain-error").nth(1).wait_for()     # neither is a number
    window.picture("quota-edit-wrong")
    faults = window.axe()
    assert served.admin.get("quotas/grows").json()["limit"] == 2_500_000
    marks.locator(".ant-select-selection-item-remove").last.click()
    window.fill("quota-edit-limit", "4.25").fill("quota-edit-thresholds", "90")
    window.page.keyboard.press("Enter")
    window.get("quota-edit-exceeded").locator("input[value=allow]").check()
    window.click("quota-save").get("quota-save").wait_for(state="hidden")
    after = served.admin.get("quotas/grows").json()
    assert (after["limit"], after["thresholds"], after["on_exceeded"]) == (4_250_000, [50, 90], "allow")
    assert (after["description"], after["status"], after["consumer"], after["balance"]["granted"]) == ("kept", 402, name, 4_250_000)
    wait_until(lambda: "4.25" in window.get("quota-bar-grows").inner_text(), 10, "the new limit in the list")
    # From its consumer's page too, and the form shows what is stored now.
    window.open("/consumers/" + name).click("quota-grows-edit")
    wait_until(lambda: limit.input_value() == "4.25" and marks.locator(".ant-select-selection-item").all_inner_texts() == ["50", "90"], 20, "the form anew")
    window.picture("quota-edit")
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language, width, scheme", [("en", 1280, "light"), ("zh", 400, "dark")])
def test_prices_stand_in_folds_and_a_search_opens_them(served, open_window, language, width, scheme):
    served.admin.put("prices/mine", {"name": "mine", "models": ["m-one"], "currency": "USD", "rates": {"request": 100_000}})
    window = logged_in(open_window(served, language, width, scheme)).open("/prices")
    window.get("price-mine").wait_for()                       # one's own come first, and open
    total = served.admin.get("prices?limit=500").json()["total"]
    seed = next(p for p in served.admin.get("prices?source=seed&limit=500").json()["items"] if p["provider_type"] == "deepseek")
    line = window.get("price-" + seed["name"])
    assert total > 50 and not line.is_visible()
    assert window.page.evaluate("document.documentElement.scrollHeight") < 1800
    assert "Google Gemini" in window.get("prices-group-gemini").inner_text(), "a vendor has a name, with a type of provider or without"
    window.picture("prices-folded")
    faults = window.axe()
    window.get("prices-group-deepseek").locator("summary").click()
    line.wait_for()
    assert window.get("prices-group-deepseek").locator("li").count() == sum(
        p["provider_type"] == "deepseek" for p in served.admin.get("prices?source=seed&limit=500").json()["items"])
    window.picture("prices-open")
    faults += window.axe()
    window.get("prices-group-deepseek").locator("summary").click()
    line.wait_for(state="hidden")
    window.fill("prices-search", seed["models"][0])
    window.get("price-mine").wait_for(state="detached")
    line.wait_for()
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_price_is_set_changed_and_reported_by_clicks(served, open_window, language):
    key = served.key()
    window = logged_in(open_window(served, language))
    window.click("nav-prices").get("prices").wait_for()
    window.click("price-add").fill("price-name", "one").fill("price-rate-request", "0.5")
    window.get("price-models").locator("input").fill("m-one")
    window.page.keyboard.press("Enter")
    window.fill("price-provider", "vendor").fill("price-rate-input", "1.5.0").click("price-save")
    window.page.locator(".ant-form-item-explain-error").wait_for()      # no such number
    window.fill("price-rate-input", "").page.locator(".ant-form-item-explain-error").wait_for(state="detached")
    window.picture("price-new")
    faults = window.axe()
    window.click("price-save")
    window.fill("prices-search", "one").get("price-one").wait_for()
    assert served.admin.get("prices/one").json()["rates"]["request"] == 500_000
    served.wait_served()
    assert ask(served, key) == [200]
    window.click("price-one-edit").fill("price-rate-request", "2").click("price-save").get("price-save").wait_for(state="hidden")
    wait_until(lambda: served.admin.get("prices/one").json()["rates"]["request"] == 2_000_000, 20, "the changed price")
    served.wait_served()
    assert ask(served, key, 2) == [200] * 2
    served.usage(requests=3)
    window.open("/usage").get("usage-table").get_by_text(served.consumer).wait_for()
    assert "4.5" in window.get("usage-table").locator("tr", has_text=served.consumer).inner_text()
    assert window.get("usage-chart").locator("canvas").count() == 1
    window.picture("usage")
    faults += window.axe()
    with window.page.expect_download() as download:
        window.click("usage-csv")
    table = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    mine = [row for row in table if row["consumer"] == served.consumer]
    assert [(row["requests"], float(row["cost_USD"])) for row in mine] == [("3", 4.5)]
    assert not faults, "\n".join(faults)


def spend(client, count):
    """Calls by the SDK, one after another, until one is refused: (answered, what the refusal said)."""
    import openai
    for done in range(count):
        try:
            client.chat.completions.create(model="m-one", messages=ASK["messages"], max_tokens=20)
        except openai.APIStatusError as error:
            return done, error
    return count, None


def budget_scene(gateway, chats, sim, window, language):
    gateway.secrets |= {SECRET, "canary-webhook-4f1d"}
    gateway.provider("vendor", sim, type="openai-compatible", served=False)
    gateway.route("a", "m-one", ("vendor", None), served=False)
    gateway.admin.put("prices/one", {"name": "one", "models": ["m-one"], "currency": "USD", "rates": {"request": 100_000}})
    sdk = gateway.openai(gateway.key())
    logged_in(window).open("/quotas").click("quota-add").fill("quota-name", "budget").fill("quota-who", gateway.consumer).fill("quota-limit", "1")
    window.get("quota-unit").locator("input[value=money]").check()
    window.click("quota-create").get("quota-budget").wait_for()
    window.open("/alerts/channels").click("channel-add").fill("channel-name", "finance").fill("channel-url", chats.url("webhook"))
    window.fill("channel-secret", SECRET).click("channel-allow-private").click("channel-save").get("channel-finance").wait_for()
    window.open("/alerts/rules").click("rule-add").fill("rule-name", "budget-80").choose("rule-watch", {"en": "A quota that is nearly used", "zh": "配额即将用完"}[language])
    window.fill("rule-threshold", "80").fill("rule-for", "0s").choose("rule-channels", "finance")
    window.page.keyboard.press("Escape")
    window.picture("budget-rule")
    window.click("rule-save").get("rule-budget-80").wait_for()
    gateway.wait_served()

    def messages():
        return [m for kind, m in chats.heard if kind == "webhook"]
    assert spend(sdk, 7) == (7, None)
    wait_until(lambda: gateway.admin.get("quotas/budget").json()["balance"]["used"] == 700_000, 15, "seventy per cent spent", every=0.2)
    assert spend(sdk, 1) == (1, None)
    window.open("/alerts")
    event = window.page.get_by_test_id("alert-events").get_by_text("budget-80")
    wait_until(lambda: event.count() > 0, 60, "the alert in the console", every=0.3)
    window.picture("budget-fires")
    told = wait_until(lambda: [m for m in messages() if m.get("rule") == "budget-80"], 60, "the webhook", every=0.2)
    assert told[0]["object"] == "budget" and 80 <= told[0]["value"] < 81, told[0]
    answered, refusal = spend(sdk, 5)
    assert answered == 2 and refusal.status_code == 429 and refusal.body["code"] == "insufficient_quota", (answered, refusal)
    assert len(sim.chats()) == 10, "not one call beyond the budget"
    balance = wait_until(lambda: (b := gateway.admin.get("quotas/budget").json()["balance"])["used"] == 1_000_000 and b, 15, "all of it", every=0.2)
    assert balance["left"] == 0
    window.open("/quotas").get("quota-bar-budget").wait_for()
    window.picture("budget-spent")
    faults = window.axe()
    assert not faults, "\n".join(faults)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language, width, scheme", [("en", 1280, "light"), ("zh", 400, "dark")])
def test_a_budget_warns_at_eighty_per_cent_and_ends_at_a_hundred(start_gateway, start_sim, open_window, language, width, scheme):
    """By clicks: a budget of money, a rule that watches it, a webhook. The SDK spends; the console fires; the webhook hears; then no more."""
    gateway, chats = start_gateway(), Chats(SECRET)
    try:
        budget_scene(gateway, chats, start_sim("openai", models=["m-one"]), open_window(gateway, language, width, scheme), language)
    finally:
        chats.close()
