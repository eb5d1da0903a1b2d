#!/usr/bin/env bash
# Each fuzz target for a while, with libFuzzer under ASan and UBSan, from its stored corpus.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: tests/fuzz.sh [SECONDS [TARGET]...]

Builds the targets of tests/fuzz with clang and runs each for SECONDS (default 60), or only those named: json_scan,
multipart, ... What it finds is left in .cache/tests/fuzz; put a small one into tests/fuzz/corpus/TARGET, so that it is a
test from then on. Status 1 if anything was found.
TEXT
}

case ${1:-60} in
-h | --help)
	usage
	exit 0
	;;
*[!0-9]*)
	printf "fuzz.sh: '%s' is not a number of seconds; see --help\n" "$1" >&2
	exit 2
	;;
esac
seconds=${1:-60}
[ $# -eq 0 ] || shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/.cache/tests/build-fuzz work=$root/.cache/tests/fuzz
command -v clang >/dev/null || {
	printf 'fuzz.sh: clang is needed: apt-get install clang\n' >&2
	exit 2
}
mkdir -p "$work/found"
launcher=()
! command -v ccache >/dev/null || launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
cmake -S "$root" -B "$build" -G Ninja "${launcher[@]}" -DCMAKE_C_COMPILER=clang -DTIDEGATE_SANITIZE=address -DTIDEGATE_FUZZ=ON \
	-DTIDEGATE_CONSOLE=OFF -DCMAKE_BUILD_TYPE=Debug >"$work/build.log"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || for file in "$root"/tests/fuzz/fuzz_*.c; do
	name=$(basename "$file" .c)
	targets+=("${name#fuzz_}")
done
nice ninja -C "$build" "${targets[@]/#/fuzz_}" >>"$work/build.log" || {
	tail -n 30 "$work/build.log" >&2
	exit 1
}
failed=0
for target in "${targets[@]}"; do
	mkdir -p "$work/corpus/$target"
	if "$build/tests/fuzz/fuzz_$target" -max_total_time="$seconds" -max_len=4096 -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$work/found/$target-" "$work/corpus/$target" "$root/tests/fuzz/corpus/$target" >"$work/$target.log" 2>&1; then
		printf '%-14s %s runs, nothing found\n' "$target" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$target.log")"
	else
		printf '%-14s FOUND something: %s\n' "$target" "$work/$target.log"
		failed=1
	fi
done
exit $failed
