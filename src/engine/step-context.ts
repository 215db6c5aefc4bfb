import { join } from 'node:path';
import { type Change, closedGateway, openGateway } from '../hosts/gateway.js';
import { startsBefore } from '../runbook/runbook.js';
import type { StepContext, StepKind } from '../steps/step.js';
import type { RunSettings } from './run-settings.js';
import type { RunStep } from './run-step.js';

/** What a step of a run is given. `change` is told of each change before it is made; what it throws keeps it from being made. */
export function contextOf(
  step: RunStep,
  steps: readonly RunStep[],
  phase: StepContext['phase'],
  { mode, cluster, backup, newBackup, folder, id, runbook }: RunSettings,
  change: (change: Change) => void | Promise<void>,
): StepContext {
  return {
    runId: id,
    cluster,
    gateway: mode === 'dry-run' || phase === 'preflight' ? closedGateway() : openGateway(change, id),
    ...(backup ? { backup } : {}),
    ...(newBackup ? { newBackup } : {}),
    workFolder: join(folder, 'safety', step.id),
    phase,
    ...(step.answer === undefined ? {} : { answer: step.answer }),
    earlier: { ...step.facts },
    startsEarlier: (service) => startsBefore(runbook.steps, step.id, service),
    factsOf: <P, F>(kind: StepKind<P, F>) =>
      steps.filter((one) => one.of.kind.kind === kind.kind && one.state === 'succeeded').map((one) => one.facts as F),
  };
}
