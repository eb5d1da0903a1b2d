#!/usr/bin/env bash
# Installs Tidegate on one machine: what it needs, the programs, the console, and a running service.
#
#   ./install.sh                                   in a checkout: build it and install it
#   curl -fsSL ADDRESS/install.sh | \
#     TIDEGATE_ARCHIVE_URL=https://… bash          without a checkout: take a release archive
#
# Runs unattended, as root or as a user with sudo. Running it again upgrades in place: the database is backed up first, the
# programs are replaced by one rename, and the previous ones come back when the new ones do not become healthy.
# Everything is inside functions and main is the last line, so a script that was cut short in transit does nothing.
set -Eeuo pipefail
umask 022

# ---------------------------------------------------------------------------------------------------------------------------
# What can be chosen

PREFIX='' DATA_DIR='' HTTP_PORT='' CONSOLE_PORT='' CONTROL_PORT='' ADMIN_PORT='' WORKERS='' BIND='' SERVICE_USER=''
START=yes DEPS_ONLY='' UNINSTALL='' PURGE='' INTERACTIVE=yes VERBOSE=''
PROVIDER_TYPES=() PROVIDER_KEYS=()
SRC='' BUILD='' RELEASE='' LOGFILE='' SCRATCH='' SERVICE='' OWNER='' USE_SUDO='' GUARD='' STARTED_AT=$SECONDS
MARK='' TOOLCHAIN='' CMAKE_EXTRA=() OLD_RELEASE='' ROLLBACK_DB='' BACKUP='' CHANGED=yes EXPLAINED='' FAILED_AT='?' NOT_CREATED=''
readonly UNIT=/etc/systemd/system/tidegate.service WORKER_UNIT=/etc/systemd/system/tidegate-worker.service

