"""A collector of traces: takes OTLP/HTTP with the JSON encoding, as strictly as the specification words it."""
import json
import re
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Message → {member: how it must look}, from opentelemetry-proto v1.7: names in lowerCamelCase, ids in lower-case hex, 64-bit
# integers as decimal strings, enumerations as numbers. A member that is not listed is an error here.
HEX = {8: re.compile(r"[0-9a-f]{16}\Z"), 16: re.compile(r"[0-9a-f]{32}\Z")}
UINT64 = re.compile(r"(0|[1-9][0-9]{0,19})\Z")
INT64 = re.compile(r"-?(0|[1-9][0-9]{0,18})\Z")


class Objection(AssertionError):
    pass


def need(condition, what):
    if not condition:
        raise Objection(what)


def text(value):
    need(isinstance(value, str), "not a string: %r" % (value,))


def hexadecimal(size):
    return lambda value: need(isinstance(value, str) and HEX[size].match(value) and value.strip("0"), "not an id: %r" % (value,))


def nanos(value):
    need(isinstance(value, str) and UINT64.match(value) and int(value) > 10**18, "not a time in nanoseconds: %r" % (value,))


def number(low, high):
    return lambda value: need(type(value) is int and low <= value <= high, "not from %d to %d: %r" % (low, high, value))


def int64(value):
    need(isinstance(value, str) and INT64.match(value), "a 64-bit integer must be a decimal string: %r" % (value,))


def boolean(value):
    need(isinstance(value, bool), "not a boolean: %r" % (value,))


def double(value):
    need(isinstance(value, (int, float)) and not isinstance(value, bool), "not a number: %r" % (value,))


def message(required=(), **members):
    def check(value):
        need(isinstance(value, dict), "not an object: %r" % (value,))
        for name, part in value.items():
            need(name in members, "no such member: %s" % name)
            members[name](part)
        for name in required:
            need(name in value, "%s is missing" % name)
    return check


def many(part):
    def check(value):
        need(isinstance(value, list), "not a list: %r" % (value,))
        for item in value:
            part(item)
    return check


def any_value(value):
    need(isinstance(value, dict) and len(value) == 1, "a value has exactly one form: %r" % (value,))
    message(stringValue=text, boolValue=boolean, intValue=int64, doubleValue=double)(value)


def attributes(value):
    many(message(("key", "value"), key=text, value=any_value))(value)
    keys = [a["key"] for a in value]
    need(len(keys) == len(set(keys)), "the same attribute twice: %s" % keys)
    need(all(keys), "an attribute without a name")


EVENT = message(("timeUnixNano", "name"), timeUnixNano=nanos, name=text, attributes=attributes)
STATUS = message(code=number(0, 2), message=text)
SPAN = message(("traceId", "spanId", "name", "kind", "startTimeUnixNano", "endTimeUnixNano"), traceId=hexadecimal(16),
               spanId=hexadecimal(8), parentSpanId=hexadecimal(8), traceState=text, flags=number(0, 2**32 - 1), name=text,
               kind=number(0, 5), startTimeUnixNano=nanos, endTimeUnixNano=nanos, attributes=attributes, events=many(EVENT), status=STATUS)
SCOPE = message(("spans",), scope=message(name=text, version=text, attributes=attributes), spans=many(SPAN), schemaUrl=text)
EXPORT = message(("resourceSpans",), resourceSpans=many(message(("resource", "scopeSpans"), resource=message(attributes=attributes),
                                                                scopeSpans=many(SCOPE), schemaUrl=text)))


def plain(values):
    """{"key": value} of a list of attributes."""
    return {a["key"]: int(v) if kind == "intValue" else v for a in values for kind, v in a["value"].items()}


class Span:
    def __init__(self, raw, resource):
        self.raw, self.resource = raw, resource
        self.trace, self.id, self.parent = raw["traceId"], raw["spanId"], raw.get("parentSpanId")
        self.name, self.kind, self.attributes = raw["name"], raw["kind"], plain(raw.get("attributes", []))
        self.start, self.end = int(raw["startTimeUnixNano"]), int(raw["endTimeUnixNano"])
        self.events = {e["name"]: int(e["timeUnixNano"]) for e in raw.get("events", [])}
        self.failed = raw.get("status", {}).get("code") == 2
        need(self.start <= self.end, "a span that ends before it begins")
        need(all(self.start <= at <= self.end for at in self.events.values()), "an event outside its span")


class Collector:
    """`answers` are statuses (or (status, headers), or a document to say with 200) of the next exports; then 200 and {}. One that
    reads no gzip says 415 to it."""

    def __init__(self, path="/v1/traces", reads_gzip=True):
        self.path, self.spans, self.exports, self.objections, self.answers, self.bodies = path, [], [], [], [], []
        self.reads_gzip, self.at = reads_gzip, []
        self.hold = threading.Event()
        self.hold.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.hold.wait(20)
                status, headers = collector.take(self.path, dict(self.headers.items()), body)
                data = b"{}" if status == 200 else b"no"
                if isinstance(status, dict):
                    status, data = 200, json.dumps(status).encode()
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = "http://127.0.0.1:%d" % self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, path, headers, body):
        headers = {n.lower(): v for n, v in headers.items()}
        self.exports.append((path, headers))
        self.at.append(time.monotonic())
        coding = headers.get("content-encoding")
        if coding is not None and not self.reads_gzip:
            return 415, ()
        answer = self.answers.pop(0) if self.answers else 200
        status, more = answer if isinstance(answer, tuple) else (answer, ())
        if status != 200 and not isinstance(status, dict):
            return status, more
        try:
            need(path == self.path, "posted to %s" % path)
            need(headers.get("content-type") == "application/json", "content-type %r" % headers.get("content-type"))
            need(coding in (None, "gzip"), "content-encoding %r" % coding)
            if coding == "gzip":
                unpacked = zlib.decompressobj(31)
                body = unpacked.decompress(body) + unpacked.flush()
                need(unpacked.eof and not unpacked.unused_data, "not one whole gzip member")
            need("content-length" in headers and "transfer-encoding" not in headers, "without a length")
            document = json.loads(body)
            EXPORT(document)
            self.bodies.append(body.decode())
            for group in document["resourceSpans"]:
                resource = plain(group["resource"]["attributes"])
                need(resource.get("service.name"), "no service.name")
                self.spans += [Span(raw, resource) for scope in group["scopeSpans"] for raw in scope["spans"]]
        except (Objection, ValueError, KeyError, zlib.error) as error:
            self.objections.append("%s\n%s" % (error, body[:2000]))
            return 400, ()
        return status, more

    def trace(self, id):
        """(server span, its children in order of time) of a trace."""
        spans = [s for s in self.spans if s.trace == id]
        server, = (s for s in spans if s.kind == 2)
        children = sorted((s for s in spans if s.kind == 3), key=lambda s: s.start)
        assert len(spans) == 1 + len(children) and all(c.parent == server.id for c in children)
        assert all(server.start <= c.start and c.end <= server.end for c in children)
        assert len({s.id for s in spans}) == len(spans)
        return server, children

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        assert not self.objections, "\n".join(self.objections[:3])
