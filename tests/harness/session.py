"""
How pytest runs a part: in which order files are dealt to its processes, and what becomes of a test that hangs. A conftest.py
imports the hooks.

pytest-timeout's signal ends a test that hangs, alone, with its stack. What does not end by that (a teardown that hangs as well, a
browser's driver whose loop is broken) ends the process, with the stacks of all its threads, and a new process goes on.
"""
import faulthandler

import pytest
from _pytest.faulthandler import fault_handler_stderr_fd_key
from xdist.scheduler import LoadScopeScheduling

TEARDOWN = 180.0     # seconds; the harness gives each daemon 40


class _Dealer(LoadScopeScheduling):
    """
    Deals whole files, in the order of the collection, which a conftest.py sorts; xdist's own puts those with few tests last,
    and they are our longest.

    It also outlives a process that ended in the middle of a test. xdist gives that test to its successor, and so on until nobody is
    left; or a file with a single other test or none, and then waits for that to end, which a process does not begin before it
    knows what comes next.
    """

    def remove_node(self, node):
        """The test in which the process ended, which is over by that; what it had not begun is dealt again."""
        work = self.assigned_work[node]
        ended_in = next(((unit, test) for unit in work.values() for test, done in unit.items() if not done), None)
        if ended_in:
            unit, test = ended_in
            unit[test] = True
        self.assigned_work[node] = {scope: unit for scope, unit in work.items() if not all(unit.values())}
        super().remove_node(node)
        return ended_in and ended_in[1]

    def _reschedule(self, node):
        """Until the process has enough to go on, or knows that nothing more comes."""
        before = None
        while not node.shutting_down and before != len(self.workqueue):
            before = len(self.workqueue)
            super()._reschedule(node)


@pytest.hookimpl
def pytest_xdist_make_scheduler(config, log):
    if config.getvalue("dist") != "loadscope":
        return None
    config.option.loadscopereorder = False
    return _Dealer(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item):
    """pytest's own faulthandler_timeout is over as soon as a test has failed."""
    faulthandler.dump_traceback_later(TEARDOWN, file=item.config.stash[fault_handler_stderr_fd_key], exit=True)
    return (yield)


def longest_first(items, seconds):
    """Sorts test items: files by `seconds` ({name of the file without test_ and .py: seconds}), others as they came."""
    items.sort(key=lambda item: -seconds.get(item.path.stem.removeprefix("test_"), 0))
