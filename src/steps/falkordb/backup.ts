import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import type { FalkordbPart } from '../../stores/backup-set/manifest.js';
import { type Check, equal } from '../../stores/check.js';
import { unbuilt, untilBuilt } from '../../stores/falkordb/indexes.js';
import { type FalkordbInventory, inventoryFalkordb } from '../../stores/falkordb/inventory.js';
import { memoryOf } from '../../stores/falkordb/memory.js';
import { filesFaults, type PersistenceSettings, persistenceOf } from '../../stores/falkordb/persistence.js';
import { under } from '../../stores/storage/storage.js';
import { plural, sizeOf } from '../../words.js';
import { newBackupOf, noBackupRoot } from '../backup/new-backup.js';
import { destinationOf, makingRoomFindings, newSetFiles, sentChecks, streamText } from '../backup/sending.js';
import { type Finding, readingPlan, type StepContext, type StepKind } from '../step.js';
import { type Emitter, stepEvents } from '../step-events.js';
import { unreachable } from '../store-readiness.js';
import { canRewrite, rewriteFindings, whereElse } from './findings.js';
import { type Saving, savingInto } from './saving.js';
import { untilIdle } from './server.js';

const params = z.strictObject({ patienceSeconds: z.number().int().positive().max(86_400).default(1800) });
type Params = z.infer<typeof params>;

interface Facts {
  parts: FalkordbPart[];
  inventory: FalkordbInventory;
  /** What was there before, when it was written to while it was copied. */
  moving?: FalkordbInventory;
}

type Form = FalkordbPart['form'];
const formOf = (settings: PersistenceSettings): Form => (settings.appendonly ? 'appendonlydir' : 'dump.rdb');

export const falkordbBackup: StepKind<Params, Facts> = {
  kind: 'falkordb.backup',
  effect: 'write',
  backupSet: 'writes',
  params,
  async plan(_p, ctx) {
    const settings = await persistenceOf(ctx.cluster.falkordb).catch(() => undefined);
    const commands = !settings
      ? []
      : settings.appendonly
        ? [
            'CONFIG SET auto-aof-rewrite-percentage 0',
            'BGREWRITEAOF',
            copyingText(ctx, join(settings.dir, settings.appenddirname), 'falkordb/appendonlydir', 'folder'),
            'CONFIG SET auto-aof-rewrite-percentage (as before)',
          ]
        : ['BGSAVE', copyingText(ctx, join(settings.dir, settings.dbfilename), 'falkordb/dump.rdb', 'file')];
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
      ...(await whereFindings(ctx)),
    ];
  },
  run: (p, ctx, signal) => stepEvents<Facts>((emit) => take(p, ctx, emit, signal)),
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
  probe: async (_p, _ctx, { parts }) => (parts ? 'done' : 'not-started'),
};

/** How a shell takes a file, or the files of a folder, to where the new set is. */
function copyingText(ctx: StepContext, from: string, to: string, kind: 'file' | 'folder'): string {
  const { here, files } = ctx.cluster.host('falkordb');
  const destination = destinationOf(ctx);
  if (destination && here) return destination.storage.sendText(from, under(destination.to, to), kind);
  const each = kind === 'folder' ? 'NAME' : '';
  if (destination) return `${files.said('cat', join(from, each))} | ${streamText(destination, join(to, each))}`;
  if (here) return files.said('cp', ...(kind === 'folder' ? ['-r'] : []), from, to);
  return kind === 'folder'
    ? `${files.said('tar', '-C', dirname(from), '-c', basename(from))} | tar -C ${dirname(to)} -x`
    : `${files.said('cat', from)} > ${to}`;
}

async function whereFindings(ctx: StepContext): Promise<Finding[]> {
  const destination = destinationOf(ctx);
  const { here, title } = ctx.cluster.host('falkordb');
  if (!destination) return makingRoomFindings(ctx, 'copy of the graph', (await memoryOf(ctx.cluster.falkordb)).used);
  return [
    {
      level: 'info',
      message: `the files go straight to ${destination.to}${here ? '' : ` from ${title}`}, and take no room here`,
    },
  ];
}

