import { chmodSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import { postgresPointInTime } from '../../src/steps/postgres/point-in-time.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { Cluster } from '../../src/stores/cluster.js';
import { findBaseBackups } from '../../src/stores/postgres/base-backup.js';
import { s3Storage } from '../../src/stores/storage/s3/s3-storage.js';
import { awsStandIn } from '../support/aws-stand-in.js';
import { eventually } from '../support/eventually.js';
import { type FaultyProxy, faultyProxy, httpAnswer } from '../support/faulty-proxy.js';
import { failedChecks, leftBeside, type Moment, momentOf, recover } from '../support/point-in-time.js';
import { runProgram } from '../support/program.js';
import { S3_KEYS, type S3Store, s3Store } from '../support/s3-store.js';
import { contextOf, findings, type RealCluster, realCluster } from '../support/sandbox.js';

// Back to a moment, out of a bucket only: the base backup lies in a set there, and the server archives its log to it and asks it,
// by the program aws.

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let real: RealCluster;
let profile: Profile;
let store: S3Store;
let proxy: FaultyProxy;
let backup: BackupSet;
let before: Moment;

/** Ends the segment that is written to, and waits until the bucket has it. */
async function nextSegment(): Promise<void> {
  const [row] = await real.sql('SELECT pg_walfile_name(pg_current_wal_lsn()) AS name');
  await real.sql('SELECT pg_switch_wal()');
  const ends = `wal/${row!.name as string}`;
  await eventually(`${ends} is archived`, async () =>
    store.get(ends).then(
      () => true,
      () => false,
    ),
  );
}

/** The key of a file of the base backup. */
const keyOf = (file: string) => `sets/${backup.id}/postgres/base/${file}`;
const context = () => contextOf(new Cluster(profile));
const baseReads = (from: number) =>
  store.asked.slice(from).filter((one) => one.startsWith('GET') && one.includes('/postgres/base/'));

/** What lies in the base backup of a set, without the set, as `aws s3 cp --recursive` would put it elsewhere. */
async function copied(set: string, key: string): Promise<string> {
  const storage = s3Storage(store.settings);
  const base = `${set}/postgres/base/`;
  for (const { file } of await storage.filesBelow(base))
    await store.put(`${key}/${file.slice(base.length)}`, await store.get(file.slice(store.url('').length)));
  return store.url(key);
}

beforeAll(async () => {
  const standIn = awsStandIn();
  chmodSync(standIn, 0o755);
  // The server's own PATH, which its commands see.
  process.env.PATH = `${standIn}:${process.env.PATH}`;
  store = await s3Store('acme-wal');
  proxy = await faultyProxy(store.settings.endpoint);
  real = await realCluster(200);
  const { postgres } = real.cluster.profile;
  profile = {
    ...real.cluster.profile,
    backups: [store.url('sets')],
    postgres: { ...postgres, walArchive: store.url('wal') },
    s3: { ...store.settings, endpoint: proxy.url },
  };
  await real.sql(
    `ALTER SYSTEM SET archive_command = 'aws --endpoint-url ${store.settings.endpoint} --region us-east-1 s3 cp %p ${store.url('wal')}/%f'`,
  );
  await real.sql('SELECT pg_reload_conf()');
  await real.sql('CREATE TABLE story (id int PRIMARY KEY)');
  backup = await real.backup(profile, { 'backup-base': { take: true } });
  await real.sql('INSERT INTO story SELECT generate_series(1, 157)');
  await nextSegment();
  await real.sql('INSERT INTO story SELECT generate_series(158, 200)');
  await nextSegment();
  before = await momentOf(real);
  await real.sql('DELETE FROM story');
  await nextSegment();
  await real.sql('INSERT INTO story VALUES (1000)');
  await nextSegment();
});

afterAll(() => {
  // What was fetched is kept until the program ends, and a test's process does not end as the program does.
  const own = `novamem-runbook-wal-${hostname()}-${process.pid}-`;
  for (const name of readdirSync(tmpdir()).filter((one) => one.startsWith(own)))
    rmSync(join(tmpdir(), name), { recursive: true });
});

test('a base backup in a bucket is found, and proven to the last byte', async () => {
  const roots = [store.url('sets'), 's3://nobodys-bucket/x'];
  const { usable, unusable } = await findBaseBackups(roots, [], { s3: store.settings });
  expect(usable).toMatchObject([
    { id: backup.id, folder: `${backup.folder}/postgres/base`, hasWal: true, endedAt: backup.postgresBase!.endedAt },
  ]);
  expect(unusable).toEqual([
    { folder: 's3://nobodys-bucket/x', why: expect.stringMatching(/there is no bucket nobodys-bucket/) },
  ]);
  const environment = { ...S3_KEYS, AWS_ENDPOINT_URL: store.settings.endpoint, AWS_REGION: 'us-east-1' };
  const verify = () => runProgram(['backups', 'verify', backup.folder], { environment });
  const well = await verify();
  expect(well.stdout).toMatch(/ok\s+s3:\S+\/postgres\/base: the log/);
  expect(well.exitCode).toBe(0);
  const key = keyOf('global/pg_filenode.map');
  const good = await store.get(key);
  await store.put(key, Buffer.from(good).fill(7, 100, 101));
  const changed = await verify();
  expect(changed.exitCode).toBe(1);
  expect(changed.stdout).toMatch(/CHANGED\s+s3:.*1 file with another checksum.*pg_filenode\.map/);
  // What is changed there is found before Postgres is stopped, and nothing is left.
  const { error } = await recover(real, { target: before }, { ctx: context() });
  expect(error?.message).toMatch(/is not whole: checksum mismatch for file "global\/pg_filenode\.map"/);
  expect(await real.sql('SELECT count(*)::int AS rows FROM story')).toEqual([{ rows: 1 }]);
  expect(leftBeside(real)).toEqual([]);
  await store.put(key, good);
});

test('a base backup that somebody copied into a bucket is named by its URL', async () => {
  const url = await copied(backup.folder, 'by-hand/monday');
  const own = { ...profile, backups: [] };
  const found = await findings(postgresPointInTime, { target: before, base: `${url}/` }, contextOf(new Cluster(own)));
  expect(found).toContainEqual(
    expect.stringMatching(/^info: begins with the base backup monday .*which is brought from s3:\S+by-hand\/monday/),
  );
  const absent = await findings(
    postgresPointInTime,
    { target: before, base: `${url}-x` },
    contextOf(new Cluster(own)),
  );
  expect(absent).toContainEqual(expect.stringMatching(/^blocking: there is no usable base backup "s3:/));
});

test('a deletion is undone out of a bucket, in a second attempt that brings the rest only, with a stand-in for aws', async () => {
  const ctx = context();
  expect(await findings(postgresPointInTime, { target: before }, ctx)).toContainEqual(
    expect.stringMatching(/^info: begins with the base backup \S+ \(.*which is brought from s3:.* to .*\.placing-/),
  );
  const plan = await postgresPointInTime.plan(postgresPointInTime.params.parse({ target: before }), ctx);
  expect(plan.commands[0]).toMatch(/^aws .*s3 cp --recursive s3:\S+\/postgres\/base \S+\.placing-/);

  // One file is refused, and the attempt ends with most of the others brought.
  await proxy.become({
    kind: 'answers',
    to: /^GET .*postgres\/base\/pg_xact\/0000/,
    answer: httpAnswer(403, '<Error><Code>AccessDenied</Code></Error>', { type: 'application/xml' }),
  });
  const first = await recover(real, { target: before }, { ctx });
  expect(first.error?.message).toMatch(/Tried to read s3:.*pg_xact\/0000.*refuses it/);
  expect((await real.cluster.answering('postgres')).answers).toBe(true);
  expect(first.facts.dataDir).toBeDefined();

  await proxy.become({ kind: 'resets', after: 300_000, of: 'answer' });
  const asked = store.asked.length;
  const recovered = await recover(
    real,
    { target: before },
    {
      ctx,
      earlier: first.facts,
      onChange: ({ channel }) => {
        // The server asks through the same door, and has no patience with what breaks.
        if (channel === 'service') void proxy.become();
      },
    },
  );
  expect(recovered.error).toBeUndefined();
  expect(recovered.output).toContainEqual(
    expect.stringMatching(/ of .* are in .*placing-.* since an earlier attempt/),
  );
  const rows = await real.sql('SELECT count(*)::int AS rows, max(id) AS newest FROM story');
  expect(rows).toEqual([{ rows: 200, newest: 200 }]);
  expect(await failedChecks(recovered)).toEqual([]);
  const histories = store.asked.filter((one) => /^PUT .*00000002\.history/.test(one));
  expect(histories.length).toBeGreaterThan(0);
  const files = (await store.get(keyOf('backup_manifest'))).toString().match(/"Path"/g)!.length;
  expect(baseReads(asked).length).toBeLessThan(files / 2);
  expect(existsSync(join(real.places.postgresData, 'backup_manifest'))).toBe(false);
});
