import { expect, test } from 'vitest';
import { killRescues, RESCUE_PATIENCE_MS, tallyText } from '../support/kill-rescues.js';
import { realCluster } from '../support/sandbox.js';

// LONG=1 KILLS=200 npx vitest run test/faults/kill.long.test.ts, or with the other faults: npm run faults

const RESCUES = Number(process.env.KILLS ?? 5);

test(`${RESCUES} rescues that are killed come to their end, and nothing is lost`, {
  timeout: (RESCUES + 1) * RESCUE_PATIENCE_MS,
}, async ({ task }) => {
  const tally = await killRescues(await realCluster(1_000), RESCUES);
  task.meta.kills = tally;
  console.log(tallyText(tally));
  expect(tally.losses.join('\n\n')).toBe('');
  expect(tally.rescues).toBe(RESCUES);
  // Of a few, each may have been killed before its first step or at its end.
  if (RESCUES >= 5) expect(tally.resumed).toBeGreaterThan(0);
});
