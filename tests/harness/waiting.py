"""Tests wait for conditions, never for time."""
import time


def wait_until(condition, seconds=10.0, what=None, every=0.02):
    """Calls `condition` until it gives something true, and returns that. Exceptions of the network count as not yet."""
    end, last = time.monotonic() + seconds, None
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
        if time.monotonic() > end:
            raise AssertionError("%s did not happen within %g s; last: %r" % (what or "the condition", seconds, last))
        time.sleep(every)
