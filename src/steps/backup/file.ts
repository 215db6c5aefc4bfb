import { nextOf } from '../../problem.js';
import { type BackupFile, type BackupSet, bytesThere } from '../../stores/backup-set/backup-set.js';
import { countOf, messageOf } from '../../words.js';
import type { Finding } from '../step.js';

/** What the first look at a file of a backup set finds: that it is there, with the bytes that it should have. `what`: `dump`, `snapshot`. */
export async function fileFindings(one: BackupFile, what: string): Promise<Finding[]> {
  const { file, bytes } = one;
  const next = 'choose another backup set with --backup';
  let found: number | undefined;
  try {
    found = await bytesThere(one);
  } catch (error) {
    return [{ level: 'blocking', message: `the ${what} cannot be seen. ${messageOf(error)}`, next: nextOf(error) }];
  }
  if (found === undefined) return [{ level: 'blocking', message: `the ${what} ${file} is not there`, next }];
  if (found === bytes) return [];
  const message = `the ${what} ${file} has ${countOf(found)} bytes, the manifest says ${countOf(bytes)}: it was changed or cut off`;
  return [{ level: 'blocking', message, next }];
}

/** That a backup set lacks what a step restores, or that there is no set at all. `what`: `Postgres dump`. */
export function lacks(backup: BackupSet | undefined, what: string): Finding {
  return backup
    ? {
        level: 'blocking',
        message: `the backup set ${backup.id} holds no ${what}`,
        next: 'choose another set with --backup',
      }
    : {
        level: 'blocking',
        message: `there is no backup set, so there is no ${what} to restore`,
        next: 'name its folder with --backup, or add the folder of your backups to the profile (backups)',
      };
}
