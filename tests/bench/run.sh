#!/usr/bin/env bash
# What Tidegate costs, beside nginx and HAProxy in the same run.  Options: --quick, --json FILE, --bin-dir DIR, --rounds N, --only M1,M4.
set -euo pipefail
exec python3 "$(dirname "$0")/bench.py" "$@"
