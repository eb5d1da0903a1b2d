"""The request log in the browser: found by filters, followed live, looked into, in both languages and on a narrow screen."""
import pytest

from harness.gateway import ADMIN, PASSWORD
from harness.waiting import wait_until

ASK = [{"role": "user", "content": "I am li@example.cn"}]


@pytest.fixture
def served(gateway, openai_sim, deepseek_sim):
    gateway.admin.patch("settings", {"data_plane": {"access_log": {"prompts": True}}})
    gateway.provider("log-main", openai_sim, served=False)
    gateway.provider("log-spare", deepseek_sim, type="deepseek", served=False)
    gateway.route("chat", "gpt-log", ("log-main", "gpt-4o-mini"), retry={"attempts": 1}, log={"prompts": "masked"},
                  fallback={"enabled": True, "on": ["5xx"], "targets": [{"provider": "log-spare", "model": "deepseek-chat"}]})
    yield gateway
    gateway.admin.patch("settings", {"data_plane": {"access_log": {"prompts": False}}})


def ask(gateway, key, id, model="gpt-log"):
    answer = gateway.client(key).post("/chat/completions", json={"model": model, "messages": ASK}, headers={"x-request-id": id})
    wait_until(lambda: gateway.admin.get("requests?request_id=" + id).json()["items"], 15, "the row of " + id)
    return answer


def logged_in(window):
    window.expected.add(401)
    window.open().fill("login-username", ADMIN).fill("login-password", PASSWORD).click("login-submit")
    window.get("overview-state").wait_for()
    window.expected.clear()
    return window


def test_requests_are_found_followed_and_looked_into(served, open_window, openai_sim):
    key = served.key()
    openai_sim.fail("status", status=503, times=1)
    assert ask(served, key, "two-tries").status_code == 200
    assert ask(served, key, "no-model", "strange").status_code == 404
    window = logged_in(open_window(served, "en", 1280, "light"))
    window.open("/requests?consumer=" + served.consumer)
    window.get("request-two-tries").wait_for()
    window.get("request-no-model").wait_for()
    window.fill("filter-model", "gpt-log")
    window.get("request-no-model").wait_for(state="detached")
    assert "model=gpt-log" in window.page.url
    window.click("requests-live")
    ask(served, key, "while-looking")
    window.get("request-while-looking").wait_for()
    window.get("request-two-tries").get_by_role("link").first.click()
    window.get("waterfall").wait_for()
    assert "503" in window.get("try-1").inner_text() and "log-spare" in window.get("try-2").inner_text()
    window.click("prompts-show")
    window.get("said-prompt").wait_for()
    assert "[email]" in window.get("said-prompt").inner_text() and "li@example" not in window.page.content()
    assert not window.complaints


@pytest.mark.parametrize("language, width, scheme", [("zh", 400, "light"), ("en", 400, "dark"), ("zh", 1280, "dark")])
def test_requests_fit_and_can_be_used(served, open_window, language, width, scheme):
    key = served.key()
    ask(served, key, "fit-%s-%d-%s" % (language, width, scheme))
    window = logged_in(open_window(served, language, width, scheme))
    faults = []
    for path, there in (("/requests?consumer=" + served.consumer, "requests"), ("/requests/fit-%s-%d-%s" % (language, width, scheme), "waterfall")):
        window.open(path)
        window.get(there).wait_for()
        window.page.wait_for_load_state("networkidle")
        window.picture("requests-" + there)
        wide = window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        faults += ["%s is %d pixels too wide" % (path, wide)] if wide > 0 else []
        faults += ["%s: %s" % (path, fault) for fault in window.axe()]
    assert not faults and not window.complaints, (faults, window.complaints)


def test_requests_settings_keep_what_the_form_does_not_show(served, open_window):
    served.admin.patch("settings", {"retention": {"requests_max": 123456}, "tracing": {
        "endpoint": "http://127.0.0.1:9", "headers": [{"name": "x-token", "value": "canary-of-the-collector"}]}})
    window = logged_in(open_window(served, "en", 1280, "light"))
    window.open("/settings/data-plane")
    window.get("settings-form").wait_for()
    window.fill("settings-log-path", "other.log").fill("settings-tracing-service", "edge").click("settings-save")
    wait_until(lambda: served.admin.get("settings").json()["data_plane"]["access_log"]["path"] == "other.log", 10, "the saved settings")
    told = served.admin.get("settings").json()
    assert told["retention"]["requests_max"] == 123456 and told["tracing"]["service_name"] == "edge"
    assert told["tracing"]["headers"][0]["name"] == "x-token" and told["tracing"]["headers"][0]["value"]["fingerprint"]
    assert "canary" not in str(told)
    window.fill("settings-log-path", "").click("settings-save")     # an emptied field goes back to its default
    wait_until(lambda: served.admin.get("settings").json()["data_plane"]["access_log"]["path"] == "access.log", 10, "the default")
