"""The soak of tests/soak.sh: load, faults, changes; then everything must be back where it was."""
import collections
import json
import random
import sys
import threading
import time

from .daemon import MEMORY_IS_MEASURED
from .faults import FAULTS
from .gateway import Gateway
from .rawhttp import Talk
from .waiting import wait_until
from .worker import Upstream, request

ONE_IN = 100                          # requests that meet a fault; and as many that lose their client
# Those that put a key to rest would leave nobody to ask: what is mixed here is over with its request.
SCRIPTS = [script for name, (_, script) in FAULTS.items() if callable(script) and not name.startswith(("40", "429", "503"))]


class Heard(dict):
    """Fault scripts that wait for their client: here they do not."""

    def __missing__(self, name):
        event = threading.Event()
        event.set()
        return event


class Once:
    """A wire whose second request ends the script: a fault happens to one request, not to all that share its connection."""

    def __init__(self, wire):
        self.wire, self.asked = wire, False

    def __getattr__(self, name):
        return getattr(self.wire, name)

    def request(self):
        if self.asked:
            raise EOFError
        self.asked = True
        return self.wire.request()


def sometimes(rng, lock):
    def script(wire):
        while True:
            with lock:
                fault = rng.choice(SCRIPTS) if rng.randrange(ONE_IN) == 0 else None
            if fault:
                fault(Once(wire))
                return
            _, body = wire.request()
            if b'"stream": true' in body or b'"stream":true' in body:
                wire.stream(*["word %d " % i for i in range(12)])
            else:
                wire.json()
    return script


class Callers:
    def __init__(self, port, key, n, seed):
        self.port, self.key, self.stop_asked = port, key, threading.Event()
        self.lock, self.seen, self.wrong = threading.Lock(), collections.Counter(), []
        self.threads = [threading.Thread(target=self._run, args=(random.Random(seed + i),), daemon=True) for i in range(n)]
        for thread in self.threads:
            thread.start()

    def _note(self, what):
        with self.lock:
            self.seen[what] += 1

    def _ask(self, talk, rng):
        """True: the connection may be used again."""
        stream, leaves = rng.random() < 0.5, rng.randrange(ONE_IN) == 0
        talk.send(request(key=self.key, **({"stream": True} if stream else {})))
        self._note("sent")
        if leaves:
            while b"\r\n" not in talk.rest:      # the answer has begun, so the request was taken in
                talk._fill()
            talk.reset()
            self._note("left")
            return False
        head, body, ended = talk.stream()
        status = int(head.split()[1])
        self._note("cut" if not ended else "broken stream" if status == 200 and b'"error"' in body else str(status))
        if status != 200 and not json.loads(body)["error"]["message"]:
            self.wrong.append(body[:200])
        return ended and b"connection: close" not in head.lower()

    def _run(self, rng):
        talk = None
        while not self.stop_asked.is_set():
            try:
                talk = talk or Talk(self.port, 30)
                if not self._ask(talk, rng):
                    talk.close()
                    talk = None
            except OSError as error:
                self.wrong.append(repr(error))
                talk = None
        if talk:
            talk.close()

    def stop(self):
        self.stop_asked.set()
        for thread in self.threads:
            thread.join(60)


def rss(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10


def configure(gateway, upstreams):
    quick = {"connect": "2s", "first_byte": "2s", "idle": "2s", "total": "15s"}
    for i, upstream in enumerate(upstreams):
        gateway.admin.post("providers", {"name": "p%d" % i, "type": "openai", "base_url": upstream.url, "timeouts": quick,
                                         "api_keys": [{"name": "k", "value": "sk-soak-%d" % i}]})
    gateway.admin.post("routes", {"name": "r", "match": {"models": [{"type": "exact", "value": "m"}]}, "targets": [{"provider": "p0", "model": "up"}],
                                  "fallback": {"enabled": True, "on": ["connect_error", "timeout", "5xx", "429"], "targets": [{"provider": "p1"}]}})
    return gateway.key("soak")


def run(seconds, callers=6, say=print):
    """Raises AssertionError when something is not back where it was."""
    rng, lock = random.Random(time.time()), threading.Lock()
    upstreams = [Upstream(sometimes(rng, lock)) for _ in range(2)]
    for upstream in upstreams:
        upstream.heard = Heard()
    gateway = Gateway(split=True, loops=2, env=MEMORY_IS_MEASURED)
    try:
        gateway.start()
        gateway.set_up()
        key = configure(gateway, upstreams)
        worker = gateway.worker_pids()[0]
        at_rest = len(gateway.fds(worker))
        crowd = Callers(gateway.data_port, key, callers, rng.randrange(1 << 30))
        began, early, n = time.monotonic(), None, 0
        while time.monotonic() - began < seconds:
            time.sleep(min(5.0, max(0.5, seconds / 10)))
            gateway.admin.patch("routes/r", {"description": "revision %d" % (n := n + 1)})
            for upstream in upstreams:                  # what they have heard would be the only thing that grows
                upstream.requests.clear()
                upstream.wires[:] = [wire for wire in upstream.wires if wire.end is None]
            if early is None and time.monotonic() - began > min(60.0, seconds / 3):
                early = rss(worker)
        crowd.stop()
        finish(gateway, upstreams, crowd, worker, at_rest, early, seconds >= 300, say)
        assert set(gateway.stop().values()) <= {0}
        assert not [line for daemon in gateway.daemons for line in daemon.complaints()], gateway.logs()[-4000:]
    finally:
        for upstream in upstreams:
            upstream.close()
        gateway.clean()


def finish(gateway, upstreams, crowd, worker, at_rest, early, long, say):
    wait_until(lambda: gateway.metrics().get("tidegate_requests_in_flight") == 0, 30, "nothing in flight")
    sent = crowd.seen["sent"]
    query = "usage?group_by=route&consumer=soak"
    rows = lambda: sum(row["requests"] for row in gateway.admin.get(query).json()["items"])
    wait_until(lambda: rows() >= sent, 30, "%d rows in the ledger; there are %d" % (sent, rows()), every=0.5)
    late, gauges = rss(worker), gateway.metrics()
    busy = sum(v for k, v in gauges.items() if k.startswith("tidegate_upstream_connections{") and 'state="busy"' in k)
    idle = sum(v for k, v in gauges.items() if k.startswith("tidegate_upstream_connections{") and 'state="idle"' in k)
    say("requests %d: %s" % (sent, ", ".join("%s %d" % pair for pair in sorted(crowd.seen.items()) if pair[0] != "sent")))
    say("memory %.1f MiB early, %.1f MiB late; descriptors %d at rest, %d now, of which %d idle to providers"
        % (early / 2 ** 20, late / 2 ** 20, at_rest, len(gateway.fds(worker)), idle))
    assert crowd.wrong == [], crowd.wrong[:5]
    assert rows() == sent, "one row for each request: %d rows, %d requests" % (rows(), sent)
    assert busy == 0 and gauges.get("tidegate_client_connections") == 0, gauges
    assert gauges.get("tidegate_usage_dropped_total", 0) == 0
    wait_until(lambda: len(gateway.fds(worker)) <= at_rest + idle + 4, 10, "descriptors as before")
    slack = 0 if long else 4 << 20              # an allocator that has not yet seen everything
    assert late <= early * 1.1 + slack, "memory: %d after the first part, %d at the end" % (early, late)
    assert crowd.seen["200"] > sent * 0.9


if __name__ == "__main__":
    try:
        run(float(sys.argv[1]) * 60)
    except AssertionError as problem:
        print("soak: %s" % problem)
        sys.exit(1)
    print("soak: everything is back where it was")
