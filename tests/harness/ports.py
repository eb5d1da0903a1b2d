"""
Free ports, below the range that the kernel gives to outgoing connections, so that nothing takes them in between.

Each process of tests has a thousand for itself, by a lock that ends with it: between finding a port free and a daemon's listening
on it nobody else finds the same.
"""
import fcntl
import itertools
import os
import socket
import tempfile
from pathlib import Path

_FIRST, _LAST, _SHARE = 12000, 32000, 1000


def _own_share():
    """The first port of a share that nobody has; of one shared with others if all are taken."""
    folder = Path(tempfile.gettempdir(), "tidegate-test-ports-%d" % os.getuid())
    folder.mkdir(exist_ok=True)
    shares = range(_FIRST, _LAST, _SHARE)
    for first in shares:
        lock = os.open(folder / str(first), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return first             # the lock is held until this process ends
        except OSError:
            os.close(lock)
    return shares[os.getpid() % len(shares)]


_own = _own_share()
_next = itertools.cycle(range(_own, _own + _SHARE))


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
        first = next(_next)
        for _ in range(run - 1):
            next(_next)
        if first + run <= _own + _SHARE and all(_is_free(first + i) for i in range(run)):
            return first
