import { redact, redactDeep } from '../config/redact.js';
import { steadyNow } from '../hosts/waiting.js';
import { nextOf } from '../problem.js';
import type { RunbookStep } from '../runbook/runbook.js';
import type { Finding, StepContext, StepEvent, StepPlan, UndoPlan } from '../steps/step.js';
import type { Check } from '../stores/check.js';
import { messageOf } from '../words.js';
import { counted } from './counted.js';
import { freshStep } from './fresh-step.js';
import type { Happening, StepOutcome } from './journal.js';
import type { StepPast } from './past.js';
import { copiesNow, copiesText } from './safety-copies.js';
import type { StepSnapshot, StepState } from './snapshot.js';
import { StepLog } from './step-log.js';
import { takeFacts } from './take-facts.js';
import { Stuck, unlessStuck } from './unless-stuck.js';

const PROGRESS_MS = 1_000;

/** What a run gives its steps to act with. */
export interface Hands {
  /** Aborted when the run is. */
  signal: AbortSignal;
  record(happening: Happening): void;
  /** Shows a line of a step's log as it was kept. */
  show(step: string, text: string, at: Date): void;
  changed(now?: boolean): void;
  contextOf(step: RunStep, phase: StepContext['phase']): StepContext;
  /** The plan with what earlier runs tell of how long it takes. */
  estimated(step: RunStep, plan: StepPlan): StepPlan;
  loseRecord(error: unknown): void;
  /** What is damaged that this runbook does not mend, and what to do about it; empty where nothing is. */
  damageLeft(): Promise<string>;
  /** Why nothing can be recorded any more; empty while it can. */
  lost(): string;
}

/** What came of an attempt; what the run makes of it is the run's affair. */
export type Verdict =
  | { outcome: 'succeeded' }
  | { outcome: 'failed' | 'skipped' | 'unknown' | 'undone'; reason: string };

/** One step of a run: what is known of it, and the course of looking, running, proving and undoing. */
export class RunStep {
  readonly snapshot: StepSnapshot;
  readonly log: StepLog;
  facts: Record<string, unknown> = {};
  attempt = 0;
  /** A step that had nothing to do on this cluster satisfies those that need it; one that a person skipped does not. */
  satisfied = false;
  /** What a person has answered to what it asks. */
  answer: string | undefined;
  readonly #hands: Hands;
  /** An earlier process has begun it, and how far that came is not known here yet. */
  #before: { outcome: 'failed' | 'unknown'; reason: string | undefined } | undefined;

  constructor(
    readonly of: RunbookStep,
    folder: string,
    hands: Hands,
    past?: StepPast,
  ) {
    this.#hands = hands;
    this.log = new StepLog(folder, of.id, (error) => hands.loseRecord(error));
    const { kind, effect } = of.kind;
    this.snapshot = freshStep({ ...of, uses: kind, effect, logFile: this.log.file });
    if (past) this.#takeUp(past);
  }