usage() {
	cat <<'TEXT'
Usage: install.sh [option]...

Builds and installs Tidegate, starts it, waits until it is healthy and says where everything is.
Debian 12 or newer and Ubuntu 22.04 or newer, as root or as a user with sudo. Asks nothing.

Where and how
  --prefix DIR              programs go to DIR/bin                  (default /usr/local)
  --data-dir DIR            database, keys, logs                    (default /var/lib/tidegate)
  --http-port N             what applications call                  (default 8080)
  --console-port N          console and admin API                   (default 8001)
  --control-port N          channel from control plane to workers   (default 8002)
  --worker-admin-port N     health and metrics, loopback only       (default 9091)
  --workers N               worker processes                        (default 1)
  --bind ADDRESS            address of the console, the channel and the data port
                            (default: every address of this machine)
  --provider TYPE=KEY       after the start, create the provider TYPE with this key; repeatable.
                            --provider TYPE alone takes the key from TIDEGATE_PROVIDER_<TYPE>_KEY,
                            or asks for it, hidden, when there is a terminal
  --user NAME               account that the service runs as; created when it is missing
                            (default: tidegate; or you, when you are not root and need no root)
  --no-start                install, but do not start anything
  --non-interactive         never ask, not even for a sudo password

Other things to do
  --deps-only[=SET]         only install packages: run, build, or all (default: all, that is
                            everything needed to build and to test)
  --uninstall               stop Tidegate and remove the programs; the data directory is kept
  --purge                   with --uninstall: remove the data directory and the service user as well
  --verbose                 show the output of the tools that are run
  --help                    this text

Environment
  TIDEGATE_ARCHIVE_URL      release archive (.tar.gz or .tar.xz; https://, http:// or file://) to install
                            instead of the checkout that this script stands in
  TIDEGATE_ARCHIVE_SHA256   its SHA-256, checked before anything in it is used
  TIDEGATE_BUILD_DIR        build tree to use; when it already holds the programs nothing is compiled
  TIDEGATE_PROVIDER_<TYPE>_KEY   key of a provider, as with --provider TYPE=KEY
  TIDEGATE_HEALTH_TIMEOUT   seconds to wait for health before going back (default 30)

Options that an earlier run was given are remembered: running the script again upgrades that installation.
TEXT
}

# ---------------------------------------------------------------------------------------------------------------------------
# Talking, failing, cleaning up

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then BOLD=$'\e[1m' DIM=$'\e[2m' PLAIN=$'\e[0m'; else BOLD='' DIM='' PLAIN=''; fi

say() { printf '%s\n' "$*"; }
step() { printf '%s==>%s %s%s%s\n' "$BOLD" "$PLAIN" "$*" "$DIM [$((SECONDS - STARTED_AT)) s]" "$PLAIN"; }
warn() { printf 'install.sh: warning: %s\n' "$*" >&2; }
die() {
	EXPLAINED=yes
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}
die_usage() {
	EXPLAINED=yes
	printf 'install.sh: %s\nTry: ./install.sh --help\n' "$*" >&2
	exit 2
}
have() { command -v "$1" >/dev/null 2>&1; }

# A person to ask; with curl | bash standard input is the script itself, so it is the terminal that counts.
has_terminal() { [ -n "$INTERACTIVE" ] && (: </dev/tty) 2>/dev/null; }

# On every way out. A command that failed where nobody looked is named, so that no end is without a sentence.
cleanup() {
	local status=$?
	[ $status -eq 0 ] || [ -n "$EXPLAINED" ] || printf 'install.sh: stopped at line %s (status %s)\n' "$FAILED_AT" "$status" >&2
	[ -z "$GUARD" ] || as_root rm -f "$GUARD"
	[ -z "$SCRATCH" ] || rm -rf "$SCRATCH"
}

# Runs a tool with its output in the log; shows the end of it when the tool fails.
quietly() {
	local what=$1 rc=0
	shift
	if [ -n "$VERBOSE" ]; then
		"$@" || rc=$?
	else
		"$@" >>"$LOGFILE" 2>&1 </dev/null || rc=$?
	fi
	[ $rc -eq 0 ] && return 0
	[ -n "$VERBOSE" ] || {
		printf -- '--- the last lines of its output:\n' >&2
		tail -n 30 "$LOGFILE" >&2
	}
	die "$what failed (status $rc)"
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif has_terminal; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

# True when this run can act as root; asks sudo at most once.
can_be_root() {
	[ "$(id -u)" -eq 0 ] && return 0
	if [ -z "$USE_SUDO" ]; then
		USE_SUDO=no
		if have sudo && as_root true 2>/dev/null; then USE_SUDO=yes; fi
	fi
	[ "$USE_SUDO" = yes ]
}

need_root() {
	can_be_root && return 0
	if have sudo; then
		die "$1 needs root, and sudo does not let this user in without a password; run it as root"
	fi
	die "$1 needs root, and there is no sudo on this machine; run it as root"
}

# ---------------------------------------------------------------------------------------------------------------------------
# The command line

want_value() { if [ $# -lt 2 ] || [ -z "$2" ]; then die_usage "$1 needs a value"; fi; }

check_port() {
	if [[ ! $2 =~ ^[1-9][0-9]{0,4}$ ]] || [ "$2" -gt 65535 ]; then die_usage "$1 takes a port between 1 and 65535, not '$2'"; fi
}

check_directory() {
	case $2 in
	/) die_usage "$1 cannot be /" ;;
	*[[:space:]\'\"\\%\$\&\|]*) die_usage "$1 cannot contain white space, quotes or any of \\ % \$ & |" ;;
	/*) ;;
	*) die_usage "$1 takes an absolute path, not '$2'" ;;
	esac
}

add_provider() {
	local type=${1%%=*} key='' variable i
	[[ $type =~ ^[a-z0-9][a-z0-9.-]*$ ]] || die_usage "--provider takes TYPE=KEY, where TYPE is in lower case (deepseek=sk-…)"
	variable=$(tr 'a-z.-' 'A-Z__' <<<"TIDEGATE_PROVIDER_${type}_KEY")
	case $1 in *=*) key=${1#*=} ;; *) key=${!variable:-} ;; esac
	if [ -z "$key" ] && has_terminal; then
		read -rsp "Key of the provider $type (not shown): " key </dev/tty
		printf '\n' >&2
	fi
	[ -n "$key" ] || die_usage "no key for the provider $type: give --provider $type=KEY or set $variable"
	[[ $key =~ ^[[:graph:]]{1,4096}$ ]] || die_usage "the key of the provider $type holds a space or a control character"
	for i in "${!PROVIDER_TYPES[@]}"; do
		[ "${PROVIDER_TYPES[i]}" != "$type" ] || { PROVIDER_KEYS[i]=$key; return; }
	done
	PROVIDER_TYPES+=("$type")
	PROVIDER_KEYS+=("$key")
}

# Keys given in the environment are taken out of it, so that nothing started later inherits them.
providers_from_environment() {
	local variable type
	while read -r variable; do
		[[ $variable =~ ^TIDEGATE_PROVIDER_([A-Z0-9_]+)_KEY$ ]] || continue
		type=$(tr 'A-Z_' 'a-z-' <<<"${BASH_REMATCH[1]}")
		[ -z "${!variable}" ] || add_provider "$type"
		unset "$variable"
	done < <(compgen -e)
}

parse_options() {
	local providers=() p
	while [ $# -gt 0 ]; do
		case $1 in
		--*=*) [ "${1%%=*}" = --deps-only ] || set -- "${1%%=*}" "${1#*=}" "${@:2}" ;;
		esac
		case $1 in
		--prefix) want_value "$@" && check_directory "$1" "$2" && PREFIX=${2%/} && shift ;;
		--data-dir) want_value "$@" && check_directory "$1" "$2" && DATA_DIR=${2%/} && shift ;;
		--http-port) want_value "$@" && check_port "$1" "$2" && HTTP_PORT=$2 && shift ;;
		--console-port) want_value "$@" && check_port "$1" "$2" && CONSOLE_PORT=$2 && shift ;;
		--control-port) want_value "$@" && check_port "$1" "$2" && CONTROL_PORT=$2 && shift ;;
		--worker-admin-port) want_value "$@" && check_port "$1" "$2" && ADMIN_PORT=$2 && shift ;;
		--workers)
			want_value "$@"
			if [[ ! $2 =~ ^[1-9][0-9]?$ ]] || [ "$2" -gt 64 ]; then die_usage "--workers takes a number from 1 to 64, not '$2'"; fi
			WORKERS=$2
			shift
			;;
		--bind)
			want_value "$@"
			[[ $2 =~ ^[0-9A-Fa-f.:]+$ ]] || die_usage "--bind takes an IP address, not '$2'"
			BIND=$2
			shift
			;;
		--user)
			want_value "$@"
			[[ $2 =~ ^[a-z_][a-z0-9_-]{0,31}$ ]] || die_usage "--user takes the name of an account, not '$2'"
			SERVICE_USER=$2
			shift
			;;
		--provider) want_value "$@" && providers+=("$2") && shift ;;
		--no-start) START='' ;;
		--non-interactive) INTERACTIVE='' ;;
		--deps-only) DEPS_ONLY=all ;;
		--deps-only=*)
			DEPS_ONLY=${1#*=}
			[[ $DEPS_ONLY =~ ^(run|build|all)$ ]] || die_usage "--deps-only takes run, build or all, not '$DEPS_ONLY'"
			;;
		--uninstall) UNINSTALL=yes ;;
		--purge) PURGE=yes ;;
		--verbose) VERBOSE=yes ;;
		--help | -h)
			usage
			exit 0
			;;
		*) die_usage "unknown option '$1'" ;;
		esac
		shift
	done
	[ -z "$PURGE" ] || [ -n "$UNINSTALL" ] || die_usage "--purge only goes with --uninstall"
	providers_from_environment
	for p in ${providers[@]+"${providers[@]}"}; do
		case " ${PROVIDER_TYPES[*]-} " in *" $p "*) ;; *) add_provider "$p" ;; esac
	done
	[ -n "$START" ] || [ ${#PROVIDER_TYPES[@]} -eq 0 ] || die_usage "--provider needs a running gateway; it does not go with --no-start"
}

# Arguments of a process can be read by every user of the machine: a key that came in one moves to the environment at once.
hide_provider_keys() {
	local argument previous='' type found='' clean=()
	for argument in "$@"; do
		case $previous$argument in
		--provider[a-z0-9]*=* | --provider=[a-z0-9]*=*)
			argument=${argument#--provider=}
			type=${argument%%=*}
			if [[ $type =~ ^[a-z0-9][a-z0-9.-]*$ ]]; then
				export "$(tr 'a-z.-' 'A-Z__' <<<"TIDEGATE_PROVIDER_${type}_KEY")=${argument#*=}"
				found=yes
				[ "$previous" = --provider ] || clean+=(--provider)
				argument=$type
			fi
			;;
		esac
		clean+=("$argument")
		previous=''
		[ "$argument" != --provider ] || previous=--provider
	done
	[ -z "$found" ] || exec bash "${BASH_SOURCE[0]}" "${clean[@]}"
}

# ---------------------------------------------------------------------------------------------------------------------------
# This machine

os_release() {
	# shellcheck disable=SC1090
	(. "${TIDEGATE_OS_RELEASE:-/etc/os-release}" 2>/dev/null && printf '%s' "${!1:-}") || true
}

check_system() {
	local id version name
	id=$(os_release ID) version=$(os_release VERSION_ID) name=$(os_release PRETTY_NAME)
	case $id in
	debian) [ -z "$version" ] || [ "${version%%.*}" -ge 12 ] && return 0 ;; # testing and unstable carry no version
	ubuntu) [ "$(printf '%s\n' 22.04 "$version" | sort -V | head -n 1)" = 22.04 ] && return 0 ;;
	esac
	die "${name:-this system} is not supported: Tidegate installs on Debian 12 or newer and on Ubuntu 22.04 or newer; elsewhere use the container images (docker-compose.yml)"
}

# Process that listens on TCP port $1, as "pid name", from /proc alone: a minimal system has neither ss nor lsof.
# Prints "?" when the port is held by a process that this user may not look at, and nothing when the port is free.
port_holder() {
	local hex inodes inode link pid
	hex=$(printf '%04X' "$1")
	inodes=$(awk -v p=":$hex" '$4 == "0A" && substr($2, length($2) - 4) == p { print $10 }' /proc/net/tcp /proc/net/tcp6 2>/dev/null)
	[ -n "$inodes" ] || return 0
	for inode in $inodes; do
		link=$(find /proc/[0-9]*/fd -maxdepth 1 -lname "socket:\[$inode\]" -print -quit 2>/dev/null || true)
		[ -n "$link" ] || continue
		pid=${link#/proc/}
		pid=${pid%%/*}
		printf '%s %s\n' "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null || echo '?')"
		return 0
	done
	echo '?'
}

# Refuses ports that somebody else holds; our own running installation gives its ports back during the upgrade.
check_ports() {
	local what port holder own name seen=' ' last=$((ADMIN_PORT + WORKERS - 1))
	own=$(service_pids)
	while read -r port what; do
		case $seen in *" $port "*) die_usage "port $port is used twice: every port must be a different one" ;; esac
		seen+="$port "
		holder=$(port_holder "$port")
		[ -n "$holder" ] || continue
		name=${holder#* }
		case " $own " in *" ${holder%% *} "*) continue ;; esac
		if [ "$holder" = '?' ]; then
			[ -z "$own" ] || [ "$(id -u)" -eq 0 ] || continue
			die "port $port ($what) is in use by a process of another user; stop it, or choose another port with $(port_option "$what")"
		fi
		die "port $port ($what) is in use by $name (pid ${holder%% *}); stop it, or choose another port with $(port_option "$what")"
	done < <(
		printf '%s data plane\n%s console\n%s channel\n' "$HTTP_PORT" "$CONSOLE_PORT" "$CONTROL_PORT"
		for ((port = ADMIN_PORT; port <= last; port++)); do printf '%s worker admin\n' "$port"; done
	)
}

port_option() {
	case $1 in
	'data plane') echo --http-port ;;
	console) echo --console-port ;;
	channel) echo --control-port ;;
	*) echo --worker-admin-port ;;
	esac
}

# ---------------------------------------------------------------------------------------------------------------------------
# Packages

# One requirement a line: "set  test  package|alternative…". A test is pkg (the package itself), cmd:NAME (a command on PATH
# is as good) or py:MODULE. The first alternative that this system's archive has is installed.
requirements() {
	cat <<'TEXT'
run    cmd:curl           curl
run    pkg                ca-certificates
build  cmd:gcc            gcc
build  pkg                libc6-dev
build  cmd:cmake          cmake
build  cmd:ninja          ninja-build
build  cmd:pkg-config     pkgconf|pkg-config
build  cmd:python3        python3
build  py:yaml            python3-yaml
build  cmd:xz             xz-utils
build  pkg                libmicrohttpd-dev
build  pkg                libwebsockets-dev
build  pkg                libsqlite3-dev
build  pkg                libjansson-dev
build  pkg                libuv1-dev
build  pkg                libssl-dev
build  pkg                libjwt-dev
build  pkg                libhiredis-dev
build  pkg                libcurl4-openssl-dev
build  pkg                libpcre2-dev
build  pkg                zlib1g-dev
build  pkg                libbrotli-dev
build  llhttp             libllhttp-dev|node-llhttp
all    cmd:make           build-essential
all    cmd:git            git
all    pkg                check
all    py:venv,ensurepip  python3-venv
all    cmd:clang          clang
all    rt                 libclang-rt-dev|libclang-rt-14-dev|libclang-common-14-dev
all    cmd:clang-format   clang-format
all    cmd:shellcheck     shellcheck
all    cmd:ctags          universal-ctags
all    cmd:redis-server   redis-server
all    cmd:promtool       prometheus
all    cmd:chromium       chromium
all    pkg                fonts-noto-cjk
all    cmd:sqlite3        sqlite3
all    cmd:openssl        openssl
all    cmd:ps             procps
all    cmd:ss             iproute2
all    cmd:lsof           lsof
TEXT
}

package_installed() { dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null | grep -x installed >/dev/null; }

requirement_met() {
	local test=$1 package
	case $test in
	cmd:*) have "${test#cmd:}" && return 0 ;;
	py:*) python3 -c "import ${test#py:}" 2>/dev/null && return 0 ;;
	llhttp) llhttp_is_here && return 0 ;;
	rt) have clang && compgen -G "$(clang -print-resource-dir)/lib/*/libclang_rt.asan*" >/dev/null && return 0 ;;
	esac
	case $test in pkg | cmd:*) ;; *) return 1 ;; esac
	for package in ${2//|/ }; do package_installed "$package" && return 0; done
	return 1
}

# Debian 12 and Ubuntu 24.04 ship llhttp as C sources, Debian 13 as a library, Ubuntu 22.04 not at all.
llhttp_is_here() { [ -e /usr/share/llhttp/llhttp.c ] || package_installed libllhttp-dev; }

missing_requirements() {
	local sets=$1 set test package
	while read -r set test package; do
		case " $sets " in *" $set "*) ;; *) continue ;; esac
		requirement_met "$test" "$package" || printf '%s\n' "$package"
	done < <(requirements)
}

apt() {
	as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8 \
		apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 "$@"
}

available() { apt-cache policy "$1" 2>/dev/null | grep '^  Candidate: [^(]' >/dev/null; }

# Packages that bring a daemon must not start it here: tests start their own. Debian asks policy-rc.d.
install_packages() {
	local daemon fresh=()
	[ $# -gt 0 ] || return 0
	for daemon in redis-server prometheus; do have "$daemon" || fresh+=("$daemon"); done
	if [ ! -e /usr/sbin/policy-rc.d ]; then
		GUARD=/usr/sbin/policy-rc.d
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$GUARD" >/dev/null
		as_root chmod 755 "$GUARD"
	fi
	quietly 'apt-get install' apt install -y -qq --no-install-recommends "$@"
	[ -z "$GUARD" ] || as_root rm -f "$GUARD"
	GUARD=''
	for daemon in ${fresh[@]+"${fresh[@]}"}; do
		if have "$daemon" && have systemctl; then as_root systemctl disable "$daemon.service" >>"$LOGFILE" 2>&1 || true; fi
	done
}

install_dependencies() {
	local sets=$1 line package chosen missing wanted=() absent=()
	mapfile -t missing < <(missing_requirements "$sets")
	case " $sets " in *' build '*) node_is_new_enough || missing+=(npm) ;; esac
	if [ ${#missing[@]} -gt 0 ]; then
		have apt-get || die "apt-get is not here, so packages cannot be installed: ${missing[*]}"
		need_root 'installing packages'
		step 'Reading the package lists'
		# A third-party source that does not answer must not stop us: what counts is whether our packages can be found.
		apt update -qq >>"$LOGFILE" 2>&1 || warn "apt-get update reported errors (see $LOGFILE); going on with what it could read"
		for line in "${missing[@]}"; do
			chosen=''
			[ "$line" != npm ] || continue # node_packages decides
			for package in ${line//|/ }; do
				if available "$package"; then chosen=$package && break; fi
			done
			if [ -n "$chosen" ]; then wanted+=("$chosen"); else absent+=("$line"); fi
		done
		mapfile -t -O "${#wanted[@]}" wanted < <(node_packages "$sets")
		step "Installing packages: ${wanted[*]-}"
		install_packages ${wanted[@]+"${wanted[@]}"}
	fi
	handle_absent ${absent[@]+"${absent[@]}"}
}

# What the archive of this release does not carry: llhttp has a substitute, some tools are only for tests.
handle_absent() {
	local package
	for package in "$@"; do
		case $package in
		*node-llhttp) ;; # ensure_llhttp
		chromium | fonts-noto-cjk | universal-ctags) warn "no package $package for this system: the tests that need it are skipped" ;;
		*) die "this system's package archive has no ${package//|/ or }: check /etc/apt/sources.list (Ubuntu needs 'universe')" ;;
		esac
	done
}

# ---------------------------------------------------------------------------------------------------------------------------
# Node.js, only for building the console. A node that is already here and new enough is used as it is; npm from NodeSource
# or nvm is never mixed with Debian's.

node_is_new_enough() {
	have node && have npm && [ "$(node -p 'parseInt(process.versions.node)' 2>/dev/null || echo 0)" -ge 18 ]
}

node_packages() {
	local candidate
	case " $1 " in *' build '*) ;; *) return 0 ;; esac
	! node_is_new_enough || return 0
	! have node || return 0 # an old one, or one without npm, from elsewhere: ensure_node decides
	candidate=$(apt-cache policy nodejs 2>/dev/null | awk '/^  Candidate:/ { sub(/^.*:/, "", $2); print int($2) }')
	[ "${candidate:-0}" -ge 18 ] || return 0
	echo nodejs
	apt-cache show nodejs 2>/dev/null | grep '^Provides:.*\bnpm\b' >/dev/null || echo npm
}

