import { rm } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { redact, redactDeep } from '../config/redact.js';
import { steadyNow } from '../hosts/waiting.js';
import type { Runbook } from '../runbook/runbook.js';
import type { StepContext } from '../steps/step.js';
import { messageOf } from '../words.js';
import { Admission } from './admission.js';
import { Asking } from './asking.js';
import { heldText } from './cluster-lock.js';
import { Course } from './course.js';
import { damageLeft, damageLeftText, NO_DAMAGE_LEFT } from './damage-left.js';
import type { Suspicion } from './diagnosis.js';
import { estimated } from './estimates.js';
import { type Happening, isBeginning, type JournalEvent, type RunOutcome } from './journal.js';
import { NewestLines } from './newest-lines.js';
import { operatorHere } from './operator.js';
import { Publisher } from './publisher.js';
import { outcomeOf } from './run-outcome.js';
import { RunRecord } from './run-record.js';
import { type RunSettings, resumedEvent, startedEvent } from './run-settings.js';
import { type Hands, RunStep } from './run-step.js';
import type { Intent, RunSnapshot } from './snapshot.js';
import { type Standing, standingOf } from './standing.js';
import { contextOf } from './step-context.js';
import { takeSnapshot } from './take-snapshot.js';
import { ABORTED_BEFORE, isChosen } from './turn.js';
import { Undoing } from './undoing.js';

/**
 * A run of a runbook: a state machine that takes intents and the verdicts of steps, writes the journal before it acts, and
 * publishes snapshots. It knows no screen and no store; a subscriber that throws cannot break it.
 */
export class Run {
  /** Resolves when the run is over, never rejects. */
  readonly finished: Promise<RunOutcome>;
  readonly operator = operatorHere();
  readonly #settings: RunSettings;
  readonly #record: RunRecord;
  readonly #admission: Admission;
  readonly #asking: Asking;
  readonly #lines = new NewestLines();
  readonly #steps: RunStep[];
  readonly #course: Course;
  readonly #undoing: Undoing;
  readonly #publisher: Publisher<RunSnapshot>;
  readonly #startedAt: number;
  readonly #abort = new AbortController();
  #phase: RunSnapshot['phase'] = 'preflight';
  #finishedAt: number | undefined;
  #outcome: RunOutcome | undefined;
  /** The journal says which run this is. */
  #introduced = false;
  #begun = false;
  #ending = false;
  #standing: Standing[] = [];
  #next: Suspicion[] = [];
  /** An undo failed, or the cluster was taken from under the run: it has failed, whatever its steps say. */
  #failed = false;
  #halted = '';
  #resolve: (outcome: RunOutcome) => void = () => {};

