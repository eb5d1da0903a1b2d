"""
Lives of a worker: a successor takes over under load, configurations change under load, descriptors run out.
Threats T30, T32 of docs/security.md; fault rows F40 to F50.
"""
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.callers import Callers
from harness.daemon import bin_dir
from harness.rawhttp import Talk, exchange
from harness.waiting import wait_until
from harness.worker import Upstream, Worker, answer_as_asked, answer_plainly, chunk, config, request


def stream_all(port, n):
    """n streams under way: their first event has come."""
    talks = [Talk(port, 60) for _ in range(n)]
    for talk in talks:
        talk.send(request(stream=True))
    for talk in talks:
        while b"\n\n" not in talk.rest:
            talk._fill()
    return talks


def test_a_successor_takes_over_under_200_streams(tmp_path):
    """F42: kill -TERM with a second worker on the same port. No stream and no request fails."""
    go = threading.Event()

    def script(wire):
        while True:
            _, body = wire.request()
            if json.loads(body).get("stream"):
                wire.sse()
                wire.event(chunk("a"))
                go.wait(60)
                for i in range(20):
                    wire.event(chunk("word %d " % i))
                wire.event(chunk(None, "stop"))
                wire.event(b"[DONE]")
                wire.last_chunk()
            else:
                wire.json()
    upstream = Upstream(script)
    first = Worker(tmp_path, config(upstream), loops=2)
    streams = stream_all(first.port, 200)
    fresh, kept = Callers(first.port, 3), Callers(first.port, 2, keep=True)
    wait_until(lambda: fresh.done > 20, 20, "callers at work")
    second = Worker(tmp_path, config(upstream), loops=2, port=first.port, name="successor")
    wait_until(lambda: second.metric("tidegate_requests_total") > 5, 20, "the successor serving its share")
    first.daemon.send(signal.SIGTERM)
    wait_until(lambda: "draining" in first.daemon.log(), 10, "the predecessor draining")
    before = fresh.done
    wait_until(lambda: fresh.done > before + 100, 60, "callers at work on the successor alone")
    assert first.daemon.running, "it waits for its streams"
    go.set()
    for talk in streams:
        head, body, ended = talk.stream()
        assert b" 200 " in head and ended and body.rstrip().endswith(b"data: [DONE]") and body.count(b"word ") == 20
        talk.close()
    assert first.daemon.process.wait(60) == 0 and not first.daemon.complaints()
    assert fresh.stop().wrong == [] and kept.stop().wrong == [] and kept.done > 10
    second.idle()
    second.stop()
    upstream.close()


def test_half_a_request_is_heard_out(tmp_path):
    """Whoever has begun to speak when the worker is told to go gets an answer, and then a closed connection; for as long as heads may take."""
    upstream = Upstream(answer_plainly)
    worker = Worker(tmp_path, config(upstream, data_plane={"header_timeout": "20s"}))
    whole = request()
    begun, between, silent = worker.talk(30).send(whole[:40]), worker.talk(30), worker.talk(30)
    assert between.send(whole).answer()[0] == 200
    between.send(whole[:1])                              # half of the second request on a connection
    wait_until(lambda: worker.metric("tidegate_client_connections") == 3, 10, "all being there")
    assert worker.talk().send(whole).answer()[0] == 200, "and what they said having been read"
    worker.daemon.send(signal.SIGTERM)
    assert silent.closed(), "who has said nothing is let go"
    assert worker.daemon.running, "while it waits for the others"
    for talk, rest in ((begun, whole[40:]), (between, whole[1:])):
        status, headers, _ = talk.send(rest).answer()
        assert status == 200 and headers["connection"] == "close" and talk.closed()
    assert worker.daemon.process.wait(40) == 0 and not worker.daemon.complaints()
    assert len(upstream.requests) == 4
    upstream.close()


def test_half_a_request_does_not_hold_a_worker_for_ever(tmp_path):
    upstream = Upstream(answer_plainly)
    worker = Worker(tmp_path, config(upstream, data_plane={"header_timeout": "1s"}))
    begun = worker.talk(30).send(request()[:40])
    assert worker.talk().send(request()).answer()[0] == 200
    worker.daemon.send(signal.SIGTERM)
    assert begun.answer()[0] == 408 and begun.closed()
    assert worker.daemon.process.wait(40) == 0 and not worker.daemon.complaints()
    upstream.close()


