"""Providers that compress although they were asked for identity: the client gets plain bytes, the ledger its tokens."""
import gzip
import json
import random
import zlib

import pytest

from harness.daemon import MEMORY_IS_MEASURED
from harness.waiting import wait_until
from harness.worker import answer_plainly, chunk, completion, read_chunked, request

FALLBACK = {"fallback": {"enabled": True, "targets": [{"provider": "p1", "model": "up"}]}}


def bare_deflate(data):
    z = zlib.compressobj(9, zlib.DEFLATED, -15)
    return z.compress(data) + z.flush()


CODINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "deflate, bare": bare_deflate}


def answers(coding, data, kind="application/json", status=200):
    """The same compressed document to every request, with a length, in two segments."""
    def script(wire):
        while True:
            head, _ = wire.request()
            assert b"accept-encoding: identity" in head.lower()
            wire.send(b"HTTP/1.1 %d X\r\ncontent-type: %s\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n"
                      % (status, kind.encode(), coding.split(",")[0].encode(), len(data)) + data[:9])
            wire.send(data[9:])
    return script


@pytest.mark.parametrize("coding", CODINGS)
def test_a_document_arrives_plain(rig, coding):
    plain = json.dumps(completion("hello " * 200)).encode()
    worker, _ = rig(answers(coding, CODINGS[coding](plain)))
    for _ in range(2):  # the connection is of use afterwards
        number, headers, body = worker.talk().send(request()).answer()
        assert number == 200 and body == plain and "content-encoding" not in headers
        assert headers.get("content-length") in (None, str(len(plain)))
    assert worker.metric("tidegate_tokens_total") >= 2 * 10


def test_a_stream_is_decoded_event_by_event(rig):
    """The compressor is flushed after each event: each must arrive before the next is sent."""
    def script(wire):
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
        z = zlib.compressobj(6, zlib.DEFLATED, 31)

        def put(text, mode=zlib.Z_SYNC_FLUSH):
            data = z.compress(text) + z.flush(mode)
            wire.send(b"%x\r\n%s\r\n" % (len(data), data))
        for word in ("one", "two"):
            put(b"data: " + json.dumps(chunk(word)).encode() + b"\n\n")
            assert step.acquire(timeout=10), "the event did not pass"
        put(b"data: " + json.dumps(chunk(None, "stop")).encode() + b"\n\ndata: [DONE]\n\n", zlib.Z_FINISH)
        wire.last_chunk()
    import threading
    step = threading.Semaphore(0)
    worker, _ = rig(script)
    talk = worker.talk().send(request(stream=True))
    for word in (b"one", b"two"):
        while word not in talk.rest:
            talk._fill()
        step.release()
    head, _, talk.rest = talk.rest.partition(b"\r\n\r\n")
    assert b"content-encoding" not in head.lower()
    body, ended = read_chunked(talk)
    assert ended and body.count(b"data: ") == 4 and body.endswith(b"data: [DONE]\n\n")


def test_nothing_follows_the_last_word_of_a_broken_stream(rig):
    """An event that is too large, to a client that still has megabytes to read: one error event, one end, and silence."""
    def script(wire):
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n")
        z = zlib.compressobj(1, zlib.DEFLATED, 31)
        filler = random.Random(1)
        text = lambda: "%032x" % filler.getrandbits(128) + "x" * 1000
        event = lambda: b"data: " + json.dumps(chunk(text())).encode() + b"\n\n"
        for data in [event() for _ in range(12 << 10)] + [b"data: "] + [text().encode() for _ in range(70 << 10)]:
            data = z.compress(data)
            if data:
                wire.send(b"%x\r\n%s\r\n" % (len(data), data))
    worker, upstream = rig(script, data_plane={"stream_buffer_bytes": 16 << 20})
    talk = worker.talk(30).send(request(stream=True))
    wait_until(lambda: worker.metric("tidegate_upstream_attempts_total") == 1, 30, "the end of the attempt")
    while b"\r\n\r\n" not in talk.rest:
        talk._fill()
    talk.rest = talk.rest.partition(b"\r\n\r\n")[2]
    body, ended = read_chunked(talk)
    assert ended and body.count(b'"error"') == 1 and not talk.rest
    assert worker.talk().send(request(key="none")).answer()[0] == 401
    worker.idle()
    assert worker.ended("upstream_error") == 1 and worker.metric("tidegate_upstream_attempts_total") == 1


def test_an_error_is_read_through_its_compression(rig):
    data = gzip.compress(json.dumps({"error": {"message": "no such thing", "type": "x", "code": None}}).encode())
    worker, _ = rig(answers("gzip", data, status=400))
    number, _, body = worker.talk().send(request()).answer()
    assert number == 400 and json.loads(body)["error"]["message"] == "no such thing"


BROKEN = {
    "garbage": ("gzip", b"{\"id\": \"this was never compressed\"}"),
    "truncated": ("gzip", gzip.compress(json.dumps(completion()).encode())[:-12]),
    "unknown": ("zstd", b"\x28\xb5\x2f\xfd" + bytes(40)),
    "two at once": ("gzip+br", gzip.compress(b"{}")),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_compression_is_a_failure_like_any_other(rig, fault):
    coding, data = BROKEN[fault]
    worker, first, second = rig(answers(coding, data), answer_plainly, route=FALLBACK)
    number, headers, body = worker.talk().send(request()).answer()
    assert number == 200 and headers["x-tidegate-provider"] == "p1" and json.loads(body)["choices"]


def test_a_bomb_is_defused_T06(rig):
    """200 kB that come to 200 MB: refused, at the cost of little memory."""
    bomb = gzip.compress(bytes(200 << 20), 9)
    assert len(bomb) < 1 << 20
    worker, _ = rig(answers("gzip", bomb), env=MEMORY_IS_MEASURED)
    worker.talk().send(request(key="none")).answer()
    before = worker.rss()
    number, _, body = worker.talk().send(request()).answer()
    assert number == 502 and "compressed beyond all measure" in json.loads(body)["error"]["message"]
    worker.idle()
    assert worker.rss() - before < 16 << 20
    assert worker.ended("upstream_error") == 1
