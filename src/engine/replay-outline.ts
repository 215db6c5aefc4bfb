import type { JournalEvent } from './journal.js';
import { ABORTED_BEFORE } from './turn.js';

/** What a person decided in a recorded run. */
export interface Decision {
  /** Place of the event by which it is known: before it, nothing of it shows. */
  at: number;
  about: 'begin' | 'confirm' | 'answer' | 'what now';
  /** Absent where it is about the run as a whole. */
  step?: string;
  /** Place of the event by which it was asked. */
  asked: number;
  /** What was done, in words: `"acme-prod" typed`, `retried`. */
  done: string;
  /** Empty where it is not on record. */
  who: string;
}

/** Where the course of a recorded run turns. All numbers are places of events, counted from 0. */
export interface Outline {
  /** The last event of a look at all steps: the plan stands. */
  planned: ReadonlySet<number>;
  /** From here on steps are run, or undone. */
  begins: ReadonlySet<number>;
  /** Failures after which a person was asked what now. */
  asksWhatNow: ReadonlySet<number>;
  /** In their order. */
  decisions: readonly Decision[];
  /** Events worth stopping at, one by one. */
  landmarks: readonly number[];
  /** What went wrong. */
  errors: readonly number[];
}

/** Reads the turns of a run out of its whole record: what followed tells what an event was. */
export function outlineOf(events: readonly JournalEvent[]): Outline {
  const parts = partsOf(events);
  const begun = parts.map((part) => ({ part, begin: beginOf(events, part) }));
  const { asksWhatNow, decisions: answers } = answersIn(events);
  const decisions = [...begun.flatMap(({ part, begin }) => beginning(events, part, begin)), ...answers].sort(
    (a, b) => a.at - b.at,
  );
  const errors = events.flatMap((event, at) => (isError(event) && !isSameDifference(events, at) ? [at] : []));
  const turns = new Set([...errors, ...decisions.map(({ at }) => at)]);
  return {
    planned: new Set(begun.map(({ part, begin }) => planEnd(events, part, begin))),
    begins: new Set(begun.flatMap(({ begin }) => begin ?? [])),
    asksWhatNow,
    decisions,
    landmarks: events.flatMap((event, at) => (LANDMARKS.has(event.type) || turns.has(at) ? [at] : [])),
    errors,
  };
}

/** Whoever only undoes has been asked before anything of it was written. */
function beginning(events: readonly JournalEvent[], part: Part, begin: number | undefined): Decision[] {
  if (begin === undefined || begin === part.from) return [];
  return [{ at: begin, about: 'begin', asked: planEnd(events, part, begin), done: 'begun', who: '' }];
}

const LANDMARKS: ReadonlySet<JournalEvent['type']> = new Set([
  'run.started',
  'run.resumed',
  'run.locked',
  'run.leftover',
  'guard.raised',
  'guard.accepted',
  'confirm.asked',
  'confirm.given',
  'step.started',
  'step.safety-copy',
  'step.undoing',
  'step.finished',
  'note',
  'run.finished',
]);

function isError(event: JournalEvent): boolean {
  if (event.type === 'step.check') return !event.check.ok;
  if (event.type === 'step.finding') return event.finding.level === 'blocking';
  if (event.type === 'step.finished') return event.outcome === 'failed' || event.outcome === 'unknown';
  return event.type === 'run.finished' && event.outcome === 'failed';
}

/** Of many checks that differ, one after the other, the first is stopped at. */
function isSameDifference(events: readonly JournalEvent[], at: number): boolean {
  const [event, before] = [events[at]!, events[at - 1]];
  return event.type === 'step.check' && before?.type === 'step.check' && isError(before);
}

/** What one process did: from `from` up to, not with, `to`. */
interface Part {
  from: number;
  to: number;
}

function partsOf(events: readonly JournalEvent[]): Part[] {
  const starts = events.flatMap((event, at) => (['run.started', 'run.resumed'].includes(event.type) ? [at] : []));
  return starts.map((from, index) => ({ from, to: starts[index + 1] ?? events.length }));
}

