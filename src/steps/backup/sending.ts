import { freeBytes, remove } from '../../hosts/files.js';
import { localFiles } from '../../hosts/local-files.js';
import { inParallel } from '../../in-parallel.js';
import { nextOf } from '../../problem.js';
import { checksumOf } from '../../stores/backup-set/backup-set.js';
import { MANIFEST_FILE, UNFINISHED_FILE } from '../../stores/backup-set/manifest.js';
import { type Check, equal } from '../../stores/check.js';
import { HERE } from '../../stores/storage/here.js';
import { folderOf, type RemoteStorage, type Sent, under } from '../../stores/storage/storage.js';
import { storageOf } from '../../stores/storage/storage-of.js';
import { type ReadableFiles, storedFiles } from '../../stores/storage/stored-files.js';
import { messageOf, plural, sizeOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// A new backup set whose root is a bucket goes there piece by piece. What can be had as a stream goes straight there, and is proven
// there; a base backup is made in the run's own folder, sent as soon as it is proven, and removed here once it was read back there.

/** A file of a new set. `file`: its path in the set. */
export interface Piece {
  file: string;
  bytes: number;
}

export interface Destination {
  to: string;
  storage: RemoteStorage;
}

/** Where a new set is sent to; undefined where its folder is its root's. */
export function destinationOf({ newBackup, cluster }: StepContext): Destination | undefined {
  if (newBackup?.to === undefined) return undefined;
  const storage = storageOf(newBackup.to, cluster.profile.s3);
  return storage.isHere ? undefined : { to: newBackup.to, storage };
}

/** That the bucket cannot be reached, before a backup is made for it. */
export async function sendingFindings(ctx: StepContext): Promise<Finding[]> {
  const destination = destinationOf(ctx);
  if (!destination) return [];
  const { to, storage } = destination;
  try {
    // A look at one file would not tell a bucket that is not there.
    await storage.foldersIn(folderOf(to));
    return [];
  } catch (error) {
    return [{ level: 'blocking', message: messageOf(error), next: nextOf(error) }];
  }
}

/**
 * Whether there is room here for what a step makes. `bytes`: how much it takes at most; `exact`: it takes that much. Nothing is said where
 * nothing could be asked.
 */
export async function makingRoomFindings(
  ctx: StepContext,
  what: string,
  bytes: number | undefined,
  { exact = false }: { exact?: boolean } = {},
): Promise<Finding[]> {
  if (bytes === undefined || !ctx.newBackup) return [];
  const { folder, to } = ctx.newBackup;
  const free = await freeBytes(folder);
  const takes = `the ${what} takes ${exact ? 'about' : 'at most'} ${sizeOf(bytes)}, and ${sizeOf(free)} are free ${to ? `in ${folder}, from which it is sent to ${to}` : `in ${folder}`}`;
  if (free > bytes) return to ? [{ level: 'info', message: takes }] : [];
  return [
    {
      level: exact ? 'blocking' : 'warning',
      message: takes,
      next: to
        ? 'free some there, or keep what this program keeps on a larger disk: NOVAMEM_RUNBOOK_HOME=/a/folder'
        : 'free some there, or name a root on a larger disk in the profile: backups: [ /a/folder ]',
    },
  ];
}

/** The command that sends a file, or a folder with all that is in it, as a person could paste it; none where nothing is sent. */
export function sendingTexts(ctx: StepContext, name: string, kind: 'file' | 'folder' = 'file'): string[] {
  const destination = destinationOf(ctx);
  if (!destination) return [];
  const { to, storage } = destination;
  return [storage.sendText(under(ctx.newBackup!.folder, name), under(to, name), kind)];
}

/** How a shell sends a file as it is written. `expected`: about how many bytes, at most. */
export const streamText = ({ to, storage }: Destination, name: string, expected?: number): string =>
  storage.streamText(under(to, name), expected);

/** Says in the bucket that the set is unfinished, and removes what an earlier attempt had sent, or half sent, of a part. */
export async function beginSending(ctx: StepContext, name: string): Promise<void> {
  const destination = destinationOf(ctx);
  if (!destination) return;
  const { to, storage } = destination;
  const note = under(to, UNFINISHED_FILE);
  if (!(await storage.seen(note)))
    await storage.putText(
      ctx.gateway,
      note,
      `Backup set ${ctx.newBackup!.id}, sent by run ${ctx.runId}, is unfinished: it has no manifest yet. It cannot be restored from.\n`,
    );
  await storage.forgetHalfSent(ctx.gateway, under(to, name));
  await storage.remove(ctx.gateway, under(to, name));
}

/** Up to this size files are sent side by side; of a larger one the parts are. */
const SMALL_BYTES = 16 << 20;
const AT_ONCE = 4;
/** Large files of all steps go one after the other: what is sent of each lies in memory. */
let large: Promise<unknown> = Promise.resolve();

/** Sends files of a new set, in this order as far as they are large, and removes each here once it was read back there. */
export async function sendPieces(
  ctx: StepContext,
  pieces: readonly Piece[],
  signal: AbortSignal,
  onBytes: (bytes: number) => void = () => {},
): Promise<void> {
  const destination = destinationOf(ctx);
  if (!destination) return;
  const [here, there] = [await sizesHere(ctx, pieces), await sizesSaved(ctx, pieces)];
  const send = async (piece: Piece) => {
    const { file, bytes } = piece;
    signal.throwIfAborted();
    if (!here.has(file)) {
      if (there.get(file) !== bytes)
        throw new Error(`${file} of the new backup set is neither here nor in ${destination.to}: retry`);
      return onBytes(2 * bytes);
    }
    await sendFile(ctx, piece, destination, { onBytes, signal, isThere: there.get(file) === bytes });
    await remove(ctx.gateway, under(ctx.newBackup!.folder, file));
  };
  await inParallel(
    pieces.filter(({ bytes }) => bytes <= SMALL_BYTES),
    AT_ONCE,
    send,
  );
  for (const piece of pieces.filter(({ bytes }) => bytes > SMALL_BYTES)) await inTurn(piece.bytes, () => send(piece));
}

function inTurn<T>(bytes: number, work: () => Promise<T>): Promise<T> {
  if (bytes <= SMALL_BYTES) return work();
  const mine = large.then(work);
  large = mine.catch(() => {});
  return mine;
}

/**
 * Sends a file of a new set straight from where it lies (a path of this machine) or as it comes, and reads it back there. One that is not
 * what was sent is removed there. `bytes`: about how many come; `onBytes` is told those that went, and those that were read back.
 */
export function sendStraight(
  ctx: StepContext,
  { file, bytes }: Pick<Piece, 'file' | 'bytes'>,
  source: string | AsyncIterable<Buffer>,
  { signal, onBytes = () => {} }: { signal: AbortSignal; onBytes?: (bytes: number) => void },
): Promise<Sent> {
  return inTurn(bytes, async () => {
    const { to, storage } = destinationOf(ctx)!;
    const there = under(to, file);
    signal.throwIfAborted();
    const sent =
      typeof source === 'string'
        ? { bytes, sha256: await storage.put(ctx.gateway, source, there, { signal, onBytes }) }
        : await storage.putStream(ctx.gateway, source, there, { expected: bytes, signal, onBytes });
    const got = await checksumOf({ file: there, bytes: sent.bytes, storage }, { signal, onBytes });
    if (got === sent.sha256) return sent;
    await storage.remove(ctx.gateway, there);
    throw new Error(
      `${there} is not what was sent there: its SHA-256 is ${got}, and ${sent.sha256} was sent. It is removed there, and the set stays unfinished; retry`,
    );
  });
}

/** The same with its progress on the screen, and a line at the end. */
export async function sendAll(
  ctx: StepContext,
  pieces: readonly Piece[],
  emit: Emitter<unknown>,
  signal: AbortSignal,
): Promise<void> {
  const destination = destinationOf(ctx);
  if (!destination) return;
  const total = pieces.reduce((sum, { bytes }) => sum + bytes, 0);
  await sendPieces(ctx, pieces, signal, emit.bytes(2 * total, `sending to ${destination.to}, and reading back`));
  emit.output(
    `${plural(pieces.length, 'file')}, ${sizeOf(total)}, are in ${destination.to}, were read back, and are removed here`,
  );
}

async function sendFile(
  { gateway, newBackup }: StepContext,
  { file, bytes }: Piece,
  { to: place, storage }: Destination,
  { onBytes, signal, isThere }: { onBytes: (bytes: number) => void; signal: AbortSignal; isThere: boolean },
): Promise<void> {
  const from = under(newBackup!.folder, file);
  const to = under(place, file);
  const back = () => checksumOf({ file: to, bytes, storage }, { onBytes, signal });
  // An earlier attempt has sent it, and did not come to remove it here.
  if (isThere && (await back()) === (await checksumOf({ file: from, bytes }))) return onBytes(bytes);
  const sent = await storage.put(gateway, from, to, { onBytes, signal });
  const got = await back();
  if (got !== sent)
    throw new Error(
      `${to} is not what was sent there: its SHA-256 is ${got}, and ${sent} was sent. The set there stays unfinished, and the file is still here; retry`,
    );
}

/** Bytes of these files where the set is to be, as they lie there now. */
export async function sizesSaved(
  ctx: StepContext,
  pieces: readonly Pick<Piece, 'file'>[],
): Promise<Map<string, number>> {
  const { to: folder, storage } = destinationOf(ctx) ?? { to: ctx.newBackup!.folder, storage: HERE };
  return sizesIn(storage, folder, pieces);
}

const sizesHere = (ctx: StepContext, pieces: readonly Piece[]) => sizesIn(HERE, ctx.newBackup!.folder, pieces);

/** So few are asked for one by one: a listing would be of the whole set. */
const FEW = 4;

async function sizesIn(storage: RemoteStorage | typeof HERE, folder: string, pieces: readonly Pick<Piece, 'file'>[]) {
  const files = pieces.map(({ file }) => under(folder, file));
  const sizes = files.length > FEW ? await storage.sizesOf(folder, files) : new Map<string, number>();
  if (files.length <= FEW)
    for (const seen of await Promise.all(files.map((file) => storage.seen(file))))
      if (seen) sizes.set(seen.file, seen.bytes);
  return new Map([...sizes].map(([file, bytes]) => [file.slice(folder.length + 1), bytes]));
}

/** That what was sent lies there with its bytes; none where nothing was sent. */
export async function sentChecks(ctx: StepContext, pieces: readonly Piece[], what: string): Promise<Check[]> {
  const destination = destinationOf(ctx);
  if (!destination) return [];
  const there = await sizesSaved(ctx, pieces);
  const right = pieces.filter(({ file, bytes }) => there.get(file) === bytes);
  return [equal(what, `files in ${destination.to}, with their bytes`, pieces.length, right.length)];
}

/** What reads the files of a new set by their paths here, wherever they are now. */
export function newSetFiles(ctx: StepContext): ReadableFiles {
  const destination = destinationOf(ctx);
  return destination ? storedFiles(destination.storage, destination.to, ctx.newBackup!.folder) : localFiles;
}

/**
 * Ends a set that was sent: its manifest, last of all, which must be in the run's folder. Rejects where a piece that it vouches for
 * is not there any more.
 */
export async function endSending(ctx: StepContext, pieces: readonly Piece[], signal: AbortSignal): Promise<void> {
  const destination = destinationOf(ctx);
  if (!destination) return;
  const { to, storage } = destination;
  const there = await sizesSaved(ctx, pieces);
  const lost = pieces.find(({ file, bytes }) => there.get(file) !== bytes);
  if (lost)
    throw new Error(
      `${under(to, lost.file)} was sent, and is not there any more as it was: somebody else removes or writes files below ${to}. The set stays unfinished; take another backup`,
    );
  const { folder } = ctx.newBackup!;
  const bytes = (await HERE.seen(under(folder, MANIFEST_FILE)))!.bytes;
  await sendFile(ctx, { file: MANIFEST_FILE, bytes }, destination, { onBytes: () => {}, signal, isThere: false });
  await storage.remove(ctx.gateway, under(to, UNFINISHED_FILE));
  await remove(ctx.gateway, folder);
}