# ---------------------------------------------------------------------------------------------------------------------------
# Substitutes for what Ubuntu 22.04 does not have: a new enough node and llhttp. Pinned, checked, and kept in the build tree.

fetch_checked() {
	local url=$1 sha256=$2 file=$3
	if [ -e "$file" ] && sha256sum --status -c <<<"$sha256  $file"; then return 0; fi
	curl -fsSL --retry 3 --connect-timeout 20 -o "$file.part" "$url" || die "cannot fetch $url"
	sha256sum --status -c <<<"$sha256  $file.part" || die "$url is not the file that was expected (SHA-256 differs)"
	mv "$file.part" "$file"
}

ensure_node() {
	local arch sha registry=${npm_config_registry:-https://registry.npmjs.org} node=22.20.0 npm=10.9.9
	TOOLCHAIN=$BUILD/toolchain
	node_is_new_enough && return 0
	[ -x "$TOOLCHAIN/bin/npm" ] || {
		case $(uname -m) in
		x86_64) arch=x64 sha=91290107a6cb5266af655d7237a5ec3d9a2e76634a1115b2174416f8aa41501a ;;
		aarch64) arch=arm64 sha=644942f81b7a41d45c71ff93e6b46dbcea83e34f63379e629eba86057f1f0d7a ;;
		*) die "building the console needs node 18 or newer and npm; install them for this machine ($(uname -m)) first" ;;
		esac
		step "Fetching node $node for building the console (this system's is missing or older than 18)"
		mkdir -p "$TOOLCHAIN/bin" "$TOOLCHAIN/npm"
		fetch_checked "${registry%/}/node-linux-$arch/-/node-linux-$arch-$node.tgz" "$sha" "$TOOLCHAIN/node.tgz"
		fetch_checked "${registry%/}/npm/-/npm-$npm.tgz" \
			c80bd097147cce32e31010b791bab8c71a26a5e10668210ec9d2e7f4c7cea2a1 "$TOOLCHAIN/npm.tgz"
		tar -xzf "$TOOLCHAIN/node.tgz" -C "$TOOLCHAIN" --strip-components=1
		tar -xzf "$TOOLCHAIN/npm.tgz" -C "$TOOLCHAIN/npm" --strip-components=1
		printf '#!/bin/sh\nexec "%s/bin/node" "%s/npm/bin/npm-cli.js" "$@"\n' "$TOOLCHAIN" "$TOOLCHAIN" >"$TOOLCHAIN/bin/npm"
		chmod 755 "$TOOLCHAIN/bin/npm"
	}
	PATH=$TOOLCHAIN/bin:$PATH
	node_is_new_enough || die "the node that was fetched does not run on this machine; install node 18 or newer and npm first"
}

