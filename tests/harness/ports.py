"""Free ports, below the range that the kernel gives to outgoing connections, so that nothing takes them in between."""
import itertools
import os
import socket

_FIRST, _LAST = 12000, 32000
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:] or 0)
_next = itertools.count((os.getpid() * 37 + _worker * 2503) % (_LAST - _FIRST))


def _is_free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(run=1):
    """The first of `run` neighbouring free ports."""
    while True:
        first = _FIRST + next(_next) % (_LAST - _FIRST)
        for _ in range(run - 1):
            next(_next)
        if all(_is_free(first + i) for i in range(run)):
            return first
