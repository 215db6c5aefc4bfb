#!/bin/sh
# The handbook's procedure for a lost cluster, one command after the other (with POST: its PUT restores nothing).
# Postgres and Qdrant run and are empty; FalkorDB and novamem are stopped.
set -eu
"$PG_BIN/pg_restore" -d "$PGDATABASE" --clean --if-exists "$BACKUP/postgres/novamem.dump"
for file in "$BACKUP"/qdrant/*.snapshot; do
  collection=$(basename "$file" .snapshot)
  curl -fsS -o /dev/null -H "api-key: $QDRANT_KEY" -X POST \
    "$QDRANT_URL/collections/$collection/snapshots/upload?priority=snapshot" -F "snapshot=@$file"
done
cp -a "$BACKUP/falkordb/." "$FALKORDB_DATA/"
. "$(dirname "$0")/start-services.sh"
start_falkordb
until_loaded
start_novamem
until_healthy
