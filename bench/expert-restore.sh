#!/bin/sh
# What an expert with a shell would do: all stores at once, each as parallel as it can be.
# Postgres and Qdrant run and are empty; FalkorDB and novamem are stopped.
set -eu
. "$(dirname "$0")/start-services.sh"
"$PG_BIN/pg_restore" -j "$(nproc)" -d "$PGDATABASE" "$BACKUP/postgres/novamem.dump" &
postgres=$!
(
  cd "$BACKUP/qdrant"
  ls | sed 's/\.snapshot$//' | xargs -P 4 -I '{}' curl -fsS -o /dev/null -H "api-key: $QDRANT_KEY" -X POST \
    "$QDRANT_URL/collections/{}/snapshots/upload?priority=snapshot" -F 'snapshot=@{}.snapshot'
) &
qdrant=$!
cp -a "$BACKUP/falkordb/." "$FALKORDB_DATA/"
start_falkordb
until_loaded
wait "$postgres"
wait "$qdrant"
start_novamem
until_healthy