def test_configurations_change_under_load(tmp_path):
    """Each request is served by one whole configuration, old or new, and none fails."""
    a, b = Upstream(answer_plainly), Upstream(answer_plainly)
    variants = [config(a, b), config(a, b, route={"targets": [{"provider": "p1", "model": "up"}]})]
    worker = Worker(tmp_path, variants[0], loops=2)
    callers = Callers(worker.port, 3), Callers(worker.port, 2, keep=True)
    for i in range(40):
        worker.change(variants[i % 2])
    for group in callers:
        assert group.stop().wrong == [] and group.done > 20
    assert a.requests and b.requests
    for upstream, key in ((a, b"sk-upstream-0"), (b, b"sk-upstream-1")):
        assert all(b"Bearer " + key in head for head, _ in upstream.requests), "never the address of one and the key of another"
    worker.idle()
    worker.stop()
    a.close()
    b.close()


def test_descriptors_run_out(tmp_path):
    """T32, F46: RLIMIT 256 and 1,000 clients. Who has no room is told so, the admin port answers, nothing spins."""
    upstream = Upstream(answer_plainly)
    worker = Worker(tmp_path, config(upstream), under=["prlimit", "--nofile=256:256"])
    assert worker.talk().send(request()).answer()[0] == 200
    at_rest = len(worker.fds())
    held, refused = [], 0
    for i in range(1000):
        raw = socket.create_connection(("127.0.0.1", worker.port), timeout=10)
        held.append(raw)
    for raw in held:
        raw.settimeout(0.0)
    admitted = []

    def look():
        for raw in list(held):
            try:
                data = raw.recv(4096)
            except BlockingIOError:
                continue
            except ConnectionResetError:
                data = b"reset"
            held.remove(raw)
            admitted.append(data)
            raw.close()
        return len(held) < 200
    wait_until(look, 20, "the others being refused")
    refused = [data for data in admitted if data.startswith(b"HTTP/1.1 503 ")]
    assert len(refused) == len(admitted) >= 800, "a sentence for each, never silence: %r" % [d[:80] for d in admitted if d not in refused][:3]
    assert all(b"\r\nretry-after: 1\r\n" in data and b'"overloaded"' in data for data in refused)
    assert len(worker.fds()) < 240
    for path in ("/healthz", "/readyz", "/metrics", "/snapshot"):
        assert worker.admin(path)
    # Those who are in are served; where no descriptor is left for the provider, the gateway blames itself.
    for raw in held:
        raw.settimeout(20)
        raw.sendall(request())
    answers = [raw.recv(4096).split(b"\r\n", 1)[0] for raw in held]
    assert set(answers) <= {b"HTTP/1.1 200 OK", b"HTTP/1.1 503 Service Unavailable"} and answers.count(b"HTTP/1.1 200 OK") > 20, set(answers)
    before = worker.cpu()
    time.sleep(1.0)
    assert worker.cpu() - before < 0.4, "it does not spin"
    for raw in held:
        raw.close()
    wait_until(lambda: worker.talk().send(request()).answer()[0] == 200, 20, "room again")
    idle = upstream.open()
    wait_until(lambda: len(worker.fds()) <= at_rest + idle, 10, "all descriptors back but those of idle connections to the provider")
    worker.idle()
    worker.stop()
    upstream.close()


