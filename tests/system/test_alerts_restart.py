"""Alerts over restarts of the control plane: nobody is told twice, no message is lost, workers on their way back are not lost ones."""
import signal

import pytest

from channel import FakeWorker
from harness.receivers import Chats
from harness.waiting import wait_until
from lone_control import LoneControl

SECRET = "SEC-canary-restart-0b61"


@pytest.fixture
def chats():
    running = Chats(SECRET)
    yield running
    running.close()


@pytest.fixture
def start_control(watch):
    def start(**how):
        gateway = LoneControl(**how)
        watch.own.append(gateway)
        watch.gateways.append(gateway)
        return gateway.begin()
    return start


def events(control, rule):
    return control.admin.get("alert-events?rule=" + rule).json()["items"]


def firing(control, rule):
    return [e for e in events(control, rule) if e["ended_at"] is None]


def killed_and_back(control):
    control.daemon("control").send(signal.SIGKILL)
    control.daemon("control").process.wait()
    control.start_control()


def looked(control, name):
    """A rule that is broken at once was seen to be: one look is over."""
    control.admin.post("alerts", {"name": name, "watch": "certificate_expiry", "threshold": 100000, "for": "0s"})
    wait_until(lambda: events(control, name), 60, "the next look", every=0.3)


def add_hook(control, chats, language="en"):
    control.secrets.update({SECRET, "canary-webhook-4f1d"})
    control.admin.post("alert-channels", {"name": "hook", "type": "webhook", "url": chats.url("webhook"), "allow_private": True, "secret": SECRET, "language": language})


def test_messages_outlive_the_process_and_are_told_once(start_control, chats):
    control = start_control()
    add_hook(control, chats, "zh")
    chats.fail_next = 1_000_000
    control.admin.post("alerts", {"name": "ends", "watch": "certificate_expiry", "threshold": 100000, "for": "0s", "channels": ["hook"], "description": "renew it"})
    [event] = wait_until(lambda: [e for e in events(control, "ends") if e["deliveries"] and e["deliveries"][0]["tries"] > 0], 60, "a try in vain", every=0.3)
    [waiting] = event["deliveries"]
    assert waiting["pending"] and not waiting["ok"] and waiting["state"] == "firing" and "503" in waiting["detail"]
    killed_and_back(control)
    assert events(control, "ends")[0]["deliveries"][0]["pending"], "what was not taken waits on"
    chats.fail_next = 0
    [(_, told)] = wait_until(lambda: list(chats.heard), 90, "the message that was kept", every=0.3)
    assert (told["state"], told["rule"], told["object"], told["id"], told["description"]) == ("firing", "ends", "channel", str(event["id"]), "renew it")
    assert told["text"].startswith("证书将于 ") and event["text_zh"] == told["text"] and event["text"].startswith("the certificate ends at ")
    [done] = wait_until(lambda: [d for d in events(control, "ends")[0]["deliveries"] if not d["pending"]], 30, "its record", every=0.2)
    assert done["ok"] and done["tries"] >= 2
    # Once more, and a look is over: it is neither told again nor opened anew.
    killed_and_back(control)
    looked(control, "after")
    assert len(chats.heard) == 1 and [e["id"] for e in firing(control, "ends")] == [event["id"]]
    # The rule goes: who heard of the beginning hears of the end.
    control.admin.delete("alerts/ends")
    wait_until(lambda: len(chats.heard) == 2, 60, "the end", every=0.3)
    assert chats.heard[1][1]["state"] == "resolved" and chats.heard[1][1]["id"] == str(event["id"]) and chats.heard[1][1]["text"] == "规则已删除或停用"
    killed_and_back(control)
    looked(control, "later")
    assert [body["state"] for _, body in chats.heard] == ["firing", "resolved"]


def test_workers_on_their_way_back_are_neither_lost_nor_well(start_control, chats):
    control = start_control()
    add_hook(control, chats)
    control.admin.post("alerts", {"name": "lost", "watch": "worker_lost", "for": "0s", "channels": ["hook"]})
    control.admin.post("alerts", {"name": "refused", "watch": "config_rejected", "for": "0s", "channels": ["hook"]})
    good, bad = (FakeWorker(control.control_port, control.join_token, name=name).join() for name in ("good", "bad"))
    control.change()
    good.ack(good.hear("snapshot"))
    bad.nack(bad.hear("snapshot"), "/routes/r1/targets/0", "no such provider type")

    def beat(condition):
        good.heartbeat(), bad.heartbeat()
        return condition()
    [event] = wait_until(lambda: beat(lambda: events(control, "refused")), 60, "the refusal", every=0.3)
    # Recorded too: killed between the two, it would be sent once more.
    wait_until(lambda: beat(lambda: [d for d in events(control, "refused")[0]["deliveries"] if d["ok"]]), 30, "its message", every=0.3)
    assert len(chats.heard) == 1
    killed_and_back(control)
    good, bad = (FakeWorker(control.control_port, control.join_token, name=w.name, node_id=w.node_id).join() if w is good else
                 FakeWorker(control.control_port, control.join_token, name=w.name, node_id=w.node_id).hello() for w in (good, bad))
    bad.nack(bad.hear("snapshot"), "/routes/r1/targets/0", "no such provider type")
    control.admin.post("alerts", {"name": "look", "watch": "certificate_expiry", "threshold": 100000, "for": "0s"})
    good.ack(good.hear("snapshot"))
    refused = bad.hear("snapshot")
    wait_until(lambda: beat(lambda: events(control, "look")), 90, "a look after the restart", every=0.3)
    assert events(control, "lost") == [], "nobody was lost"
    assert [e["id"] for e in firing(control, "refused")] == [event["id"]] and len(chats.heard) == 1, "and nothing was mended, nor told again"
    bad.ack(refused)
    wait_until(lambda: beat(lambda: not firing(control, "refused")), 60, "its end", every=0.3)
    wait_until(lambda: beat(lambda: len(chats.heard) == 2), 30, "the good news", every=0.3)
    # One that really goes is missed.
    bad.close()
    wait_until(lambda: "bad" in {e["object"] for e in events(control, "lost")}, 60, "the lost worker", every=0.3)
    good.close()


def test_a_provider_is_down_when_a_worker_says_so(start_control):
    control = start_control()
    control.admin.post("alerts", {"name": "down", "watch": "provider_down", "for": "0s"})
    control.admin.post("alerts", {"name": "down-p2", "watch": "provider_down", "for": "0s", "only": {"provider": "p2"}})
    one, two = (FakeWorker(control.control_port, control.join_token, name=name).join() for name in ("one", "two"))

    def beat(out, condition):
        one.heartbeat(providers_out=out), two.heartbeat(providers_out=[])
        return condition()
    [event] = wait_until(lambda: beat(["p1"], lambda: events(control, "down")), 60, "the event", every=0.3)
    assert event["object"] == "p1" and "1 of 2 workers" in event["text"] and events(control, "down-p2") == []
    wait_until(lambda: beat([], lambda: not firing(control, "down")), 60, "its end", every=0.3)
    for worker in (one, two):
        worker.close()
