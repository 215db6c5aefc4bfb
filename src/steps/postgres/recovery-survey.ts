import { basename, dirname, join, resolve } from 'node:path';
import { commandText } from '../../hosts/command.js';
import { sizeOfTree } from '../../hosts/copy-tree.js';
import { NotReached } from '../../hosts/elsewhere/reaching.js';
import { orElse } from '../../hosts/elsewhere/seen-in.js';
import { exists } from '../../hosts/files.js';
import type { HostFiles } from '../../hosts/host-files.js';
import { localFiles } from '../../hosts/local-files.js';
import { mountPointsIn } from '../../hosts/mounts.js';
import { seemsReadableBy } from '../../hosts/readable-by.js';
import { inspectCommand } from '../../hosts/run-command.js';
import { Problem } from '../../problem.js';
import { type BaseBackup, findBaseBackups, placesOfBase } from '../../stores/postgres/base-backup.js';
import { type ControlData, majorOf, readControlData } from '../../stores/postgres/control-data.js';
import { gatherWal, type KnownWal } from '../../stores/postgres/known-wal.js';
import { openWalArchive } from '../../stores/postgres/open-wal-archive.js';
import { type Course, findCourse, type Known } from '../../stores/postgres/recovery-course.js';
import { parseTarget, type RecoveryTarget } from '../../stores/postgres/recovery-target.js';
import { describeServer } from '../../stores/postgres/server.js';
import { type Installation, toolsFor } from '../../stores/postgres/tools.js';
import { readBackupEnds, type WalArchive } from '../../stores/postgres/wal-archive.js';
import { DEFAULT_SEGMENT_BYTES, segmentName, segmentNumberAt } from '../../stores/postgres/wal-position.js';
import { isS3 } from '../../stores/storage/storage.js';
import { messageOf, sizeOf } from '../../words.js';
import type { Finding, StepContext } from '../step.js';
import { asideOf, halfMoved, isTaken, isWithin, MOVING, onTheirWay, placeFor, staysInPlace } from './data-places.js';
import { LOG, type LogPlaces, placeOfNewLog, placesOfLog } from './log-place.js';
import type { RecoveryFacts, RecoveryParams } from './recovery.js';
import { folderHere, isElsewhere } from './recovery-bringing.js';
import { filesOf, hostOfPostgres, onHost } from './server-files.js';

// What is true before a recovery to a point in time: found without touching anything, by plan and check and once more by run.

export interface Survey {
  findings: Finding[];
  /** The data directory, links followed; empty where the profile does not say. */
  dataDir: string;
  /** Where the data directory of before is, or will be, kept: the first attempt has decided it. */
  aside: string;
  /** Where the data of before lies now: the data directory itself, or where an earlier attempt has moved it. */
  oldDir?: string;
  owner: { uid: number; gid: number };
  /** Absent where the log lies in the data directory. */
  log?: LogPlaces;
  tools?: Installation;
  control?: ControlData;
  archive?: WalArchive;
  wal?: KnownWal;
  bases: BaseBackup[];
  known?: Known;
  target?: RecoveryTarget;
  course?: Course;
}

const surveys = new WeakMap<StepContext, Promise<Survey>>();

/** The survey for one look at a step: its plan and its check ask for the same. */
export function surveyOnce(p: RecoveryParams, ctx: StepContext): Promise<Survey> {
  const known = surveys.get(ctx);
  if (known) return known;
  const survey = surveyNow(p, ctx);
  surveys.set(ctx, survey);
  return survey;
}

/**
 * Looks at everything that a recovery needs. What stands in its way is a finding; it rejects for defects only, and where a host cannot be
 * reached.
 */
export async function surveyNow(p: RecoveryParams, ctx: StepContext): Promise<Survey> {
  const survey: Survey = { findings: [], dataDir: '', aside: '', bases: [], owner: { uid: 0, gid: 0 } };
  try {
    return await lookAtAll(survey, p, ctx);
  } catch (error) {
    if (!(error instanceof NotReached && error.stopped)) throw error;
    survey.findings.push({
      level: 'warning',
      message: `${hostOfPostgres(ctx).title} is stopped: its files are seen only once this step begins, and nothing is touched before they were looked at`,
    });
    return survey;
  }
}

