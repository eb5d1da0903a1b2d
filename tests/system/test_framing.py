"""
Framing of requests: what is ambiguous is refused, with one answer and a closed connection, and the upstream hears nothing.
Threats T01, T03, T04, T05, T10, T11 of docs/security.md.
"""
import json
import re
import socket
import time

import pytest

from harness.rawhttp import Talk, exchange
from harness.waiting import Stopwatch, wait_until
from harness.worker import Upstream, Worker, answer_plainly, config, request

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
GOOD = request(BODY)
LENGTH = b"content-length: %d\r\n" % len(BODY)
SMUGGLED = request(path="/v1/embeddings", body=b'{"model":"m","input":"smuggled"}')


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """One worker with small limits for the whole table; each row asserts that its upstream heard nothing new."""
    upstream = Upstream(answer_plainly)
    limits = {"max_header_bytes": 8192, "max_headers": 40, "max_request_line_bytes": 2048, "max_body_bytes": 65536,
              "header_timeout": "2s", "body_timeout": "2s", "keepalive_idle": "2s"}
    worker = Worker(tmp_path_factory.mktemp("framing"), config(upstream, data_plane=limits))
    worker.upstream = upstream
    yield worker
    worker.idle()
    worker.stop()
    upstream.close()


def put(line, at=b"host: gw\r\n"):
    """GOOD with a further line in its head."""
    return GOOD.replace(at, at + line + b"\r\n", 1)


def coding(value, body=b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY), name=b"transfer-encoding: "):
    return GOOD.partition(LENGTH)[0] + name + value + b"\r\n\r\n" + body


def chunks(*pieces):
    return coding(b"chunked", b"".join(pieces))


STATUS_LINE = re.compile(rb"HTTP/1\.1 \d\d\d [A-Z]")
WHOLE = b"%x\r\n%s\r\n" % (len(BODY), BODY)

