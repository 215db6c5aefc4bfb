import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import { qdrantBackup } from '../../../src/steps/qdrant/backup.js';
import { qdrantRestore } from '../../../src/steps/qdrant/restore.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { eventually } from '../../support/eventually.js';
import { type QdrantNode, startQdrant, startQdrantCluster } from '../../support/qdrant-node.js';
import { contextOf, findings, follow, perform, unequal } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

// Three real nodes, with collections that are spread over them, replicated, or on one of them only.

const COLLECTIONS = {
  novamem_spread: { shard_number: 4, replication_factor: 1 },
  novamem_replicated: { shard_number: 3, replication_factor: 2 },
  novamem_single: { shard_number: 1, replication_factor: 1 },
};
const NAMES = Object.keys(COLLECTIONS) as (keyof typeof COLLECTIONS)[];
const POINTS = 900;

let nodes: QdrantNode[];
let set: BackupSet;
let backedUp: Record<string, unknown[]>;

const clusterAt = ([first, ...others]: string[]) =>
  new Cluster(
    profileSchema.parse({
      name: 'acme-test',
      postgres: { url: 'postgres://novamem@127.0.0.1:1/novamem' },
      qdrant: { url: first, ...(others.length > 0 ? { nodes: others } : {}) },
      falkordb: { url: 'redis://127.0.0.1:1' },
    }),
  );

const whole = () => clusterAt(nodes.map(({ url }) => url));

/** Every point of every collection with its vector and payload, as one node answers. */
async function everyPoint({ client }: QdrantNode): Promise<Record<string, unknown[]>> {
  const found: Record<string, unknown[]> = {};
  for (const name of NAMES) {
    const { points } = await client.scroll(name, { limit: 10_000, with_payload: true, with_vector: true });
    found[name] = points.sort((a, b) => Number(a.id) - Number(b.id));
  }
  return found;
}

async function fill({ client }: QdrantNode): Promise<void> {
  for (const name of NAMES) {
    await client.createCollection(name, { vectors: { size: 4, distance: 'Cosine' }, ...COLLECTIONS[name] });
    await client.createPayloadIndex(name, { field_name: 'entryId', field_schema: 'keyword', wait: true });
    const points = Array.from({ length: POINTS }, (_, id) => ({
      id,
      vector: [1, id, 2, 3],
      payload: { entryId: `${name} ${id}` },
    }));
    await client.upsert(name, { wait: true, points });
  }
}

beforeAll(async () => {
  nodes = await startQdrantCluster(3);
  await fill(nodes[0]!);
  backedUp = await everyPoint(nodes[0]!);
  const folder = join(tempFolder('new'), 'set');
  const ctx = contextOf(whole(), { newBackup: { id: 'set', folder } });
  const { facts, error } = await perform(qdrantBackup, {}, ctx);
  expect(error).toBeUndefined();
  expect(await unequal(qdrantBackup, {}, ctx, facts)).toEqual([]);
  const { parts, inventory } = facts as Required<typeof facts>;
  // One of each shard, wherever it is.
  for (const name of NAMES)
    expect(parts.filter(({ collection }) => collection === name).map(({ shard }) => shard)).toEqual(
      Array.from({ length: COLLECTIONS[name].shard_number }, (_, shard) => shard),
    );
  const takenAt = new Date();
  set = {
    id: 'set',
    folder,
    kind: 'manifest',
    takenAt,
    bytes: 0,
    qdrant: parts.map(({ file, ...part }) => ({ ...part, file: join(folder, file) })),
    unnamed: [],
    otherFalkordb: [],
    goldenSearches: [],
    inventory: { takenAt: takenAt.toISOString(), qdrant: inventory },
    unproven: [],
  };
});

beforeEach(async () => {
  for (const { url, client } of nodes)
    await eventually(`${url} answers`, () => client.getCollections().catch(() => undefined));
});

