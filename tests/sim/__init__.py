"""Simulators of model vendors: as strict as the vendor about what they receive, as odd about what they answer.

By hand:      python3 -m sim deepseek --port 9001 --key sk-test        (from the tests folder)
In a test:    with sim.start("deepseek", key="sk-test") as vendor: ... vendor.base_url, vendor.requests
"""
from .server import Sim, start
from .vendors import VENDORS

__all__ = ["Sim", "start", "VENDORS"]
