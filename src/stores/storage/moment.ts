import { type FileHandle, open } from 'node:fs/promises';
import type { Host } from '../../hosts/host.js';
import type { HostFiles } from '../../hosts/host-files.js';
import type { ReadableFiles } from './stored-files.js';

/** Files as they were at one moment: what is appended to them later is no part of them. */
export interface Moment {
  files: ReadableFiles;
  /** Ends it; what reads them then is refused. */
  close(): Promise<void>;
}

interface Source {
  bytes: number;
  /** From one byte up to another. */
  stream(from: number, to: number, signal: AbortSignal | undefined): AsyncIterable<Buffer>;
  close(): Promise<void>;
}

/**
 * The files of a host as they are now, by their paths. Those of this machine are held open: they stay what they are also where they are
 * removed, or others take their names. Of another host's only how long they are is kept. Rejects where one is not there.
 */
export async function momentOn(host: Host, paths: readonly string[]): Promise<Moment> {
  const sources = new Map<string, Source>();
  const close = async () => {
    const held = [...sources.values()];
    sources.clear();
    for (const source of held) await source.close();
  };
  try {
    for (const path of paths) sources.set(path, host.here ? await heldOpen(path) : await seenOn(host.files, path));
  } catch (error) {
    await close();
    throw error;
  }
  async function* stream(path: string, from: number, to: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
    const source = sources.get(path);
    if (!source) throw new Error(`${path} is not held any more`);
    let at = from;
    for await (const piece of source.stream(from, to, signal)) {
      at += piece.length;
      yield piece;
    }
    if (at < to) throw new Error(`${path} of ${host.title} ended at byte ${at} of ${to} while it was read`);
  }
  const files: ReadableFiles = {
    exists: async (path) => sources.has(path),
    stat: async (path) => {
      const source = sources.get(path);
      return source && { kind: 'file', bytes: source.bytes };
    },
    list: async (folder) =>
      [...sources.keys()]
        .filter((path) => path.startsWith(`${folder}/`))
        .map((path) => ({ name: path.slice(folder.length + 1), kind: 'file' })),
    async read(path, piece) {
      const bytes = sources.get(path)?.bytes ?? 0;
      const { from, length } = piece ?? { from: 0, length: bytes };
      const pieces: Buffer[] = [];
      if (from < bytes) for await (const one of stream(path, from, Math.min(from + length, bytes))) pieces.push(one);
      return Buffer.concat(pieces);
    },
    stream: (path, { from = 0, bytes, signal } = {}) =>
      stream(path, from, Math.min(bytes ?? Number.POSITIVE_INFINITY, sources.get(path)?.bytes ?? 0), signal),
  };
  return { files, close };
}

async function heldOpen(path: string): Promise<Source> {
  const handle = await open(path);
  const { size } = await handle.stat();
  return {
    bytes: size,
    stream: (from, to, signal) => piecesOf(handle, from, to, signal),
    close: () => handle.close(),
  };
}

const PIECE_BYTES = 1 << 20;

async function* piecesOf(handle: FileHandle, from: number, to: number, signal: AbortSignal | undefined) {
  for (let at = from; at < to; ) {
    signal?.throwIfAborted();
    // A new one for each: whoever reads may keep some while further ones are read.
    const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, to - at));
    const { bytesRead } = await handle.read(piece, 0, piece.length, at);
    if (bytesRead === 0) return;
    yield piece.subarray(0, bytesRead);
    at += bytesRead;
  }
}

async function seenOn(files: HostFiles, path: string): Promise<Source> {
  const seen = await files.stat(path);
  if (!seen) throw new Error(`${path} is not there`);
  return {
    bytes: seen.bytes,
    async *stream(from, to, signal) {
      // `head -c 0` of a file is nothing that has to be asked for.
      if (to > from) yield* files.stream(path, { from, bytes: to, ...(signal ? { signal } : {}) });
    },
    async close() {},
  };
}
