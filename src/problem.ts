/** Exit codes of the program (the contract with scripts, cron and CI). */
export const EXIT = {
  recovered: 0,
  stepFailed: 1,
  usage: 2,
  refused: 3,
  exceptions: 4,
  aborted: 130,
} as const;

/**
 * An error that is told to a person. The message says what was tried and what was seen; `safe` what state things are in
 * now; `next` what to type or do, which none may leave out.
 */
export class Problem extends Error {
  override name = 'Problem';
  readonly safe: string;
  readonly next: string;
  readonly exitCode: number;

  constructor(message: string, more: { next: string; safe?: string; exitCode?: number; cause?: unknown }) {
    super(message, { cause: more.cause });
    this.safe = more.safe ?? 'Nothing was changed.';
    this.next = more.next;
    this.exitCode = more.exitCode ?? EXIT.usage;
  }

  /** The whole of it, a line each. */
  lines(): string[] {
    return [this.message, this.safe, `Next: ${this.next}`];
  }
}

/** What an error says to do next; one that is no Problem speaks for itself. */
export const nextOf = (error: unknown): string =>
  error instanceof Problem ? error.next : 'mend what it says, then try again';
