"""install.sh: what it accepts and refuses, and a whole life with it - install, upgrade, rollback, uninstall - in a private prefix.

Nothing is compiled: the build tree under test is installed through TIDEGATE_BUILD_DIR. The service runs as whoever runs the tests, in the
background, on free ports, so neither systemd nor an installation on this machine is touched.
"""
import functools
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from harness.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "install.sh"
KEY = "sk-canary-%s" % hashlib.sha256(str(os.getpid()).encode()).hexdigest()[:24]
ME = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def build_tree():
    return Path(os.environ["TIDEGATE_BIN"]).parent


def environment(**more):
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "SUDO_"))}
    return {**kept, "TIDEGATE_NO_SYSTEMD": "1", "NO_COLOR": "1", "TIDEGATE_HEALTH_TIMEOUT": "90", **more}


def run(*arguments, pipe=False, timeout=200, **env):
    """install.sh with these arguments; pipe: as `curl … | bash -s -- …` gives it to bash. No terminal either way."""
    command = ["bash", "-s", "--", *arguments] if pipe else [SCRIPT, *arguments]
    return subprocess.run([str(c) for c in command], input=SCRIPT.read_text() if pipe else "", capture_output=True, text=True,
                          timeout=timeout, env=environment(**env), cwd="/", start_new_session=True)


@pytest.fixture
def places(tmp_path):
    """Arguments for a private installation; whatever still runs there afterwards is ended."""
    http, console, control, admin = (free_port() for _ in range(4))
    prefix, data = tmp_path / "prefix", tmp_path / "data"
    places = {"prefix": prefix, "data": data, "http": http, "console": console, "control": control, "admin": admin,
              "arguments": ["--prefix", prefix, "--data-dir", data, "--http-port", http, "--console-port", console, "--control-port", control,
                            "--worker-admin-port", admin, "--user", ME, "--bind", "127.0.0.1", "--non-interactive"]}
    yield places
    pidfile = data / "tidegate.pid"
    if pidfile.exists() and (pid := pidfile.read_text().strip()).isdigit() and Path("/proc", pid).exists():
        os.kill(int(pid), signal.SIGTERM)
        wait_gone(int(pid))


def wait_gone(pid, seconds=50):
    end = time.monotonic() + seconds
    while Path("/proc", str(pid)).exists() and "Z" not in Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1][:3]:
        assert time.monotonic() < end, "process %d is still there" % pid
        time.sleep(0.05)


def get(port, path):
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open("http://127.0.0.1:%d%s" % (port, path), timeout=20) as answer:
        return answer.status


# ---- the command line --------------------------------------------------------------------------------------------------

def test_help_names_every_option_that_is_understood():
    done = run("--help")
    understood = set(re.findall(r"^\t\t(--[a-z-]+)\)", SCRIPT.read_text(), flags=re.M)) | {"--deps-only"}
    assert done.returncode == 0 and len(understood) > 12
    assert [option for option in sorted(understood - {"--help"}) if option not in done.stdout] == []


@pytest.mark.parametrize("arguments, sentence", [
    (["--frobnicate"], "unknown option '--frobnicate'"),
    (["--http-port"], "--http-port needs a value"),
    (["--http-port", "0"], "--http-port takes a port between 1 and 65535, not '0'"),
    (["--console-port=70000"], "--console-port takes a port between 1 and 65535, not '70000'"),
    (["--prefix", "relative"], "--prefix takes an absolute path"),
    (["--data-dir", "/"], "--data-dir cannot be /"),
    (["--data-dir", "/tmp/a b"], "cannot contain white space"),
    (["--workers", "0"], "--workers takes a number from 1 to 64"),
    (["--bind", "example.com"], "--bind takes an IP address"),
    (["--user", "Not Me"], "--user takes the name of an account"),
    (["--deps-only=some"], "--deps-only takes run, build or all"),
    (["--purge"], "--purge only goes with --uninstall"),
    (["--provider", "DeepSeek=sk"], "--provider takes TYPE=KEY"),
    (["--provider", "deepseek"], "set TIDEGATE_PROVIDER_DEEPSEEK_KEY"),
    (["--no-start", "--provider", "deepseek=sk-1"], "does not go with --no-start"),
])
def test_a_wrong_command_line_gets_one_sentence(arguments, sentence):
    done = run(*arguments)
    assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert "sk-1" not in done.stdout + done.stderr


@pytest.mark.parametrize("name, version, supported", [
    ("debian", "11", False), ("debian", "12", True), ("debian", "13", True), ("debian", None, True), ("ubuntu", "20.04", False),
    ("ubuntu", "22.04", True), ("ubuntu", "24.04", True), ("fedora", "41", False), ("alpine", "3.20", False)])
