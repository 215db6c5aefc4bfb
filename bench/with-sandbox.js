import { randomBytes } from 'node:crypto';
import { sandboxDown, sandboxProfile, sandboxUp } from '../dist/sandbox/sandbox.js';

/** Lets `work` have a sandbox, which is gone afterwards. */
export async function withSandbox({ memories, novamem = true }, work) {
  const name = `bench-${randomBytes(3).toString('hex')}`;
  try {
    const record = await sandboxUp({ name, memories, novamem, lives: 'process' });
    return await work({ name, record, profile: sandboxProfile(name) });
  } finally {
    await sandboxDown(name);
  }
}
