import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { postgresExamine } from '../../../src/steps/postgres/examine.js';
import { dataDirectory, fileOf, overwrite, startPostgres, stopPostgres, whileStopped } from '../../support/damage.js';
import { eventually } from '../../support/eventually.js';
import { findings, open, perform, type RealCluster, realCluster, unequal } from '../../support/sandbox.js';

let real: RealCluster;
let whole: ReturnType<typeof dataDirectory>;

beforeAll(async () => {
  real = await realCluster(1_000);
  whole = dataDirectory(real);
  await whole.keep();
});

beforeEach(() => whole.putBack());

describe('examining a damaged Postgres', () => {
  test('tells what is damaged and how much can be read, and proves it by a second look', async () => {
    const file = await fileOf(real, 'memory_entries');
    await whileStopped(real.cluster, () => overwrite(file, [3]));
    const ctx = real.context();
    const { facts, output, error } = await perform(postgresExamine, {}, ctx);
    expect(error).toBeUndefined();
    expect(output).toContainEqual(
      expect.stringMatching(/^public\.memory_entries: block 3 cannot be read: invalid page/),
    );
    expect(output.at(-1)).toMatch(
      /^damaged: 1 table \(public\.memory_entries\) with rows that cannot be read; [\d,]+ of about [\d,]+ rows can be read$/,
    );
    expect(postgresExamine.conclusion!(facts)).toEqual({ text: output.at(-1), exception: false });
    expect(await unequal(postgresExamine, {}, ctx, facts)).toEqual([]);
    await whole.putBack();
    expect(await unequal(postgresExamine, {}, ctx, facts)).toEqual([
      'postgres table public.memory_entries, block 3, looked at twice: expected damaged, found can be read now',
    ]);
  });

  test('of a sound one says that there is no damage', async () => {
    const { output } = await perform(postgresExamine, {}, real.context());
    expect(output.at(-1)).toMatch(/^no damage was found; ([\d,]+) of about \1 rows can be read$/);
  });

  test('goes on where a row ends the server’s process, and does not read that table any further', async () => {
    const holder = await real.session();
    await holder.query('BEGIN; LOCK TABLE memory_fts IN ACCESS EXCLUSIVE MODE');
    const examining = perform(postgresExamine, {}, real.context());
    const waiting = await eventually('the examination waits for the lock', async () => {
      const [row] = await real.sql(
        `SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'novamem-runbook%' AND wait_event_type = 'Lock' AND query LIKE '%count(t::text)%memory_fts%'`,
        'postgres',
      );
      return row?.pid as number | undefined;
    });
    process.kill(waiting, 'SIGKILL');
    const { output, error } = await examining;
    await holder.end().catch(() => {});
    expect(error).toBeUndefined();
    expect(output).toContainEqual(expect.stringMatching(/^not looked at: table public\.memory_fts: reading .* ends/));
    expect(output).toContainEqual(
      expect.stringMatching(/^looked at (\d+) of \d+ tables row by row, at (\d+) of \2 files/),
    );
  });

  test('says beforehand what pg_amcheck lacks and what to type for it', async () => {
    const found = await postgresExamine.check(postgresExamine.params.parse({}), real.context());
    expect(found).toContainEqual(
      expect.objectContaining({ level: 'info', next: expect.stringContaining('CREATE EXTENSION amcheck') }),
    );
  });
});

describe('a Postgres that does not answer', () => {
  test('and was only stopped is to be started, with what its control file says', async () => {
    await stopPostgres(real.cluster);
    const said = await findings(postgresExamine, {}, real.context());
    await startPostgres(real.cluster);
    expect(said[0]).toMatch(/^blocking: Postgres does not answer: /);
    expect(said).toContainEqual(expect.stringMatching(/^info: pg_controldata .*"shut down".*data checksums on$/));
    expect(said.join()).not.toMatch(/cannot start/);
  });

  test.each([
    ['whose control file is gone', () => rmSync(join(real.places.postgresData, 'global', 'pg_control'))],
    [
      'whose log of transactions is gone',
      () => rmSync(join(real.places.postgresData, 'pg_wal'), { recursive: true }),
    ],
  ])('and %s needs a fresh data directory: blocking, with what its log says', async (_what, damage) => {
    await stopPostgres(real.cluster);
    damage();
    const driver = real.cluster.driver('postgres')!;
    await driver.start(open, { onLine: () => {} });
    await eventually('it ends again', async () => (await driver.state()) === 'stopped');
    const found = await postgresExamine.check(postgresExamine.params.parse({}), real.context());
    expect(found[0]).toMatchObject({
      level: 'blocking',
      message: expect.stringMatching(
        /^Postgres cannot start: .*(PANIC|FATAL|could not find the database system).*a fresh data directory is needed$/,
      ),
      next: expect.stringContaining(`initdb --data-checksums -D ${real.places.postgresData}`),
    });
    expect(found.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^the server's log: /));
    expect(found.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^pg_controldata /));
  });
});
