#!/bin/sh
# Write a dump of the whole set, as it is when the dump ends, to standard output. --oplog makes it
# so: without it a deployment that is under way is dumped in part.
set -eu
umask 077

# On the command line the password could be seen by every process of the machine.
login=$(mktemp)
trap 'rm -f "$login"' EXIT
printf 'password: "%s"\n' "$(cat /run/secrets/admin_password)" >"$login"

mongodump --config="$login" --username=admin --authenticationDatabase=admin \
    --host="cdb/$CDB_MEMBERS" --oplog --gzip --archive
