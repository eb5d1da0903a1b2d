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
    for name, matchers in re.findall(r"\b((?:tidegate|gen_ai|process)_[a-z_]+)\{([^}]*)\}", expression):
        own = metrics[re.sub(r"_(bucket|sum|count)$", "", name) if name not in metrics else name][1]
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers):
            assert label in own + ["le", "instance", "job"], "%s has no label %s: %s" % (name, label, expression)


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


def test_whatever_the_console_watches_prometheus_can_watch_too():
    """Each kind of rule that is not about a series stands in the file for Prometheus as well."""
    import yaml
    kinds = set(yaml.safe_load((ROOT / "proto/openapi.yaml").read_text())["components"]["schemas"]["AlertWrite"]["properties"]["watch"]["enum"])
    counterparts = {"provider_down": "tidegate_upstream_attempts_total", "worker_lost": "tidegate_control_workers",
                    "certificate_expiry": "tidegate_control_certificate_end_time_seconds",
                    "config_rejected": "tidegate_control_workers_refusing", "budget": "tidegate_control_quotas_used"}
    assert kinds - {"series"} == set(counterparts)
    rules = [rule["expr"] for group in yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())["groups"] for rule in group["rules"]]
    for kind, name in counterparts.items():
        assert any(name in NAME.findall(rule) for rule in rules), "no rule for Prometheus does what `%s` does" % kind


def test_grafana_dashboard():
    board = json.loads((ROOT / "deploy/grafana/tidegate.json").read_text())
    assert board["uid"] == "tidegate" and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for panel in board["panels"]:
        assert panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            check(target["expr"])
