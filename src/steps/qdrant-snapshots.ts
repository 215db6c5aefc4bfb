import { basename, join } from 'node:path';
import { makeFolder, sha256Of } from '../hosts/files.js';
import { type BackupFile, bytesOf } from '../stores/backup-set/backup-set.js';
import type { Qdrant } from '../stores/qdrant/connection.js';
import { inParallel, listCollections } from '../stores/qdrant/inventory.js';
import { downloadSnapshot, uploadSnapshot } from '../stores/qdrant/transfer.js';
import { messageOf } from '../words.js';
import { startService, stopService } from './service.js';
import type { StepContext } from './step.js';
import type { Emitter } from './step-events.js';

// How snapshots get out of a server and into it, with a way back: the doing of `qdrant.restore` and `qdrant.backup`.

/** A snapshot file and the collection that it is of. */
export type Snapshot = BackupFile & { collection: string };

const RESTART_PATIENCE = 180_000;

/** Points of each collection that stands now; undefined for one that is there but cannot be read (a failed recovery leaves such). */
export async function pointsNow(qdrant: Qdrant, names: string[]): Promise<Map<string, number | undefined>> {
  const there = (await listCollections(qdrant)).filter((name) => names.includes(name));
  const counts = new Map<string, number | undefined>();
  await inParallel(there, 4, async (name) => {
    const counted = await qdrant.client.count(name, { exact: true }).catch(() => undefined);
    counts.set(name, counted?.count);
  });
  return counts;
}

/** Has the server make a snapshot of a collection; answers its name and, from Qdrant 1.8 on, its SHA-256. */
export async function makeSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
): Promise<{ name: string; checksum?: string }> {
  const made = await qdrant.write(ctx.gateway, 'POST', `/collections/${collection}/snapshots`, (client) =>
    client.createSnapshot(collection),
  );
  if (!made) throw new Error(`Qdrant made no snapshot of ${collection}`);
  return { name: made.name, ...(made.checksum ? { checksum: made.checksum } : {}) };
}

export async function removeSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
  name: string,
): Promise<void> {
  await qdrant.write(ctx.gateway, 'DELETE', `/collections/${collection}/snapshots/${name}`, (client) =>
    client.deleteSnapshot(collection, name),
  );
}

export async function takeSafetySnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  collection: string,
  signal: AbortSignal,
): Promise<{ file: string; sha256: string }> {
  await makeFolder(ctx.gateway, ctx.workFolder);
  const made = await makeSnapshot(qdrant, ctx, collection);
  const file = join(ctx.workFolder, `${encodeURIComponent(collection)}-before-${Date.now()}.snapshot`);
  const { sha256 } = await downloadSnapshot(
    ctx.gateway,
    qdrant,
    { collection, snapshot: made.name, file },
    { signal },
  );
  await removeSnapshot(qdrant, ctx, collection, made.name);
  if (made.checksum !== undefined && made.checksum !== sha256) {
    throw new Error(
      `the safety snapshot of ${collection} did not arrive whole: SHA-256 ${sha256}, the server says ${made.checksum}; ${collection} was not touched`,
    );
  }
  return { file, sha256 };
}

/** The file's SHA-256; a file that is not the one of the manifest is refused before anything is touched. */
export async function checksum(snapshot: Snapshot, signal: AbortSignal): Promise<string> {
  const sha256 = await sha256Of(snapshot.file, { signal });
  if (snapshot.sha256 !== undefined && snapshot.sha256 !== sha256) {
    throw new Error(
      `the snapshot ${snapshot.file} is not the one that was backed up: its SHA-256 is ${sha256}, the manifest says ${snapshot.sha256}; ${snapshot.collection} was not touched`,
    );
  }
  return sha256;
}

export async function uploadAndClean(
  ctx: StepContext,
  snapshot: Snapshot,
  sha256: string,
  onBytes: (bytes: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { qdrant } = ctx.cluster;
  const { collection, file } = snapshot;
  // The file stays on the server's disk under this name, refused or not, where an equal name would be written over.
  const uploadName = `novamem-runbook-${ctx.runId}-${basename(file)}`.replace(/[^A-Za-z0-9._-]/g, '_');
  try {
    await uploadSnapshot(ctx.gateway, qdrant, { collection, file, sha256, uploadName }, { onBytes, signal });
  } finally {
    // A refused upload into a collection that does not exist leaves none to ask.
    const left = await qdrant.client.listSnapshots(collection).catch(() => []);
    for (const { name } of left) if (name === uploadName) await removeSnapshot(qdrant, ctx, collection, name);
  }
}

/** A failed recovery can destroy a collection; a good upload repairs it. */
export async function uploadWithWayBack(
  ctx: StepContext,
  emit: Emitter<unknown>,
  snapshot: Snapshot,
  sha256: string,
  safety: { file: string; sha256: string } | undefined,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    await uploadAndClean(ctx, snapshot, sha256, onBytes, signal);
  } catch (error) {
    if (!safety || signal.aborted) throw error;
    emit.output(`${messageOf(error)}; putting ${snapshot.collection} back from ${safety.file}`);
    await uploadAndClean(
      ctx,
      { ...safety, collection: snapshot.collection, bytes: await bytesOf(safety.file) },
      safety.sha256,
      () => {},
      signal,
    );
    throw new Error(`${messageOf(error)}. ${snapshot.collection} was put back as it was before`);
  }
}

/**
 * Has the server write before anything is replaced: a key without the right to manage is found here, and so is a server
 * whose disk went away under it, which goes on answering reads from memory. A restart mends the second.
 */
export async function proveWritable(
  ctx: StepContext,
  emit: Emitter<unknown>,
  names: string[],
  signal: AbortSignal,
): Promise<void> {
  const { qdrant } = ctx.cluster;
  try {
    await tryToWrite(ctx, names);
  } catch (error) {
    if (!/HTTP 5\d\d/.test(messageOf(error)) || !ctx.cluster.driver('qdrant')) throw error;
    emit.output(`${messageOf(error)}: Qdrant at ${qdrant.address} answers but cannot use its storage; restarting it`);
    await stopService('qdrant', ctx, emit, RESTART_PATIENCE, signal);
    await startService('qdrant', ctx, emit, RESTART_PATIENCE, signal);
    await tryToWrite(ctx, names);
  }
}

/** A snapshot of the smallest collection that holds points, or an empty collection of its own: both are removed again. */
async function tryToWrite(ctx: StepContext, names: string[]): Promise<void> {
  const { qdrant } = ctx.cluster;
  const holding = [...(await pointsNow(qdrant, names))].flatMap(([name, points]) =>
    points ? [{ name, points }] : [],
  );
  const [smallest] = holding.sort((a, b) => a.points - b.points);
  if (smallest) {
    await removeSnapshot(qdrant, ctx, smallest.name, (await makeSnapshot(qdrant, ctx, smallest.name)).name);
    return;
  }
  const name = `runbook_probe_${ctx.runId}`;
  await qdrant.write(ctx.gateway, 'PUT', `/collections/${name}`, (client) =>
    client.createCollection(name, { vectors: { size: 1, distance: 'Dot' } }),
  );
  await qdrant.write(ctx.gateway, 'DELETE', `/collections/${name}`, (client) => client.deleteCollection(name));
}
