"""Rules that watch and channels that tell: signatures as vendors check them, for-duration, silences, the guard, history."""
import email
import signal
import socket
from email.header import decode_header

import httpx
import pytest

from harness.admin import faults
from harness.receivers import Chats, Mailbox
from harness.waiting import wait_until

SECRET = "SEC-canary-5c1e7a90d2"
CHATS = ("webhook", "dingtalk", "feishu", "wecom", "slack")


@pytest.fixture
def chats():
    running = Chats(SECRET)
    yield running
    running.close()


def channel(gateway, name, chats, kind, **more):
    gateway.secrets.update({SECRET, "canary-%s-4f1d" % kind})
    body = {"name": name, "type": kind, "url": chats.url(kind), "allow_private": True, "secret": SECRET, **more}
    return gateway.admin.post("alert-channels", body).json()


def test(gateway, name):
    return gateway.admin.post("alert-channels/%s/test" % name, expect=200).json()


test.__test__ = False


def test_every_chat_takes_a_signed_message(gateway, chats):
    for kind in CHATS:
        shown = channel(gateway, "to-" + kind, chats, kind, language="zh" if kind == "dingtalk" else "en")
        assert set(shown["url"]) == set(shown["secret"]) == {"last4", "fingerprint", "created_at"}
        assert test(gateway, "to-" + kind) == {"ok": True, "detail": ""}
    assert [kind for kind, _ in chats.heard] == list(CHATS)
    bodies = dict(chats.heard)
    assert bodies["webhook"]["state"] == "test" and bodies["webhook"]["rule"] == "test"
    assert "测试" in bodies["dingtalk"]["markdown"]["text"] and "TEST" in bodies["feishu"]["content"]["text"]
    gateway.admin.patch("alert-channels/to-feishu", {"secret": "another"})
    refused = test(gateway, "to-feishu")
    assert refused["ok"] is False and "19021" in refused["detail"]
    gateway.admin.patch("alert-channels/to-feishu", {"description": "keeps its secret"})
    chats.secret = "another"
    assert test(gateway, "to-feishu")["ok"], "a secret that is left out is kept"


def test_addresses_are_judged_when_they_are_dialled(gateway, chats):
    channel(gateway, "no-private", chats, "webhook", allow_private=False)
    answer = test(gateway, "no-private")
    assert not answer["ok"] and "private" in answer["detail"] and not chats.heard
    for url in ("http://169.254.169.254/latest/meta-data", "http://[::ffff:169.254.169.254]/", "http://100.100.100.200/"):
        gateway.admin.post("alert-channels", {"name": "meta", "type": "webhook", "url": url, "allow_private": True})
        answer = test(gateway, "meta")
        assert not answer["ok"] and "never dialled" in answer["detail"], (url, answer)
        gateway.admin.delete("alert-channels/meta")


