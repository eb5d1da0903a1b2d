"""Charts as people see them: the numbers equal what the vendor answered."""
import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.waiting import wait_until

from test_pages import logged_in


def load(gateway, key, model, requests, threads=3):
    def ask(_):
        body = {"model": model, "messages": [{"role": "user", "content": "tell me"}]}
        with httpx.Client(base_url=gateway.url, headers={"Authorization": "Bearer " + key}, trust_env=False, timeout=30) as client:
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
