"""What requests in Anthropic's dialect come to: tokens by class and money by the seed's prices, when all goes well and when it does not;
and the provider's page, whose test and list of models speak the dialect too."""
import pytest

from harness.waiting import wait_until

ASK = {"model": "claude", "max_tokens": 2000, "messages": [{"role": "user", "content": "how high is the tide?"}]}
THINK = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
# The seed's prices of Claude Opus 5 in USD per million tokens: its row has no date, so they do not depend on today's.
FRESH, READ, WRITE, WRITE_1H, OUT = 5, 0.5, 6.25, 10, 25


@pytest.fixture
def vendor(gateway, anthropic_sim):
    gateway.provider("claude", anthropic_sim, type="anthropic", served=False)
    gateway.route("claude", "claude", ("claude", "claude-opus-5"), served=False, retry={"attempts": 1})
    return anthropic_sim


def rows(gateway, n):
    """The consumer's rows, oldest first, once there are n."""
    def reported():
        items = gateway.admin.get("requests?limit=100&consumer=" + gateway.consumer).json()["items"]
        return items if len(items) >= n else None
    return [gateway.admin.get("requests/" + row["id"]).json() for row in reversed(wait_until(reported, 15, "%d rows in the request log" % n))]


def says(usage, **more):
    """What a row must say of the vendor's own usage object."""
    written = usage["cache_creation_input_tokens"]
    return {"prompt_tokens": usage["input_tokens"] + usage["cache_read_input_tokens"] + written, "cached_tokens": usage["cache_read_input_tokens"],
            "cache_write_tokens": written, "cache_write_1h_tokens": usage["cache_creation"]["ephemeral_1h_input_tokens"],
            "completion_tokens": usage["output_tokens"], "reasoning_tokens": usage["output_tokens_details"]["thinking_tokens"],
            "usage_source": "provider", "currency": "USD", **more}


def price(usage):
    write_1h = usage["cache_creation"]["ephemeral_1h_input_tokens"]
    return (usage["input_tokens"] * FRESH + usage["cache_read_input_tokens"] * READ + write_1h * WRITE_1H + usage["output_tokens"] * OUT +
            (usage["cache_creation_input_tokens"] - write_1h) * WRITE)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_every_class_of_tokens_is_counted_and_paid(gateway, vendor, stream):
    cached = [{"type": "text", "text": "the tide comes in " * 200, "cache_control": {"type": "ephemeral", "ttl": "1h"}},
              {"type": "text", "text": "and goes out " * 60, "cache_control": {"type": "ephemeral"}}]
    client = gateway.anthropic(gateway.key())
    said = []
    for _ in range(2):      # written, then read
        if stream:
            with client.messages.stream(**ASK, **THINK, system=cached) as it:
                said.append(it.get_final_message().usage.to_dict())
        else:
            said.append(client.messages.create(**ASK, **THINK, system=cached).usage.to_dict())
    first, second = said
    assert first["cache_creation"]["ephemeral_1h_input_tokens"] > 512 and first["cache_creation"]["ephemeral_5m_input_tokens"] > 100
    assert second["cache_read_input_tokens"] == first["cache_creation_input_tokens"] and first["output_tokens_details"]["thinking_tokens"] == 12
    for row, usage in zip(rows(gateway, 2), said, strict=True):
        assert {name: row[name] for name in says(usage)} == says(usage)
        assert abs(row["cost"] - price(usage)) < 1 and row["operation"] == "messages" and row["end_reason"] == "complete"
    [total] = gateway.usage(requests=2)
    both = [says(u) for u in said]
    for name in ("prompt_tokens", "cached_tokens", "completion_tokens"):
        assert total[name] == sum(row[name] for row in both), name
    assert total["prompt_tokens"] == vendor.issued["prompt_tokens"] and total["completion_tokens"] == vendor.issued["completion_tokens"]


