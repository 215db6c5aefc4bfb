import { readdir } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { S3Settings } from '../../config/s3.js';
import { type Command, commandText } from '../../hosts/command.js';
import { readCommand } from '../../hosts/run-command.js';
import { inParallel } from '../../in-parallel.js';
import { messageOf } from '../../words.js';
import { MANIFEST_FILE, UNFINISHED_FILE } from '../backup-set/manifest.js';
import { LARGEST_MANIFEST, parseManifest } from '../backup-set/open-backup-set.js';
import { HERE } from '../storage/here.js';
import { headOf, isRemote, readWhole, type Storage, under } from '../storage/storage.js';
import { storageOf } from '../storage/storage-of.js';
import { type Installation, toolsFor } from './tools.js';
import { type Lsn, parseLsn } from './wal-position.js';

/** A copy of a whole data directory, as pg_basebackup makes it: where a recovery to a point in time begins. */
export interface BaseBackup {
  /** What it is called to people: the name of the backup set, or of the folder. */
  id: string;
  /** Its path, or its URL. */
  folder: string;
  /** Where it lies; absent: on a disk of this machine. */
  storage?: Storage;
  major: number;
  systemIdentifier: string;
  timeline: number;
  startLsn: Lsn;
  /** Before this position it cannot be recovered to: its files belong to different moments until then. */
  endLsn: Lsn;
  /** No later than this it had ended; undefined where nothing tells. */
  endedAt?: Date;
  files: number;
  bytes: number;
  /** Whether it brings the log of its own duration along. */
  hasWal: boolean;
}

/** The files that tell what a base backup is. */
export const BACKUP_LABEL = 'backup_label';
export const BACKUP_MANIFEST = 'backup_manifest';

/** What a `backup_manifest` says. Files whose names are no UTF-8 have no `Path`. */
export interface BackupManifest {
  Files?: { Path?: string; Size: number; 'Checksum-Algorithm'?: string; Checksum?: string }[];
  'WAL-Ranges'?: { Timeline: number; 'Start-LSN': string; 'End-LSN': string }[];
}

/** A list of a million files takes about 150 MB. */
const LARGEST_LIST = 256 * 1024 * 1024;

/** Reads what a base backup says of itself, wherever it lies. Rejects with why it cannot be used. */
export async function readBaseBackup(
  folder: string,
  id: string,
  { endedAt, storage = HERE }: { endedAt?: Date | undefined; storage?: Storage } = {},
): Promise<BaseBackup> {
  const label = await textIn(storage, under(folder, BACKUP_LABEL));
  if (label === undefined)
    throw new Error(
      (await unpackingWords(folder, storage)) ??
        'it has no backup_label: without it a server would start from the wrong place',
    );
  const major = Number.parseInt((await textIn(storage, under(folder, 'PG_VERSION'))) ?? '', 10);
  if (Number.isNaN(major)) throw new Error('it has no PG_VERSION');
  const manifest = await readBackupManifest(folder, storage);
  const ranges = manifest['WAL-Ranges'] ?? [];
  const start = /^START WAL LOCATION: ([0-9A-F]+\/[0-9A-F]+)/m.exec(label)?.[1];
  const startLsn = parseLsn(start ?? '');
  const endLsn = Math.max(...ranges.map((range) => parseLsn(range['End-LSN']) ?? 0));
  const timeline = Number(/^START TIMELINE: (\d+)/m.exec(label)?.[1] ?? ranges.at(-1)?.Timeline);
  if (startLsn === undefined || !(endLsn > 0) || !Number.isInteger(timeline))
    throw new Error('neither backup_label nor backup_manifest says from where to where in the log it was taken');
  if (
    // In an archive there is an empty one, too.
    ((await storage.seen(under(folder, 'tablespace_map')))?.bytes ?? 0) > 0 ||
    (await namesBelow(storage, under(folder, 'pg_tblspc'))).length > 0
  )
    throw new Error('it has tablespaces of its own, which this program cannot place');
  const files = manifest.Files ?? [];
  return {
    id,
    folder,
    ...(storage.isHere ? {} : { storage }),
    major,
    systemIdentifier: await systemIn(folder, storage),
    timeline,
    startLsn,
    endLsn,
    ...(endedAt ? { endedAt } : {}),
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.Size, 0),
    hasWal: (await namesBelow(storage, under(folder, 'pg_wal'))).some((name) => /^[0-9A-F]{24}$/.test(name)),
  };
}

