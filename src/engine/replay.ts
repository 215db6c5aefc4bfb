import { steadyNow } from '../hosts/waiting.js';
import { durationOf, logTimeOf, plural } from '../words.js';
import type { JournalEvent } from './journal.js';
import { Publisher } from './publisher.js';
import { RecordedLines } from './recorded-lines.js';
import { type Decision, type Outline, outlineOf } from './replay-outline.js';
import { further, type ReplayedRun, replayedFrom, snapshotOf } from './replay-state.js';
import type { RecordedRun } from './runs.js';
import type { Intent, RunSnapshot } from './snapshot.js';
import { wholeEvents } from './whole-events.js';

/** What is on screen beside the run. */
export interface ReplayStatus {
  playing: boolean;
  /** Times the pace at which it was recorded. */
  speed: number;
  /** The moment that is shown, milliseconds since 1970. */
  at: number;
  /** So many of `of` events have happened. */
  taken: number;
  of: number;
  /** The record is at its end. */
  over: boolean;
  /** It waits for what a person would do. */
  held: boolean;
  /** Questions are not stopped at. */
  watching: boolean;
  /** What of the record is missing; empty where nothing is. */
  damage: string;
  /** What is to be said just now; may be empty. */
  said: string;
}

export const SPEEDS: readonly number[] = [0.5, 1, 2, 5, 10, 20, 50, 100, 1000];

const TICK_MS = 100;
/** Whoever would sit longer than this before anything happens is taken on, to as much before it as they can well wait. */
const LONGEST_WAIT_MS = 10_000;
const SHORT_WAIT_MS = 2_000;
/** How long a question stays on screen that nobody is to answer. */
const SHOWN_MS = 2_000;
const CHECKPOINT = 1024;

/**
 * A recorded run, walked through again: read by screens as a run is, moved through its recorded time. It has nothing but the
 * record: no cluster, no gateway. What is wanted of it is taken as what a person would have done, and compared with what was.
 */
export class Replay {
  readonly #events: readonly JournalEvent[];
  readonly #outline: Outline;
  readonly #lines: RecordedLines;
  /** When each event happened, never earlier than the one before it: clocks may have been set. */
  readonly #times: readonly number[];
  readonly #checkpoints: ReplayedRun[] = [];
  readonly #snapshots: Publisher<RunSnapshot>;
  readonly #statuses: Publisher<ReplayStatus>;
  readonly #answered = new Set<Decision>();
  #run: ReplayedRun;
  #at: number;
  #speed: number;
  #playing: boolean;
  #watching = false;
  #held: Decision | undefined;
  #shownMs = 0;
  #said: string;
  /** What was last told of a decision, or at first of what is missing, and of which moment. */
  #told: { text: string; at: number };
  readonly #damage: string;

