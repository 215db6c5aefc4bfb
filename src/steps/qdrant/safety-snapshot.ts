import { join } from 'node:path';
import { makeFolder } from '../../hosts/files.js';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { type CollectionInventory, inventoryCollection } from '../../stores/qdrant/inventory.js';
import type { StepContext } from '../step.js';
import { fetchSnapshot } from './fetching.js';
import { sourcesOf } from './nodes.js';
import { makeSnapshot } from './snapshots.js';

/** What was in a collection before a step replaced it, and how it is known when it is back. */
export interface SafetySnapshot extends SafetyFile {
  inventory: CollectionInventory;
  /** Of its other shards, where nodes share them. */
  others?: SafetyFile[];
}

export interface SafetyFile {
  file: string;
  sha256: string;
  shard?: number;
}

export async function takeSafetySnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
  signal: AbortSignal,
): Promise<SafetySnapshot> {
  await makeFolder(ctx.gateway, ctx.workFolder);
  const inventory = await inventoryCollection(qdrant, collection);
  const files: SafetyFile[] = [];
  for (const { qdrant: node, shard } of await sourcesOf(ctx.cluster, collection, { anyState: true })) {
    const which = shard === undefined ? '' : `shard-${shard}-`;
    const file = join(ctx.workFolder, `${encodeURIComponent(collection)}-before-${which}${Date.now()}.snapshot`);
    const made = await makeSnapshot(node, ctx, collection, shard);
    const of = { collection, ...(shard === undefined ? {} : { shard }) };
    const { sha256 } = await fetchSnapshot(node, ctx, of, made, file, { signal }).catch((error: Error) => {
      throw new Error(
        `the safety snapshot of ${collection} was not saved, and ${collection} was not touched: ${error.message}`,
        { cause: error },
      );
    });
    files.push({ file, sha256, ...(shard === undefined ? {} : { shard }) });
  }
  const [first, ...others] = files;
  if (!first)
    throw new Error(`no node of Qdrant has a shard of ${collection}: there is nothing to take a snapshot of`);
  return { ...first, inventory, ...(others.length > 0 ? { others } : {}) };
}
