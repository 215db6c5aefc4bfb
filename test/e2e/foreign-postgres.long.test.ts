import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.js';
import { ForeignCluster } from '../support/foreign-cluster.js';
import { archiveLog, dropDatabase, overwritePages, plainBaseBackup } from '../support/foreign-damage.js';
import { ForeignProgram, wordsOf } from '../support/foreign-program.js';
import type { Ended } from '../support/program.js';

// On a cluster that the sandbox did not make, Postgres is really damaged, dropped or deleted from, and the real program, as a role
// that is no superuser, brings it back from its own backup set, from what plain commands made, and from nothing.

let cluster: ForeignCluster;
let program: ForeignProgram;
let archive: string;

beforeAll(async () => {
  cluster = await ForeignCluster.start(600);
  archive = await archiveLog(cluster);
});

afterAll(() => cluster?.stop());

// What a run keeps is better than a salvage: each test has a home of its own.
beforeEach(() => {
  program = new ForeignProgram(cluster);
});

afterEach(() => program.remove());

const dataDir = () => cluster.places.postgresData;
const unreadable = () =>
  expect(cluster.postgres((client) => client.query('SELECT count(content) FROM memory_entries'))).rejects.toThrow(
    /invalid page/,
  );

describe('a foreign Postgres with damaged pages, or without its database', () => {
  const damage = () =>
    overwritePages(cluster, { memory_entries: [0, 3], memory_relations_from_id_to_id_relation_key: [2] });

  test.each([
    ['a set', 'swap', damage, 0],
    ['loose files', 'clean-without-copy', damage, 4],
    ['loose files', 'clean', () => dropDatabase(cluster), 0],
  ] as const)('is back from %s by way of %s', async (source, way, harm, exitCode) => {
    const before = await cluster.measure();
    const { profile, named } = await program.backUp(source);
    await harm();
    if (way !== 'clean') await unreadable();
    const plan = await program.run('plan', 'postgres-corrupt', '--profile', profile, ...named);
    expect(plan.exitCode, wordsOf(plan)).toBe(0);
    expect(plan.stdout).not.toMatch(/other sessions? in novamem:.* novamem-runbook/);
    const answers = { 'way.answer': way, 'reconcile-choice.answer': 'keep' };
    const ended = await program.recover('postgres-corrupt', profile, answers, ...named);
    expect(ended.exitCode, wordsOf(ended)).toBe(exitCode);
    expect(await cluster.measure()).toEqual(before);
    expect(await program.leaks(ended)).toEqual([]);
  });
});

describe('a committed DELETE on a foreign Postgres', () => {
  /** Deletes memories; answers the number of the transaction. */
  const forget = () =>
    cluster.postgres(async (client) => {
      const { rows } = await client.query<{ transaction: string; deleted: number }>(
        `WITH gone AS (DELETE FROM memory_entries WHERE namespace = 'default' RETURNING 1)
         SELECT pg_current_xact_id()::text AS transaction, count(*)::int AS deleted FROM gone`,
      );
      expect(rows[0]!.deleted).toBeGreaterThan(50);
      return rows[0]!.transaction;
    });
  const now = () =>
    cluster.postgres(async (client) => {
      const { rows } = await client.query<{ at: string }>(
        `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' UTC' AS at`,
      );
      return rows[0]!.at;
    });
  const recover = (profile: string, target: string, more: Record<string, string> = {}) =>
    program.recover('postgres-point-in-time', profile, {
      'point-in-time.target': target,
      'reconcile-choice.answer': 'keep',
      ...more,
    });
  const histories = () => readdirSync(archive).filter((name) => name.endsWith('.history')).length;

  test('is undone with the base backup that the program took, by the transaction that the plan names', async () => {
    const places = { dataDir: dataDir(), walArchive: archive };
    const { profile } = await program.backUp('a set', places, '--set', 'backup-base.take=true');
    const [before, known] = [await cluster.measure(), histories()];
    const target = `before ${await forget()}`;
    const plan = await program.run('plan', 'postgres-point-in-time', '--profile', profile);
    expect(plan.exitCode, wordsOf(plan)).toBe(0);
    expect(plan.stdout).toMatch(new RegExp(`deleted .*\\n.*the moment before it: ${target}$`, 'm'));

    const ended = await recover(profile, target);
    expect(ended.exitCode, wordsOf(ended)).toBe(0);
    expect(await cluster.measure()).toEqual(before);
    expect(histories()).toBe(known + 1);
    expect(await program.leaks(plan, ended)).toEqual([]);
  });

  test('is undone with a base backup that plain pg_basebackup made, by the moment before it', async () => {
    const base = join(program.home, 'plain base');
    await plainBaseBackup(cluster, base);
    // The archive tells the end of a base backup to the second: only the next is surely behind it.
    const ended = Math.floor(Date.now() / 1000);
    await eventually('the next second has begun', async () => Math.floor(Date.now() / 1000) > ended);
    const [before, known, moment] = [await cluster.measure(), histories(), await now()];
    await forget();
    const places = { dataDir: dataDir(), walArchive: archive };
    const run = await recover(cluster.profileWith([], places), moment, { 'point-in-time.base': base });
    expect(run.exitCode, wordsOf(run)).toBe(0);
    expect(await cluster.measure()).toEqual(before);
    expect(histories()).toBe(known + 1);
    expect(await program.leaks(run)).toEqual([]);

    // A profile that names the directory which is kept would have that replaced.
    const aside = /safety copy of the data directory of Postgres: (\S+)/.exec(run.stdout)![1]!;
    expect(existsSync(join(aside, 'PG_VERSION'))).toBe(true);
    const wrong = cluster.profileWith([base], { ...places, dataDir: aside });
    const refused = await program.run('plan', 'postgres-point-in-time', '--profile', wrong);
    expect(refused.exitCode).toBe(1);
    expect(refused.stdout).toContain(`no server works in ${aside}: it has no postmaster.pid`);
  });

  test('is not gone back from with a --backup that would mean nothing', async () => {
    const profile = cluster.profileWith([], { dataDir: dataDir(), walArchive: archive });
    const answers = { 'point-in-time.target': 'latest', 'reconcile-choice.answer': 'keep' };
    const ended = await program.recover('postgres-point-in-time', profile, answers, '--backup', program.home);
    expect(ended).toMatchObject({ exitCode: 2, stdout: '' });
    expect(ended.stderr).toContain('uses no backup set');
  });
});

