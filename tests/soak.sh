#!/usr/bin/env bash
# A worker and a control plane under load with random faults, for a while; then everything must be back where it was.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: tests/soak.sh [MINUTES]

Runs Tidegate for MINUTES (default 10) under plain and streamed requests, of which one in a hundred meets a fault of its
provider and one in a hundred loses its client, while the configuration changes every few seconds. Then it checks: nothing
in flight, descriptors and gauges as before, memory within 10 % of what it was after the first minute, and exactly one row
in the ledger for each request. Prints what it counted; status 1 if anything is not as it should be.

The programs under test are those of the last tests/run.sh (the ASan+UBSan build), or of TIDEGATE_BIN.
TEXT
}

case ${1:-10} in
-h | --help)
	usage
	exit 0
	;;
*[!0-9.]* | .)
	printf "soak.sh: '%s' is not a number of minutes; see --help\n" "$1" >&2
	exit 2
	;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache/tests
[ -x "$cache/venv/bin/python" ] || cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate-tests
export TIDEGATE_BIN=${TIDEGATE_BIN:-$cache/build-asan/bin}
[ -x "$TIDEGATE_BIN/tidegate-worker" ] || {
	printf 'soak.sh: there is no tidegate-worker in %s; run tests/run.sh --quick first, or set TIDEGATE_BIN\n' "$TIDEGATE_BIN" >&2
	exit 2
}
cd "$root/tests"
exec "$cache/venv/bin/python" -m harness.soak "${1:-10}"
