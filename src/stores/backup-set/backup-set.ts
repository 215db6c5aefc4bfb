import { stat } from 'node:fs/promises';
import { countOf } from '../../words.js';
import type { FalkordbFiles } from '../falkordb/persistence.js';
import type { GoldenSearch } from '../novamem/golden-searches.js';
import type { Inventory, Moving } from './manifest.js';

/** A file to restore from. `sha256` only where a manifest vouches for it. */
export interface BackupFile {
  file: string;
  bytes: number;
  sha256?: string;
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
  folder: string;
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

/** The first file of a set that is not there as its manifest says, in words; empty where all are. None of them is read for it. */
export async function gapIn({ postgres, qdrant, falkordb }: BackupSet): Promise<string> {
  for (const { file, bytes } of [...(postgres ? [postgres] : []), ...qdrant, ...(falkordb?.files ?? [])]) {
    const found = await bytesOf(file).catch(() => undefined);
    if (found === undefined) return `${file} is missing`;
    if (found !== bytes) return `${file} has ${countOf(found)} bytes, and the manifest says ${countOf(bytes)}`;
  }
  return '';
}
