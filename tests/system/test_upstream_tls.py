"""
Whom a worker talks to over TLS: certificates that are wrong in every way end with 502, the reason in the log, and not one byte of a request.
Threat T29; fault row F09.
"""
import ssl
import threading

import pytest

from harness.impostors import Authority
from harness.waiting import wait_until
from harness.worker import Upstream, Worker, answer_as_asked, config, request

BAD = {
    "expired": {"starts": -30, "ends": -1}, "not yet valid": {"starts": 5}, "another name": {"names": ("DNS:other.example",)},
    "another address": {"names": ("IP:127.0.0.2",)}, "only a common name": {"names": ()}, "signed by itself": {"itself": True},
    "1024 bit": {"kind": "weak"}, "wildcard of one level": {"names": ("DNS:*",)},
}


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    """A provider for each certificate, all trusting one authority; `stranger` is signed by another one of the same name."""
    folder = tmp_path_factory.mktemp("tls")
    own, other = Authority(folder), Authority(tmp_path_factory.mktemp("tls-other"))
    contexts = {name: own.server("bad%d" % i, **how) for i, (name, how) in enumerate(BAD.items())}
    contexts["stranger"] = other.server("stranger")
    contexts["TLS 1.1"] = own.server("old", newest=ssl.TLSVersion.TLSv1_1)
    contexts["good"] = own.server("good")
    contexts["TLS 1.2"] = own.server("twelve", newest=ssl.TLSVersion.TLSv1_2)
    upstreams = {name: Upstream(answer_as_asked, context) for name, context in contexts.items()}
    objects = {"providers": {}, "routes": {}, **{k: v for k, v in config().items() if k not in ("providers", "routes")}}
    for i, (name, upstream) in enumerate(upstreams.items()):
        objects["providers"]["p%d" % i] = {"type": "openai", "base_url": upstream.url, "api_keys": [{"name": "k", "value": "sk-secret"}],
                                          "tls": {"verify": True, "ca_pem": own.pem}, "timeouts": {"connect": "5s"}}
        objects["routes"]["r%d" % i] = {"match": {"models": [{"type": "exact", "value": name}]}, "targets": [{"provider": "p%d" % i, "model": "up"}]}
    worker = Worker(folder, objects)
    worker.upstreams = upstreams
    yield worker
    worker.idle()
    worker.stop()
    for upstream in upstreams.values():
        upstream.close()


@pytest.mark.parametrize("name", [*BAD, "stranger", "TLS 1.1"])
def test_nothing_is_said_to_the_wrong_peer(stand, name):
    status, _, body = stand.talk(20).send(request(model=name)).answer()
    assert status == 502 and b"tls" in body
    assert stand.upstreams[name].requests == [] and all(wire.seen == b"" for wire in stand.upstreams[name].wires)
    assert "TLS with" in stand.daemon.log()


@pytest.mark.parametrize("name", ["good", "TLS 1.2"])
def test_the_right_peer_is_served_plain_and_streamed(stand, name):
    for _ in range(3):
        assert stand.talk(20).send(request(model=name)).answer()[0] == 200
        head, body, ended = stand.talk(20).send(request(model=name, stream=True)).stream()
        assert b" 200 " in head and ended and body.rstrip().endswith(b"[DONE]")


def test_a_close_without_goodbye_is_a_truncation(tmp_path):
    """A body that runs until the end of the connection is whole only if TLS says that this was the end."""
    authority = Authority(tmp_path)
    polite = threading.Event()

    def script(wire):
        wire.request()
        wire.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")
        wire.json_body()
        if polite.is_set():
            try:
                wire.raw.unwrap()
            except (OSError, ssl.SSLError):
                pass
    upstream = Upstream(script, authority.server())
    worker = Worker(tmp_path, config(upstream, provider={"tls": {"verify": True, "ca_pem": authority.pem}}))
    head, body, ended = ask(worker)
    assert b" 502 " in head or not ended, "it may have been longer"
    polite.set()
    head, body, ended = ask(worker)
    assert b" 200 " in head and ended and b"hello" in body
    wait_until(lambda: worker.metric("tidegate_requests_in_flight") == 0, 20)
    worker.stop()
    upstream.close()


def ask(worker):
    talk = worker.talk(20).send(request(headers="connection: close\r\n"))
    return talk.stream()
