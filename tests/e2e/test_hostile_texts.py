"""Texts that want to be markup: whatever an administrator or a provider writes is shown as it is, and nothing of it runs. Threat T13."""
import pytest

from test_pages import logged_in

TEXTS = ["<script>window.hit=1</script>", "<img src=x onerror=window.hit=1>", "\"><svg onload=window.hit=1>", "javascript:window.hit=1",
         "{{constructor.constructor('window.hit=1')()}}", "</title><script>window.hit=1</script>", "\u202egnp.exe"]


@pytest.fixture
def hostile(gateway):
    """One of everything, with hostile texts in every member that takes text."""
    admin, all_of_it = gateway.admin, " ".join(TEXTS)
    admin.post("providers", {"name": "p0", "type": "openai", "base_url": "http://127.0.0.1:9/v1", "allow_private": True, "description": all_of_it[:200],
                             "api_keys": [{"name": "main", "value": "sk-canary-e2e-0123456789"}]})
    admin.post("routes", {"name": "r0", "match": {"models": [{"type": "exact", "value": text} for text in TEXTS]}, "description": all_of_it[:200],
                          "targets": [{"provider": "p0", "model": TEXTS[1]}]})
    admin.post("consumers", {"name": "app1", "description": all_of_it[:200], "labels": {"a": TEXTS[0]}})
    gateway.wait_served()
    client = gateway.client(gateway.key("app2"))
    client.post("/chat/completions", json={"model": TEXTS[0], "messages": []}, headers={"user-agent": TEXTS[1]})
    return gateway


def test_texts_stay_text(hostile, open_window):
    window = logged_in(open_window(hostile, "en", 1280, "light"))
    dialogs = []
    window.page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    for path in ("/", "/providers", "/providers/p0", "/routes", "/routes/r0", "/consumers", "/consumers/app1", "/revisions", "/audit", "/requests", "/usage"):
        window.open(path)
        window.page.locator("main h1").first.wait_for()
        window.page.wait_for_load_state("networkidle")
        assert window.page.evaluate("window.hit") is None and dialogs == [], path
        assert window.page.evaluate("document.querySelectorAll('main script, main img[src=x], main svg[onload]').length") == 0, path
        links = window.page.evaluate("[...document.querySelectorAll('a')].map(a => a.href)")
        assert not [link for link in links if link.startswith("javascript:")], path
    window.open("/routes/r0")
    window.page.wait_for_load_state("networkidle")
    shown = window.page.content()
    assert "&lt;script&gt;window.hit=1" in shown or "<script>window.hit" in window.page.inner_text("main") or window.page.evaluate(
        "[...document.querySelectorAll('input, textarea')].some(e => e.value.includes('<script>window.hit=1'))"), "it is there, as text"
