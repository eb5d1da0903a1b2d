"""Counters that all workers share: one Redis, sentinels, a cluster; and what holds when it is refused, slow or frozen."""
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.admin import faults
from harness.redis import Redis, cluster, running, sentinels
from harness.waiting import wait_until

ASK = [{"role": "user", "content": "say something"}]
PASSWORD = "canary-redis-9c4f21d7"


def chat(client, **more):
    return client.post("/chat/completions", json={"model": "m", "messages": ASK, **more})


def use(gateway, url, **more):
    gateway.admin.patch("settings", {"counters": {"backend": "redis", "url": url, **more}})
    gateway.wait_served()


def away(gateway):
    return [gateway.metrics(i)["tidegate_shared_counters_away"] for i in range(gateway.workers)]


def reached(gateway):
    """Every loop of every worker says so in its log."""
    return wait_until(lambda: gateway.logs().count("shared counters are reached") >= gateway.workers, 10, "Redis reached by all workers")


def reservations(gateway):
    return sum(gateway.metrics(i)["tidegate_reservations_open"] for i in range(gateway.workers))


def limited(gateway, plugins, sim, name=None):
    sim.behave(tokens=80)
    gateway.provider("p", sim, served=False)
    gateway.route(name or "r", "m", ("p", "gpt-4o-mini"), plugins=plugins)
    return gateway.key()


def test_three_workers_share_one_budget(start_gateway, openai_sim):
    """50 at once against a budget for ten, on three workers with one Redis; then rest: nothing is open anywhere."""
    with running(Redis()) as (redis,):
        gateway = start_gateway(workers=3, split=True)
        key = limited(gateway, {"token-ratelimit": {"tokens": 1000, "window": "1h"}}, openai_sim)
        use(gateway, redis.url, on_failure="closed")     # on a machine too busy to answer in time nobody is admitted by guess
        reached(gateway)
        openai_sim.behave(hold=True)
        with ThreadPoolExecutor(50) as pool:
            calls = [pool.submit(lambda: chat(gateway.client(key), max_tokens=80, stream=True)) for _ in range(50)]
            wait_until(lambda: sum(call.done() for call in calls) >= 38, 30, "the refusals")
            openai_sim.release()
            answers = [call.result() for call in calls]
        ok = [a for a in answers if a.status_code == 200]
        assert len(ok) + sum(a.status_code == 429 for a in answers) == 50
        spent = sum(row["prompt_tokens"] + row["completion_tokens"] for row in gateway.usage(requests=50))
        each = spent / len(ok)
        guessed = sum(gateway.metrics(i)["tidegate_degraded_admissions_total"] for i in range(3))
        assert spent <= 1000 + each and (guessed or 1000 / each - 2 < len(ok)), (len(ok), each)
        assert spent == sum(openai_sim.issued.values())
        wait_until(lambda: reservations(gateway) == 0, 5, "no reservation open")
        name = next(k for k in redis.command("KEYS", "tg:*").split("\n") if not k.endswith(":l"))
        wait_until(lambda: redis.command("HGET", name, "o") == "0", 5, "no lease open in Redis")
        assert redis.command("ZCARD", name + ":l") == "0"
        slots = redis.command("HGETALL", name).split("\n")
        settled = sum(int(v) for k, v in zip(slots[::2], slots[1::2]) if k.startswith("n"))
        assert settled == spent, "the counter is the ledger's sum"


def test_without_redis_each_worker_grants_its_share(start_gateway, openai_sim):
    """Two workers, and nobody at Redis' address: each lets half of the limit through."""
    gateway = start_gateway(workers=2, split=True)
    key = limited(gateway, {"request-ratelimit": {"limit_by": "all", "requests": 10, "window": "1h", "algorithm": "sliding_window"}}, openai_sim)
    use(gateway, Redis().url)
    wait_until(lambda: away(gateway) == [1, 1], 10, "Redis missed by both")
    answers = [chat(gateway.client(key), max_tokens=1) for _ in range(60)]
    per_worker = {a.headers["x-ratelimit-limit-requests"] for a in answers}
    assert per_worker == {"5"} and sum(a.status_code == 200 for a in answers) <= 10, per_worker
    live = gateway.admin.get("routes/r/limits").json()
    assert live["workers"] == 2 and sum(item["limit"] for item in live["items"]) == 10


@pytest.fixture
def one(start_gateway, openai_sim):
    """A gateway of one worker whose limits are in `redis`: one(redis, plugins, **counters) gives a client."""
    def make(redis, plugins, wait=True, **counters):
        gateway = make.gateway = start_gateway()
        gateway.secrets.add(PASSWORD)
        key = limited(gateway, plugins, openai_sim)
        use(gateway, redis if isinstance(redis, str) else redis.url, **counters)
        if wait:
            reached(gateway)
        return gateway.client(key)
    make.sim = openai_sim
    return make


