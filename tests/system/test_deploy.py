"""deploy/ and docker-compose.yml without a container engine: schemas, paths, options, and the scripts that run inside the images."""
import http.client
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import jsonschema
import pytest
import yaml

from harness.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
COMPOSE = [ROOT / "docker-compose.yml", ROOT / "deploy/compose.worker.yml"]


def binary(name):
    return Path(os.environ["TIDEGATE_BIN"], name)


def help_of(*command):
    done = subprocess.run([str(part) for part in command] + ["--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def options_in(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))


def installer_options():
    return options_in(help_of(ROOT / "install.sh"))


# ---- compose -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_compose_files_follow_the_specification(path):
    schema = json.loads((ROOT / "tests/fixtures/compose/compose-spec.json").read_text())
    errors = jsonschema.Draft7Validator(schema).iter_errors(yaml.safe_load(path.read_text()))
    assert [(list(error.path), error.message) for error in errors] == []


def test_the_schema_would_notice_a_mistake():
    schema = json.loads((ROOT / "tests/fixtures/compose/compose-spec.json").read_text())
    document = yaml.safe_load(COMPOSE[0].read_text())
    document["services"]["worker"]["depends_on"]["join"]["condition"] = "some_day"
    document["services"]["control"]["read_onyl"] = True
    assert len(list(jsonschema.Draft7Validator(schema).iter_errors(document))) == 2


@pytest.mark.parametrize("path", COMPOSE, ids=lambda path: path.name)
def test_every_container_is_locked_down(path):
    for name, service in yaml.safe_load(path.read_text())["services"].items():
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert not service["user"].startswith("0") and "privileged" not in service, name


def test_compose_refers_only_to_what_exists():
    document = yaml.safe_load(COMPOSE[0].read_text())
    targets = re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE.read_text(), flags=re.M)
    for name, service in document["services"].items():
        if "build" in service:
            assert (ROOT / service["build"]["context"] / service["build"]["dockerfile"]).is_file(), name
            assert service["build"]["target"] in targets, name
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in document["volumes"], name
        for other in service.get("depends_on", {}):
            assert other in document["services"], name


def test_workers_scale_and_never_see_the_database():
    document = yaml.safe_load(COMPOSE[0].read_text())
    worker = document["services"]["worker"]
    assert worker["deploy"]["replicas"] == 2
    assert "ports" not in worker and "container_name" not in worker, "either makes --scale impossible"
    assert worker["network_mode"] == "service:edge" and document["services"]["edge"]["ports"]
    assert worker["volumes"] == ["join:/run/tidegate-join:ro"]
    assert document["services"]["redis"]["profiles"] == ["redis"]


# ---- Dockerfile --------------------------------------------------------------------------------------------------------

def instructions():
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.M)
    return [line.split(None, 1) for line in re.sub(r"\\\n", " ", text).split("\n") if line.strip()]


def test_the_dockerfile_parses():
    known = {"ARG", "FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "STOPSIGNAL", "VOLUME", "EXPOSE", "HEALTHCHECK", "CMD", "ENTRYPOINT"}
    stages = []
    for word, rest in instructions():
        assert word in known, word
        if word == "FROM":
            source, _, name = rest.split()
            assert source == "${DEBIAN}" or source in stages
            stages.append(name)
        if word in ("CMD", "ENTRYPOINT"):
            assert isinstance(json.loads(rest), list)
        if word == "RUN":
            assert subprocess.run(["bash", "-n", "-c", rest]).returncode == 0, rest
        if word == "HEALTHCHECK":
            assert isinstance(json.loads(rest.split("CMD ", 1)[1]), list)
    assert stages == ["build", "base", "control", "worker"]


def test_everything_that_is_copied_exists():
    for word, rest in instructions():
        if word != "COPY" or "--from=" in rest:
            continue
        sources = [part for part in rest.split() if not part.startswith("--")][:-1]
        for source in sources:
            assert (ROOT / source).exists(), source
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"install.sh", "deploy", "console-ui", "proto"} & set(ignored)


def test_images_take_steps_that_install_sh_knows():
    steps = [rest for word, rest in instructions() if word == "RUN" and "install.sh" in rest]
    assert len(steps) == 2
    for step in steps:
        assert options_in(step) <= installer_options(), step


def test_programs_take_the_options_that_images_and_units_give_them():
    control = json.loads(next(rest for word, rest in instructions() if word == "CMD" and "tidegate-control" in rest))
    assert options_in(" ".join(control)) <= options_in(help_of(binary("tidegate-control")))
    worker = (ROOT / "deploy/docker/worker.sh").read_text() + (ROOT / "deploy/systemd/tidegate-worker.service").read_text()
    assert options_in(worker) <= options_in(help_of(binary("tidegate-worker")))
    arguments = re.search(r"up_arguments\(\) \{(.*?)\n\}", (ROOT / "install.sh").read_text(), flags=re.S).group(1)
    assert options_in(arguments) <= options_in(help_of(binary("tidegate"), "up"))


# ---- the scripts inside ------------------------------------------------------------------------------------------------

def test_the_join_token_is_handed_over_once_and_closed_to_others(tmp_path):
    data, join = tmp_path / "data", tmp_path / "join"
    data.mkdir()
    join.mkdir()
    script = [ROOT / "deploy/docker/join.sh", join]
    done = subprocess.run(script, env={**os.environ, "TIDEGATE_DATA_DIR": str(data)}, capture_output=True, text=True)
    assert done.returncode == 1 and "is the control plane healthy?" in done.stderr
    for token in ("tgj_1.a.b", "tgj_2.a.b"):
        (data / "join-token").write_text(token)
        for _ in range(2):
            subprocess.run(script, env={**os.environ, "TIDEGATE_DATA_DIR": str(data)}, check=True)
            assert (join / "join-token").read_text() == token
            assert (join / "join-token").stat().st_mode & 0o777 == 0o400 and len(list(join.iterdir())) == 1


