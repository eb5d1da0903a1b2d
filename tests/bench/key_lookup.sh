#!/usr/bin/env bash
# Instructions of one key look-up with 10, 1,000 and 100,000 consumers, counted by callgrind. Needs valgrind.
# key_lookup.sh BUILD-DIR [COUNTS] (a release build without sanitizers: its libgw_proto.a is linked)
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:?a release build directory}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
library=$(find "$build" -name libgw_proto.a | head -n 1)
read -r -a libs <<< "$(pkg-config --libs jansson libcrypto libpcre2-8 zlib)"
"${CC:-cc}" -O2 -D_GNU_SOURCE -std=gnu11 -Iproto tests/bench/key_lookup.c "$library" -o "$out/key_lookup" "${libs[@]}" -lpthread -lm
count() {
	valgrind --tool=callgrind --callgrind-out-file="$out/callgrind" "$out/key_lookup" "$1" "$2" 2>&1 | awk '/Collected/ {print $4}'
}
for n in ${2:-10 1000 100000}; do
	few=$(count "$n" 1000)
	many=$(count "$n" 3000)
	echo "$n consumers: $(((many - few) / 2000)) instructions a look-up"
done
