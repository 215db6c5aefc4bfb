import { inParallel } from '../../in-parallel.js';
import type { Cluster } from '../../stores/cluster.js';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { collectionHealth } from '../../stores/qdrant/inventory.js';
import type { Finding } from '../step.js';

// Which node of a Qdrant cluster has which shards of a collection. Each shard is backed up where it is, and restored where it is
// then: after a loss the nodes are others, and the shards lie elsewhere.

/** Where a snapshot is taken: a whole collection of a Qdrant that is alone, or one shard of it on a node that has it. */
export interface Source {
  qdrant: Qdrant;
  shard?: number;
}

/** One node for each shard of a collection. Rejects where none of those that have it is active, since it may be old, unless `anyState`. */
export async function sourcesOf(
  { qdrantNodes: nodes }: Cluster,
  collection: string,
  { anyState = false } = {},
): Promise<Source[]> {
  if (nodes.length === 1) return [{ qdrant: nodes[0]! }];
  const active = new Map<number, Qdrant>();
  const others = new Map<number, { qdrant: Qdrant; state: string }>();
  for (const qdrant of nodes)
    for (const { shard_id: shard, state } of (await qdrant.client.collectionClusterInfo(collection)).local_shards) {
      if (state === 'Active' && !active.has(shard)) active.set(shard, qdrant);
      if (state !== 'Active') others.set(shard, { qdrant, state });
    }
  for (const [shard, { qdrant, state }] of others) {
    if (active.has(shard)) continue;
    if (!anyState)
      throw new Error(`${collection}: shard ${shard} is ${state} at ${qdrant.address} and active nowhere`);
    active.set(shard, qdrant);
  }
  return [...active].map(([shard, qdrant]) => ({ qdrant, shard })).sort((a, b) => a.shard - b.shard);
}

/**
 * The nodes that a snapshot goes to: every one that has its shard now. One alone would not hand it on: the others stay active with
 * what they had, and which of them answers is chance.
 */
export async function targetsOf(
  { qdrant: first, qdrantNodes: nodes }: Cluster,
  { collection, shard }: { collection: string; shard?: number },
): Promise<Qdrant[]> {
  if (shard === undefined) return [first];
  const targets: Qdrant[] = [];
  for (const qdrant of nodes) {
    const { local_shards: shards } = await qdrant.client.collectionClusterInfo(collection);
    if (shards.some(({ shard_id: id }) => id === shard)) targets.push(qdrant);
  }
  if (targets.length > 0) return targets;
  throw new Error(`no node of the profile has the shard ${shard} of ${collection}: nothing was sent for it`);
}

/** Shards that are behind the others. A Qdrant that is alone has none. */
export async function shardFindings(
  { qdrantNodes: nodes }: Cluster,
  collections: readonly string[],
): Promise<Finding[]> {
  if (nodes.length === 1) return [];
  const idle: string[] = [];
  await inParallel(collections, 4, async (name) => {
    const { inactiveShards } = await collectionHealth(nodes[0]!, name);
    idle.push(...inactiveShards.map((shard) => `${name}, shard ${shard}`));
  });
  if (idle.length === 0) return [];
  return [
    {
      level: 'warning',
      message: `not every shard is active: ${idle.sort().slice(0, 5).join('; ')}`,
      next: 'one that is active elsewhere is taken from there; better wait until the nodes have caught up with each other',
    },
  ];
}

/** A snapshot of a Qdrant that was alone brings one node everything, while others that share a shard keep what they had. */
export function wholeFindings(
  { qdrantNodes: nodes }: Cluster,
  snapshots: readonly { collection: string; shard?: number }[],
): Finding[] {
  const whole = snapshots.filter(({ shard }) => shard === undefined);
  if (nodes.length === 1 || whole.length === 0) return [];
  return [
    {
      level: 'blocking',
      message: `${whole.map(({ collection }) => collection).join(', ')}: of a Qdrant that was alone, and this is a cluster of ${nodes.length} nodes: uploaded to one of them, the others would keep what they have`,
      next: 'have novamem embed everything again (qdrant.reindex works through any node), or restore them into a Qdrant that is alone',
    },
  ];
}
