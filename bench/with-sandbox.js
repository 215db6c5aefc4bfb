import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sandboxDown, sandboxProfile, sandboxUp } from '../dist/sandbox/sandbox.js';

/** Lets `work` have a sandbox, with a home of its own for runs; both are gone afterwards. */
export async function withSandbox({ memories, novamem = true }, work) {
  const home = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-'));
  const before = process.env.NOVAMEM_RUNBOOK_HOME;
  process.env.NOVAMEM_RUNBOOK_HOME = home;
  const name = `bench-${randomBytes(3).toString('hex')}`;
  try {
    const record = await sandboxUp({ name, memories, novamem, lives: 'process' });
    return await work({ name, home, record, profile: sandboxProfile(name) });
  } finally {
    await sandboxDown(name);
    if (before === undefined) delete process.env.NOVAMEM_RUNBOOK_HOME;
    else process.env.NOVAMEM_RUNBOOK_HOME = before;
    rmSync(home, { recursive: true, force: true });
  }
}
