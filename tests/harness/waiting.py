"""Tests wait for conditions, never for time."""
import threading
import time


def wait_until(condition, seconds=10.0, what=None, every=0.02):
    """
    Calls `condition` until it gives something true, and returns that. Exceptions of the network count as not yet.

    On a machine so busy that a quarter of the usual tries do not fit into `seconds`, they may take four times as long.
    """
    began, tries, last = time.monotonic(), 0, None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, ConnectionError) as error:
            last = error
        except Exception as error:           # httpx's own errors share no base with OSError
            if not type(error).__module__.startswith("httpx"):
                raise
            last = error
        tries += 1
        passed = time.monotonic() - began
        if passed > seconds and (tries * every > seconds / 4 or passed > seconds * 4):
            raise AssertionError("%s did not happen within %g s; last: %r" % (what or "the condition", seconds, last))
        time.sleep(every)


class Stopwatch:
    """
    Seconds since it was made, for a bound on how long the product takes: without those in which this machine stood still.

    `seconds()` leaves out by how much pauses of ten milliseconds, made meanwhile beside the test, lasted longer than that.
    """
    TICK = 0.01
    _lost, _lock, _ticking = 0.0, threading.Lock(), False

    def __init__(self):
        with Stopwatch._lock:
            if not Stopwatch._ticking:
                threading.Thread(target=Stopwatch._tick, daemon=True).start()
                Stopwatch._ticking = True
        self._began, self._lost_before = time.monotonic(), Stopwatch._lost

    @classmethod
    def _tick(cls):
        at = time.monotonic()
        while True:
            time.sleep(cls.TICK)
            now = time.monotonic()
            cls._lost += max(0.0, now - at - 2 * cls.TICK)
            at = now

    def seconds(self):
        return time.monotonic() - self._began - (Stopwatch._lost - self._lost_before)
