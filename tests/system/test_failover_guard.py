"""Rule 32, T09: however an address is spelt, link-local and metadata addresses are never dialled, private ones only where configured."""
import json

import pytest

from harness.worker import KEY, Upstream, Worker, request

NEVER = ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]",
         "[::]", "0.0.0.0", "100.100.100.200", "192.0.0.192", "168.63.129.16", "[fd00:ec2::254]", "224.0.0.1", "255.255.255.255",
         # what only the resolver understands: one number, hexadecimal, octal, short forms
         "2852039166", "0xa9fea9fe", "0xa9.0xfe.0xa9.0xfe", "0251.0376.0251.0376", "169.254.43518", "0"]
PRIVATE = ["127.0.0.1", "localhost", "[::1]", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]


def objects(hosts, port, **provider):
    names = {"p%d" % i: host for i, host in enumerate(hosts)}
    return {"providers": {name: {"type": "openai-compatible", "base_url": "http://%s:%d/v1" % (host, port), "timeouts": {"connect": "2s"},
                                 **provider} for name, host in names.items()},
            "consumers": {"app": {"keys": [{"id": "k", "secret": KEY, "enabled": True}]}},
            "routes": {"r-" + name: {"match": {"models": [{"type": "exact", "value": name}]}, "targets": [{"provider": name}]} for name in names}}


@pytest.fixture
def upstream():
    made = Upstream()
    yield made
    made.close()


@pytest.mark.parametrize("hosts, more", [(NEVER, {}), (PRIVATE, {"allow_private": False})], ids=["never", "private, not configured"])
def test_no_spelling_gets_through_T09(tmp_path, upstream, hosts, more):
    worker = Worker(tmp_path, objects(hosts, upstream.port, **more))
    through = []
    for i, host in enumerate(hosts):
        body = json.dumps({"model": "p%d" % i, "messages": [{"role": "user", "content": "x"}]}).encode()
        number, _, answer = worker.talk(10).send(request(body)).answer()
        if number != 502 or b"blocked" not in answer:
            through.append((host, number, answer))
    assert not through and upstream.wires == []
    worker.idle()
    worker.stop()


def test_a_configured_private_address_works(tmp_path, upstream):
    worker = Worker(tmp_path, objects(["127.0.0.1", "localhost"], upstream.port))
    for i in range(2):
        body = json.dumps({"model": "p%d" % i, "messages": [{"role": "user", "content": "x"}]}).encode()
        assert worker.talk().send(request(body)).answer()[0] == 200
    worker.idle()
    worker.stop()
