"""Canaries in every place where a secret can be: none may sing in a log, a file, an answer or a metric."""
import re

import pytest

from harness import contract
from harness.afterwards import told_secrets

CANARIES = {name: "canary-%s-%s" % (name, "0f1e2d3c4b5a69788796") for name in
            ("providerkey", "secondkey", "header", "password", "newpassword", "brought")}
MAY_HOLD_SECRETS = {"master.key", "join-token", "setup-token", "ca.key", "server.key", "up.json"}


@pytest.fixture
def used(gateway, deepseek_sim):
    """A gateway on which every kind of secret has been entered, used, rotated and guessed wrong."""
    admin = gateway.admin
    gateway.secrets |= set(CANARIES.values())
    deepseek_sim.vendor.key = CANARIES["providerkey"]
    admin.post("providers", {"name": "p0", "type": "deepseek", "base_url": deepseek_sim.base_url,
                             "headers": {"X-Vendor-Tag": "tag"},
                             "api_keys": [{"name": "a", "value": CANARIES["providerkey"]},
                                          {"name": "b", "value": CANARIES["secondkey"], "enabled": False}]})
    gateway.route("r0", "m", ("p0", "deepseek-chat"))
    key = gateway.key("app1")
    brought = admin.post("consumers/app1/keys", {"name": "brought", "value": CANARIES["brought"]}).json()
    admin.post("users", {"username": "canary", "role": "admin", "password": CANARIES["password"]})
    browser = gateway.browser(login=False).login("canary", CANARIES["password"])
    browser.put("users/canary/password", {"current_password": CANARIES["password"], "new_password": CANARIES["newpassword"]}, expect=204)
    rotated = admin.post("consumers/app1/keys/%s/rotate" % brought["id"], {"grace": "60s"}).json()
    admin.post("join-tokens", {"name": "canary"})
    gateway.wait_served()
    keys = [key, CANARIES["brought"], rotated["secret"], key[:-1] + ("x" if key[-1] != "x" else "y")]
    gateway.statuses = [gateway.client(k).post("/chat/completions", json={
        "model": "m", "messages": [{"role": "user", "content": "x"}]}).status_code for k in keys]
    yield gateway
    admin.delete("users/canary")


def test_the_secrets_work(used):
    assert used.statuses == [200, 200, 200, 401]


def test_no_file_of_the_data_directory_holds_one(used):
    """T17: Provider keys are sealed, consumer keys hashed, passwords stretched: database, its log, worker state, audit."""
    used.admin.post("consumers", {"name": "flush"})
    for path in used.data_dir.rglob("*"):
        if path.is_file() and path.name not in MAY_HOLD_SECRETS:
            data = path.read_bytes().decode("latin-1")
            assert not told_secrets(str(path), data, used.secrets)


def test_files_with_secrets_are_private(used):
    """T38."""
    assert used.data_dir.stat().st_mode & 0o077 == 0
    for path in used.data_dir.rglob("*"):
        if path.is_file() and path.name in MAY_HOLD_SECRETS:
            assert path.stat().st_mode & 0o077 == 0, path


def test_no_answer_of_the_api_holds_one(used):
    paths = [t for method, t, op in contract.operations() if method == "get" and "{" not in t]
    paths += ["/providers/p0", "/routes/r0", "/consumers/app1", "/consumers/app1/keys", "/audit", "/users/canary",
              "/providers/p0/health", "/revisions/1/diff/9"]
    newest = used.admin.get("overview").json()["revision"]
    paths += ["/revisions/%d" % newest, "/revisions/0/diff/%d" % newest]
    paths.remove("/events")              # it has no end; its first event holds every member
    with used.admin.http.stream("GET", "/api/v1/events") as stream:
        first = next(stream.iter_text())
        assert "hello" in first and not told_secrets("/events", first, used.secrets)
    for path in paths:
        url = path if path in ("/healthz", "/readyz", "/metrics") else path[1:]
        if path == "/metrics-series":
            url += "?metric=requests"
        text = used.admin.get(url, expect=(200, 404)).text
        assert not told_secrets(path, text, used.secrets)


def test_no_metric_holds_one(used):
    import httpx
    for path in ("/metrics", "/snapshot", "/healthz", "/readyz"):
        assert not told_secrets(path, httpx.get(used.worker_url() + path, trust_env=False, verify=False).text, used.secrets)


def test_a_vendor_that_repeats_the_key_does_not_tell_the_client(used, deepseek_sim):
    body = b'{"error":{"message":"Your api key: %s is invalid","type":"authentication_error"}}' % CANARIES["providerkey"].encode()
    client = used.client(used.key("app2"))
    deepseek_sim.fail("status", status=401, body=body)
    answer = client.post("/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "x"}]})
    assert answer.status_code >= 400 and CANARIES["providerkey"] not in answer.text


def test_refusals_do_not_repeat_what_was_sent(used):
    """A secret in the wrong member must not come back in the error, nor stand in the audit."""
    for call in (lambda: used.admin.post("providers", {"name": "x", "type": "deepseek", "api_keys": [{"name": "a", "value": 1}, CANARIES["header"]]}, expect=400),
                 lambda: used.admin.post("consumers/app1/keys", {"name": "x", "value": CANARIES["brought"]}, expect=409),
                 lambda: used.admin.post("users", {"username": "x", "role": "none", "password": CANARIES["password"]}, expect=400)):
        assert not re.search("|".join(CANARIES.values()), call().text)
    assert not told_secrets("audit", used.admin.get("audit?limit=200").text, used.secrets)