  constructor(settings: RunSettings) {
    this.#settings = settings;
    const { id, folder, runbook, past } = settings;
    this.#startedAt = past?.startedAt ?? steadyNow();
    this.#record = new RunRecord(id, folder, (why) => this.#stopUnrecorded(why), past?.journal);
    this.#admission = new Admission({
      run: id,
      cluster: settings.cluster,
      backup: settings.backup,
      drillOf: settings.drillOf,
      guards: settings.guards ?? [],
      accept: settings.accept ?? [],
      lockFolders: settings.lockFolders ?? [],
      record: (happening) => this.#write(happening),
      onLost: (why) => this.#stopLocked(why),
    });
    this.#asking = new Asking({
      cluster: settings.cluster.name,
      operator: this.operator,
      record: (happening) => this.#write(happening),
    });
    const hands: Hands = {
      signal: this.#abort.signal,
      record: (happening) => this.#write(happening),
      show: (step, text, at) => {
        this.#lines.add(step, text, at);
        this.#publisher.changed();
      },
      changed: (now) => this.#publisher.changed(now),
      contextOf: (step, phase) => this.#contextOf(step, phase),
      estimated: ({ id, of }, plan) =>
        estimated(
          plan,
          { id, uses: of.kind.kind, cluster: settings.drillOf ?? settings.cluster.name },
          settings.times ?? [],
        ),
      damageLeft: async () => damageLeftText((await damageLeft(settings.cluster, runbook)).next),
      loseRecord: (error) => this.#record.lose(error),
      lost: () => this.#record.lost,
    };
    this.#steps = runbook.steps.map((step) => new RunStep(step, folder, hands, past?.steps.get(step.id)));
    this.#course = new Course({
      steps: this.#steps,
      asking: this.#asking,
      onFailure: settings.onFailure,
      signal: this.#abort.signal,
      goesOn: () => this.#phase === 'running' && !this.#ending,
      changed: (now) => this.#publisher.changed(now),
      onOver: () => this.#end(),
    });
    this.#undoing = new Undoing(this.#steps);
    this.finished = new Promise((resolve) => {
      this.#resolve = resolve;
    });
    this.#publisher = new Publisher(() => this.#take());
  }

  get journalFile(): string {
    return this.#record.file;
  }

  subscribe = (onChange: () => void): (() => void) => this.#publisher.subscribe(onChange);

  getSnapshot = (): RunSnapshot => this.#publisher.getSnapshot();

  /** The steps that have not succeeded yet. */
  get remaining(): Runbook {
    const { runbook } = this.#settings;
    const open = new Set(this.#steps.filter((step) => step.state !== 'succeeded').map((step) => step.id));
    return { ...runbook, steps: runbook.steps.filter((step) => open.has(step.id) || step.kind.effect === 'ask') };
  }

  /** Puts a run away that nobody has begun to look at: nothing is recorded of it, a new one has no folder any more, and its cluster is free. */
  async leave(): Promise<void> {
    for (const step of this.#steps) step.log.close();
    this.#record.close();
    const { past, folder } = this.#settings;
    if (past) await past.lock.release();
    else await rm(folder, { recursive: true, force: true });
  }

  /** Told of every event after it is in the journal. */
  onEvent(listener: (event: JournalEvent) => void): void {
    this.#record.onEvent(listener);
  }

  /**
   * Plans and checks every step without touching anything. A dry run is over after it; any other run then waits for
   * `begin`, or ends when a step is blocked and nobody is there to decide. One whose purpose is to undo looks only at what can
   * be put back, records nothing, and waits for `undo`.
   */
  async preflight(): Promise<void> {
    const { past, mode, purpose, notes = [] } = this.#settings;
    if (purpose === 'undo') return this.#lookBack();
    if (past) await this.#writeResumed();
    else this.#write(startedEvent(this.#settings, await this.#admission.identify(), this.operator));
    this.#admission.raise();
    for (const text of notes) this.#write({ type: 'note', text, who: 'novamem-runbook' });
    this.#introduced = true;
    if (this.#abort.signal.aborted) return this.#abortAll();
    await this.#lookAtAll();
    if (this.#ending) return;
    if (mode === 'dry-run') {
      for (const step of this.#steps) step.finish('simulated');
      return this.#end();
    }
    const blocked = this.#steps.filter(
      (step) => step.state === 'waiting' && step.obstacle && isChosen(step, this.#steps) === 'yes',
    );
    if (blocked.length > 0 && this.#settings.onFailure === 'stop') {
      for (const step of blocked) step.finish('failed', step.obstacle!.message);
      this.#end();
    }
  }

  async #writeResumed(): Promise<void> {
    this.#write(resumedEvent(this.#settings, await this.#admission.identify(), this.operator));
    this.#admission.hold(this.#settings.past!.lock);
  }

  /** Takes what a person wants. What does not fit the moment is ignored. */
  intend(intent: Intent): void {
    if (intent.type === 'note') {
      this.#write({ type: 'note', text: intent.text, who: this.operator });
      return;
    }
    if (this.#ending) return;
    if (intent.type === 'abort') {
      // What was not begun cannot be ended: the journal says first which run this is.
      if (this.#introduced) this.#abortAll();
      else if (this.#settings.purpose === 'undo' && this.#phase !== 'beginning') void this.#leaveAsItWas();
      else this.#abort.abort(new Error('aborted by the operator'));
      return;
    }
    if (intent.type === 'accept') {
      this.#admission.accept(intent.difference);
      this.#publisher.changed(true);
      return;
    }
    if (intent.type === 'plan-undo') {
      void this.#planUndo();
      return;
    }
    if (intent.type === 'undo') {
      this.#takeUndo(intent);
      return;
    }
    if (intent.type === 'begin' || intent.type === 'look') {
      if (this.#phase !== 'planned' || this.#settings.purpose === 'undo') return;
      if (intent.type === 'begin') {
        this.#phase = 'beginning';
        void this.#begin(intent.takeOver ?? false);
      } else {
        this.#phase = 'preflight';
        void this.#lookAtAll();
      }
      return;
    }
    const step = this.#steps.find((one) => one.id === intent.step);
    if (!step) return;
    const { state } = step;
    if (intent.type === 'confirm' && state === 'asking') this.#course.confirm(step, intent.typed, intent.by);
    else if (intent.type === 'answer' && state === 'asking') this.#course.answer(step, intent.answer);
    else if (intent.type === 'retry' && state === 'deciding') this.#course.retry(step);
    else if (intent.type === 'skip' && (state === 'deciding' || state === 'asking')) this.#course.skip(step);
  }

  /** The cluster is locked, and what an earlier process has left at work is ended; then the steps go on. */
  async #begin(takeOver: boolean): Promise<void> {
    const { past, mode } = this.#settings;
    const [guard] = this.#admission.guards;
    if (guard) return this.#stayPlanned(guard.said);
    try {
      if (!(await this.#admission.lock(takeOver))) return this.#stayPlanned(heldText(this.#admission.held!));
      await this.#admission.endLeftovers(past !== undefined);
      if (past && !this.#ending) await this.#askReality();
    } catch (error) {
      return this.#stopAll(messageOf(error));
    }
    if (this.#ending) return;
    if (mode === 'live') this.#admission.remember();
    this.#phase = 'running';
    this.#course.pump();
  }

  /** It may not begin: a person can mend that; without one it is over. */
  #stayPlanned(why: string): void {
    this.#phase = 'planned';
    if (this.#settings.onFailure === 'stop') this.#stopAll(why);
    else this.#publisher.changed(true);
  }

  /** A step that had succeeded, and that one still to come builds on, must still be so. Looking and asking is not repeated. */
  async #askReality(): Promise<void> {
    const needed = new Set(this.#steps.filter((step) => !step.satisfied).flatMap((step) => step.of.needs));
    const changing = this.#steps.filter(
      (step) => step.satisfied && needed.has(step.id) && !['read', 'ask'].includes(step.of.kind.effect),
    );
    await Promise.all(changing.map((step) => step.isLost()));
  }

  /** Nothing is begun. */
  #stopAll(why: string): void {
    for (const step of this.#steps) if (step.state === 'waiting') step.passOver(why);
    this.#end();
  }

  async #lookAtAll(): Promise<void> {
    this.#publisher.changed(true);
    // What a way that was decided against beforehand would find can only alarm.
    const looked = this.#steps.filter((step) => step.state === 'waiting' && isChosen(step, this.#steps) !== 'no');
    await Promise.all(looked.map((step) => step.look('preflight')));
    if (this.#ending) return;
    this.#phase = 'planned';
    this.#publisher.changed(true);
  }

  #abortAll(): void {
    this.#course.stopped = true;
    if (!this.#abort.signal.aborted) this.#abort.abort(new Error('aborted by the operator'));
    this.#course.endQuestions(ABORTED_BEFORE);
    if (!this.#undoing.now)
      for (const step of this.#steps) if (step.state === 'waiting') step.passOver(ABORTED_BEFORE);
    if (this.#course.busy) this.#publisher.changed(true);
    else this.#end();
  }

  /** The disk took a line no more: the run is stopped as by an abort, and has failed. */
  #stopUnrecorded(why: string): void {
    this.#course.stopped = true;
    this.#abort.abort(new Error(why));
    // Not at once: this is told from within a change of state.
    queueMicrotask(() => this.#abortAll());
  }

  /** Somebody else works on the cluster from now on: the run is stopped as by an abort, and has failed. */
  #stopLocked(why: string): void {
    this.#halt(why);
    this.#abort.abort(new Error(why));
    this.#abortAll();
  }

  /** It has failed, whatever its steps say, and says why. */
  #halt(why: string): void {
    this.#failed = true;
    this.#halted = redact(why);
    this.#write({ type: 'note', text: `stopped: ${why}`, who: 'novamem-runbook' });
  }

  /** Finds out what can be put back. Nothing is recorded: who only looks leaves the run as it was. */
  async #lookBack(): Promise<void> {
    await this.#admission.identify();
    for (const difference of this.#settings.accept ?? []) this.#admission.accept(difference);
    await this.#planUndo();
    if (this.#ending) return;
    this.#phase = 'planned';
    this.#publisher.changed(true);
  }

  async #planUndo(): Promise<void> {
    await this.#undoing.plan();
    if (!this.#ending) this.#publisher.changed(true);
  }

  /** Ends a run that nobody has begun to undo, with the outcome that it had. */
  async #leaveAsItWas(): Promise<void> {
    this.#ending = true;
    await this.leave();
    this.#phase = 'finished';
    this.#outcome = this.#settings.past!.outcome ?? 'aborted';
    this.#publisher.changed(true);
    this.#resolve(this.#outcome);
  }

  /**
   * Undoes steps and what builds on them, once the cluster's name was typed. A failed step alone is asked about again then;
   * otherwise nothing may be at work meanwhile, and the run ends with it.
   */
  #takeUndo({ steps: wanted, typed, by }: Extract<Intent, { type: 'undo' }>): void {
    const order = this.#undoing.orderOf(wanted);
    const [first] = order;
    const later = this.#settings.purpose === 'undo';
    if (!first || !this.#asking.isName(typed) || this.#undoing.now) return;
    if (this.#phase !== (later ? 'planned' : 'running')) return;
    if (later) {
      this.#phase = 'beginning';
      void this.#undoLater(order, typed, by);
    } else if (order.length === 1 && first.state === 'deciding') {
      this.#asking.confirmsUndo(order, typed, by);
      this.#course.go(first, () => this.#undoAlone(first));
    } else if (!this.#course.busy) {
      this.#asking.confirmsUndo(order, typed, by);
      this.#undoing.begin(order);
      this.#course.endQuestions('the run was undone before it');
      void this.#putBack(order);
    }
  }

  async #undoAlone(step: RunStep): Promise<void> {
    const verdict = await step.undo();
    if (verdict.outcome === 'failed') this.#failed = true;
    this.#course.heed(step, verdict);
  }

  /** Puts back what an earlier process has replaced. */
  async #undoLater(order: readonly RunStep[], typed: string, by: string | undefined): Promise<void> {
    if (this.#admission.guards.length > 0) {
      if (this.#settings.onFailure === 'stop') return this.#leaveAsItWas();
      this.#phase = 'planned';
      return this.#publisher.changed(true);
    }
    try {
      await this.#writeResumed();
      this.#introduced = true;
      this.#undoing.begin(order);
      this.#admission.raise();
      this.#asking.confirmsUndo(order, typed, by);
      await this.#admission.endLeftovers(true);
    } catch (error) {
      this.#halt(`nothing was put back: ${messageOf(error)}`);
      return this.#end();
    }
    await this.#putBack(order);
  }

  /** Undoes one step after the other, and ends the run. */
  async #putBack(order: readonly RunStep[]): Promise<void> {
    this.#phase = 'running';
    this.#course.stopped = true;
    if (!(await this.#undoing.putBack(order, this.#abort.signal))) this.#failed = true;
    this.#end();
  }

  /** Ends the run once: asks how things stand now, then writes the last line. */
  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#finishedAt = steadyNow();
    void this.#lookAfter()
      .catch(() => ({ standing: [], next: [] }))
      .then(async ({ standing, next }) => {
        await this.#admission.release();
        this.#close(standing, next);
      });
  }

  /** How things stand now, and which runbook is needed beside this one. */
  async #lookAfter(): Promise<{ standing: Standing[]; next: Suspicion[] }> {
    const { mode, cluster, runbook } = this.#settings;
    if (mode === 'dry-run') return { standing: [], next: [] };
    // What a drill restored into is gone with it.
    const left = this.#begun && mode !== 'drill' ? await damageLeft(cluster, runbook) : NO_DAMAGE_LEFT;
    return { standing: await standingOf(cluster, left.symptoms), next: left.next };
  }

  #close(standing: Standing[], next: Suspicion[]): void {
    // Steps of an earlier process that are not undone keep the last word that was said of them.
    if (this.#settings.purpose !== 'undo')
      for (const step of this.#steps) if (step.state === 'waiting') step.passOver('the run stopped before it');
    for (const step of this.#steps) step.log.close();
    this.#phase = 'finished';
    this.#standing = standing;
    this.#next = redactDeep(next);
    const { mode } = this.#settings;
    const aborted = this.#abort.signal.aborted || this.#undoing.now !== undefined;
    const outcome = outcomeOf(this.#steps, { mode, aborted, failed: this.#failed });
    this.#record.append({
      type: 'run.finished',
      outcome,
      standing,
      ...(next.length > 0 ? { next } : {}),
      rtoMs: Math.max(0, (this.#finishedAt ?? steadyNow()) - (this.#undoing.now?.since ?? this.#startedAt)),
      rpoMs: this.#rpo(),
    });
    // A record without its last line tells of no end: such a run has failed, however it went.
    this.#outcome = this.#record.lost ? 'failed' : outcome;
    this.#record.close();
    this.#publisher.changed(true);
    this.#resolve(this.#outcome);
  }

  /** The age of the data that comes back; a set that was only compared with brings none, and one that was undone neither. */
  #rpo(): number | null {
    if (this.#undoing.now) return null;
    const takenAt = this.#settings.backup?.takenAt;
    const restoring = this.#steps.some((step) => step.of.kind.backupSet === 'reads' && !step.snapshot.notChosen);
    return takenAt && restoring ? this.#startedAt - takenAt.getTime() : null;
  }

  #contextOf(step: RunStep, phase: StepContext['phase']): StepContext {
    return contextOf(step, this.#steps, phase, this.#settings, async ({ channel, text }) => {
      // Until then all that the step has told is followed: it is on record before what is built on it.
      await setImmediate();
      this.#write({ type: 'step.change', step: step.id, channel, text });
      if (this.#record.lost) throw new Error(this.#record.lost);
      step.tell(`${channel}: ${text}`);
    });
  }

  #write(happening: Happening): void {
    if (this.#phase === 'finished') return;
    this.#begun ||= isBeginning(happening);
    this.#record.append(happening);
    this.#publisher.changed();
  }

  #take(): RunSnapshot {
    const { identity, guards, held } = this.#admission;
    return takeSnapshot(this.#settings, this.#steps, {
      phase: this.#phase,
      attention: this.#asking.waiting,
      answered: this.#asking.answered,
      log: this.#lines.take(),
      startedAt: this.#startedAt,
      ...(this.#finishedAt === undefined ? {} : { finishedAt: this.#finishedAt }),
      ...(this.#outcome ? { outcome: this.#outcome } : {}),
      begun: this.#begun,
      rpoMs: this.#rpo(),
      ...(this.#undoing.now ? { undoing: this.#undoing.now } : {}),
      halted: this.#halted,
      standing: this.#standing,
      next: this.#next,
      lost: this.#record.lost,
      identity,
      guards,
      ...(held ? { held } : {}),
      aborting: this.#abort.signal.aborted && this.#phase !== 'finished',
    });
  }
}
