"""The gateways that are measured, the mock vendor behind them, and what they cost. Everything is one process tree each,
pinned to CPU 0; the mock and the load are pinned to CPU 1."""
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEY = "tgk_bench0123456789012345678901234567"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, check, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.002)
    raise SystemExit("bench: %s did not happen within %.0f s" % (what, seconds))


def tree(pid):
    """The process and all its children."""
    pids, queue = [], [pid]
    while queue:
        p = queue.pop()
        pids.append(p)
        try:
            for task in os.listdir("/proc/%d/task" % p):
                queue += [int(c) for c in Path("/proc/%d/task/%s/children" % (p, task)).read_text().split()]
        except OSError:
            pass
    return pids


def cpu_seconds(pids):
    total = 0
    for p in pids:
        try:
            for task in os.listdir("/proc/%d/task" % p):
                total += int(Path("/proc/%d/task/%s/schedstat" % (p, task)).read_text().split()[0])
        except OSError:
            pass
    return total / 1e9


def rss_kib(pids):
    total = 0
    for p in pids:
        found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/%d/status" % p).read_text())
        total += int(found.group(1)) if found else 0
    return total


def comm(pid):
    return Path("/proc/%d/comm" % pid).read_text().strip()


def pinned(cpu, *argv):
    return ["taskset", "-c", str(cpu), *map(str, argv)]


def get(port, path):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    c.request("GET", path)
    r = c.getresponse()
    return r.status, r.read()


class Api:
    def __init__(self, port, token):
        self.port, self.token = port, token

    def __call__(self, method, path, body=None, fail=True):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        c.request(method, "/api/v1" + path, json.dumps(body) if body is not None else None,
                  {"Content-Type": "application/json", "Authorization": "Bearer " + self.token})
        r = c.getresponse()
        data = r.read()
        if r.status >= 300:
            if fail:
                raise SystemExit("bench: %s %s gave %d: %r" % (method, path, r.status, data[:400]))
            return None
        self.revision = int(r.headers.get("X-Tidegate-Revision") or 0)
        return json.loads(data) if data else {}


class System:
    key, headers, level, tls_port = "none", "", "L0", 0

    def pids(self):
        return tree(self.process.pid)

    def parts(self):
        return {"cpu_us": self.pids()}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)


class Mock(System):
    """Reached without a gateway: the ruler for what a gateway adds. Its CPU is charged to nobody."""
    name, level = "direct", "-"

    def __init__(self, scratch, reply=600, events=100, interval_ms=20, event_bytes=240):
        self.port = free_port()
        self.process = subprocess.Popen(pinned(1, scratch / "mock", self.port, reply, events, interval_ms, event_bytes),
                                        stdout=subprocess.PIPE)
        self.process.stdout.readline()
        self.events = events


