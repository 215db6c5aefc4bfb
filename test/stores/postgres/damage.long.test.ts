import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Cluster } from '../../../src/stores/cluster.js';
import type { Postgres } from '../../../src/stores/postgres/connection.js';
import { type Damage, examineDamage, extentOf } from '../../../src/stores/postgres/damage.js';
import { pageFault } from '../../../src/stores/postgres/page.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import { cutOff, dataDirectory, fileOf, overwrite, removeFile, whileStopped } from '../../support/damage.js';
import { type RealCluster, realCluster } from '../../support/sandbox.js';

let real: RealCluster;
let whole: ReturnType<typeof dataDirectory>;

beforeAll(async () => {
  real = await realCluster(2_000);
  await real.sql(`
    CREATE TABLE notes (id int PRIMARY KEY, body text);
    ALTER TABLE notes ALTER body SET STORAGE EXTERNAL;
    INSERT INTO notes SELECT n, CASE WHEN n % 10 = 0 THEN repeat(md5(n::text), 400) ELSE 'short' END FROM generate_series(1, 100) n`);
  await real.sql('VACUUM ANALYZE');
  whole = dataDirectory(real);
  await whole.keep();
});

beforeEach(() => whole.putBack());

function examine(patienceMs = 60_000, postgres: Postgres = real.cluster.postgres): Promise<Damage> {
  return examineDamage(postgres, {
    onProgress: () => {},
    onLine: () => {},
    patienceMs,
    signal: new AbortController().signal,
  });
}

/** Rows of a table by what is true of their place on disk. */
const rowsWhere = async (table: string, place: string) =>
  (await real.sql(`SELECT count(*)::int AS rows FROM ${table} WHERE ${place}`))[0]?.rows as number;
const blockOf = '(ctid::text::point)[0]';

const NOTHING = { data: false, catalog: false, cluster: false };