@pytest.mark.parametrize("fault", [{"kind": "truncate"}, {"kind": "error_event"}], ids=["truncate", "error event"])
def test_a_stream_that_breaks_off_is_charged_for_its_part(gateway, vendor, fault):
    vendor.fail(**fault, after_events=10, times=1)
    answer = gateway.client(gateway.key()).post("/messages", json={**ASK, "stream": True})
    assert answer.text.count("event: error") == 1 and "message_stop" not in answer.text
    [row] = rows(gateway, 1)
    assert (row["end_reason"], row["usage_source"], row["prompt_tokens"]) == ("upstream_error", "estimated", vendor.issued["prompt_tokens"])
    assert 1 < row["completion_tokens"] < 20, "more than message_start's early count, less than the whole"
    assert abs(row["cost"] - row["prompt_tokens"] * FRESH - row["completion_tokens"] * OUT) < 1


def test_a_client_that_leaves_pays_for_what_was_made(gateway, vendor):
    vendor.behave(hold=True)
    try:
        with gateway.client(gateway.key()).stream("POST", "/messages", json={**ASK, "stream": True}) as answer:
            said = ""
            for piece in answer.iter_text():
                said += piece
                if "text_delta" in said:
                    break
        wait_until(lambda: vendor.last.gone_at, 10, "the vendor being left")
    finally:
        vendor.release()
    [row] = rows(gateway, 1)
    assert (row["end_reason"], row["usage_source"], row["prompt_tokens"]) == ("client_closed", "estimated", vendor.issued["prompt_tokens"])
    assert row["completion_tokens"] >= 1 and row["cost"] > 0


def test_what_was_refused_costs_nothing(gateway, vendor):
    client = gateway.client(gateway.key())
    vendor.fail("status", status=529, times=1)
    assert client.post("/messages", json=ASK).status_code == 529
    vendor.fail("error_event", after_events=0, times=1)
    refused = client.post("/messages", json={**ASK, "stream": True})
    assert (refused.status_code, refused.json()["error"]["type"]) == (503, "overloaded_error"), "nothing had been sent, so it has a status"
    for row in rows(gateway, 2):
        assert (row["prompt_tokens"], row["completion_tokens"], row["cost"]) == (0, 0, None), row


def test_a_picture_is_no_text(gateway, vendor):
    """A megabyte of base64 would be reserved as hundreds of thousands of tokens, and no limit would let it in."""
    gateway.admin.patch("routes/claude", {"plugins": {"token-ratelimit": {"limit_by": "consumer", "tokens": 20000, "window": "1h"}}})
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo" * 100000}}
    key = gateway.key()
    answer = gateway.client(key).post("/messages", json={**ASK, "messages": [{"role": "user", "content": [picture]}]})
    assert answer.status_code == 200, answer.text[:300]
    [row] = rows(gateway, 1)
    assert row["prompt_tokens"] == answer.json()["usage"]["input_tokens"] > 1000


def test_the_providers_page_speaks_the_dialect(gateway, vendor):
    said = gateway.admin.post("providers/claude/test", {"model": "claude-opus-5"}, expect=200).json()
    assert said["ok"] and said["status"] == 200 and vendor.last.path == "/v1/messages" and vendor.last.json["max_tokens"] == 1
    said = gateway.admin.post("providers/claude/test", {"model": "claude-none"}, expect=200).json()
    assert not said["ok"] and (said["status"], said["detail"]) == (404, "model: claude-none")
    listed = [model["id"] for model in gateway.admin.get("providers/claude/models").json()["items"]]
    assert sorted(listed) == ["claude-haiku-4-5", "claude-opus-5", "claude-sonnet-5"]
    gateway.admin.patch("providers/claude", {"api_keys": [{"name": "main", "value": "sk-ant-wrong-0123456789"}]})
    gateway.wait_served()
    said = gateway.admin.post("providers/claude/test", {"model": "claude-opus-5"}, expect=200).json()
    assert not said["ok"] and (said["status"], said["detail"]) == (401, "invalid x-api-key")
