import { plural } from '../../words.js';
import type { BaseBackup } from './base-backup.js';
import { courseTo, type Reach, reachFrom } from './known-wal.js';
import { microsText, type RecoveryTarget, targetWords } from './recovery-target.js';
import { type Lsn, lsnText, type Stretch } from './wal-position.js';
import { between, type Look, readRestorePoints, readTransactionEnds, type TransactionEnd } from './wal-records.js';
import { firstEnd, firstEndAt, lastEnd, type Readable } from './wal-search.js';

/** Where a recovery will stop, found in the log before anything is touched. */
export interface Stop {
  lsn: Lsn;
  /** Much as the server will say it: `before commit of transaction 735, time 2026-11-21 03:10:07.402000 UTC` */
  words: string;
  transaction?: number;
}

/** What a recovery to a target would do, from which base backup, along which timelines. */
export interface Course {
  target: RecoveryTarget;
  base: BaseBackup;
  /** The timeline that is named to the server. */
  timeline: number;
  stretches: Stretch[];
  reach: Reach;
  /** Absent for `latest`. */
  stop?: Stop;
  /** The last end of a transaction that the log has from the base backup on; absent where there is none. */
  last?: TransactionEnd;
  /** Other timelines that have a transaction or a restore point of that name: numbers are given anew after a recovery. */
  alsoOn: { timeline: number; stop: Stop }[];
}

/** Why there is no course, and what to type or do. */
export interface NoCourse {
  obstacle: string;
  next: string;
}

export interface Known extends Readable {
  /** Of this cluster only, newest end first; at least one. */
  bases: readonly BaseBackup[];
  /** The timeline on which the server was. */
  current: number;
  /** The timeline that a person has named. */
  named?: number;
}

/**
 * Finds the newest base backup from which the target can be reached, and where exactly the server will stop. Everything that
 * would make it fail, or succeed with other data than asked for, is found here first.
 */
export async function findCourse(target: RecoveryTarget, known: Known, look: Look = {}): Promise<Course | NoCourse> {
  const timelines = known.named === undefined ? await timelinesFor(target, known, look) : [known.named];
  let obstacle: NoCourse | undefined;
  let course: Course | undefined;
  for (const timeline of timelines) {
    const found = await courseOn(timeline, target, known, look);
    if ('obstacle' in found) obstacle ??= found;
    else if (!course) course = found;
    else if (found.stop?.lsn !== course.stop?.lsn) course.alsoOn.push({ timeline, stop: found.stop! });
  }
  return course ?? obstacle!;
}

async function courseOn(
  timeline: number,
  target: RecoveryTarget,
  known: Known,
  look: Look,
): Promise<Course | NoCourse> {
  const stretches = await courseTo(timeline, known.wal);
  const onCourse = known.bases.filter((base) => liesOn(base, stretches));
  if (onCourse.length === 0)
    return {
      obstacle: `no base backup was taken on the way to timeline ${timeline}`,
      next: `name another timeline: --set <step>.timeline=${known.bases[0]!.timeline}`,
    };
  const before = onCourse.filter((base) => endsBefore(base, target));
  if (before.length === 0) return tooEarly(target, onCourse);
  const newest = await courseFrom(before[0]!, target, known, { timeline, stretches }, look);
  // A transaction or a restore point may lie before the newest base backup; the log after an older one has it then.
  const older = mustBeLookedFor(target) ? before.slice(1) : [];
  for (const base of 'obstacle' in newest ? older : []) {
    const found = await courseFrom(base, target, known, { timeline, stretches }, look);
    if (!('obstacle' in found)) return found;
  }
  return newest;
}

/** A transaction or a restore point is a name: only the log tells where it is. */
const mustBeLookedFor = ({ kind }: RecoveryTarget) => kind === 'transaction' || kind === 'restore-point';

/** T4: recovering to a moment before the end of the base backup ends, without a word, at that end. */
function endsBefore(base: BaseBackup, target: RecoveryTarget): boolean {
  if (target.kind === 'time') return endedBy(base, target.at);
  if (target.kind === 'lsn') return base.endLsn <= target.lsn;
  return true;
}

