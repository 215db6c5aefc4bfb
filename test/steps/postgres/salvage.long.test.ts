import {
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { novamemLosses } from '../../../src/steps/novamem/losses.js';
import { postgresRawCopy } from '../../../src/steps/postgres/raw-copy.js';
import { postgresRestoreSalvaged } from '../../../src/steps/postgres/restore-salvaged.js';
import { postgresSalvage } from '../../../src/steps/postgres/salvage.js';
import type { StepContext } from '../../../src/steps/step.js';
import { countRows } from '../../../src/stores/postgres/dump.js';
import { servedBy } from '../../../src/stores/postgres/served-by.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import {
  cutOff,
  dataDirectory,
  fileOf,
  overwrite,
  removeFile,
  startPostgres,
  stopPostgres,
} from '../../support/damage.js';
import { eventually, processes } from '../../support/eventually.js';
import {
  findings,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

// A real data directory is really damaged, and what is left of it is salvaged.

let real: RealCluster;
let whole: ReturnType<typeof dataDirectory>;

beforeAll(async () => {
  real = await realCluster(2_000);
  await real.sql('VACUUM ANALYZE');
  whole = dataDirectory(real);
  await whole.keep();
});

beforeEach(() => whole.putBack());

type Row = { table: string; rows: number; checksum: string };

const blockOf = (alias = 't') => `(${alias}.ctid::text::point)[0]`;

/** Every table by rows and checksum, of the rows that fit a condition on the table `t`. */
async function counted(conditions: Record<string, string> = {}, database?: string): Promise<Row[]> {
  const tables = await real.sql(
    `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1`,
    database,
  );
  return Promise.all(
    tables.map(async ({ name }) => {
      const [row] = await real.sql(
        `SELECT count(*)::int AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS checksum
           FROM public."${name}" AS t WHERE ${conditions[name as string] ?? 'true'}`,
        database,
      );
      return { table: name as string, rows: row?.rows as number, checksum: row?.checksum as string };
    }),
  );
}

/** Valid indexes and foreign keys. */
async function madeOf() {
  const [made] = await real.sql(
    `SELECT (SELECT count(*)::int FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = 'public'::regnamespace AND indisvalid) AS indexes,
              (SELECT count(*)::int FROM pg_constraint WHERE contype = 'f' AND convalidated) AS keys`,
  );
  return made;
}

/** Stops the server, damages its files, copies them raw, and answers the context of a salvage of that. */
async function copied(damage: () => void, given = {}): Promise<StepContext> {
  await stopPostgres(real.cluster);
  damage();
  const ctx = real.context();
  const { facts, error } = await perform(postgresRawCopy, given, ctx);
  if (error) throw error;
  expect(await unequal(postgresRawCopy, given, ctx, facts)).toEqual([]);
  return { ...ctx, workFolder: join(tempFolder('work'), 'safety'), factsOf: factsOf({ 'postgres.raw-copy': facts }) };
}

const factsOf = (facts: Record<string, unknown>): StepContext['factsOf'] =>
  ((kind: { kind: string }) => (kind.kind in facts ? [facts[kind.kind]] : [])) as StepContext['factsOf'];

const leftovers = () => readdirSync(tmpdir()).filter((name) => /^(novamem-runbook-salvage|nm-salvage)-/.test(name));
const privateServers = () => processes().filter(({ command }) => command.includes('novamem-runbook-salvage-test'));

/** Loads what was salvaged in place of the damaged database of the real server, and answers the facts. */
async function restored(ctx: StepContext, salvaged: unknown) {
  await startPostgres(real.cluster);
  const after = { ...ctx, factsOf: factsOf({ 'postgres.salvage': salvaged }) };
  const { facts, error } = await perform(postgresRestoreSalvaged, { strategy: 'swap', sessions: 'end' }, after);
  if (error) throw error;
  expect(await unequal(postgresRestoreSalvaged, { strategy: 'swap' }, after, facts)).toEqual([]);
  return { after, facts };
}

describe('a raw copy', () => {
  test('holds every file of the data directory, links followed; the original is only read', async () => {
    await stopPostgres(real.cluster);
    const data = real.places.postgresData;
    const elsewhere = join(tempFolder('wal'), 'pg_wal');
    // As on a machine whose log lies on a disk of its own.
    renameSync(join(data, 'pg_wal'), elsewhere);
    symlinkSync(elsewhere, join(data, 'pg_wal'));
    const ctx = real.context();
    const { facts, safetyCopies, error } = await perform(postgresRawCopy, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(postgresRawCopy, {}, ctx, facts)).toEqual([]);
    expect(safetyCopies).toEqual([{ of: `data directory ${data}`, at: facts.copy }]);
    expect(statSync(join(facts.copy!, 'pg_wal')).isDirectory()).toBe(true);
    expect(statSync(facts.copy!).uid).toBe(statSync(data).uid);
    expect(await postgresRawCopy.probe(postgresRawCopy.params.parse({}), ctx, facts)).toBe('done');
    rmSync(join(facts.copy!, 'PG_VERSION'));
    expect(await postgresRawCopy.probe(postgresRawCopy.params.parse({}), ctx, facts)).toBe('partial');
    expect(await unequal(postgresRawCopy, {}, ctx, facts)).toContainEqual(expect.stringMatching(/PG_VERSION/));
  });

  test('of a running server would be torn: blocking, and refused', async () => {
    const ctx = real.context();
    expect(await servedBy(real.places.postgresData)).toBeGreaterThan(0);
    expect(await findings(postgresRawCopy, {}, ctx)).toContainEqual(
      expect.stringMatching(/^blocking: .* would be torn/),
    );
    const { gateway, changes } = recordingGateway();
    const { error } = await perform(postgresRawCopy, {}, { ...ctx, gateway });
    expect(error?.message).toMatch(/would be torn\. Stop it/);
    expect(changes).toEqual([]);
  });

  test('needs room, and says what to type where there is none', async () => {
    const to = '/dev/shm/does-not-matter';
    const found = await postgresRawCopy.check(
      postgresRawCopy.params.parse({ to }),
      real.context({ phase: 'preflight' }),
    );
    expect(found.map(({ message }) => message)).toContainEqual(
      expect.stringMatching(/are free for the copy in \/dev\/shm/),
    );
    // /proc has no room at all.
    const none = await postgresRawCopy.check(
      postgresRawCopy.params.parse({ to: '/proc' }),
      real.context({ phase: 'preflight' }),
    );
    expect(none).toContainEqual(
      expect.objectContaining({ level: 'blocking', next: 'name a folder with more room: --set <step>.to=/a/folder' }),
    );
  });
});

describe('a salvage', () => {
  test('brings back every row outside damaged blocks, exactly, and names those of the memories that are lost', async () => {
    const kept = `${blockOf()} NOT IN (5, 6, 30)`;
    const lost = (await real.sql(`SELECT id FROM memory_entries t WHERE NOT (${kept}) ORDER BY id`)).map(
      (row) => row.id as string,
    );
    const alive = (column: string) => `t.${column} IN (SELECT t.id FROM memory_entries t WHERE ${kept})`;
    const expected = await counted({
      memory_entries: kept,
      memory_fts: alive('entry_id'),
      memory_access: alive('entry_id'),
      memory_relations: `${blockOf()} <> 2 AND ${alive('from_id')} AND ${alive('to_id')}`,
    });
    const made = await madeOf();
    const sequences = await real.sql('SELECT sequencename, last_value FROM pg_sequences ORDER BY 1');
    const [memories, relations] = [await fileOf(real, 'memory_entries'), await fileOf(real, 'memory_relations')];
    const [index, metapage] = [await fileOf(real, 'memory_entries_pkey'), await fileOf(real, 'memory_fts_pkey')];
    const ctx = await copied(() => {
      overwrite(memories, [5, 6, 30]);
      overwrite(relations, [2]);
      overwrite(index, [0, 2]);
      removeFile(metapage);
    });
    const before = leftovers();
    const { facts, error, output } = await perform(postgresSalvage, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(postgresSalvage, {}, ctx, facts)).toEqual([]);
    expect([leftovers(), privateServers()]).toEqual([before, []]);
    expect(output).toContainEqual(
      expect.stringMatching(/^public\.memory_entries: lost: blocks 5 to 6 \(invalid page in block 5/),
    );
    expect(facts.lost).toMatchObject({ count: lost.length, unasked: [] });
    const ids = readFileSync(facts.lost!.file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t')[0]);
    expect(ids).toEqual(lost);
    expect(postgresSalvage.conclusion!(facts)).toEqual({
      text: expect.stringMatching(
        new RegExp(
          `^${(2_000 - lost.length).toLocaleString('en-US')} memories, .* rows salvaged in .*; ${lost.length} memories can never come back`,
        ),
      ),
      exception: true,
    });
    await restored(ctx, facts);
    expect(await counted()).toEqual(expected);
    expect(await real.sql('SELECT sequencename, last_value FROM pg_sequences ORDER BY 1')).toEqual(sequences);
    expect(await madeOf()).toEqual(made);
  });

  test('keeps a row whose value is stored apart and damaged out of the dump, and its id in the list', async () => {
    await real.sql(`
      ALTER TABLE memory_entries ALTER content SET STORAGE EXTERNAL;
      UPDATE memory_entries SET content = repeat(md5(id), 500) WHERE id IN (SELECT id FROM memory_entries ORDER BY id LIMIT 3)`);
    await real.sql('VACUUM ANALYZE memory_entries');
    const long = (await real.sql('SELECT id FROM memory_entries WHERE length(content) > 9000 ORDER BY id')).map(
      (row) => row.id,
    );
    expect(long).toHaveLength(3);
    const [toast] = await real.sql(
      `SELECT reltoastrelid::regclass::text AS name FROM pg_class WHERE relname = 'memory_entries'`,
    );
    const file = await fileOf(real, toast?.name as string);
    const ctx = await copied(() => overwrite(file, [0, 1, 2, 3, 4, 5]));
    const { facts, error } = await perform(postgresSalvage, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(postgresSalvage, {}, ctx, facts)).toEqual([]);
    const ids = readFileSync(facts.lost!.file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(ids.map(([id]) => id)).toEqual(long);
    expect(ids[0]?.[1]).toContain('damaged rows');
  });

  test('goes on without the write-ahead log only where it must, only on its copy, and says so', async () => {
    const expected = await counted();
    const ctx = await copied(() => rmSync(join(real.places.postgresData, 'pg_wal'), { recursive: true }));
    const never = await perform(postgresSalvage, { resetWal: 'never' }, ctx);
    expect(never.error?.message).toMatch(/the private server ended.*The raw copy is as it was/s);
    const { facts, error, output } = await perform(postgresSalvage, {}, ctx);
    expect(error).toBeUndefined();
    expect(output).toContainEqual(expect.stringMatching(/^the last resort, on the working copy only: pg_resetwal/));
    expect(facts.walReset).toMatch(/the private server ended/);
    expect(postgresSalvage.conclusion!(facts)).toMatchObject({
      exception: true,
      text: expect.stringMatching(/write-ahead log had to be thrown away/),
    });
    expect(await unequal(postgresSalvage, {}, ctx, facts)).toEqual([]);
    expect(existsSync(join(real.places.postgresData, 'pg_wal'))).toBe(false);
    const rows = await countRows(await toolsFor(15), facts.dump!);
    expect(Object.values(rows).reduce((a, b) => a + b, 0)).toBe(expected.reduce((sum, one) => sum + one.rows, 0));
  });

  test('reads the rows also where the control file is gone', async () => {
    const expected = await counted();
    const ctx = await copied(() => rmSync(join(real.places.postgresData, 'global', 'pg_control')));
    const { facts, error } = await perform(postgresSalvage, {}, ctx);
    expect(error).toBeUndefined();
    const rows = await countRows(await toolsFor(15), facts.dump!);
    expect(rows['public.memory_entries']).toBe(expected.find(({ table }) => table === 'memory_entries')?.rows);
  });

  test('finds rows at the end of a file that was cut off to be lost', async () => {
    const left = await real.sql(`SELECT count(*)::int AS rows FROM memory_entries t WHERE ${blockOf()} < 40`);
    const file = await fileOf(real, 'memory_entries');
    const ctx = await copied(() => cutOff(file, 40));
    const { facts, error, output } = await perform(postgresSalvage, {}, ctx);
    expect(error).toBeUndefined();
    expect(facts.tables?.find(({ table }) => table === 'public.memory_entries')?.rows).toBe(left[0]?.rows);
    expect(facts.lost?.count).toBe(2_000 - (left[0]?.rows as number));
    expect(output).toContainEqual(expect.stringMatching(/memory_entries: \d+ blocks at its end were cut off/));
  });

  test('keeps rows that refer to lost ones without belonging to them: their foreign key then holds for new rows only', async () => {
    const [inProjects] = await real.sql(
      'SELECT count(*)::int AS rows FROM memory_entries WHERE project_id IS NOT NULL',
    );
    const file = await fileOf(real, 'projects');
    const ctx = await copied(() => overwrite(file, [0]));
    const { facts, error } = await perform(postgresSalvage, {}, ctx);
    expect(error).toBeUndefined();
    expect(facts.notValid).toContain('public.memory_entries memory_entries_project_id_fkey');
    expect(facts.notMade).toEqual([]);
    await restored(ctx, facts);
    const now = await real.sql('SELECT count(*)::int AS rows FROM memory_entries WHERE project_id IS NOT NULL');
    expect(now).toEqual([inProjects]);
    await expect(
      real.sql(`UPDATE memory_entries SET project_id = 'nobody' WHERE project_id IS NULL`),
    ).rejects.toThrow(/foreign key/);
  });

  test('that is aborted leaves no server, no working copy and the raw copy as it was', async () => {
    const ctx = await copied(() => {});
    const before = leftovers();
    const abort = new AbortController();
    const { error } = await perform(postgresSalvage, {}, ctx, {
      signal: abort.signal,
      onOutput: (line) => {
        if (/ready to accept connections/.test(line)) abort.abort(new Error('enough'));
      },
    });
    expect(error).toBeDefined();
    await eventually('no private server is left', () => privateServers().length === 0);
    expect(leftovers()).toEqual(before);
    const [raw] = ctx.factsOf(postgresRawCopy);
    expect(await unequal(postgresRawCopy, {}, ctx, raw!)).toEqual([]);
  });

  test('keeps its working copy where that was asked for', async () => {
    const ctx = await copied(() => {});
    const folder = tempFolder('keep');
    statSync(folder);
    const { facts, error } = await perform(postgresSalvage, { keep: true, folder: tmpdir() }, ctx);
    expect(error).toBeUndefined();
    expect(existsSync(join(facts.working!, 'data', 'PG_VERSION'))).toBe(true);
    rmSync(facts.working!, { recursive: true });
  });

  test('of a data directory without novamem’s database says that there is nothing, and is no failure', async () => {
    await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');
    const ctx = await copied(() => {});
    const { facts, error } = await perform(postgresSalvage, {}, ctx);
    expect(error).toBeUndefined();
    expect(facts.nothing).toMatch(/^what is left has no database novamem, only /);
    expect(await unequal(postgresSalvage, {}, ctx, facts)).toEqual([]);
    const after = { ...ctx, factsOf: factsOf({ 'postgres.salvage': facts, 'postgres.survey': {} }) };
    expect(await findings(postgresRestoreSalvaged, {}, after)).toEqual(['blocking: this run has salvaged nothing']);
  });
});

describe('the losses', () => {
  test('are the memories that the other stores know of and Postgres does not have', async () => {
    const gone = (await real.sql('SELECT id FROM memory_entries ORDER BY id LIMIT 7')).map((row) => row.id as string);
    await real.sql(`DELETE FROM memory_entries WHERE id IN (${gone.map((id) => `'${id}'`).join()})`);
    const ctx = real.context();
    const { facts, error } = await perform(novamemLosses, {}, ctx);
    expect(error).toBeUndefined();
    expect(facts.lost).toEqual({ count: 7, known: { Qdrant: 2_000, graph: 2_000 }, unasked: [] });
    expect(readFileSync(facts.file!, 'utf8')).toBe(gone.map((id) => `${id}\tQdrant, graph\n`).join(''));
    expect(await unequal(novamemLosses, {}, ctx, facts)).toEqual([]);
    expect(novamemLosses.conclusion!(facts)).toMatchObject({ exception: true });
    // Evidence that can fail: an id in the file that is in Postgres after all.
    const [present] = await real.sql('SELECT id FROM memory_entries LIMIT 1');
    writeFileSync(facts.file!, `${present?.id}\tQdrant\n`);
    expect(await unequal(novamemLosses, {}, ctx, facts)).toHaveLength(2);
  });

  test('are none where every memory is there', async () => {
    const { facts } = await perform(novamemLosses, {}, real.context());
    expect(novamemLosses.conclusion!(facts)).toEqual({
      text: 'no memory that the other stores know of is missing',
      exception: false,
    });
  });

  test('say which store could not be asked', async () => {
    const stopped = real.cluster.driver('falkordb')!;
    await stopped.stop({ change: (_change, act) => act() }, { onLine: () => {} });
    const { facts, error } = await perform(novamemLosses, {}, real.context());
    await stopped.start({ change: (_change, act) => act() }, { onLine: () => {} });
    await eventually('FalkorDB answers', async () => (await real.cluster.answering('falkordb')).answers);
    expect(error).toBeUndefined();
    expect(facts.lost?.unasked).toEqual([expect.stringMatching(/^graph: /)]);
    expect(novamemLosses.conclusion!(facts)).toMatchObject({
      exception: true,
      text: expect.stringMatching(/not asked: graph/),
    });
  });
});
