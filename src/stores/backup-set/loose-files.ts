import { basename } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { inParallel } from '../../in-parallel.js';
import { Problem } from '../../problem.js';
import { parseAofManifest, startsAsRdb } from '../falkordb/aof.js';
import type { FalkordbFiles } from '../falkordb/persistence.js';
import { DUMP_MAGIC } from '../postgres/dump.js';
import { installations } from '../postgres/tools.js';
import { HERE } from '../storage/here.js';
import { type FileSeen, folderOf, headOf, type Storage } from '../storage/storage.js';
import type { BackupFile, BackupSet } from './backup-set.js';
import { contentsOf } from './contents.js';

type Kind = 'dump' | 'snapshot' | 'rdb' | 'aof' | 'aof-manifest' | 'other';

/**
 * Opens a folder of files that plain commands made (pg_dump, curl, cp): what each one is is read from its content, never
 * from its name. Only the collection of a Qdrant snapshot, which is not in the file, comes from a name.
 */
export async function openLooseFiles(folder: string, storage: Storage = HERE): Promise<BackupSet> {
  const files = await storage.filesBelow(folder);
  if (files.length > 100_000)
    throw new Problem(`${folder} holds more than 100,000 files; that is no backup set.`, {
      next: 'name the folder with the files themselves, or see: novamem-runbook backups list',
    });
  const known: Known[] = [];
  await inParallel(files, LOOKED_AT_AT_ONCE, async (seen) => {
    known.push({ ...seen, kind: await kindOf(seen, storage) });
  });
  known.sort((a, b) => (a.file < b.file ? -1 : 1));
  const of = (kind: Kind) => known.filter((one) => one.kind === kind);
  const fileAt = ({ file, bytes }: FileSeen): BackupFile => ({
    file,
    bytes,
    ...(storage === HERE ? {} : { storage }),
  });
  const unproven = ['no manifest: nothing says what these files should hold, so a change in them cannot be seen'];

  const dumps = await Promise.all(
    of('dump').map(async (seen) => ({ file: fileAt(seen), at: await dumpedAt(fileAt(seen)) })),
  );
  dumps.sort((a, b) => b.at.getTime() - a.at.getTime());
  if (dumps.length > 1)
    unproven.push(`${dumps.length} dumps lie here; the newest is used: ${basename(dumps[0]!.file.file)}`);

  if (of('snapshot').length > 0)
    unproven.push('aliases are not in a Qdrant snapshot: make them again by hand if the cluster had some');
  const snapshots = newestPerCollection(folder, of('snapshot'), unproven);
  const named = snapshots.named.map(({ collection, ...seen }) => ({ ...fileAt(seen), collection }));
  const unnamed = snapshots.unnamed.map(fileAt);
  const forms = falkordbForms(known).map(({ files: parts, ...form }) => ({ ...form, files: parts.map(fileAt) }));
  if (dumps.length === 0 && named.length === 0 && unnamed.length === 0 && forms.length === 0) {
    throw new Problem(
      storage.isHere || files.length > 0
        ? `${folder} is no backup set: it has no manifest.json, and no file in it is a dump, a snapshot, an AOF or an RDB.`
        : `There is no backup set at ${folder}: nothing lies below it.`,
      {
        next: 'novamem-runbook backups list',
      },
    );
  }
  const [dump] = dumps;
  const times = [...(dump ? [dump.at] : []), ...snapshots.named.map(({ writtenAt }) => writtenAt)];
  const oldest = Math.min(...times.map((at) => at.getTime()));
  const all = [...(dump ? [dump.file] : []), ...named, ...unnamed, ...(forms[0]?.files ?? [])];
  return {
    id: basename(folder),
    folder,
    ...(storage === HERE ? {} : { storage }),
    kind: 'loose',
    takenAt: Number.isFinite(oldest) ? new Date(oldest) : null,
    bytes: all.reduce((sum, file) => sum + file.bytes, 0),
    ...(dump ? { postgres: dump.file } : {}),
    qdrant: named,
    unnamed,
    ...(forms[0] ? { falkordb: forms[0] } : {}),
    otherFalkordb: forms.slice(1),
    goldenSearches: [],
    unproven,
  };
}

const LOOKED_AT_AT_ONCE = 32;

type Known = FileSeen & { kind: Kind };

