import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { s3Storage } from '../../../src/stores/storage/s3/s3-storage.js';
import { partBytes } from '../../../src/stores/storage/s3/s3-upload.js';
import { readWhole } from '../../../src/stores/storage/storage.js';
import { Ca } from '../../support/certificates.js';
import { faultyProxy, httpAnswer } from '../../support/faulty-proxy.js';
import { type S3Store, s3Store } from '../../support/s3-store.js';
import { tempFolder } from '../../support/temp.js';
import { tlsProxy } from '../../support/tls-front.js';

const gateway = openGateway(() => {});
const MIB = 1 << 20;
let store: S3Store;
beforeAll(async () => {
  store = await s3Store();
});
const storage = (endpoint = store.settings.endpoint) => s3Storage({ ...store.settings, endpoint });
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const xml = (status: number, code: string, more = '') =>
  httpAnswer(
    status,
    `<?xml version="1.0"?><Error><Code>${code}</Code><Message>said ${code}</Message>${more}</Error>`,
    {
      type: 'application/xml',
    },
  );

describe('files in a bucket', () => {
  test('are listed by folder, and at any depth', async () => {
    for (const key of ['pages/a/one', 'pages/a/deep/two', 'pages/b/three', 'pages/loose']) await store.put(key, key);
    expect(await storage().foldersIn(store.url('pages'))).toEqual(['a', 'b']);
    const files = await storage().filesBelow(store.url('pages/a'));
    expect(files.map(({ file, bytes }) => [file, bytes])).toEqual([
      [store.url('pages/a/deep/two'), 16],
      [store.url('pages/a/one'), 11],
    ]);
    expect(await storage().seen(store.url('pages/nothing'))).toBeUndefined();
  });

  test('are all listed, also where the store tells a thousand at a time', async () => {
    await store.put('many/0', '');
    store.copy(
      'many/0',
      Array.from({ length: 1_004 }, (_, at) => String(at + 1)),
    );
    expect((await storage().filesBelow(store.url('many'))).length).toBe(1_005);
  });

  test('a large one goes in parts, and comes back the same', async () => {
    const content = randomBytes(40 * MIB + 17);
    const from = join(tempFolder('s3'), 'large');
    writeFileSync(from, content);
    let sent = 0;
    const told = await storage().put(gateway, from, store.url('large'), { onBytes: (bytes) => (sent += bytes) });
    expect(told).toBe(sha256(content));
    expect(sent).toBe(content.length);
    expect(sha256(await readWhole(storage(), store.url('large'), 64 * MIB))).toBe(told);
  });

  test.each([
    ['of a few bytes', 3],
    ['with nothing in it', 0],
    ['of just one part', 16 * MIB],
    ['of several parts', 40 * MIB + 17],
  ])('what comes as a stream is one file in the end: %s', async (_, length) => {
    const content = randomBytes(length);
    const pieces = async function* () {
      // As a program writes it: into the same memory again and again.
      const piece = Buffer.alloc(100_003);
      for (let at = 0; at < length; ) {
        const copied = content.copy(piece, 0, at);
        at += copied;
        yield piece.subarray(0, copied);
      }
    };
    let counted = 0;
    const sent = await storage().putStream(gateway, pieces(), store.url('stream'), {
      onBytes: (bytes) => (counted += bytes),
    });
    expect(sent).toEqual({ bytes: length, sha256: sha256(content) });
    expect(counted).toBe(length);
    expect(sha256(await readWhole(storage(), store.url('stream'), 64 * MIB))).toBe(sent.sha256);
  });

  test('a stream that ends in an error leaves nothing, and is told as it is', async () => {
    const pieces = async function* () {
      for (let at = 0; at < 40; at += 1) yield Buffer.alloc(MIB);
      throw new Error('pg_dump ended with 1');
    };
    const sending = storage().putStream(gateway, pieces(), store.url('cut-off'));
    await expect(sending).rejects.toThrow(/^pg_dump ended with 1$/);
    expect(await storage().seen(store.url('cut-off'))).toBeUndefined();
    const own = store.asked.filter((one) => one.includes('/cut-off?'));
    expect(own.findIndex((one) => one.startsWith('DELETE'))).toBe(own.length - 1);
  });

  test('a stream for which nobody is there is ended', async () => {
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({ kind: 'refuses' });
    let ended = false;
    const pieces = async function* () {
      try {
        for (let at = 0; at < 40; at += 1) yield Buffer.alloc(MIB);
      } finally {
        ended = true;
      }
    };
    const sending = storage(proxy.url).putStream(gateway, pieces(), store.url('nobody'));
    await expect(sending).rejects.toMatchObject({ kind: 'unreachable' });
    expect(ended).toBe(true);
  });

  test.each([
    0, 10e9, 300e9, 2e12,
  ])('a stream of twice the %i bytes that were expected has parts enough', (expected) => {
    const bytes = Array.from({ length: 10_000 }, (_, number) => partBytes(number, expected)).reduce((a, b) => a + b);
    expect(bytes).toBeGreaterThan(Math.max(2 * expected, 300e9));
    expect(partBytes(0, expected)).toBe(partBytes(7_000, expected));
    expect(partBytes(9_999, expected)).toBeLessThan(5 * 2 ** 30);
  });

  test('a shell is told how much comes where that is much', () => {
    expect(storage().streamText(store.url('x'), 10e9)).toMatch(/ s3 cp - s3:\/\/acme-backups\/x$/);
    expect(storage().streamText(store.url('x'), 60e9)).toMatch(/ s3 cp --expected-size 60000000000 - s3:/);
  });

  test('a stretch of one is read by itself', async () => {
    await store.put('stretch', '0123456789');
    const pieces: Buffer[] = [];
    for await (const piece of storage().read(store.url('stretch'), { from: 2, to: 5 })) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe('2345');
    await store.put('empty', '');
    expect((await readWhole(storage(), store.url('empty'))).length).toBe(0);
  });

  test('what is removed is gone with all below it, and nothing beside it', async () => {
    for (const key of ['gone/a', 'gone/b/c', 'gone-not']) await store.put(key, 'x');
    await storage().remove(gateway, store.url('gone'));
    expect(await storage().filesBelow(store.url('gone'))).toEqual([]);
    expect(await storage().seen(store.url('gone-not'))).toBeDefined();
  });
});