async function lookAtAll(survey: Survey, p: RecoveryParams, ctx: StepContext): Promise<Survey> {
  const block = (message: string, next: string) => survey.findings.push({ level: 'blocking', message, next });
  const given = p.target ?? ctx.answer;
  const parsed = given === undefined ? undefined : parseTarget(given);
  if (parsed && 'target' in parsed) survey.target = parsed.target;
  if (!demandProfile(ctx, block)) return survey;
  if (!(await findDirectory(survey, ctx, block))) return survey;
  if (!(await findTools(survey, ctx, block))) return survey;
  if (!(await findWal(survey, ctx, block))) return survey;
  if (!(await findBases(survey, p, ctx, block))) return survey;
  const { tools, wal, control, bases, target } = survey;
  survey.known = {
    tools: tools!,
    wal: wal!,
    bases,
    current: control?.timeline ?? newestTimeline(wal!),
    ...(p.timeline === undefined ? {} : { named: p.timeline }),
  };
  if (!target) return survey;
  const found = await findCourse(target, survey.known);
  if ('obstacle' in found) block(found.obstacle, p.target === undefined ? asAnswered(found.next) : found.next);
  else {
    survey.course = found;
    await demandRoom(survey, found, ctx, block);
  }
  return survey;
}

/** A moment that was asked for is asked for again by a retry: it is typed there, no command line is. */
const asAnswered = (next: string): string =>
  `retry, and answer another moment: ${next
    .replace(/ \(or type: latest\)/, '')
    .replaceAll(/--set <step>\.target=("([^"]*)"|\S+)/g, (_, word: string, quoted?: string) => quoted ?? word)}`;

type Block = (message: string, next: string) => void;

/** What the profile must say for this at all. */
function demandProfile({ cluster }: StepContext, block: Block): boolean {
  const { dataDir, walArchive } = cluster.profile.postgres;
  if (dataDir === undefined)
    block(
      'the profile does not say where the data directory of Postgres is, and it has to be replaced as files',
      'add to the profile: postgres: { dataDir: /var/lib/postgresql/16/main } (SHOW data_directory tells it)',
    );
  if (walArchive === undefined)
    block(
      'the profile does not say where the write-ahead log is archived',
      'add to the profile: postgres: { walArchive: /the/folder } (SHOW archive_command tells it)',
    );
  if (!cluster.driver('postgres'))
    block(
      'the profile does not say how to stop and start Postgres, and its files can only be replaced while it is stopped',
      'add services.postgres to the profile',
    );
  return dataDir !== undefined && walArchive !== undefined && cluster.driver('postgres') !== undefined;
}

async function findDirectory(survey: Survey, ctx: StepContext, block: Block): Promise<boolean> {
  const configured = ctx.cluster.profile.postgres.dataDir!;
  const earlier = ctx.earlier as Partial<RecoveryFacts>;
  const { files, here, title } = hostOfPostgres(ctx);
  const dataDir = await orElse(files.realPath(configured), here ? resolve(configured) : configured);
  survey.dataDir = dataDir;
  const aside = earlier.aside ?? asideOf(dataDir, ctx.runId, await staysInPlace(dataDir, files));
  survey.aside = aside;
  const within = isWithin(survey);
  if (within && !(await isWhole(survey, ctx))) return false;
  if (earlier.aside !== undefined && (await files.exists(aside))) survey.oldDir = aside;
  else if ((await files.exists(dataDir)) && (await orElse(hasContent(survey, files), false))) survey.oldDir = dataDir;
  const { oldDir } = survey;
  const above = dirname(dataDir);
  const folder = await files.stat(above);
  if (!folder) {
    block(
      `neither ${dataDir} nor the folder above it is on ${title}`,
      here
        ? 'run this program where the data directory is, or say in the profile how to get there: hosts: { postgres: { ssh: USER@HOST } }'
        : 'mend hosts.postgres or postgres.dataDir in the profile',
    );
    return false;
  }
  const own = oldDir ?? (within ? dataDir : undefined);
  const like = (own === undefined ? undefined : await files.stat(own)) ?? folder;
  const runsAs = ctx.cluster.profile.services.postgres;
  survey.owner = oldDir === undefined && runsAs?.driver === 'process' && runsAs.user ? runsAs.user : like;
  if (oldDir === undefined)
    survey.findings.push({
      level: 'warning',
      message: `${dataDir} is not there or empty: it is made anew, and nothing of it can be kept`,
    });
  else if (!(await files.exists(join(oldDir, 'PG_VERSION')))) {
    block(
      `${oldDir}${onHost(ctx)} is no data directory of Postgres: it has no PG_VERSION`,
      'mend postgres.dataDir in the profile',
    );
    return false;
  }
  const me = await files.user();
  if (me !== 0 && me !== survey.owner.uid) {
    block(
      `${dataDir}${onHost(ctx)} belongs to user ${survey.owner.uid}, and this program ${here ? 'runs as' : 'is there'} ${me}: it could neither move nor place files`,
      here
        ? 'run this program as root, or as that user'
        : 'reach the host as root or as that user; over ssh, with sudo: true',
    );
    return false;
  }
  if (!(await demandOneDisk(survey, ctx, block)) || !(await findLog(survey, ctx, block))) return false;
  return isServersOwn(dataDir, ctx, block);
}

