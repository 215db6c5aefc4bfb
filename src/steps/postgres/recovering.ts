import { join } from 'node:path';
import { steadyNow, waitFor } from '../../hosts/waiting.js';
import { withoutLines } from '../../stores/postgres/recovery-settings.js';
import { describeReplication } from '../../stores/postgres/replication.js';
import { servedBy } from '../../stores/postgres/served-by.js';
import { historyName } from '../../stores/postgres/wal-position.js';
import { durationOf, messageOf } from '../../words.js';
import type { StepContext } from '../step.js';
import { type DataPlaces, freeName, isHeld, isTaken, placeFor, putRight, setAside, takeIn } from './data-places.js';
import { forgetLog, LOG, logWords } from './log-place.js';
import type { Emit, RecoveryFacts } from './recovery.js';
import { forgetBrought } from './recovery-bringing.js';
import { LOG_FOLDER } from './recovery-log.js';
import { AUTO_CONF } from './recovery-placing.js';
import type { Survey } from './recovery-survey.js';
import { filesOf, reachFiles, startServer, stopServer } from './server-files.js';

// What a recovery does before and after its replay, and how it is undone: the doing of `postgres.point-in-time`. The new data
// directory is made ready in postgres-recovery-placing.ts, the replay followed in postgres-replay.ts.

const ARCHIVE_PATIENCE = 30_000;
const STEADY_MS = 1_000;

/** Has the running server hand its newest log to the archive. What it does not hand over is taken from its directory later. */
export async function sendRest(survey: Survey, ctx: StepContext, emit: Emit, signal: AbortSignal): Promise<void> {
  const { postgres } = ctx.cluster;
  try {
    const database = await postgres.maintenanceDatabase();
    const [row] = await postgres.read<{ name: string; mode: string }>(
      "SELECT pg_walfile_name(pg_current_wal_lsn()) AS name, current_setting('archive_mode') AS mode",
      [],
      database,
    );
    if (row!.mode === 'off') return emit.output('archive_mode is off: the newest log is in the data directory only');
    await postgres.write(ctx.gateway, 'SELECT pg_switch_wal()', database);
    const unarchived = await whyNotArchived(row!.name, survey, database, ctx, signal);
    emit.output(
      unarchived === ''
        ? `${row!.name}, the newest log, is archived`
        : `${row!.name} was not archived: ${unarchived}; it is taken from the data directory`,
    );
  } catch (error) {
    signal.throwIfAborted();
    emit.output(`the newest log could not be archived (${messageOf(error)}); it is taken from the data directory`);
  }
}

/** Stops the server and makes sure that it stays stopped: its files are about to be moved. */
export async function stopForGood(dataDir: string, ctx: StepContext, emit: Emit, signal: AbortSignal): Promise<void> {
  await stopServer(ctx, emit, signal);
  let since = steadyNow();
  const steady = await waitFor(
    async () => {
      const { answers } = await ctx.cluster.answering('postgres');
      if (answers || (await servedBy(dataDir, filesOf(ctx))) !== undefined) since = steadyNow();
      return steadyNow() - since >= STEADY_MS ? true : undefined;
    },
    { timeoutMs: 30_000, slowest: 250, signal },
  );
  if (!steady)
    throw new Error(
      `a server still works in ${dataDir}, or something starts it again and again: its files cannot be replaced. Nothing was moved`,
    );
}

/** Takes the settings of the recovery out again and starts the server anew, as it is to run from now on. */
export async function putSettingsBack(
  facts: RecoveryFacts,
  survey: Survey,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { dataDir, settings = [] } = facts;
  const auto = join(dataDir, AUTO_CONF);
  const files = filesOf(ctx);
  await stopServer(ctx, emit, signal);
  await files.writeText(ctx.gateway, auto, withoutLines(String(await files.read(auto)), settings));
  await files.giveTo(ctx.gateway, auto, survey.owner);
  await files.remove(ctx.gateway, join(dataDir, LOG_FOLDER));
  await markHistory(facts, survey, ctx);
  await startServer(ctx, emit, signal);
  emit.output('the settings of the recovery are taken out again');
}

/**
 * A timeline that began while nothing was archived has its history in no archive, and without it no later recovery could
 * follow that timeline. The server archives what is marked as ready, as it does itself: at its start at once, later only when
 * a segment ends, which not every role may bring about.
 */
