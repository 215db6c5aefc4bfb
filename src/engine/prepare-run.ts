import { randomBytes } from 'node:crypto';
import { basename, join, resolve } from 'node:path';
import { homeSubfolder } from '../config/home.js';
import { programVersion } from '../config/package-root.js';
import type { Profile } from '../config/profile.js';
import { profileWord } from '../config/profiles.js';
import { shellWord } from '../hosts/command.js';
import { removeAbandoned } from '../hosts/temp-folders.js';
import { Problem } from '../problem.js';
import { loadRunbook } from '../runbook/library.js';
import type { Overrides, Runbook, RunbookStep } from '../runbook/runbook.js';
import type { NewBackup } from '../steps/step.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { findBackupSet } from '../stores/backup-set/find-backup-set.js';
import { Cluster } from '../stores/cluster.js';
import { isRemote, isS3, under } from '../stores/storage/storage.js';
import { fileInstantOf } from '../words.js';
import type { Difference } from './differences.js';
import type { Mode } from './journal.js';
import { pastTimesOf } from './past-times.js';
import { Run } from './run.js';
import { listRuns, makeRunFolder } from './runs.js';
import { requireThrowAway } from './throw-away.js';

export interface RunRequest {
  /** A scenario, or a runbook file. */
  scenario: string;
  profile: Profile;
  mode: Mode;
  /** An id, a path or URL, `latest`, `none` where the runbook can do without; or a set that is open already. */
  backup: string | BackupSet;
  overrides: Overrides;
  /** In a drill: the cluster whose backup is put to the proof. */
  drillOf?: string;
  /** What its record is to say from its beginning. */
  notes?: readonly string[];
  onFailure: 'ask' | 'stop';
  /** What is meant to be another one than was expected. */
  accept?: readonly Difference[];
}

/** Whether a runbook needs a backup set: not at all, in one of the ways that it lets a person choose from or to compare with, or always. */
export function restores(runbook: Runbook): 'no' | 'may' | 'must' {
  const using = runbook.steps.filter(
    (step) =>
      ['reads', 'compares', 'proves'].includes(step.kind.backupSet ?? '') && givenAgainst(step, runbook) === '',
  );
  if (using.length === 0) return 'no';
  if (using.some((step) => step.kind.backupSet === 'proves')) return 'must';
  const reading = using.filter((step) => step.kind.backupSet === 'reads');
  return reading.every(({ only }) => only && hasWayWithout(only.step, reading, runbook)) ? 'may' : 'must';
}

/** Whether a step that asks can still be answered so that none of these steps runs. */
function hasWayWithout(asking: string, steps: readonly RunbookStep[], runbook: Runbook): boolean {
  const step = runbook.steps.find((one) => one.id === asking);
  const answers = step?.kind.answers?.(step.params);
  const taken = steps.flatMap(({ only }) => (only?.step === asking ? only.choices : []));
  return answers !== undefined && answers.given === undefined && answers.choices.some((one) => !taken.includes(one));
}

function givenTo(asking: string, { steps }: Runbook): string | undefined {
  const step = steps.find((one) => one.id === asking);
  return step?.kind.answers?.(step.params).given;
}

/** The answer given beforehand that leaves this step out; empty where none does. */
export function givenAgainst({ only }: RunbookStep, runbook: Runbook): string {
  const given = only ? givenTo(only.step, runbook) : undefined;
  return given === undefined || only!.choices.includes(given) ? '' : given;
}

