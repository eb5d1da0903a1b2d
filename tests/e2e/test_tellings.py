"""What the console tells unasked: warnings of a write that was saved, and what a rollback cannot bring back; and that what the API
can say of a quota, a price, an alert rule and the settings can be said in the console."""


def a_gateway(start_gateway, open_window, sim, language="en"):
    gateway = start_gateway()
    gateway.admin.post("providers", {"name": "own", "type": "openai-compatible", "base_url": sim.base_url})
    window = open_window(gateway, language)
    window.expected.add(401)
    window.open("/").fill("login-username", "root").fill("login-password", "correct horse battery staple").click("login-submit")
    window.get("nav-routes").wait_for()
    return gateway, window


def test_warnings_of_every_form_are_told(start_gateway, open_window, vllm_sim):
    gateway, window = a_gateway(start_gateway, open_window, vllm_sim)
    window.open("/providers/own").click("fold-tls").click("tls-verify").click("provider-save")
    window.get("warnings").wait_for()
    assert "certificate is not verified" in window.get("warnings").inner_text()
    assert gateway.admin.get("providers/own").json()["tls"]["verify"] is False


def test_a_long_text_does_not_widen_the_page(start_gateway, open_window, vllm_sim):
    gateway, window = a_gateway(start_gateway, open_window, vllm_sim)
    gateway.admin.patch("providers/own", {"description": "d" * 1000})
    window.open("/providers/own").get("provider-save").wait_for()
    assert window.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_rollback_says_which_keys_end(start_gateway, open_window, vllm_sim):
    gateway, window = a_gateway(start_gateway, open_window, vllm_sim, "zh")
    before = gateway.admin.get("overview").json()["revision"]
    gateway.admin.post("consumers", {"name": "late"})
    gateway.admin.post("consumers/late/keys", {"name": "main"})
    window.open("/revisions/%d" % before).click("rollback")
    window.get("rollback-warning").wait_for()
    assert window.get("rollback-warning").inner_text().startswith("密钥将永久失效") and "`late`" in window.get("rollback-warning").inner_text()
    window.click("rollback-confirm").get("rollback-warning").wait_for(state="detached")
    gateway.admin.get("consumers/late", expect=404)


def test_a_budget_knows_other_currencies_and_the_report_is_narrowed(start_gateway, open_window, vllm_sim):
    gateway, window = a_gateway(start_gateway, open_window, vllm_sim)
    gateway.admin.post("consumers", {"name": "app-a"})
    key = gateway.admin.post("consumers/app-a/keys", {"name": "main"}).json()
    window.open("/quotas").click("quota-add").fill("quota-name", "of-key").fill("quota-limit", "5000")
    window.get("quota-unit").locator("input[value=money]").check()
    window.fill("quota-currency", "CNY")
    window.get("quota-subject").locator("input[value=key]").check()
    window.choose("quota-who", "app-a · main")
    window.click("quota-rate-add").fill("quota-rate-0-currency", "USD").fill("quota-rate-0-worth", "dear").click("quota-create")
    window.page.locator(".ant-form-item-explain-error").first.wait_for()
    window.fill("quota-rate-0-worth", "7.1")
    window.get("quota-unpriced").locator("input[value=refuse]").check()
    window.click("quota-more").get("quota-status").locator("input[value='402']").check()
    window.click("quota-create").get("quota-of-key").wait_for()
    made = gateway.admin.get("quotas/of-key").json()
    assert (made["key"], made["exchange"], made["unpriced"], made["status"]) == (key["id"], {"USD": 7_100_000}, "refuse", 402)
    # what is changed is changed, what is taken out is gone, the rest stays
    window.click("quota-of-key-edit").click("quota-edit-rate-0-remove").click("quota-edit-rate-add")
    window.fill("quota-edit-rate-0-currency", "EUR").fill("quota-edit-rate-0-worth", "8").click("quota-save")
    window.get("quota-save").wait_for(state="hidden")
    after = gateway.admin.get("quotas/of-key").json()
    assert (after["exchange"], after["unpriced"], after["limit"]) == ({"EUR": 8_000_000}, "refuse", made["limit"])
    # an amount that is none is told, and not taken for "as much as the limit"
    window.click("quota-of-key-book").get("quota-change-kind").locator("input[value=refresh]").check()
    window.fill("quota-change-amount", "1,000").fill("quota-change-reason", "a slip").click("quota-change-save")
    window.page.locator(".ant-form-item-explain-error").first.wait_for()
    assert gateway.admin.get("quotas/of-key/entries").json()["items"] == []
    window.open("/usage").choose("usage-only-consumer", "app-a")
    window.page.wait_for_url("**/usage?consumer=app-a")
    assert "consumer=app-a" in window.get("usage-csv").get_attribute("href")


def test_what_the_api_knows_the_console_knows(start_gateway, open_window, vllm_sim):
    gateway, window = a_gateway(start_gateway, open_window, vllm_sim)
    window.open("/settings").fill("settings-max_connections", "5000").fill("settings-requests_max", "20000").save("settings-save", "/settings")
    settings = gateway.admin.get("settings").json()
    assert (settings["data_plane"]["max_connections"], settings["retention"]["requests_max"]) == (5000, 20000)
    window.open("/alerts/rules").click("rule-add").fill("rule-name", "of-own").choose("rule-only-provider", "own").click("rule-save")
    window.get("rule-of-own").wait_for()
    assert gateway.admin.get("alerts/of-own").json()["only"] == {"consumer": "", "provider": "own", "route": ""}
    gateway.admin.put("prices/later", {"name": "later", "models": ["m"], "currency": "USD", "rates": {"input": 1},
                                            "valid_from": "2030-01-02T03:04:05Z"})
    window.open("/prices").click("price-later-edit").fill("price-rate-output", "2").click("price-save").get("price-save").wait_for(state="hidden")
    price = gateway.admin.get("prices/later").json()
    assert (price["valid_from"], price["rates"]["output"]) == ("2030-01-02T03:04:05Z", 2_000_000)
