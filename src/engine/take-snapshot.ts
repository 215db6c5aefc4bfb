import { expectedOf } from './estimates.js';
import type { RunSettings } from './run-settings.js';
import type { RunStep } from './run-step.js';
import type { RunSnapshot } from './snapshot.js';
import { isAnsweredAgainst } from './turn.js';

/** What of a snapshot only the run itself knows; the rest is in its settings and its steps. */
export type Moment = Omit<
  RunSnapshot,
  | 'run'
  | 'folder'
  | 'mode'
  | 'purpose'
  | 'scenario'
  | 'title'
  | 'outcomeText'
  | 'cluster'
  | 'production'
  | 'backup'
  | 'steps'
  | 'expected'
>;

/** The run as it is at one moment. */
export function takeSnapshot(settings: RunSettings, steps: readonly RunStep[], moment: Moment): RunSnapshot {
  const { id, folder, mode, purpose = 'go on', runbook, cluster, backup } = settings;
  return {
    run: id,
    folder,
    mode,
    purpose,
    scenario: runbook.scenario,
    title: runbook.title,
    outcomeText: runbook.outcome,
    cluster: cluster.name,
    production: cluster.profile.production,
    backup: backup ? { id: backup.id, takenAt: backup.takenAt, kind: backup.kind, unproven: backup.unproven } : null,
    steps: steps.map((step) => ({ ...step.snapshot })),
    expected: expectedOf(
      steps.map(({ id, of, snapshot }) => ({
        id,
        needs: of.needs,
        plan: snapshot.plan,
        leftOut:
          snapshot.notChosen ||
          isAnsweredAgainst(snapshot.only, steps.find((one) => one.id === snapshot.only?.step)?.answer),
      })),
    ),
    ...moment,
  };
}
