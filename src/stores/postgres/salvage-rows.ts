import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Gateway } from '../../hosts/gateway.js';
import { messageOf } from '../../words.js';
import { isDamage, type Postgres, quoteIdentifier } from './connection.js';
import {
  conditionOf,
  type LostPart,
  nameOf,
  readTable,
  sqlNameOf,
  type Table,
  type TableReading,
} from './readable-rows.js';
import { relationsOf } from './relations.js';
import type { ForeignKey } from './salvage-schema.js';

// Rows that can be read, out of a damaged database and into a new one of the same server. For copies only.

/** What became of the rows of one table. */
export interface SalvagedTable {
  table: string;
  /** Rows that could be read. */
  rows: number;
  /** By the planner's statistics of the damaged database. */
  expectedRows?: number;
  missingBlocks: number;
  lost: LostPart[];
  stopped?: string;
  /** Of the rows that could be read, those left out since the row that they belong to is lost. */
  leftOut: number;
}

/** Tables with rows of their own: not those of the catalogs, and none that an extension brings along. */
export async function tablesToSalvage(postgres: Postgres, blockSize: number): Promise<Table[]> {
  const { tables } = await relationsOf(postgres, postgres.database, blockSize);
  const ofExtensions = await postgres.read<{ name: string }>(
    `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
      UNION SELECT schemaname || '.' || matviewname FROM pg_matviews`,
  );
  return tables.filter(
    (table) => table.scope === 'novamem' && !ofExtensions.some(({ name }) => name === nameOf(table)),
  );
}

/**
 * Has the planner forget every index of a database: one that is damaged hinders queries on rows that are sound. What the
 * database is made of has to be known before, for an index that is not valid is in no dump.
 */
export async function forgetIndexes(gateway: Gateway, postgres: Postgres): Promise<void> {
  await postgres.writing(
    gateway,
    'UPDATE pg_index SET indisvalid = false    -- every index of a user, in the copy',
    ({ query }) => query('UPDATE pg_index SET indisvalid = false WHERE indexrelid >= 16384'),
    { settings: { allow_system_table_mods: 'on' } },
  );
}

/** Reads a table to its end; what keeps it from being read at all is said in `stopped`. */
export async function readWhatCanBeRead(
  postgres: Postgres,
  table: Table,
  options: Omit<Parameters<typeof readTable>[2], 'database' | 'mayCrash'>,
): Promise<TableReading> {
  try {
    return await readTable(postgres, table, { ...options, database: postgres.database, mayCrash: true });
  } catch (error) {
    options.signal.throwIfAborted();
    if (!isDamage(error)) throw error;
    const nothing = { rows: 0, readable: [], lost: [], missingBlocks: 0, stopped: messageOf(error) };
    return { table: nameOf(table), blocks: table.blocks, ...nothing };
  }
}

/** Copies what can be read of a table into the same table of another database. `through`: a folder that the server may write. */
export async function copyRows(
  gateway: Gateway,
  from: Postgres,
  to: Postgres,
  table: Table,
  reading: TableReading,
  { through, onBlocks, signal }: { through: string; onBlocks: (blocks: number) => void; signal: AbortSignal },
): Promise<void> {
  const columns = await from.read<{ name: string }>(
    `SELECT attname AS name FROM pg_attribute
      WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum`,
    [sqlNameOf(table)],
  );
  const names = columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  // A table without columns that could be copied has nothing to salvage.
  if (names === '') return;
  const file = join(through, 'rows.copy');
  for (const part of reading.readable) {
    signal.throwIfAborted();
    const select = `SELECT ${names} FROM ONLY ${sqlNameOf(table)} AS t WHERE ${conditionOf(part)}`;
    await from.writing(
      gateway,
      `COPY (${select}) TO '${file}'`,
      ({ query }) => query(`COPY (${select}) TO ${literal(file)}`),
      {
        settings: { enable_seqscan: 'off', max_parallel_workers_per_gather: '0', jit: 'off' },
      },
    );
    const copy = `COPY ${sqlNameOf(table)} (${names}) FROM`;
    await to.writing(gateway, `${copy} '${file}'`, ({ query }) => query(`${copy} ${literal(file)}`));
    await rm(file, { force: true });
    onBlocks(part.to - part.from);
  }
}