const ARCHIVE_ENDS = ['', '.gz', '.zst', '.lz4'];

/** How to unpack what `pg_basebackup --format tar` made, into where it is then found; undefined where that is not what it is. */
async function unpackingWords(folder: string, storage: Storage): Promise<string | undefined> {
  const seen = async (name: string) => Boolean(await storage.seen(under(folder, name)));
  for (const end of ARCHIVE_ENDS) {
    if (!(await seen(`base.tar${end}`))) continue;
    const to = under(folder, 'base');
    const bring = storage.isHere
      ? ''
      : `bring it into a folder of this machine first (aws s3 cp --recursive), and there: `;
    const unpack = (archive: string, into: string) =>
      commandText({ file: 'tar', args: ['-xf', under(folder, `${archive}.tar${end}`), '-C', into] });
    const commands = [
      commandText({ file: 'mkdir', args: ['-p', '-m', '700', under(to, 'pg_wal')] }),
      unpack('base', to),
      ...((await seen(`pg_wal.tar${end}`)) ? [unpack('pg_wal', under(to, 'pg_wal'))] : []),
      commandText({ file: 'cp', args: [under(folder, BACKUP_MANIFEST), to] }),
    ];
    return `its files are in base.tar${end}, which must be unpacked to be looked into: ${bring}${commands.join(' && ')}`;
  }
  return undefined;
}

/** Which cluster a data directory is of: its control file begins with that, in this machine's order of bytes. */
async function systemIn(folder: string, storage: Storage): Promise<string> {
  const file = under(folder, 'global', 'pg_control');
  const seen = await storage.seen(file);
  if (!seen || seen.bytes < 8) throw new Error('it has no global/pg_control');
  return (await headOf(storage, seen, 8)).readBigUInt64LE().toString();
}

/** Reads the list of files of a base backup. Rejects with why it cannot be read. */
export async function readBackupManifest(folder: string, storage: Storage): Promise<BackupManifest> {
  const text = await textIn(storage, under(folder, BACKUP_MANIFEST));
  if (text === undefined) throw new Error('it has no backup_manifest, so nothing proves that it is whole');
  try {
    return JSON.parse(text) as BackupManifest;
  } catch (error) {
    throw new Error(`its backup_manifest cannot be read: ${messageOf(error)}`);
  }
}

/** What is in a file; undefined where there is none. Rejects where that cannot be told. */
async function textIn(storage: Storage, file: string): Promise<string | undefined> {
  if (!(await storage.seen(file))) return undefined;
  return (await readWhole(storage, file, LARGEST_LIST)).toString('utf8');
}

const namesIn = (folder: string) => readdir(folder).catch(() => [] as string[]);

/** Names in a folder, empty where there is none; of a bucket also those of the files in folders below it. */
async function namesBelow(storage: Storage, folder: string): Promise<string[]> {
  if (storage.isHere) return namesIn(folder);
  return (await storage.filesBelow(folder)).map(({ file }) => file.slice(folder.length + 1));
}

/** What looks like a base backup and cannot be used, or a root in which none can be looked for, and why. */
export interface UnusableBase {
  folder: string;
  why: string;
}

/** Where in a folder a base backup may lie: the folder itself, or a folder of a backup set. */
export function placesOfBase(named: string): string[] {
  const folder = isRemote(named) ? named.replace(/\/+$/, '') : resolve(named);
  return [folder, under(folder, 'base'), under(folder, 'postgres', 'base')];
}

type End = { startLsn: string; endedAt: Date };

/** So many sets of a root are looked into at the same time. */
const AT_ONCE = 16;

/**
 * Every base backup below the backup roots and in `named`, a folder of its own, newest end first: those in backup sets, and
 * folders that pg_basebackup made by hand (`<root>/<name>`, `<root>/<name>/base`). `ends` tells when those without a manifest
 * of ours ended. `s3`: the profile's settings, for those in buckets.
 */
