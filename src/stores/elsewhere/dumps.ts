import { basename, dirname } from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import type { S3Settings } from '../../config/s3.js';
import { inParallel } from '../../in-parallel.js';
import { countOf, instantOf, messageOf, sizeOf } from '../../words.js';
import type { BackupFile } from '../backup-set/backup-set.js';
import { lookAtDump } from '../backup-set/good-dump.js';
import { MANIFEST_FILE, UNFINISHED_FILE } from '../backup-set/manifest.js';
import { LARGEST_MANIFEST, parseManifest } from '../backup-set/open-backup-set.js';
import { DUMP_MAGIC } from '../postgres/dump.js';
import { newestTools } from '../postgres/tools.js';
import { type FileSeen, folderOf, headOf, readWhole, type Storage, under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import { lookedAt, notLookedAt, type Place, type Source } from './source.js';

const MOST_FILES = 100_000;
/** So many dumps, the newest, are read to their end; of more only the table of contents. */
const MOST_READ = 10;
const LOOKED_AT_AT_ONCE = 32;

/**
 * Everything below a folder that was made of a Postgres database: dumps of every format (also in sets that are unfinished or
 * unusable) and base backups. What a file is is read from its content. `restore`: how a folder with a dump is restored from.
 */
export async function lookForDumps(
  folder: string,
  restore: (folder: string) => string,
  s3?: S3Settings,
): Promise<Place> {
  try {
    const storage = storageOf(folder, s3);
    const files = await storage.filesBelow(folder);
    const known: { seen: FileSeen; kind: Kind | undefined }[] = [];
    await inParallel(files.slice(0, MOST_FILES), LOOKED_AT_AT_ONCE, async (seen) => {
      known.push({ seen, kind: await kindOf(seen, storage) });
    });
    known.sort((a, b) => b.seen.writtenAt.getTime() - a.seen.writtenAt.getTime());
    const sources: Source[] = [];
    let read = 0;
    for (const { seen, kind } of known) {
      if (kind === 'dump') {
        sources.push(await customDump(seen, storage, restore, read < MOST_READ));
        read += 1;
      } else if (kind !== undefined) sources.push(otherKind(seen.file, kind));
    }
    if (files.length > MOST_FILES)
      return { ...lookedAt(folder, sources), unreadable: `it holds more than ${countOf(MOST_FILES)} files` };
    return lookedAt(folder, sources);
  } catch (error) {
    return notLookedAt(folder, messageOf(error));
  }
}

type Kind = 'dump' | 'folder of a dump' | 'SQL script of pg_dump' | 'base backup';

async function kindOf(seen: FileSeen, storage: Storage): Promise<Kind | undefined> {
  const name = basename(seen.file);
  // pg_basebackup writes its manifest last; a data directory that was copied by hand has a label at most.
  if (name === 'backup_manifest' || name === 'backup_label' || /^base\.tar(\.\w+)?$/.test(name)) return 'base backup';
  const head = await headOf(storage, seen, HEAD_BYTES);
  if (head.toString('latin1', 0, DUMP_MAGIC.length) === DUMP_MAGIC)
    return name === 'toc.dat' ? 'folder of a dump' : 'dump';
  return beginningOf(head).includes('-- PostgreSQL database dump') ? 'SQL script of pg_dump' : undefined;
}

const HEAD_BYTES = 4096;

const GZIP = 0x1f8b;

/** The first characters of a file, of a compressed one those that it was made of. */
function beginningOf(head: Buffer): string {
  if (head.length < 2 || head.readUInt16BE(0) !== GZIP) return head.toString('latin1', 0, 512);
  try {
    return gunzipSync(head, { finishFlush: constants.Z_SYNC_FLUSH }).toString('latin1', 0, 512);
  } catch {
    // Compressed, but not so that it can be read.
    return '';
  }
}

function otherKind(path: string, kind: Exclude<Kind, 'dump'>): Source {
  const where = kind === 'SQL script of pg_dump' ? path : dirname(path);
  const next = {
    'folder of a dump': `into an empty database: pg_restore --clean --if-exists --dbname DATABASE '${where}'`,
    'SQL script of pg_dump': `into an empty database: psql --dbname DATABASE --file '${where}' (gunzip first where it is compressed)`,
    'base backup': 'novamem-runbook plan postgres-point-in-time',
  };
  return { what: kind, where, facts: 'not looked into', worth: 'perhaps', next: next[kind] };
}

/** With the SHA-256 that the manifest of its set vouches for, where there is one. */
async function vouchedFor({ file, bytes }: FileSeen, storage: Storage): Promise<BackupFile> {
  const set = folderOf(folderOf(file));
  const dump = { file, bytes, storage };
  try {
    const manifest = under(set, MANIFEST_FILE);
    const part = parseManifest(await readWhole(storage, manifest, LARGEST_MANIFEST), manifest).parts.postgres;
    if (part && under(set, part.file) === file) return { ...dump, bytes: part.bytes, sha256: part.sha256 };
  } catch {
    // No manifest, or none that can be read: the dump stands for itself.
  }
  return dump;
}

async function customDump(
  seen: FileSeen,
  storage: Storage,
  restore: (folder: string) => string,
  whole: boolean,
): Promise<Source> {
  const { file, bytes: size, writtenAt: mtime } = seen;
  const dump = await vouchedFor(seen, storage);
  const look = await lookAtDump(dump, await newestTools(), whole ? {} : { upTo: 0 });
  const taken = look.createdAt ? `made ${instantOf(look.createdAt)}` : `written ${instantOf(mtime)}`;
  const memories = Object.entries(look.rows).find(([table]) => table.endsWith('.memory_entries'))?.[1];
  const source = { what: 'dump', where: file };
  if (look.tooNew)
    return {
      ...source,
      facts: `${sizeOf(size)}, ${taken}; ${look.fault}`,
      worth: 'perhaps',
      next: 'look at it with newer programs (Debian: apt-get install postgresql-client-VERSION), or on another machine',
    };
  if (look.fault !== '')
    return { ...source, facts: `${sizeOf(size)}, ${taken}; UNUSABLE: ${look.fault}`, worth: 'none' };
  if (look.whole && memories === undefined)
    return {
      ...source,
      facts: `${sizeOf(size)}, ${taken}, whole, but not of novamem: no memories in it`,
      worth: 'none',
    };
  return {
    ...source,
    facts: look.whole
      ? `${sizeOf(size)}, ${taken}, whole: ${countOf(memories!)} memories`
      : `${sizeOf(size)}, ${taken}, not read to its end`,
    worth: look.whole && memories! > 0 ? 'good' : memories === 0 ? 'none' : 'perhaps',
    next: restore(await openableFolder(file, storage)),
  };
}

/** The folder that a run can restore from: the backup set, else (where that is unfinished or has no manifest) the dump's own. */
async function openableFolder(file: string, storage: Storage): Promise<string> {
  const own = folderOf(file);
  const set = folderOf(own);
  const isSet = (await storage.seen(under(set, MANIFEST_FILE))) && !(await storage.seen(under(set, UNFINISHED_FILE)));
  return isSet && basename(own) === 'postgres' ? set : own;
}
