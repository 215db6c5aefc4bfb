import { Problem } from '../problem.js';
import type { StepPlan } from '../steps/step.js';
import type { Check } from '../stores/check.js';
import type { Fingerprint } from '../stores/fingerprint.js';
import type { Difference } from './differences.js';
import type { Happening, JournalEvent, StepOutcome } from './journal.js';
import type { SafetyCopy } from './snapshot.js';
import { takeFacts } from './take-facts.js';

/** What the journal of an earlier process knows of a step. */
export interface StepPast {
  /** `begun`: it was started and has not succeeded, whatever became of it. */
  state: 'untouched' | 'begun' | 'succeeded';
  /** What it was last said to do. */
  plan: StepPlan | undefined;
  /** What it was said to do when it was last begun. */
  tried: StepPlan | undefined;
  facts: Record<string, unknown>;
  /** The last that was said of how it ended; undefined while nothing was, since it was last started. */
  outcome: StepOutcome | undefined;
  /** How often it was started. */
  attempts: number;
  answer: string | undefined;
  /** It was last asked a question, and not for the cluster's name. */
  asked: boolean;
  checks: Check[];
  safetyCopies: SafetyCopy[];
  /** Milliseconds since 1970. */
  startedAt: number | undefined;
  finishedAt: number | undefined;
  reason: string | undefined;
}

/** A run as an earlier process left it. */
export interface RunPast {
  started: Extract<Happening, { type: 'run.started' }>;
  /** Milliseconds since 1970. */
  startedAt: number;
  /** Which cluster it was, as far as its stores ever told. */
  fingerprint: Fingerprint;
  /** The last outcome on record; undefined when the process ended without one. */
  outcome: Extract<Happening, { type: 'run.finished' }>['outcome'] | undefined;
  /** What was accepted, as far as it was asked. */
  accepted: Set<Difference>;
  steps: Map<string, StepPast>;
  /** The last that was done was to put something back. */
  undone: boolean;
}

/** Reads out of a journal where a run stands. Throws when it does not begin with the start of a run. */
export function pastOf(events: readonly JournalEvent[]): RunPast {
  const [first] = events;
  if (first?.type !== 'run.started')
    throw new Problem('This journal does not say how the run began: its first line is missing or damaged.', {
      next: 'novamem-runbook runs verify RUN',
    });
  const steps = new Map(first.steps.map(({ id }) => [id, untouched()]));
  let outcome: RunPast['outcome'];
  const accepted = new Set<Difference>();
  let { fingerprint } = first;
  let undone = false;
  for (const event of events) {
    if (event.type === 'run.finished') outcome = event.outcome;
    else if (event.type === 'run.resumed') {
      outcome = undefined;
      fingerprint = withKnown(event.fingerprint, fingerprint);
    } else if (event.type === 'guard.accepted') accepted.add(event.difference);
    else if (event.type === 'step.started') undone = false;
    else if (event.type === 'step.finished' && event.outcome === 'undone') undone = true;
    const step = 'step' in event ? steps.get(event.step) : undefined;
    if (step) follow(step, event);
  }
  return { started: first, startedAt: Date.parse(first.ts), fingerprint, outcome, accepted, steps, undone };
}

/** A fingerprint in which what a store did not tell is taken from an earlier one. */
function withKnown(now: Fingerprint, before: Fingerprint): Fingerprint {
  const { systemIdentifier } = now.postgres;
  return {
    ...now,
    postgres: { ...now.postgres, systemIdentifier: systemIdentifier || before.postgres.systemIdentifier },
  };
}

export const untouched = (): StepPast => ({
  state: 'untouched',
  plan: undefined,
  tried: undefined,
  facts: {},
  outcome: undefined,
  attempts: 0,
  answer: undefined,
  asked: false,
  checks: [],
  safetyCopies: [],
  startedAt: undefined,
  finishedAt: undefined,
  reason: undefined,
});

/** Takes one event of a step into what is known of it. */
export function follow(step: StepPast, event: JournalEvent): void {
  switch (event.type) {
    case 'step.planned':
      step.plan = event.plan;
      break;
    case 'confirm.asked':
      step.asked = event.question !== undefined;
      if (step.asked) step.answer = undefined;
      break;
    case 'confirm.given':
      // Else it is the cluster's name.
      if (step.asked && !event.undo) step.answer = event.typed;
      break;
    case 'step.started':
      step.state = 'begun';
      step.outcome = undefined;
      step.attempts = event.attempt;
      step.tried = step.plan;
      step.checks = [];
      step.startedAt = Date.parse(event.ts);
      step.finishedAt = undefined;
      step.reason = undefined;
      break;
    case 'step.facts':
      takeFacts(step.facts, event);
      break;
    case 'step.safety-copy':
      step.safetyCopies.push({
        of: event.of,
        at: event.at,
        verified: event.verified,
        takenAt: Date.parse(event.ts),
      });
      break;
    case 'step.undoing':
      // How far an undo came that was broken off, only reality tells.
      if (step.state === 'succeeded') step.state = 'begun';
      step.outcome = undefined;
      step.checks = [];
      break;
    case 'step.check':
      step.checks.push(event.check);
      break;
    case 'step.finished':
      step.finishedAt = step.startedAt === undefined ? Date.parse(event.ts) : step.startedAt + event.tookMs;
      step.reason = event.reason;
      step.outcome = event.outcome;
      if (event.outcome === 'succeeded') step.state = 'succeeded';
      else if (event.outcome === 'undone')
        Object.assign(step, untouched(), { attempts: step.attempts, plan: step.plan });
      break;
  }
}
