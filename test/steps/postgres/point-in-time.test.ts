import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { profileSchema } from '../../../src/config/profile.js';
import { prepareRun } from '../../../src/engine/prepare-run.js';
import type { ProcessMark } from '../../../src/hosts/process-mark.js';
import { postgresPointInTime } from '../../../src/steps/postgres/point-in-time.js';
import type { StepContext } from '../../../src/steps/step.js';
import { Cluster } from '../../../src/stores/cluster.js';
import { inventoryPostgres } from '../../../src/stores/postgres/inventory.js';
import { eventually, isRunning } from '../../support/eventually.js';
import {
  beforeReplay,
  blocking,
  differences,
  failedChecks,
  leftBeside,
  look,
  type Recovered,
  recover,
  rowsOf,
  type Story,
  tellStory,
  undo,
} from '../../support/point-in-time.js';
import { realCluster } from '../../support/sandbox.js';
import { tempFolder } from '../../support/temp.js';

// Several recoveries in one test, on a machine that may be busy.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let story: Story;
let undone: Recovered[] = [];

beforeAll(async () => {
  story = await tellStory(600);
});

async function attempt(...[given, more]: [Record<string, unknown>, Parameters<typeof recover>[2]?]) {
  const recovered = await recover(story.real, given, more);
  undone.push(recovered);
  return recovered;
}

afterEach(async () => {
  for (const recovered of undone.reverse()) await undo(recovered);
  undone = [];
  for (const left of leftBeside(story.real)) rmSync(join(story.real.record.folder, left), { recursive: true });
});

const dataDir = () => story.real.places.postgresData;
const answers = async () => (await story.real.cluster.answering('postgres')).answers;

describe('somebody deleted it five minutes ago', () => {
  test('the runbook brings back every row and object of just before, and keeps what was there', async () => {
    const { real, inventory, before } = story;
    const run = await prepareRun({
      scenario: 'postgres-point-in-time',
      profile: real.cluster.profile,
      mode: 'live',
      backup: 'none',
      overrides: { 'point-in-time': { target: before }, 'reconcile-choice': { answer: 'delete' } },
      onFailure: 'stop',
    });
    run.subscribe(() => {
      for (const step of run.getSnapshot().attention)
        queueMicrotask(() => run.intend({ type: 'confirm', step, typed: real.cluster.name }));
    });
    await run.preflight();
    const step = run.getSnapshot().steps.find((one) => one.id === 'point-in-time')!;
    expect(step.plan?.destroys).toEqual([
      expect.stringMatching(/^database novamem at .*: 18 tables, 550 memories, 0 of them made since that moment$/),
      expect.stringMatching(/^\d+ transactions committed from then on, in every database of this server$/),
    ]);
    run.intend({ type: 'begin' });
    expect(await run.finished).toBe('recovered');
    expect(await differences(real, inventory)).toEqual([]);
    const { steps, standing } = run.getSnapshot();
    expect(standing.map((one) => [one.service, one.answers])).toEqual([
      ['novamem', true],
      ['postgres', true],
      ['qdrant', true],
      ['falkordb', true],
    ]);
    const [copy] = steps.find((one) => one.id === 'point-in-time')!.safetyCopies;
    expect(existsSync(join(copy!.at, 'PG_VERSION'))).toBe(true);
    expect(steps.every((one) => one.checks.length > 0 && one.checks.every((check) => check.ok))).toBe(true);
    // As an undo would, since a run that is over has none.
    undone.push({
      ctx: real.context({ runId: run.getSnapshot().run }),
      facts: { dataDir: dataDir(), aside: copy!.at, hadData: true, wasRunning: true, swapping: true, swapped: true },
    } as Recovered);
  });

  test('the one who asks is told what was deleted, when, and what to type for the moment before', async () => {
    const found = await look(story.real, {});
    expect(blocking(found)).toEqual([]);
    const said = found.map((finding) => finding.message);
    expect(said).toContainEqual(expect.stringMatching(/^now it is .* UTC \(here \d\d:\d\d:\d\d [+-]\d\d:\d\d\)$/));
    expect(said).toContainEqual(
      expect.stringMatching(
        new RegExp(`^reachable: after .* \\(base backup ${story.backup.id}\\) up to .*last commit`),
      ),
    );
    const removal = found.find((finding) => finding.message.includes(`transaction ${story.deletion} deleted`));
    expect(removal?.message).toMatch(/ 200 of story/);
    expect(removal?.next).toBe(`the moment before it: before ${story.deletion}`);
    expect(said.join('\n')).not.toMatch(/pg_|file 1663/);
    const plan = await postgresPointInTime.plan(postgresPointInTime.params.parse({}), story.real.context());
    expect(plan.asks).toMatchObject({ type: 'text' });
  });

  test('undo puts the data directory of before back, whatever was written since', async () => {
    const before = await inventoryPostgres(story.real.cluster.postgres);
    const identity = statSync(dataDir()).ino;
    const recovered = await attempt({ target: `before ${story.deletion}` });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    expect(await differences(story.real, story.inventory)).toEqual([]);
    await story.real.sql("INSERT INTO story VALUES (5000, 'after the recovery')");
    const said = await undo(undone.pop()!);
    expect(said.join('\n')).toMatch(/what had been recovered is kept as .*-undone/);
    expect(statSync(dataDir()).ino).toBe(identity);
    expect(await differences(story.real, before)).toEqual([]);
  });

  test('a restore point and a position are moments as well', async () => {
    await story.real.sql("INSERT INTO story VALUES (6000, 'one')");
    await story.real.sql("SELECT pg_create_restore_point('before the migration')");
    const [row] = await story.real.sql('SELECT pg_current_wal_insert_lsn()::text AS lsn');
    await story.real.sql("INSERT INTO story VALUES (6001, 'two')");
    for (const target of ['point before the migration', row!.lsn as string]) {
      const recovered = await attempt({ target });
      expect(recovered.error).toBeUndefined();
      expect(await failedChecks(recovered)).toEqual([]);
      const rows = await story.real.sql('SELECT id FROM story ORDER BY id');
      expect(rows.map((one) => one.id)).toEqual([1000, 6000]);
      await undo(undone.pop()!);
    }
    await story.real.sql('DELETE FROM story WHERE id >= 6000');
  });
});

