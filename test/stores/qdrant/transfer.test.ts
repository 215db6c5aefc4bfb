import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { sha256Of } from '../../../src/hosts/files.js';
import { closedGateway, GatewayRefusal } from '../../../src/hosts/gateway.js';
import { collectionOf } from '../../../src/sandbox/embedding.js';
import { Qdrant } from '../../../src/stores/qdrant/connection.js';
import { downloadSnapshot, uploadSnapshot } from '../../../src/stores/qdrant/transfer.js';
import { open, type RealCluster, realCluster, recordingGateway } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

const collection = collectionOf('acme', null, 'default');
const COPY = 'novamem_copy';

let real: RealCluster;
let qdrant: Qdrant;

beforeAll(async () => {
  real = await realCluster();
  qdrant = real.cluster.qdrant;
});

const pointsOf = async (name: string) => (await qdrant.client.count(name, { exact: true })).count;

async function downloaded(): Promise<{ file: string; sha256: string; bytes: number; announced: string | undefined }> {
  const made = (await qdrant.client.createSnapshot(collection))!;
  const file = join(tempFolder('snapshot'), 'x.snapshot');
  let told = 0;
  const { bytes, sha256 } = await downloadSnapshot(
    open,
    qdrant,
    { collection, snapshot: made.name, file },
    {
      onBytes: (count) => {
        told += count;
      },
    },
  );
  expect(told).toBe(bytes);
  await qdrant.client.deleteSnapshot(collection, made.name);
  return { file, sha256, bytes, announced: made.checksum ?? undefined };
}

describe('a snapshot', () => {
  test('is downloaded whole: bytes and SHA-256 are those of the file and of the server', async () => {
    const { file, sha256, bytes, announced } = await downloaded();
    expect(statSync(file).size).toBe(bytes);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(await sha256Of(file)).toBe(sha256);
    expect(sha256).toBe(announced);
  });

  test('that is uploaded makes the collection again', async () => {
    const { file, sha256, bytes } = await downloaded();
    let told = 0;
    await uploadSnapshot(
      open,
      qdrant,
      { collection: COPY, file, sha256, uploadName: 'copy.snapshot' },
      {
        onBytes: (count) => {
          told += count;
        },
      },
    );
    expect(told).toBe(bytes);
    expect(await pointsOf(COPY)).toBe(await pointsOf(collection));
    await qdrant.client.deleteCollection(COPY);
  });

  test('whose checksum is another is refused in the words of the server, and nothing is made', async () => {
    const { file } = await downloaded();
    const upload = uploadSnapshot(open, qdrant, {
      collection: COPY,
      file,
      sha256: '0'.repeat(64),
      uploadName: 'copy.snapshot',
    });
    await expect(upload).rejects.toThrow(/into novamem_copy: HTTP 4\d\d .*checksum/i);
    expect((await qdrant.client.collectionExists(COPY)).exists).toBe(false);
  });

  test('that does not exist is an error, and leaves no file', async () => {
    const file = join(tempFolder('snapshot'), 'x.snapshot');
    await expect(downloadSnapshot(open, qdrant, { collection, snapshot: 'absent', file })).rejects.toThrow(
      /downloading absent: HTTP 404/,
    );
    expect(existsSync(file)).toBe(false);
  });

  test('is never downloaded over a file that is there, which stays as it is', async () => {
    const made = (await qdrant.client.createSnapshot(collection))!;
    const file = join(tempFolder('snapshot'), 'x.snapshot');
    writeFileSync(file, 'an older safety copy');
    await expect(downloadSnapshot(open, qdrant, { collection, snapshot: made.name, file })).rejects.toThrow(/EEXIST/);
    await qdrant.client.deleteSnapshot(collection, made.name);
    expect(readFileSync(file, 'utf8')).toBe('an older safety copy');
  });

  test('is neither uploaded nor downloaded through a closed gateway', async () => {
    const upload = { collection: COPY, file: '/nowhere', sha256: '', uploadName: 'x' };
    await expect(uploadSnapshot(closedGateway(), qdrant, upload)).rejects.toThrow(GatewayRefusal);
    const download = { collection, snapshot: 'x', file: '/nowhere' };
    await expect(downloadSnapshot(closedGateway(), qdrant, download)).rejects.toThrow(GatewayRefusal);
  });

  test('is shown as a command that anybody can paste, with the key as a variable', async () => {
    const { file, sha256 } = await downloaded();
    const { gateway, changes } = recordingGateway();
    await uploadSnapshot(gateway, qdrant, { collection: COPY, file, sha256, uploadName: 'copy.snapshot' });
    await qdrant.client.deleteCollection(COPY);
    expect(changes).toHaveLength(1);
    expect(changes[0]!.text).toContain(`-X POST '${qdrant.address}/collections/${COPY}/snapshots/upload?`);
    expect(changes[0]!.text).toContain('"api-key: $(cat ');
    expect(changes[0]!.text).not.toContain(qdrant.apiKey);
  });

  test('needs the key', async () => {
    const { file, sha256 } = await downloaded();
    const without = new Qdrant({ url: real.cluster.profile.qdrant.url, collectionPrefix: 'novamem_' });
    const upload = { collection: COPY, file, sha256, uploadName: 'copy.snapshot' };
    await expect(uploadSnapshot(open, without, upload)).rejects.toThrow(/HTTP 40[13]/);
    expect((await qdrant.client.collectionExists(COPY)).exists).toBe(false);
  });

  test('that is aborted on its way leaves no file and no collection', async () => {
    const { file, sha256 } = await downloaded();
    const signal = AbortSignal.abort();
    const upload = { collection: COPY, file, sha256, uploadName: 'copy.snapshot' };
    await expect(uploadSnapshot(open, qdrant, upload, { signal })).rejects.toThrow();
    expect((await qdrant.client.collectionExists(COPY)).exists).toBe(false);
  });
});
