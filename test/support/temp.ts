import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

const made: string[] = [];

afterAll(() => {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

/** A new empty folder, removed with everything in it after the tests of the file that asked for it. */
export function tempFolder(name = 'test'): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), `novamem-runbook-${name}-`));
  made.push(folder);
  return folder;
}
