"""Thousands of connections at a time: an upstream on one thread that plays one act to all, and clients that leave together."""
import selectors
import socket
import struct
import threading
import time

from .waiting import wait_until

RESET = struct.pack("ii", 1, 0)
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Crowd:
    """
    An upstream that answers each request with `act` (bytes; b"": silence) and notes when each connection ended and how.

    `then`: "stay" (until the worker goes) or "serve" (the next request on it gets the same).
    """

    def __init__(self, act=b""):
        self.act, self.requests, self.ended = act, 0, []      # ended: (time, how)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d/v1" % self.port
        self.selector, self.waiting = selectors.DefaultSelector(), {}
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.stopping = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def connections(self):
        return len(self.waiting)

    def _run(self):
        while not self.stopping:
            for key, _ in self.selector.select(0.2):
                self._accept() if key.fileobj is self.listener else self._read(key.fileobj)

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            raw.setblocking(False)
            self.waiting[raw] = b""
            self.selector.register(raw, selectors.EVENT_READ)

    def _read(self, raw):
        try:
            piece = raw.recv(65536)
        except ConnectionResetError:
            return self._end(raw, "reset")
        except BlockingIOError:
            return None
        if not piece:
            return self._end(raw, "fin")
        self.waiting[raw] += piece
        head, gap, body = self.waiting[raw].partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        if gap and len(body) >= length:
            self.waiting[raw] = b""
            if self.act:
                raw.setblocking(True)
                raw.sendall(self.act)
                raw.setblocking(False)
            self.requests += 1
        return None

    def _end(self, raw, how):
        self.ended.append((time.monotonic(), how))
        self.selector.unregister(raw)
        del self.waiting[raw]
        raw.close()

    def close(self):
        self.stopping = True
        self.thread.join(5)
        for raw in [*self.waiting, self.listener]:
            raw.close()
        self.selector.close()


class Clients:
    """n connections that have sent the same bytes."""

    def __init__(self, port, n, data, host="127.0.0.1"):
        self.raws = []
        for _ in range(n):
            raw = socket.create_connection((host, port), timeout=20)
            raw.sendall(data)
            self.raws.append(raw)

    def hear(self, text, seconds=20.0):
        """Until each has received `text`."""
        for raw in self.raws:
            raw.settimeout(seconds)
            got = b""
            while text not in got:
                piece = raw.recv(65536)
                assert piece, "closed after %r" % got[:200]
                got += piece

    def leave(self, how="reset"):
        """All at once; the moment."""
        began = time.monotonic()
        for raw in self.raws:
            if how == "reset":
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            raw.close()
        return began


class BlackHole:
    """A port on which connecting never ends: its accept queue is full and nobody empties it."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.url = "http://127.0.0.1:%d/v1" % self.port
        self.plugs = []
        wait_until(self._is_full, 10, "the queue being full")

    def _is_full(self):
        plug = socket.socket()
        plug.setblocking(False)
        plug.connect_ex(("127.0.0.1", self.port))
        self.plugs.append(plug)
        time.sleep(0.05)
        return plug.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0 and len(self.plugs) > 3

    def knocking(self):
        """Connections that wait for it, by the kernel's table: SYN_SENT to its port."""
        theirs, n = "%04X" % self.port, 0
        with open("/proc/net/tcp") as table:
            for line in table:
                fields = line.split()
                n += fields[2].endswith(":" + theirs) and fields[3] == "02"
        return n

    def close(self):
        for plug in self.plugs:
            plug.close()
        self.listener.close()
