"""A worker alone, on a configuration file, between a raw client and an upstream that follows a script."""
import json
import os
import socket
import ssl
import threading
import time
import urllib.request

from .daemon import Daemon, bin_dir, open_files
from .ports import free_port
from .rawhttp import Talk
from .waiting import wait_until

KEY = "tgk_worker-test-key"


class Wire:
    """
    The upstream's end of one connection: read a request, send what the script says, in the segments that it says.

    What came in is in `seen`, byte for byte; how it ended in `end`: None (it has not), "fin", "reset" or "local" (the script
    ended it), and when in `ended_at`.
    """

    def __init__(self, raw, upstream):
        self.raw, self.upstream, self.rest, self.seen = raw, upstream, b"", b""
        self.end, self.ended_at, self.began_at = None, None, time.monotonic()

    # -- what the worker sends -------------------------------------------------------------------------------

    def _ended(self, how):
        if self.end is None:
            self.end, self.ended_at = how, time.monotonic()

    def _recv(self):
        try:
            piece = self.raw.recv(65536)
        except (ConnectionResetError, BrokenPipeError):
            self._ended("reset")
            raise
        except ssl.SSLEOFError:           # the peer went without a close_notify
            piece = b""
        if not piece:
            self._ended("fin")
        self.seen += piece
        return piece

    def _fill(self):
        piece = self._recv()
        if not piece:
            raise EOFError
        self.rest += piece

    def request(self):
        """(head, body) of the next request; EOFError when the worker has closed."""
        while b"\r\n\r\n" not in self.rest:
            self._fill()
        head, _, self.rest = self.rest.partition(b"\r\n\r\n")
        length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        while len(self.rest) < length:
            self._fill()
        body, self.rest = self.rest[:length], self.rest[length:]
        self.cell = head.split(b"/", 2)[1].decode("latin-1")     # the first segment of its path
        self.upstream.requests.append((head, body))
        return head, body

    def gone(self, seconds=3.0):
        """Seconds until the worker closed this connection; AssertionError if it did not."""
        began = time.monotonic()
        self.raw.settimeout(seconds)
        try:
            while self._recv():
                pass
        except ConnectionResetError:
            pass
        except TimeoutError:
            raise AssertionError("the worker kept the connection for %g s" % seconds) from None
        return time.monotonic() - began

    # -- what it gets ----------------------------------------------------------------------------------------

    def send(self, data):
        self.raw.sendall(data)

    def segments(self, data, cuts=(), size=0, pause=0.0):
        """One TCP segment for each piece: cut at the offsets, or every `size` bytes."""
        edges = [0, *sorted(cuts), len(data)] if not size else [*range(0, len(data), size), len(data)]
        for start, stop in zip(edges, edges[1:]):
            if stop > start:
                self.raw.sendall(data[start:stop])
                if pause:
                    time.sleep(pause)

    def head(self, status=200, *lines):
        self.send(("HTTP/1.1 %d X\r\n" % status + "".join(line + "\r\n" for line in lines) + "\r\n").encode("latin-1"))

    def json(self, status=200, body=None, headers=""):
        data = json.dumps(body if body is not None else completion()).encode()
        self.send(b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%scontent-length: %d\r\n\r\n%s"
                  % (status, headers.encode(), len(data), data))

    def json_body(self):
        """Only the document, without any framing."""
        self.send(json.dumps(completion()).encode())

    def sse(self):
        self.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    def event(self, data):
        data = b"data: %s\n\n" % (data if isinstance(data, bytes) else json.dumps(data).encode())
        self.send(b"%x\r\n%s\r\n" % (len(data), data))

    def last_chunk(self):
        self.send(b"0\r\n\r\n")

    def stream(self, *texts):
        """A whole good stream of these pieces of text."""
        self.sse()
        for text in texts or ("hel", "lo"):
            self.event(chunk(text))
        self.event(chunk(None, "stop"))
        self.event({**chunk(), "choices": [], "usage": completion()["usage"]})
        self.event(b"[DONE]")
        self.last_chunk()

    def half_close(self):
        self.raw.shutdown(socket.SHUT_WR)

    def reset(self):
        self._ended("local")
        raw = self.raw
        if isinstance(raw, ssl.SSLSocket):       # a reset has no place for TLS's goodbye
            raw = socket.socket(fileno=raw.detach())
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        raw.close()

    def close(self):
        self._ended("local")
        self.raw.close()


