"""A worker that crashes says which request, which step and which revision. That a supervisor starts it again is tested in test_resilience.py."""
import calendar
import json
import os
import re
import signal
import threading
import time

import pytest

from harness.waiting import wait_until
from harness.worker import Upstream, Worker, chunk, config, request


@pytest.mark.parametrize("number, name, step", [(signal.SIGABRT, "SIGABRT", "wait"), (signal.SIGSEGV, "SIGSEGV", "relay"), (signal.SIGBUS, "SIGBUS", "body")])
def test_a_crash_names_its_request(tmp_path, number, name, step):
    asked, go = threading.Event(), threading.Event()

    def script(wire):
        wire.request()
        if step == "relay":
            wire.sse()
            wire.event(chunk("a"))
        asked.set()
        go.wait(20)
    upstream = Upstream(script)
    worker = Worker(tmp_path, config(upstream), loops=2)
    worker.change(config(upstream))          # revision 2
    talk = worker.talk(20)
    data = request(stream=step == "relay", headers="x-request-id: the-one-to-blame\r\n")
    if step == "body":
        talk.send(data[:-5])
        wait_until(lambda: worker.metric("tidegate_requests_in_flight") == 1, 20, "the request having begun")
    else:
        talk.send(data)
        assert asked.wait(10)
        if step == "relay":
            while b"\n\n" not in talk.rest:
                talk._fill()
    wait_until(worker.sleeps, 20, "the step having been reached")
    began = time.time()
    os.kill(worker.daemon.pid, number)
    worker.daemon.process.wait(20)
    go.set()
    upstream.close()
    if number != signal.SIGABRT and "AddressSanitizer" in worker.daemon.log():
        assert worker.daemon.process.returncode == 99, "a sanitizer has the last word"
    else:
        assert worker.daemon.process.returncode == -number
    line = next(l for l in worker.daemon.log().split("\n") if '"msg":"crashed"' in l)
    entry = json.loads(line)
    assert entry["level"] == "alert" and entry["program"] == "tidegate-worker"
    assert abs(calendar.timegm(time.strptime(entry["ts"][:19], "%Y-%m-%dT%H:%M:%S")) - began) < 60
    detail = entry["detail"]
    assert "signal=%s sender=%d " % (name, os.getpid()) in detail and re.search(r" build=\d+\.\d+", detail)
    assert re.search(r" loop=[01] request=the-one-to-blame step=%s revision=2 " % step, detail), detail
    assert re.search(r" stack=(\+?0x[0-9a-f]+,?){3,}$", detail), detail