/** Whether a base backup is known to have ended before an instant (microseconds). */
const endedBy = ({ endedAt }: BaseBackup, at: number) => endedAt !== undefined && endedAt.getTime() * 1000 < at;

function tooEarly(target: RecoveryTarget, bases: readonly BaseBackup[]): NoCourse {
  const oldest = bases.at(-1)!;
  const undated = bases.filter((base) => base.endedAt === undefined);
  if (target.kind === 'time' && undated.length === bases.length)
    return {
      obstacle: `nothing tells when the base backup ${undated[0]!.id} ended, so it cannot be said whether it is before ${microsText(target.at)}`,
      next: `name the moment by a position instead, not before ${lsnText(undated[0]!.endLsn)}`,
    };
  const end = target.kind === 'lsn' || !oldest.endedAt ? lsnText(oldest.endLsn) : oldest.endedAt.toISOString();
  return {
    obstacle: `${targetWords(target)} lies before the end of the oldest base backup (${oldest.id}, ended ${end}): the server would stop there instead, and say nothing`,
    next: 'choose a later moment, or restore an older backup set: novamem-runbook whole-cluster-lost --backup ID',
  };
}

/** Whether a base backup was taken on a part of the log that leads to the target's timeline. */
function liesOn(base: BaseBackup, stretches: readonly Stretch[]): boolean {
  const stretch = stretches.find((one) => one.timeline === base.timeline);
  return stretch !== undefined && base.endLsn <= (stretch.to ?? Number.POSITIVE_INFINITY);
}

async function courseFrom(
  base: BaseBackup,
  target: RecoveryTarget,
  known: Known,
  { timeline, stretches }: { timeline: number; stretches: Stretch[] },
  look: Look,
): Promise<Course | NoCourse> {
  const { wal } = known;
  const reach = await reachFrom(base.hasWal ? base.endLsn : base.startLsn, stretches, wal);
  const replayed = between(stretches, base.endLsn, reach.until);
  const last = await lastEnd(replayed, known, look);
  const course: Course = { target, base, timeline, stretches, reach, alsoOn: [], ...(last ? { last } : {}) };
  const gap = reach.missing ? gapOf(reach.missing, base, known) : undefined;
  if (target.kind === 'latest') {
    if (gap) return gap;
    return last || reach.names.length > 0 ? course : noWal(base, known);
  }
  const stop = await findStop(target, replayed, known, look);
  if (stop) return { ...course, stop };
  return gap ?? (reach.names.length === 0 ? noWal(base, known) : notFound(course, known.current));
}

function gapOf({ name, why, begins }: NonNullable<Reach['missing']>, base: BaseBackup, { wal }: Known): NoCourse {
  const { segmentBytes } = wal;
  const later = wal.segments.filter((one) => one.number * segmentBytes > begins).length;
  return {
    obstacle: `the log has a gap after the base backup ${base.id}: ${name} is missing (${why})${later > 0 ? `; ${plural(later, 'later segment')} cannot be reached` : ''}`,
    next: `put ${name} back into the archive, or choose a moment before the gap, or --set <step>.timeline=N`,
  };
}

function noWal(base: BaseBackup, { wal }: Known): NoCourse {
  return {
    obstacle: `there is no log after the base backup ${base.id}, which ends at ${lsnText(base.endLsn)}${wal.archived.compressed > 0 ? ` (${plural(wal.archived.compressed, 'compressed segment')} in the archive cannot be read here)` : ''}`,
    next:
      wal.archived.compressed > 0
        ? 'unpack the segments into a folder of their own, and name it as postgres.walArchive in the profile'
        : 'see that postgres.walArchive in the profile is the folder to which the archive_command copies',
  };
}