ensure_llhttp() {
	local root=$BUILD/toolchain/llhttp
	llhttp_is_here && return 0
	mkdir -p "$root"
	step 'Fetching the sources of llhttp (this system does not package them)'
	fetch_checked "http://archive.ubuntu.com/ubuntu/pool/universe/n/node-undici/node-llhttp_9.1.3~5.26.3+dfsg1+~cs23.10.12-2_all.deb" \
		344c5028544e0276656f46cbda5d3d03804684922bff4294cd95ea386d52b030 "$root/llhttp.deb"
	dpkg-deb -x "$root/llhttp.deb" "$root"
	CMAKE_EXTRA+=("-DLLHTTP_INCLUDE=$root/usr/share/include/llhttp" "-DLLHTTP_SOURCE=$root/usr/share/llhttp")
}

# ---------------------------------------------------------------------------------------------------------------------------
# Sources and programs

# The checkout that this script stands in, or nothing when it came through a pipe.
own_checkout() {
	local file=${BASH_SOURCE[0]:-} dir
	[ -n "$file" ] && [ -f "$file" ] || return 0
	dir=$(cd "$(dirname "$file")" && pwd -P)
	[ -e "$dir/CMakeLists.txt" ] && [ -d "$dir/dataplane" ] && echo "$dir"
	return 0
}

