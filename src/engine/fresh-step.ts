import type { StepSnapshot } from './snapshot.js';

/** What of a step its runbook says, and where its output is kept. */
type Given = Pick<StepSnapshot, 'id' | 'uses' | 'why' | 'effect' | 'needs' | 'only' | 'teach' | 'logFile'>;

/** A step of which nothing has happened. */
export const freshStep = ({ id, uses, why, effect, needs, only, teach, logFile }: Given): StepSnapshot => ({
  id,
  uses,
  why,
  effect,
  needs,
  ...(only ? { only } : {}),
  ...(teach ? { teach } : {}),
  state: 'waiting',
  findings: [],
  checks: [],
  safetyCopies: [],
  canUndo: false,
  undone: false,
  undoFailed: false,
  notChosen: false,
  logFile,
});
