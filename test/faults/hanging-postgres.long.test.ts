import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Overrides } from '../../src/runbook/runbook.js';
import { attempt, RESTORES } from '../support/attempt.js';
import { eventually } from '../support/eventually.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';

let real: RealCluster;
let before: Measured;

beforeAll(async () => {
  real = await realCluster(200);
  await real.backup();
  before = await measureCluster(real);
});

describe('Postgres, when all of it hangs,', () => {
  const allOfIt = () => {
    const [postmaster] = readFileSync(join(real.places.postgresData, 'postmaster.pid'), 'utf8').split('\n');
    const children = execFileSync('pgrep', ['-P', postmaster!], { encoding: 'utf8' }).trim().split('\n');
    return [postmaster, ...children].map(Number);
  };
  const hangs = async (scenario: string, program: RegExp, overrides: Overrides) => {
    let stopped: number[] = [];
    const ended = await attempt(real.cluster.profile, {
      scenario,
      overrides,
      onEvent: (event) => {
        if (event.type !== 'step.change' || !program.test(event.text) || stopped.length > 0) return;
        stopped = allOfIt();
        for (const pid of stopped) process.kill(pid, 'SIGSTOP');
      },
    });
    // The postmaster last: it would take away those of its children that have ended.
    for (const pid of stopped.toReversed()) process.kill(pid, 'SIGCONT');
    await eventually('Postgres answers', async () => (await real.cluster.answering('postgres')).answers);
    await eventually('its sessions are gone', async () => (await programsIn()).length === 0);
    return ended;
  };
  const programsIn = () =>
    real.sql("SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'novamem-runbook %'", 'postgres');

  test.each<[string, string, RegExp, Overrides, RegExp]>([
    [
      'a restore is ended',
      RESTORES.postgres,
      /pg_restore/,
      { restore: { patienceSeconds: 1 } },
      /has fallen silent: .*\. The database is as it was/,
    ],
    [
      'its safety copy is ended',
      RESTORES.postgres,
      /pg_dump/,
      { restore: { patienceSeconds: 1 } },
      /has fallen silent: .*\. Nothing was dropped/,
    ],
    ['a backup is ended', 'backup', /pg_dump/, { 'backup-postgres': { patienceSeconds: 1 } }, /has fallen silent/],
  ])('%s by itself, and leaves everything as it was', async (_what, scenario, program, overrides, words) => {
    const ended = await hangs(scenario, program, overrides);
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    expect(await measureCluster(real)).toEqual(before);
  });
});
