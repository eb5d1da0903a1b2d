"""ext-auth: another service decides. What it is told, what its answers mean, and what holds when there is none."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.admin import faults
from harness.ports import free_port
from harness.rawhttp import Talk
from harness.waiting import Stopwatch, wait_until
from harness.worker import request

ASK = [{"role": "user", "content": "hello"}]


class Judge:
    """An authorization service: answers with what `says` returns for the headers, and keeps what it heard."""

    def __init__(self):
        self.heard, self.says, self.left = [], lambda headers: (200, {}), threading.Event()
        judge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                judge.heard.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                status, headers = judge.says(self.headers)
                if status is None:                        # never: until the other side goes
                    self.connection.settimeout(20)
                    if self.connection.recv(1) == b"":
                        judge.left.set()
                    return
                self.send_response(status)
                for name, value in {"content-length": "2", **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if status not in (204, 304):
                    self.wfile.write(b"{}")

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/check" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def judge():
    judge = Judge()
    yield judge
    judge.close()


@pytest.fixture
def asked(gateway, openai_sim, judge):
    """asked(**settings) gives a client whose route asks the judge."""
    def make(plugins=None, **settings):
        gateway.provider("p", openai_sim, served=False)
        gateway.route("r", ["m", "模型 %"], ("p", "gpt-4o-mini"), plugins={**(plugins or {}), "ext-auth": {"urls": [judge.url], "timeout": "20s", **settings}}, served=False)
        make.key = gateway.key()
        gateway.wait_served()
        return gateway.client(make.key)
    make.sim = openai_sim
    return make


def chat(client, model="m", **headers):
    return client.post("/chat/completions?x=1", json={"model": model, "messages": ASK, "max_tokens": 3}, headers=headers)


def test_it_is_told_who_asks_for_what_and_nothing_else(gateway, asked, judge):
    client = asked(request_headers=["X-Team", "X-Tidegate-Consumer"])
    answer = chat(client, **{"X-Team": "red", "X-Secret": "canary-of-the-client", "X-Tidegate-Consumer": "root", "X-Forwarded-Uri": "/elsewhere"})
    assert answer.status_code == 200
    [(path, heard)] = judge.heard
    assert path == "/check" and heard["x-team"] == "red" and heard["x-request-id"] == answer.headers["x-request-id"]
    told = {name: heard.get("x-tidegate-" + name) for name in ("consumer", "route", "model", "operation", "groups")}
    assert told == {"consumer": gateway.consumer, "route": "r", "model": "m", "operation": "chat", "groups": None}
    assert (heard["x-forwarded-method"], heard["x-forwarded-uri"], heard["x-forwarded-for"]) == ("POST", "/v1/chat/completions?x=1", "127.0.0.1")
    assert heard["x-tidegate-key-id"].startswith("k-")
    assert asked.key not in str(heard) and "canary" not in str(heard) and "root" not in str(heard) and "authorization" not in heard
    chat(client, "模型 %")
    assert judge.heard[-1][1]["x-tidegate-model"] == "%E6%A8%A1%E5%9E%8B%20%25", "any name can stand in a header"
    gateway.admin.patch("routes/r", {"plugins": {"ext-auth": {"request_headers": ["authorization"]}}})
    gateway.wait_served()
    assert chat(client).status_code == 200 and judge.heard[-1][1]["authorization"] == "Bearer " + asked.key, "only where it is asked for"


def test_what_its_answers_mean(gateway, asked, judge):
    client = asked(plugins={"request-ratelimit": {"requests": 2, "window": "1h"}}, reply_headers=["WWW-Authenticate"], message="ask your department")
    for says, status in ((403, 403), (401, 401), (404, 403), (429, 429)):
        judge.says = lambda headers, says=says: (says, {"WWW-Authenticate": "Negotiate", "X-Inner": "secret"})
        answer = chat(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, "ext_auth_denied") and "ask your department" in answer.text
        assert answer.headers["www-authenticate"].endswith("Negotiate") and "x-inner" not in answer.headers
        assert status != 429 or int(answer.headers["retry-after"]) >= 1
    assert not asked.sim.chats(), "nothing reached the provider"
    judge.says = lambda headers: (204, {})
    assert [chat(client).status_code for _ in range(3)] == [200, 200, 429], "what is refused costs nothing of a limit"
    log = "requests?limit=10&consumer=" + gateway.consumer
    rows = wait_until(lambda: len(items := gateway.admin.get(log).json()["items"]) == 7 and items, 20, "the rows")
    assert all(row["refused_by"] == "ext-auth" for row in rows if row["error_code"] == "ext_auth_denied")


def test_without_an_answer_fail_open_decides(gateway, asked, judge):
    client = asked(timeout="200ms")
    for says in (500, 302, None):
        judge.says = lambda headers, says=says: (says, {"Location": "http://169.254.169.254/"})
        watch = Stopwatch()
        answer = chat(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "plugin_failed"), says
        assert watch.seconds() < 5
    gateway.admin.patch("routes/r", {"plugins": {"ext-auth": {"fail_open": True}}})
    gateway.wait_served()
    assert chat(client).status_code == 200
    # an address that is down is passed over
    judge.says = lambda headers: (403, {})
    gateway.admin.patch("routes/r", {"plugins": {"ext-auth": {"urls": ["http://127.0.0.1:%d/" % free_port(), judge.url], "fail_open": False,
                                                             "timeout": "20s"}}})
    gateway.wait_served()
    assert chat(client).status_code == 403
    judge.says = lambda headers: (200, {})
    assert chat(client).status_code == 200


def test_a_client_that_leaves_takes_its_question_along(gateway, asked, judge):
    asked(timeout="30s")
    judge.says = lambda headers: (None, {})
    talk = Talk(gateway.data_port, 20).send(request(model="m", key=asked.key))
    wait_until(lambda: judge.heard, 20, "the question")
    talk.close()
    assert judge.left.wait(20), "the question is called off"
    wait_until(lambda: gateway.metrics()["tidegate_requests_in_flight"] == 0, 20, "nothing in flight")
    assert not asked.sim.chats()


def test_settings_that_cannot_work_are_refused(gateway):
    for settings, path in (({}, "urls"), ({"urls": ["ftp://x"]}, "urls/0"), ({"urls": ["http://u:p@x/"]}, "urls/0"),
                           ({"urls": ["http://x"], "request_headers": ["a b"]}, "request_headers/0"), ({"urls": ["http://x"], "timeout": "0s"}, "timeout")):
        answer = gateway.admin.post("consumers", {"name": "x", "plugins": {"ext-auth": settings}}, expect=400)
        assert faults(answer)[0][0] == "/plugins/ext-auth/" + path, answer.text