# Each row: bytes of one request that must be refused. A good request follows on the same connection and must not be served.
REFUSED = {
    # two ways to say how long it is (T01)
    "CL.TE": put(b"transfer-encoding: chunked"), "TE.CL": coding(b"chunked\r\ncontent-length: 5"),
    "TE.TE": coding(b"chunked\r\ntransfer-encoding: identity"), "TE twice": coding(b"chunked\r\ntransfer-encoding: chunked"),
    "CL twice the same": put(LENGTH.strip()), "CL twice different": put(b"content-length: 3"),
    "CL list": GOOD.replace(LENGTH, b"content-length: %d, %d\r\n" % (len(BODY), len(BODY))),
    "CL plus": GOOD.replace(b"length: ", b"length: +"), "CL minus": GOOD.replace(b"length: ", b"length: -"),
    "CL hex": GOOD.replace(b"length: ", b"length: 0x"), "CL empty": GOOD.replace(LENGTH, b"content-length:\r\n"),
    "CL words": GOOD.replace(LENGTH, b"content-length: 5 5\r\n"), "CL 2^64-1": GOOD.replace(LENGTH, b"content-length: 18446744073709551615\r\n"),
    "CL 2^64+n": GOOD.replace(LENGTH, b"content-length: %d\r\n" % (2 ** 64 + len(BODY))), "CL 1e3": GOOD.replace(LENGTH, b"content-length: 1e3\r\n"),
    "CL comma": GOOD.replace(LENGTH, b"content-length: %d,\r\n" % len(BODY)), "CL quoted": GOOD.replace(LENGTH, b'content-length: "%d"\r\n' % len(BODY)),
    "CL underscore": GOOD.replace(LENGTH, b"content-length: 1_0\r\n"), "CL arabic digits": GOOD.replace(LENGTH, "content-length: ٦\r\n".encode()),
    # codings other than one final chunked
    "TE gzip, chunked": coding(b"gzip, chunked"), "TE chunked, gzip": coding(b"chunked, gzip"), "TE identity": coding(b"identity"),
    "TE chunked, chunked": coding(b"chunked, chunked"), "TE ,chunked": coding(b",chunked"), "TE chunked,": coding(b"chunked,"),
    "TE empty": coding(b""), "TE xchunked": coding(b"xchunked"), "TE chunkedx": coding(b"chunkedx"), "TE quoted": coding(b'"chunked"'),
    "TE with a parameter": coding(b"chunked;q=1"), "TE vertical tab": coding(b"\x0bchunked"), "TE NEL": coding(b"\x85chunked"),
    "TE blank before colon": coding(b"chunked", name=b"transfer-encoding : "), "TE folded": coding(b"\r\n chunked"),
    "TE in 1.0": coding(b"chunked").replace(b"HTTP/1.1", b"HTTP/1.0", 1),
    # chunks
    "chunk size 0x": chunks(b"0x" + WHOLE), "chunk size minus": chunks(b"-" + WHOLE), "chunk size plus": chunks(b"+" + WHOLE),
    "chunk size blank": chunks(b" " + WHOLE), "chunk size none": chunks(b"\r\n"), "chunk size words": chunks(b"zz\r\n"),
    "chunk size 17 digits": chunks(b"0" * 17 + b"\r\n\r\n"), "chunk size 16 F": chunks(b"f" * 16 + b"\r\n"),
    "chunk LF": chunks(WHOLE.replace(b"\r\n", b"\n", 1)), "chunk CR": chunks(WHOLE.replace(b"\r\n", b"\r", 1)),
    "chunk without its CRLF": chunks(WHOLE[:-2] + b"0\r\n\r\n"), "chunk ends in XX": chunks(WHOLE[:-2] + b"XX0\r\n\r\n"),
    "chunk ends in CR X": chunks(WHOLE[:-2] + b"\rX0\r\n\r\n"), "chunk blank behind its size": chunks(WHOLE.replace(b"\r\n", b" \r\n", 1)),
    "chunk extension NUL": chunks(WHOLE.replace(b"\r\n", b";a=\0\r\n", 1)), "chunk extension CR": chunks(WHOLE.replace(b"\r\n", b";a=\rb\r\n", 1)),
    "chunk extension of 1 MiB": chunks(WHOLE.replace(b"\r\n", b";" + b"e" * (1 << 20) + b"\r\n", 1)),
    "chunk extensions of 20 KiB": chunks(*[b"1;" + b"e" * 200 + b"\r\nx\r\n"] * 100),
    "trailer LF": chunks(WHOLE, b"0\r\na: b\n\r\n"), "trailer folded": chunks(WHOLE, b"0\r\na: b\r\n c\r\n\r\n"),
    "trailer of 9 KiB": chunks(WHOLE, b"0\r\na: " + b"t" * 9000 + b"\r\n\r\n"), "trailer NUL": chunks(WHOLE, b"0\r\na: \0\r\n\r\n"),
    # lines
    "bare LF": GOOD.replace(b"host: gw\r\n", b"host: gw\nx: y\r\n"), "bare LF everywhere": GOOD.replace(b"\r\n", b"\n"),
    "bare CR": GOOD.replace(b"host: gw\r\n", b"host: gw\r\nx: a\rb\r\n"), "CR hides a coding": put(b"x:\rtransfer-encoding: chunked"),
    "CR LF CR X": GOOD.replace(b"\r\n\r\n", b"\r\n\rX", 1), "request line CR": GOOD.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\rx\r\n", 1),
    "request line LF": GOOD.replace(b" HTTP/1.1\r\n", b" HTTP/1.1\n", 1),
    "folded": put(b"x: a\r\n b"), "folded with a tab": put(b"x: a\r\n\tb"), "first line folded": GOOD.replace(b"\r\nhost", b"\r\n host", 1),
    "blank before colon": put(b"x : a"), "tab before colon": put(b"x\t: a"), "Host and a blank": GOOD.replace(b"host:", b"host :"),
    "empty name": put(b": a"), "blank name": put(b" : a"), "no colon": put(b"nonsense"), "name with a blank": put(b"a b: c"),
    "name with NUL": put(b"a\0b: c"), "name with UTF-8": put("é: c".encode()), "name with (": put(b"a(b: c"), "name with @": put(b"a@b: c"),
    "value with NUL": put(b"x: a\0b"), "value with ESC": put(b"x: \x1b[2J"), "value with DEL": put(b"x: \x7f"),
    "three blank lines": b"\r\n\r\n\r\n" + GOOD, "bare LF first": b"\n\n\n" + GOOD, "a megabyte of blank lines": b"\r\n" * (1 << 19),
    "blank first": b" " + GOOD, "NUL first": b"\0" + GOOD,
    # one Host, one version, one request line
    "no Host": GOOD.replace(b"host: gw\r\n", b""), "two Hosts": put(b"host: gw"), "two Hosts, one odd": put(b"HOST: other"),
    "Host with a path": GOOD.replace(b"host: gw", b"host: gw/x"), "Host with userinfo": GOOD.replace(b"host: gw", b"host: a@gw"),
    "Host with a blank": GOOD.replace(b"host: gw", b"host: gw x"), "Host list": GOOD.replace(b"host: gw", b"host: gw, other"),
    "Host empty": GOOD.replace(b"host: gw", b"host:"), "Host port": GOOD.replace(b"host: gw", b"host: gw:http"),
    "version 0.9": GOOD.replace(b" HTTP/1.1", b"", 1), "version 1.2": GOOD.replace(b"HTTP/1.1", b"HTTP/1.2", 1),
    "version 2.0": GOOD.replace(b"HTTP/1.1", b"HTTP/2.0", 1), "version 1.1.1": GOOD.replace(b"HTTP/1.1", b"HTTP/1.1.1", 1),
    "version 01.1": GOOD.replace(b"HTTP/1.1", b"HTTP/01.1", 1), "version http": GOOD.replace(b"HTTP/1.1", b"http/1.1", 1),
    "version ICE": GOOD.replace(b"POST", b"SOURCE").replace(b"HTTP/1.1", b"ICE/1.0", 1), "version RTSP": GOOD.replace(b"HTTP/1.1", b"RTSP/1.0", 1),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
    "two blanks in the line": GOOD.replace(b"POST ", b"POST  ", 1), "blank before the version": GOOD.replace(b" HTTP", b"  HTTP", 1),
    "blank behind the version": GOOD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1 \r\n", 1), "tab in the line": GOOD.replace(b"POST ", b"POST\t", 1),
    "target with UTF-8": GOOD.replace(b"/v1/", "/v1/é".encode(), 1), "target with a blank": GOOD.replace(b"/v1/", b"/v1 /", 1),
    "target with NUL": GOOD.replace(b"/v1/", b"/v1/\0", 1), "target %00": GOOD.replace(b"/v1/", b"/v1/%00", 1),
    "target ..": GOOD.replace(b"/v1/", b"/v1/../v1/", 1), "target //": GOOD.replace(b"/v1/", b"//v1/", 1),
    "target %2f": GOOD.replace(b"/v1/chat/", b"/v1%2fchat/", 1), "target %2e": GOOD.replace(b"/v1/", b"/v1/%2e%2e/v1/", 1),
    "target with a fragment": GOOD.replace(b" HTTP/1.1", b"#x HTTP/1.1", 1), "target without /": GOOD.replace(b" /v1", b" v1", 1),
    "target of another host": GOOD.replace(b" /v1", b" http://other/v1", 1),
    "CONNECT": GOOD.replace(b"POST /v1/chat/completions", b"CONNECT gw:443", 1), "lower case method": GOOD.replace(b"POST", b"post", 1),
    # sizes (T03)
    "header block": put(b"x: " + b"y" * 9000), "one endless line": GOOD[:40] + b"y" * 200000, "fields": put(b"\r\n".join(b"x%d: y" % i for i in range(60))),
    "request line": GOOD.replace(b"/v1/", b"/v1/" + b"x" * 3000, 1), "body": request(b"x" * 65537), "body in chunks": chunks(b"20000\r\n" + b"x" * 0x20000),
    # what cannot be waited for
    "unknown expectation": put(b"expect: 200-maybe"),
}