async function markHistory({ dataDir, said, archiveMode }: RecoveryFacts, survey: Survey, ctx: StepContext) {
  const files = filesOf(ctx);
  if (said?.newTimeline === undefined || archiveMode === 'off') return;
  const name = historyName(said.newTimeline);
  const mark = join(dataDir, LOG, 'archive_status', name);
  if ((await files.exists(`${mark}.ready`)) || (await files.exists(`${mark}.done`))) return;
  if (await survey.archive!.has(name)) return;
  await files.writeText(ctx.gateway, `${mark}.ready`, '');
  await files.giveTo(ctx.gateway, `${mark}.ready`, survey.owner);
}

/** Waits until the history of the new timeline is archived, and says what follows where it is not. */
export async function archiveHistory(
  facts: RecoveryFacts,
  survey: Survey,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { postgres } = ctx.cluster;
  const timeline = facts.said?.newTimeline;
  const database = await postgres.maintenanceDatabase();
  const [row] = await postgres.read<{ mode: string }>("SELECT current_setting('archive_mode') AS mode", [], database);
  if (row!.mode === 'off' || timeline === undefined) return;
  const name = historyName(timeline);
  const unarchived = await whyNotArchived(name, survey, database, ctx, signal);
  emit.output(
    unarchived === ''
      ? `${name} is archived: later recoveries can follow timeline ${timeline}`
      : `warning: ${name} is not archived: ${unarchived}. Without it no later recovery can follow timeline ${timeline}: mend the archive_command, then take a new base backup`,
  );
}

/** Waits until a file is in the archive; answers why it is not, empty when it is. */
async function whyNotArchived(
  name: string,
  { archive }: Survey,
  database: string,
  { cluster: { postgres } }: StepContext,
  signal: AbortSignal,
): Promise<string> {
  const there = await waitFor(
    async () => {
      if (await archive!.has(name)) return true;
      // An archiver that fails tries the same file for ever.
      return (await describeReplication(postgres, database)).failing === '' ? undefined : false;
    },
    { timeoutMs: ARCHIVE_PATIENCE, signal },
  );
  if (there === undefined) return `it did not come within ${durationOf(ARCHIVE_PATIENCE)}`;
  return there ? '' : 'the server fails to archive';
}

/** Moves the data directory of before back into its place and starts the server; what was recovered is kept beside it. */
export async function undoRecovery(facts: Partial<RecoveryFacts>, ctx: StepContext, emit: Emit): Promise<void> {
  const { signal } = new AbortController();
  const { dataDir, aside } = facts;
  if (dataDir === undefined || aside === undefined) return emit.output('nothing had been touched yet');
  const files = filesOf(ctx);
  await reachFiles(ctx, signal);
  const places = { dataDir, aside, ...(facts.log ? { log: facts.log } : {}) };
  const isMoved = await isHeld(aside, files);
  if (facts.swapped && facts.hadData && !isMoved)
    throw new Error(`the data directory of before is not in ${aside} any more. Nothing was changed`);
  await forgetReady(places, ctx);
  await forgetBrought(places, ctx);
  if (isMoved || (facts.swapping && facts.hadData === false)) {
    await stopForGood(dataDir, ctx, emit, signal);
    await putRight(places, ctx, emit);
    await forgetReady(places, ctx);
    const isOriginal = facts.hadData && !(await files.exists(aside));
    if (!isOriginal && (await isTaken(places, files))) {
      const undone = await freeName(`${aside}-undone`, files);
      await setAside(places, undone, ctx);
      emit.output(
        `what had been recovered is kept as ${undone}${await logWords(undone, ctx)}; remove it when it is no longer needed`,
      );
    }
    if (await files.exists(aside)) await takeIn(places, aside, ctx);
  }
  if (facts.wasRunning && facts.hadData !== false) await startServer(ctx, emit, signal);
  else await files.close(ctx.gateway);
  if (facts.hadData === false)
    return emit.output('there was no data directory before this step, and there is none now');
  emit.output(
    isMoved
      ? `the data directory of before is back in ${dataDir}${facts.wasRunning ? '' : '; Postgres did not run before, and is left stopped'}`
      : 'the data directory had not been moved yet: it is as it was',
  );
}

/** Removes a new data directory that is not in its place yet, and its log. */
async function forgetReady(places: DataPlaces & Pick<RecoveryFacts, 'log'>, ctx: StepContext): Promise<void> {
  await forgetLog(places, ctx);
  const ready = placeFor(places, ctx);
  if (await filesOf(ctx).exists(ready)) await filesOf(ctx).remove(ctx.gateway, ready);
}
