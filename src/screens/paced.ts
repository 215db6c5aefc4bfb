import type { Run } from '../engine/run.js';
import type { RunSnapshot } from '../engine/snapshot.js';

/** Tells of a run's progress at most every `everyMs` milliseconds, and of anything that changes where it stands at once. */
export const paced =
  (run: Pick<Run, 'subscribe' | 'getSnapshot'>, everyMs: number): Run['subscribe'] =>
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

function standingOf({ steps, log: _, ...run }: RunSnapshot): string {
  return JSON.stringify({
    ...run,
    steps: steps.map(({ state, reason, refused, undone, undoFailed, undoPlan }) => [
      state,
      reason,
      refused,
      undone,
      undoFailed,
      undoPlan !== undefined,
    ]),
  });
}
