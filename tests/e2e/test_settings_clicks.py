"""Counting together and TLS, set up by clicks: what the workers then do, and that secrets stay when they are not typed again."""
import ssl

import httpx
import pytest

from harness.certificates import Authority
from harness.redis import Redis, running
from harness.waiting import wait_until
from test_pages import logged_in

PASSWORD = "canary-redis-form-51c0"


def settings(gateway, part):
    return gateway.admin.get("settings").json()[part]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_counters_in_redis_by_clicks(start_gateway, open_window, language):
    gateway = start_gateway()
    gateway.secrets.add(PASSWORD)
    with running(Redis("--requirepass", PASSWORD, auth=("-a", PASSWORD))) as (redis,):
        window = logged_in(open_window(gateway, language))
        window.open("/settings/counters")
        window.click("counters-redis").fill("counters-url", redis.url).fill("counters-password", PASSWORD)
        window.click("counters-on-failure-closed")
        window.picture("counters")
        window.click("counters-save")
        wait_until(lambda: "shared counters are reached" in gateway.logs(), 10, "Redis reached")
        window.page.reload()
        window.get("counters-url").wait_for()
        window.click("counters-on-failure-open").click("counters-save")
        wait_until(lambda: settings(gateway, "counters")["on_failure"] == "open", 10, "the second save")
        told = settings(gateway, "counters")
        assert told["backend"] == "redis" and told["url"] == redis.url and told["password"]["last4"] == PASSWORD[-4:]
        assert PASSWORD not in window.page.content()
        assert window.get("counters-away").count() == 0
    window.get("counters-away").get_by_text("worker-1").wait_for()     # Redis is gone, and the page says who misses it


def test_tls_by_clicks(start_gateway, open_window, tmp_path):
    gateway = start_gateway()
    authority = Authority(tmp_path)
    pair = authority.server("127.0.0.1", "localhost")
    gateway.secrets.add(pair.key.splitlines()[1])
    window = logged_in(open_window(gateway, "en"))
    window.open("/settings/tls")
    window.click("tls-mode-optional").click("certificate-add")
    window.fill("certificate-0-chain", pair.cert).fill("certificate-0-key", pair.key).click("tls-save")
    wait_until(lambda: settings(gateway, "tls")["mode"] == "optional", 10, "the saved TLS")
    gateway.wait_served()
    window.page.reload()
    window.get("certificate-0-chain").wait_for()
    window.picture("tls")
    assert pair.key.splitlines()[1] not in window.page.content()
    window.click("tls-mode-required").click("tls-save")             # the key is not typed again
    wait_until(lambda: settings(gateway, "tls")["mode"] == "required", 10, "the second save")
    gateway.wait_served()
    context = ssl.create_default_context(cafile=authority.file)
    with httpx.Client(verify=context, trust_env=False, timeout=20) as client:
        answer = client.get("https://127.0.0.1:%d/v1/models" % gateway.data_port)
    assert answer.status_code == 401, "TLS is served; a key is still asked for"
