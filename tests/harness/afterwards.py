"""What must hold after every test, whatever it tested."""
from .waiting import wait_until

FD_SLACK = 2


def check(gateway):
    """Raises when a daemon complained, leaked or told a secret."""
    gateway.close_clients()
    wrong = []
    for daemon in gateway.daemons:
        wrong += ["%s: %s" % (daemon.name, line) for line in daemon.complaints()]
        wrong += told_secrets(daemon.name, daemon.log(), gateway.secrets)
    assert not wrong, "\n".join(wrong[:20])
    check_quiet(gateway)


def told_secrets(place, text, secrets):
    return ["%s: a secret is in the log: %s…" % (place, s[:6]) for s in secrets if len(s) >= 8 and s in text]


def check_quiet(gateway):
    """Nothing in flight and no descriptor left, a moment after the last client has gone."""
    pids = gateway.worker_pids()
    if not pids or not gateway.admin:
        return
    for index in range(len(pids)):
        wait_until(lambda i=index: gateway.metrics(i).get("tidegate_requests_in_flight") == 0, 20, "no request in flight")
    for pid in pids:
        allowed = gateway.baseline.get(pid)
        if allowed is None:
            continue

        def settled(pid=pid, allowed=allowed):
            return len(gateway.fds(pid)) <= allowed + FD_SLACK
        try:
            wait_until(settled, 15, "descriptors back to %d" % allowed)
        except AssertionError as error:
            raise AssertionError("%s; open: %s" % (error, sorted(gateway.fds(pid)))) from None
