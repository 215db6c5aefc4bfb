import type { S3Settings } from '../../config/s3.js';
import { Problem } from '../../problem.js';
import { countOf, messageOf } from '../../words.js';
import { countRows, DumpTooNew } from '../postgres/dump.js';
import { type Installation, installations } from '../postgres/tools.js';
import { HERE } from '../storage/here.js';
import { type BackupFile, type BackupSet, checksumOf } from './backup-set.js';
import { contentsOf } from './contents.js';
import { listBackupSets } from './find-backup-set.js';

/** A dump up to this size is read to its end where there is somebody waiting for the answer. */
export const READ_WHILE_WAITING = 256 * 1024 * 1024;

export interface DumpLook {
  /** Why it cannot be restored from; empty where nothing was found. */
  fault: string;
  /** That is the fault of the programs here, which are older than the dump, and not of the dump. */
  tooNew: boolean;
  /** Whether it was read to its end: else only its size and table of contents were looked at. */
  whole: boolean;
  /** When pg_dump began, where that can be read. */
  createdAt: Date | null;
  /** Rows of each table, where it was read to its end. */
  rows: Record<string, number>;
}

const UNREAD: DumpLook = { fault: '', tooNew: false, whole: false, createdAt: null, rows: {} };

const known = new Map<string, Promise<DumpLook>>();

/**
 * Looks at a dump as a restore would: size, SHA-256 where there is one to compare with, table of contents, every row of one
 * of at most `upTo` bytes. A file that did not change since is not read again: several ways may be offered from one dump.
 */
export async function lookAtDump(
  dump: BackupFile,
  tools: Installation,
  { upTo = READ_WHILE_WAITING }: { upTo?: number } = {},
): Promise<DumpLook> {
  const { storage = HERE } = dump;
  const there = await storage.seen(dump.file).catch(messageOf);
  if (typeof there === 'string') return { ...UNREAD, fault: `the dump ${dump.file} cannot be read: ${there}` };
  if (!there) return { ...UNREAD, fault: `the dump ${dump.file} is not there` };
  const key = [dump.file, there.version, dump.bytes, dump.sha256, tools.bin, upTo].join('\n');
  const look = known.get(key) ?? lookClosely(dump, there.bytes, tools, upTo);
  known.set(key, look);
  return look;
}

async function lookClosely(dump: BackupFile, bytes: number, tools: Installation, upTo: number): Promise<DumpLook> {
  let createdAt: Date | null = null;
  const faulty = (fault: string): DumpLook => ({ ...UNREAD, fault, createdAt });
  if (bytes !== dump.bytes)
    return faulty(
      `the dump ${dump.file} has ${countOf(bytes)} bytes, the manifest says ${countOf(dump.bytes)}: it was changed or cut off`,
    );
  try {
    const contents = await contentsOf(tools, dump);
    createdAt = contents.createdAt;
    // What is not here is read to its end once it is brought here, before anything is dropped.
    if (bytes > upTo || !(dump.storage ?? HERE).isHere) return { ...UNREAD, createdAt };
    const sha256 = dump.sha256 === undefined ? undefined : await checksumOf(dump);
    if (sha256 !== dump.sha256) return faulty(changedDump(dump, sha256));
    const rows = await countRows(tools, dump.file);
    if (contents.tables.length > 0 && Object.keys(rows).length === 0) return faulty(rowlessDump(dump));
    return { ...UNREAD, whole: true, createdAt, rows };
  } catch (error) {
    if (error instanceof DumpTooNew)
      return { ...faulty(`the dump ${dump.file} is of a newer PostgreSQL: ${messageOf(error)}`), tooNew: true };
    if (error instanceof Problem) return faulty(`the dump ${dump.file} cannot be read. ${error.message}`);
    return faulty(`the dump ${dump.file} is damaged: ${messageOf(error)}`);
  }
}

export const changedDump = (dump: BackupFile, sha256: string | undefined) =>
  `the dump ${dump.file} is not the one that was backed up: its SHA-256 is ${sha256}, the manifest says ${dump.sha256}`;
export const rowlessDump = (dump: BackupFile) =>
  `the dump ${dump.file} has tables but no rows in it (a dump of the schema only?)`;

/** The newest other backup set below the roots whose dump can be restored from. `whole`: it was read to its end. */
export async function newestGoodDump(
  roots: readonly string[],
  except: Pick<BackupSet, 'folder'>,
  s3?: S3Settings,
): Promise<{ set: BackupSet; whole: boolean } | undefined> {
  const [newest] = await installations();
  if (!newest) return undefined;
  for (const listed of await listBackupSets(roots, s3)) {
    if (!('set' in listed) || !listed.set.postgres || listed.folder === except.folder) continue;
    const { fault, whole } = await lookAtDump(listed.set.postgres, newest);
    if (fault === '') return { set: listed.set, whole };
  }
  return undefined;
}
