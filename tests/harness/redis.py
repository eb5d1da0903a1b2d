"""Real Redis servers for tests: one, with sentinels, or a cluster; on free ports, ended by their process ids."""
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from .ports import free_port
from .waiting import wait_until

SERVER = "/usr/bin/redis-server"


class Redis:
    """One redis-server of a test. `arguments` as on its command line."""

    def __init__(self, *arguments, folder=None, port=None, auth=(), tls=()):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="tidegate-redis-"))
        self.port = port or free_port()
        self.auth, self.tls = list(auth), list(tls)
        self.arguments = [str(a) for a in arguments]
        self.process = None

    @property
    def url(self):
        return "%s://127.0.0.1:%d" % ("rediss" if self.tls else "redis", self.port)

    def start(self, wait=True):
        ports = ["--port", "0", "--tls-port", str(self.port)] if self.tls else ["--port", str(self.port)]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([SERVER, *self.arguments, *ports, "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder),
                                             "--daemonize", "no"], stdout=log, stderr=log)
        if wait:
            wait_until(self.answers, 40, "redis-server on port %d: %s" % (self.port, (self.folder / "log").read_text()[-500:]))
        return self

    def command(self, *words, check=True):
        done = subprocess.run(["/usr/bin/redis-cli", "-p", str(self.port), *self.auth, *self.tls, *map(str, words)], capture_output=True,
                              text=True, timeout=40)
        assert not check or (done.returncode == 0 and not done.stdout.startswith(("ERR", "NOAUTH", "WRONGPASS"))), done.stdout + done.stderr
        return done.stdout.strip()

    def answers(self):
        return self.command("PING", check=False) == "PONG"

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.thaw()
            self.process.kill()
            self.process.wait(10)


@contextmanager
def running(*servers):
    try:
        yield [server.start() for server in servers]
    finally:
        for server in servers:
            server.stop()


@contextmanager
def sentinels(name="mymaster", password=None):
    """A master and one sentinel that knows it under `name`."""
    master = Redis(*(["--requirepass", password] if password else []), auth=["-a", password, "--no-auth-warning"] if password else [])
    with running(master):
        folder = Path(tempfile.mkdtemp(prefix="tidegate-sentinel-"))
        config = folder / "sentinel.conf"
        config.write_text("sentinel monitor %s 127.0.0.1 %d 1\n%s" % (
            name, master.port, "sentinel auth-pass %s %s\n" % (name, password) if password else ""))
        guard = Redis(config, "--sentinel", folder=folder)
        try:
            guard.start()
            yield guard, master
        finally:
            guard.stop()


@contextmanager
def cluster(n=3):
    """n masters that share all slots."""
    nodes = [Redis("--cluster-enabled", "yes", "--cluster-node-timeout", "3000", port=port) for port in _cluster_ports(n)]
    with running(*nodes):
        done = subprocess.run(["/usr/bin/redis-cli", "--cluster", "create", *("127.0.0.1:%d" % node.port for node in nodes), "--cluster-yes"],
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        wait_until(lambda: all("cluster_state:ok" in node.command("CLUSTER", "INFO") for node in nodes), 60, "a whole cluster")
        yield nodes


def owner_of(nodes, slot):
    """The node of a cluster that serves a slot."""
    for node in nodes:
        for line in node.command("CLUSTER", "NODES").split("\n"):
            words = line.split()
            if "myself" in words[2]:
                ranges = [word.split("-") for word in words[8:] if not word.startswith("[")]
                if any(int(r[0]) <= slot <= int(r[-1]) for r in ranges):
                    return node
    raise AssertionError("nobody serves slot %d" % slot)


def move_slot(nodes, slot, target, step):
    """Moves a slot as redis-cli's reshard does, and calls `step(what)` between any two commands."""
    source, ids = owner_of(nodes, slot), {node: node.command("CLUSTER", "MYID") for node in nodes}
    assert source is not target
    target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[source])
    source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    step("migrating")
    while keys := source.command("CLUSTER", "GETKEYSINSLOT", slot, 1).split():
        source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        step("a key moved")
    for node in (target, source, *(n for n in nodes if n not in (source, target))):
        node.command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
        step("told")


def _cluster_ports(n):
    """The bus of a node listens 10,000 above its port."""
    found = []
    while len(found) < n:
        port = free_port()
        if port < 21000:
            found.append(port)
    return found
