"""Every setting of a plugin or provider type, and every value it chooses from, has a name in both languages in the console."""
import json
import os
import re
import sys
from pathlib import Path

from common import ROOT, report

LINE = re.compile(r"^  ([a-z0-9_]+|'[^']+'): \{ en: (?:'([^']+)'|\"([^\"]+)\"), zh: '([^']+)' \},$", re.M)
KEPT = {"Cookie（按名称）"}                        # names that are the same word in Chinese


def catalogue():
    binary = os.environ.get("TIDEGATE_BIN")
    path = Path(binary or Path(ROOT, ".cache/tests/build-asan/bin")).parent / "share/tidegate/catalog.json"
    return json.loads(path.read_text()) if path.exists() else None


def wanted(catalog):
    fields, options = set(), set()

    def walk(table):
        for field in table:
            if not field.get("label"):
                fields.add(field["name"])
            options.update(field.get("options") or [])
            walk(field.get("fields") or [])
    for kind in ("plugins", "provider_types"):
        for module in catalog[kind]:
            walk(module["fields"])
    return fields, options


def findings(root):
    catalog = catalogue()
    if catalog is None:
        return ["share/tidegate/catalog.json is not built: build first"]
    text = Path(root, "console-ui/src/i18n/fields.ts").read_text()
    start = text.index("export const OPTIONS")
    found = []
    for what, part, names in (("field", text[:start], wanted(catalog)[0]), ("option", text[start:], wanted(catalog)[1])):
        have = {m[0].strip("'"): m[3] for m in LINE.findall(part)}
        found += ["console-ui/src/i18n/fields.ts lacks the %s %s" % (what, name) for name in sorted(names - set(have))]
        found += ["console-ui/src/i18n/fields.ts has the %s %s, which nothing has" % (what, name) for name in sorted(set(have) - names)]
        found += ["console-ui/src/i18n/fields.ts: the %s %s is not in Chinese: %s" % (what, name, zh) for name, zh in have.items()
                  if zh not in KEPT and not re.search("[\u4e00-\u9fff]", zh)]
    return found


if __name__ == "__main__":
    sys.exit(report(findings(ROOT)))
