import { join } from 'node:path';
import type { HostFiles } from '../../hosts/host-files.js';
import { localFiles } from '../../hosts/local-files.js';
import { plural, sizeOf } from '../../words.js';
import type { ReadableFiles } from '../storage/stored-files.js';
import { aofManifestText, beginsAsRdb, parseAofManifest, rdbFault, readAof } from './aof.js';
import type { FalkorDB } from './connection.js';
import { rdbHead } from './rdb-head.js';

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
export async function aofManifestIn(folder: string, files: ReadableFiles = localFiles): Promise<string | undefined> {
  return (await files.list(folder)).find(({ name }) => name.endsWith('.manifest'))?.name;
}

/**
 * What is wrong with these files, one sentence each; empty when they are whole as far as can be seen without loading them.
 * `unproven` says what could not be looked into.
 */
export async function filesFaults(
  { form, path }: FalkordbFiles,
  files: ReadableFiles = localFiles,
): Promise<{ faults: string[]; unproven: string[] }> {
  if (form === 'dump.rdb') return { faults: asFault(path, await rdbFault(path, files)), unproven: [] };
  if (form === 'appendonly.aof') {
    if (await beginsAsRdb(path, files))
      return { faults: [], unproven: [`${path} begins with an RDB part, whose end only a server can find`] };
    return commandFaults(path, files);
  }
  const manifest = await aofManifestIn(path, files);
  if (!manifest) return { faults: [`${path} has no manifest: a server would start empty`], unproven: [] };
  const entries = await entriesIn(join(path, manifest), files);
  const faults: string[] = [];
  const unproven: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const file = join(path, entry.file);
    const found = await files.stat(file);
    if (!found) {
      faults.push(`${path}: the manifest names ${entry.file}, which is absent: a server would refuse to start`);
    } else if (await beginsAsRdb(file, files)) {
      faults.push(...asFault(file, await rdbFault(file, files)));
    } else if (found.bytes === 0 && !(entry.type === 'i' && index === entries.length - 1)) {
      faults.push(`${file} is empty`);
    } else {
      const found = await commandFaults(file, files);
      faults.push(...found.faults);
      unproven.push(...found.unproven);
    }
  }
  if (!entries.some((entry) => entry.type === 'b')) faults.push(`${path}: the manifest names no base file`);
  return { faults, unproven };
}

/** What is wrong with a file of commands, which has to be read to its end for that. */
async function commandFaults(file: string, files: ReadableFiles): Promise<{ faults: string[]; unproven: string[] }> {
  const bytes = (await files.stat(file))?.bytes ?? 0;
  if (bytes > (files.mostToStream ?? Number.POSITIVE_INFINITY))
    return { faults: [], unproven: [`${file} (${sizeOf(bytes)}) is read to its end once it was brought here`] };
  return { faults: asFault(file, (await readAof(file, files)).fault), unproven: [] };
}

/** What a server would load by a manifest. */
const entriesIn = async (manifest: string, files: ReadableFiles) =>
  parseAofManifest((await files.read(manifest)).toString('utf8')).filter((entry) => entry.type !== 'h');

const asFault = (file: string, fault: string) => (fault === '' ? [] : [`${file}: ${fault}`]);

/** The files that a server would load of these, in its order: the base first. Those that are absent are left out. */
export async function loadedFiles(
  { form, path }: FalkordbFiles,
  files: ReadableFiles = localFiles,
): Promise<string[]> {
  if (form !== 'appendonlydir') return [path];
  const manifest = await aofManifestIn(path, files);
  if (!manifest) return [];
  const entries = await entriesIn(join(path, manifest), files);
  const found: string[] = [];
  for (const { file } of entries) if (await files.exists(join(path, file))) found.push(join(path, file));
  return found;
}

/** Whether a server would load nothing at all from these: an RDB part without a key, and not one byte of commands. */
export async function holdNothing(of: FalkordbFiles, files: ReadableFiles = localFiles): Promise<boolean> {
  for (const file of await loadedFiles(of, files)) {
    if ((await files.stat(file))?.bytes === 0) continue;
    const head = await rdbHead(file, files);
    if (head?.keys !== 'none' || (await rdbFault(file, files)) !== '') return false;
  }
  return true;
}

