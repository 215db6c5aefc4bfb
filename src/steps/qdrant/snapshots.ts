import { randomBytes } from 'node:crypto';
import { within } from '../../hosts/waiting.js';
import { inParallel } from '../../in-parallel.js';
import { checksumOf, type QdrantSnapshot } from '../../stores/backup-set/backup-set.js';
import { type Qdrant, qdrantMessage, saysItIsBroken } from '../../stores/qdrant/connection.js';
import { collectionHealth, exactPoints, listCollections } from '../../stores/qdrant/inventory.js';
import { servedWithoutFiles } from '../../stores/qdrant/on-disk.js';
import { snapshotsUrl } from '../../stores/qdrant/recovery.js';
import { messageOf, plural } from '../../words.js';
import { restartService } from '../service.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// How snapshots get out of a server: the doing of `qdrant.restore` and `qdrant.backup`.

export type Snapshot = QdrantSnapshot;

const RESTART_PATIENCE = 180_000;
/** How long the smallest thing that a server can write may take before it is taken to hang. */
const TRIAL_PATIENCE = 60_000;

/**
 * Points of each collection that stands now; undefined for one that is there but cannot be read (a failed recovery leaves such).
 * Rejects where one is not told: that is no reason to take it for broken.
 */
export async function pointsNow(qdrant: Qdrant, names: string[]): Promise<Map<string, number | undefined>> {
  const counts = new Map<string, number | undefined>();
  for (const [name, counted] of await countsOf(qdrant, names)) {
    if (typeof counted !== 'number' && !saysItIsBroken(counted))
      throw new Error(
        `how many points ${name} holds could not be told (${qdrantMessage(counted)}), which does not show that it is broken. Nothing is replaced while that is not known. See that Qdrant answers, then retry`,
        { cause: counted },
      );
    counts.set(name, typeof counted === 'number' ? counted : undefined);
  }
  return counts;
}

/** Points of each collection that stands now, or why they were not told. */
async function countsOf(qdrant: Qdrant, names: string[]): Promise<Map<string, number | Error>> {
  const wanted = new Set(names);
  const there = (await listCollections(qdrant)).filter((name) => wanted.has(name));
  const counts = new Map<string, number | Error>();
  await inParallel(there, 4, async (name) => {
    counts.set(
      name,
      await exactPoints(qdrant, name).then(
        (count): number | Error => count,
        (error: Error) => error,
      ),
    );
  });
  return counts;
}

/** A snapshot that a server has made. */
export interface MadeSnapshot {
  name: string;
  bytes: number;
  /** SHA-256 of the file; from Qdrant 1.8 on. */
  checksum?: string;
  /** Somebody else's of the same second has the same name: it is theirs to remove. */
  shared: boolean;
}

/** Has the server make a snapshot of a collection, or of one shard. Its name tells the second, so two of one second are one file. */
export async function makeSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
  shard?: number,
): Promise<MadeSnapshot> {
  const before = await snapshotsOn(qdrant, collection, shard);
  const made = await qdrant.write(ctx.gateway, 'POST', pathOf(qdrant, collection, shard), (client) =>
    shard === undefined ? client.createSnapshot(collection) : client.createShardSnapshot(collection, shard, {}),
  );
  if (!made) throw new Error(`Qdrant made no snapshot of ${collection}`);
  return {
    name: made.name,
    bytes: made.size,
    ...(made.checksum ? { checksum: made.checksum } : {}),
    shared: before.some((one) => one.name === made.name),
  };
}

export const snapshotsOn = ({ client }: Qdrant, collection: string, shard?: number) =>
  shard === undefined ? client.listSnapshots(collection) : client.listShardSnapshots(collection, shard);

const pathOf = (qdrant: Qdrant, collection: string, shard: number | undefined, ...more: string[]) =>
  snapshotsUrl(qdrant, { collection, ...(shard === undefined ? {} : { shard }) }, ...more).href.slice(
    qdrant.address.length,
  );

/** Removes a snapshot from the server's disk, unless it is somebody else's as well. */
export async function removeSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
  { name, shared }: Pick<MadeSnapshot, 'name' | 'shared'>,
  shard?: number,
): Promise<void> {
  if (shared) return;
  await qdrant.write(ctx.gateway, 'DELETE', pathOf(qdrant, collection, shard, name), (client) =>
    shard === undefined
      ? client.deleteSnapshot(collection, name)
      : client.deleteShardSnapshot(collection, shard, name, {}),
  );
}