describe('a transfer that breaks', () => {
  test('goes on at the byte where it broke, until the whole has come', async () => {
    const content = randomBytes(6 * MIB);
    await store.put('broken', content);
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({ kind: 'resets', after: 1.5 * MIB, of: 'answer' });
    const got = await readWhole(storage(proxy.url), store.url('broken'), 8 * MIB);
    expect(sha256(got)).toBe(sha256(content));
    expect(proxy.met).toBeGreaterThan(2);
  });

  test('is given up when nothing more comes at all, with what was tried and what to do', async () => {
    await store.put('cut', randomBytes(MIB));
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({ kind: 'half-closes', after: 0 });
    const failed = readWhole(storage(proxy.url), store.url('cut'), 2 * MIB);
    await expect(failed).rejects.toThrow(/Tried to read s3:\/\/acme-backups\/cut at http/);
  });

  test('never mixes two objects: one that was written anew meanwhile ends it', async () => {
    await store.put('changing', randomBytes(6 * MIB));
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({ kind: 'resets', after: 2 * MIB, of: 'answer' });
    const broken = storage(proxy.url).read(store.url('changing'))[Symbol.asyncIterator]();
    await broken.next();
    await store.put('changing', randomBytes(6 * MIB));
    const rest = (async () => {
      while (!(await broken.next()).done);
    })();
    await expect(rest).rejects.toThrow(/became another one while it was read/);
  });

  test('a slow store is waited for, as long as something comes', async () => {
    await store.put('slow', randomBytes(20_000));
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({ kind: 'slow', bytesPerSecond: 20_000 });
    expect((await readWhole(storage(proxy.url), store.url('slow'))).length).toBe(20_000);
    expect(proxy.met).toBeGreaterThan(0);
  });

  test('an upload that is aborted has the store forget its parts, after the last of them', async () => {
    const from = join(tempFolder('s3'), 'aborted');
    writeFileSync(from, randomBytes(48 * MIB));
    const stop = new AbortController();
    const sending = storage().put(gateway, from, store.url('aborted'), {
      onBytes: () => stop.abort(),
      signal: stop.signal,
    });
    await expect(sending).rejects.toThrow();
    expect(await storage().seen(store.url('aborted'))).toBeUndefined();
    const own = store.asked.filter((one) => one.includes('/aborted?'));
    expect(own.filter((one) => one.startsWith('PUT')).length).toBeGreaterThan(1);
    expect(own.findIndex((one) => one.startsWith('DELETE'))).toBe(own.length - 1);
  });
});

