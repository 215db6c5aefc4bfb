import { stepKind } from '../steps/registry.js';
import { timeAtWork } from './estimates.js';
import type { RunSnapshot } from './snapshot.js';

/** A run's clock; all of it milliseconds. */
export interface RtoClock {
  elapsed: number;
  /** When it should be over: what is expected of its steps, and the time so far in which none was at work. Absent where nothing is known. */
  expected?: number;
  /** It goes by guesses alone. */
  guessed: boolean;
  /** By how much it is over that; 0 while it is not, and where not every step was ever measured. */
  late: number;
}

/** Whether it brings a backup set back: of any other run how long it takes is no time to recover. */
export const bringsBack = ({ backup, steps }: Pick<RunSnapshot, 'backup' | 'steps'>): boolean =>
  backup !== null && steps.some(({ uses }) => stepKind(uses)?.backupSet === 'reads');

/**
 * Its start is when its plan was opened, so that reading it is part of the time to recover; time in which a person was waited for makes
 * no run late.
 */
export function rtoClock(
  { steps, startedAt, finishedAt, expected: { ms, measured, ...of } }: RunSnapshot,
  now: number,
): RtoClock {
  const elapsed = (finishedAt ?? now) - startedAt;
  const work = timeAtWork(steps, finishedAt ?? now);
  return {
    elapsed,
    ...(ms === 0 ? {} : { expected: Math.max(0, elapsed - work) + ms }),
    guessed: measured === 0,
    late: ms > 0 && measured === of.steps ? Math.max(0, work - ms) : 0,
  };
}
