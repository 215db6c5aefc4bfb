import { mkdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { keepOnDisk } from '../../hosts/durable.js';
import { exists, makeFolder, remove } from '../../hosts/files.js';
import { BACKUP_MANIFEST, type BaseBackup, faultOfBase } from '../../stores/postgres/base-backup.js';
import { inParallel } from '../../stores/qdrant/inventory.js';
import { fetchFile } from '../../stores/storage/fetch-file.js';
import { type FileSeen, readWhole, type Storage, under } from '../../stores/storage/storage.js';
import { plural, sizeOf } from '../../words.js';
import type { StepContext } from '../step.js';
import { type Emit, placeFor, type RecoveryFacts } from './recovery.js';
import type { Survey } from './recovery-survey.js';

// A base backup that lies in a bucket is brought straight to where the new data directory is made ready, and proven there.

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

/** Brings the files of a base backup, those that an earlier attempt has not brought; answers whether there were any. */
export async function bringBase(
  base: BaseElsewhere,
  facts: Pick<RecoveryFacts, 'dataDir'>,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<boolean> {
  const { gateway } = ctx;
  const { folder, storage } = base;
  const place = placeFor(facts, ctx);
  const list = await readWhole(storage, under(folder, BACKUP_MANIFEST), LARGEST_LIST);
  const listHere = await readFile(join(place, BACKUP_MANIFEST)).catch(() => undefined);
  // Whatever is of another base backup, or of an attempt that was ended while it made a data directory of it.
  if ((await exists(place)) && !listHere?.equals(list)) await remove(gateway, place);
  await makeFolder(gateway, place);
  const files = (await storage.filesBelow(folder)).map((seen) => ({ ...seen, to: placeOf(seen, folder, place) }));
  const missing = await missingOf(files);
  if (missing.length === 0) return false;
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
  return true;
}

/** Has pg_verifybackup read what was brought; where it is not whole, it is removed again. */
export async function proveBrought(
  { tools }: Survey,
  base: BaseElsewhere,
  facts: Pick<RecoveryFacts, 'dataDir'>,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const place = placeFor(facts, ctx);
  const brought = { folder: place, hasWal: base.hasWal };
  const fault = await faultOfBase(tools!, brought, { signal, onLine: (line) => emit.output(line) });
  if (fault === '') return;
  await remove(ctx.gateway, place);
  throw new Error(
    `the base backup ${base.folder} is not whole: ${fault}. What was brought of it is removed again; choose another: --set <step>.base=ID`,
  );
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
