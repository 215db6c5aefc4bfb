import type { ProgressUnit, StepEvent } from './step.js';

/** How the work of a step tells its events. */
export class Emitter<F> {
  constructor(readonly push: (event: StepEvent<F>) => void) {}

  /** `line`: one, or several with line ends between. */
  output(line: string): void {
    this.push({ type: 'output', line });
  }

  facts(facts: Partial<F>): void {
    this.push({ type: 'facts', facts });
  }

  /** One more entry in a record of facts: of thousands, only the new one is written down. */
  addFacts(facts: Partial<F>): void {
    this.push({ type: 'facts', facts, adds: true });
  }

  safetyCopy(of: string, at: string, verified: string): void {
    this.push({ type: 'safety-copy', of, at, verified });
  }

  progress(progress: { done: number; total?: number; unit: ProgressUnit; text: string }): void {
    this.push({ type: 'progress', ...progress });
  }

  /** A counter of bytes that reports itself: call it with the bytes that each piece brought. */
  bytes(total: number, text: string): (bytes: number) => void {
    let done = 0;
    return (bytes) => {
      done += bytes;
      this.progress({ done, total, unit: 'bytes', text });
    };
  }
}

/** Turns work that tells its events through callbacks into the iterable of the step contract. */
export async function* stepEvents<F>(work: (emit: Emitter<F>) => Promise<void>): AsyncGenerator<StepEvent<F>> {
  let waiting: StepEvent<F>[] = [];
  let wake: () => void = () => {};
  let ended = false;
  let failure: { error: unknown } | undefined;
  const emit = new Emitter<F>((event) => {
    // Of progress only the newest matters: a slow reader must not make a queue of it.
    const last = waiting.at(-1);
    if (event.type === 'progress' && last?.type === 'progress') waiting[waiting.length - 1] = event;
    // A program may print hundreds of thousands of lines a second: an event for each would take longer than to print it.
    else if (event.type === 'output' && last?.type === 'output') last.line += `\n${event.line}`;
    else waiting.push(event);
    wake();
  });
  const working = work(emit)
    .catch((error: unknown) => {
      failure = { error };
    })
    .finally(() => {
      ended = true;
      wake();
    });
  for (;;) {
    const batch = waiting;
    waiting = [];
    yield* batch;
    if (waiting.length > 0) continue;
    if (ended) break;
    await new Promise<void>((resolve) => {
      wake = resolve;
      if (waiting.length > 0 || ended) resolve();
    });
  }
  await working;
  if (failure) throw failure.error;
}
