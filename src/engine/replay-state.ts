import { Problem } from '../problem.js';
import { stepKind } from '../steps/registry.js';
import type { Finding, ProgressUnit } from '../steps/step.js';
import { fingerprintText } from '../stores/fingerprint.js';
import { counted } from './counted.js';
import { expectedOf } from './estimates.js';
import { freshStep } from './fresh-step.js';
import { isBeginning, type JournalEvent } from './journal.js';
import { follow, type StepPast, untouched } from './past.js';
import type { Outline } from './replay-outline.js';
import type { LogLine, RunSnapshot, StepSnapshot } from './snapshot.js';
import { ABORTED_BEFORE, isAnsweredAgainst, notChosenAt, OVER } from './turn.js';

type Started = JournalEvent & { type: 'run.started' };

/** One step as it stood at a moment of its record. */
interface ReplayedStep {
  past: StepPast;
  snapshot: StepSnapshot;
  /** What was last said of it. */
  last: JournalEvent['type'] | undefined;
  /** Its kind can be undone. */
  undoable: boolean;
}

/** A run as it stood after some of its events. Never changed: `further` answers a new one. */
export interface ReplayedRun {
  /** So many events are taken in. */
  readonly taken: number;
  readonly run: Omit<RunSnapshot, 'steps' | 'log' | 'expected'>;
  readonly steps: ReadonlyMap<string, ReplayedStep>;
}

const canBeUndone = (uses: string) => stepKind(uses)?.undo !== undefined;

/**
 * A record before its first event. A Problem where it does not say how the run began. `undoable`: whether steps of a kind can be
 * undone; of a kind that this program does not know, no.
 */
export function replayedFrom(
  { id, folder, events }: { id: string; folder: string; events: readonly JournalEvent[] },
  undoable: (uses: string) => boolean = canBeUndone,
): ReplayedRun {
  const [started] = events;
  if (started?.type !== 'run.started')
    throw new Problem('This journal does not say how the run began: its first line is missing or damaged.', {
      next: 'novamem-runbook runs verify RUN',
    });
  return {
    taken: 0,
    run: {
      run: id,
      folder,
      mode: started.mode,
      purpose: 'go on',
      scenario: started.scenario,
      title: started.title,
      outcomeText: '',
      cluster: started.profile,
      production: started.production,
      backup: backupOf(started),
      phase: 'preflight',
      attention: [],
      answered: 0,
      begun: false,
      startedAt: Date.parse(started.ts),
      rpoMs: null,
      halted: '',
      standing: [],
      next: [],
      lost: '',
      identity: fingerprintText(started.fingerprint),
      guards: [],
      aborting: false,
    },
    steps: new Map(
      started.steps.map((step) => [
        step.id,
        { ...stepOf(step, folder), last: undefined, undoable: undoable(step.uses) },
      ]),
    ),
  };
}

function backupOf({ backup }: Started): RunSnapshot['backup'] {
  return backup && { ...backup, takenAt: backup.takenAt === null ? null : new Date(backup.takenAt), unproven: [] };
}

function stepOf(step: Started['steps'][number], folder: string): Pick<ReplayedStep, 'past' | 'snapshot'> {
  const { id, uses, why = '', effect = stepKind(uses)?.effect ?? 'write' } = step;
  return {
    past: untouched(),
    snapshot: freshStep({ ...step, why, effect, logFile: `${folder}/steps/${id}.log` }),
  };
}

/** What screens see of it, with the newest lines of output. */
export function snapshotOf({ run, steps }: ReplayedRun, log: LogLine[]): RunSnapshot {
  const all = [...steps.values()].map(({ snapshot }) => snapshot);
  return {
    ...run,
    steps: all,
    log,
    expected: expectedOf(
      all.map(({ id, needs, plan, notChosen, only }) => ({
        id,
        needs,
        plan,
        leftOut: notChosen || isAnsweredAgainst(only, steps.get(only?.step ?? '')?.past.answer),
      })),
    ),
  };
}

/** The run after the first `to` of its events; `before` has taken in fewer. */
export function further(
  before: ReplayedRun,
  events: readonly JournalEvent[],
  to: number,
  outline: Outline,
): ReplayedRun {
  const now = new Advance(before, outline);
  for (let at = before.taken; at < to; at += 1) now.take(events[at]!, at);
  return { taken: to, run: now.run, steps: now.steps };
}

/** A copy of a replayed run, into which events are taken. */
class Advance {
  readonly run: ReplayedRun['run'];
  readonly steps: Map<string, ReplayedStep>;
  readonly #outline: Outline;

  constructor({ run, steps }: ReplayedRun, outline: Outline) {
    this.#outline = outline;
    this.run = {
      ...run,
      attention: [...run.attention],
      guards: [...run.guards],
      ...(run.undoing ? { undoing: { ...run.undoing, steps: [...run.undoing.steps] } } : {}),
    };
    this.steps = new Map([...steps].map(([id, step]) => [id, copyOf(step)]));
  }

