"""Fixtures of the system tests; see tests/harness."""
from harness.fixtures import *  # noqa: F401,F403
from harness.fixtures import pytest_runtest_makereport  # noqa: F401
from harness.session import longest_first, pytest_runtest_teardown, pytest_xdist_make_scheduler  # noqa: F401

# Seconds on two processors. Most of these wait more than they work, so they begin first, beside what works.
SECONDS = {"alerts_restart": 93, "redis": 90, "alerts": 46, "worker_clients": 39, "failover_plan": 38, "alerts_kinds": 37, "resilience": 35,
           "tracing": 33, "worker_faults": 31, "series": 28, "events": 27, "soak": 26, "quotas": 24, "install": 23, "lifecycle": 23,
           "storm": 21, "admin_access": 21, "failover_dns": 20, "streams": 19, "channel_publish": 18, "jwt": 17, "ledger_spool": 17,
           "threats": 16, "balancing": 16, "stream_cuts": 16, "request_log": 15, "cli_up": 15, "data_port_tls": 15, "revocation": 12,
           "slow_readers": 12, "tutorial": 12, "json_bodies": 12}


def pytest_collection_modifyitems(items):
    longest_first(items, SECONDS)
