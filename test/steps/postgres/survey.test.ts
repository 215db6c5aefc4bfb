import { execFileSync } from 'node:child_process';
import {
  chownSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { homeSubfolder } from '../../../src/config/home.js';
import type { Profile } from '../../../src/config/profile.js';
import { postgresSurvey } from '../../../src/steps/postgres/survey.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { UNFINISHED_FILE } from '../../../src/stores/backup-set/manifest.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import { startPostgres, stopPostgres } from '../../support/damage.js';
import { perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

let real: RealCluster;
let backup: BackupSet;
let bin: string;

beforeAll(async () => {
  real = await realCluster(400);
  backup = await real.backup();
  ({ bin } = await toolsFor(15));
});

let root: string;
beforeEach(() => {
  root = tempFolder('root');
});

/** A cluster as the real one, that knows other places. */
function clusterWith(backups: string[], postgres: Partial<Profile['postgres']> = {}): Cluster {
  const { profile } = real.cluster;
  return new Cluster({ ...profile, backups, postgres: { ...profile.postgres, ...postgres } });
}

const look = (cluster: Cluster, given = {}) =>
  postgresSurvey.check(postgresSurvey.params.parse(given), real.context({ cluster }));

/** A finding that names a place. */
const about = async (place: string, cluster = clusterWith([root]), given = {}) =>
  (await look(cluster, given)).filter(({ message }) => message.includes(place));

describe('looking for something better than a salvage', () => {
  test('finds nothing where there is nothing, and proves that it looked', async () => {
    const ctx = real.context({ cluster: clusterWith([root]) });
    const found = await look(ctx.cluster);
    expect(found.filter(({ level }) => level !== 'info')).toEqual([]);
    const { facts, output } = await perform(postgresSurvey, {}, ctx);
    expect(output).toContain(`${root}: nothing`);
    expect(await unequal(postgresSurvey, {}, ctx, facts)).toEqual([]);
    expect(postgresSurvey.conclusion!(facts)?.text).toMatch(/0 better than a salvage, 0 worth a look$/);
  });

  test('finds a good dump in a set with a manifest: blocking, with the command that restores it', async () => {
    const [finding] = await about('novamem.dump', clusterWith([real.places.backups]));
    expect(finding).toEqual({
      level: 'blocking',
      message: expect.stringMatching(/something better than a salvage: dump .*, whole: 400 memories$/),
      next: expect.stringContaining(
        `novamem-runbook run postgres-corrupt --profile ${real.cluster.name} --backup ${backup.folder}`,
      ),
    });
    const [anyway] = await about('novamem.dump', clusterWith([real.places.backups]), { anyway: true });
    expect(anyway?.level).toBe('warning');
  });

  test('finds the good dump inside a set that is unfinished, which no listing offers', async () => {
    const set = join(root, '20261101T000000Z');
    mkdirSync(join(set, 'postgres'), { recursive: true });
    writeFileSync(join(set, UNFINISHED_FILE), 'unfinished');
    copyFileSync(backup.postgres!.file, join(set, 'postgres', 'novamem.dump'));
    const [finding] = await about('novamem.dump');
    expect(finding).toMatchObject({
      level: 'blocking',
      next: expect.stringContaining(`--backup ${join(set, 'postgres')}`),
    });
  });

  test('finds a loose dump whatever it is called, and says of a damaged one that it is unusable', async () => {
    copyFileSync(backup.postgres!.file, join(root, 'letzte-woche.bin'));
    const cut = join(root, 'cut.dump');
    copyFileSync(backup.postgres!.file, cut);
    truncateSync(cut, 9_000);
    expect(await about('letzte-woche.bin')).toMatchObject([{ level: 'blocking' }]);
    expect(await about('cut.dump')).toMatchObject([{ level: 'info', message: expect.stringMatching(/UNUSABLE/) }]);
  });

  test('does not call a dump unusable that is only newer than the programs here', async () => {
    const bytes = readFileSync(backup.postgres!.file);
    // Behind PGDMP stands the version of the format.
    bytes[6] = 99;
    writeFileSync(join(root, 'newer.dump'), bytes);
    expect(await about('newer.dump')).toMatchObject([
      {
        level: 'warning',
        message: expect.stringMatching(/is of a newer PostgreSQL: .*unsupported version \(1\.99\)/),
        next: expect.stringContaining('look at it with newer programs'),
      },
    ]);
  });

  test('believes a manifest more than a dump that can be read: an altered one is unusable', async () => {
    const set = join(root, backup.id);
    cpSync(backup.folder, set, { recursive: true });
    const file = join(set, 'postgres', 'novamem.dump');
    const bytes = readFileSync(file);
    bytes[bytes.length - 100] = bytes[bytes.length - 100]! ^ 1;
    writeFileSync(file, bytes);
    expect(await about(file)).toMatchObject([
      { level: 'info', message: expect.stringMatching(/UNUSABLE: .*SHA-256/) },
    ]);
  });

  test('finds dumps of other formats and base backups: worth a look, with what to type', async () => {
    const { postgres } = real.cluster;
    const environment = { ...process.env, ...postgres.toolEnvironment.secretEnvironment };
    const dump = (...args: string[]) =>
      execFileSync(join(bin, 'pg_dump'), [...postgres.toolArguments, ...args, 'novamem'], { env: environment });
    writeFileSync(join(root, 'plain.txt'), dump());
    writeFileSync(join(root, 'packed'), gzipSync(readFileSync(join(root, 'plain.txt'))));
    dump('-Fd', '-f', join(root, 'directory'));
    mkdirSync(join(root, 'base'));
    writeFileSync(join(root, 'base', 'backup_manifest'), '{}');
    writeFileSync(join(root, 'notes.txt'), 'nothing');
    const found = await look(clusterWith([root]));
    const said = found.filter(({ level }) => level === 'warning').map(({ message, next }) => `${message}; ${next}`);
    expect(said).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/SQL script of pg_dump .*plain\.txt.*psql/),
        expect.stringMatching(/SQL script of pg_dump .*packed.*gunzip/),
        expect.stringMatching(/folder of a dump .*directory.*pg_restore/),
        expect.stringMatching(/base backup .*base: .*postgres-point-in-time/),
      ]),
    );
    expect(said).toHaveLength(4);
  });

  test('finds the safety copies of earlier runs', async () => {
    const safety = homeSubfolder('runs', '20261101T000000Z-aaaa', 'safety', 'restore');
    copyFileSync(backup.postgres!.file, join(safety, 'novamem-before.dump'));
    try {
      expect(await about('novamem-before.dump')).toMatchObject([
        { level: 'blocking', next: expect.stringContaining(`--backup ${safety}`) },
      ]);
      const started = { seq: 1, type: 'run.started', mode: 'run', title: 'of "another"', profile: 'elsewhere' };
      writeFileSync(join(safety, '..', '..', 'journal.jsonl'), `${JSON.stringify(started)}\n`);
      expect(await about('novamem-before.dump')).toMatchObject([
        { level: 'warning', message: expect.stringMatching(/^worth a look first: .*, of the cluster elsewhere$/) },
      ]);
    } finally {
      truncateSync(join(safety, 'novamem-before.dump'), 0);
    }
  });

  test('finds archived write-ahead log, and says that it needs a base backup', async () => {
    const walArchive = tempFolder('wal');
    for (const name of ['000000010000000000000001', '000000010000000000000002.gz', '00000002.history', 'notes'])
      writeFileSync(join(walArchive, name), '');
    const [finding] = await about(walArchive, clusterWith([root], { walArchive }));
    expect(finding).toMatchObject({
      level: 'warning',
      message: expect.stringMatching(/2 segments, 000000010000000000000001 to 000000010000000000000002.*base backup/),
    });
  });

  test('finds a database that an earlier swap kept, and whether its memories can be read', async () => {
    await real.sql('CREATE DATABASE "novamem_before_20261101T000000000Z"', 'postgres');
    const empty = await about('novamem_before_');
    await real.sql('DROP DATABASE "novamem_before_20261101T000000000Z"', 'postgres');
    expect(empty).toMatchObject([{ level: 'info', message: expect.stringMatching(/no memories in it/) }]);
    await real.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'novamem' AND pid <> pg_backend_pid()`,
      'postgres',
    );
    await real.sql('CREATE DATABASE "novamem_before_20261102T000000000Z" TEMPLATE novamem', 'postgres');
    const kept = await about('novamem_before_');
    await real.sql('DROP DATABASE "novamem_before_20261102T000000000Z"', 'postgres');
    expect(kept).toMatchObject([
      {
        level: 'blocking',
        message: expect.stringMatching(/400 memories, all of them can be read/),
        next: expect.stringMatching(/RENAME TO "novamem_aside".*RENAME TO "novamem"/),
      },
    ]);
  });

  test('a data directory whose server was only stopped is better than any salvage', async () => {
    await stopPostgres(real.cluster);
    const stopped = await about(real.places.postgresData);
    await startPostgres(real.cluster);
    const [finding] = stopped.filter(({ message }) => message.includes('data directory'));
    expect(finding).toMatchObject({
      level: 'blocking',
      message: expect.stringMatching(/"shut down".*it was shut down properly/),
      next: expect.stringMatching(/start it.*postgres -D/),
    });
  });

  test('finds other data directories beside it', async () => {
    const folder = tempFolder('servers');
    const [dataDir, other] = [join(folder, 'main'), join(folder, 'main.old')];
    mkdirSync(other, { mode: 0o700 });
    const { uid, gid } = statSync(real.places.postgresData);
    for (const path of [folder, other]) chownSync(path, uid, gid);
    execFileSync(join(bin, 'initdb'), ['-D', other, '--no-sync', '-U', 'novamem', '--auth=trust'], {
      ...(process.getuid?.() === 0 ? { uid, gid } : {}),
      cwd: folder,
    });
    const found = await look(clusterWith([root], { dataDir }));
    expect(found).toContainEqual(
      expect.objectContaining({
        level: 'warning',
        message: expect.stringContaining(`another data directory ${other}`),
      }),
    );
    expect(found).toContainEqual(
      expect.objectContaining({ level: 'info', message: expect.stringContaining(`${dataDir}: it is gone`) }),
    );
  });

  test('says of a standby whom it follows, without the password that stands beside', async () => {
    const dataDir = tempFolder('standby');
    writeFileSync(join(dataDir, 'PG_VERSION'), '15\n');
    writeFileSync(join(dataDir, 'standby.signal'), '');
    writeFileSync(
      join(dataDir, 'postgresql.auto.conf'),
      `primary_conninfo = 'user=replicator password=s3cret-enough host=db-1 port=5433'\n`,
    );
    const found = await look(clusterWith([root], { dataDir }));
    expect(found).toContainEqual(
      expect.objectContaining({ level: 'warning', message: expect.stringMatching(/its primary is db-1:5433$/) }),
    );
    expect(JSON.stringify(found)).not.toContain('s3cret');
  });

  test('is told of a slot that something used once', async () => {
    await real.sql(`SELECT pg_create_physical_replication_slot('standby_one')`);
    const found = await about('standby_one');
    await real.sql(`SELECT pg_drop_replication_slot('standby_one')`);
    expect(found).toMatchObject([{ level: 'warning' }]);
  });
});

describe('a place that cannot be looked at', () => {
  test.each([
    ['a root that is not there', '/nowhere/backups', /no such file/i],
    ['a root that is elsewhere', 's3://acme-backups/novamem', /Tried to list s3:/],
  ])('%s may hold the backup: it blocks, and fails the step, unless that is left out knowingly', async (_what, place, why) => {
    const ctx = real.context({ cluster: clusterWith([place]) });
    expect(await about(place, ctx.cluster)).toMatchObject([
      { level: 'blocking', message: expect.stringMatching(why), next: expect.stringContaining('anyway=true') },
    ]);
    const { facts } = await perform(postgresSurvey, {}, ctx);
    expect(await unequal(postgresSurvey, {}, ctx, facts)).toHaveLength(1);
    expect(await about(place, ctx.cluster, { anyway: true })).toMatchObject([{ level: 'warning' }]);
    expect(await unequal(postgresSurvey, { anyway: true }, ctx, facts)).toEqual([]);
  });

  test('the lost server itself does not fail it', async () => {
    const { profile } = real.cluster;
    const cluster = new Cluster({
      ...profile,
      backups: [root],
      postgres: { ...profile.postgres, url: 'postgres://novamem@127.0.0.1:1/novamem' },
    });
    const ctx = real.context({ cluster });
    expect((await look(cluster)).filter(({ level }) => level === 'blocking')).toEqual([]);
    const { facts } = await perform(postgresSurvey, {}, ctx);
    expect(await unequal(postgresSurvey, {}, ctx, facts)).toEqual([]);
  });
});
