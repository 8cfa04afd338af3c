#!/bin/sh
# Run cdb with the address of the replica set, the user's password taken from a file.
set -eu

password=$(python - "$CDB_PASSWORD_FILE" <<'PYTHON'
import sys
import urllib.parse

with open(sys.argv[1], encoding="utf-8") as file:
    print(urllib.parse.quote(file.read().strip(), safe=""))
PYTHON
)
CDB_URL="mongodb://${CDB_USER}:${password}@${CDB_MEMBERS}/?replicaSet=cdb&authSource=admin"
export CDB_URL
exec cdb "$@"
