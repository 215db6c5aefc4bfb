import { createHash } from 'node:crypto';
import {
  access,
  chmod,
  chown,
  constants,
  copyFile,
  cp,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  statfs,
  symlink,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { commandText, movingText } from './command.js';
import { keepNames, keepOnDisk, keepPlace, writeDurably } from './durable.js';
import type { Gateway } from './gateway.js';

const shell = (file: string, ...args: string[]) => commandText({ file, args });

export async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Whether this process may write to a file that is there. */
export async function mayWriteTo(file: string): Promise<boolean> {
  return access(file, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** Bytes that are free for this user on the file system that a path is or will be on: that of the nearest folder above it that is there. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(await nearestThere(path));
  return bavail * bsize;
}

/** Whether two paths are, or will be, on one file system. */
export async function onSameDisk(one: string, other: string): Promise<boolean> {
  const [a, b] = await Promise.all([one, other].map(async (path) => (await stat(await nearestThere(path))).dev));
  return a === b;
}

/** A path, or the nearest folder above it that is there. */
async function nearestThere(path: string): Promise<string> {
  let there = path;
  while (!(await exists(there)) && dirname(there) !== there) there = dirname(there);
  return there;
}

/** The same of a server's own folder; undefined where neither it nor the one above it is on this machine. */
export async function freeBytesIfHere(folder: string): Promise<number | undefined> {
  return (await exists(folder)) || (await exists(dirname(folder))) ? freeBytes(folder) : undefined;
}

/** SHA-256 of a file as 64 hex digits, read as a stream. `onBytes` is told how many bytes each read brought. */
export async function sha256Of(
  file: string,
  { onBytes, signal }: { onBytes?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<string> {
  const hash = createHash('sha256');
  const source = await open(file);
  try {
    // One piece of memory for the whole file: a fresh one for each read has the garbage collector at work all the time.
    const piece = Buffer.allocUnsafeSlow(1 << 20);
    for (;;) {
      signal?.throwIfAborted();
      const { bytesRead } = await source.read(piece);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(piece.subarray(0, bytesRead));
      onBytes?.(bytesRead);
    }
  } finally {
    await source.close();
  }
}

/**
 * Writes what a source brings into a new file for its owner only, and answers its bytes and SHA-256, computed on the way. A file that
 * is there already is refused; what was written is removed where it does not end well. The disk is not waited for.
 */
export async function writeHashed(
  source: AsyncIterable<Buffer>,
  file: string,
  { onBytes, signal }: { onBytes?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const hashed = async function* (pieces: AsyncIterable<Buffer>) {
    for await (const piece of pieces) {
      hash.update(piece);
      bytes += piece.length;
      onBytes?.(piece.length);
      yield piece;
    }
  };
  // Opened first: a file that is there already is refused, and must not be taken away.
  const target = await open(file, 'wx', 0o600);
  try {
    await pipeline(source, hashed, target.createWriteStream(), { signal });
    return { bytes, sha256: hash.digest('hex') };
  } catch (error) {
    await rm(file, { force: true });
    const { syscall, message } = error as NodeJS.ErrnoException;
    throw syscall === 'write' ? new Error(`writing ${file}: ${message}`, { cause: error }) : error;
  }
}

/** Every plain file below a folder, as paths relative to it, sorted. Symbolic links are not followed. */
export async function filesBelow(folder: string, deepest = 8): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const nested = await Promise.all(
    entries.map(async (entry) => {
      if (entry.isFile()) return [entry.name];
      if (!entry.isDirectory() || deepest === 0) return [];
      return (await filesBelow(join(folder, entry.name), deepest - 1)).map((below) => join(entry.name, below));
    }),
  );
  return nested.flat().sort();
}

/** Renames a file or folder within its file system: nothing is copied and nothing is deleted. It is on disk then. */
export function moveAside(gateway: Gateway, from: string, to: string): Promise<void> {
  return gateway.change({ channel: 'file', text: shell('mv', '-T', from, to) }, async () => {
    await mkdir(dirname(to), { recursive: true });
    if (await exists(to)) throw new Error(`${to} exists already`);
    await rename(from, to);
    await keepPlace(to);
    await keepNames(dirname(from));
  });
}

/** As `HostFiles.moveEntries`. They are on disk then. */
export async function moveEntries(
  gateway: Gateway,
  from: string,
  to: string,
  names: readonly string[],
): Promise<void> {
  if (names.length === 0) return;
  await gateway.change({ channel: 'file', text: movingText(from, to, names) }, async () => {
    for (const name of names) if (await exists(join(to, name))) throw new Error(`${join(to, name)} exists already`);
    for (const name of names) await rename(join(from, name), join(to, name));
    for (const folder of [from, to]) await keepNames(folder);
  });
}

/**
 * Copies a file or a folder with its content; the copy is on disk then. The target must not exist, and has no links: who writes
 * into it changes nothing else.
 */
export function copyTo(gateway: Gateway, from: string, to: string): Promise<void> {
  return gateway.change({ channel: 'file', text: shell('cp', '-rLT', from, to) }, async () => {
    await mkdir(dirname(to), { recursive: true });
    await cp(from, to, {
      recursive: true,
      dereference: true,
      errorOnExist: true,
      force: false,
      preserveTimestamps: true,
    });
    await keepOnDisk(to);
  });
}

/** What a file system, or the kernel for a file that is somebody else's, says where there can be no second name. */
const NO_SECOND_NAME = new Set(['EXDEV', 'EPERM', 'EACCES', 'ENOTSUP', 'ENOSYS', 'EMLINK']);

/**
 * Gives a file a second name, under which it is its new owner's alone: for one whose first name is removed next. Answers whether
 * it could be done; if not, nothing was changed. The disk is not waited for.
 */
export function giveSecondName(gateway: Gateway, file: string, name: string): Promise<boolean> {
  return gateway.change({ channel: 'file', text: shell('ln', '-T', file, name) }, async () => {
    let isNamed = false;
    try {
      await link(file, name);
      isNamed = true;
      await chmod(name, 0o600);
      if (process.getuid?.() === 0) await chown(name, 0, process.getgid?.() ?? 0);
      return true;
    } catch (error) {
      if (isNamed) await rm(name, { force: true });
      if (NO_SECOND_NAME.has((error as NodeJS.ErrnoException).code ?? '')) return false;
      throw error;
    }
  });
}

/**
 * Copies what is in a folder into another that is there, except for the names in `without` (of its top level). Files are
 * copied one by one, so that it can be told how far it is, and ended between two of them; they are on disk then. Links are refused: what they name
 * may be shared with whatever they were copied from.
 */
export function copyContent(
  gateway: Gateway,
  from: string,
  to: string,
  {
    without = [],
    onBytes = () => {},
    signal,
  }: { without?: readonly string[]; onBytes?: (bytes: number) => void; signal?: AbortSignal } = {},
): Promise<void> {
  const copy = async (source: string, target: string, leaveOut: readonly string[]): Promise<void> => {
    for (const entry of await readdir(source, { withFileTypes: true })) {
      signal?.throwIfAborted();
      if (leaveOut.includes(entry.name)) continue;
      const [one, other] = [join(source, entry.name), join(target, entry.name)];
      if (entry.isDirectory()) {
        await mkdir(other, { mode: 0o700 });
        await copy(one, other, []);
      } else if (entry.isFile()) {
        await copyFile(one, other, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
        onBytes((await stat(other)).size);
      } else throw new Error(`${one} is neither a file nor a folder`);
    }
  };
  return gateway.change({ channel: 'file', text: shell('cp', '-r', `${from}/.`, to) }, async () => {
    await copy(from, to, without);
    await keepOnDisk(to);
  });
}

/** Sets the rights of a file or folder, whatever the umask was when it was made. */
export function setMode(gateway: Gateway, path: string, mode: number): Promise<void> {
  return gateway.change({ channel: 'file', text: shell('chmod', mode.toString(8), path) }, () => chmod(path, mode));
}

export function makeFolder(gateway: Gateway, path: string, mode = 0o700): Promise<void> {
  return gateway.change({ channel: 'file', text: shell('mkdir', '-p', path) }, async () => {
    await mkdir(path, { recursive: true, mode });
  });
}

/** As `HostFiles.makeLink`. It is on disk then. */
export async function makeLink(gateway: Gateway, to: string, path: string): Promise<void> {
  await gateway.change({ channel: 'file', text: shell('ln', '-s', to, path) }, async () => {
    await symlink(to, path);
    await keepNames(dirname(path));
  });
}

/** Removes a file or folder with all that is in it; one that is absent is no error. */
export function remove(gateway: Gateway, path: string): Promise<void> {
  return gateway.change({ channel: 'file', text: shell('rm', '-rf', path) }, async () => {
    await rm(path, { recursive: true, force: true });
    await keepNames(dirname(path));
  });
}

/** Writes a file as a whole: it is there and on disk afterwards, or as it was before. */
export function writeText(gateway: Gateway, path: string, text: string): Promise<void> {
  return gateway.change({ channel: 'file', text: `write ${path} (${Buffer.byteLength(text)} bytes)` }, () =>
    writeDurably(path, text),
  );
}

/** Gives a file or folder, with all that is in it, to a user and group; only root can, so for anybody else it does nothing. */
export async function giveTo(gateway: Gateway, path: string, owner: { uid: number; gid: number }): Promise<void> {
  if (process.getuid?.() !== 0) return;
  await gateway.change({ channel: 'file', text: shell('chown', '-R', `${owner.uid}:${owner.gid}`, path) }, () =>
    chownTree(path, owner),
  );
}

async function chownTree(path: string, owner: { uid: number; gid: number }): Promise<void> {
  await chown(path, owner.uid, owner.gid);
  if (!(await stat(path)).isDirectory()) return;
  for (const name of await readdir(path)) await chownTree(join(path, name), owner);
}

/** Owner-only rights for a file (0600) that was just written. */
export async function closeToOthers(path: string): Promise<void> {
  await chmod(path, 0o600);
}
