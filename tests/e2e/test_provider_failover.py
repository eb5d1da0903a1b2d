"""A provider's failover settings by clicking, and its health, live: cooldown counted down, cleared by a button; pool, queue, addresses."""
import threading

import pytest

from harness.gateway import ADMIN, PASSWORD
from harness.rawhttp import Talk
from harness.worker import Upstream, request

GOOD, SLOW = "sk-canary-e2e-good-11aa22", "sk-canary-e2e-slow-33bb44"


@pytest.fixture
def upstream(gateway):
    gateway.secrets.update({GOOD, SLOW})

    def script(wire):
        while True:
            head, _ = wire.request()
            if SLOW.encode() in head:
                wire.json(429, {"error": {"message": "slow down", "type": "x", "code": None}}, "retry-after: 120\r\n")
            else:
                wire.json()
    made = Upstream(script)
    yield made
    made.close()


def logged_in(window, path):
    window.expected.add(401)
    window.open().fill("login-username", ADMIN).fill("login-password", PASSWORD).click("login-submit")
    window.get("overview-state").wait_for()
    window.expected.clear()
    return window.open(path)


@pytest.mark.parametrize("language, width, scheme", [("en", 1280, "light"), ("zh", 400, "dark")])
def test_health_is_live_and_can_be_cleared(gateway, upstream, open_window, language, width, scheme):
    gateway.admin.post("providers", {"name": "pool", "type": "openai", "base_url": upstream.url,
                                     "api_keys": [{"name": "good", "value": GOOD}, {"name": "slow", "value": SLOW}]})
    gateway.route("r", "m", ("pool", None))
    client = gateway.client(gateway.key("app"))
    window = logged_in(open_window(gateway, language, width, scheme), "/providers/pool")
    slow = window.get("health-key slow")
    slow.wait_for()
    assert slow.get_attribute("data-state") == "healthy"
    for _ in range(2):
        assert client.post("/v1/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "x"}]}).status_code == 200
    window.page.locator('[data-testid="health-key slow"][data-state="cooling"]').wait_for()  # without a reload
    text = slow.inner_text()
    assert "slow down" in text and ("back in 1" in text if language == "en" else "后恢复" in text), text
    before = slow.inner_text()
    window.page.wait_for_function("([q, was]) => document.querySelector(q).innerText !== was", arg=['[data-testid="health-key slow"]', before])
    assert window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert not window.axe()
    window.picture("cooling")
    window.click("health-clear-key slow")
    window.page.locator('[data-testid="health-key slow"][data-state="healthy"]').wait_for()


@pytest.mark.parametrize("language, width, scheme", [("en", 1280, "light"), ("zh", 400, "dark")])
def test_pool_queue_and_addresses_are_live(gateway, open_window, language, width, scheme):
    """Nothing is clicked: a connection, a request that waits for it and the name's address appear, and the queue empties again."""
    let_go = threading.Event()

    def script(wire):
        while True:
            wire.request()
            assert let_go.wait(120)
            wire.json()
    vendor = Upstream(script)
    gateway.secrets.add(GOOD)
    gateway.admin.post("providers", {"name": "pool", "type": "openai", "base_url": "http://localhost:%d/v1" % vendor.port,
                                     "api_keys": [{"name": "good", "value": GOOD}], "pool": {"max_connections": 1, "max_queue": 4},
                                     "timeouts": {"queue": "100s"}})
    gateway.route("r", "m", ("pool", None))
    key = gateway.key("app")
    window = logged_in(open_window(gateway, language, width, scheme), "/providers/pool")
    window.page.locator('[data-testid="live-pool"][data-connections="0"]').wait_for()
    talks = [Talk(gateway.data_port, 120).send(request(key=key)) for _ in range(3)]
    window.page.locator('[data-testid="live-pool"][data-connections="1"][data-busy="1"]').wait_for()
    window.page.locator('[data-testid="live-queue"][data-waiting="2"]').wait_for()
    texts = [window.get(name).inner_text() for name in ("live-pool", "live-queue", "address-127.0.0.1", "live-lookup")]
    wanted = [("1 of 1 connections", "1 busy, 0 idle"), ("2 requests wait", "at most 4, each for 100s"), ("IPv4", "in use"), ("Looked up", "again")] \
        if language == "en" else [("连接 1 / 1", "使用中 1，空闲 0"), ("2 个请求排队", "最多 4 个，各等待至多 100s"), ("IPv4", "使用中"), ("域名解析于", "重新解析")]
    assert all(word in text for text, words in zip(texts, wanted) for word in words), texts
    assert window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    assert not window.axe()
    window.picture("live")
    let_go.set()
    assert [talk.answer()[0] for talk in talks] == [200] * 3
    window.page.locator('[data-testid="live-queue"][data-waiting="0"]').wait_for()
    for talk in talks:
        talk.close()
    vendor.close()
    assert not vendor.errors


def test_settings_are_kept_and_saved(gateway, upstream, open_window):
    """What the form does not show must survive a save, and what it shows must arrive."""
    gateway.admin.post("providers", {
        "name": "pool", "type": "vllm", "endpoints": [{"url": upstream.url}], "tls": {"server_name": "api.vendor.test"},
        "model_timeouts": {"qwq-*": {"first_byte": "5m"}}, "on_status": {"404": "next_target"}, "allow_private": True,
        "pool": {"max_connections": 7}})
    window = logged_in(open_window(gateway), "/providers/pool")
    for fold in ("fold-servers", "fold-failover", "fold-timeouts", "fold-tls"):
        window.get(fold).locator("summary").click()
    window.get("on-status-add").click()
    window.fill("on-status-1", "5xx").choose("on-status-1-then", "next key")
    window.fill("model-time-0-idle", "90s")
    window.choose("provider-balance", "same one").choose("affinity-by", "session")
    window.fill("breaker-failures", "3").fill("breaker-slow-start", "20s")
    window.get("check-enabled").click()
    window.fill("check-path", "/v1/models").fill("pool-max-queue", "9")
    window.choose("gone-action", "Read the answer").choose("tls-min-version", "TLS 1.3")
    window.picture("form")
    assert not window.axe()
    window.save("provider-save", "/providers/pool")
    stored = gateway.admin.get("providers/pool").json()
    assert stored["on_status"] == {"404": "next_target", "5xx": "next_key"}
    assert stored["model_timeouts"] == {"qwq-*": {"first_byte": "5m", "idle": "90s"}}
    assert stored["load_balance"] == "hash" and stored["affinity"]["by"] == "session"
    assert stored["breaker"]["failures"] == 3 and stored["breaker"]["slow_start"] == "20s" and stored["breaker"]["window"] == "30s"
    assert stored["health_check"]["enabled"] is True and stored["health_check"]["path"] == "/v1/models"
    assert stored["pool"] == {"max_connections": 7, "max_queue": 9}
    assert stored["on_client_gone"]["action"] == "drain"
    assert stored["tls"]["min_version"] == "1.3" and stored["tls"]["server_name"] == "api.vendor.test" and stored["allow_private"] is True
