import { messageOf } from '../words.js';
import type { Asking } from './asking.js';
import type { RunStep, Verdict } from './run-step.js';
import { ABORTED_BEFORE, BUSY, OPEN, SKIPPED_BY_OPERATOR, turnOf } from './turn.js';

interface CourseRequest {
  steps: readonly RunStep[];
  asking: Asking;
  /** `ask`: a failed step waits for a person. `stop`: no further step is started. */
  onFailure: 'ask' | 'stop';
  /** Aborted when the run is. */
  signal: AbortSignal;
  /** Whether steps may be started now. */
  goesOn: () => boolean;
  changed: (now?: boolean) => void;
  /** Told when nothing is left that could go on. */
  onOver: () => void;
}

/** The course of a run's steps: which one goes when, what comes of how it ended, and what a person says to that. */
export class Course {
  /** No further step is started. */
  stopped = false;
  readonly #request: CourseRequest;
  readonly #steps: readonly RunStep[];
  readonly #asking: Asking;

  constructor(request: CourseRequest) {
    this.#request = request;
    this.#steps = request.steps;
    this.#asking = request.asking;
  }

  /** Whether anything is at work. */
  get busy(): boolean {
    return this.#steps.some((step) => BUSY.has(step.state));
  }

  /** A destructive step goes on once the cluster's name was typed. */
  confirm(step: RunStep, typed: string, by?: string): void {
    if (this.#asking.confirms(step, typed, by)) this.go(step, async () => this.heed(step, await step.execute()));
  }

  /** A step that does more than ask is looked at again, with its answer. */
  answer(step: RunStep, answer: string): void {
    if (!this.#asking.answers(step, answer)) {
      this.#request.changed(true);
      return;
    }
    const asksOnly = step.of.kind.effect === 'ask';
    this.go(step, asksOnly ? async () => this.heed(step, await step.execute()) : () => this.#perform(step, false));
  }

  /** What was answered may be what it failed for: it is asked again. */
  retry(step: RunStep): void {
    step.answer = undefined;
    this.go(step, () => this.#perform(step, true));
  }

  skip(step: RunStep): void {
    this.#asking.settle(step);
    step.finish('skipped', SKIPPED_BY_OPERATOR);
    this.pump();
  }

  /** Takes the step off the list of those that wait for a person, and goes on with it. */
  go(step: RunStep, work: () => Promise<void>): void {
    this.#asking.settle(step);
    void work()
      .catch((error: unknown) => this.#fail(step, messageOf(error)))
      .finally(() => this.pump());
  }

  /** Starts every step whose needs are met, and ends the run when nothing is left that could go on. */
  pump(): void {
    if (!this.#request.goesOn()) return;
    for (const step of this.#steps) {
      if (step.state !== 'waiting' || this.stopped) continue;
      const turn = turnOf(step, this.#steps);
      if (turn.now === 'begin') this.go(step, () => this.#perform(step, step.attempt > 0));
      else if (turn.now !== 'wait') {
        if (turn.now === 'left out') step.leaveOut();
        step.finish('skipped', turn.why);
        this.pump();
        return;
      }
    }
    if (this.#steps.some((step) => OPEN.has(step.state))) this.#request.changed();
    else this.#request.onOver();
  }

  /** Looks once more, asks where the step destroys, and runs it. `again`: reality is asked first whether it is done already. */
  async #perform(step: RunStep, again: boolean): Promise<void> {
    step.set('checking');
    await step.look('ready');
    if (this.#request.signal.aborted) return step.finish('skipped', ABORTED_BEFORE);
    if (this.stopped) return step.finish('skipped', 'the run stopped before it');
    const { notApplicable, notAskedFor } = step.snapshot.plan ?? {};
    if (notApplicable ?? notAskedFor) {
      if (notApplicable === undefined) step.leaveOut();
      step.satisfied = true;
      return step.finish('skipped', notApplicable ?? notAskedFor);
    }
    if (step.obstacle) return this.#fail(step, step.obstacle.message);
    const done = again ? await step.doneAlready() : undefined;
    if (done) return this.heed(step, done);
    const { asks } = step.snapshot.plan ?? {};
    if (asks) await this.#lookAtChoices(step);
    else if (step.of.kind.effect !== 'destroy') return this.heed(step, await step.execute());
    if (this.stopped) return step.finish('skipped', 'the run stopped before it');
    this.#asking.ask(step);
  }

  /** What each choice would do is looked at anew, so that the one who chooses has the facts of now. */
  async #lookAtChoices(asking: RunStep): Promise<void> {
    await Promise.all(
      this.#steps.filter((one) => one.of.only?.step === asking.id).map((one) => one.look('preflight')),
    );
  }

  /** What becomes of a step by how it ended. */
  heed(step: RunStep, verdict: Verdict): void {
    if (verdict.outcome === 'succeeded') {
      step.satisfied = true;
      step.finish('succeeded', step.conclusion?.text);
    } else if (verdict.outcome === 'undone') {
      if (this.#request.signal.aborted) step.set('undone');
      else this.#asking.decide(step, verdict.reason);
    } else if (verdict.outcome === 'failed' && !this.#request.signal.aborted) this.#fail(step, verdict.reason);
    else step.finish(verdict.outcome, verdict.reason);
  }

  #fail(step: RunStep, reason: string): void {
    const said = step.noteFailure(reason);
    if (this.#request.onFailure === 'stop' || this.#request.signal.aborted) {
      this.stopped = true;
      for (const other of this.#steps)
        if (other.state === 'asking') other.finish('skipped', 'the run stopped before it');
      this.#asking.settleAll();
      step.finish('failed', said);
      return;
    }
    step.recordOutcome('failed', said);
    this.#asking.decide(step, said);
  }

  /** Nobody is asked any further: what was waiting for a person is over. */
  endQuestions(why: string): void {
    for (const step of this.#steps) {
      if (step.state === 'asking' && step.attempt > 0) step.finish('failed', step.snapshot.reason);
      else if (step.state === 'asking') step.finish('skipped', why);
      else if (step.state === 'deciding') step.set(step.snapshot.undone ? 'undone' : 'failed');
    }
    this.#asking.settleAll();
  }
}
