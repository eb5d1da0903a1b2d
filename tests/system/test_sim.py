"""The simulators themselves: as strict and as odd as the vendor documents, or a green test means nothing."""
import socket

import httpx
import openai
import pytest

import sim
from sim import tokens

CHAT = {"messages": [{"role": "user", "content": "count to three 一二三"}]}
MODEL = {"openai": "gpt-4.1-nano", "deepseek": "deepseek-chat", "dashscope": "qwen-plus", "vllm": "qwq-32b"}
KEY = "sk-simulated-0123456789"


@pytest.fixture(params=list(MODEL))
def vendor(request):
    with sim.start(request.param, key=KEY) as running:
        running.name = request.param
        yield running


@pytest.fixture
def vendor_of(request):
    with sim.start(request.param, key=KEY) as running:
        yield running


def ask(vendor, key=KEY, headers=None, path="/chat/completions", **body):
    sent = {"Authorization": "Bearer " + key} if key else {}
    return httpx.post(vendor.base_url + path, json=body, headers={**sent, **(headers or {})}, trust_env=False, verify=False)


def test_sdk_plain_and_stream(vendor):
    client = openai.OpenAI(api_key=KEY, base_url=vendor.base_url, max_retries=0, http_client=httpx.Client(trust_env=False, verify=False))
    plain = client.chat.completions.create(model=MODEL[vendor.name], **CHAT)
    said, usage = "", None
    for chunk in client.chat.completions.create(model=MODEL[vendor.name], stream=True,
                                                stream_options={"include_usage": True}, **CHAT):
        usage = chunk.usage or usage
        said += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert said == plain.choices[0].message.content
    assert usage.total_tokens == plain.usage.total_tokens
    assert plain.usage.prompt_tokens == tokens.of_messages(CHAT["messages"])
    assert vendor.issued["completion_tokens"] == 2 * plain.usage.completion_tokens


def test_wrong_and_missing_keys(vendor):
    for key, headers in (("sk-wrong-key-0000", {}), (None, {}), (None, {"Authorization": "Basic " + KEY})):
        answer = ask(vendor, key=key, headers=headers, model=MODEL[vendor.name], **CHAT)
        assert answer.status_code == 401 and "error" in answer.json()
    assert vendor.issued["completion_tokens"] == 0


def test_malformed_requests(vendor):
    model = MODEL[vendor.name]
    assert ask(vendor, model="no-such-model", **CHAT).status_code in (400, 404)
    assert ask(vendor, model=model, temperature="hot", **CHAT).status_code in (400, 422)
    assert ask(vendor, model=model, messages=[]).status_code in (400, 422)
    assert ask(vendor, model=model).status_code in (400, 422)
    text = httpx.post(vendor.base_url + "/chat/completions", content="{}", headers={"Authorization": "Bearer " + KEY})
    assert text.status_code in (400, 415)
    assert ask(vendor, path="/nothing", model=model).status_code == 404


@pytest.mark.parametrize("vendor_of", ["openai"], indirect=True)
def test_openai_refuses_what_it_does_not_know(vendor_of):
    unknown = ask(vendor_of, model="gpt-4.1-nano", enable_thinking=True, **CHAT)
    assert unknown.json()["error"]["message"] == "Unknown parameter: 'enable_thinking'."
    alone = ask(vendor_of, model="gpt-4.1-nano", stream_options={"include_usage": True}, **CHAT)
    assert alone.status_code == 400 and alone.json()["error"]["param"] == "stream_options"
    assert ask(vendor_of, model="o4-mini", max_tokens=5, **CHAT).json()["error"]["code"] == "unsupported_parameter"


@pytest.mark.parametrize("vendor_of", ["deepseek"], indirect=True)
def test_deepseek_r1_rules(vendor_of):
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "c"},
               {"role": "user", "content": "d"}]
    assert ask(vendor_of, model="deepseek-reasoner", messages=history).status_code == 400
    assert ask(vendor_of, model="deepseek-chat", messages=history).status_code == 200
    assert ask(vendor_of, model="deepseek-chat", temperature="hot", **CHAT).status_code == 422
    vendor_of.behave(keepalives=3)
    assert ask(vendor_of, model="deepseek-reasoner", **CHAT).content.startswith(b"\n\n\n{")
    stream = ask(vendor_of, model="deepseek-reasoner", stream=True, **CHAT).text
    assert stream.startswith(": keep-alive\n\n" * 3 + "data: {")
    assert '"finish_reason":"stop"}],"usage":{"prompt_tokens"' in stream, "usage comes although nobody asked"


@pytest.mark.parametrize("vendor_of", ["dashscope"], indirect=True)
def test_dashscope_qwq_rules(vendor_of):
    refused = ask(vendor_of, model="qwq-32b", **CHAT)
    assert refused.status_code == 400
    assert refused.json()["error"] == {
        "code": "invalid_parameter_error", "param": None, "type": "invalid_request_error",
        "message": "This model only support stream mode, please enable the stream parameter to access the model. "}
    assert '"usage":{' not in ask(vendor_of, model="qwq-32b", stream=True, **CHAT).text
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    assert '"id":"","type":"function"' in ask(vendor_of, model="qwq-32b", stream=True, tools=[tool], **CHAT).text


def test_faults(vendor):
    model = MODEL[vendor.name]
    vendor.fail("status", status=503, times=1)
    assert ask(vendor, model=model, **CHAT).status_code == 503
    assert ask(vendor, model="sim-status-429", **CHAT).status_code == 429
    with pytest.raises(httpx.RemoteProtocolError):
        ask(vendor, model="sim-truncate-3", stream=True, **CHAT)
    with pytest.raises(httpx.TransportError):
        ask(vendor, model="sim-reset", **CHAT)
    whole = ask(vendor, model=model, stream=True, **CHAT)
    cut = ask(vendor, model="sim-segment-1", stream=True, **CHAT)
    assert len(cut.text.split("\n\n")) == len(whole.text.split("\n\n"))


def test_what_no_gateway_may_send_is_noticed(vendor):
    ask(vendor, headers={"X-Tidegate-Route": "r", "Cookie": "a=b", "TE": "trailers"}, model=MODEL[vendor.name],
        user="tgk_" + "a" * 43, **CHAT)
    assert len(vendor.violations) == 4, vendor.violations
    vendor.violations.clear()
    httpx.post(vendor.base_url + "/chat/completions", content='{"model":"a","model":"b"}',
               headers={"Authorization": "Bearer " + KEY, "Content-Type": "application/json"})
    assert vendor.violations == ["member model twice"]


def test_ambiguous_framing_is_refused(vendor):
    with socket.create_connection(("127.0.0.1", vendor.port)) as raw:
        raw.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert vendor.violations and vendor.requests == []
