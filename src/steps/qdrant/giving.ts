import { randomBytes } from 'node:crypto';
import { basename } from 'node:path';
import { sleep, steadyNow, waitFor } from '../../hosts/waiting.js';
import { bytesOf } from '../../stores/backup-set/backup-set.js';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { compareCollection, inventoryCollection } from '../../stores/qdrant/inventory.js';
import { AnswerLost, Refused, recoverFromFile } from '../../stores/qdrant/recovery.js';
import { recoveriesRunning } from '../../stores/qdrant/server.js';
import { uploadSnapshot } from '../../stores/qdrant/transfer.js';
import { durationOf, messageOf } from '../../words.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';
import { mayRead, noteUnread } from './beside.js';
import { shared } from './collections.js';
import { targetsOf } from './nodes.js';
import type { SafetySnapshot } from './safety-snapshot.js';
import { removeSnapshot, type Snapshot, snapshotsOn } from './snapshots.js';

// How snapshots get into a server, with a way back, and without a second one while the server may still be at the first.

/** How a snapshot is given, and followed. */
interface Giving {
  onBytes?: (bytes: number) => void;
  /** Also where the server could read the file itself. */
  byUpload?: boolean;
  /** Whether the collection is what the snapshot holds; absent where nothing says what that is. */
  isRestored?: () => Promise<boolean>;
  signal?: AbortSignal;
}

/** A recovery whose end is not known: the server may still be at it, so that nothing may be sent into that collection. */
class StillUnknown extends Error {}

/** Gives a snapshot to every node that takes it, which needs that nothing else is given to the same collection meanwhile. */
async function give(
  ctx: StepContext,
  emit: Emitter<unknown>,
  snapshot: Snapshot,
  sha256: string,
  { isRestored, ...giving }: Giving = {},
): Promise<void> {
  const targets = await targetsOf(ctx.cluster, snapshot);
  for (const qdrant of targets)
    await giveTo(qdrant, ctx, emit, snapshot, sha256, {
      ...giving,
      // Only with the last of them it is wherever it may be read.
      ...(qdrant === targets.at(-1) && isRestored ? { isRestored } : {}),
    });
}

const HEARTBEAT = 1_000;

/** Has one node read a snapshot from its own disk; false where it does not, and nothing was touched. */
async function readBy(
  qdrant: Qdrant,
  ctx: StepContext,
  emit: Emitter<unknown>,
  snapshot: Snapshot,
  sha256: string,
  { onBytes, isRestored, signal, byUpload = false }: Giving,
): Promise<boolean> {
  if (byUpload || !mayRead(qdrant, snapshot)) return false;
  const { collection, file, shard, bytes } = snapshot;
  const recovery = { collection, ...(shard === undefined ? {} : { shard }), file, sha256 };
  const heart = setInterval(() => onBytes?.(0), HEARTBEAT);
  try {
    await recoverFromFile(ctx.gateway, qdrant, recovery, signal);
  } catch (error) {
    if (error instanceof Refused) {
      noteUnread(qdrant, snapshot);
      emit.output(`${error.message}: nothing was touched, it is uploaded instead`);
      return false;
    }
    if (!(error instanceof AnswerLost) || signal?.aborted) throw error;
    await followLost(qdrant, ctx, emit, snapshot, error, { isRestored, signal });
  } finally {
    clearInterval(heart);
  }
  onBytes?.(bytes);
  return true;
}

/** Gives a snapshot to one node: has it read the file where it can, else uploads it and removes the server's copy. */
async function giveTo(
  qdrant: Qdrant,
  ctx: StepContext,
  emit: Emitter<unknown>,
  snapshot: Snapshot,
  sha256: string,
  giving: Giving = {},
): Promise<void> {
  if (await readBy(qdrant, ctx, emit, snapshot, sha256, giving)) return;
  const { collection, file, shard, storage } = snapshot;
  const into = { collection, ...(shard === undefined ? {} : { shard }), ...(storage ? { storage } : {}) };
  const { onBytes, isRestored, signal } = giving;
  // The file stays on the server's disk under this name, refused or not, where an equal name would be written over.
  const own = `novamem-runbook-${ctx.runId}-`;
  const uploadName = `${own}${randomBytes(4).toString('hex')}-${basename(file).replace(/[^A-Za-z0-9._-]/g, '_')}`;
  let known = true;
  try {
    await uploadSnapshot(ctx.gateway, qdrant, { ...into, file, sha256, uploadName }, { onBytes, signal });
  } catch (error) {
    known = !(error instanceof AnswerLost) && !signal?.aborted;
    if (!(error instanceof AnswerLost)) throw error;
    await followLost(qdrant, ctx, emit, snapshot, error, { isRestored, signal });
    known = true;
  } finally {
    // While the server may still read it, its copy must stay. A refused upload into a missing collection leaves none to ask.
    const isIdle = known || (await recoveriesRunning(qdrant, [collection]).catch(() => undefined)) === 0;
    const files = isIdle ? await snapshotsOn(qdrant, collection, shard).catch(() => []) : [];
    for (const { name } of files)
      if (name.startsWith(own)) await removeSnapshot(qdrant, ctx, collection, { name, shared: false }, shard);
  }
}

/** Waits while the server is still at a recovery of one of these collections, where it tells. */
export async function untilIdle(
  qdrant: Qdrant,
  emit: Emitter<unknown>,
  collections: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const started = steadyNow();
  while (((await recoveriesRunning(qdrant, collections).catch(() => undefined)) ?? 0) > 0) {
    emit.progress({
      done: Math.round((steadyNow() - started) / 1000),
      unit: 'seconds',
      text: `Qdrant is still at an earlier recovery of ${collections.length === 1 ? collections[0] : 'one of them'}: waiting until it has ended`,
    });
    await sleep(1_000, signal);
  }
}

