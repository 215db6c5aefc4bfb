import type { RunSnapshot, ShownRun, StepState } from '../engine/snapshot.js';

/** Tells of a run's progress at most every `everyMs` milliseconds, and of anything that changes where it stands at once. */
export const paced =
  (run: Pick<ShownRun, 'subscribe' | 'getSnapshot'>, everyMs: number): ShownRun['subscribe'] =>
  (onChange) => {
    let standing = standingOf(run.getSnapshot());
    let toldAt = Date.now();
    let timer: NodeJS.Timeout | undefined;
    const tell = () => {
      clearTimeout(timer);
      timer = undefined;
      toldAt = Date.now();
      standing = standingOf(run.getSnapshot());
      onChange();
    };
    const unsubscribe = run.subscribe(() => {
      if (standingOf(run.getSnapshot()) !== standing) tell();
      else timer ??= setTimeout(tell, Math.max(0, toldAt + everyMs - Date.now()));
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  };

function standingOf({ phase, steps, attention, guards, held, aborting, undoing, halted, lost }: RunSnapshot): string {
  // What is found while every step is looked at is told once all of them were.
  if (phase === 'preflight') return phase;
  const stands = steps.map(({ state, reason, refused, undone, undoFailed, undoPlan }) => [
    ...[UNTOLD[state] ?? state, reason, refused, undone, undoFailed],
    undoPlan !== undefined,
  ]);
  return JSON.stringify([phase, stands, attention, guards, held?.state, aborting, undoing?.steps, halted, lost]);
}

/** That a step is looked at before it runs, and proved afterwards, is no news. */
const UNTOLD: Partial<Record<StepState, StepState>> = { checking: 'waiting', verifying: 'running' };
