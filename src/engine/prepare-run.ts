import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { homeSubfolder } from '../config/home.js';
import type { Profile } from '../config/profile.js';
import { EXIT, Problem } from '../problem.js';
import { loadRunbook } from '../runbook/library.js';
import type { Overrides, Runbook } from '../runbook/runbook.js';
import { findBackupSet } from '../stores/backup-set/find-backup-set.js';
import { Cluster } from '../stores/cluster.js';
import { fileInstantOf } from '../words.js';
import type { Mode } from './journal.js';
import { Run } from './run.js';
import { makeRunFolder } from './runs.js';

export interface RunRequest {
  /** A scenario, or a runbook file. */
  scenario: string;
  profile: Profile;
  mode: Mode;
  /** An id, a path or `latest`. */
  backup: string;
  overrides: Overrides;
  onFailure: 'ask' | 'stop';
}

/** Whether a runbook restores from a backup set, so that one has to be chosen. */
export function restores(runbook: Runbook): boolean {
  return runbook.steps.some((step) => step.kind.backupSet === 'reads');
}

/** Everything a run needs, found and validated; nothing is touched yet. What is missing is a Problem. */
export async function prepareRun(request: RunRequest): Promise<Run> {
  const runbook = loadRunbook(request.scenario, request.overrides);
  const cluster = new Cluster(request.profile);
  const backup = restores(runbook) ? await findBackupSet(request.backup, request.profile.backups) : undefined;
  const startedAt = new Date();
  const id = `${fileInstantOf(startedAt)}-${randomBytes(2).toString('hex')}`;
  const writes = runbook.steps.some((step) => step.kind.backupSet === 'writes');
  const root = request.profile.backups.find((one) => !/^[a-z0-9]+:\/\//.test(one));
  return new Run({
    id,
    folder: makeRunFolder(homeSubfolder('runs'), id),
    mode: request.mode,
    runbook,
    cluster,
    ...(backup ? { backup } : {}),
    ...(writes && root
      ? { newBackup: { id: fileInstantOf(startedAt), folder: resolve(root, fileInstantOf(startedAt)) } }
      : {}),
    onFailure: request.onFailure,
    versions: { 'novamem-runbook': programVersion(), node: process.versions.node },
  });
}

export function programVersion(): string {
  const file = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'package.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

/** Refuses a headless run whose destructive steps nobody has confirmed with the cluster's own name. */
export function requireConfirmation(runbook: Runbook, cluster: string, confirmed: string | undefined): void {
  const destructive = runbook.steps.filter((step) => step.kind.effect === 'destroy').map((step) => step.id);
  if (destructive.length === 0 || confirmed === cluster) return;
  throw new Problem(
    confirmed === undefined
      ? `${runbook.scenario} replaces what is in the stores of ${cluster} (${destructive.join(', ')}), and nobody has confirmed it.`
      : `--confirm says "${confirmed}", but this cluster is called "${cluster}".`,
    {
      next: `look first: novamem-runbook plan ${runbook.scenario}; then add --confirm ${cluster}`,
      exitCode: EXIT.refused,
    },
  );
}
