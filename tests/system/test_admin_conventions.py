"""The conventions that hold for every kind of object: reading, listing, writing, refusing."""
import pytest

from harness.admin import faults
from samples import KEY, KINDS, consumer, provider, route

kinds = pytest.mark.parametrize("kind", list(KINDS))


@pytest.fixture
def admin(gateway):
    """An admin client on an installation that holds the provider p0 and nothing else."""
    gateway.secrets.add(KEY)
    gateway.admin.post("providers", provider("p0"))
    return gateway.admin


@pytest.mark.smoke
@kinds
def test_create_and_read(admin, kind):
    made = admin.post(kind, KINDS[kind]("x1"))
    assert made.headers["location"] == "/api/v1/%s/x1" % kind
    assert int(made.headers["x-tidegate-revision"]) == made.json()["revision"]
    read = admin.get(kind + "/x1")
    assert read.json() == {k: v for k, v in made.json().items() if k != "warnings"}
    assert read.headers["etag"] == '"%d"' % read.json()["revision"]
    assert read.json()["enabled"] is True and read.json()["labels"] == {}


@kinds
def test_the_same_name_again(admin, kind):
    admin.post(kind, KINDS[kind]("x1"))
    again = admin.post(kind, KINDS[kind]("x1"), expect=409)
    assert again.json()["type"] == "urn:tidegate:problem:exists" and "x1" in again.json()["detail"]


@kinds
def test_absent(admin, kind):
    for call in (lambda: admin.get(kind + "/nobody", expect=404), lambda: admin.delete(kind + "/nobody", expect=404),
                 lambda: admin.patch(kind + "/nobody", {"description": "x"}, expect=404),
                 lambda: admin.put(kind + "/nobody", KINDS[kind]("nobody"), expect=404)):
        assert "nobody" in call().json()["detail"]


@kinds
def test_put_replaces_and_patch_merges(admin, kind):
    admin.post(kind, KINDS[kind]("x1", description="first", labels={"team": "blue", "tier": "1"}))
    merged = admin.patch(kind + "/x1", {"description": None, "labels": {"tier": None, "zone": "b"}}).json()
    assert merged["description"] == "" and merged["labels"] == {"team": "blue", "zone": "b"}
    replaced = admin.put(kind + "/x1", KINDS[kind]("x1", description="second")).json()
    assert replaced["description"] == "second" and replaced["labels"] == {}
    assert replaced["revision"] > merged["revision"]


@kinds
def test_names_do_not_change(admin, kind):
    admin.post(kind, KINDS[kind]("x1"))
    assert faults(admin.patch(kind + "/x1", {"name": "x2"}, expect=400))[0][0] == "/name"
    assert faults(admin.put(kind + "/x1", KINDS[kind]("x2"), expect=400))[0][0] == "/name"


@pytest.mark.parametrize("name", ["", "Upper", "under_score", "-lead", "trail.", "a" * 64, "space d", "ü", 7, None])
@kinds
def test_bad_names(admin, kind, name):
    assert faults(admin.post(kind, {**KINDS[kind](), "name": name}, expect=400))[0][0] == "/name"


@kinds
def test_stale_writes_are_refused(admin, kind):
    first = admin.post(kind, KINDS[kind]("x1")).json()["revision"]
    second = admin.patch(kind + "/x1", {"description": "b"}, headers={"If-Match": '"%d"' % first}).json()["revision"]
    for call in (admin.patch, admin.put):
        body = {"description": "c"} if call == admin.patch else KINDS[kind]("x1")
        stale = call(kind + "/x1", body, expect=412, headers={"If-Match": '"%d"' % first})
        assert stale.json()["type"] == "urn:tidegate:problem:stale"
    admin.delete(kind + "/x1", expect=412, headers={"If-Match": '"%d"' % first})
    assert admin.get(kind + "/x1").json()["description"] == "b"
    admin.delete(kind + "/x1", headers={"If-Match": '"%d"' % second})


