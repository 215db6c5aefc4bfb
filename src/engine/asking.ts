import { redact } from '../config/redact.js';
import type { Happening } from './journal.js';
import type { RunStep } from './run-step.js';

interface AskingRequest {
  cluster: string;
  operator: string;
  record: (happening: Happening) => void;
}

/** Which steps wait for a person, and whether what a person says lets them go on. */
export class Asking {
  readonly #request: AskingRequest;
  #waiting: string[] = [];
  #answered = 0;

  constructor(request: AskingRequest) {
    this.#request = request;
  }

  /** Ids of the steps that wait, first come first. */
  get waiting(): string[] {
    return this.#waiting;
  }

  /** How many of those that waited together wait no longer. */
  get answered(): number {
    return this.#answered;
  }

  /** Asks before a step goes on: what its plan asks, else for the cluster's name. */
  ask(step: RunStep): void {
    const { plan } = step.snapshot;
    this.#request.record({
      type: 'confirm.asked',
      step: step.id,
      destroys: plan?.destroys ?? [],
      ...(plan?.asks ? { question: plan.asks.question } : {}),
    });
    this.#waiting = [...this.#waiting, step.id];
    step.set('asking');
  }

  /** Asks what now, and says why. */
  decide(step: RunStep, reason: string): void {
    step.snapshot.reason = redact(reason);
    this.#waiting = [...this.#waiting, step.id];
    step.set('deciding');
  }

  /** The step waits no longer. */
  settle(step: RunStep): void {
    const left = this.#waiting.filter((id) => id !== step.id);
    this.#answered = left.length === 0 ? 0 : this.#answered + this.#waiting.length - left.length;
    this.#waiting = left;
  }

  settleAll(): void {
    this.#waiting = [];
    this.#answered = 0;
  }

  /** Whether this is the cluster's name, which is what lets anything go on that destroys. */
  isName(typed: string): boolean {
    return typed === this.#request.cluster;
  }

  /** Whether a destructive step may go on, by what was typed; that it may is on record. `by`: what typed it, if no person at a screen. */
  confirms(step: RunStep, typed: string, by?: string): boolean {
    if (!this.isName(typed) || step.snapshot.plan?.asks) return false;
    this.#given(step, typed, by);
    return true;
  }

  /** Whether steps may be undone, by what was typed; that they may is on record with each. */
  confirmsUndo(steps: readonly RunStep[], typed: string, by?: string): boolean {
    if (!this.isName(typed)) return false;
    for (const step of steps) this.#given(step, typed, by, true);
    return true;
  }

  /** Whether a text answers what the step asks; it is then on record, and the step's answer. */
  answers(step: RunStep, answer: string): boolean {
    if (!step.accepts(answer)) return false;
    step.answer = answer;
    this.#given(step, answer);
    return true;
  }

  #given(step: RunStep, typed: string, by?: string, undo = false): void {
    const { operator, record } = this.#request;
    record({
      type: 'confirm.given',
      step: step.id,
      who: by ? `${operator} (${by})` : operator,
      typed,
      ...(undo ? { undo: true } : {}),
    });
  }
}
