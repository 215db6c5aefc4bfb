import { countOf, plural } from '../../words.js';
import { type BackupManifest, faultInPlace, readBackupManifest, readBaseBackup } from '../postgres/base-backup.js';
import { checksumBy } from '../postgres/manifest-checksum.js';
import { inParallel } from '../qdrant/inventory.js';
import { HERE } from '../storage/here.js';
import { type Storage, under } from '../storage/storage.js';
import type { BackupSet } from './backup-set.js';

const AT_ONCE = 8;

/**
 * What is wrong with the base backup of a set; empty where nothing was found. Every byte is read: on this machine by
 * pg_verifybackup, of one elsewhere as it comes, with nothing kept. `unread` says of what only the sizes were seen.
 */
export async function faultOfBaseIn({
  postgresBase,
  storage = HERE,
}: Pick<BackupSet, 'postgresBase' | 'storage'>): Promise<{ fault: string; unread: string }> {
  if (!postgresBase) return { fault: '', unread: '' };
  const { folder } = postgresBase;
  if (storage.isHere) return { fault: await faultInPlace(folder), unread: '' };
  const { hasWal } = await readBaseBackup(folder, folder, { storage });
  const { Files = [] } = await readBackupManifest(folder, storage);
  return {
    fault: await faultElsewhere(folder, storage, Files),
    unread: hasWal ? 'the log that it brings along is proven when it is recovered from' : '',
  };
}

async function faultElsewhere(
  folder: string,
  storage: Storage,
  files: NonNullable<BackupManifest['Files']>,
): Promise<string> {
  const named = files.flatMap(({ Path, ...one }) =>
    Path === undefined ? [] : [{ ...one, file: under(folder, Path) }],
  );
  const sizes = await storage.sizesOf(
    folder,
    named.map(({ file }) => file),
  );
  const wrong = named.filter(({ file, Size }) => sizes.get(file) !== Size).map(({ file }) => file);
  if (wrong.length > 0)
    return `${countOf(wrong.length)} of its files are missing or of another size, the first: ${wrong.sort()[0]}`;
  await inParallel(named, AT_ONCE, async ({ file, Checksum, 'Checksum-Algorithm': algorithm }) => {
    const checksum = checksumBy(algorithm);
    if (!checksum) return;
    for await (const piece of storage.read(file)) checksum.update(piece);
    if (checksum.digest() !== Checksum) wrong.push(file);
  });
  return wrong.length === 0
    ? ''
    : `${plural(wrong.length, 'file')} with another checksum than its backup_manifest says, the first: ${wrong.sort()[0]}`;
}
