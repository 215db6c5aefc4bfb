import { readFileSync, truncateSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { fileOf, overwrite, whileStopped } from '../support/damage.js';
import { type MeasuredPostgres, measurePostgres } from '../support/measure.js';
import { type Ended, runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';

// The real program, on a server whose files were really damaged.

const RUN_PATIENCE = 150_000;
const TEST_PATIENCE = 200_000;

let real: RealCluster;
let good: BackupSet;
let before: MeasuredPostgres;

beforeAll(async () => {
  real = await realCluster(3_000);
  before = await measured();
  good = await real.backup();
});

async function measured(): Promise<MeasuredPostgres> {
  const client = await real.session();
  try {
    return await measurePostgres(client);
  } finally {
    await client.end();
  }
}

const program = (...args: string[]): Promise<Ended> =>
  runProgram(args, {
    environment: { NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! },
    timeoutMs: RUN_PATIENCE,
  });
const recover = (strays: 'keep' | 'delete', ...more: string[]) =>
  program(
    ...['run', 'postgres-corrupt', '--profile', real.places.profile, '--headless', '--confirm', real.cluster.name],
    ...['--set', `reconcile-choice.answer=${strays}`],
    ...more,
  );
const vectorsAndNodes = async () => {
  const { qdrant, falkordb } = real.cluster;
  const names = (await qdrant.client.getCollections()).collections.map((one) => one.name);
  const counts = await Promise.all(names.map((name) => qdrant.client.count(name, { exact: true })));
  const [[nodes] = [0]] = await falkordb.query(falkordb.graph, 'MATCH (m:Memory) RETURN count(m)');
  return [counts.reduce((sum, one) => sum + one.count, 0), Number(nodes)];
};
const databases = async () =>
  (
    await real.sql(`SELECT datname AS name FROM pg_database WHERE datname LIKE 'novamem%' ORDER BY 1`, 'postgres')
  ).map((row) => row.name as string);
const wordsOf = ({ stdout, stderr }: Ended) => (stdout + stderr).slice(-6_000);

async function damage(): Promise<void> {
  const [table, index] = [
    await fileOf(real, 'memory_entries'),
    await fileOf(real, 'memory_relations_from_id_to_id_relation_key'),
  ];
  await whileStopped(real.cluster, () => {
    overwrite(table, [1, 7, 8]);
    overwrite(index, [2]);
  });
  await expect(measured()).rejects.toThrow(/invalid page in block 1 of relation/);
}

describe('a Postgres whose pages are damaged, with a damaged newest dump and a good one behind it', () => {
  test(
    'is refused the damaged dump before anything is touched, and everything comes back from the good one',
    async () => {
      const newest = await real.backup();
      truncateSync(newest.postgres!.file, Math.floor(newest.postgres!.bytes / 2));
      await real.cluster.novamem!.ask('/v1/remember', { content: 'a memory that no dump holds' });
      expect(await vectorsAndNodes()).toEqual([3_001, 3_001]);
      await damage();

      const refused = await recover('delete', '--set', 'way.answer=swap');
      expect(refused.exitCode, wordsOf(refused)).toBe(1);
      expect(refused.stdout).toContain(`--backup ${good.id} is the newest good one`);
      expect(refused.stdout).not.toMatch(/stop-novamem +started/);
      expect(await databases()).toEqual(['novamem']);
      const planned = await program('plan', 'postgres-corrupt', '--profile', real.places.profile);
      expect(planned.exitCode, wordsOf(planned)).toBe(1);
      expect(planned.stdout).toContain(`--backup ${good.id} is the newest good one`);

      const ended = await recover('delete', '--set', 'way.answer=swap', '--backup', good.id);
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      expect(ended.stdout).toMatch(
        /examine +succeeded after .*: damaged: 1 table \(public\.memory_entries\) with rows that cannot be read; index public\.memory_relations_\w+ with damaged pages; [\d,]+ of about [\d,]+ rows can be read/,
      );
      expect(await measured()).toEqual(before);
      expect(ended.stdout).toMatch(/cross-check +succeeded .*: let pass: 1 stray vectors, 1 stray nodes/);
      expect(await vectorsAndNodes()).toEqual([3_000, 3_000]);
      const [kept] = (await databases()).filter((name) => name !== 'novamem');
      expect(kept).toMatch(/^novamem_before_/);
      await expect(real.sql('SELECT count(content) FROM memory_entries', kept)).rejects.toThrow(/invalid page/);
    },
    TEST_PATIENCE,
  );
});

describe('a Postgres whose pages are damaged, replaced in place', () => {
  test(
    'is left as it is where no safety copy can be made, and comes back where that was waived: exit code 4',
    async () => {
      await damage();
      const refused = await recover('keep', '--set', 'way.answer=clean', '--backup', good.id);
      expect(refused.exitCode, wordsOf(refused)).toBe(1);
      expect(refused.stdout).toMatch(/restore-in-place +failed: pg_dump cannot read public\.memory_entries/);
      await expect(measured()).rejects.toThrow(/invalid page/);

      const waived = await recover('keep', '--set', 'way.answer=clean-without-copy', '--backup', good.id);
      expect(waived.exitCode, wordsOf(waived)).toBe(4);
      expect(waived.stdout).toMatch(/the database was replaced without a safety copy/);
      expect(await measured()).toEqual(before);
      const report = /^Report .*$\n +(\S+\.md)$/m.exec(waived.stdout)?.[1];
      expect(readFileSync(report!, 'utf8')).toMatch(/recovered with exceptions/);
    },
    TEST_PATIENCE,
  );
});
