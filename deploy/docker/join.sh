#!/bin/sh
# Hands the join token of the control plane to the workers: copies it from the data volume, which no worker sees, into the
# volume that is mounted read-only in them. Runs once, after the control plane is healthy; running it again changes nothing.
set -eu
umask 027

from=${TIDEGATE_DATA_DIR:-/var/lib/tidegate}/join-token
to=${1:-/run/tidegate-join}/join-token

if [ ! -s "$from" ]; then
	echo "join.sh: $from is not there: is the control plane healthy?" >&2
	exit 1
fi
if ! cmp -s "$from" "$to"; then
	cp "$from" "$to.new"
	chmod 0400 "$to.new" # the worker takes no secret that others may open
	mv "$to.new" "$to"
fi
