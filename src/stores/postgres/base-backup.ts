import { readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { Command } from '../../hosts/command.js';
import { exists } from '../../hosts/files.js';
import { readCommand } from '../../hosts/run-command.js';
import { messageOf } from '../../words.js';
import { MANIFEST_FILE, UNFINISHED_FILE } from '../backup-set/manifest.js';
import { readManifest } from '../backup-set/open-backup-set.js';
import { majorOf, readControlData } from './control-data.js';
import { type Installation, toolsFor } from './tools.js';
import { type Lsn, parseLsn } from './wal-position.js';

/** A copy of a whole data directory, as pg_basebackup makes it: where a recovery to a point in time begins. */
export interface BaseBackup {
  /** What it is called to people: the name of the backup set, or of the folder. */
  id: string;
  folder: string;
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

interface BackupManifestFile {
  Files?: { Path?: string; Size: number }[];
  'WAL-Ranges'?: { Timeline: number; 'Start-LSN': string; 'End-LSN': string }[];
}

/** Reads what a base backup says of itself. Rejects with why it cannot be used. */
export async function readBaseBackup(folder: string, id: string, endedAt?: Date): Promise<BaseBackup> {
  const label = await readFile(join(folder, BACKUP_LABEL), 'utf8').catch(() => undefined);
  if (label === undefined)
    throw new Error('it has no backup_label: without it a server would start from the wrong place');
  const major = await majorOf(folder);
  if (major === undefined) throw new Error('it has no PG_VERSION');
  const manifest = await readBackupManifest(folder);
  const ranges = manifest['WAL-Ranges'] ?? [];
  const start = /^START WAL LOCATION: ([0-9A-F]+\/[0-9A-F]+)/m.exec(label)?.[1];
  const startLsn = parseLsn(start ?? '');
  const endLsn = Math.max(...ranges.map((range) => parseLsn(range['End-LSN']) ?? 0));
  const timeline = Number(/^START TIMELINE: (\d+)/m.exec(label)?.[1] ?? ranges.at(-1)?.Timeline);
  if (startLsn === undefined || !(endLsn > 0) || !Number.isInteger(timeline))
    throw new Error('neither backup_label nor backup_manifest says from where to where in the log it was taken');
  if ((await exists(join(folder, 'tablespace_map'))) || (await namesIn(join(folder, 'pg_tblspc'))).length > 0)
    throw new Error('it has tablespaces of its own, which this program cannot place');
  const { systemIdentifier } = await readControlData(folder, await toolsFor(major));
  const files = manifest.Files ?? [];
  return {
    id,
    folder,
    major,
    systemIdentifier,
    timeline,
    startLsn,
    endLsn,
    ...(endedAt ? { endedAt } : {}),
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.Size, 0),
    hasWal: (await namesIn(join(folder, 'pg_wal'))).some((name) => /^[0-9A-F]{24}$/.test(name)),
  };
}

async function readBackupManifest(folder: string): Promise<BackupManifestFile> {
  const text = await readFile(join(folder, BACKUP_MANIFEST), 'utf8').catch(() => undefined);
  if (text === undefined) throw new Error('it has no backup_manifest, so nothing proves that it is whole');
  return parseBackupManifest(text);
}

/** Parses a `backup_manifest`. Rejects with why it cannot be read. */
export function parseBackupManifest(text: string): BackupManifestFile {
  try {
    return JSON.parse(text) as BackupManifestFile;
  } catch (error) {
    throw new Error(`its backup_manifest cannot be read: ${messageOf(error)}`);
  }
}

const namesIn = (folder: string) => readdir(folder).catch(() => [] as string[]);

/** A folder that looks like a base backup and cannot be used, and why. */
export interface UnusableBase {
  folder: string;
  why: string;
}

/** Where in a folder a base backup may lie: the folder itself, or a folder of a backup set. */
export const placesOfBase = (folder: string): string[] => [
  folder,
  join(folder, 'base'),
  join(folder, 'postgres', 'base'),
];

/**
 * Every base backup below the backup roots and in `named`, a folder of its own, newest end first: those in backup sets, and
 * folders that pg_basebackup made by hand (`<root>/<name>`, `<root>/<name>/base`). `ends` tells when those without a manifest
 * of ours ended.
 */
export async function findBaseBackups(
  roots: readonly string[],
  ends: readonly { startLsn: string; endedAt: Date }[],
  named?: string,
): Promise<{ usable: BaseBackup[]; unusable: UnusableBase[] }> {
  const usable: BaseBackup[] = [];
  const unusable: UnusableBase[] = [];
  const sets = new Set(named === undefined ? [] : [resolve(named)]);
  for (const root of roots.filter((one) => !/^[a-z0-9]+:\/\//.test(one)))
    for (const name of await namesIn(root)) sets.add(resolve(root, name));
  for (const set of sets) {
    for (const folder of placesOfBase(set)) {
      if (!(await exists(join(folder, BACKUP_MANIFEST))) && !(await exists(join(folder, BACKUP_LABEL)))) continue;
      try {
        usable.push(await readInPlace(folder, set, ends));
      } catch (error) {
        unusable.push({ folder, why: messageOf(error) });
      }
    }
  }
  return { usable: usable.sort((a, b) => b.endLsn - a.endLsn), unusable };
}

async function readInPlace(
  folder: string,
  set: string,
  ends: readonly { startLsn: string; endedAt: Date }[],
): Promise<BaseBackup> {
  if (await exists(join(set, UNFINISHED_FILE))) throw new Error('the backup set that it is in is unfinished');
  const part = (await exists(join(set, MANIFEST_FILE))) ? readManifest(set).parts.postgresBase : undefined;
  const base = await readBaseBackup(folder, basename(set), part ? new Date(part.at) : undefined);
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