def test_no_descriptor_for_a_provider_is_no_fault_of_its(tmp_path):
    """The provider's health stays as it was, no other target is asked, and the client may come again."""
    gate = threading.Event()

    def script(wire):
        while True:
            wire.request()
            gate.wait(60)
            wire.json()
    upstream, other = Upstream(script), Upstream(answer_plainly)
    fallback = {"fallback": {"enabled": True, "on": ["connect_error", "5xx"], "targets": [{"provider": "p1"}]}}
    worker = Worker(tmp_path, config(upstream, other, route=fallback), under=["prlimit", "--nofile=128:128"])
    talks = [worker.talk(20).send(request()) for _ in range(101)]
    wait_until(lambda: worker.metric("tidegate_client_connections") > 10, 10, "the limit")
    gate.set()
    statuses = []
    for talk in talks:
        try:
            status, headers, body = talk.answer()
        except ConnectionResetError:         # what it had sent came after there was room to read it
            continue
        statuses.append(status)
        if status != 200:
            assert status == 503 and int(headers["retry-after"]) >= 1 and json.loads(body)["error"]["code"] == "overloaded"
        talk.close()
    assert statuses.count(503) > 20 and statuses.count(200) > 3
    assert other.requests == []
    wait_until(lambda: worker.talk(20).send(request()).answer()[0] == 200, 10, "room again")
    for _ in range(5):
        status, headers, _ = worker.talk(20).send(request()).answer()
        assert (status, headers["x-tidegate-provider"], headers["x-tidegate-attempts"]) == (200, "p0", "1"), "nobody's health has suffered"
    worker.idle()
    worker.stop()
    upstream.close()
    other.close()


def test_a_stopped_worker_goes_on_where_it_was(tmp_path):
    """F43: SIGSTOP, SIGCONT: no request times out for time in which the worker did not run."""
    upstream = Upstream(answer_as_asked)
    worker = Worker(tmp_path, config(upstream, data_plane={"keepalive_idle": "30s"}))
    talks = [worker.talk(20) for _ in range(20)]
    for talk in talks:
        assert talk.send(request()).answer()[0] == 200
    os.kill(worker.daemon.pid, signal.SIGSTOP)
    for talk in talks:
        talk.send(request(stream=True))
    time.sleep(1.5)
    os.kill(worker.daemon.pid, signal.SIGCONT)
    for talk in talks:
        head, body, ended = talk.stream()
        assert b" 200 " in head and ended and b"[DONE]" in body
        talk.close()
    worker.idle()
    worker.stop()
    upstream.close()


def test_storms_of_signals(tmp_path):
    """F50: HUP, PIPE, USR and friends, hundreds of them, under load."""
    upstream = Upstream(answer_plainly)
    worker = Worker(tmp_path, config(upstream), loops=2)
    callers = Callers(worker.port, 3)
    for _ in range(100):
        for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGWINCH, signal.SIGCHLD, signal.SIGURG):
            os.kill(worker.daemon.pid, number)
    wait_until(lambda: callers.done > 50, 20, "requests served on")
    assert callers.stop().wrong == [] and worker.daemon.running
    worker.idle()
    worker.stop()
    upstream.close()


def test_a_log_that_nobody_reads_stops_nothing(tmp_path):
    """F49: stderr is a pipe that is full. Lines are dropped and counted; no loop waits for a log."""
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    held = os.open(fifo, os.O_RDWR)          # a reader that never reads
    upstream = Upstream(answer_plainly)
    worker = Worker(tmp_path, config(upstream), under=["sh", "-c", 'exec "$@" 2>"$0"', fifo])

    def dropped():
        os.kill(worker.daemon.pid, signal.SIGHUP)      # says what it serves
        return worker.metric("tidegate_log_dropped_total") > 0
    wait_until(dropped, 60, "the pipe being full", every=0.001)
    for _ in range(20):
        assert worker.talk().send(request()).answer()[0] == 200
    worker.idle()
    assert worker.daemon.stop() == 0
    os.close(held)
    upstream.close()


def test_half_open_clients_get_one_answer(tmp_path):
    """F22: a FIN from a client counts as gone; nothing hangs and nothing is left."""
    upstream = Upstream(answer_plainly)
    worker = Worker(tmp_path, config(upstream))
    for _ in range(20):
        exchange(worker.port, request(), half_close=True)
    worker.idle()
    assert worker.metric("tidegate_requests_in_flight") == 0
    worker.stop()
    upstream.close()


def sanitized():
    return b"__asan_init" in (bin_dir() / "tidegate-worker").read_bytes()


