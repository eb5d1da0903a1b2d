"""HTTP by hand, for requests that no client library would send."""
import socket


def exchange(port, data, seconds=5.0, half_close=False):
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
    """A connection on which answers are read one after the other."""

    def __init__(self, port, seconds=5.0):
        self.raw = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self.rest = b""

    def send(self, data):
        self.raw.sendall(data)
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

    def closed(self):
        """Whether the peer closes without another byte."""
        try:
            return self.rest == b"" and self.raw.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.raw.close()
