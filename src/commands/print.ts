import { redact } from '../config/redact.js';
import { linesWithoutControls } from '../words.js';

/** Text without secrets and without control characters (a server's words may hold escape sequences), in which this program is called as it was called: `npm start -- backup` in a clone of the project. */
export function told(text: string): string {
  const fromClone = ['start', 'demo'].includes(process.env.npm_lifecycle_event ?? '');
  return linesWithoutControls(
    redact(fromClone ? text.replace(/\bnovamem-runbook (?=[a-z-])/g, 'npm start -- ') : text),
  );
}

/** Writes lines to standard output, without secrets. */
export function print(...lines: string[]): void {
  for (const line of lines) process.stdout.write(`${told(line)}\n`);
}

/** Writes lines to standard error, without secrets: what is said while standard output carries data. */
export function say(...lines: string[]): void {
  for (const line of lines) process.stderr.write(`${told(line)}\n`);
}

/** How wide printed text may be: the terminal's width, at most 100. */
export const printWidth = (): number => Math.max(60, Math.min(100, process.stdout.columns ?? 100));

/** A text in lines of at most 80 characters, further ones indented: what is read off a terminal, too. A word is never broken. */
export function wrapped(text: string, indent = 0, width = Math.min(80, printWidth())): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(last === undefined ? word : ' '.repeat(indent) + word);
  }
  return lines;
}

/** Rows as columns, each as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (all, row) => row.map((cell, index) => Math.max(all[index] ?? 0, cell.length)),
    [],
  );
  return rows.map((row) =>
    row
      .map((cell, index) => cell.padEnd(widths[index]!))
      .join('  ')
      .trimEnd(),
  );
}
