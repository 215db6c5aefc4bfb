import { countOf } from '../../words.js';
import { BACKUP_MANIFEST, faultInPlace, parseBackupManifest } from '../postgres/base-backup.js';
import { HERE } from '../storage/here.js';
import { readWhole, under } from '../storage/storage.js';
import type { BackupSet } from './backup-set.js';

const LARGEST_LIST = 256 * 1024 * 1024;

/**
 * What is wrong with the base backup of a set; empty where nothing was found. One on this machine is read to its last byte; of
 * one elsewhere its files are held against its own list, by name and size: `whole` is false then.
 */
export async function faultOfBaseIn({
  postgresBase,
  storage = HERE,
}: Pick<BackupSet, 'postgresBase' | 'storage'>): Promise<{ fault: string; whole: boolean }> {
  if (!postgresBase) return { fault: '', whole: true };
  const { folder } = postgresBase;
  if (storage.isHere) return { fault: await faultInPlace(folder), whole: true };
  const list = await readWhole(storage, under(folder, BACKUP_MANIFEST), LARGEST_LIST);
  const files = (parseBackupManifest(list.toString('utf8')).Files ?? []).flatMap(({ Path, Size }) =>
    Path === undefined ? [] : [{ file: under(folder, Path), bytes: Size }],
  );
  const sizes = await storage.sizesOf(
    folder,
    files.map(({ file }) => file),
  );
  const wrong = files.filter(({ file, bytes }) => sizes.get(file) !== bytes);
  const [first] = wrong;
  const fault = first
    ? `${countOf(wrong.length)} of its files are missing or of another size, the first: ${first.file}`
    : '';
  return { fault, whole: false };
}
