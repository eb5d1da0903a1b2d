"""Every pattern of the API document has a sentence in controlplane/validate/schema.c: who writes something else is told what is wanted."""
import json
import os
import re
import sys
from pathlib import Path

from common import ROOT, report

WORDS = re.compile(r'^\t\t\{ ("(?:[^"\\]|\\.)*"),', re.M)


def document():
    binary = os.environ.get("TIDEGATE_BIN")
    path = Path(binary or Path(ROOT, ".cache/tests/build-asan/bin")).parent / "share/tidegate/openapi.json"
    return json.loads(path.read_text()) if path.exists() else None


def patterns(schema):
    if isinstance(schema, dict):
        if isinstance(schema.get("pattern"), str):
            yield schema["pattern"]
        for value in schema.values():
            yield from patterns(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from patterns(value)


def starts(source):
    """The beginnings that pattern_words() knows."""
    body = source[source.index("pattern_words(struct gw_str pattern)"):]
    return [json.loads(text) for text in WORDS.findall(body[:body.index("\n}\n")])]


def findings(root, api=None):
    api = api or document()
    if api is None:
        return ["share/tidegate/openapi.json is not built: build first"]
    known = starts(Path(root, "controlplane/validate/schema.c").read_text())
    return ["controlplane/validate/schema.c: pattern_words() has no words for %s" % pattern for pattern in sorted(set(patterns(api)))
            if not any(pattern.startswith(start) for start in known)]


if __name__ == "__main__":
    sys.exit(report(findings(ROOT)))