ALL_KINDS = {
    "request-ratelimit": {"limit_by": "all", "requests": 3, "window": "1h", "algorithm": "token_bucket"},
    "token-ratelimit": {"limit_by": "consumer", "tokens": 100000, "window": "1h"}, "concurrency": {"limit_by": "all", "calls": 5}}


def three_then_no_more(client, gateway):
    """A refusal by one of three counters leaves the others as they were."""
    assert [chat(client, max_tokens=5).status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    last = chat(client, max_tokens=5)
    assert int(last.headers["retry-after"]) >= 1 and last.headers["x-ratelimit-remaining-requests"] == "0"
    spent = sum(row["prompt_tokens"] + row["completion_tokens"] for row in gateway.usage(requests=6))
    assert int(last.headers["x-ratelimit-limit-tokens"]) - int(last.headers["x-ratelimit-remaining-tokens"]) == spent
    assert gateway.metrics()["tidegate_degraded_admissions_total"] == 0


def test_redis_with_a_password_and_another_database(one):
    with running(Redis("--user", "gate", "on", ">" + PASSWORD, "~tg:*", "+@all", "--user", "default", "on", "nopass", "+ping", "+keys", "+select", "~*")) as (redis,):
        client = one(redis.url + "/3", ALL_KINDS, username="gate", password=PASSWORD)
        three_then_no_more(client, one.gateway)
        shown = one.gateway.admin.get("settings").json()["counters"]
        assert shown["password"]["last4"] == PASSWORD[-4:] and PASSWORD not in str(shown)
        assert "tg:" in redis.command("-n", "3", "KEYS", "*")


def test_redis_over_tls(one, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj",
                    "/CN=redis", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key", "-out", tmp_path / "cert"],
                   check=True, capture_output=True)
    tls = ["--tls", "--cacert", str(tmp_path / "cert")]
    with running(Redis("--tls-cert-file", tmp_path / "cert", "--tls-key-file", tmp_path / "key", "--tls-ca-cert-file", tmp_path / "cert",
                       "--tls-auth-clients", "no", tls=tls)) as (redis,):
        client = one(redis, ALL_KINDS, ca_pem=(tmp_path / "cert").read_text())
        three_then_no_more(client, one.gateway)
        use(one.gateway, redis.url, ca_pem="")                     # without it the certificate is nobody's
        wait_until(lambda: away(one.gateway) == [1], 10, "the wrong certificate noticed")


def test_redis_sentinels_name_the_master(one):
    with sentinels(password=PASSWORD) as (guard, master):
        client = one(guard, ALL_KINDS, mode="sentinel", master_name="mymaster", password=PASSWORD)
        three_then_no_more(client, one.gateway)
        assert "tg:" in master.command("KEYS", "*")


def test_another_master_takes_over(one):
    """Under load: the old one says that it is read-only, the sentinel names the new one, and no call fails."""
    with sentinels() as (guard, old), running(Redis()) as (new,):
        client = one(guard, {"concurrency": {"limit_by": "all", "calls": 100000}, "request-ratelimit": {"limit_by": "all", "requests": 1000000}},
                     mode="sentinel", master_name="mymaster")
        one.sim.behave(tokens=1)
        stop, wrong, done = threading.Event(), [], []

        def load():
            while not stop.is_set() and not wrong:
                answer = chat(client, max_tokens=1)
                (done if answer.status_code == 200 else wrong).append(answer.text)
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(load) for _ in range(8)]
            try:
                wait_until(lambda: len(done) >= 50, 30, "load")
                guard.command("SENTINEL", "REMOVE", "mymaster")
                guard.command("SENTINEL", "MONITOR", "mymaster", "127.0.0.1", new.port, 1)
                old.command("REPLICAOF", "127.0.0.1", new.port)
                wait_until(lambda: "tg:" in new.command("KEYS", "*"), 20, "the new master to count")
                before = len(done)
                wait_until(lambda: len(done) >= before + 50 or wrong, 30, "load at the new master")
            finally:
                stop.set()
            for call in calls:
                call.result()
        assert not wrong, wrong[:3]
        wait_until(lambda: reservations(one.gateway) == 0, 5, "no reservation open")
        wait_until(lambda: away(one.gateway) == [0], 5, "the new master reached")


def test_redis_cluster(one):
    with cluster() as nodes:
        client = one(nodes[0], ALL_KINDS, mode="cluster", members=["127.0.0.1:%d" % nodes[1].port])
        three_then_no_more(client, one.gateway)
        keys = [key for node in nodes for key in node.command("KEYS", "tg:*").split() if not key.endswith(":l")]
        assert len({nodes[0].command("CLUSTER", "KEYSLOT", key) for key in keys}) == 3, "the counters of a request stand in three slots"
        wait_until(lambda: all(node.command("HGET", k, "o") in ("0", "") for node in nodes for k in node.command("KEYS", "tg:*").split()
                               if not k.endswith(":l")), 5, "what was granted beside a refusal is given back")