export async function findBaseBackups(
  roots: readonly string[],
  ends: readonly End[],
  { named, s3 }: { named?: string | undefined; s3?: S3Settings | undefined } = {},
): Promise<{ usable: BaseBackup[]; unusable: UnusableBase[] }> {
  const usable: BaseBackup[] = [];
  const unusable: UnusableBase[] = [];
  const sets = new Set(named === undefined ? [] : placesOfBase(named).slice(0, 1));
  for (const root of roots) {
    try {
      for (const name of await foldersOf(root, s3)) sets.add(placesOfBase(under(root, name))[0]!);
    } catch (error) {
      unusable.push({ folder: root, why: messageOf(error) });
    }
  }
  await inParallel([...sets], AT_ONCE, async (set) => {
    for (const folder of placesOfBase(set)) {
      try {
        const base = await readInPlace(folder, set, ends, storageOf(folder, s3));
        if (base) usable.push(base);
      } catch (error) {
        unusable.push({ folder, why: messageOf(error) });
      }
    }
  });
  // Of two that are the same one, that which need not be brought here.
  const distance = ({ storage }: BaseBackup) => (storage ? 1 : 0);
  usable.sort((a, b) => b.endLsn - a.endLsn || distance(a) - distance(b) || (a.folder < b.folder ? -1 : 1));
  return { usable, unusable };
}

function foldersOf(root: string, s3: S3Settings | undefined): Promise<string[]> {
  const storage = storageOf(root, s3);
  return storage.isHere ? namesIn(root) : storage.foldersIn(root);
}

async function readInPlace(
  folder: string,
  set: string,
  ends: readonly End[],
  storage: Storage,
): Promise<BaseBackup | undefined> {
  const there = await Promise.all([BACKUP_MANIFEST, BACKUP_LABEL].map((name) => storage.seen(under(folder, name))));
  if (!there.some((one) => one !== undefined)) return undefined;
  // An archive that was unpacked beside itself.
  if (there[1] === undefined && (await storage.seen(under(folder, 'base', BACKUP_LABEL)))) return undefined;
  if (await storage.seen(under(set, UNFINISHED_FILE))) throw new Error('the backup set that it is in is unfinished');
  const file = under(set, MANIFEST_FILE);
  const part = (await storage.seen(file))
    ? parseManifest(await readWhole(storage, file, LARGEST_MANIFEST), file).parts.postgresBase
    : undefined;
  const base = await readBaseBackup(folder, basename(set), {
    endedAt: part ? new Date(part.at) : undefined,
    storage,
  });
  const told = ends.find((end) => parseLsn(end.startLsn) === base.startLsn);
  return base.endedAt || !told ? base : { ...base, endedAt: told.endedAt };
}

/** The command that proves a base backup: every file with its checksum, and the log that it brings along. */
export function verifyCommand(
  tools: Installation,
  { folder, hasWal }: Pick<BaseBackup, 'folder' | 'hasWal'>,
): Command {
  return {
    file: join(tools.bin, 'pg_verifybackup'),
    args: [...(hasWal ? [] : ['--no-parse-wal']), folder],
    environment: { LC_ALL: 'C' },
  };
}

/** Reads a base backup and every byte of it; answers what is wrong with it, empty when it is whole. */
export async function faultInPlace(folder: string): Promise<string> {
  try {
    const base = await readBaseBackup(folder, folder);
    return await faultOfBase(await toolsFor(base.major), base);
  } catch (error) {
    return messageOf(error);
  }
}

/** Reads every byte of a base backup; answers what is wrong with it, empty when it is whole. */
export async function faultOfBase(
  tools: Installation,
  base: Pick<BaseBackup, 'folder' | 'hasWal'>,
  { signal, onLine = () => {} }: { signal?: AbortSignal; onLine?: (line: string) => void } = {},
): Promise<string> {
  const said: string[] = [];
  const ended = await readCommand(verifyCommand(tools, base), {
    ...(signal ? { signal } : {}),
    onLine: (line) => {
      onLine(line);
      said.push(line);
    },
  });
  signal?.throwIfAborted();
  if (ended.exitCode === 0) return '';
  const first = said.find((line) => /error/.test(line)) ?? said[0] ?? ended.failure;
  return first.replace(/^pg_verifybackup: error: /, '');
}
