"""The request log: one row an exchange with every try, searched, paged, taken away; and who may read what was said."""
import csv
import io
import json
import re
import sqlite3
import time
from pathlib import Path

import pytest

from harness.admin import Admin, faults
from harness.daemon import environment
from harness.waiting import wait_until
from lone_control import LoneControl

ASK = [{"role": "user", "content": "what do you remember?"}]


@pytest.fixture
def served(gateway, openai_sim, deepseek_sim):
    """Route `chat`: model gpt-log to openai, then to deepseek."""
    gateway.provider("log-main", openai_sim, served=False)
    gateway.provider("log-spare", deepseek_sim, type="deepseek", served=False)
    gateway.route("chat", "gpt-log", ("log-main", "gpt-4o-mini"), retry={"attempts": 1},
                  fallback={"enabled": True, "on": ["5xx", "429"], "targets": [{"provider": "log-spare", "model": "deepseek-chat"}]})
    return gateway


def rows(gateway, n, query=""):
    """The consumer's rows, newest first, once there are n."""
    def reported():
        items = gateway.admin.get("requests?limit=500&consumer=%s%s" % (gateway.consumer, query)).json()["items"]
        return items if len(items) >= n else None
    return wait_until(reported, 15, "%d rows in the request log" % n)


def ask(gateway, key, model="gpt-log", headers=None, **more):
    return gateway.client(key).post("/chat/completions", json={"model": model, "messages": ASK, **more}, headers=headers or {})


def test_request_log_of_a_plain_request(served, openai_sim):
    key = served.key()
    answer = ask(served, key, headers={"x-request-id": "my-own-id.1"})
    assert answer.status_code == 200 and answer.headers["x-request-id"] == "my-own-id.1"
    row = rows(served, 1)[0]
    assert row["request_id"] == "my-own-id.1" and row["route"] == "chat" and row["provider"] == "log-main"
    assert row["provider_key"] == "main" and row["model"] == "gpt-log" and row["served_model"] == "gpt-4o-mini"
    assert row["status"] == 200 and row["end_reason"] == "complete" and row["error_code"] is None and row["attempts"] == 1
    assert row["client_ip"] == "127.0.0.1" and row["usage_source"] == "provider" and (row["cost"] is None) == (row["currency"] is None)
    usage = answer.json()["usage"]
    assert row["prompt_tokens"] == usage["prompt_tokens"] and row["completion_tokens"] == usage["completion_tokens"]
    for id in (row["id"], "my-own-id.1"):
        detail = served.admin.get("requests/" + id).json()
        assert {name: detail[name] for name in row} == row and detail["has_prompts"] is False
        only, = detail["attempt_log"]
        assert only["provider"] == "log-main" and only["model"] == "gpt-4o-mini" and only["key"] == "main" and only["result"] == "ok"
        times = [only[name] for name in ("start_ms", "connect_ms", "sent_ms", "first_byte_ms", "end_ms")]
        assert times == sorted(times) and times[-1] == row["total_ms"] and only["reused"] is (only["dial_ms"] is None)
    served.admin.get("requests/none-such", expect=404)
    served.admin.get("requests/my-own-id.1/prompts", expect=404)


def test_request_log_tells_every_try(served, openai_sim, deepseek_sim):
    key = served.key()
    openai_sim.fail("status", status=503, times=1)
    assert ask(served, key).status_code == 200
    row = rows(served, 1)[0]
    assert row["provider"] == "log-spare" and row["attempts"] == 2 and row["status"] == 200
    first, second = served.admin.get("requests/" + row["id"]).json()["attempt_log"]
    assert first["provider"] == "log-main" and first["status"] == 503 and first["result"] not in ("ok", None) and first["error"]
    assert second["provider"] == "log-spare" and second["status"] == 200 and second["result"] == "ok" and second["error"] is None
    assert first["start_ms"] <= first["first_byte_ms"] <= first["end_ms"] <= second["start_ms"] <= second["end_ms"] <= row["total_ms"]
    assert first["endpoint"] == openai_sim.base_url.rstrip("/")
    text = json.dumps(served.admin.get("requests/" + row["id"]).json())
    assert not any(secret in text for secret in served.secrets)


