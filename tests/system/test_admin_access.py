"""Who may call what: roles, sessions, CSRF, throttling, and that every operation of openapi.yaml is there."""
import re
import subprocess

import pytest

from harness import contract
from harness.admin import Admin

RANKS = {"none": 0, "viewer": 1, "operator": 2, "admin": 3}
DUMMY = {"revision": "1", "from": "0", "to": "1"}


def url_of(template):
    return ("" if template in ("/healthz", "/readyz", "/metrics") else "/api/v1") + re.sub(
        r"\{(\w+)\}", lambda m: DUMMY.get(m.group(1), "nobody"), template)


def operations():
    return [pytest.param(method.upper(), template, op["x-role"], id="%s %s" % (method.upper(), template))
            for method, template, op in contract.operations() if (method, template) != ("delete", "/session")]   # see test_login_and_logout


@pytest.fixture(scope="module")
def callers(shared_gateway):
    """A client for every role, and one that is nobody."""
    made = {"none": Admin(shared_gateway.console_url, secrets=shared_gateway.secrets)}
    for role in ("viewer", "operator", "admin"):
        secret = shared_gateway.admin.post("tokens", {"name": "role-" + role, "role": role}).json()["secret"]
        made[role] = Admin(shared_gateway.console_url, secret, shared_gateway.secrets)
    yield made
    for client in made.values():
        client.close()


@pytest.mark.parametrize("method, template, needed", operations())
def test_roles(gateway, callers, method, template, needed):
    body = {} if method in ("POST", "PUT", "PATCH") else None
    for role, client in callers.items():
        if template == "/events":            # what is allowed to read it reads for ever
            with client.http.stream(method, url_of(template)) as answer:
                status = answer.status_code
        else:
            status = client.call(method, url_of(template), body).status_code
        if RANKS[role] >= RANKS[needed]:
            assert status not in (401, 405) and (status != 403 or template == "/setup"), (role, status)
        else:
            assert status == (401 if role == "none" else 403), (role, status)


@pytest.mark.parametrize("template", sorted({template for _, template, _ in contract.operations()}))
def test_every_path_is_there_with_its_methods(gateway, template):
    methods = {method.upper() for method, path, _ in contract.operations() if path == template}
    other = next(m for m in ("PATCH", "PUT", "POST", "DELETE") if m not in methods)
    refused = gateway.admin.http.request(other, url_of(template), json={})
    assert refused.status_code == 405, "%s %s: %d" % (other, template, refused.status_code)
    allowed = {word.strip() for word in refused.headers["allow"].split(",")} - {"HEAD", "OPTIONS"}
    assert allowed == methods


def test_setup_works_once(gateway):
    stranger = gateway.browser(login=False)
    assert stranger.get("setup").json() == {"initialised": True}
    again = stranger.post("setup", {"setup_token": "tgs_" + "x" * 43, "username": "eve", "password": "a long enough one"}, expect=409)
    assert again.json()["type"] == "urn:tidegate:problem:already-initialised"
    assert not (gateway.data_dir / "setup-token").exists()


def test_setup_wants_its_token(start_gateway):
    gateway = start_gateway(setup=False)
    stranger = gateway.browser(login=False)
    assert stranger.get("setup").json() == {"initialised": False}
    good = (gateway.data_dir / "setup-token").read_text().strip()
    wrong = stranger.post("setup", {"setup_token": "tgs_" + "x" * 43, "username": "root", "password": "a long enough one"}, expect=403)
    assert wrong.json()["errors"][0]["path"] == "/setup_token"
    weak = stranger.post("setup", {"setup_token": good, "username": "root", "password": "short"}, expect=400)
    assert weak.json()["errors"][0]["path"] == "/password"
    stranger.get("providers", expect=401)
    gateway.set_up()


@pytest.mark.smoke
def test_login_and_logout(gateway):
    """T14."""
    browser = gateway.browser(login=False)
    refused = browser.post("session", {"username": "root", "password": "wrong but long"}, expect=401)
    unknown = browser.post("session", {"username": "nobody", "password": "wrong but long"}, expect=401)
    assert refused.json()["detail"] == unknown.json()["detail"], "a wrong name and a wrong password answer alike"
    browser.login("root", "correct horse battery staple")
    assert browser.get("session").json()["user"] == {"username": "root", "role": "admin"}
    jar = dict(browser.http.cookies)
    browser.delete("session")
    thief = gateway.browser(login=False)
    thief.http.cookies.update(jar)
    thief.get("session", expect=401)


def test_cookie(gateway):
    answer = gateway.browser(login=False).post("session", {"username": "root", "password": "correct horse battery staple"}, expect=200)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie and "secure" not in cookie