  /** `speed`: times the recorded pace; 0: step by step. A Problem where the record does not say how the run began. */
  constructor(recorded: RecordedRun, { speed = 1, undoable }: ReplayOptions = {}) {
    const { events, lost } = wholeEvents(recorded.events);
    const first = replayedFrom({ ...recorded, events }, undoable);
    this.#events = events;
    this.#outline = outlineOf(events);
    this.#lines = new RecordedLines(recorded.folder, [...first.steps.keys()]);
    let latest = Number.NEGATIVE_INFINITY;
    this.#times = events.map(({ ts }) => {
      latest = Math.max(latest, Date.parse(ts));
      return latest;
    });
    this.#checkpoints.push(first);
    this.#run = further(first, events, 1, this.#outline);
    this.#at = this.#times[0]!;
    this.#playing = speed > 0;
    this.#speed = speed > 0 ? speed : 1;
    this.#damage = [
      ...(recorded.fault ? [`The journal is not whole: ${recorded.fault}. What is left of it is shown`] : []),
      ...(lost > 0 ? [`${plural(lost, 'line')} of the journal cannot be read`] : []),
      ...(this.#lines.missing.length > 0 ? [`no output is there of ${this.#lines.missing.join(', ')}`] : []),
    ].join('; ');
    this.#told = { text: this.#damage === '' ? '' : `${this.#damage}.`, at: this.#at };
    this.#said = this.#told.text;
    this.#snapshots = new Publisher(() => this.#takeSnapshot());
    this.#statuses = new Publisher(() => this.#takeStatus());
  }

  subscribe = (onChange: () => void): (() => void) => this.#snapshots.subscribe(onChange);
  getSnapshot = (): RunSnapshot => this.#snapshots.getSnapshot();
  subscribeStatus = (onChange: () => void): (() => void) => this.#statuses.subscribe(onChange);
  getStatus = (): ReplayStatus => this.#statuses.getSnapshot();

  /** Goes on by itself from here on, until the function that it answers is called. */
  start(): () => void {
    let before = steadyNow();
    const timer = setInterval(() => {
      const now = steadyNow();
      this.advance(now - before);
      before = now;
    }, TICK_MS);
    return () => clearInterval(timer);
  }

  /** The steps' output is read no more; may be called twice. */
  close(): void {
    this.#lines.close();
  }

  /** Lets time pass for the one who looks, in milliseconds. */
  advance(ms: number): void {
    if (!this.#playing) return;
    let left = ms * this.#speed;
    let { taken } = this.#run;
    const [heldBefore, atBefore] = [this.#held, this.#at];
    while (left > 0 && taken < this.#events.length) {
      const decision = this.#decisionAt(taken);
      if (decision && !this.#goesPast(decision, ms)) break;
      if (decision) {
        this.#at = this.#times[taken]!;
        this.#held = undefined;
        if (!this.#answered.has(decision)) this.#tell(decision);
      }
      const gap = this.#untilEvent(taken);
      this.#at += Math.min(gap, left);
      if (gap <= left) taken += 1;
      left -= gap;
    }
    this.#take(taken);
    if (taken === this.#events.length) this.#end();
    else if (this.#held !== heldBefore || this.#at !== atBefore) this.#changed();
  }

  /** Plays on, or stands still. */
  toggle(): void {
    if (this.#run.taken === this.#events.length) this.#said = `${this.#ending()} ← goes back.`;
    else this.#playing = !this.#playing;
    this.#changed();
  }

  /** The next faster, or slower, speed. */
  faster(by: 1 | -1): void {
    const others = by === 1 ? SPEEDS.filter((one) => one > this.#speed) : SPEEDS.filter((one) => one < this.#speed);
    this.#speed = (by === 1 ? others[0] : others.at(-1)) ?? this.#speed;
    this.#changed();
  }

  /** Stops at questions, or leaves them to those who answered then. */
  watch(): void {
    this.#watching = !this.#watching;
    this.#held = undefined;
    this.#said = this.#watching
      ? 'Questions are answered as they were then; w asks you again.'
      : 'Questions are asked of you.';
    this.#changed();
  }

  /** To the next event of weight. What a person decided there is told, not asked. */
  next(): void {
    const at = this.#outline.landmarks.find((one) => one >= this.#run.taken);
    this.#goTo(at === undefined ? this.#events.length : at + 1);
  }

  /** Back to the event of weight before. */
  previous(): void {
    const at = this.#outline.landmarks.findLast((one) => one + 1 < this.#run.taken);
    this.#goTo(at === undefined ? 1 : at + 1);
  }

  /** To the next thing that went wrong, and stands still there. */
  nextError(): void {
    const { errors } = this.#outline;
    this.#stopAt(
      errors.find((one) => one >= this.#run.taken),
      errors.length === 0 ? 'Nothing went wrong in this run.' : 'No further error is on record.',
    );
  }

  /** To where a step was begun, or else ended, and stands still there. */
  jump(id: string): void {
    this.#stopAt(this.#beginnings().get(id), `Of ${id} nothing is on record.`);
  }

  /** The steps, and when each began or, where it did not, ended; undefined where nothing of it is on record. */
  stations(): { id: string; at: number | undefined }[] {
    const beginnings = this.#beginnings();
    return [...this.#run.steps.keys()].map((id) => {
      const at = beginnings.get(id);
      return { id, at: at === undefined ? undefined : this.#times[at]! };
    });
  }

  /** Says that nothing can be done here. */
  refuse(): void {
    this.#said = 'This is a REPLAY: nothing can be done in it, and nothing is touched.';
    this.#changed();
  }

  /** Takes what a person would do now, and says what was done then; what nobody was asked is refused. */
  intend(intent: Intent): void {
    const decision = this.#open().find((one) => answers(one, intent));
    const { attention } = this.#run.run;
    if (decision) {
      this.#answered.add(decision);
      if (this.#run.taken === decision.at) this.#show(decision.at + 1);
      this.#tell(decision, wordsOf(intent));
      this.#changed();
    } else if ('step' in intent && attention.includes(intent.step)) {
      this.#said = `You: ${wordsOf(intent)}. Then: nobody answered, as far as the record goes.`;
      this.#changed();
    } else this.refuse();
  }

  /** What was asked by now, and is not answered. */
  #open(): readonly Decision[] {
    const { taken } = this.#run;
    return this.#outline.decisions.filter((one) => one.asked < taken && one.at >= taken && !this.#answered.has(one));
  }

  #decisionAt(place: number): Decision | undefined {
    return this.#outline.decisions.find((one) => one.at === place);
  }

  /** Whether it is gone on past a decision: it was answered, or was on screen long enough for one who only looks. */
  #goesPast(decision: Decision, ms: number): boolean {
    if (this.#answered.has(decision)) return true;
    if (this.#held !== decision) {
      this.#held = decision;
      this.#shownMs = 0;
      if (!this.#watching) this.#said = this.#withTold(ASKS[decision.about]);
    }
    this.#shownMs += ms;
    return this.#watching && this.#shownMs > SHOWN_MS;
  }

  /** Recorded milliseconds until an event. Of a time in which nothing was recorded only the end is left. */
  #untilEvent(place: number): number {
    const next = this.#times[place]!;
    const longest = LONGEST_WAIT_MS * this.#speed;
    if (next - this.#at > longest) {
      const until = Math.min(next, this.#lines.nextAfter(this.#at) ?? next);
      const skipped = until - this.#at - SHORT_WAIT_MS * this.#speed;
      if (until - this.#at > longest) {
        this.#at += skipped;
        this.#said = `For ${durationOf(until - this.#at + skipped)} nothing was recorded: shortened.`;
      }
    }
    return Math.max(0, next - this.#at);
  }

  /** `otherwise`: what is said where there is no such event. */
  #stopAt(at: number | undefined, otherwise: string): void {
    this.#playing = false;
    this.#goTo(at === undefined ? this.#run.taken : at + 1);
    if (at === undefined) this.#said = otherwise;
    this.#changed();
  }

  #goTo(taken: number): void {
    const passed = this.#outline.decisions.filter((one) => one.at >= this.#run.taken && one.at < taken);
    const back = taken < this.#run.taken;
    this.#show(taken);
    this.#said = '';
    // Whoever goes back can answer anew.
    if (back) for (const one of this.#outline.decisions) if (one.at >= taken) this.#answered.delete(one);
    const last = passed.at(-1);
    if (last?.at === taken - 1) this.#tell(last);
    if (taken === this.#events.length) this.#end();
    else this.#changed();
  }

  /** The run after so many events, from the nearest moment that is known. */
  #take(taken: number): void {
    const known = this.#checkpoints.findLast((one) => one.taken <= taken)!;
    let run = this.#run.taken <= taken && this.#run.taken > known.taken ? this.#run : known;
    while (run.taken < taken) {
      const whole = (Math.floor(run.taken / CHECKPOINT) + 1) * CHECKPOINT;
      run = further(run, this.#events, Math.min(taken, whole), this.#outline);
      if (run.taken === whole && this.#checkpoints.at(-1)!.taken < whole) this.#checkpoints.push(run);
    }
    this.#run = run;
  }

  /** The moment of the last of so many events. */
  #show(taken: number): void {
    this.#take(taken);
    this.#at = this.#times[taken - 1]!;
    this.#held = undefined;
  }

  #tell({ done, who, at, asked }: Decision, yours?: string): void {
    const waited = durationOf(this.#times[at]! - this.#times[asked]!);
    const time = logTimeOf(new Date(this.#times[at]!)).slice(0, 8);
    const then = `${done}${who ? ` by ${who}` : ''} at ${time} UTC, after ${waited}.`;
    const text = yours === done ? `As then: ${then}` : `Then: ${then}${yours === undefined ? '' : ` You: ${yours}.`}`;
    this.#told = { text, at: this.#times[at]! };
    this.#said = text;
  }

  /** What was told of a decision may have been on screen for a moment only: it stays before what is said next. */
  #withTold(text: string): string {
    const isFresh = this.#said === this.#told.text && this.#at - this.#told.at < LONGEST_WAIT_MS * this.#speed;
    return isFresh ? `${this.#told.text} ${text}`.trim() : text;
  }

  #end(): void {
    const before = this.#playing;
    this.#playing = false;
    const { phase } = this.#run.run;
    if (phase !== 'finished' || before) this.#said = this.#withTold(this.#ending());
    this.#changed();
  }

  #ending(): string {
    return this.#run.run.phase === 'finished'
      ? 'The record ends here.'
      : 'The record ends here, without an end of the run: whatever was under way was cut off.';
  }

  #beginnings(): Map<string, number> {
    const found = new Map<string, { at: number; begun: boolean }>();
    for (const [at, event] of this.#events.entries()) {
      if (event.type !== 'step.started' && event.type !== 'step.finished') continue;
      const begun = event.type === 'step.started';
      if (!found.has(event.step) || (begun && !found.get(event.step)!.begun)) found.set(event.step, { at, begun });
    }
    return new Map([...found].map(([id, { at }]) => [id, at]));
  }

  #changed(): void {
    this.#snapshots.changed(true);
    this.#statuses.changed(true);
  }

  #takeSnapshot(): RunSnapshot {
    const snapshot = snapshotOf(this.#run, this.#lines.newest(this.#at));
    const done = new Set([...this.#answered].filter((one) => one.at >= this.#run.taken).map(({ step }) => step));
    return done.size === 0
      ? snapshot
      : { ...snapshot, attention: snapshot.attention.filter((step) => !done.has(step)) };
  }

  #takeStatus(): ReplayStatus {
    return {
      playing: this.#playing,
      speed: this.#speed,
      at: this.#at,
      taken: this.#run.taken,
      of: this.#events.length,
      over: this.#run.taken === this.#events.length,
      held: this.#held !== undefined && !this.#watching,
      watching: this.#watching,
      damage: this.#damage,
      said: this.#said,
    };
  }
}

export interface ReplayOptions {
  speed?: number;
  /** Whether steps of a kind can be undone. */
  undoable?: (uses: string) => boolean;
}

const ASKS: Record<Decision['about'], string> = {
  begin: 'Read the plan, and begin as you would; → shows what was done.',
  confirm: 'Type what you would; → shows what was done.',
  answer: 'Answer as you would; → shows what was done.',
  'what now': 'What would you do: r, u, s or a? → shows what was done.',
};

/** Whether that is what a person was asked. */
function answers({ about, step }: Decision, intent: Intent): boolean {
  switch (intent.type) {
    case 'begin':
    case 'look':
      return about === 'begin';
    case 'confirm':
    case 'answer':
      return (about === 'confirm' || about === 'answer') && step === intent.step;
    case 'retry':
    case 'skip':
      return about === 'what now' && step === intent.step;
    case 'undo':
      return about === 'what now' && intent.steps.includes(step!);
    case 'abort':
      return about === 'what now';
    default:
      return false;
  }
}

const WORDS: Partial<Record<Intent['type'], string>> = {
  begin: 'begun',
  look: 'looked again',
  retry: 'retried',
  skip: 'skipped',
  undo: 'undone',
};

/** In the words in which a decision is told. */
function wordsOf(intent: Intent): string {
  switch (intent.type) {
    case 'confirm':
      return `"${intent.typed}" typed`;
    case 'answer':
      return `"${intent.answer}" typed`;
    case 'abort':
      return 'the run aborted';
    default:
      return WORDS[intent.type] ?? intent.type;
  }
}
