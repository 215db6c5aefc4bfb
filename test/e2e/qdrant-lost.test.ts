import { renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { driverFor } from '../../src/hosts/services/drivers.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { compareQdrant, inventoryQdrant, type QdrantInventory } from '../../src/stores/qdrant/inventory.js';
import { type Ended, runProgram } from '../support/program.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { restartNovamem } from '../support/stand-in.js';

// A real Qdrant is really lost, and the real program brings its vectors back in each of the ways of its runbook.

const TEST_PATIENCE = 150_000;

let real: RealCluster;
let backup: BackupSet;
/** As it is right before the loss: one memory younger than the backup. */
let before: QdrantInventory;
let memories: number;

beforeAll(async () => {
  real = await realCluster();
  await real.cluster.qdrant.client.updateCollectionAliases({
    actions: [{ create_alias: { alias_name: 'novamem_notes', collection_name: 'novamem_u_acme_notes' } }],
  });
  backup = await real.backup();
  expect(backup.goldenSearches).toHaveLength(5);
  const { body } = await real.cluster.novamem!.ask('/v1/remember', { content: 'the staging cluster replaces login' });
  expect(body).toMatchObject({ embedded: true });
  before = await inventoryQdrant(real.cluster.qdrant);
  memories = await countRows();
});

const countRows = async () =>
  (await real.sql('SELECT count(*)::int AS count FROM memory_entries'))[0]!.count as number;
const qdrant = () => driverFor('qdrant', real.cluster.profile.services.qdrant!);
const storage = () => join(real.places.qdrantData, 'storage');

/** What Postgres has besides when its memories were embedded: no way may touch it. */
async function contents(): Promise<string> {
  const [row] = await real.sql(
    `SELECT sum(hashtextextended((to_jsonb(m) - 'embedded_at' - 'updated_at')::text, 0)::numeric)::text AS sum FROM memory_entries m`,
  );
  return row!.sum;
}

const losses = {
  'the loss of its storage': async () => {
    await qdrant().stop(open, { onLine: () => {} });
    rmSync(real.places.qdrantData, { recursive: true });
  },
  'the loss of its storage under the running server': async () => rmSync(storage(), { recursive: true }),
  'the loss of all collections': async () => {
    for (const name of Object.keys(before.collections)) await real.cluster.qdrant.client.deleteCollection(name);
  },
  'the loss of some collections': async () => {
    for (const name of Object.keys(before.collections).slice(0, 3))
      await real.cluster.qdrant.client.deleteCollection(name);
  },
};

function recover(way: string, ...more: string[]): Promise<Ended> {
  const name = real.cluster.name;
  const args = [
    'run',
    'qdrant-lost',
    '--profile',
    name,
    '--headless',
    '--confirm',
    name,
    '--set',
    `way.answer=${way}`,
  ];
  return runProgram([...args, ...more], { timeoutMs: TEST_PATIENCE });
}

/** What is not as it was before the loss. */
const differences = async () =>
  compareQdrant(before, await inventoryQdrant(real.cluster.qdrant))
    .filter((check) => !check.ok)
    .map((check) => `${check.subject}, ${check.what}: expected ${check.expected}, found ${check.actual}`);

const wordsOf = ({ stdout, stderr }: Ended) => (stdout + stderr).slice(-4_000);

beforeEach(async () => {
  await restartNovamem(real, { reindexEndpoint: false, embeddingsPerMinute: 60_000 });
  // As if only the one memory had been embedded since the backup.
  await real.sql(
    `UPDATE memory_entries SET embedded_at = created_at WHERE created_at < '${backup.takenAt!.toISOString()}'`,
  );
});

describe.each([
  ['snapshots', 'the loss of its storage'],
  ['snapshots', 'the loss of all collections'],
  ['queue', 'the loss of its storage'],
  ['queue', 'the loss of its storage under the running server'],
  ['queue', 'the loss of some collections'],
  ['reindex', 'the loss of all collections'],
] as const)('by way of %s', (way, loss) => {
  test(
    `brings everything back after ${loss}`,
    async () => {
      if (way === 'reindex') await restartNovamem(real, { reindexEndpoint: true });
      const held = await contents();
      await losses[loss]();
      const ended = await recover(way);
      expect(ended.exitCode, wordsOf(ended)).toBe(0);
      expect(await differences()).toEqual([]);
      expect([await contents(), await countRows()]).toEqual([held, memories]);
      for (const words of [
        'golden search: same memories',
        'with a vector',
        'payload index userId',
        'collection (aliases)',
      ])
        expect(ended.stdout).toContain(words);
      expect(ended.stdout).not.toMatch(/DIFFER/);
      // Only snapshots are as old as the backup.
      expect(/RPO/.test(ended.stdout)).toBe(way === 'snapshots');
    },
    TEST_PATIENCE,
  );
});

describe('before anything is touched', () => {
  test('a run that was told no way is refused with what can be answered', async () => {
    const name = real.cluster.name;
    const ended = await runProgram(['run', 'qdrant-lost', '--profile', name, '--headless', '--confirm', name]);
    expect(ended).toMatchObject({ exitCode: 3, stdout: '' });
    for (const way of ['snapshots', 'queue', 'reindex']) expect(ended.stderr).toContain(`--set way.answer=${way}`);
  });

  test('the way of an endpoint that is not there ends in the preflight, and novamem goes on running', async () => {
    const ended = await recover('reindex');
    expect(ended.exitCode).toBe(1);
    expect(ended.stdout).toMatch(/embed-all +blocking: this novamem has no \/v1\/admin\/reindex/);
    expect(ended.stdout).not.toMatch(/stop-novamem +started/);
    expect((await real.cluster.answering('novamem')).answers).toBe(true);
  });

  test('the plan tells the facts of every way', async () => {
    const ended = await runProgram(['plan', 'qdrant-lost', '--profile', real.cluster.name]);
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(ended.stdout).toMatch(/Restore 10 Qdrant collections \(.* old\), at most 8 at a time/);
    expect(ended.stdout).toMatch(/the snapshots are .* old: 1 memory was written since/);
    expect(ended.stdout).toContain('Queue what has no vector: 1 memory');
    expect(ended.stdout).toContain(`Have novamem embed all ${memories} memories again (about 1 min 30 s)`);
    expect(ended.stdout).toMatch(/blocking: this novamem has no \/v1\/admin\/reindex/);
  });
});

test(
  'a novamem without a queue leaves what is younger than the snapshots without a vector: an exception, and it is said',
  async () => {
    await real.sql('ALTER TABLE memory_entries RENAME COLUMN embedded_at TO embedded_once');
    try {
      await losses['the loss of all collections']();
      const ended = await recover('snapshots');
      expect(ended.exitCode, wordsOf(ended)).toBe(4);
      expect(ended.stdout).toMatch(
        /embed-younger +skipped.*no column embedded_at\): 1 memory without a vector can only be found by keyword/,
      );
      expect(ended.stdout).toMatch(/recall +succeeded/);
    } finally {
      await real.sql('ALTER TABLE memory_entries RENAME COLUMN embedded_once TO embedded_at');
    }
  },
  TEST_PATIENCE,
);

