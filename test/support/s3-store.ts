import type { createCipheriv } from 'node:crypto';
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll } from 'vitest';
import type { S3Settings } from '../../src/config/s3.js';
import { filesBelow } from '../../src/hosts/files.js';
import { tempFolder } from './temp.js';

interface Context {
  method: string;
  url: string;
  path: string;
  headers: Record<string, string>;
}
interface Server {
  run(): Promise<AddressInfo>;
  close(): Promise<void>;
  middleware: ((context: Context, next: () => Promise<void>) => Promise<void>)[];
}
interface Signed {
  uri: string;
  headers: Record<string, string>;
}
const load = createRequire(import.meta.url);
const S3rver = load('@20minutes/s3rver') as new (options: object) => Server;
const v4 = load('@20minutes/s3rver/lib/signature/v4.js') as {
  getStringToSign(canonical: Signed, request: object): string;
};

// It makes its marks between pages with DES, which OpenSSL does no more.
const crypto = load('node:crypto') as Record<'createCipheriv' | 'createDecipheriv', typeof createCipheriv>;
for (const name of ['createCipheriv', 'createDecipheriv'] as const) {
  const made = crypto[name];
  const twice = (bytes: unknown) => Buffer.concat([bytes as Buffer, bytes as Buffer]);
  crypto[name] = ((algorithm: string, key: Buffer, iv: Buffer) =>
    algorithm === 'des' ? made('aes-128-cbc', twice(key), twice(iv)) : made(algorithm, key, iv)) as never;
}

// The library asks for a bucket as `/bucket/` and signs that; the server would compare with the signature of `/bucket`.
const AS_ASKED = 'x-path-as-asked';
const { getStringToSign } = v4;
v4.getStringToSign = (canonical, request) =>
  getStringToSign({ ...canonical, uri: canonical.headers[AS_ASKED] ?? canonical.uri }, request);

/** What the server knows its only user by. */
export const S3_KEYS = { AWS_ACCESS_KEY_ID: 'S3RVER', AWS_SECRET_ACCESS_KEY: 'S3RVER' };

const running: Server[] = [];

afterAll(async () => {
  for (const server of running.splice(0)) await server.close();
});

export interface S3Store {
  bucket: string;
  /** `GET /bucket/key?…`, of every request so far. */
  asked: string[];
  settings: S3Settings & { endpoint: string };
  /** `s3://bucket/…` */
  url(key: string): string;
  put(key: string, content: string | Buffer): Promise<void>;
  /** Has the server find the same object under other keys of the same folder, without asking it a thousand times. */
  copy(key: string, others: readonly string[]): void;
  get(key: string): Promise<Buffer>;
  /** Puts all that is below a folder of this machine below a key; answers that URL. */
  putFolder(folder: string, key: string): Promise<string>;
}

/** An S3-compatible server on a free port of loopback, with one empty bucket. This process gets its credentials. */
export async function s3Store(bucket = 'acme-backups'): Promise<S3Store> {
  const folder = tempFolder('s3');
  const server = new S3rver({
    port: 0,
    address: '127.0.0.1',
    silent: true,
    directory: folder,
    configureBuckets: [{ name: bucket }],
  });
  const asked: string[] = [];
  server.middleware.unshift((context, next) => {
    asked.push(`${context.method} ${context.url}`);
    if (/^\/[^/]+\/$/.test(context.path)) context.headers[AS_ASKED] = context.path;
    return next();
  });
  const { port } = await server.run();
  running.push(server);
  Object.assign(process.env, S3_KEYS);
  const settings = { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', forcePathStyle: true };
  const client = new S3Client({ ...settings, requestChecksumCalculation: 'WHEN_REQUIRED' });
  const put = async (Key: string, content: string | Buffer) => {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: Buffer.from(content) }));
  };
  const url = (key: string) => `s3://${bucket}/${key}`;
  return {
    bucket,
    asked,
    settings,
    url,
    put,
    copy(key, others) {
      const at = join(folder, bucket, dirname(key));
      for (const file of readdirSync(at).filter((name) => name.startsWith(`${basename(key)}._`)))
        for (const other of others) copyFileSync(join(at, file), join(at, file.replace(basename(key), other)));
    },
    async putFolder(from, key) {
      for (const name of await filesBelow(from)) await put(`${key}/${name}`, readFileSync(join(from, name)));
      return url(key);
    },
    async get(Key) {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key }));
      return Buffer.from(await Body!.transformToByteArray());
    },
  };
}
