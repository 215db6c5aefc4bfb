import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { withoutControls } from '../words.js';
import type { LogLine } from './snapshot.js';

const KEPT = 500;
const PIECE = 4 * 1024;
const LONGEST_LINE = 1024 * 1024;
/** Bytes before a moment in which the newest lines are looked for. */
const NEWEST = 128 * 1024;

/**
 * The output of a recorded run's steps, as it was at any moment. Nothing is held in memory: every line begins with its time, so
 * that a moment is found by halving, however large a file is.
 */
export class RecordedLines {
  /** Steps whose output is not there. */
  readonly missing: string[] = [];
  readonly #files: StepFile[] = [];

  constructor(folder: string, steps: readonly string[]) {
    for (const step of steps) {
      // A journal that somebody else wrote may name anything.
      if (!/^[\w.-]+$/.test(step)) continue;
      try {
        this.#files.push(new StepFile(step, openSync(join(folder, 'steps', `${step}.log`), 'r')));
      } catch {
        this.missing.push(step);
      }
    }
  }

  /** The newest lines of all steps at a moment (milliseconds since 1970), in their order. */
  newest(at: number): LogLine[] {
    return this.#files
      .flatMap((file) => file.newest(at))
      .sort((a, b) => a.at - b.at)
      .slice(-KEPT);
  }

  /** When the first line after a moment was written; undefined where none was. */
  nextAfter(at: number): number | undefined {
    const times = this.#files.flatMap((file) => file.nextAfter(at) ?? []);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** From here on there are no lines. */
  close(): void {
    for (const file of this.#files.splice(0)) file.close();
  }
}

/** A line that begins somewhere in a file; `end` is the place behind it. */
interface Found {
  at: number;
  from: number;
  end: number;
}

class StepFile {
  readonly #step: string;
  readonly #descriptor: number;
  readonly #size: number;
  #last: { offset: number; lines: LogLine[] } = { offset: 0, lines: [] };

  constructor(step: string, descriptor: number) {
    this.#step = step;
    this.#descriptor = descriptor;
    this.#size = fstatSync(descriptor).size;
  }

  newest(at: number): LogLine[] {
    const offset = this.#behind(at);
    if (offset !== this.#last.offset) this.#last = { offset, lines: this.#linesBefore(offset) };
    return this.#last.lines;
  }

  nextAfter(at: number): number | undefined {
    return this.#lineFrom(this.#behind(at), this.#size)?.at;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  /** The place behind all lines that were written by then. */
  #behind(at: number): number {
    let [low, high] = [0, this.#size];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      const line = this.#lineFrom(middle, high);
      if (line === undefined || line.at > at) high = middle;
      else low = line.end;
    }
    return low;
  }

  /** The first line with a time that begins in this stretch of the file. */
  #lineFrom(from: number, to: number): Found | undefined {
    let start = from;
    while (start < to) {
      const begin = start === 0 ? 0 : this.#lineEnd(start - 1);
      if (begin === undefined || begin >= to) return undefined;
      const end = this.#lineEnd(begin);
      if (end === undefined) return undefined;
      const { time } = stamped(this.#read(begin, Math.min(end, begin + STAMP)));
      if (time !== undefined) return { at: time, from: begin, end };
      start = end;
    }
    return undefined;
  }

  /** The place behind the next line end from here on; undefined where there is none. */
  #lineEnd(from: number): number | undefined {
    for (let at = from; at < Math.min(this.#size, from + LONGEST_LINE); at += PIECE) {
      const found = this.#bytes(at, Math.min(this.#size, at + PIECE)).indexOf(NEWLINE);
      if (found !== -1) return at + found + 1;
    }
    return undefined;
  }

  #linesBefore(offset: number): LogLine[] {
    const from = Math.max(0, offset - NEWEST);
    const [first, ...rest] = this.#read(from, offset).split('\n');
    return [...(from === 0 ? [first!] : []), ...rest].slice(-KEPT - 1).flatMap((line) => {
      const { time, text } = stamped(line);
      return time === undefined ? [] : [{ at: time, step: this.#step, text: withoutControls(text) }];
    });
  }

  #read(from: number, to: number): string {
    return this.#bytes(from, to).toString('utf8');
  }

  #bytes(from: number, to: number): Buffer {
    const bytes = Buffer.alloc(to - from);
    return bytes.subarray(0, readSync(this.#descriptor, bytes, 0, bytes.length, from));
  }
}

const NEWLINE = 0x0a;
const STAMP = '2026-11-21T02:00:00.000Z '.length;

function stamped(line: string): { time: number | undefined; text: string } {
  const time = line[STAMP - 1] === ' ' ? Date.parse(line.slice(0, STAMP - 1)) : Number.NaN;
  return { time: Number.isNaN(time) ? undefined : time, text: line.slice(STAMP) };
}
