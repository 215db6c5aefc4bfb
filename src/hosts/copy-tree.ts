import { constants } from 'node:fs';
import { chmod, copyFile, lstat, mkdir, readdir, realpath, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copyingText } from './command.js';
import { keepOnDisk } from './durable.js';
import { exists } from './files.js';
import type { Gateway } from './gateway.js';
import type { HostFiles, LookingAtTree, TreeEntry } from './host-files.js';

/** What lies below a folder. */
export interface TreeSize {
  files: number;
  folders: number;
  bytes: number;
}

/** One entry below a folder: symbolic links are followed to what they lead to, so that a copy stands by itself. */
interface Entry {
  /** Relative to the folder. */
  path: string;
  kind: 'file' | 'folder';
  bytes: number;
  mode: number;
  mtime: Date;
  atime: Date;
}

/**
 * Every file and folder below a folder. Sockets and the like are left out: they are nothing to keep. Rejects where
 * something cannot be read, or a link leads back into its own path.
 */
async function* entriesBelow(
  folder: string,
  {
    path = '',
    above = [],
    deep = true,
    without = [],
  }: LookingAtTree & { path?: string; above?: readonly string[] } = {},
): AsyncGenerator<Entry, void, undefined> {
  const real = await realpath(join(folder, path));
  if (above.includes(real)) throw new Error(`${join(folder, path)} leads back into itself`);
  for (const name of (await readdir(join(folder, path))).sort()) {
    if (without.includes(name)) continue;
    const below = join(path, name);
    const found = await stat(join(folder, below)).catch(async (error: unknown) => {
      // A link that leads nowhere holds nothing that could be copied.
      if ((await lstat(join(folder, below))).isSymbolicLink()) return undefined;
      throw error;
    });
    if (!found) continue;
    const { mode, mtime, atime } = found;
    if (found.isFile()) yield { path: below, kind: 'file', bytes: found.size, mode, mtime, atime };
    if (!found.isDirectory()) continue;
    yield { path: below, kind: 'folder', bytes: 0, mode, mtime, atime };
    if (deep) yield* entriesBelow(folder, { path: below, above: [...above, real] });
  }
}

/** As `HostFiles.tree`. */
export async function treeOf(folder: string, more: LookingAtTree = {}): Promise<TreeEntry[]> {
  const found: TreeEntry[] = [];
  for await (const { path, kind, bytes, mode, mtime } of entriesBelow(folder, more))
    found.push({ path, kind, bytes, mode: mode & 0o7777, mtime: Math.floor(mtime.getTime() / 1000) });
  return found;
}

type Trees = Pick<HostFiles, 'tree'>;
const LOCAL: Trees = { tree: treeOf };

/** Counts what lies below a folder of a host, links followed, but for some names of its top level. */
export async function sizeOfTree(folder: string, there: Trees = LOCAL, more: LookingAtTree = {}): Promise<TreeSize> {
  const size: TreeSize = { files: 0, folders: 0, bytes: 0 };
  for (const { kind, bytes } of await there.tree(folder, more)) {
    if (kind === 'folder') size.folders += 1;
    else size.files += 1;
    size.bytes += bytes;
  }
  return size;
}

/**
 * What is not the same below a folder of a host, but for some names of its top level, and one of this machine: files that are missing,
 * too many or of another size; empty where nothing is.
 */
export async function differencesBetween(
  left: string,
  right: string,
  there: Trees = LOCAL,
  more: LookingAtTree = {},
): Promise<string[]> {
  const listed = (entries: TreeEntry[]) =>
    new Map(entries.map(({ path, kind, bytes }) => [path, kind === 'folder' ? kind : `${bytes} bytes`]));
  const [a, b] = [listed(await there.tree(left, more)), listed(await treeOf(right))];
  return [...new Set([...a.keys(), ...b.keys()])]
    .sort()
    .filter((path) => a.get(path) !== b.get(path))
    .map((path) => `${path}: ${a.get(path) ?? 'absent'}, in the copy ${b.get(path) ?? 'absent'}`);
}

/**
 * Copies a folder with all that is in it but for some names of its top level, links followed, rights and times kept. The target must
 * not exist. Where the file system can share the blocks of two files it does. The copy is on disk then. `onBytes` is told the bytes of each file that was copied.
 */
export function copyTree(
  gateway: Gateway,
  from: string,
  to: string,
  {
    onBytes,
    signal,
    without = [],
  }: { onBytes?: (bytes: number) => void; signal?: AbortSignal; without?: readonly string[] } = {},
): Promise<void> {
  const text = copyingText(from, to, without);
  return gateway.change({ channel: 'file', text }, async () => {
    if (await exists(to)) throw new Error(`${to} exists already`);
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await mkdir(to, { mode: (await stat(from)).mode & 0o7777 });
    const folders: Entry[] = [];
    for await (const entry of entriesBelow(from, { without })) {
      signal?.throwIfAborted();
      const target = join(to, entry.path);
      if (entry.kind === 'folder') {
        await mkdir(target, { mode: 0o700 });
        folders.push(entry);
        continue;
      }
      await copyFile(join(from, entry.path), target, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
      await chmod(target, entry.mode & 0o7777);
      await utimes(target, entry.atime, entry.mtime);
      onBytes?.(entry.bytes);
    }
    // Last, and the innermost first: writing into a folder changes its time, and its rights may forbid it.
    for (const { path, mode, atime, mtime } of folders.reverse()) {
      await chmod(join(to, path), mode & 0o7777);
      await utimes(join(to, path), atime, mtime);
    }
    await keepOnDisk(to);
  });
}
