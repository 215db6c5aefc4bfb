import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { countOf } from '../../words.js';
import type { FalkordbFiles } from '../falkordb/persistence.js';
import type { GoldenSearch } from '../novamem/golden-searches.js';
import { HERE } from '../storage/here.js';
import type { Storage, Transfer } from '../storage/storage.js';
import type { Inventory, Moving } from './manifest.js';

/** A file to restore from. `sha256` only where a manifest vouches for it. */
export interface BackupFile {
  /** Its path, or its URL. */
  file: string;
  bytes: number;
  sha256?: string;
  /** Where it lies; absent: on a disk of this machine. */
  storage?: Storage;
}

/** A backup set as the steps use it, whether it has a manifest or is a folder of loose files. */
/** A snapshot of a collection, or of one of its shards with what makes the collection again. */
export interface QdrantSnapshot extends BackupFile {
  collection: string;
  shard?: number;
  creation?: Record<string, unknown>;
}

export interface BackupSet {
  id: string;
  /** Its path, or its URL. */
  folder: string;
  /** Where it lies; absent: on a disk of this machine. */
  storage?: Storage;
  kind: 'manifest' | 'loose';
  /** Of the manifest's own bytes: folders with the same hold the same set. Absent for loose files. */
  manifestSha256?: string;
  /** The oldest instant among its stores: what is younger is lost by restoring it. Null when nothing says. */
  takenAt: Date | null;
  bytes: number;
  postgres?: BackupFile;
  /** A copy of the whole data directory beside the dump: only a recovery to a point in time begins with it. */
  postgresBase?: { folder: string; manifest: BackupFile; endedAt: Date };
  /** Sorted by collection and shard. A loose snapshot whose name does not tell its collection is in `unnamed` instead. */
  qdrant: QdrantSnapshot[];
  unnamed: BackupFile[];
  falkordb?: FalkordbFiles & { files: BackupFile[] };
  /** Other forms of the same store that lie beside it. */
  otherFalkordb: (FalkordbFiles & { files: BackupFile[] })[];
  inventory?: Inventory;
  /** What was written to while it was backed up, as it was at the beginning. */
  moving?: Moving;
  /** Empty for loose files, and where novamem could not be asked when the backup was taken. */
  goldenSearches: GoldenSearch[];
  /** Who found it; absent where nothing says. */
  goldenSearchesBy?: 'novamem' | 'stand-in';
  cluster?: string;
  skewMs?: number;
  /** What cannot be proven about it, a sentence each. */
  unproven: string[];
}

/** Bytes of a file that is there; the manifest's word is not enough. */
export async function bytesOf(file: string): Promise<number> {
  return (await stat(file)).size;
}

/** Bytes of a file of a set as it lies there now; undefined where it is not there. */
export async function bytesThere({ file, storage = HERE }: BackupFile): Promise<number | undefined> {
  return (await storage.seen(file))?.bytes;
}

/** SHA-256 of a file of a set as 64 hex digits, wherever it lies. */
export async function checksumOf(
  { file, storage = HERE }: BackupFile,
  { onBytes = () => {}, signal }: Transfer = {},
): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of storage.read(file, { signal })) {
    hash.update(piece);
    onBytes(piece.length);
  }
  return hash.digest('hex');
}

/** The first file of a set that is not there as its manifest says, in words; empty where all are. None of them is read for it. */
export async function gapIn({ folder, storage = HERE, postgres, qdrant, falkordb }: BackupSet): Promise<string> {
  const files = [...(postgres ? [postgres] : []), ...qdrant, ...(falkordb?.files ?? [])];
  const sizes = await storage.sizesOf(
    folder,
    files.map(({ file }) => file),
  );
  for (const { file, bytes } of files) {
    const found = sizes.get(file);
    if (found === undefined) return `${file} is missing`;
    if (found !== bytes) return `${file} has ${countOf(found)} bytes, and the manifest says ${countOf(bytes)}`;
  }
  return '';
}
