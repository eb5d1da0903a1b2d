"""The simulator of api.anthropic.com against the vendor's own SDK, and in what it refuses."""
import json

import anthropic
import httpx
import httpx2
import pytest

import sim
from sim.vendors.anthropic_api import sign
from sim.vendors.base import ANSWER, THOUGHT
from sim import tokens

KEY = "sk-ant-simulated-0123456789"
MODEL = "claude-sonnet-5"
ASK = {"max_tokens": 100, "messages": [{"role": "user", "content": "count to three 一二三"}]}
TOOL = {"name": "weather", "description": "weather of a city", "input_schema": {"type": "object"}}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}


@pytest.fixture
def vendor():
    with sim.start("anthropic", key=KEY) as running:
        yield running


@pytest.fixture
def client(vendor):
    with anthropic.Anthropic(api_key=KEY, base_url=vendor.base_url[:-len("/v1")], max_retries=0,
                             http_client=httpx2.Client(trust_env=False)) as made:
        yield made


def ask(vendor, path="/messages", headers=None, **body):
    sent = {"x-api-key": KEY, "anthropic-version": "2023-06-01", **(headers or {})}
    return httpx.post(vendor.base_url + path, json={"model": MODEL, **ASK, **body}, headers={n: v for n, v in sent.items() if v is not None},
                      trust_env=False)


def refusal(answer):
    error = answer.json()
    assert error["type"] == "error" and error["request_id"].startswith("req_") and answer.headers["request-id"].startswith("req_")
    return answer.status_code, error["error"]["type"], error["error"]["message"]


def test_the_sdk_understands_it(vendor, client):
    plain = client.messages.create(model=MODEL, **ASK)
    assert plain.content[0].text == "".join(tokens.pieces(ANSWER, 20)) and plain.stop_reason == "end_turn"
    with client.messages.stream(model=MODEL, **ASK) as stream:
        final = stream.get_final_message()
    assert final.content[0].text == plain.content[0].text and final.usage.output_tokens == 20
    assert plain.usage.input_tokens == client.messages.count_tokens(model=MODEL, messages=ASK["messages"]).input_tokens
    assert vendor.issued == {"prompt_tokens": 2 * plain.usage.input_tokens, "completion_tokens": 40}
    assert [m.id for m in client.models.list()] == ["claude-sonnet-5", "claude-opus-5", "claude-haiku-4-5"]
    assert client.models.retrieve(MODEL).max_tokens == 64000
    assert vendor.violations == []


def test_it_thinks_and_calls_tools(client):
    first = client.messages.create(model=MODEL, tools=[TOOL], **{**ASK, **THINK})
    assert [b.type for b in first.content] == ["thinking", "tool_use"] and first.stop_reason == "tool_use"
    assert first.content[0].signature == sign("".join(tokens.pieces(THOUGHT, 12))) and first.content[1].input == {"city": "北京", "days": 3}
    result = {"type": "tool_result", "tool_use_id": first.content[1].id, "content": "sunny"}
    turns = [*ASK["messages"], {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]}]
    with client.messages.stream(model=MODEL, tools=[TOOL], **{**ASK, **THINK, "messages": [*turns, {"role": "user", "content": [result]}]}) as s:
        second = s.get_final_message()
    assert second.stop_reason == "end_turn" and second.usage.output_tokens_details.thinking_tokens == 12
    turns[1]["content"][0]["thinking"] += "!"
    with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
        client.messages.create(model=MODEL, tools=[TOOL], **{**ASK, **THINK, "messages": [*turns, {"role": "user", "content": [result]}]})


