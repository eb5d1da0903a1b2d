"""The tutorial by clicks, in both languages, and the result called with the OpenAI SDK."""
import re

import pytest

from harness.gateway import ADMIN, PASSWORD
from sim import tokens
from sim.vendors.base import ANSWER

ANSWERED = "".join(tokens.pieces(ANSWER, 20))
WORDS = {"en": "Providers", "zh": "提供商"}


def set_up(window):
    token = (window.gateway.data_dir / "setup-token").read_text().strip()
    window.expected.add(401)          # the first look whether somebody is logged in
    window.open().fill("setup-token", token).fill("setup-username", ADMIN).fill("setup-password", PASSWORD)
    window.picture("setup")
    window.click("setup-submit")
    window.get("overview-state").wait_for()
    window.expected.clear()


def add_provider(window, vendor, name, base_url, key=None):
    window.click("nav-providers")
    window.page.get_by_test_id(re.compile("^provider-add")).first.click()
    window.click("vendor-" + vendor)
    window.fill("provider-name", name).fill("provider-base-url", base_url)
    if key:
        window.fill("provider-key-0", key)
    window.picture("provider-" + name)
    window.click("provider-save")
    window.get("provider-next-route").wait_for()


def add_route(window, name, model, provider, target=None):
    window.click("nav-routes")
    window.page.get_by_test_id(re.compile("^route-add")).first.click()
    window.fill("route-name", name).fill("match-model-0-value", model).choose("target-0-provider", provider)
    if target:
        window.fill("target-0-model", target)
        window.page.keyboard.press("Escape")
    window.picture("route-" + name)
    window.click("route-save")
    window.get("snippet").wait_for()


def add_consumer(window, name):
    """Creates a consumer with a key and reads the key where it is shown this once."""
    window.click("nav-consumers")
    window.page.get_by_test_id(re.compile("^consumer-add")).first.click()
    window.fill("consumer-name", name)
    window.click("consumer-create")
    key = window.get("key-secret").inner_text().strip()
    window.picture("key")
    window.click("key-saved").get("key-secret").wait_for(state="detached")
    assert key not in window.page.content(), "the key is shown once"
    return key


def copy_snippet(window, route, language):
    """The snippet of a route as the copy button gives it."""
    window.open("/routes/%s?tab=use" % route)
    window.click("snippet-" + language)
    window.click("snippet-code-copy")
    return window.page.evaluate("navigator.clipboard.readText()")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_tutorial(start_gateway, open_window, deepseek_sim, vllm_sim, language):
    gateway = start_gateway(setup=False)
    gateway.secrets.add(deepseek_sim.key)
    window = open_window(gateway, language)
    set_up(window)
    assert window.page.locator("html").get_attribute("lang") == {"en": "en", "zh": "zh-CN"}[language]
    assert WORDS[language] in window.get("nav-providers").inner_text()

    add_provider(window, "deepseek", "deepseek", deepseek_sim.base_url, deepseek_sim.key)
    add_provider(window, "openai-compatible", "qwq", vllm_sim.base_url)
    add_route(window, "my-deepseek-r1", "deepseek-r1", "deepseek", "deepseek-reasoner")
    add_route(window, "my-qwq-32b", "qwq-32b", "qwq")
    key = add_consumer(window, "app1")
    gateway.secrets.add(key)
    assert re.fullmatch(r"tgk_[A-Za-z0-9_-]{43}", key)

    code = copy_snippet(window, "my-deepseek-r1", "python")
    assert gateway.url in code and '"deepseek-r1"' in code
    assert run_python(code, key).count(ANSWERED[:8]) == 1

    client = gateway.openai(key)
    for model in ("deepseek-r1", "qwq-32b"):
        ask = {"model": model, "messages": [{"role": "user", "content": "解释量子计算"}]}
        assert client.chat.completions.create(**ask).choices[0].message.content == ANSWERED
        said = "".join(chunk.choices[0].delta.content or "" for chunk in client.chat.completions.create(**ask, stream=True))
        assert said == ANSWERED

    window.open("/")
    window.page.locator('[data-testid="overview-state"][data-state="ok"], [data-testid="overview-state"]').first.wait_for()
    window.picture("overview")


def run_python(code, key):
    """Runs the copied program as a person would, with the key filled in."""
    import os
    import subprocess
    import sys
    done = subprocess.run([sys.executable, "-c", code.replace("<consumer key>", key)], capture_output=True, text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "NO_PROXY": "*", "PYTHONIOENCODING": "utf-8"})
    assert done.returncode == 0, code + "\n" + done.stderr
    return done.stdout


def test_wrong_input_is_told_at_its_field(start_gateway, open_window):
    gateway = start_gateway(setup=False)
    window = open_window(gateway)
    window.expected |= {401, 403}
    window.open().fill("setup-token", "tgs_" + "x" * 43).fill("setup-username", ADMIN).fill("setup-password", PASSWORD)
    window.click("setup-submit")
    window.page.locator(".ant-form-item-has-error").first.wait_for()
    assert window.get("setup-form").is_visible()
    gateway.set_up()


def test_login_and_logout(start_gateway, open_window):
    gateway = start_gateway()
    window = open_window(gateway)
    window.expected.add(401)
    window.open("/routes").fill("login-username", ADMIN).fill("login-password", "wrong but long").click("login-submit")
    window.get("problem").wait_for()
    window.fill("login-password", PASSWORD).click("login-submit")
    window.get("nav-routes").wait_for()
    assert window.page.url.endswith("/routes"), "back to where one wanted to go"
    window.click("user-menu").click("menu-logout")
    window.get("login-form").wait_for()
