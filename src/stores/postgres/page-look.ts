import { sleep } from '../../hosts/waiting.js';
import type { Reading } from './connection.js';
import { pageFault } from './page.js';

// Every page of the server's files, read as bytes through the server: indexes and catalogs have no other way to be read to
// their end, and a page that is still sound in the server's memory may be damaged on disk.

const PAGES_AT_ONCE = 128;
/** A page that is just being written may be seen torn: it is looked at again. */
const LOOKS = 3;
const BETWEEN_LOOKS = 300;

/** A file of the server with pages in it, by its path in the data directory; a large one has further segments. */
export interface PagedFile {
  path: string;
  /** What it is for people: `index public.memory_entries_pkey`. */
  what: string;
  /** Whom its damage hurts: novamem's own data, the catalogs of its database, or the whole server. */
  scope: Scope;
  bytes: number;
}
export type Scope = 'novamem' | 'catalog' | 'cluster';

export interface DamagedFile {
  path: string;
  what: string;
  scope: Scope;
  /** `the file is missing`, `block 3: its checksum does not fit` */
  faults: string[];
  blocks: number[];
}

export interface PageLookOptions {
  blockSize: number;
  checksums: boolean;
  onBytes: (bytes: number) => void;
  /** The time (milliseconds) after which nothing more is read. */
  until: number;
  signal: AbortSignal;
}

/** Reads these files page by page. Needs a role that may read the server's files. `left`: what there was no time for. */
export async function lookAtPages(
  reading: Reading,
  files: readonly PagedFile[],
  options: PageLookOptions,
): Promise<{ damaged: DamagedFile[]; left: PagedFile[] }> {
  const damaged: DamagedFile[] = [];
  for (const [index, file] of files.entries()) {
    options.signal.throwIfAborted();
    if (Date.now() >= options.until) return { damaged, left: files.slice(index) };
    const found = await lookAtFile(reading, file, options);
    if (found.faults.length > 0) damaged.push({ path: file.path, what: file.what, scope: file.scope, ...found });
    options.onBytes(file.bytes);
  }
  return { damaged, left: [] };
}

const MOST_TOLD = 20;

async function lookAtFile(
  reading: Reading,
  { path }: PagedFile,
  options: PageLookOptions,
): Promise<Pick<DamagedFile, 'faults' | 'blocks'>> {
  const { blockSize } = options;
  const found = new Map<number, string>();
  for (let segment = 0, first = 0; ; segment += 1) {
    const file = segment === 0 ? path : `${path}.${segment}`;
    let offset = 0;
    for (;;) {
      options.signal.throwIfAborted();
      const piece = { file, offset, block: first + offset / blockSize };
      const bytes = await bytesAt(reading, piece, PAGES_AT_ONCE * blockSize);
      if (bytes === undefined && segment === 0) return { faults: ['its file is missing'], blocks: [] };
      if (bytes === undefined) return told(found);
      // A file that is certainly damaged need not be proven so block by block.
      const looks = found.size < MOST_TOLD ? LOOKS : 1;
      for (const [block, why] of await faultsIn(reading, piece, bytes, looks, options)) found.set(block, why);
      offset += bytes.length;
      if (bytes.length < PAGES_AT_ONCE * blockSize) break;
    }
    first += Math.ceil(offset / blockSize);
  }
}

function told(found: ReadonlyMap<number, string>): Pick<DamagedFile, 'faults' | 'blocks'> {
  const faults = [...found].slice(0, MOST_TOLD).map(([block, why]) => `block ${block}: ${why}`);
  return { faults, blocks: [...found.keys()] };
}

interface Piece {
  file: string;
  /** Bytes from the file's beginning. */
  offset: number;
  /** The number of its first block in the relation. */
  block: number;
}

async function bytesAt({ query }: Reading, { file, offset }: Piece, length: number): Promise<Buffer | undefined> {
  const [row] = await query<{ bytes: Buffer | null }>('SELECT pg_read_binary_file($1, $2, $3, true) AS bytes', [
    file,
    offset,
    length,
  ]);
  return row?.bytes ?? undefined;
}

/** Block → what is wrong with it, at every one of so many looks. */
async function faultsIn(
  reading: Reading,
  piece: Piece,
  bytes: Buffer,
  looks: number,
  options: PageLookOptions,
): Promise<Map<number, string>> {
  const { blockSize, checksums, signal } = options;
  const faults = new Map<number, string>();
  for (let at = 0; at < bytes.length; at += blockSize) {
    const page = bytes.subarray(at, at + blockSize);
    const block = piece.block + at / blockSize;
    const why =
      page.length < blockSize ? `it is cut off after ${page.length} bytes` : pageFault(page, block, checksums);
    if (why !== '') faults.set(block, why);
  }
  if (faults.size === 0 || looks === 1) return faults;
  await sleep(BETWEEN_LOOKS, signal);
  // What is not there any more (the file was cut off or removed meanwhile) is not damaged.
  const now = (await bytesAt(reading, piece, bytes.length)) ?? Buffer.alloc(0);
  const again = await faultsIn(reading, piece, now, looks - 1, options);
  return new Map([...again].filter(([block]) => faults.has(block)));
}
