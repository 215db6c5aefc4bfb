import { waitFor } from '../../hosts/waiting.js';
import { type Check, equal } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { collectionHealth, listAliases, listCollections, payloadIndexesOf } from '../../stores/qdrant/inventory.js';
import { plural } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// What belongs to a collection besides its points: health, aliases, payload indexes.

const GREEN_PATIENCE = 120_000;

/** A collection's health once its optimizers have had time to finish. */
async function settled(qdrant: Qdrant, name: string) {
  const good = await waitFor(
    async () => {
      const health = await collectionHealth(qdrant, name);
      return health.status === 'green' && health.inactiveShards.length === 0 ? health : undefined;
    },
    { timeoutMs: GREEN_PATIENCE },
  );
  return good ?? collectionHealth(qdrant, name);
}

/** Waits, within bounds, until every node serves what it was just given. */
export async function shared({ qdrantNodes: nodes }: Cluster, name: string): Promise<void> {
  if (nodes.length > 1) for (const node of nodes) await settled(node, name);
}

/** The evidence that a collection's optimizers are done and each of its shards serves. */
export async function healthChecks(qdrant: Qdrant, name: string): Promise<Check[]> {
  const subject = `qdrant collection ${name}`;
  const health = await settled(qdrant, name);
  return [
    equal(subject, 'status', 'green', health.status),
    equal(subject, 'shards not active', 'none', health.inactiveShards.join(', ') || 'none'),
  ];
}

/** The aliases of the backup's inventory that name one of these collections. */
export function aliasesOf(
  { backup }: StepContext,
  collections: readonly string[],
): [alias: string, collection: string][] {
  const wanted = new Set(collections);
  return Object.entries(backup?.inventory?.qdrant?.aliases ?? {}).filter(([, collection]) => wanted.has(collection));
}

/** Points the aliases where the inventory has them. Neither a collection's snapshot nor novamem brings them. */
export async function restoreAliases(
  collections: readonly string[],
  ctx: StepContext,
  emit: Emitter<unknown>,
): Promise<void> {
  const { qdrant } = ctx.cluster;
  const now = await listAliases(qdrant);
  const wanted = aliasesOf(ctx, collections).filter(([alias, collection]) => now[alias] !== collection);
  if (wanted.length === 0) return;
  const actions = wanted.flatMap(([alias, collection]) => [
    ...(now[alias] === undefined ? [] : [{ delete_alias: { alias_name: alias } }]),
    { create_alias: { alias_name: alias, collection_name: collection } },
  ]);
  await qdrant.write(ctx.gateway, 'POST', '/collections/aliases', (client) =>
    client.updateCollectionAliases({ actions }),
  );
  emit.output(
    `${plural(wanted.length, 'alias', 'aliases')} made again: ${wanted.map(([alias, collection]) => `${alias} → ${collection}`).join(', ')}`,
  );
}

export async function aliasChecks(collections: readonly string[], ctx: StepContext): Promise<Check[]> {
  const now = await listAliases(ctx.cluster.qdrant);
  return aliasesOf(ctx, collections).map(([alias, collection]) =>
    equal(`qdrant alias ${alias}`, 'collection', collection, now[alias]),
  );
}

/** The payload indexes of the backup's inventory, of collections that are there: collection, field and type. */
async function wantedIndexes({ cluster, backup }: StepContext) {
  const there = await listCollections(cluster.qdrant);
  return Object.entries(backup?.inventory?.qdrant?.collections ?? {})
    .filter(([collection]) => there.includes(collection))
    .flatMap(([collection, { payloadIndexes }]) =>
      Object.entries(payloadIndexes).map(([field, type]) => ({ collection, field, type })),
    );
}

/** Makes the payload indexes again that the inventory has and the server has not. A collection that novamem makes anew has none. */
export async function restorePayloadIndexes(ctx: StepContext, emit: Emitter<unknown>): Promise<void> {
  const { qdrant } = ctx.cluster;
  for (const { collection, field, type } of await wantedIndexes(ctx)) {
    if ((await payloadIndexesOf(qdrant, collection))[field] === type) continue;
    await qdrant.write(ctx.gateway, 'PUT', `/collections/${collection}/index?wait=true`, (client) =>
      client.createPayloadIndex(collection, { field_name: field, field_schema: type as 'keyword', wait: true }),
    );
    emit.output(`${collection}: index on ${field} (${type}) made again`);
  }
}

export async function payloadIndexChecks(ctx: StepContext): Promise<Check[]> {
  const checks: Check[] = [];
  for (const { collection, field, type } of await wantedIndexes(ctx)) {
    const now = await payloadIndexesOf(ctx.cluster.qdrant, collection);
    checks.push(equal(`qdrant collection ${collection}`, `payload index ${field}`, type, now[field]));
  }
  return checks;
}
