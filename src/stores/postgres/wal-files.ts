import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freeBytes } from '../../hosts/files.js';
import { ownTempFolder } from '../../hosts/temp-folders.js';
import { inParallel } from '../../in-parallel.js';
import { sizeOf } from '../../words.js';
import { fetchFile } from '../storage/fetch-file.js';
import type { Readable } from '../storage/storage.js';

/** A file of the log: a segment, or a history. */
export interface LogFile {
  file: string;
  storage: Readable;
  /** Of a file that is still written to: which look at it this is. What another look has fetched is another file. */
  look?: number;
}

const AT_ONCE = 4;
/** What was fetched stays until this program ends: every look at the log begins where the one before did. */
let cache: Promise<string> | undefined;
const fetched = new Map<string, Promise<string>>();
let fetchings = 0;

const keyOf = ({ file, storage, look = 0 }: LogFile) => [storage.of ?? '', file, look].join('\n');

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
  const needed = elsewhere.filter(([, one]) => !fetched.has(keyOf(one))).length * bytes;
  const free = await freeBytes(folder);
  if (needed > 0 && free <= needed)
    throw new Error(
      `${sizeOf(needed)} of log have to be fetched into ${tmpdir()}, and ${sizeOf(free)} are free there; name another folder: TMPDIR=FOLDER`,
    );
  await inParallel(elsewhere, AT_ONCE, async ([name, one]) => {
    signal?.throwIfAborted();
    // Others may wait for the same file, who were not told to stop.
    const key = keyOf(one);
    fetchings += 1;
    const fetching = fetched.get(key) ?? fetchOne(one.storage, one.file, join(folder, `${fetchings}-${name}`));
    fetched.set(key, fetching);
    fetching.catch(() => fetched.delete(key));
    paths.set(name, await fetching);
  });
  return paths;
}

async function fetchOne(storage: Readable, file: string, to: string): Promise<string> {
  await fetchFile(storage, file, to);
  return to;
}
