"""Revoke, disable, expire, rotate: on every worker within two seconds, and an end of validity also without the control plane."""
import time

import httpx
import pytest

from harness.waiting import Stopwatch, wait_until

SECONDS = 2.0
BODY = {"model": "m", "messages": [{"role": "user", "content": "still there?"}]}


@pytest.fixture
def fleet(start_gateway, vllm_sim):
    """Three workers of their own ports, so that each can be asked by itself."""
    gateway = start_gateway(workers=3, split=True, own_ports=True)
    gateway.provider("p0", vllm_sim, type="vllm", served=False)
    gateway.route("r", "m", ("p0", "qwq-32b"), served=False)

    def statuses(key):
        out = []
        for port in gateway.data_ports:
            with httpx.Client(trust_env=False, verify=False, timeout=10) as client:
                out.append(client.post("http://127.0.0.1:%d/v1/chat/completions" % port, json=BODY, headers={"x-api-key": key}).status_code)
        return out
    gateway.statuses = statuses
    return gateway


def within(gateway, change, key, wanted):
    """Every worker must answer so at the latest two seconds after the change was acknowledged."""
    change()
    watch = Stopwatch()
    wait_until(lambda: gateway.statuses(key) == [wanted] * 3, 15, "%d from every worker" % wanted, every=0.02)
    took = watch.seconds()
    assert took <= SECONDS, "%.2f s until every worker answered %d" % (took, wanted)


def test_every_change_reaches_three_workers_in_time(fleet):
    admin, consumer = fleet.admin, fleet.consumer
    first = fleet.key()
    assert fleet.statuses(first) == [200] * 3
    [stored] = admin.get("consumers/%s/keys" % consumer).json()["items"]
    path = "consumers/%s/keys/%s" % (consumer, stored["id"])
    within(fleet, lambda: admin.patch(path, {"enabled": False}), first, 401)
    within(fleet, lambda: admin.patch(path, {"enabled": True}), first, 200)
    within(fleet, lambda: admin.patch("consumers/" + consumer, {"enabled": False}), first, 401)
    within(fleet, lambda: admin.patch("consumers/" + consumer, {"enabled": True}), first, 200)
    within(fleet, lambda: admin.patch("consumers/" + consumer, {"models": ["other"]}), first, 403)
    within(fleet, lambda: admin.patch("consumers/" + consumer, {"models": ["*"]}), first, 200)
    made = {}
    within(fleet, lambda: made.update(admin.post(path + "/rotate", {"grace": "0s"}).json()), first, 401)
    assert fleet.statuses(made["secret"]) == [200] * 3
    within(fleet, lambda: admin.delete("consumers/%s/keys/%s" % (consumer, made["id"])), made["secret"], 401)


def test_a_key_ends_in_time_without_the_control_plane(fleet):
    admin, consumer = fleet.admin, fleet.consumer
    fleet.key()
    began = time.time()
    fleet.statuses("tgk_nobody")
    fleet.wait_served()
    ends = time.time() + max(6, 10 * (time.time() - began))      # time to be stored, told to three workers and used before it ends
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ends))
    short = admin.post("consumers/%s/keys" % consumer, {"name": "short", "expires_at": stamp}).json()["secret"]
    fleet.wait_served()
    assert fleet.statuses(short) == [200] * 3
    fleet.daemon("control").kill()
    wait_until(lambda: fleet.statuses(short) == [401] * 3, ends - time.time() + 20, "the end of the key", every=0.1)
    assert time.time() >= int(ends), "not before its end"
    fleet.daemons = [d for d in fleet.daemons if d.name != "control"]


def test_a_connection_that_changes_its_key_and_a_key_that_changes_under_it(fleet):
    """One connection is remembered by the key that it sent last, and only for as long as the configuration stays."""
    admin, keys = fleet.admin, {name: fleet.key(name) for name in ("one", "two")}
    admin.patch("consumers/two", {"models": ["other"]})
    fleet.wait_served()
    port = fleet.data_ports[0]
    with httpx.Client(trust_env=False, verify=False, timeout=10, limits=httpx.Limits(max_connections=1)) as client:
        def ask(key):
            return client.post("http://127.0.0.1:%d/v1/chat/completions" % port, json=BODY, headers={"x-api-key": key}).status_code
        wrong = keys["one"][:-1] + ("x" if keys["one"][-1] != "x" else "y")
        assert [ask(key) for key in (keys["one"], keys["one"], keys["two"], wrong, keys["one"], wrong, keys["two"])] == \
            [200, 200, 403, 401, 200, 401, 403]
        admin.patch("consumers/two", {"models": ["*"]})
        fleet.wait_served()
        assert [ask(keys["two"]), ask(keys["two"])] == [200, 200]
        [stored] = admin.get("consumers/two/keys").json()["items"]
        admin.delete("consumers/two/keys/" + stored["id"])
        fleet.wait_served()
        assert [ask(keys["two"]), ask(keys["one"]), ask(keys["two"])] == [401, 200, 401]