describe('the newest transactions', () => {
  test('of a server that was killed are in no archive, and are replayed from its own directory', async () => {
    const { real } = story;
    await real.sql("INSERT INTO story VALUES (7000, 'the last word')");
    const { pid } = JSON.parse(readFileSync(real.places.pidFile('postgres'), 'utf8')) as ProcessMark;
    process.kill(pid, 'SIGKILL');
    await eventually('it is gone', () => !isRunning(pid));
    expect(blocking(await look(real, { target: 'latest' }))).toEqual([]);
    const recovered = await attempt({ target: 'latest' });
    expect(recovered.error).toBeUndefined();
    expect(await failedChecks(recovered)).toEqual([]);
    const rows = await real.sql('SELECT id FROM story ORDER BY id');
    expect(rows.map((one) => one.id)).toEqual([1000, 7000]);
    expect(recovered.output.join('\n')).toMatch(/of log that the archive lacks: taken from the old directory/);
    // It did not run before, so the undo leaves it stopped.
    const said = await undo(undone.pop()!);
    expect(said.at(-1)).toMatch(/Postgres did not run before, and is left stopped/);
    expect(await answers()).toBe(false);
    const driver = real.cluster.driver('postgres')!;
    await driver.start(real.context().gateway, { onLine: () => {} });
    await eventually('Postgres answers', answers);
    await real.sql('DELETE FROM story WHERE id = 7000');
  });

  test('of a server that cannot archive are handed over as well', async () => {
    const { real } = story;
    await real.sql("ALTER SYSTEM SET archive_command = 'false'");
    await real.sql('SELECT pg_reload_conf()');
    await real.sql("INSERT INTO story VALUES (7001, 'not archived'); SELECT pg_switch_wal()");
    await real.sql("INSERT INTO story VALUES (7002, 'not archived either')");
    await eventually('archiving fails', async () => {
      const [row] = await real.sql('SELECT failed_count::int AS count FROM pg_stat_archiver');
      return row!.count > 0;
    });
    expect((await look(real, { target: 'latest' })).map((finding) => finding.message)).toContainEqual(
      expect.stringMatching(/^the server fails to archive 0000/),
    );
    const recovered = await attempt({ target: 'latest' });
    expect(recovered.error).toBeUndefined();
    const rows = await real.sql('SELECT id FROM story ORDER BY id');
    expect(rows.map((one) => one.id)).toEqual([1000, 7001, 7002]);
    expect(recovered.output.join('\n')).toMatch(/was not archived: the server fails to archive/);
    // Its archive command came along: what is recovered is proven, and that later recoveries cannot follow is said.
    expect(await failedChecks(recovered)).toEqual([]);
    expect(recovered.output.join('\n')).toMatch(/warning: .*\.history is not archived: the server fails to archive/);
    await undo(undone.pop()!);
    await real.sql('ALTER SYSTEM RESET archive_command');
    await real.sql('SELECT pg_reload_conf()');
    await real.sql('DELETE FROM story WHERE id >= 7001');
  });
});

