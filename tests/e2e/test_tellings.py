"""What the console tells unasked: warnings of a write that was saved, and what a rollback cannot bring back."""


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
