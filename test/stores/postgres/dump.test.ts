import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { inspectCommand } from '../../../src/hosts/run-command.js';
import { rowChecks } from '../../../src/steps/postgres/restoring.js';
import { countRows, looksLikeDump, readContents, rowCounter } from '../../../src/stores/postgres/dump.js';
import { type Installation, toolsFor } from '../../../src/stores/postgres/tools.js';
import { type RealCluster, realCluster } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;
let tools: Installation;

beforeAll(async () => {
  real = await realCluster(0);
  tools = await toolsFor(15);
});

beforeEach(async () => {
  await real.sql('DROP DATABASE IF EXISTS novamem WITH (FORCE)', 'postgres');
  await real.sql('CREATE DATABASE novamem', 'postgres');
});

async function dump(): Promise<string> {
  const { postgres } = real.cluster;
  const file = join(tempFolder('dump'), 'novamem.dump');
  const dumped = await inspectCommand({
    file: `${tools.bin}/pg_dump`,
    args: [...postgres.toolArguments, '--format', 'custom', '--file', file, postgres.database],
    ...postgres.toolEnvironment,
  });
  if (dumped.exitCode !== 0) throw new Error(dumped.stderr);
  return file;
}

/** The rows that the dump is said to have, and what of them the database itself does not confirm. */
async function counted() {
  const rows = await countRows(tools, await dump());
  const checks = await rowChecks(real.cluster.postgres, { rows, tables: Object.keys(rows) });
  return { rows, differing: checks.filter((check) => !check.ok).map((check) => `${check.subject}: ${check.actual}`) };
}

describe('the rows of a real dump are counted exactly', () => {
  test('whatever stands in them: newlines, backslashes, the end mark, SQL, nothing', async () => {
    await real.sql(`
      CREATE TABLE texts (t text);
      INSERT INTO texts VALUES (E'a\\nb\\n\\nc'), (E'\\\\.'), (E'\\\\'), (E'x\\n\\\\.\\ny'), (''), (NULL), (E'\\t'), (E'\\r\\n'),
        ('COPY public.texts (t) FROM stdin;'), (E';\\nCOPY public.other (t) FROM stdin;\\nrow'), (repeat('long €', 200000));
      CREATE TABLE other (id int, t text);
      INSERT INTO other SELECT n, repeat(E'line\\n', n % 7) FROM generate_series(1, 5000) n;
      CREATE TABLE empty (id int)`);
    expect(await counted()).toEqual({
      rows: { 'public.texts': 11, 'public.other': 5000, 'public.empty': 0 },
      differing: [],
    });
  });

  test('whatever its tables are called', async () => {
    await real.sql(`
      CREATE SCHEMA "My Schema";
      CREATE TABLE "My Schema"."we ""ird"" Tab.le" (id int);
      INSERT INTO "My Schema"."we ""ird"" Tab.le" VALUES (1), (2);
      CREATE TABLE "select" ("from" int);
      INSERT INTO "select" VALUES (1);
      CREATE TABLE "Grüße" (id int);
      INSERT INTO "Grüße" VALUES (1), (2), (3)`);
    expect(await counted()).toEqual({
      rows: { 'My Schema.we "ird" Tab.le': 2, 'public.select': 1, 'public.Grüße': 3 },
      differing: [],
    });
  });

  test('of a table with parentheses in its name', async () => {
    await real.sql(`CREATE TABLE "odd (name)" (id int); INSERT INTO "odd (name)" VALUES (1), (2)`);
    expect(await counted()).toEqual({ rows: { 'public.odd (name)': 2 }, differing: [] });
  });

  test('of a table with so many columns that its COPY line is long', async () => {
    const columns = Array.from({ length: 300 }, (_, index) => `a_rather_long_column_name_${index} int`);
    await real.sql(`CREATE TABLE wide (${columns.join(', ')}); INSERT INTO wide DEFAULT VALUES`);
    expect(await counted()).toEqual({ rows: { 'public.wide': 1 }, differing: [] });
  });

  test('of a partitioned table, whose rows are in its parts', async () => {
    await real.sql(`
      CREATE TABLE measured (at date, v int) PARTITION BY RANGE (at);
      CREATE TABLE measured_1 PARTITION OF measured FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
      INSERT INTO measured VALUES ('2026-02-01', 1), ('2026-03-01', 2)`);
    expect(await counted()).toEqual({ rows: { 'public.measured_1': 2 }, differing: [] });
  });

  test('of a table that others inherit from', async () => {
    await real.sql(`
      CREATE TABLE parent (id int); CREATE TABLE child () INHERITS (parent);
      INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2), (3)`);
    expect(await counted()).toEqual({ rows: { 'public.parent': 1, 'public.child': 2 }, differing: [] });
  });
});

