import { redact } from '../config/redact.js';

/** Writes lines to standard output, without secrets. */
export function print(...lines: string[]): void {
  for (const line of lines) process.stdout.write(`${redact(line)}\n`);
}

/** Writes lines to standard error, without secrets: what is said while standard output carries data. */
export function say(...lines: string[]): void {
  for (const line of lines) process.stderr.write(`${redact(line)}\n`);
}

/** How wide printed text may be: the terminal's width, at most 100. */
export const printWidth = (): number => Math.max(60, Math.min(100, process.stdout.columns ?? 100));

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
