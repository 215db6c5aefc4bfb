import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { fetchFile } from '../../../src/stores/storage/fetch-file.js';
import { s3Storage } from '../../../src/stores/storage/s3/s3-storage.js';
import type { Storage } from '../../../src/stores/storage/storage.js';
import { type S3Store, s3Store } from '../../support/s3-store.js';
import { tempFolder } from '../../support/temp.js';

const BYTES = 6_000_000;
const content = randomBytes(BYTES);
const sha256 = createHash('sha256').update(content).digest('hex');
let store: S3Store;
let storage: Storage;

beforeAll(async () => {
  store = await s3Store();
  storage = s3Storage(store.settings);
  await store.put('large', content);
});

/** Fetches it until 2 MB have come, and ends it there as a person or a break would. */
async function endedHalfWay(to: string, bytes?: number): Promise<void> {
  const ending = new AbortController();
  let came = 0;
  const fetching = fetchFile(storage, store.url('large'), to, {
    signal: ending.signal,
    onBytes: (more) => {
      came += more;
      if (came > 2_000_000) ending.abort(new Error('ended'));
    },
    ...(bytes === undefined ? {} : { bytes }),
  });
  await expect(fetching).rejects.toThrow('ended');
  expect(existsSync(to)).toBe(false);
}

test('a file comes as a whole or not at all, and leaves nothing where it is not to be gone on with', async () => {
  const to = join(tempFolder(), 'it');
  await endedHalfWay(to);
  expect(existsSync(`${to}.part`)).toBe(false);
  expect(await fetchFile(storage, store.url('large'), to)).toBe(sha256);
  expect(statSync(to).mode & 0o777).toBe(0o600);
});

test('one whose size is known is gone on with by another attempt, and its checksum is that of all of it', async () => {
  const to = join(tempFolder(), 'it');
  await endedHalfWay(to, BYTES);
  const there = statSync(`${to}.part`).size;
  expect(there).toBeGreaterThan(1_000_000);
  let told = 0;
  const got = await fetchFile(storage, store.url('large'), to, { bytes: BYTES, onBytes: (more) => (told += more) });
  expect([got, told]).toEqual([sha256, BYTES]);
  expect(readFileSync(to).equals(content)).toBe(true);
});

test('what an earlier attempt has brought is not fetched again: were it altered, the checksum would tell', async () => {
  const to = join(tempFolder(), 'it');
  writeFileSync(`${to}.part`, Buffer.alloc(1_000_000));
  expect(await fetchFile(storage, store.url('large'), to, { bytes: BYTES })).not.toBe(sha256);
  expect(readFileSync(to).subarray(1_000_000).equals(content.subarray(1_000_000))).toBe(true);
  // All of it was there already, and only its name was missing.
  writeFileSync(`${to}.part`, content);
  expect(await fetchFile(storage, store.url('large'), to, { bytes: BYTES })).toBe(sha256);
  // More than there can be is nothing to go on with.
  writeFileSync(`${to}.part`, Buffer.concat([content, content]));
  expect(await fetchFile(storage, store.url('large'), to, { bytes: BYTES })).toBe(sha256);
});
