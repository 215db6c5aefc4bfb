import type { ProgressUnit } from '../steps/step.js';

interface Progress {
  done: number;
  total?: number;
  unit: ProgressUnit;
  text: string;
}

/** `since`: where its counting began, in milliseconds since 1970: the pace is that of what was counted from there on. */
export type CountedProgress = Progress & { since: { at: number; done: number } };

/** A step that first reads and then restores counts anew: the next phase has a pace of its own. */
export function counted(progress: Progress, before: CountedProgress | undefined, at: number): CountedProgress {
  const goesOn =
    before?.unit === progress.unit &&
    before.done <= progress.done &&
    // What turns out to be more than was expected is still the same.
    (before.total === progress.total || progress.total === progress.done);
  return { ...progress, since: goesOn ? before.since : { at, done: progress.done } };
}