def test_no_memory_ends_with_a_report(tmp_path):
    """F45: out of memory is the end of the process, by design; it says so, and a supervisor starts the next one."""
    upstream = Upstream(answer_plainly)
    if sanitized():           # its allocator refuses what is larger than this
        how = {"env": {"ASAN_OPTIONS": "exitcode=99:allocator_may_return_null=1:max_allocation_size_mb=8"}}
    else:
        how = {"under": ["prlimit", "--as=%d" % (400 << 20)]}
    worker = Worker(tmp_path, config(upstream), **how)
    assert worker.talk().send(request()).answer()[0] == 200
    body = b'{"model":"m","x":"%s"}' % (b"y" * (30 << 20))
    talks = []
    try:
        for _ in range(30):
            talks.append(worker.talk(20))
            talks[-1].send(request(body, headers="x-request-id: too-much\r\n")[:-10])
            if not worker.daemon.running:
                break
    except OSError:
        pass
    assert worker.daemon.process.wait(60) == -signal.SIGABRT
    assert '"msg":"crashed"' in worker.daemon.log() and "signal=SIGABRT" in worker.daemon.log()
    assert "request=too-much step=body revision=1" in worker.daemon.log()
    upstream.close()


def control_group(limit):
    """A control group of so much memory: its folder. Skips where nobody may make one."""
    one = Path("/sys/fs/cgroup/memory")
    two = Path("/sys/fs/cgroup")
    name = "tidegate-test-%d" % os.getpid()
    try:
        folder = (one if one.is_dir() else two) / name
        folder.mkdir()
        (folder / ("memory.limit_in_bytes" if one.is_dir() else "memory.max")).write_text(str(limit))
    except OSError as error:
        pytest.skip("no control groups of memory here: %s" % error)
    return folder


def test_little_memory_is_shared_out_F44(tmp_path):
    """
    A worker with 160 MiB, and clients that send ten bodies of 9 MiB at once and do not end them: bodies get half of it. Who has no room is
    told so, the others are served, nobody is killed; and when they are gone all is as before.
    """
    folder, taken = control_group(160 << 20), []

    def script(wire):                       # without keeping what it reads
        waste = bytearray(1 << 20)
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = wire.raw.recv(4096)
                if not piece:
                    return
                head += piece
            head, _, rest = head.partition(b"\r\n\r\n")
            length, got = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]), len(rest)
            while got < length:
                got += wire.raw.recv_into(waste)
            taken.append(length)
            wire.json()
    upstream = Upstream(script)
    asan = {"ASAN_OPTIONS": "exitcode=99:detect_leaks=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=16"}
    try:
        worker = Worker(tmp_path, config(upstream), loops=2, env=asan,
                        under=["sh", "-c", 'echo $$ >%s/cgroup.procs && exec "$@"' % folder, "sh"])
        head, _, small = request(b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"y" * (9 << 20))).partition(b"\r\n\r\n")
        with ThreadPoolExecutor(10) as pool:
            talks = list(pool.map(lambda _: begin_upload(worker.port, head + b"\r\n\r\n" + small[:-1]), range(10)))

        def read_or_refused():
            for talk in talks:
                talk.refused = talk.refused or answered(talk)
            held = sum(not talk.refused for talk in talks)
            return worker.sleeps() and held * (9 << 20) <= worker.metric("tidegate_request_bodies_bytes") <= 80 << 20
        wait_until(read_or_refused, 40, "each of them being read or refused")
        refused = [talk for talk in talks if talk.refused]
        for talk in refused:
            status, headers, body = talk.answer()
            assert status == 503 and int(headers["retry-after"]) >= 1 and "as its memory allows" in json.loads(body)["error"]["message"]
        held = [talk for talk in talks if not talk.refused]
        assert 3 <= len(held) <= 6 and len(held) + len(refused) == 10, (len(held), len(refused))
        assert 'tidegate_memory_limit_bytes{by="control_group"} %d\n' % (160 << 20) in worker.admin("/metrics")
        assert worker.talk(20).send(request()).answer()[0] == 200, "a small one has room at any time"
        for talk in held:
            assert talk.send(small[-1:]).answer()[0] == 200
            talk.close()
        worker.idle()
        last = begin_upload(worker.port, head + b"\r\n\r\n" + small[:-1])
        assert not last.refused and last.send(small[-1:]).answer()[0] == 200
        last.close()
        assert sorted(taken)[1:] == [len(small) + 1] * (len(held) + 1), "whole, and with `up` for the model `m`"
        worker.idle()
        wait_until(lambda: worker.metric("tidegate_request_bodies_bytes") == 0, 10, "no body being held")
        worker.stop()
        upstream.close()
    finally:
        wait_until(lambda: not (folder / "cgroup.procs").read_text(), 10, "the group being empty")
        folder.rmdir()