async function restored(): Promise<void> {
  const ctx = contextOf(whole(), { backup: set });
  const { facts, error } = await perform(qdrantRestore, {}, ctx);
  expect(error).toBeUndefined();
  expect(await unequal(qdrantRestore, {}, ctx, facts)).toEqual([]);
  for (const node of nodes) expect(await everyPoint(node)).toEqual(backedUp);
}

describe('a Qdrant cluster of three nodes', () => {
  test('Q8: is restored after every collection is gone, each node on its own: every point, whichever node is asked', async () => {
    const [first] = nodes;
    for (const name of NAMES) await first!.client.deleteCollection(name);
    // The places of the shards are given anew, and not as they were.
    await first!.client.createCollection('other', { vectors: { size: 4, distance: 'Dot' }, shard_number: 2 });
    await restored();
    await first!.client.deleteCollection('other');
  });

  test('Q8: is restored over what is there, and an undo puts that back', async () => {
    const [first] = nodes;
    for (const name of NAMES) {
      await first!.client.delete(name, { wait: true, points: Array.from({ length: 400 }, (_, id) => id) });
      await first!.client.upsert(name, { wait: true, points: [{ id: 5_000, vector: [4, 3, 2, 1], payload: {} }] });
    }
    const before = await everyPoint(first!);
    const ctx = contextOf(whole(), { backup: set });
    const { facts, error } = await perform(qdrantRestore, {}, ctx);
    expect(error).toBeUndefined();
    for (const node of nodes) expect(await everyPoint(node)).toEqual(backedUp);
    const undone = await follow(qdrantRestore.undo!(qdrantRestore.params.parse({}), ctx, facts));
    expect(undone.error).toBeUndefined();
    for (const node of nodes) expect(await everyPoint(node)).toEqual(before);
    await restored();
  });

  test('comes together on one node where there is only one, as in a drill', async () => {
    const alone = await startQdrant();
    const ctx = contextOf(clusterAt([alone.url]), { backup: set });
    const { facts, error } = await perform(qdrantRestore, {}, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(qdrantRestore, {}, ctx, facts)).toEqual([]);
    expect(await everyPoint(alone)).toEqual(backedUp);
  });

  test('is not given the snapshots of a Qdrant that was alone', async () => {
    const whole = { ...set, qdrant: set.qdrant.map(({ shard: _, creation: __, ...one }) => one).slice(0, 1) };
    const cluster = clusterAt(nodes.map(({ url }) => url));
    expect(await findings(qdrantRestore, {}, contextOf(cluster, { backup: whole }))).toContainEqual(
      expect.stringMatching(
        /^blocking: novamem_replicated: of a Qdrant that was alone, and this is a cluster of 3 nodes/,
      ),
    );
  });

  test('Q12: is refused while the profile names other nodes than there are, with what to write', async () => {
    const [first, second, third] = nodes.map(({ url }) => url) as [string, string, string];
    const alone = await startQdrant();
    const asked = async (urls: string[]) => {
      const found = await findings(qdrantRestore, {}, contextOf(clusterAt(urls), { backup: set }));
      return found.filter((line) => line.startsWith('blocking: '));
    };
    expect(await asked([first, second, third])).toEqual([]);
    expect(await asked([first, third])).toEqual([
      expect.stringMatching(/is 2 of 3 nodes .* only the shards of these/),
    ]);
    expect(await asked([first, second, third, third.replace('127.0.0.1', 'localhost')])).toEqual([
      expect.stringMatching(/two URLs of the profile lead to the same node/),
    ]);
    expect(await asked([first, second, alone.url])).toEqual([
      expect.stringMatching(new RegExp(`${alone.url}: no node of the same Qdrant cluster`)),
    ]);
    await nodes[2]!.kill();
    expect(await asked([first, second, third])).toEqual([
      expect.stringMatching(new RegExp(`the node of Qdrant at ${third} does not answer`)),
    ]);
    await nodes[2]!.start();
  });
});
