#!/usr/bin/env bash
# System tests with every daemon under ThreadSanitizer: data races, and locks that are taken in two orders.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: tests/threads.sh [TEST...]

Builds Tidegate with ThreadSanitizer and runs the system tests named (files or node ids, as pytest takes them: system/test_limits.py),
or, without any, those in which most threads meet. A daemon that is found racing ends with status 99 and fails its test. Daemons are five
to fifteen times slower then; what counts on time may fail for that.

Needs what the last tests/run.sh installed.
TEXT
}

case ${1:-} in
-h | --help)
	usage
	exit 0
	;;
-*)
	printf "threads.sh: unknown option '%s'; see --help\n" "$1" >&2
	exit 2
	;;
esac
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=$root/.cache/tests
[ -x "$cache/venv/bin/python" ] || cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate-tests
[ -x "$cache/venv/bin/python" ] || {
	printf 'threads.sh: run tests/run.sh --quick first, which installs what this needs\n' >&2
	exit 2
}
build=$cache/build-tsan
launcher=()
! command -v ccache >/dev/null || launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
cmake -S "$root" -B "$build" -G Ninja "${launcher[@]}" -DTIDEGATE_SANITIZE=thread -DTIDEGATE_CONSOLE=OFF -DTIDEGATE_TESTS=OFF -DCMAKE_BUILD_TYPE=Debug \
	-DCMAKE_C_FLAGS_DEBUG="-O1 -g" >"$build.log"
nice ninja -C "$build" >>"$build.log" || {
	grep -E -A12 '(error|FAILED)' "$build.log" | head -n 40 >&2
	exit 1
}
tests=("$@")
[ ${#tests[@]} -gt 0 ] || for name in worker_channel channel_publish limits quotas redis revocation ledger_spool series alerts request_log balancing \
	failover_health_api; do
	tests+=("system/test_$name.py")
done
cd "$root/tests"
TIDEGATE_BIN=$build/bin TIDEGATE_NODE_MODULES=$cache/node/node_modules exec "$cache/venv/bin/python" -m pytest -c pytest.ini --rootdir . -n "$(nproc)" \
	--dist loadscope -q "${tests[@]}"