/** When a dump was begun, by its own word, else when the file was last written. */
export async function dumpedAt(dump: BackupFile): Promise<Date> {
  const [newest] = await installations();
  const contents = newest ? await contentsOf(newest, dump).catch(() => undefined) : undefined;
  return contents?.createdAt ?? (await (dump.storage ?? HERE).seen(dump.file))!.writtenAt;
}

/** What a file is, by its first bytes. */
export async function kindOf(seen: Pick<FileSeen, 'file' | 'bytes'>, storage: Storage = HERE): Promise<Kind> {
  const { file, bytes } = seen;
  if (bytes === 0) return file.endsWith('.aof') ? 'aof' : 'other';
  const start = await headOf(storage, seen, HEAD_BYTES);
  if (start.toString('latin1', 0, DUMP_MAGIC.length) === DUMP_MAGIC) return 'dump';
  if (startsAsRdb(start)) return /\.aof$/.test(file) ? 'aof' : 'rdb';
  if (isAofManifest(start, bytes)) return 'aof-manifest';
  if (/^(\*\d+\r\n\$\d+\r\n|#TS:\d+\r\n)/.test(start.toString('latin1', 0, 64))) return 'aof';
  if (isTar(start) || isTar(inflated(start))) return 'snapshot';
  return 'other';
}

const HEAD_BYTES = 4096;

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
  const parent = folderOf(path) === folder ? '' : basename(folderOf(path));
  const bare = name.replace(/(\.(snapshot|snap|tgz|tar|gz))+$/, '');
  if (!GENERIC.test(bare)) return bare.replace(AFFIXES, '');
  return parent !== '' && !GENERIC.test(parent) ? parent : undefined;
}

/** What scripts put before or behind a collection's name: `snap-novamem_acme_default.tgz`. */
const AFFIXES = /^((snap|snapshot|qdrant|collection|backup)[-.])+|([-.](snap|snapshot|backup))+$/gi;
const GENERIC = /^(snap|snapshot|snapshots|backup|qdrant|collection|collections|download|data)[-_]?\d*$/i;

function newestPerCollection(folder: string, files: readonly FileSeen[], unproven: string[]) {
  const named = new Map<string, FileSeen & { collection: string }>();
  const unnamed: FileSeen[] = [];
  for (const seen of files) {
    const collection = collectionOf(seen.file, folder);
    if (collection === undefined) {
      unnamed.push(seen);
      continue;
    }
    const other = named.get(collection);
    if (other) unproven.push(`several snapshots of ${collection} lie here; the newest is used`);
    if (!other || other.writtenAt < seen.writtenAt) named.set(collection, { ...seen, collection });
  }
  return { named: [...named.values()].sort((a, b) => (a.collection < b.collection ? -1 : 1)), unnamed };
}

/** `appendonly.aof.2.base.rdb`, `appendonly.aof.2.incr.aof` */
const PART_OF_DIRECTORY = /\.\d+\.(base\.(rdb|aof)|incr\.aof)$/;

/** The forms of FalkorDB's data that lie here, the best first: a directory with its manifest, a lone AOF, an RDB. */
function falkordbForms(known: readonly Known[]): (FalkordbFiles & { files: FileSeen[] })[] {
  const forms: (FalkordbFiles & { files: FileSeen[] })[] = [];
  const folders = new Set<string>();
  const manifests = known.filter((one) => one.kind === 'aof-manifest');
  // Parts of an append-only directory whose manifest is gone: none of them is the whole, so none is taken for a lone file.
  const parts = known.filter((one) => PART_OF_DIRECTORY.test(one.file));
  for (const { file } of [...manifests, ...parts]) {
    const folder = folderOf(file);
    if (folders.has(folder)) continue;
    folders.add(folder);
    const files = known.filter((one) => folderOf(one.file) === folder);
    forms.push({ form: 'appendonlydir', path: folder, files });
  }
  for (const [kind, form] of [['aof', 'appendonly.aof'] as const, ['rdb', 'dump.rdb'] as const]) {
    const alone = known.filter((one) => one.kind === kind && !folders.has(folderOf(one.file)));
    alone.sort((a, b) => b.writtenAt.getTime() - a.writtenAt.getTime());
    for (const one of alone) forms.push({ form, path: one.file, files: [one] });
  }
  return forms;
}
