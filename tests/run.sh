#!/usr/bin/env bash
# Runs every test of Tidegate: builds what is needed, then lint, unit, console, system and end-to-end tests.
set -euo pipefail

usage() {
	cat <<'TEXT'
Usage: tests/run.sh [option]...

Builds Tidegate and runs its tests. Installs what is missing first (./install.sh --deps-only, a Python
environment and npm packages under .cache/tests); once that is there it needs no network.

  --quick        lint, unit tests and a smoke test of the system: under three minutes
  -k EXPR        only tests whose name matches, in pytest's words: -k tutorial, -k 'streams and not slow'
  --part NAME    only this part; repeatable: lint, unit, console, system, e2e
  --no-asan      run unit and system tests on the release build instead of the ASan+UBSan build
  --asan         the default
  --jobs N       test processes at a time (default: processors, at least 2); half as many more where tests wait much
  --list         list the tests, run none
  --help         this text

The last line is "N passed, N failed"; the exit status is 0 only if nothing failed. Logs and JUnit files are
under .cache/tests/results. TIDEGATE_CMAKE_ARGS adds arguments for cmake.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
all_parts=(lint unit console system e2e)
parts=() quick='' select='' sanitize=yes list='' jobs=''
started=$SECONDS

die() {
	printf 'run.sh: %s\n' "$*" >&2
	exit 2
}
say() { printf '\n== %s  [%d s]\n' "$*" $((SECONDS - started)); }

parse() {
	while [ $# -gt 0 ]; do
		case $1 in
		--quick) quick=yes ;;
		-k | --part | --jobs)
			[ $# -ge 2 ] || die "$1 needs a value; see --help"
			case $1 in
			-k) select=$2 ;;
			--part) parts+=("$2") ;;
			--jobs) jobs=$2 ;;
			esac
			shift
			;;
		--asan) sanitize=yes ;;
		--no-asan) sanitize='' ;;
		--list) list=yes ;;
		-h | --help)
			usage
			exit 0
			;;
		*) die "unknown option '$1'; see --help" ;;
		esac
		shift
	done
	for part in "${parts[@]}"; do
		case " ${all_parts[*]} " in *" $part "*) ;; *) die "no part '$part'; parts are: ${all_parts[*]}" ;; esac
	done
	[ ${#parts[@]} -gt 0 ] || parts=("${all_parts[@]}")
	[ -z "$quick" ] || parts=(lint unit system)
	[ -n "$jobs" ] || jobs=$(nproc)
	[ "$jobs" -ge 2 ] 2>/dev/null || jobs=2
}

wants() { case " ${parts[*]} " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

# ---------------------------------------------------------------------------------------------------------------------------
# What the tests stand on

choose_cache() {
	cache=$root/.cache/tests
	if ! mkdir -p "$cache" 2>/dev/null || [ ! -w "$cache" ]; then
		cache=${XDG_CACHE_HOME:-$HOME/.cache}/tidegate-tests
		mkdir -p "$cache"
	fi
	results=$cache/results
	asan=$cache/build-asan release=$cache/build-release
	venv=$cache/venv
}

missing_tools() {
	local tool module
	for tool in cmake ninja pkg-config python3 node npm openssl curl shellcheck ctags promtool; do
		command -v "$tool" >/dev/null || echo "$tool"
	done
	command -v gcc >/dev/null || command -v clang >/dev/null || echo gcc
	for module in jansson libuv libssl sqlite3 libmicrohttpd libwebsockets libjwt libpcre2-8 zlib hiredis libcurl check; do
		pkg-config --exists "$module" 2>/dev/null || echo "$module"
	done
	python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
	! wants e2e || find_browser >/dev/null || echo chromium
}

find_browser() { command -v "${TIDEGATE_BROWSER:-chromium}" || command -v chromium-browser || command -v google-chrome; }

install_tools() {
	local missing
	missing=$(missing_tools)
	[ -n "$missing" ] || return 0
	say "installing what is missing: ${missing//$'\n'/ }"
	"$root/install.sh" --deps-only
}

# Done again only when the list of packages has changed: the stamp holds its checksum.
prepare_python() {
	local stamp
	stamp=$venv/installed-$(sha256sum <"$root/tests/requirements.txt" | cut -c1-16)
	[ ! -e "$stamp" ] || return 0
	say "Python packages"
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check -r "$root/tests/requirements.txt"
	touch "$stamp"
}

prepare_node() {
	local at=$cache/node stamp
	stamp=$at/installed-$(sha256sum <"$root/tests/system/node/package-lock.json" | cut -c1-16)
	[ ! -e "$stamp" ] || return 0
	say "Node packages"
	rm -rf "$at" && mkdir -p "$at"
	cp "$root/tests/system/node/package.json" "$root/tests/system/node/package-lock.json" "$at/"
	(cd "$at" && npm ci --no-audit --no-fund --loglevel=error)
	touch "$stamp"
}

build() {
	local dir=$1
	shift
	say "building $(basename "$dir")"
	local launcher=() extra=()
	! command -v ccache >/dev/null || launcher=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
	read -r -a extra <<<"${TIDEGATE_CMAKE_ARGS:-}"
	cmake -S "$root" -B "$dir" -G Ninja "${launcher[@]}" "$@" "${extra[@]}" >"$results/$(basename "$dir").log" 2>&1 &&
		nice ninja -C "$dir" >>"$results/$(basename "$dir").log" 2>&1 && return 0
	grep -E -A12 '(error|FAILED|CMake Error)' "$results/$(basename "$dir").log" | head -n 60 >&2 || true
	printf 'run.sh: building failed; everything it said is in %s\n' "$results/$(basename "$dir").log" >&2
	return 1
}

build_asan() { build "$asan" -DTIDEGATE_SANITIZE=address -DTIDEGATE_CONSOLE=OFF -DCMAKE_BUILD_TYPE=Debug; }
# Unit tests are run on it only when there is no other build; linking each of them anew with what is shipped takes minutes.
build_release() {
	build "$release" -DTIDEGATE_CONSOLE=ON -DCMAKE_BUILD_TYPE=Release -DTIDEGATE_TESTS="$([ -n "$sanitize" ] && echo OFF || echo ON)"
}

# ---------------------------------------------------------------------------------------------------------------------------
# The parts. Each leaves a JUnit file; tests/summary.py counts them.

pytest() {
	local part=$1
	shift
	local args=(-c "$root/tests/pytest.ini" --rootdir "$root/tests" --junitxml "$results/$part.xml")
	[ -z "$select" ] || args+=(-k "$select")
	(cd "$root/tests" && "$venv/bin/python" -m pytest "${args[@]}" "$@") || true
}

# pytest's "a or b" as a regular expression for ctest and vitest; one that matches nothing for what it cannot say.
as_regex() {
	case " $select " in
	*' not '* | *' and '* | *'('*) printf '^$' ;;
	*) printf '%s' "${select// or /|}" ;;
	esac
}

