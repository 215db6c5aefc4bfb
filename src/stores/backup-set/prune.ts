import type { S3Settings } from '../../config/s3.js';
import type { Gateway } from '../../hosts/gateway.js';
import { under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import { listBackupSets } from './find-backup-set.js';
import { MANIFEST_FILE, UNFINISHED_FILE } from './manifest.js';

const DAY_MS = 86_400_000;

/** What would be kept and removed, each with its reason. Newest first. */
export interface Pruning {
  keep: { id: string; folder: string; why: string }[];
  remove: { id: string; folder: string; why: string }[];
}

/**
 * Keeps the newest `keep` sets that can be opened, and every folder that this program did not make or that somebody may still be
 * writing. Removed are older sets, and unfinished ones of more than a day.
 */
export async function pruningOf(
  roots: readonly string[],
  keep: number,
  { s3, now = Date.now() }: { s3?: S3Settings | undefined; now?: number } = {},
): Promise<Pruning> {
  const pruning: Pruning = { keep: [], remove: [] };
  let whole = 0;
  for (const one of await listBackupSets(roots, s3)) {
    const { id, folder } = one;
    const spare = (why: string) => pruning.keep.push({ id, folder, why });
    const drop = (why: string) => pruning.remove.push({ id, folder, why });
    const note = await storageOf(folder, s3)
      .seen(under(folder, UNFINISHED_FILE))
      .catch(() => undefined);
    if ('set' in one && one.set.kind === 'loose') spare('loose files, which this program did not make');
    else if ('set' in one) {
      whole += 1;
      if (whole <= keep) spare(whole === 1 ? 'the newest' : `one of the newest ${keep}`);
      else drop(`older than the newest ${keep}`);
    } else if (!note) spare(`cannot be used, and wants a look: ${one.problem.split('\n')[0]}`);
    else if (now - note.writtenAt.getTime() > DAY_MS) drop('unfinished for more than a day');
    else spare('unfinished: it may still be made');
  }
  return pruning;
}

/** Removes one set. Its manifest goes first, so that what is left, should this end half-way, is known to be unfinished. */
export async function removeSet(gateway: Gateway, folder: string, s3?: S3Settings): Promise<void> {
  const storage = storageOf(folder, s3);
  await storage.putText(
    gateway,
    under(folder, UNFINISHED_FILE),
    'This backup set is being removed. It cannot be restored from.\n',
  );
  await storage.remove(gateway, under(folder, MANIFEST_FILE));
  if (!storage.isHere) await storage.forgetHalfSent(gateway, folder);
  await storage.remove(gateway, folder);
}
