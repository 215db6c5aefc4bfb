import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import { postgresBaseBackup } from '../../../src/steps/postgres/base-backup.js';
import type { BackupSet } from '../../../src/stores/backup-set/backup-set.js';
import { readManifest } from '../../../src/stores/backup-set/open-backup-set.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { faultInPlace } from '../../../src/stores/postgres/base-backup.js';
import { readControlData } from '../../../src/stores/postgres/control-data.js';
import { toolsFor } from '../../../src/stores/postgres/tools.js';
import { eventually } from '../../support/eventually.js';
import { perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

const quiet = { onLine: () => {} };
let real: RealCluster;
let backup: BackupSet;

beforeAll(async () => {
  real = await realCluster();
  backup = await real.backup(real.cluster.profile, { 'backup-base': { take: true } });
});

const newSet = (id: string) => real.context({ newBackup: { id, folder: join(real.places.backups, id) } });
const found = async (take = true, ctx = newSet('never-made')) =>
  (await postgresBaseBackup.check(postgresBaseBackup.params.parse({ take }), ctx)).map(
    ({ level, message, next = '' }) => `${level}: ${message} | ${next}`,
  );

async function restart(): Promise<void> {
  const driver = real.cluster.driver('postgres')!;
  const ctx = real.context();
  await driver.stop(ctx.gateway, quiet);
  await driver.start(ctx.gateway, quiet);
  await eventually('Postgres answers', async () => (await real.cluster.answering('postgres')).answers);
}

/** Settings that need a restart, for as long as the work lasts. */
async function withSettings<T>(settings: Record<string, string>, work: () => Promise<T>): Promise<T> {
  for (const [name, value] of Object.entries(settings)) await real.sql(`ALTER SYSTEM SET ${name} = '${value}'`);
  await restart();
  try {
    return await work();
  } finally {
    await real.sql('ALTER SYSTEM RESET ALL');
    await restart();
  }
}

describe('a base backup', () => {
  test('is no part of a backup unless asked for', async () => {
    const plain = await real.backup();
    expect(plain.postgresBase).toBeUndefined();
    expect(existsSync(join(plain.folder, 'postgres', 'base'))).toBe(false);
    const plan = await postgresBaseBackup.plan(postgresBaseBackup.params.parse({}), newSet('never-made'));
    expect(plan).toMatchObject({ commands: [], notAskedFor: expect.stringContaining('take=true') });
    expect(await found(false)).toEqual([]);
    rmSync(plain.folder, { recursive: true });
  });

  test('is in the set with what it is, beside the dump', async () => {
    const { parts } = readManifest(backup.folder);
    const tools = await toolsFor(15);
    const { systemIdentifier, timeline } = await readControlData(real.places.postgresData, tools);
    expect(parts.postgresBase).toMatchObject({ folder: 'postgres/base', timeline, systemIdentifier });
    expect(parts.postgresBase!.files).toBeGreaterThan(500);
    expect(parts.postgresBase!.bytes).toBeGreaterThan(10_000_000);
    expect(existsSync(backup.postgres!.file)).toBe(true);
    expect(backup.bytes).toBeGreaterThan(parts.postgresBase!.bytes);
    // It ended before the set was finished, by the server's own clock.
    expect(backup.postgresBase!.endedAt.getTime()).toBeGreaterThan(Date.parse(readManifest(backup.folder).startedAt));
  });

  test('that was changed afterwards is found to be', async () => {
    const folder = backup.postgresBase!.folder;
    expect(await faultInPlace(folder)).toBe('');
    const file = join(folder, 'global', 'pg_filenode.map');
    const whole = readFileSync(file);
    writeFileSync(file, Buffer.from(whole).fill(7, 100, 101));
    expect(await faultInPlace(folder)).toMatch(/checksum mismatch for file "global\/pg_filenode\.map"/);
    writeFileSync(file, whole);
    rmSync(join(folder, 'pg_hba.conf'));
    expect(await faultInPlace(folder)).toMatch(/"pg_hba\.conf" is present in the manifest but not on disk/);
  });

  test('tells its bytes as it goes, and can be taken again after it was ended half-way', async () => {
    const ctx = newSet('20990101T000000Z');
    const ending = new AbortController();
    const ended = await perform(postgresBaseBackup, { take: true }, ctx, {
      signal: ending.signal,
      onOutput: (line) => {
        if (/pg_basebackup/.test(line)) ending.abort(new Error('aborted by the operator'));
      },
    });
    expect(ended.error?.message).toMatch(/aborted/);
    expect(ended.facts.part).toBeUndefined();
    expect(await postgresBaseBackup.probe(postgresBaseBackup.params.parse({}), ctx, ended.facts)).toBe('not-started');
    const [left] = await real.sql('SELECT count(*)::int AS count FROM pg_stat_replication');
    expect(left!.count).toBe(0);

    const progress: number[] = [];
    const facts: Record<string, unknown> = {};
    const params = postgresBaseBackup.params.parse({ take: true });
    for await (const event of postgresBaseBackup.run(params, ctx, new AbortController().signal)) {
      if (event.type === 'progress') progress.push(event.done / event.total!);
      if (event.type === 'facts') Object.assign(facts, event.facts);
    }
    expect(progress.at(-1)).toBe(1);
    expect(await unequal(postgresBaseBackup, { take: true }, ctx, facts)).toEqual([]);
    rmSync(ctx.newBackup!.folder, { recursive: true });
  });
});

describe('what makes it hopeless is said with what to type:', () => {
  test('nothing, where everything is as it should be', async () => {
    expect(await found()).toEqual([expect.stringMatching(/^info: log is archived to .*, last 0000/)]);
  });

  test('a server that writes too little, and lets no sender in', async () => {
    const said = await withSettings({ wal_level: 'minimal', max_wal_senders: '0', archive_mode: 'off' }, () =>
      found(),
    );
    expect(said).toEqual([
      expect.stringMatching(
        /^blocking: wal_level is minimal.*\| ALTER SYSTEM SET wal_level = 'replica'; then restart/,
      ),
      expect.stringMatching(
        /^blocking: max_wal_senders is 0.*\| ALTER SYSTEM SET max_wal_senders = 10; then restart/,
      ),
      expect.stringMatching(/^warning: archive_mode is off.*\| ALTER SYSTEM SET archive_mode = 'on';/),
    ]);
  });

  test('a role without the right, and one that pg_hba.conf does not let in', async () => {
    const { profile } = real.cluster;
    await real.sql("CREATE ROLE plain LOGIN PASSWORD 'plain'; GRANT pg_read_all_settings TO plain");
    const url = new URL(profile.postgres.url);
    url.username = 'plain';
    process.env.PLAIN_PASSWORD = 'plain';
    const plain = new Cluster(
      profileSchema.parse({
        ...profile,
        postgres: { ...profile.postgres, url: url.href, passwordFrom: 'env:PLAIN_PASSWORD' },
      }),
    );
    const ctx = { ...newSet('never-made'), cluster: plain };
    expect(await found(true, ctx)).toContainEqual(
      expect.stringMatching(/^blocking: the role plain may not .*\| as a superuser: ALTER ROLE "plain" REPLICATION;/),
    );
    await real.sql('ALTER ROLE plain REPLICATION');
    const file = join(real.places.postgresData, 'pg_hba.conf');
    const rules = readFileSync(file, 'utf8');
    writeFileSync(file, `host replication plain 127.0.0.1/32 reject\n${rules}`);
    await real.sql('SELECT pg_reload_conf()');
    expect(await found(true, ctx)).toContainEqual(
      expect.stringMatching(/^blocking: the server refuses a replication connection: pg_hba\.conf rejects/),
    );
    writeFileSync(file, rules);
    await real.sql('SELECT pg_reload_conf()');
    expect((await found(true, ctx)).filter((line) => line.startsWith('blocking'))).toEqual([]);
    await real.sql('CREATE DATABASE closed');
    await real.sql('REVOKE CONNECT ON DATABASE closed FROM PUBLIC');
    const unknown = await found(true, ctx);
    await real.sql('DROP DATABASE closed');
    expect(unknown).toContainEqual(
      expect.stringMatching(
        /^warning: how much the base backup takes cannot be told \(.*closed.*\), and \S+ \S+ are free in .*\| GRANT pg_read_all_stats/,
      ),
    );
  });

  test('an archive command that fails', async () => {
    await real.sql("ALTER SYSTEM SET archive_command = 'false'");
    await real.sql('SELECT pg_reload_conf()');
    await real.sql('CREATE TABLE written (n int); SELECT pg_switch_wal()');
    await eventually('it is said', async () =>
      (await found()).some((line) => /^warning: the server fails to archive 0000/.test(line)),
    );
    await real.sql('ALTER SYSTEM RESET archive_command');
    await real.sql('SELECT pg_reload_conf()');
  });
});
