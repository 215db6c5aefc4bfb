import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import {
  beginSending,
  endSending,
  makingRoomFindings,
  sendingFindings,
  sendPieces,
} from '../../../src/steps/backup/sending.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { storageOf } from '../../../src/stores/storage/storage-of.js';
import { type FaultyProxy, faultyProxy, httpAnswer } from '../../support/faulty-proxy.js';
import { type S3Store, s3Store } from '../../support/s3-store.js';
import { contextOf } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let store: S3Store;
let proxy: FaultyProxy;
beforeAll(async () => {
  store = await s3Store();
  proxy = await faultyProxy(store.settings.endpoint);
});

/** A set of three files that was made here, and where it is to go. */
function newSet(id: string, root = store.url('sent')) {
  const folder = join(tempFolder('new'), id);
  for (const [name, text] of Object.entries({
    'qdrant/a.snapshot': 'a',
    'qdrant/b.snapshot': 'b',
    'manifest.json': '{}',
  })) {
    mkdirSync(join(folder, 'qdrant'), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  const nowhere = { url: 'http://127.0.0.1:1' };
  const profile = profileSchema.parse({
    name: 'acme',
    postgres: { url: 'postgres://a@127.0.0.1:1/a' },
    qdrant: nowhere,
    falkordb: { url: 'redis://127.0.0.1:1' },
    s3: { ...store.settings, endpoint: proxy.url },
  });
  return { folder, ctx: contextOf(new Cluster(profile), { newBackup: { id, folder, to: `${root}/${id}` } }) };
}

type Context = ReturnType<typeof newSet>['ctx'];
const PIECES = [
  { file: 'qdrant/a.snapshot', bytes: 1 },
  { file: 'qdrant/b.snapshot', bytes: 1 },
];
const { signal } = new AbortController();

const send = async (ctx: Context) => {
  await sendPieces(ctx, PIECES, signal);
  await endSending(ctx, PIECES, signal);
};
const names = async (id: string) =>
  ['qdrant/a.snapshot', 'manifest.json', 'UNFINISHED'].map(
    async (name) =>
      [
        name,
        await store.get(`sent/${id}/${name}`).then(
          () => 'there',
          () => 'not there',
        ),
      ] as const,
  );
const standing = async (id: string) => Object.fromEntries(await Promise.all(await names(id)));

test('a set that could not be ended stays unfinished there, what is there is gone here, and a retry sends the rest only', async () => {
  const { folder, ctx } = newSet('broken');
  await beginSending(ctx, 'qdrant');
  await proxy.become({
    kind: 'answers',
    to: /^PUT .*manifest\.json/,
    answer: httpAnswer(403, '<Error><Code>AccessDenied</Code></Error>', { type: 'application/xml' }),
  });
  await expect(send(ctx)).rejects.toThrow(/Tried to write s3:.*manifest\.json.*refuses it/);
  expect(await standing('broken')).toEqual({
    'qdrant/a.snapshot': 'there',
    'manifest.json': 'not there',
    UNFINISHED: 'there',
  });
  expect(existsSync(join(folder, 'qdrant/a.snapshot'))).toBe(false);
  await proxy.become();
  const before = store.asked.length;
  await send(ctx);
  expect(store.asked.slice(before).filter((one) => /^PUT .*\.snapshot/.test(one))).toEqual([]);
  expect(await standing('broken')).toEqual({
    'qdrant/a.snapshot': 'there',
    'manifest.json': 'there',
    UNFINISHED: 'not there',
  });
  expect(existsSync(folder)).toBe(false);
});

test('a set that is another one there than was sent is told, and stays unfinished', async () => {
  const { folder, ctx } = newSet('altered');
  await beginSending(ctx, 'qdrant');
  await proxy.become({ kind: 'answers', to: /^GET .*b\.snapshot/, answer: httpAnswer(200, 'x', { type: 'binary' }) });
  await expect(send(ctx)).rejects.toThrow(/b\.snapshot is not what was sent there/);
  await proxy.become();
  expect((await standing('altered'))['manifest.json']).toBe('not there');
  expect(existsSync(join(folder, 'qdrant/b.snapshot'))).toBe(true);
});

test('a piece that was taken away there ends in no manifest', async () => {
  const { ctx } = newSet('meddled');
  await sendPieces(ctx, PIECES, signal);
  await storageOf(ctx.newBackup!.to!, store.settings).remove(ctx.gateway, `${ctx.newBackup!.to}/qdrant/b.snapshot`);
  await expect(endSending(ctx, PIECES, signal)).rejects.toThrow(/b\.snapshot was sent, and is not there any more/);
  expect((await standing('meddled'))['manifest.json']).toBe('not there');
});

test('a part that is taken again begins anew there', async () => {
  const { ctx } = newSet('again');
  await store.put('sent/again/qdrant/of-an-earlier-attempt.snapshot', 'x');
  await store.put('sent/again/postgres/novamem.dump', 'x');
  await beginSending(ctx, 'qdrant');
  await expect(store.get('sent/again/qdrant/of-an-earlier-attempt.snapshot')).rejects.toThrow();
  expect((await store.get('sent/again/postgres/novamem.dump')).toString()).toBe('x');
});

test('what does not fit here until it is sent is told with both numbers, before anything is made', async () => {
  const { ctx } = newSet('large');
  const next = expect.stringMatching(/NOVAMEM_RUNBOOK_HOME=/);
  expect(await makingRoomFindings(ctx, 'base backup', 2 ** 60, { exact: true })).toEqual([
    { level: 'blocking', message: expect.any(String), next },
  ]);
  expect((await makingRoomFindings(ctx, 'dump', 2 ** 60))[0]!.level).toBe('warning');
  expect(await makingRoomFindings(ctx, 'base backup', 1, { exact: true })).toEqual([
    {
      level: 'info',
      message: expect.stringMatching(
        /^the base backup takes about 1 B, and .* are free in .*, from which it is sent to s3:/,
      ),
    },
  ]);
});

test('a bucket that is not there is told before anything is backed up', async () => {
  const { ctx } = newSet('nowhere', 's3://nobodys-bucket/x');
  expect(await sendingFindings(ctx)).toMatchObject([
    { level: 'blocking', message: expect.stringContaining('there is no bucket nobodys-bucket') },
  ]);
  expect(await sendingFindings(newSet('well').ctx)).toEqual([]);
});
