"""The limit scene of the tutorial by clicks: what is above the limit goes to another model, and the console says so."""
import re

import pytest

from sim import tokens
from sim.vendors.base import ANSWER
from test_tutorial_clicks import add_consumer, add_provider, add_route, set_up

ASK = [{"role": "user", "content": "解释量子计算"}]
ANSWERED = "".join(tokens.pieces(ANSWER, 80))


def limit_with_fallback(window):
    """On the route's page: 1,000 tokens a minute for each consumer, and QwQ for what is above."""
    window.open("/routes/my-deepseek-r1")
    window.click("plugin-add")
    window.page.get_by_role("menuitem", name=re.compile("token|令牌", re.I)).first.click()
    window.fill("field-plugins-token-ratelimit-tokens", "1000").fill("field-plugins-token-ratelimit-window", "1m")
    window.click("fallback-enabled").click("fallback-add")
    window.choose("fallback-0-provider", "qwq").fill("fallback-0-model", "qwq-32b")
    window.page.keyboard.press("Escape")
    window.picture("limit")
    window.save("route-save", "/routes/my-deepseek-r1")


def call_until_limited(client, sim):
    """Calls in a row until one is not answered by DeepSeek; the numbers of answers of both, and the tokens of all."""
    by, spent = {"deepseek": 0, "qwq": 0}, 0
    while by["qwq"] < 2 and by["deepseek"] < 20:
        before = len(sim.chats())
        done = client.chat.completions.create(model="deepseek-r1", messages=ASK)
        assert done.choices[0].message.content == ANSWERED
        by["deepseek" if len(sim.chats()) > before else "qwq"] += 1
        spent += done.usage.total_tokens
    return by, spent


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_above_the_limit_qwq_answers_and_the_console_shows_it(start_gateway, open_window, deepseek_sim, vllm_sim, language):
    gateway = start_gateway(setup=False)
    gateway.secrets.add(deepseek_sim.key)
    for sim in (deepseek_sim, vllm_sim):
        sim.behave(tokens=80)
    window = open_window(gateway, language)
    set_up(window)
    add_provider(window, "deepseek", "deepseek", deepseek_sim.base_url, deepseek_sim.key)
    add_provider(window, "openai-compatible", "qwq", vllm_sim.base_url)
    add_route(window, "my-deepseek-r1", "deepseek-r1", "deepseek", "deepseek-reasoner")
    key = add_consumer(window, "app1")
    gateway.secrets.add(key)
    limit_with_fallback(window)
    gateway.admin = gateway.browser()
    gateway.consumer = "app1"
    gateway.wait_served()
    stored = gateway.admin.get("routes/my-deepseek-r1").json()
    assert stored["plugins"]["token-ratelimit"]["tokens"] == 1000 and "rate_limited" in stored["fallback"]["on"]

    by, spent = call_until_limited(gateway.openai(key), deepseek_sim)
    assert by["deepseek"] >= 2 and by["qwq"] == 2, by
    assert len(deepseek_sim.chats()) == by["deepseek"] and len(vllm_sim.chats()) == 2
    rows = gateway.usage(requests=sum(by.values()))
    assert {row["provider"]: row["requests"] for row in rows} == by

    window.open("/routes/my-deepseek-r1?tab=charts")
    window.get("limit-hit").wait_for()
    bar = window.get("limit-token-ratelimit").inner_text()
    assert "app1" in bar and "1,000" in bar and "2" in window.get("limit-hit").inner_text()
    window.picture("limit-hit")

    window.open("/requests?route=my-deepseek-r1&provider=qwq")
    window.get("fell-back").first.wait_for()
    assert window.get("fell-back").count() == 2 and "token-ratelimit" in window.get("fell-back").first.inner_text()
    window.picture("limit-requests")
    window.page.locator('[data-testid^="request-"]').first.get_by_role("link").first.click()
    window.get("waterfall").wait_for()
    assert "qwq" in window.get("try-1").inner_text() and "token-ratelimit" in window.get("request-facts").inner_text()
    window.picture("limit-request")

    assert sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows) == spent
    window.open("/usage")
    window.get("usage-table").wait_for()
    window.picture("limit-usage")
    assert "app1" in window.get("usage-table").inner_text()
    assert "{:,}".format(spent) in window.get("usage-total").inner_text()
    window.open("/consumers/app1")
    window.get("consumer-usage").wait_for()
    window.picture("limit-consumer")
