import { posix } from 'node:path';
import type { Gateway } from '../../hosts/gateway.js';

/** A file as it lies there now. */
export interface FileSeen {
  /** Its path, or its URL. */
  file: string;
  bytes: number;
  writtenAt: Date;
  /** Of this very content: another one has another. Empty where the storage gives none. */
  version: string;
}

export interface Reading {
  /** The first byte that is wanted, and the last; the whole file where they are absent. */
  from?: number;
  to?: number;
  signal?: AbortSignal | undefined;
}

/**
 * Where backups lie. Folders and files go by their path (`/backups/novamem`), or by their URL (`s3://bucket/novamem`); whoever
 * reads or writes them needs not know which.
 */
interface AnyStorage {
  /** The file as it is; undefined where there is none. Rejects where that cannot be told. */
  seen(file: string): Promise<FileSeen | undefined>;
  /** Names of the folders directly in a folder. */
  foldersIn(folder: string): Promise<string[]>;
  /** Every file below a folder, at any depth, sorted by its name. */
  filesBelow(folder: string): Promise<FileSeen[]>;
  /** Bytes of each of these files that is there, all of them below the folder. */
  sizesOf(folder: string, files: readonly string[]): Promise<Map<string, number>>;
  /**
   * The bytes of a file, in pieces, each of which is to be used up before the one after the next is asked for. Broken transfers
   * go on where they broke. Rejects when the file became another one meanwhile.
   */
  read(file: string, reading?: Reading): AsyncIterable<Buffer>;
  /** Writes a small file as a whole: it is there afterwards, or as it was before. */
  putText(gateway: Gateway, file: string, text: string): Promise<void>;
  /** Removes a file, or a folder with all that is below it. */
  remove(gateway: Gateway, path: string): Promise<void>;
  /** How a shell reads a file: `aws s3 cp s3://… -`. */
  readText(file: string): string;
  /** How a shell brings a folder with all that is in it into a folder of this machine. */
  copyText(folder: string, to: string): string;
}

/** A storage whose files any program of this machine opens by their names. */
export interface LocalStorage extends AnyStorage {
  readonly isHere: true;
}

/** A storage that only this program and its like can open files of: what others are to read is brought here first. */
export interface RemoteStorage extends AnyStorage {
  readonly isHere: false;
  /** Puts a file of this machine there, as a whole; answers the SHA-256 of what was sent. */
  put(gateway: Gateway, from: string, file: string, transfer?: Transfer): Promise<string>;
  /**
   * Puts what comes there, as a whole, without a file here; `expected`: about how many bytes, at most. Where the pieces end in an error
   * nothing is there afterwards, and that error is what it rejects with.
   */
  putStream(
    gateway: Gateway,
    pieces: AsyncIterable<Buffer>,
    file: string,
    transfer?: Transfer & { expected?: number | undefined },
  ): Promise<Sent>;
  /** Gives up what earlier transfers to a file or into a folder, whose process is gone, have left half sent; answers how many there were. */
  forgetHalfSent(gateway: Gateway, path: string): Promise<number>;
  /** How a shell puts a file, or a folder with all that is in it, there. */
  sendText(from: string, to: string, kind: 'file' | 'folder'): string;
  /** How a shell puts what comes on standard input there; `expected` as above. */
  streamText(to: string, expected?: number): string;
}

/** What went over; `sha256` as 64 hex digits. */
export interface Sent {
  bytes: number;
  sha256: string;
}

export type Storage = LocalStorage | RemoteStorage;

/** What reading single files takes. */
export type Readable = Pick<AnyStorage, 'seen' | 'read'> & {
  readonly isHere: boolean;
  /** Whose files these are, where a path alone does not tell: a host. */
  readonly of?: string;
};

export interface Transfer {
  /** Told how many more bytes have come, or gone. */
  onBytes?: (bytes: number) => void;
  signal?: AbortSignal | undefined;
}

export const isS3 = (place: string): boolean => place.startsWith('s3://');

/** Anything with a scheme that is not a path of this machine. */
export const isRemote = (place: string): boolean => /^[a-z0-9]+:\/\//.test(place);

/** A path or URL below another. */
export function under(folder: string, ...names: string[]): string {
  const [, scheme = '', path = ''] = /^([a-z0-9]+:\/\/)?(.*)$/s.exec(folder)!;
  return scheme + posix.join(path, ...names);
}

/** The path or URL of the folder that a file or folder is in. */
export function folderOf(file: string): string {
  const [, scheme = '', path = ''] = /^([a-z0-9]+:\/\/)?(.*)$/s.exec(file)!;
  return scheme + posix.dirname(path);
}

/** A whole small file; one larger than `most` bytes is refused. */
export async function readWhole(storage: Readable, file: string, most = 1 << 20): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of storage.read(file)) {
    bytes += piece.length;
    if (bytes > most) throw new Error(`${file} is larger than ${most} bytes, and so not what it should be`);
    pieces.push(Buffer.from(piece));
  }
  return Buffer.concat(pieces);
}

/** The first bytes of a file, fewer where it has fewer. */
export async function headOf(storage: Storage, { file, bytes }: Pick<FileSeen, 'file' | 'bytes'>, count: number) {
  if (bytes === 0) return Buffer.alloc(0);
  const pieces: Buffer[] = [];
  for await (const piece of storage.read(file, { from: 0, to: Math.min(count, bytes) - 1 }))
    pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
