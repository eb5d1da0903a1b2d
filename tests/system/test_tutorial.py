"""The tutorial people come for: two providers, two routes, one key, and the calls of the README, plain and streaming."""
import json
import os
import subprocess
from pathlib import Path

import openai
import pytest

from sim import tokens
from sim.vendors.base import ANSWER, THOUGHT

ANSWERED = "".join(tokens.pieces(ANSWER, 20))
THOUGHT_OF = "".join(tokens.pieces(THOUGHT, 12))
QUESTION = [{"role": "user", "content": "解释量子计算"}]
OWN_KEY = "tgk_" + "Tutorial-canary-key-0123456789-abcdefghijk0"
MODELS = ["deepseek-r1", "qwq-32b"]


def by_rest(gateway, deepseek, qwq):
    gateway.provider("deepseek", deepseek, type="deepseek")
    gateway.provider("qwq", qwq, type="openai-compatible")
    gateway.route("my-deepseek-r1", "deepseek-r1", ("deepseek", "deepseek-reasoner"))
    gateway.route("my-qwq-32b", "qwq-32b", ("qwq", None))
    return gateway.key()


def by_apply(gateway, deepseek, qwq):
    gateway.secrets |= {deepseek.key, OWN_KEY}
    document = {
        "format": 1,
        "providers": [
            {"name": "deepseek", "type": "deepseek", "base_url": deepseek.base_url,
             "api_keys": [{"name": "main", "value": deepseek.key}]},
            {"name": "qwq", "type": "openai-compatible", "base_url": qwq.base_url},
        ],
        "routes": [
            {"name": "my-deepseek-r1", "match": {"models": [{"type": "exact", "value": "deepseek-r1"}]},
             "targets": [{"provider": "deepseek", "model": "deepseek-reasoner"}]},
            {"name": "my-qwq-32b", "match": {"models": [{"type": "exact", "value": "qwq-32b"}]},
             "targets": [{"provider": "qwq"}]},
        ],
        "consumers": [{"name": gateway.consumer, "keys": [{"name": "main", "value": OWN_KEY}]}],
    }
    said = gateway.command("apply", "-f", "-", stdin=json.dumps(document))
    assert "my-deepseek-r1" in said and OWN_KEY not in said
    again = gateway.command("apply", "-f", "-", "--dry-run", stdin=json.dumps(document))
    assert "my-deepseek-r1" not in again, "the same document again is no change"
    gateway.wait_served()
    return OWN_KEY


@pytest.fixture(params=[by_rest, by_apply], ids=lambda way: way.__name__)
def key(request, gateway, deepseek_sim, vllm_sim):
    """The consumer key that the tutorial ends with, by each way through it."""
    return request.param(gateway, deepseek_sim, vllm_sim)


@pytest.mark.smoke
@pytest.mark.parametrize("model", MODELS)
def test_plain(gateway, key, model):
    answer = gateway.openai(key).chat.completions.create(model=model, messages=QUESTION)
    assert answer.choices[0].message.content == ANSWERED
    assert answer.choices[0].message.reasoning_content == THOUGHT_OF
    assert answer.usage.prompt_tokens == tokens.of_messages(QUESTION)
    assert answer.usage.completion_tokens == 32


@pytest.mark.smoke
@pytest.mark.parametrize("model", MODELS)
def test_stream(gateway, key, model):
    content = reasoning = ""
    for chunk in gateway.openai(key).chat.completions.create(model=model, messages=QUESTION, stream=True):
        delta = chunk.choices[0].delta
        content += delta.content or ""
        reasoning += getattr(delta, "reasoning_content", None) or ""
    assert (content, reasoning) == (ANSWERED, THOUGHT_OF)


@pytest.mark.parametrize("how", ["plain", "stream"])
@pytest.mark.parametrize("model", MODELS)
def test_node(gateway, key, model, how):
    said = by_node(gateway, key, model, how)
    assert (said["content"], said["reasoning"], said["finish"]) == (ANSWERED, THOUGHT_OF, "stop"), said


def by_node(gateway, key, model, how):
    script = Path(__file__).parent / "node/call.mjs"
    done = subprocess.run(["node", script, gateway.url, key, model, how], capture_output=True, text=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "TIDEGATE_NODE_MODULES": os.environ["TIDEGATE_NODE_MODULES"]})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_vendor_sees_its_own_model_and_key(gateway, key, deepseek_sim, vllm_sim):
    for model in MODELS:
        gateway.openai(key).chat.completions.create(model=model, messages=QUESTION)
    [to_deepseek], [to_qwq] = deepseek_sim.chats(), vllm_sim.chats()
    assert to_deepseek.json["model"] == "deepseek-reasoner" and to_qwq.json["model"] == "qwq-32b"
    assert to_deepseek.header("authorization") == "Bearer " + deepseek_sim.key
    assert to_qwq.header("authorization") is None
    assert to_deepseek.header("host") == "127.0.0.1:%d" % deepseek_sim.port


def test_wrong_key(gateway, key):
    with pytest.raises(openai.AuthenticationError) as refused:
        gateway.openai("tgk_wrong-" + "x" * 37).chat.completions.create(model="deepseek-r1", messages=QUESTION)
    assert refused.value.status_code == 401
    helps(refused.value, code="invalid_api_key", words="key")


def test_no_key(gateway, key):
    answer = gateway.client().post("/chat/completions", json={"model": "deepseek-r1", "messages": QUESTION})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "missing_api_key" and "Authorization" in answer.json()["error"]["message"]


def test_unknown_model(gateway, key):
    with pytest.raises(openai.NotFoundError) as refused:
        gateway.openai(key).chat.completions.create(model="gpt-unheard-of", messages=QUESTION)
    helps(refused.value, code="model_not_found", words="gpt-unheard-of")


def test_wrong_key_and_unknown_model_in_node(gateway, key):
    wrong = by_node(gateway, "tgk_wrong-" + "x" * 37, "qwq-32b", "plain")
    absent = by_node(gateway, key, "gpt-unheard-of", "stream")
    assert (wrong["error"], wrong["status"], wrong["code"]) == ("AuthenticationError", 401, "invalid_api_key")
    assert (absent["error"], absent["status"], absent["code"]) == ("NotFoundError", 404, "model_not_found")


def helps(error, code, words):
    """OpenAI's error shape, with a sentence that names what is wrong."""
    assert set(error.body) == {"message", "type", "param", "code"}, error.body
    assert error.body["code"] == code and error.body["type"] == "invalid_request_error"
    assert words in error.body["message"] and len(error.body["message"].split()) >= 5, error.body["message"]


def test_models_lists_what_may_be_called(gateway, key):
    assert sorted(model.id for model in gateway.openai(key).models.list()) == sorted(MODELS)


def test_usage_is_reported(gateway, key):
    client = gateway.openai(key)
    client.chat.completions.create(model="deepseek-r1", messages=QUESTION)
    list(client.chat.completions.create(model="qwq-32b", messages=QUESTION, stream=True))
    before = {row["provider"]: row for row in gateway.usage(requests=2)}
    assert before["deepseek"]["completion_tokens"] >= 32 and before["qwq"]["completion_tokens"] >= 32
    assert before["deepseek"]["reasoning_tokens"] >= 12
