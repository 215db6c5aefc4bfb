import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openGateway } from '../../../src/hosts/gateway.js';
import { falkordbBackup } from '../../../src/steps/falkordb/backup.js';
import type { StepContext } from '../../../src/steps/step.js';
import type { FalkordbPart } from '../../../src/stores/backup-set/manifest.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { dumpsIntoBucket } from '../../support/dump-into-bucket.js';
import { eventually } from '../../support/eventually.js';
import { falkordbOf } from '../../support/falkordb.js';
import { type FalkordbElsewhere, falkordbElsewhere } from '../../support/falkordb-elsewhere.js';
import { httpAnswer } from '../../support/faulty-proxy.js';
import { contextOf, findings, open, perform, type RealCluster, unequal } from '../../support/sandbox.js';
import { whyNoSshServer } from '../../support/ssh-server.js';

// FalkorDB's files that go from where they lie into a bucket.

const { real, store, proxy, newBackup, asked } = dumpsIntoBucket();
const data = () => real().cluster.profile.falkordb.dataDir!;
const appended = () => join(data(), 'appendonlydir');
const keyOf = (id: string, file: string) => `root/${id}/${file}`;
/** Files of the server that this process has open. */
const heldOpen = () =>
  readdirSync('/proc/self/fd').flatMap((name) => {
    try {
      const file = readlinkSync(`/proc/self/fd/${name}`);
      return file.startsWith(data()) ? [file] : [];
    } catch {
      return [];
    }
  });
const rewriting = async () =>
  (await real().cluster.falkordb.config('auto-aof-rewrite-percentage'))['auto-aof-rewrite-percentage'];
/** Does this once, before the first file that is sent of these. */
function whenSending(ctx: StepContext, what: RegExp, work: () => Promise<unknown>): StepContext {
  let isDone = false;
  const gateway = openGateway(async ({ text }) => {
    if (isDone || !what.test(text)) return;
    isDone = true;
    await work();
  });
  return { ...ctx, gateway };
}
const cypher = (text: string) => falkordbOf(real()).cypher(text);

async function backedUp(ctx: StepContext) {
  const { error, facts } = await perform(falkordbBackup, {}, ctx);
  if (error) throw error;
  expect(await unequal(falkordbBackup, {}, ctx, facts)).toEqual([]);
  expect(existsSync(ctx.newBackup!.folder)).toBe(false);
  expect(heldOpen()).toEqual([]);
  return facts as { parts: FalkordbPart[]; moving?: object };
}

beforeEach(() => proxy().become());

describe('an append-only directory', () => {
  test('is planned, and told, to go there without a copy here', async () => {
    const ctx = newBackup('planned');
    const { commands } = await falkordbBackup.plan(falkordbBackup.params.parse({}), ctx);
    expect(commands[2]).toMatch(
      /^aws .* s3 cp --recursive \S+\/appendonlydir s3:\S+\/root\/planned\/falkordb\/appendonlydir$/,
    );
    expect(commands).toHaveLength(4);
    expect(await findings(falkordbBackup, {}, ctx)).toContainEqual(
      expect.stringMatching(/^info: the files go straight to s3:\S+\/root\/planned, and take no room here$/),
    );
  });

  test('is there as it was at one moment, though it is rewritten and written to while it is sent', async () => {
    let files: Record<string, Buffer> = {};
    let percentage = '';
    const ctx = whenSending(newBackup('rewritten'), /s3 cp - \S+\.base\.rdb$/, async () => {
      percentage = await rewriting();
      files = Object.fromEntries(readdirSync(appended()).map((name) => [name, readFileSync(join(appended(), name))]));
      await cypher(`CREATE (:Visitor {id: 'later'})`);
      await real().cluster.falkordb.write(open, 'BGREWRITEAOF');
      await eventually('the earlier files are gone', async () =>
        Object.keys(files).every((name) => name.endsWith('.manifest') || !existsSync(join(appended(), name))),
      );
    });
    const before = await rewriting();
    const { parts, moving } = await backedUp(ctx);
    expect([percentage, moving]).toEqual([before, undefined]);
    expect(parts.map(({ file }) => basename(file)).sort()).toEqual(Object.keys(files).sort());
    for (const { file } of parts)
      expect((await store().get(keyOf('rewritten', file))).equals(files[basename(file)]!), file).toBe(true);
    await cypher(`MATCH (n:Visitor) DELETE n`);
  });

  test('that the bucket refuses is let go of, and is taken again by a retry', async () => {
    await proxy().become({
      kind: 'answers',
      to: /^PUT .*\.manifest/,
      answer: httpAnswer(403, '<Error><Code>AccessDenied</Code></Error>', { type: 'application/xml' }),
    });
    const ctx = newBackup('refused');
    const { error, facts } = await perform(falkordbBackup, {}, ctx);
    expect(error?.message).toMatch(/^Tried to write s3:.*\.manifest.*refuses it/);
    expect(facts.parts).toBeUndefined();
    expect(heldOpen()).toEqual([]);
    expect(await rewriting()).not.toBe('0');
    await proxy().become();
    const base = asked(/^PUT .*refused.*\.base\.rdb/).length;
    await backedUp({ ...ctx, earlier: { ...facts } });
    expect(asked(/^PUT .*refused.*\.base\.rdb/).length).toBe(base + 1);
    const there = asked(/^DELETE .*refused.*\.base\.rdb/);
    expect(there).toHaveLength(1);
  });

  test('that is another one there than was sent is removed there, and is no part of a set', async () => {
    await proxy().become({ kind: 'answers', to: /^GET [^?]*\.base\.rdb/, answer: httpAnswer(200, 'x') });
    const { error, facts } = await perform(falkordbBackup, {}, newBackup('altered'));
    expect(error?.message).toMatch(/\.base\.rdb is not what was sent there: .*It is removed there/);
    expect(facts.parts).toBeUndefined();
    expect(asked(/^DELETE .*altered.*\.base\.rdb/)).toHaveLength(1);
  });

  test('that is not whole is not sent', async () => {
    const ctx = newBackup('damaged');
    const base = () => join(appended(), readdirSync(appended()).find((name) => name.endsWith('.base.rdb'))!);
    const percentage = /CONFIG SET auto-aof-rewrite-percentage [1-9]/;
    let good: Buffer = Buffer.alloc(0);
    let damaged = '';
    const broken = whenSending(ctx, percentage, async () => {
      damaged = base();
      good = readFileSync(damaged);
      // In place: what is held open is the same file.
      writeFileSync(damaged, Buffer.from(good).fill(0, good.length - 9, good.length - 8));
    });
    const { error } = await perform(falkordbBackup, {}, broken);
    writeFileSync(damaged, good);
    expect(error?.message).toMatch(/^the copy is not whole: .*\.base\.rdb: it does not end with the end mark/);
    expect(asked(/^PUT .*damaged.*falkordb/)).toEqual([]);
    expect(heldOpen()).toEqual([]);
  });
});

