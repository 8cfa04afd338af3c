#!/bin/sh
# Make the key of the replica set, the passwords of its users and the secret by which the service
# verifies JSON web tokens, in docker/secrets or in the folder that is given;
# what is there already stays as it is.
set -eu

folder=${1:-$(dirname "$0")/secrets}

# Only its owner may enter the folder. The files in it can be read by all, since inside a container
# they belong to a user whom it does not know.
umask 077
mkdir -p "$folder"

make() {
    if [ ! -s "$folder/$1" ]; then
        rm -f "$folder/$1.new"
        random "$2" >"$folder/$1.new"
        chmod 0444 "$folder/$1.new"
        mv "$folder/$1.new" "$folder/$1"
        echo "made $folder/$1"
    fi
}

# A number of random bytes as hexadecimal digits, which need no quoting anywhere.
random() {
    od -An -v -tx1 -N "$1" /dev/urandom | tr -d ' \n'
}

make keyfile 378
make jwt_secret 32
for user in admin reader writer; do
    make "${user}_password" 24
done