def test_workers_in_containers_differ_in_name_and_admin_port_and_keep_the_name(tmp_path):
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/tidegate-worker"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)

    def start(name):
        state = tmp_path / name
        state.mkdir(exist_ok=True)
        done = subprocess.run([ROOT / "deploy/docker/worker.sh"], capture_output=True, text=True, check=True, env={
            "PATH": "%s:/usr/bin:/bin" % program.parent, "TIDEGATE_STATE_DIR": str(state), "TMPDIR": str(state),
            "TIDEGATE_JOIN_TOKEN_FILE": "/run/x"})
        words = done.stdout.split("\n")
        given = dict(zip(words[0::2], words[1::2]))
        assert given["--admin-listen"] == "127.0.0.1:" + (state / "admin-port").read_text().strip()
        assert 20000 <= int(given["--admin-listen"].split(":")[1]) < 30000
        assert given["--control"] == "wss://control:8002" and given["--state-dir"] == str(state) and given["--join-token-file"] == "/run/x"
        return given["--name"]
    first, second = start("a"), start("b")
    assert first != second and start("a") == first


@pytest.fixture
def pods(tmp_path):
    """A control plane started as its image starts it; `start(name)` is one worker container of the same network."""
    processes = []

    def launch(name, *command, **env):
        log = (tmp_path / (name + ".log")).open("w")
        path = "%s:/usr/bin:/bin" % Path(os.environ["TIDEGATE_BIN"])
        processes.append(subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, env={"PATH": path, **env}))
        return processes[-1]
    console, channel, data = free_port(), free_port(), free_port()
    folder, join = tmp_path / "data", tmp_path / "join"
    folder.mkdir(mode=0o700)
    join.mkdir()
    words = json.loads(next(rest for word, rest in instructions() if word == "CMD" and "tidegate-control" in rest))
    swap = {"/var/lib/tidegate": folder, "0.0.0.0:8001": "127.0.0.1:%d" % console, "0.0.0.0:8002": "127.0.0.1:%d" % channel}
    launch("control", *[swap.get(word, word) for word in words])

    def start(name):
        state = tmp_path / name
        state.mkdir(exist_ok=True)
        env = {"TIDEGATE_CONTROL": "wss://127.0.0.1:%d" % channel, "TIDEGATE_JOIN_TOKEN_FILE": str(join / "join-token"),
               "TIDEGATE_STATE_DIR": str(state), "TMPDIR": str(state), "TIDEGATE_LISTEN": "127.0.0.1:%d" % data}
        process = launch(name, ROOT / "deploy/docker/worker.sh", **env)
        until(lambda: subprocess.run([ROOT / "deploy/docker/worker-healthy.sh"], env={**os.environ, "TMPDIR": str(state)},
                                     capture_output=True).returncode == 0, "%s is healthy" % name)
        return process
    pods = SimpleNamespace(start=start, folder=folder, join=join, data=data, console=console)
    yield pods
    for process in reversed(processes):
        if process.poll() is None:
            process.terminate()
    for process in processes:
        process.wait(30)


def until(check, what, seconds=60):
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "%s: not within %d s" % (what, seconds)
        time.sleep(0.05)


def answer(port, path):
    """The status of a request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    status = connection.getresponse().status
    connection.close()
    return status


def test_containers_find_each_other_and_share_one_port(pods):
    """What `docker compose up` does, as processes: control, join, then workers in one network on one port."""
    until(lambda: (pods.folder / "join-token").exists() and (pods.folder / "control.sock").exists(), "the control plane is up")
    subprocess.run([ROOT / "deploy/docker/join.sh", pods.join], env={**os.environ, "TIDEGATE_DATA_DIR": str(pods.folder)}, check=True)
    first, second = pods.start("first"), pods.start("second")
    status = subprocess.run([binary("tidegate"), "status", "--data-dir", pods.folder], capture_output=True, text=True, timeout=60)
    assert status.returncode == 0 and len(re.findall(r"^worker-[0-9a-f]{8} ", status.stdout, flags=re.M)) == 2, status.stdout
    assert {answer(pods.data, "/v1/models") for _ in range(8)} == {401}
    first.terminate()
    assert first.wait(20) == 0, "SIGTERM must reach the worker through its script"
    assert {answer(pods.data, "/v1/models") for _ in range(8)} == {401}, "the other one must have the port to itself"
    second.terminate()
    assert second.wait(20) == 0


# ---- systemd -----------------------------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze here")
def test_units_are_sound(tmp_path):
    unit = (ROOT / "deploy/systemd/tidegate.service.in").read_text()
    for word, value in (("PREFIX", "/usr"), ("DATA_DIR", "/var/lib/x"), ("ARGUMENTS", "--x"), ("CAPABILITIES", ""), ("USER", "root")):
        assert "@%s@" % word in unit
        unit = unit.replace("@%s@" % word, value)
    assert not re.search(r"@[A-Z_]+@", unit)
    (tmp_path / "tidegate.service").write_text(unit.replace("/usr/bin/tidegate", "/bin/true"))
    worker = (ROOT / "deploy/systemd/tidegate-worker.service").read_text()
    (tmp_path / "tidegate-worker.service").write_text(worker.replace("/usr/local/bin/tidegate-worker", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", *tmp_path.glob("*.service")], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == "", done.stderr
