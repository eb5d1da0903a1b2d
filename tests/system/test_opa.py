"""opa: a policy decides. The agent is one of ours that takes what OPA's data API takes, and nothing else."""
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.admin import faults
from harness.ports import free_port
from harness.waiting import wait_until

ASK = [{"role": "user", "content": "hello 模型"}]
TOKEN = "canary-token-of-the-agent"


class Agent:
    """POST /v1/data/PATH with {"input": …}; `policy` gives the whole answer (bytes are sent as they are), or a status to fail with."""

    def __init__(self):
        self.inputs, self.token, self.policy = [], None, lambda input: {"result": True}
        agent = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                asked = self.rfile.read(int(self.headers["content-length"]))
                if self.path != "/v1/data/gateway/allow":
                    return self.say(404, {"code": "undefined_document"})
                if self.headers["content-type"] != "application/json" or set(json.loads(asked)) != {"input"}:
                    return self.say(400, {"code": "invalid_parameter"})
                if agent.token and self.headers["authorization"] != "Bearer " + agent.token:
                    return self.say(401, {"code": "unauthorized"})
                agent.inputs.append(json.loads(asked)["input"])
                answer = agent.policy(agent.inputs[-1])
                self.say(*((answer, {"code": "internal_error"}) if isinstance(answer, int) else (200, answer)))

            def say(self, status, answer):
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = "http://127.0.0.1:%d/v1/data/gateway/allow" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def agent():
    agent = Agent()
    yield agent
    agent.close()


@pytest.fixture
def ruled(gateway, openai_sim, agent):
    """ruled(**settings) gives a client whose route asks the agent."""
    def make(**settings):
        gateway.provider("p", openai_sim, served=False)
        gateway.route("r", ["m"], ("p", "gpt-4o-mini"), plugins={"opa": {"urls": [agent.url], "timeout": "20s", **settings}}, served=False)
        key = gateway.key()
        gateway.wait_served()
        return gateway.client(key)
    make.sim = openai_sim
    return make


def chat(client, **headers):
    return client.post("/chat/completions?x=1", json={"model": "m", "messages": ASK, "max_tokens": 3}, headers=headers)


def settings(gateway, **changes):
    gateway.admin.patch("routes/r", {"plugins": {"opa": changes}})
    gateway.wait_served()


def test_the_policy_sees_who_asks_for_what(gateway, ruled, agent):
    client = ruled(request_headers=["X-Team", "X-Tidegate-Consumer"])
    answer = chat(client, **{"X-Team": 'red "one"', "X-Secret": "canary", "X-Tidegate-Consumer": "root"})
    assert answer.status_code == 200
    [seen] = agent.inputs
    key_id = seen.pop("key_id")
    assert key_id.startswith("k-") and seen.pop("prompt_tokens") > 0
    assert seen == {"request_id": answer.headers["x-request-id"], "method": "POST", "path": "/v1/chat/completions", "client_ip": "127.0.0.1",
                    "consumer": gateway.consumer, "groups": [], "route": "r", "model": "m", "operation": "chat", "stream": False,
                    "headers": {"x-team": 'red "one"'}, "body": None}
    settings(gateway, with_body=True)
    chat(client)
    assert agent.inputs[-1]["body"] == {"model": "m", "messages": ASK, "max_tokens": 3}


def test_what_a_policy_may_say(gateway, ruled, agent):
    client = ruled(message="ask your department")
    for result, status, text in ((False, 403, "ask your department"), ({"allow": False}, 403, "ask your department"), ({}, 403, "ask your department"),
                                 ({"allow": False, "message": 'not "you"'}, 403, 'not "you"'), ({"allow": False, "status": 429}, 429, "ask your"),
                                 ({"allow": False, "status": 401}, 401, "ask your"), ({"allow": False, "status": 200}, 403, "ask your")):
        agent.policy = lambda input, result=result: {"result": result}
        answer = chat(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, "policy_denied"), result
        assert text in answer.json()["error"]["message"] and (status != 429 or int(answer.headers["retry-after"]) >= 1)
    agent.policy = lambda input: {"decision_id": "d"}
    assert chat(client).status_code == 403, "what is not defined is not allowed"
    assert not ruled.sim.chats(), "nothing reached the provider"
    for result in (True, {"allow": True, "message": "fine"}):
        agent.policy = lambda input, result=result: {"result": result}
        assert chat(client).status_code == 200
    rows = wait_until(lambda: (lambda items: items if len(items) == 10 else None)(
        gateway.admin.get("requests?limit=20&consumer=" + gateway.consumer).json()["items"]), 10, "the rows")
    assert [row["refused_by"] for row in rows if row["error_code"] == "policy_denied"] == ["opa"] * 8


def test_what_is_no_answer(gateway, ruled, agent):
    client = ruled()
    for policy in (500, 302, b"true", b'{"result":true', b"<html>", {"result": "true"}, {"result": 1}, {"result": {"allow": "yes"}}, b'{"result":true}{}'):
        agent.policy = lambda input, policy=policy: policy
        answer = chat(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "plugin_failed"), policy
    settings(gateway, fail_open=True)
    assert chat(client).status_code == 200
    # an address that is down is passed over
    agent.policy = lambda input: {"result": False}
    settings(gateway, urls=["http://127.0.0.1:%d/v1/data/gateway/allow" % free_port(), agent.url], fail_open=False)
    assert chat(client).status_code == 403


def test_a_body_that_is_too_long_to_be_judged(gateway, ruled, agent):
    client = ruled(with_body=True)
    answer = client.post("/chat/completions", json={"model": "m", "messages": [{"role": "user", "content": "x" * (1 << 20)}]})
    assert answer.status_code == 500 and not agent.inputs and not ruled.sim.chats()


def test_the_token_is_a_secret(gateway, ruled, agent):
    agent.token = TOKEN
    client = ruled()
    assert chat(client).status_code == 500
    settings(gateway, token=TOKEN)
    assert chat(client).status_code == 200
    for path in ("routes/r", "config", "audit?limit=50", "revisions?limit=50"):
        assert TOKEN not in gateway.admin.get(path).text, path
    assert TOKEN not in gateway.logs()
    assert gateway.admin.get("routes/r").json()["plugins"]["opa"]["token"]["last4"] == TOKEN[-4:]
    settings(gateway, message="no")
    assert chat(client).status_code == 200, "it stays until another one is sent"


def test_settings_that_cannot_work_are_refused(gateway):
    for given, path in (({}, "urls"), ({"urls": ["http://x/"]}, "urls/0"), ({"urls": ["http://u:p@x/v1/data/a"]}, "urls/0"),
                        ({"urls": ["http://x/v1/data/a"], "request_headers": ["a b"]}, "request_headers/0"),
                        ({"urls": ["http://x/v1/data/a"], "timeout": "0s"}, "timeout")):
        answer = gateway.admin.post("consumers", {"name": "x", "plugins": {"opa": given}}, expect=400)
        assert faults(answer)[0][0] == "/plugins/opa/" + path, answer.text
