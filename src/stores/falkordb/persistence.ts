import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { exists } from '../../hosts/files.js';
import { aofManifestText, beginsAsRdb, parseAofManifest, rdbFault, readAof } from './aof.js';
import type { FalkorDB } from './connection.js';

/** Where a server keeps its data, as it says itself. */
export interface PersistenceSettings {
  dir: string;
  dbfilename: string;
  appendonly: boolean;
  appendfilename: string;
  appenddirname: string;
}

export async function persistenceOf(falkordb: FalkorDB): Promise<PersistenceSettings> {
  const config = await falkordb.config('dir', 'dbfilename', 'appendonly', 'appendfilename', 'appenddirname');
  if (config.appenddirname === undefined)
    throw new Error('this server keeps no append-only directory: Redis 7 or newer, or Valkey, is needed');
  return {
    dir: config.dir,
    dbfilename: config.dbfilename,
    appendonly: config.appendonly === 'yes',
    appendfilename: config.appendfilename,
    appenddirname: config.appenddirname,
  };
}

export type FalkordbForm = 'appendonlydir' | 'appendonly.aof' | 'dump.rdb';

/** One form of a FalkorDB backup on disk. */
export interface FalkordbFiles {
  form: FalkordbForm;
  /** The directory, for `appendonlydir`; else the file. */
  path: string;
}

/** The manifest file of an append-only directory; undefined when it has none. */
export async function aofManifestIn(folder: string): Promise<string | undefined> {
  return (await readdir(folder)).find((name) => name.endsWith('.manifest'));
}

/**
 * What is wrong with these files, one sentence each; empty when they are whole as far as can be seen without loading them.
 * `unproven` says what could not be looked into.
 */
export async function filesFaults({ form, path }: FalkordbFiles): Promise<{ faults: string[]; unproven: string[] }> {
  if (form === 'dump.rdb') return { faults: asFault(path, await rdbFault(path)), unproven: [] };
  if (form === 'appendonly.aof') {
    if (await beginsAsRdb(path))
      return { faults: [], unproven: [`${path} begins with an RDB part, whose end only a server can find`] };
    return { faults: asFault(path, (await readAof(path)).fault), unproven: [] };
  }
  const manifest = await aofManifestIn(path);
  if (!manifest) return { faults: [`${path} has no manifest: a server would start empty`], unproven: [] };
  const entries = parseAofManifest(await readFile(join(path, manifest), 'utf8')).filter(
    (entry) => entry.type !== 'h',
  );
  const faults: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const file = join(path, entry.file);
    if (!(await exists(file))) {
      faults.push(`${path}: the manifest names ${entry.file}, which is absent: a server would refuse to start`);
    } else if (await beginsAsRdb(file)) {
      faults.push(...asFault(file, await rdbFault(file)));
    } else if ((await stat(file)).size === 0 && !(entry.type === 'i' && index === entries.length - 1)) {
      faults.push(`${file} is empty`);
    } else {
      faults.push(...asFault(file, (await readAof(file)).fault));
    }
  }
  if (!entries.some((entry) => entry.type === 'b')) faults.push(`${path}: the manifest names no base file`);
  return { faults, unproven: [] };
}

const asFault = (file: string, fault: string) => (fault === '' ? [] : [`${file}: ${fault}`]);

/** What has to be done so that a server with these settings loads these files when it starts. */
export interface Placement {
  /** Folders and files to be made: copied from the backup, or written anew (the manifest). */
  copies: { from: string; to: string }[];
  texts: { to: string; text: string }[];
  /** What the server would otherwise load, or write over: all of it is moved aside. */
  aside: string[];
}

/** Why a form cannot be loaded by a server with these settings; empty when it can. */
export function placementRefusal(form: FalkordbForm, settings: PersistenceSettings): string {
  if (settings.appendonly || form === 'dump.rdb') return '';
  return `this server runs with "appendonly no": it would ignore ${form} and start empty`;
}

/**
 * Where the files go. With `appendonly yes` everything is placed as an append-only directory with a manifest: a dump.rdb
 * beside an absent directory would be ignored, and a lone appendonly.aof beside a manifest too.
 */
export async function placementOf({ form, path }: FalkordbFiles, settings: PersistenceSettings): Promise<Placement> {
  const folder = join(settings.dir, settings.appenddirname);
  const aside = [folder, join(settings.dir, settings.appendfilename), join(settings.dir, settings.dbfilename)];
  if (!settings.appendonly)
    return { copies: [{ from: path, to: join(settings.dir, settings.dbfilename) }], texts: [], aside };
  const manifestTo = join(folder, `${settings.appendfilename}.manifest`);
  if (form !== 'appendonlydir') {
    const base = `${settings.appendfilename}.1.base.${(await beginsAsRdb(path)) ? 'rdb' : 'aof'}`;
    return {
      copies: [{ from: path, to: join(folder, base) }],
      texts: [{ to: manifestTo, text: aofManifestText([{ file: base, seq: 1, type: 'b' }]) }],
      aside,
    };
  }
  const manifest = await aofManifestIn(path);
  const text = await readFile(join(path, manifest!), 'utf8');
  const entries = parseAofManifest(text).filter((entry) => entry.type !== 'h');
  return {
    copies: entries.map((entry) => ({ from: join(path, entry.file), to: join(folder, entry.file) })),
    texts: [
      {
        to: manifestTo,
        text: aofManifestText(entries),
      },
    ],
    aside,
  };
}
