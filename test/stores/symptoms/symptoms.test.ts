import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Diagnosis, diagnose } from '../../../src/engine/diagnosis.js';
import { driverFor } from '../../../src/hosts/services/drivers.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { eventually, familyOf } from '../../support/eventually.js';
import { open, type RealCluster, realCluster } from '../../support/sandbox.js';

let real: RealCluster;
const atTheEnd: (() => Promise<unknown> | unknown)[] = [];

beforeAll(async () => {
  real = await realCluster();
  await real.backup();
});

afterEach(async () => {
  for (const work of atTheEnd.splice(0).reverse()) await work();
});

const seen = ({ symptoms }: Diagnosis) => symptoms.map((one) => `${one.service} ${one.ailment}`);

/** The same cluster, in which some of the profile is otherwise. */
function otherwise(change: (profile: Cluster['profile']) => Partial<Cluster['profile']>): Cluster {
  const { profile } = real.cluster;
  return new Cluster({ ...profile, ...change(profile) });
}

async function stop(service: 'postgres' | 'qdrant' | 'falkordb'): Promise<void> {
  const driver = driverFor(service, real.cluster.profile.services[service]!);
  await driver.stop(open, { onLine: () => {} });
  atTheEnd.push(async () => {
    await driver.start(open, { onLine: () => {} });
    await eventually(`${service} answers`, async () => (await real.cluster.answering(service)).answers);
  });
}