def test_request_log_search(served, openai_sim, deepseek_sim):
    key = served.key()
    for _ in range(3):
        assert ask(served, key).status_code == 200
    openai_sim.fail("status", status=500, times=1)
    deepseek_sim.fail("status", status=500, times=1)
    failed = ask(served, key, headers={"x-request-id": "failing-one"})
    assert failed.status_code >= 500
    assert ask(served, key, model="unknown-model").status_code == 404
    assert len(rows(served, 5)) == 5

    def found(query):
        return [r["request_id"] for r in served.admin.get("requests?consumer=%s&%s" % (served.consumer, query)).json()["items"]]
    assert found("status=5xx") == found("status=%d" % failed.status_code) == found("end_reason=upstream_error") == ["failing-one"]
    assert found("error_code=upstream_error") == ["failing-one"] or found("error_code=upstream_failed") == ["failing-one"]
    assert len(found("model=gpt-log")) == 4 and len(found("model=unknown-model")) == 1 and len(found("route=")) == 1
    assert len(found("provider=log-main")) == 3 and len(found("served_model=gpt-4o-mini")) == 3
    assert found("request_id=failing-one") == ["failing-one"] and found("min_duration=1h") == []
    assert found("to=2020-01-01T00:00:00Z") == [] and len(found("from=2020-01-01T00:00:00Z")) == 5
    key_id = rows(served, 5)[0]["key_id"]
    assert len(found("key_id=" + key_id)) == 5 and found("client_ip=10.1.1.1") == []
    pages, cursor = [], None
    while True:
        page = served.admin.get("requests?consumer=%s&limit=2%s" % (served.consumer, "&cursor=" + cursor if cursor else "")).json()
        pages.append([r["id"] for r in page["items"]])
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert [len(page) for page in pages] == [2, 2, 1] and len({id for page in pages for id in page}) == 5
    for query, path in (("cursor=x", "?cursor"), ("status=9xx", "?status"), ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "?from")):
        assert faults(served.admin.get("requests?" + query, expect=400))[0][0] == path


def test_request_log_export(served):
    key = served.key()
    ask(served, key)
    ask(served, key, model="=cmd|' /C calc'!A0")
    rows(served, 2)
    answer = served.admin.get("requests?format=csv&consumer=" + served.consumer)
    assert answer.headers["content-type"].startswith("text/csv") and "requests.csv" in answer.headers["content-disposition"]
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(table) == 2 and table[1]["model"] == "gpt-log" and table[1]["status"] == "200"
    assert table[0]["model"].startswith("'=cmd")       # no formula for a spreadsheet
    answer = served.admin.get("requests?format=ndjson&consumer=" + served.consumer)
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert len(lines) == 2 and lines[1]["attempt_log"][0]["result"] == "ok" and lines[0]["attempt_log"] == []
    # Nothing found is a table without rows, not an empty file.
    answer = served.admin.get("requests?format=csv&consumer=nobody")
    assert answer.text.startswith("id,request_id,started_at,") and answer.text.count("\r\n") == 1 and answer.text.strip() == ",".join(table[0])
    assert served.admin.get("requests?format=ndjson&consumer=nobody").text == ""


def peak_kib(pid):
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/%d/status" % pid).read_text()).group(1))


