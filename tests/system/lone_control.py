"""A control plane without workers of its own, for tests that play the worker."""
from harness.admin import Admin
from harness.daemon import Daemon, bin_dir
from harness.gateway import Gateway
from harness.waiting import wait_until


class LoneControl(Gateway):
    def __init__(self, env=None, **how):
        super().__init__(workers=0, split=True, **how)
        self.env = env or {}

    def spawn(self, name, program, *args):
        daemon = Daemon(name, [bin_dir() / program, *args], self.folder, self.env).start()
        self.daemons = [d for d in self.daemons if d.name != name or d.running] + [daemon]
        return daemon

    def begin(self):
        self.start()
        token = self.command("token", "create", "--role", "admin", "--name", "tests").strip()
        self.secrets.add(token)
        self.admin = Admin(self.console_url, token, self.secrets)
        return self

    @property
    def join_token(self):
        return (self.data_dir / "join-token").read_text().strip()

    def node(self, worker):
        return next((n for n in self.admin.get("nodes").json()["items"] if n["id"] == worker.node_id), None)

    def wait_node(self, worker, seconds=20, **want):
        """Until the worker's row has these members."""
        def reached():
            node = self.node(worker)
            return node if node and all(node[k] == v for k, v in want.items()) else None
        return wait_until(reached, seconds, "a node row with %s" % want)

    def change(self):
        """Any configuration change; its revision."""
        self.changes = getattr(self, "changes", 0) + 1
        answer = self.admin.patch("settings", {"data_plane": {"max_headers": 50 + self.changes % 50}})
        return int(answer.headers["x-tidegate-revision"])