@pytest.mark.parametrize("name", list(REFUSED))
def test_framing_that_is_ambiguous_reaches_nobody(stand, name):
    """T01 T03 T05 T11."""
    before, began = len(stand.upstream.requests), time.monotonic()
    try:
        answer = exchange(stand.port, REFUSED[name] + SMUGGLED)
    except (BrokenPipeError, ConnectionResetError):   # it was answered and closed before all of it was sent
        answer = b""
    assert time.monotonic() - began < 20
    # A reset may overtake the answer when more is sent than is ever read; whatever arrived is one refusal.
    assert answer or len(REFUSED[name]) > 100_000
    if answer:
        assert answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 ")), answer[:200]
        assert len(STATUS_LINE.findall(answer)) == 1 and b"\r\nconnection: close\r\n" in answer, answer[:400]
        head, _, body = answer.partition(b"\r\n\r\n")
        assert json.loads(body)["error"]["message"]
    assert len(stand.upstream.requests) == before, "the upstream hears nothing"
    stand.idle()


def test_framing_table_spoils_a_good_request(stand):
    """Guards the table: what it spoils is otherwise served, and so are the forms next to it that are allowed."""
    allowed = (GOOD, coding(b"chunked"), coding(b"CHUNKED"), chunks(WHOLE.replace(b"\r\n", b";a=b;c\r\n", 1), b"0\r\nx: y\r\n\r\n"),
               b"\r\n\r\n" + GOOD, put(b"x:"), put(b"x:\ta\t"), put("x: é".encode()), GOOD.replace(b"host: gw", b"HoSt:gw:8080"),
               GOOD.replace(b"host: gw", b"host: [::1]:80"), GOOD.replace(b" /v1", b" http://gw/v1", 1), put(b"expect: 100-continue"))
    for data in allowed:
        talk = Talk(stand.port).send(data)
        status = talk.answer()[0]
        if status == 100:
            status = talk.answer()[0]
        assert status == 200, data[:300]
        assert talk.send(GOOD).answer()[0] == 200, "and the connection lives"
        talk.close()


