import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { attempt, RESTORES } from '../support/attempt.js';
import { faultyProxy } from '../support/faulty-proxy.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

let real: RealCluster;
let before: Measured;

beforeAll(async () => {
  real = await realCluster(200);
  await real.backup();
  before = await measureCluster(real);
});

describe('a store that answers slowly while it is restored', () => {
  test.each([
    ['postgres', 60_000],
    ['qdrant', 150_000],
  ] as const)('(%s) is waited for, everything comes back, and an undo does as well', async (store, bytesPerSecond) => {
    const { profile } = real.cluster;
    const proxy = await faultyProxy(profile[store].url);
    const slow = { ...profile, [store]: { ...profile[store], url: proxy.url } };
    await proxy.become({ kind: 'slow', bytesPerSecond });
    const ended = await attempt(slow, { scenario: RESTORES[store] });
    expect([ended.outcome, ended.exitCode], ended.said).toEqual(['recovered', 0]);
    expect(proxy.met).toBeGreaterThan(0);
    expect(await measureCluster(real)).toEqual(before);

    const file = join(tempFolder('slow'), 'slow.yaml');
    writeFileSync(file, JSON.stringify(slow));
    const undone = await runProgram(['undo', '--profile', file, '--confirm', real.cluster.name], {
      timeoutMs: 150_000,
    });
    expect(undone.exitCode, undone.stdout + undone.stderr).toBe(0);
    expect(await measureCluster(real)).toEqual(before);
  });
});
