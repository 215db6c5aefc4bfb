import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { keepOnDisk } from '../../hosts/durable.js';
import { exists, makeFolder, remove } from '../../hosts/files.js';
import { inParallel } from '../../in-parallel.js';
import { BACKUP_LABEL, BACKUP_MANIFEST, type BaseBackup, faultOfBase } from '../../stores/postgres/base-backup.js';
import { fetchFile } from '../../stores/storage/fetch-file.js';
import { type FileSeen, readWhole, type Storage, under } from '../../stores/storage/storage.js';
import { plural, sizeOf } from '../../words.js';
import type { StepContext } from '../step.js';
import { type DataPlaces, placeFor } from './data-places.js';
import type { Emit } from './recovery.js';
import type { Survey } from './recovery-survey.js';
import { hostOfPostgres } from './server-files.js';

// A base backup on its way to where the new data directory is made ready. It is proven on this machine, which has the programs for that: one
// in a bucket is fetched first, straight to that place, or, where that is on another host, into the run's own folder.

const AT_ONCE = 8;
const LARGEST_LIST = 256 * 1024 * 1024;

type BaseElsewhere = BaseBackup & { storage: Storage };

export const isElsewhere = (base: BaseBackup): base is BaseElsewhere => base.storage !== undefined;

/** What a server wants to find, and a bucket cannot hold: folders with nothing in them. */
export const EMPTY_FOLDERS = [
  'pg_commit_ts',
  'pg_dynshmem',
  'pg_logical/mappings',
  'pg_logical/snapshots',
  'pg_notify',
  'pg_replslot',
  'pg_serial',
  'pg_snapshots',
  'pg_stat',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_tblspc',
  'pg_twophase',
  'pg_wal/archive_status',
];

/**
 * What is never taken from a base backup: it would have the recovered directory, or a copy of it, taken for a base backup, belongs to a
 * running server, or would make a standby of the recovery.
 */
export const NOT_PLACED = [BACKUP_MANIFEST, 'postmaster.pid', 'postmaster.opts', 'recovery.signal', 'standby.signal'];

/** Where this machine has, or will have, a base backup as files. */
export const folderHere = (base: BaseBackup, facts: DataPlaces, ctx: StepContext): string =>
  isElsewhere(base) ? fetchedTo(facts, ctx) : base.folder;

const fetchedTo = (facts: DataPlaces, ctx: StepContext) =>
  hostOfPostgres(ctx).here ? placeFor(facts, ctx) : join(ctx.workFolder, 'base-backup');

/** Removes what was fetched and is not needed any more. */
export async function forgetBrought(facts: DataPlaces, ctx: StepContext): Promise<void> {
  const fetched = fetchedTo(facts, ctx);
  if (await exists(fetched)) await remove(ctx.gateway, fetched);
}

/** Fetches the files of a base backup, those that an earlier attempt has not fetched. */
async function fetchBase(
  base: BaseElsewhere,
  facts: DataPlaces,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { gateway } = ctx;
  const { folder, storage } = base;
  const place = fetchedTo(facts, ctx);
  const list = await readWhole(storage, under(folder, BACKUP_MANIFEST), LARGEST_LIST);
  const listHere = await readFile(join(place, BACKUP_MANIFEST)).catch(() => undefined);
  // Whatever is of another base backup, or of an attempt that was ended while it made a data directory of it.
  if ((await exists(place)) && !listHere?.equals(list)) await remove(gateway, place);
  await makeFolder(gateway, place);
  const files = (await storage.filesBelow(folder)).map((seen) => ({ ...seen, to: placeOf(seen, folder, place) }));
  const missing = await missingOf(files);
  if (missing.length === 0) return;
  const total = bytesIn(files);
  const brought = total - bytesIn(missing);
  if (brought > 0) emit.output(`${sizeOf(brought)} of ${sizeOf(total)} are in ${place} since an earlier attempt`);
  const onBytes = emit.bytes(total, `bringing the base backup ${base.id}`);
  onBytes(brought);
  await gateway.change({ channel: 'file', text: storage.copyText(folder, place) }, async () => {
    for (const empty of EMPTY_FOLDERS) await mkdir(join(place, empty), { recursive: true, mode: 0o700 });
    // The list first: by it the next attempt knows whose files these are.
    const first = missing.filter(({ file }) => file === under(folder, BACKUP_MANIFEST));
    for (const some of [first, missing.filter((one) => !first.includes(one))])
      await inParallel(some, AT_ONCE, async ({ file, to, bytes }) => {
        signal.throwIfAborted();
        await mkdir(dirname(to), { recursive: true, mode: 0o700 });
        await fetchFile(storage, file, to, { onBytes, signal, bytes });
      });
    await keepOnDisk(place);
  });
  emit.output(`${plural(missing.length, 'file')}, ${sizeOf(bytesIn(missing))}, were brought to ${place}`);
}

