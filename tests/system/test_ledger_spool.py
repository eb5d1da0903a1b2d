"""Usage records on the worker's disk: nothing that was answered is lost or counted twice, whoever dies."""
import json
import re
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx

from harness.waiting import wait_until

BODY = {"model": "m-one", "messages": [{"role": "user", "content": "talk"}]}


def setup(gateway, start_sim, **behaviour):
    sim = start_sim("openai", models=["m-one"])
    sim.behave(**behaviour)
    gateway.provider("vendor", sim, type="openai-compatible")
    gateway.route("a", "m-one", ("vendor", None))
    return sim, gateway.key()


def ask(gateway, key, n, parallel=8, **more):
    """Asks n times; the usage that the client was told, of each."""
    def one(_):
        with httpx.Client(trust_env=False, verify=False, timeout=30, headers={"Authorization": "Bearer " + key}) as client:
            answer = client.post(gateway.url + "/chat/completions", json={**BODY, **more})
        assert answer.status_code == 200, answer.text
        return answer.json()["usage"]
    with ThreadPoolExecutor(parallel) as pool:
        return list(pool.map(one, range(n)))


def totals(gateway):
    rows = gateway.admin.get("usage?group_by=consumer&consumer=" + gateway.consumer).json()["items"]
    return (sum(r["requests"] for r in rows), sum(r["prompt_tokens"] for r in rows), sum(r["completion_tokens"] for r in rows))


def wanted(told):
    return (len(told), sum(u["prompt_tokens"] for u in told), sum(u["completion_tokens"] for u in told))


def all_on_disk(gateway, records):
    """Every record that waits has left the memory: what is on the disk stays as large as it is, and is read there."""
    text = b"".join(p.read_bytes() for p in (gateway.folder / "worker-0/spool").glob("*/*.log"))
    return len(set(re.findall(rb"req_[0-9a-f]{24}", text))) >= records


def spooled(gateway):
    return gateway.metrics()["tidegate_usage_spooled_bytes"]


def test_both_killed_and_every_row_comes_once(start_gateway, start_sim):
    gateway = start_gateway(split=True)
    _, key = setup(gateway, start_sim, tokens=20)
    gateway.admin.post("quotas", {"name": "q", "consumer": gateway.consumer, "unit": "requests", "limit": 1000})
    gateway.wait_served()
    told = ask(gateway, key, 5)
    wait_until(lambda: totals(gateway) == wanted(told), 15, "the first rows")

    control = gateway.daemon("control")
    killer = threading.Timer(0.1, control.kill)  # in the middle of the calls
    killer.start()
    told += ask(gateway, key, 60, parallel=6)
    killer.join()
    assert not control.running
    told += ask(gateway, key, 40)
    wait_until(lambda: all_on_disk(gateway, 40), 10, "the records being on the disk")
    assert gateway.metrics()["tidegate_usage_queued"] >= 40
    gateway.daemon("worker-0").kill()

    # a second life without the control plane adds to what the first one left
    gateway.start_worker()
    wait_until(lambda: httpx.get(gateway.worker_url() + "/readyz", trust_env=False, verify=False).status_code == 200, 15, "the last good snapshot")
    assert spooled(gateway) > 0
    gateway.start_control()
    gateway.baseline = {}
    gateway.wait_served()
    told += ask(gateway, key, 10)
    wait_until(lambda: totals(gateway) == wanted(told), 20, "every row once")
    wait_until(lambda: gateway.admin.get("quotas/q").json()["balance"]["used"] == len(told), 20, "the quota knowing of all of them")
    log = gateway.daemon("worker-0").log()
    wait_until(lambda: "usage records of an earlier process are stored" in gateway.daemon("worker-0").log(), 10)
    assert "usage records of an earlier process were found" in log

    # sent once more after all: nothing on the disk is left to be sent
    gateway.daemon("worker-0").stop()
    assert list((gateway.folder / "worker-0/spool").glob("*/*")) == []
    gateway.start_worker()
    gateway.wait_served()
    told += ask(gateway, key, 1)
    wait_until(lambda: totals(gateway)[0] >= len(told), 15, "the last row")
    assert totals(gateway) == wanted(told)


