# Starting what the sandbox's profile starts, and waiting until it is there; sourced by the restore scripts.
start_falkordb() {
  setsid $FALKORDB_COMMAND >"$PIDS/falkordb.log" 2>&1 &
  echo $! >"$PIDS/falkordb"
}
until_loaded() {
  until REDISCLI_AUTH=$FALKORDB_PASSWORD "$REDIS_CLI" -p "$FALKORDB_PORT" INFO persistence 2>/dev/null | grep -q '^loading:0'; do sleep 0.05; done
}
start_novamem() {
  setsid $NOVAMEM_COMMAND >"$PIDS/novamem.log" 2>&1 &
  echo $! >"$PIDS/novamem"
}
until_healthy() {
  until curl -fsS -o /dev/null "$NOVAMEM_URL/health" 2>/dev/null; do sleep 0.05; done
}
