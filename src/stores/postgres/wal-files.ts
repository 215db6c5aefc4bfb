import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeBytes } from '../../hosts/files.js';
import { ownTempFolder } from '../../hosts/temp-folders.js';
import { sizeOf } from '../../words.js';
import { inParallel } from '../qdrant/inventory.js';
import { fetchFile } from '../storage/fetch-file.js';
import type { Storage } from '../storage/storage.js';

/** A file of the log: a segment, or a history. */
export interface LogFile {
  file: string;
  storage: Storage;
}

const AT_ONCE = 4;
/** What was fetched stays until this program ends: every look at the log begins where the one before did. */
let cache: Promise<string> | undefined;
const fetched = new Map<string, Promise<string>>();

function cacheFolder(): Promise<string> {
  cache ??= ownTempFolder('wal');
  return cache;
}

/**
 * Paths under which other programs can open these files, name by name; those that lie elsewhere are fetched, each once.
 * `bytes`: of one file at most. Rejects where there is no room for them.
 */
export async function pathsOf(
  files: ReadonlyMap<string, LogFile>,
  bytes: number,
  signal?: AbortSignal,
): Promise<Map<string, string>> {
  const paths = new Map<string, string>();
  const elsewhere: [string, LogFile][] = [];
  for (const [name, one] of files) {
    if (one.storage.isHere) paths.set(name, one.file);
    else elsewhere.push([name, one]);
  }
  if (elsewhere.length === 0) return paths;
  const folder = await cacheFolder();
  const needed = elsewhere.filter(([, { file }]) => !fetched.has(file)).length * bytes;
  const free = await freeBytes(folder);
  if (needed > 0 && free <= needed)
    throw new Error(
      `${sizeOf(needed)} of log have to be fetched into ${tmpdir()}, and ${sizeOf(free)} are free there; name another folder: TMPDIR=FOLDER`,
    );
  await inParallel(elsewhere, AT_ONCE, async ([name, { file, storage }]) => {
    signal?.throwIfAborted();
    // Others may wait for the same file, who were not told to stop.
    const fetching = fetched.get(file) ?? fetchOne(storage, file, join(folder, name));
    fetched.set(file, fetching);
    fetching.catch(() => fetched.delete(file));
    paths.set(name, await fetching);
  });
  return paths;
}

async function fetchOne(storage: Storage, file: string, to: string): Promise<string> {
  await fetchFile(storage, file, to);
  return to;
}