const AT_WORK: ReadonlySet<JournalEvent['type']> = new Set([
  'run.leftover',
  'confirm.asked',
  'confirm.given',
  'step.started',
  'step.undoing',
]);

/** Where the steps of a part begin; undefined where none did. */
function beginOf(events: readonly JournalEvent[], { from, to }: Part): number | undefined {
  const resumed = events[from]!.type === 'run.resumed';
  const looks = new Map<string, number[]>();
  for (let at = from; at < to; at += 1) {
    const event = events[at]!;
    // A run that is gone on with has its lock before it looks at anything.
    if (event.type === 'run.locked' && !resumed) return at;
    if (event.type === 'step.planned') looks.set(event.step, [...(looks.get(event.step) ?? []), at]);
    if (!AT_WORK.has(event.type)) continue;
    // Whoever undoes a run of before has been asked before that was written.
    if (event.type === 'confirm.given' && event.undo) return from;
    const own = 'step' in event ? (looks.get(event.step) ?? []) : [];
    return own.length > 1 ? own.at(-1)! : at;
  }
  return undefined;
}

/** The last event of the look at all steps, before anything began or ended. */
function planEnd(events: readonly JournalEvent[], { from, to }: Part, begin = to): number {
  const isEnd = ({ type }: JournalEvent) => type === 'step.finished' || type === 'run.finished';
  let last = from;
  for (let at = from; at < begin && !isEnd(events[at]!); at += 1)
    if (['step.planned', 'step.finding'].includes(events[at]!.type)) last = at;
  return last;
}

/** What persons answered to what steps asked, and what they decided after failures. */
function answersIn(events: readonly JournalEvent[]): Pick<Outline, 'asksWhatNow' | 'decisions'> {
  const asksWhatNow = new Set<number>();
  const decisions: Decision[] = [];
  const asked = new Map<string, { at: number; question: boolean }>();
  const failed = new Map<string, number>();
  // A failed step that is undone alone is asked about again.
  let alone: string | undefined;
  const decide = (step: string, at: number, done: string, who = '') => {
    const since = failed.get(step);
    if (since === undefined) return;
    failed.delete(step);
    asksWhatNow.add(since);
    decisions.push({ at, about: 'what now', step, asked: since, done, who });
  };
  const decideAll = (at: number, done: string, who = '') => {
    for (const step of [...failed.keys()]) decide(step, at, done, who);
  };
  /** Nobody has answered these, nor was the run ended: it was cut off while it asked. */
  const leaveOpen = () => {
    for (const at of failed.values()) asksWhatNow.add(at);
    failed.clear();
  };
  for (const [at, event] of events.entries()) {
    switch (event.type) {
      case 'confirm.asked':
        asked.set(event.step, { at, question: event.question !== undefined });
        break;
      case 'confirm.given':
        if (event.undo) {
          const isOne = failed.has(event.step) && !isUndo(events[at + 1]);
          alone = isOne ? event.step : undefined;
          if (isOne) decide(event.step, at, 'undone', event.who);
          else decideAll(at, 'undone with all that was done before', event.who);
        } else {
          const question = asked.get(event.step);
          decisions.push({
            at,
            about: question?.question ? 'answer' : 'confirm',
            step: event.step,
            asked: question?.at ?? at,
            done: `"${event.typed}" typed`,
            who: event.who,
          });
        }
        break;
      case 'step.planned':
      case 'step.finding':
        decide(event.step, at, 'retried');
        break;
      case 'step.finished':
        if (event.outcome === 'skipped' && event.reason === ABORTED_BEFORE) decideAll(at, 'the run aborted');
        else if (failed.has(event.step)) decide(event.step, at, event.outcome);
        if (event.outcome === 'failed' || (event.outcome === 'undone' && alone === event.step))
          failed.set(event.step, at);
        break;
      case 'run.resumed':
        leaveOpen();
        break;
      case 'run.finished':
        if (event.outcome === 'aborted') decideAll(at, 'the run aborted');
        failed.clear();
        break;
    }
  }
  leaveOpen();
  return { asksWhatNow, decisions };
}

const isUndo = (event: JournalEvent | undefined) => event?.type === 'confirm.given' && event.undo === true;
