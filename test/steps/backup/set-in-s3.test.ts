import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Profile } from '../../../src/config/profile.js';
import { openGateway } from '../../../src/hosts/gateway.js';
import { falkordbRestore } from '../../../src/steps/falkordb/restore.js';
import { postgresRestore } from '../../../src/steps/postgres/restore.js';
import { qdrantBackup } from '../../../src/steps/qdrant/backup.js';
import { qdrantRestore } from '../../../src/steps/qdrant/restore.js';
import type { StepKind } from '../../../src/steps/step.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { openBackupSet } from '../../../src/stores/backup-set/open-backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { faultyProxy } from '../../support/faulty-proxy.js';
import { type S3Store, s3Store } from '../../support/s3-store.js';
import { contextOf, findings, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

// A set that a backup has sent into a bucket, and restores out of it, by the steps of the runbooks.

let real: RealCluster;
let store: S3Store;
let profile: Profile;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  store = await s3Store();
  profile = { ...real.cluster.profile, backups: [store.url('root')], s3: store.settings };
  const watching = setInterval(() => seen.push(...large()), 5);
  backup = await real.backup(profile);
  clearInterval(watching);
});

/** What there is of sets in the folders of runs. */
const lyingHere = () => readdirSync(join(process.env.NOVAMEM_RUNBOOK_HOME!, 'runs'), { recursive: true }).map(String);
const large = () => lyingHere().filter((name) => /\.(dump|snapshot|rdb|aof)$/.test(name));
/** Dumps, snapshots and files of the graph that were ever seen there. */
const seen: string[] = [];

const context = (set: BackupSet) => real.context({ backup: set });

/** Restores from a set, and answers what is not as it was, nothing where all is. */
async function restored<P, F>(kind: StepKind<P, F>, set: BackupSet): Promise<string[]> {
  const ctx = context(set);
  const { error, facts } = await perform(kind, {}, ctx);
  if (error) throw error;
  expect(existsSync(join(ctx.workFolder, 'brought-here'))).toBe(false);
  const checks = await kind.verify(kind.params.parse({}), ctx, facts as F);
  expect(checks.length).toBeGreaterThan(0);
  return checks.filter((check) => !check.ok).map((check) => `${check.subject}: ${check.what}`);
}