/** Has every byte of a base backup read, fetched for that where it lies in a bucket; what is not whole of that is removed again. */
export async function proveBase(
  { tools }: Survey,
  base: BaseBackup,
  facts: DataPlaces,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  if (isElsewhere(base)) await fetchBase(base, facts, ctx, emit, signal);
  const folder = folderHere(base, facts, ctx);
  emit.output(`reading the whole base backup ${folder} (${sizeOf(base.bytes)}) before it is used`);
  const fault = await faultOfBase(
    tools!,
    { folder, hasWal: base.hasWal },
    { signal, onLine: (line) => emit.output(line) },
  );
  if (fault === '') return;
  if (isElsewhere(base)) await forgetBrought(facts, ctx);
  throw new Error(
    `the base backup ${base.folder} is not whole: ${fault}. ${isElsewhere(base) ? 'What was brought of it is removed again' : 'Nothing was replaced'}; choose another: --set <step>.base=ID`,
  );
}

/**
 * Brings a proven base backup beside the data directory, while the server may still run. What an earlier attempt has brought is gone on
 * with.
 */
export async function bringBase(
  base: BaseBackup,
  facts: DataPlaces,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { files, here, title } = hostOfPostgres(ctx);
  const place = placeFor(facts, ctx);
  const from = folderHere(base, facts, ctx);
  if (from !== place)
    await files.sendTree(ctx.gateway, from, place, {
      without: NOT_PLACED,
      onBytes: emit.bytes(
        base.bytes,
        here ? `placing the base backup ${base.id}` : `bringing the base backup ${base.id} to ${title}`,
      ),
      onProven: emit.bytes(base.bytes, `reading on ${title} what has arrived`),
      signal,
    });
  // T9: without it a server starts all the same, from the wrong position, and its data are wrong.
  if (!(await files.exists(join(place, BACKUP_LABEL)))) throw new Error(`${base.folder} has no ${BACKUP_LABEL}`);
  if (!here) emit.output(`the base backup lies in ${place} on ${title}; each file has the same SHA-256 as here`);
}

const bytesIn = (files: readonly FileSeen[]) => files.reduce((sum, { bytes }) => sum + bytes, 0);

/** Where a file of the base backup comes to; one whose name leads elsewhere is refused. */
function placeOf({ file }: FileSeen, folder: string, place: string): string {
  const to = join(place, file.slice(folder.length + 1));
  if (!to.startsWith(`${place}/`)) throw new Error(`${file} would come to ${to}, out of ${place}: it is left alone`);
  return to;
}

/** A file comes into its place as a whole: one of the right size is there. */
async function missingOf<T extends FileSeen & { to: string }>(files: readonly T[]): Promise<T[]> {
  const sizes = await Promise.all(
    files.map(({ to }) =>
      stat(to).then(
        ({ size }) => size,
        () => undefined,
      ),
    ),
  );
  return files.filter(({ bytes }, index) => sizes[index] !== bytes);
}