unpack_archive() {
	local url=$1 file=$SCRATCH/archive
	case $url in
	file://*) cp "${url#file://}" "$file" 2>/dev/null || die "cannot read the release archive ${url#file://}" ;;
	http://* | https://*)
		step "Fetching $url"
		curl -fsSL --retry 3 --connect-timeout 20 -o "$file" "$url" || die "cannot fetch the release archive $url"
		;;
	*) die "TIDEGATE_ARCHIVE_URL takes https://, http:// or file://, not '$url'" ;;
	esac
	if [ -n "${TIDEGATE_ARCHIVE_SHA256:-}" ]; then
		sha256sum --status -c <<<"${TIDEGATE_ARCHIVE_SHA256,,}  $file" ||
			die "the release archive is not the one that was announced: its SHA-256 is $(sha256sum "$file" | cut -d' ' -f1)"
	elif [ "${url%%:*}" != file ]; then
		warn 'TIDEGATE_ARCHIVE_SHA256 is not set, so the archive is taken as it came'
	fi
	mkdir "$SCRATCH/source"
	tar -xf "$file" -C "$SCRATCH/source" 2>/dev/null || die "the release archive $url is not a tar archive"
	SRC=$(find "$SCRATCH/source" -maxdepth 2 -name CMakeLists.txt -printf '%h\n' -quit)
	if [ -z "$SRC" ] || [ ! -d "$SRC/dataplane" ]; then die "the release archive $url does not hold Tidegate's sources"; fi
}

find_sources() {
	SRC=$(own_checkout)
	if [ -n "${TIDEGATE_ARCHIVE_URL:-}" ]; then
		unpack_archive "$TIDEGATE_ARCHIVE_URL"
	elif [ -z "$SRC" ]; then
		die "this is not a checkout of Tidegate; set TIDEGATE_ARCHIVE_URL to the address of a release archive"
	fi
}

# A tree that is configured in another way (debug, sanitizers) is left alone.
choose_build_tree() {
	local cache
	BUILD=${TIDEGATE_BUILD_DIR:-$SRC/build}
	cache=$BUILD/CMakeCache.txt
	[ -z "${TIDEGATE_BUILD_DIR:-}" ] && [ -e "$cache" ] || return 0
	grep -q '^CMAKE_BUILD_TYPE:[A-Z]*=Release$' "$cache" && grep -q '^TIDEGATE_SANITIZE:[A-Z]*=$' "$cache" || BUILD=$SRC/build-install
}

already_built() { [ -n "${TIDEGATE_BUILD_DIR:-}" ] && [ -x "$BUILD/bin/tidegate" ] && [ -e "$BUILD/cmake_install.cmake" ]; }

# Under sudo in somebody's checkout the build runs as the owner of the checkout, so that no file of root stays behind in it.
as_builder() {
	local uid
	uid=$(stat -c %u "$SRC")
	if [ "$(id -u)" -eq 0 ] && [ "$uid" -ne 0 ] && have runuser && getent passwd "$uid" >/dev/null; then
		runuser -u "$(id -un "$uid")" -- env PATH="$PATH" HOME="$(getent passwd "$uid" | cut -d: -f6)" "$@"
	else
		"$@"
	fi
}

build() {
	already_built && return 0
	as_builder mkdir -p "$BUILD" 2>/dev/null || die "cannot write to $BUILD"
	ensure_node
	ensure_llhttp
	step "Building ($(nproc) cores)"
	quietly 'configuring the build' as_builder cmake -S "$SRC" -B "$BUILD" -G Ninja -DCMAKE_BUILD_TYPE=Release \
		-DTIDEGATE_SANITIZE= -DTIDEGATE_WERROR=OFF -DTIDEGATE_CONSOLE=ON -DTIDEGATE_TESTS=OFF -DTIDEGATE_LTO=ON ${CMAKE_EXTRA[@]+"${CMAKE_EXTRA[@]}"}
	quietly 'the build' as_builder cmake --build "$BUILD"
}

# Lays the new programs down beside the old ones, in a release directory of their own. Nothing that runs is touched yet.
stage() {
	local lib=$PREFIX/lib/tidegate staged=$SCRATCH/stage
	quietly 'collecting the programs' cmake --install "$BUILD" --prefix "$staged"
	runtime_packages "$staged" >"$staged/share/tidegate/runtime-packages"
	cp "$SRC/LICENSE" "$staged/share/tidegate/"
	sed "s|/usr/local/|$PREFIX/|" "$SRC/deploy/systemd/tidegate-worker.service" >"$staged/share/tidegate/tidegate-worker.service"
	OLD_RELEASE=$(readlink "$lib/current" 2>/dev/null || true)
	if [ -n "$OLD_RELEASE" ] && diff -rq "$staged" "$lib/$OLD_RELEASE" >/dev/null 2>&1; then
		CHANGED=''
		RELEASE=$OLD_RELEASE
		return 0
	fi
	RELEASE=$(date -u +%Y%m%dT%H%M%SZ)-$$
	in_prefix mkdir -p "$lib" "$PREFIX/bin" "$PREFIX/share"
	in_prefix cp -R --no-preserve=ownership "$staged" "$lib/.$RELEASE"
	in_prefix chmod -R u=rwX,go=rX "$lib/.$RELEASE"
	in_prefix mv "$lib/.$RELEASE" "$lib/$RELEASE"
}

# The packages that the programs need at run time, for images and for machines without the build tools.
runtime_packages() {
	local library paths=()
	# Debian records some libraries under /lib and some under /usr/lib, which are the same folder.
	while read -r library; do
		library=$(readlink -f "$library")
		paths+=("$library" "${library#/usr}")
	done < <({ ldd "$1"/bin/* 2>/dev/null || true; } | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u)
	[ ${#paths[@]} -eq 0 ] || { dpkg-query -S "${paths[@]}" 2>/dev/null || true; } | cut -d: -f1 | sort -u
}

in_prefix() { if [ "$OWNER" = root ]; then as_root "$@"; else "$@"; fi; }

point_to() {
	in_prefix ln -sfn "$1" "$PREFIX/lib/tidegate/.current"
	in_prefix mv -T "$PREFIX/lib/tidegate/.current" "$PREFIX/lib/tidegate/current"
}

# One rename makes the new release the installed one: PREFIX/bin and PREFIX/share only hold links into lib/tidegate/current.
switch_release() {
	local program old
	point_to "$RELEASE"
	for program in tidegate tidegate-control tidegate-worker; do
		in_prefix ln -sfn "../lib/tidegate/current/bin/$program" "$PREFIX/bin/$program"
	done
	if [ -d "$PREFIX/share/tidegate" ] && [ ! -L "$PREFIX/share/tidegate" ]; then in_prefix rm -rf "$PREFIX/share/tidegate"; fi
	in_prefix ln -sfn ../lib/tidegate/current/share/tidegate "$PREFIX/share/tidegate"
	for old in "$PREFIX/lib/tidegate"/2*; do
		case ${old##*/} in "$RELEASE" | "$OLD_RELEASE") ;; *) in_prefix rm -rf "$old" ;; esac
	done
}

# ---------------------------------------------------------------------------------------------------------------------------
# What an earlier run chose

readonly REMEMBERED='DATA_DIR HTTP_PORT CONSOLE_PORT CONTROL_PORT ADMIN_PORT WORKERS BIND SERVICE_USER'

