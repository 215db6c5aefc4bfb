import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { exists, freeBytes, makeFolder, remove, sha256Of } from '../../hosts/files.js';
import { localFiles } from '../../hosts/local-files.js';
import { type BackupFile, type BackupSet, bytesOf } from '../../stores/backup-set/backup-set.js';
import { fetchFile } from '../../stores/storage/fetch-file.js';
import { HERE } from '../../stores/storage/here.js';
import { type ReadableFiles, storedFiles } from '../../stores/storage/stored-files.js';
import { sizeOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

// Files of a backup set that other programs have to open by their names: those that lie elsewhere are brought here for as long as
// a step needs them.

const isElsewhere = ({ storage = HERE }: BackupFile) => !storage.isHere;

/** Where a file or folder of the set is once it was brought here; for a set of this machine where it is anyway. */
export function placeHere({ backup, workFolder }: Pick<StepContext, 'backup' | 'workFolder'>, path: string): string {
  if (!backup?.storage || backup.storage.isHere) return path;
  return join(folderHere(workFolder), path.slice(backup.folder.length));
}

/** What reads files of the set by the paths of `placeHere`, wherever they still are. */
export const setFiles = ({ backup, workFolder }: StepContext): ReadableFiles =>
  !backup?.storage || backup.storage.isHere
    ? localFiles
    : storedFiles(backup.storage, backup.folder, folderHere(workFolder));

/** The same words, about files where they lie now. */
export const withOrigin = ({ backup, workFolder }: StepContext, words: string): string =>
  !backup?.storage || backup.storage.isHere ? words : words.replaceAll(folderHere(workFolder), backup.folder);

const folderHere = (workFolder: string) => join(workFolder, 'brought-here');

/** The commands that bring these files here, as a person could paste them; none for files of this machine. */
export const bringingTexts = (ctx: StepContext, files: readonly BackupFile[]): string[] =>
  files.filter(isElsewhere).map(({ file, storage }) => `${storage!.readText(file)} > '${placeHere(ctx, file)}'`);

/** That files lie elsewhere and are brought here first, and whether there is room for them. `what`: `dump`. */
export async function bringingFindings(
  { backup, workFolder }: StepContext,
  files: readonly BackupFile[],
  what: string,
): Promise<Finding[]> {
  const bytes = bytesToBring(files);
  if (bytes === 0) return [];
  const free = await freeFor(workFolder);
  if (free <= bytes) return [{ level: 'blocking', ...noRoom(backup, workFolder, bytes, free) }];
  return [
    {
      level: 'info',
      message: `the ${what} (${sizeOf(bytes)}) lies in ${backup?.folder}: it is brought into ${workFolder} first, where ${sizeOf(free)} are free, and removed from there at the end of the step`,
    },
  ];
}

/** What is free, and what an earlier attempt has filled already. */
const freeFor = async (workFolder: string) =>
  (await freeBytes(workFolder)) + (await bytesBelow(folderHere(workFolder)));

const bytesToBring = (files: readonly BackupFile[]) =>
  files.filter(isElsewhere).reduce((sum, one) => sum + one.bytes, 0);

const noRoom = (backup: BackupSet | undefined, workFolder: string, bytes: number, free: number) => ({
  message: `${sizeOf(bytes)} of ${backup?.folder} have to be brought into ${workFolder}, and ${sizeOf(free)} are free there`,
  next: 'free some there, or keep what this program keeps on a larger disk: NOVAMEM_RUNBOOK_HOME=/a/folder',
});

/** Files as they are on this machine now. Disposed of, what was brought is removed again. */
export interface BroughtHere extends AsyncDisposable {
  files: BackupFile[];
}

/**
 * Brings files of the run's backup set here, those that are not; each is compared with its SHA-256, computed while it is
 * written. Rejects before anything else is done where one is not what the manifest says. What was brought until it broke off stays, for
 * the attempt after it.
 */
export async function bringHere(
  ctx: StepContext,
  files: readonly BackupFile[],
  emit: Emitter<unknown>,
  signal: AbortSignal,
): Promise<BroughtHere> {
  const bytes = bytesToBring(files);
  if (!files.some(isElsewhere)) return { files: [...files], [Symbol.asyncDispose]: async () => {} };
  const folder = folderHere(ctx.workFolder);
  const away = () => remove(ctx.gateway, folder);
  // An attempt that broke off has left it, and it is gone on with.
  const earlier = await bytesBelow(folder);
  const free = await freeFor(ctx.workFolder);
  if (free <= bytes) {
    const { message, next } = noRoom(ctx.backup, ctx.workFolder, bytes, free);
    throw new Error(`${message}. Nothing was changed. ${next}`);
  }
  const onBytes = emit.bytes(bytes, `bringing ${ctx.backup?.id} here from ${ctx.backup?.folder}`);
  if (earlier > 0) emit.output(`${sizeOf(earlier)} are in ${folder} since an earlier attempt, which is gone on with`);
  const brought: BackupFile[] = [];
  for (const file of files) brought.push(isElsewhere(file) ? await bring(ctx, file, onBytes, signal) : file);
  emit.output(`${sizeOf(bytes)} were brought into ${folder}, as they were backed up as far as a checksum says`);
  return { files: brought, [Symbol.asyncDispose]: away };
}

const bytesBelow = async (folder: string) =>
  (await exists(folder)) ? (await HERE.filesBelow(folder)).reduce((sum, { bytes }) => sum + bytes, 0) : 0;

/** An attempt that broke off has brought all of it. */
async function isHereAlready(
  to: string,
  { bytes, sha256 }: { bytes: number; sha256: string | undefined },
  signal: AbortSignal,
): Promise<boolean> {
  return (
    sha256 !== undefined && (await HERE.seen(to))?.bytes === bytes && (await sha256Of(to, { signal })) === sha256
  );
}

async function bring(
  ctx: StepContext,
  { file, bytes, sha256, storage = HERE }: BackupFile,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<BackupFile> {
  const to = placeHere(ctx, file);
  await makeFolder(ctx.gateway, dirname(to));
  return ctx.gateway.change({ channel: 'file', text: `${storage.readText(file)} > '${to}'` }, async () => {
    if (await isHereAlready(to, { bytes, sha256 }, signal)) onBytes(bytes);
    else {
      // Nothing but a checksum could tell two halves of two files.
      const goesOn = sha256 === undefined ? {} : { bytes };
      const got = await fetchFile(storage, file, to, { onBytes, signal, ...goesOn });
      if (sha256 !== undefined && got !== sha256) {
        await rm(to);
        throw new Error(
          `${file} is not the one that was backed up: its SHA-256 is ${got}, the manifest says ${sha256}. Nothing was changed`,
        );
      }
    }
    return { file: to, bytes: await bytesOf(to), ...(sha256 === undefined ? {} : { sha256 }) };
  });
}