  take(event: JournalEvent, at: number): void {
    const step = 'step' in event ? this.steps.get(event.step) : undefined;
    this.run.begun ||= isBeginning(event);
    if (this.#outline.begins.has(at)) this.run.phase = 'running';
    if (step) this.#takeStep(step, event, at);
    else this.#takeRun(event, at);
    if (this.#outline.planned.has(at) && this.run.phase === 'preflight') this.run.phase = 'planned';
  }

  #takeRun(event: JournalEvent, at: number): void {
    const { run } = this;
    switch (event.type) {
      case 'run.resumed':
        this.#takeUp(event, this.#outline.begins.has(at));
        break;
      case 'guard.raised':
        run.guards.push({ difference: event.difference, said: event.said });
        break;
      case 'guard.accepted':
        run.guards = run.guards.filter(({ difference }) => difference !== event.difference);
        break;
      case 'note':
        if (event.who === 'novamem-runbook' && event.text.startsWith(STOPPED))
          run.halted = event.text.slice(STOPPED.length);
        break;
      case 'run.finished':
        run.phase = 'finished';
        run.outcome = event.outcome;
        run.standing = event.standing;
        run.next = event.next ?? [];
        run.rpoMs = event.rpoMs;
        run.finishedAt = (run.undoing?.since ?? run.startedAt) + event.rtoMs;
        this.#settleAll();
        run.aborting = false;
        for (const { snapshot, past } of this.steps.values()) {
          if (snapshot.state === 'deciding') snapshot.state = snapshot.undone ? 'undone' : 'failed';
          else if (snapshot.state === 'waiting' && past.state === 'begun') passOver(snapshot, past);
        }
        break;
    }
  }

  /** Another process goes on: what had not succeeded waits. `toUndo`: it does nothing but to put back. */
  #takeUp(event: JournalEvent & { type: 'run.resumed' }, toUndo: boolean): void {
    const { run } = this;
    Object.assign(run, {
      phase: toUndo ? 'running' : 'preflight',
      purpose: toUndo ? 'undo' : 'go on',
      attention: [],
      answered: 0,
      begun: false,
      guards: [],
      halted: '',
      aborting: false,
      standing: [],
      next: [],
      rpoMs: null,
      identity: fingerprintText(event.fingerprint),
    });
    delete run.finishedAt;
    delete run.outcome;
    delete run.undoing;
    for (const [id, { past, snapshot, undoable }] of this.steps) {
      const { checks, safetyCopies, startedAt, finishedAt, reason, plan, tried } = past;
      const done = past.state === 'succeeded';
      this.steps.set(id, {
        past,
        undoable,
        last: undefined,
        snapshot: {
          ...freshStep(snapshot),
          ...(plan ? { plan } : {}),
          ...(tried ? { tried } : {}),
          state: done ? 'succeeded' : 'waiting',
          checks: done ? checks : [],
          safetyCopies,
          canUndo: isUndoable({ past, undoable }),
          ...(startedAt === undefined ? {} : { startedAt, finishedAt: finishedAt ?? startedAt }),
          ...(done && reason !== undefined ? { reason } : {}),
        },
      });
    }
  }

  #takeStep(step: ReplayedStep, event: JournalEvent, at: number): void {
    const { snapshot, past } = step;
    const { run } = this;
    // What is proved anew replaces what was proved before.
    if (event.type === 'step.check' && ['checking', 'running'].includes(snapshot.state)) {
      snapshot.state = 'verifying';
      past.checks = [];
    }
    const { startedAt } = past;
    follow(past, event);
    switch (event.type) {
      case 'step.planned':
        snapshot.plan = event.plan;
        snapshot.findings = [];
        if (this.#isNext(snapshot)) this.#check(snapshot);
        break;
      case 'step.finding':
        if (snapshot.state === 'deciding') this.#check(snapshot);
        // Of one that could not be planned nothing but findings is on record.
        if (!LOOKS.includes(step.last) || isIn(snapshot.findings, event.finding)) snapshot.findings = [];
        snapshot.findings.push(event.finding);
        break;
      case 'confirm.asked':
        snapshot.state = 'asking';
        run.attention.push(snapshot.id);
        break;
      case 'confirm.given':
        this.#settle(snapshot.id);
        if (event.undo) this.#takeUndo(snapshot, event);
        else snapshot.state = 'checking';
        break;
      case 'step.started':
        this.#settle(snapshot.id);
        Object.assign(snapshot, { state: 'running', startedAt: timeOf(event), checks: past.checks, undone: false });
        delete snapshot.progress;
        delete snapshot.reason;
        delete snapshot.finishedAt;
        if (snapshot.plan) snapshot.tried = snapshot.plan;
        break;
      case 'step.progress':
        snapshot.progress = counted(
          {
            done: event.done,
            ...(event.total === undefined ? {} : { total: event.total }),
            unit: event.unit as ProgressUnit,
            text: event.text,
          },
          snapshot.progress,
          timeOf(event),
        );
        break;
      case 'step.facts':
        snapshot.canUndo = isUndoable(step);
        break;
      case 'step.safety-copy':
        snapshot.safetyCopies = past.safetyCopies;
        break;
      case 'step.check':
        snapshot.checks = past.checks;
        break;
      case 'step.undoing':
        // One that failed and is undone alone is asked about again; otherwise the run ends with it.
        if (snapshot.state === 'deciding') delete run.undoing;
        Object.assign(snapshot, { state: 'undoing', startedAt: timeOf(event), checks: past.checks });
        delete snapshot.progress;
        delete snapshot.finishedAt;
        break;
      case 'step.finished':
        this.#finish(snapshot, event, startedAt, this.#outline.asksWhatNow.has(at));
        break;
    }
    step.last = event.type;
  }