def test_request_log_export_of_everything_takes_no_memory(watch):
    """60,000 rows: whole, each once, in order, and the process hardly grows; one that leaves half way leaves nothing behind."""
    # What is freed goes back at once: by default the sanitizer keeps 256 MB of it to catch late uses.
    gateway = LoneControl(env={"ASAN_OPTIONS": environment("/")["ASAN_OPTIONS"] + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"})
    watch.own.append(gateway)
    watch.gateways.append(gateway)
    gateway.begin()
    with sqlite3.connect(gateway.data_dir / "tidegate.db", timeout=30) as db:
        columns = [row for row in db.execute("PRAGMA table_info(requests)") if row[1] != "id"]
        names = ",".join(row[1] for row in columns)
        known = {"request_id": "'req_' || i", "seq": "i", "started_at_ms": "%d + i / 3" % (1000 * (time.time() - 3600)), "boot_id": "'boot'", "end_reason": "'complete'",
                 "usage_source": "'provider'", "consumer": "'app' || (i % 7)", "status": "200", "consumer_groups": "''"}
        values = ",".join(known.get(row[1], "'a name of thirty letters or so'" if row[2] == "TEXT" and row[1] != "attempt_log" else "''" if row[2] == "TEXT" else "1") for row in columns)
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO requests (%s) SELECT %s FROM n" % (names, values))
    db.close()
    pid = gateway.daemon("control").process.pid
    gateway.admin.get("requests?limit=100")
    before = peak_kib(pid)
    answer = gateway.admin.get("requests?format=csv")
    table = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["request_id"] for row in table] == ["req_%d" % i for i in range(60000, 0, -1)] and len(answer.content) > 15_000_000
    with gateway.admin.http.stream("GET", "/api/v1/requests?format=ndjson") as half:
        assert json.loads(next(half.iter_lines()))["request_id"] == "req_60000"
    assert gateway.admin.get("requests?format=ndjson&consumer=app3").text.count("\n") == sum(i % 7 == 3 for i in range(1, 60001))
    assert peak_kib(pid) - before < 40_000, "two bodies of 20 and 60 MB were made, and none of them whole"


def test_request_log_of_a_client_that_left(served, openai_sim):
    key = served.key()
    openai_sim.behave(hold=True)
    with served.client(key).stream("POST", "/chat/completions", json={"model": "gpt-log", "messages": ASK, "stream": True}) as answer:
        next(answer.iter_lines())
    wait_until(lambda: openai_sim.last.gone_at, 20, "the worker having noticed")
    openai_sim.release()
    row = rows(served, 1)[0]
    assert row["end_reason"] == "client_closed" and row["usage_source"] == "estimated" and row["stream"] is True
    only, = served.admin.get("requests/" + row["id"]).json()["attempt_log"]
    assert only["result"] == "client_closed" and only["first_byte_ms"] is not None and only["end_ms"] is not None


def test_request_log_needs_a_login(served):
    stranger = Admin(served.console_url)
    for path in ("requests", "requests/1", "requests/1/prompts"):
        stranger.get(path, expect=401)
    stranger.close()


# ---- what was said ----------------------------------------------------------------------------------------------------

PRIVATE = "I am li@example.cn, +86 138 0013 8000, card 4111 1111 1111 1111, badge EMP-123456"


@pytest.fixture
def keeping(gateway, openai_sim):
    """keeping("masked") keeps prompts on the route; keeping(…, allowed=False) although the settings forbid it."""
    def make(mode, allowed=True, **more):
        gateway.admin.patch("settings", {"data_plane": {"access_log": {"prompts": allowed}}})
        gateway.provider("kept", openai_sim, served=False)
        gateway.route("kept", "gpt-kept", ("kept", "gpt-4o-mini"), log={"prompts": mode, **more}, served=False)
        return gateway.key()
    yield make
    gateway.admin.patch("settings", {"data_plane": {"access_log": {"prompts": False}}})


def say(gateway, key, **more):
    body = {"model": "gpt-kept", "messages": [{"role": "user", "content": PRIVATE}], **more}
    answer = gateway.client(key).post("/chat/completions", json=body)
    assert answer.status_code == 200
    return answer


def kept(gateway, id):
    def there():
        detail = gateway.admin.get("requests/" + id).json()
        return detail if detail["has_prompts"] else None
    wait_until(there, 15, "the prompt of " + id)
    return gateway.admin.get("requests/%s/prompts" % id).json()


def test_request_log_masks_prompts(gateway, keeping, openai_sim):
    key = keeping("masked", mask=["EMP-[0-9]{6}"])
    openai_sim.behave(tokens=12)
    answer = say(gateway, key)
    row = rows(gateway, 1)[0]
    told = kept(gateway, row["id"])
    assert told["mode"] == "masked" and told["note"] is None and told["route"] == "kept"
    assert told["masked"] == 4 + told["answer"].count("[card]"), "the vendor's id is drawn, and one in five hundred has the digits of a card"
    prompt = json.loads(told["prompt"])
    assert prompt["messages"][0]["content"] == "I am [email], [phone], card [card], badge [masked]"
    assert json.loads(told["answer"])["choices"] == answer.json()["choices"]
    for piece in ("li@example", "138 0013", "4111", "EMP-123456"):
        assert piece not in json.dumps(told)
    row = say(gateway, key, stream=True) and rows(gateway, 2)[0]
    told = kept(gateway, row["id"])
    assert told["answer"] and "data:" not in told["answer"] and "choices" not in told["answer"]


def test_request_log_hides_prompts_from_viewers(gateway, keeping):
    key = keeping("full", max_bytes=256)
    say(gateway, key)
    row = rows(gateway, 1)[0]
    told = kept(gateway, row["id"])
    assert told["mode"] == "full" and told["masked"] == 0 and "li@example.cn" in told["prompt"]
    assert len(told["prompt"].encode()) <= 256 and len(told["answer"].encode()) <= 256 < told["answer_bytes"]
    secret = gateway.admin.post("tokens", {"name": "watcher-%s" % gateway.consumer, "role": "viewer"}).json()["secret"]
    viewer = Admin(gateway.console_url, secret, gateway.secrets)
    detail = viewer.get("requests/" + row["id"])
    assert detail.json()["has_prompts"] is True and "li@example.cn" not in detail.text
    assert "li@example.cn" not in viewer.get("requests?format=ndjson&consumer=" + gateway.consumer).text
    viewer.get("requests/%s/prompts" % row["id"], expect=403)
    viewer.close()
    read = [e for e in gateway.admin.get("audit?limit=50").json()["items"] if e["action"] == "prompts.read"]
    assert read and read[0]["name"] == row["request_id"]


def test_request_log_keeps_no_prompt_unasked(gateway, keeping):
    key = keeping("masked", allowed=False)
    told = gateway.admin.patch("routes/kept?dry_run=true", {"description": "x"}).json()
    assert [w["code"] for w in told["warnings"] if w["path"] == "/log/prompts"] == ["prompts_off"]
    say(gateway, key)
    gateway.admin.patch("settings", {"data_plane": {"access_log": {"prompts": True}}})
    gateway.admin.patch("routes/kept", {"log": {"prompts": "off"}})
    gateway.wait_served()
    say(gateway, key)
    gateway.admin.patch("routes/kept", {"log": {"prompts": "masked"}})
    gateway.wait_served()
    say(gateway, key)
    found = rows(gateway, 3)
    kept(gateway, found[0]["id"])            # the last one came through, so the others will not come any more
    assert [gateway.admin.get("requests/" + row["id"]).json()["has_prompts"] for row in found] == [True, False, False]
    assert PRIVATE.split(",")[0] not in gateway.logs()
