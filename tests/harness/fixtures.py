"""The fixtures that system and browser tests share. conftest.py of each imports them."""
import pytest

import sim

from . import afterwards
from .gateway import Gateway
from .worker import Upstream, Worker, answer_plainly, config

VENDORS = {"openai": "sk-canary-openai-4f9d2c7e", "deepseek": "sk-canary-deepseek-83a1b6e0",
           "dashscope": "sk-canary-dashscope-5d0c91af", "vllm": "",
           "anthropic": "sk-ant-api03-canary-7be42d90"}


class Watch:
    """The gateways and simulators of one test, for what is checked when it is over."""

    def __init__(self):
        self.gateways, self.own, self.sims = [], [], []

    def check(self):
        for vendor in self.sims:
            assert not vendor.violations, "%s received what no vendor may: %s" % (vendor.vendor.name, vendor.violations)
        for gateway in self.gateways:
            afterwards.check(gateway)


@pytest.fixture
def watch(request):
    """Set up before any simulator and torn down after them, so that their connections are closed when it counts."""
    watched = request.node.watch = Watch()
    yield watched
    try:
        watched.check()
    finally:
        for gateway in watched.own:
            end(gateway)


def end(gateway):
    """Stops a gateway; it must end cleanly, leak nothing and have complained of nothing."""
    try:
        statuses = gateway.stop()
        assert set(statuses.values()) <= {0}, "exit statuses %s\n%s" % (statuses, gateway.logs()[-8000:])
        complaints = [line for daemon in gateway.daemons for line in daemon.complaints()]
        assert not complaints, "\n".join(complaints[:20]) + "\n" + gateway.logs()[-8000:]
    finally:
        gateway.clean()


@pytest.fixture(scope="module")
def shared_gateway():
    """One `tidegate up` for a file of tests."""
    gateway = Gateway()
    try:
        yield gateway.start().set_up()
    finally:
        end(gateway)


@pytest.fixture
def gateway(watch, shared_gateway):
    """A running gateway with an empty configuration."""
    if getattr(shared_gateway, "used", False):
        shared_gateway.reset()
    shared_gateway.used = True
    watch.gateways.append(shared_gateway)
    return shared_gateway


@pytest.fixture
def start_gateway(watch):
    """Starts gateways of a test's own: start_gateway(workers=2, split=True). Set up unless setup=False."""
    def start(setup=True, **how):
        gateway = Gateway(**how)
        watch.own.append(gateway)
        watch.gateways.append(gateway)
        gateway.start()
        return gateway.set_up() if setup else gateway
    return start


@pytest.fixture
def start_sim(watch):
    """Starts simulators: start_sim("deepseek", tls=True)."""
    from contextlib import ExitStack
    with ExitStack() as stack:
        def start(vendor, **settings):
            settings.setdefault("key", VENDORS[vendor])
            running = stack.enter_context(sim.start(vendor, **settings))
            watch.sims.append(running)
            return running
        yield start


def _vendor(name):
    @pytest.fixture(name=name + "_sim")
    def fixture(start_sim):
        return start_sim(name)
    return fixture


openai_sim, deepseek_sim, dashscope_sim, vllm_sim, anthropic_sim = map(_vendor, ("openai", "deepseek", "dashscope", "vllm", "anthropic"))


@pytest.fixture
def rig(tmp_path):
    """rig(script, …, loops=2, env={…}, route={…}): a worker alone and its upstreams, all of which must end well; see harness/worker.py."""
    made = []

    def make(*scripts, loops=1, env=None, **more):
        upstreams = [s if isinstance(s, Upstream) else Upstream(s) for s in scripts or (answer_plainly,)]
        worker = Worker(tmp_path, config(*upstreams, **more), loops, env)
        made.append((worker, upstreams))
        return worker, *upstreams
    yield make
    for worker, upstreams in made:
        if worker.daemon.running:
            worker.idle()
        worker.stop()
        for upstream in upstreams:
            upstream.close()
            assert not upstream.errors, upstream.errors


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failed test shows the logs of its daemons."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for gateway in getattr(item, "watch", Watch()).gateways:
            report.sections.append(("logs in %s" % gateway.folder, gateway.logs()[-12000:]))
