import { join } from 'node:path';
import type { Profile } from '../config/profile.js';
import { closedGateway } from '../hosts/gateway.js';
import { nextOf } from '../problem.js';
import { loadRunbook, scenarios } from '../runbook/library.js';
import { type Runbook, startsBefore } from '../runbook/runbook.js';
import type { Finding, StepContext } from '../steps/step.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { findBackupSet } from '../stores/backup-set/find-backup-set.js';
import type { Cluster } from '../stores/cluster.js';
import { isRemote, under } from '../stores/storage/storage.js';
import { storageOf } from '../stores/storage/storage-of.js';
import { messageOf } from '../words.js';
import { newBackupAt } from './prepare-run.js';

/** Something that stands in the way of scenarios, or should be known before one is needed. */
export interface Obstacle {
  level: 'blocking' | 'warning';
  message: string;
  next?: string;
  /** `scenario: step`, for each that it concerns. */
  concerns: string[];
}

export interface Prerequisites {
  /** Scenarios that nothing would block, as the cluster stands. */
  possible: string[];
  obstacles: Obstacle[];
}

const NOWHERE = '/nonexistent';

/** Asks every step of every scenario what it would find on this cluster as it stands. Reads only; nothing is recorded. */
export async function prerequisitesOf(cluster: Cluster): Promise<Prerequisites> {
  const backup = await findBackupSet('latest', cluster.profile.backups, cluster.profile.s3).catch(() => undefined);
  const obstacles = new Map<string, Obstacle>(
    (await unreachableRoots(cluster.profile)).map((one) => [one.message, one]),
  );
  const possible: string[] = [];
  for (const scenario of scenarios()) {
    const runbook = loadRunbook(scenario);
    let blocked = false;
    for (const [step, findings] of await findingsIn(runbook, cluster, backup)) {
      for (const { level, message, next } of findings) {
        if (level === 'info') continue;
        blocked ||= level === 'blocking';
        const key = `${level} ${message}`;
        const known = obstacles.get(key) ?? { level, message, ...(next ? { next } : {}), concerns: [] };
        known.concerns.push(`${scenario}: ${step}`);
        obstacles.set(key, known);
      }
    }
    if (!blocked) possible.push(scenario);
  }
  const order = [...obstacles.values()].sort((a, b) => Number(a.level === 'warning') - Number(b.level === 'warning'));
  return { possible, obstacles: order };
}

/** Backup roots in buckets that cannot be listed, and why. */
async function unreachableRoots({ backups, s3 }: Profile): Promise<Obstacle[]> {
  const looked = await Promise.all(
    backups.filter(isRemote).map(async (root): Promise<Obstacle[]> => {
      try {
        await storageOf(root, s3).foldersIn(root);
        return [];
      } catch (error) {
        return [{ level: 'warning', message: messageOf(error), next: nextOf(error), concerns: [`backups: ${root}`] }];
      }
    }),
  );
  return looked.flat();
}

async function findingsIn(
  runbook: Runbook,
  cluster: Cluster,
  backup: BackupSet | undefined,
): Promise<[string, Finding[]][]> {
  const [root] = cluster.profile.backups;
  return Promise.all(
    runbook.steps.map(async (step): Promise<[string, Finding[]]> => {
      const context: StepContext = {
        runId: 'doctor',
        cluster,
        gateway: closedGateway(),
        ...(backup ? { backup } : {}),
        ...(root ? { newBackup: newBackupAt(under(root, 'doctor'), NOWHERE) } : {}),
        workFolder: join(NOWHERE, step.id),
        phase: 'preflight',
        startsEarlier: (service) => startsBefore(runbook.steps, step.id, service),
        earlier: {},
        factsOf: () => [],
      };
      const findings = await step.kind
        .check(step.params, context)
        .catch((error: unknown): Finding[] => [
          { level: 'blocking', message: messageOf(error), next: nextOf(error) },
        ]);
      return [step.id, findings];
    }),
  );
}
