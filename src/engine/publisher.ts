const PUBLISH_MS = 100;

/** Publishes snapshots to subscribers, at most ten a second. A subscriber that throws cannot break what it watches. */
export class Publisher<T> {
  readonly #take: () => T;
  #snapshot: T;
  #subscribers = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;

  constructor(take: () => T) {
    this.#take = take;
    this.#snapshot = take();
  }

  subscribe = (onChange: () => void): (() => void) => {
    this.#subscribers.add(onChange);
    return () => this.#subscribers.delete(onChange);
  };

  getSnapshot = (): T => this.#snapshot;

  /** Something has changed. `now`: subscribers are told at once, as of a change of state. */
  changed(now = false): void {
    if (now) this.#tell();
    else this.#timer ??= setTimeout(() => this.#tell(), PUBLISH_MS);
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#snapshot = this.#take();
    for (const subscriber of this.#subscribers) ignoringErrors(subscriber);
  }
}

/** A broken screen or printer must not stop a recovery; the journal has everything. */
export function ignoringErrors(work: () => void): void {
  try {
    work();
  } catch {}
}