describe('the examination of a Postgres server', () => {
  test('finds nothing in a sound one, having looked at everything', async () => {
    const damage = await examine();
    expect(damage).toMatchObject({ checksums: true, database: 'there', tables: [], catalogs: [], files: [] });
    expect(extentOf(damage)).toEqual(NOTHING);
    const { tables, ofTables, files, ofFiles } = damage.looked;
    expect([tables, files]).toEqual([ofTables, ofFiles]);
    expect(ofTables).toBeGreaterThan(80);
    const [counted] = await real.sql(`SELECT sum(n_live_tup)::int AS rows FROM pg_stat_user_tables`);
    expect(damage.rows).toEqual({ readable: counted?.rows, expected: counted?.rows });
  });

  test('names overwritten blocks of a table and of an index, and counts what can still be read', async () => {
    const left = await rowsWhere('memory_entries', `${blockOf} NOT IN (5, 6, 20)`);
    const [table, index] = [await fileOf(real, 'memory_entries'), await fileOf(real, 'memory_entries_pkey')];
    await whileStopped(real.cluster, () => {
      overwrite(table, [5, 6, 20]);
      overwrite(index, [3]);
    });
    const damage = await examine();
    expect(damage.tables).toMatchObject([
      {
        table: 'public.memory_entries',
        rows: left,
        expectedRows: 2_000,
        lost: [
          { from: 5, to: 6 },
          { from: 20, to: 20 },
        ],
      },
    ]);
    expect(damage.files.map(({ what, blocks }) => [what, blocks])).toEqual([
      ['table public.memory_entries', [5, 6, 20]],
      ['index public.memory_entries_pkey', [3]],
    ]);
    expect(damage.rows.expected - damage.rows.readable).toBe(2_000 - left);
    expect(extentOf(damage)).toEqual({ ...NOTHING, data: true });
  });

  test('finds a page that is damaged on disk while the server still has it in memory', async () => {
    await real.sql('SELECT count(content) FROM memory_entries');
    overwrite(await fileOf(real, 'memory_entries'), [2]);
    const damage = await examine();
    expect(damage.tables).toEqual([]);
    expect(damage.files).toMatchObject([{ what: 'table public.memory_entries', blocks: [2] }]);
    expect(extentOf(damage).data).toBe(true);
  });

  test('finds the file of a table that is missing', async () => {
    const file = await fileOf(real, 'memory_relations');
    await whileStopped(real.cluster, () => removeFile(file));
    const damage = await examine();
    expect(damage.tables).toMatchObject([{ table: 'public.memory_relations', rows: 0 }]);
    expect(damage.tables[0]?.lost[0]?.why).toMatch(/No such file/);
    expect(damage.files).toMatchObject([{ what: 'table public.memory_relations', faults: ['its file is missing'] }]);
  });

  test('finds the file of an index that is missing, which keeps every query from a table whose rows are sound', async () => {
    const file = await fileOf(real, 'memory_entries_hash');
    await whileStopped(real.cluster, () => removeFile(file));
    const damage = await examine();
    expect(damage.tables).toMatchObject([
      { table: 'public.memory_entries', lost: [], stopped: expect.stringMatching(/no query can read it.*an index/) },
    ]);
    expect(damage.files).toMatchObject([
      { what: 'index public.memory_entries_hash', faults: ['its file is missing'] },
    ]);
  });

  test('finds a file that was cut off, which no error tells of', async () => {
    const left = await rowsWhere('memory_fts', `${blockOf} < 10`);
    const file = await fileOf(real, 'memory_fts');
    await whileStopped(real.cluster, () => cutOff(file, 10));
    const [row] = await real.sql('SELECT count(*)::int AS rows FROM memory_fts');
    expect(row?.rows).toBe(left);
    const damage = await examine();
    expect(damage.tables).toMatchObject([{ table: 'public.memory_fts', rows: left, blocks: 10, lost: [] }]);
    expect(damage.tables[0]?.missingBlocks).toBeGreaterThan(0);
    expect(extentOf(damage).data).toBe(true);
  });

  test('names the single rows whose values are stored apart and damaged', async () => {
    const [toast] = await real.sql(
      `SELECT reltoastrelid::regclass::text AS name FROM pg_class WHERE relname = 'notes'`,
    );
    const file = await fileOf(real, toast?.name as string);
    await whileStopped(real.cluster, () => overwrite(file, [0]));
    const damage = await examine();
    const [notes] = damage.tables;
    expect(notes?.table).toBe('public.notes');
    expect(notes?.lost.every(({ rows }) => rows !== undefined)).toBe(true);
    const lost = notes!.lost.flatMap(({ rows }) => rows!);
    expect(lost.length).toBeGreaterThan(0);
    expect(notes?.rows).toBe(100 - lost.length);
    const [named] = await real.sql(
      `SELECT count(*)::int AS rows FROM notes WHERE ctid = ANY('{${lost.map((row) => `"(0,${row})"`).join()}}') AND id % 10 = 0`,
    );
    expect(named?.rows).toBe(lost.length);
  });

  test('tells damaged catalogs of the database from damage of the whole server', async () => {
    const file = await fileOf(real, 'pg_class');
    await whileStopped(real.cluster, () => overwrite(file, [0, 1, 2]));
    const damage = await examine();
    expect(damage).toMatchObject({ database: 'refused', refusal: expect.stringMatching(/invalid page in block/) });
    expect(damage.files).toMatchObject([{ blocks: [0, 1, 2] }]);
    expect(extentOf(damage)).toEqual({ ...NOTHING, catalog: true });
  });

  test.each([
    ['a shared catalog that keeps everybody out', 'pg_database', 'closed'],
    ['a shared catalog that few ask', 'pg_shdescription', 'there'],
  ])('finds %s', async (_what, catalog, database) => {
    const file = await fileOf(real, catalog);
    await whileStopped(real.cluster, () => overwrite(file, [0]));
    const damage = await examine();
    expect(damage.database).toBe(database);
    expect(extentOf(damage).cluster).toBe(true);
  });

  test('says what a role that is no superuser cannot look at, and reads the tables all the same', async () => {
    await real.sql(`CREATE ROLE plain LOGIN PASSWORD 'plain-and-simple'; GRANT pg_read_all_data TO plain`);
    const { profile } = real.cluster;
    const url = profile.postgres.url.replace('novamem@', 'plain@');
    process.env.PLAIN_PASSWORD = 'plain-and-simple';
    const plain = new Cluster({
      ...profile,
      postgres: { ...profile.postgres, url, passwordFrom: 'env:PLAIN_PASSWORD' },
    });
    const file = await fileOf(real, 'memory_access');
    await whileStopped(real.cluster, () => overwrite(file, [1]));
    const damage = await examine(60_000, plain.postgres);
    expect(damage.tables).toMatchObject([{ table: 'public.memory_access', lost: [{ from: 1, to: 1 }] }]);
    expect(damage.notLooked).toContainEqual(expect.objectContaining({ what: expect.stringMatching(/no superuser/) }));
  });

  test('has pg_amcheck look where its extension is there, and never puts it there itself', async () => {
    const before = await examine();
    expect(before.notLooked).toContainEqual(
      expect.objectContaining({ next: expect.stringContaining('CREATE EXTENSION amcheck') }),
    );
    expect(await real.sql(`SELECT 1 FROM pg_extension WHERE extname = 'amcheck'`)).toEqual([]);
    await real.sql('CREATE EXTENSION amcheck');
    const sound = await examine();
    expect([sound.amcheck, sound.notLooked]).toEqual([[], []]);
    // A row that moved to another place on disk, behind the back of the index: every page is sound, and yet it is wrong.
    await real.sql(
      `SET allow_system_table_mods = on; UPDATE pg_index SET indoption = '1' WHERE indexrelid = 'memory_entries_hash'::regclass`,
    );
    const found = await examine();
    expect(found.files).toEqual([]);
    expect(found.amcheck.join()).toMatch(/btree index .*memory_entries_hash/);
    expect(extentOf(found).data).toBe(true);
  });

  test('ends when its time is over, and says what it did not look at', async () => {
    const damage = await examine(0);
    expect(damage.looked).toMatchObject({ tables: 0, files: 0 });
    expect(damage.notLooked.map(({ what }) => what)).toEqual(
      expect.arrayContaining([
        'table public.memory_entries: no time was left for its blocks from 0 on',
        expect.stringMatching(/the pages of \d+ files: no time was left/),
      ]),
    );
  });
});

