#!/bin/sh
# Makes the database once, before the server starts. An interrupted attempt leaves nothing that looks finished: the
# directory gets its name last. A lost volume is made anew, and the node fills it from the other replicas.
set -eu

if [ -s "$PGDATA/PG_VERSION" ]; then
    # A volume that was attached anew may have got permissions for its group, which the server refuses.
    chmod 0700 "$PGDATA"
    exit 0
fi

new="$PGDATA.new"
rm -rf "$new"
# Collation C: keys are bytes, and an index does not depend on the C library of the image.
initdb --pgdata="$new" --username=buzon --auth=trust --encoding=UTF8 --locale=C --data-checksums
echo "CREATE DATABASE buzon" | postgres --single -D "$new" postgres
mv "$new" "$PGDATA"
sync
