import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { exists, giveTo, makeFolder } from '../hosts/files.js';
import { waitFor } from '../hosts/waiting.js';
import { type PersistenceSettings, persistenceOf } from '../stores/falkordb/persistence.js';
import { startService } from './service.js';
import type { StepContext } from './step.js';
import type { Emitter } from './step-events.js';

/**
 * Has the server running and asks it where its files are. A folder that was removed under a running server has no name any
 * more: then it is started anew, to read its configuration again.
 */
export async function settingsOfServer(
  ctx: StepContext,
  emit: Emitter<unknown>,
  patienceMs: number,
  signal: AbortSignal,
): Promise<PersistenceSettings> {
  const { falkordb, profile } = ctx.cluster;
  const started = async () => {
    // Without its folder the server could not even start to say what it is.
    if (profile.falkordb.dataDir !== undefined) await makeDataFolder(profile.falkordb.dataDir, ctx, emit);
    await startService('falkordb', ctx, emit, patienceMs, signal);
    return persistenceOf(falkordb);
  };
  const first = await started();
  if (first.dir === '') {
    emit.output('the folder of the running server was removed; it is started anew to say where it belongs');
    await shutDown(ctx, emit, patienceMs, signal);
  }
  const settings = first.dir === '' ? await started() : first;
  if (settings.dir === '')
    throw new Error(
      'the server does not say where it keeps its files. Nothing was moved. Set falkordb.dataDir in the profile',
    );
  await makeDataFolder(settings.dir, ctx, emit);
  return settings;
}

/** A data folder that is gone with the disk is made again, for the owner of the folder above it. */
export async function makeDataFolder(folder: string, ctx: StepContext, emit: Emitter<unknown>): Promise<void> {
  if (await exists(folder)) return;
  if (!(await exists(dirname(folder))))
    throw new Error(`neither ${folder} nor the folder above it exists on this machine. Nothing was changed`);
  await makeFolder(ctx.gateway, folder);
  await giveTo(ctx.gateway, folder, await stat(dirname(folder)));
  emit.output(`${folder} was gone: made again`);
}

const STEADY_MS = 1_000;

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
  await driver
    ?.stop(ctx.gateway, { onLine: (line) => emit.output(line), signal })
    .catch((error: Error) => emit.output(`${error.message} (it may be gone already)`));
  let goneSince = 0;
  const gone = await waitFor(
    async () => {
      const running = (await driver?.state()) === 'running' || (await cluster.answering('falkordb')).answers;
      if (running) goneSince = 0;
      else goneSince ||= Date.now();
      return !running && Date.now() - goneSince >= STEADY_MS ? true : undefined;
    },
    { timeoutMs: patienceMs, slowest: 250, signal },
  );
  if (!gone)
    throw new Error(
      'FalkorDB still runs, or something starts it again and again: its files cannot be replaced. Nothing was moved',
    );
  emit.output('FalkorDB is stopped');
}