class Nginx(System):
    name = "nginx"

    def __init__(self, mock, scratch, cert=None):
        self.port = free_port()
        home = scratch / ("nginx-%d" % self.port)
        home.mkdir()
        secure = ""
        if cert:
            self.tls_port = free_port()
            secure = ("listen 127.0.0.1:%d ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.3; ssl_session_tickets off; "
                      % (self.tls_port, *cert))
        (home / "nginx.conf").write_text("""
daemon off; worker_processes 1; pid %(home)s/pid; error_log %(home)s/error.log; user root; worker_rlimit_nofile 20000;
events { worker_connections 20000; }
http { access_log off; client_body_temp_path %(home)s/b; proxy_temp_path %(home)s/p; fastcgi_temp_path %(home)s/f;
  uwsgi_temp_path %(home)s/u; scgi_temp_path %(home)s/s; keepalive_requests 10000000; client_max_body_size 64m;
  upstream mock { server 127.0.0.1:%(mock)d; keepalive 512; keepalive_requests 10000000; }
  server { listen 127.0.0.1:%(port)d backlog=4096; %(secure)slocation / { proxy_pass http://mock; proxy_http_version 1.1;
    proxy_set_header Connection ""; proxy_buffering off; proxy_read_timeout 600s; } } }
""" % {"home": home, "mock": mock.port, "port": self.port, "secure": secure})
        self.process = subprocess.Popen(pinned(0, "nginx", "-c", home / "nginx.conf", "-p", home), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for("nginx", lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)


class Haproxy(System):
    name = "haproxy"

    def __init__(self, mock, scratch):
        self.port = free_port()
        conf = scratch / ("haproxy-%d.cfg" % self.port)
        conf.write_text("""
global
  nbthread 1
  maxconn 9500
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  option http-no-delay
  http-reuse always
frontend f
  bind 127.0.0.1:%d
  default_backend b
backend b
  server mock 127.0.0.1:%d
""" % (self.port, mock.port))
        self.process = subprocess.Popen(pinned(0, "haproxy", "-db", "-q", "-f", conf), stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        wait_for("haproxy", lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)


class Portkey(System):
    """A gateway of the same kind, at its defaults."""
    name, level = "portkey", "its own"

    def __init__(self, folder, mock):
        self.port = free_port()
        start = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
        self.headers = "x-portkey-provider: openai\r\nx-portkey-custom-host: http://127.0.0.1:%d/v1\r\n" % mock.port
        self.process = subprocess.Popen(pinned(0, "node", start, "--headless", "--port=%d" % self.port),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("portkey", lambda: socket.create_connection(("127.0.0.1", self.port), 1).close() is None)


class Static(System):
    """A worker alone, configured by a file: forwarding only, or as many routes and consumers as wanted."""

    def __init__(self, bin_dir, mock, scratch, name="tidegate-L0", routes=1, consumers=0, loops=1, cpus="0", under=()):
        self.name, self.port, self.admin = name, free_port(), free_port()
        self.key = KEY
        objects = {
            "providers": {"mock": {"type": "openai-compatible", "base_url": "http://127.0.0.1:%d/v1" % mock.port,
                                   "allow_private_addresses": True}},
            "routes": {"r%05d" % i: {"match": {"models": [{"type": "exact", "value": "m-%05d" % i if consumers else "bench"}]},
                                     "targets": [{"provider": "mock"}], "auth": {"required": consumers > 0}}
                       for i in range(routes)},
            "consumers": {"c%06d" % i: {"keys": [{"id": "k%d" % i, "secret": self.secret(i)}]} for i in range(consumers)},
            "settings": {"settings": {"data_plane": {"access_log": {"enabled": False}}}}}
        self.secrets = [self.secret(i) for i in range(consumers)] or [KEY]
        config = scratch / (name + ".json")
        config.write_text(json.dumps({"epoch": "0123456789abcdef", "format": 1, "revision": 1, "objects": objects}))
        config.chmod(0o600)
        self.log = open(scratch / (name + ".log"), "wb")
        self.process = subprocess.Popen(pinned(cpus, *under, bin_dir / "tidegate-worker", "--static-config", config, "--listen",
            "127.0.0.1:%d" % self.port, "--admin-listen", "127.0.0.1:%d" % self.admin, "--loops", loops), stdout=self.log,
            stderr=self.log)
        wait_for("the worker", lambda: get(self.admin, "/readyz")[0] == 200)

    @staticmethod
    def secret(i):
        return "tgk_bench%030d" % i


class Tidegate(System):
    """`tidegate up` as people run it: control plane, worker, supervisor."""

    def __init__(self, bin_dir, mock, scratch, name, workers=1, level="L1"):
        self.name, self.level, self.bin_dir = name, level, bin_dir
        self.port, self.console, self.channel = free_port(), free_port(), free_port()
        self.admin = self.run_of_ports(workers)
        self.data = scratch / name
        self.log = open(scratch / (name + ".log"), "wb")
        self.process = subprocess.Popen(pinned(0, bin_dir / "tidegate", "up", "--data-dir", self.data, "--console-port",
            self.console, "--data-port", self.port, "--control-port", self.channel, "--worker-admin-port", self.admin,
            "--workers", workers, "--loops", 1), stdout=self.log, stderr=self.log)
        wait_for("the control plane's start", lambda: get(self.console, "/healthz")[0] == 200)
        token = subprocess.run([bin_dir / "tidegate", "token", "create", "--role", "admin", "--data-dir", self.data],
            check=True, capture_output=True, text=True).stdout.strip()
        self.api = Api(self.console, token)
        self.workers = workers
        self.api("POST", "/providers", {"name": "mock", "type": "openai-compatible",
            "base_url": "http://127.0.0.1:%d/v1" % mock.port, "api_keys": [{"name": "main", "value": "sk-bench-000000000000"}]})
        self.api("POST", "/routes", {"name": "bench", "match": {"models": [{"type": "exact", "value": "bench"}]},
            "targets": [{"provider": "mock"}]})
        self.api("POST", "/consumers", {"name": "bench"})
        self.key = self.api("POST", "/consumers/bench/keys", {"name": "k"})["secret"]
        self.has = self.features(level)
        self.wait_served(self.api.revision)

    @staticmethod
    def run_of_ports(n):
        while True:
            first = free_port()
            try:
                for i in range(1, n):
                    with socket.socket() as s:
                        s.bind(("127.0.0.1", first + i))
                return first
            except OSError:
                continue

    def features(self, level):
        """L1: key, route by model, permission, usage, metrics, ledger. L2: a token limit, a budget and the access log too."""
        on = {"access_log": level == "L2"}
        self.api("PATCH", "/settings", {"data_plane": {"access_log": {"enabled": level == "L2"}}})
        if level == "L2":
            on["token_limit"] = self.api("PATCH", "/consumers/bench", {"plugins": {"token-ratelimit":
                {"tokens": 1000000000, "window": "1m"}}}) is not None
            on["budget"] = self.api("POST", "/quotas", {"name": "budget", "consumer": "bench", "unit": "tokens",
                "limit": 10 ** 12, "period": "month"}) is not None
        return on

    def speak_tls(self, cert):
        self.api("PATCH", "/settings", {"tls": {"mode": "optional", "certificates": [
            {"name": "bench", "certificate_pem": cert[0].read_text(), "private_key": cert[1].read_text()}]}})
        self.wait_served(self.api.revision)
        self.tls_port = self.port

    def revision_of(self, i):
        return json.loads(get(self.admin + i, "/snapshot")[1])["revision"] or 0

    def wait_served(self, revision):
        for i in range(self.workers):
            wait_for("revision %d on worker %d" % (revision, i), lambda: self.revision_of(i) >= revision, 60)

    def of(self, program):
        return [p for p in self.pids() if comm(p) == program[:15]]

    def parts(self):
        return {"cpu_us": self.of("tidegate-worker"), "cpu_tree_us": self.pids(), "cpu_control_us": self.of("tidegate-control")}