def test_mail_goes_over_starttls_to_who_may_log_in(gateway, tmp_path):
    box = Mailbox(tmp_path, "robot", "canary-mail-77e1")
    gateway.secrets.add("canary-mail-77e1")
    try:
        gateway.admin.post("alert-channels", {
            "name": "mail", "type": "email", "allow_private": True, "password": "canary-mail-77e1", "ca_pem": box.ca_pem, "language": "zh",
            "smtp": {"host": "127.0.0.1", "port": box.port, "username": "robot", "from": "gw@example.com", "to": ["a@example.com", "b@example.com"]}})
        assert test(gateway, "mail") == {"ok": True, "detail": ""}
        [(sender, to, text)] = box.mails
        assert sender == "gw@example.com" and to == ["a@example.com", "b@example.com"]
        mail = email.message_from_string(text)
        subject, charset = decode_header(mail["Subject"])[0]
        assert "测试" in subject.decode(charset) and "测试" in mail.get_payload(decode=True).decode()
        # A stored password goes to no other server than the one it was given for.
        other = Mailbox(tmp_path, "robot", "canary-mail-77e1")
        for change in ({"host": "localhost"}, {"port": other.port}, {"security": "none"}):
            answer = gateway.admin.patch("alert-channels/mail", {"smtp": change}, expect=400)
            assert faults(answer)[0][0] == "/password" and "again" in answer.text, (change, answer.text)
        gateway.admin.patch("alert-channels/mail", {"smtp": {"to": ["c@example.com"]}})
        gateway.admin.patch("alert-channels/mail", {"smtp": {"port": other.port}, "ca_pem": other.ca_pem, "password": "canary-mail-77e1"})
        assert test(gateway, "mail")["ok"] and other.mails[0][1] == ["c@example.com"]
        other.close()
        gateway.admin.patch("alert-channels/mail", {"smtp": {"port": box.port}, "ca_pem": box.ca_pem, "password": "canary-mail-77e1"})
        gateway.admin.patch("alert-channels/mail", {"password": "wrong"})
        assert "refused the user name" in test(gateway, "mail")["detail"]
        gateway.admin.patch("alert-channels/mail", {"ca_pem": "", "password": "canary-mail-77e1"})
        assert not test(gateway, "mail")["ok"], "nobody vouches for the server's certificate"
        assert len(box.mails) == 1
    finally:
        box.close()


def test_a_time_that_ran_out_is_not_called_a_refusal(gateway):
    """Of a name with several addresses one may be refused by the guard: what became of the others is what counts."""
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        url = "http://localhost:%d/" % silent.getsockname()[1]
        gateway.admin.post("alert-channels", {"name": "silent", "type": "webhook", "url": url, "allow_private": True})
        answer = test(gateway, "silent")
        assert not answer["ok"] and "in time" in answer["detail"] and "not dialled" not in answer["detail"], answer
    finally:
        silent.close()


