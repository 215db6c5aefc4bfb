import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { commandText } from '../../hosts/command.js';
import { filesBelow, remove, writeText } from '../../hosts/files.js';
import type { FileSeen, LocalStorage, Reading } from './storage.js';

const PIECE_BYTES = 1 << 20;

/** The disks of this machine. */
export const HERE: LocalStorage = {
  isHere: true,
  async seen(file) {
    const found = await stat(file).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw error;
    });
    if (!found?.isFile()) return undefined;
    return {
      file,
      bytes: found.size,
      writtenAt: found.mtime,
      version: `${found.ino} ${found.mtimeMs} ${found.size}`,
    };
  },
  async foldersIn(folder) {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  },
  async filesBelow(folder) {
    const names = await filesBelow(folder);
    const found = await Promise.all(names.map((name) => HERE.seen(join(folder, name))));
    return found.filter((one): one is FileSeen => one !== undefined);
  },
  async sizesOf(_folder, files) {
    const sizes = new Map<string, number>();
    await Promise.all(
      files.map(async (file) => {
        const found = await HERE.seen(file).catch(() => undefined);
        if (found) sizes.set(file, found.bytes);
      }),
    );
    return sizes;
  },
  read,
  putText: writeText,
  remove,
  readText: (file) => commandText({ file: 'cat', args: [file] }),
  copyText: (folder, to) => commandText({ file: 'cp', args: ['-rT', folder, to] }),
};

/** Reads one piece while the one before is in use, into the same two buffers all the time: memory stays flat. */
async function* read(file: string, { from = 0, to, signal }: Reading = {}): AsyncGenerator<Buffer> {
  const source = await open(file);
  try {
    const pieces = [Buffer.allocUnsafeSlow(PIECE_BYTES), Buffer.allocUnsafeSlow(PIECE_BYTES)] as const;
    let at = from;
    for (let turn = 0; ; turn = 1 - turn) {
      signal?.throwIfAborted();
      const wanted = to === undefined ? PIECE_BYTES : Math.min(PIECE_BYTES, to + 1 - at);
      if (wanted <= 0) return;
      const { bytesRead } = await source.read(pieces[turn]!, 0, wanted, at);
      if (bytesRead === 0) return;
      at += bytesRead;
      yield pieces[turn]!.subarray(0, bytesRead);
    }
  } finally {
    await source.close();
  }
}