def test_a_stop_while_the_control_plane_is_away_loses_nothing(start_gateway, start_sim):
    gateway = start_gateway(split=True)
    _, key = setup(gateway, start_sim, tokens=5)
    gateway.daemon("control").kill()
    told = ask(gateway, key, 20)
    assert gateway.daemon("worker-0").stop() == 0
    # the end of a segment is torn, as when power goes in the middle of a write
    [segment] = (gateway.folder / "worker-0/spool").glob("*/*.log")
    assert segment.stat().st_mode & 0o777 == 0o600
    with segment.open("ab") as end:
        end.write(b"\x40\x01\x00\x00torn")
    gateway.start_control()
    gateway.start_worker()
    gateway.wait_served()
    wait_until(lambda: totals(gateway) == wanted(told), 20, "every row once")
    assert gateway.metrics()["tidegate_usage_torn_segments_total"] == 1
    assert "is cut at the first that is not whole" in gateway.daemon("worker-0").log()


def record(seq, consumer):
    """One record as the first release left it in a segment: length, CRC-32, number, JSON."""
    row = {"request_id": "req_old%d" % seq, "consumer": consumer, "seq": seq, "status": 200, "attempts": 1, "prompt_tokens": 3,
           "completion_tokens": 2, "started_at_ms": int(time.time() * 1000), "end_reason": "complete", "usage_source": "provider",
           "attempt_log": "[%s]" % (" " * 3000)}
    text = json.dumps(row).encode()
    length, body = struct.pack("<I", len(text)), struct.pack("<q", seq) + text
    return length + struct.pack("<I", zlib.crc32(length + body)) + body


def test_beyond_the_ceiling_loss_is_counted_and_said(start_gateway, start_sim):
    gateway = start_gateway(split=True, worker_args=["--usage-spool", "1"])
    _, key = setup(gateway, start_sim, tokens=5)
    assert gateway.daemon("worker-0").stop() == 0
    gateway.daemon("control").kill()
    left = gateway.folder / "worker-0/spool" / ("0" * 32)
    left.mkdir()
    rows = 500  # an earlier process left more than a MiB
    (left / "0000000001.log").write_bytes(b"".join(record(i + 1, gateway.consumer) for i in range(rows)))
    gateway.start_worker()
    wait_until(lambda: httpx.get(gateway.worker_url() + "/readyz", trust_env=False, verify=False).status_code == 200, 15, "the last good snapshot")
    assert spooled(gateway) > 1 << 20
    ask(gateway, key, 7)
    wait_until(lambda: gateway.metrics()["tidegate_usage_dropped_total"] == 7, 10, "what is lost being counted")
    log = gateway.daemon("worker-0").log()
    assert log.count("usage records are lost: there is no more room for them") == 1, "one line a change of state"

    gateway.start_control()
    gateway.baseline = {}
    gateway.wait_served()
    wait_until(lambda: totals(gateway) == (rows, 3 * rows, 2 * rows), 20, "the rows that had room")
    wait_until(lambda: spooled(gateway) == 0, 10, "room again")
    told = ask(gateway, key, 2)
    wait_until(lambda: totals(gateway)[0] == rows + 2, 15, "new rows")
    assert totals(gateway)[1] == 3 * rows + wanted(told)[1]
    log = gateway.daemon("worker-0").log()
    assert log.count("usage records are kept again") == 1 and gateway.metrics()["tidegate_usage_dropped_total"] == 7


def test_a_disk_that_takes_nothing_stops_nothing(start_gateway, start_sim):
    gateway = start_gateway(split=True)
    _, key = setup(gateway, start_sim, tokens=5)
    told = ask(gateway, key, 2)
    wait_until(lambda: totals(gateway) == wanted(told), 15, "the first rows")
    assert gateway.daemon("worker-0").stop() == 0
    spool = gateway.folder / "worker-0/spool"
    (spool / "lock").unlink()
    spool.rmdir()
    spool.write_text("not a directory")
    gateway.start_worker()
    gateway.wait_served()
    told += ask(gateway, key, 3)
    wait_until(lambda: totals(gateway) == wanted(told), 15, "rows by way of the memory")
    [line] = [n for n in gateway.daemon("worker-0").log().split("\n") if "usage records are kept in memory only" in n]
    assert str(spool) in line and '"level":"error"' in line
