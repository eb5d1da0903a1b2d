"""Applications that call the gateway with Anthropic's SDK: answers, streams, tools, thoughts, counts and lists are the vendor's, every
refusal is one of the SDK's own exceptions with a sentence that helps, and another provider takes over when one is overloaded."""
import anthropic
import pytest

from sim import tokens
from sim.vendors.base import ANSWER, THOUGHT

MODEL = "claude"
QUESTION = [{"role": "user", "content": "解释量子计算"}]
ASK = {"model": MODEL, "max_tokens": 100, "messages": QUESTION}
TOOL = {"name": "weather", "description": "weather of a city", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
ANSWERED, THOUGHT_OF = "".join(tokens.pieces(ANSWER, 20)), "".join(tokens.pieces(THOUGHT, 12))
PING = b'event: ping\ndata: {"type": "ping"}\n\n'       # the gateway's; the vendor's has no blank
SPARE = {"enabled": True, "on": ["connect_error", "5xx", "429"], "targets": [{"provider": "spare", "model": "claude-opus-5"}]}


@pytest.fixture
def vendor(gateway, anthropic_sim):
    """The model `claude` at one provider."""
    gateway.provider("claude", anthropic_sim, type="anthropic", served=False)
    gateway.route("claude", MODEL, ("claude", "claude-sonnet-5"), served=False, retry={"attempts": 1})
    return anthropic_sim


@pytest.fixture
def spare(gateway, vendor, start_sim):
    """A second provider that takes over."""
    sim = start_sim("anthropic", key="sk-ant-api03-spare-0123456789")
    gateway.provider("spare", sim, type="anthropic", served=False)
    gateway.admin.patch("routes/claude", {"fallback": SPARE})
    gateway.wait_served()
    return sim


def streamed(client, **more):
    with client.messages.stream(**{**ASK, **more}) as stream:
        return stream.get_final_message()


def refused(kind, call):
    """The SDK's exception: (status, type, the gateway's own code, sentence)."""
    with pytest.raises(kind) as caught:
        call()
    error = caught.value
    assert error.body["type"] == "error" and error.request_id == error.response.headers["x-request-id"]
    return error.status_code, error.type, error.error_code, error.api_message


# -- what works -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["api_key", "auth_token", "x-api-key"])
def test_either_way_of_giving_the_key(gateway, vendor, how):
    """SDKs before the majors of 2026-10 send an API key as x-api-key, later ones as a bearer."""
    key = gateway.key()
    client = gateway.anthropic(**{how: key}) if how != "x-api-key" else gateway.anthropic(auth_token="", default_headers={"X-Api-Key": key})
    if how == "x-api-key":
        client.auth_token = None
    message = client.messages.create(**ASK)
    assert message.content[0].text == ANSWERED and message.stop_reason == "end_turn" and message.model == "claude-sonnet-5"
    sent = vendor.last
    assert sent.header("x-api-key") == vendor.key and sent.header("authorization") is None
    assert key not in sent.head.decode() + sent.body.decode()


def test_a_message_is_the_vendors_own(gateway, vendor):
    answer = gateway.anthropic(gateway.key()).messages.with_raw_response.create(**ASK)
    assert answer.http_response.content == bytes(vendor.last.sent)
    message = answer.parse()
    assert message._request_id == answer.headers["request-id"] == answer.headers["x-request-id"]
    assert answer.headers["anthropic-ratelimit-requests-limit"] == "1000" and "set-cookie" not in answer.headers
    assert "anthropic-organization-id" not in answer.headers, "whose account it is concerns no consumer"
    assert message.usage.output_tokens == 20


def test_the_streaming_helper(gateway, vendor):
    client = gateway.anthropic(gateway.key())
    with client.messages.stream(**ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == ANSWERED and final.stop_reason == "end_turn"
    assert final.usage.input_tokens == client.messages.create(**ASK).usage.input_tokens and final.usage.output_tokens == 20
    raw = client.messages.create(stream=True, **ASK)
    assert [event.type for event in raw][:2] == ["message_start", "content_block_start"]


def test_tools_and_thoughts_go_there_and_back(gateway, vendor):
    client = gateway.anthropic(gateway.key())
    more = {"tools": [TOOL], "thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
    first = streamed(client, **more)
    assert [b.type for b in first.content] == ["thinking", "tool_use"] and first.stop_reason == "tool_use"
    assert first.content[0].thinking == THOUGHT_OF and first.content[1].input == {"city": "北京", "days": 3}
    turns = [*QUESTION, {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
             {"role": "user", "content": [{"type": "tool_result", "tool_use_id": first.content[1].id, "content": "晴"}]}]
    second = client.messages.create(**{**ASK, **more, "messages": turns})
    assert second.content[-1].text == ANSWERED, "the vendor takes back only what nobody changed"


def test_what_else_the_client_says_reaches_the_vendor(gateway, vendor):
    client = gateway.anthropic(gateway.key())
    client.beta.messages.create(**ASK, betas=["context-management-2025-06-27", "files-api-2025-04-14"], context_management={"edits": []},
                                extra_query={"beta": "true"})
    assert vendor.last.header("anthropic-beta") == "context-management-2025-06-27,files-api-2025-04-14"
    assert vendor.last.target == "/v1/messages?beta=true"
    for version in ("2023-06-01", "2026-10-21"):
        client.with_options(default_headers={"anthropic-version": version}).messages.create(**ASK)
        assert vendor.last.header("anthropic-version") == version
    plain = gateway.client(gateway.key("no-version"))
    assert plain.post("/messages", json=ASK).status_code == 200 and vendor.last.header("anthropic-version") == "2023-06-01"


def test_tokens_are_counted_for_nothing(gateway, vendor):
    """The vendor takes nothing for it, so no quota is touched and nothing is charged."""
    key = gateway.key()
    gateway.admin.post("quotas", {"name": "tokens", "consumer": gateway.consumer, "unit": "tokens", "limit": 5})
    gateway.wait_served()
    client = gateway.anthropic(key)
    long = [{"role": "user", "content": "tide " * 500}]
    counted = client.messages.count_tokens(model=MODEL, messages=long)
    assert counted.input_tokens > 500 and vendor.last.path == "/v1/messages/count_tokens"
    usage = client.messages.create(**ASK).usage          # admitted on what is left: all of it
    refused(anthropic.RateLimitError, lambda: client.messages.create(**ASK))
    [row] = gateway.usage(requests=2, route="claude", provider="claude")
    assert (row["requests"], row["prompt_tokens"], row["completion_tokens"]) == (2, usage.input_tokens, usage.output_tokens)


def test_models_are_listed_in_its_shape(gateway, vendor, openai_sim):
    gateway.provider("other", openai_sim, served=False)
    gateway.route("other", "gpt", ("other", "gpt-4o-mini"), served=False)
    key = gateway.key()
    client = gateway.anthropic(key)
    assert [(m.id, m.type, m.display_name) for m in client.models.list(limit=1)] == [(MODEL, "model", MODEL)], "only what it can call"
    assert client.models.retrieve(MODEL).created_at.year == 1970
    assert [m.id for m in gateway.openai(key).models.list()] == [MODEL, "gpt"], "the other list is as it was"
    assert refused(anthropic.NotFoundError, lambda: client.models.retrieve("none"))[:3] == (404, "not_found_error", "model_not_found")
    assert refused(anthropic.AuthenticationError, lambda: gateway.anthropic("tgk_wrong").models.list())[1] == "authentication_error"


# -- what is refused --------------------------------------------------------------------------------------------------

def test_refusals_are_the_sdks_exceptions(gateway, vendor, openai_sim):
    gateway.provider("other", openai_sim, served=False)
    gateway.route("other", "gpt", ("other", "gpt-4o-mini"), served=False)
    key, narrow = gateway.key(), gateway.key("narrow", models=["gpt-4o-mini"])
    client = gateway.anthropic(key)

    def ask(**more):
        return lambda: client.messages.create(**{**ASK, **more})
    wrong = refused(anthropic.AuthenticationError, lambda: gateway.anthropic("tgk_wrong").messages.create(**ASK))
    assert wrong[:3] == (401, "authentication_error", "invalid_api_key") and "not known here" in wrong[3]
    none = gateway.client().post("/messages", json=ASK)
    assert none.status_code == 401 and none.json()["error"]["details"]["error_code"] == "missing_api_key"
    assert none.json()["error"]["type"] == "authentication_error" and "x-api-key" in none.json()["error"]["message"]
    forbidden = refused(anthropic.PermissionDeniedError, lambda: gateway.anthropic(narrow).messages.create(**ASK))
    assert forbidden[:3] == (403, "permission_error", "model_not_allowed")
    unknown = refused(anthropic.NotFoundError, ask(model="claude-none"))
    assert unknown[:3] == (404, "not_found_error", "model_not_found") and MODEL in unknown[3] and "gpt" not in unknown[3]
    elsewhere = refused(anthropic.NotFoundError, ask(model="gpt"))
    assert elsewhere[2] == "api_not_supported" and "/v1/messages" in elsewhere[3]
    assert vendor.requests == [], "of all these the vendor heard nothing"
    assert refused(anthropic.BadRequestError, ask(messages=[])) == (400, "invalid_request_error", None, "messages: at least one message is required")
    path = refused(anthropic.NotFoundError, lambda: client.post("/v1/messages/batches/x", cast_to=object, body={}))
    assert path[:3] == (404, "not_found_error", "unknown_url")


def test_a_limit_says_when_to_come_back(gateway, vendor):
    gateway.admin.patch("routes/claude", {"plugins": {"request-ratelimit": {"limit_by": "consumer", "requests": 1, "window": "1h"}}})
    client = gateway.anthropic(gateway.key())
    client.messages.create(**ASK)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(**ASK)
    error = caught.value
    assert (error.type, error.error_code) == ("rate_limit_error", "rate_limit_exceeded") and "request" in error.api_message.lower()
    assert int(error.response.headers["retry-after"]) >= 1
    with pytest.raises(anthropic.RateLimitError):
        streamed(client)
    assert len(vendor.requests) == 1


def test_a_quota_that_is_used_up_makes_nobody_sleep(gateway, vendor):
    """The SDK waits for as long as Retry-After says before it tries again by itself: an hour, or a month, if nobody stops it."""
    key = gateway.key()
    gateway.admin.post("quotas", {"name": "prepaid", "consumer": gateway.consumer, "unit": "requests", "limit": 1})
    gateway.wait_served()
    client = gateway.anthropic(key, max_retries=2)
    client.messages.create(**ASK)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(**ASK)
    error = caught.value
    assert error.error_code == "insufficient_quota" and "`prepaid`" in error.api_message
    assert error.response.headers["x-should-retry"] == "false" and int(error.response.headers["retry-after"]) == 3600
    assert error.response.request.headers["x-stainless-retry-count"] == "0" and len(vendor.requests) == 1


# -- when a vendor fails ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("call", [lambda c: c.messages.create(**ASK), streamed], ids=["plain", "stream"])
@pytest.mark.parametrize("fault", [{"kind": "status", "status": 529}, {"kind": "status", "status": 429}, {"kind": "status", "status": 500},
                                   {"kind": "reset"}], ids=["529", "429", "500", "reset"])
def test_another_provider_takes_over(gateway, spare, vendor, call, fault):
    key = gateway.key()
    vendor.fail(**fault, times=1)
    message = call(gateway.anthropic(key))
    assert message.content[0].text == ANSWERED and message.model == "claude-opus-5"
    assert spare.last.header("x-api-key") == spare.key and spare.last.json["model"] == "claude-opus-5"
    assert {k: v for k, v in spare.last.json.items() if k != "model"} == {k: v for k, v in vendor.last.json.items() if k != "model"}
    [row] = gateway.usage(requests=1, provider="spare")
    assert row["model"] == "claude-opus-5" and row["completion_tokens"] == 20


def test_an_overloaded_vendor_alone(gateway, vendor):
    client = gateway.anthropic(gateway.key())
    vendor.fail("status", status=529)
    assert refused(anthropic.OverloadedError, lambda: client.messages.create(**ASK)) == (529, "overloaded_error", None, "Overloaded")
    assert refused(anthropic.OverloadedError, lambda: streamed(client))[:2] == (529, "overloaded_error")


def test_an_error_in_the_middle_of_a_stream_is_one(gateway, vendor):
    client = gateway.anthropic(gateway.key())
    vendor.fail("error_event", after_events=6, times=1)
    with pytest.raises(anthropic.APIStatusError) as caught:
        streamed(client)
    assert caught.value.type == "overloaded_error" and caught.value.request_id == caught.value.response.headers["x-request-id"]
    for kind in ("truncate", "no_done"):
        vendor.fail(kind, after_events=6, times=1)
        with pytest.raises(anthropic.APIStatusError) as caught:
            streamed(client)
        assert (caught.value.type, caught.value.error_code) == ("api_error", "upstream_error") and "broke off" in caught.value.api_message, kind


def test_the_vendors_key_is_in_no_answer(gateway, vendor):
    client = gateway.anthropic(gateway.key())
    vendor.fail("status", status=400, times=1, body='{"type":"error","error":{"type":"invalid_request_error","message":"key %s"}}' % vendor.key)
    said = refused(anthropic.BadRequestError, lambda: client.messages.create(**ASK))
    assert vendor.key not in said[3] and said[3].startswith("key ")


def test_a_silent_stream_is_kept_alive_by_pings(gateway, vendor):
    """Between events only, and in the dialect's own words, which its SDKs skip."""
    gateway.admin.patch("settings", {"data_plane": {"sse_keepalive": "100ms"}})
    gateway.wait_served()
    vendor.behave(hold=True)
    try:
        said = b""
        with gateway.client(gateway.key()).stream("POST", "/messages", json={**ASK, "stream": True}) as answer:
            for piece in answer.iter_raw():
                said += piece
                if said.count(PING) >= 2:
                    vendor.release()
        assert said.replace(PING, b"") == bytes(vendor.last.sent)
    finally:
        vendor.release()
        gateway.admin.patch("settings", {"data_plane": {"sse_keepalive": "15s"}})
