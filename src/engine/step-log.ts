import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { redact } from '../config/redact.js';
import { linesWithoutControls } from '../words.js';
import { writeWhole } from './write-whole.js';

const LARGEST_BATCH = 64 * 1024;
const LATEST_WRITE_MS = 100;

/** The raw output of one step, every line with its timestamp. Lines are written in batches, none is ever dropped. */
export class StepLog {
  readonly file: string;
  #descriptor: number;
  readonly #onLost: (error: unknown) => void;
  #batch = '';
  #stamp = { at: Number.NaN, text: '' };
  #timer: NodeJS.Timeout | undefined;

  /** `onLost` is told when the disk takes no more: from then on lines are not kept. */
  constructor(folder: string, step: string, onLost: (error: unknown) => void) {
    this.#onLost = onLost;
    mkdirSync(join(folder, 'steps'), { recursive: true, mode: 0o700 });
    this.file = join(folder, 'steps', `${step}.log`);
    this.#descriptor = openSync(this.file, 'a', 0o600);
  }

  /** Keeps one line (of a text with line ends, each); answers it as it is kept, without secrets and control characters. */
  write(line: string, at = new Date()): string {
    const kept = linesWithoutControls(redact(line));
    const stamp = this.#stampOf(at.getTime());
    this.#batch += `${stamp}${kept.includes('\n') ? kept.replaceAll('\n', `\n${stamp}`) : kept}\n`;
    if (this.#batch.length >= LARGEST_BATCH) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), LATEST_WRITE_MS);
    return kept;
  }

  /** The beginning of a line. Many lines are of the same millisecond. */
  #stampOf(at: number): string {
    if (this.#stamp.at !== at) this.#stamp = { at, text: `${new Date(at).toISOString()} ` };
    return this.#stamp.text;
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#batch === '') return;
    const text = this.#batch;
    this.#batch = '';
    try {
      writeWhole(this.#descriptor, text);
    } catch (error) {
      this.#onLost(error);
    }
  }

  close(): void {
    this.flush();
    closeSync(this.#descriptor);
  }
}
