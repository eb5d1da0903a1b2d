"""
Answers cut anywhere. Recorded streams of four vendors in segments of every kind give the client the same bytes and the ledger the vendor's
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
# The vendor's own totals, which stand in the recordings: prompt, cached, completion, reasoning.
VENDORS = {"openai": ("openai", (16, 4, 300, 0)), "deepseek": ("deepseek", (18, 0, 345, 315)), "dashscope": ("qwen", (24, 0, 1355, 1084)),
           "vllm": ("vllm", (9, 0, 5, 0))}
CLASSES = ("prompt", "cached", "completion", "reasoning")


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
        head, body, ended = talk.send(request(stream=True)).stream()
        assert b" 200 " in head and ended and body == expected, way
    worker.idle()
    assert worker.ended("complete") == len(ways)
    assert tokens(worker) == tuple(len(ways) * n for n in totals), "the vendor's own totals, for each of them"
    assert worker.metric("tidegate_usage_estimated_total") == 0
    worker.stop()
    upstream.close()


DOCUMENT = json.dumps(completion("tide and time")).encode()
PLAIN = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(DOCUMENT), DOCUMENT)
EVENTS = [b"data: %s\n\n" % json.dumps(e).encode() for e in (chunk("tide "), chunk("and time"), chunk(None, "stop"))] + [b"data: [DONE]\n\n"]
STREAMED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n" + \
    b"".join(b"%x\r\n%s\r\n" % (len(e), e) for e in EVENTS) + b"0\r\n\r\n"
SAID = STREAMED.index(b"[DONE]") + len(b"[DONE]")      # from here on the last word has been said


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_an_answer_that_ends_at_any_byte(tmp_path, stream, how):
    data, at = STREAMED if stream else PLAIN, iter(range(0, 10000))
    lock = threading.Lock()

    def script(wire):
        wire.request()
        with lock:
            k = next(at)
        wire.send(data[:k])
        if how == "reset":
            wire.reset()
    upstream = Upstream(script)
    # One target, no second attempt: what the client sees is what became of these bytes.
    worker = Worker(tmp_path, config(upstream))
    for k in range(len(data) + 1):
        talk = worker.talk(20)
        head, body, ended = talk.send(request(**({"stream": True} if stream else {}))).stream()
        status = int(head.split()[1])
        if k == len(data):
            assert status == 200 and ended
        elif k < data.index(b"\r\n\r\n") + 4:
            assert status == 502 and json.loads(body)["error"]["message"], k
        elif not stream:
            assert status == 502 or (status == 200 and not ended and DOCUMENT.startswith(body) and body != DOCUMENT), k
        else:
            whole = b"[DONE]" in body
            assert whole == (b"error" not in body), k
            assert not whole or (k >= SAID and body.count(b"data: ") == len(EVENTS)), "nobody invents an end"
            assert ended, "an event stream ends in order, with an error or without"
        talk.close()
    worker.idle()
    total = sum(float(line.rpartition(" ")[2]) for line in worker.admin("/metrics").split("\n") if line.startswith("tidegate_requests_total{"))
    assert total == len(data) + 1, "one row each"
    worker.stop()
    upstream.close()
