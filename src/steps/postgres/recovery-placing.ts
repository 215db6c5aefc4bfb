import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  copyContent,
  copyTo,
  exists,
  giveTo,
  makeFolder,
  moveAside,
  remove,
  setMode,
  writeText,
} from '../../hosts/files.js';
import { BACKUP_LABEL, BACKUP_MANIFEST } from '../../stores/postgres/base-backup.js';
import type { KnownWal } from '../../stores/postgres/known-wal.js';
import type { Course } from '../../stores/postgres/recovery-course.js';
import { settingLines, withLines } from '../../stores/postgres/recovery-settings.js';
import { targetSettings } from '../../stores/postgres/recovery-target.js';
import { segmentName } from '../../stores/postgres/wal-position.js';
import { plural } from '../../words.js';
import type { StepContext } from '../step.js';
import { asideOf, type Emit, placeFor, type RecoveryFacts, type RecoveryParams } from './recovery.js';
import { bringBase, isElsewhere, proveBrought } from './recovery-bringing.js';
import { recoveryLogSettings } from './recovery-log.js';
import type { Survey } from './recovery-survey.js';

// How a new data directory is made ready beside the old one, and swapped in.

/**
 * What is never taken from a base backup: it belongs to a running server, would make a standby of the recovery, or would have
 * the recovered directory, or a copy of it, taken for a base backup.
 */
const NOT_PLACED = ['postmaster.pid', 'postmaster.opts', 'recovery.signal', 'standby.signal', BACKUP_MANIFEST];
const CONFIGURATION = ['postgresql.conf', 'postgresql.auto.conf', 'pg_hba.conf', 'pg_ident.conf'];
export const AUTO_CONF = 'postgresql.auto.conf';
export const RECOVERY_SIGNAL = 'recovery.signal';

/** Makes the new data directory ready beside the old one: the base backup, the log that the archive lacks, the settings. */
export async function placeBase(
  survey: Survey,
  course: Course,
  p: RecoveryParams,
  facts: RecoveryFacts,
  ctx: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { gateway } = ctx;
  const { base } = course;
  const place = placeFor(facts, ctx);
  if (isElsewhere(base)) {
    if (await bringBase(base, facts, ctx, emit, signal)) await proveBrought(survey, base, facts, ctx, emit, signal);
    // What is changed from here on is no base backup any more, and must not be taken for one by another attempt.
    for (const name of [BACKUP_MANIFEST, ...NOT_PLACED]) await remove(gateway, join(place, name));
  } else {
    // Of an earlier attempt that was ended while it copied: no server was ever started in it.
    if (await exists(place)) await remove(gateway, place);
    await makeFolder(gateway, place);
    const onBytes = emit.bytes(base.bytes, `placing the base backup ${base.id}`);
    await copyContent(gateway, base.folder, place, { without: NOT_PLACED, onBytes, signal });
  }
  // T9: without it a server starts all the same, from the wrong position, and its data are wrong.
  if (!(await exists(join(place, BACKUP_LABEL)))) throw new Error(`${base.folder} has no ${BACKUP_LABEL}`);
  await bringLog(survey, place, ctx, emit, signal);
  if (p.configuration === 'current' && survey.oldDir !== undefined)
    await bringConfiguration(survey.oldDir, place, ctx, emit);
  const lines = settingLines(recoverySettings(survey, course, facts.dataDir));
  facts.settings = lines;
  emit.facts({ settings: lines });
  const auto = join(place, AUTO_CONF);
  await writeText(gateway, auto, withLines(await readFile(auto, 'utf8').catch(() => ''), lines));
  await writeText(gateway, join(place, RECOVERY_SIGNAL), '');
  await giveTo(gateway, place, survey.owner);
  await setMode(gateway, place, 0o700);
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
  { gateway }: StepContext,
  emit: Emit,
  signal: AbortSignal,
): Promise<void> {
  const { unarchived, files } = wal!;
  for (const name of unarchived) {
    signal.throwIfAborted();
    const to = join(place, 'pg_wal', name);
    // A base backup brings the beginning of the same segment along; the old directory has all of it.
    if (await exists(to)) await remove(gateway, to);
    await copyTo(gateway, files.get(name)!.file, to);
  }
  if (unarchived.length > 0)
    emit.output(`${plural(unarchived.length, 'file')} of log that the archive lacks: taken from the old directory`);
  const unfinished = newestSegmentOf(wal!);
  if (unfinished === undefined) return;
  const status = join(place, 'pg_wal', 'archive_status');
  await makeFolder(gateway, status);
  await writeText(gateway, join(status, `${unfinished}.done`), '');
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
  for (const name of CONFIGURATION) {
    const now = await readFile(join(oldDir, name), 'utf8').catch(() => undefined);
    const then = await readFile(join(place, name), 'utf8').catch(() => undefined);
    if (now === undefined || now === then) continue;
    await writeText(ctx.gateway, join(place, name), now);
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
  const isOriginal = facts.hadData && !(await exists(aside));
  facts.swapping = true;
  // Before it is done: from here on what lies in its place may be this step's.
  emit.facts({ swapping: true });
  if (await exists(dataDir)) {
    const to = isOriginal ? aside : await freeName(`${asideOf(dataDir, ctx.runId)}-attempt`);
    await moveAside(ctx.gateway, dataDir, to);
    if (isOriginal) emit.safetyCopy('the data directory of Postgres', to, 'renamed, nothing in it was changed');
    else emit.output(`what lay in ${dataDir} is kept as ${to}; remove it when it is no longer needed`);
  }
  await moveAside(ctx.gateway, placeFor(facts, ctx), dataDir);
  facts.swapped = true;
  emit.facts({ swapped: true });
}

export async function freeName(path: string): Promise<string> {
  let name = path;
  for (let number = 2; await exists(name); number += 1) name = `${path}-${number}`;
  return name;
}
