import type { Suspicion } from '../engine/diagnosis.js';
import { type Expected, expectedOf, timeAtWork } from '../engine/estimates.js';
import { endOf, type Happening, isBeginning, type JournalEvent, type StepOutcome } from '../engine/journal.js';
import { Problem } from '../problem.js';
import type { Finding, StepPlan } from '../steps/step.js';
import type { Check } from '../stores/check.js';

/** What a journal tells of one step. */
export interface StepReport {
  id: string;
  uses: string;
  /** Runs only when that asking step is answered with one of these. */
  only?: { step: string; choices: string[] };
  /** Absent in older journals. */
  why?: string;
  summary: string;
  outcome: StepOutcome | 'unfinished';
  startedAt: string | undefined;
  tookMs: number;
  reason: string;
  plan: StepPlan | undefined;
  /** The plan with which it was last begun. */
  tried: StepPlan | undefined;
  findings: Finding[];
  changes: { at: string; channel: string; text: string }[];
  safetyCopies: { of: string; at: string; verified: string }[];
  checks: Check[];
  confirmedBy: string;
  /** The last that was begun with it was its undo: outcome and checks are of that. */
  undoing: boolean;
}

/** A run as its journal tells it: every report is made from this, and can be made again. */
export interface RunReport {
  id: string;
  started: Extract<Happening, { type: 'run.started' }> & { ts: string };
  finished: (Extract<Happening, { type: 'run.finished' }> & { ts: string }) | undefined;
  steps: StepReport[];
  /** What was begun that may have changed the cluster: ever, and by who took the run up last. */
  begun: { ever: boolean; last: boolean };
  notes: { at: string; who: string; text: string }[];
  /** How long it was expected to be at work, and how long it was (milliseconds): not while a person was waited for. */
  expected: Expected;
  workMs: number;
}

/** Reads a run out of its events. A Problem when they do not begin with the start of a run. */
export function reportOf(events: readonly JournalEvent[]): RunReport {
  const started = events.find((event) => event.type === 'run.started');
  if (!started)
    throw new Problem('This journal does not say how the run began: its first line is missing or damaged.', {
      next: 'novamem-runbook runs verify RUN',
    });
  const finished = endOf(events);
  const steps = started.steps.map(({ id, uses, only, why }) => ({
    ...stepReport(id, uses, events, basesOf(started.steps, id)),
    ...(only ? { only } : {}),
    ...(why === undefined ? {} : { why }),
  }));
  return {
    id: started.run,
    started,
    finished,
    steps,
    begun: {
      ever: events.some(isBeginning),
      last: events.slice(events.findLastIndex(({ type }) => TAKEN_UP.has(type))).some(isBeginning),
    },
    notes: events.flatMap(noteOf),
    ...timesOf(started.steps, steps),
  };
}

function timesOf(
  needing: readonly { id: string; needs: string[] }[],
  steps: readonly StepReport[],
): Pick<RunReport, 'expected' | 'workMs'> {
  const planned = steps.map(({ id, plan, only, outcome }) => ({
    id,
    needs: needing.find((one) => one.id === id)!.needs,
    plan,
    // A way that was not chosen; what an end before its time left undone was expected all the same.
    leftOut: only !== undefined && outcome === 'skipped',
  }));
  const spans = steps.flatMap(({ startedAt, tookMs }) => {
    if (startedAt === undefined) return [];
    const from = Date.parse(startedAt);
    return [{ startedAt: from, finishedAt: from + tookMs }];
  });
  return { expected: expectedOf(planned), workMs: timeAtWork(spans, 0) };
}
const TAKEN_UP: ReadonlySet<JournalEvent['type']> = new Set(['run.started', 'run.resumed']);

function noteOf(event: JournalEvent): RunReport['notes'] {
  const note = (who: string, text: string) => [{ at: event.ts, who, text }];
  switch (event.type) {
    case 'note':
      return note(event.who, event.text);
    case 'run.resumed':
      return note(event.operator, ['resumed the run', ...event.accepted].join('; '));
    case 'run.locked':
      return event.tookOver.flatMap((whose) => note('novamem-runbook', `put a lock aside: ${whose}`));
    case 'guard.raised':
      return note('novamem-runbook', event.said);
    case 'guard.accepted':
      return note(event.who, `accepted another ${event.difference}`);
    case 'run.leftover':
      return note('novamem-runbook', `ended what an earlier process had left: ${event.text}`);
    default:
      return [];
  }
}

/**
 * What would keep the run from going through: findings of steps that hang on no answer, or on the one that was given
 * beforehand; and of all ways, where none of those that can be chosen is open.
 */
export function obstaclesIn({ started, steps }: RunReport): Finding[] {
  const givenAt = (asking: string) =>
    (started.steps.find((one) => one.id === asking)?.params as { answer?: unknown })?.answer;
  const blockingOf = (some: StepReport[]) =>
    some.flatMap((step) => step.findings.filter((finding) => finding.level === 'blocking'));
  const sure = steps.filter(({ only }) => !only || only.choices.includes(String(givenAt(only.step))));
  const closed = steps.flatMap(({ id, plan }) => {
    if (plan?.asks?.type !== 'choose' || givenAt(id) !== undefined) return [];
    const ways = plan.asks.options.map(({ choice }) =>
      blockingOf(steps.filter(({ only }) => only?.step === id && only.choices.includes(choice))),
    );
    return ways.every((obstacles) => obstacles.length > 0) ? ways.flat() : [];
  });
  return [...blockingOf(sure), ...closed];
}

