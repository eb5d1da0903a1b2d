"""A worker made by hand: raw WebSocket over TLS, so that tests can also say what no library would."""
import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import time

PATH, SUBPROTOCOL = "/channel", "tidegate.v1"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
REQUEST = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": SUBPROTOCOL}


def connect_tls(port, alpn=None, timeout=30):
    """TLS without verification; tests of the chain look at the certificate themselves."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(alpn)
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout))


def upgrade(tls, token=None, path=PATH, **headers):
    """Sends an upgrade; returns (status, rest). A header given as None is left out."""
    wanted = {**REQUEST, "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(), **headers}
    if token:
        wanted.setdefault("Authorization", "Bearer " + token)
    lines = ["GET %s HTTP/1.1" % path, "Host: localhost"] + ["%s: %s" % pair for pair in wanted.items() if pair[1] is not None]
    tls.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = tls.recv(4096)
        if not piece:
            break
        answer += piece
    head, _, rest = answer.partition(b"\r\n\r\n")
    return (int(head.split()[1]) if head else 0), rest


class Closed(Exception):
    """The other side ended the connection; args: close code, reason."""


class FakeWorker:
    """Speaks wire.h. `say` and `hear` are one message each; snapshots are answered only when asked to."""

    def __init__(self, port, token, name="fake", node_id=None, boot_id=None):
        self.token = token.rpartition(".")[0] if token.count(".") == 2 else token
        self.name, self.node_id = name, node_id or os.urandom(16).hex()
        self.boot_id = boot_id or os.urandom(8).hex()
        self.tls, self.buffer = connect_tls(port), b""
        status, self.buffer = upgrade(self.tls, self.token)
        assert status == 101, status

    def close(self):
        self.tls.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- frames ----------------------------------------------------------------------------------------------------

    def frame(self, opcode, payload, fin=True):
        mask = os.urandom(4)
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else struct.pack("!BH", 0xFE, size) if size < 65536 else struct.pack("!BQ", 0xFF, size)
        whole = (mask * (size // 4 + 1))[:size]
        body = (int.from_bytes(payload, "big") ^ int.from_bytes(whole, "big")).to_bytes(size, "big")
        self.tls.sendall(bytes([(0x80 if fin else 0) | opcode]) + length + mask + body)

    def _take(self, n):
        while len(self.buffer) < n:
            piece = self.tls.recv(65536)
            if not piece:
                raise Closed(0, "end of file")
            self.buffer += piece
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def message(self, seconds=30):
        """(opcode, payload) of the next data message."""
        self.tls.settimeout(seconds)
        whole, kind = b"", None
        while True:
            first, second = self._take(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self._take(2 if size == 126 else 8), "big")
            payload, opcode = self._take(size), first & 15
            if opcode == PING:
                self.frame(PONG, payload)
            elif opcode == CLOSE:
                raise Closed(int.from_bytes(payload[:2], "big"), payload[2:].decode())
            elif opcode != PONG:
                kind, whole = kind or opcode, whole + payload
                if first & 0x80:
                    return kind, whole

    # -- messages ----------------------------------------------------------------------------------------------------

    def say(self, type, **members):
        self.frame(TEXT, json.dumps({"type": type, **members}).encode())

    def hear(self, want=None, seconds=30):
        """The next message, or the next one of this type; a snapshot is its header with `payload`."""
        end = time.monotonic() + seconds
        while True:
            kind, payload = self.message(max(0.05, end - time.monotonic()))
            head, _, rest = payload.partition(b"\n") if kind == BINARY else (payload, None, None)
            message = json.loads(head)
            if kind == BINARY:
                message["payload"] = rest
            if want in (None, message["type"]):
                return message

    def hello(self, **more):
        self.say("hello", **{"protocol": 1, "name": self.name, "node_id": self.node_id, "boot_id": self.boot_id,
                             "version": "0.0.0", "formats": [1], "catalog_digest": "", "listen": "127.0.0.1:1", "admin": "127.0.0.1:2",
                             "pid": os.getpid(), "started_at": "2026-01-01T00:00:00Z", "serving": None, **more})
        return self

    def join(self, **more):
        """hello, welcome, first snapshot, ack."""
        self.hello(**more)
        self.welcome = self.hear("welcome")
        self.snapshot = self.hear("snapshot")
        self.ack(self.snapshot)
        return self

    def ack(self, snapshot):
        assert len(snapshot["payload"]) == snapshot["bytes"]
        assert hashlib.sha256(snapshot["payload"]).hexdigest() == snapshot["digest"]
        self.say("ack", revision=snapshot["revision"], digest=snapshot["digest"], apply_ms=1, unknown=0)

    def nack(self, snapshot, path, text):
        self.say("nack", revision=snapshot["revision"], path=path, text=text)

    def heartbeat(self, state="serving", **more):
        self.say("heartbeat", **{"revision": 0, "state": state, "in_flight": 0, "requests": 0, "errors": 0, "connections": 0,
                                 "rss_bytes": 0, "usage_dropped": 0, **more})

    def rows(self, boot_id, rows):
        """A `rows` message; `rows` are pairs of a number and the bytes of a row."""
        head = json.dumps({"type": "rows", "boot_id": boot_id}).encode() + b"\n"
        self.frame(2, head + b"".join(struct.pack("<IIQ", len(row), 0, seq) + row for seq, row in rows))

    def ended(self, seconds=30):
        """Reads until the other side closes; (code, reason)."""
        try:
            while True:
                self.message(seconds)
        except Closed as closed:
            return closed.args
        except (ConnectionError, ssl.SSLError) as error:
            return 0, str(error)
