import type { Profile } from '../config/profile.js';
import { removeAbandoned } from '../hosts/temp-folders.js';
import { EXIT, Problem } from '../problem.js';
import { loadRunbook } from '../runbook/library.js';
import type { Overrides, Runbook } from '../runbook/runbook.js';
import { openBackupSet } from '../stores/backup-set/open-backup-set.js';
import { Cluster } from '../stores/cluster.js';
import { differencesBetween, fingerprintOf } from '../stores/fingerprint.js';
import { ClusterHeld, ClusterLock, type HeldLock, heldText } from './cluster-lock.js';
import type { Difference } from './differences.js';
import { changedBy, newerRunGuards } from './newer-runs.js';
import { operatorHere } from './operator.js';
import { pastOf, type RunPast } from './past.js';
import { pastTimesOf } from './past-times.js';
import { lockFoldersOf, newBackupAt, versions } from './prepare-run.js';
import { Run } from './run.js';
import { findRun, listRuns, type RecordedRun } from './runs.js';
import { requireThrowAway } from './throw-away.js';

export interface ResumeRequest {
  recorded: RecordedRun;
  profile: Profile;
  onFailure: 'ask' | 'stop';
  accept: readonly Difference[];
  /** `undo`: to put back what it replaced, for which it may have reached its goal. */
  purpose?: 'go on' | 'undo';
  /** Whether the lock of a run that has not been heard of for a while is put aside. */
  takeOver: boolean;
}

/** Whether a run could go on: it has begun something, and did not reach its goal. */
export function isResumable({ started, outcome, steps }: RunPast): boolean {
  const begun = [...steps.values()].some((step) => step.attempts > 0);
  return (
    begun && started.mode !== 'dry-run' && (outcome === undefined || outcome === 'failed' || outcome === 'aborted')
  );
}

/** The newest run that could go on, of those after the last one that reached its goal on that cluster. */
export function newestResumable(cluster?: string): RecordedRun {
  const found = findResumable(cluster);
  if (found) return found;
  throw new Problem('There is no run to go on with: none was broken off since the last one that reached its goal.', {
    next: 'novamem-runbook runs list',
  });
}

/** The same; undefined where there is none. */
export function findResumable(cluster?: string): RecordedRun | undefined {
  const over = new Set<string>();
  for (const id of listRuns()) {
    const recorded = findRun(id);
    if (recorded.events[0]?.type !== 'run.started') continue;
    const past = pastOf(recorded.events);
    const { profile, scenario, backup, drillOf } = past.started;
    // The cluster of a drill is gone with it.
    if (drillOf && cluster === undefined) continue;
    const same = `${profile} ${scenario}`;
    if (over.has(profile) || over.has(same) || (cluster !== undefined && profile !== cluster)) continue;
    // Of one that was undone nothing is left to go on with, unless that is asked for.
    if (past.undone && changedBy(past).length === 0) continue;
    if (isResumable(past)) return recorded;
    // A recovery from a backup ends whatever was tried before it; anything else only what it tried itself.
    if (past.outcome?.startsWith('recovered')) over.add(backup ? profile : same);
  }
  return undefined;
}

/**
 * Takes up a run that another process has left, under the cluster's lock. Refuses one that is still at work, that has reached
 * its goal, whose journal was changed, and, unless it is accepted, whose runbook or cluster is another one now.
 */
