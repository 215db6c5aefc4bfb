import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { attempt, RESTORES } from '../support/attempt.js';
import { eventually, isRunning } from '../support/eventually.js';
import { start } from '../support/half-way.js';
import { measureCluster } from '../support/measure-cluster.js';
import { realCluster } from '../support/sandbox.js';

test('a FalkorDB that hangs and does not end is not waited for: nothing is moved, and it says what to type', async () => {
  const real = await realCluster(200);
  const good = (await real.backup()).folder;
  const before = await measureCluster(real);
  const { pid } = JSON.parse(readFileSync(real.places.pidFile('falkordb'), 'utf8')) as { pid: number };
  process.kill(pid, 'SIGSTOP');
  const ended = await attempt(real.cluster.profile, { scenario: RESTORES.falkordb, backup: good });
  expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
  expect(ended.findings.join('\n')).toMatch(/FalkorDB does not answer \(.*no answer within/);
  expect(ended.said).toMatch(/its files cannot be replaced\. Nothing was moved/);
  expect(ended.said).toContain(`or end it with: kill -KILL ${pid}`);
  expect(ended.took).toBeLessThan(300_000);
  expect(isRunning(pid)).toBe(true);
  expect(readdirSync(real.places.falkordbData).filter((name) => name.startsWith('before-'))).toEqual([]);

  // What it was told reaches it once it is let go.
  process.kill(pid, 'SIGCONT');
  await eventually('it has ended', () => !isRunning(pid));
  expect(existsSync(real.places.falkordbData)).toBe(true);
  await start(real, 'falkordb');
  expect(await measureCluster(real)).toEqual(before);
  const again = await attempt(real.cluster.profile, { scenario: RESTORES.falkordb, backup: good });
  expect([again.outcome, again.exitCode], again.said).toEqual(['recovered', 0]);
  expect(await measureCluster(real)).toEqual(before);
});