def test_it_caches_prefixes(client):
    long = "tide " * 1200

    def usage(system):
        said = client.messages.create(model=MODEL, system=system, **ASK).usage
        return said.cache_read_input_tokens, said.cache_creation.ephemeral_1h_input_tokens, said.cache_creation.ephemeral_5m_input_tokens
    hour = {"type": "text", "text": long, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    five = {"type": "text", "text": "and more " * 30, "cache_control": {"type": "ephemeral"}}
    first, second = usage([hour, five]), usage([hour, five])
    assert first[0] == 0 and first[1] >= 1200 and first[2] >= 60
    assert second == (first[1] + first[2], 0, 0)
    assert usage([{"type": "text", "text": "short", "cache_control": {"type": "ephemeral"}}]) == (0, 0, 0), "too short, and nothing says so"
    with pytest.raises(anthropic.BadRequestError, match="must not come after"):
        usage([five, hour])


@pytest.mark.parametrize("headers, status, words", [
    ({"x-api-key": None}, 401, "x-api-key header is required"), ({"x-api-key": "sk-ant-wrong"}, 401, "invalid x-api-key"),
    ({"x-api-key": None, "Authorization": "Bearer nobody"}, 401, "Invalid bearer token"),
    ({"anthropic-version": None}, 400, "anthropic-version: header is required"), ({"anthropic-version": "2022"}, 400, "is not a valid version")])
def test_it_wants_a_key_and_a_version(vendor, headers, status, words):
    said = refusal(ask(vendor, headers=headers))
    assert said[0] == status and words in said[2]


@pytest.mark.parametrize("body, words", [
    ({"max_tokens": "many"}, "max_tokens: Input should be a valid integer"), ({"n": 2}, "n: Extra inputs are not permitted"),
    ({"temperature": 1.5}, "temperature: range: 0..1"), ({"messages": []}, "at least one message"),
    ({"messages": [{"role": "assistant", "content": "a"}]}, "first message must use the \"user\" role"),
    ({"messages": [{"role": "tool", "content": "a"}]}, "messages.0.role"), ({"messages": [{"role": "user", "content": ""}]}, "non-empty content"),
    ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b "}]}, "trailing whitespace"),
    ({"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]}, "unexpected `tool_use_id`"),
    ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "greater than or equal to 1024"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "must be greater than `thinking.budget_tokens`"),
    ({"context_management": {}}, "context_management: Extra inputs are not permitted"), ({"tools": [{"name": "a b", "input_schema": {}}]}, "pattern"),
    ({"max_tokens": 65000}, "maximum allowed number of output tokens")])
def test_it_checks_what_it_is_sent(vendor, body, words):
    status, kind, message = refusal(ask(vendor, **body))
    assert (status, kind) == (400, "invalid_request_error") and words in message


def test_versions_and_betas_decide(vendor):
    later = {"anthropic-version": "2026-10-21"}
    assert ask(vendor, headers=later).status_code == 200
    assert refusal(ask(vendor, headers=later, temperature=1))[0] == 400
    assert ask(vendor, headers={"anthropic-beta": "a, context-management-2025-06-27"}, context_management={}).status_code == 200
    assert refusal(ask(vendor, model="claude-none"))[1:] == ("not_found_error", "model: claude-none")


def test_its_faults(vendor):
    vendor.fail("status", status=529, times=1)
    assert refusal(ask(vendor)) == (529, "overloaded_error", "Overloaded")
    vendor.fail("status", status=429, times=1, headers=[("retry-after", "7")])
    limited = ask(vendor)
    assert refusal(limited)[1] == "rate_limit_error" and limited.headers.get_list("retry-after") == ["7"]
    vendor.fail("error_event", after_events=6, times=1)
    events = [block.split("\n") for block in ask(vendor, stream=True).text.split("\n\n") if block]
    assert [lines[0] for lines in events[:4]] == ["event: message_start", "event: content_block_start", "event: ping", "event: content_block_delta"]
    assert events[-1][0] == "event: error" and json.loads(events[-1][1][6:])["error"]["type"] == "overloaded_error"
    vendor.fail("no_done", times=1)
    assert "message_delta" not in ask(vendor, stream=True).text