export async function prepareResume({
  recorded,
  profile,
  onFailure,
  accept,
  takeOver,
  purpose = 'go on',
}: ResumeRequest): Promise<Run> {
  const { id, folder } = recorded;
  const refused = { exitCode: EXIT.refused };
  if (recorded.changed)
    throw new Problem(`The journal of run ${id} is not the one that was written: ${recorded.changed}.`, {
      ...refused,
      next: 'begin a new run of the scenario: it asks the stores, not the journal',
    });
  const past = pastOf(recorded.events);
  const { started } = past;
  if (purpose === 'undo' ? started.mode === 'dry-run' : !isResumable(past))
    throw new Problem(`${whyNot(past, id)}, so there is nothing to ${purpose === 'undo' ? 'undo' : 'go on with'}.`, {
      next: `novamem-runbook runs show ${id}`,
    });
  if (started.profile !== profile.name)
    throw new Problem(`Run ${id} is of the cluster "${started.profile}", and this is "${profile.name}".`, {
      ...refused,
      next: `give the profile of ${started.profile} with --profile, or name another run: novamem-runbook runs list`,
    });
  const runbook = runbookOf(past, id, accept.includes('runbook'));
  await removeAbandoned();
  const cluster = new Cluster(profile);
  await requireThrowAway(started.mode, cluster);
  const backup = started.backup ? await openBackupSet(started.backup.folder, profile.s3) : undefined;
  const differences = differencesBetween(past.fingerprint, await fingerprintOf(cluster));
  if (differences.length > 0 && !accept.includes('cluster'))
    throw new Problem(`This is not the cluster on which run ${id} began: ${differences.join('; ')}.`, {
      ...refused,
      next: 'if it is meant to be so: --accept cluster',
    });
  const lockFolders = lockFoldersOf(profile);
  const lock = await ClusterLock.take({
    cluster: profile.name,
    run: id,
    operator: operatorHere(),
    folders: lockFolders,
    takeOver,
  }).catch((error: unknown) => {
    throw error instanceof ClusterHeld ? heldProblem(error.held) : error;
  });
  try {
    // The journal is read again under the lock: until now its own process may have written it.
    const journal = findRun(folder);
    return new Run({
      id,
      folder,
      mode: started.mode,
      purpose,
      runbook,
      ...(started.runbookFile ? { runbookFile: started.runbookFile } : {}),
      cluster,
      ...(backup ? { backup } : {}),
      // Whose set it restores is then no stranger's.
      ...(started.drillOf ? { drillOf: started.drillOf } : {}),
      ...(started.newBackup ? { newBackup: newBackupAt(started.newBackup, folder) } : {}),
      past: {
        ...pastOf(journal.events),
        journal,
        lock,
        differs: [...(runbook.hash === started.runbook ? [] : ['another runbook']), ...differences],
      },
      guards: purpose === 'undo' ? newerRunGuards(id, profile.name) : [],
      accept: [...new Set([...past.accepted, ...accept])],
      onFailure,
      times: pastTimesOf(runbook.scenario),
      versions: versions(),
    });
  } catch (error) {
    await lock.release();
    throw error;
  }
}

function whyNot({ started, outcome, steps }: RunPast, id: string): string {
  if (started.mode === 'dry-run') return `Run ${id} was a dry run: it has changed nothing`;
  if ([...steps.values()].every((step) => step.attempts === 0)) return `Run ${id} has begun no step`;
  return `Run ${id} has ended: ${outcome}`;
}

/** What to say to somebody who may not begin, because somebody else works on the cluster. */
export function heldProblem(held: HeldLock): Problem {
  return new Problem(`The cluster is not free: ${heldText(held)}.`, {
    exitCode: EXIT.refused,
    next:
      held.state === 'silent'
        ? 'make sure that it is gone, then add --take-over'
        : 'wait for it, or end it there; then try again',
  });
}

/** The runbook with the parameters and the answers that the run began with. */
function runbookOf({ started, steps }: RunPast, id: string, acceptOther: boolean): Runbook {
  const wanted = started.runbookFile ?? started.scenario;
  const now = loadRunbook(wanted);
  if (now.hash !== started.runbook && !acceptOther)
    throw new Problem(`The runbook ${wanted} was changed since run ${id} began.`, {
      exitCode: EXIT.refused,
      next: 'if it is meant to be so: --accept runbook',
    });
  const overrides: Overrides = {};
  for (const step of started.steps) {
    const there = now.steps.find((one) => one.id === step.id && one.kind.kind === step.uses);
    if (!there) continue;
    const past = steps.get(step.id)!;
    const answered = there.kind.effect === 'ask' && past.state === 'succeeded' && past.answer !== undefined;
    overrides[step.id] = {
      ...(step.params as Record<string, unknown>),
      ...(answered ? { answer: past.answer } : {}),
    };
  }
  return loadRunbook(wanted, overrides);
}
