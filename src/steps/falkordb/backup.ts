import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { copyTo, filesBelow, remove, sha256Of } from '../../hosts/files.js';
import { bytesOf } from '../../stores/backup-set/backup-set.js';
import type { FalkordbPart } from '../../stores/backup-set/manifest.js';
import { type Check, equal } from '../../stores/check.js';
import { unbuilt, untilBuilt } from '../../stores/falkordb/indexes.js';
import { type FalkordbInventory, inventoryFalkordb } from '../../stores/falkordb/inventory.js';
import { memoryOf } from '../../stores/falkordb/memory.js';
import { filesFaults, type PersistenceSettings, persistenceOf } from '../../stores/falkordb/persistence.js';
import { plural, sizeOf } from '../../words.js';
import { newBackupFolder, newBackupOf, noBackupRoot } from '../backup/new-backup.js';
import {
  destinationOf,
  isOnlyToBeSent,
  makingRoomFindings,
  newSetFiles,
  sendAll,
  sendingTexts,
  sentChecks,
} from '../backup/sending.js';
import { readingPlan, type StepContext, type StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { canRewrite, rewriteFindings, whereElse } from './findings.js';
import { untilIdle } from './server.js';

const params = z.strictObject({ patienceSeconds: z.number().int().positive().max(86_400).default(1800) });
type Params = z.infer<typeof params>;

interface Facts {
  parts: FalkordbPart[];
  inventory: FalkordbInventory;
  /** What was there before, when it was written to while it was copied. */
  moving?: FalkordbInventory;
  /** To a bucket. */
  sent?: boolean;
}

type Form = FalkordbPart['form'];
const formOf = (settings: PersistenceSettings): Form => (settings.appendonly ? 'appendonlydir' : 'dump.rdb');

export const falkordbBackup: StepKind<Params, Facts> = {
  kind: 'falkordb.backup',
  effect: 'write',
  backupSet: 'writes',
  params,
  async plan(_p, ctx) {
    const { here, files } = ctx.cluster.host('falkordb');
    const copying = (from: string, to: string, recursive: boolean) =>
      here
        ? files.said('cp', ...(recursive ? ['-r'] : []), from, to)
        : recursive
          ? `${files.said('tar', '-C', dirname(from), '-c', basename(from))} | tar -C ${dirname(to)} -x`
          : `${files.said('cat', from)} > ${to}`;
    const settings = await persistenceOf(ctx.cluster.falkordb).catch(() => undefined);
    const commands = !settings
      ? []
      : settings.appendonly
        ? [
            'CONFIG SET auto-aof-rewrite-percentage 0',
            'BGREWRITEAOF',
            copying(join(settings.dir, settings.appenddirname), 'falkordb/appendonlydir', true),
            'CONFIG SET auto-aof-rewrite-percentage (as before)',
          ]
        : ['BGSAVE', copying(join(settings.dir, settings.dbfilename), 'falkordb/dump.rdb', false)];
    if (settings) commands.push(...sendingTexts(ctx, 'falkordb', 'folder'));
    return readingPlan(`Copy FalkorDB's ${settings ? formOf(settings) : 'files'}`, commands, {
      onAbort: 'an unfinished backup set, which is never restored from',
    });
  },
  async check(_p, ctx) {
    const problems = [await unreachable('falkordb', ctx), noBackupRoot(ctx)].filter(
      (finding) => finding !== undefined,
    );
    if (problems.length > 0) return problems;
    const settings = await persistenceOf(ctx.cluster.falkordb);
    const host = ctx.cluster.host('falkordb');
    if (!(await host.files.exists(settings.dir))) {
      return [
        {
          level: 'blocking',
          message: `the folder ${settings.dir}, which the server names, is not on ${host.title}`,
          next: whereElse(host),
        },
      ];
    }
    return [
      {
        level: 'info',
        message: `FalkorDB keeps its files in ${settings.dir}, appendonly ${settings.appendonly ? 'yes' : 'no'}`,
      },
      ...(await rewriteFindings(ctx.cluster.falkordb, settings)),
      ...(await makingRoomFindings(ctx, 'copy of the graph', (await memoryOf(ctx.cluster.falkordb)).used)),
    ];
  },
  run: (p, ctx, signal) =>
    stepEvents<Facts>(async (emit) => {
      const earlier = ctx.earlier as Partial<Facts>;
      let { parts } = earlier;
      if (parts && (await isOnlyToBeSent(ctx, parts, earlier)))
        emit.output('the graph had been copied already; what is left is to send it');
      else parts = await take(p, ctx, emit, signal);
      if (!destinationOf(ctx)) return;
      await sendAll(ctx, parts, emit, signal);
      emit.facts({ sent: true });
    }),
  async verify(_p, ctx, { parts }): Promise<Check[]> {
    const { folder } = newBackupOf(ctx);
    const [first] = parts;
    const path =
      first!.form === 'appendonlydir' ? join(folder, 'falkordb', 'appendonlydir') : join(folder, first!.file);
    const { faults } = await filesFaults({ form: first!.form, path }, newSetFiles(ctx));
    return [
      ...(await sentChecks(ctx, parts, 'falkordb copy')),
      equal(`falkordb ${first!.form}`, 'faults when read to the end', 'none', faults.join('; ') || 'none'),
    ];
  },
  probe: async (_p, ctx, { parts, sent }) =>
    !parts ? 'not-started' : sent || !destinationOf(ctx) ? 'done' : 'partial',
};

async function take(p: Params, ctx: StepContext, emit: Emitter<Facts>, signal: AbortSignal): Promise<FalkordbPart[]> {
  const { falkordb } = ctx.cluster;
  const settings = await persistenceOf(falkordb);
  const folder = await newBackupFolder(ctx, 'falkordb');
  const form = formOf(settings);
  const to = join(folder, form);
  // What is saved while it is being built is gone after a reload.
  const building = await unbuilt(falkordb);
  if (building.length > 0) emit.output(`${building.join(', ')} is still being built: waiting for it`);
  await untilBuilt(falkordb, p.patienceSeconds * 1000, signal);
  const before = await inventoryFalkordb(falkordb);
  const at = new Date().toISOString();
  if (settings.appendonly) await copyAppendOnlyDirectory(p, ctx, emit, signal, settings, to);
  else await copySavedFile(p, ctx, emit, signal, settings, to);
  const inventory = await inventoryFalkordb(falkordb);
  const { faults } = await filesFaults({ form, path: to });
  if (faults.length > 0) throw new Error(`the copy is not whole: ${faults[0]}`);
  const names = form === 'appendonlydir' ? (await filesBelow(to)).map((name) => join(form, name)) : [form];
  const parts = await Promise.all(
    names.map(async (name): Promise<FalkordbPart> => {
      const path = join(folder, name);
      const versions = {
        toolVersion: `module ${inventory.moduleVersion}`,
        serverVersion: inventory.serverVersion,
      };
      return {
        file: join('falkordb', name),
        bytes: await bytesOf(path),
        sha256: await sha256Of(path, { signal }),
        at,
        form,
        ...versions,
      };
    }),
  );
  const moved = JSON.stringify(before) !== JSON.stringify(inventory);
  emit.facts({
    parts,
    inventory,
    ...(moved ? { moving: before } : {}),
    ...(destinationOf(ctx) ? { sent: false } : {}),
  });
  emit.output(
    `copied ${form}: ${plural(parts.length, 'file')}, ${sizeOf(parts.reduce((sum, one) => sum + one.bytes, 0))}`,
  );
  return parts;
}

/** With rewrites held off, the files that the manifest names do not change under the copy; only the last one grows. */
async function copyAppendOnlyDirectory(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
  settings: PersistenceSettings,
  to: string,
): Promise<void> {
  const { falkordb } = ctx.cluster;
  const { 'auto-aof-rewrite-percentage': percentage } = await falkordb.config('auto-aof-rewrite-percentage');
  await falkordb.write(ctx.gateway, 'CONFIG', 'SET', 'auto-aof-rewrite-percentage', '0');
  try {
    await untilIdle(falkordb, 'aof_rewrite', p.patienceSeconds * 1000, signal);
    if (await canRewrite(falkordb)) {
      await falkordb.write(ctx.gateway, 'BGREWRITEAOF');
      emit.output('the append-only file is being rewritten, so that the copy is small');
      await untilIdle(falkordb, 'aof_rewrite', p.patienceSeconds * 1000, signal);
      const { aof_last_bgrewrite_status: status } = await falkordb.info('persistence');
      if (status !== 'ok')
        throw new Error(
          `rewriting the append-only file failed (aof_last_bgrewrite_status:${status}); see the server's log`,
        );
    } else {
      emit.output('the append-only file is copied as it is: rewriting it would crash with "aof-use-rdb-preamble no"');
    }
    await copyUntorn(p, ctx, emit, signal, settings, to);
  } finally {
    await falkordb.write(ctx.gateway, 'CONFIG', 'SET', 'auto-aof-rewrite-percentage', percentage);
  }
}

const COPIES_TRIED = 3;

/** Copies the directory, and again when somebody else had it rewritten meanwhile: its files are then of two moments. */
async function copyUntorn(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
  settings: PersistenceSettings,
  to: string,
): Promise<void> {
  const from = join(settings.dir, settings.appenddirname);
  const { files } = ctx.cluster.host('falkordb');
  const manifest = async () => (await files.read(join(from, `${settings.appendfilename}.manifest`))).toString('utf8');
  for (let tried = 1; tried <= COPIES_TRIED; tried += 1) {
    signal.throwIfAborted();
    const before = await manifest();
    const failure = await copyHere(ctx, emit, from, to, signal).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    await untilIdle(ctx.cluster.falkordb, 'aof_rewrite', p.patienceSeconds * 1000, signal);
    if ((await manifest()) === before) {
      if (failure) throw failure.error;
      return;
    }
    emit.output('the append-only file was rewritten while it was copied: copying it again');
    await remove(ctx.gateway, to);
  }
  throw new Error(
    `something has the append-only file rewritten again and again: it could not be copied whole in ${COPIES_TRIED} attempts`,
  );
}

async function copySavedFile(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
  settings: PersistenceSettings,
  to: string,
): Promise<void> {
  const { falkordb } = ctx.cluster;
  await untilIdle(falkordb, 'rdb_bgsave', p.patienceSeconds * 1000, signal);
  await falkordb.write(ctx.gateway, 'BGSAVE');
  emit.output('the server saves its data');
  await untilIdle(falkordb, 'rdb_bgsave', p.patienceSeconds * 1000, signal);
  const { rdb_last_bgsave_status: status } = await falkordb.info('persistence');
  if (status !== 'ok') throw new Error(`the save failed (rdb_last_bgsave_status:${status}); see the server's log`);
  await copyHere(ctx, emit, join(settings.dir, settings.dbfilename), to, signal);
}

/** Copies a file, or the files of a folder, from the server's host. */
async function copyHere(
  { cluster, gateway }: StepContext,
  emit: Emitter<Facts>,
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  const { here, files, title } = cluster.host('falkordb');
  if (here) return copyTo(gateway, from, to);
  const isFolder = (await files.stat(from))?.kind === 'folder';
  const pairs = isFolder
    ? (await files.list(from)).map(({ name }) => ({ from: join(from, name), to: join(to, name) }))
    : [{ from, to }];
  const sizes = await Promise.all(pairs.map(async (pair) => (await files.stat(pair.from))?.bytes ?? 0));
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const onBytes = emit.bytes(total, `bringing ${basename(from)} from ${title}`);
  for (const pair of pairs) await files.fetch(gateway, pair.from, pair.to, { onBytes, signal });
}
