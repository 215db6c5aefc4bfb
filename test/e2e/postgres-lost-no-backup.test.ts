import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sizeOfTree } from '../../src/hosts/copy-tree.js';
import { dataDirectory, fileOf, overwrite, whileStopped } from '../support/damage.js';
import { eventually, processes } from '../support/eventually.js';
import { type Ended, runProgram } from '../support/program.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// The real program on a cluster that has lost memories and has no backup: what could be read is counted exactly.

const RUN_PATIENCE = 150_000;
const TEST_PATIENCE = 200_000;
const MEMORIES = 3_000;
const BLOCK = '(t.ctid::text::point)[0]';

let real: RealCluster;
let whole: ReturnType<typeof dataDirectory>;
let home: string;

beforeAll(async () => {
  real = await realCluster(MEMORIES);
  await real.sql('VACUUM ANALYZE');
  whole = dataDirectory(real);
  await whole.keep();
});

beforeEach(async () => {
  home = tempFolder('home');
  await whole.putBack();
  const novamem = real.cluster.driver('novamem')!;
  await novamem.stop(open, { onLine: () => {} });
  await novamem.start(open, { onLine: () => {} });
  await eventually('novamem answers', async () => (await real.cluster.answering('novamem')).answers);
});

const program = (...args: string[]): Promise<Ended> =>
  runProgram(args, { environment: { NOVAMEM_RUNBOOK_HOME: home }, timeoutMs: RUN_PATIENCE });
const recover = (...more: string[]) =>
  program(
    ...['run', 'postgres-lost-no-backup', '--profile', real.places.profile, '--headless'],
    ...['--confirm', real.cluster.name, ...more],
  );
const wordsOf = ({ stdout, stderr }: Ended) => (stdout + stderr).slice(-6_000);

/** Rows and a checksum over them, of those that fit a condition on the table `t`. */
async function counted(table: string, condition = 'true', database?: string) {
  const [row] = await real.sql(
    `SELECT count(*)::int AS rows, coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text AS checksum
       FROM ${table} AS t WHERE ${condition}`,
    database,
  );
  return row;
}

/** The file of lost ids that the run's last words name, line by line. */
function lostIn({ stdout }: Ended): string[] {
  const file =
    /losses: .*their ids: (\S+\.tsv)/.exec(stdout)?.[1] ?? /losses: .*all ids: (\S+\.tsv)/.exec(stdout)?.[1];
  return readFileSync(file!, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t')[0]!);
}

/** Folders and processes of a run's salvage that are still there. */
function leftovers({ stdout }: Ended): string[] {
  const run = /, run (\S+)$/m.exec(stdout)![1]!;
  return [
    ...readdirSync(tmpdir()).filter((name) => name.includes('salvage') && name.includes(run.slice(-8))),
    ...processes()
      .filter(({ command }) => command.includes(run))
      .map(({ command }) => command),
  ];
}

const search = async (query: string) => {
  const token = readFileSync(real.places.secret('novamem'), 'utf8').trim();
  const response = await fetch(`http://127.0.0.1:${real.record.ports.novamem}/v1/search`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query, k: 5 }),
  });
  return { status: response.status, results: ((await response.json()) as { results: unknown[] }).results };
};