async function take(p: Params, ctx: StepContext, emit: Emitter<Facts>, signal: AbortSignal): Promise<void> {
  const { falkordb } = ctx.cluster;
  const settings = await persistenceOf(falkordb);
  const form = formOf(settings);
  const saving = await savingInto(ctx, form, emit, signal);
  try {
    // What is saved while it is being built is gone after a reload.
    const building = await unbuilt(falkordb);
    if (building.length > 0) emit.output(`${building.join(', ')} is still being built: waiting for it`);
    await untilBuilt(falkordb, p.patienceSeconds * 1000, signal);
    const before = await inventoryFalkordb(falkordb);
    const at = new Date().toISOString();
    if (settings.appendonly) await takeAppendOnlyDirectory(p, ctx, emit, signal, settings, saving);
    else await takeSavedFile(p, ctx, emit, signal, settings, saving);
    const inventory = await inventoryFalkordb(falkordb);
    const { moduleVersion, serverVersion } = inventory;
    const parts = (await saving.finish()).map(
      (saved): FalkordbPart => ({ ...saved, at, form, toolVersion: `module ${moduleVersion}`, serverVersion }),
    );
    const moved = JSON.stringify(before) !== JSON.stringify(inventory);
    emit.facts({ parts, inventory, ...(moved ? { moving: before } : {}) });
    const where = destinationOf(ctx) ? `, are in ${destinationOf(ctx)!.to}, and were read back` : '';
    emit.output(
      `copied ${form}: ${plural(parts.length, 'file')}, ${sizeOf(parts.reduce((sum, one) => sum + one.bytes, 0))}${where}`,
    );
  } finally {
    await saving.close();
  }
}

/** With rewrites held off, the files that the manifest names do not change while they are taken; only the last one grows. */
async function takeAppendOnlyDirectory(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
  settings: PersistenceSettings,
  saving: Saving,
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
    const from = join(settings.dir, settings.appenddirname);
    const { files } = ctx.cluster.host('falkordb');
    await takeUntorn(emit, signal, saving, from, {
      what: 'the append-only file was rewritten',
      async mark() {
        await untilIdle(falkordb, 'aof_rewrite', p.patienceSeconds * 1000, signal);
        return (await files.read(join(from, `${settings.appendfilename}.manifest`))).toString('utf8');
      },
    });
  } finally {
    await falkordb.write(ctx.gateway, 'CONFIG', 'SET', 'auto-aof-rewrite-percentage', percentage);
  }
}

const COPIES_TRIED = 3;

/**
 * Takes a file, or a folder, and again when somebody else had the server write it anew meanwhile: it is then of two moments. `mark` is another
 * one after that.
 */
async function takeUntorn(
  emit: Emitter<Facts>,
  signal: AbortSignal,
  saving: Saving,
  from: string,
  { what, mark }: { what: string; mark: () => Promise<string> },
): Promise<void> {
  for (let tried = 1; tried <= COPIES_TRIED; tried += 1) {
    signal.throwIfAborted();
    const before = await mark();
    const failure = await saving.take(from).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    if ((await mark()) === before) {
      if (failure) throw failure.error;
      return;
    }
    emit.output(`${what} while it was copied: copying it again`);
    await saving.drop();
  }
  throw new Error(`${what} again and again: it could not be copied whole in ${COPIES_TRIED} attempts`);
}

async function takeSavedFile(
  p: Params,
  ctx: StepContext,
  emit: Emitter<Facts>,
  signal: AbortSignal,
  settings: PersistenceSettings,
  saving: Saving,
): Promise<void> {
  const { falkordb } = ctx.cluster;
  await untilIdle(falkordb, 'rdb_bgsave', p.patienceSeconds * 1000, signal);
  await falkordb.write(ctx.gateway, 'BGSAVE');
  emit.output('the server saves its data');
  await untilIdle(falkordb, 'rdb_bgsave', p.patienceSeconds * 1000, signal);
  const { rdb_last_bgsave_status: status } = await falkordb.info('persistence');
  if (status !== 'ok') throw new Error(`the save failed (rdb_last_bgsave_status:${status}); see the server's log`);
  const from = join(settings.dir, settings.dbfilename);
  // Once it is open here, it stays what it is.
  if (ctx.cluster.host('falkordb').here) return saving.take(from);
  await takeUntorn(emit, signal, saving, from, {
    what: `${settings.dbfilename} was saved anew`,
    async mark() {
      const { rdb_saves: saves = '', rdb_last_save_time: at } = await falkordb.info('persistence');
      return `${saves} ${at}`;
    },
  });
}