def completion(text="hello", prompt=7, generated=3):
    return {"id": "c1", "object": "chat.completion", "created": 1, "model": "up", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": generated, "total_tokens": prompt + generated}}


def chunk(text=None, finish=None):
    delta = {} if text is None else {"content": text}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def answer_plainly(wire):
    """The default script: a good JSON answer to every request."""
    while True:
        wire.request()
        wire.json()


def answer_as_asked(wire):
    """A good answer to every request, streamed if it asks for a stream."""
    while True:
        _, body = wire.request()
        if b'"stream": true' in body or b'"stream":true' in body:
            wire.stream()
        else:
            wire.json()


def refuse(number, headers="", body=None):
    """A script: every request is answered with this status."""
    def script(wire):
        while True:
            wire.request()
            wire.json(number, body or {"error": {"message": "no %d" % number, "type": "x", "code": None}}, headers)
    return script


class Upstream:
    """
    Listens; runs `script(wire)` for every connection in a thread of its own. A play of one scene per connection is a list.

        Upstream([reset_at_once, answer_plainly])    the first connection is reset, each later one is served
        Upstream(script, authority.server())         the same over TLS; see harness/impostors.py
    """

    def __init__(self, script=answer_plainly, context=None):
        self.script, self.context, self.requests, self.wires, self.errors = script, context, [], [], []
        self.heard = {}      # of a test whose scripts wait for its clients: {name: threading.Event}
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self):
        return "%s://127.0.0.1:%d/v1" % ("https" if self.context else "http", self.port)

    def _accept(self):
        while True:
            try:
                raw, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(raw,), daemon=True).start()

    def _serve(self, raw):
        wire = None
        try:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context:
                raw = self.context.wrap_socket(raw, server_side=True)
            wire = Wire(raw, self)
            self.wires.append(wire)
            scenes = self.script
            if isinstance(scenes, (list, tuple)):
                scenes[min(len(self.wires), len(scenes)) - 1](wire)
            else:
                scenes(wire)
        except (EOFError, OSError):
            pass
        except AssertionError as error:
            self.errors.append(error)
        finally:
            raw.close()
            if wire:
                wire._ended("local")

    def client_has_content(self, wire, seconds=20.0):
        """For scripts whose next act must not overtake the last one: until `heard[first path segment of the request]` is set."""
        assert self.heard[wire.cell].wait(seconds), "the client of %s got no content" % wire.cell

    def open(self):
        """How many connections the worker holds to it."""
        return sum(wire.end is None for wire in self.wires)

    def close(self):
        """From now on connections are refused."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        """End all connections; the threads that serve them close the sockets, so that no number is used twice."""
        for wire in self.wires:
            try:
                wire.raw.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Worker:
    """
    tidegate-worker --static-config; `change()` rewrites the file and has it read again.

    `port`: of another one, to stand beside it; `under`: a command that it runs under, as ["prlimit", "--nofile=256:256"].
    """

    def __init__(self, folder, config, loops=1, env=None, port=None, under=(), name="tidegate-worker"):
        self.folder, self.revision = folder, 0
        self.port, self.admin_port = port or free_port(), free_port()
        self.path = os.path.join(str(folder), name + ".json")
        self.write(config)
        self.daemon = Daemon(name, [*under, bin_dir() / "tidegate-worker", "--static-config", self.path, "--listen",
                             "127.0.0.1:%d" % self.port, "--admin-listen", "127.0.0.1:%d" % self.admin_port, "--loops", loops],
                             folder, env).start()
        self.daemon.wait_for(lambda: self.admin("/readyz") == "ready\n")

    def write(self, objects):
        self.revision += 1
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump({"format": 1, "epoch": "%016x" % 1, "revision": self.revision, "pepper": "p", "objects": objects}, file)

    def change(self, objects):
        import signal
        self.write(objects)
        self.daemon.send(signal.SIGHUP)
        wait_until(lambda: json.loads(self.admin("/snapshot"))["revision"] == self.revision, 30, "the new configuration")

    def admin(self, path, method="GET"):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.admin_port, path), method=method)
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.read().decode()

    def metric(self, name):
        """The sum of all series of that name."""
        total = 0.0
        for line in self.admin("/metrics").split("\n"):
            if line.startswith(name + "{") or line.startswith(name + " "):
                total += float(line.rpartition(" ")[2])
        return total

    def ended(self, reason):
        """How many requests ended that way so far."""
        return sum(float(line.rpartition(" ")[2]) for line in self.admin("/metrics").split("\n")
                   if line.startswith("tidegate_requests_total{") and 'end_reason="%s"' % reason in line)

    def idle(self):
        wait_until(lambda: self.metric("tidegate_requests_in_flight") == 0, 15, "no request in flight")

    def talk(self, seconds=15.0):
        return Talk(self.port, seconds)

    def fds(self):
        return open_files(self.daemon.pid)

    def cpu(self):
        """Seconds of processor that it has used."""
        with open("/proc/%d/stat" % self.daemon.pid) as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ran(self):
        """The same to the nanosecond, of the threads that it has now."""
        total = 0
        for task in os.listdir("/proc/%d/task" % self.daemon.pid):
            with open("/proc/%d/task/%s/schedstat" % (self.daemon.pid, task)) as stat:
                total += int(stat.read().split()[0])
        return total / 1e9

    def sleeps(self):
        """Whether all its threads do: then whatever had come has been dealt with, however slow the machine."""
        tasks = "/proc/%d/task" % self.daemon.pid
        for task in os.listdir(tasks):
            with open("%s/%s/stat" % (tasks, task)) as stat:
                if stat.read().rpartition(")")[2].split()[0] != "S":
                    return False
        return True

    def rss(self):
        """Resident bytes."""
        with open("/proc/%d/status" % self.daemon.pid) as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10

    def stop(self):
        status = self.daemon.stop()
        complaints = self.daemon.complaints()
        assert not complaints, "\n".join(complaints) + self.daemon.log()[-8000:]
        assert status == 0, (status, self.daemon.log()[-3000:])


def request(body=None, key=KEY, method="POST", path="/v1/chat/completions", headers="", **members):
    """The bytes of one request."""
    if body is None:
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **members}).encode() if method == "POST" else b""
    length = b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body) if method == "POST" else b""
    return (b"%s %s HTTP/1.1\r\nhost: gw\r\nauthorization: Bearer %s\r\n%s%s\r\n"
            % (method.encode(), path.encode(), key.encode(), headers.encode(), length)) + body


def config(*upstreams, route=None, data_plane=None, provider=None):
    """Objects: provider p0, p1… for the upstreams; one route for model m to p0; one consumer with KEY."""
    providers = {"p%d" % i: {"type": "openai", "base_url": u.url, "api_keys": [{"name": "k0", "value": "sk-upstream-%d" % i}],
                             **(provider or {})} for i, u in enumerate(upstreams)}
    return {"providers": providers, "consumers": {"app": {"keys": [{"id": "k", "secret": KEY, "enabled": True}]}},
            "routes": {"r": {"match": {"models": [{"type": "exact", "value": "m"}]}, "targets": [{"provider": "p0", "model": "up"}],
                             **(route or {})}},
            "settings": {"settings": {"data_plane": data_plane or {}}}}


def read_chunked(talk):
    """(body, ended properly) of a chunked answer whose head has been read."""
    return talk.chunks()
