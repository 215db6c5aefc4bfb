import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { access, open, readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { commandText, copyingText, textSaid } from './command.js';
import { copyTree, treeOf } from './copy-tree.js';
import {
  copyContent,
  copyTo,
  exists,
  freeBytes,
  giveTo,
  makeFolder,
  makeLink,
  moveAside,
  moveEntries,
  remove,
  setMode,
  writeText,
} from './files.js';
import { findProgram } from './find-program.js';
import type { Gateway } from './gateway.js';
import type { Carrying, CarryingTree, Entry, HostFiles, Saying } from './host-files.js';

const kindOf = (found: { isFile(): boolean; isDirectory(): boolean }) =>
  found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other';

const said = (file: string, ...args: string[]) => commandText({ file, args });

const saying: Saying = {
  said,
  saidText: textSaid,
  saidSend: (from, to) => said('cp', from, to),
  saidSendTree: (from, to) => said('cp', '-rT', from, to),
  saidFetchTree: copyingText,
};

/** The files of this machine. */
export const localFiles: HostFiles = {
  exists,
  async stat(path) {
    try {
      const found = await stat(path);
      const { uid, gid, size, mode, mtimeMs, dev: device } = found;
      const mtime = Math.floor(mtimeMs / 1000);
      return { kind: kindOf(found), bytes: size, mode: mode & 0o7777, uid, gid, mtime, device };
    } catch (error) {
      if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
      throw error;
    }
  },
  async list(folder) {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.map(
      (entry): Entry => ({
        name: entry.name,
        kind: entry.isSymbolicLink() ? 'link' : kindOf(entry),
      }),
    );
  },
  tree: treeOf,
  realPath: realpath,
  async read(path, piece) {
    if (!piece) return readFile(path);
    const handle = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(piece.length), 0, piece.length, piece.from);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  },
  stream: (path, { from = 0, bytes, signal } = {}) =>
    createReadStream(path, {
      highWaterMark: 1 << 20,
      signal,
      start: from,
      ...(bytes === undefined ? {} : { end: bytes - 1 }),
    }) as AsyncIterable<Buffer>,
  sha256,
  freeBytes,
  mayWrite: (path) =>
    access(path, constants.W_OK).then(
      () => true,
      () => false,
    ),
  user: async () => process.getuid?.() ?? 0,
  async missing(programs) {
    const found = await Promise.all(programs.map(findProgram));
    return programs.filter((_, index) => found[index] === undefined);
  },
  async workingFolder(pid) {
    try {
      return await readlink(`/proc/${pid}/cwd`);
    } catch {
      try {
        process.kill(pid, 0);
        const isOver = /^State:\s+Z/m.test(await readFile(`/proc/${pid}/status`, 'utf8').catch(() => ''));
        return isOver ? undefined : '';
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === 'EPERM' ? '' : undefined;
      }
    }
  },
  makeFolder,
  moveAside,
  moveEntries,
  makeLink,
  remove,
  writeText,
  setMode,
  giveTo,
  send: carry,
  fetch: carry,
  sendTree,
  fetchTree: copyTree,
  copy: copyTo,
  async open() {},
  async close() {},
  ...saying,
  whileStopped: { ...saying, opening: async () => [], closing: () => [] },
  caution: async () => '',
};

/** Nothing is gone on with: to read what is there costs as much as to copy it. */
async function sendTree(
  gateway: Gateway,
  from: string,
  to: string,
  more: CarryingTree & { without?: readonly string[] } = {},
): Promise<void> {
  if (await exists(to)) await remove(gateway, to);
  await makeFolder(gateway, to);
  await copyContent(gateway, from, to, more);
}

async function sha256(
  path: string,
  { bytes, signal }: { bytes?: number; signal?: AbortSignal } = {},
): Promise<string> {
  const hash = createHash('sha256');
  if (bytes !== 0) for await (const piece of localFiles.stream(path, { bytes, signal })) hash.update(piece);
  return hash.digest('hex');
}

/** `to` is hashed and not `from`: what it must be, the caller knows. */
async function carry(
  gateway: Gateway,
  from: string,
  to: string,
  { onBytes = () => {}, signal }: Carrying = {},
): Promise<string> {
  await copyTo(gateway, from, to);
  const hash = await sha256(to, { signal });
  onBytes((await stat(to)).size);
  return hash;
}
