import { describe, expect, test } from 'vitest';
import { DISASTERS } from '../../src/sandbox/disasters.js';
import { sandboxDown } from '../../src/sandbox/sandbox.js';
import { runProgram } from '../support/program.js';
import { realCluster } from '../support/sandbox.js';

// Each disaster really happens to a cluster of its own, and a look at it finds the scenario that answers it.

/** What is seen besides the scenario, where that alone would not tell whether the disaster itself was seen. */
const WITH: Record<string, RegExp> = {
  'disk-full': /Postgres: no space left: /,
  'postgres-and-backups-lost': /this backup root cannot be read, or does not exist/,
  'backup-of-another-cluster': /the newer backup set \w+ is of another cluster/,
  'wal-archive-not-mounted': /its log is not archived any more/,
};

test.each(DISASTERS.map((one) => [one.id, one] as const))('%s', async (id, disaster) => {
  const real = await realCluster(200);
  const name = real.cluster.name;
  const why = disaster.impossible?.();
  const broken = await runProgram(['sandbox', 'break', id, '--name', name], { timeoutMs: 120_000 });
  expect(broken.exitCode, broken.stderr).toBe(why === undefined ? 0 : 2);
  if (why === undefined) {
    expect(broken.stdout).toContain(`The pager  ${disaster.pager}`);
    const looked = await runProgram(['diagnose', '--profile', name, '--json']);
    const { scenarios } = JSON.parse(looked.stdout) as { scenarios: { scenario: string }[] };
    expect(scenarios[0]?.scenario, looked.stdout).toBe(disaster.scenario);
    const seen = WITH[id];
    if (seen) expect(looked.stdout).toMatch(seen);
  }
  expect(await sandboxDown(name)).toBe(true);
});

describe('the wheel of misfortune', () => {
  test('chooses the same for the same seed, and does not say which', async () => {
    const real = await realCluster(100);
    const wheel = ['sandbox', 'break', '--name', real.cluster.name, '--seed', 'monday'];
    const revealed = await runProgram([...wheel, '--reveal']);
    const [, id] = /it would be (\S+): /.exec(revealed.stdout)!;
    const { title, pager } = DISASTERS.find((one) => one.id === id)!;
    const turned = await runProgram(wheel, { timeoutMs: 120_000 });
    expect(turned.exitCode, turned.stderr).toBe(0);
    expect(turned.stdout).toContain(`The pager  ${pager}`);
    expect(turned.stdout).not.toContain(title);
    expect((await runProgram(['sandbox', 'break', '--name', real.cluster.name, '--reveal'])).stdout).toContain(
      `With the seed monday it was ${id}: `,
    );
  });
});
