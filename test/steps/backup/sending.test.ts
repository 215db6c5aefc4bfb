import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import { sendingFindings, sendSet } from '../../../src/steps/backup/sending.js';
import { Emitter } from '../../../src/steps/step-events.js';
import { Cluster } from '../../../src/stores/cluster.js';
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

const send = (ctx: ReturnType<typeof newSet>['ctx'], signal = new AbortController().signal) =>
  sendSet(ctx, new Emitter(() => {}), signal);
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

test('a set that could not be ended stays unfinished there and whole here, and a retry sends the rest only', async () => {
  const { folder, ctx } = newSet('broken');
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
  expect(existsSync(join(folder, 'qdrant/a.snapshot'))).toBe(true);
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
  await proxy.become({ kind: 'answers', to: /^GET .*b\.snapshot/, answer: httpAnswer(200, 'x', { type: 'binary' }) });
  await expect(send(ctx)).rejects.toThrow(/b\.snapshot is not what was sent there/);
  await proxy.become();
  expect((await standing('altered'))['manifest.json']).toBe('not there');
  expect(existsSync(folder)).toBe(true);
});

test('a bucket that is not there is told before anything is backed up', async () => {
  const { ctx } = newSet('nowhere', 's3://nobodys-bucket/x');
  expect(await sendingFindings(ctx)).toMatchObject([
    { level: 'blocking', message: expect.stringContaining('there is no bucket nobodys-bucket') },
  ]);
  expect(await sendingFindings(newSet('well').ctx)).toEqual([]);
});
