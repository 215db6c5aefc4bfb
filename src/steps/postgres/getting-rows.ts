import { join } from 'node:path';
import { copyTo, exists, makeFolder, remove } from '../../hosts/files.js';
import { createTable, type KnownIds, noteLost, otherStores, writeLost } from '../../stores/novamem/lost-memories.js';
import { type Postgres, quoteIdentifier } from '../../stores/postgres/connection.js';
import { readContents } from '../../stores/postgres/dump.js';
import type { PrivateServer } from '../../stores/postgres/private-server.js';
import { lostText, nameOf, sqlNameOf, type Table, type TableReading } from '../../stores/postgres/readable-rows.js';
import {
  copyRows,
  copySequences,
  forgetIndexes,
  readWhatCanBeRead,
  type SalvagedTable,
  settleForeignKeys,
  tablesToSalvage,
} from '../../stores/postgres/salvage-rows.js';
import {
  addForeignKeys,
  dumpDatabase,
  dumpSchema,
  foreignKeysOf,
  makeSchema,
  type Run,
} from '../../stores/postgres/salvage-schema.js';
import type { Installation } from '../../stores/postgres/tools.js';
import { countOf, plural } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import type { SalvageFacts, SalvageParams } from './salvage-facts.js';

// Every row that can be read, out of the database of a private server and into a dump.

/** Lies beside the salvaged tables while they are worked on, and in no dump. */
const NOTES = 'novamem_runbook';
const LOST = `${NOTES}.lost`;

export interface Work {
  server: PrivateServer;
  programs: Installation;
  /** A folder that the server may write. */
  through: string;
}

/** Reads what can be read, puts it into a database beside, mends that, dumps it, and notes which memories are lost. */
export async function getRows(
  p: SalvageParams,
  ctx: StepContext,
  emit: Emitter<SalvageFacts>,
  { server, programs, through }: Work,
  signal: AbortSignal,
): Promise<void> {
  const { gateway } = ctx;
  const { database } = ctx.cluster.postgres;
  const names = await server.databases();
  if (!names.includes(database)) {
    const nothing = `what is left has no database ${database}, only ${names.join(', ')}`;
    emit.facts({ nothing });
    return emit.output(nothing);
  }
  const damaged = server.database(database);
  const result = server.database(`${Buffer.from(database).subarray(0, 50).toString('utf8')}_salvaged`);
  const run: Run = { gateway, programs, signal, onLine: (line) => emit.output(line) };
  const folder = join(ctx.workFolder, 'salvaged');
  for (const stale of [folder, join(ctx.workFolder, 'left-out')])
    if (await exists(stale)) await remove(gateway, stale);
  await makeFolder(gateway, folder);

  const schema = join(through, '..', 'schema.dump');
  await dumpSchema(run, damaged, schema);
  const keys = await foreignKeysOf(damaged);
  const [settings] = await damaged.read<{ blockSize: number }>(
    `SELECT current_setting('block_size')::int AS "blockSize"`,
  );
  const tables = await tablesToSalvage(damaged, settings!.blockSize);
  await forgetIndexes(gateway, damaged);
  const readings = await readAll(p, emit, damaged, tables, settings!.blockSize, signal);

  await makeResultDatabase(ctx, damaged, result, schema, programs);
  const notMade = await makeSchema(run, result, schema, 'pre-data');
  await loadAll(gateway, emit, damaged, result, { tables, readings, through }, signal);
  const guessed = await copySequences(gateway, damaged, result);
  if (guessed.length > 0)
    emit.output(
      `sequences whose place could not be read are set behind the last value in use: ${guessed.join(', ')}`,
    );

  await result.write(gateway, `CREATE SCHEMA ${NOTES}`);
  await result.write(gateway, createTable(LOST, false));
  const ofOwn = ownTables(result, keys);
  const lostRows = lostIdsIn(damaged, readings);
  await noteIds(ctx, emit, result, [...ofOwn, lostRows], signal);
  const leftOut = await settleForeignKeys(gateway, result, keys, async (table) =>
    join(through, `${encodeURIComponent(table)}-${Date.now()}.csv`),
  );
  await keepLeftOut(ctx, through, leftOut);
  notMade.push(...(await makeSchema(run, result, schema, 'post-data')));
  const foreign = await addForeignKeys(gateway, result, keys);
  if (foreign.notValid.length > 0)
    emit.output(
      `${plural(foreign.notValid.length, 'foreign key')} hold for new rows only, since rows that they refer to are lost: ${foreign.notValid.join(', ')}`,
    );

  const dump = join(folder, `${encodeURIComponent(database)}-salvaged.dump`);
  await dumpDatabase(run, result, dump, NOTES);
  const salvaged = readings.map((reading): SalvagedTable => {
    const { readable: _, blocks: _blocks, ...rest } = reading;
    return { ...rest, leftOut: leftOut[reading.table] ?? 0 };
  });
  emit.facts({
    dump,
    folder,
    tables: salvaged,
    notMade: [...notMade.filter((line) => !keys.some(({ name }) => line.includes(`"${name}"`))), ...foreign.refused],
    notValid: foreign.notValid,
  });
  for (const line of salvaged.flatMap(tableLines)) emit.output(line);

  const lost = await noteIds(ctx, emit, result, otherStores(ctx.cluster), signal);
  const file = join(ctx.workFolder, 'lost-memories.tsv');
  const lines = await result.reading((reading) => writeLost(gateway, reading, LOST, file));
  emit.facts({ lost: { ...lost, count: lines, file } });
  for (const line of lost.unasked) emit.output(`not asked for the memories that it knows: ${line}`);
  emit.output(`${countOf(lines)} memories are known to have been there and are not among the salvaged: ${file}`);
}

