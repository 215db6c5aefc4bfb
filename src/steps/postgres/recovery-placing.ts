import { join } from 'node:path';
import { orElse } from '../../hosts/elsewhere/seen-in.js';
import type { KnownWal } from '../../stores/postgres/known-wal.js';
import type { Course } from '../../stores/postgres/recovery-course.js';
import { settingLines, withLines } from '../../stores/postgres/recovery-settings.js';
import { targetSettings } from '../../stores/postgres/recovery-target.js';
import { segmentName } from '../../stores/postgres/wal-position.js';
import { plural } from '../../words.js';
import type { StepContext } from '../step.js';
import { freeName, isTaken, isWithin, placeFor, setAside, takeIn } from './data-places.js';
import { LOG, logWords, placeLog } from './log-place.js';
import type { Emit, RecoveryFacts, RecoveryParams } from './recovery.js';
import { NOT_PLACED } from './recovery-bringing.js';
import { recoveryLogSettings } from './recovery-log.js';
import type { Survey } from './recovery-survey.js';
import { filesOf } from './server-files.js';

// How a new data directory is made ready beside the old one, and swapped in.

const CONFIGURATION = ['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf'];
export const AUTO_CONF = 'postgresql.auto.conf';
export const RECOVERY_SIGNAL = 'recovery.signal';
/** The rights with which a server refuses its data directory: to write for its group, and any for others. */
const NOT_FOR_A_SERVER = 0o027;

/** Makes what was brought ready: the log that the archive lacks, the configuration, the settings of the recovery. */
export async function makeReady(
  survey: Survey,
  course: Course,
  p: RecoveryParams,
  facts: RecoveryFacts,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { gateway } = ctx;
  const files = filesOf(ctx);
  const place = placeFor(facts, ctx);
  // What is changed from here on is no base backup any more, and must not be taken for one by another attempt.
  for (const name of NOT_PLACED)
    if (await files.exists(join(place, name))) await files.remove(gateway, join(place, name));
  if (survey.log) await placeLog(survey.log, survey.owner, facts, ctx, emit, signal);
  await bringLog(survey, place, ctx, emit, signal);
  if (p.configuration === 'current' && survey.oldDir !== undefined)
    await bringConfiguration(survey.oldDir, place, ctx, emit);
  const lines = settingLines(recoverySettings(survey, course, facts.dataDir));
  facts.settings = lines;
  emit.facts({ settings: lines });
  const auto = join(place, AUTO_CONF);
  await files.writeText(gateway, auto, withLines(String(await orElse(files.read(auto), '')), lines));
  await files.writeText(gateway, join(place, RECOVERY_SIGNAL), '');
  await files.giveTo(gateway, place, survey.owner);
  if (facts.log) await files.giveTo(gateway, facts.log.place, survey.owner);
  await files.setMode(gateway, place, 0o700);
}

/** Exactly one target; promote, since the default would leave it read-only; the timeline by its number; nothing archived meanwhile. */
function recoverySettings({ wal, archive }: Survey, course: Course, dataDir: string): Record<string, string> {
  return {
    restore_command: archive!.restoreCommand(wal!.newestArchived ?? ''),
    ...replaySettings(course),
    ...recoveryLogSettings(dataDir),
  };
}

/** The settings that decide what comes of a recovery. */
export function replaySettings({ target, timeline }: Course): Record<string, string> {
  return {
    ...targetSettings(target),
    recovery_target_timeline: String(timeline),
    recovery_target_action: 'promote',
    archive_mode: 'off',
  };
}

