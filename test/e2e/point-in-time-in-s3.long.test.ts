import { chmodSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Cluster } from '../../src/stores/cluster.js';
import { awsStandIn } from '../support/aws-stand-in.js';
import { eventually } from '../support/eventually.js';
import { failedChecks, type Moment, momentOf, recover } from '../support/point-in-time.js';
import { type S3Store, s3Store } from '../support/s3-store.js';
import { contextOf, type RealCluster, realCluster } from '../support/sandbox.js';

// Back to a moment, out of a WAL archive that lies in a bucket only: the server archives to it and asks it, by the program aws.

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 });

let real: RealCluster;
let cluster: Cluster;
let store: S3Store;
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

beforeAll(async () => {
  const standIn = awsStandIn();
  chmodSync(standIn, 0o755);
  // The server's own PATH, which its commands see.
  process.env.PATH = `${standIn}:${process.env.PATH}`;
  store = await s3Store('acme-wal');
  real = await realCluster(200);
  const { profile } = real.cluster;
  const postgres = { ...profile.postgres, walArchive: store.url('wal') };
  cluster = new Cluster({ ...profile, postgres, s3: store.settings });
  await real.sql(
    `ALTER SYSTEM SET archive_command = 'aws --endpoint-url ${store.settings.endpoint} --region us-east-1 s3 cp %p ${store.url('wal')}/%f'`,
  );
  await real.sql('SELECT pg_reload_conf()');
  await real.sql('CREATE TABLE story (id int PRIMARY KEY)');
  await real.backup(profile, { 'backup-base': { take: true } });
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
  const own = `novamem-runbook-wal-cache-${process.pid}-`;
  for (const name of readdirSync(tmpdir()).filter((one) => one.startsWith(own)))
    rmSync(join(tmpdir(), name), { recursive: true });
});

test('a deletion is undone out of a bucket, with a stand-in for aws', async () => {
  const recovered = await recover(real, { target: before }, { ctx: contextOf(cluster) });
  expect(recovered.error).toBeUndefined();
  const rows = await real.sql('SELECT count(*)::int AS rows, max(id) AS newest FROM story');
  expect(rows).toEqual([{ rows: 200, newest: 200 }]);
  expect(await failedChecks(recovered)).toEqual([]);
  const histories = store.asked.filter((one) => /^PUT .*00000002\.history/.test(one));
  expect(histories.length).toBeGreaterThan(0);
});