async function readAll(
  p: SalvageParams,
  emit: Emitter<SalvageFacts>,
  damaged: Postgres,
  tables: readonly Table[],
  blockSize: number,
  signal: AbortSignal,
): Promise<TableReading[]> {
  const total = tables.reduce((sum, { blocks }) => sum + Math.max(1, blocks), 0) * blockSize;
  const until = Date.now() + p.patienceSeconds * 1000;
  const readings: TableReading[] = [];
  let done = 0;
  for (const table of tables) {
    const onBlocks = (blocks: number) => {
      done += blocks * blockSize;
      emit.progress({ done: Math.min(done, total), total, unit: 'bytes', text: `reading ${nameOf(table)}` });
    };
    readings.push(await readWhatCanBeRead(damaged, table, { blockSize, onBlocks, until, signal }));
  }
  return readings;
}

async function loadAll(
  gateway: StepContext['gateway'],
  emit: Emitter<SalvageFacts>,
  damaged: Postgres,
  result: Postgres,
  { tables, readings, through }: { tables: readonly Table[]; readings: readonly TableReading[]; through: string },
  signal: AbortSignal,
): Promise<void> {
  const total = readings.reduce((sum, { rows }) => sum + rows, 0);
  let done = 0;
  for (const [index, table] of tables.entries()) {
    const reading = readings[index]!;
    if (reading.rows > 0)
      await copyRows(gateway, damaged, result, table, reading, { through, onBlocks: () => {}, signal });
    done += reading.rows;
    emit.progress({ done, total, unit: 'rows', text: `getting rows out of ${nameOf(table)}` });
  }
}

/** A database like the damaged one, beside it. */
async function makeResultDatabase(
  { gateway }: StepContext,
  damaged: Postgres,
  result: Postgres,
  schema: string,
  programs: Installation,
): Promise<void> {
  const { createDatabase, databaseProperties } = await readContents(programs, schema);
  const options = /^CREATE DATABASE (?:"(?:[^"]|"")*"|\S+) (.*);$/.exec(createDatabase)?.[1] ?? 'TEMPLATE template0';
  const through = await damaged.maintenanceDatabase();
  const name = quoteIdentifier(result.database);
  await damaged.write(gateway, `CREATE DATABASE ${name} ${options}`, through);
  for (const { before, after } of databaseProperties)
    await damaged.write(gateway, `${before} ${name}${after}`, through);
}

