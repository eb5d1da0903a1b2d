"""
What a provider can do wrong, as scripts: each is played to a worker in tests/system/test_fault_matrix.py, for a plain and for a
streamed request, with and without another target. The table of what must come of it is in fault_table.py, and docs/faults.md is
written from both.

A script plays one connection. Where it waits for content to have reached the client, it asks its upstream, which the test tells.
"""
import datetime
import email.utils
import json

from .worker import chunk, completion

LONG = 30.0                       # seconds a silent script stays; the worker leaves long before


def _asked(wire):
    _, body = wire.request()
    return b'"stream": true' in body or b'"stream":true' in body


def _sse_head(wire, *lines):
    wire.head(200, "content-type: text/event-stream", "transfer-encoding: chunked", *lines)


def _json_head(wire, length):
    wire.head(200, "content-type: application/json", "content-length: %d" % length)


def _begin(wire, *lines):
    """Head and first content, of a document or a stream, as asked; back when the client has it. True: a stream."""
    streams = _asked(wire)
    if streams:
        _sse_head(wire)
        wire.event(chunk("half of "))
    elif lines:
        wire.head(200, "content-type: application/json", *lines)
        wire.send(b'5\r\n{"id"\r\n')
    else:
        data = json.dumps(completion()).encode()
        _json_head(wire, len(data))
        wire.send(data[:40])
    wire.upstream.client_has_content(wire)
    return streams


def status(number, *lines, body=None, kind="application/json"):
    def script(wire):
        while True:
            wire.request()
            text = body if body is not None else json.dumps({"error": {"message": "no %d today" % number, "type": "x", "code": None}})
            wire.head(number, "content-type: " + kind, "content-length: %d" % len(text.encode()), *lines)
            wire.send(text.encode())
    return script


def reset_on_accept(wire):
    wire.reset()


def reset_before_head(wire):
    wire.request()
    wire.reset()


def close_before_head(wire):
    wire.request()


def half_a_head(wire):
    wire.request()
    wire.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    wire.reset()


def reset_after_head(wire):
    if _asked(wire):
        _sse_head(wire)
    else:
        _json_head(wire, 400)
    wire.reset()


def reset_midway(wire):
    _begin(wire)
    wire.reset()


def truncated(wire):
    """FIN in the middle of the body."""
    _begin(wire)


def truncated_politely(wire):
    """The framing ends as it should; the document and the stream inside do not."""
    if _asked(wire):
        _sse_head(wire)
        wire.event(chunk("half of "))
        wire.upstream.client_has_content(wire)
        wire.last_chunk()
    else:
        text = json.dumps(completion()).encode()[:40]
        _json_head(wire, len(text))
        wire.send(text)
    wire.gone(LONG)


def truncated_at_once(wire):
    """The same, and all of it in one segment."""
    if _asked(wire):
        event = b"data: %s\n\n" % json.dumps(chunk("half of ")).encode()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                  b"%x\r\n%s\r\n0\r\n\r\n" % (len(event), event))
    else:
        text = json.dumps(completion()).encode()[:40]
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n" + text)
    wire.gone(LONG)


def silent(wire):
    wire.request()
    wire.gone(LONG)


def stalled_after_head(wire):
    if _asked(wire):
        _sse_head(wire)
    else:
        _json_head(wire, 400)
    wire.gone(LONG)


def stalled_midway(wire):
    _begin(wire)
    wire.gone(LONG)


def error_event_first(wire):
    """200, and the first event is an error."""
    error = {"error": {"message": "engine on fire", "type": "server_error", "code": 500}}
    if _asked(wire):
        _sse_head(wire)
        wire.event(error)
        wire.last_chunk()
    else:
        wire.json(200, error)
    wire.gone(LONG)


def error_event_later(wire):
    error = {"error": {"message": "engine on fire", "type": "server_error", "code": 500}}
    if _asked(wire):
        _sse_head(wire)
        wire.event(chunk("half of "))
        wire.upstream.client_has_content(wire)
        wire.event(error)
        wire.last_chunk()
    else:
        wire.json(200, {**completion(), **error})
    wire.gone(LONG)


def shorter_than_said(wire):
    """Content-Length promises more than comes before the FIN."""
    _asked(wire)
    data = json.dumps(completion()).encode()
    _json_head(wire, len(data) + 100)
    wire.send(data)