@kinds
def test_unknown_members_are_named(admin, kind):
    """T39."""
    refused = admin.post(kind, KINDS[kind]("x1", colour="red"), expect=400)
    assert ("/colour", "unknown_member") in faults(refused) and "colour" in refused.text
    admin.post(kind, KINDS[kind]("x1"))
    assert ("/colour", "unknown_member") in faults(admin.patch(kind + "/x1", {"colour": "red"}, expect=400))


@pytest.mark.parametrize("kind, body, path, code", [
    ("providers", provider(type="no-such-vendor"), "/type", None),
    ("providers", provider(base_url="ftp://x"), "/base_url", None),
    ("providers", provider(endpoints=[{"url": "http://user@y"}]), "/endpoints/0/url", None),
    ("providers", provider(timeouts={"connect": "soon"}), "/timeouts/connect", "bad_format"),
    ("providers", provider(timeouts={"total": "5m", "nap": "1s"}), "/timeouts/nap", "unknown_member"),
    ("providers", provider(enabled="yes"), "/enabled", "wrong_type"),
    ("providers", provider(load_balance="whim"), "/load_balance", "bad_enum"),
    ("providers", provider(headers={"Authorization": "Bearer x"}), "/headers/Authorization", None),
    ("providers", provider(headers={"X-A": "a\r\nb: c"}), "/headers/X-A", None),
    ("providers", provider(options={"no_such_option": 1}), "/options/no_such_option", "unknown_member"),
    ("providers", provider(api_keys=[{"name": "a", "value": "k1-0123"}, {"name": "a", "value": "k2-0123"}]), "/api_keys/1/name", "duplicate"),
    ("providers", provider(api_keys=[{"name": "a"}]), "/api_keys/0/value", "secret_required"),
    ("routes", route(to="nobody"), "/targets/0/provider", "unknown_reference"),
    ("routes", route(targets=[]), "/targets", None),
    ("routes", route(match={"models": [{"type": "glob", "value": "x"}]}), "/match/models/0/type", "bad_enum"),
    ("routes", route(match={"models": [{"type": "regex", "value": "("}]}), "/match/models/0/value", "bad_format"),
    ("routes", route(path_prefix="v1"), "/path_prefix", "bad_format"),
    ("routes", route(targets=[{"provider": "p0", "weight": -1}]), "/targets/0/weight", "out_of_range"),
    ("routes", route(auth={"consumers": ["nobody"]}), "/auth/consumers/0", "unknown_reference"),
    ("routes", route(plugins={"no-such-plugin": {}}), "/plugins/no-such-plugin", None),
    ("routes", route(retry={"attempts": 99}), "/retry/attempts", "out_of_range"),
    ("consumers", consumer(models="all"), "/models", "wrong_type"),
    ("consumers", consumer(groups=["Not A Name"]), "/groups/0", "bad_format"),
    ("consumers", consumer(labels={"k": 1}), "/labels/k", "wrong_type"),
    ("consumers", consumer(description="x" * 1025), "/description", "too_long"),
])
def test_bad_values_are_named(admin, kind, body, path, code):
    refused = admin.post(kind, body, expect=400)
    found = faults(refused)
    assert path is None or path in [p for p, _ in found], found
    assert code is None or (path, code) in found, found
    assert admin.get(kind + "/" + body["name"], expect=404)


def test_endpoints_may_stand_beside_the_base_url(admin):
    admin.post("providers", provider(base_url="http://127.0.0.1:9/v1", endpoints=[{"url": "http://127.0.0.1:8/v1", "weight": 2}]))
    seen = admin.get("providers/" + provider()["name"]).json()
    assert seen["base_url"] == "http://127.0.0.1:9/v1" and seen["endpoints"] == [{"url": "http://127.0.0.1:8/v1", "weight": 2}]


