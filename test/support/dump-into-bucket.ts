import { join } from 'node:path';
import { beforeAll } from 'vitest';
import type { StepContext } from '../../src/steps/step.js';
import { Cluster } from '../../src/stores/cluster.js';
import { type FaultyProxy, faultyProxy } from './faulty-proxy.js';
import { type S3Store, s3Store } from './s3-store.js';
import { contextOf, type RealCluster, realCluster } from './sandbox.js';
import { tempFolder } from './temp.js';

/** A cluster, and a bucket behind a proxy, for dumps that go from the one to the other; `prepare`: once, before the tests. */
export function dumpsIntoBucket(prepare: (real: RealCluster) => Promise<unknown> = async () => {}) {
  let real: RealCluster;
  let store: S3Store;
  let proxy: FaultyProxy;

  beforeAll(async () => {
    real = await realCluster();
    store = await s3Store();
    proxy = await faultyProxy(store.settings.endpoint);
    await prepare(real);
  });

  return {
    real: () => real,
    store: () => store,
    proxy: () => proxy,
    /** A step of a backup that goes to the bucket, as one run has it. */
    newBackup(id: string): StepContext {
      const profile = { ...real.cluster.profile, s3: { ...store.settings, endpoint: proxy.url } };
      return contextOf(new Cluster(profile), {
        newBackup: { id, folder: join(tempFolder('new'), id), to: store.url(`root/${id}`) },
      });
    },
    /** The bytes of a set's dump there; undefined where there is none. */
    dumpOf: (id: string) =>
      store.get(`root/${id}/postgres/novamem.dump`).then(
        ({ length }) => length,
        () => undefined,
      ),
    /** What the store was asked of this kind. */
    asked: (what: RegExp) => store.asked.filter((one) => what.test(one)),
  };
}