def longer_than_said(wire):
    """What follows the announced length is somebody else's answer."""
    _asked(wire)
    data = json.dumps(completion()).encode()
    _json_head(wire, len(data))
    wire.send(data + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nghost")
    wire.gone(LONG)


def framed(*lines, body=b"{}"):
    def script(wire):
        wire.request()
        wire.head(200, *lines)
        wire.send(body)
        wire.gone(LONG)
    return script


def no_content(wire):
    while True:
        wire.request()
        wire.head(204, "content-length: 5")


def garbage(wire):
    wire.request()
    wire.send(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    wire.gone(LONG)


def interim_storm(wire):
    wire.request()
    wire.send(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 1000)
    wire.json()
    wire.gone(LONG)


def header_bomb(wire):
    wire.request()
    try:
        wire.send(b"HTTP/1.1 200 OK\r\n" + b"x-a: " + b"b" * (2 << 20) + b"\r\n\r\n")
    except OSError:
        pass
    wire.gone(LONG)


def bad_chunk(wire):
    """A chunk size that is none, after content."""
    _begin(wire, "transfer-encoding: chunked")
    wire.send(b"zz\r\n")
    wire.gone(LONG)


def garbage_for_gzip(wire):
    _asked(wire)
    wire.head(200, "content-type: application/json", "content-encoding: gzip", "content-length: 8")
    wire.send(b"not gzip")
    wire.gone(LONG)


def http_date(seconds):
    return email.utils.format_datetime(datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds), usegmt=True)


HTML = "<html><body><h1>Bad gateway</h1><script>alert(1)</script></body></html>"
REFUSED, STRANGER, PLAIN = "refused", "stranger", "plain"     # kinds of upstream that no script makes

# name: (what happens, script or kind)
FAULTS = {
    "refused": ("Nobody listens at the address.", REFUSED),
    "tls stranger": ("The certificate is signed by an authority that nobody named.", STRANGER),
    "tls to plain": ("The provider is `https`, the port speaks plain HTTP.", PLAIN),
    "reset on accept": ("The connection is reset as soon as it stands.", reset_on_accept),
    "reset before head": ("The request is read, then the connection is reset.", reset_before_head),
    "closed before head": ("The request is read, then the connection is closed.", close_before_head),
    "half a head": ("Reset in the middle of the answer's head.", half_a_head),
    "garbage": ("The answer is not HTTP.", garbage),
    "reset after head": ("Reset behind the head, before any content.", reset_after_head),
    "reset midway": ("Reset after some content.", reset_midway),
    "truncated": ("Closed after some content; the framing is not complete.", truncated),
    "truncated politely": ("The framing is complete, the document or the stream in it is not.", truncated_politely),
    "truncated at once": ("The same, and everything comes in one segment.", truncated_at_once),
    "silent": ("The request is read and never answered.", silent),
    "stalled after head": ("The head comes, and nothing more.", stalled_after_head),
    "stalled midway": ("Some content comes, and nothing more.", stalled_midway),
    "error in 200, first": ("Status 200, and the first event, or the document, is an error.", error_event_first),
    "error in 200, later": ("Status 200, content, then an error.", error_event_later),
    "429": ("429 without Retry-After.", status(429)),
    "429 seconds": ("429 with `Retry-After: 30`.", status(429, "retry-after: 30")),
    "429 zero": ("429 with `Retry-After: 0`.", status(429, "retry-after: 0")),
    "429 negative": ("429 with `Retry-After: -1`.", status(429, "retry-after: -1")),
    "429 fraction": ("429 with `Retry-After: 1.5`.", status(429, "retry-after: 1.5")),
    "429 huge": ("429 with `Retry-After: 1000000000000`.", status(429, "retry-after: 1000000000000")),
    "429 date": ("429 with Retry-After as a date in 20 s.", lambda wire: status(429, "retry-after: " + http_date(20))(wire)),
    "429 past": ("429 with Retry-After as a date of 1970.", status(429, "retry-after: Thu, 01 Jan 1970 00:00:00 GMT")),
    "429 milliseconds": ("429 with `retry-after-ms: 1500`.", status(429, "retry-after-ms: 1500")),
    "429 words": ("429 with the time in its sentence.", status(429, body='{"error":{"message":"Rate limit reached. Please try again in 12.5s."}}')),
    "429 nonsense": ("429 with `Retry-After: soon`.", status(429, "retry-after: soon")),
    "429 no money": ("429 that means the account is empty.", status(429, body='{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}')),
    "400": ("400: the request is to blame.", status(400)),
    "401": ("401: the key is refused.", status(401)),
    "402": ("402: the account is empty.", status(402)),
    "403": ("403: the key may not do this.", status(403)),
    "404": ("404: no such model there.", status(404)),
    "408": ("408.", status(408)),
    "500": ("500.", status(500)),
    "502 html": ("502 with a page of HTML.", status(502, body=HTML, kind="text/html")),
    "503": ("503 with `Retry-After: 7`.", status(503, "retry-after: 7")),
    "504": ("504.", status(504)),
    "529": ("529: overloaded.", status(529)),
    "200 html": ("200 with a page of HTML.", status(200, body=HTML, kind="text/html")),
    "204": ("204: no content, whatever its length says.", no_content),
    "302": ("A redirect to the metadata service.", status(302, "location: http://169.254.169.254/")),
    "101": ("Switching protocols, which nobody asked for.", lambda wire: (wire.request(), wire.head(101, "upgrade: x"), wire.gone(LONG))),
    "shorter than said": ("Content-Length announces more than comes.", shorter_than_said),
    "longer than said": ("Bytes follow behind the announced length.", longer_than_said),
    "two lengths": ("Two different Content-Length fields.", framed("content-length: 2", "content-length: 3")),
    "length and chunked": ("Content-Length and Transfer-Encoding.", framed("content-length: 2", "transfer-encoding: chunked", body=b"2\r\n{}\r\n0\r\n\r\n")),
    "negative length": ("`Content-Length: -1`.", framed("content-length: -1")),
    "bad chunk": ("A chunk size that is none, after some content.", bad_chunk),
    "header bomb": ("A header of 2 MiB.", header_bomb),
    "interim storm": ("1,000 interim answers before the real one.", interim_storm),
    "garbage for gzip": ("`Content-Encoding: gzip` over something else.", garbage_for_gzip),
}
