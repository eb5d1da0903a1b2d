"""tidegate up: start, keep alive, stop; and what refuses to start says why."""
import json
import os
import signal
import socket
import subprocess
import time

import httpx
import pytest

from harness.daemon import bin_dir, descendants, environment
from harness.waiting import Stopwatch, wait_until


def run(*args, folder="/tmp", status=None, seconds=60, **env):
    done = subprocess.run([bin_dir() / args[0], *map(str, args[1:])], capture_output=True, text=True, timeout=seconds,
                          env={**environment(folder), **env}, stdin=subprocess.DEVNULL)
    assert status is None or done.returncode == status, (args, done.returncode, done.stdout, done.stderr)
    return done


def up_args(gateway, data_dir=None):
    return ["up", "--data-dir", data_dir or gateway.data_dir, "--console-port", gateway.console_port, "--data-port",
            gateway.data_port, "--control-port", gateway.control_port, "--worker-admin-port", gateway.worker_admin_port,
            "--bind", "127.0.0.1"]


@pytest.fixture(scope="module")
def running(shared_gateway):
    return shared_gateway


def test_it_says_where_everything_is(running):
    daemon = running.daemon("up")
    daemon.wait_for(lambda: "Tidegate is ready" in daemon.log())
    log = daemon.log()
    assert running.console_url in log
    assert "http://127.0.0.1:%d/v1" % running.data_port in log
    up = json.loads((running.data_dir / "up.json").read_text())
    assert up["pid"] == running.daemon("up").pid and up["console_port"] == running.console_port
    assert {up["control"]["pid"], up["workers"][0]["pid"]} == set(descendants(up["pid"]))


def test_a_second_start_on_the_directory_is_refused(running):
    done = run("tidegate", *up_args(running), status=1)
    assert "already" in done.stderr and str(running.data_dir) in done.stderr and done.stderr.count("\n") == 1
    done = run("tidegate-control", "--data-dir", running.data_dir, "--console-listen", "127.0.0.1:0", status=1)
    assert "in use by a running tidegate-control, pid %d" % running.control_pid() in done.stderr


@pytest.mark.parametrize("which", ["console", "control", "data", "worker_admin"])
def test_a_port_in_use_is_named(running, tmp_path, which):
    free = dict(zip(("console", "control", "data", "worker_admin"), ports(4)))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free[which] = taken.getsockname()[1]
        args = ["--data-dir", tmp_path / "d", "--bind", "127.0.0.1"]
        for name, port in free.items():
            args += ["--%s-port" % name.replace("_", "-"), port]
        done = run("tidegate", "up", *args, status=1)
    assert "port %d is in use" % free[which] in done.stderr, done.stderr


def ports(n):
    from harness.ports import free_port
    return [free_port() for _ in range(n)]


def test_control_alone_names_a_port_in_use(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("tidegate-control", "--data-dir", tmp_path / "d", "--console-listen", "127.0.0.1:0", "--channel-listen",
                   "127.0.0.1:%d" % port, status=1)
    assert str(port) in done.stderr and "in use" in done.stderr


def test_an_open_directory_with_content_is_refused(tmp_path):
    folder = tmp_path / "open"
    folder.mkdir()
    (folder / "something").write_text("x")
    folder.chmod(0o755)
    for program in (["tidegate", "up"], ["tidegate-control"]):
        done = run(*program, "--data-dir", folder, status=1)
        assert "chmod 700 %s" % folder in done.stderr


def test_bad_usage_is_code_2_with_a_hint(tmp_path):
    for args, hint in ((["up", "--dta-dir", "x"], "--data-dir"), (["stauts"], "status"), (["up", "--workers", "0"], "1 to"),
                       (["up", "--bind"], "needs a value"), (["apply"], "-f"), (["token", "create"], "--role"),
                       (["token", "create", "--role", "king"], "admin"), (["restore"], "-f"), ([], "Usage")):
        done = run("tidegate", *args, status=2)
        assert hint in done.stderr, (args, done.stderr)
    assert "--data-dir" in run("tidegate-control", "--data-dri", "x", status=2).stderr


@pytest.mark.parametrize("command", ["up", "status", "doctor", "token create", "apply", "export", "backup", "restore"])
def test_every_command_has_help_with_examples(command):
    shown = run("tidegate", *command.split(), "--help", status=0).stdout
    assert "Examples:" in shown and "--data-dir" in shown and "tidegate " + command.split()[0] in shown
    assert run("tidegate", "help", command.split()[0], status=0).stdout == shown


def test_version(running):
    version = run("tidegate", "version", status=0).stdout.split()[1]
    assert run("tidegate-control", "--version", status=0).stdout.split()[1] == version
    assert running.admin.get("version").json()["version"] == version


def test_a_killed_worker_comes_back(running):
    [old] = running.worker_pids()
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: running.worker_pids() not in ([], [old]), 40, "another worker process")
    wait_until(lambda: httpx.get(running.worker_url() + "/readyz", trust_env=False, verify=False).status_code == 200, 40, "its readiness")
    running.baseline.clear()
    assert json.loads((running.data_dir / "up.json").read_text())["workers"][0]["pid"] == running.worker_pids()[0]