  /** Stands where an earlier process left it. What had not succeeded waits, and reality is asked before it is done again. */
  #takeUp(past: StepPast): void {
    this.attempt = past.attempts;
    this.facts = past.facts;
    const { plan, tried, safetyCopies, checks, startedAt, finishedAt, reason } = past;
    Object.assign(
      this.snapshot,
      { safetyCopies },
      plan ? { plan } : {},
      tried ? { tried } : {},
      // Whatever became of it, it has not been at work since: how long it was, nobody knows where its end is not on record.
      startedAt === undefined ? {} : { startedAt, finishedAt: finishedAt ?? startedAt },
    );
    this.#noteWayBack();
    if (past.state === 'begun') this.#before = { outcome: past.outcome === 'failed' ? 'failed' : 'unknown', reason };
    if (past.state !== 'succeeded') return;
    if (this.of.kind.answers) this.answer = past.answer;
    this.satisfied = true;
    Object.assign(this.snapshot, {
      checks,
      state: 'succeeded',
      ...(reason === undefined ? {} : { reason }),
    });
  }

  get id(): string {
    return this.of.id;
  }

  get state(): StepState {
    return this.snapshot.state;
  }

  set(state: StepState): void {
    this.snapshot.state = state;
    this.#hands.changed(true);
  }

  tell(line: string): void {
    const at = new Date();
    this.#hands.show(this.id, this.log.write(line, at), at);
  }

  /** The answer that steps may depend on: a person's, or the one given beforehand. */
  get answered(): string | undefined {
    return this.answer ?? this.of.kind.answers?.(this.of.params).given;
  }

  /** It is no part of this run: those that need it go on without. */
  leaveOut(): void {
    this.satisfied = true;
    this.snapshot.notChosen = true;
  }

  /** What came of it, where its kind has something to say. */
  get conclusion(): { text: string; exception: boolean } | undefined {
    return this.of.kind.conclusion?.(this.facts);
  }

  /** Whether a text answers what it asks; why not is then in its snapshot. */
  accepts(answer: string): boolean {
    const { kind, params } = this.of;
    const { asks } = this.snapshot.plan ?? {};
    if (asks?.type !== 'text') return kind.answers?.(params).choices.includes(answer) ?? false;
    const why = kind.refuses?.(params, answer) ?? '';
    if (why === '') delete this.snapshot.refused;
    else this.snapshot.refused = { answer, why };
    return why === '';
  }

  /** What keeps it from running; undefined when nothing does. */
  get obstacle(): Finding | undefined {
    return this.snapshot.findings.find((finding) => finding.level === 'blocking');
  }

  /** Plans and checks it. That it cannot even be planned is a finding as well. */
  async look(phase: StepContext['phase']): Promise<void> {
    const { kind, params } = this.of;
    const context = this.#hands.contextOf(this, phase);
    const findings: Finding[] = [];
    let refusal: unknown;
    try {
      const plan = await kind.plan(params, context);
      if (plan.notAskedFor !== undefined) plan.notAskedFor = this.#named(plan.notAskedFor);
      this.snapshot.plan = redactDeep(this.#hands.estimated(this, plan));
      this.#hands.record({ type: 'step.planned', step: this.id, plan: this.snapshot.plan });
    } catch (error) {
      refusal = error;
    }
    try {
      findings.push(...(await kind.check(params, context)));
    } catch (error) {
      findings.push(obstacleOf('checked', error));
    }
    // What keeps it from being planned mostly keeps it from being checked, too: it is said once.
    if (refusal !== undefined && !findings.some(({ message }) => message.includes(messageOf(refusal))))
      findings.unshift(obstacleOf('planned', refusal));
    this.snapshot.findings = findings.map((finding) => ({
      ...finding,
      message: redact(finding.message),
      ...(finding.next === undefined ? {} : { next: this.#named(finding.next) }),
    }));
    for (const finding of this.snapshot.findings)
      this.#hands.record({ type: 'step.finding', step: this.id, finding });
    this.#hands.changed();
  }

  /** Asks reality whether an earlier attempt has done it all; that it has is believed only with evidence. */
  async doneAlready(): Promise<Verdict | undefined> {
    const found = await this.#probe();
    this.tell(`probe: ${found}`);
    return found === 'done' ? this.#prove() : undefined;
  }

  /** Whether reality has lost again what this step had done: it then waits to be done once more. */
  async isLost(): Promise<boolean> {
    const found = await this.#probe();
    this.tell(`it had succeeded before; a look at it says: ${found}`);
    if (found === 'done' || found === 'unknown') return false;
    this.satisfied = false;
    this.set('waiting');
    return true;
  }

  /** Runs and proves it. */
  async execute(): Promise<Verdict> {
    const { kind, params } = this.of;
    this.#hands.record({ type: 'step.started', step: this.id, attempt: this.attempt + 1 });
    const lost = this.#hands.lost();
    if (lost) return { outcome: this.attempt > 0 ? 'failed' : 'skipped', reason: lost };
    this.attempt += 1;
    this.snapshot.startedAt = steadyNow();
    this.snapshot.tried = this.snapshot.plan;
    this.snapshot.checks = [];
    this.snapshot.undone = false;
    delete this.snapshot.progress;
    delete this.snapshot.reason;
    delete this.snapshot.finishedAt;
    this.set('running');
    try {
      const events = kind.run(params, this.#hands.contextOf(this, 'ready'), this.#hands.signal);
      await unlessStuck(this.#hands.signal, this.#follow(events));
      return await unlessStuck(this.#hands.signal, this.#prove());
    } catch (error) {
      return this.#hands.signal.aborted ? this.#ended(error) : this.#explained(messageOf(error));
    }
  }

  /** Why it failed, and where that is so, that it failed because of something that this runbook does not mend. */
  async #explained(reason: string): Promise<Verdict> {
    const also = this.of.kind.provesAll ? await this.#hands.damageLeft() : '';
    return { outcome: 'failed', reason: also === '' ? reason : `${reason}. ${also}` };
  }

  /** Finds out what an undo would do; nothing is touched. That it cannot be told is told, and no obstacle. */
  async planUndo(): Promise<void> {
    const { kind, params } = this.of;
    const { safetyCopies, finishedAt, startedAt } = this.snapshot;
    const since = new Date(finishedAt ?? startedAt ?? Date.now());
    const unknown: UndoPlan = { putsBack: 'what was there before this step', replaces: [] };
    const context = this.#hands.contextOf(this, 'preflight');
    const plan = await Promise.resolve(kind.planUndo?.(params, context, this.facts, since)).catch(
      (error: unknown): UndoPlan => ({
        ...unknown,
        replaces: [`what stands there now, which cannot be counted: ${messageOf(error)}`],
      }),
    );
    this.snapshot.undoPlan = redactDeep({ ...(plan ?? unknown), copies: await copiesNow(safetyCopies) });
    this.#hands.changed();
  }

  /** Puts back what was there before it, and proves it. */
  async undo(): Promise<Verdict> {
    const { kind, params } = this.of;
    const { startedAt, finishedAt } = this.snapshot;
    const hadFailed = this.satisfied ? '' : ` It had failed: ${this.snapshot.reason ?? ''}`;
    const begunAt = steadyNow();
    this.#hands.record({ type: 'step.undoing', step: this.id });
    this.snapshot.checks = [];
    delete this.snapshot.progress;
    this.satisfied = false;
    this.snapshot.startedAt = begunAt;
    delete this.snapshot.finishedAt;
    this.set('undoing');
    try {
      await this.#follow(kind.undo!(params, this.#hands.contextOf(this, 'ready'), this.facts));
      const checks = (await kind.verifyUndo?.(params, this.#hands.contextOf(this, 'ready'), this.facts)) ?? [];
      const differing = differenceIn(this.#keepChecks(checks));
      if (differing !== '') throw new Error(differing);
    } catch (error) {
      // The order of undoing goes by when each began.
      Object.assign(this.snapshot, { undoFailed: true, startedAt, finishedAt });
      const kept = copiesText(this.snapshot.safetyCopies);
      return {
        outcome: 'failed',
        reason: `THE UNDO FAILED: ${messageOf(error)}. ${kept === '' ? 'There was no safety copy: this step had found nothing to keep' : `The safety copies are still there: ${kept}`}`,
      };
    }
    this.#hands.record({
      type: 'step.finished',
      step: this.id,
      outcome: 'undone',
      tookMs: steadyNow() - begunAt,
      reason: UNDONE,
    });
    this.tell(`undone: ${UNDONE}`);
    this.facts = {};
    Object.assign(this.snapshot, {
      undone: true,
      undoFailed: false,
      canUndo: false,
      safetyCopies: [],
      finishedAt: steadyNow(),
      reason: this.snapshot.undoPlan?.putsBack ?? UNDONE,
    });
    return { outcome: 'undone', reason: `undone: ${UNDONE}.${hadFailed}` };
  }

  /** Writes down that an attempt has failed, and leaves the step to a person. */
  noteFailure(reason: string): string {
    const said = this.#named(reason);
    this.tell(`failed: ${said}`);
    this.snapshot.reason = redact(said);
    this.#noteEnd();
    return said;
  }

  recordOutcome(outcome: StepOutcome, reason: string | undefined): void {
    const { startedAt, finishedAt } = this.snapshot;
    this.#hands.record({
      type: 'step.finished',
      step: this.id,
      outcome,
      tookMs: startedAt === undefined ? 0 : (finishedAt ?? steadyNow()) - startedAt,
      ...(reason === undefined ? {} : { reason: this.#named(reason) }),
    });
  }

  /** It is over: nothing of it follows. */
  finish(outcome: StepOutcome, reason?: string): void {
    this.#noteEnd();
    if (reason !== undefined) this.snapshot.reason = redact(this.#named(reason));
    this.recordOutcome(outcome, reason);
    this.log.flush();
    this.set(outcome);
  }

  /** An attempt that could not even begin did not make the one before it any longer. */
  #noteEnd(): void {
    this.snapshot.finishedAt ??= steadyNow();
  }

  /** The run ends before it. Of what an earlier process has begun, the last word on record stays the last. */
  passOver(why: string): void {
    if (!this.#before) {
      this.finish('skipped', why);
      return;
    }
    const { outcome, reason } = this.#before;
    if (reason !== undefined) this.snapshot.reason = reason;
    this.log.flush();
    this.set(outcome);
  }

  /** A step that was ended half-way is unknown until reality was asked. */
  async #ended(error: unknown): Promise<Verdict> {
    const why = messageOf(error);
    if (error instanceof Stuck)
      return { outcome: 'unknown', reason: `aborted; ${why}. ${this.snapshot.plan?.onAbort ?? ''}` };
    const found = await this.#probe();
    this.tell(`ended by the abort (${why}); a look at it says: ${found}`);
    if (found === 'done')
      return this.#prove().catch((error: unknown) => ({ outcome: 'unknown', reason: messageOf(error) }));
    return {
      outcome: found === 'not-started' ? 'failed' : 'unknown',
      reason: `aborted; a look at it says: ${found}. ${this.snapshot.plan?.onAbort ?? ''}`,
    };
  }

  #probe() {
    const { kind, params } = this.of;
    const asked = kind.probe(params, this.#hands.contextOf(this, 'ready'), this.facts);
    return unlessStuck(this.#hands.signal, asked).catch(() => 'unknown' as const);
  }

  /** A step without evidence has not succeeded. */
  async #prove(): Promise<Verdict> {
    const { kind, params } = this.of;
    this.set('verifying');
    const checks = this.#keepChecks(await kind.verify(params, this.#hands.contextOf(this, 'ready'), this.facts));
    const differing = differenceIn(checks);
    if (differing !== '') return this.#explained(differing);
    return checks.length > 0
      ? { outcome: 'succeeded' }
      : { outcome: 'failed', reason: 'it ended without an error, but there is nothing that proves it' };
  }

  #keepChecks(found: Check[]): Check[] {
    // Of those without a secret, which are nearly all of what may be tens of thousands, no second one is kept.
    const checks = found.map((check) => {
      const redacted = redactDeep(check);
      return Object.entries(check).every(([field, value]) => redacted[field as keyof Check] === value)
        ? check
        : redacted;
    });
    this.snapshot.checks = checks;
    for (const check of checks) this.#hands.record({ type: 'step.check', step: this.id, check });
    return checks;
  }

  async #follow(events: AsyncIterable<StepEvent>): Promise<void> {
    let toldAt = 0;
    for await (const event of events) {
      switch (event.type) {
        case 'output':
          this.tell(event.line);
          break;
        case 'progress': {
          const { type: _, ...progress } = redactDeep(event);
          this.snapshot.progress = counted(progress, this.snapshot.progress, steadyNow());
          if (steadyNow() - toldAt >= PROGRESS_MS) {
            toldAt = steadyNow();
            this.#hands.record({ type: 'step.progress', step: this.id, ...progress });
          } else this.#hands.changed();
          break;
        }
        case 'facts':
          // As the journal gives them back to a process that resumes: what JSON cannot hold is no fact.
          takeFacts(this.facts, { ...event, facts: JSON.parse(JSON.stringify(event.facts)) });
          this.#hands.record({ ...event, type: 'step.facts', step: this.id });
          this.#noteWayBack();
          break;
        case 'safety-copy': {
          const { type: _, ...copy } = redactDeep(event);
          this.snapshot.safetyCopies = [...this.snapshot.safetyCopies, { ...copy, takenAt: Date.now() }];
          this.#hands.record({ type: 'step.safety-copy', step: this.id, ...copy });
          break;
        }
      }
    }
  }

  #noteWayBack(): void {
    this.snapshot.canUndo = this.of.kind.undo !== undefined && Object.keys(this.facts).length > 0;
  }

  /** Steps do not know what they are called in this runbook. */
  #named(text: string): string {
    return text.replaceAll('<step>', this.id);
  }
}

const UNDONE = 'as it was before this step';

/** Which checks have failed, in a sentence; empty when none has. */
function differenceIn(checks: readonly Check[]): string {
  const failed = checks.filter((check) => !check.ok);
  const [first] = failed;
  return first
    ? `${failed.length} of ${checks.length} checks failed; the first: ${first.subject}, ${first.what}: expected ${brief(first.expected)}, found ${brief(first.actual)}`
    : '';
}

const obstacleOf = (verb: 'planned' | 'checked', error: unknown): Finding => ({
  level: 'blocking',
  message: `it cannot be ${verb}: ${messageOf(error)}`,
  next: nextOf(error),
});

/** Long values are whole in the journal; a sentence has no room for them. */
function brief(text: string): string {
  return text.length <= 80 ? text : `${text.slice(0, 79)}…`;
}
