"""The documents: links lead somewhere, the two READMEs tell the same, and what they tell people to type exists."""
import json
import os
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ENGLISH, CHINESE = ROOT / "README.md", ROOT / "docs/README.zh-CN.md"


def fenced(path, language=""):
    return re.findall(r"^ *```%s\n(.*?)^ *```" % language, path.read_text(), flags=re.S | re.M)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    targets = [target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if not re.match(r"[a-z]+:", target)]
    assert [target for target in targets if not (page.parent / target.split("#")[0]).exists()] == []


def test_the_chinese_readme_says_the_same():
    def shape(path):
        text = path.read_text()
        return {"headings": re.findall(r"^#+", text, flags=re.M), "tables": len(re.findall(r"^\|", text, flags=re.M)),
                "steps": len(re.findall(r"^\d\.", text, flags=re.M)), "python": fenced(path, "python"),
                "commands": [re.sub(r"#.*|地址|ADDRESS|你好|Hello", "", block).split() for block in fenced(path, "sh")]}
    assert shape(ENGLISH) == shape(CHINESE)


def test_commands_in_the_readme_exist():
    tidegate = Path(os.environ["TIDEGATE_BIN"], "tidegate")
    for line in "".join(fenced(ENGLISH, "sh") + fenced(ROOT / "docs/operations.md", "sh") + fenced(ROOT / "docs/configuration.md", "sh")).split("\n"):
        words = re.sub(r"#.*", "", line).split()
        if words[:1] != ["tidegate"]:
            continue
        verbs = [word for word in words[1:3] if re.fullmatch("[a-z]+", word)]
        done = subprocess.run([tidegate, *verbs, "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, line
        assert [word for word in words if word.startswith("--") and word not in done.stdout + done.stderr] == [], line


def test_the_example_configuration_is_one():
    openapi = yaml.safe_load((ROOT / "proto/openapi.yaml").read_text())
    schema = {"$ref": "#/components/schemas/ConfigDocument", "components": openapi["components"]}
    example, = fenced(ROOT / "docs/configuration.md", "json")
    jsonschema.Draft202012Validator(schema).validate(json.loads(example))


def test_every_error_and_metric_is_documented():
    for name in ("errors", "metrics"):
        table = (ROOT / "proto/tbl" / (name + ".def")).read_text()
        rows = len(re.findall(r"^X\(", table, flags=re.M)) + len(re.findall(r"^X\(\w+, +\w+, +BOTH,", table, flags=re.M))
        page = (ROOT / "docs" / (name + ".md")).read_text()
        heads = len(re.findall(r"^\|---", page, flags=re.M))
        assert heads and len(re.findall(r"^\| ", page, flags=re.M)) == rows + heads
