#!/bin/sh
# Starts a worker in a container that shares its network with other workers: all of them listen on one data port
# (SO_REUSEPORT), so each needs a name and an admin port of its own. The name is kept beside the state; the port is drawn at
# every start, so that two workers that drew the same one are told apart by the restart policy.
set -eu
umask 077

state=${TIDEGATE_STATE_DIR:-/var/lib/tidegate-worker}
if [ ! -s "$state/container" ]; then
	read -r id </proc/sys/kernel/random/uuid
	echo "${id%%-*}" >"$state/container"
fi
read -r name <"$state/container"
read -r id </proc/sys/kernel/random/uuid
port=$((20000 + 0x${id%%-*} % 10000))
echo "$port" >"${TMPDIR:-/tmp}/admin-port"

exec tidegate-worker --control "${TIDEGATE_CONTROL:-wss://control:8002}" \
	--join-token-file "${TIDEGATE_JOIN_TOKEN_FILE:-/run/tidegate-join/join-token}" \
	--state-dir "$state" --name "worker-$name" \
	--listen "${TIDEGATE_LISTEN:-0.0.0.0:8080}" --admin-listen "127.0.0.1:$port" --log-format json
