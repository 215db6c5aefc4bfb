import { execFileSync } from 'node:child_process';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toolsFor } from '../../src/stores/postgres/tools.js';
import { startPostgres, stopPostgres } from '../support/damage.js';
import {
  broken,
  failedAsAnnounced,
  graphIn,
  type HalfWay,
  halfWay,
  isRecovered,
  rowsIn,
  start,
  vectorsIn,
} from '../support/half-way.js';
import { nextSegment } from '../support/point-in-time.js';
import { runFile } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { smallDisk } from '../support/small-disk.js';

// The central step of each scenario of Postgres really fails half-way: what its plan announced is what is there, and the same
// scenario recovers everything afterwards.

const FROM_STDIN = 'relation, strength) FROM stdin';
const SECOND_RENAMING = 'RENAME TO "novamem"';

let real: RealCluster;
let cluster: HalfWay;
/** What the backup holds: one memory less than there is before each run. */
let backedUp: Awaited<ReturnType<typeof rowsIn>>;
let before: typeof backedUp;
let others: unknown[];

const ofOthers = async () => [await vectorsIn(real), await graphIn(real)];

const databases = async () =>
  (
    await real.sql(`SELECT datname AS name FROM pg_database WHERE datname LIKE 'novamem%' ORDER BY 1`, 'postgres')
  ).map((row) => row.name as string);

/** The one database of those beside novamem whose name says what it is. */
async function kept(what: 'before' | 'restoring'): Promise<string> {
  const found = (await databases()).filter((name) => name.startsWith(`novamem_${what}_`));
  expect(found).toHaveLength(1);
  return found[0]!;
}

async function removeKept(): Promise<void> {
  for (const name of await databases())
    if (name !== 'novamem') await real.sql(`DROP DATABASE "${name}" WITH (FORCE)`, 'postgres');
}

beforeAll(async () => {
  real = await realCluster();
  cluster = await halfWay(real);
  backedUp = await rowsIn(real);
  await real.backup();
  await real.backup(real.cluster.profile, { 'backup-base': { take: true } });
});

beforeEach(async () => {
  cluster.ports.postgres.forget();
  await removeKept();
  await real.cluster.novamem!.ask('/v1/remember', { content: 'younger than the backup' });
  before = await rowsIn(real);
  expect(before).not.toEqual(backedUp);
  others = await ofOthers();
});

const corrupt = (way: string) =>
  cluster.run(
    'postgres-corrupt',
    ...['--set', `way.answer=${way}`, '--set', 'reconcile-choice.answer=delete'],
    // Nothing is damaged here: what is examined is of no matter.
    ...['--set', 'examine.patienceSeconds=1'],
  );