/** What a step that ended half-way has left, as its plan announced it: labels and what they are of. */
export function leftBy({ tried, safetyCopies, undoing }: StepReport): [string, string][] {
  return [
    ...(undoing
      ? ([['Left', 'put back in part, or not at all: its undo did not come to its end']] as [string, string][])
      : []),
    ...(tried && !undoing
      ? ([
          ['Left', tried.onAbort],
          ['Way back', tried.wayBack],
        ] as [string, string][])
      : []),
    ...safetyCopies.map(({ of, at, verified }): [string, string] => ['Kept', `${of}: ${at} (${verified})`]),
  ];
}

const HALF_DONE: ReadonlySet<StepReport['outcome']> = new Set(['failed', 'unknown', 'unfinished']);

/** Whether a step began and did not come to its end. */
export const isHalfDone = ({ startedAt, outcome }: StepReport) => startedAt !== undefined && HALF_DONE.has(outcome);

export const halfDone = ({ steps }: RunReport): StepReport[] => steps.filter(isHalfDone);

/** A step whose undo did not come to its end. */
export const isHalfUndone = (step: StepReport) => step.undoing && isHalfDone(step);

/** Whether something is left to be done: a step is half done, or the run was aborted on its way. */
export const isLeftOpen = (report: RunReport): boolean =>
  halfDone(report).length > 0 || isBrokenOff(report) || nextRunbooks(report).length > 0;

/** What answers the damage that the run has left alone. */
const nextRunbooks = ({ finished }: RunReport): Suspicion[] => finished?.next ?? [];

/** It was aborted after something was begun, and nothing of it was put back. */
const isBrokenOff = ({ finished, begun, steps }: RunReport) =>
  finished?.outcome === 'aborted' && begun.ever && !steps.some((step) => step.outcome === 'undone');

/** What to type after a run that did not go through. */
export function nextAfter(report: RunReport): string {
  const { started, id, steps } = report;
  if (steps.some(isHalfUndone))
    return `mend what it says, then put the rest back: novamem-runbook undo ${id} --confirm ${started.profile}`;
  const [next] = nextRunbooks(report);
  if (next) {
    const open = halfDone(report).length > 0 || isBrokenOff(report);
    const then = open ? `; after that go on with this one: novamem-runbook resume ${id}` : '';
    return `${next.reasons.join('; ')}. That is for another runbook: novamem-runbook ${next.scenario} --profile ${started.profile}${then}`;
  }
  if (isBrokenOff(report)) return `go on with it: novamem-runbook resume ${id}`;
  const backup = started.backup ? ` --backup '${started.backup.folder}'` : '';
  if (started.drillOf)
    return `mend what it says, or the way the backup is made, then: novamem-runbook drill --profile ${started.drillOf}${backup}`;
  const anew = `with the answers and settings of before: novamem-runbook run ${started.scenario} --profile ${started.profile}${backup} …`;
  return report.begun.ever
    ? `mend what it says, then go on with it: novamem-runbook resume ${id}; or begin anew, ${anew}`
    : `mend what it says, then run it again, ${anew}`;
}

/** All steps that a step builds on, whatever lies between. */
function basesOf(steps: readonly { id: string; needs: string[] }[], id: string): ReadonlySet<string> {
  const bases = new Set<string>();
  const add = (of: string) => {
    for (const need of steps.find((step) => step.id === of)?.needs ?? [])
      if (!bases.has(need)) {
        bases.add(need);
        add(need);
      }
  };
  add(id);
  return bases;
}

function stepReport(
  id: string,
  uses: string,
  events: readonly JournalEvent[],
  bases: ReadonlySet<string>,
): StepReport {
  const report: StepReport = {
    id,
    uses,
    summary: uses,
    outcome: 'unfinished',
    startedAt: undefined,
    tookMs: 0,
    reason: '',
    plan: undefined,
    tried: undefined,
    findings: [],
    changes: [],
    safetyCopies: [],
    checks: [],
    confirmedBy: '',
    undoing: false,
  };
  for (const event of events) {
    // What was proved of something that is put back since proves what is no more.
    if (event.type === 'step.undoing' && bases.has(event.step) && !report.undoing) report.checks = [];
    if (!('step' in event) || event.step !== id) continue;
    switch (event.type) {
      case 'step.planned':
        report.plan = event.plan;
        report.summary = event.plan.summary;
        // Findings are looked for again before the step runs: the newest look counts.
        report.findings = [];
        break;
      case 'step.finding':
        report.findings.push(event.finding);
        break;
      case 'confirm.given':
        report.confirmedBy = event.who;
        break;
      case 'step.started':
        report.startedAt = event.ts;
        report.tried = report.plan;
        report.checks = [];
        report.undoing = false;
        break;
      case 'step.undoing':
        report.checks = [];
        report.undoing = true;
        report.outcome = 'unfinished';
        break;
      case 'step.change':
        report.changes.push({ at: event.ts, channel: event.channel, text: event.text });
        break;
      case 'step.safety-copy':
        report.safetyCopies.push({ of: event.of, at: event.at, verified: event.verified });
        break;
      case 'step.check':
        report.checks.push(event.check);
        break;
      case 'step.finished':
        report.outcome = event.outcome;
        report.tookMs = event.tookMs;
        report.reason = event.reason ?? '';
        // Without an undo of its own on record they prove what is no more.
        if (event.outcome === 'undone' && !report.undoing) report.checks = [];
        break;
    }
  }
  return report;
}
