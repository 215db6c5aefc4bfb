import { dirname } from 'node:path';
import { steadyNow, waitFor } from '../../hosts/waiting.js';
import { type Check, equal } from '../../stores/check.js';
import type { Cluster } from '../../stores/cluster.js';
import type { FalkorDB } from '../../stores/falkordb/connection.js';
import type { PersistenceSettings } from '../../stores/falkordb/persistence.js';
import { messageOf } from '../../words.js';
import { startService } from '../service.js';
import type { StepContext } from '../step.js';
import type { Emitter } from '../step-events.js';

/** A data folder that is gone with the disk is made again, for the owner of the folder above it. */
export async function makeDataFolder(folder: string, ctx: StepContext, emit: Emitter<unknown>): Promise<void> {
  const { files, title } = ctx.cluster.host('falkordb');
  if (await files.exists(folder)) return;
  const above = await files.stat(dirname(folder));
  if (!above) throw new Error(`neither ${folder} nor the folder above it exists on ${title}. Nothing was changed`);
  await files.makeFolder(ctx.gateway, folder);
  await files.giveTo(ctx.gateway, folder, above);
  emit.output(`${folder} was gone: made again`);
}

const STEADY_MS = 1_000;
/** How long a server may still be there when its stop has failed, since that may fail because it has just gone. */
const AFTER_REFUSAL_MS = 5_000;

/**
 * Ends the server without a save, which would write over the files to come, and makes sure that it stays ended: the
 * driver's own stop tells a supervisor, and it must be gone for a whole second.
 */
export async function shutDown(
  ctx: StepContext,
  emit: Emitter<unknown>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { cluster } = ctx;
  const driver = cluster.driver('falkordb');
  if ((await cluster.answering('falkordb')).answers) {
    await cluster.falkordb.shutdownWithoutSaving(ctx.gateway);
    emit.output('SHUTDOWN NOSAVE sent');
  }
  let refusal = '';
  await driver?.stop(ctx.gateway, { onLine: (line) => emit.output(line), signal }).catch((error: unknown) => {
    refusal = messageOf(error);
    emit.output(`${refusal} (it may be gone already)`);
  });
  let goneSince = 0;
  const gone = await waitFor(
    async () => {
      const running = (await driver?.state()) === 'running' || (await cluster.answering('falkordb')).answers;
      if (running) goneSince = 0;
      else goneSince ||= steadyNow();
      return !running && steadyNow() - goneSince >= STEADY_MS ? true : undefined;
    },
    { timeoutMs: refusal === '' ? patienceMs : AFTER_REFUSAL_MS, slowest: 250, signal },
  );
  if (!gone)
    throw new Error(
      `FalkorDB still runs, or something starts it again and again: its files cannot be replaced. Nothing was moved${refusal === '' ? '' : `. ${refusal}`}`,
    );
  emit.output('FalkorDB is stopped');
  await cluster.host('falkordb').files.open(ctx.gateway, signal);
}

/** Starts it; whatever its files were reached through while it was stopped is gone by then. */
export async function startServer(
  ctx: StepContext,
  emit: Emitter<unknown>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  await ctx.cluster.host('falkordb').files.close(ctx.gateway);
  await startService('falkordb', ctx, emit, patienceMs, signal);
}

/** Waits until a rewrite or a save that is under way, or waits for another to end, is over. */
export async function untilIdle(
  falkordb: FalkorDB,
  work: 'aof_rewrite' | 'rdb_bgsave',
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const done = await waitFor(
    async () => {
      const info = await falkordb.info('persistence');
      const scheduled = work === 'aof_rewrite' ? info.aof_rewrite_scheduled : '0';
      return info[`${work}_in_progress`] === '0' && scheduled === '0' ? true : undefined;
    },
    { timeoutMs: patienceMs, signal },
  );
  if (!done) throw new Error(`${work}_in_progress is still 1 after ${patienceMs / 1000} s`);
}

/**
 * Has a server that was just started save, and take a write: one whose folder cannot be written loads its data all the same,
 * and refuses every write once its first save has failed. The write changes nothing, and is only tried on a graph that is there.
 */
export async function proveWritable(
  ctx: StepContext,
  emit: Emitter<unknown>,
  settings: PersistenceSettings,
  patienceMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { falkordb } = ctx.cluster;
  const { save } = await falkordb.config('save');
  if (save !== '' || !settings.appendonly) {
    await untilIdle(falkordb, 'aof_rewrite', patienceMs, signal);
    await untilIdle(falkordb, 'rdb_bgsave', patienceMs, signal);
    await falkordb.write(ctx.gateway, 'BGSAVE');
    await untilIdle(falkordb, 'rdb_bgsave', patienceMs, signal);
    const { rdb_last_bgsave_status: status } = await falkordb.info('persistence');
    if (status !== 'ok')
      throw new Error(await cannotSave(ctx.cluster, settings.dir, `rdb_last_bgsave_status:${status}`));
  }
  if ((await falkordb.graphs()).includes(falkordb.graph)) {
    await falkordb
      .change(ctx.gateway, falkordb.graph, 'RETURN 1')
      .catch(async (error: unknown) =>
        Promise.reject(new Error(await cannotSave(ctx.cluster, settings.dir, messageOf(error)))),
      );
  }
  emit.output('FalkorDB saves its data and takes writes');
}

/** The evidence that the server's last save and its last write to the append-only file went well. */
export async function savingCheck({ falkordb }: Cluster): Promise<Check> {
  const { aof_last_write_status: aof = 'ok', rdb_last_bgsave_status: rdb = 'ok' } =
    await falkordb.info('persistence');
  const seen = aof === 'ok' && rdb === 'ok' ? 'ok' : `append-only file ${aof}, save ${rdb}`;
  return equal('falkordb', 'writes to disk', 'ok', seen);
}

async function cannotSave(cluster: Cluster, dir: string, seen: string): Promise<string> {
  const folder = await cluster
    .host('falkordb')
    .files.stat(dir)
    .catch(() => undefined);
  const owner = folder
    ? `${dir} belongs to ${folder.uid}:${folder.gid}, mode ${(folder.mode & 0o777).toString(8)}`
    : `${dir} is not there`;
  return `FalkorDB has its data but cannot save it, and refuses writes (${seen}). ${owner}. Give that folder to the server's user and make room on its disk, then retry`;
}
