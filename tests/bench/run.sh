#!/usr/bin/env bash
# What one worker loop costs, beside nginx in the same run.  Options: --quick, --json FILE, --bin-dir DIR.
set -euo pipefail
exec python3 "$(dirname "$0")/bench.py" "$@"