unit_names() { (cd "$root/tests" && find unit fuzz -name 'test_*.c' -o -name 'fuzz_*.c') | tr / . | sed 's/\.c$//; s/fuzz\.fuzz_/fuzz./' | sort; }

# Whether -k leaves anything of a part, so that nothing is built for none of its tests.
selected() {
	case $1 in
	unit) unit_names | grep -qE "$(as_regex)" ;;
	console) grep -rqE "$(as_regex)" "$root/console-ui/tests" "$root/console-ui/src" --include='*.test.ts*' 2>/dev/null ;;
	*) collect "$1" | grep -q '::' ;;
	esac
}

collect() {
	(cd "$root/tests" && "$venv/bin/python" -m pytest -c pytest.ini --rootdir . --collect-only ${select:+-k "$select"} "$1" 2>/dev/null) ||
		true
}

keep_selected_parts() {
	local part kept=()
	for part in "${parts[@]}"; do
		if selected "$part"; then kept+=("$part"); fi
	done
	[ ${#kept[@]} -gt 0 ] || die "no test matches '$select'; see --list"
	parts=("${kept[@]}")
}

# The build that lint, unit and system tests look at.
tested() { if [ -n "$sanitize" ]; then printf '%s' "$asan"; else printf '%s' "$release"; fi; }

part_lint() { TIDEGATE_BIN=$(tested)/bin pytest lint -n "$jobs" --dist load lint; }

part_unit() {
	local regex=()
	[ -z "$select" ] || regex=(-R "$(as_regex)")
	ctest --test-dir "$(tested)" --output-on-failure -j "$jobs" "${regex[@]}" --output-junit "$results/unit.xml" | tail -n 60 || true
}

# In the copy that the build made, because its packages are installed there; the sources are brought up to date first.
part_console() {
	local at=$release/console-ui/console-ui regex=()
	[ -z "$select" ] || regex=(-t "$(as_regex)" --passWithNoTests)
	find "$at" -mindepth 1 -maxdepth 1 ! -name node_modules -exec rm -rf {} + 2>/dev/null || true
	tar -C "$root/console-ui" --exclude=./node_modules --exclude=./dist -cf - . | tar -C "$at" -xf - || return 0
	(cd "$at" && npm run --silent api && npx --no-install vitest run --reporter=default --reporter=junit \
		--outputFile.junit="$results/console.xml" "${regex[@]}") || true
}

# More processes than processors, here and in part_e2e: the tests wait half of their time.
part_system() {
	local only=()
	[ -z "$quick" ] || only=(-m smoke)
	[ ! -d "$release/share/tidegate/console" ] || [ -z "$sanitize" ] ||
		cp -r --update "$release/share/tidegate/console" "$asan/share/tidegate/"
	TIDEGATE_BIN=$(tested)/bin TIDEGATE_NODE_MODULES=$cache/node/node_modules \
		pytest system -n $((jobs + jobs / 2)) --dist loadscope "${only[@]}" system
}

part_e2e() {
	TIDEGATE_BIN=$release/bin TIDEGATE_NODE_MODULES=$cache/node/node_modules TIDEGATE_BROWSER=$(find_browser) \
		TIDEGATE_SCREENSHOTS=$results/screenshots pytest e2e -n $((jobs + jobs / 2)) --dist load e2e
}

needs_tested() { wants lint || wants unit || wants system; }
needs_release() { wants console || wants e2e || { [ -z "$sanitize" ] && needs_tested; }; }

# Whether the build that a part needs is among the broken ones.
stands_on_broken() {
	local part=$1 needed=build-release
	shift
	case $part in unit | system) [ -z "$sanitize" ] || needed=build-asan ;; lint) return 1 ;; esac
	case " $* " in *" $needed "*) return 0 ;; *) return 1 ;; esac
}

list_tests() {
	local part
	for part in lint system e2e; do
		if wants "$part"; then collect "$part" | grep '::' || true; fi
	done
	if wants unit; then unit_names | grep -E "$(as_regex)" || true; fi
}

main() {
	local part broken=()
	parse "$@"
	choose_cache
	install_tools
	prepare_python
	if [ -n "$list" ]; then
		list_tests
		return 0
	fi
	rm -rf "$results" && mkdir -p "$results"
	[ -z "$select" ] || keep_selected_parts
	if wants system || wants e2e; then prepare_node; fi
	if [ -n "$sanitize" ] && needs_tested; then build_asan || broken+=(build-asan); fi
	if needs_release; then build_release || broken+=(build-release); fi
	for part in "${parts[@]}"; do
		say "$part"
		if stands_on_broken "$part" "${broken[@]}"; then echo "not run: what it tests does not build"; else "part_$part"; fi
	done
	say "done"
	"$venv/bin/python" "$root/tests/summary.py" "$results" ${select:+--selection} --expected "${parts[@]}" --broken "${broken[@]}"
}

main "$@"
