"""Streams: the client gets the vendor's bytes, the ledger gets the usage, and a broken stream never looks finished."""
import json
import re

import pytest

from harness.rawhttp import Talk
from harness.waiting import wait_until
from harness.worker import request
from sim import tokens
from sim.vendors.base import ANSWER, THOUGHT

ASK = [{"role": "user", "content": "讲一个潮汐的故事 in two languages"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
USAGE_CHUNK = re.compile(rb'data: \{[^\r\n]*"choices":\[\][^\r\n]*(?:\r\n\r\n|\n\n|\r\r)')


@pytest.fixture
def setup(gateway, openai_sim, deepseek_sim, vllm_sim, dashscope_sim):
    """Four vendors behind four models; the keyed client."""
    vendors = {"openai": (openai_sim, "openai", "gpt-4.1-nano"), "deepseek": (deepseek_sim, "deepseek", "deepseek-reasoner"),
               "vllm": (vllm_sim, "vllm", "qwq-32b"), "qwen": (dashscope_sim, "qwen", "qwq-32b")}
    for name, (sim, kind, model) in vendors.items():
        gateway.provider(name, sim, type=kind, served=False)
        gateway.route(name, "m-" + name, (name, model), served=False)
    client = gateway.client(gateway.key())
    client.sims = {name: sim for name, (sim, _, _) in vendors.items()}
    yield client
    client.close()


def ask(client, name, **more):
    return client.post("/chat/completions", json={"model": "m-" + name, "messages": ASK, **more})


def last_json(answer):
    events = [line[6:] for line in re.split(r"[\r\n]+", answer.text) if line.startswith("data: ")]
    return [json.loads(event) for event in events if event != "[DONE]"]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("segment", [0, 1, 7])
@pytest.mark.parametrize("name", ["openai", "deepseek"])
def test_the_bytes_pass_through(setup, name, segment, line_end):
    setup.sims[name].behave(segment=segment, line_end=line_end, keepalives=2)
    answer = ask(setup, name, stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.content == bytes(setup.sims[name].last.sent)
    assert answer.content.rstrip().endswith(b"data: [DONE]")


@pytest.mark.parametrize("name", ["openai", "deepseek", "vllm"])
def test_plain_bytes_pass_through(setup, name):
    answer = ask(setup, name)
    assert answer.content == bytes(setup.sims[name].last.sent) and answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("segment", [0, 1, 7])
@pytest.mark.parametrize("name", ["openai", "vllm", "deepseek"])
def test_usage_is_known_and_hidden(setup, gateway, name, segment):
    sim = setup.sims[name]
    sim.behave(segment=segment)
    answer = ask(setup, name, stream=True)
    if name != "deepseek":    # which tells the usage anyway
        assert sim.last.json["stream_options"] == {"include_usage": True}
    shown = answer.content
    assert b'"choices":[]' not in shown
    if name != "openai":      # OpenAI also shows "usage":null in every chunk, which is the vendor's own affair
        assert shown == USAGE_CHUNK.sub(b"", bytes(sim.last.sent))
    [row] = gateway.usage(requests=1, route=name)
    assert row["prompt_tokens"] == tokens.of_messages(ASK) == sim.issued["prompt_tokens"]
    assert row["completion_tokens"] >= sim.issued["completion_tokens"] > 0


def test_usage_is_shown_when_asked_for(setup):
    shown = ask(setup, "vllm", stream=True, stream_options={"include_usage": True})
    assert last_json(shown)[-1]["choices"] == [] and last_json(shown)[-1]["usage"]["completion_tokens"] == 32


def test_an_upstream_that_refuses_stream_options(setup, gateway):
    sim = setup.sims["vllm"]
    sim.behave(no_stream_options=True)
    for _ in range(2):
        assert ask(setup, "vllm", stream=True).status_code == 200
    assert ["stream_options" in request.json for request in sim.chats()] == [True, False, False], "asked once, then remembered"
    [row] = gateway.usage(requests=2, route="vllm")
    assert row["completion_tokens"] > 0, "estimated"


def test_the_request_goes_up_unchanged(setup):
    odd = ('{ "messages" :[{"role":"user","content":"\\u91cf\\ud83c\\udf0a\\/ é"}] ,\n\t"seed": 1234567890123456789, '
           '"temperature":1.0e0, "x_unknown":{"b":1,"a":[1,2 , null]},"model" : "m-vllm" , "top_p":0.50}')
    answer = setup.post("/chat/completions", content=odd.encode(), headers={"Content-Type": "application/json; charset=utf-8"})
    assert answer.status_code == 200, answer.text
    assert setup.sims["vllm"].last.body == odd.replace('"m-vllm"', '"qwq-32b"').encode()
    assert setup.sims["vllm"].last.header("content-length") == str(len(setup.sims["vllm"].last.body))


def test_empty_lines_before_a_plain_answer(setup, gateway):
    setup.sims["deepseek"].behave(keepalives=5, keepalive_interval=0.02)
    answer = ask(setup, "deepseek")
    assert answer.json()["choices"][0]["message"]["content"] == "".join(tokens.pieces(ANSWER, 20))
    assert gateway.usage(route="deepseek")[0]["completion_tokens"] == 32


def test_stream_only_model_collected_for_a_plain_request(setup, gateway):
    sim = setup.sims["qwen"]
    answer = ask(setup, "qwen").json()
    assert sim.last.json["stream"] is True and sim.last.json["stream_options"] == {"include_usage": True}
    assert answer["object"] == "chat.completion" and answer["id"].startswith("chatcmpl-")
    [choice] = answer["choices"]
    assert choice["message"]["role"] == "assistant" and choice["finish_reason"] == "stop"
    assert choice["message"]["content"] == "".join(tokens.pieces(ANSWER, 20))
    assert choice["message"]["reasoning_content"] == "".join(tokens.pieces(THOUGHT, 12))
    assert answer["usage"]["total_tokens"] == tokens.of_messages(ASK) + 32
    assert gateway.usage(route="qwen")[0]["completion_tokens"] == 32


def test_stream_only_model_collects_tool_calls(setup):
    answer = ask(setup, "qwen", tools=[TOOL]).json()
    [call] = answer["choices"][0]["message"]["tool_calls"]
    assert call["id"].startswith("call_") and call["function"]["name"] == "weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "北京", "days": 3}
    assert answer["choices"][0]["finish_reason"] == "tool_calls"


def test_stream_only_model_that_breaks_is_an_error(setup):
    setup.sims["qwen"].fail("truncate", after_events=5)
    answer = ask(setup, "qwen")
    assert answer.status_code == 502 and answer.json()["error"]["code"] == "upstream_error"


@pytest.mark.parametrize("kind", ["truncate", "reset", "no_done"])
@pytest.mark.parametrize("name", ["openai", "deepseek", "vllm"])
def test_a_broken_stream_does_not_look_finished(setup, gateway, name, kind):
    setup.sims[name].fail(kind, after_events=4)
    with setup.stream("POST", "/chat/completions", json={"model": "m-" + name, "messages": ASK, "stream": True}) as answer:
        text = answer.read().decode()
    assert "[DONE]" not in text and '"finish_reason":"stop"' not in text
    error = last_json(answer)[-1]["error"]
    assert error["message"] and error["type"] == "server_error"
    [row] = gateway.usage(route=name)
    assert row["errors"] == 1 and row["completion_tokens"] > 0


@pytest.mark.parametrize("status", [400, 429, 500])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_errors_of_the_vendor_keep_their_status(setup, stream, status):
    sim = setup.sims["deepseek"]
    sim.fail("status", status=status)
    answer = ask(setup, "deepseek", stream=stream)
    assert answer.status_code == status and set(answer.json()["error"]) >= {"message", "type", "code"}
    sim.heal()
    assert ask(setup, "deepseek").status_code == 200


def test_a_client_that_leaves_ends_the_call_upstream(setup, gateway):
    sim = setup.sims["vllm"]
    sim.behave(hold=True)
    with setup.stream("POST", "/chat/completions", json={"model": "m-vllm", "messages": ASK, "stream": True}) as answer:
        next(answer.iter_raw())
    wait_until(lambda: sim.last.gone_at, 20, "the call upstream ending after the client left")
    [row] = gateway.usage(route="vllm")
    assert row["prompt_tokens"] > 0


def test_a_client_that_leaves_before_the_answer(setup, gateway):
    sim = setup.sims["vllm"]
    sim.fail("stall")
    talk = Talk(gateway.data_port, 20).send(request(model="m-vllm", messages=ASK, key=setup.headers["authorization"].split()[1]))
    wait_until(lambda: sim.requests, 20, "the request at the provider")
    talk.close()
    wait_until(lambda: sim.last.gone_at, 20, "the call upstream ending after the client left")


def test_events_arrive_as_they_are_made(setup):
    """The first event must not wait for the rest: nothing is held back."""
    sim = setup.sims["openai"]
    sim.behave(hold=True)
    with setup.stream("POST", "/chat/completions", json={"model": "m-openai", "messages": ASK, "stream": True}) as answer:
        events = answer.iter_lines()
        assert next(events).startswith("data: {")
        assert not sim.last.complete
        sim.release()
        assert "data: [DONE]" in list(events)


def test_many_choices_interleaved(setup):
    answer = ask(setup, "openai", stream=True, n=3)
    said = {index: "" for index in range(3)}
    for chunk in last_json(answer):
        said[chunk["choices"][0]["index"]] += chunk["choices"][0]["delta"].get("content") or ""
    assert set(said.values()) == {"".join(tokens.pieces(ANSWER, 20))}
