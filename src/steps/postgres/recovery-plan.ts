import { join } from 'node:path';
import { commandText } from '../../hosts/command.js';
import type { HostFiles } from '../../hosts/host-files.js';
import { verifyCommand } from '../../stores/postgres/base-backup.js';
import type { Course } from '../../stores/postgres/recovery-course.js';
import { settingLines } from '../../stores/postgres/recovery-settings.js';
import { countMemories, estimatedRows } from '../../stores/postgres/server.js';
import { lsnText } from '../../stores/postgres/wal-position.js';
import { leftOut } from '../../stores/postgres/wal-removals.js';
import { countOf, durationOf, plural, sizeOf } from '../../words.js';
import type { Finding, StepContext, StepPlan } from '../step.js';
import { saidWhileStopped } from '../stopped-service.js';
import { contentMoved, type DataPlaces, isWithin, placeFor } from './data-places.js';
import { logCommands } from './log-place.js';
import { EMPTY_FOLDERS, folderHere, isElsewhere, NOT_PLACED } from './recovery-bringing.js';
import { AUTO_CONF, RECOVERY_SIGNAL, replaySettings } from './recovery-placing.js';
import type { Survey } from './recovery-survey.js';
import { filesOf, hostOfPostgres, onHost } from './server-files.js';

// What is told of a recovery before it is begun: its commands, what is at stake, and what was found.

const COUNTING_MS = 15_000;
/** Rough, and said to be: copying and replaying, on two cores. */
const ROUGH_BYTES_PER_MS = 60_000;
/** Stopping and starting the server, twice. */
const SERVER_MS = 8_000;

/** How much is copied and replayed, and how long that takes; copying is counted twice, since the base backup is also read to its end before. */
export function effortOf({ wal }: Survey, { base, stop, reach }: Course): Pick<StepPlan, 'estimateMs' | 'work'> {
  const bytes = base.bytes * 2 + Math.max(wal!.segmentBytes, (stop?.lsn ?? reach.until) - base.endLsn);
  return { estimateMs: SERVER_MS + bytes / ROUGH_BYTES_PER_MS, work: { amount: bytes, unit: 'bytes' } };
}

export async function commandsOf(survey: Survey, course: Course, ctx: StepContext): Promise<string[]> {
  const { owner, tools } = survey;
  const place = placeFor(survey, ctx);
  const files = filesOf(ctx);
  const settings = settingLines(replaySettings(course));
  const { base } = course;
  const from = folderHere(base, survey, ctx);
  return [
    ...(isElsewhere(base)
      ? [base.storage.copyText(base.folder, from), `(cd ${from} && mkdir -p ${EMPTY_FOLDERS.join(' ')})`]
      : []),
    commandText(verifyCommand(tools!, { ...base, folder: from })),
    ...(from === place ? [] : [files.saidSendTree(from, place, NOT_PLACED)]),
    'SELECT pg_switch_wal();',
    ...(await saidWhileStopped('postgres', ctx, (stopped) => [
      ...(survey.log ? logCommands(place, survey.log, stopped.said) : []),
      `add to ${join(place, AUTO_CONF)}${onHost(ctx)}: restore_command, ${settings.join(', ')}`,
      stopped.said('touch', join(place, RECOVERY_SIGNAL)),
      stopped.said('chown', '-R', `${owner.uid}:${owner.gid}`, place, ...(survey.log ? [survey.log.place] : [])),
      stopped.said('chmod', '700', place),
      ...swapCommands(survey, survey.oldDir !== undefined, place, stopped.said),
    ])),
    'wait until SELECT pg_is_in_recovery() is false; take the settings out again; stop and start once more',
  ];
}

/** Moves the data directory of now aside, where there is one, and the new one into its place. */
function swapCommands(places: DataPlaces, isThere: boolean, place: string, said: HostFiles['said']): string[] {
  const { dataDir, aside } = places;
  if (!isWithin(places))
    return [...(isThere ? [said('mv', '-T', dataDir, aside)] : []), said('mv', '-T', place, dataDir)];
  return [
    ...(isThere ? [said('mkdir', aside), contentMoved(dataDir, aside, said)] : []),
    contentMoved(place, dataDir, said),
    said('rmdir', place),
  ];
}

/** What is there now and will not be: counted live, as far as the server and the log can tell. */
export async function atStake(survey: Survey, ctx: StepContext): Promise<string[]> {
  const { oldDir, course, known, target } = survey;
  if (oldDir === undefined) return [];
  const { postgres } = ctx.cluster;
  const tables = await estimatedRows(postgres).catch(() => undefined);
  const at = target?.kind === 'time' ? new Date(target.at / 1000) : null;
  const memories = await countMemories(postgres, at).catch(() => undefined);
  const lines = [
    tables
      ? `database ${postgres.database} at ${postgres.address}: ${plural(tables.length, 'table')}${memories ? `, ${plural(memories.memories, 'memory', 'memories')}${at ? `, ${countOf(memories.newer)} of them made since that moment` : ''}` : ''}`
      : `whatever is in ${oldDir} (the server cannot be asked)`,
  ];
  if (course?.stop && known) {
    const { transactions, complete } = await leftOut(course, known, { signal: AbortSignal.timeout(COUNTING_MS) });
    lines.push(
      `${complete ? '' : 'at least '}${plural(transactions, 'transaction')} committed from then on, in every database of this server`,
    );
  }
  return lines;
}

