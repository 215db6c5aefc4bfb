import { expect, test } from 'vitest';
import { killRescues } from '../support/kill-rescues.js';
import { realCluster } from '../support/sandbox.js';

// Many more: npm run faults

const RESCUES = 2;
/** In the first so many milliseconds of a rescue. */
const WITHIN = 6_000;

test('a rescue that is killed at any moment comes to its end, and nothing is lost', async ({ task }) => {
  const tally = await killRescues(await realCluster(300), RESCUES, WITHIN);
  task.meta.kills = tally;
  expect(tally.losses.join('\n\n')).toBe('');
  expect(tally.kills).toBeGreaterThanOrEqual(1);
});
