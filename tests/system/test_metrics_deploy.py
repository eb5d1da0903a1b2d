"""Rules and dashboards in deploy/ speak of metrics that exist, in words that Prometheus understands."""
import json
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"\b(?:tidegate|gen_ai|process)_[a-z_]+\b")


def known():
    names = re.findall(r'^X\(\w+,\s*(\w+),\s*\w+,\s*"([^"]+)",\s*"([^"]*)"', (ROOT / "proto/tbl/metrics.def").read_text(), re.M)
    return {name: (kind, labels.split(",") if labels else []) for kind, name, labels in names}


def check(expression):
    metrics = known()
    used = NAME.findall(expression)
    assert used, "no metric in " + expression
    for name in used:
        base = re.sub(r"_(bucket|sum|count)$", "", name) if name not in metrics else name
        assert base in metrics, "%s is in no row of metrics.def: %s" % (name, expression)
        kind = metrics[base][0]
        assert (name != base) == (kind == "HISTOGRAM"), "%s is a %s" % (name, kind)
    labels = {label for name in used for label in metrics[re.sub(r"_(bucket|sum|count)$", "", name) if name not in metrics else name][1]}
    for group in re.findall(r"by \(([^)]*)\)", expression):
        for label in group.split(","):
            assert label.strip() in labels | {"le", "instance", "job"}, "%s has no label %s" % (expression, label)


def test_prometheus_rules():
    path = ROOT / "deploy/prometheus/rules.yml"
    found = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stdout + found.stderr
    import yaml
    rules = [rule for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]
    assert len(rules) > 8
    for rule in rules:
        check(rule["expr"])
        assert rule["labels"]["severity"] in ("info", "warning", "critical") and rule["annotations"]["summary"]


def test_grafana_dashboard():
    board = json.loads((ROOT / "deploy/grafana/tidegate.json").read_text())
    assert board["uid"] == "tidegate" and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            check(target["expr"])
