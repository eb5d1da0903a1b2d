"""The simulator as a server: accepts, records, watches for what no gateway may send, lets the vendor answer."""
import asyncio
import json
import re
import ssl
import subprocess
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from .behaviour import Behaviour, Fault, known_members
from .http1 import Answer, BadFraming, ClientGone, Connection, Request
from .vendors import VENDORS

HOP_BY_HOP = {"proxy-connection", "keep-alive", "te", "trailer", "upgrade", "proxy-authenticate", "proxy-authorization"}
OUR_SECRETS = re.compile(rb"tg[ksaj]_[A-Za-z0-9_-]")


def violations_of(request: Request):
    """What a gateway must never pass on to a vendor, found in one request."""
    found = []
    for name, value in request.headers:
        lower = name.lower()
        if lower.startswith("x-tidegate-"):
            found.append("gateway-internal header %s" % name)
        if lower == "cookie":
            found.append("a client's cookie")
        if lower in HOP_BY_HOP:
            found.append("hop-by-hop header %s" % name)
        if lower == "connection" and value.lower() not in ("keep-alive", "close"):
            found.append("Connection: %s" % value)
    for name in ("authorization", "content-type", "content-length", "x-api-key"):
        if len(request.all(name)) > 1:
            found.append("header %s twice" % name)
    if request.all("authorization") and request.all("x-api-key"):
        found.append("two credentials")
    if OUR_SECRETS.search(request.head) or OUR_SECRETS.search(request.body):
        found.append("a credential of the gateway")
    return found + duplicate_members(request.body)


def duplicate_members(body):
    """Top-level members given twice would be read differently by two parsers."""
    depth_first = []

    def pairs(items):
        depth_first.append(items)
        return dict(items)
    try:
        json.loads(body, object_pairs_hook=pairs)
    except ValueError:
        return []
    names = [name for name, _ in depth_first[-1]] if depth_first else []
    return ["member %s twice" % n for n in sorted({n for n in names if names.count(n) > 1})]


class Sim:
    """A running simulator. Attributes that tests read: base_url, key, requests, violations, issued."""

    def __init__(self, vendor="openai", key="sk-sim", tls=False, port=0, models=None):
        self.vendor = VENDORS[vendor](key=key, models=models)
        self.key, self.tls, self.port = key, tls, port
        self.requests, self.violations = [], []
        self.issued = {"prompt_tokens": 0, "completion_tokens": 0}
        self.behaviour, self.faults = Behaviour(), []
        self.connections = 0
        self.open_connections = set()
        self._released = None
        self.ca_pem = None

    # -- what a test does with it ------------------------------------------------------------------------------

    @property
    def base_url(self):
        return "%s://127.0.0.1:%d%s" % ("https" if self.tls else "http", self.port, self.vendor.prefixes[0])

    def behave(self, **changes):
        """Changes how answers are made, e.g. behave(tokens=200, interval=0.01)."""
        self.behaviour = replace(self.behaviour, **changes)
        if changes.get("hold"):
            self._loop.call_soon_threadsafe(self._released.clear)

    def release(self):
        """Lets held answers go on."""
        self.behaviour = replace(self.behaviour, hold=False)
        self._loop.call_soon_threadsafe(self._released.set)

    def fail(self, kind, **how):
        self.faults.append(Fault(kind, **how))

    def heal(self):
        self.faults.clear()

    def chats(self):
        return [r for r in self.requests if r.path.endswith("/chat/completions")]

    @property
    def last(self):
        return self.requests[-1]

    def forget(self):
        self.requests.clear()
        self.violations.clear()
        self.issued.update(prompt_tokens=0, completion_tokens=0)

    # -- running -----------------------------------------------------------------------------------------------

    async def serve(self, host="127.0.0.1"):
        self._loop = asyncio.get_running_loop()
        self._released = asyncio.Event()
        self._released.set()
        context = self._tls_context() if self.tls else None
        server = await asyncio.start_server(self._connection, host, self.port, ssl=context, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        return server

    def _tls_context(self):
        with tempfile.TemporaryDirectory() as folder:
            crt, key = Path(folder, "crt.pem"), Path(folder, "key.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", key, "-out", crt, "-days", "30", "-subj", "/CN=sim",
                            "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(crt, key)
            self.ca_pem = crt.read_text()
        return context

    async def _connection(self, reader, writer):
        self.connections += 1
        connection = Connection(reader, writer, self.connections)
        self.open_connections.add(connection)
        try:
            while await self._one(connection):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ClientGone):
            pass
        except asyncio.CancelledError:
            connection.writer.transport.abort()
        finally:
            self.open_connections.discard(connection)
            await connection.close()

    async def _one(self, connection):
        """One request and its answer. False when the connection is done."""
        try:
            request = await connection.request()
        except BadFraming as error:
            self.violations.append("ambiguous framing: %s" % error)
            connection.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        if request is None:
            return False
        if request.path.startswith("/__sim/"):
            await self._control(request, Answer(connection, request))
            return True
        self.requests.append(request)
        self.violations += violations_of(request)
        return await self._answer_while_watching(connection, request)

    async def _answer_while_watching(self, connection, request):
        answer = asyncio.ensure_future(self.vendor.answer(self, request, connection))
        watch = asyncio.ensure_future(connection.watch())
        try:
            await asyncio.wait({answer, watch}, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                request.gone_at = self._loop.time()
                return False
            return bool(answer.result()) and not connection.writer.transport.is_closing()
        except ClientGone:
            request.gone_at = self._loop.time()
            return False
        finally:
            for task in (answer, watch):
                task.cancel()
            await asyncio.gather(answer, watch, return_exceptions=True)

    # -- the control endpoint, for use by hand and from other processes ------------------------------------------

    async def _control(self, request, answer):
        verb = request.path[len("/__sim/"):]
        body = json.loads(request.body or b"{}")
        reply = {}
        if verb == "behave":
            self.behave(**{k: v for k, v in body.items() if k in known_members(Behaviour)})
        elif verb == "fail":
            self.fail(**body)
        elif verb == "heal":
            self.heal()
        elif verb == "release":
            self.release()
        elif verb == "forget":
            self.forget()
        elif verb == "requests":
            reply = [{**asdict(r), "sent": r.sent.decode("utf-8", "replace"), "head": r.head.decode("latin-1"), "body": r.body.decode("utf-8", "replace")}
                     for r in self.requests]
        elif verb == "totals":
            reply = {"requests": len(self.requests), "violations": self.violations, **self.issued}
        else:
            reply = {"verbs": ["behave", "fail", "heal", "release", "forget", "requests", "totals"]}
        await answer.whole(200, [("Content-Type", "application/json")], json.dumps(reply).encode())


@contextmanager
def start(vendor="openai", **settings):
    """A simulator in a thread of this process, for as long as the block runs."""
    sim = Sim(vendor, **settings)
    ready, ending = threading.Event(), {}

    async def main():
        ending["event"] = asyncio.Event()
        ending["loop"] = asyncio.get_running_loop()
        server = await sim.serve()
        ready.set()
        await ending["event"].wait()
        server.close()
        rest = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="sim-" + vendor, daemon=True)
    thread.start()
    if not ready.wait(60):
        raise RuntimeError("simulator %s did not start" % vendor)
    try:
        yield sim
    finally:
        ending["loop"].call_soon_threadsafe(ending["event"].set)
        thread.join(10)
