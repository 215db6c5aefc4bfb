import { join } from 'node:path';
import { homeFolder } from '../config/home.js';
import type { Profile } from '../config/profile.js';
import { closedGateway } from '../hosts/gateway.js';
import { within } from '../hosts/waiting.js';
import { nextOf } from '../problem.js';
import { loadRunbook, scenarios } from '../runbook/library.js';
import { type Runbook, type RunbookStep, startsBefore } from '../runbook/runbook.js';
import type { Finding, StepContext } from '../steps/step.js';
import type { BackupSet } from '../stores/backup-set/backup-set.js';
import { findBackupSet } from '../stores/backup-set/find-backup-set.js';
import type { Cluster } from '../stores/cluster.js';
import { isRemote, under } from '../stores/storage/storage.js';
import { storageOf } from '../stores/storage/storage-of.js';
import type { Tried } from '../stores/try-connection.js';
import { messageOf } from '../words.js';
import { hangs, notReached, ofSharedCause, type SharedCauses } from './doctor/shared-causes.js';
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

/** A run that there is not: what it would find is not there, and the room that it would have is. */
const noRun = () => join(homeFolder(), 'runs', 'doctor');
const BASE_BACKUP = 'postgres.base-backup';
/** A survey asks how much a disaster has left: before one there is nothing to be found. */
const isSurvey = ({ kind }: RunbookStep) => kind.kind.endsWith('.survey');

const asWarning = (finding: Finding): Finding => ({
  ...finding,
  level: finding.level === 'info' ? 'info' : 'warning',
});

/** What a step may take to say what it finds, whatever it asks. */
const STEP_PATIENCE_MS = 60_000;

/**
 * Asks every step of every scenario what it would find on this cluster as it stands. Reads only; nothing is recorded. `tried`: what came
 * of reaching each part; one that is not reached is one obstacle, and what its steps say of that is not repeated.
 */
export async function prerequisitesOf(cluster: Cluster, tried: readonly Tried[] = []): Promise<Prerequisites> {
  const backup = await findBackupSet('latest', cluster.profile.backups, cluster.profile.s3).catch(() => undefined);
  const away = tried.filter(({ outcome }) => outcome !== 'answers');
  const obstacles = new Map<string, Obstacle>(
    (await unreachableRoots(cluster.profile)).map((one) => [one.message, one]),
  );
  const possible: string[] = [];
  const causes: SharedCauses = { cluster: cluster.name, away, hasBackup: backup !== undefined };
  const looked = await Promise.all(
    scenarios().map(async (scenario) => {
      const runbook = loadRunbook(scenario);
      return { scenario, found: openWays(runbook.steps, await findingsIn(runbook, cluster, backup, away)) };
    }),
  );
  for (const { scenario, found } of looked) {
    let blocked = false;
    for (const [step, findings] of found) {
      for (const finding of findings) {
        const { level, message, next } = ofSharedCause(finding, causes);
        // What only tells what a step will do is told by its plan.
        if (level === 'info' || (level === 'warning' && !next)) continue;
        blocked ||= level === 'blocking';
        const known: Obstacle = obstacles.get(message) ?? { level, message, ...(next ? { next } : {}), concerns: [] };
        const concern = `${scenario}: ${step}`;
        if (!known.concerns.includes(concern)) known.concerns.push(concern);
        if (level === 'blocking') known.level = level;
        obstacles.set(message, known);
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

/**
 * The findings, where a step that runs only after one answer of several blocks no more than that way as long as another one is open.
 */
function openWays(steps: readonly RunbookStep[], found: [string, Finding[]][]): [string, Finding[]][] {
  const isBlocked = new Set(
    found.filter(([, findings]) => findings.some((one) => one.level === 'blocking')).map(([id]) => id),
  );
  const isOpen = (asking: string) => {
    const after = steps.filter(({ only }) => only?.step === asking);
    const choices = [...new Set(after.flatMap(({ only }) => only!.choices))];
    return choices.some((choice) =>
      after.every((one) => !one.only!.choices.includes(choice) || !isBlocked.has(one.id)),
    );
  };
  return found.map(([id, findings]) => {
    const only = steps.find((step) => step.id === id)?.only;
    return only && isOpen(only.step) ? [id, findings.map(asWarning)] : [id, findings];
  });
}

async function findingsIn(
  runbook: Runbook,
  cluster: Cluster,
  backup: BackupSet | undefined,
  away: readonly Tried[],
): Promise<[string, Finding[]][]> {
  const [root] = cluster.profile.backups;
  return Promise.all(
    runbook.steps.map(async (step): Promise<[string, Finding[]]> => {
      if (isSurvey(step)) return [step.id, []];
      const silent = hangs(step.kind.kind, away);
      if (silent) return [step.id, [notReached(silent)]];
      const context: StepContext = {
        runId: 'doctor',
        cluster,
        gateway: closedGateway(),
        ...(backup ? { backup } : {}),
        ...(root ? { newBackup: newBackupAt(under(root, 'doctor'), noRun()) } : {}),
        workFolder: join(noRun(), 'safety', step.id),
        phase: 'preflight',
        startsEarlier: (service) => startsBefore(runbook.steps, step.id, service),
        earlier: {},
        factsOf: () => [],
      };
      // Taken only when asked for, and so looked at as if it were.
      const asked = step.kind.kind === BASE_BACKUP ? { ...(step.params as object), take: true } : step.params;
      const findings = await within(STEP_PATIENCE_MS, step.kind.check(asked, context)).catch(
        (error: unknown): Finding[] => [{ level: 'blocking', message: messageOf(error), next: nextOf(error) }],
      );
      // Nobody has to take one; who has none cannot go back to a moment.
      return [step.id, step.kind.kind === BASE_BACKUP ? findings.map(asWarning) : findings];
    }),
  );
}
