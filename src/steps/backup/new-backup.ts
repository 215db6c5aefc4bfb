import { dirname, join } from 'node:path';
import { exists, makeFolder, remove, writeText } from '../../hosts/files.js';
import { UNFINISHED_FILE } from '../../stores/backup-set/manifest.js';
import type { NewBackup, StepContext } from '../step.js';
import { beginSending } from './sending.js';

/** A folder of the new backup set, made empty: what an earlier attempt of the same step had put there is removed. A note in the set says that it is unfinished until its manifest is written. */
export async function newBackupFolder(ctx: StepContext, name: string): Promise<string> {
  const path = await newBackupPlace(ctx, name);
  await makeFolder(ctx.gateway, path);
  return path;
}

/** A path in the new backup set at which nothing is, in a folder that is there: for what brings itself, as a dump does. */
export async function newBackupPlace(ctx: StepContext, name: string): Promise<string> {
  const { id, folder } = newBackupOf(ctx);
  const path = join(folder, name);
  if (await exists(path)) await remove(ctx.gateway, path);
  await makeFolder(ctx.gateway, dirname(path));
  const note = join(folder, UNFINISHED_FILE);
  if (!(await exists(note))) {
    await writeText(
      ctx.gateway,
      note,
      `Backup set ${id}, begun by run ${ctx.runId}, is unfinished: it has no manifest yet. It cannot be restored from.\n`,
    );
  }
  await beginSending(ctx, name);
  return path;
}

export function newBackupOf(ctx: StepContext): NewBackup {
  if (!ctx.newBackup)
    throw new Error('the profile names no backup root (`backups: [ FOLDER ]`), so there is nowhere to put a backup');
  return ctx.newBackup;
}

/** Why no backup can be written here; undefined when one can. */
export function noBackupRoot(ctx: StepContext): { level: 'blocking'; message: string; next: string } | undefined {
  if (ctx.newBackup && dirname(ctx.newBackup.folder) !== '.') return undefined;
  return {
    level: 'blocking',
    message: 'the profile names no backup root, so there is nowhere to put a backup',
    next: 'add to the profile: backups: [ /a/folder ]',
  };
}
