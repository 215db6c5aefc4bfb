import type { LogLine } from './snapshot.js';

const KEPT = 500;

/** The newest lines of all steps, for those who look; every line is in the steps' log files. */
export class NewestLines {
  #lines: LogLine[] = [];

  /** `text`: a line, or several with line ends between. */
  add(step: string, text: string, at: Date): void {
    for (const line of text.split('\n').slice(-KEPT)) this.#lines.push({ at: at.getTime(), step, text: line });
    if (this.#lines.length > KEPT * 2) this.#lines = this.#lines.slice(-KEPT);
  }

  take(): LogLine[] {
    return this.#lines.slice(-KEPT);
  }
}