def test_redis_forgets_its_scripts(one):
    with running(Redis()) as (redis,):
        client = one(redis, ALL_KINDS)
        assert chat(client).status_code == 200
        redis.command("SCRIPT", "FLUSH")
        assert [chat(client).status_code for _ in range(3)] == [200, 200, 429]
        assert one.gateway.metrics()["tidegate_degraded_admissions_total"] == 0


@pytest.mark.parametrize("policy, answers", [("open", [200] * 5), ("closed", [429] * 5), ("local_share", [200, 200, 200, 429, 429])])
def test_start_without_redis(one, policy, answers):
    nobody = Redis()
    client = one(nobody, ALL_KINDS, wait=False, on_failure=policy)
    wait_until(lambda: away(one.gateway) == [1], 10, "Redis missed")
    assert [chat(client).status_code for _ in range(5)] == answers
    with running(nobody):
        wait_until(lambda: away(one.gateway) == [0], 5, "Redis found")
        three_then_no_more_requests = [chat(client, max_tokens=5).status_code for _ in range(4)]
        assert three_then_no_more_requests == [200, 200, 200, 429], "from now on Redis counts"
        lines = [line for line in one.gateway.logs().split("\n") if "shared counters" in line]
    assert ["cannot be reached" in line for line in lines] == [True, False], "one line a change: %s" % lines
    wait_until(lambda: away(one.gateway) == [1], 10, "Redis missed again")


def test_a_frozen_redis_costs_nobody_much(one):
    """Under load: what waits is decided within 100 ms by the policy, later ones do not wait; back within five seconds."""
    with running(Redis()) as (redis,):
        client = one(redis, {"concurrency": {"limit_by": "all", "calls": 100000}, "request-ratelimit": {"limit_by": "all", "requests": 1000000}})
        one.sim.behave(tokens=1)
        took, stop, wrong = [], threading.Event(), []

        def load():
            while not stop.is_set():
                began = time.monotonic()
                answer = chat(client, max_tokens=1)
                took.append(time.monotonic() - began)
                if answer.status_code != 200:
                    wrong.append(answer.text)
        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: len(took) >= 200, 30, "load")
            usual = sorted(took)[len(took) // 2]
            redis.freeze()
            before = len(took)
            calm = sorted(took)[before * 99 // 100]
            wait_until(lambda: away(one.gateway) == [1], 5, "the frozen Redis noticed")
            wait_until(lambda: len(took) >= before + 500, 60, "load while it is frozen")
            redis.thaw()
            thawed = time.monotonic()
            wait_until(lambda: away(one.gateway) == [0], 5, "Redis reached again")
            assert time.monotonic() - thawed <= 5
        finally:
            redis.thaw()
            stop.set()
            for thread in threads:
                thread.join()
        assert not wrong, wrong[:3]
        frozen = sorted(took[before:before + 500])
        # Against the load's own spread: a busy machine delays calls that never waited for Redis.
        slow = [t for t in frozen if t > calm + 0.1]
        assert len(slow) <= 25 and frozen[250] <= usual + 0.1, "a freeze adds at most 100 ms: %s, usually %.3f" % (frozen[-30:], usual)
        log = one.gateway.logs()
        assert log.count("shared counters cannot be reached") == 1 and log.count("shared counters are reached again") == 1
        wait_until(lambda: reservations(one.gateway) == 0, 5, "no reservation open")
        wait_until(lambda: all(redis.command("HGET", k, "o") in ("0", "") for k in redis.command("KEYS", "tg:*").split() if not k.endswith(":l")),
                   10, "what was granted to nobody is given back")


def test_a_dead_workers_leases_run_out(one):
    """A lease that nobody renews is dropped by whoever comes next; simulated by one that ran out already."""
    with running(Redis()) as (redis,):
        client = one(redis, {"concurrency": {"limit_by": "all", "calls": 1}})
        assert chat(client).status_code == 200
        name = next(k for k in redis.command("KEYS", "tg:*").split() if not k.endswith(":l"))
        redis.command("ZADD", name + ":l", 1, "dead.0.1:0|1")
        redis.command("HINCRBY", name, "o", 1)
        assert chat(client).status_code == 200
        wait_until(lambda: redis.command("HGET", name, "o") == "0", 5, "the place of the dead worker")


def test_settings_that_cannot_work_are_refused(gateway):
    for counters, path in (({"backend": "redis"}, "url"), ({"url": "http://x"}, "url"), ({"url": "redis://u:p@x"}, "url"),
                           ({"url": "redis://x:99999"}, "url"), ({"url": "redis://x/first"}, "url"), ({"members": ["x:y"]}, "members/0"),
                           ({"url": "redis://x", "mode": "sentinel"}, "master_name"), ({"on_failure": "pray"}, "on_failure")):
        answer = gateway.admin.patch("settings", {"counters": counters}, expect=400)
        assert faults(answer)[0][0] == "/counters/" + path, answer.text
