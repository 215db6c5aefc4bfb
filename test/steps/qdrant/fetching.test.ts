import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { sha256Of } from '../../../src/hosts/files.js';
import { collectionOf } from '../../../src/sandbox/embedding.js';
import { fetchSnapshot } from '../../../src/steps/qdrant/fetching.js';
import { makeSnapshot } from '../../../src/steps/qdrant/snapshots.js';
import { Cluster } from '../../../src/stores/cluster.js';
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
