import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ServiceSettings } from '../../src/config/profile.js';
import { serviceRestart, serviceStart, serviceStop } from '../../src/steps/service-kinds.js';
import { Cluster } from '../../src/stores/cluster.js';
import { eventually } from '../support/eventually.js';
import { findings, perform, type RealCluster, realCluster, recordingGateway, unequal } from '../support/sandbox.js';
import { type VendorStandIn, vendorStandIn } from '../support/vendor-stand-in.js';

// A real Qdrant server, which a stand-in for docker starts and ends as a container's process.

const service = 'qdrant';
let real: RealCluster;
let docker: VendorStandIn;
let cluster: Cluster;

beforeAll(async () => {
  real = await realCluster();
  const { profile } = real.cluster;
  expect((await perform(serviceStop, { service }, real.context())).error).toBeUndefined();
  const { command, environment, folder, user } = profile.services.qdrant as Extract<
    ServiceSettings,
    { driver: 'process' }
  >;
  docker = vendorStandIn(['docker'], { qdrant: { command, environment, folder, ...(user ? { user } : {}) } });
  for (const [name, value] of Object.entries(docker.environment)) vi.stubEnv(name, value);
  const compose = { driver: 'compose', project: '/srv/novamem', service: 'qdrant' } as const;
  cluster = new Cluster({ ...profile, services: { ...profile.services, qdrant: compose } });
});

afterAll(async () => {
  docker.end();
  vi.unstubAllEnvs();
});

beforeEach(async () => {
  docker.set((state) => {
    delete state.behaves;
    delete state.services.qdrant!.behaves;
    delete state.services.qdrant!.health;
  });
  expect((await perform(serviceStart, { service }, real.context({ cluster }))).error).toBeUndefined();
});

describe('Qdrant as a service of Docker Compose, with a stand-in for docker,', () => {
  test('is stopped, which is proven, with the command that the plan shows; undo starts it again', async () => {
    const { gateway, changes } = recordingGateway();
    const ctx = real.context({ cluster, gateway });
    const p = serviceStop.params.parse({ service });
    const { commands } = await serviceStop.plan(p, ctx);
    const { facts, error } = await perform(serviceStop, { service }, ctx);
    expect(error).toBeUndefined();
    expect(changes.map(({ text }) => text)).toEqual(commands);
    expect(await unequal(serviceStop, { service }, ctx, facts)).toEqual([]);
    expect([docker.pids('qdrant'), await serviceStop.probe(p, ctx, facts)]).toEqual([[], 'done']);
    for await (const _ of serviceStop.undo!(p, ctx, facts));
    expect((await cluster.answering('qdrant')).answers).toBe(true);
  });

  test('that comes back after a stop is noticed, with who starts it and what to do', async () => {
    docker.set((state) => {
      state.services.qdrant!.behaves = 'comes-back';
    });
    const { error } = await perform(serviceStop, { service }, real.context({ cluster }));
    expect(error?.message).toMatch(
      /^Qdrant was stopped, and something has started it again: container novamem-qdrant-1/,
    );
    expect(error?.message).toMatch(/restart: unless-stopped.*docker update --restart=no/);
  });

  test('that does not end is said to run still, within the patience', async () => {
    docker.set((state) => {
      state.services.qdrant!.behaves = 'stays';
    });
    const { error, output } = await perform(serviceStop, { service, patienceSeconds: 1 }, real.context({ cluster }));
    expect(error?.message).toMatch(
      /still runs 1\.0 s after it was told to stop: container novamem-qdrant-1 is running/,
    );
    expect(output.some((line) => line.startsWith('qdrant: qdrant-1  | '))).toBe(true);
  });

  test('that answers but never gets healthy fails with that, and with its last lines', async () => {
    docker.set((state) => {
      state.services.qdrant!.health = 'unhealthy';
    });
    const ctx = real.context({ cluster });
    const { error, output } = await perform(serviceRestart, { service, patienceSeconds: 3 }, ctx);
    expect(error?.message).toMatch(/did not become ready within 3\.0 s: .*\(health: unhealthy\); it answers/);
    expect(error?.message).toMatch(/Its last line: qdrant-1 {2}\| /);
    expect(output.some((line) => line.startsWith('qdrant: qdrant-1  | '))).toBe(true);
    expect(await unequal(serviceRestart, { service }, ctx, {})).toEqual([
      expect.stringMatching(
        /ready: expected yes, found no: container novamem-qdrant-1 is running \(health: unhealthy\)/,
      ),
    ]);
  });

  test('is restarted as another process, which is proven', async () => {
    const before = docker.pids('qdrant');
    const { error } = await perform(serviceRestart, { service }, real.context({ cluster }));
    expect(error).toBeUndefined();
    const after = docker.pids('qdrant');
    expect([after.length, after.some((pid) => before.includes(pid))]).toEqual([1, false]);
  });

  test('that nobody may drive is a blocking finding before anything is touched', async () => {
    docker.set((state) => {
      state.behaves = 'denied';
    });
    for (const kind of [serviceStop, serviceStart, serviceRestart])
      expect(await findings(kind, { service }, real.context({ cluster })), kind.kind).toContainEqual(
        expect.stringMatching(/^blocking: .*permission denied/),
      );
  });

  test('is not the one that answers: a blocking finding, and no stop of anything', async () => {
    const [pid] = docker.pids('qdrant');
    docker.set((state) => {
      state.services.other = { command: ['sleep', '300'], runs: [] };
    });
    const other = { driver: 'compose', project: '/srv/novamem', service: 'other' } as const;
    const wrong = new Cluster({ ...cluster.profile, services: { ...cluster.profile.services, qdrant: other } });
    expect(await findings(serviceStop, { service }, real.context({ cluster: wrong }))).toContainEqual(
      expect.stringMatching(/^blocking: Qdrant answers, but not the one that services\.qdrant of the profile drives/),
    );
    expect(docker.pids('qdrant')).toEqual([pid]);
  });

  test('is waited for no longer when the operator aborts', async () => {
    docker.set((state) => {
      state.services.qdrant!.behaves = 'stays';
    });
    const abort = new AbortController();
    const events = serviceStop.run(serviceStop.params.parse({ service }), real.context({ cluster }), abort.signal);
    const ended = (async () => {
      for await (const _ of events);
    })();
    const failed = expect(ended).rejects.toThrow('enough');
    await eventually('it was told to stop', () => docker.calls().some((call) => / stop .*qdrant$/.test(call)));
    abort.abort(new Error('enough'));
    await failed;
  });
});
