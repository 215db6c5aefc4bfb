import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { sha256Of } from '../../../src/hosts/files.js';
import { collectionOf } from '../../../src/sandbox/embedding.js';
import { fetchSnapshot, sendSnapshot } from '../../../src/steps/qdrant/fetching.js';
import { makeSnapshot } from '../../../src/steps/qdrant/snapshots.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { faultyProxy, httpAnswer } from '../../support/faulty-proxy.js';
import { type S3Store, s3Store } from '../../support/s3-store.js';
import { type RealCluster, realCluster, recordingGateway } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

const collection = collectionOf('acme', null, 'default');
const { signal } = new AbortController();

let real: RealCluster;

beforeAll(async () => {
  real = await realCluster();
});

/** Has a snapshot made and fetched; `before`: what happens to it in between. */
async function fetched({
  cluster = real.cluster,
  shared,
  before = () => {},
}: {
  cluster?: Cluster;
  shared?: boolean;
  before?: (onServer: string) => void;
} = {}) {
  const { qdrant } = cluster;
  const { gateway, changes } = recordingGateway();
  const ctx = real.context({ cluster, gateway });
  const made = await makeSnapshot(qdrant, ctx, collection);
  const onServer = join(real.cluster.profile.qdrant.dataDir!, 'snapshots', collection, made.name);
  const file = join(tempFolder('fetched'), 'x.snapshot');
  before(onServer);
  const removeIt = () => qdrant.client.deleteSnapshot(collection, made.name).catch(() => {});
  try {
    const got = await fetchSnapshot(qdrant, ctx, { collection }, shared ? { ...made, shared } : made, file, {
      signal,
    });
    const left = (await qdrant.client.listSnapshots(collection)).map(({ name }) => name);
    const ways = changes.filter(({ channel }) => channel === 'file').map(({ text }) => text.split(' ')[0]);
    return { got, file, made, left, ways };
  } finally {
    await removeIt();
  }
}

test('a snapshot gets out of the server’s own folder without being copied: whole, its owner’s alone, and gone there', async () => {
  let inode = 0;
  const { got, file, made, left, ways } = await fetched({
    before: (onServer) => {
      inode = statSync(onServer).ino;
    },
  });
  expect(ways).toEqual(['ln']);
  expect(got).toEqual({ bytes: statSync(file).size, sha256: made.checksum });
  expect(await sha256Of(file)).toBe(made.checksum);
  expect(statSync(file)).toMatchObject({ ino: inode, nlink: 1, uid: process.getuid!() });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(left).toEqual([]);
});

test('one that is somebody else’s as well is copied, and theirs stays as it is', async () => {
  let before = { ino: 0, mode: 0 };
  const { got, file, made, left, ways } = await fetched({
    shared: true,
    before: (onServer) => {
      before = statSync(onServer);
    },
  });
  expect(ways).toEqual(['cp']);
  expect(await sha256Of(file)).toBe(got.sha256);
  expect(statSync(file).ino).not.toBe(before.ino);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(left).toEqual([made.name]);
});

test('one that is not where the profile says is downloaded', async () => {
  const elsewhere = { ...real.cluster.profile.qdrant, dataDir: tempFolder('another') };
  const cluster = new Cluster({ ...real.cluster.profile, qdrant: elsewhere });
  const { got, file, made, left, ways } = await fetched({ cluster });
  expect(ways).toEqual(['curl']);
  expect(got.sha256).toBe(made.checksum);
  expect(await sha256Of(file)).toBe(made.checksum);
  expect(left).toEqual([]);
});

test('a file of that name but of another size is another: the server is asked for its own', async () => {
  const dataDir = tempFolder('another');
  const cluster = new Cluster({ ...real.cluster.profile, qdrant: { ...real.cluster.profile.qdrant, dataDir } });
  const { ways, got, made } = await fetched({
    cluster,
    before: (onServer) => {
      const twin = onServer.replace(real.cluster.profile.qdrant.dataDir!, dataDir);
      mkdirSync(join(twin, '..'), { recursive: true });
      writeFileSync(twin, 'of another server');
    },
  });
  expect(ways).toEqual(['curl']);
  expect(got.sha256).toBe(made.checksum);
});