const literal = (text: string) => `'${text.replaceAll("'", "''")}'`;

/** Sets every sequence to where it stood, or, where that cannot be read, behind the last value in use. Answers those that were guessed. */
export async function copySequences(gateway: Gateway, from: Postgres, to: Postgres): Promise<string[]> {
  const all = await from.read<{ schema: string; name: string; table: string | null; column: string | null }>(
    `SELECT n.nspname AS schema, c.relname AS name, t.oid::regclass::text AS table, a.attname AS column
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
       LEFT JOIN pg_class t ON t.oid = d.refobjid
       LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
      WHERE c.relkind = 'S' AND c.oid >= 16384 ORDER BY 1, 2`,
  );
  const guessed: string[] = [];
  for (const sequence of all) {
    const name = sqlNameOf(sequence);
    const stood = await from
      .read<{ value: string; called: boolean }>(`SELECT last_value::text AS value, is_called AS called FROM ${name}`)
      .catch((error: unknown) => {
        if (!isDamage(error)) throw error;
        return [];
      });
    const set = stood[0]
      ? `SELECT setval(${literal(name)}, ${stood[0].value}, ${stood[0].called})`
      : sequence.table && sequence.column
        ? `SELECT setval(${literal(name)}, coalesce(max(${quoteIdentifier(sequence.column)}), 0) + 1, false) FROM ${sequence.table}`
        : undefined;
    if (!stood[0]) guessed.push(nameOf(sequence));
    if (set) await to.write(gateway, set);
  }
  return guessed;
}

/**
 * Does what the lost rows' own disappearance would have done: rows that belong to one that is gone go too, or lose their
 * reference, as their foreign key says. What is taken out is kept as a file. Answers rows taken out by table.
 */
export async function settleForeignKeys(
  gateway: Gateway,
  postgres: Postgres,
  keys: readonly ForeignKey[],
  keep: (table: string) => Promise<string>,
): Promise<Record<string, number>> {
  const out: Record<string, number> = {};
  for (let changed = true; changed; ) {
    changed = false;
    for (const key of keys.filter(({ onDelete }) => onDelete !== 'keep')) {
      const orphans = orphansOf(key);
      const [found] = await postgres.read<{ rows: string }>(`SELECT count(*)::text AS rows FROM ${orphans}`);
      const rows = Number(found!.rows);
      if (rows === 0) continue;
      changed = true;
      const table = sqlNameOf(key.table);
      if (key.onDelete === 'set null') {
        const nulls = key.columns.map((column) => `${quoteIdentifier(column)} = NULL`).join(', ');
        await postgres.write(
          gateway,
          `UPDATE ONLY ${table} SET ${nulls} WHERE ctid IN (SELECT t.ctid FROM ${orphans})`,
        );
        continue;
      }
      const file = await keep(nameOf(key.table));
      await postgres.writing(
        gateway,
        `COPY rows of ${nameOf(key.table)} whose ${key.name} leads nowhere TO '${file}', and take them out`,
        async ({ query }) => {
          await query(`COPY (SELECT t.* FROM ${orphans}) TO ${literal(file)} WITH (FORMAT csv, HEADER)`);
          await query(`DELETE FROM ONLY ${table} WHERE ctid IN (SELECT t.ctid FROM ${orphans})`);
        },
      );
      out[nameOf(key.table)] = (out[nameOf(key.table)] ?? 0) + rows;
    }
  }
  return out;
}

/** FROM and WHERE of the rows whose reference leads nowhere. */
function orphansOf({ table, columns, referred, referredColumns }: ForeignKey): string {
  const set = columns.map((column) => `t.${quoteIdentifier(column)} IS NOT NULL`);
  const same = columns.map(
    (column, index) => `r.${quoteIdentifier(referredColumns[index]!)} = t.${quoteIdentifier(column)}`,
  );
  return `ONLY ${sqlNameOf(table)} AS t WHERE ${set.join(' AND ')} AND NOT EXISTS (SELECT 1 FROM ${sqlNameOf(referred)} AS r WHERE ${same.join(' AND ')})`;
}
