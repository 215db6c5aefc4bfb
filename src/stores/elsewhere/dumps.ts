import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { exists, filesBelow } from '../../hosts/files.js';
import { countOf, instantOf, messageOf, sizeOf } from '../../words.js';
import type { BackupFile } from '../backup-set/backup-set.js';
import { lookAtDump } from '../backup-set/good-dump.js';
import { MANIFEST_FILE, UNFINISHED_FILE } from '../backup-set/manifest.js';
import { readManifest } from '../backup-set/open-backup-set.js';
import { firstBytes, looksLikeDump } from '../postgres/dump.js';
import { newestTools } from '../postgres/tools.js';
import { lookedAt, notLookedAt, type Place, type Source } from './source.js';

const MOST_FILES = 100_000;
/** So many dumps, the newest, are read to their end; of more only the table of contents. */
const MOST_READ = 10;

/**
 * Everything below a folder that was made of a Postgres database: dumps of every format (also in sets that are unfinished or
 * unusable) and base backups. What a file is is read from its content. `restore`: how a folder with a dump is restored from.
 */
export async function lookForDumps(folder: string, restore: (folder: string) => string): Promise<Place> {
  if (/^[a-z0-9]+:\/\//.test(folder))
    return notLookedAt(folder, 'only local folders can be looked at from here: look there by hand');
  try {
    const names = await filesBelow(folder);
    const paths = names.slice(0, MOST_FILES).map((name) => join(folder, name));
    const dated = await Promise.all(paths.map(async (path) => ({ path, at: (await stat(path)).mtimeMs })));
    dated.sort((a, b) => b.at - a.at);
    const sources: Source[] = [];
    let read = 0;
    for (const { path } of dated) {
      const kind = await kindOf(path);
      if (kind === 'dump') {
        sources.push(await customDump(path, restore, read < MOST_READ));
        read += 1;
      } else if (kind !== undefined) sources.push(otherKind(path, kind));
    }
    if (names.length > MOST_FILES)
      return { ...lookedAt(folder, sources), unreadable: `it holds more than ${countOf(MOST_FILES)} files` };
    return lookedAt(folder, sources);
  } catch (error) {
    return notLookedAt(folder, messageOf(error));
  }
}

type Kind = 'dump' | 'folder of a dump' | 'SQL script of pg_dump' | 'base backup';

async function kindOf(path: string): Promise<Kind | undefined> {
  const name = basename(path);
  // pg_basebackup writes its manifest last; a data directory that was copied by hand has a label at most.
  if (name === 'backup_manifest' || name === 'backup_label' || /^base\.tar(\.\w+)?$/.test(name)) return 'base backup';
  if (await looksLikeDump(path)) return name === 'toc.dat' ? 'folder of a dump' : 'dump';
  return (await beginningOf(path)).includes('-- PostgreSQL database dump') ? 'SQL script of pg_dump' : undefined;
}

const GZIP = 0x1f8b;

/** The first characters of a file, of a compressed one those that it was made of. */
async function beginningOf(path: string): Promise<string> {
  const head = await firstBytes(path, 512);
  if (head.length < 2 || head.readUInt16BE(0) !== GZIP) return head.toString('latin1');
  try {
    const stream = createReadStream(path, { end: 4095 }).pipe(createGunzip());
    for await (const chunk of stream) return (chunk as Buffer).toString('latin1', 0, 512);
  } catch {
    // Compressed, but not so that it can be read.
  }
  return '';
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

/** The SHA-256 that the manifest of its set vouches for, where there is one. */
function vouchedFor(file: string, bytes: number): BackupFile {
  const set = dirname(dirname(file));
  try {
    const part = readManifest(set).parts.postgres;
    if (part && join(set, part.file) === file) return { file, bytes: part.bytes, sha256: part.sha256 };
  } catch {
    // No manifest, or none that can be read: the dump stands for itself.
  }
  return { file, bytes };
}

async function customDump(file: string, restore: (folder: string) => string, whole: boolean): Promise<Source> {
  const { size, mtime } = await stat(file);
  const look = await lookAtDump(vouchedFor(file, size), await newestTools(), whole ? {} : { upTo: 0 });
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
    next: restore(await openableFolder(file)),
  };
}

/** The folder that a run can restore from: the backup set, else (where that is unfinished or has no manifest) the dump's own. */
async function openableFolder(file: string): Promise<string> {
  const own = dirname(file);
  const set = dirname(own);
  const isSet = (await exists(join(set, MANIFEST_FILE))) && !(await exists(join(set, UNFINISHED_FILE)));
  return isSet && basename(own) === 'postgres' ? set : own;
}