describe('a look at a cluster', () => {
  test('finds a healthy one healthy, and says what it holds', async () => {
    const diagnosis = await diagnose(real.cluster);
    expect(diagnosis).toMatchObject({ healthy: true, symptoms: [], scenarios: [], advice: [] });
    expect(diagnosis.well).toEqual([
      'Postgres holds 600 memories',
      'Qdrant holds 600 points in 10 collections',
      expect.stringMatching(/^FalkorDB holds 600 nodes and [\d,]+ relationships$/),
      'novamem says of itself that it is healthy',
    ]);
  });

  test('finds a graph that is gone, although /health is green', async () => {
    const { falkordb } = real.cluster;
    await falkordb.renameGraph(open, falkordb.graph, 'kept');
    atTheEnd.push(() => falkordb.renameGraph(open, 'kept', falkordb.graph));
    const diagnosis = await diagnose(real.cluster);
    expect(seen(diagnosis)).toEqual(['falkordb missing', 'novamem unwell', 'novamem unwell']);
    expect(diagnosis.well).toContain('novamem says of itself that it is healthy');
    expect(await falkordb.graphs()).toEqual(['kept']);
  });

  test('finds a folder that was removed under a Qdrant which still answers from its memory', async () => {
    const folder = real.places.qdrantData;
    renameSync(folder, `${folder}-away`);
    atTheEnd.push(() => renameSync(`${folder}-away`, folder));
    const diagnosis = await diagnose(real.cluster);
    expect(seen(diagnosis)).toContain('qdrant missing');
    expect(diagnosis.scenarios.map((one) => one.scenario)).toEqual(['qdrant-lost']);
  });

  test('takes what lies under the same path on this machine for nothing of a store that is elsewhere', async () => {
    const absent = '/nowhere/novamem-data';
    const stores = ({ postgres, qdrant, falkordb }: Cluster['profile']) => ({
      postgres: { ...postgres, url: 'postgres://novamem@127.0.0.1:1/novamem', dataDir: absent },
      qdrant: { ...qdrant, dataDir: absent },
      falkordb: { ...falkordb, url: 'redis://127.0.0.1:1', dataDir: absent },
    });
    const missing = (found: Diagnosis) => seen(found).filter((one) => one.endsWith('missing'));
    const here = await diagnose(otherwise(stores));
    expect(missing(here).sort()).toEqual([
      'falkordb missing',
      'postgres missing',
      'qdrant missing',
      'qdrant missing',
    ]);
    const host = { ssh: 'nowhere.invalid', sudo: false };
    const hosts = { postgres: host, qdrant: host, falkordb: host };
    const elsewhere = await diagnose(otherwise((profile) => ({ ...stores(profile), hosts })));
    expect(missing(elsewhere)).toEqual([]);
    expect(seen(elsewhere)).toEqual(expect.arrayContaining(['postgres stopped', 'falkordb stopped']));
  });

  test('finds missing collections and lost rows at once', async () => {
    const { qdrant } = real.cluster;
    const [name] = (await qdrant.client.getCollections()).collections.map((one) => one.name).sort();
    const { points } = await qdrant.client.scroll(name!, { limit: 1_000, with_vector: true, with_payload: true });
    const { config } = await qdrant.client.getCollection(name!);
    await qdrant.client.deleteCollection(name!);
    atTheEnd.push(async () => {
      await qdrant.client.createCollection(name!, {
        vectors: config.params.vectors as { size: 384; distance: 'Cosine' },
      });
      await qdrant.client.upsert(name!, { wait: true, points: points as never });
    });
    await real.sql('CREATE TABLE public.kept AS SELECT * FROM memory_access; DELETE FROM memory_access');
    atTheEnd.push(() => real.sql('INSERT INTO memory_access SELECT * FROM kept; DROP TABLE kept'));
    const diagnosis = await diagnose(real.cluster);
    expect(seen(diagnosis)).toContain('qdrant missing');
    expect(diagnosis.symptoms.map((one) => one.seen)).toContainEqual(
      expect.stringMatching(/^Postgres: public.memory_access has 0 rows; the last backup had \d+$/),
    );
  });

  test('finds the database dropped', async () => {
    await real.sql('ALTER DATABASE novamem ALLOW_CONNECTIONS false', 'postgres');
    const pids = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'novamem'`;
    await real.sql(pids, 'postgres');
    await real.sql('ALTER DATABASE novamem RENAME TO elsewhere', 'postgres');
    atTheEnd.push(async () => {
      await real.sql('ALTER DATABASE elsewhere RENAME TO novamem', 'postgres');
      await real.sql('ALTER DATABASE novamem ALLOW_CONNECTIONS true', 'postgres');
    });
    const diagnosis = await diagnose(real.cluster);
    expect(seen(diagnosis)).toContain('postgres missing');
  });

  test('finds a Postgres without any memory beside the vectors and nodes of some, also where there is no backup', async () => {
    await real.sql('ALTER TABLE memory_entries RENAME TO kept; CREATE TABLE memory_entries (LIKE kept)');
    atTheEnd.push(() => real.sql('DROP TABLE memory_entries; ALTER TABLE kept RENAME TO memory_entries'));
    const diagnosis = await diagnose(otherwise(() => ({ backups: [] })));
    expect(diagnosis.symptoms.map((one) => one.seen)).toContain(
      'Postgres: no memory at all, and the other stores still have 600 points and 600 nodes of memories',
    );
    expect(diagnosis.scenarios[0]?.scenario).toBe('postgres-lost-no-backup');
  });

  test('finds a stopped Postgres without its control file, which no start brings back', async () => {
    await stop('postgres');
    const control = join(real.places.postgresData, 'global', 'pg_control');
    renameSync(control, `${control}.away`);
    atTheEnd.push(() => renameSync(`${control}.away`, control));
    const diagnosis = await diagnose(otherwise(() => ({ backups: [] })));
    expect(seen(diagnosis)).toEqual(expect.arrayContaining(['postgres stopped', 'postgres missing']));
    expect(diagnosis.scenarios[0]?.scenario).toBe('postgres-lost-no-backup');
    expect(diagnosis.advice).toEqual([]);
  });

  test('tells a stopped service from a lost one, and how to start it', async () => {
    await stop('qdrant');
    const diagnosis = await diagnose(real.cluster);
    expect(seen(diagnosis)).toContain('qdrant stopped');
    expect(diagnosis.scenarios).toEqual([]);
    expect(diagnosis.advice).toContainEqual(expect.stringMatching(/^qdrant does not run, .* Start it first: /));
  });

  test('finds a data folder that is gone under a stopped server', async () => {
    await stop('falkordb');
    const data = real.places.falkordbData;
    renameSync(data, `${data}-gone`);
    atTheEnd.push(() => renameSync(`${data}-gone`, data));
    expect(seen(await diagnose(real.cluster))).toEqual(
      expect.arrayContaining(['falkordb stopped', 'falkordb missing']),
    );
  });

  test('tells a refused login from a loss', async () => {
    process.env.WRONG_SECRET = 'not-the-password';
    atTheEnd.push(() => delete process.env.WRONG_SECRET);
    const cluster = otherwise((profile) => ({
      postgres: { ...profile.postgres, passwordFrom: 'env:WRONG_SECRET' },
      qdrant: { ...profile.qdrant, apiKeyFrom: 'env:WRONG_SECRET' },
      falkordb: { ...profile.falkordb, passwordFrom: 'env:WRONG_SECRET' },
    }));
    const diagnosis = await diagnose(cluster);
    expect(seen(diagnosis)).toEqual(['postgres denied', 'qdrant denied', 'falkordb denied']);
    expect(diagnosis.scenarios).toEqual([]);
    expect(diagnosis.advice).toHaveLength(3);
  });

  test('ends within ten seconds although every store hangs', async () => {
    const pids = serversOf(real);
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    atTheEnd.push(() => {
      for (const pid of pids) process.kill(pid, 'SIGCONT');
    });
    const begun = Date.now();
    const diagnosis = await diagnose(real.cluster);
    expect(Date.now() - begun).toBeLessThan(10_000);
    expect(seen(diagnosis).sort()).toEqual(
      expect.arrayContaining(['falkordb silent', 'postgres silent', 'qdrant silent']),
    );
  });
});

/** Every server of the cluster, Postgres with its children. */
function serversOf({ places }: RealCluster): number[] {
  const services = ['postgres', 'qdrant', 'falkordb'] as const;
  return familyOf(
    services.map((service) => (JSON.parse(readFileSync(places.pidFile(service), 'utf8')) as { pid: number }).pid),
  );
}