/** Memories that rows of the other tables belong to. */
function ownTables(result: Postgres, keys: Awaited<ReturnType<typeof foreignKeysOf>>): KnownIds[] {
  return keys
    .filter(({ referred, columns }) => referred.name === 'memory_entries' && columns.length === 1)
    .map(({ table, columns }) => ({
      source: table.name,
      ids: pagesOf(
        result,
        `SELECT DISTINCT ${quoteIdentifier(columns[0]!)}::text AS id FROM ONLY ${sqlNameOf(table)}`,
      ),
    }));
}

const PAGE = 5_000;

async function* pagesOf(postgres: Postgres, select: string): AsyncGenerator<string[], void, undefined> {
  for (let last = ''; ; ) {
    const rows = await postgres.read<{ id: string }>(
      `SELECT id FROM (${select}) AS ids WHERE id COLLATE "C" > $1 ORDER BY id COLLATE "C" LIMIT ${PAGE}`,
      [last],
    );
    if (rows.length === 0) return;
    yield rows.map(({ id }) => id);
    last = rows.at(-1)!.id;
  }
}

/** Of memories whose content cannot be read the id often can: it lies in the row itself. */
function lostIdsIn(damaged: Postgres, readings: readonly TableReading[]): KnownIds {
  async function* ids(): AsyncGenerator<string[], void, undefined> {
    const memories = readings.find(({ table }) => table.endsWith('.memory_entries'));
    for (const { from, rows } of memories?.lost ?? []) {
      for (const row of rows ?? []) {
        const found = await damaged
          .read<{ id: string }>(`SELECT id::text AS id FROM memory_entries WHERE ctid = '(${from},${row})'`)
          .catch(() => []);
        yield found.map(({ id }) => id);
      }
    }
  }
  return { source: 'damaged rows', ids: ids() };
}

async function noteIds(
  ctx: StepContext,
  emit: Emitter<SalvageFacts>,
  result: Postgres,
  known: readonly KnownIds[],
  signal: AbortSignal,
) {
  const text = `INSERT INTO ${LOST}    -- ids known to ${[...new Set(known.map(({ source }) => source))].join(', ')}, and not salvaged`;
  return result.writing(ctx.gateway, text, (session) =>
    noteLost(
      session,
      LOST,
      known,
      (source, ids) => emit.progress({ done: ids, unit: 'items', text: `ids of memories that ${source} knows` }),
      signal,
    ),
  );
}

/** What was left out is kept beside the dump, as CSV. */
async function keepLeftOut(ctx: StepContext, through: string, leftOut: Record<string, number>): Promise<void> {
  if (Object.keys(leftOut).length > 0) await copyTo(ctx.gateway, through, join(ctx.workFolder, 'left-out'));
}

export function tableLines({
  table,
  rows,
  expectedRows,
  lost,
  missingBlocks,
  leftOut,
  stopped,
}: SalvagedTable): string[] {
  if (rows === 0 && !expectedRows && lost.length === 0 && !stopped) return [];
  const of = expectedRows === undefined ? '' : ` of about ${countOf(expectedRows)}`;
  return [
    `${table}: ${countOf(rows)}${of} rows could be read${leftOut > 0 ? `; ${countOf(leftOut)} of them belong to rows that are lost, and are left out` : ''}`,
    ...lost.map((part) => `${table}: lost: ${lostText(part)} (${part.why})`),
    ...(missingBlocks > 0 ? [`${table}: ${plural(missingBlocks, 'block')} at its end were cut off`] : []),
    ...(stopped ? [`${table}: ${stopped}`] : []),
  ];
}
