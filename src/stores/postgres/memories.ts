import { type Postgres, type Reading, sqlState, TABLE_MISSING } from './connection.js';

/** A row of `memory_entries`, as far as the other stores must agree with it. */
export interface MemoryRow {
  id: string;
  /**
   * It waits to be embedded, or was since the reading began: that it had no vector yet is no loss. Always false where the table has no
   * such column, as the next.
   */
  pending: boolean;
  /** Its vector was made at the moment for which Qdrant stands, or after it. */
  embeddedLater: boolean;
  /** It was written since the reading began. Always false where the table does not tell. */
  isNew: boolean;
}

/** Moments (ms since 1970) by which rows are told apart: when reading the stores began, by the server's clock, and for which Qdrant stands. */
export interface RowMoments {
  begun: number;
  qdrant?: number | undefined;
}

/** Whether the table of the memories is there at all. */
export async function hasMemories(postgres: Postgres): Promise<boolean> {
  const [table] = await postgres.read<{ there: boolean }>(
    "SELECT to_regclass('memory_entries') IS NOT NULL AS there",
  );
  return table!.there;
}

/** How many memories there are now, and the server's own clock (ms since 1970). */
export async function memoriesNow(postgres: Postgres): Promise<{ count: number; at: number }> {
  const [now] = await postgres.read<{ count: string; at: number }>(
    "SELECT count(*)::text AS count, date_part('epoch', clock_timestamp()) * 1000 AS at FROM memory_entries",
  );
  return { count: Number(now!.count), at: now!.at };
}

const A_MINUTE = 60_000;

/** Every memory, in no order, some hundreds at a time; all of them as they are at one moment. */
export function readMemories(
  postgres: Postgres,
  { begun, qdrant }: RowMoments,
  onPage: (rows: MemoryRow[]) => void | Promise<void>,
): Promise<void> {
  return postgres.reading(async (reading) => {
    const columns = await columnsOf(reading, 'memory_entries');
    const ms = (instant: string) => `date_part('epoch', ${instant}) * 1000`;
    // What claims to be of the future (another machine's clock, times without a zone) is as old as anything.
    const meanwhile = (column: string) =>
      `coalesce(${ms(column)} >= ${begun} AND ${ms(column)} < ${ms('now()')} + ${A_MINUTE}, false)`;
    const flags = [
      columns.includes('embedded_at') ? `embedded_at IS NULL OR ${meanwhile('embedded_at')}` : 'false',
      columns.includes('embedded_at') && qdrant !== undefined
        ? `coalesce(${ms('embedded_at')} >= ${qdrant}, false)`
        : 'false',
      columns.includes('created_at') ? meanwhile('created_at') : 'false',
    ];
    for await (const lines of reading.lines(`SELECT id::text, ${flags.join(', ')} FROM memory_entries`))
      await onPage(lines.map(rowOf));
  });
}

/** https://www.postgresql.org/docs/current/sql-copy.html#id-1.9.3.55.9.2 */
const ESCAPED: Record<string, string> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };
/** How much of a line the flags take, each a letter behind a tab. */
const FLAGS = 6;

function rowOf(line: string): MemoryRow {
  const id = line.slice(0, -FLAGS);
  return {
    id: id.includes('\\') ? id.replaceAll(/\\(.)/g, (_, of: string) => ESCAPED[of] ?? of) : id,
    pending: line.at(-5) === 't',
    embeddedLater: line.at(-3) === 't',
    isNew: line.at(-1) === 't',
  };
}

/** What is in a memory. */
export interface MemoryContent {
  content: string;
  /** Of everything else that its row says, but for what novamem changes by itself. */
  rest: string;
}

/** Whether a memory is cold, and when it was embedded or touched last. */
const CHANGES_BY_ITSELF = "ARRAY['content', 'cold', 'embedded_at', 'updated_at']";

/** Id → what is in it, of every memory: for a cluster of some thousand. */
export async function contentsOfMemories(postgres: Postgres): Promise<Map<string, MemoryContent>> {
  const rows = await postgres.read<MemoryContent & { id: string }>(
    `SELECT id::text AS id, content, md5((to_jsonb(m) - ${CHANGES_BY_ITSELF})::text) AS rest FROM memory_entries m`,
  );
  return new Map(rows.map(({ id, content, rest }) => [id, { content, rest }]));
}

/** The ids of the newest memories: an id begins with the moment at which it was made. None where there is no table of them. */
export async function newestMemories(postgres: Postgres, most: number): Promise<string[]> {
  const asked = postgres.read<{ id: string }>('SELECT id::text AS id FROM memory_entries ORDER BY id DESC LIMIT $1', [
    most,
  ]);
  const rows = await asked.catch((error: unknown) => {
    if (sqlState(error) !== TABLE_MISSING) throw error;
    return [];
  });
  return rows.map((row) => row.id);
}

/** Which of these ids Postgres holds a memory of, now. */
export async function memoriesAmong(postgres: Postgres, ids: readonly string[]): Promise<Set<string>> {
  if (ids.length === 0) return new Set();
  // A text that Postgres cannot hold can be no id in it.
  const possible = ids.filter((id) => !id.includes('\0'));
  const rows = await postgres.read<{ id: string }>(
    'SELECT id::text AS id FROM memory_entries WHERE id::text = ANY($1::text[])',
    [possible],
  );
  return new Set(rows.map((row) => row.id));
}

/**
 * Which of these points novamem itself has noted in `cold_orphans`, to delete them later. Empty where there is no such table
 * or it is not of that shape.
 */
export async function orphansAmong(postgres: Postgres, points: readonly string[]): Promise<Set<string>> {
  if (points.length === 0) return new Set();
  return postgres.reading(async (reading) => {
    if (!(await columnsOf(reading, 'cold_orphans')).includes('point_id')) return new Set<string>();
    const rows = await reading.query<{ point: string }>(
      'SELECT point_id::text AS point FROM cold_orphans WHERE point_id::text = ANY($1::text[])',
      [points],
    );
    return new Set(rows.map((row) => row.point));
  });
}

/** The columns of a table that is found without naming its schema; none where it is absent. */
async function columnsOf({ query }: Reading, table: string): Promise<string[]> {
  const rows = await query<{ name: string }>(
    'SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped',
    [table],
  );
  return rows.map((row) => row.name);
}
