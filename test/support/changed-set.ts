import { createHash } from 'node:crypto';
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { MANIFEST_FILE, type Manifest } from '../../src/stores/backup-set/manifest.js';
import { tempFolder } from './temp.js';

/** A copy of a backup set in which something is otherwise. Answers its folder. */
export function changedSet(set: BackupSet, change: (manifest: Manifest, folder: string) => void): string {
  const folder = join(tempFolder('set'), set.id);
  cpSync(set.folder, folder, { recursive: true });
  const file = join(folder, MANIFEST_FILE);
  const manifest = JSON.parse(readFileSync(file, 'utf8')) as Manifest;
  change(manifest, folder);
  writeFileSync(file, JSON.stringify(manifest));
  return folder;
}

/** Has the manifest vouch for a file as it is now, as if it had been so when the backup was taken. */
export function vouchFor(part: { file: string; bytes: number; sha256: string }, folder: string): void {
  const file = join(folder, part.file);
  part.bytes = statSync(file).size;
  part.sha256 = createHash('sha256').update(readFileSync(file)).digest('hex');
}
