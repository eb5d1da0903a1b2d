"""A running Tidegate, set up and ready: `tidegate up` as people start it, or the two daemons on their own."""
import shutil
import tempfile
from pathlib import Path

import httpx

from .admin import Admin
from .daemon import Daemon, bin_dir, children, program_of
from .ports import free_port
from .waiting import wait_until

ADMIN, PASSWORD = "root", "correct horse battery staple"


class Gateway:
    """`split=True` starts tidegate-control and tidegate-worker without the `tidegate` command above them."""

    def __init__(self, workers=1, loops=1, split=False, own_ports=False, control_args=(), worker_args=(), env=None):
        self.folder = Path(tempfile.mkdtemp(prefix="tidegate-"))
        self.data_dir = self.folder / "data"
        self.workers, self.loops, self.split = workers, loops, split
        self.control_args, self.worker_args = list(control_args), list(worker_args)
        self.console_port, self.data_port, self.control_port = free_port(), free_port(), free_port()
        self.worker_admin_port = free_port(run=workers)
        # Workers share the data port; with own_ports each has one, so that it can be asked by itself.
        self.data_ports = [free_port() for _ in range(workers)] if own_ports else [self.data_port] * max(workers, 1)
        self.daemons, self.env = [], env or {}
        self.secrets = {PASSWORD}
        self.admin = None
        self.baseline = {}
        self.consumer = "app1"   # of the present test, which is a tenant of its own
        self.clients = []        # of the present test; closed when it is over

    # -- addresses ---------------------------------------------------------------------------------------------

    @property
    def console_url(self):
        scheme = "https" if "--tls-cert" in self.control_args else "http"
        return "%s://127.0.0.1:%d" % (scheme, self.console_port)

    @property
    def url(self):
        """What applications call."""
        return "http://127.0.0.1:%d/v1" % self.data_port

    def worker_url(self, index=0):
        return "http://127.0.0.1:%d" % (self.worker_admin_port + index)

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self):
        """Until the console answers. Only set_up() makes it usable."""
        if self.split:
            self.start_control()
            for index in range(self.workers):
                self.start_worker(index)
        else:
            self.start_up()
        return self

    def start_up(self):
        up = self.spawn("up", "tidegate", "up", "--data-dir", self.data_dir, "--console-port", self.console_port,
                        "--data-port", self.data_port, "--control-port", self.control_port, "--worker-admin-port",
                        self.worker_admin_port, "--workers", self.workers, "--loops", self.loops, "--bind", "127.0.0.1")
        up.wait_for(self.console_answers)
        return up

    def start_control(self):
        control = self.spawn("control", "tidegate-control", "--data-dir", self.data_dir,
                             "--console-listen", "127.0.0.1:%d" % self.console_port,
                             "--channel-listen", "127.0.0.1:%d" % self.control_port, "--log-format", "json", *self.control_args)
        control.wait_for(self.console_answers)
        return control

    def start_worker(self, index=0):
        worker = self.spawn("worker-%d" % index, "tidegate-worker", "--control", "wss://127.0.0.1:%d" % self.control_port,
                            "--join-token-file", self.data_dir / "join-token", "--state-dir", self.folder / ("worker-%d" % index),
                            "--listen", "127.0.0.1:%d" % (self.data_ports[index] if index < len(self.data_ports) else self.data_port),
                            "--admin-listen", "127.0.0.1:%d" % (self.worker_admin_port + index),
                            "--loops", self.loops, "--name", "worker-%d" % index, "--log-format", "json", *self.worker_args)
        worker.wait_for(lambda: httpx.get(self.worker_url(index) + "/healthz", trust_env=False, verify=False, timeout=20).status_code == 200)
        return worker

    def spawn(self, name, program, *args):
        daemon = Daemon(name, [bin_dir() / program, *args], self.folder, self.env).start()
        self.daemons = [d for d in self.daemons if d.name != name or d.running] + [daemon]
        return daemon

    def daemon(self, name):
        return next(d for d in reversed(self.daemons) if d.name == name)

    def console_answers(self):
        return httpx.get(self.console_url + "/healthz", trust_env=False, verify=False, timeout=20).status_code == 200

    def set_up(self):
        """First administrator by the setup token, then an API token, as a script would."""
        browser = self.browser(login=False)
        token = (self.data_dir / "setup-token").read_text().strip()
        browser.csrf = browser.post("setup", {"setup_token": token, "username": ADMIN, "password": PASSWORD}).json()["csrf_token"]
        secret = browser.post("tokens", {"name": "tests", "role": "admin"}).json()["secret"]
        browser.close()
        self.admin = Admin(self.console_url, secret, self.secrets)
        self.wait_served()
        held = {pid: self.fds(pid) for pid in self.worker_pids()}
        self.baseline = {pid: len(files) for pid, files in held.items() if files is not None}
        return self

    def stop(self):
        """Stops everything and returns {name: exit status}."""
        self.close_clients()
        if self.admin:
            self.admin.close()
        return {daemon.name: daemon.stop() for daemon in reversed(self.daemons) if daemon.running}

    def clean(self):
        for daemon in self.daemons:
            daemon.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # -- looking inside ------------------------------------------------------------------------------------------

    def pids(self, program):
        own = [d.pid for d in self.daemons if d.running]
        return [pid for parent in own for pid in [parent, *children(parent)] if program_of(pid) == program]

    def worker_pids(self):
        return self.pids("tidegate-worker")

    def control_pid(self):
        return self.pids("tidegate-control")[0]

    def fds(self, pid):
        from .daemon import open_files
        return open_files(pid)

    def metrics(self, index=0):
        """{series: value} of a worker."""
        text = httpx.get(self.worker_url(index) + "/metrics", trust_env=False, verify=False, timeout=20).text
        rows = (line.rpartition(" ") for line in text.split("\n") if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in rows}

    def logs(self):
        return "\n".join("--- %s\n%s" % (d.name, d.log()) for d in self.daemons)

    # -- clients -------------------------------------------------------------------------------------------------

    def browser(self, login=True):
        client = Admin(self.console_url, secrets=self.secrets)
        return client.login(ADMIN, PASSWORD) if login else client

    def client(self, key=None, **how):
        """A plain HTTP client of the data plane."""
        headers = {"Authorization": "Bearer " + key} if key else {}
        self.clients.append(httpx.Client(base_url=self.url, headers=headers, timeout=30, trust_env=False, verify=False, **how))
        return self.clients[-1]

    def openai(self, key, **how):
        import openai
        self.clients.append(openai.OpenAI(api_key=key, base_url=self.url, max_retries=0, timeout=30,
                                          http_client=httpx.Client(trust_env=False, verify=False), **how))
        return self.clients[-1]

    def anthropic(self, key=None, **how):
        """The vendor's SDK, which puts /v1 behind the address itself. `key` as its API key; auth_token=… gives it the other way."""
        import anthropic
        import httpx2
        if key is not None:
            how["api_key"] = key
        how.setdefault("max_retries", 0)
        self.clients.append(anthropic.Anthropic(base_url=self.url[:-len("/v1")], timeout=30, http_client=httpx2.Client(trust_env=False), **how))
        return self.clients[-1]

    def close_clients(self):
        while self.clients:
            self.clients.pop().close()

    def command(self, *args, status=0, stdin=None):
        """The `tidegate` command on this installation; its standard output."""
        import subprocess
        from .daemon import environment
        done = subprocess.run([bin_dir() / "tidegate", *map(str, args), "--data-dir", self.data_dir], input=stdin,
                              capture_output=True, text=True, timeout=60, env=environment(self.folder))
        assert done.returncode == status, "tidegate %s: status %d\n%s\n%s" % (args, done.returncode, done.stdout, done.stderr)
        return done.stdout

    # -- configuration in one line each ----------------------------------------------------------------------------

    def wait_served(self, seconds=40):
        """Until every connected worker, and as many as were started, serves the newest revision."""
        def reached():
            nodes = self.admin.get("nodes?min_revision=latest&wait=2s").json()
            up = [n for n in nodes["items"] if n["state"] == "connected"]
            return nodes["reached"] and len(up) >= len(self.worker_pids()) > 0
        return wait_until(reached, seconds, "every worker serving the newest revision")

    def provider(self, name, sim, type="openai", served=True, **more):
        body = {"name": name, "type": type, "base_url": sim.base_url, **more}
        if sim.key:
            self.secrets.add(sim.key)
            body.setdefault("api_keys", [{"name": "main", "value": sim.key}])
        self.admin.post("providers", body)
        return self.wait_served() if served else None

    def route(self, name, models, *targets, served=True, **more):
        """route("r1", "deepseek-r1", ("deepseek", "deepseek-reasoner")): exact models to targets."""
        models = [models] if isinstance(models, str) else models
        body = {"name": name, "match": {"models": [{"type": "exact", "value": m} for m in models]},
                "targets": [{"provider": p, "model": m} if m else {"provider": p} for p, m in targets], **more}
        self.admin.post("routes", body)
        return self.wait_served() if served else None

    def key(self, consumer=None, **more):
        """A consumer with one key; the key's secret. Without a name it is the consumer of the present test."""
        consumer = consumer or self.consumer
        self.admin.post("consumers", {"name": consumer, **more})
        secret = self.admin.post("consumers/%s/keys" % consumer, {"name": "main"}).json()["secret"]
        self.wait_served()
        return secret

    def usage(self, requests=1, **filters):
        """Usage rows of the present test's consumer by model, provider and route, once `requests` have been reported."""
        filters.setdefault("consumer", self.consumer)
        query = "usage?group_by=consumer,model,provider,route" + "".join("&%s=%s" % pair for pair in filters.items())

        def reported():
            rows = self.admin.get(query).json()["items"]
            return rows if sum(row["requests"] for row in rows) >= requests else None
        return wait_until(reported, 30, "%d requests in the usage report" % requests, every=0.1)

    def reset(self):
        """Back to an empty configuration, with a new consumer to be."""
        self.consumer = "app%d" % (int(self.consumer[3:]) + 1)
        self.admin.put("config", {"format": 1, "providers": [], "routes": [], "consumers": [], "groups": [], "jwt_issuers": [],
                                  "prices": [], "quotas": [], "global_plugins": {}})
        self.wait_served()