def test_framing_of_each_slicing_is_the_same(stand):
    """One verdict whatever the TCP segments: cut in two at every offset of the head, and byte by byte."""
    head = GOOD.partition(b"\r\n\r\n")[0]
    talk = Talk(stand.port)
    for cut in range(1, len(head) + 4):
        assert talk.segments(GOOD, [cut]).answer()[0] == 200
    bad = REFUSED["CR hides a coding"]
    for cut in range(1, 100, 7):
        assert Talk(stand.port).segments(bad, [cut]).answer()[0] == 400
    assert Talk(stand.port).segments(GOOD, size=1).answer()[0] == 200
    talk.close()


def test_framing_of_twenty_thousand_tiny_chunks(stand):
    """T05: slow to read, cheap to take."""
    text = b'{"model":"m","messages":[],"x":"' + b"y" * 20000 + b'"}'
    body = b"".join(b"1\r\n%c\r\n" % c for c in text) + b"0\r\n\r\n"
    assert Talk(stand.port, 10).send(coding(b"chunked", body)).answer()[0] == 200
    assert stand.upstream.requests[-1][1] == text.replace(b'"model":"m"', b'"model":"up"')


def test_framing_upstream_is_always_a_length(stand):
    for data in (GOOD, coding(b"chunked")):
        assert Talk(stand.port).send(data).answer()[0] == 200
        head, body = stand.upstream.requests[-1]
        assert b"content-length: %d\r\n" % len(body) in head + b"\r\n" and b"transfer-encoding" not in head.lower()


