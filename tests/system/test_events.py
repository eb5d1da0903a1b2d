"""Server-sent events of the control plane: each says what changed, ends with the login, and costs nobody else anything."""
import json
import queue
import threading

import httpx
import pytest

from harness.admin import Admin
from harness.waiting import wait_until


class Listener:
    """Reads a stream on a thread of its own; `heard` is [(event, data)]."""

    def __init__(self, gateway, **how):
        self.heard, self.comments, self.status, self.over = [], 0, queue.Queue(), threading.Event()
        self.client = httpx.Client(base_url=gateway.console_url, trust_env=False, verify=False, timeout=httpx.Timeout(10, read=60), **how)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        try:
            with self.client.stream("GET", "/api/v1/events") as answer:
                self.status.put((answer.status_code, answer.headers))
                event = None
                for line in answer.iter_lines():
                    if line.startswith("event: "):
                        event = line[7:]
                    elif line.startswith("data: "):
                        self.heard.append((event, json.loads(line[6:])))
        except httpx.HTTPError:
            pass
        finally:
            self.over.set()

    def said(self, event):
        return [data for name, data in self.heard if name == event]


@pytest.fixture
def listen():
    listeners = []

    def start(gateway, **how):
        listeners.append(Listener(gateway, **how))
        return listeners[-1]
    yield start
    for listener in listeners:
        listener.client.close()


def test_what_changes_is_told(start_gateway, openai_sim, listen):
    gateway = start_gateway(split=True)
    headers = {"Authorization": gateway.admin.http.headers["Authorization"]} if "Authorization" in gateway.admin.http.headers else None
    listener = listen(gateway, headers=headers) if headers else listen(gateway, cookies=gateway.admin.http.cookies)
    status, head = listener.status.get(timeout=20)
    assert status == 200 and head["content-type"] == "text/event-stream" and head["cache-control"] == "no-store"
    [hello] = wait_until(lambda: listener.said("hello"), 20, "the greeting")
    assert set(hello) == {"revision", "nodes", "alerts", "series", "requests"} and hello["requests"] == 0
    gateway.provider("p1", openai_sim, served=False)
    gateway.route("r1", "gpt-4.1-nano", ("p1", None), served=False)
    key = gateway.key()
    gateway.wait_served()
    now = int(gateway.admin.get("overview").json()["revision"])
    wait_until(lambda: listener.said("revision") and listener.said("revision")[-1]["revision"] == now, 20, "the newest revision")
    answer = gateway.client(key).post("chat/completions", json={"model": "gpt-4.1-nano", "messages": [{"role": "user", "content": "hi"}]})
    assert answer.status_code == 200
    wait_until(lambda: listener.said("requests"), 30, "a new row of the request log")
    wait_until(lambda: listener.said("series"), 40, "new figures")
    before = len(listener.said("nodes"))
    gateway.daemon("worker-0").stop()
    wait_until(lambda: len(listener.said("nodes")) > before, 30, "a worker that left")
    gateway.admin.post("alerts", {"name": "ends", "watch": "certificate_expiry", "threshold": 100000, "for": "0s"})
    wait_until(lambda: listener.said("alerts"), 90, "an alert")
    gateway.start_worker(0)
    gateway.wait_served()


def test_a_stream_ends_with_the_login(gateway, listen):
    assert listen(gateway).status.get(timeout=20)[0] == 401
    gateway.admin.post("users", {"username": "watcher", "password": "correct horse battery", "role": "viewer"})
    browser = Admin(gateway.console_url)
    browser.login("watcher", "correct horse battery")
    listener = listen(gateway, cookies=browser.http.cookies)
    assert listener.status.get(timeout=20)[0] == 200
    wait_until(lambda: listener.said("hello"), 20, "the greeting")
    gateway.admin.delete("users/watcher")
    assert listener.over.wait(40), "nobody listens on without a login"
    browser.close()
