import type { Mode, RunOutcome } from './journal.js';
import type { RunStep } from './run-step.js';

/** What ended a run, besides the ends of its steps. */
export interface Ending {
  mode: Mode;
  aborted: boolean;
  /** Whatever the steps say: an undo failed, or the cluster was taken from under the run. */
  failed: boolean;
}

/** How a run ended, by how its steps did. */
export function outcomeOf(all: readonly RunStep[], { mode, aborted, failed }: Ending): RunOutcome {
  const steps = all.filter((step) => !step.snapshot.notChosen);
  if (mode === 'dry-run') return 'simulated';
  if (failed) return 'failed';
  if (aborted) return 'aborted';
  if (steps.some((step) => step.state === 'failed' || step.state === 'unknown')) return 'failed';
  if (steps.every((step) => step.state === 'succeeded'))
    return steps.some((step) => step.conclusion?.exception) ? 'recovered-with-exceptions' : 'recovered';
  if (!steps.some((step) => step.state === 'succeeded')) return 'failed';
  // With exceptions is still recovered: something was restored. A backup with exceptions is none.
  const restoring = steps.filter((step) => step.of.kind.backupSet === 'reads');
  const restored = restoring.some((step) => step.state === 'succeeded');
  const backsUp = steps.some((step) => step.of.kind.backupSet === 'writes');
  return backsUp || (restoring.length > 0 && !restored) ? 'failed' : 'recovered-with-exceptions';
}