def test_what_makes_no_sense_is_refused(gateway, chats):
    def refused(kind, body):
        return faults(gateway.admin.post(kind, {"name": "x", **body}, expect=400))[0][0]
    assert refused("alert-channels", {"type": "slack"}) == "/url"
    assert refused("alert-channels", {"type": "slack", "url": "ftp://a/b"}) == "/url"
    assert refused("alert-channels", {"type": "email", "smtp": {"host": "h", "from": "a@b.c"}}) == "/smtp/to"
    assert refused("alert-channels", {"type": "email", "smtp": {"host": "h", "from": "a@b.c\r\nBcc: x@y.z", "to": ["a@b.c"]}}) == "/smtp/from"
    assert refused("alerts", {"channels": ["nobody"]}) == "/channels/0"
    assert refused("alerts", {"metric": "memory", "statistic": "value", "by": "route"}) == "/by"
    assert refused("alerts", {"window": "1s"}) == "/window"
    for metric, statistic in (("duration", "share"), ("requests", "p95"), ("tokens", "mean"), ("memory", "p99"), ("in_flight", "share")):
        assert refused("alerts", {"metric": metric, "statistic": statistic}) == "/statistic", (metric, statistic)
    for metric, statistic in (("duration", "p95"), ("requests", "rate"), ("refused", "share"), ("memory", "value"), ("memory", "mean")):
        gateway.admin.post("alerts", {"name": "fits", "metric": metric, "statistic": statistic})
        gateway.admin.delete("alerts/fits")
    channel(gateway, "used", chats, "slack")
    gateway.admin.post("alerts", {"name": "uses-it", "channels": ["used"]})
    assert gateway.admin.delete("alert-channels/used", expect=409).json()["errors"][0]["url"] == "/api/v1/alerts/uses-it"
    gateway.admin.delete("alerts/uses-it")
    gateway.admin.delete("alert-channels/used")
    assert refused("silences", {"starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}) == "/ends_at"


def events(gateway, rule):
    return gateway.admin.get("alert-events?rule=" + rule).json()["items"]


def firing(gateway, rule):
    return [e for e in events(gateway, rule) if e["ended_at"] is None]


def test_rules_fire_tell_and_resolve(start_gateway, start_sim, chats):
    """Errors of one consumer, a lost worker that nobody is told of because of a silence, and a message that only goes through at the second try."""
    gateway = start_gateway(split=True)
    channel(gateway, "hook", chats, "webhook")
    gateway.admin.post("alerts", {"name": "errors-high", "severity": "critical", "metric": "errors", "statistic": "share", "by": "consumer",
                                  "threshold": 50, "min_count": 3, "window": "10s", "for": "0s", "channels": ["hook"]})
    gateway.admin.post("alerts", {"name": "lost", "watch": "worker_lost", "for": "0s", "channels": ["hook"]})
    gateway.admin.post("silences", {"name": "tonight", "rule": "lost", "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"})
    gateway.admin.post("alerts", {"name": "spent", "watch": "budget", "threshold": 80, "for": "0s"})
    gateway.provider("p1", start_sim("openai"))
    gateway.route("r1", "gpt-4.1-nano", ("p1", None))
    spender = gateway.key("spender")
    gateway.admin.post("quotas", {"name": "tiny", "consumer": "spender", "unit": "requests", "limit": 1, "period": "total"})
    gateway.wait_served()
    with httpx.Client(base_url=gateway.url, headers={"Authorization": "Bearer " + spender}, trust_env=False, verify=False, timeout=30) as client:
        answer = client.post("chat/completions", json={"model": "gpt-4.1-nano", "messages": [{"role": "user", "content": "hi"}]})
        assert answer.status_code == 200, answer.text
    key = gateway.key()
    chats.fail_next = 1
    with httpx.Client(base_url=gateway.url, headers={"Authorization": "Bearer " + key}, trust_env=False, verify=False) as client:
        for _ in range(5):
            assert client.post("chat/completions", json={"model": "nobody", "messages": []}).status_code == 404
    [event] = wait_until(lambda: events(gateway, "errors-high"), 60, "the event", every=0.3)
    assert event["object"] == gateway.consumer and event["severity"] == "critical" and event["value"] == 100.0
    [spent] = wait_until(lambda: events(gateway, "spent"), 60, "the budget", every=0.3)
    assert spent["object"] == "tiny" and spent["value"] == 100.0
    gateway.daemon("worker-0").send(signal.SIGKILL)
    gateway.daemon("worker-0").process.wait()
    (_, told), *_ = wait_until(lambda: list(chats.heard), 60, "the message", every=0.3)
    assert told["state"] == "firing" and told["object"] == gateway.consumer and told["id"] == str(event["id"]) and "share of errors is 100 %, above 50 %" in told["text"]
    wait_until(lambda: not firing(gateway, "errors-high"), 60, "its end", every=0.3)
    wait_until(lambda: len(chats.heard) == 2, 30, "the good news", every=0.3)
    assert chats.heard[1][1]["state"] == "resolved" and chats.heard[1][1]["ended_at"]
    [lost] = wait_until(lambda: events(gateway, "lost"), 60, "the lost worker", every=0.3)
    assert lost["silenced"] and lost["object"] == "worker-0" and not lost["deliveries"]
    text = gateway.admin.http.get("/metrics").text
    assert 'tidegate_control_alerts_firing{severity="warning"} 2' in text, "the budget and the worker"
    [done] = wait_until(lambda: [e for e in events(gateway, "errors-high") if len(e["deliveries"]) == 2], 30, "both deliveries", every=0.3)
    assert [(d["state"], d["ok"]) for d in done["deliveries"]] == [("firing", True), ("resolved", True)] and done["deliveries"][0]["tries"] == 2
    gateway.daemon("control").stop()
    gateway.start_control()
    assert [e["id"] for e in firing(gateway, "lost")] == [lost["id"]], "an open event outlives the control plane"
    gateway.start_worker(0)
    wait_until(lambda: not firing(gateway, "lost"), 60, "the worker found again", every=0.3)
    assert len(events(gateway, "lost")) == 1 and len(chats.heard) == 2
    gateway.wait_served()
