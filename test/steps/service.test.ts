import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ServiceName } from '../../src/config/profile.js';
import { markOf, type ProcessMark } from '../../src/hosts/process-mark.js';
import { novamemHealth } from '../../src/steps/novamem/health.js';
import { serviceRestart, serviceStart, serviceStop } from '../../src/steps/service-kinds.js';
import { Cluster } from '../../src/stores/cluster.js';
import {
  findings,
  follow,
  perform,
  type RealCluster,
  realCluster,
  recordingGateway,
  unequal,
} from '../support/sandbox.js';

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster();
});

beforeEach(async () => {
  for (const service of ['postgres', 'qdrant', 'falkordb', 'novamem'])
    expect((await perform(serviceStart, { service }, real.context())).error, service).toBeUndefined();
});

const pidOf = (service: ServiceName) =>
  (JSON.parse(readFileSync(real.places.pidFile(service), 'utf8')) as ProcessMark).pid;

describe.each(['novamem', 'qdrant', 'postgres', 'falkordb'] as const)('%s', (service) => {
  test('is stopped, which is proven; undo starts it again', async () => {
    const ctx = real.context();
    const { facts, error } = await perform(serviceStop, { service }, ctx);
    expect(error).toBeUndefined();
    expect(await unequal(serviceStop, { service }, ctx, facts)).toEqual([]);
    expect((await real.cluster.answering(service)).answers).toBe(false);
    expect(await serviceStop.probe(serviceStop.params.parse({ service }), ctx, facts)).toBe('done');
    expect(
      (await follow(serviceStop.undo!(serviceStop.params.parse({ service }), ctx, facts))).error,
    ).toBeUndefined();
    expect((await real.cluster.answering(service)).answers).toBe(true);
  });
});

describe('starting', () => {
  test('leaves alone what runs already', async () => {
    const pid = pidOf('qdrant');
    const { gateway, changes } = recordingGateway();
    const ctx = real.context({ gateway });
    const { facts, output } = await perform(serviceStart, { service: 'qdrant' }, ctx);
    expect(output).toEqual(['Qdrant runs already']);
    expect([changes, pidOf('qdrant')]).toEqual([[], pid]);
    expect(await unequal(serviceStart, { service: 'qdrant' }, ctx, facts)).toEqual([]);
  });

  test('starts anew what was still on its way out of an earlier stop', async () => {
    await perform(serviceStop, { service: 'qdrant' }, real.context());
    const ending = spawn('sleep', ['1.5']);
    writeFileSync(real.places.pidFile('qdrant'), JSON.stringify(markOf(ending.pid!)));
    const ctx = real.context();
    const { facts, output, error } = await perform(serviceStart, { service: 'qdrant' }, ctx);
    expect(error).toBeUndefined();
    expect(output).toContain('Qdrant was ending: it is started again');
    expect(pidOf('qdrant')).not.toBe(ending.pid);
    expect(await unequal(serviceStart, { service: 'qdrant' }, ctx, facts)).toEqual([]);
  });

  test('fails with the last words of a service that ends at once', async () => {
    await perform(serviceStop, { service: 'novamem' }, real.context());
    const { profile } = real.cluster;
    const broken = new Cluster({
      ...profile,
      services: {
        ...profile.services,
        novamem: { driver: 'command', start: 'echo the disk is full; exit 1', stop: 'true' },
      },
    });
    const { error } = await perform(serviceStart, { service: 'novamem' }, real.context({ cluster: broken }));
    expect(error?.message).toContain('the disk is full');
  });
});

test('restarting makes another process of it, which answers', async () => {
  const pid = pidOf('novamem');
  const ctx = real.context();
  const { facts, error } = await perform(serviceRestart, { service: 'novamem' }, ctx);
  expect(error).toBeUndefined();
  expect(pidOf('novamem')).not.toBe(pid);
  expect(await unequal(serviceRestart, { service: 'novamem' }, ctx, facts)).toEqual([]);
});

test('a store that is down and that the profile cannot start is a blocking finding', async () => {
  await perform(serviceStop, { service: 'qdrant' }, real.context());
  const { qdrant: _, ...services } = real.cluster.profile.services;
  const cluster = new Cluster({ ...real.cluster.profile, services });
  expect(await findings(serviceStart, { service: 'qdrant' }, real.context({ cluster }))).toContainEqual(
    expect.stringMatching(/^blocking: .*does not say how to start it/),
  );
});

describe('the health of novamem', () => {
  test('is proven by /health and by the deep health, which sees the graph as well', async () => {
    const ctx = real.context();
    const { facts, error } = await perform(novamemHealth, {}, ctx);
    expect(error).toBeUndefined();
    const checks = await novamemHealth.verify(novamemHealth.params.parse({}), ctx, facts as never);
    expect(checks.filter((check) => !check.ok)).toEqual([]);
    expect(checks.map((check) => check.what)).toEqual([
      '/health',
      ...['warm', 'cold', 'graph', 'embedder'].map((name) => `deep health: ${name}`),
    ]);
  });

  test('is not proven while the graph is down, though /health stays green', async () => {
    await perform(serviceStop, { service: 'falkordb' }, real.context());
    const ctx = real.context();
    const { facts } = await perform(novamemHealth, { patienceSeconds: 5 }, ctx);
    const differing = await unequal(novamemHealth, {}, ctx, facts);
    expect(differing).toEqual(['novamem, deep health: graph: expected ok, found unreachable']);
  });

  test('that does not come is a failure with what was seen last', async () => {
    await perform(serviceStop, { service: 'qdrant' }, real.context());
    const { error } = await perform(novamemHealth, { patienceSeconds: 1 }, real.context());
    expect(error?.message).toMatch(/not healthy within .*HTTP 503/);
  });
});
