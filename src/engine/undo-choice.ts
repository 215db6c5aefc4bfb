import type { StepSnapshot } from './snapshot.js';

/** Everything that builds on a step, whatever lies between. The steps stand each after what it needs. */
export function dependentsOf(steps: readonly StepSnapshot[], id: string): StepSnapshot[] {
  const among = new Set([id]);
  for (const step of steps) if (step.needs.some((need) => among.has(need))) among.add(step.id);
  return steps.filter((step) => step.id !== id && among.has(step.id));
}

/** Whether an undo would change anything, as far as that was looked at. */
export const isIdle = ({ undoPlan }: StepSnapshot): boolean => undoPlan?.putsBack === '';

/**
 * The steps that can be undone, in the order in which that is safe: each after those that build on it, otherwise the last that
 * began first. `wanted`: only these, and whatever builds on them.
 */
export function undoOrder(steps: readonly StepSnapshot[], wanted?: readonly string[]): StepSnapshot[] {
  const taken = new Set(wanted?.flatMap((id) => [id, ...dependentsOf(steps, id).map((one) => one.id)]));
  let left = steps
    .filter((step) => step.canUndo && (wanted === undefined || taken.has(step.id)))
    .reverse()
    .sort((a, b) => (b.startedAt ?? 0) - (a.startedAt ?? 0));
  const order: StepSnapshot[] = [];
  while (left.length > 0) {
    const next = left.find((step) => !dependentsOf(steps, step.id).some((one) => left.includes(one)))!;
    order.push(next);
    left = left.filter((step) => step !== next);
  }
  return order;
}