recall() {
	local key value
	PREFIX=${PREFIX:-/usr/local}
	MARK=$PREFIX/lib/tidegate/install.conf
	if [ -r "$MARK" ]; then
		while IFS='=' read -r key value; do
			case " $REMEMBERED " in *" $key "*) [ -n "${!key}" ] || printf -v "$key" %s "$value" ;; esac
		done <"$MARK"
	fi
	DATA_DIR=${DATA_DIR:-/var/lib/tidegate}
	HTTP_PORT=${HTTP_PORT:-8080} CONSOLE_PORT=${CONSOLE_PORT:-8001} CONTROL_PORT=${CONTROL_PORT:-8002} ADMIN_PORT=${ADMIN_PORT:-9091}
	WORKERS=${WORKERS:-1}
}

remember() {
	local key
	{
		echo '# Written by install.sh: what this installation was given.'
		for key in $REMEMBERED; do printf '%s=%s\n' "$key" "${!key}"; done
	} >"$SCRATCH/install.conf"
	in_prefix cp "$SCRATCH/install.conf" "$MARK"
	in_prefix chmod 644 "$MARK"
}

writable() {
	local path=$1
	while [ ! -e "$path" ]; do path=$(dirname "$path"); done
	[ -w "$path" ]
}

# systemd where it runs and we may talk to it; a background process otherwise. An ordinary user who installs into places of
# their own gets everything under their own name and needs no root at all.
choose_service() {
	SERVICE=background OWNER=root
	if [ -z "$SERVICE_USER" ] && [ "$(id -u)" -ne 0 ] && writable "$PREFIX/lib/tidegate" && writable "$DATA_DIR"; then
		SERVICE_USER=$(id -un)
	fi
	SERVICE_USER=${SERVICE_USER:-tidegate}
	if [ "$SERVICE_USER" = "$(id -un)" ]; then
		OWNER=self
	elif [ -d /run/systemd/system ] && [ -z "${TIDEGATE_NO_SYSTEMD:-}" ]; then
		SERVICE=systemd
	fi
}

# ---------------------------------------------------------------------------------------------------------------------------
# The service

in_data() { if [ "$OWNER" = root ]; then as_root "$@"; else "$@"; fi; }

prepare_host() {
	if [ "$OWNER" = root ]; then
		getent passwd "$SERVICE_USER" >/dev/null ||
			as_root useradd --system --user-group --no-create-home --home-dir "$DATA_DIR" --shell /usr/sbin/nologin "$SERVICE_USER"
		as_root install -d -m 0700 "$DATA_DIR"
		as_root chown -R "$SERVICE_USER:" "$DATA_DIR"
	else
		install -d -m 0700 "$DATA_DIR"
	fi
	[ "$SERVICE" = systemd ] || return 0
	sed -e "s|@PREFIX@|$PREFIX|g" -e "s|@DATA_DIR@|$DATA_DIR|g" -e "s|@ARGUMENTS@|$(up_arguments)|g" -e "s|@USER@|$SERVICE_USER|g" \
		-e "s|@CAPABILITIES@|$([ "$(lowest_port)" -ge 1024 ] || echo CAP_NET_BIND_SERVICE)|g" \
		"$SRC/deploy/systemd/tidegate.service.in" >"$SCRATCH/tidegate.service"
	as_root install -m 0644 "$SCRATCH/tidegate.service" "$UNIT"
	as_root systemctl daemon-reload
}

lowest_port() { printf '%s\n' "$HTTP_PORT" "$CONSOLE_PORT" "$CONTROL_PORT" "$ADMIN_PORT" | sort -n | head -n 1; }

up_arguments() {
	printf -- '--data-dir %s --console-port %s --data-port %s --control-port %s --worker-admin-port %s --workers %s' \
		"$DATA_DIR" "$CONSOLE_PORT" "$HTTP_PORT" "$CONTROL_PORT" "$ADMIN_PORT" "$WORKERS"
	[ -z "$BIND" ] || printf -- ' --bind %s' "$BIND"
}

background_pid() {
	local pid
	pid=$(in_data cat "$DATA_DIR/tidegate.pid" 2>/dev/null || true)
	[[ $pid =~ ^[0-9]+$ ]] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = tidegate ] && alive "$pid" && echo "$pid"
	return 0
}

