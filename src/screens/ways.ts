import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import type { Finding } from '../steps/step.js';

/** The steps that a choice has, beside those of every way. */
export function stepsAfter({ steps }: RunSnapshot, asking: StepSnapshot, choice: string): StepSnapshot[] {
  return steps.filter((one) => one.only?.step === asking.id && one.only.choices.includes(choice));
}

const obstacleIn = (steps: readonly StepSnapshot[]): Finding | undefined =>
  steps.flatMap(({ findings }) => findings).find(({ level }) => level === 'blocking');

export const isBlocked = (steps: readonly StepSnapshot[]): boolean => obstacleIn(steps) !== undefined;

/** The questions of which no way is possible now, with what stands in each. */
export function closedQuestions(run: RunSnapshot): { step: StepSnapshot; obstacles: Finding[] }[] {
  return run.steps.flatMap((step) => {
    const { asks } = step.plan ?? {};
    if (asks?.type !== 'choose' || step.state === 'succeeded') return [];
    const found = asks.options.map(({ choice }) => obstacleIn(stepsAfter(run, step, choice)));
    const obstacles = found.filter((one) => one !== undefined);
    if (obstacles.length < found.length) return [];
    // What stands in several ways is told once.
    const texts = new Set<string>();
    return [{ step, obstacles: obstacles.filter(({ message }) => !texts.has(message) && texts.add(message)) }];
  });
}