def test_console_over_tls(start_gateway, tmp_path):
    crt, key = tmp_path / "crt.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                    "-out", crt, "-days", "3", "-subj", "/CN=localhost"], check=True, capture_output=True)
    gateway = start_gateway(split=True, control_args=["--tls-cert", crt, "--tls-key", key])
    answer = gateway.browser(login=False).post("session", {"username": "root", "password": "correct horse battery staple"}, expect=200)
    assert "; secure" in answer.headers["set-cookie"].lower()


def test_csrf(gateway):
    """T12."""
    browser = gateway.browser()
    body = {"name": "csrf-1"}
    for headers in ({"X-CSRF-Token": ""}, {"X-CSRF-Token": "x" * 43}):
        refused = browser.post("consumers", body, expect=403, headers=headers)
        assert refused.json()["type"] == "urn:tidegate:problem:csrf"
    browser.post("consumers", body)


def test_a_token_in_the_wrong_place(gateway):
    secret = gateway.admin.http.headers["authorization"].split()[1]
    for headers in ({"Authorization": "Basic " + secret}, {"Authorization": "Bearer " + secret + "x"}, {"X-Api-Key": secret}):
        gateway.browser(login=False).get("providers", expect=401, headers=headers)
    gateway.browser(login=False).get("providers?token=" + secret, expect=401)


def test_a_deleted_token_ends_at_once(gateway):
    made = gateway.admin.post("tokens", {"name": "short-lived", "role": "viewer"}).json()
    client = Admin(gateway.console_url, made["secret"], gateway.secrets)
    client.get("providers")
    shown = gateway.admin.get("tokens/" + made["id"]).json()
    assert "secret" not in shown and shown["last4"] == made["secret"][-4:] and shown["last_used_at"]
    gateway.admin.delete("tokens/" + made["id"])
    client.get("providers", expect=401)


def test_an_expired_token_is_refused(gateway):
    past = gateway.admin.post("tokens", {"name": "past", "role": "viewer", "expires_at": "2001-01-01T00:00:00Z"}, expect=(201, 400))
    if past.status_code == 201:
        Admin(gateway.console_url, past.json()["secret"], gateway.secrets).get("providers", expect=401)


def test_guessing_passwords_is_throttled(start_gateway):
    """T15."""
    gateway = start_gateway()
    browser = gateway.browser(login=False)
    for _ in range(60):
        answer = browser.post("session", {"username": "root", "password": "wrong but long"}, expect=(401, 429))
        if answer.status_code == 429:
            break
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    right = browser.post("session", {"username": "root", "password": "correct horse battery staple"}, expect=429)
    assert right.json()["type"] == "urn:tidegate:problem:too-many-requests"
    gateway.admin.get("providers")


def test_users(gateway):
    admin = gateway.admin
    admin.post("users", {"username": "ann", "role": "operator", "password": "a long enough one"})
    ann = gateway.browser(login=False).login("ann", "a long enough one")
    ann.post("consumers", {"name": "anns"})
    ann.get("users", expect=403)
    admin.patch("users/ann", {"role": "viewer"})
    ann.post("consumers", {"name": "anns-2"}, expect=403)
    ann.put("users/ann/password", {"current_password": "wrong", "new_password": "another long one"}, expect=400)
    ann.put("users/ann/password", {"current_password": "a long enough one", "new_password": "another long one"}, expect=204)
    gateway.browser(login=False).post("session", {"username": "ann", "password": "a long enough one"}, expect=401)
    admin.patch("users/ann", {"enabled": False})
    ann.get("consumers", expect=401)
    gateway.browser(login=False).post("session", {"username": "ann", "password": "another long one"}, expect=401)
    admin.delete("users/ann")
    admin.patch("users/root", {"role": "viewer"}, expect=409)
    admin.patch("users/root", {"enabled": False}, expect=409)


def test_the_audit_tells_who_did_what(gateway):
    browser = gateway.browser()
    browser.post("consumers", {"name": "audited"})
    browser.patch("consumers/audited", {"description": "changed"})
    browser.delete("consumers/audited")
    rows = gateway.admin.get("audit?kind=consumer&name=audited").json()["items"]
    assert sorted(row["action"] for row in rows) == ["consumer.create", "consumer.delete", "consumer.update"]
    assert {row["actor"]["name"] for row in rows} == {"root"} and {row["outcome"] for row in rows} == {"ok"}
    change = next(row for row in rows if row["action"] == "consumer.update")
    assert (change["before"]["description"], change["after"]["description"]) == ("", "changed")
    hashes = [row["hash"] for row in gateway.admin.get("audit?limit=50").json()["items"]]
    assert len(set(hashes)) == len(hashes)
    denied = gateway.browser(login=False)
    denied.post("session", {"username": "root", "password": "wrong but long"}, expect=401)
    assert any(row["outcome"] != "ok" for row in gateway.admin.get("audit?limit=20").json()["items"])
