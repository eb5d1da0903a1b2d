"""Alert rules, channels and silences are part of the configuration: exported, applied, compared, rolled back."""
import json

import pytest

from harness.admin import faults
from harness.waiting import wait_until
from lone_control import LoneControl

URL = "https://chat.example.com/hook?token=canary-config-7f31"
DOCUMENT = {
    "format": 1,
    "alert_channels": [{"name": "ops", "type": "webhook", "url": {"env": "OPS_HOOK"}, "secret": {"env": "OPS_SECRET"}},
                       {"name": "mail", "type": "email", "password": "canary-config-mail", "smtp": {"host": "mail.example.com", "username": "gw",
                                                                                                  "from": "gw@example.com", "to": ["a@example.com"]}}],
    "alerts": [{"name": "errors", "threshold": 5, "channels": ["ops", "mail"]}, {"name": "lost", "watch": "worker_lost"}],
    "silences": [{"name": "night", "rule": "errors", "starts_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-02T00:00:00Z"}],
}


@pytest.fixture
def control(watch):
    gateway = LoneControl(env={"OPS_HOOK": URL, "OPS_SECRET": "canary-config-sign"})
    watch.own.append(gateway)
    watch.gateways.append(gateway)
    gateway.begin()
    gateway.secrets.update({"canary-config-7f31", "canary-config-sign", "canary-config-mail"})
    return gateway


def plan(answer):
    return [(c["op"], c["kind"], c["name"]) for c in answer.json()["plan"]]


def test_they_are_part_of_the_document(control):
    dry = control.admin.put("config?dry_run=true", DOCUMENT)
    made = [("create", "alert-channel", "ops"), ("create", "alert-channel", "mail"), ("create", "alert", "errors"), ("create", "alert", "lost"),
            ("create", "silence", "night")]
    assert sorted(plan(dry)) == sorted(made) and control.admin.get("alerts").json()["total"] == 0
    done = control.admin.put("config", DOCUMENT)
    assert sorted(plan(done)) == sorted(made)
    shown = control.admin.get("alert-channels/ops").json()
    assert shown["url"]["last4"] == URL[-4:] and shown["secret"]["last4"] == "sign"

    # What is exported can be applied again, keeps the secrets and changes nothing.
    exported = control.admin.get("config")
    document = exported.json()
    assert [c["name"] for c in document["alert_channels"]] == ["mail", "ops"] or [c["name"] for c in document["alert_channels"]] == ["ops", "mail"]
    assert not {"url", "secret", "password"} & {key for c in document["alert_channels"] for key in c} and "canary" not in exported.text
    again = control.admin.put("config", document, headers={"If-Match": exported.headers["etag"]})
    assert plan(again) == [] and control.admin.get("alert-channels/ops").json()["url"] == shown["url"]

    # A change by hand makes a revision: an older export is stale.
    control.admin.patch("alerts/errors", {"threshold": 7})
    control.admin.put("config", document, headers={"If-Match": exported.headers["etag"]}, expect=412)
    revision = int(control.admin.get("overview").json()["revision"])
    [change] = control.admin.get("revisions/%d/diff/%d" % (revision - 1, revision)).json()["changes"]
    assert (change["op"], change["kind"], change["name"]) == ("change", "alert", "errors")
    assert (change["before"]["threshold"], change["after"]["threshold"]) == (5, 7)
    control.admin.post("revisions/%d/rollback" % (revision - 1), expect=200)
    assert control.admin.get("alerts/errors").json()["threshold"] == 5
    # Kinds that are not mentioned stay.
    assert plan(control.admin.put("config", {"format": 1, "silences": []})) == [("delete", "silence", "night")]
    assert control.admin.get("alerts").json()["total"] == 2


def test_what_is_wrong_in_it_is_named(control):
    def refused(**members):
        answer = control.admin.put("config", {**json.loads(json.dumps(DOCUMENT)), **members}, expect=400)
        return faults(answer)
    assert refused(alerts=[{"name": "x"}, {"name": "y", "channels": ["ops", "nobody"]}])[0][:2] == ("/alerts/1/channels/1", "unknown_reference")
    assert refused(alerts=[{"name": "x", "window": "1s"}])[0][0] == "/alerts/0/window"
    assert refused(alert_channels=[{"name": "a", "type": "slack"}], alerts=[])[0][:2] == ("/alert_channels/0/url", "secret_required")
    assert refused(alert_channels=[{"name": "a", "type": "slack", "url": {"env": "NOT_THERE"}}], alerts=[])[0][0] == "/alert_channels/0/url"
    assert refused(alert_channels=[{"name": "a", "type": "slack", "url": {"env": "TIDEGATE_ADMIN_PASSWORD_FILE"}}], alerts=[])[0][0] == "/alert_channels/0/url"
    assert refused(silences=[{"name": "s", "starts_at": "2030-01-02T00:00:00Z", "ends_at": "2030-01-01T00:00:00Z"}])[0][0] == "/silences/0/ends_at"
    control.admin.put("config", DOCUMENT)
    # A channel that a rule still names cannot go, whether the document mentions the rules or not.
    answer = control.admin.put("config", {"format": 1, "alert_channels": []}, expect=400)
    assert "there is no channel" in answer.text
    moved = json.loads(json.dumps(DOCUMENT["alert_channels"]))
    del moved[1]["password"]
    moved[1]["smtp"]["host"] = "elsewhere.example.com"
    assert refused(alert_channels=moved)[0][:2] == ("/alert_channels/1/password", "secret_required")


def test_a_change_of_an_alert_is_served_like_any_other(start_gateway):
    gateway = start_gateway()
    answer = gateway.admin.post("alerts", {"name": "one"})
    revision = int(answer.headers["x-tidegate-revision"])
    assert answer.headers["etag"] == '"%d"' % revision
    gateway.wait_served()
    assert gateway.admin.get("nodes").json()["items"][0]["revision_served"] == revision
    gateway.admin.patch("alerts/one", {"threshold": 3}, headers={"If-Match": '"%d"' % (revision - 1)}, expect=412)
