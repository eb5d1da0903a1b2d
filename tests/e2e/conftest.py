"""Fixtures of the browser tests; see tests/harness."""
from harness.fixtures import *  # noqa: F401,F403
from harness.fixtures import pytest_runtest_makereport  # noqa: F401
