import { steadyNow } from '../hosts/waiting.js';
import type { RunStep } from './run-step.js';
import type { RunSnapshot } from './snapshot.js';
import { undoOrder } from './undo-choice.js';

/** The undoing of a run's steps: what it would do, in what order, and one after the other. */
export class Undoing {
  /** What is being undone, or was; undefined while nothing is. */
  now: RunSnapshot['undoing'];
  readonly #steps: readonly RunStep[];

  constructor(steps: readonly RunStep[]) {
    this.#steps = steps;
  }

  /** Finds out what the undo of each step would do. */
  async plan(): Promise<void> {
    await Promise.all(this.#steps.filter((step) => step.snapshot.canUndo).map((step) => step.planUndo()));
  }

  /** These steps and what builds on them, in the order in which they are undone. */
  orderOf(wanted: readonly string[]): RunStep[] {
    const snapshots = this.#steps.map((step) => step.snapshot);
    return undoOrder(snapshots, wanted).map(({ id }) => this.#steps.find((one) => one.id === id)!);
  }

  begin(order: readonly RunStep[]): void {
    this.now = { steps: order.map((step) => step.id), since: steadyNow() };
  }

  /**
   * Undoes one step after the other. Answers false at the first that cannot be undone; the one that is at work comes to its end
   * when the signal is aborted, and no further one is begun.
   */
  async putBack(order: readonly RunStep[], signal: AbortSignal): Promise<boolean> {
    for (const step of order) {
      if (signal.aborted) return true;
      const verdict = await step.undo();
      if (verdict.outcome !== 'undone') {
        step.finish('failed', step.noteFailure(verdict.outcome === 'failed' ? verdict.reason : ''));
        return false;
      }
      step.set('undone');
    }
    return true;
  }
}
