import { createHash } from 'node:crypto';
import { z } from 'zod';
import { inParallel } from '../../in-parallel.js';
import { stableJson } from '../../stable-json.js';
import { allThere, type Check, equal, sameSet, withinMoving } from '../check.js';
import { type Qdrant, qdrantMessage } from './connection.js';
import { scroll } from './points.js';

const SAMPLES = 10;
const NEAREST = 10;
const AT_ONCE = 4;
const WHOLE = { with_payload: true, with_vector: true };

export const collectionInventorySchema = z.object({
  /** Exact. */
  points: z.number(),
  /** Vector parameters and shard number, as JSON with sorted keys. */
  config: z.string(),
  /** Payload field → type of its index. */
  payloadIndexes: z.record(z.string(), z.string()),
  /** Some points by id, each with a SHA-256 over its vector and payload as read back. */
  samples: z.array(z.object({ id: z.union([z.string(), z.number()]), hash: z.string() })),
  /** The ids that an exact search with the first sample's vector finds, without ties for the last place. */
  nearest: z.array(z.union([z.string(), z.number()])),
});
export type CollectionInventory = z.infer<typeof collectionInventorySchema>;

/** What is in Qdrant under the profile's prefix, exactly enough to prove that it came back. */
export const qdrantInventorySchema = z.object({
  serverVersion: z.string(),
  collections: z.record(z.string(), collectionInventorySchema),
  /** alias → collection */
  aliases: z.record(z.string(), z.string()),
});
export type QdrantInventory = z.infer<typeof qdrantInventorySchema>;

/** The collections under the profile's prefix, sorted. */
export async function listCollections(qdrant: Qdrant): Promise<string[]> {
  const { collections } = await qdrant.client.getCollections().catch((error: unknown) => {
    throw new Error(`Qdrant at ${qdrant.address} does not list its collections: ${qdrantMessage(error)}`, {
      cause: error,
    });
  });
  return collections
    .map((one) => one.name)
    .filter((name) => name.startsWith(qdrant.prefix))
    .sort();
}

/** alias → collection, for collections under the profile's prefix. */
export async function listAliases(qdrant: Qdrant): Promise<Record<string, string>> {
  const { aliases } = await qdrant.client.getAliases();
  const ours = aliases.filter((one) => one.collection_name.startsWith(qdrant.prefix));
  return Object.fromEntries(ours.map((one) => [one.alias_name, one.collection_name]).sort());
}

export async function inventoryQdrant(
  qdrant: Qdrant,
  onCollection: (name: string, done: number, total: number) => void = () => {},
): Promise<QdrantInventory> {
  const names = await listCollections(qdrant);
  const collections: Record<string, CollectionInventory> = {};
  let done = 0;
  await inParallel(names, AT_ONCE, async (name) => {
    collections[name] = await inventoryCollection(qdrant, name);
    done += 1;
    onCollection(name, done, names.length);
  });
  return {
    serverVersion: await versionOf(qdrant),
    collections: Object.fromEntries(names.map((name) => [name, collections[name]!])),
    aliases: await listAliases(qdrant),
  };
}

export async function inventoryCollection(qdrant: Qdrant, name: string): Promise<CollectionInventory> {
  const info = await collectionInfo(qdrant, name);
  const count = await exactPoints(qdrant, name);
  const start = seededId(name);
  const from = await scroll(qdrant, name, { limit: SAMPLES, offset: start, ...WHOLE });
  const missing = Math.min(SAMPLES, count) - from.points.length;
  const more = missing > 0 ? await scroll(qdrant, name, { limit: missing, ...WHOLE }) : { points: [] };
  const points = [...from.points, ...more.points];
  const vector = points[0]?.vector;
  return {
    points: count,
    config: configOf(info),
    payloadIndexes: indexesOf(info),
    samples: points.map((point) => ({
      id: point.id,
      hash: hashOf({ vector: point.vector, payload: point.payload }),
    })),
    nearest: Array.isArray(vector) ? await nearestTo(qdrant, name, vector as number[]) : [],
  };
}

type CollectionInfo = Awaited<ReturnType<Qdrant['client']['getCollection']>>;

/** What the server tells of a collection: its status, its settings, its payload's indexes. */
export const collectionInfo = (qdrant: Qdrant, name: string): Promise<CollectionInfo> =>
  qdrant.ask(name, '', undefined, () => qdrant.client.getCollection(name));

/** How many points a collection has, counted one by one. */
export async function exactPoints(qdrant: Qdrant, name: string): Promise<number> {
  const wanted = { exact: true };
  const { count } = await qdrant.ask(name, '/points/count', wanted, () => qdrant.client.count(name, wanted));
  return count;
}

const configOf = ({ config: { params } }: CollectionInfo) =>
  stableJson({ vectors: params.vectors, shards: params.shard_number });

const indexesOf = ({ payload_schema: schema }: CollectionInfo): Record<string, string> =>
  Object.fromEntries(
    Object.entries(schema ?? {})
      .map(([field, index]): [string, string] => [field, String(index?.data_type ?? '')])
      .sort(),
  );

