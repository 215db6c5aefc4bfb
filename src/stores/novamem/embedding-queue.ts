import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { keepPlace } from '../../hosts/durable.js';
import type { Gateway } from '../../hosts/gateway.js';
import type { Postgres } from '../postgres/connection.js';

// novamem's queue of what has to be embedded is no table: it is the rows of memory_entries whose embedded_at is NULL.

/** Rows in one statement: each holds its locks for a moment only, and novamem goes on between two. */
const BATCH = 2_000;
const LOCK_PATIENCE = '30s';

/** Which rows are meant: all, or those without a vector (by id) and those embedded after an instant. */
export type Rows = { all: true } | { ids: readonly string[]; embeddedAfter: Date | null };

/** Rows that are not queued, with the instant at which each was embedded, one a line: `["01J…","2026-11-21 02:00:00+00"]`. */
export interface KeptInstants {
  file: string;
  rows: number;
  sha256: string;
}

interface KeptRow {
  id: string;
  at: string;
}

/** What this role may do and what its updates set off. */
export interface UpdateRights {
  /** Triggers that fire at every update of a memory. */
  triggers: string[];
  /** Whether they can be kept from firing (`session_replication_role`). */
  canSilence: boolean;
  mayUpdate: boolean;
}

export function updateRights(postgres: Postgres): Promise<UpdateRights> {
  return postgres.reading(async ({ query }) => {
    // Bit 16 of tgtype: it fires at an UPDATE. https://github.com/postgres/postgres/blob/REL_15_STABLE/src/include/catalog/pg_trigger.h
    const triggers = await query<{ name: string }>(
      `SELECT tgname AS name FROM pg_trigger WHERE tgrelid = to_regclass('memory_entries') AND NOT tgisinternal
          AND tgenabled IN ('O', 'A') AND tgtype & 16 <> 0 ORDER BY 1`,
    );
    const [role] = await query<{ superuser: boolean; version: number }>(
      `SELECT rolsuper AS superuser, current_setting('server_version_num')::int AS version FROM pg_roles WHERE rolname = current_user`,
    );
    const [granted] =
      role!.version >= 150_000
        ? await query<{ yes: boolean }>("SELECT has_parameter_privilege('session_replication_role', 'SET') AS yes")
        : [{ yes: false }];
    const [update] = await query<{ yes: boolean }>(
      "SELECT has_column_privilege('memory_entries', 'embedded_at', 'UPDATE') AS yes",
    );
    return {
      triggers: triggers.map((one) => one.name),
      canSilence: role!.superuser || granted!.yes,
      mayUpdate: update!.yes,
    };
  });
}

/**
 * Writes which of these rows was embedded when into a new file, and reads it again: nothing else remembers it once they are
 * queued. Rows that are queued already are left out.
 */
export async function keepInstants(
  postgres: Postgres,
  gateway: Gateway,
  rows: Rows,
  file: string,
  { onRows = () => {}, signal }: { onRows?: (rows: number) => void; signal?: AbortSignal } = {},
): Promise<KeptInstants> {
  const written = await gateway.change(
    { channel: 'file', text: `write ${file} (id and embedded_at of each row)` },
    () => writeInstants(postgres, rows, file, onRows, signal),
  );
  const hash = createHash('sha256');
  let lines = 0;
  for await (const batch of batchesIn({ file })) {
    lines += batch.length;
    for (const row of batch) hash.update(lineOf(row));
  }
  const sha256 = hash.digest('hex');
  if (lines !== written.rows || sha256 !== written.sha256)
    throw new Error(
      `${file} was not written whole: ${written.rows} rows were meant, ${lines} are in it; nothing was queued`,
    );
  return { file, rows: lines, sha256 };
}

const lineOf = ({ id, at }: KeptRow) => `${JSON.stringify([id, at])}\n`;

async function writeInstants(
  postgres: Postgres,
  rows: Rows,
  file: string,
  onRows: (rows: number) => void,
  signal?: AbortSignal,
): Promise<{ rows: number; sha256: string }> {
  const handle = await open(file, 'wx', 0o600);
  const hash = createHash('sha256');
  let count = 0;
  try {
    await postgres.reading(
      async ({ query }) => {
        await query("SELECT set_config('TimeZone', 'UTC', false)");
        const take = async (where: string, values: unknown[]) => {
          signal?.throwIfAborted();
          const found = await query<KeptRow>(
            `SELECT id::text AS id, embedded_at::text AS at FROM memory_entries
              WHERE embedded_at IS NOT NULL AND ${where} ORDER BY id::text LIMIT ${BATCH}`,
            values,
          );
          const text = found.map(lineOf).join('');
          hash.update(text);
          await handle.write(text);
          count += found.length;
          onRows(count);
          return found;
        };
        const page = async (where: string, values: unknown[]) => {
          let last = '';
          for (;;) {
            const found = await take(`id::text > $1 AND ${where}`, [last, ...values]);
            if (found.length < BATCH) return;
            last = found.at(-1)!.id;
          }
        };
        if ('all' in rows) return page('true', []);
        for (let from = 0; from < rows.ids.length; from += BATCH)
          await take('id::text = ANY($1)', [rows.ids.slice(from, from + BATCH)]);
        if (rows.embeddedAfter)
          await page('embedded_at > $2 AND NOT id::text = ANY($3)', [rows.embeddedAfter, rows.ids]);
      },
      { snapshot: true },
    );
    await handle.sync();
  } finally {
    await handle.close();
  }
  await keepPlace(file);
  return { rows: count, sha256: hash.digest('hex') };
}

