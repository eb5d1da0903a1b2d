"""A client of the admin API that speaks in objects and lets no answer pass that breaks the contract."""
import re

import httpx

from . import contract

SECRET = re.compile(r"tg[ksa]_[A-Za-z0-9_-]{20,}|tgj_[A-Za-z0-9_.-]{20,}")


class Admin:
    """Calls /api/v1 with a token, a session or nothing. Paths are written without the prefix: get("routes")."""

    def __init__(self, base, token=None, secrets=None):
        headers = {"Authorization": "Bearer " + token} if token else {}
        self.http = httpx.Client(base_url=base, headers=headers, timeout=60, trust_env=False, verify=False)
        self.secrets = secrets if secrets is not None else set()
        self.csrf = None

    def call(self, method, path, body=None, expect=None, **how):
        url = path if path.startswith("/") else "/api/v1/" + path
        headers = dict(how.pop("headers", None) or {})
        if self.csrf and method not in ("GET", "HEAD"):
            headers.setdefault("X-CSRF-Token", self.csrf)
        if body is not None:
            how["json"] = body
        response = self.http.request(method, url, headers=headers, **how)
        self.secrets.update(SECRET.findall(response.text))
        self.secrets.update(response.cookies.values())
        wrong = contract.objections(response)
        assert not wrong, "\n".join(wrong)
        if expect is not None:
            allowed = expect if isinstance(expect, tuple) else (expect,)
            assert response.status_code in allowed, "%s %s gave %d, expected %s: %s" % (
                method, url, response.status_code, expect, response.text[:1000])
        return response

    def get(self, path, expect=200, **how):
        return self.call("GET", path, expect=expect, **how)

    def post(self, path, body=None, expect=201, **how):
        return self.call("POST", path, body, expect, **how)

    def put(self, path, body=None, expect=200, **how):
        return self.call("PUT", path, body, expect, **how)

    def patch(self, path, body=None, expect=200, **how):
        return self.call("PATCH", path, body, expect, **how)

    def delete(self, path, expect=204, **how):
        return self.call("DELETE", path, expect=expect, **how)

    def login(self, username, password):
        """Turns this client into a browser: cookie and CSRF token."""
        self.secrets.add(password)
        self.csrf = self.post("session", {"username": username, "password": password}, expect=200).json()["csrf_token"]
        return self

    def close(self):
        self.http.close()


def faults(response):
    """The (path, code) pairs of a problem document."""
    return [(e["path"], e["code"]) for e in response.json().get("errors", [])]
