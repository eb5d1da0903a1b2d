"""The worker's end of the channel: whom it trusts, what it tells before it does, and how it starts."""
import base64
import hashlib
import re
import socket
import ssl
import subprocess
import threading
import time

import pytest

from harness.daemon import Daemon, bin_dir, environment
from harness.ports import free_port
from harness.waiting import wait_until
from harness.worker import KEY, Upstream, config

SECRET = "s" * 43


def certificate(folder, name, *extra):
    key, crt = folder / (name + ".key"), folder / (name + ".pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout", key,
                    "-out", crt, "-subj", "/CN=" + name, *extra], check=True, capture_output=True)
    return crt, key


def upgrade(tls, head):
    """Accepts the WebSocket, and that is all."""
    asked = re.search(rb"(?i)\r\nsec-websocket-key: (\S+)", head).group(1)
    accept = base64.b64encode(hashlib.sha1(asked + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    tls.sendall(b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-protocol: tidegate.v1\r\n"
                b"sec-websocket-accept: %s\r\n\r\n" % accept)
    tls.recv(65536)  # hello


class Listener:
    """Speaks TLS and notes every byte that comes after the handshake; `then(tls, bytes)` may answer."""

    def __init__(self, crt, key, then=None):
        self.then = then
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(crt, key)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard, self.tries = self.socket.getsockname()[1], b"", []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                raw, _ = self.socket.accept()
            except OSError:
                return
            self.tries.append(time.monotonic())
            try:
                with self.context.wrap_socket(raw, server_side=True) as tls:
                    tls.settimeout(1)
                    head = tls.recv(65536)
                    self.heard += head
                    if self.then:
                        self.then(tls, head)
            except OSError:
                pass


def worker(folder, port, fingerprint, *more):
    token = folder / "join-token"
    token.write_text("tgj_abc.%s.%s\n" % (SECRET, fingerprint))
    token.chmod(0o600)
    return Daemon("tidegate-worker", [bin_dir() / "tidegate-worker", "--control", "wss://127.0.0.1:%d" % port, "--join-token-file", token,
                  "--state-dir", folder / "state", "--listen", "127.0.0.1:%d" % free_port(), "--admin-listen",
                  "127.0.0.1:%d" % free_port(), "--loops", "1", *more], folder)


def fingerprint(crt):
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(crt.read_text())).hexdigest()


def test_a_stranger_hears_nothing(tmp_path):
    """T22."""
    crt, key = certificate(tmp_path, "stranger")
    stranger = Listener(crt, key)
    daemon = worker(tmp_path, stranger.port, "0" * 64).start()
    try:
        wait_until(lambda: len(stranger.tries) >= 3, 40, "a few tries")
        assert stranger.heard == b"", "the token goes only to the authority that it names"
        assert "does not hold the authority" in daemon.log() and SECRET not in daemon.log()
        assert daemon.log().count("cannot connect") == 1, "the same reason is told once"
        assert daemon.stop() == 0 and not daemon.complaints()
    finally:
        daemon.kill()


def test_the_named_authority_hears_the_token_without_the_fingerprint(tmp_path):
    crt, key = certificate(tmp_path, "control", "-addext", "basicConstraints=critical,CA:TRUE")
    friend = Listener(crt, key)
    daemon = worker(tmp_path, friend.port, fingerprint(crt)).start()
    try:
        wait_until(lambda: b"\r\n\r\n" in friend.heard, 40, "the upgrade")
        head = friend.heard.decode()
        assert head.startswith("GET /channel HTTP/1.1\r\n")
        assert re.search(r"(?i)\r\nauthorization: bearer tgj_abc\.%s\r\n" % SECRET, head)
        assert re.search(r"(?i)\r\nsec-websocket-protocol: tidegate\.v1\r\n", head) and fingerprint(crt) not in head
        daemon.stop()
        assert not daemon.complaints()
    finally:
        daemon.kill()


def test_tries_again_with_growing_pauses(tmp_path):
    crt, key = certificate(tmp_path, "stranger")
    stranger = Listener(crt, key)
    daemon = worker(tmp_path, stranger.port, "0" * 64).start()
    try:
        wait_until(lambda: len(stranger.tries) >= 5, 40, "five tries")
        gaps = [b - a for a, b in zip(stranger.tries, stranger.tries[1:])]
        assert min(gaps) < 1.0 and gaps[3] > 0.7, "after 0.2, 0.4 and 0.8 s come 1.6 s, give or take a half: %s" % gaps
    finally:
        daemon.kill()


def test_an_upgrade_alone_does_not_shorten_the_pauses(tmp_path):
    crt, key = certificate(tmp_path, "control", "-addext", "basicConstraints=critical,CA:TRUE")
    friend = Listener(crt, key, upgrade)
    daemon = worker(tmp_path, friend.port, fingerprint(crt)).start()
    try:
        wait_until(lambda: len(friend.tries) >= 5, 40, "five tries")
        assert friend.tries[4] - friend.tries[3] > 0.6, "after 0.2, 0.4 and 0.8 s come 1.6 s, give or take a half"
        assert daemon.stop() == 0 and not daemon.complaints()
    finally:
        daemon.kill()


@pytest.mark.parametrize("args, text", [
    (["--control", "ws://127.0.0.1:1", "--state-dir", "s"], "wss://"),
    (["--control", "wss://127.0.0.1:1"], "--state-dir"),
    ([], "--control is missing"),
    (["--loops", "0", "--control", "wss://h", "--state-dir", "s"], "--loops"),
    (["--listen", "nowhere", "--control", "wss://h", "--state-dir", "s"], "--listen"),
    (["--nonsense"], "--nonsense"),
    (["--control", "wss://h", "--static-config", "x"], "exclude"),
])
def test_a_refused_start_says_why_in_one_sentence(tmp_path, args, text):
    env = {**environment(tmp_path), "TIDEGATE_JOIN_TOKEN": "tgj_a.b." + "0" * 64}
    done = subprocess.run([bin_dir() / "tidegate-worker", *args], capture_output=True, text=True, timeout=60, env=env, cwd=tmp_path)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    assert done.returncode == 2 and len(complaints) == 1 and text in complaints[0], (done.returncode, done.stderr)


def test_a_taken_port_is_named(tmp_path):
    up = Upstream()
    from harness.worker import Worker
    first = Worker(tmp_path, config(up))
    done = subprocess.run([bin_dir() / "tidegate-worker", "--static-config", first.path, "--listen", "127.0.0.1:0", "--admin-listen",
                           "127.0.0.1:%d" % first.admin_port], capture_output=True, text=True, timeout=60, env=environment(tmp_path))
    assert done.returncode == 1 and str(first.admin_port) in done.stderr and KEY not in done.stderr
    first.stop()
    up.close()