export function courseFindings(survey: Survey, course: Course, ctx: StepContext): Finding[] {
  const { wal, archive } = survey;
  const { base, reach, stop, timeline, stretches } = course;
  const age = base.endedAt ? `, ended ${durationOf(Date.now() - base.endedAt.getTime())} ago` : '';
  const found: Finding[] = [
    ...(isWithin(survey) && survey.oldDir !== undefined
      ? [
          {
            level: 'info' as const,
            message: `${survey.dataDir}${onHost(ctx)} cannot be renamed (a disk is mounted there, or the folder above it may not be written to): what is in it is moved into ${survey.aside} instead, on the same disk`,
            next: 'base backups of the server leave it out; copies of the disk as such do not',
          },
        ]
      : []),
    ...(survey.log
      ? [
          {
            level: 'info' as const,
            message: `the write-ahead log lies in ${survey.log.before}${onHost(ctx)}, and stays there with the data directory of now; that of the new one comes to ${survey.log.place}, on the same disk`,
          },
        ]
      : []),
    {
      level: 'info',
      message: `begins with the base backup ${base.id} (${sizeOf(base.bytes)}${age})${isElsewhere(base) ? `, which is brought from ${base.folder} to ${folderHere(base, survey, ctx)}${hostOfPostgres(ctx).here ? '' : `, and from there to ${placeFor(survey, ctx)}${onHost(ctx)},`} before anything is stopped` : ''}`,
    },
    {
      level: 'info',
      message: stop ? `stops ${stop.words}` : 'replays everything that the log has',
    },
    {
      level: 'info',
      message: `the log is whole from ${lsnText(base.endLsn)} to ${lsnText(reach.until)}: ${plural(reach.names.length, 'segment')}, ${wal!.unarchived.length} of its files only in the data directory, the others in ${archive!.place}`,
    },
  ];
  if (stretches.length > 1)
    found.push({
      level: 'info',
      message: `along the timelines ${stretches.map((one) => one.timeline).join(' → ')}`,
      next: `another: --set <step>.timeline=${timeline}`,
    });
  for (const other of course.alsoOn)
    found.push({
      level: 'warning',
      message: `timeline ${other.timeline} has another one: it would stop ${other.stop.words}`,
      next: `if that is the one: --set <step>.timeline=${other.timeline}`,
    });
  if (reach.missing)
    found.push({
      level: 'warning',
      message: `behind that moment the log has a gap: ${reach.missing.name} is missing (${reach.missing.why})`,
    });
  return found;
}

/** What the running server says that matters: settings on its command line win over every file, and so over the recovery's. */
export async function serverFindings({ cluster: { postgres } }: StepContext): Promise<Finding[]> {
  const asked = await postgres
    .maintenanceDatabase()
    .then((database) =>
      postgres.reading(
        async ({ query }) => ({
          failing: (
            await query<{ name: string }>(
              "SELECT last_failed_wal AS name FROM pg_stat_archiver WHERE last_failed_time > coalesce(last_archived_time, '-infinity')",
            )
          )[0]?.name,
          rows: await query<{ name: string }>(
            `SELECT name FROM pg_settings WHERE source = 'command line'
                AND (name LIKE 'recovery\\_target%' OR name IN ('restore_command', 'archive_mode')) ORDER BY 1`,
          ),
          standbys: (await query("SELECT 1 FROM pg_stat_replication WHERE application_name <> 'pg_basebackup'"))
            .length,
        }),
        { database },
      ),
    )
    .catch(() => ({ rows: [], standbys: 0, failing: undefined }));
  const archiver: Finding[] =
    asked.failing === undefined
      ? []
      : [
          {
            level: 'warning',
            message: `the server fails to archive ${asked.failing}: the newest log is in its data directory only, and is taken from there`,
            next: 'see its log for what the archive_command says, and take a new base backup once it works again',
          },
        ];
  const replicas: Finding[] =
    asked.standbys === 0
      ? []
      : [
          {
            level: 'warning',
            message: `${plural(asked.standbys, 'other server follows', 'other servers follow')} this one: what is recovered has a new timeline, and they cannot follow it`,
            next: 'make them anew after it, from a new base backup',
          },
        ];
  const onCommandLine = asked.rows.map(
    ({ name }): Finding => ({
      level: name === 'archive_mode' ? 'warning' : 'blocking',
      message: `${name} is set on the server's command line, which wins over every file${name === 'archive_mode' ? ': the new timeline is archived from its first moment on' : ''}`,
      next: `take ${name} out of the start command of Postgres`,
    }),
  );
  return [...archiver, ...replicas, ...onCommandLine];
}