describe('a page', () => {
  /** Every page of a stopped server's data directory, with its number. */
  function pages(): { page: Buffer; block: number }[] {
    const base = join(real.places.postgresData, 'base');
    return readdirSync(base).flatMap((database) =>
      readdirSync(join(base, database))
        .filter((name) => /^\d+$/.test(name) && statSync(join(base, database, name)).size > 0)
        .flatMap((name) => {
          const bytes = readFileSync(join(base, database, name));
          return Array.from({ length: bytes.length / 8192 }, (_, block) => ({
            page: bytes.subarray(block * 8192, (block + 1) * 8192),
            block,
          }));
        }),
    );
  }

  test('is sound where Postgres’ own program says so, and not once a bit of it or its place was changed', async () => {
    const { bin } = await toolsFor(15);
    await whileStopped(real.cluster, () => {
      execFileSync(join(bin, 'pg_checksums'), ['--check', '-D', real.places.postgresData]);
    });
    const all = pages();
    expect(all.length).toBeGreaterThan(1_000);
    expect(all.filter(({ page, block }) => pageFault(page, block, true) !== '')).toEqual([]);
    const written = all.filter(({ page }) => page.some((byte) => byte !== 0)).slice(0, 200);
    for (const [index, { page, block }] of written.entries()) {
      expect(pageFault(page, block + 1, true)).toBe('its checksum does not fit');
      const flipped = Buffer.from(page);
      const at = (index * 41) % 8192;
      flipped[at] = flipped[at]! ^ 1;
      expect(pageFault(flipped, block, true)).not.toBe('');
    }
  });
});