/** What is mounted in a data directory cannot be moved within it; renamed, the directory would take it along until the next start of the machine. */
async function demandOneDisk(survey: Survey, ctx: StepContext, block: Block): Promise<boolean> {
  const { dataDir } = survey;
  const [nested] = await mountPointsIn(dataDir, filesOf(ctx));
  if (nested === undefined) return true;
  const elsewhere =
    'mount that disk outside of the data directory for good (/etc/fstab, or the volume of the container)';
  const link = [
    commandText({ file: 'rmdir', args: [nested] }),
    commandText({ file: 'ln', args: ['-s', OUTSIDE, nested] }),
  ].join(' && ');
  block(
    isWithin(survey)
      ? `${dataDir}${onHost(ctx)} cannot be renamed, and ${nested} in it is a disk of its own, which cannot be moved within it either`
      : `${nested}${onHost(ctx)} is a disk of its own: renamed, ${dataDir} would take it along, and at the next start of the machine it would be mounted over what the new one has there`,
    basename(nested) === LOG
      ? `stop Postgres, ${elsewhere}, at ${OUTSIDE} for one, and lead there: ${link}. A log behind a link stays on its disk in a recovery`
      : `stop Postgres, ${elsewhere}, and tell Postgres where it is`,
  );
  return false;
}

/** Where the next step has a log be mounted, as a word for any folder. */
const OUTSIDE = '/postgres-wal';

async function findLog(survey: Survey, ctx: StepContext, block: Block): Promise<boolean> {
  const { oldDir, dataDir } = survey;
  const earlier = ctx.earlier as Partial<RecoveryFacts>;
  if (oldDir === undefined || (oldDir !== dataDir && earlier.log === undefined)) return true;
  // Where an earlier attempt has moved the directory, a link in it may lead nowhere.
  const found =
    oldDir === dataDir
      ? await placesOfLog(dataDir, ctx)
      : { before: earlier.log!.before, place: await placeOfNewLog(earlier.log!.before, ctx) };
  if (found === undefined) return true;
  if ('obstacle' in found) {
    block(found.obstacle, found.next);
    return false;
  }
  survey.log = found;
  const names = (await filesOf(ctx).list(found.before)).map(({ name }) => name);
  if (!names.some((name) => /^[0-9A-F]{24}$/.test(name)))
    survey.findings.push({
      level: 'warning',
      message: `${found.before}${onHost(ctx)}, where the write-ahead log should lie, holds none of it`,
      next: 'see that its disk is mounted there: what the archive lacks of the newest transactions is nowhere else',
    });
  return true;
}

const hasContent = async (survey: Survey, files: HostFiles): Promise<boolean> =>
  isWithin(survey) ? isTaken(survey, files) : (await files.list(survey.dataDir)).length > 0;

