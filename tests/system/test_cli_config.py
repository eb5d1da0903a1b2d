"""Subcommands on a running and on a stopped installation: tokens, plans, backups, state."""
import json
import os
import subprocess

import pytest

from harness.admin import Admin
from harness.daemon import bin_dir, environment
from harness.waiting import wait_until

DOCUMENT = {"format": 1,
            "providers": [{"name": "p1", "type": "openai", "api_keys": [{"name": "main", "value": "sk-canary-cli-0001"}]}],
            "routes": [{"name": "r1", "match": {"models": [{"type": "exact", "value": "m1"}]}, "targets": [{"provider": "p1"}]}]}


def tidegate(gateway, *args, stdin=None):
    done = subprocess.run([bin_dir() / "tidegate", *map(str, args), "--data-dir", gateway.data_dir], input=stdin, text=True,
                          capture_output=True, timeout=60, env=environment(gateway.folder))
    return done.returncode, done.stdout, done.stderr


def in_the_end(gateway, *args):
    """The same once it has nothing to complain of: a worker needs a moment to serve what was just stored or restored."""
    last = []

    def content():
        last[:] = tidegate(gateway, *args)
        return last[0] == 0
    try:
        wait_until(content, 20, " ".join(args) + " being content", every=0.2)
    except AssertionError:
        pass                                              # the caller says what it said
    return last


def apply(gateway, document, *more):
    return tidegate(gateway, "apply", "-f", "-", *more, stdin=json.dumps(document))


def changed(**more):
    return {**json.loads(json.dumps(DOCUMENT)), **more}


@pytest.fixture(autouse=True)
def secret(gateway):
    gateway.secrets.add("sk-canary-cli-0001")


def test_a_token_and_nothing_else(gateway):
    code, out, err = tidegate(gateway, "token", "create", "--role", "operator", "--name", "cli-test")
    assert code == 0 and err == "" and out.count("\n") == 1 and out.startswith("tga_")
    gateway.secrets.add(out.strip())
    with_it = Admin(gateway.console_url, out.strip(), gateway.secrets)
    with_it.get("routes")
    with_it.get("users", expect=403)
    with_it.close()
    code, out, _ = tidegate(gateway, "token", "create", "--role", "viewer", "--expires", "1d")
    assert code == 0
    gateway.secrets.add(out.strip())
    done = subprocess.run([bin_dir() / "tidegate-control", "token", "create", "--role", "admin", "--data", gateway.data_dir],
                          capture_output=True, text=True, timeout=60, env=environment(gateway.folder))
    assert done.returncode == 0 and done.stdout.startswith("tga_"), done.stderr
    gateway.secrets.add(done.stdout.strip())


def test_apply_shows_the_plan_and_waits(gateway):
    code, out, err = apply(gateway, DOCUMENT, "--dry-run")
    assert code == 0 and "+ provider p1" in out and "+ route r1" in out and "2 to create" in out and "Dry run" in out, out + err
    assert gateway.admin.get("routes").json()["total"] == 0
    code, out, err = apply(gateway, DOCUMENT)
    assert code == 0 and "is served by 1 worker" in out, out + err
    code, out, _ = apply(gateway, DOCUMENT)
    assert code == 0 and "Nothing to change" in out
    more = changed(routes=[{**DOCUMENT["routes"][0], "description": "new"}])
    code, out, _ = apply(gateway, more)
    assert code == 0 and "~ route r1" in out and "1 to change" in out


def test_without_prune_nothing_disappears(gateway):
    apply(gateway, DOCUMENT)
    second = {**DOCUMENT["routes"][0], "name": "r2", "match": {"models": [{"type": "exact", "value": "m2"}]}}
    code, out, err = apply(gateway, {"routes": [second]})
    assert code == 0 and "+ route r2" in out and "- " not in out, out + err
    assert {r["name"] for r in gateway.admin.get("routes").json()["items"]} == {"r1", "r2"}
    code, out, _ = apply(gateway, {"routes": [second]}, "--prune")
    assert code == 0 and "- route r1" in out and "1 to delete" in out
    assert {r["name"] for r in gateway.admin.get("routes").json()["items"]} == {"r2"}
    assert gateway.admin.get("providers").json()["total"] == 1, "kinds that the file does not name are left alone"