/** Everything a run needs, found and validated; nothing is touched yet. What is missing is a Problem. */
export async function prepareRun(request: RunRequest): Promise<Run> {
  const runbook = loadRunbook(request.scenario, request.overrides);
  const cluster = new Cluster(request.profile);
  await requireThrowAway(request.mode, cluster);
  const backup = await chosenBackup(runbook, request);
  const startedAt = new Date();
  const id = nextRunId(startedAt);
  const writes = runbook.steps.some((step) => step.kind.backupSet === 'writes');
  const root = writes ? request.profile.backups.find(isWritable) : undefined;
  const folder = makeRunFolder(homeSubfolder('runs'), id);
  if (request.mode !== 'dry-run') await removeAbandoned();
  return new Run({
    id,
    folder,
    mode: request.mode,
    runbook,
    cluster,
    ...(backup ? { backup } : {}),
    ...(root ? { newBackup: newBackupAt(under(root, fileInstantOf(startedAt)), folder) } : {}),
    ...(/\.ya?ml$/.test(request.scenario) ? { runbookFile: resolve(request.scenario) } : {}),
    ...(request.drillOf === undefined ? {} : { drillOf: request.drillOf }),
    ...(request.notes ? { notes: request.notes } : {}),
    lockFolders: request.mode === 'dry-run' ? [] : lockFoldersOf(request.profile),
    accept: request.accept ?? [],
    onFailure: request.onFailure,
    times: pastTimesOf(runbook.scenario),
    versions: versions(),
  });
}

const isWritable = (root: string) => !isRemote(root) || isS3(root);

/** A new set at a path or URL. One of a bucket is made in the run's own folder first. */
export function newBackupAt(place: string, runFolder: string): NewBackup {
  const id = basename(place);
  return isRemote(place) ? { id, folder: join(runFolder, 'backup', id), to: place } : { id, folder: resolve(place) };
}

/** Where a run locks a cluster: on this machine, and in the backup roots, which other machines may share. */
export function lockFoldersOf({ backups }: Profile): string[] {
  return [homeSubfolder('locks'), ...backups.filter((root) => !isRemote(root))];
}

export const versions = () => ({ 'novamem-runbook': programVersion(), node: process.versions.node });

/** Ids sort by the millisecond at which the run was prepared; after every other, also when the clock was set back since. */
function nextRunId(now: Date): string {
  const [newest] = listRuns();
  const id = runIdOf(now);
  if (newest === undefined || id > newest) return id;
  const at = instantOfRun(newest);
  return at === undefined ? id : runIdOf(new Date(at.getTime() + 1));
}

function instantOfRun(id: string): Date | undefined {
  const [, date, time, milliseconds] = /^(\d{4}\d\d\d\d)T(\d{6})Z-([0-9a-f]{3})[0-9a-f]{2}$/.exec(id) ?? [];
  if (!date || !time) return undefined;
  const instant = `${date.replace(/(....)(..)(..)/, '$1-$2-$3')}T${time.replace(/(..)(..)(..)/, '$1:$2:$3')}Z`;
  return new Date(Date.parse(instant) + Number.parseInt(milliseconds!, 16));
}

function runIdOf(at: Date): string {
  const milliseconds = at.getMilliseconds().toString(16).padStart(3, '0');
  return `${fileInstantOf(at)}-${milliseconds}${randomBytes(1).toString('hex')}`;
}

async function chosenBackup(runbook: Runbook, { backup, profile }: RunRequest): Promise<BackupSet | undefined> {
  const need = restores(runbook);
  if (need === 'no') {
    if (backup === 'latest' || backup === 'none') return undefined;
    throw new Problem(
      `${runbook.scenario} uses no backup set, so --backup ${shellWord(typeof backup === 'string' ? backup : backup.folder)} would mean nothing.`,
      {
        next: `leave --backup out; what its steps go by is set with --set: novamem-runbook plan ${runbook.scenario} --profile ${shellWord(profileWord(profile))}`,
      },
    );
  }
  if (need === 'must' && backup === 'none')
    throw new Problem(`${runbook.scenario} restores from a backup set, and cannot do without.`, {
      next: 'novamem-runbook backups list',
    });
  if (backup === 'none') return undefined;
  if (typeof backup !== 'string') return backup;
  return findBackupSet(backup, profile.backups, profile.s3).catch((error: unknown) => {
    // Nobody named one, and there are other ways: that there is none is then a finding of those steps that need it.
    if (need === 'may' && backup === 'latest') return undefined;
    throw error;
  });
}
