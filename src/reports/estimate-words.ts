import type { Expected } from '../engine/estimates.js';
import type { PastTime, StepPlan, Work } from '../steps/step.js';
import { durationOf, plural, sizeOf } from '../words.js';

const RUN_WORDS: Record<string, string> = { drill: 'drill', train: 'lesson' };

/** How long a step takes, and how that is known: `4 min 12 s in the drill of 2026-11-02, for 61 GiB`; undefined where it is not known, or up to a person. */
export function takesText(plan: StepPlan | undefined): string | undefined {
  const { estimateMs, measured, work } = plan ?? {};
  if (estimateMs === undefined || isQuestion(plan)) return undefined;
  if (!measured) return `roughly ${durationOf(estimateMs)}, a guess: no comparable run is on record`;
  const then = `${durationOf(measured.tookMs)} ${runText(measured)}${measured.work ? `, for ${workText(measured.work)}` : ''}`;
  return estimateMs === measured.tookMs || !work
    ? then
    : `about ${durationOf(estimateMs)} for ${workText(work)}; it was ${then}`;
}

/** It does nothing but ask. */
const isQuestion = (plan: StepPlan | undefined) => plan?.asks !== undefined && plan.asks.type !== 'text';

/** `about 4 min 12 s`, or `roughly 2 s` where it is a guess; empty where nothing is known. */
export function aboutText(plan: StepPlan | undefined): string {
  if (plan?.estimateMs === undefined || isQuestion(plan)) return '';
  return `${plan.measured ? 'about' : 'roughly'} ${durationOf(plan.estimateMs)}`;
}

function runText({ mode, at, cluster }: PastTime): string {
  return `in the ${RUN_WORDS[mode] ?? 'run'} of ${at.slice(0, 10)}${cluster === undefined ? '' : ` on ${cluster}`}`;
}

function workText({ amount, unit }: Work): string {
  return unit === 'bytes' ? sizeOf(amount) : plural(amount, unit.slice(0, -1));
}

/** How long a whole run is at work, and how that is known: `about 21 s (2 steps never measured)`; empty where it is not known. */
export function expectedText({ ms, steps, measured }: Expected): string {
  if (ms === 0) return '';
  if (measured === 0) return `roughly ${durationOf(ms)}, a guess`;
  const guessed = steps - measured;
  return `about ${durationOf(ms)}${guessed === 0 ? ', by earlier runs' : ` (${plural(guessed, 'step')} never measured)`}`;
}
