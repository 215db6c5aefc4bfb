import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { collectionOf, embed } from '../../../src/sandbox/embedding.js';
import { backupManifest } from '../../../src/steps/backup/manifest.js';
import { clusterCrosscheck } from '../../../src/steps/cluster/crosscheck.js';
import { clusterInventory } from '../../../src/steps/cluster/inventory.js';
import { falkordbBackup } from '../../../src/steps/falkordb/backup.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import { postgresBackup } from '../../../src/steps/postgres/backup.js';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import { qdrantBackup } from '../../../src/steps/qdrant/backup.js';
import { qdrantRestore } from '../../../src/steps/qdrant/restore.js';
import type { AnyStepKind, StepKind } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

const ACME = collectionOf('acme', null, 'default');

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster();
});

/** Writes into the graph and into one collection for as long as the work takes. */
async function whileWritten<T>(work: () => Promise<T>): Promise<T> {
  const { falkordb, qdrant } = real.cluster;
  let writing = true;
  let written = 0;
  const graph = (async () => {
    while (writing) {
      written += 1;
      await falkordb.write(open, 'GRAPH.QUERY', falkordb.graph, `CREATE (:Memory {id:'w${written}', user:'acme'})`);
    }
  })();
  const collection = (async () => {
    for (let id = 1; writing; id += 1)
      await qdrant.client.upsert(ACME, {
        wait: true,
        points: [{ id, vector: embed(`busy ${id}`), payload: { entryId: `busy ${id}` } }],
      });
  })();
  try {
    return await work();
  } finally {
    writing = false;
    await Promise.all([graph, collection]);
  }
}

describe('a backup that is taken while the graph and a collection are written to', () => {
  let backup: BackupSet;

  beforeAll(async () => {
    backup = await whileWritten(() => real.backup());
  });

  test('F16: says what of it is not exact, and of nothing else', () => {
    const { notExact } = JSON.parse(readFileSync(join(backup.folder, 'manifest.json'), 'utf8')) as {
      notExact: string[];
    };
    expect(notExact).toEqual([
      `collection ${ACME} was written to while its snapshot was taken`,
      'the graph was written to while it was copied',
    ]);
    expect(backup.unproven).toEqual(notExact);
  });

  test('F16: is restored and compares equal, in each step and for the whole cluster', async () => {
    const ctx = real.context({ backup });
    for (const kind of [postgresRestore, qdrantRestore, falkordbRestore] as unknown as AnyStepKind[]) {
      const given = kind.kind === postgresRestore.kind ? { sessions: 'end' } : {};
      const { facts, error } = await perform(kind, given, ctx);
      expect(error).toBeUndefined();
      expect(await unequal(kind, given, ctx, facts as object)).toEqual([]);
    }
    const compared = await perform(clusterInventory, {}, ctx);
    expect(compared.error).toBeUndefined();
    expect(await unequal(clusterInventory, {}, ctx, compared.facts)).toEqual([]);
  });

  test('is cross-checked without failing, and what has no memory is listed', async () => {
    const factsOf = <P, F>({ kind }: StepKind<P, F>) =>
      [postgresRestore.kind, qdrantRestore.kind, falkordbRestore.kind].includes(kind) ? [{} as F] : [];
    const ctx = real.context({ backup, factsOf });
    expect(backup.inventory?.agreement?.moved).toBe(true);
    const { facts, output, error } = await perform(clusterCrosscheck, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(clusterCrosscheck, {}, ctx, facts)).toEqual([]);
    expect(output).toContainEqual(expect.stringMatching(/^warning: .* nodes in FalkorDB belong to no memory/));
    expect(facts.files?.['stray-vectors']).toBeDefined();
  });

  test('does not compare equal once points or nodes are lost that it surely holds', async () => {
    const { falkordb, qdrant } = real.cluster;
    const ctx = real.context({ backup });
    const { points } = await qdrant.client.scroll(ACME, { limit: 50 });
    await qdrant.client.delete(ACME, { wait: true, points: points.map((point) => point.id) });
    await falkordb.write(open, 'GRAPH.QUERY', falkordb.graph, `MATCH (m:Memory {user:'initech'}) DETACH DELETE m`);
    const { facts } = await perform(clusterInventory, {}, ctx);
    const said = await unequal(clusterInventory, {}, ctx, facts);
    expect(said).toContainEqual(expect.stringContaining(`qdrant collection ${ACME}`));
    expect(said).toContainEqual(expect.stringMatching(/^falkordb graph/));
  });
});

describe('a backup step that is tried again into the same new set', () => {
  test('goes through each time, and the set of the last attempts is whole', async () => {
    const newBackup = { id: 'again', folder: join(tempFolder('backups'), 'again') };
    const facts = new Map<string, unknown>();
    const factsOf = <P, F>(kind: StepKind<P, F>) => (facts.has(kind.kind) ? [facts.get(kind.kind) as F] : []);
    const ctx = real.context({ newBackup, factsOf });
    for (const kind of [falkordbBackup, qdrantBackup, postgresBackup] as unknown as AnyStepKind[]) {
      for (const attempt of [1, 2, 3]) {
        const performed = await perform(kind, {}, ctx);
        expect(performed.error, `${kind.kind}, attempt ${attempt}`).toBeUndefined();
        expect(await unequal(kind, {}, ctx, performed.facts as object)).toEqual([]);
        facts.set(kind.kind, performed.facts);
      }
    }
    expect(existsSync(join(newBackup.folder, 'UNFINISHED'))).toBe(true);
    expect((await perform(backupManifest, {}, ctx)).error).toBeUndefined();
    const set = await openBackupSet(newBackup.folder);
    expect(existsSync(join(newBackup.folder, 'UNFINISHED'))).toBe(false);
    const compare = real.context({ backup: set });
    const { facts: compared } = await perform(clusterInventory, {}, compare);
    expect(await unequal(clusterInventory, {}, compare, compared)).toEqual([]);
  });
});
