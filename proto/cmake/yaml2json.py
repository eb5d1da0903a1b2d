"""yaml2json.py IN OUT: the OpenAPI document as JSON.  Uses PyYAML where it is installed, Debian's python3-yaml included."""
import json
import os
import sys

import yaml

with open(sys.argv[1], encoding="utf-8") as f:
    document = yaml.safe_load(f)
tmp = sys.argv[2] + ".tmp"
with open(tmp, "w", encoding="utf-8") as f:
    json.dump(document, f, ensure_ascii=False, separators=(",", ":"), default=str)
os.replace(tmp, sys.argv[2])
