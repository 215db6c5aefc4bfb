import { inParallel } from '../../in-parallel.js';
import { countOf, plural } from '../../words.js';
import { faultInPlace, readBackupManifest, readBaseBackup } from '../postgres/base-backup.js';
import { checksumBy } from '../postgres/manifest-checksum.js';
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
  return {
    fault: (await sizeFault(folder, storage)) || (await contentFault(folder, storage)),
    unread: hasWal ? 'the log that it brings along is proven when it is recovered from' : '',
  };
}

/** The files that a base backup lists, where they should be. */
async function listed(folder: string, storage: Storage) {
  const { Files = [] } = await readBackupManifest(folder, storage);
  return Files.flatMap(({ Path, ...one }) => (Path === undefined ? [] : [{ ...one, file: under(folder, Path) }]));
}

/** Which of the files that a base backup lists are missing or of another size; empty where none is. None of them is read. */
export async function sizeFault(folder: string, storage: Storage): Promise<string> {
  const named = await listed(folder, storage);
  const sizes = await storage.sizesOf(
    folder,
    named.map(({ file }) => file),
  );
  const wrong = named.filter(({ file, Size }) => sizes.get(file) !== Size).map(({ file }) => file);
  return wrong.length === 0
    ? ''
    : `${countOf(wrong.length)} of its files are missing or of another size, the first: ${wrong.sort()[0]}`;
}

async function contentFault(folder: string, storage: Storage): Promise<string> {
  const wrong: string[] = [];
  await inParallel(
    await listed(folder, storage),
    AT_ONCE,
    async ({ file, Checksum, 'Checksum-Algorithm': algorithm }) => {
      const checksum = checksumBy(algorithm);
      if (!checksum) return;
      for await (const piece of storage.read(file)) checksum.update(piece);
      if (checksum.digest() !== Checksum) wrong.push(file);
    },
  );
  return wrong.length === 0
    ? ''
    : `${plural(wrong.length, 'file')} with another checksum than its backup_manifest says, the first: ${wrong.sort()[0]}`;
}