describe('rows are counted the same wherever the pieces of the script begin and end', () => {
  const SCRIPT = [
    'SET x = 1;',
    'COPY public."Grüße" (id, t) FROM stdin;',
    '1\t€uro',
    '\\\\.',
    '\\N',
    '\\.',
    '',
    'COPY public.empty (id) FROM stdin;',
    '\\.',
    'COPY public.two (id) FROM stdin;',
    '1',
    '2',
    '\\.',
    '',
  ].join('\n');
  const ROWS = { 'public.Grüße': 3, 'public.empty': 0, 'public.two': 2 };
  const bytes = Buffer.from(SCRIPT);

  test.each([1, 2, 3, 5, 7, 64])('in pieces of %d bytes', (size) => {
    const counter = rowCounter();
    for (let at = 0; at < bytes.length; at += size) counter.take(bytes.subarray(at, at + size));
    expect(counter.finish()).toEqual(ROWS);
  });

  test('cut in two at every place', () => {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const counter = rowCounter();
      counter.take(bytes.subarray(0, cut));
      counter.take(bytes.subarray(cut));
      expect(counter.finish(), `cut at ${cut}`).toEqual(ROWS);
    }
  });
});

describe('the contents of a dump', () => {
  test('name its tables, owners, server and age', async () => {
    await real.sql('CREATE TABLE one (id int); CREATE VIEW seen AS SELECT 1 AS x; CREATE TABLE "T wo" (id int)');
    const began = Date.now();
    const contents = await readContents(tools, await dump());
    expect(contents).toMatchObject({ tables: ['public.T wo', 'public.one'], roles: ['novamem'] });
    expect(contents.fromServer).toMatch(/^15\./);
    expect(contents.createDatabase).toMatch(/^CREATE DATABASE novamem .*ENCODING = 'UTF8'/);
    expect(Math.abs(contents.createdAt!.getTime() - began)).toBeLessThan(60_000);
  });

  test('name owners and tables also where names hold spaces', async () => {
    await real.sql(
      'CREATE ROLE "the owner"; CREATE TABLE "two words" (id int); ALTER TABLE "two words" OWNER TO "the owner"',
    );
    const { roles, tables } = await readContents(tools, await dump());
    await real.sql('DROP TABLE "two words"; DROP ROLE "the owner"');
    expect(roles).toContain('the owner');
    expect(tables).toEqual(['public.two words']);
  });

  test('of a file that was cut off, or is none, cannot be read to the end', async () => {
    await real.sql('CREATE TABLE one (t text); INSERT INTO one SELECT md5(n::text) FROM generate_series(1, 5000) n');
    const file = await dump();
    expect(await looksLikeDump(file)).toBe(true);
    truncateSync(file, readFileSync(file).length - 20_000);
    await expect(countRows(tools, file)).rejects.toThrow(/failed/);
    writeFileSync(file, 'SELECT 1;');
    expect(await looksLikeDump(file)).toBe(false);
    await expect(readContents(tools, file)).rejects.toThrow(/cannot read/);
  });
});