def test_framing_limits_hold_to_the_byte(stand):
    """Limit, and limit + 1, with a length and in chunks."""
    def body(n):
        return b'{"model":"m","messages":[],"x":"%s"}' % (b"y" * (n - 34))
    assert len(body(65536)) == 65536
    for n, expected in ((65535, 200), (65536, 200), (65537, 413)):
        assert Talk(stand.port).send(request(body(n))).answer()[0] == expected
        whole = b"%x\r\n%s\r\n0\r\n\r\n" % (n, body(n))
        assert Talk(stand.port).send(coding(b"chunked", whole)).answer()[0] == expected
    announced = GOOD.replace(LENGTH, b"content-length: 65537\r\n").partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    assert Talk(stand.port).send(announced).answer()[0] == 413, "refused by its length, before a byte of the body"
    for n, expected in ((40 - 4, 200), (41 - 4, 431)):
        assert Talk(stand.port).send(put(b"\r\n".join(b"x%d: y" % i for i in range(n)))).answer()[0] == expected


def test_framing_timers_end_slow_clients(stand):
    """T04: a byte every 200 ms does not keep a head or a body open; many such clients do not slow a good one."""
    head, _, body = GOOD.partition(b"\r\n\r\n")
    slow = [Talk(stand.port, 10).send(head[:20]) for _ in range(150)]
    slow += [Talk(stand.port, 10).send(head + b"\r\n\r\n" + body[:4]) for _ in range(150)]
    watch = Stopwatch()
    assert Talk(stand.port).send(GOOD).answer()[0] == 200 and watch.seconds() < 5
    dripping = slow[0]
    try:
        for i in range(20, 60):
            dripping.send(head[i:i + 1])
            time.sleep(0.2)
            if watch.seconds() > 6:
                break
    except OSError:
        pass
    assert watch.seconds() < 6, "the limit of the head is total, not a pause"
    for talk in slow[1:]:
        assert talk.answer()[0] == 408 and talk.closed()
    for talk in slow:
        talk.close()
    wait_until(lambda: stand.metric("tidegate_client_connections") <= 1, 20, "the slow clients being gone")


def test_framing_survives_noise(stand):
    """Random and mutated bytes: an answer or a close, never a crash, and a good request right after."""
    import random
    rng, before = random.Random(7), len(stand.upstream.requests)
    for i in range(600):
        if i % 2:
            data = rng.randbytes(rng.randrange(1, 300))
        else:
            data = bytearray(GOOD)
            for _ in range(rng.randrange(1, 6)):
                data[rng.randrange(len(data) - len(BODY))] = rng.randrange(256)
        with socket.create_connection(("127.0.0.1", stand.port), timeout=5) as raw:
            raw.sendall(bytes(data))
    wait_until(lambda: stand.metric("tidegate_requests_in_flight") == 0, 10, "nothing in flight")
    assert Talk(stand.port).send(GOOD).answer()[0] == 200
    for head, body in stand.upstream.requests[before:]:
        assert json.loads(body)["model"] == "up", "what a mutation left intact is served as it is"


def test_headers_that_carry_control_bytes_never_go_up(stand):
    """T10: every byte in a value: refused, or it arrives as the field-value grammar allows."""
    for byte in range(256):
        data = put(b"openai-organization: a%cb" % byte)
        before = len(stand.upstream.requests)
        talk = Talk(stand.port).send(data)
        status = talk.answer()[0]
        legal = byte == 9 or (byte >= 32 and byte != 127)
        assert status == (200 if legal else 400), byte
        for head, _ in stand.upstream.requests[before:]:
            assert all(c in (9, 10, 13) or (c >= 32 and c != 127) for c in head)
        talk.close()