# A process that has ended but was not yet collected by its parent does not count.
alive() { [ -e "/proc/$1" ] && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"; }

service_main_pid() {
	local pid=''
	if [ -e "$UNIT" ] && have systemctl; then pid=$(systemctl show -p MainPID --value tidegate.service 2>/dev/null || true); fi
	if [ "${pid:-0}" -gt 0 ] 2>/dev/null; then echo "$pid"; else background_pid; fi
}

# The supervisor and everything below it, on one line.
service_pids() {
	local pids i children table
	pids=("$(service_main_pid)")
	[ -n "${pids[0]}" ] || return 0
	table=$(cat /proc/[0-9]*/stat 2>/dev/null || true)
	for ((i = 0; i < ${#pids[@]}; i++)); do
		mapfile -t children < <(awk -v parent="${pids[i]}" '{ pid = $1; sub(/^.*\) /, ""); if ($2 == parent) print pid }' <<<"$table")
		pids+=(${children[@]+"${children[@]}"})
	done
	echo "${pids[*]}"
}

# SIGTERM drains: requests in flight are finished first.
stop_service() {
	local pid pids waited=0
	pid=$(service_main_pid)
	[ -n "$pid" ] || return 0
	step 'Stopping Tidegate (requests in flight are finished first)'
	if [ -e "$UNIT" ] && have systemctl && [ "$(systemctl show -p MainPID --value tidegate.service 2>/dev/null)" = "$pid" ]; then
		as_root systemctl stop tidegate.service
		return 0
	fi
	in_data kill -TERM "$pid"
	while alive "$pid" && [ $waited -lt 450 ]; do
		sleep 0.1
		waited=$((waited + 1))
	done
	if alive "$pid"; then
		warn "Tidegate (pid $pid) did not stop within 45 s and is ended now"
		read -ra pids < <(service_pids)
		in_data kill -KILL "${pids[@]}" 2>/dev/null || true
	fi
	in_data rm -f "$DATA_DIR/tidegate.pid"
}

start_service() {
	step 'Starting Tidegate'
	if [ "$SERVICE" = systemd ]; then
		as_root systemctl enable --quiet tidegate.service 2>>"$LOGFILE" || true
		as_root systemctl restart tidegate.service 2>>"$LOGFILE" || true
		return 0
	fi
	# A clean environment: nothing of the caller's leaks into a process that runs for months.
	local launch=(env -i "PATH=$PREFIX/bin:/usr/bin:/bin" "HOME=$DATA_DIR" LANG=C.UTF-8) variable
	for variable in SSL_CERT_FILE SSL_CERT_DIR TIDEGATE_MASTER_KEY; do
		[ -z "${!variable:-}" ] || launch+=("$variable=${!variable}")
	done
	launch+=(setsid)
	if [ "$OWNER" = root ]; then
		launch+=(setpriv --reuid "$SERVICE_USER" --regid "$(id -g "$SERVICE_USER")" --init-groups)
		[ "$(lowest_port)" -ge 1024 ] || launch+=(--inh-caps +net_bind_service --ambient-caps +net_bind_service)
	fi
	# shellcheck disable=SC2206,SC2207 # paths hold no white space, see check_directory
	launch+=("$PREFIX/bin/tidegate" up $(up_arguments))
	# shellcheck disable=SC2016 # expanded by the inner shell
	in_data bash -c 'umask 077; cd "$1"; touch tidegate.log; chown --reference="$1" tidegate.log; shift
		"$@" >>tidegate.log 2>&1 </dev/null & echo $! >tidegate.pid' start "$DATA_DIR" "${launch[@]}"
}

console_address() {
	case $BIND in '' | 0.0.0.0 | ::) echo 127.0.0.1 ;; *:*) echo "[$BIND]" ;; *) echo "$BIND" ;; esac
}

healthy() {
	local i
	curl -fsS --noproxy '*' -m 2 -o /dev/null "http://$(console_address):$CONSOLE_PORT/healthz" 2>/dev/null || return 1
	for ((i = 0; i < WORKERS; i++)); do
		curl -fsS --noproxy '*' -m 2 -o /dev/null "http://127.0.0.1:$((ADMIN_PORT + i))/readyz" 2>/dev/null || return 1
	done
}

wait_healthy() {
	local begun=$SECONDS
	until healthy; do
		[ $((SECONDS - begun)) -lt "${TIDEGATE_HEALTH_TIMEOUT:-30}" ] || return 1
		[ $((SECONDS - begun)) -lt 3 ] || [ -n "$(service_main_pid)" ] || return 1
		sleep 0.2
	done
}

show_service_log() {
	if [ "$SERVICE" = systemd ]; then
		as_root journalctl -u tidegate.service -n 20 --no-pager >&2 2>/dev/null || true
	else
		in_data tail -n 20 "$DATA_DIR/tidegate.log" >&2 2>/dev/null || true
	fi
}

# ---------------------------------------------------------------------------------------------------------------------------
# Upgrading without losing anything

back_up() {
	BACKUP=$DATA_DIR/backups/before-upgrade-$(date -u +%Y%m%dT%H%M%SZ)
	in_data test -e "$DATA_DIR/tidegate.db" || return 0
	if [ -n "$(service_main_pid)" ] && [ -x "$PREFIX/bin/tidegate" ]; then
		step "Backing up the database to $BACKUP.db"
		in_data "$PREFIX/bin/tidegate" backup --data-dir "$DATA_DIR" -o "$BACKUP.db" >>"$LOGFILE" 2>&1 ||
			warn 'the running gateway could not write a backup; the database files are copied when it has stopped'
	fi
}

# With the daemons stopped the files themselves are a consistent copy: the way back when the new programs fail, because a
# newer program may have migrated the database.
keep_database() {
	in_data test -e "$DATA_DIR/tidegate.db" || return 0
	ROLLBACK_DB=$DATA_DIR/.before-upgrade
	in_data rm -rf "$ROLLBACK_DB"
	in_data mkdir -m 0700 "$ROLLBACK_DB"
	# shellcheck disable=SC2016
	in_data bash -c 'cp -p "$1"/tidegate.db* "$2"/' copy "$DATA_DIR" "$ROLLBACK_DB"
}

# The copy has done its duty; it stays only where no backup could be made of the running gateway.
release_database() {
	[ -n "$ROLLBACK_DB" ] || return 0
	if in_data test -s "$BACKUP.db"; then
		in_data rm -rf "$ROLLBACK_DB"
	else
		in_data mkdir -p -m 0700 "$DATA_DIR/backups"
		in_data mv -T "$ROLLBACK_DB" "$BACKUP"
	fi
	[ "$OWNER" != root ] || as_root chown -R "$SERVICE_USER:" "$DATA_DIR/backups"
	# Five upgrades back is enough; what people put there themselves has other names.
	# shellcheck disable=SC2016
	in_data bash -c 'cd "$1" && ls -1d before-upgrade-* | head -n -5 | xargs -r rm -rf' prune "$DATA_DIR/backups"
}

roll_back() {
	show_service_log
	if [ -z "$OLD_RELEASE" ] || [ "$OLD_RELEASE" = "$RELEASE" ]; then
		die "Tidegate was installed but did not become healthy; its last log lines are above"
	fi
	warn 'the new version did not become healthy (its last log lines are above); going back to the previous one'
	stop_service
	if [ -n "$ROLLBACK_DB" ]; then
		# shellcheck disable=SC2016
		in_data bash -c 'rm -f "$1"/tidegate.db*; cp -p "$2"/tidegate.db* "$1"/; rm -rf "$2"' restore "$DATA_DIR" "$ROLLBACK_DB"
	fi
	point_to "$OLD_RELEASE"
	in_prefix rm -rf "$PREFIX/lib/tidegate/$RELEASE"
	start_service
	wait_healthy || die 'the upgrade failed, and the previous version that was put back is not healthy either: see the log'
	die 'the upgrade failed; the previous version and its database were put back and are running'
}

# ---------------------------------------------------------------------------------------------------------------------------
# Providers given on the command line

json_string() {
	local text=$1
	text=${text//\\/\\\\}
	printf '"%s"' "${text//\"/\\\"}"
}

# The body, and so the key, goes through a pipe: never through an argument and never through a file.
control_api() {
	in_data curl -sS -m 20 --unix-socket "$DATA_DIR/control.sock" -H 'Content-Type: application/json' \
		-o "$SCRATCH/answer" -w '%{http_code}' -X "$1" --data-binary @- "http://localhost/api/v1$2" 2>>"$LOGFILE" || true
}

# The sentence of an application/problem+json answer: its first error with the member, else its detail.
problem_text() {
	python3 - "$1" 2>/dev/null <<'TEXT' || head -c 300 "$1"
import json, sys
problem = json.load(open(sys.argv[1]))
error = (problem.get("errors") or [{}])[0]
print(" ".join(part for part in (error.get("path"), error.get("message") or problem.get("detail")) if part))
TEXT
}

create_providers() {
	local i type key status failed=''
	for i in "${!PROVIDER_TYPES[@]}"; do
		type=${PROVIDER_TYPES[i]} key=$(json_string "${PROVIDER_KEYS[i]}")
		: >"$SCRATCH/answer"
		status=$(control_api POST /providers <<<"{\"name\":\"$type\",\"type\":\"$type\",\"api_keys\":[{\"name\":\"main\",\"value\":$key}]}")
		if [ "$status" = 409 ]; then
			status=$(control_api PATCH "/providers/$type" <<<"{\"api_keys\":[{\"name\":\"main\",\"value\":$key}]}")
		fi
		case $status in
		200 | 201) step "Provider $type is set up" ;;
		*)
			failed+=" $type"
			warn "the provider $type was not created (status ${status:-none}): $(problem_text "$SCRATCH/answer")"
			;;
		esac
	done
	NOT_CREATED=$failed
}