describe('a recovery that does not come to its end', () => {
  test('ended while it copies leaves the server running on its own directory, and undo leaves nothing behind', async () => {
    const before = await inventoryPostgres(story.real.cluster.postgres);
    const ending = new AbortController();
    const onChange = ({ text }: { text: string }) => {
      if (/^cp -r /.test(text)) queueMicrotask(() => ending.abort(new Error('aborted by the operator')));
    };
    const aborted = await attempt({ target: story.before }, { onChange, signal: ending.signal });
    expect(aborted.error?.message).toMatch(/aborted/);
    expect(await answers()).toBe(true);
    expect(existsSync(join(dataDir(), 'PG_VERSION'))).toBe(true);
    expect(await postgresPointInTime.probe(postgresPointInTime.params.parse({}), aborted.ctx, aborted.facts)).toBe(
      'not-started',
    );
    await undo(undone.pop()!);
    expect(leftBeside(story.real)).toEqual([]);
    expect(await differences(story.real, before)).toEqual([]);
  });

  test('ended while it replays leaves Postgres stopped and the old directory aside, as announced', async () => {
    const { real } = story;
    const ctx = real.context();
    const plan = await postgresPointInTime.plan(postgresPointInTime.params.parse({ target: story.before }), ctx);
    const ending = new AbortController();
    const onChange = beforeReplay(() => setImmediate(() => ending.abort(new Error('aborted by the operator'))));
    const aborted = await attempt({ target: story.before }, { onChange, signal: ending.signal, ctx });
    expect(aborted.error?.message).toMatch(/aborted/);
    expect(await answers()).toBe(false);
    expect(plan.onAbort).toContain(aborted.facts.aside);
    expect(existsSync(join(aborted.facts.aside!, 'PG_VERSION'))).toBe(true);
    expect(await postgresPointInTime.probe(postgresPointInTime.params.parse({}), ctx, aborted.facts)).toBe('partial');
    await undo(undone.pop()!);
    expect(await rowsOf(real)).toBe(1);
  });

  test('is retried from the start, and its way back stays the original', async () => {
    const { real } = story;
    const identity = statSync(dataDir()).ino;
    const ctx = real.context();
    const spoil = beforeReplay(() => rmSync(join(dataDir(), 'recovery.signal')));
    const failed = await attempt({ target: story.before }, { onChange: spoil, ctx });
    expect(failed.error).toBeDefined();
    undone.pop();
    const again = await attempt({ target: story.before200 }, { ctx, earlier: failed.facts });
    expect(again.error).toBeUndefined();
    expect(await failedChecks(again)).toEqual([]);
    expect(await rowsOf(real)).toBe(157);
    expect(statSync(again.facts.aside!).ino).toBe(identity);
    expect(again.facts.archiveMode).toBe('on');
    expect(leftBeside(real)).toHaveLength(2);
    await undo(undone.pop()!);
    expect(statSync(dataDir()).ino).toBe(identity);
    expect(await rowsOf(real)).toBe(1);
  });

  test('is not undone onto nothing when somebody has taken the old directory away', async () => {
    const recovered = await attempt({ target: story.before });
    expect(recovered.error).toBeUndefined();
    const { aside } = recovered.facts;
    renameSync(aside!, `${aside}-taken`);
    await expect(undo(recovered)).rejects.toThrow(/is not in .* any more. Nothing was changed/);
    expect(await rowsOf(story.real)).toBe(200);
    renameSync(`${aside}-taken`, aside!);
  });
});

describe('the configuration in the data directory', () => {
  test.each([
    ['current', 1],
    ['backup', 0],
  ])('is, with configuration=%s, that of now or that of the base backup', async (configuration, expected) => {
    const file = join(dataDir(), 'postgresql.conf');
    const before = readFileSync(file, 'utf8');
    appendFileSync(file, "application.of_now = 'yes'\n");
    const recovered = await attempt({ target: story.before, configuration });
    expect(recovered.error).toBeUndefined();
    const [row] = await story.real.sql("SELECT current_setting('application.of_now', true) AS value");
    expect(row!.value ? 1 : 0).toBe(expected);
    const auto = readFileSync(join(dataDir(), 'postgresql.auto.conf'), 'utf8');
    expect(auto).not.toMatch(/recovery|restore|archive_mode|logging_collector/);
    await undo(undone.pop()!);
    expect(readFileSync(file, 'utf8')).toBe(`${before}application.of_now = 'yes'\n`);
    await story.real.sql('SELECT 1');
    rmSync(file);
    appendFileSync(file, before);
    chmodSync(file, 0o644);
  });
});