def test_a_bad_file_is_explained(gateway, tmp_path):
    bad = changed(routes=[{**DOCUMENT["routes"][0], "targets": [{"provider": "nobody"}]}])
    code, _, err = apply(gateway, bad)
    assert code == 1 and "/routes/" in err and "nobody" in err
    for text, hint in (("{", "JSON"), ("[]", "object"), ("providers:\n  - name: x\n", "JSON")):
        code, _, err = tidegate(gateway, "apply", "-f", "-", stdin=text)
        assert code == 1 and hint in err
    code, _, err = tidegate(gateway, "apply", "-f", tmp_path / "absent.json")
    assert code == 1 and "absent.json" in err
    assert gateway.admin.get("routes").json()["total"] == 0


def test_an_export_can_be_applied(gateway, tmp_path):
    apply(gateway, DOCUMENT)
    code, out, _ = tidegate(gateway, "export")
    document = json.loads(out)
    assert code == 0 and [p["name"] for p in document["providers"]] == ["p1"] and "sk-canary" not in out
    file = tmp_path / "export.json"
    assert tidegate(gateway, "export", "-o", file)[0] == 0 and json.loads(file.read_text())["routes"] == document["routes"]
    code, out, err = tidegate(gateway, "apply", "-f", file, "--prune")
    assert code == 0 and "Nothing to change" in out, out + err


def test_status(gateway):
    code, out, err = in_the_end(gateway, "status")
    assert code == 0 and "1 worker serves the current revision" in out and "worker-1" in out, out + err
    code, out, _ = tidegate(gateway, "status", "--json")
    state = json.loads(out)
    assert code == 0 and state["ok"] and state["connected"] == state["current"] == 1 and state["control"]["running"]


def test_doctor_finds_nothing_wrong(gateway):
    apply(gateway, DOCUMENT)
    code, out, err = in_the_end(gateway, "doctor")
    assert code == 0 and "FAIL" not in out, out + err
    for what in ("data directory", "master.key", "control plane", "channel certs", "disk space", "worker-1"):
        assert what in out, out


def test_doctor_finds_an_open_key(gateway):
    key = gateway.data_dir / "master.key"
    key.chmod(0o644)
    try:
        code, out, _ = tidegate(gateway, "doctor")
    finally:
        key.chmod(0o600)
    assert code == 1 and "chmod 600 %s" % key in out


def test_without_a_control_plane_everything_says_so(gateway, tmp_path):
    class Stopped:
        data_dir, folder = tmp_path / "none", tmp_path
    for args in (["status"], ["export"], ["apply", "-f", "-"]):
        code, _, err = tidegate(Stopped, *args, stdin="{}")
        assert code == 1 and "tidegate up --data-dir" in err, (args, err)
    assert tidegate(Stopped, "doctor")[0] == 1
    code, out, _ = tidegate(Stopped, "status", "--json", stdin=None)
    assert code == 1 and json.loads(out)["ok"] is False


def test_backup_and_restore(start_gateway, tmp_path):
    gateway = start_gateway(setup=False)
    up = gateway.daemon("up")
    up.wait_for(lambda: "Tidegate is ready" in up.log(), 60)
    assert apply(gateway, DOCUMENT)[0] == 0
    file = tmp_path / "backup.db"
    code, out, err = tidegate(gateway, "backup", "-o", file)
    assert code == 0 and out.strip() == str(file) and file.stat().st_mode & 0o777 == 0o600, out + err
    code, out, _ = tidegate(gateway, "backup")
    assert code == 0 and os.path.dirname(out.strip()) == str(gateway.data_dir / "backups")
    assert apply(gateway, {"routes": []}, "--prune")[0] == 0
    code, _, err = tidegate(gateway, "restore", "-f", file)
    assert code == 1 and "stop it first" in err
    assert up.stop() == 0

    code, out, err = tidegate(gateway, "backup", "-o", tmp_path / "stopped.db")
    assert code == 0, err
    code, token, err = tidegate(gateway, "token", "create", "--role", "viewer")
    assert code == 0 and token.startswith("tga_") and err == ""
    assert tidegate(gateway, "restore", "-f", tmp_path / "absent.db")[0] == 1
    (tmp_path / "junk.db").write_text("junk" * 1000)
    code, _, err = tidegate(gateway, "restore", "-f", tmp_path / "junk.db")
    assert code == 1 and err.count("\n") == 1
    code, out, err = tidegate(gateway, "restore", "-f", file)
    assert code == 0 and "kept" in out, out + err

    up = gateway.start_up()
    up.wait_for(lambda: up.log().count("Tidegate is ready") == 2, 60)
    code, out, _ = tidegate(gateway, "export")
    assert [r["name"] for r in json.loads(out)["routes"]] == ["r1"], "what was deleted after the backup is back"
    code, out, err = in_the_end(gateway, "status")
    assert code == 0, out + err
