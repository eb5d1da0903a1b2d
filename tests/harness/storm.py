"""
Thousands of calls, each ended by a fault that dice chose: at the provider, at the client, or none. One asyncio loop plays both
sides, so that ten thousand take seconds.

A call's model names what its provider does (VENDOR), and its `leaves` when the client goes (LEAVES).

At first the provider holds all its answers, until a call of every key has been refused with 429: so a limit on calls at once
that is below the number of clients refuses some on any machine. It cannot hold for ever: who is refused, or leaves, goes on to
its next call, and with the last call the provider answers whatever it holds.
"""
import asyncio
import json
import random
import socket
import struct

RESET = struct.pack("ii", 1, 0)
PROMPT, GENERATED = 9, 6


def _event(document):
    return b"data: %s\n\n" % json.dumps(document).encode()


def _chunk(text, **more):
    return _event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                   "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more})


USAGE = {"prompt_tokens": PROMPT, "completion_tokens": GENERATED, "total_tokens": PROMPT + GENERATED}
PIECES = [_chunk("word ") for _ in range(GENERATED)]
FINISH = _event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
                 "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
LAST = _event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [], "usage": USAGE})
DONE = b"data: [DONE]\n\n"
OOPS = _event({"error": {"message": "engine on fire", "type": "server_error", "code": 500}})
WHOLE = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": USAGE, "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "word " * GENERATED}, "finish_reason": "stop"}]}).encode()


def _framed(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
JSON = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
END = b"0\r\n\r\n"


def _refusal(status):
    text = json.dumps({"error": {"message": "no %d today" % status, "type": "x", "code": None}}).encode()
    return JSON % (status, len(text)) + text


def _stream(*events, end=END):
    return SSE + b"".join(map(_framed, events)) + end


# What a provider does: (for a stream, for a plain answer, how the connection goes on: keep, close, reset, stay)
_ok, _half = JSON % (200, len(WHOLE)) + WHOLE, JSON % (200, len(WHOLE)) + WHOLE[:40]
VENDOR = {
    "good": (_stream(*PIECES, FINISH, LAST, DONE), _ok, "keep"),
    "good-too": (_stream(*PIECES, FINISH, LAST, DONE), _ok, "keep"),
    "no-done": (_stream(*PIECES, FINISH, LAST), _ok, "close"),
    "error-event": (_stream(*PIECES[:2], OOPS), _refusal(500), "keep"),
    "truncated": (_stream(*PIECES[:3], end=b""), _half, "close"),
    "reset-midway": (_stream(*PIECES[:3], end=b""), _half, "reset"),
    "reset": (b"", b"", "reset"),
    "closed": (b"", b"", "close"),
    "status-400": (_refusal(400), _refusal(400), "keep"),
    "status-500": (_refusal(500), _refusal(500), "keep"),
    "status-503": (_refusal(503), _refusal(503), "keep"),
    "silent": (b"", b"", "stay"),
    "stalled": (_stream(*PIECES[:2], end=b""), _half, "stay"),
}
# When the client goes: in the middle of its request, before any answer, or after the first bytes of one. None: at the end.
LEAVES = ("body", "before", "midway")
STUCK = ("silent", "stalled")


class _Vendor(asyncio.Protocol):
    def __init__(self, storm):
        self.storm, self.seen = storm, b""

    def connection_made(self, transport):
        self.transport = transport
        self.storm.open.add(transport)

    def connection_lost(self, error):
        self.storm.open.discard(self.transport)

    def data_received(self, piece):
        self.seen += piece
        head, gap, body = self.seen.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if not gap or len(body) < length:
            return
        self.seen = b""
        asked = json.loads(body[:length])
        self.storm.asked += 1
        self.storm.once_open(lambda: self._answer(asked))

    def _answer(self, asked):
        if self.transport.is_closing():
            return
        stream, plain, then = VENDOR[asked["model"]]
        self.transport.write(stream if asked.get("stream") else plain)
        if then == "reset":
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.transport.abort()
        elif then == "close":
            self.transport.close()


class Storm:
    """storm.run(n): n calls by `clients` at a time, each with a key out of `keys`; what they heard is in `heard`."""

    def __init__(self, port, keys, seed, clients=64):
        self.port, self.keys, self.clients = port, keys, clients
        self.dice = random.Random(seed)
        self.open, self.asked, self.heard = set(), 0, {}
        self.unrefused, self.held = set(keys), []        # the keys that heard no 429 yet; answers that wait for that
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.url = "http://127.0.0.1:%d/v1" % self.listener.getsockname()[1]

    def run(self, n):
        asyncio.run(self._run(n))

    async def _run(self, n):
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Vendor(self), sock=self.listener)
        calls = self._calls(n)
        await asyncio.gather(*(self._client(calls) for _ in range(self.clients)))
        for transport in list(self.open):
            transport.abort()
        server.close()

    def _calls(self, n):
        yield from [self._draw() for _ in range(n)]
        self._open_gate()

    def once_open(self, answer):
        """Calls `answer`, now or when the gate opens."""
        if self.unrefused:
            self.held.append(answer)
        else:
            answer()

    def _open_gate(self):
        self.unrefused = set()
        held, self.held = self.held, []
        for answer in held:
            answer()

    def _draw(self):
        model = self.dice.choice(list(VENDOR))
        leaves = self.dice.choice(LEAVES) if model in STUCK or self.dice.random() < 0.15 else None
        if leaves == "midway" and model == "silent":
            leaves = "before"
        return model, leaves, self.dice.random() < 0.6 or leaves == "midway", self.dice.choice(self.keys), self.dice.random() < 0.5

    async def _client(self, calls):
        pair = None
        for call in calls:
            try:
                pair = pair or await asyncio.open_connection("127.0.0.1", self.port)
                status, again = await asyncio.wait_for(self._call(pair, *call), 60)
            except (ConnectionError, asyncio.IncompleteReadError):
                status, again = "broken", False
            self.heard[status] = self.heard.get(status, 0) + 1
            if status == 429 and self.unrefused:
                self.unrefused.discard(call[3])
                if not self.unrefused:
                    self._open_gate()
            if not again:
                await self._leave(pair, call[4])
                pair = None
        if pair:
            await self._leave(pair, False)

    @staticmethod
    async def _leave(pair, rudely):
        if pair:
            if rudely:
                pair[1].get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            pair[1].close()
            try:
                await pair[1].wait_closed()
            except ConnectionError:
                pass

    async def _call(self, pair, model, leaves, stream, key, _):
        """(status, whether the connection serves another call)."""
        reader, writer = pair
        body = json.dumps({"model": model, "stream": stream, "max_tokens": 40, "messages": [{"role": "user", "content": "say something"}]}).encode()
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: g\r\nauthorization: Bearer %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        data = head % (key.encode(), len(body)) + body
        if leaves == "body":
            writer.write(data[:-10])
            return "left in its request", False
        writer.write(data)
        if leaves == "before":
            await asyncio.sleep(0)
            return "left before an answer", False
        got = await reader.readuntil(b"\r\n\r\n")
        status, head = int(got.split(b" ", 2)[1]), got.lower()
        if leaves == "midway":
            await reader.readexactly(1)
            return "left in an answer", False
        if b"content-length:" in head:
            await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))
        else:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                await reader.readexactly(size + 2)
            await reader.readexactly(2)
        return status, b"connection: close" not in head