  /** Whether it is looked at because its turn has come: the ways of a choice are looked at with the question. */
  #isNext({ needs, only }: StepSnapshot): boolean {
    const isOver = (id: string) => {
      const state = this.steps.get(id)?.snapshot.state;
      return state === undefined || OVER.has(state);
    };
    return this.run.phase === 'running' && needs.every(isOver) && (only === undefined || isOver(only.step));
  }

  #check(snapshot: StepSnapshot): void {
    snapshot.state = 'checking';
    this.#settle(snapshot.id);
  }

  #settle(id: string): void {
    const { run } = this;
    const left = run.attention.filter((one) => one !== id);
    run.answered = left.length === 0 ? 0 : run.answered + run.attention.length - left.length;
    run.attention = left;
  }

  #settleAll(): void {
    Object.assign(this.run, { attention: [], answered: 0 });
  }

  #takeUndo(snapshot: StepSnapshot, event: JournalEvent): void {
    const { run } = this;
    const { since, steps } = run.undoing ?? { since: timeOf(event), steps: [] };
    run.undoing = { since, steps: [...steps, snapshot.id] };
    if (run.undoing.steps.length === 1 && snapshot.state === 'deciding') return;
    this.#settleAll();
    for (const { snapshot: other } of this.steps.values())
      if (other.state === 'deciding') other.state = other.undone ? 'undone' : 'failed';
  }

  /** `startedAt`: when it was last run, before anything was undone. `asks`: a person was asked what now. */
  #finish(
    snapshot: StepSnapshot,
    event: JournalEvent & { type: 'step.finished' },
    startedAt: number | undefined,
    asks: boolean,
  ): void {
    const { run } = this;
    const { outcome, reason } = event;
    this.#settle(snapshot.id);
    snapshot.finishedAt ??= timeOf(event);
    if (outcome === 'undone') {
      const alone = run.undoing === undefined;
      Object.assign(snapshot, {
        undone: true,
        undoFailed: false,
        canUndo: false,
        safetyCopies: [],
        state: alone ? 'deciding' : 'undone',
        reason: alone ? `undone: ${reason}. It had failed: ${snapshot.reason ?? ''}` : reason,
      });
      if (alone) run.attention.push(snapshot.id);
      return;
    }
    if (reason !== undefined) snapshot.reason = reason;
    if (outcome === 'failed' && snapshot.state === 'undoing')
      Object.assign(snapshot, { undoFailed: true, startedAt });
    if (outcome === 'skipped') {
      snapshot.notChosen = isNotChosen(snapshot, reason);
      if (reason === ABORTED_BEFORE) run.aborting = true;
    }
    snapshot.state = asks ? 'deciding' : outcome;
    if (asks) run.attention.push(snapshot.id);
  }
}

/** The run ended before it: the last word of an earlier process stays the last. */
function passOver(snapshot: StepSnapshot, { outcome, reason }: StepPast): void {
  snapshot.state = outcome === 'failed' ? 'failed' : 'unknown';
  if (reason !== undefined) snapshot.reason = reason;
}

/** How a run says in its notes what stopped it. */
const STOPPED = 'stopped: ';
const LOOKS: (JournalEvent['type'] | undefined)[] = ['step.planned', 'step.finding'];

const timeOf = ({ ts }: JournalEvent) => Date.parse(ts);

const isUndoable = ({ past, undoable }: Pick<ReplayedStep, 'past' | 'undoable'>) =>
  undoable && Object.keys(past.facts).length > 0;

const isIn = (findings: readonly Finding[], { level, message }: Finding) =>
  findings.some((one) => one.level === level && one.message === message);

function isNotChosen({ only, plan }: StepSnapshot, reason: string | undefined): boolean {
  if (only && reason === notChosenAt(only.step)) return true;
  return plan?.notApplicable === undefined && plan?.notAskedFor !== undefined && plan.notAskedFor === reason;
}

function copyOf({ past, snapshot, last, undoable }: ReplayedStep): ReplayedStep {
  const checks = [...past.checks];
  const safetyCopies = [...past.safetyCopies];
  return {
    past: { ...past, facts: { ...past.facts }, checks, safetyCopies },
    snapshot: {
      ...snapshot,
      findings: [...snapshot.findings],
      checks: snapshot.checks === past.checks ? checks : snapshot.checks,
      safetyCopies: snapshot.safetyCopies === past.safetyCopies ? safetyCopies : snapshot.safetyCopies,
    },
    last,
    undoable,
  };
}
