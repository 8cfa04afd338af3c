#!/usr/bin/env bash
# Start one member of the replica set. mongod refuses a key that others may read or that is not
# its own, and a secret keeps the owner that it has outside, so the key is copied first.
set -euo pipefail

install -o mongodb -g mongodb -m 0400 /run/secrets/keyfile /data/configdb/keyfile
exec docker-entrypoint.sh mongod "$@"