/** What an archive lacks, the old data directory may have: the newest transactions are nowhere else. */
async function bringLog(
  { wal }: Survey,
  place: string,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { gateway } = ctx;
  const { unarchived, files } = wal!;
  const there = filesOf(ctx);
  for (const name of unarchived) {
    signal.throwIfAborted();
    const to = join(place, LOG, name);
    // A base backup brings the beginning of the same segment along; the old directory has all of it.
    if (await there.exists(to)) await there.remove(gateway, to);
    await there.copy(gateway, files.get(name)!.file, to);
  }
  if (unarchived.length > 0)
    emit.output(`${plural(unarchived.length, 'file')} of log that the archive lacks: taken from the old directory`);
  const unfinished = newestSegmentOf(wal!);
  if (unfinished === undefined) return;
  const status = join(place, LOG, 'archive_status');
  await there.makeFolder(gateway, status);
  await there.writeText(gateway, join(status, `${unfinished}.done`), '');
}

/**
 * The segment in which the old server ended. The recovered one must never archive it: that name is the old server's, which goes
 * on writing to it after an undo, and whose archiver would then be stuck with a file that is there and has other content.
 */
function newestSegmentOf({ segments, unarchived, segmentBytes }: KnownWal): string | undefined {
  const own = segments.filter((one) => unarchived.includes(segmentName(one, segmentBytes)));
  const [newest] = own.sort((a, b) => b.number - a.number);
  return newest && segmentName(newest, segmentBytes);
}

/** The service has to come back as it was configured an hour ago, not as it was when the base backup was taken. */
async function bringConfiguration(oldDir: string, place: string, ctx: StepContext, emit: Emit): Promise<void> {
  const changed: string[] = [];
  const files = filesOf(ctx);
  const textOf = async (folder: string, name: string) =>
    (await orElse(files.read(join(folder, name)), undefined))?.toString();
  for (const name of CONFIGURATION) {
    const now = await textOf(oldDir, name);
    if (now === undefined || now === (await textOf(place, name))) continue;
    await files.writeText(ctx.gateway, join(place, name), now);
    changed.push(name);
  }
  if (changed.length > 0)
    emit.output(
      `${changed.join(', ')}: as now, not as in the base backup (--set <step>.configuration=backup for those)`,
    );
}

/**
 * Moves the data directory aside and the new one into its place: the only moment in which there is none. At a retry, what lies
 * there is of the attempt before, and is kept under another name.
 */
export async function swapIn(facts: RecoveryFacts, ctx: StepContext, emit: Emit): Promise<void> {
  const { dataDir, aside } = facts;
  const files = filesOf(ctx);
  const within = isWithin(facts);
  const isOriginal = facts.hadData && !(await files.exists(aside));
  facts.swapping = true;
  // Before it is done: from here on what lies in its place may be this step's.
  emit.facts({ swapping: true });
  if (await isTaken(facts, files)) {
    const to = isOriginal ? aside : await freeName(`${aside}-attempt`, files);
    await setAside(facts, to, ctx);
    if (isOriginal)
      emit.safetyCopy(
        'the data directory of Postgres',
        to,
        within ? 'all that was in it renamed, nothing of it changed' : 'renamed, nothing in it was changed',
      );
    else
      emit.output(
        `what lay in ${dataDir} is kept as ${to}${await logWords(to, ctx)}; remove it when it is no longer needed`,
      );
  }
  if (within && !facts.hadData) await openToServer(facts, ctx);
  await takeIn(facts, placeFor(facts, ctx), ctx);
  facts.swapped = true;
  emit.facts({ swapped: true });
}

/** The rights of a folder that stays are those with which a server ran in it; in one that had none, a server may not start with them. */
async function openToServer(facts: RecoveryFacts, ctx: StepContext): Promise<void> {
  const { dataDir } = facts;
  const files = filesOf(ctx);
  const [own, owner] = [await files.stat(dataDir), await files.stat(placeFor(facts, ctx))];
  if (!own || !owner || (own.uid === owner.uid && (own.mode & NOT_FOR_A_SERVER) === 0)) return;
  await files.giveTo(ctx.gateway, dataDir, owner);
  await files.setMode(ctx.gateway, dataDir, 0o700);
}
