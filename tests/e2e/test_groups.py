"""Groups and credentials by clicks: one form reserves a model for a department."""
import pytest

from test_pages import logged_in

ASK = [{"role": "user", "content": "draw"}]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_only_the_design_department_may_call_the_multimodal_model(start_gateway, open_window, vllm_sim, language):
    gateway = start_gateway()
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("vision", "vision", ("p0", "qwq-32b"), served=False)
    gateway.route("vision-alias", "pictures", ("p0", "qwq-32b"), served=False)
    gateway.route("text", "text", ("p0", "Qwen/QwQ-32B"), served=False)
    keys = {name: gateway.key(name) for name in ("painter", "writer")}
    window = logged_in(open_window(gateway, language))
    window.click("nav-groups").click("group-reserve")
    window.choose("reserve-route", "vision").fill("reserve-group", "design").choose("reserve-consumers", "painter")
    window.page.keyboard.press("Escape")
    window.picture("reserve")
    window.click("reserve-save")
    window.get("group-design").wait_for()
    gateway.wait_served()

    def status(who, model):
        return gateway.client(keys[who]).post("/chat/completions", json={"model": model, "messages": ASK}).status_code
    seen = {(who, model): status(who, model) for who in keys for model in ("vision", "pictures", "text")}
    assert seen == {("painter", "vision"): 200, ("painter", "pictures"): 200, ("painter", "text"): 200,
                    ("writer", "vision"): 403, ("writer", "pictures"): 403, ("writer", "text"): 200}
    window.open("/groups/design")
    assert "painter" in window.get("group-members").inner_text() and "vision" in window.get("group-routes").inner_text()
    window.picture("group")


@pytest.mark.timeout(240)
def test_credentials_and_issuers_by_clicks(start_gateway, open_window):
    gateway = start_gateway()
    gateway.admin.post("consumers", {"name": "app1"})
    window = logged_in(open_window(gateway, "en"))
    window.click("nav-jwt-issuers").click("issuer-add")
    window.fill("issuer-name", "idp").fill("issuer-issuer", "https://idp.example.com/").fill("issuer-jwks-url", "http://127.0.0.1:9/jwks.json")
    window.click("issuer-save").get("issuer-idp").wait_for()
    window.open("/consumers/app1").click("credential-add")
    window.choose("credential-issuer", "idp").fill("credential-value", "user-1").click("credential-create")
    window.get("credential-default").wait_for()
    window.click("credential-add").choose("credential-type", "Signed requests").fill("credential-name", "signing").click("credential-create")
    secret = window.get("credential-secret").inner_text().strip()
    gateway.secrets.add(secret)
    window.click("credential-saved").get("credential-secret").wait_for(state="detached")
    assert secret.startswith("tgh_") and secret not in window.page.content()
    stored = gateway.admin.get("consumers/app1/credentials").json()["items"]
    assert {(c["type"], c["name"]) for c in stored} == {("jwt", "default"), ("hmac", "signing")}
