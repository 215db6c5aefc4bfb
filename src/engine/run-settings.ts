import type { Runbook } from '../runbook/runbook.js';
import type { NewBackup } from '../steps/step.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import type { Cluster } from '../stores/cluster.js';
import type { Fingerprint } from '../stores/fingerprint.js';
import type { ClusterLock } from './cluster-lock.js';
import type { Difference } from './differences.js';
import type { Guard } from './guards.js';
import type { Happening, JournalReading, Mode } from './journal.js';
import type { RunPast } from './past.js';
import type { StepTime } from './past-times.js';

export interface RunSettings {
  id: string;
  /** The run's own folder; it exists and is empty. */
  folder: string;
  mode: Mode;
  /** `undo`: to put back what an earlier process has replaced, and nothing else. */
  purpose?: 'go on' | 'undo';
  runbook: Runbook;
  /** The runbook's file, where it is none of the program's own. */
  runbookFile?: string;
  cluster: Cluster;
  backup?: BackupSet;
  newBackup?: NewBackup;
  /** The cluster whose backup is put to the proof. */
  drillOf?: string;
  /** What the record is to say from its beginning. */
  notes?: readonly string[];
  /** What an earlier process left of this run, and its journal, to go on with. */
  past?: RunPast & { journal: JournalReading; differs: string[]; lock: ClusterLock };
  /** What else keeps it from beginning before it is accepted. */
  guards?: readonly Guard[];
  /** What is meant to be another one than was expected. */
  accept?: readonly Difference[];
  /** The folders in which the cluster is locked while the run works on it; none: it is not. */
  lockFolders?: readonly string[];
  /** `ask`: a failed step waits for a person. `stop`: no further step is started, and the run ends. */
  onFailure: 'ask' | 'stop';
  /** How long the runbook's steps took in earlier runs, the newest first. */
  times?: readonly StepTime[];
  versions: Record<string, string>;
}

/** The first line of a run's journal: all that a later process needs to know to go on with it. */
export function startedEvent(settings: RunSettings, fingerprint: Fingerprint, operator: string): Happening {
  const { mode, runbook, runbookFile, cluster, backup, newBackup, drillOf, versions } = settings;
  return {
    type: 'run.started',
    mode,
    scenario: runbook.scenario,
    title: runbook.title,
    profile: cluster.name,
    production: cluster.profile.production,
    fingerprint,
    runbook: runbook.hash,
    backup: backup
      ? { id: backup.id, folder: backup.folder, kind: backup.kind, takenAt: backup.takenAt?.toISOString() ?? null }
      : null,
    newBackup: newBackup?.to ?? newBackup?.folder ?? null,
    drillOf: drillOf ?? null,
    runbookFile: runbookFile ?? null,
    operator,
    versions,
    steps: runbook.steps.map(({ id, kind, why, needs, only, params }) => ({
      id,
      uses: kind.kind,
      why,
      effect: kind.effect,
      needs,
      ...(only ? { only } : {}),
      params,
    })),
  };
}

/** The line with which a later process goes on. */
export function resumedEvent({ past, versions }: RunSettings, fingerprint: Fingerprint, operator: string): Happening {
  const { differs, journal } = past!;
  return { type: 'run.resumed', fingerprint, operator, versions, cutOff: journal.cutOff, accepted: differs };
}