describe('a saved file', () => {
  let settings: RealCluster['cluster']['falkordb'];
  beforeAll(async () => {
    settings = real().cluster.falkordb;
    await settings.write(open, 'CONFIG', 'SET', 'appendonly', 'no');
  });

  test('is there as it was saved, though another takes its name while it is sent', async () => {
    let saved: Buffer = Buffer.alloc(0);
    const file = join(data(), 'dump.rdb');
    const ctx = whenSending(newBackup('saved'), /s3 cp - \S+dump\.rdb$/, async () => {
      saved = readFileSync(file);
      await cypher(`CREATE (:Visitor {id: 'later'})`);
      await settings.write(open, 'BGSAVE');
      await eventually('another one is there', async () => !readFileSync(file).equals(saved));
    });
    const { parts } = await backedUp(ctx);
    expect(parts).toMatchObject([{ file: 'falkordb/dump.rdb', form: 'dump.rdb', bytes: saved.length }]);
    expect((await store().get(keyOf('saved', 'falkordb/dump.rdb'))).equals(saved)).toBe(true);
  });
});

const missing = whyNoSshServer();

describe.skipIf(missing)(`the files of another host${missing ? ` (not run here: ${missing})` : ''}`, () => {
  let there: FalkordbElsewhere;
  beforeAll(async () => {
    there = await falkordbElsewhere(real());
    await there.server.start();
    // Of more than one part.
    await there.server.cypher(`CREATE (:Blob {data: '${randomBytes(13_500_000).toString('base64')}'})`);
  });
  afterAll(() => there.server.down());

  const newSet = (id: string) => {
    const { cluster, newBackup: set } = newBackup(id);
    const { s3 } = cluster.profile;
    return contextOf(new Cluster({ ...there.profile, s3 }), { newBackup: set! });
  };
  const sumThere = (name: string) => there.host.run(`sha256sum ${there.data(name)}`).split(' ')[0];

  test('go from there, without a copy here', async () => {
    const ctx = newSet('elsewhere');
    const { commands } = await falkordbBackup.plan(falkordbBackup.params.parse({}), ctx);
    expect(commands[2]).toMatch(/^ssh graph-1 -- 'cat \S+\/appendonlydir\/NAME' \| aws .* s3 cp - s3:\S+\/NAME$/);
    const { parts } = await backedUp(ctx);
    expect(parts).toHaveLength(3);
    const base = parts.find(({ file }) => file.endsWith('.base.rdb'))!;
    expect(base.bytes).toBeGreaterThan(16 << 20);
    expect(base.sha256).toBe(sumThere(base.file.replace('falkordb/', '')));
    expect(readdirSync(dirname(ctx.newBackup!.folder))).toEqual([]);
  });

  test('that are rewritten while they are sent are taken again', async () => {
    const { falkordb } = there.cluster;
    const ctx = whenSending(newSet('torn'), /s3 cp - \S+\.incr\.aof$/, async () => {
      const before = there.host.run(`cat ${there.data('appendonlydir', 'appendonly.aof.manifest')}`);
      await falkordb.write(open, 'BGREWRITEAOF');
      await eventually('it is rewritten', async () => {
        const { aof_rewrite_in_progress: at } = await falkordb.info('persistence');
        return (
          at === '0' && there.host.run(`cat ${there.data('appendonlydir', 'appendonly.aof.manifest')}`) !== before
        );
      });
    });
    const { parts } = await backedUp(ctx);
    expect(asked(/^DELETE .*torn.*\.base\.rdb/)).toHaveLength(1);
    for (const { file, sha256 } of parts) expect(sha256).toBe(sumThere(file.replace('falkordb/', '')));
  });

  test('that were saved anew between two looks at them are taken again', async () => {
    const { falkordb } = there.cluster;
    await falkordb.write(open, 'CONFIG', 'SET', 'appendonly', 'no');
    const ctx = whenSending(newSet('saved-anew'), /s3 cp - \S+dump\.rdb$/, async () => {
      const { rdb_saves: before } = await falkordb.info('persistence');
      await there.server.cypher(`CREATE (:Visitor {id: 'later'})`);
      await falkordb.write(open, 'BGSAVE');
      await eventually('it is saved', async () => {
        const { rdb_saves: saves, rdb_bgsave_in_progress: at } = await falkordb.info('persistence');
        return at === '0' && saves !== before;
      });
    });
    const { parts } = await backedUp(ctx);
    expect(parts.map(({ sha256 }) => sha256)).toEqual([sumThere('dump.rdb')]);
  });
});