describe('a data directory with damaged pages and no backup', () => {
  test(
    'comes back as far as it can be read: every other row, exactly; what never comes back is named',
    async () => {
      const kept = `${BLOCK} NOT IN (0, 11, 12, 40)`;
      const alive = (column: string) => `t.${column} IN (SELECT t.id FROM memory_entries t WHERE ${kept})`;
      const lost = (
        await real.sql(`SELECT id FROM memory_entries t WHERE NOT (${kept}) ORDER BY id COLLATE "C"`)
      ).map((row) => row.id as string);
      expect(lost.length).toBeGreaterThan(50);
      const expected = {
        memory_entries: await counted('memory_entries', kept),
        memory_fts: await counted('memory_fts', alive('entry_id')),
        memory_access: await counted('memory_access', `${BLOCK} <> 1 AND ${alive('entry_id')}`),
        memory_relations: await counted('memory_relations', `${alive('from_id')} AND ${alive('to_id')}`),
        metrics_samples: await counted('metrics_samples'),
        '"user"': await counted('"user"'),
      };
      const [memories, access] = [await fileOf(real, 'memory_entries'), await fileOf(real, 'memory_access')];
      const index = await fileOf(real, 'memory_fts_tsv');
      await whileStopped(real.cluster, () => {
        overwrite(memories, [0, 11, 12, 40]);
        overwrite(access, [1]);
        overwrite(index, [0, 1, 2]);
      });

      const refused = await recover();
      expect(refused.exitCode, wordsOf(refused)).toBe(3);
      expect(refused.stderr).toContain('--set way.answer=salvaged, or --set way.answer=empty');

      const ended = await recover('--set', 'way.answer=salvaged');
      expect(ended.exitCode, wordsOf(ended)).toBe(4);
      const now = Object.fromEntries(
        await Promise.all(Object.keys(expected).map(async (table) => [table, await counted(table)])),
      );
      expect(now).toEqual(expected);
      expect(lostIn(ended)).toEqual(lost);
      expect(ended.stdout).toContain(`${lost.length} memories can never come back`);
      expect(ended.stdout).toMatch(/recovered with exceptions/);
      expect(leftovers(ended)).toEqual([]);

      const copy = /safety copy of data directory \S+: (\S+)/.exec(ended.stdout)?.[1];
      expect((await sizeOfTree(copy!)).files).toBeGreaterThan(1_000);
      const [damaged] = await real.sql(
        `SELECT datname AS name FROM pg_database WHERE datname LIKE 'novamem_before_%'`,
        'postgres',
      );
      await expect(real.sql('SELECT count(content) FROM memory_entries', damaged?.name as string)).rejects.toThrow(
        /invalid page/,
      );
      const report = /^Report .*$\n +(\S+\.md)$/m.exec(ended.stdout)?.[1];
      expect(readFileSync(report!, 'utf8')).toContain(`${lost.length} memories can never come back`);

      // What was salvaged is the best there is from now on: the next run says so before it does anything.
      const again = await recover('--set', 'way.answer=salvaged');
      expect(again.exitCode, wordsOf(again)).toBe(1);
      expect(again.stdout).toMatch(/something better than a salvage: dump \S+novamem-salvaged\.dump/);
      expect(again.stdout).not.toMatch(/stop-novamem +started/);
    },
    TEST_PATIENCE,
  );
});

describe('a database that is gone without a backup', () => {
  test(
    'is started empty only once the words were typed, with every lost memory on record',
    async () => {
      const ids = (await real.sql('SELECT id FROM memory_entries ORDER BY id COLLATE "C"')).map(
        (row) => row.id as string,
      );
      await real.sql('DROP DATABASE novamem WITH (FORCE)', 'postgres');

      const unsaid = await recover('--set', 'way.answer=empty');
      expect(unsaid.exitCode, wordsOf(unsaid)).toBe(3);
      expect(unsaid.stderr).toContain("--set acknowledge.answer='the memories are lost'");
      const wrong = await recover('--set', 'way.answer=empty', '--set', 'acknowledge.answer=yes');
      expect(wrong.exitCode, wordsOf(wrong)).toBe(1);
      expect(wrong.stdout).not.toMatch(/stop-novamem +started/);

      const ended = await recover('--set', 'way.answer=empty', '--set', 'acknowledge.answer=the memories are lost');
      expect(ended.exitCode, wordsOf(ended)).toBe(4);
      expect(ended.stdout).toMatch(/salvage: nothing was salvaged: what is left has no database novamem, only /);
      expect(lostIn(ended)).toEqual(ids);
      expect(await counted('memory_entries')).toMatchObject({ rows: 0 });
      expect(await search('release train')).toEqual({ status: 200, results: [] });
    },
    TEST_PATIENCE,
  );
});

describe('nothing that answers and nothing that is left', () => {
  test(
    'plan still says where it looked and what is to be done',
    async () => {
      const profile = `${tempFolder('profile')}/nothing.yaml`;
      writeFileSync(
        profile,
        [
          'name: nothing-left',
          'postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }',
          'qdrant: { url: "http://127.0.0.1:1" }',
          'falkordb: { url: "redis://127.0.0.1:1" }',
          `backups: [ ${tempFolder('backups')} ]`,
        ].join('\n'),
      );
      const ended = await program('plan', 'postgres-lost-no-backup', '--profile', profile);
      expect(ended.exitCode, wordsOf(ended)).toBe(1);
      expect(ended.stdout).toContain('the profile does not say where the data directory is');
      expect(ended.stdout).toContain('--set raw-copy.nothingLeft=true');
      expect(ended.stdout).toMatch(/Would run +find '.*backups/);
      expect(existsSync(profile)).toBe(true);
    },
    TEST_PATIENCE,
  );
});
