"""Every page in both languages, light and dark, wide and on a telephone: it draws, fits and can be used by everybody."""
import pytest

from harness.gateway import ADMIN, PASSWORD

PAGES = ["/", "/providers", "/providers/new", "/providers/p0", "/routes", "/routes/new", "/routes/r0", "/consumers",
         "/consumers/app1", "/groups", "/groups/design", "/jwt-issuers", "/plugins", "/workers", "/revisions", "/audit", "/settings/data-plane", "/settings/tls",
         "/settings/counters",
         "/requests", "/usage", "/quotas", "/prices", "/workers/:id", "/revisions/1", "/routes/r0?tab=use", "/routes/r0?tab=charts",
         "/routes/r0?tab=explain", "/settings/users", "/settings/tokens", "/settings/join-tokens", "/settings/configuration"]
PAGES += ["/alerts/events", "/alerts/rules", "/alerts/channels", "/alerts/silences"]


@pytest.fixture(scope="module")
def furnished(shared_gateway):
    """A gateway with one of everything."""
    admin = shared_gateway.admin
    admin.post("providers", {"name": "p0", "type": "deepseek", "api_keys": [{"name": "main", "value": "sk-canary-e2e-0123456789"}]})
    admin.post("routes", {"name": "r0", "match": {"models": [{"type": "exact", "value": "m"}]}, "targets": [{"provider": "p0"}]})
    admin.post("consumers", {"name": "app1"})
    admin.post("consumers/app1/keys", {"name": "main"})
    admin.post("alert-channels", {"name": "ops", "type": "slack", "url": "https://hooks.slack.example/services/canary-e2e-slack"})
    admin.post("alerts", {"name": "failing", "metric": "failures", "statistic": "share", "threshold": 5, "channels": ["ops"]})
    admin.post("silences", {"name": "night", "starts_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T06:00:00Z"})
    admin.post("quotas", {"name": "app1-monthly", "consumer": "app1", "unit": "money", "currency": "CNY", "limit": 5_000_000_000,
                          "period": "month", "time_zone": "Asia/Shanghai", "on_exceeded": "allow"})
    admin.post("quotas", {"name": "app1-tokens", "consumer": "app1", "unit": "tokens", "limit": 0})
    admin.post("groups", {"name": "design", "models": ["qwen-*"]})
    admin.post("jwt-issuers", {"name": "idp", "issuer": "https://idp.example.com/", "jwks_url": "http://127.0.0.1:9/jwks"})
    admin.post("consumers/app1/credentials", {"type": "jwt", "issuer": "idp", "value": "user-1"})
    return shared_gateway


def logged_in(window):
    window.expected.add(401)
    window.open().fill("login-username", ADMIN).fill("login-password", PASSWORD).click("login-submit")
    window.get("overview-state").wait_for()
    window.expected.clear()
    return window


@pytest.mark.timeout(300)                # a dozen pages, each drawn, photographed and checked for accessibility
@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("language, width, scheme", [("en", 1280, "light"), ("zh", 400, "light"), ("zh", 1280, "dark"), ("en", 400, "dark")])
def test_pages(furnished, open_window, watch, language, width, scheme, part):
    watch.gateways.append(furnished)
    window = logged_in(open_window(furnished, language, width, scheme))
    faults = []
    node = furnished.admin.get("nodes").json()["items"][0]["id"]
    for path in (page.replace(":id", node) for page in PAGES[part::3]):
        window.open(path)
        window.page.locator("main h1").first.wait_for()
        window.page.wait_for_load_state("networkidle")
        window.picture(path.strip("/").replace("/", "-").replace("?tab=", "-") or "overview")
        wide = window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if wide > 0:
            faults.append("%s is %d px too wide" % (path, wide))
        faults += ["%s: %s" % (path, fault) for fault in window.axe()]
    assert window.page.locator("html").get_attribute("data-theme") == scheme
    assert not faults, "\n".join(faults)


def test_headers_of_the_console(furnished):
    import httpx
    page = httpx.get(furnished.console_url + "/", trust_env=False, verify=False, headers={"Accept-Encoding": "gzip, br"})
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "default-src" in page.headers["content-security-policy"] and "unsafe-eval" not in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff" and page.headers["etag"]
    again = httpx.get(furnished.console_url + "/", trust_env=False, verify=False, headers={"If-None-Match": page.headers["etag"]})
    assert again.status_code == 304 and again.content == b""
    deep = httpx.get(furnished.console_url + "/routes/r0", trust_env=False, verify=False, headers={"Accept": "text/html"})
    assert deep.status_code == 200 and deep.text == httpx.get(furnished.console_url + "/", trust_env=False, verify=False).text
    for path in ("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/assets/../../tidegate.db", "/assets/nothing.js"):
        assert httpx.get(furnished.console_url + path, trust_env=False, verify=False, headers={"Accept": "*/*"}).status_code in (400, 404), path