describe('what is wrong is told with what to type', () => {
  const answered = async (answer: Buffer) => {
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({ kind: 'says', bytes: answer });
    return storage(proxy.url);
  };
  const told = (work: Promise<unknown>) =>
    work.then(
      () => {
        throw new Error('it succeeded');
      },
      (error: { kind: string; message: string; next: string }) => error,
    );

  test('a bucket that is not there', async () => {
    const error = await told(storage().foldersIn('s3://nobodys-bucket/x'));
    expect(error).toMatchObject({ kind: 'no-bucket', next: expect.stringContaining('aws s3 ls') });
  });

  test('credentials that the store does not know', async () => {
    const { AWS_ACCESS_KEY_ID } = process.env;
    process.env.AWS_ACCESS_KEY_ID = 'SOMEBODYELSE';
    try {
      const error = await told(s3Storage({ ...store.settings, region: 'eu-west-1' }).foldersIn(store.url('x')));
      expect(error.kind).toBe('bad-credentials');
    } finally {
      process.env.AWS_ACCESS_KEY_ID = AWS_ACCESS_KEY_ID;
    }
  });

  test('a certificate that nobody vouches for, until the profile names its CA', async () => {
    const ca = new Ca(tempFolder('ca'));
    const port = await tlsProxy(ca.sign('s3', ['IP:127.0.0.1']), Number(new URL(store.settings.endpoint).port));
    await store.put('tls/a/one', 'x');
    const settings = { ...store.settings, endpoint: `https://127.0.0.1:${port}` };
    expect(await s3Storage({ ...settings, caFile: ca.caFile }).foldersIn(store.url('tls'))).toEqual(['a']);
    const error = await told(s3Storage(settings).foldersIn(store.url('tls')));
    expect(error).toMatchObject({ kind: 'untrusted', next: expect.stringContaining('s3: { caFile: FILE }') });
    const other = { ...settings, caFile: ca.caFile, endpoint: settings.endpoint.replace('127.0.0.1', 'localhost') };
    expect(await told(s3Storage(other).foldersIn(store.url('tls')))).toMatchObject({
      kind: 'untrusted',
      next: expect.stringContaining('as its certificate does'),
    });
  });

  test('no credentials at all', async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', undefined);
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', undefined);
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent');
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent');
    vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
    try {
      const error = await told(s3Storage({ ...store.settings, region: 'eu-west-2' }).foldersIn(store.url('x')));
      expect(error).toMatchObject({ kind: 'no-credentials', next: expect.stringContaining('aws configure') });
    } finally {
      vi.unstubAllEnvs();
    }
  });

  test.each([
    ['no-rights', xml(403, 'AccessDenied'), 's3:ListBucket on acme-backups'],
    ['expired', xml(400, 'ExpiredToken'), 'aws sso login'],
    ['clock', xml(403, 'RequestTimeTooSkewed'), 'set the clock'],
    [
      'wrong-region',
      xml(400, 'AuthorizationHeaderMalformed', '<Region>eu-central-1</Region>'),
      's3: { region: eu-central-1 }',
    ],
  ])('%s', async (kind, answer, next) => {
    const error = await told((await answered(answer)).foldersIn(store.url('x')));
    expect(error).toMatchObject({ kind, next: expect.stringContaining(next) });
    expect(error.message).toContain(`Tried to list ${store.url('x')} at http`);
  });

  test('an endpoint at which nothing listens', async () => {
    const proxy = await faultyProxy(store.settings.endpoint);
    await proxy.become({ kind: 'refuses' });
    const error = await told(storage(proxy.url).foldersIn(store.url('x')));
    expect(error).toMatchObject({ kind: 'unreachable', next: expect.stringContaining(`curl -sI ${proxy.url}`) });
  });
});
