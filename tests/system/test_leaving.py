"""
Clients that leave, a thousand in each phase of a request: the provider is let go within a second, nothing is tried afterwards, nothing is
kept, and each request has exactly one row in the ledger. Behaviour rule 8; fault row F19; threat T25.
"""
import time

import pytest

from harness.crowd import SSE, BlackHole, Clients, Crowd
from harness.daemon import MEMORY_IS_MEASURED
from harness.waiting import Stopwatch, wait_until
from harness.worker import Upstream, answer_plainly, request

N, BATCH = 1000, 250
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"tide"},"finish_reason":null}]}\n\n'
CHUNK = b"%x\r\n%s\r\n" % (len(EVENT), EVENT)
HALF = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"id":"c","choices":[{"message":{"content":"' + b"half " * 50
AGAIN = b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\nretry-after: 2\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture(scope="module")
def stand():
    """Control plane and worker; the quarantine of a sanitizer is kept small, because memory is measured."""
    from harness.fixtures import end
    from harness.gateway import Gateway
    gateway = Gateway(split=True, env=MEMORY_IS_MEASURED)
    gateway.start()
    gateway.set_up()
    other = Upstream(answer_plainly)
    gateway.admin.post("providers", {"name": "other", "type": "openai", "base_url": other.url, "api_keys": [{"name": "k", "value": "sk-o"}]})
    gateway.key = gateway.key("app")
    gateway.other = other
    gateway.left = 0
    yield gateway
    end(gateway)
    other.close()
    gateway.clean()


def rss(pid):
    with open("/proc/%d/status" % pid) as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) << 10


PHASES = {
    # name: (what the provider says, members of the request, of the provider, of the route)
    "queued": (b"", {}, {"pool": {"max_connections": 1, "max_queue": 2000}, "timeouts": {"queue": "60s"}}, {}),
    "connecting": (None, {}, {"timeouts": {"connect": "60s"}}, {}),
    "waiting": (b"", {}, {}, {}),
    "before the first token": (SSE, {"stream": True}, {}, {}),
    "mid-stream": (SSE + CHUNK, {"stream": True}, {}, {}),
    "half a document": (HALF, {}, {}, {}),
    "pausing": (AGAIN, {}, {"on_status": {"500": "retry_same"}}, {"fallback": {"enabled": False}}),   # a PAUSE, then once more
}
PAUSE = 1.9      # seconds; it is two
LIMIT = 1.0      # seconds


@pytest.mark.parametrize("phase", list(PHASES))
def test_a_thousand_clients_leave(stand, phase):
    act, members, provider, route = PHASES[phase]
    name = "p-" + phase.replace(" ", "-")
    upstream = BlackHole() if act is None else Crowd(act)
    worker = stand.worker_pids()[0]
    stand.admin.post("providers", {"name": name, "type": "openai", "base_url": upstream.url, "api_keys": [{"name": "k", "value": "sk-x"}], **provider})
    stand.admin.post("routes", {"name": name, "match": {"models": [{"type": "exact", "value": name}]}, "targets": [{"provider": name, "model": "up"}],
                                "retry": {"attempts": 3, "on": ["connect_error", "5xx"]},
                                "fallback": {"enabled": True, "on": ["connect_error", "timeout", "5xx"], "targets": [{"provider": "other"}]}, **route})
    stand.wait_served()
    data = request(model=name, key=stand.key, **members)
    flight = lambda: stand.metrics().get("tidegate_requests_in_flight", 0)
    holder = Clients(stand.data_port, 1, data) if phase == "queued" else None
    if holder:
        wait_until(lambda: upstream.requests == 1, 10, "the only connection being taken")
    at_rest, took, memory = len(stand.fds(worker)), {"reset": [], "fin": []}, []
    size, left, again = BATCH, 0, 0
    if phase == "pausing":
        size = 100                                   # all should have left before the first pause is over
    while left < N:
        size = min(size, N - left)
        how, before, came = "reset" if len(memory) % 2 == 0 else "fin", upstream.requests if act is not None else 0, time.monotonic()
        clients = Clients(stand.data_port, size, data)
        if phase == "queued":
            wait_until(lambda: flight() == BATCH + 1, 20, "all being queued")
            assert upstream.requests == 1
        elif phase == "connecting":
            wait_until(lambda: flight() == BATCH and upstream.knocking() >= BATCH, 20, "all being connected")
        else:
            wait_until(lambda: upstream.requests >= before + size, 20, "all being asked")
        if act and act.startswith(SSE + CHUNK):
            clients.hear(b"tide")
        elif act is HALF:
            clients.hear(b"half half")
        gone = 0 if act is None else len(upstream.ended)
        watch = Stopwatch()
        began = clients.leave(how)
        if act is None:
            wait_until(lambda: upstream.knocking() <= len(upstream.plugs), 10, "no more knocking")
        elif phase not in ("queued", "pausing"):
            wait_until(lambda: len(upstream.ended) >= gone + BATCH, 10, "all connections being let go")
            stood_still = time.monotonic() - began - watch.seconds()
            took[how].append(max(at for at, _ in upstream.ended[gone:]) - began - stood_still)
        wait_until(lambda: flight() == (1 if holder else 0), 10, "nothing in flight")
        if phase in ("queued", "connecting", "pausing"):
            took[how].append(watch.seconds())
        if phase == "pausing" and time.monotonic() - came > PAUSE:      # on so slow a machine the first pauses were over before all had left
            again, size = again + upstream.requests - before - size, max(10, size // 2)
        left += len(clients.raws)
        memory.append(rss(worker))
    if holder:
        holder.leave()
        wait_until(lambda: flight() == 0, 10, "nothing in flight")
        assert upstream.requests == 1, "who has left the queue is never asked for"
    stand.left += N + (1 if holder else 0)
    # Within a second; half of the times, since the machine may be busy with others for one.
    assert all(sorted(times)[(len(times) - 1) // 2] < LIMIT for times in took.values()), took
    assert stand.other.requests == [], "no later attempt"
    if act is not None:
        assert upstream.requests == (1 if holder else N + again)
    idle = upstream.connections if phase == "pausing" else 0      # its answers were whole, so these are kept
    wait_until(lambda: len(stand.fds(worker)) <= at_rest + idle + 4, 10, "descriptors as before")
    assert memory[-1] <= memory[0] * 1.1 + (4 << 20), memory
    if phase == "pausing":
        stand.backing_off, stand.asked, stand.left_at = upstream, N + again, time.monotonic()
    else:
        upstream.close()


def test_each_of_them_has_one_row(stand):
    def rows():
        items = stand.admin.get("usage?group_by=route&consumer=app").json()["items"]
        return items if sum(row["requests"] for row in items) >= stand.left else None
    items = wait_until(rows, 30, "%d rows in the ledger" % stand.left, every=0.2)
    assert sum(row["requests"] for row in items) == stand.left == N * len(PHASES) + 1
    ends = [(name, value) for name, value in stand.metrics().items() if name.startswith("tidegate_requests_total{") and value]
    assert sum(value for _, value in ends) == stand.left and all('end_reason="client_closed"' in name for name, _ in ends)
    wait_until(lambda: time.monotonic() - stand.left_at > 3, 10, "the pauses being over")
    assert stand.backing_off.requests == stand.asked, "who has left in a pause is not asked for again when it is over"
    stand.backing_off.close()
