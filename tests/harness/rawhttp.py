"""HTTP by hand, for requests that no client library would send."""
import socket
import time


def exchange(port, data, seconds=15.0, half_close=False):
    """Sends the bytes and returns everything that comes until the peer closes; raises TimeoutError if it does not."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as raw:
        raw.sendall(data)
        if half_close:
            raw.shutdown(socket.SHUT_WR)
        received = b""
        while True:
            try:
                piece = raw.recv(65536)
            except ConnectionResetError:
                return received
            if not piece:
                return received
            received += piece


class Talk:
    """A connection on which answers are read one after the other; over TLS with a context."""

    def __init__(self, port, seconds=15.0, context=None, server_name=None):
        self.raw = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if context:
            self.raw = context.wrap_socket(self.raw, server_hostname=server_name)
        self.rest = b""

    def send(self, data):
        self.raw.sendall(data)
        return self

    def segments(self, data, cuts=(), size=0, pause=0.0):
        """One TCP segment for each piece: cut at the offsets, or every `size` bytes."""
        edges = [0, *sorted(cuts), len(data)] if not size else [*range(0, len(data), size), len(data)]
        for start, stop in zip(edges, edges[1:]):
            self.raw.sendall(data[start:stop])
            if pause:
                time.sleep(pause)
        return self

    def _fill(self):
        piece = self.raw.recv(65536)
        if not piece:
            raise ConnectionError("closed; so far %r" % self.rest[:300])
        self.rest += piece

    def answer(self, head=False):
        """(status, headers, body) of the next answer; bodies by Content-Length only."""
        while b"\r\n\r\n" not in self.rest:
            self._fill()
        block, _, self.rest = self.rest.partition(b"\r\n\r\n")
        lines = block.decode("latin-1").split("\r\n")
        headers = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
        status = int(lines[0].split()[1])
        length = 0 if head or status < 200 or status in (204, 304) else int(headers.get("content-length", 0))
        while len(self.rest) < length:
            self._fill()
        body, self.rest = self.rest[:length], self.rest[length:]
        return status, headers, body

    def stream(self):
        """(head, body, whether HTTP's framing ended properly) of the next answer, chunked or with a length."""
        while b"\r\n\r\n" not in self.rest:
            self._fill()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            return head, *self.chunks()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        try:
            while len(self.rest) < length:
                self._fill()
        except OSError:
            return head, self.rest, False
        body, self.rest = self.rest[:length], self.rest[length:]
        return head, body, True

    def chunks(self):
        """(body, ended properly) of a chunked answer whose head has been read."""
        body = []
        try:
            while True:
                while b"\r\n" not in self.rest:
                    self._fill()
                size, _, self.rest = self.rest.partition(b"\r\n")
                size = int(size, 16)
                while len(self.rest) < size + 2:
                    self._fill()
                body.append(self.rest[:size])
                self.rest = self.rest[size + 2:]
                if size == 0:
                    return b"".join(body), True
        except OSError:
            return b"".join(body), False

    def half_close(self):
        self.raw.shutdown(socket.SHUT_WR)

    def reset(self):
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.raw.close()

    def closed(self):
        """Whether the peer closes without another byte."""
        try:
            return self.rest == b"" and self.raw.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.raw.close()
