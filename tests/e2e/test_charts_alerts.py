"""Charts and alerts as people see them: the numbers equal what the vendor answered, and a rule made by clicks is told."""
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.receivers import Chats
from harness.waiting import wait_until

from test_pages import logged_in

SECRET = "SEC-canary-e2e-9b27c4"


def load(gateway, key, model, requests, threads=3):
    def ask(_):
        body = {"model": model, "messages": [{"role": "user", "content": "tell me"}]}
        with httpx.Client(base_url=gateway.url, headers={"Authorization": "Bearer " + key}, trust_env=False, verify=False, timeout=30) as client:
            return client.post("chat/completions", json=body).status_code
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(ask, range(requests)))


def number(window, test_id):
    """What stands there, as a number; 0 while it does not."""
    place = window.get(test_id)
    text = place.first.inner_text() if place.count() else ""
    return int(re.sub(r"\D", "", text) or 0)


def drag(window, test_id, start, end):
    """Across a chart's canvas, from one share of its width to another."""
    box = window.get(test_id).locator(".u-over")
    box.scroll_into_view_if_needed()
    at = box.bounding_box()
    mouse, y = window.page.mouse, at["y"] + at["height"] / 2
    mouse.move(at["x"] + at["width"] * start, y)
    mouse.down()
    mouse.move(at["x"] + at["width"] * (start + end) / 2, y)
    mouse.move(at["x"] + at["width"] * end, y)
    mouse.up()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language, width, scheme", [("en", 1280, "light"), ("zh", 400, "dark")])
def test_the_overview_shows_what_the_vendor_answered(start_gateway, openai_sim, open_window, language, width, scheme):
    gateway = start_gateway()
    gateway.provider("p1", openai_sim, served=False)
    gateway.route("r1", "gpt-4.1-nano", ("p1", None), served=False)
    gateway.route("r2", "fast", ("p1", "gpt-4o-mini"), served=False)
    first, second = gateway.key("app1"), gateway.key("app2")
    gateway.wait_served()
    window = logged_in(open_window(gateway, language, width, scheme))
    assert set(load(gateway, first, "gpt-4.1-nano", 11)) == {200}
    # The page stands open and follows by itself.
    wait_until(lambda: number(window, "tile-requests") == 11, 60, "the first requests in the open page", every=0.3)
    window.picture("during")
    assert set(load(gateway, first, "gpt-4.1-nano", 6) + load(gateway, second, "fast", 9)) == {200}
    assert load(gateway, first, "nobody-serves-this", 2) == [404, 404]
    asked = [r for r in openai_sim.requests if r.path.endswith("/chat/completions")]
    assert len(asked) == 26
    wait_until(lambda: number(window, "tile-requests") >= 28, 60, "all requests in the open page", every=0.3)
    window.get("top-providers-p1").wait_for()
    # Each card asks for itself, every ten seconds.
    counts = {"tile-requests": 28, "top-providers-p1": 26, "top-routes-r1": 17, "top-routes-r2": 9, "top-consumers-app1": 19,
              "top-consumers-app2": 9, "top-models-gpt-4.1-nano": 17, "top-models-gpt-4o-mini": 9}
    wait_until(lambda: {name: number(window, name) for name in counts} == counts, 30, "the exact counts %s" % counts, every=0.3)
    spent = sum(row["prompt_tokens"] + row["completion_tokens"] for row in gateway.admin.get("usage?group_by=route").json()["items"])
    assert number(window, "tile-tokens") == spent < 10000, "few enough to be written in full"
    assert window.get("chart-requests-chart").locator("canvas").count() == 1
    window.picture("after")
    assert not window.axe()

    # A shorter span holds the same requests; closer still by dragging, where nothing was asked.
    window.get("span-15m").click()
    window.page.wait_for_url("**span=15m*")
    wait_until(lambda: number(window, "tile-requests") == 28, 30, "the counts of a quarter of an hour", every=0.2)
    drag(window, "chart-requests-chart", 0.05, 0.4)
    window.get("span-reset").wait_for()
    assert re.search(r"from=\d+&to=\d+", window.page.url)
    wait_until(lambda: number(window, "tile-requests") == 0, 30, "the quiet minutes before", every=0.2)
    window.picture("zoomed")
    window.click("span-reset")
    wait_until(lambda: number(window, "tile-requests") == 28, 30, "the whole hour again", every=0.2)

    for path, shown in (("/routes/r1?tab=charts", "route"), ("/consumers/app1", "consumer"), ("/providers/p1", "provider")):
        window.open(path).get("chart-requests-chart").locator("canvas").first.wait_for()
        window.picture(shown)
    [node] = gateway.admin.get("nodes").json()["items"]
    window.open("/workers/" + node["id"]).get("chart-memory-chart").locator("canvas").first.wait_for()
    window.picture("worker")
    assert not window.axe()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language, scheme", [("en", "light"), ("zh", "dark")])
def test_a_rule_made_by_clicks_is_told(start_gateway, open_window, language, scheme):
    gateway = start_gateway()
    gateway.key("app1")
    key = gateway.key("app2")
    gateway.secrets.update({SECRET, "canary-webhook-4f1d"})
    chats = Chats(SECRET)
    try:
        window = logged_in(open_window(gateway, language, scheme=scheme))
        window.click("nav-alerts").click("tab-channels").click("channel-add")
        window.fill("channel-name", "ops").fill("channel-url", chats.url("webhook")).fill("channel-secret", SECRET)
        window.click("channel-allow-private").picture("channel-form")
        assert not window.axe()
        window.click("channel-save").click("channel-ops-test")
        window.page.locator(".ant-notification-notice-success").wait_for()
        assert [body["state"] for _, body in chats.heard] == ["test"]
        assert SECRET not in window.page.content() and "canary-webhook" not in window.page.content()

        window.click("tab-rules").click("rule-add")
        window.fill("rule-name", "strange-models").choose("rule-metric", {"en": "Errors, 4xx too", "zh": "错误（含 4xx）"}[language])
        window.choose("rule-statistic", {"en": "total in the window", "zh": "窗口内总数"}[language]).choose("rule-by", {"en": "consumer", "zh": "消费者"}[language])
        window.fill("rule-threshold", "2").fill("rule-min-count", "1").fill("rule-for", "0s").choose("rule-channels", "ops")
        window.page.keyboard.press("Escape")
        window.picture("rule-form")
        window.click("rule-save").get("rule-strange-models").wait_for()
        stored = gateway.admin.get("alerts/strange-models").json()
        assert [stored[m] for m in ("metric", "statistic", "by", "threshold", "for", "channels")] == ["errors", "total", "consumer", 2, "0s", ["ops"]]

        assert set(load(gateway, key, "nobody-serves-this", 4)) == {404}
        window.click("tab-events")
        event = wait_until(lambda: gateway.admin.get("alert-events?rule=strange-models").json()["items"], 60, "the event", every=0.3)[0]
        window.open("/alerts/events").page.get_by_text("strange-models").first.wait_for()
        assert window.page.get_by_text("app2").first.is_visible()
        wait_until(lambda: len(chats.heard) == 2, 30, "the message", every=0.2)
        told = chats.heard[1][1]
        assert (told["state"], told["rule"], told["object"], told["id"]) == ("firing", "strange-models", "app2", str(event["id"]))
        window.picture("firing")
        assert not window.axe()
        window.open("/alerts/rules").get("rule-strange-models").wait_for()
        window.picture("rules")
    finally:
        chats.close()