def test_memory_may_be_given_by_an_option(tmp_path):
    """An operator allows 16 MiB: a body of 9 MiB has no room, a small one has, and the page of metrics says who decided."""
    upstream = Upstream()
    worker = Worker(tmp_path, config(upstream), env={"TIDEGATE_MEMORY_LIMIT": "16"})
    assert 'tidegate_memory_limit_bytes{by="option"} %d\n' % (16 << 20) in worker.admin("/metrics")
    large = begin_upload(worker.port, request(b'{"model":"m","messages":[{"role":"user","content":"%s"}]}' % (b"y" * (9 << 20))))
    status, _, body = large.answer()
    assert status == 503 and "as its memory allows" in json.loads(body)["error"]["message"]
    large.close()
    assert worker.talk().send(request()).answer()[0] == 200
    worker.idle()
    worker.stop()
    upstream.close()


def begin_upload(port, data):
    """Sends it all, unless an answer comes first."""
    talk = Talk(port, 60)
    talk.refused = False
    view = memoryview(data)
    for at in range(0, len(data), 1 << 18):
        if answered(talk):
            talk.refused = True
            break
        try:
            talk.raw.sendall(view[at:at + (1 << 18)])
        except OSError:
            talk.refused = True
            break
    return talk


def answered(talk):
    return bool(select.select([talk.raw], [], [], 0)[0])


CLOCK = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static long long shift(void)
{
	char text[32] = "";
	int fd = open(getenv("TEST_CLOCK_FILE"), O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (read(fd, text, sizeof text - 1) < 0)
			text[0] = 0;
		close(fd);
	}
	return atoll(text);
}
int clock_gettime(clockid_t id, struct timespec *t)
{
	int r = (int)syscall(SYS_clock_gettime, id, t);
	if (r == 0 && id == CLOCK_REALTIME)
		t->tv_sec += shift();
	return r;
}
time_t time(time_t *out)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}
"""


def test_the_clock_may_jump(tmp_path):
    """F47: hours, days, decades, back and forth. What runs goes on, and no limit of time is reached early or late."""
    source, library, offset = tmp_path / "clock.c", tmp_path / "clock.so", tmp_path / "offset"
    source.write_text(CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    offset.write_text("0")
    go = threading.Event()

    def script(wire):
        while True:
            _, body = wire.request()
            if b'"stream": true' not in body:
                wire.json()
                continue
            wire.sse()
            wire.event(chunk("a"))
            go.wait(60)
            wire.event(chunk("b", "stop"))
            wire.event(b"[DONE]")
            wire.last_chunk()
    upstream = Upstream(script)
    env = {"LD_PRELOAD": str(library), "TEST_CLOCK_FILE": str(offset),
           "ASAN_OPTIONS": "exitcode=99:detect_leaks=1:verify_asan_link_order=0"}
    worker = Worker(tmp_path, config(upstream, data_plane={"keepalive_idle": "30s"}, provider={"timeouts": {"idle": "60s"}}), env=env)
    streams, kept = stream_all(worker.port, 5), worker.talk(20)
    year = 365 * 86400
    for jump in (3600, -3600, -3 * 86400, 10 * year, 13 * year, -50 * year, 0):
        offset.write_text(str(jump))
        assert kept.send(request()).answer()[0] == 200, "a connection that was idle is still there"
        expected = time.gmtime(time.time() + jump).tm_year

        def shown():
            number, headers, _ = worker.talk(20).send(request()).answer()
            assert number == 200
            return abs(int(headers["date"].split()[3]) - expected) <= 1
        wait_until(shown, 20, "the wall clock being what is shown", every=0.1)
    go.set()
    for talk in streams:
        head, body, ended = talk.stream()
        assert ended and b"[DONE]" in body and b'"error"' not in body
        talk.close()
    kept.close()
    worker.idle()
    worker.stop()
    upstream.close()
