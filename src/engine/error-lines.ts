import type { LogLine } from './snapshot.js';

/** What speaks of an error in the words of the servers and of this program. */
const ERROR = /\b(error|fatal|panic|failed|refused|denied|corrupt\w*)\b|✗/i;

/** The place of the next line above `at` that tells of an error; `at` itself where there is none. */
export function errorBefore(lines: readonly LogLine[], at: number): number {
  const found = lines.slice(0, Math.max(0, at)).findLastIndex(({ text }) => ERROR.test(text));
  return found === -1 ? at : found;
}
