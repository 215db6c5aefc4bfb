import { relative } from 'node:path';
import { filesBelow, remove } from '../../hosts/files.js';
import { nextOf } from '../../problem.js';
import { checksumOf } from '../../stores/backup-set/backup-set.js';
import { MANIFEST_FILE, UNFINISHED_FILE } from '../../stores/backup-set/manifest.js';
import { HERE } from '../../stores/storage/here.js';
import { folderOf, type RemoteStorage, under } from '../../stores/storage/storage.js';
import { storageOf } from '../../stores/storage/storage-of.js';
import { messageOf, plural, sizeOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// A new backup set whose root is a bucket is made in the run's own folder, and sent there as its last step.

/** Where a new set is sent to; undefined where its folder is its root's. */
function destinationOf({ newBackup, cluster }: StepContext): { to: string; storage: RemoteStorage } | undefined {
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
 * Sends a whole new set to its bucket, the manifest last, and reads every file back: what is there is what was made. Then it is
 * removed from the run's folder. What an earlier attempt has sent already is not sent again.
 */
export async function sendSet(ctx: StepContext, emit: Emitter<unknown>, signal: AbortSignal): Promise<void> {
  const destination = destinationOf(ctx);
  if (!destination) return;
  const { to, storage } = destination;
  const { gateway } = ctx;
  const { folder } = ctx.newBackup!;
  const names = (await filesBelow(folder)).filter((name) => name !== MANIFEST_FILE && name !== UNFINISHED_FILE);
  const files = (await HERE.filesBelow(folder)).filter(({ file }) => names.includes(relative(folder, file)));
  const total = files.reduce((sum, one) => sum + one.bytes, 0);
  await storage.putText(gateway, under(to, UNFINISHED_FILE), unfinishedText(ctx));
  const forgotten = await storage.forgetHalfSent(gateway, to);
  if (forgotten > 0) emit.output(`${plural(forgotten, 'file')} that an earlier attempt had half sent: given up`);
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    emit.progress({ done, total: 2 * total, unit: 'bytes', text: `sending to ${to}, and reading back` });
  };
  for (const { file, bytes } of files) {
    signal.throwIfAborted();
    await sendFile({ file, bytes, to: under(to, relative(folder, file)) }, storage, ctx, { onBytes, signal });
  }
  const manifest = under(to, MANIFEST_FILE);
  await sendFile({ file: under(folder, MANIFEST_FILE), bytes: 0, to: manifest }, storage, ctx, { signal });
  await storage.remove(gateway, under(to, UNFINISHED_FILE));
  await remove(gateway, folder);
  emit.output(`${plural(files.length, 'file')}, ${sizeOf(total)}, are in ${to} and were read back`);
}

const unfinishedText = ({ runId, newBackup }: StepContext) =>
  `Backup set ${newBackup!.id}, sent by run ${runId}, is unfinished: it has no manifest yet. It cannot be restored from.\n`;

async function sendFile(
  { file, bytes, to }: { file: string; bytes: number; to: string },
  storage: RemoteStorage,
  { gateway }: StepContext,
  { onBytes = () => {}, signal }: { onBytes?: (bytes: number) => void; signal: AbortSignal },
): Promise<void> {
  const there = async () => {
    const seen = await storage.seen(to);
    return seen && checksumOf({ file: to, bytes: seen.bytes, storage }, { onBytes, signal });
  };
  // Only what an earlier attempt has sent is there before it is sent, whole or not at all.
  if (
    bytes > 0 &&
    (await storage.seen(to))?.bytes === bytes &&
    (await there()) === (await checksumOf({ file, bytes }))
  ) {
    onBytes(bytes);
    return;
  }
  const sent = await storage.put(gateway, file, to, { onBytes, signal });
  const back = await there();
  if (back !== sent)
    throw new Error(
      `${to} is not what was sent there: its SHA-256 is ${back ?? 'that of nothing'}, and ${sent} was sent. The set there stays unfinished, and is whole in this run's folder; retry`,
    );
}