function notFound({ target, base, last, timeline }: Course, current: number): NoCourse {
  const isServersOwn = timeline === current;
  const latest = `--set <step>.target=latest${isServersOwn ? '' : ` --set <step>.timeline=${timeline}`}`;
  const end = last ? `the last is transaction ${last.transaction} at ${microsText(last.at)}` : 'there is none at all';
  switch (target.kind) {
    // T5: the server would replay everything and then die of it: "recovery ended before configured recovery target".
    case 'time':
      return {
        obstacle: `nothing was committed at or after ${microsText(target.at)}${isServersOwn ? '' : ` on timeline ${timeline}`} (${end}): the server would replay everything, and then end with an error`,
        next: isServersOwn
          ? `that moment is the same as everything: ${latest} (or type: latest)`
          : `that was before the server's own timeline ${current} is known to have begun; on that one: --set <step>.timeline=${current}; everything of timeline ${timeline}: ${latest}`,
      };
    case 'lsn':
      return {
        obstacle: `the log does not reach ${lsnText(target.lsn)} (${end})`,
        next: `for everything that there is: ${latest}${isServersOwn ? ' (or type: latest)' : ''}`,
      };
    case 'transaction':
      return {
        obstacle: `transaction ${target.transaction} neither was committed nor rolled back after the base backup ${base.id} (${end})`,
        next: 'name the moment by its time instead: --set <step>.target="2026-11-21 03:10:00 UTC"',
      };
    default:
      return {
        obstacle: `there is no restore point "${target.kind === 'restore-point' ? target.name : ''}" after the base backup ${base.id}`,
        next: 'name the moment by its time instead: --set <step>.target="2026-11-21 03:10:00 UTC"',
      };
  }
}

async function findStop(
  target: RecoveryTarget,
  stretches: readonly Stretch[],
  known: Known,
  look: Look,
): Promise<Stop | undefined> {
  switch (target.kind) {
    case 'time':
      return stopAt(await firstEndAt(target.at, stretches, known, look));
    case 'transaction':
      return stopAt(await firstEnd(stretches, known, look, (end) => end.transaction === target.transaction));
    case 'lsn':
      return stopAtPosition(target.lsn, stretches, known, look);
    case 'restore-point': {
      let found: Stop | undefined;
      await readRestorePoints(
        known.tools,
        known.wal,
        stretches,
        ({ lsn, name }) => {
          if (name !== target.name) return true;
          found = { lsn, words: `at restore point "${name}"` };
          return false;
        },
        look,
      );
      return found;
    }
    default:
      return undefined;
  }
}

function stopAt(end: TransactionEnd | undefined): Stop | undefined {
  if (!end) return undefined;
  const { lsn, transaction, ended, at } = end;
  return { lsn, transaction, words: `before ${ended} of transaction ${transaction}, time ${microsText(at)}` };
}

/** That the log goes on behind a position: only then will the server notice that it has reached it. */
async function stopAtPosition(lsn: Lsn, stretches: readonly Stretch[], known: Known, look: Look) {
  let found: Stop | undefined;
  await readTransactionEnds(
    known.tools,
    known.wal,
    between(stretches, lsn),
    (end) => {
      found = { lsn, words: `before WAL location ${lsnText(lsn)}, before transaction ${end.transaction} ended` };
      return false;
    },
    { ...look, limit: 1 },
  );
  return found;
}

/**
 * T8: on which timelines a moment is looked for. After an earlier recovery the log has two ends, the abandoned and the new one.
 * `latest` and a position mean the server's own; a transaction or a restore point is looked for there first, then on those it
 * came from.
 */
async function timelinesFor(target: RecoveryTarget, known: Known, look: Look): Promise<number[]> {
  if (target.kind === 'time') return [await timelineAt(target.at, known, look)];
  if (!mustBeLookedFor(target)) return [known.current];
  return (await courseTo(known.current, known.wal)).map(({ timeline }) => timeline).reverse();
}

/** A moment from before all that is known of the new end, its first transaction and its base backups, lies on the old one. */
async function timelineAt(at: number, known: Known, look: Look): Promise<number> {
  let timeline = known.current;
  for (;;) {
    const stretches = await courseTo(timeline, known.wal);
    const own = stretches.at(-1)!;
    const parent = stretches.at(-2);
    if (!parent || known.bases.some((base) => base.timeline === timeline && endedBy(base, at))) return timeline;
    const begun = await firstEnd([own], known, { ...look, limit: 1 });
    if (begun && begun.at <= at) return timeline;
    // Only where the old end is longer than the way to the new one is there anything to be found on it.
    const { until } = await reachFrom(parent.to!, [{ timeline: parent.timeline, from: parent.from }], known.wal);
    if (until <= parent.to!) return timeline;
    timeline = parent.timeline;
  }
}