/**
 * The file's SHA-256; a file that is not the one of the manifest is refused before anything is touched. One that lies elsewhere
 * is not fetched twice: it is compared on its way into Qdrant, which is told to use it only at its end.
 */
export async function checksum(snapshot: Snapshot, signal: AbortSignal): Promise<string> {
  if (snapshot.storage && !snapshot.storage.isHere && snapshot.sha256 !== undefined) return snapshot.sha256;
  const sha256 = await checksumOf(snapshot, { signal });
  if (snapshot.sha256 !== undefined && snapshot.sha256 !== sha256) {
    throw new Error(
      `the snapshot ${snapshot.file} is not the one that was backed up: its SHA-256 is ${sha256}, the manifest says ${snapshot.sha256}; ${snapshot.collection} was not touched`,
    );
  }
  return sha256;
}

/**
 * Has the server write before anything is replaced: a key without the right to manage is found here, and so is a server
 * whose disk went away under it, wholly or for some collections, which goes on answering from memory, or that hangs in what
 * it was asked before. A restart mends the last two. Answers whether one was needed.
 */
export async function proveWritable(
  ctx: StepContext,
  emit: Emitter<unknown>,
  names: string[],
  signal: AbortSignal,
): Promise<boolean> {
  const { qdrant } = ctx.cluster;
  const ailment = await within(TRIAL_PATIENCE, tryToWrite(ctx, names)).then(
    () => lostFiles(ctx),
    (error: unknown) => {
      if (/HTTP 5\d\d|no answer within/.test(messageOf(error))) return messageOf(error);
      throw error;
    },
  );
  if (ailment === undefined) return false;
  if (!ctx.cluster.driver('qdrant'))
    throw new Error(
      `${ailment}: Qdrant at ${qdrant.address} cannot use its storage, and the profile does not say how to restart it; nothing was changed. Restart Qdrant by hand and retry, or add services.qdrant to the profile`,
    );
  emit.output(`${ailment}: Qdrant at ${qdrant.address} answers but cannot use its storage; restarting it`);
  await restartService('qdrant', ctx, emit, RESTART_PATIENCE, signal);
  await tryToWrite(ctx, names);
  return true;
}

/** The collections that the trial cannot speak for: that their files are gone is seen on the disk, or by their status. */
async function lostFiles({ cluster }: StepContext): Promise<string | undefined> {
  const { qdrant } = cluster;
  const served = await listCollections(qdrant);
  const lost = new Set(servedWithoutFiles(cluster, served));
  await inParallel(served, 4, async (name) => {
    const health = await collectionHealth(qdrant, name).catch(() => undefined);
    if (health?.status === 'red') lost.add(name);
  });
  if (lost.size === 0) return undefined;
  const [first] = [...lost].sort();
  return `${plural(lost.size, 'collection')} without files or with the status red, the first: ${first}`;
}

/** A snapshot of the smallest collection that holds points, or an empty collection of its own: both are removed again. */
async function tryToWrite(ctx: StepContext, names: string[]): Promise<void> {
  const { qdrant } = ctx.cluster;
  const holding = [...(await countsOf(qdrant, names))].flatMap(([name, points]) =>
    typeof points === 'number' && points > 0 ? [{ name, points }] : [],
  );
  const [smallest] = holding.sort((a, b) => a.points - b.points);
  if (smallest) {
    await removeSnapshot(qdrant, ctx, smallest.name, await makeSnapshot(qdrant, ctx, smallest.name));
    return;
  }
  // A request of an attempt that was ended may still be carried out: each trial has a name of its own, and all are removed.
  const own = `runbook_probe_${ctx.runId}_`;
  const name = `${own}${randomBytes(3).toString('hex')}`;
  await qdrant.write(ctx.gateway, 'PUT', `/collections/${name}`, (client) =>
    client.createCollection(name, { vectors: { size: 1, distance: 'Dot' } }),
  );
  const { collections } = await qdrant.client.getCollections();
  for (const { name: trial } of collections)
    if (trial.startsWith(own))
      await qdrant.write(ctx.gateway, 'DELETE', `/collections/${trial}`, (client) => client.deleteCollection(trial));
}