test(
  'without any backup set the queue brings everything back but aliases and payload indexes, which is said before',
  async () => {
    await losses['the loss of all collections']();
    const ended = await recover('queue', '--backup', 'none');
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(ended.stdout).toMatch(/warning: no backup set with an inventory: aliases and payload indexes/);
    const lost = (await differences()).map((line) => line.replace(/:.*/, ''));
    expect(new Set(lost.map((line) => line.replace(/^qdrant (collection|alias) \S+, /, '$1 ')))).toEqual(
      new Set(['collection payload indexes', 'alias collection']),
    );
  },
  TEST_PATIENCE,
);

test(
  'with the graph lost as well it fails at the health, and says which runbook is next and not to start an empty server',
  async () => {
    const { name } = real.cluster;
    const { falkordbData } = real.places;
    const falkordb = driverFor('falkordb', real.cluster.profile.services.falkordb!);
    const aside = `${falkordbData}-aside`;
    await losses['the loss of all collections']();
    await falkordb.stop(open, { onLine: () => {} });
    renameSync(falkordbData, aside);
    try {
      const ended = await recover('snapshots');
      expect(ended.exitCode, wordsOf(ended)).toBe(1);
      expect(await differences()).toEqual([]);
      expect(ended.stdout).toMatch(/health +failed.*graph.*no data folder.*Next: end this run.*begin falkordb-lost/);
      expect(ended.stdout).toMatch(
        new RegExp(
          `Next +FalkorDB: there is no data folder.*novamem-runbook falkordb-lost --profile ${name}; after that go on with this one: novamem-runbook resume`,
        ),
      );
      expect(ended.stdout).toMatch(/falkordb +DOES NOT ANSWER .*its data is lost: do not merely start it/);
      expect(ended.stdout).not.toMatch(/falkordb.*start it: /);
    } finally {
      renameSync(aside, falkordbData);
      await falkordb.start(open, { onLine: () => {} });
    }
  },
  TEST_PATIENCE,
);