/** How long nothing may be seen of a recovery before it is taken to have ended: the server reads the whole file first. */
const unseenFor = (bytes: number) => 5_000 + bytes / 50_000;
const UNTOLD_PATIENCE = 600_000;
/** How long a server may give no answer at all before it is taken to be gone, where nothing else tells. */
const SILENT_PATIENCE = 60_000;

/**
 * The answer was lost, and the server goes on. Nothing is sent again: it is asked until it has ended, and
 * then whether the collection is what the snapshot holds. Where it does not tell (before 1.16), only that second can be
 * asked. Ends well only with that proof.
 */
async function followLost(
  qdrant: Qdrant,
  ctx: StepContext,
  emit: Emitter<unknown>,
  snapshot: Snapshot,
  lost: AnswerLost,
  { isRestored, signal }: Giving,
): Promise<void> {
  const { collection, bytes } = snapshot;
  emit.output(`${lost.message}. Qdrant goes on by itself: nothing is sent again, it is asked until it has ended`);
  const isThere = async () => (await isRestored?.().catch(() => false)) ?? false;
  const started = steadyNow();
  let unseenSince = started;
  let answeredAt = started;
  let seen = false;
  for (;;) {
    const running = await recoveriesRunning(qdrant, [collection]).catch((error: unknown) => messageOf(error));
    if (typeof running !== 'string') answeredAt = steadyNow();
    else {
      const isGone =
        (await ctx.cluster
          .driver('qdrant')
          ?.state()
          .catch(() => 'unknown')) === 'stopped';
      if (isGone || steadyNow() - answeredAt > SILENT_PATIENCE)
        throw new StillUnknown(
          `${lost.message}. Qdrant ${isGone ? 'has ended' : 'gives no answer any more'} (${running}), so ${collection} may be restored, as it was, or broken. Nothing was sent again. Start Qdrant, then retry`,
        );
    }
    if (running === undefined) {
      if (isRestored && (await waitFor(async () => (await isThere()) || undefined, untold(signal)))) return;
      throw new StillUnknown(
        `${lost.message}. This Qdrant does not tell whether it is still at it, and ${collection} is not proven to be restored. Nothing was sent again. Look at its log; retry once it has ended`,
      );
    }
    if (typeof running === 'string') unseenSince = steadyNow();
    else if (running > 0) {
      seen = true;
      unseenSince = steadyNow();
    } else if (seen || steadyNow() - unseenSince > unseenFor(bytes)) break;
    emit.progress({
      done: Math.round((steadyNow() - started) / 1000),
      unit: 'seconds',
      text: `Qdrant restores ${collection} by itself`,
    });
    await sleep(500, signal);
  }
  if (await isThere()) {
    emit.output(
      `${collection}: Qdrant has ended it after ${durationOf(steadyNow() - started)}, and it is what the backup holds`,
    );
    return;
  }
  throw new Error(
    `${lost.message}. Qdrant has ended its work since, and ${isRestored ? `${collection} is not what the backup holds` : `nothing says what ${collection} should hold`}`,
  );
}

const untold = (signal: AbortSignal | undefined) => ({
  timeoutMs: UNTOLD_PATIENCE,
  slowest: 5_000,
  ...(signal ? { signal } : {}),
});

/** A failed recovery can destroy a collection; a good one repairs it. */
export async function giveWithWayBack(
  ctx: StepContext,
  emit: Emitter<unknown>,
  snapshot: Snapshot,
  sha256: string,
  safety: SafetySnapshot | undefined,
  giving: Giving & { signal: AbortSignal },
): Promise<void> {
  try {
    await give(ctx, emit, snapshot, sha256, giving);
  } catch (error) {
    if (!safety || giving.signal.aborted || error instanceof StillUnknown) throw error;
    emit.output(`${messageOf(error)}; putting ${snapshot.collection} back from ${safety.file}`);
    await putBack(ctx, emit, snapshot.collection, safety, giving.signal).catch((refusal: unknown) => {
      throw new Error(
        `${messageOf(error)}. ${snapshot.collection} could not be put back either (${messageOf(refusal)}): what it held is in ${safety.file}, and an undo puts it back from there once Qdrant takes it`,
        { cause: error },
      );
    });
    throw new Error(`${messageOf(error)}. ${snapshot.collection} was put back as it was before`);
  }
}

/** Makes a collection what it was when its safety snapshot was taken. */
export async function putBack(
  ctx: StepContext,
  emit: Emitter<unknown>,
  collection: string,
  { inventory, others = [], ...first }: SafetySnapshot,
  signal?: AbortSignal,
): Promise<void> {
  const isRestored = async () =>
    compareCollection(collection, inventory, await inventoryCollection(ctx.cluster.qdrant, collection)).every(
      (check) => check.ok,
    );
  for (const node of ctx.cluster.qdrantNodes) await untilIdle(node, emit, [collection], signal);
  for (const { sha256, ...place } of [first, ...others]) {
    const snapshot = { collection, bytes: await bytesOf(place.file), ...place };
    // Only with the last of them the whole collection is back.
    const proof = place.file === (others.at(-1) ?? first).file ? { isRestored } : {};
    await give(ctx, emit, snapshot, sha256, { ...proof, ...(signal ? { signal } : {}) });
  }
  await shared(ctx.cluster, collection);
}
