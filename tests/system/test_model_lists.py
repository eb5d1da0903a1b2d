"""
The list of models and the names that a refusal suggests, with ten routes and with ten thousand: a request that anybody with a key may send
must cost no more because there are many routes. Behaviour rule 26; docs/performance.md has the figures.
"""
import json

import pytest

from harness.waiting import wait_until
from harness.worker import KEY, Upstream, Worker, config, request

MANY = 10000
ONE = "tgk_key-of-who-may-use-one"


def objects_of(upstream, n, **more):
    """n routes for models m00000, m00001…; `app` may use all, `one` the last only."""
    made = config(upstream)
    made["routes"] = {"r%05d" % i: {"match": {"models": [{"type": "exact", "value": "m%05d" % i}], **more}, "targets": [{"provider": "p0", "model": "up"}]}
                      for i in range(n)}
    made["consumers"]["one"] = {"models": ["m%05d" % (n - 1)], "keys": [{"id": "k1", "secret": ONE, "enabled": True}]}
    return made


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Two workers, alike but for the number of routes."""
    upstream = Upstream()
    few = Worker(tmp_path_factory.mktemp("few"), objects_of(upstream, 10))
    many = Worker(tmp_path_factory.mktemp("many"), objects_of(upstream, MANY))
    yield few, many
    for worker in few, many:
        worker.idle()
        worker.stop()
    upstream.close()


def models(worker, key=KEY, path="/v1/models"):
    status, _, body = worker.talk(60).send(request(method="GET", path=path, key=key)).answer()
    return status, json.loads(body)


def names(worker, key=KEY, path="/v1/models"):
    status, body = models(worker, key, path)
    assert status == 200
    return [row["id"] for row in body["data"]]


def cost(worker, data, n=300):
    """Seconds of processor for a request of these bytes; the machine's load has no part in it."""
    talk = worker.talk(60)
    talk.send(data).answer()
    before = worker.ran()
    for _ in range(n):
        talk.send(data).answer()
    talk.close()
    return (worker.ran() - before) / n


def test_a_list_names_what_would_be_accepted(house):
    few, many = house
    assert names(few) == ["m%05d" % i for i in range(10)] and names(few, ONE) == ["m00009"]
    assert names(many, ONE) == ["m%05d" % (MANY - 1)], "the last of ten thousand"
    listed = names(many)
    assert len(listed) == 5000 and listed == sorted(set(listed)), "as many as a list has at most"
    assert names(many) == listed and names(many, ONE) == ["m%05d" % (MANY - 1)], "and the same again, from what was kept"


def test_one_model_is_found_without_a_list(house):
    for worker, last in zip(house, (9, MANY - 1)):
        assert models(worker, ONE, "/v1/models/m%05d" % last)[1]["id"] == "m%05d" % last
        status, body = models(worker, ONE, "/v1/models/m00003")
        assert status == 404 and "`m00003` does not exist here, or your key may not use it" in body["error"]["message"]
        assert models(worker, KEY, "/v1/models/m00003")[0] == 200 and models(worker, KEY, "/v1/models/nothing")[0] == 404


def test_a_refusal_suggests_some(house):
    few, many = house
    said = lambda worker, key: json.loads(worker.talk().send(request(model="no", key=key)).answer()[2])["error"]["message"]
    assert said(few, KEY) == "The model `no` is not served here; your key may use: %s." % ", ".join("m%05d" % i for i in range(10))
    assert said(few, ONE) == "The model `no` is not served here; your key may use: m00009."
    assert said(many, KEY).startswith("The model `no` is not served here; your key may use, among others: m")
    assert said(many, ONE) == "The model `no` is not served here; your key may use, among others: m%05d." % (MANY - 1)


@pytest.mark.parametrize("what", ["model that nobody serves", "model that is not allowed", "list", "one model", "model that is served"])
def test_ten_thousand_routes_cost_what_ten_do(house, what):
    few, many = house
    data = {"model that nobody serves": request(model="no"), "model that is not allowed": request(model="m00001", key=ONE),
            "list": request(method="GET", path="/v1/models", key=ONE), "one model": request(method="GET", path="/v1/models/m00001"),
            "model that is served": request(model="m00001")}[what]
    assert cost(many, data) < 4 * cost(few, data)


def test_lists_are_made_in_slices(tmp_path, house):
    """Twelve clients want lists that nobody kept; others are served meanwhile, and one that leaves is forgotten."""
    upstream = Upstream()
    objects = objects_of(upstream, MANY, headers=[{"name": "x-kind", "type": "prefix", "value": "a"}])   # so that no list is kept
    worker = Worker(tmp_path, objects)
    ask = request(method="GET", path="/v1/models", headers="x-kind: a\r\n")
    waiting = [worker.talk(60).send(ask) for _ in range(12)]
    wait_until(lambda: worker.metric("tidegate_requests_in_flight") == 12, 20, "all of them waiting")
    waiting.pop(3).reset()
    others = worker.talk(60)                              # that they are sent at once keeps a busy machine's client out of it
    others.send(b"".join(request(method="GET", path="/v1/models/m%05d" % i, headers="x-kind: a\r\n") for i in range(50)))
    assert [others.answer()[0] for _ in range(50)] == [200] * 50
    assert worker.metric("tidegate_requests_in_flight") >= 9, "fifty requests have overtaken nearly all of them"
    for talk in waiting[9:]:
        talk.reset()
    worker.change(config(upstream))                       # they go on with the configuration that they began with
    for talk in waiting[:9]:
        status, _, body = talk.answer()
        assert status == 200 and len(json.loads(body)["data"]) == 5000
    worker.idle()
    assert names(worker) == ["m"]
    worker.stop()
    upstream.close()
