import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync } from 'node:fs';
import { lstat, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

// What was written survives a power cut only once the disk was told to keep it, and so does the name under which it is found.

/** A folder that may only be passed through, that is gone, or whose file system knows of no such thing, cannot be told to. */
const CANNOT = new Set(['ENOENT', 'EACCES', 'EPERM', 'EINVAL', 'ENOTSUP', 'EBADF', 'EISDIR', 'ENOSYS']);

const harmless = (error: unknown) => CANNOT.has((error as NodeJS.ErrnoException).code ?? '');

/** Has the disk keep the names in a folder: what was made, renamed and removed there. */
export async function keepNames(folder: string): Promise<void> {
  try {
    await sync(folder);
  } catch (error) {
    if (!harmless(error)) throw error;
  }
}

function keepNamesNow(folder: string): void {
  try {
    const descriptor = openSync(folder, 'r');
    try {
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    if (!harmless(error)) throw error;
  }
}

/** Has the disk keep where a path lies: the folders above it may be as new as the path itself. */
export async function keepPlace(path: string): Promise<void> {
  for (const folder of foldersAbove(path)) await keepNames(folder);
}

export function keepPlaceNow(path: string): void {
  for (const folder of foldersAbove(path)) keepNamesNow(folder);
}

function foldersAbove(path: string): string[] {
  const above = dirname(resolve(path));
  return above === dirname(above) ? [above] : [above, ...foldersAbove(above)];
}

/** Has the disk keep a file, or a folder with all that is in it, and where it lies. Links are not followed. */
export async function keepOnDisk(path: string): Promise<void> {
  await keepTree(path);
  await keepPlace(path);
}

async function keepTree(path: string): Promise<void> {
  const found = await lstat(path);
  if (found.isDirectory()) {
    for (const name of await readdir(path)) await keepTree(join(path, name));
    await keepNames(path);
  } else if (found.isFile()) await sync(path);
}

async function sync(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Writes a text into a file that is there afterwards as a whole and on disk, or is as it was before. A file that is replaced
 * keeps its owner and its rights; a new one is for its owner only.
 */
export async function writeDurably(path: string, text: string): Promise<void> {
  // A link goes on to lead to its file.
  const file = await realpath(path).catch(() => path);
  const before = await stat(file).catch(() => undefined);
  const fresh = `${file}.${randomBytes(4).toString('hex')}.new`;
  try {
    const handle = await open(fresh, 'wx', 0o600);
    try {
      await handle.writeFile(text);
      if (before) {
        const { uid, gid } = await handle.stat();
        if (uid !== before.uid || gid !== before.gid) await handle.chown(before.uid, before.gid);
        await handle.chmod(before.mode & 0o7777);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
  await keepPlace(file);
}
