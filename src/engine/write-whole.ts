import { writeSync } from 'node:fs';

/** Writes all of a text: one call of the system may take only a part of it. Throws when the disk takes no more. */
export function writeWhole(descriptor: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8');
  for (let written = 0; written < bytes.length; ) written += writeSync(descriptor, bytes, written);
}