test('one whose bytes changed on the disk before it is copied is refused: it is not what the server has made', async () => {
  await expect(
    fetched({
      shared: true,
      before: (onServer) => {
        const bytes = readFileSync(onServer);
        bytes[bytes.length >> 1]! ^= 1;
        writeFileSync(onServer, bytes);
      },
    }),
  ).rejects.toThrow(/snapshot of novamem_u_acme_default did not arrive whole: SHA-256 [0-9a-f]{64}, the server says/);
});

describe('into a bucket', () => {
  let store: S3Store;
  beforeAll(async () => {
    store = await s3Store();
  });

  /** Has a snapshot made and sent; `before`: what happens to it in between. */
  async function sent(
    id: string,
    {
      dataDir = real.cluster.profile.qdrant.dataDir!,
      endpoint = store.settings.endpoint,
      before = () => {},
    }: { dataDir?: string; endpoint?: string; before?: (onServer: string) => void } = {},
  ) {
    const { profile } = real.cluster;
    const cluster = new Cluster({
      ...profile,
      qdrant: { ...profile.qdrant, dataDir },
      s3: { ...store.settings, endpoint },
    });
    const { gateway, changes } = recordingGateway();
    const folder = tempFolder('new');
    const newBackup = { id, folder, to: store.url(id) };
    const ctx = real.context({ cluster, gateway, newBackup });
    const made = await makeSnapshot(cluster.qdrant, ctx, collection);
    before(join(real.cluster.profile.qdrant.dataDir!, 'snapshots', collection, made.name));
    const got = await sendSnapshot(cluster.qdrant, ctx, { collection }, made, 'x.snapshot', signal).finally(() =>
      cluster.qdrant.client.deleteSnapshot(collection, made.name).catch(() => {}),
    );
    const left = (await cluster.qdrant.client.listSnapshots(collection)).map(({ name }) => name);
    const there = createHash('sha256')
      .update(await store.get(`${id}/x.snapshot`))
      .digest('hex');
    expect(readdirSync(folder)).toEqual([]);
    return {
      got,
      made,
      left,
      there,
      ways: changes.map(({ text }) => text).filter((text) => text.includes(' s3 cp ')),
    };
  }

  test('a snapshot is sent out of the server’s own folder, read back, and gone there', async () => {
    const { got, made, left, there, ways } = await sent('on-disk');
    expect([got.sha256, there]).toEqual([made.checksum, made.checksum]);
    expect(ways).toEqual([expect.stringMatching(/ s3 cp \/\S+\/snapshots\/\S+ s3:\S+on-disk\/x\.snapshot$/)]);
    expect(left).toEqual([]);
  });

  test('one that is on another machine is sent as the server sends it', async () => {
    const { got, made, left, there, ways } = await sent('streamed', { dataDir: tempFolder('another') });
    expect(got).toEqual({ bytes: made.bytes, sha256: made.checksum });
    expect(there).toBe(made.checksum);
    expect(ways).toEqual([expect.stringMatching(/ s3 cp - s3:\S+streamed\/x\.snapshot$/)]);
    expect(left).toEqual([]);
  });

  test('one that changed on the disk before is refused: it is not what the server has made', async () => {
    const altered = sent('altered', {
      before: (onServer) => {
        const bytes = readFileSync(onServer);
        bytes[bytes.length >> 1]! ^= 1;
        writeFileSync(onServer, bytes);
      },
    });
    await expect(altered).rejects.toThrow(/did not arrive whole: SHA-256 [0-9a-f]{64}, the server says/);
  });

  test('one of which something else is there than was sent is removed there', async () => {
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({
      kind: 'answers',
      to: /^GET [^?]*x\.snapshot/,
      answer: httpAnswer(200, 'no snapshot', { type: 'binary' }),
    });
    await expect(sent('other', { endpoint: proxy.url })).rejects.toThrow(/x\.snapshot is not what was sent there/);
    await expect(store.get('other/x.snapshot')).rejects.toThrow();
  });
});