describe('a backup whose first root is a bucket', () => {
  test('lies there with its manifest, and nothing of it is left here', async () => {
    expect(backup).toMatchObject({ kind: 'manifest', cluster: real.cluster.name });
    expect(backup.folder).toBe(`${store.url('root')}/${backup.id}`);
    expect(large()).toEqual([]);
  });

  test('took no room here for the dump, the snapshots and the graph', () => {
    expect(backup.qdrant.length).toBeGreaterThan(1);
    expect(seen).toEqual([]);
  });

  test('is planned with commands that leave nothing here', async () => {
    const ctx = contextOf(new Cluster(profile), { newBackup: { id: 'x', folder: '/x', to: store.url('root/x') } });
    const { commands } = await qdrantBackup.plan(qdrantBackup.params.parse({}), ctx);
    expect(commands.filter((one) => one.includes('/NAME'))).toHaveLength(backup.qdrant.length);
    for (const one of commands.filter((one) => one.includes('/NAME')))
      expect(one).toMatch(
        /^curl -fsS .*\/snapshots\/NAME' \| aws .* s3 cp - s3:\/\/\S+\/root\/x\/qdrant\/\S+\.snapshot$/,
      );
    expect(await findings(qdrantBackup, {}, ctx)).toContainEqual(
      expect.stringMatching(
        /^info: at most 4 snapshots at a time lie on the server until they are in s3:.*no room here$/,
      ),
    );
  });

  test('wrote its manifest last, and read back what it had sent', async () => {
    const puts = store.asked.filter((one) => /^PUT .*root\//.test(one)).map((one) => one.split('/').at(-1)!);
    expect(puts.at(-1)).toMatch(/^manifest\.json/);
    const gets = store.asked.filter((one) => /^GET .*novamem\.dump/.test(one));
    expect(gets.length).toBeGreaterThan(0);
  });
});

describe('a restore out of a bucket', () => {
  test('of Postgres plans with the file that it brings here', async () => {
    const plan = await postgresRestore.plan(postgresRestore.params.parse({}), context(backup));
    const [bring, restore] = plan.commands;
    expect(bring).toMatch(/^aws --endpoint-url http\S+ --region us-east-1 s3 cp s3:\S+novamem\.dump - > '(.*)'$/);
    expect(restore).toContain(/> '(.*)'$/.exec(bring!)![1]);
    const found = await findings(postgresRestore, {}, context(backup));
    expect(found.filter((one) => one.startsWith('blocking'))).toEqual([]);
    expect(found).toContainEqual(expect.stringMatching(/^info: the dump .* lies in s3:.*brought into/));
  });

  test('of each store brings back what was backed up, and removes what it brought here', async () => {
    expect(await restored(postgresRestore, backup)).toEqual([]);
    expect(await restored(qdrantRestore, backup)).toEqual([]);
    expect(await restored(falkordbRestore, backup)).toEqual([]);
  });

  test('of a dump that went through a pipe is restored by several jobs', async () => {
    const lines: string[] = [];
    const gateway = openGateway(({ text }) => lines.push(text));
    const ctx = { ...context(backup), gateway };
    const { error, facts } = await perform(postgresRestore, { strategy: 'swap', sessions: 'end', jobs: 3 }, ctx);
    expect(error).toBeUndefined();
    expect(lines).toContainEqual(
      expect.stringMatching(/pg_restore .*--jobs 3 .*brought-here\/postgres\/novamem\.dump/),
    );
    expect(await unequal(postgresRestore, { strategy: 'swap' }, ctx, facts)).toEqual([]);
  });

  test('goes through although every connection breaks half-way', async () => {
    const proxy = await faultyProxy(store.settings.endpoint);
    const largest = Math.max(...backup.qdrant.map(({ bytes }) => bytes));
    await proxy.become({ kind: 'resets', after: Math.round(largest * 0.7), of: 'answer' });
    const set = await openBackupSet(backup.folder, { ...store.settings, endpoint: proxy.url });
    expect(await restored(qdrantRestore, set)).toEqual([]);
    expect(proxy.met).toBeGreaterThan(0);
  });

  test.each([
    ['Postgres', postgresRestore, 'postgres/novamem.dump', /SHA-256 is .*, the manifest says/],
    ['FalkorDB', falkordbRestore, undefined, /SHA-256 is .*, the manifest says/],
    ['Qdrant', qdrantRestore, undefined, /SHA-256 is .*, the manifest says .*was put back as it was before/s],
  ] as const)('of a file of %s that was changed since is refused, and nothing is lost', async (_, kind, name, words) => {
    const file =
      name ??
      (kind === falkordbRestore ? backup.falkordb!.files[0]! : backup.qdrant[0]!).file.slice(
        backup.folder.length + 1,
      );
    const key = `root/${backup.id}/${file}`;
    const good = await store.get(key);
    const bad = Buffer.from(good);
    bad[bad.length >> 1]! ^= 1;
    await store.put(key, bad);
    try {
      const before = await real.sql('SELECT count(*) FROM memory_entries');
      const { error } = await perform(kind as StepKind<unknown, unknown>, {}, context(backup));
      expect(error?.message).toMatch(words);
      expect(await real.sql('SELECT count(*) FROM memory_entries')).toEqual(before);
      expect(await real.cluster.falkordb.graphs()).toContain(real.cluster.falkordb.graph);
    } finally {
      await store.put(key, good);
    }
  });

  test('of a graph whose files would not load is refused before anything begins', async () => {
    const plan = await falkordbRestore.plan(falkordbRestore.params.parse({}), context(backup));
    expect(plan.commands).toContainEqual(expect.stringMatching(/brought-here\/falkordb\/\S+base\.rdb/));
    const well = await findings(falkordbRestore, {}, context(backup));
    expect(well.filter((one) => one.startsWith('blocking'))).toEqual([]);
    const base = backup.falkordb!.files.find(({ file }) => file.endsWith('.base.rdb'))!.file;
    const key = base.slice(store.url('').length);
    const good = await store.get(key);
    const bad = Buffer.from(good);
    bad[bad.length - 9] = 0;
    await store.put(key, bad);
    const found = await findings(falkordbRestore, {}, context(backup));
    await store.put(key, good);
    expect(found).toContainEqual(
      `blocking: ${base}: it does not end with the end mark of an RDB file: it was cut off`,
    );
    const manifest = backup.falkordb!.files.find(({ file }) => file.endsWith('.manifest'))!.file;
    const named = manifest.slice(store.url('').length);
    const text = await store.get(named);
    await store.put(named, text.toString().replace('base.rdb', 'gone.rdb'));
    const gone = await findings(falkordbRestore, {}, context(backup));
    await store.put(named, text);
    expect(gone).toContainEqual(
      expect.stringMatching(/^blocking: s3:\S+: the manifest names \S+gone\.rdb, which is absent/),
    );
  });

  test('of a file that is missing is told before anything begins', async () => {
    const set = {
      ...backup,
      postgres: { ...backup.postgres!, file: `${backup.postgres!.file}-gone` },
    };
    const found = await findings(postgresRestore, {}, context(set));
    expect(found).toContainEqual(expect.stringMatching(/^blocking: the dump s3:.*-gone is not there/));
  });
});
