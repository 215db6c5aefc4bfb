import { join } from 'node:path';
import type { Command } from '../../hosts/command.js';
import type { Gateway } from '../../hosts/gateway.js';
import { runCommand } from '../../hosts/run-command.js';
import { messageOf } from '../../words.js';
import type { Postgres } from './connection.js';
import { sqlNameOf } from './readable-rows.js';
import type { Installation } from './tools.js';

// What a database is made of besides its rows: taken from a damaged one, and put into a new one in two halves, since indexes
// and constraints come after the rows.

/** A foreign key, and what its rows are to become when the row that they refer to is gone. */
export interface ForeignKey {
  table: { schema: string; name: string };
  name: string;
  /** As SQL: `FOREIGN KEY (entry_id) REFERENCES public.memory_entries(id) ON DELETE CASCADE`. */
  definition: string;
  columns: string[];
  referred: { schema: string; name: string };
  referredColumns: string[];
  onDelete: 'cascade' | 'set null' | 'keep';
}

export interface Run {
  gateway: Gateway;
  programs: Installation;
  onLine: (line: string) => void;
  signal: AbortSignal;
}

async function runProgram(run: Run, command: Command): Promise<{ exitCode: number | null; errors: string[] }> {
  const errors: string[] = [];
  const ended = await runCommand(run.gateway, command, {
    signal: run.signal,
    onLine: (line) => {
      if (/^pg_\w+: (error|warning)/.test(line)) errors.push(line.replace(/^pg_\w+: /, ''));
      run.onLine(line);
    },
  });
  run.signal.throwIfAborted();
  return { exitCode: ended.exitCode, errors };
}

/** Dumps everything but the rows. Rejects where the catalogs cannot be read. */
export async function dumpSchema(run: Run, postgres: Postgres, file: string): Promise<void> {
  const { exitCode, errors } = await runProgram(run, {
    file: join(run.programs.bin, 'pg_dump'),
    args: [
      ...postgres.toolArguments,
      '--dbname',
      postgres.database,
      '--format=custom',
      '--schema-only',
      '--file',
      file,
    ],
    ...postgres.toolEnvironment,
  });
  if (exitCode !== 0)
    throw new Error(
      `what ${postgres.database} is made of cannot be read: ${errors[0] ?? `pg_dump ended with ${exitCode}`}`,
    );
}

/** Makes one half of the schema. Answers what could not be made, a line each. */
export async function makeSchema(
  run: Run,
  postgres: Postgres,
  file: string,
  section: 'pre-data' | 'post-data',
): Promise<string[]> {
  const { exitCode, errors } = await runProgram(run, {
    file: join(run.programs.bin, 'pg_restore'),
    args: [...postgres.toolArguments, '--dbname', postgres.database, `--section=${section}`, file],
    ...postgres.toolEnvironment,
  });
  if (exitCode !== 0 && errors.length === 0) throw new Error(`pg_restore of the ${section} ended with ${exitCode}`);
  return errors.filter((line) => line.startsWith('error: could not execute query'));
}

/** Dumps a database as a whole, without what lies in the schema `without`. */
export async function dumpDatabase(run: Run, postgres: Postgres, file: string, without: string): Promise<void> {
  const { exitCode, errors } = await runProgram(run, {
    file: join(run.programs.bin, 'pg_dump'),
    args: [
      ...postgres.toolArguments,
      ...['--dbname', postgres.database, '--format=custom', `--exclude-schema=${without}`, '--file', file],
    ],
    ...postgres.toolEnvironment,
  });
  if (exitCode !== 0)
    throw new Error(`the salvaged rows cannot be dumped: ${errors[0] ?? `pg_dump ended with ${exitCode}`}`);
}

export async function foreignKeysOf(postgres: Postgres): Promise<ForeignKey[]> {
  const columns = (table: string, numbers: string) =>
    `(SELECT array_agg(a.attname::text ORDER BY u.place) FROM unnest(${numbers}) WITH ORDINALITY AS u (number, place)
        JOIN pg_attribute a ON a.attrelid = ${table} AND a.attnum = u.number)`;
  const rows = await postgres.read<{
    schema: string;
    table: string;
    name: string;
    definition: string;
    columns: string[];
    rschema: string;
    rtable: string;
    rcolumns: string[];
    action: string;
  }>(
    `SELECT n.nspname AS schema, c.relname AS table, k.conname AS name, pg_get_constraintdef(k.oid) AS definition,
            ${columns('k.conrelid', 'k.conkey')} AS columns, rn.nspname AS rschema, r.relname AS rtable,
            ${columns('k.confrelid', 'k.confkey')} AS rcolumns, k.confdeltype::text AS action
       FROM pg_constraint k
       JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
       JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
      WHERE k.contype = 'f' AND k.conparentid = 0 ORDER BY 1, 2, 3`,
  );
  const actions: Record<string, ForeignKey['onDelete']> = { c: 'cascade', n: 'set null' };
  return rows.map((row) => ({
    table: { schema: row.schema, name: row.table },
    name: row.name,
    definition: row.definition,
    columns: row.columns,
    referred: { schema: row.rschema, name: row.rtable },
    referredColumns: row.rcolumns,
    onDelete: actions[row.action] ?? 'keep',
  }));
}

/** Adds foreign keys that are not there, without asking the rows that are: answers which were added so, and what refused. */
export async function addForeignKeys(
  gateway: Gateway,
  postgres: Postgres,
  all: readonly ForeignKey[],
): Promise<{ notValid: string[]; refused: string[] }> {
  const there = await postgres.read<{ name: string }>(
    `SELECT n.nspname || '.' || c.relname || ' ' || k.conname AS name FROM pg_constraint k
       JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f'`,
  );
  const notValid: string[] = [];
  const refused: string[] = [];
  for (const key of all) {
    const name = `${key.table.schema}.${key.table.name} ${key.name}`;
    if (there.some((one) => one.name === name)) continue;
    const definition = key.definition.replace(/ NOT VALID$/, '');
    const add = `ALTER TABLE ${sqlNameOf(key.table)} ADD CONSTRAINT "${key.name.replaceAll('"', '""')}" ${definition} NOT VALID`;
    await postgres.write(gateway, add).then(
      () => notValid.push(name),
      (error: unknown) => refused.push(`${name}: ${messageOf(error)}`),
    );
  }
  return { notValid, refused };
}
