import { beforeAll, expect } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import { attempt, expectHarmless, expectNoSecret, RESTORES } from './attempt.js';
import { type Fault, type FaultyProxy, faultyProxy } from './faulty-proxy.js';
import type { Measured } from './measure.js';
import { measureCluster } from './measure-cluster.js';
import { idsFrom, Memories } from './memories.js';
import { type RealCluster, realCluster } from './sandbox.js';

/** Qdrant is given a snapshot: the name of its file, or the file itself. */
export const GIVING = /^(PUT \/collections\/[^/]+\/snapshots\/recover|POST \/collections\/[^/]+\/snapshots\/upload)/;

export const REFUSALS: [number, string][] = [
  [401, 'Must provide an API key or an Authorization bearer token'],
  [403, 'Global access is required'],
  [404, 'Not found'],
  [429, 'Rate limiting exceeded'],
  [500, 'Service internal error: 1 of 1 read operations failed'],
  [503, 'Service unavailable'],
];

/** A cluster of this test file's own whose Qdrant is behind a proxy that says what it is told to say; it holds more than its backup. */
export function qdrantThatAnswers() {
  let real: RealCluster;
  let proxy: FaultyProxy;
  let profile: Profile;
  let before: Measured;

  beforeAll(async () => {
    real = await realCluster(200);
    await real.backup();
    const memories = new Memories(real);
    const [collection] = (await real.cluster.qdrant.client.getCollections()).collections
      .map((one) => one.name)
      .sort();
    const { config } = await real.cluster.qdrant.client.getCollection(collection!);
    expect(config.params.vectors).toBeDefined();
    await memories.rows(idsFrom(5));
    const [point] = (await real.cluster.qdrant.client.scroll(collection!, { limit: 1, with_vector: true })).points;
    await real.cluster.qdrant.client.upsert(collection!, {
      wait: true,
      points: [{ id: 4711, vector: point!.vector as number[], payload: { entryId: 'newer than the backup' } }],
    });
    before = await measureCluster(real);
    proxy = await faultyProxy(real.cluster.profile.qdrant.url);
    profile = { ...real.cluster.profile, qdrant: { ...real.cluster.profile.qdrant, url: proxy.url } };
  });

  return {
    real: () => real,
    proxy: () => proxy,
    profile: () => profile,
    /** That the cluster is as it was, which is more than the backup holds. */
    expectUntouched: async () => expect(await measureCluster(real)).toEqual(before),
    /** Restores Qdrant while the fault lasts, which it must meet. */
    async restore(fault: Fault, scenario = RESTORES.qdrant, from = profile) {
      await proxy.become(fault);
      const ended = await attempt(from, { scenario });
      expect(proxy.met, 'how often the fault was met').toBeGreaterThan(0);
      await proxy.become();
      expectNoSecret(real, ended.journal);
      expectHarmless(ended.journal);
      return ended;
    },
  };
}
