import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { halfWay } from '../support/half-way.js';
import { measureCluster } from '../support/measure-cluster.js';
import { runProgram } from '../support/program.js';
import { realCluster } from '../support/sandbox.js';

test('a Qdrant that never answers the first thing it is to write is not waited for, and the run is gone on with once it does', async () => {
  const real = await realCluster(200);
  const before = await measureCluster(real);
  await real.backup();
  await loseEverything(real.record.name);
  const watched = await halfWay(real);
  const pid = () => (JSON.parse(readFileSync(real.places.pidFile('qdrant'), 'utf8')) as { pid: number }).pid;
  const halted = watched.ports.qdrant.once('PUT /collections/runbook_probe_', () => process.kill(pid(), 'SIGSTOP'));
  const rescue = await watched.run('whole-cluster-lost');
  const hung = pid();
  process.kill(hung, 'SIGCONT');
  expect(halted.happened).toBe(true);
  expect(rescue.exitCode, rescue.words).toBe(1);
  const ended = rescue.events.findLast((event) => event.type === 'step.finished' && event.step === 'restore-qdrant');
  expect(ended).toMatchObject({
    outcome: 'failed',
    reason: expect.stringMatching(/is still there .* after SIGTERM/),
  });
  expect(rescue.stdout).toMatch(
    new RegExp(`qdrant +DOES NOT ANSWER .*; it runs: stop it first: kill -s TERM ${hung}; then start it: `),
  );
  const args = ['--headless', '--profile', watched.profile, '--confirm', real.cluster.name];
  const resumed = await runProgram(['resume', rescue.id, ...args], { timeoutMs: 120_000 });
  expect(resumed.exitCode, resumed.stdout + resumed.stderr).toBe(0);
  expect(await measureCluster(real)).toEqual(before);
});
