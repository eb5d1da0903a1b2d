"""A small HTTP/1.1 server side on asyncio streams. Small because bytes and timing must stay under the test's control:
every segment that leaves is written here, and every byte that arrives is kept as it came."""
import asyncio
import re
import socket
import struct
import time
from dataclasses import dataclass, field

MAX_HEAD = 256 * 1024
TOKEN = re.compile(rb"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")


class BadFraming(Exception):
    """The request cannot be read in one way only. A vendor's edge answers 400 and closes; so does this one."""


class ClientGone(Exception):
    """The other side closed before the answer was complete."""


@dataclass
class Request:
    """One request exactly as it arrived, and what became of it."""
    method: str
    target: str
    headers: list            # (name, value) in order, spelled as they came
    head: bytes              # the raw header block, request line included
    body: bytes
    connection: int          # counts connections: equal numbers mean the connection was used again
    at: float = field(default_factory=time.monotonic)
    status: int | None = None
    sent: bytearray = field(default_factory=bytearray)   # the answer's body, without chunk framing
    complete: bool = False   # the whole answer was written
    gone_at: float | None = None   # when the other side was seen to close before that

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        found = self.all(name)
        return found[0] if found else None

    @property
    def path(self):
        return self.target.split("?", 1)[0]

    @property
    def json(self):
        import json
        return json.loads(self.body)


class Connection:
    """Reads requests one after the other and notices when the peer leaves while an answer is being made."""

    def __init__(self, reader, writer, number):
        self.reader, self.writer, self.number = reader, writer, number
        self.pushed_back = b""
        sock = writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def _read(self, n):
        data = self.pushed_back[:n]
        self.pushed_back = self.pushed_back[n:]
        if len(data) < n:
            data += await self.reader.readexactly(n - len(data))
        return data

    async def _read_until(self, mark, limit):
        data = bytearray()
        while not data.endswith(mark):
            data += await self._read(1)
            if len(data) > limit:
                raise BadFraming("header block above %d bytes" % limit)
        return bytes(data)

    async def request(self):
        """The next request, or None when the peer closed between two."""
        try:
            first = await self._read(1)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        head = first + await self._read_until(b"\r\n\r\n", MAX_HEAD)
        method, target, headers = parse_head(head)
        body = await self._body(headers)
        return Request(method, target, headers, head, body, self.number)

    async def _body(self, headers):
        lengths = [v for n, v in headers if n.lower() == "content-length"]
        codings = [v for n, v in headers if n.lower() == "transfer-encoding"]
        if lengths and codings:
            raise BadFraming("both Content-Length and Transfer-Encoding")
        if len(lengths) > 1 or len(codings) > 1:
            raise BadFraming("length given twice")
        if codings:
            if codings[0].strip().lower() != "chunked":
                raise BadFraming("transfer coding %r" % codings[0])
            return await self._chunked()
        if lengths:
            if not re.fullmatch(r"[0-9]{1,12}", lengths[0]):
                raise BadFraming("Content-Length %r" % lengths[0])
            return await self._read(int(lengths[0]))
        return b""

    async def _chunked(self):
        body = bytearray()
        while True:
            line = await self._read_until(b"\r\n", 256)
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,8}\r\n", line):
                raise BadFraming("chunk size line %r" % line)
            size = int(line, 16)
            data = await self._read(size + 2)
            if not data.endswith(b"\r\n"):
                raise BadFraming("chunk without CRLF at its end")
            if size == 0:
                return bytes(body)
            body += data[:-2]

    async def watch(self):
        """Returns when the peer closes. Bytes that come early are kept for the next request."""
        while True:
            try:
                data = await self.reader.read(4096)
            except ConnectionError:
                return
            if not data:
                return
            self.pushed_back += data

    def reset(self):
        """RST instead of FIN: what a crashed process or an angry firewall does."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self):
        try:
            self.writer.close()
            await self.writer.wait_closed()
        except (ConnectionError, OSError):
            pass


def parse_head(head):
    lines = head[:-4].split(b"\r\n")
    if b"\r" in head.replace(b"\r\n", b"") or b"\n" in head.replace(b"\r\n", b"") or b"\0" in head:
        raise BadFraming("bare CR, bare LF or NUL in the header block")
    parts = lines[0].split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1" or not TOKEN.match(parts[0]):
        raise BadFraming("request line %r" % lines[0])
    headers = []
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        if not colon or not TOKEN.match(name):
            raise BadFraming("header line %r" % line)
        headers.append((name.decode("ascii"), value.strip(b" \t").decode("latin-1")))
    if len([1 for n, _ in headers if n.lower() == "host"]) != 1:
        raise BadFraming("Host is missing or given twice")
    return parts[0].decode("ascii"), parts[1].decode("latin-1"), headers


class Answer:
    """Writes one answer. `segment` cuts everything, framing included, into pieces of that many bytes."""

    def __init__(self, connection, request, segment=0, gap=0.0):
        self.connection, self.request = connection, request
        self.segment, self.gap = segment, gap
        self.chunked = False
        self.started = False

    async def raw(self, data):
        writer = self.connection.writer
        step = self.segment or len(data) or 1
        for at in range(0, len(data), step):
            if writer.transport.is_closing():
                raise ClientGone()
            writer.write(data[at:at + step])
            await writer.drain()
            if self.segment:
                await asyncio.sleep(self.gap)

    async def begin(self, status, headers, length=None):
        self.started = True
        self.chunked = length is None
        self.request.status = status
        framing = ("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(length))
        lines = ["HTTP/1.1 %d %s" % (status, REASONS.get(status, "Status"))]
        lines += ["%s: %s" % pair for pair in [*headers, framing]]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def write(self, data):
        self.request.sent += data
        if self.chunked and data:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        await self.raw(data)

    async def end(self):
        if self.chunked:
            await self.raw(b"0\r\n\r\n")
        self.request.complete = True

    async def whole(self, status, headers, body):
        await self.begin(status, headers, len(body))
        self.request.sent += body
        await self.raw(body)
        self.request.complete = True


REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden",
           404: "Not Found", 405: "Method Not Allowed", 408: "Request Timeout", 413: "Payload Too Large",
           415: "Unsupported Media Type", 422: "Unprocessable Entity", 429: "Too Many Requests",
           500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable", 529: "Overloaded"}
