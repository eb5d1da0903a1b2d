"""
Every fault of a provider, for plain and streamed requests, with and without another target: what the client gets, how often who was
asked, and how it stands in the ledger. The expected rows are harness/fault_table.py, from which docs/faults.md is generated.
Rows F01 to F16 of docs/security.md.
"""
import json
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.impostors import Authority
from harness.fault_table import EXPECTED
from harness.faults import FAULTS, PLAIN, REFUSED, STRANGER
from harness.waiting import wait_until
from harness.worker import KEY, Upstream, Worker, answer_as_asked, answer_plainly, request

CELLS = [(fault, stream, fallback) for fault in FAULTS for stream in (False, True) for fallback in (False, True)]
# Long enough for two dozen clients and as many providers in one process of Python on a busy machine.
QUICK = {"connect": "5s", "first_byte": "5s", "idle": "5s", "total": "40s"}
ON = ["connect_error", "timeout", "rate_limited", "5xx", "429", "401", "402", "403", "404", "408"]
CONTENT = re.compile(rb"\r\n\r\n.*[^\r\n]", re.S)


def cell_name(index):
    return "c%03d" % index


def of_cell(upstream, name):
    return [head for head, _ in upstream.requests if (b" /%s/" % name.encode()) in head.split(b"\r\n", 1)[0]]


class Stage:
    """All cells behind one worker: a provider, a route and a model for each; one good upstream that they share."""

    def __init__(self, folder):
        stranger = Authority(folder, "stranger")
        self.good, self.bad = Upstream(answer_as_asked), {}
        for fault, (_, script) in FAULTS.items():
            if script == STRANGER:
                self.bad[fault] = Upstream(answer_plainly, stranger.server())
            else:
                self.bad[fault] = Upstream(answer_plainly if script in (REFUSED, PLAIN) else script)
            if script == REFUSED:
                self.bad[fault].close()
        self.heard = {cell_name(index): threading.Event() for index in range(len(CELLS))}
        for upstream in self.bad.values():
            upstream.heard = self.heard
        providers, routes = {}, {}
        for index, (fault, _, fallback) in enumerate(CELLS):
            name, upstream = cell_name(index), self.bad[fault]
            secure = FAULTS[fault][1] in (STRANGER, PLAIN)
            common = {"type": "openai", "timeouts": QUICK, "api_keys": [{"name": "k", "value": "sk-" + name}]}
            providers[name] = {**common, "base_url": "%s://127.0.0.1:%d/%s/v1" % ("https" if secure else "http", upstream.port, name)}
            routes[name] = {"match": {"models": [{"type": "exact", "value": name}]}, "targets": [{"provider": name, "model": "up"}]}
            if fallback:
                providers["g" + name] = {**common, "base_url": "http://127.0.0.1:%d/%s/v1" % (self.good.port, name)}
                routes[name]["fallback"] = {"enabled": True, "on": ON, "targets": [{"provider": "g" + name, "model": "up"}]}
        objects = {"providers": providers, "routes": routes, "consumers": {"app": {"keys": [{"id": "k", "secret": KEY, "enabled": True}]}},
                   "settings": {"settings": {"data_plane": {}}}}
        self.worker = Worker(folder, objects, loops=2)
        with ThreadPoolExecutor(24) as pool:
            self.seen = list(pool.map(self.play, range(len(CELLS))))
        self.worker.idle()
        self.metrics = self.worker.admin("/metrics")

    def play(self, index):
        """(status, shape, attempts, Retry-After) as the client of a cell sees it."""
        fault, stream, _ = CELLS[index]
        name = cell_name(index)
        talk = self.worker.talk(60)
        talk.send(request(model=name, **({"stream": True} if stream else {})))
        try:
            while CONTENT.search(talk.rest) is None:
                talk._fill()
            self.heard[name].set()
            head, body, ended = talk.stream()
        except ConnectionError:
            return 0, "no answer", 0, 0
        talk.close()
        lines = {k.strip().lower(): v.strip() for k, _, v in (l.partition(":") for l in head.decode("latin-1").split("\r\n")[1:])}
        assert "location" not in lines and "upgrade" not in lines and b"<script" not in body and b"sk-c" not in body
        wait = int(lines.get("retry-after", 0))
        assert 0 <= wait <= 300 and (wait or "retry-after" not in lines)
        return int(head.split()[1]), shape(lines, body, ended), int(lines.get("x-tidegate-attempts", 0)), wait

    def ledger(self, index):
        """(how often it was counted, end_reason) by the route's series."""
        rows = [line for line in self.metrics.split("\n")
                if line.startswith("tidegate_requests_total{") and 'route="%s"' % cell_name(index) in line]
        return sum(float(row.rpartition(" ")[2]) for row in rows), [row.split('end_reason="')[1].split('"')[0] for row in rows]

    def close(self):
        self.worker.stop()
        for upstream in (self.good, *self.bad.values()):
            upstream.close()


def shape(lines, body, ended):
    """In one word, what the client holds in its hands."""
    if lines.get("content-type", "").startswith("text/event-stream"):
        events = [line[6:] for line in body.decode().split("\n") if line.startswith("data: ")]
        if not ended:
            return "cut stream"
        if events and events[-1] == "[DONE]":
            return "stream"
        last = json.loads(events[-1]) if events else {}
        assert "error" in last and last["error"]["message"], "a broken stream ends in an error event"
        assert not any('"finish_reason": "' in event for event in events)
        return "stream, then error"
    if not ended:
        return "cut document"
    try:
        document = json.loads(body)
    except ValueError:
        return "nothing" if not body else "text"
    return "error" if "error" in document and "choices" not in document else "answer" if "choices" in document else "document"


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("matrix"))
    yield made
    made.close()


def found(stage, index):
    fault, _, _ = CELLS[index]
    name = cell_name(index)
    status, what, attempts, wait = stage.seen[index]
    counted, reasons = stage.ledger(index)
    return status, what, attempts, len(of_cell(stage.bad[fault], name)), len(of_cell(stage.good, name)), wait, counted, reasons


@pytest.mark.parametrize("index", range(len(CELLS)), ids=["%s-%s-%s" % (f, "stream" if s else "plain", "fallback" if b else "alone") for f, s, b in CELLS])
def test_fault_matrix(stage, index):
    fault, stream, fallback = CELLS[index]
    status, what, attempts, hits, good, wait, counted, reasons = found(stage, index)
    assert counted == 1, "one row in the ledger"
    expected = EXPECTED[fault][2 * stream + fallback]
    assert (status, what, attempts, hits, good, reasons[0]) == expected[:6]
    assert wait == expected[6] or (fault == "429 date" and 0 < wait <= expected[6]), "Retry-After; a date has come nearer meanwhile"


def test_fault_matrix_is_whole(stage):
    """Each fault has its row, and nothing is left of any of them."""
    assert set(EXPECTED) == set(FAULTS) and all(len(rows) == 4 for rows in EXPECTED.values())
    wait_until(lambda: stage.worker.metric("tidegate_requests_in_flight") == 0, 20, "nothing in flight")
    assert [error for upstream in stage.bad.values() for error in upstream.errors] == []