/** What of a folder a server might load or write over, whatever it is called: found by what it is. Full paths, sorted. */
export async function persistenceFilesIn(folder: string, files: HostFiles = localFiles): Promise<string[]> {
  const found: string[] = [];
  for (const { name, kind } of await files.list(folder)) {
    const path = join(folder, name);
    if (name.startsWith(ASIDE) || name.startsWith(INCOMING)) continue;
    const isIt =
      kind === 'folder'
        ? await isAofDirectory(path, files)
        : kind === 'file' && (await isPersistenceFile(path, files));
    if (isIt) found.push(path);
  }
  return found.sort();
}

/** In which form one of `persistenceFilesIn` is. */
export async function formOf(path: string, files: HostFiles = localFiles): Promise<FalkordbFiles> {
  if ((await files.stat(path))?.kind === 'folder') return { form: 'appendonlydir', path };
  return { form: path.endsWith('.aof') ? 'appendonly.aof' : 'dump.rdb', path };
}

/** How the folders begin into which earlier files were moved. */
export const ASIDE = 'before-';
/** And those into which files are brought that are to be placed. */
export const INCOMING = 'incoming-';

const isPersistenceFile = async (file: string, files: HostFiles) =>
  /\.(aof|rdb)$/.test(file) || (await beginsAsRdb(file, files));

async function isAofDirectory(folder: string, files: HostFiles): Promise<boolean> {
  return (await files.list(folder)).some(({ name }) => /\.(manifest|incr\.aof|base\.(aof|rdb))$/.test(name));
}

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

/** Where a server with these settings looks for data when it starts, and where it writes some. */
export function placesOf({ dir, appenddirname, appendfilename, dbfilename }: PersistenceSettings): string[] {
  return [appenddirname, appendfilename, dbfilename].map((name) => join(dir, name));
}

/** Why a running server cannot keep anything on its disk any more; empty when it can. */
export async function diskLost(
  falkordb: FalkorDB,
  settings: PersistenceSettings,
  files: HostFiles = localFiles,
): Promise<string> {
  if (settings.dir === '') return 'its folder was removed';
  if (!settings.appendonly) return '';
  const { aof_last_write_status: status } = await falkordb.info('persistence');
  if (status !== 'ok') return 'its append-only file cannot be written';
  const manifest = join(settings.dir, settings.appenddirname, `${settings.appendfilename}.manifest`);
  return (await files.exists(settings.dir)) && !(await files.exists(manifest))
    ? 'its append-only files were removed'
    : '';
}

/** Why what is in memory could not be read back from the server's disk; empty when it could. */
export async function notOnDisk(
  falkordb: FalkorDB,
  settings: PersistenceSettings,
  files: HostFiles = localFiles,
): Promise<string> {
  if ((await falkordb.graphs()).length === 0) return '';
  const lost = await diskLost(falkordb, settings, files);
  if (lost !== '' || settings.appendonly) return lost;
  const changes = Number((await falkordb.info('persistence')).rdb_changes_since_last_save);
  return changes > 0 ? `${plural(changes, 'change')} came after its last save` : '';
}

/**
 * Where the files go. With `appendonly yes` everything is placed as an append-only directory with a manifest: a dump.rdb
 * beside an absent directory would be ignored, and a lone appendonly.aof beside a manifest too.
 */
export async function placementOf(
  { form, path }: FalkordbFiles,
  settings: PersistenceSettings,
  files: ReadableFiles = localFiles,
): Promise<Placement> {
  const folder = join(settings.dir, settings.appenddirname);
  const aside = placesOf(settings);
  if (!settings.appendonly)
    return { copies: [{ from: path, to: join(settings.dir, settings.dbfilename) }], texts: [], aside };
  const manifestTo = join(folder, `${settings.appendfilename}.manifest`);
  if (form !== 'appendonlydir') {
    const base = `${settings.appendfilename}.1.base.${(await beginsAsRdb(path, files)) ? 'rdb' : 'aof'}`;
    return {
      copies: [{ from: path, to: join(folder, base) }],
      texts: [{ to: manifestTo, text: aofManifestText([{ file: base, seq: 1, type: 'b' }]) }],
      aside,
    };
  }
  const manifest = await aofManifestIn(path, files);
  const entries = await entriesIn(join(path, manifest!), files);
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