def test_a_killed_control_plane_comes_back_and_the_worker_stays(running):
    [worker] = running.worker_pids()
    revision = running.admin.patch("settings", {"data_plane": {"max_headers": 77}}).headers["x-tidegate-revision"]
    old = running.control_pid()
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: running.pids("tidegate-control") not in ([], [old]) and running.console_answers(), 40, "another control plane")
    assert running.worker_pids() == [worker]
    running.wait_served()
    assert running.admin.get("settings").json()["data_plane"]["max_headers"] == 77
    assert running.admin.get("overview").json()["revision"] == int(revision)


def test_stopping_leaves_nothing(start_gateway):
    gateway = start_gateway(setup=False, workers=2)
    up = gateway.daemon("up")
    up.wait_for(lambda: "Tidegate is ready" in up.log(), 60)
    family = descendants(up.pid)
    assert len(family) == 3
    watch = Stopwatch()
    assert up.stop(signal.SIGTERM) == 0
    assert watch.seconds() < 20
    assert not [pid for pid in family if os.path.exists("/proc/%d" % pid)]
    assert not (gateway.data_dir / "up.json").exists()
    again = gateway.start_up()
    again.wait_for(lambda: again.log().count("Tidegate is ready") == 2, 60)
    assert again.stop(signal.SIGINT) == 0


def open_stream(gateway, sim, interval):
    """A stream of ten tokens through the gateway: its client and an iterator that has given the first bytes."""
    sim.behave(tokens=10, reasoning_tokens=0, interval=interval)
    gateway.provider("p0", sim, type="vllm", served=False)
    gateway.route("r0", "m", ("p0", "qwq-32b"), served=False)
    client = gateway.client(gateway.key())
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "talk"}]}
    answer = client.send(client.build_request("POST", "/chat/completions", json=body), stream=True)
    pieces = answer.iter_raw()
    next(pieces)
    return client, pieces


def test_ctrl_c_lets_a_stream_finish(start_gateway, vllm_sim):
    gateway = start_gateway()
    client, pieces = open_stream(gateway, vllm_sim, 0.2)
    gateway.daemon("up").send(signal.SIGINT)
    assert b"".join(pieces).rstrip().endswith(b"data: [DONE]")
    client.close()
    assert gateway.daemon("up").process.wait(40) == 0


def test_a_second_ctrl_c_does_not_wait(start_gateway, vllm_sim):
    gateway = start_gateway()
    client, pieces = open_stream(gateway, vllm_sim, 3)
    up = gateway.daemon("up")
    up.send(signal.SIGINT)
    time.sleep(1)
    assert up.running, "the stream is still being served"
    watch = Stopwatch()
    assert up.stop(signal.SIGINT) == 0
    assert watch.seconds() < 20, "the stream would last half a minute"
    client.close()


def test_a_supervisor_that_dies_takes_its_children_along(start_gateway):
    gateway = start_gateway(setup=False)
    up = gateway.daemon("up")
    up.wait_for(lambda: "Tidegate is ready" in up.log(), 60)
    family = descendants(up.pid)
    up.process.kill()
    up.process.wait(10)
    wait_until(lambda: not [pid for pid in family if os.path.exists("/proc/%d" % pid)], 40, "the children ending too")


def test_a_worker_that_cannot_start_ends_the_start(tmp_path, running):
    free = ports(4)
    done = run("tidegate", "up", "--data-dir", tmp_path / "d", "--bind", "127.0.0.1", "--console-port", free[0], "--control-port",
               free[1], "--data-port", free[2], "--worker-admin-port", free[3], TIDEGATE_SHARE_DIR="/nowhere",
               status=1)
    assert "/nowhere" in done.stderr and "could not be started" in done.stderr