describe('a foreign Postgres without any backup', () => {
  const lostIds = ({ stdout }: Ended) =>
    readFileSync(/losses: .*ids: (\S+\.tsv)/.exec(stdout)![1]!, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t')[0]!);

  test('with damaged pages and no backup root, gives every other row back, exactly, and names the lost', async () => {
    const blocks = [0, 3];
    const kept = `(t.ctid::text::point)[0] NOT IN (${blocks})`;
    const { rows: lost } = await cluster.postgres((client) =>
      client.query<{ id: string }>(`SELECT id FROM memory_entries t WHERE NOT (${kept}) ORDER BY id COLLATE "C"`),
    );
    expect(lost.length).toBeGreaterThan(10);
    const expected = await rowsWhere(kept);
    await overwritePages(cluster, { memory_entries: blocks });

    const profile = cluster.profileWith([], { dataDir: dataDir() });
    const ended = await program.recover('postgres-lost-no-backup', profile, { 'way.answer': 'salvaged' });
    expect(ended.exitCode, wordsOf(ended)).toBe(4);
    expect(await rowsWhere('true')).toEqual(expected);
    expect(lostIds(ended)).toEqual(lost.map(({ id }) => id));
    // What has no memory any more goes, so that the stores agree again.
    const agreed = await program.recover('cross-check', profile, { 'reconcile-choice.answer': 'delete' });
    expect(agreed.exitCode, wordsOf(agreed)).toBe(0);
    expect(agreed.stdout).toContain(`${lost.length} stray vectors, ${lost.length} stray nodes`);
    expect(await program.leaks(ended, agreed)).toEqual([]);
  });

  test('with a dropped database and an empty backup root, starts empty; loose files that turn up still bring all', async () => {
    const before = await cluster.measure();
    const { rows } = await cluster.postgres((client) =>
      client.query<{ id: string }>('SELECT id FROM memory_entries ORDER BY id COLLATE "C"'),
    );
    const turnUp = join(program.home, 'found later');
    await cluster.backupWithPlainCommands(turnUp, 'dump.rdb');
    const empty = join(dirname(turnUp), 'empty root');
    mkdirSync(empty);
    await dropDatabase(cluster);

    const profile = cluster.profileWith([empty], { dataDir: dataDir() });
    const answers = { 'way.answer': 'empty', 'acknowledge.answer': 'the memories are lost' };
    const ended = await program.recover('postgres-lost-no-backup', profile, answers);
    expect(ended.exitCode, wordsOf(ended)).toBe(4);
    expect(lostIds(ended)).toEqual(rows.map(({ id }) => id));
    expect((await cluster.measure()).tables['public.memory_entries']).toEqual({ rows: 0, checksum: '0' });

    const whole = await program.recover('whole-cluster-lost', profile, {}, '--backup', turnUp);
    expect(whole.exitCode, wordsOf(whole)).toBe(0);
    expect(await cluster.measure()).toEqual(before);
    expect(await program.leaks(ended, whole)).toEqual([]);
  });

  /** Rows and checksums of what depends on memories and of what does not, as far as its memories are kept. */
  async function rowsWhere(kept: string): Promise<unknown> {
    const alive = (column: string) => `t.${column} IN (SELECT t.id FROM memory_entries t WHERE ${kept})`;
    const conditions = {
      memory_entries: kept,
      memory_fts: alive('entry_id'),
      memory_access: alive('entry_id'),
      memory_relations: `${alive('from_id')} AND ${alive('to_id')}`,
      metrics_samples: 'true',
      '"Reports"."Daily ""Totals"""': 'true',
    };
    return cluster.postgres(async (client) => {
      const found: unknown[] = [];
      for (const [table, condition] of Object.entries(conditions)) {
        const { rows } = await client.query(
          `SELECT count(*)::int AS rows, sum(hashtextextended(t::text, 0)::numeric)::text AS checksum FROM ${table} t WHERE ${condition}`,
        );
        found.push({ table, ...rows[0] });
      }
      return found;
    });
  }
});