/** With what a collection would be made again as it is: what `PUT /collections/{c}` takes. */
export async function creationOf(qdrant: Qdrant, name: string): Promise<Record<string, unknown>> {
  const { config } = await qdrant.client.getCollection(name);
  const { params, hnsw_config, optimizer_config: optimizers_config, wal_config, quantization_config } = config;
  const given = { ...params, hnsw_config, optimizers_config, wal_config, quantization_config };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined));
}

/** Vector parameters and shard number of a collection, as its inventory has them. */
export async function collectionConfig(qdrant: Qdrant, name: string): Promise<string> {
  return configOf(await collectionInfo(qdrant, name));
}

/** Payload field → type of its index. */
export async function payloadIndexesOf(qdrant: Qdrant, name: string): Promise<Record<string, string>> {
  return indexesOf(await collectionInfo(qdrant, name));
}

/**
 * The ids that an exact search finds, sorted. Points of equal score come in any order, so those that tie with the last
 * place are left out: which of them made it into the answer is chance.
 */
async function nearestTo(qdrant: Qdrant, name: string, vector: number[]): Promise<(string | number)[]> {
  const wanted = { query: vector, limit: NEAREST, params: { exact: true } };
  const { points } = await qdrant.ask(name, '/points/query', wanted, () => qdrant.client.query(name, wanted));
  const last = points.length < NEAREST ? Number.NEGATIVE_INFINITY : (points.at(-1)?.score ?? 0);
  return points
    .filter((point) => point.score - last > 1e-6)
    .map((point) => point.id)
    .sort();
}

/** What is true of a collection besides what is in it: `green`, and the shards that do not serve, of this node and of others. */
export async function collectionHealth(
  qdrant: Qdrant,
  name: string,
): Promise<{ status: string; inactiveShards: string[] }> {
  const { status } = await collectionInfo(qdrant, name);
  const { local_shards: here, remote_shards: elsewhere } = await qdrant.ask(name, '/cluster', undefined, () =>
    qdrant.client.collectionClusterInfo(name),
  );
  return {
    status,
    inactiveShards: [
      ...here.map(({ shard_id: shard, state }) => ({ shard: `${shard}`, state })),
      ...elsewhere.map(({ shard_id: shard, peer_id: peer, state }) => ({ shard: `${shard} on node ${peer}`, state })),
    ]
      .filter(({ state }) => state !== 'Active')
      .map(({ shard, state }) => `${shard}: ${state}`),
  };
}

export async function versionOf(qdrant: Qdrant): Promise<string> {
  return (await qdrant.client.versionInfo()).version;
}

/** Everything that must be equal after a restore. `moving`: collections that were written to during the backup, as they were before. */
export function compareQdrant(
  expected: QdrantInventory,
  actual: QdrantInventory,
  moving: Record<string, CollectionInventory> = {},
): Check[] {
  return [
    allThere('qdrant', 'collections', Object.keys(expected.collections), Object.keys(actual.collections)),
    ...Object.entries(expected.collections).flatMap(([name, one]) =>
      compareCollection(name, one, actual.collections[name], moving[name]),
    ),
    ...compareAliases(expected.aliases, actual.aliases),
  ];
}

export function compareCollection(
  name: string,
  expected: CollectionInventory,
  actual: CollectionInventory | undefined,
  moving?: CollectionInventory,
): Check[] {
  const checks = collectionChecks(name, expected, actual);
  return moving ? withinMoving(checks, collectionChecks(name, moving, actual)) : checks;
}

function collectionChecks(
  name: string,
  expected: CollectionInventory,
  actual: CollectionInventory | undefined,
): Check[] {
  const subject = `qdrant collection ${name}`;
  const found = new Map(actual?.samples.map((sample) => [sample.id, sample.hash]));
  return [
    equal(subject, 'points', expected.points, actual?.points),
    equal(subject, 'configuration', expected.config, actual?.config),
    equal(subject, 'payload indexes', stableJson(expected.payloadIndexes), stableJson(actual?.payloadIndexes ?? {})),
    sameSet(
      subject,
      'sampled points',
      expected.samples.map((sample) => `${sample.id} ${sample.hash}`),
      expected.samples
        .filter((sample) => found.has(sample.id))
        .map((sample) => `${sample.id} ${found.get(sample.id)}`),
    ),
    equal(subject, 'nearest neighbours', expected.nearest.join(' '), actual?.nearest.join(' ')),
  ];
}

function compareAliases(expected: Record<string, string>, actual: Record<string, string>): Check[] {
  return Object.entries(expected).map(([alias, collection]) =>
    equal(`qdrant alias ${alias}`, 'collection', collection, actual[alias]),
  );
}

/** A UUID that depends on the name alone; ids are hashes, so points after it are a fair sample. */
function seededId(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`;
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(stableJson(value)).digest('hex');
}