# ---------------------------------------------------------------------------------------------------------------------------
# Ends

sudo_word() { [ "$(id -u)" -eq 0 ] || [ "$OWNER" = self ] || printf 'sudo '; }

report() {
	local token data='' host=localhost
	case $BIND in '' | 0.0.0.0 | :: | 127.*) ;; *) host=$(console_address) ;; esac
	[ "$DATA_DIR" = /var/lib/tidegate ] || data=" --data-dir $DATA_DIR"
	token=$(in_data cat "$DATA_DIR/setup-token" 2>/dev/null || true)
	say ''
	say "${BOLD}$("$PREFIX/bin/tidegate" --version 2>/dev/null | head -n 1 || echo Tidegate) is running.$PLAIN"
	say ''
	say "  Console      http://$host:$CONSOLE_PORT/"
	if [ -n "$token" ]; then
		say "  Setup token  $token"
		say '               (the console asks for it once, when you create the first administrator)'
	fi
	say "  Data plane   http://$host:$HTTP_PORT/v1"
	say "  Try it       curl -i http://$host:$HTTP_PORT/v1/models"
	say '               (401 and a JSON error: the gateway answers and wants a consumer key. Issue one in the'
	say "               console, then add: -H 'Authorization: Bearer tgk_…')"
	say "  Status       $(sudo_word)$(program tidegate) status$data"
	if [ "$SERVICE" = systemd ]; then
		say "  Logs         $(sudo_word)journalctl -u tidegate -f"
		say "  Stop         $(sudo_word)systemctl stop tidegate"
	else
		say "  Logs         $DATA_DIR/tidegate.log"
		say "  Stop         $(sudo_word)kill \$($(sudo_word)cat $DATA_DIR/tidegate.pid)"
	fi
	say "  Uninstall    ./install.sh --uninstall$([ "$PREFIX" = /usr/local ] || printf ' --prefix %s' "$PREFIX")   (keeps $DATA_DIR; --purge removes it too)"
	say ''
}

program() { case :$PATH: in *:"$PREFIX/bin":*) echo "$1" ;; *) echo "$PREFIX/bin/$1" ;; esac; }

purge_data() {
	[ -d "$DATA_DIR" ] || return 0
	if ! in_data test -e "$DATA_DIR/master.key" && ! in_data test -e "$DATA_DIR/tidegate.db" && ! in_data test -e "$DATA_DIR/lock"; then
		[ -z "$(in_data ls -A "$DATA_DIR")" ] || die "$DATA_DIR does not look like a data directory of Tidegate; it was not removed"
	fi
	in_data rm -rf "$DATA_DIR"
	say "Removed $DATA_DIR"
	# Only the account that this script made by itself goes with the data.
	if [ "$OWNER" = root ] && [ "$SERVICE_USER" = tidegate ] && getent passwd tidegate >/dev/null; then
		as_root userdel tidegate >/dev/null 2>&1 || true
	fi
}

uninstall() {
	local program found=''
	[ ! -e "$PREFIX/lib/tidegate/current" ] || found=yes
	[ "$OWNER" = self ] || need_root 'uninstalling'
	stop_service
	if [ "$OWNER" = root ] && [ -e "$UNIT" ] && grep -q "$PREFIX/bin/tidegate" "$UNIT"; then
		as_root systemctl disable --quiet tidegate.service >/dev/null 2>&1 || true
		[ ! -e "$WORKER_UNIT" ] || as_root systemctl disable --quiet --now tidegate-worker.service >/dev/null 2>&1 || true
		as_root rm -f "$UNIT" "$WORKER_UNIT"
		as_root systemctl daemon-reload >/dev/null 2>&1 || true
	fi
	for program in tidegate tidegate-control tidegate-worker; do
		[ ! -L "$PREFIX/bin/$program" ] || in_prefix rm -f "$PREFIX/bin/$program"
	done
	[ ! -L "$PREFIX/share/tidegate" ] || in_prefix rm -f "$PREFIX/share/tidegate"
	[ ! -d "$PREFIX/lib/tidegate" ] || in_prefix rm -rf "$PREFIX/lib/tidegate"
	if [ -n "$found" ]; then say "Removed Tidegate from $PREFIX"; else say "Tidegate is not installed in $PREFIX"; fi
	if [ -n "$PURGE" ]; then
		purge_data
	elif [ -d "$DATA_DIR" ]; then
		say "Kept the data in $DATA_DIR (remove it with --uninstall --purge --data-dir $DATA_DIR)"
	fi
}

main() {
	[ ! -f "${BASH_SOURCE[0]:-}" ] || hide_provider_keys "$@"
	parse_options "$@"
	SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/tidegate-install.XXXXXX")
	LOGFILE=$SCRATCH/log
	trap cleanup EXIT
	trap 'FAILED_AT=$LINENO' ERR
	trap 'EXPLAINED=yes; exit 130' INT TERM HUP
	recall
	choose_service
	if [ -n "$UNINSTALL" ]; then uninstall && return; fi
	check_system
	if [ -n "$DEPS_ONLY" ]; then
		case $DEPS_ONLY in run) install_dependencies run ;; build) install_dependencies 'run build' ;; all) install_dependencies 'run build all' ;; esac
		step 'Everything that is needed is installed'
		return
	fi
	[ "$OWNER" = self ] || need_root "installing into $PREFIX"
	[ -z "$START" ] || check_ports
	find_sources
	choose_build_tree
	if already_built; then install_dependencies run; else install_dependencies 'run build'; fi
	build
	stage
	if [ -z "$CHANGED" ] && [ -n "$START" ] && [ -n "$(service_main_pid)" ] && same_settings && healthy; then
		step 'This version is already installed and running; nothing to change'
	else
		install_and_start
	fi
	[ -n "$START" ] || { say "Installed in $PREFIX; start it with: $(sudo_word)$(program tidegate) up --data-dir $DATA_DIR"; return; }
	create_providers
	report
	[ -z "$NOT_CREATED" ] || die "Tidegate runs, but these providers were not created:$NOT_CREATED (add them in the console)"
}

same_settings() {
	local key
	for key in $REMEMBERED; do grep -qx "$key=${!key}" "$MARK" 2>/dev/null || return 1; done
}

install_and_start() {
	back_up
	stop_service
	[ -z "$OLD_RELEASE" ] || keep_database
	switch_release
	remember
	prepare_host
	# A worker that an operator set up here for a control plane elsewhere (docs/operations.md).
	if [ "$SERVICE" = systemd ] && [ -e "$WORKER_UNIT" ]; then as_root systemctl try-restart tidegate-worker.service; fi
	[ -n "$START" ] || return 0
	start_service
	wait_healthy || roll_back
	release_database
}

main "$@"
