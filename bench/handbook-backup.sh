#!/bin/sh
# The handbook's commands for a backup of all three stores, one after the other.
set -eu
mkdir -p "$TARGET/postgres" "$TARGET/qdrant" "$TARGET/falkordb"
"$PG_BIN/pg_dump" -d "$PGDATABASE" --format=custom --compress=9 --file "$TARGET/postgres/novamem.dump"
for collection in $(curl -fsS -H "api-key: $QDRANT_KEY" "$QDRANT_URL/collections" | grep -o '"name":"[^"]*"' | cut -d '"' -f 4); do
  snapshots="$QDRANT_URL/collections/$collection/snapshots"
  name=$(curl -fsS -H "api-key: $QDRANT_KEY" -X POST "$snapshots" | grep -o '"name":"[^"]*"' | cut -d '"' -f 4)
  curl -fsS -H "api-key: $QDRANT_KEY" "$snapshots/$name" >"$TARGET/qdrant/$collection.snapshot"
done
redis() { REDISCLI_AUTH=$FALKORDB_PASSWORD "$REDIS_CLI" -p "$FALKORDB_PORT" "$@"; }
redis BGSAVE >/dev/null
until redis INFO persistence | tr -d '\r' | grep -q '^rdb_bgsave_in_progress:0'; do sleep 0.05; done
cp "$FALKORDB_DATA/dump.rdb" "$TARGET/falkordb/dump.rdb"