/** Nothing can be told of a directory of which a part is elsewhere; whoever has left it half-way can put it right. */
async function isWhole(survey: Survey, ctx: StepContext): Promise<boolean> {
  const { dataDir } = survey;
  const foreign = await halfMoved(dataDir, ctx, survey);
  const half = await onTheirWay(dataDir, filesOf(ctx));
  if (foreign) survey.findings.push(foreign);
  else if (half.length > 0)
    survey.findings.push({
      level: 'warning',
      message: `an earlier attempt was ended while it moved what is in ${dataDir}${onHost(ctx)}: a part of it is in ${half.map((name) => join(dataDir, name + MOVING)).join(', ')}. That is put right first, and nothing else is touched before all was looked at`,
    });
  return half.length === 0;
}

/** A profile that names another directory than the server's own would have the wrong one replaced. */
async function isServersOwn(dataDir: string, ctx: StepContext, block: Block): Promise<boolean> {
  const said = await ctx.cluster.postgres
    .maintenanceDatabase()
    .then((database) =>
      ctx.cluster.postgres.read<{ at: string }>(
        "SELECT setting AS at FROM pg_settings WHERE name = 'data_directory'",
        [],
        database,
      ),
    )
    .then(([row]) => row?.at ?? '')
    .catch(() => '');
  if (said === '') return isServedThere(dataDir, ctx, block);
  const real = await orElse(filesOf(ctx).realPath(said), said);
  if (real === dataDir) return true;
  block(`the server says that its data directory is ${said}, and the profile says ${dataDir}`, whereElse(ctx));
  return false;
}

const whereElse = (ctx: StepContext) =>
  hostOfPostgres(ctx).here
    ? 'mend postgres.dataDir in the profile, or run this program where the server is'
    : 'mend postgres.dataDir or hosts.postgres in the profile';

/** Not every role may see where the data directory is; but a server that answers has left its mark in the right one. */
async function isServedThere(dataDir: string, ctx: StepContext, block: Block): Promise<boolean> {
  const { cluster } = ctx;
  const files = filesOf(ctx);
  const hasData = await files.exists(join(dataDir, 'PG_VERSION'));
  if (!hasData || (await files.exists(join(dataDir, 'postmaster.pid')))) return true;
  if (!(await cluster.answering('postgres')).answers) return true;
  block(
    `Postgres answers at ${cluster.postgres.address}, but no server works in ${dataDir}${onHost(ctx)}: it has no postmaster.pid`,
    whereElse(ctx),
  );
  return false;
}

const PROGRAMS = ['pg_verifybackup', 'pg_waldump', 'pg_controldata'];

async function findTools(survey: Survey, ctx: StepContext, block: Block): Promise<boolean> {
  const { oldDir } = survey;
  const files = filesOf(ctx);
  const server = await describeServer(ctx.cluster.postgres).catch(() => undefined);
  const { backups: roots, s3 } = ctx.cluster.profile;
  const major =
    (oldDir ? await majorOf(oldDir, files) : undefined) ??
    server?.major ??
    (await findBaseBackups(roots, [], { s3 })).usable[0]?.major;
  const tools = await toolsFor(major ?? 0);
  const missing = (
    await Promise.all(PROGRAMS.map(async (name) => ((await exists(join(tools.bin, name))) ? '' : name)))
  ).filter((name) => name !== '');
  if (missing.length > 0 || (major !== undefined && tools.major !== major)) {
    block(
      missing.length > 0
        ? `${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not in ${tools.bin}`
        : `the programs of Postgres ${tools.version} are here, and the data is of version ${major}`,
      `install the server programs of version ${major ?? tools.major} here (Debian: apt-get install postgresql-${major ?? tools.major})`,
    );
    return false;
  }
  survey.tools = tools;
  if (oldDir === undefined) return true;
  if ((await orElse(files.list(join(oldDir, 'pg_tblspc')), [])).length > 0) {
    block(
      'the server has tablespaces of its own, which this program cannot set aside and place again',
      'recover with the means of your own: https://www.postgresql.org/docs/current/continuous-archiving.html',
    );
    return false;
  }
  survey.control = await readControlData(oldDir, tools, files).catch((error: unknown) => {
    if (error instanceof NotReached) throw error;
    survey.findings.push({
      level: 'warning',
      message: `the control file of ${oldDir} cannot be read (${messageOf(error)}): whether archive and base backups are of this cluster is not proven`,
    });
    return undefined;
  });
  const served = server?.systemIdentifier ?? '';
  if (served === '' || !survey.control || survey.control.systemIdentifier === served) return true;
  block(
    `${oldDir} is of another cluster (system ${survey.control.systemIdentifier}) than the server that answers (system ${served})`,
    'mend postgres.dataDir in the profile',
  );
  return false;
}