/** Queues the rows of a file: those that still have the very instant that was kept. Answers how many were. */
export function queueRows(
  postgres: Postgres,
  gateway: Gateway,
  kept: KeptInstants,
  silent: boolean,
  following: { onRows?: (rows: number) => void; signal?: AbortSignal } = {},
): Promise<number> {
  return changeRows(postgres, gateway, kept, silent, following, (id, at) => ({
    set: 'NULL',
    where: `m.id = k.id${id} AND m.embedded_at = k.at${at}`,
  }));
}

/** Gives the rows of a file back the instant that was kept, whatever they have now. Answers how many are still there. */
export function putInstantsBack(
  postgres: Postgres,
  gateway: Gateway,
  kept: KeptInstants,
  silent: boolean,
  following: { onRows?: (rows: number) => void; signal?: AbortSignal } = {},
): Promise<number> {
  return changeRows(postgres, gateway, kept, silent, following, (id, at) => ({
    set: `k.at${at}`,
    where: `m.id = k.id${id}`,
  }));
}

/** The server's own time, as `instantsBack` takes it. */
export async function serverTime(postgres: Postgres): Promise<string> {
  const [row] = await postgres.read<{ now: string }>("SELECT (clock_timestamp() AT TIME ZONE 'UTC')::text AS now");
  return `${row!.now}+00`;
}

/** Of the rows of a file: how many are still there, and how many of those have the instant that was kept, or a later one than `since`. */
export async function instantsBack(
  postgres: Postgres,
  kept: Pick<KeptInstants, 'file'>,
  since: string,
): Promise<{ there: number; back: number }> {
  const types = await columnTypes(postgres);
  const [at, id] = [types.embedded_at, types.id];
  return postgres.reading(async ({ query }) => {
    await query("SELECT set_config('TimeZone', 'UTC', false)");
    const counted = { there: 0, back: 0 };
    for await (const batch of batchesIn(kept)) {
      const [row] = await query<{ there: number; back: number }>(
        `SELECT count(*)::int AS there,
                count(*) FILTER (WHERE m.embedded_at = k.at::${at} OR m.embedded_at >= $3::text::${at})::int AS back
           FROM memory_entries m JOIN unnest($1::text[], $2::text[]) AS k (id, at) ON m.id = k.id::${id}`,
        [batch.map((one) => one.id), batch.map((one) => one.at), since],
      );
      counted.there += row!.there;
      counted.back += row!.back;
    }
    return counted;
  });
}

async function changeRows(
  postgres: Postgres,
  gateway: Gateway,
  kept: Pick<KeptInstants, 'file'>,
  silent: boolean,
  { onRows = () => {}, signal }: { onRows?: (rows: number) => void; signal?: AbortSignal },
  change: (idType: string, atType: string) => { set: string; where: string },
): Promise<number> {
  const types = await columnTypes(postgres);
  const { set, where } = change(`::${types.id}`, `::${types.embedded_at}`);
  const update = `UPDATE memory_entries m SET embedded_at = ${set} FROM unnest($1::text[], $2::text[]) AS k (id, at) WHERE ${where}`;
  return postgres.writing(
    gateway,
    `${update} -- for the rows in ${kept.file}, ${BATCH} at a time`,
    async ({ query }) => {
      let read = 0;
      let changed = 0;
      for await (const batch of batchesIn(kept)) {
        signal?.throwIfAborted();
        const [answer] = await query<{ rows: number }>(
          `WITH changed AS (${update} RETURNING 1) SELECT count(*)::int AS rows FROM changed`,
          [batch.map((row) => row.id), batch.map((row) => row.at)],
        );
        changed += answer!.rows;
        read += batch.length;
        onRows(read);
      }
      return changed;
    },
    {
      settings: {
        lock_timeout: LOCK_PATIENCE,
        TimeZone: 'UTC',
        ...(silent ? { session_replication_role: 'replica' } : {}),
      },
    },
  );
}

async function columnTypes(postgres: Postgres): Promise<Record<'id' | 'embedded_at', string>> {
  const rows = await postgres.read<{ name: 'id' | 'embedded_at'; type: string }>(
    `SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
      WHERE attrelid = to_regclass('memory_entries') AND attname IN ('id', 'embedded_at')`,
  );
  return Object.fromEntries(rows.map((row) => [row.name, row.type])) as Record<'id' | 'embedded_at', string>;
}

async function* batchesIn({ file }: { file: string }): AsyncGenerator<KeptRow[]> {
  let batch: KeptRow[] = [];
  for await (const line of createInterface({
    input: createReadStream(file, 'utf8'),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    const [id, at] = JSON.parse(line) as [string, string];
    batch.push({ id, at });
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Ids of rows that wait to be embedded, the oldest first. */
export async function waitingRows(postgres: Postgres, limit: number): Promise<string[]> {
  const rows = await postgres.read<{ id: string }>(
    'SELECT id::text AS id FROM memory_entries WHERE embedded_at IS NULL ORDER BY created_at, id LIMIT $1',
    [limit],
  );
  return rows.map((row) => row.id);
}
