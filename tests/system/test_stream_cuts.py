"""
Answers cut anywhere. Recorded streams of five vendors in segments of every kind give the client the same bytes and the ledger the vendor's
totals (the unit test of llm/tap goes through every position; here a sample goes through a real worker). Answers that end at any byte,
by FIN or by reset, never look whole. Behaviour rules 6, 7, 9; fault rows F01, F02, F17.
"""
import json
import re
import threading
from pathlib import Path

import pytest

from harness.worker import Upstream, Worker, chunk, completion, config, request

STREAMS = Path(__file__).resolve().parents[1] / "fixtures/streams"
# The vendor's own totals, which stand in the recordings: prompt, cached, cache_write, completion, reasoning.
VENDORS = {"openai": ("openai", (16, 4, 0, 300, 0)), "deepseek": ("deepseek", (18, 0, 0, 345, 315)), "dashscope": ("qwen", (24, 0, 0, 1355, 1084)),
           "vllm": ("vllm", (9, 0, 0, 5, 0)), "anthropic": ("anthropic", (5140, 2048, 3068, 198, 62))}
CLASSES = ("prompt", "cached", "cache_write", "completion", "reasoning")
PATHS = {"anthropic": "/v1/messages"}


def tokens(worker):
    found = dict.fromkeys(CLASSES, 0)
    for line in worker.admin("/metrics").split("\n"):
        if line.startswith("tidegate_tokens_total{"):
            found[re.search(r'class="(\w+)"', line).group(1)] = float(line.rpartition(" ")[2])
    return tuple(found[name] for name in CLASSES)


def stream_of(vendor):
    body = (STREAMS / (vendor + ".sse")).read_bytes()
    return b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)


@pytest.mark.parametrize("vendor", list(VENDORS))
def test_a_recorded_stream_in_any_segments(tmp_path, vendor):
    kind, totals = VENDORS[vendor]
    data, expected = stream_of(vendor), (STREAMS / (vendor + ".client.sse")).read_bytes()
    ways = [{"cuts": [at]} for at in range(1, len(data), 13)] + [{"size": n} for n in (1, 2, 3, 7, 64)] + [{}]
    plays = iter(ways)

    def script(wire):
        while True:
            wire.request()
            how = next(plays)
            wire.segments(data, pause=0.0005 if "cuts" in how else 0, **how)
    upstream = Upstream(script)
    worker = Worker(tmp_path, config(upstream, provider={"type": kind}))
    talk = worker.talk(60)
    for way in ways:
        head, body, ended = talk.send(request(stream=True, path=PATHS.get(vendor, "/v1/chat/completions"))).stream()
        assert b" 200 " in head and ended and body == expected, way
    worker.idle()
    assert worker.ended("complete") == len(ways)
    assert tokens(worker) == tuple(len(ways) * n for n in totals), "the vendor's own totals, for each of them"
    assert worker.metric("tidegate_usage_estimated_total") == 0
    worker.stop()
    upstream.close()


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
DOCUMENT = json.dumps(completion("tide and time")).encode()
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(DOCUMENT), DOCUMENT)
CHAT = [b"data: %s\n\n" % json.dumps(e).encode() for e in (chunk("tide "), chunk("and time"), chunk(None, "stop"))] + [b"data: [DONE]\n\n"]
MESSAGES = [b"event: %s\ndata: %s\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in (
    {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "tide"}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}}, {"type": "message_stop"})]


def chunked(events):
    return STREAM_HEAD + b"".join(b"%x\r\n%s\r\n" % (len(e), e) for e in events) + b"0\r\n\r\n"


# Which provider, where, the events, what ends them, how an error in their midst begins, and from which byte on the last word has been said.
WAYS = {"chat": ("openai", "/v1/chat/completions", CHAT, b"[DONE]", b'data: {"error":', chunked(CHAT).index(b"[DONE]") + len(b"[DONE]")),
        "messages": ("anthropic", PATHS["anthropic"], MESSAGES, b"message_stop", b'event: error\ndata: {"type":"error",',
                     chunked(MESSAGES).rindex(b"}\n\n") + 1)}


def each_byte(tmp_path, data, how, kind="openai", **asked):
    """(k, head, body, ended) of an answer that ends behind its k-th byte, for every k; each must have its row."""
    at, lock = iter(range(0, 10000)), threading.Lock()

    def script(wire):
        wire.request()
        with lock:
            k = next(at)
        wire.send(data[:k])
        if how == "reset":
            wire.reset()
    upstream = Upstream(script)
    # One target, no second attempt: what the client sees is what became of these bytes.
    worker = Worker(tmp_path, config(upstream, provider={"type": kind}))
    for k in range(len(data) + 1):
        talk = worker.talk(20)
        yield (k, *talk.send(request(**asked)).stream())
        talk.close()
    worker.idle()
    total = sum(float(line.rpartition(" ")[2]) for line in worker.admin("/metrics").split("\n") if line.startswith("tidegate_requests_total{"))
    assert total == len(data) + 1, "one row each"
    worker.stop()
    upstream.close()


@pytest.mark.parametrize("how", ["fin", "reset"])
def test_a_document_that_ends_at_any_byte(tmp_path, how):
    for k, head, body, ended in each_byte(tmp_path, PLAIN, how):
        status = int(head.split()[1])
        if k == len(PLAIN):
            assert status == 200 and ended
        elif k < PLAIN.index(b"\r\n\r\n") + 4:
            assert status == 502 and json.loads(body)["error"]["message"], k
        else:
            assert status == 502 or (status == 200 and not ended and DOCUMENT.startswith(body) and body != DOCUMENT), k


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("way", list(WAYS))
def test_a_stream_that_ends_at_any_byte(tmp_path, way, how):
    kind, path, events, end, error, said = WAYS[way]
    data = chunked(events)
    for k, head, body, ended in each_byte(tmp_path, data, how, kind, stream=True, path=path):
        status = int(head.split()[1])
        if k == len(data):
            assert status == 200 and ended and body == b"".join(events)
        elif k < len(STREAM_HEAD):
            assert status == 502 and json.loads(body)["error"]["message"], k
        else:
            whole = end in body
            assert whole == (b"error" not in body), (k, body[-400:])
            assert whole or status == 502 or body.count(error) == 1, k
            assert not whole or (k >= said and body.count(b"data: ") == len(events)), "nobody invents an end"
            assert ended, "an event stream ends in order, with an error or without"
