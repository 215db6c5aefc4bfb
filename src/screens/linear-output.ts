import { Writable } from 'node:stream';
import { spoken } from './spoken.js';
import { wrap } from './text.js';

/** Stands before a line of which nothing is told: while it stays the same, the screen is the same. */
export const SCREEN = '\uE000';
/** Stands before the line in which something is typed. */
export const PROMPT = '\uE001';
/** What stands behind it in a line changes all the time, and is not worth telling again by itself. */
export const PASSING = '\uE002';

/**
 * A terminal on which nothing is ever drawn over: of every frame only what was not in the one before is written, as lines of words.
 * No control character but the end of a line and backspace is written, so that any terminal can show it.
 */
export class LinearOutput extends Writable {
  readonly isTTY = false;
  readonly #terminal: NodeJS.WriteStream;
  #told = new Set<string>();
  #screen = '';
  /** As it stands in the terminal, the cursor behind it. */
  #prompt: string | undefined;

  constructor(terminal: NodeJS.WriteStream) {
    super({ decodeStrings: false });
    this.#terminal = terminal;
  }

  get columns(): number {
    return this.#terminal.columns;
  }

  get rows(): number {
    return this.#terminal.rows;
  }

  /** The next frame is told from its beginning. */
  forget(): void {
    this.#screen = '';
  }

  override _write(frame: string, _encoding: unknown, done: () => void): void {
    if (frame !== '') this.#tell(frame.split('\n'));
    done();
  }

  override _final(done: () => void): void {
    if (this.#prompt !== undefined) this.#terminal.write('\n');
    done();
  }

  #tell(rows: readonly string[]): void {
    const screen = rows.filter((row) => row.startsWith(SCREEN)).join();
    if (screen !== this.#screen) this.#told.clear();
    const lines = rows
      .filter((row) => !row.startsWith(SCREEN) && !row.startsWith(PROMPT))
      .map((row) => ({ text: spoken(row.replace(PASSING, '  ')), essence: essenceOf(row) }))
      .filter(({ text }) => text !== '');
    const news = lines.filter(({ essence }) => !this.#told.has(essence));
    const prompt = rows.find((row) => row.startsWith(PROMPT))?.slice(1);
    const typed = news.length === 0 && screen === this.#screen ? typing(this.#prompt, prompt) : undefined;
    const width = Math.max(20, (this.columns || 80) - 1);
    const text =
      typed ??
      [
        ...(this.#prompt === undefined ? [] : ['']),
        ...(screen === this.#screen || this.#screen === '' ? [] : ['']),
        ...news.flatMap((line) => wrap(line.text, width)),
        prompt ?? '',
      ].join('\n');
    this.#told = new Set(lines.map(({ essence }) => essence));
    this.#screen = screen;
    this.#prompt = prompt;
    if (text !== '') this.#terminal.write(text);
  }
}

/** What makes a line another line: neither how long something takes so far, nor how long ago it was. */
function essenceOf(row: string): string {
  return spoken(row.split(PASSING)[0]!).replace(/\b\d[\d.,]* (ms|s|min|h|d)\b/g, 'a while');
}

/** What has to be written where a letter was added or taken away; undefined where more has changed. */
function typing(before: string | undefined, now: string | undefined): string | undefined {
  if (before === now) return '';
  if (before === undefined || now === undefined) return undefined;
  if (now.startsWith(before)) return now.slice(before.length);
  return before.slice(0, -1) === now ? '\b \b' : undefined;
}
