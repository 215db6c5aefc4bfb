import { open, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { filesBelow } from '../../hosts/files.js';
import { Problem } from '../../problem.js';
import { beginsAsRdb, parseAofManifest } from '../falkordb/aof.js';
import type { FalkordbFiles } from '../falkordb/persistence.js';
import { looksLikeDump, readContents } from '../postgres/dump.js';
import { installations } from '../postgres/tools.js';
import type { BackupFile, BackupSet } from './backup-set.js';

type Kind = 'dump' | 'snapshot' | 'rdb' | 'aof' | 'aof-manifest' | 'other';

/**
 * Opens a folder of files that plain commands made (pg_dump, curl, cp): what each one is is read from its content, never
 * from its name. Only the collection of a Qdrant snapshot, which is not in the file, comes from a name.
 */
export async function openLooseFiles(folder: string): Promise<BackupSet> {
  const files = await filesBelow(folder);
  if (files.length > 100_000)
    throw new Problem(`${folder} holds more than 100,000 files; that is no backup set.`, {
      next: 'name the folder with the files themselves, or see: novamem-runbook backups list',
    });
  const known = await Promise.all(
    files.map(async (name) => ({ name, path: join(folder, name), kind: await kindOf(join(folder, name)) })),
  );
  const of = (kind: Kind) => known.filter((one) => one.kind === kind);
  const unproven = ['no manifest: nothing says what these files should hold, so a change in them cannot be seen'];

  const dumps = await Promise.all(
    of('dump').map(async ({ path }) => ({ ...(await fileAt(path)), at: await dumpedAt(path) })),
  );
  dumps.sort((a, b) => b.at.getTime() - a.at.getTime());
  if (dumps.length > 1)
    unproven.push(`${dumps.length} dumps lie here; the newest is used: ${basename(dumps[0]!.file)}`);

  if (of('snapshot').length > 0)
    unproven.push('aliases are not in a Qdrant snapshot: make them again by hand if the cluster had some');
  const snapshots = await newestPerCollection(
    folder,
    of('snapshot').map((one) => one.path),
    unproven,
  );
  const forms = await falkordbForms(known);
  if (dumps.length === 0 && snapshots.named.length === 0 && snapshots.unnamed.length === 0 && forms.length === 0) {
    throw new Problem(
      `${folder} is no backup set: it has no manifest.json, and no file in it is a dump, a snapshot, an AOF or an RDB.`,
      {
        next: 'novamem-runbook backups list',
      },
    );
  }
  const [dump] = dumps;
  const { at, ...postgres } = dump ?? { at: null };
  const snapshotTimes = await Promise.all(snapshots.named.map(async (one) => (await stat(one.file)).mtimeMs));
  const oldest = Math.min(at?.getTime() ?? Number.POSITIVE_INFINITY, ...snapshotTimes);
  const all = [...(dump ? [dump] : []), ...snapshots.named, ...snapshots.unnamed, ...(forms[0]?.files ?? [])];
  return {
    id: basename(folder),
    folder,
    kind: 'loose',
    takenAt: Number.isFinite(oldest) ? new Date(oldest) : null,
    bytes: all.reduce((sum, file) => sum + file.bytes, 0),
    ...(dump ? { postgres: postgres as BackupFile } : {}),
    qdrant: snapshots.named,
    unnamed: snapshots.unnamed,
    ...(forms[0] ? { falkordb: forms[0] } : {}),
    otherFalkordb: forms.slice(1),
    goldenSearches: [],
    unproven,
  };
}

async function fileAt(file: string): Promise<BackupFile> {
  return { file, bytes: (await stat(file)).size };
}

/** When a dump was begun, by its own word, else when the file was last written. */
export async function dumpedAt(file: string): Promise<Date> {
  const [newest] = await installations();
  const contents = newest ? await readContents(newest, file).catch(() => undefined) : undefined;
  return contents?.createdAt ?? (await stat(file)).mtime;
}

/** What a file is, by its first bytes. */
export async function kindOf(file: string): Promise<Kind> {
  const { size } = await stat(file);
  if (size === 0) return file.endsWith('.aof') ? 'aof' : 'other';
  if (await looksLikeDump(file)) return 'dump';
  const start = await headOf(file);
  if (await beginsAsRdb(file)) return /\.aof$/.test(file) ? 'aof' : 'rdb';
  if (isAofManifest(start, size)) return 'aof-manifest';
  if (/^(\*\d+\r\n\$\d+\r\n|#TS:\d+\r\n)/.test(start.toString('latin1', 0, 64))) return 'aof';
  if (isTar(start) || isTar(inflated(start))) return 'snapshot';
  return 'other';
}

async function headOf(file: string): Promise<Buffer> {
  const handle = await open(file, 'r');
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

const isTar = (head: Buffer) => head.toString('latin1', 257, 262) === 'ustar';

function inflated(head: Buffer): Buffer {
  try {
    return gunzipSync(head, { finishFlush: 2 });
  } catch {
    return Buffer.alloc(0);
  }
}

function isAofManifest(head: Buffer, size: number): boolean {
  if (size > 4096 || !head.toString('latin1').startsWith('file ')) return false;
  try {
    return parseAofManifest(head.toString('utf8')).length > 0;
  } catch {
    return false;
  }
}

const SNAPSHOT_NAME = /^(.+?)-\d+-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d(?:\.snapshot)?$/;

/**
 * The collection that a snapshot's name tells: the server's own name for it (`<collection>-<peer>-<time>.snapshot`), or
 * `<collection>.<any extension>`, or a folder `<collection>/`. A name such as `snap.tgz` tells nothing.
 */
export function collectionOf(path: string, folder: string): string | undefined {
  const name = basename(path);
  const own = SNAPSHOT_NAME.exec(name.replace(/\.(tgz|tar|tar\.gz)$/, ''))?.[1];
  if (own) return own;
  const parent = dirname(path) === folder ? '' : basename(dirname(path));
  const bare = name.replace(/(\.(snapshot|snap|tgz|tar|gz))+$/, '');
  if (!GENERIC.test(bare)) return bare.replace(AFFIXES, '');
  return parent !== '' && !GENERIC.test(parent) ? parent : undefined;
}

/** What scripts put before or behind a collection's name: `snap-novamem_acme_default.tgz`. */
const AFFIXES = /^((snap|snapshot|qdrant|collection|backup)[-.])+|([-.](snap|snapshot|backup))+$/gi;
const GENERIC = /^(snap|snapshot|snapshots|backup|qdrant|collection|collections|download|data)[-_]?\d*$/i;

async function newestPerCollection(folder: string, paths: string[], unproven: string[]) {
  const named = new Map<string, BackupFile & { collection: string; at: number }>();
  const unnamed: BackupFile[] = [];
  for (const path of paths) {
    const collection = collectionOf(path, folder);
    const file = await fileAt(path);
    if (collection === undefined) {
      unnamed.push(file);
      continue;
    }
    const at = (await stat(path)).mtimeMs;
    const other = named.get(collection);
    if (other) unproven.push(`several snapshots of ${collection} lie here; the newest is used`);
    if (!other || other.at < at) named.set(collection, { ...file, collection, at });
  }
  const sorted = [...named.values()].sort((a, b) => (a.collection < b.collection ? -1 : 1));
  return { named: sorted.map(({ at: _at, ...file }) => file), unnamed };
}

/** `appendonly.aof.2.base.rdb`, `appendonly.aof.2.incr.aof` */
const PART_OF_DIRECTORY = /\.\d+\.(base\.(rdb|aof)|incr\.aof)$/;

/** The forms of FalkorDB's data that lie here, the best first: a directory with its manifest, a lone AOF, an RDB. */
async function falkordbForms(
  known: { path: string; kind: Kind }[],
): Promise<(FalkordbFiles & { files: BackupFile[] })[]> {
  const forms: (FalkordbFiles & { files: BackupFile[] })[] = [];
  const folders = new Set<string>();
  for (const { path } of known.filter((one) => one.kind === 'aof-manifest')) {
    const below = known.filter((one) => dirname(one.path) === dirname(path));
    folders.add(dirname(path));
    forms.push({
      form: 'appendonlydir',
      path: dirname(path),
      files: await Promise.all(below.map((one) => fileAt(one.path))),
    });
  }
  // Parts of an append-only directory whose manifest is gone: none of them is the whole, so none is taken for a lone file.
  for (const { path } of known.filter((one) => PART_OF_DIRECTORY.test(one.path))) {
    const folder = dirname(path);
    if (folders.has(folder)) continue;
    folders.add(folder);
    const below = known.filter((one) => dirname(one.path) === folder);
    forms.push({
      form: 'appendonlydir',
      path: folder,
      files: await Promise.all(below.map((one) => fileAt(one.path))),
    });
  }
  for (const [kind, form] of [['aof', 'appendonly.aof'] as const, ['rdb', 'dump.rdb'] as const]) {
    const alone = known.filter((one) => one.kind === kind && !folders.has(dirname(one.path)));
    const dated = await Promise.all(alone.map(async ({ path }) => ({ path, at: (await stat(path)).mtimeMs })));
    dated.sort((a, b) => b.at - a.at);
    for (const { path } of dated) forms.push({ form, path, files: [await fileAt(path)] });
  }
  return forms;
}
