import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { redact } from '../config/redact.js';
import { closedGateway, type Gateway, openGateway } from '../hosts/gateway.js';
import { steadyNow } from '../hosts/waiting.js';
import { type Runbook, startsBefore } from '../runbook/runbook.js';
import type { StepContext, StepKind } from '../steps/step.js';
import { messageOf } from '../words.js';
import { Admission } from './admission.js';
import { heldText } from './cluster-lock.js';
import type { Happening, JournalEvent, RunOutcome } from './journal.js';
import { longestPath } from './longest-path.js';
import { operatorHere } from './operator.js';
import { Publisher } from './publisher.js';
import { outcomeOf } from './run-outcome.js';
import { RunRecord } from './run-record.js';
import { type RunSettings, resumedEvent, startedEvent } from './run-settings.js';
import { type Hands, RunStep, type Verdict } from './run-step.js';
import type { Intent, LogLine, RunSnapshot, StepSnapshot, StepState } from './snapshot.js';
import { type Standing, standingOf } from './standing.js';

const LOG_LINES = 500;
const OVER: ReadonlySet<StepState> = new Set(['succeeded', 'failed', 'skipped', 'simulated', 'unknown', 'undone']);
const BUSY: ReadonlySet<StepState> = new Set(['checking', 'running', 'verifying', 'undoing']);
const OPEN: ReadonlySet<StepState> = new Set([...BUSY, 'asking', 'deciding']);

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
  readonly #steps: RunStep[];
  readonly #publisher: Publisher<RunSnapshot>;
  readonly #startedAt: number;
  readonly #abort = new AbortController();
  #phase: RunSnapshot['phase'] = 'preflight';
  #attention: string[] = [];
  #log: LogLine[] = [];
  #finishedAt: number | undefined;
  #outcome: RunOutcome | undefined;
  #stopped = false;
  #begun = false;
  #ending = false;
  #standing: Standing[] = [];
  #undoFailed = false;
  #undoneLater = false;
  #lostLock = '';
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
      accept: settings.accept ?? [],
      lockFolders: settings.lockFolders ?? [],
      record: (happening) => this.#write(happening),
      onLost: (why) => this.#stopLocked(why),
    });
    const hands: Hands = {
      signal: this.#abort.signal,
      record: (happening) => this.#write(happening),
      show: (step, text, at) => this.#show(step, text, at),
      changed: (now) => this.#publisher.changed(now),
      contextOf: (step, phase) => this.#contextOf(step, phase),
      loseRecord: (error) => this.#record.lose(error),
      lost: () => this.#record.lost,
    };
    this.#steps = runbook.steps.map((step) => new RunStep(step, folder, hands, past?.steps.get(step.id)));
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

  /** Puts a run away that nobody has begun to look at: nothing is recorded, and its cluster is free. */
  async leave(): Promise<void> {
    for (const step of this.#steps) step.log.close();
    this.#record.close();
    await this.#settings.past?.lock.release();
  }

  /** The steps that can be undone, the last that began first. */
  get undoable(): StepSnapshot[] {
    return this.#steps
      .map((step) => step.snapshot)
      .filter((step) => step.canUndo)
      .sort((a, b) => (b.startedAt ?? 0) - (a.startedAt ?? 0));
  }

  /**
   * Puts back what these steps of an earlier process have replaced, one after the other, and ends the run: as aborted, or as
   * failed at the first that cannot be put back. Nothing else is done.
   */
  async undo(ids: readonly string[]): Promise<void> {
    await this.#writeResumed();
    this.#admission.raise();
    const [guard] = this.#admission.guards;
    if (guard) return this.#stayPlanned(guard.said);
    this.#phase = 'running';
    this.#stopped = true;
    await this.#admission.endLeftovers(true);
    for (const id of ids) {
      if (this.#abort.signal.aborted) break;
      const step = this.#steps.find((one) => one.id === id)!;
      const verdict = await step.undo();
      if (verdict.outcome === 'undone') step.set('undone');
      else {
        this.#undoFailed = true;
        step.finish('failed', step.noteFailure(verdict.outcome === 'failed' ? verdict.reason : ''));
        break;
      }
    }
    this.#undoneLater = true;
    this.#end();
  }

  /** Told of every event after it is in the journal. */
  onEvent(listener: (event: JournalEvent) => void): void {
    this.#record.onEvent(listener);
  }

  /**
   * Plans and checks every step without touching anything. A dry run is over after it; any other run then waits for
   * `begin`, or ends when a step is blocked and nobody is there to decide.
   */
  async preflight(): Promise<void> {
    const { past, mode } = this.#settings;
    if (past) await this.#writeResumed();
    else this.#write(startedEvent(this.#settings, await this.#admission.identify(), this.operator));
    this.#admission.raise();
    this.#begun = true;
    if (this.#abort.signal.aborted) return this.#abortAll();
    await this.#lookAtAll();
    if (this.#ending) return;
    if (mode === 'dry-run') {
      for (const step of this.#steps) step.finish('simulated');
      return this.#end();
    }
    const blocked = this.#steps.filter(
      (step) => step.state === 'waiting' && step.obstacle && this.#isChosen(step) === 'yes',
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
      if (this.#begun) this.#abortAll();
      else this.#abort.abort(new Error('aborted by the operator'));
      return;
    }
    if (intent.type === 'accept') {
      this.#admission.accept(intent.difference);
      this.#publisher.changed(true);
      return;
    }
    if (intent.type === 'begin' || intent.type === 'look') {
      if (this.#phase !== 'planned') return;
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
    if (intent.type === 'confirm' && step.state === 'asking') this.#confirm(step, intent.typed, intent.by);
    else if (intent.type === 'answer' && step.state === 'asking') this.#answer(step, intent.answer);
    else if (intent.type === 'retry' && step.state === 'deciding') {
      // What was answered may be what it failed for: it is asked again.
      step.answer = undefined;
      this.#go(step, () => this.#perform(step, true));
    } else if (intent.type === 'undo' && step.state === 'deciding' && step.snapshot.canUndo)
      this.#go(step, () => this.#undo(step));
    else if (intent.type === 'skip' && (step.state === 'deciding' || step.state === 'asking')) {
      this.#settle(step);
      step.finish('skipped', 'skipped by the operator');
      this.#pump();
    }
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
    this.#pump();
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
    for (const step of this.#steps) if (step.state === 'waiting') step.finish('skipped', why);
    this.#end();
  }

  async #lookAtAll(): Promise<void> {
    this.#publisher.changed(true);
    // What a way that was decided against beforehand would find can only alarm.
    const looked = this.#steps.filter((step) => step.state === 'waiting' && this.#isChosen(step) !== 'no');
    await Promise.all(looked.map((step) => step.look('preflight')));
    if (this.#ending) return;
    this.#phase = 'planned';
    this.#publisher.changed(true);
  }

  /** Whether what was typed is the cluster's name, which is what lets a destructive step go on. */
  #confirm(step: RunStep, typed: string, by?: string): void {
    if (typed !== this.#settings.cluster.name || step.snapshot.plan?.asks) return;
    this.#write({
      type: 'confirm.given',
      step: step.id,
      who: by ? `${this.operator} (${by})` : this.operator,
      typed,
    });
    this.#go(step, async () => this.#heed(step, await step.execute()));
  }

  /** Takes an answer that fits the question. A step that does more than ask is then looked at again, with its answer. */
  #answer(step: RunStep, answer: string): void {
    if (!step.accepts(answer)) {
      this.#publisher.changed(true);
      return;
    }
    step.answer = answer;
    this.#write({ type: 'confirm.given', step: step.id, who: this.operator, typed: answer });
    const asksOnly = step.of.kind.effect === 'ask';
    this.#go(step, asksOnly ? async () => this.#heed(step, await step.execute()) : () => this.#perform(step, false));
  }

  /** Whether the answer that a step depends on was given for it; `open` while it was not given at all. */
  #isChosen({ of: { only } }: RunStep): 'yes' | 'no' | 'open' {
    if (!only) return 'yes';
    const answered = this.#steps.find((one) => one.id === only.step)?.answered;
    if (answered === undefined) return 'open';
    return only.choices.includes(answered) ? 'yes' : 'no';
  }

  /** Takes the step off the list of those that wait for a person, and goes on with it. */
  #go(step: RunStep, work: () => Promise<void>): void {
    this.#settle(step);
    void work()
      .catch((error: unknown) => this.#fail(step, messageOf(error)))
      .finally(() => this.#pump());
  }

  #settle(step: RunStep): void {
    this.#attention = this.#attention.filter((id) => id !== step.id);
  }

  /** Starts every step whose needs are met, and ends the run when nothing is left that could go on. */
  #pump(): void {
    if (this.#phase !== 'running' || this.#ending) return;
    for (const step of this.#steps) {
      if (step.state !== 'waiting' || this.#stopped) continue;
      const needs = step.of.needs.map((id) => this.#steps.find((one) => one.id === id)!);
      const unmet = needs.find((need) => OVER.has(need.state) && !need.satisfied);
      if (unmet) {
        step.finish('skipped', `it needs ${unmet.id}, which is ${unmet.state}`);
        this.#pump();
        return;
      }
      if (!needs.every((need) => need.satisfied)) continue;
      if (this.#isChosen(step) === 'no') {
        step.satisfied = true;
        step.snapshot.notChosen = true;
        step.finish('skipped', `not chosen at ${step.of.only!.step}`);
        this.#pump();
        return;
      }
      this.#go(step, () => this.#perform(step, step.attempt > 0));
    }
    if (this.#steps.some((step) => OPEN.has(step.state))) this.#publisher.changed();
    else this.#end();
  }

  /** Looks once more, asks where the step destroys, and runs it. `again`: reality is asked first whether it is done already. */
  async #perform(step: RunStep, again: boolean): Promise<void> {
    step.set('checking');
    await step.look('ready');
    if (this.#abort.signal.aborted) return step.finish('skipped', 'aborted before it began');
    if (this.#stopped) return step.finish('skipped', 'the run stopped before it');
    const { notApplicable, notAskedFor } = step.snapshot.plan ?? {};
    if (notApplicable ?? notAskedFor) {
      step.satisfied = true;
      step.snapshot.notChosen = notAskedFor !== undefined;
      return step.finish('skipped', notApplicable ?? notAskedFor);
    }
    if (step.obstacle) return this.#fail(step, step.obstacle.message);
    const done = again ? await step.doneAlready() : undefined;
    if (done) return this.#heed(step, done);
    const { asks } = step.snapshot.plan ?? {};
    if (asks) await this.#lookAtChoices(step);
    else if (step.of.kind.effect !== 'destroy') return this.#heed(step, await step.execute());
    if (this.#stopped) return step.finish('skipped', 'the run stopped before it');
    this.#write({
      type: 'confirm.asked',
      step: step.id,
      destroys: step.snapshot.plan?.destroys ?? [],
      ...(asks ? { question: asks.question } : {}),
    });
    this.#attention = [...this.#attention, step.id];
    step.set('asking');
  }

  /** What each choice would do is looked at anew, so that the one who chooses has the facts of now. */
  async #lookAtChoices(asking: RunStep): Promise<void> {
    await Promise.all(
      this.#steps.filter((one) => one.of.only?.step === asking.id).map((one) => one.look('preflight')),
    );
  }

  #heed(step: RunStep, verdict: Verdict): void {
    if (verdict.outcome === 'succeeded') {
      step.satisfied = true;
      step.finish('succeeded', step.conclusion?.text);
    } else if (verdict.outcome === 'undone') {
      if (this.#abort.signal.aborted) step.set('undone');
      else this.#ask(step, verdict.reason);
    } else if (verdict.outcome === 'failed' && !this.#abort.signal.aborted) this.#fail(step, verdict.reason);
    else step.finish(verdict.outcome, verdict.reason);
  }

  async #undo(step: RunStep): Promise<void> {
    const verdict = await step.undo();
    if (verdict.outcome === 'failed') this.#undoFailed = true;
    this.#heed(step, verdict);
  }

  #fail(step: RunStep, reason: string): void {
    const said = step.noteFailure(reason);
    if (this.#settings.onFailure === 'stop' || this.#abort.signal.aborted) {
      this.#stopped = true;
      for (const other of this.#steps)
        if (other.state === 'asking') other.finish('skipped', 'the run stopped before it');
      this.#attention = [];
      step.finish('failed', said);
      return;
    }
    step.recordOutcome('failed', said);
    this.#ask(step, said);
  }

  /** Waits for a person to say what now. */
  #ask(step: RunStep, reason: string): void {
    step.snapshot.reason = redact(reason);
    this.#attention = [...this.#attention, step.id];
    step.set('deciding');
  }

  #abortAll(): void {
    this.#stopped = true;
    if (!this.#abort.signal.aborted) this.#abort.abort(new Error('aborted by the operator'));
    for (const step of this.#steps) {
      if (step.state === 'asking' && step.attempt > 0) step.finish('failed', step.snapshot.reason);
      else if (step.state === 'asking' || step.state === 'waiting') step.finish('skipped', 'aborted before it began');
      else if (step.state === 'deciding') step.set(step.snapshot.undone ? 'undone' : 'failed');
    }
    this.#attention = [];
    if (this.#steps.some((step) => BUSY.has(step.state))) this.#publisher.changed(true);
    else this.#end();
  }

  /** The disk took a line no more: the run is stopped as by an abort, and has failed. */
  #stopUnrecorded(why: string): void {
    this.#stopped = true;
    this.#abort.abort(new Error(why));
    // Not at once: this is told from within a change of state.
    queueMicrotask(() => this.#abortAll());
  }

  /** Somebody else works on the cluster from now on: the run is stopped as by an abort, and has failed. */
  #stopLocked(why: string): void {
    this.#lostLock = why;
    this.#write({ type: 'note', text: `stopped: ${why}`, who: 'novamem-runbook' });
    this.#abort.abort(new Error(why));
    this.#abortAll();
  }

  /** Ends the run once: asks how things stand now, then writes the last line. */
  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#finishedAt = steadyNow();
    const { mode, cluster } = this.#settings;
    const asking = mode === 'dry-run' ? Promise.resolve([]) : standingOf(cluster);
    void asking
      .catch(() => [])
      .then(async (standing) => {
        await this.#admission.release();
        this.#close(standing);
      });
  }

  #close(standing: Standing[]): void {
    for (const step of this.#steps) if (step.state === 'waiting') step.finish('skipped', 'the run stopped before it');
    for (const step of this.#steps) step.log.close();
    this.#phase = 'finished';
    this.#standing = standing;
    const { mode } = this.#settings;
    const aborted = this.#abort.signal.aborted || this.#undoneLater;
    const failed = this.#undoFailed || this.#lostLock !== '';
    const outcome = outcomeOf(this.#steps, { mode, aborted, failed });
    this.#record.append({
      type: 'run.finished',
      outcome,
      standing,
      rtoMs: Math.max(0, (this.#finishedAt ?? steadyNow()) - this.#startedAt),
      rpoMs: this.#rpo(),
    });
    // A record without its last line tells of no end: such a run has failed, however it went.
    this.#outcome = this.#record.lost ? 'failed' : outcome;
    this.#record.close();
    this.#publisher.changed(true);
    this.#resolve(this.#outcome);
  }

  /** The age of the data that comes back; a set that was only compared with brings none. */
  #rpo(): number | null {
    const takenAt = this.#settings.backup?.takenAt;
    const restoring = this.#steps.some((step) => step.of.kind.backupSet === 'reads' && !step.snapshot.notChosen);
    return takenAt && restoring ? this.#startedAt - takenAt.getTime() : null;
  }

  #contextOf(step: RunStep, phase: StepContext['phase']): StepContext {
    const { mode, cluster, backup, newBackup, folder, id } = this.#settings;
    const gateway: Gateway =
      mode === 'dry-run' || phase === 'preflight'
        ? closedGateway()
        : openGateway(async ({ channel, text }) => {
            // Until then all that the step has told is followed: it is on record before what is built on it.
            await setImmediate();
            this.#write({ type: 'step.change', step: step.id, channel, text });
            if (this.#record.lost) throw new Error(this.#record.lost);
            step.tell(`${channel}: ${text}`);
          }, id);
    return {
      runId: id,
      cluster,
      gateway,
      ...(backup ? { backup } : {}),
      ...(newBackup ? { newBackup } : {}),
      workFolder: join(folder, 'safety', step.id),
      phase,
      ...(step.answer === undefined ? {} : { answer: step.answer }),
      earlier: { ...step.facts },
      startsEarlier: (service) => startsBefore(this.#settings.runbook.steps, step.id, service),
      factsOf: <P, F>(kind: StepKind<P, F>) =>
        this.#steps
          .filter((one) => one.of.kind.kind === kind.kind && one.state === 'succeeded')
          .map((one) => one.facts as F),
    };
  }

  #show(step: string, text: string, at: Date): void {
    this.#log.push({ at: at.getTime(), step, text });
    if (this.#log.length > LOG_LINES * 2) this.#log = this.#log.slice(-LOG_LINES);
    this.#publisher.changed();
  }

  #write(happening: Happening): void {
    if (this.#phase === 'finished') return;
    this.#record.append(happening);
    this.#publisher.changed();
  }

  #take(): RunSnapshot {
    const { id, folder, mode, runbook, cluster, backup } = this.#settings;
    return {
      run: id,
      folder,
      mode,
      scenario: runbook.scenario,
      title: runbook.title,
      outcomeText: runbook.outcome,
      cluster: cluster.name,
      production: cluster.profile.production,
      backup: backup
        ? { id: backup.id, takenAt: backup.takenAt, kind: backup.kind, unproven: backup.unproven }
        : null,
      phase: this.#phase,
      steps: this.#steps.map((step) => ({ ...step.snapshot })),
      attention: this.#attention,
      log: this.#log.slice(-LOG_LINES),
      startedAt: this.#startedAt,
      ...(this.#finishedAt === undefined ? {} : { finishedAt: this.#finishedAt }),
      estimateMs: longestPath(
        this.#steps.map(({ id, of, snapshot }) => ({
          id,
          needs: of.needs,
          length: snapshot.plan?.estimateMs ?? 0,
        })),
      ),
      ...(this.#outcome ? { outcome: this.#outcome } : {}),
      rpoMs: this.#rpo(),
      standing: this.#standing,
      lost: this.#record.lost,
      identity: this.#admission.identity,
      guards: this.#admission.guards,
      ...(this.#admission.held ? { held: this.#admission.held } : {}),
      aborting: this.#abort.signal.aborted && this.#phase !== 'finished',
    };
  }
}
