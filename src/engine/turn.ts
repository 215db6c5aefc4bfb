import type { RunStep } from './run-step.js';
import { AT_WORK, type StepSnapshot, type StepState } from './snapshot.js';

/** A step is over, whatever came of it. */
export const OVER: ReadonlySet<StepState> = new Set([
  'succeeded',
  'failed',
  'skipped',
  'simulated',
  'unknown',
  'undone',
]);
/** At work, or looked at before it is. */
export const BUSY: ReadonlySet<StepState> = new Set(['checking', ...AT_WORK]);
/** The run goes on with it, or with what a person says. */
export const OPEN: ReadonlySet<StepState> = new Set([...BUSY, 'asking', 'deciding']);

/** Why a step did not begin, as it is on record. */
export const ABORTED_BEFORE = 'aborted before it began';
export const SKIPPED_BY_OPERATOR = 'skipped by the operator';

export const notChosenAt = (asking: string) => `not chosen at ${asking}`;

/** What becomes of a step that waits. `left out`: another way was chosen, which is no exception. */
export type Turn = { now: 'wait' } | { now: 'begin' } | { now: 'skip' | 'left out'; why: string };

export function turnOf(step: RunStep, steps: readonly RunStep[]): Turn {
  const needs = step.of.needs.map((id) => steps.find((one) => one.id === id)!);
  const unmet = needs.find((need) => OVER.has(need.state) && !need.satisfied);
  if (unmet) return { now: 'skip', why: `it needs ${unmet.id}, which is ${unmet.state}` };
  if (!needs.every((need) => need.satisfied)) return { now: 'wait' };
  if (isChosen(step, steps) === 'no') return { now: 'left out', why: notChosenAt(step.of.only!.step) };
  return { now: 'begin' };
}

/** Whether the question that a step depends on was answered with something else. */
export const isAnsweredAgainst = (only: StepSnapshot['only'], answer: string | undefined): boolean =>
  only !== undefined && answer !== undefined && !only.choices.includes(answer);

/** Whether the answer that a step depends on was given for it; `open` while it was not given at all. */
export function isChosen({ of: { only } }: RunStep, steps: readonly RunStep[]): 'yes' | 'no' | 'open' {
  if (!only) return 'yes';
  const answered = steps.find((one) => one.id === only.step)?.answered;
  if (answered === undefined) return 'open';
  return only.choices.includes(answered) ? 'yes' : 'no';
}
