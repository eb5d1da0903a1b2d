"""What a request may say: bounded, forced, removed or refused, without touching a byte of the rest."""
import json

import pytest

from harness.admin import faults

MESSAGES = [{"role": "user", "content": "how hot?"}]


@pytest.fixture
def ask(gateway, vllm_sim):
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    client = gateway.client(gateway.key())

    def configure(rules, **more):
        gateway.admin.post("routes", {"name": "r", "match": {"models": []}, "targets": [{"provider": "p0", "model": "qwq-32b"}],
                                      "plugins": {"parameter-policy": {"rules": rules, **more}}})
        gateway.wait_served()

        def send(raw=None, **members):
            body = raw if raw is not None else json.dumps({"model": "m", "messages": MESSAGES, **members})
            answer = client.post("/chat/completions", content=body, headers={"content-type": "application/json"})
            if answer.status_code == 200:
                return vllm_sim.last.json
            return answer.status_code, answer.json()["error"]["code"], answer.json()["error"]["message"]
        return send
    configure.sim, configure.gateway = vllm_sim, gateway
    return configure


def test_ranges(ask):
    send = ask(["temperature: 0..1, clamp", "top_p: 0.1..0.9", "max_tokens: ..100, default 50"])
    assert send(temperature=1.7)["temperature"] == 1 and send(temperature=-1)["temperature"] == 0
    assert send(temperature=0.30)["temperature"] == 0.3 and "temperature" not in send()
    assert send(temperature="hot")["temperature"] == 0
    assert send(top_p=0.95)[:2] == (400, "parameter_not_allowed") and "`top_p` must be from 0.1 to 0.9" in send(top_p=0.95)[2]
    assert send()["max_tokens"] == 50 and send(max_tokens=7)["max_tokens"] == 7
    assert send(max_tokens=101)[0] == 400 and send(max_completion_tokens=101)[0] == 400
    changed = send(max_completion_tokens=60)
    assert changed["max_completion_tokens"] == 60 and "max_tokens" not in changed


def test_forced_listed_absent_and_deep(ask):
    send = ask(["n: = 1", "reasoning_effort: low|medium", "tools: absent, clamp", "chat_template_kwargs.enable_thinking: = false",
                "metadata.team: any, default design", "seed: absent"], on_breach="clamp", message="House rule:")
    got = send(n=5, reasoning_effort="high", tools=[{"type": "function", "function": {"name": "f"}}], seed=3,
               chat_template_kwargs={"enable_thinking": True, "other": 1})
    assert (got["n"], got["reasoning_effort"], got["chat_template_kwargs"]) == (1, "low", {"enable_thinking": False, "other": 1})
    assert "tools" not in got and "seed" not in got and got["metadata"] == {"team": "design"}
    got = send(metadata={"team": "x", "more": True}, chat_template_kwargs={})
    assert got["metadata"] == {"team": "x", "more": True} and got["chat_template_kwargs"] == {"enable_thinking": False} and got["n"] == 1


def test_no_spelling_slips_by(ask):
    send = ask(["temperature: 0..1", "tools: absent"])
    escaped = '{"model":"m","messages":[{"role":"user","content":"x"}],"temper\\u0061ture":2}'
    assert send(escaped)[:2] == (400, "parameter_not_allowed")
    assert send('{"model":"m","messages":[],"\\u0074ools":[]}')[0] == 400
    assert send('{"model":"m","messages":[],"temperature":1e1}')[0] == 400
    assert send('{"model":"m","messages":[],"temperature":[0.5]}')[0] == 400


def test_every_other_byte_stays(ask):
    send = ask(["temperature: ..1, clamp", "user: absent, clamp", "max_tokens: any, default 9"])
    body = '{ "model":"m" ,\t"messages":[{"role":"user","content":"\\u4f60 1.10"}], "x":1.0e+2,"user":"a",\n "temperature" : 3 , "big":12345678901234567890}'
    send(body)
    sent = bytes(ask.sim.last.body).decode()
    assert sent == '{"max_tokens":9, "model":"qwq-32b" ,\t"messages":[{"role":"user","content":"\\u4f60 1.10"}], "x":1.0e+2,"temperature" : 1 , "big":12345678901234567890}'


def test_scopes_and_limits_see_the_same_request(ask):
    gateway = ask.gateway
    send = ask(["max_tokens: ..20, clamp"])
    gateway.admin.post("groups", {"name": "writers", "plugins": {"parameter-policy": {"rules": ["max_tokens: ..500, clamp"]}}})
    gateway.admin.patch("consumers/" + gateway.consumer, {"groups": ["writers"]})
    gateway.wait_served()
    assert send(max_tokens=1000)["max_tokens"] == 500     # the group's, which is more specific than the route's
    gateway.admin.patch("consumers/" + gateway.consumer, {"plugins": {"parameter-policy": {"rules": ["max_tokens: = 3"]}}})
    gateway.wait_served()
    assert send(max_tokens=1000)["max_tokens"] == 3


@pytest.mark.parametrize("rule", ["temperature", "temperature 0..1", ": 0..1", "temperature: a..b", "n: = ", "x..y: absent",
                                  "tools: absent, default 1", "n: 1..2, sometimes", "model: = gpt-4", "a b: absent", "n: {}"])
def test_bad_rules_are_refused(gateway, rule):
    refused = gateway.admin.put("global-plugins/parameter-policy", {"config": {"rules": ["n: 1..4", rule]}}, expect=400)
    assert faults(refused)[0][0] == "/config/rules/1", refused.text
