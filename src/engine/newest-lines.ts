import type { LogLine } from './snapshot.js';

const KEPT = 500;
const MOST_CHARACTERS = 1024 * 1024;

/** The newest lines of all steps, for those who look; every line is in the steps' log files. */
export class NewestLines {
  /** Texts of one or several lines, which are cut only when somebody looks: of a flood nearly all are gone before that. */
  #texts: LogLine[] = [];
  #characters = 0;

  /** `text`: a line, or several with line ends between. */
  add(step: string, text: string, at: Date): void {
    this.#texts.push({ at: at.getTime(), step, text });
    this.#characters += text.length;
    if (this.#texts.length <= KEPT * 2 && this.#characters <= MOST_CHARACTERS) return;
    this.#texts = this.take();
    this.#characters = 0;
  }

  take(): LogLine[] {
    const newest: LogLine[] = [];
    for (const { at, step, text } of this.#texts.toReversed()) {
      const missing = KEPT - newest.length;
      if (missing === 0) break;
      for (const line of text.split('\n').slice(-missing).reverse()) newest.push({ at, step, text: line });
    }
    return newest.reverse();
  }
}