async function findWal(survey: Survey, ctx: StepContext, block: Block): Promise<boolean> {
  const { control, oldDir, log } = survey;
  const host = hostOfPostgres(ctx);
  const place = ctx.cluster.profile.postgres.walArchive!;
  try {
    survey.archive = openWalArchive(place, ctx.cluster.profile.s3, host);
    survey.wal = await gatherWal(
      survey.archive,
      log?.before ?? (oldDir ? join(oldDir, LOG) : undefined),
      control?.segmentBytes ?? DEFAULT_SEGMENT_BYTES,
      host,
    );
  } catch (error) {
    if (error instanceof NotReached) throw error;
    const cause = (error as Error).cause;
    block(
      messageOf(error),
      cause instanceof Problem ? cause.next : 'mount it, or mend postgres.walArchive in the profile',
    );
    return false;
  }
  const { systemIdentifier } = survey.wal;
  if (control && systemIdentifier && systemIdentifier !== control.systemIdentifier) {
    block(
      `the WAL archive ${place} is of another cluster (system ${systemIdentifier}, here ${control.systemIdentifier})`,
      'mend postgres.walArchive in the profile',
    );
    return false;
  }
  const newest = survey.wal.newestArchived;
  const asked = newest === undefined ? place : survey.archive.fileOf(newest).file;
  if (isS3(place)) survey.findings.push(await awsFinding(place, survey, ctx));
  else if (!(await seemsReadableBy(asked, survey.owner, host.files)))
    survey.findings.push({
      level: 'warning',
      message: `${asked}${onHost(ctx)} does not seem to be readable by user ${survey.owner.uid}, as whom the server asks the archive: the recovery would end half-way`,
      next: `try it: ${host.files.said('setpriv', '--reuid', `${survey.owner.uid}`, '--regid', `${survey.owner.gid}`, '--clear-groups', 'head', '-c', '1', asked)}`,
    });
  if (newest === undefined)
    survey.findings.push({
      level: 'warning',
      message: `the WAL archive ${place} has no segment${survey.wal.archived.compressed > 0 ? ' that is not compressed' : ''}`,
      next: 'see that it is mounted, and the right folder: only what Postgres itself still has of its log can be replayed without',
    });
  return true;
}

/** The server asks for the log by the program `aws`, as its own user and with the credentials of that user. */
async function awsFinding(place: string, { owner, archive }: Survey, ctx: StepContext): Promise<Finding> {
  const { exitCode } = await inspectCommand(hostOfPostgres(ctx).reach({ file: 'aws', args: ['--version'] }));
  if (exitCode === 0)
    return {
      level: 'info',
      message: `the server itself asks ${place} for its log, by the program aws, as user ${owner.uid} and with that user's credentials, which need s3:GetObject and s3:ListBucket there`,
    };
  return {
    level: 'warning',
    message: `the program aws, by which the server asks ${place} for its log, was not found ${hostOfPostgres(ctx).here ? 'from here' : `from ${hostOfPostgres(ctx).title}`}: unless the server finds it, the recovery would end half-way`,
    next: `install it (Debian: apt-get install awscli), and try as the server's user: ${archive!.restoreCommand('SEGMENT').replaceAll('%f', 'SEGMENT').replaceAll('%p', '/tmp/SEGMENT')}`,
  };
}

