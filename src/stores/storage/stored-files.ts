import type { FileStat, HostFiles } from '../../hosts/host-files.js';
import { type FileSeen, folderOf, type Storage, under } from './storage.js';

/** As much of a host's files as it takes to read them. */
export type ReadableFiles = Pick<HostFiles, 'exists' | 'list' | 'read' | 'stream'> & {
  stat(path: string): Promise<Pick<FileStat, 'kind' | 'bytes'> | undefined>;
  /** A file larger than this is too far away to be read to its end; absent: none is. */
  mostToStream?: number;
};

const MOST_TO_STREAM = 64 << 20;

/** The files below a folder of a storage, by the paths that they would have if that folder were `at` on this machine. */
export function storedFiles(storage: Storage, folder: string, at: string): ReadableFiles {
  const there = (path: string) => under(folder, path.slice(at.length));
  const known = new Map<string, Promise<FileSeen | undefined>>();
  const seenOnce = (path: string) => {
    const seen = known.get(path) ?? storage.seen(there(path));
    known.set(path, seen);
    return seen;
  };
  const stat: ReadableFiles['stat'] = async (path) => {
    const seen = await seenOnce(path);
    return seen && { kind: 'file', bytes: seen.bytes };
  };
  return {
    mostToStream: MOST_TO_STREAM,
    stat,
    exists: async (path) => (await stat(path)) !== undefined,
    async list(path) {
      const files = (await storage.filesBelow(there(path))).map(({ file }) => file);
      return files
        .filter((file) => folderOf(file) === there(path))
        .map((file) => ({ name: file.slice(there(path).length + 1), kind: 'file' }));
    },
    async read(path, piece) {
      const pieces: Buffer[] = [];
      const bytes = (await seenOnce(path))?.bytes ?? 0;
      const { from, length } = piece ?? { from: 0, length: bytes };
      const to = Math.min(from + length, bytes) - 1;
      if (to < from) return Buffer.alloc(0);
      for await (const one of storage.read(there(path), { from, to })) pieces.push(Buffer.from(one));
      return Buffer.concat(pieces);
    },
    stream: (path, { from, bytes, signal } = {}) =>
      storage.read(there(path), {
        ...(from === undefined ? {} : { from }),
        ...(bytes === undefined ? {} : { to: bytes - 1 }),
        signal,
      }),
  };
}