def test_systems_that_are_not_supported_are_refused(tmp_path, name, version, supported):
    release = tmp_path / "os-release"
    release.write_text('ID=%s\nPRETTY_NAME="The %s"\n%s' % (name, name, 'VERSION_ID="%s"\n' % version if version else ""))
    done = run("--deps-only=run", TIDEGATE_OS_RELEASE=str(release))
    assert (done.returncode == 0) == supported, done.stderr
    assert supported or "The %s is not supported: Tidegate installs on Debian 12" % name in done.stderr


def test_a_port_in_use_is_refused_with_its_holder(places):
    with socket.create_server(("127.0.0.1", places["http"])):
        done = run(*places["arguments"], TIDEGATE_BUILD_DIR=str(build_tree()))
    assert done.returncode == 1
    assert "port %d (data plane) is in use by " % places["http"] in done.stderr and "(pid %d)" % os.getpid() in done.stderr
    assert "--http-port" in done.stderr and not places["prefix"].exists() and not places["data"].exists()


def test_one_port_for_two_things_is_refused(places):
    done = run(*places["arguments"], "--console-port", places["http"])
    assert done.returncode == 2 and "port %d is used twice" % places["http"] in done.stderr


# ---- curl | bash -------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A release archive as `git archive` makes it, of the tree as it stands."""
    path = tmp_path_factory.mktemp("archive") / "tidegate-0.1.0.tar.gz"
    listed = subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z", "-co", "--exclude-standard"], capture_output=True, check=True).stdout
    with tarfile.open(path, "w:gz") as tar:
        for name in listed.decode().split("\0"):
            if name and (ROOT / name).exists():
                tar.add(ROOT / name, "tidegate-0.1.0/" + name)
    return path


def test_without_a_checkout_an_archive_is_asked_for(places):
    done = run(*places["arguments"], pipe=True)
    assert done.returncode == 1 and "set TIDEGATE_ARCHIVE_URL to the address of a release archive" in done.stderr


def test_another_archive_than_the_announced_one_is_refused(places, archive):
    done = run(*places["arguments"], pipe=True, TIDEGATE_ARCHIVE_URL="file://%s" % archive, TIDEGATE_ARCHIVE_SHA256="0" * 64)
    assert done.returncode == 1 and "not the one that was announced" in done.stderr and not places["prefix"].exists()


@pytest.mark.parametrize("content, sentence", [(None, "cannot read the release archive"), (b"hello", "is not a tar archive")])
def test_a_broken_archive_is_refused(places, tmp_path, content, sentence):
    if content:
        (tmp_path / "x.tar.gz").write_bytes(content)
    done = run(*places["arguments"], pipe=True, TIDEGATE_ARCHIVE_URL="file://%s" % (tmp_path / "x.tar.gz"))
    assert done.returncode == 1 and sentence in done.stderr