@kinds
def test_dry_run_stores_nothing(admin, kind):
    before = admin.get("revisions?limit=1").json()["items"][0]["revision"]
    tried = admin.post(kind + "?dry_run=true", KINDS[kind]("x1"), expect=200)
    assert isinstance(tried.json()["warnings"], list)
    admin.get(kind + "/x1", expect=404)
    admin.post(kind + "?dry_run=true", KINDS[kind]("x1", colour="red"), expect=400)
    admin.post(kind, KINDS[kind]("x1"))
    admin.patch(kind + "/x1?dry_run=true", {"description": "tried"})
    admin.put(kind + "/x1?dry_run=true", KINDS[kind]("x1", description="tried"))
    admin.delete(kind + "/x1?dry_run=true", expect=200)
    assert admin.get(kind + "/x1").json()["description"] == ""
    assert admin.get("revisions?limit=1").json()["items"][0]["revision"] == before + 1


@kinds
def test_lists_in_pages(admin, kind):
    names = ["page-%02d" % i for i in range(7)]
    for name in names:
        admin.post(kind, KINDS[kind](name, **({"model": "m-" + name} if kind == "routes" else {})))
    seen, cursor = [], None
    while True:
        page = admin.get("%s?q=page-&limit=3%s" % (kind, "&cursor=" + cursor if cursor else "")).json()
        assert page["total"] == 7 and len(page["items"]) <= 3
        seen += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert seen == names
    assert [i["name"] for i in admin.get(kind + "?q=page-&sort=-name&limit=2").json()["items"]] == names[:-3:-1]
    assert admin.get(kind + "?q=nothing-like-this").json() == {"items": [], "next_cursor": None, "total": 0}
    for wrong in ("limit=0", "limit=many", "sort=colour"):
        admin.get("%s?%s" % (kind, wrong), expect=400)


def test_a_cursor_past_the_end_gives_an_empty_list(admin):
    admin.post("consumers", consumer("a1"))
    admin.post("consumers", consumer("a2"))
    cursor = admin.get("consumers?limit=1").json()["next_cursor"]
    admin.delete("consumers/a2")
    assert admin.get("consumers?limit=1&cursor=" + cursor).json()["items"] == []


def test_what_is_referred_to_stays(admin):
    admin.post("routes", route("r1"))
    refused = admin.delete("providers/p0", expect=409)
    assert refused.json()["type"] == "urn:tidegate:problem:in-use"
    assert [e["url"] for e in refused.json()["errors"]] == ["/api/v1/routes/r1"]
    admin.delete("routes/r1")
    admin.delete("providers/p0")


def test_a_masked_secret_is_refused_and_omitting_it_keeps_it(admin):
    read = admin.get("providers/p0").json()
    assert set(read["api_keys"][0]["value"]) == {"last4", "fingerprint", "created_at"}
    assert read["api_keys"][0]["value"]["last4"] == KEY[-4:]
    assert faults(admin.put("providers/p0", read, expect=400)) == [("/api_keys/0/value", "masked_secret")]
    del read["api_keys"][0]["value"]
    kept = admin.put("providers/p0", {**read, "description": "kept"}).json()
    assert kept["api_keys"][0]["value"]["fingerprint"] == admin.get("providers/p0").json()["api_keys"][0]["value"]["fingerprint"]


@kinds
def test_bodies_that_are_not_json(admin, kind):
    def send(content, media="application/json", expect=400):
        return admin.call("POST", kind, expect=expect, content=content, headers={"Content-Type": media})
    for content in (b"", b"{", b"[]", b"null", b'"x"', b'{"name":"a"} {}', b'{"name":"a","name":"b"}', b'{"name":"\xff"}',
                    b"[" * 3000):
        assert send(content).json()["type"] in ("urn:tidegate:problem:malformed", "urn:tidegate:problem:validation"), content
    send(b"name=a", "application/x-www-form-urlencoded", 415)
    send(b" " * (9 << 20), expect=413)


def test_unknown_paths_and_methods(admin):
    assert admin.get("no-such-kind", expect=404).json()["type"] == "urn:tidegate:problem:not-found"
    refused = admin.call("PATCH", "nodes", {}, expect=405)
    assert refused.json()["type"] == "urn:tidegate:problem:method-not-allowed"
