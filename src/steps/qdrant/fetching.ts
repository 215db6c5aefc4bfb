import { createReadStream } from 'node:fs';
import { commandText } from '../../hosts/command.js';
import { keepOnDisk } from '../../hosts/durable.js';
import { giveSecondName, sha256Of, writeHashed } from '../../hosts/files.js';
import type { Qdrant } from '../../stores/qdrant/connection.js';
import { snapshotOnDisk } from '../../stores/qdrant/on-disk.js';
import type { Recovered } from '../../stores/qdrant/recovery.js';
import { downloadSnapshot, snapshotPieces } from '../../stores/qdrant/transfer.js';
import type { Sent } from '../../stores/storage/storage.js';
import { sendStraight } from '../backup/sending.js';
import type { StepContext } from '../step.js';
import { type MadeSnapshot, removeSnapshot } from './snapshots.js';

const PIECE = 1 << 20;

interface Fetching {
  signal: AbortSignal;
  /** The caller has the disk keep the file, with others. */
  isKeptLater?: boolean;
}

/**
 * Gets a snapshot off the server that has made it into a new file, and removes it there: out of the server's own folder where that
 * is on this machine, over the network otherwise. Rejects where it did not arrive as the server says that it is.
 */
export async function fetchSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  of: Recovered,
  made: MadeSnapshot,
  file: string,
  fetching: Fetching,
): Promise<Sent> {
  const got =
    (await fromDisk(qdrant, ctx, of, made, file, fetching)) ??
    (await downloadSnapshot(ctx.gateway, qdrant, { ...of, snapshot: made.name, file }, fetching));
  return takenOff(qdrant, ctx, of, made, got);
}

/** The same into a bucket, and never onto this machine's disk: `file` of the new set is there, and was read back. */
export async function sendSnapshot(
  qdrant: Qdrant,
  ctx: StepContext,
  of: Recovered,
  made: MadeSnapshot,
  file: string,
  signal: AbortSignal,
): Promise<Sent> {
  const onDisk = await snapshotOnDisk(ctx.cluster, qdrant, of, made);
  const source = onDisk ?? snapshotPieces(qdrant, { ...of, snapshot: made.name }, signal);
  return takenOff(qdrant, ctx, of, made, await sendStraight(ctx, { file, bytes: made.bytes }, source, { signal }));
}

async function takenOff(
  qdrant: Qdrant,
  ctx: StepContext,
  of: Recovered,
  made: MadeSnapshot,
  got: Sent,
): Promise<Sent> {
  await removeSnapshot(qdrant, ctx, of.collection, made, of.shard);
  if (made.checksum !== undefined && made.checksum !== got.sha256)
    throw new Error(
      `the snapshot of ${of.collection} did not arrive whole: SHA-256 ${got.sha256}, the server says ${made.checksum}`,
    );
  return got;
}

/** Undefined where the file is not found on this machine. */
async function fromDisk(
  qdrant: Qdrant,
  ctx: StepContext,
  of: Recovered,
  made: MadeSnapshot,
  file: string,
  { signal, isKeptLater }: Fetching,
): Promise<Sent | undefined> {
  const from = await snapshotOnDisk(ctx.cluster, qdrant, of, made);
  if (from === undefined) return undefined;
  // Whoever else's it is keeps it as it is.
  const isOurs = !made.shared && (await giveSecondName(ctx.gateway, from, file));
  // The server has read it to its end for its checksum, and it is the very same file.
  const got = isOurs
    ? { bytes: made.bytes, sha256: made.checksum ?? (await sha256Of(file, { signal })) }
    : await ctx.gateway.change({ channel: 'file', text: commandText({ file: 'cp', args: ['-T', from, file] }) }, () =>
        writeHashed(createReadStream(from, { highWaterMark: PIECE }), file, { signal }),
      );
  if (!isKeptLater) await keepOnDisk(file);
  return got;
}