describe('what stands in the way is found before anything is touched:', () => {
  const withPostgres = (change: Record<string, unknown>): Partial<StepContext> => {
    const { profile } = story.real.cluster;
    return {
      cluster: new Cluster(profileSchema.parse({ ...profile, postgres: { ...profile.postgres, ...change } })),
    };
  };
  const obstacle = async (more: Partial<StepContext>, given: Record<string, unknown> = { target: 'latest' }) =>
    blocking(await look(story.real, given, more)).map((finding) => finding.message);

  test('a profile that does not say where the files and the archive are', async () => {
    expect(await obstacle(withPostgres({ dataDir: undefined, walArchive: undefined }))).toEqual([
      expect.stringMatching(/does not say where the data directory of Postgres is/),
      expect.stringMatching(/does not say where the write-ahead log is archived/),
    ]);
  });

  test('a data directory that is not the server’s own', async () => {
    expect(await obstacle(withPostgres({ dataDir: story.backup.postgresBase!.folder }))).toEqual([
      expect.stringMatching(/the server says that its data directory is .*, and the profile says/),
    ]);
    expect(await obstacle(withPostgres({ dataDir: story.real.places.backups }))).toEqual([
      expect.stringMatching(/is no data directory of Postgres/),
    ]);
  });

  test('a write-ahead log behind a link that leads nowhere, or into the data directory itself', async () => {
    const other = tempFolder('other');
    writeFileSync(join(other, 'PG_VERSION'), '15\n');
    const link = join(other, 'pg_wal');
    symlinkSync('/nowhere/wal', link);
    const [nowhere] = blocking(await look(story.real, { target: 'latest' }, withPostgres({ dataDir: other })));
    expect(nowhere?.message).toBe(
      `${link} is a link that leads nowhere: the disk with the write-ahead log is not there`,
    );
    expect(nowhere?.next).toContain(`rm ${link}`);
    rmSync(link);
    mkdirSync(join(other, 'wal'));
    symlinkSync('wal', link);
    expect(await obstacle(withPostgres({ dataDir: other }))).toEqual([
      `${link} leads to ${other}/wal, which is in the data directory itself and would be moved with it`,
    ]);
  });

  test('an archive that is not there, a bucket that cannot be read, and one of another cluster', async () => {
    const other = await realCluster(0);
    await other.sql('CREATE TABLE written (n int)', 'postgres');
    await other.sql('SELECT pg_switch_wal()', 'postgres');
    const theirs = other.places.walArchive;
    await eventually('it has archived something', () => existsSync(join(theirs, '000000010000000000000001')));
    expect(await obstacle(withPostgres({ walArchive: theirs }))).toEqual([
      expect.stringMatching(/is of another cluster \(system \d+, here \d+\)/),
    ]);
    expect(await obstacle(withPostgres({ walArchive: '/nowhere' }))).toEqual([
      expect.stringMatching(/the WAL archive \/nowhere cannot be read/),
    ]);
    expect(await obstacle(withPostgres({ walArchive: 's3://acme/wal' }))).toEqual([
      expect.stringMatching(/the WAL archive s3:.* cannot be read\. Tried to list s3:\/\/acme\/wal/),
    ]);
  });

  test('no base backup of this cluster, or none of the name that was given', async () => {
    const { profile } = story.real.cluster;
    const nowhere = { cluster: new Cluster(profileSchema.parse({ ...profile, backups: [tempFolder('empty')] })) };
    expect(await obstacle(nowhere)).toEqual([
      expect.stringMatching(/there is no usable base backup of this cluster/),
    ]);
    expect(await obstacle({}, { target: 'latest', base: 'nightly' })).toEqual([
      'there is no usable base backup "nightly"',
    ]);
  });

  test('a service of which the profile does not say how it is stopped', async () => {
    const { profile } = story.real.cluster;
    const services = { ...profile.services, postgres: undefined };
    const ctx = { cluster: new Cluster(profileSchema.parse({ ...profile, services })) };
    expect(await obstacle(ctx)).toEqual([expect.stringMatching(/does not say how to stop and start Postgres/)]);
  });

  test('a transaction, a restore point and a position that the log does not have', async () => {
    expect(await obstacle({}, { target: 'before 4000000000' })).toEqual([
      expect.stringMatching(/^transaction 4000000000 neither was committed nor rolled back/),
    ]);
    expect(await obstacle({}, { target: 'point nowhere' })).toEqual([
      expect.stringMatching(/^there is no restore point "nowhere"/),
    ]);
    expect(await obstacle({}, { target: 'FF/0' })).toEqual([expect.stringMatching(/^the log does not reach FF\/0/)]);
  });

  test('an archive that the server’s user cannot read', async () => {
    const { walArchive } = story.real.places;
    chmodSync(walArchive, 0o000);
    const found = await look(story.real, { target: story.before });
    chmodSync(walArchive, 0o700);
    expect(found).toContainEqual(
      expect.objectContaining({
        level: 'warning',
        message: expect.stringMatching(/does not seem to be readable by user \d+/),
      }),
    );
  });
});
