// How numbers are said, on every screen and in every report.

const KIBI = 1024;
const SIZES = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** Bytes in binary units: `1.2 GiB`, `118 MiB`, `512 B`. */
export function sizeOf(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= KIBI && unit < SIZES.length - 1) {
    value /= KIBI;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${SIZES[unit]}`;
}

/** Milliseconds as people say them: `820 ms`, `4.2 s`, `38 s`, `4 min 12 s`, `25 h 12 min`, `12 d 3 h`. */
export function durationOf(ms: number): string {
  if (ms < 1000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, '0')} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, '0')} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** A clock for something that runs: `0:04`, `6:18`, `1:02:03`. */
export function clockOf(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const pad = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(seconds / 3600);
  const rest = `${hours > 0 ? pad(Math.floor(seconds / 60) % 60) : Math.floor(seconds / 60)}:${pad(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** A count with thousands separators: `412,031`. */
export function countOf(value: number): string {
  return value.toLocaleString('en-US');
}

/** `1 collection`, `64 collections`, `3 memories`. */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countOf(count)} ${count === 1 ? one : many}`;
}

/** An instant in UTC to the second: `2026-11-21 02:00:00 UTC`. */
export function instantOf(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** The time of day with milliseconds, for log lines: `03:18:58.114`; in UTC, or by this machine's own clock. */
export function logTimeOf(at: Date, clock: 'UTC' | 'local' = 'UTC'): string {
  const shifted = clock === 'UTC' ? at : new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(11, 23);
}

/** A UTC instant that serves as a file name and sorts as text: `20261121T020000Z`. */
export function fileInstantOf(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`;
}

/** The message of anything thrown; the class name where there is no message. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(messageOf).join('; ');
  if (error instanceof Error) return error.message || error.name;
  return String(error);
}

/** The text with a capital at its beginning. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const LONGEST_WORDS = 500;

/** What a server or a file says, as it fits into a message: whatever is behind the URL may answer with megabytes. */
export function shortened(text: string): string {
  return text.length <= LONGEST_WORDS
    ? text
    : `${text.slice(0, LONGEST_WORDS)}… (${countOf(text.length)} characters)`;
}

const CONTROL = '[\\u0000-\\u001f\\u007f-\\u009f\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]';
const CONTROLS = new RegExp(CONTROL, 'g');
const LINES_WITH_CONTROL = new RegExp(CONTROL.replace('\\u0000-\\u001f', '\\u0000-\\u0008\\u000b-\\u001f'));

/** The text with control characters (a server's words may hold escape sequences) shown as `·`. */
export function withoutControls(text: string): string {
  return text.replace(CONTROLS, '·');
}

/** The same for a text of several lines: their ends and tabs stay. */
export function linesWithoutControls(text: string): string {
  // Nearly every line of a program is plain, and there may be hundreds of thousands a second.
  if (!LINES_WITH_CONTROL.test(text)) return text;
  return text
    .split('\n')
    .map((line) => line.split('\t').map(withoutControls).join('\t'))
    .join('\n');
}

/** JSON on one line with nothing in it that could steer a terminal: what JSON leaves as it is (C1, marks of direction) is escaped, too. */
export function jsonLine(value: unknown): string {
  return JSON.stringify(value).replace(CONTROLS, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
