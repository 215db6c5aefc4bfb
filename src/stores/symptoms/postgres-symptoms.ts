import { join } from 'node:path';
import { isHere } from '../../hosts/here.js';
import type { Host } from '../../hosts/host.js';
import { countOf, instantOf, messageOf, plural } from '../../words.js';
import { DATABASE_MISSING, type Postgres, quoteIdentifier, type Reading, sqlState } from '../postgres/connection.js';
import type { PostgresInventory } from '../postgres/inventory.js';
import { isFarBelow, type Looking } from './looking.js';
import { lookAtRoom } from './room.js';

const COUNT_PATIENCE_MS = 3_000;
const MEMORIES = 'public.memory_entries';
/** SQLSTATE of data and indexes that are corrupted, files that are gone, and reads that the disk refuses. */
const UNREADABLE: ReadonlySet<string> = new Set(['XX001', 'XX002', '58P01', '58030']);
/** What tells a server how its data directory was left. */
const CONTROL = 'global/pg_control';
const TOO_SLOW = '57014';

/** What is wrong with Postgres, found by reading every table once. `dataDir`: where that is on the server's host. */
export async function lookAtPostgres(
  looking: Looking,
  postgres: Postgres,
  there: Host,
  dataDir: string | undefined,
  expected: PostgresInventory | undefined,
): Promise<void> {
  // Its log may lie on a disk of its own.
  await lookAtRoom(
    looking,
    'Postgres',
    postgres.host,
    dataDir === undefined || !there.here ? [] : [dataDir, join(dataDir, 'pg_wal')],
  );
  try {
    await postgres.reading(async (reading) => {
      await lookAtServer(looking, reading);
      await lookAtArchiving(looking, reading);
      const tables = await tablesIn(reading);
      const wanted = expected ? Object.keys(expected.tables) : [MEMORIES];
      const missing = wanted.filter((table) => !tables.includes(table));
      if (missing.length > 0)
        looking.ail(
          'missing',
          `Postgres: ${missing.length} of ${plural(wanted.length, 'table')} missing: ${missing.slice(0, 5).join(', ')}`,
        );
      for (const table of tables) await lookAtTable(looking, reading, table, expected?.tables[table]?.rows);
      const { memories = 0 } = looking.counts;
      if (memories > 0) looking.isWell(`Postgres holds ${plural(memories, 'memory', 'memories')}`);
      await countPending(looking, reading);
    });
  } catch (error) {
    if (sqlState(error) === DATABASE_MISSING) looking.ail('missing', `Postgres: ${messageOf(error)}`);
    else {
      looking.fail(error, 'Postgres: ');
      await lookAtFolder(looking, postgres, there, dataDir);
    }
  }
}

async function lookAtServer(looking: Looking, reading: Reading): Promise<void> {
  looking.now('its state');
  await reading.query(`SET statement_timeout = ${COUNT_PATIENCE_MS}`);
  // Every page of a table is to be read: an index would go around the damaged ones.
  for (const way of ['indexscan', 'indexonlyscan', 'bitmapscan']) await reading.query(`SET enable_${way} = off`);
  const [state] = await reading.query<{ recovering: boolean; failures: number | null }>(
    'SELECT pg_is_in_recovery() AS recovering, (SELECT checksum_failures FROM pg_stat_database WHERE datname = current_database())::int AS failures',
  );
  if (state?.recovering)
    looking.ail('unwell', 'Postgres is in recovery: it is a standby, or its recovery has not ended');
  if (state?.failures)
    looking.ail('unreadable', `Postgres has counted ${plural(state.failures, 'checksum failure')} in this database`);
}

/** A log that is not archived is lost with its disk, and no moment after its last segment can be gone back to. */
async function lookAtArchiving(looking: Looking, reading: Reading): Promise<void> {
  looking.now('how its log is archived');
  const [failed] = await reading.query<{ wal: string; at: Date }>(
    `SELECT last_failed_wal AS wal, last_failed_time AS at FROM pg_stat_archiver
      WHERE current_setting('archive_mode') <> 'off' AND last_failed_time > coalesce(last_archived_time, '-infinity')`,
  );
  if (failed)
    looking.ail(
      'unwell',
      `Postgres: its log is not archived any more: archive_command failed for ${failed.wal}, last at ${instantOf(failed.at)}`,
    );
}

async function tablesIn(reading: Reading): Promise<string[]> {
  const rows = await reading.query<{ name: string }>(
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)' ORDER BY 1`,
  );
  return rows.map((row) => row.name);
}

async function lookAtTable(
  looking: Looking,
  reading: Reading,
  table: string,
  expected: number | undefined,
): Promise<void> {
  looking.now(`counting ${table}`);
  const dot = table.indexOf('.');
  const name = `${quoteIdentifier(table.slice(0, dot))}.${quoteIdentifier(table.slice(dot + 1))}`;
  try {
    const [row] = await reading.query<{ count: string }>(`SELECT count(*) FROM ${name}`);
    const rows = Number(row!.count);
    if (table === MEMORIES) looking.counted({ memories: rows });
    const shrinksByItself = !table.startsWith('public.memory_') && rows > 0;
    if (expected !== undefined && !shrinksByItself && isFarBelow(rows, expected))
      looking.ail('fewer', `Postgres: ${table} has ${countOf(rows)} rows; the last backup had ${countOf(expected)}`);
  } catch (error) {
    const state = sqlState(error);
    if (UNREADABLE.has(state)) looking.ail('unreadable', `Postgres: ${table} cannot be read: ${messageOf(error)}`);
    else if (state !== TOO_SLOW) throw error;
  }
}

async function countPending(looking: Looking, reading: Reading): Promise<void> {
  if (looking.counts.memories === undefined) return;
  looking.now('memories that wait for their vector');
  const [column] = await reading.query(
    "SELECT FROM pg_attribute WHERE attrelid = to_regclass('memory_entries') AND attname = 'embedded_at' AND NOT attisdropped",
  );
  if (!column) return;
  const [row] = await reading.query<{ count: string }>(
    'SELECT count(*) FROM memory_entries WHERE embedded_at IS NULL',
  );
  looking.counted({ pending: Number(row!.count) });
}

/** A server that does not answer may have lost its data, where that can be seen. */
async function lookAtFolder(
  looking: Looking,
  { host }: Postgres,
  { files, here, title }: Host,
  dataDir: string | undefined,
): Promise<void> {
  if (dataDir === undefined || (here && !isHere(host))) return;
  looking.now('its files');
  const at = here ? dataDir : `${dataDir} on ${title}`;
  // What cannot be seen, or is merely closed to this user, is no loss.
  const isGone = async (path: string) => (await files.exists(path).catch(() => true)) === false;
  if (await isGone(join(dataDir, 'PG_VERSION')))
    looking.ail('missing', `Postgres: there is no data directory at ${at}`);
  else if (await isGone(join(dataDir, CONTROL)))
    looking.ail('missing', `Postgres: its ${CONTROL} is gone from ${at}, and it does not start without`);
}