@pytest.fixture
def site(archive):
    """Where the archive can be fetched, by scheme."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=archive.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield {"file": "file://%s" % archive, "http": "http://127.0.0.1:%d/%s" % (server.server_address[1], archive.name)}
        server.shutdown()


@pytest.mark.parametrize("scheme", ["file", "http"])
def test_through_a_pipe_an_archive_is_installed(places, archive, site, scheme):
    done = run(*places["arguments"], "--no-start", pipe=True, TIDEGATE_BUILD_DIR=str(build_tree()), no_proxy="127.0.0.1",
               TIDEGATE_ARCHIVE_URL=site[scheme], TIDEGATE_ARCHIVE_SHA256=hashlib.sha256(archive.read_bytes()).hexdigest())
    assert done.returncode == 0, done.stderr
    for program in ("tidegate", "tidegate-control", "tidegate-worker"):
        assert subprocess.run([places["prefix"] / "bin" / program, "--version"], capture_output=True).returncode == 0
    share = places["prefix"] / "share/tidegate"
    assert (share / "catalog.json").is_file() and (share / "migrations").is_dir() and "libuv1" in (share / "runtime-packages").read_text()


# ---- a whole life ------------------------------------------------------------------------------------------------------

def started(places, *more, **env):
    return run(*places["arguments"], *more, TIDEGATE_BUILD_DIR=str(build_tree()), **env)


def status(places):
    return subprocess.run([places["prefix"] / "bin/tidegate", "status", "--data-dir", places["data"]], capture_output=True, text=True, timeout=60)


def contains(folder, text):
    return [str(path) for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes()]


def test_install_start_again_and_uninstall(places):
    done = started(places, "--provider", "deepseek=%s" % KEY)
    assert done.returncode == 0, done.stdout + done.stderr
    token = (places["data"] / "setup-token").read_text().strip()
    for said in ("http://localhost:%d/" % places["console"], token, "curl -i http://localhost:%d/v1/models" % places["http"],
                 str(places["data"] / "tidegate.log"), "--uninstall"):
        assert said in done.stdout
    assert get(places["console"], "/healthz") == 200 and get(places["admin"], "/readyz") == 200
    assert status(places).returncode == 0

    # The key reached the API, and nothing else.
    token = subprocess.run([places["prefix"] / "bin/tidegate", "token", "create", "--role", "viewer", "--data-dir", places["data"]],
                           capture_output=True, text=True, check=True).stdout.strip()
    request = urllib.request.Request("http://127.0.0.1:%d/api/v1/providers/deepseek" % places["console"],
                                     headers={"Authorization": "Bearer " + token})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        assert json.load(answer)["api_keys"][0]["value"]["last4"] == KEY[-4:]
    assert KEY not in done.stdout + done.stderr and contains(places["data"], KEY) == []
    pid = int((places["data"] / "tidegate.pid").read_text())
    assert KEY.encode() not in Path("/proc", str(pid), "environ").read_bytes()
    assert places["data"].stat().st_mode & 0o077 == 0
    assert [str(p) for p in places["data"].rglob("*") if not p.is_symlink() and p.stat().st_mode & 0o007] == []

    again = started(places)
    assert again.returncode == 0 and "nothing to change" in again.stdout, again.stdout + again.stderr
    assert int((places["data"] / "tidegate.pid").read_text()) == pid

    gone = run("--uninstall", "--prefix", places["prefix"], "--non-interactive")
    assert gone.returncode == 0 and "Kept the data in %s" % places["data"] in gone.stdout, gone.stdout + gone.stderr
    wait_gone(pid)
    assert not list((places["prefix"] / "bin").iterdir()) and not (places["prefix"] / "lib/tidegate").exists()
    assert (places["data"] / "tidegate.db").exists() and (places["data"] / "master.key").exists()

    nothing = run("--uninstall", "--purge", "--prefix", places["prefix"], "--data-dir", places["data"], "--user", ME)
    assert nothing.returncode == 0 and "is not installed" in nothing.stdout and not places["data"].exists()


def test_a_provider_that_the_gateway_refuses_is_named_with_its_reason(places):
    done = started(places, "--provider", "vllm=%s" % KEY)
    assert done.returncode == 1 and "http://localhost:%d/" % places["console"] in done.stdout, done.stdout + done.stderr
    assert "the provider vllm was not created (status 400): /base_url" in done.stderr
    assert "Tidegate runs, but these providers were not created: vllm" in done.stderr and KEY not in done.stdout + done.stderr
    assert get(places["console"], "/healthz") == 200


def test_a_version_that_does_not_become_healthy_is_rolled_back(places, tmp_path):
    assert started(places).returncode == 0
    before = os.readlink(places["prefix"] / "lib/tidegate/current")
    broken = tmp_path / "broken"
    for part in ("bin", "share"):
        shutil.copytree(build_tree() / part, broken / part)
    worker = broken / "bin/tidegate-worker"
    worker.unlink()
    worker.write_text("#!/bin/sh\necho 'this worker is broken' >&2\nexit 1\n")
    worker.chmod(0o755)
    (broken / "cmake_install.cmake").write_text(
        'file(INSTALL DESTINATION "${CMAKE_INSTALL_PREFIX}" TYPE DIRECTORY FILES "%s/bin" "%s/share" USE_SOURCE_PERMISSIONS)\n' % (broken, broken))

    done = run(*places["arguments"], TIDEGATE_BUILD_DIR=str(broken))
    assert done.returncode == 1, done.stdout
    assert "the previous version and its database were put back and are running" in done.stderr, done.stderr
    assert os.readlink(places["prefix"] / "lib/tidegate/current") == before
    assert get(places["console"], "/healthz") == 200 and get(places["admin"], "/readyz") == 200
    assert list((places["data"] / "backups").glob("before-upgrade-*")) and not (places["data"] / ".before-upgrade").exists()


def test_purge_leaves_a_folder_alone_that_is_not_ours(tmp_path):
    data = tmp_path / "precious"
    data.mkdir()
    (data / "thesis.txt").write_text("years of work")
    done = run("--uninstall", "--purge", "--prefix", tmp_path / "prefix", "--data-dir", data, "--user", ME)
    assert done.returncode == 1 and "does not look like a data directory" in done.stderr and (data / "thesis.txt").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can work in the directory of another account")
def test_root_leaves_nothing_of_root_in_the_directory_of_the_service():
    """`sudo tidegate …` before the first start, a backup and a restore must not lock the service out of its own files."""
    folder = Path(tempfile.mkdtemp(prefix="tidegate-owner-"))
    try:
        folder.chmod(0o711)
        data, copy = folder / "data", folder / "copy.db"
        data.mkdir(mode=0o700)
        os.chown(data, 65534, 65534)

        def tidegate(*arguments):
            done = subprocess.run([build_tree() / "bin/tidegate", *arguments, "--data-dir", data], capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return done.stdout
        assert tidegate("token", "create", "--role", "admin").startswith("tga_")
        tidegate("backup", "-o", copy)
        tidegate("backup")
        tidegate("restore", "-f", copy)
        made = [path for path in data.rglob("*")]
        assert data / "tidegate.db" in made and [str(path) for path in made if path.lstat().st_uid != 65534] == []
    finally:
        shutil.rmtree(folder)