async function findBases(survey: Survey, p: RecoveryParams, ctx: StepContext, block: Block): Promise<boolean> {
  const { archive, wal, control, tools } = survey;
  const ends = await readBackupEnds(archive!, wal!.archived.backups);
  const { backups, s3 } = ctx.cluster.profile;
  const { usable, unusable } = await findBaseBackups(backups, ends, { named: p.base, s3 });
  const named = p.base === undefined ? [] : placesOfBase(p.base);
  const tell = (message: string) => survey.findings.push({ level: 'info', message });
  for (const { folder, why } of unusable) tell(`${folder} cannot be used: ${why}`);
  for (const base of usable) {
    if (p.base !== undefined && base.id !== p.base && !named.includes(base.folder)) continue;
    if (base.major !== tools!.major) tell(`the base backup ${base.id} is of Postgres ${base.major}`);
    else if (control && base.systemIdentifier !== control.systemIdentifier)
      tell(`the base backup ${base.id} is of another cluster (system ${base.systemIdentifier})`);
    else survey.bases.push(base);
  }
  if (survey.bases.length > 0) return true;
  if (p.base !== undefined)
    block(
      `there is no usable base backup "${p.base}"`,
      `${usable.length > 0 ? `there are: ${usable.map((base) => base.id).join(', ')}; ` : ''}or leave it to the program: without --set <step>.base`,
    );
  else
    block(
      'there is no usable base backup of this cluster below the backup roots of the profile',
      'name one that lies elsewhere: --set <step>.base=/its/folder; or restore the dump of a backup instead: novamem-runbook postgres-corrupt. For the next time: novamem-runbook run backup --set backup-base.take=true',
    );
  return false;
}

/** The newest timeline of which anything is known. */
function newestTimeline({ segments, histories }: KnownWal): number {
  return Math.max(1, ...segments.map((one) => one.timeline), ...histories);
}

/** The old directory stays with its log, so there must be room for a second one of each, on the disk of each. */
async function demandRoom(survey: Survey, { base }: Course, ctx: StepContext, block: Block): Promise<void> {
  const { dataDir, log } = survey;
  const files = filesOf(ctx);
  const place = placeFor(survey, ctx);
  const { brought, added } = logBytes(survey, base);
  // What a base backup brings of the log comes beside its other files first, and to its own disk from there.
  const behindLink = log === undefined ? 0 : brought + added;
  const isApart = log !== undefined && !(await onOneDisk(dirname(log.place), dirname(place), files));
  const needed = base.bytes + brought + (log === undefined ? added : isApart ? 0 : behindLink);
  const free = await roomAt(place, files);
  if (free < needed)
    block(
      `${isWithin(survey) ? dataDir : dirname(dataDir)}${onHost(ctx)} has ${sizeOf(free)} free, and ${sizeOf(needed)} are needed: the data directory of now is kept beside the new one`,
      'make room',
    );
  const freeForLog = isApart ? await files.freeBytes(log.place) : behindLink;
  if (freeForLog < behindLink)
    block(
      `${dirname(log!.place)}${onHost(ctx)} has ${sizeOf(freeForLog)} free, and ${sizeOf(behindLink)} are needed for the write-ahead log: that of now is kept beside the new one`,
      'make room on that disk',
    );
  if (!isElsewhere(base) || hostOfPostgres(ctx).here) return;
  const freeHere = await roomAt(folderHere(base, survey, ctx), localFiles);
  if (freeHere < base.bytes)
    block(
      `the base backup ${base.id} (${sizeOf(base.bytes)}) has to be brought into ${ctx.workFolder} on its way to ${hostOfPostgres(ctx).title}, and ${sizeOf(freeHere)} are free there`,
      'free some there, or keep what this program keeps on a larger disk: NOVAMEM_RUNBOOK_HOME=/a/folder',
    );
}

/** Bytes of log: what a base backup brings, and what is added before it is replayed, with two segments that come from the archive. */
function logBytes({ wal }: Survey, { hasWal, startLsn, endLsn }: BaseBackup): { brought: number; added: number } {
  const { segmentBytes, unarchived, segments } = wal!;
  const numberAt = (lsn: number) => segmentNumberAt(lsn, segmentBytes);
  const own = segments.filter((one) => unarchived.includes(segmentName(one, segmentBytes)));
  return {
    brought: hasWal ? (numberAt(endLsn) - numberAt(startLsn) + 1) * segmentBytes : 0,
    added: (own.length + 2) * segmentBytes,
  };
}

async function onOneDisk(folder: string, other: string, files: HostFiles): Promise<boolean> {
  return (await files.stat(folder))?.device === (await files.stat(other))?.device;
}

/** What is free where a folder is or will be, and what an earlier attempt has brought into it: it is taken up, or makes room. */
async function roomAt(folder: string, files: HostFiles): Promise<number> {
  const brought = (await files.exists(folder)) ? (await sizeOfTree(folder, files)).bytes : 0;
  return (await files.freeBytes(folder)) + brought;
}
