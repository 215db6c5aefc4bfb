import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { keepPlace } from './durable.js';
import type { Gateway } from './gateway.js';

const BATCH_BYTES = 256 * 1024;

/** What a finished file of lines holds. */
export interface Lines {
  file: string;
  lines: number;
  sha256: string;
}

/** A new file of JSON values, one a line, written as they come: never more of it in memory than a batch. */
export class LineFile {
  readonly #handle: FileHandle;
  readonly #hash = createHash('sha256');
  #waiting: string[] = [];
  #bytes = 0;
  #lines = 0;
  #written: Promise<void> = Promise.resolve();

  private constructor(
    readonly file: string,
    handle: FileHandle,
  ) {
    this.#handle = handle;
  }

  /** Rejects where the file exists already. `what` it will hold, for the record. */
  static open(gateway: Gateway, file: string, what: string): Promise<LineFile> {
    return gateway.change({ channel: 'file', text: `write ${file} (${what})` }, async () => {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 });
      return new LineFile(file, await open(file, 'wx', 0o600));
    });
  }

  /** Lines so far. */
  get lines(): number {
    return this.#lines;
  }

  /** Adds a line. The next one is to wait for what it answers, if anything: a promise for each of a million would take longer than they do. */
  write(value: unknown): Promise<void> | undefined {
    const line = `${JSON.stringify(value)}\n`;
    this.#waiting.push(line);
    this.#bytes += line.length;
    this.#lines += 1;
    return this.#bytes >= BATCH_BYTES ? this.#flush() : undefined;
  }

  /** Ends the file; it is on the disk then. */
  async close(): Promise<Lines> {
    try {
      await this.#flush();
      await this.#handle.sync();
    } finally {
      await this.#handle.close();
    }
    await keepPlace(this.file);
    return { file: this.file, lines: this.#lines, sha256: this.#hash.digest('hex') };
  }

  /** Those who write side by side wait for each other, so that no line is torn. */
  #flush(): Promise<void> {
    const text = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#bytes = 0;
    this.#written = this.#written.then(async () => {
      if (text.length === 0) return;
      this.#hash.update(text);
      await this.#handle.writeFile(text);
    });
    return this.#written;
  }
}

const NEWLINE = '\n';

/** The values of a file of lines, in batches of at most `size`. A line that is cut off or no JSON is an error with its number. */
export async function* lineBatches<T>(file: string, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  let rest = '';
  let number = 0;
  for await (const chunk of createReadStream(file, { encoding: 'utf8', highWaterMark: BATCH_BYTES })) {
    const lines = (rest + (chunk as string)).split(NEWLINE);
    rest = lines.pop()!;
    for (const line of lines) {
      number += 1;
      batch.push(parsed<T>(line, file, number));
      if (batch.length < size) continue;
      yield batch;
      batch = [];
    }
  }
  if (rest !== '') throw new Error(`${file} is cut off in line ${number + 1}`);
  if (batch.length > 0) yield batch;
}

function parsed<T>(line: string, file: string, number: number): T {
  try {
    return JSON.parse(line) as T;
  } catch {
    throw new Error(`line ${number} of ${file} is not what was written there`);
  }
}