describe('a damaged database that is replaced', () => {
  test('in place, by a server that is killed meanwhile, is as it was, and its safety copy holds all of it', async () => {
    const tried = await broken(real, cluster, ['postgres', FROM_STDIN], () => corrupt('clean'));
    expect(await failedAsAnnounced(real, cluster, tried, 'restore-in-place')).toMatch(
      /pg_restore ended with 1: .*The database is as it was/s,
    );
    expect((await real.cluster.answering('postgres')).answers).toBe(false);
    await start(real, 'postgres');
    expect([await rowsIn(real), ...(await ofOthers())]).toEqual([before, ...others]);
    expect(await databases()).toEqual(['novamem']);

    const [copy] = tried.events.filter((event) => event.type === 'step.safety-copy');
    await real.sql('CREATE DATABASE novamem_copy TEMPLATE template0', 'postgres');
    const { bin } = await toolsFor(15);
    const { toolArguments, toolEnvironment } = real.cluster.postgres;
    const restored = await runFile(`${bin}/pg_restore`, [...toolArguments, '--dbname', 'novamem_copy', copy!.at], {
      environment: { ...toolEnvironment.environment, ...toolEnvironment.secretEnvironment },
    });
    expect(restored).toMatchObject({ exitCode: 0 });
    expect(await rowsIn(real, 'novamem_copy')).toEqual(before);

    await isRecovered(real, await corrupt('clean'));
    expect(await rowsIn(real)).toEqual(backedUp);
  });

  test('beside, on a disk that is full in the middle, is untouched; the half-filled one is named', async ({
    skip,
  }) => {
    const disk = await smallDisk(real);
    if (!disk) return skip('only root may mount a small disk');
    try {
      const filled = cluster.ports.postgres.once(FROM_STDIN, disk.fill);
      const tried = await corrupt('swap');
      expect(filled.happened).toBe(true);
      disk.empty();
      const reason = await failedAsAnnounced(real, cluster, tried, 'restore-beside');
      const beside = await kept('restoring');
      expect(reason).toContain('No space left on device');
      expect(reason).toContain(`novamem is untouched. ${beside} is half filled`);
      expect([await rowsIn(real), ...(await ofOthers())]).toEqual([before, ...others]);

      await isRecovered(real, await corrupt('swap'));
      expect(await rowsIn(real)).toEqual(backedUp);
    } finally {
      await disk.leave();
    }
  });

  test('beside, by a server that is killed between the two renamings, is untouched and has its name', async () => {
    const tried = await broken(real, cluster, ['postgres', SECOND_RENAMING], () => corrupt('swap'));
    expect(await failedAsAnnounced(real, cluster, tried, 'restore-beside')).toMatch(
      /the renaming ended without an answer .*Both names have changed, or neither/,
    );
    await start(real, 'postgres');
    expect([await rowsIn(real), ...(await ofOthers())]).toEqual([before, ...others]);
    expect(await databases()).toEqual(['novamem', await kept('restoring')]);

    await isRecovered(real, await corrupt('swap'));
    expect(await rowsIn(real)).toEqual(backedUp);
    expect(await rowsIn(real, await kept('before'))).toEqual(before);
  });

  test('beside, goes on when only the answer to the renaming is lost', async () => {
    const { postgres } = cluster.ports;
    postgres.once(SECOND_RENAMING, () => postgres.once('COMMIT', () => {}, { when: 'answered' }));
    await isRecovered(real, await corrupt('swap'));
    expect(await rowsIn(real)).toEqual(backedUp);
    expect(await rowsIn(real, await kept('before'))).toEqual(before);
  });
});

describe('a database without a backup', () => {
  const going = (way: string) =>
    cluster.run(
      'postgres-lost-no-backup',
      // There are backups here, and what earlier runs have kept.
      ...['--set', 'look.anyway=true', '--set', `way.answer=${way}`],
      ...['--set', 'acknowledge.answer=the memories are lost'],
    );

  test('is untouched where the server is killed before it is replaced by what was salvaged, or by an empty one', async () => {
    for (const [way, step, words] of [
      ['salvaged', 'restore-salvaged', FROM_STDIN],
      ['empty', 'start-empty', SECOND_RENAMING],
    ] as const) {
      const tried = await broken(real, cluster, ['postgres', words], () => going(way));
      await failedAsAnnounced(real, cluster, tried, step);
      await start(real, 'postgres');
      expect([await rowsIn(real), ...(await ofOthers())]).toEqual([before, ...others]);
      expect(await databases()).toEqual(['novamem', await kept('restoring')]);
      await removeKept();
    }
    await isRecovered(real, await going('salvaged'));
    expect(await rowsIn(real)).toEqual(before);
    expect(await rowsIn(real, await kept('before'))).toEqual(before);
  });
});

test('a recovery to a point in time whose server is killed leaves the data directory of before aside, whole', async () => {
  const [row] = await real.sql(
    'BEGIN; DELETE FROM memory_relations; SELECT txid_current()::text AS id INTO TEMP seen; COMMIT; SELECT id FROM seen',
  );
  await nextSegment(real);
  const deleted = await rowsIn(real);
  const back = () =>
    cluster.run(
      'postgres-point-in-time',
      ...['--set', `point-in-time.target=before ${row!.id}`, '--set', 'reconcile-choice.answer=keep'],
    );
  const tried = await broken(real, cluster, ['postgres', 'pg_is_wal_replay_paused'], () => back());
  const reason = await failedAsAnnounced(real, cluster, tried, 'point-in-time');
  expect(reason).toMatch(/Postgres has ended during the recovery/);
  expect((await real.cluster.answering('postgres')).answers).toBe(false);
  expect(await ofOthers()).toEqual(others);

  const again = await back();
  await isRecovered(real, again);
  expect(await rowsIn(real)).toEqual(before);

  // The way back by hand, word for word, of the run that failed.
  const byHand = /By hand: (if .* fi), and start Postgres/.exec(tried.stdout)![1]!;
  await stopPostgres(real.cluster);
  execFileSync('sh', ['-c', byHand]);
  await startPostgres(real.cluster);
  expect(await rowsIn(real)).toEqual(deleted);
});
