import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { exists, remove, writeText } from '../../hosts/files.js';
import type { Gateway } from '../../hosts/gateway.js';
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
export async function pruningOf(roots: readonly string[], keep: number, now = Date.now()): Promise<Pruning> {
  const pruning: Pruning = { keep: [], remove: [] };
  let whole = 0;
  for (const one of await listBackupSets(roots)) {
    const { id, folder } = one;
    const spare = (why: string) => pruning.keep.push({ id, folder, why });
    const drop = (why: string) => pruning.remove.push({ id, folder, why });
    const note = join(folder, UNFINISHED_FILE);
    if ('set' in one && one.set.kind === 'loose') spare('loose files, which this program did not make');
    else if ('set' in one) {
      whole += 1;
      if (whole <= keep) spare(whole === 1 ? 'the newest' : `one of the newest ${keep}`);
      else drop(`older than the newest ${keep}`);
    } else if (!(await exists(note))) spare(`cannot be used, and wants a look: ${one.problem.split('\n')[0]}`);
    else if (now - (await stat(note)).mtimeMs > DAY_MS) drop('unfinished for more than a day');
    else spare('unfinished: it may still be made');
  }
  return pruning;
}

/** Removes one set. Its manifest goes first, so that what is left, should this end half-way, is known to be unfinished. */
export async function removeSet(gateway: Gateway, folder: string): Promise<void> {
  await writeText(
    gateway,
    join(folder, UNFINISHED_FILE),
    'This backup set is being removed. It cannot be restored from.\n',
  );
  await remove(gateway, join(folder, MANIFEST_FILE));
  await remove(gateway, folder);
}
