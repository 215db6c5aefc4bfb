import type { StepPlan, Work } from '../steps/step.js';
import { longestPath } from './longest-path.js';
import type { StepTime } from './past-times.js';

/** How many times more, or less, there may be to do than in the run that an estimate is taken from. */
const COMPARABLE = 10;

/** The plan with the time that the step took in an earlier run in the place of its kind's own guess, as far as one can be compared. */
export function estimated(
  plan: StepPlan,
  { id, uses, cluster }: { id: string; uses: string; cluster: string },
  times: readonly StepTime[],
): StepPlan {
  const fitting = times.filter(
    (time) => time.step === id && time.uses === uses && ratioOf(plan.work, time.work) !== undefined,
  );
  const found = fitting.find((time) => time.cluster === cluster) ?? fitting[0];
  if (!found) return plan;
  const { step: _, uses: __, cluster: where, ...time } = found;
  return {
    ...plan,
    estimateMs: found.tookMs * ratioOf(plan.work, found.work)!,
    measured: where === cluster ? time : { ...time, cluster: where },
  };
}

/** How much more there is to do now than there was then; undefined where a few bytes would have to tell of many. */
function ratioOf(now: Work | undefined, then: Work | undefined): number | undefined {
  if (!now || !then || now.unit !== then.unit || now.amount === then.amount) return 1;
  const ratio = now.amount / then.amount;
  return ratio >= 1 / COMPARABLE && ratio <= COMPARABLE ? ratio : undefined;
}

/** How long a run is expected to be at work. */
export interface Expected {
  /** Milliseconds over the longest chain of steps; 0 where nothing is known. */
  ms: number;
  /** How many steps there are to do, and of how many an earlier run tells how long they take. */
  steps: number;
  measured: number;
}

interface PlannedStep {
  id: string;
  needs: readonly string[];
  plan?: StepPlan | undefined;
  /** It is no part of the run. */
  leftOut: boolean;
}

/** What is expected of all steps together; what is left out, or has nothing to do, takes no time. */
export function expectedOf(steps: readonly PlannedStep[]): Expected {
  const isDone = ({ plan, leftOut }: PlannedStep) => plan && !leftOut && !(plan.notApplicable ?? plan.notAskedFor);
  const done = steps.filter(isDone);
  return {
    ms: longestPath(steps.map((step) => ({ ...step, length: isDone(step) ? (step.plan?.estimateMs ?? 0) : 0 }))),
    steps: done.length,
    measured: done.filter(({ plan }) => plan?.measured).length,
  };
}

/** When a step was at work, milliseconds since 1970; without `finishedAt` it still is. */
interface TimeOfWork {
  startedAt?: number | undefined;
  finishedAt?: number | undefined;
}

/** Milliseconds in which at least one step was at work: not those in which a person was waited for. */
export function timeAtWork(steps: readonly TimeOfWork[], now: number): number {
  const spans = steps
    .flatMap(({ startedAt, finishedAt }) =>
      startedAt === undefined ? [] : [{ from: startedAt, to: finishedAt ?? now }],
    )
    .sort((one, other) => one.from - other.from);
  let until = Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (const { from, to } of spans) {
    sum += Math.max(0, to - Math.max(from, until));
    until = Math.max(until, to);
  }
  return sum;
}
