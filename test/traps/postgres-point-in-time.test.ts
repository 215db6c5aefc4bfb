import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeAll, expect, test, vi } from 'vitest';
import { profileSchema } from '../../src/config/profile.js';
import { exists } from '../../src/hosts/files.js';
import { postgresPointInTime } from '../../src/steps/postgres/point-in-time.js';
import { Cluster } from '../../src/stores/cluster.js';
import { eventually } from '../support/eventually.js';
import {
  beforeReplay,
  blocking,
  checksOf,
  failedChecks,
  leftBeside,
  look,
  momentOf,
  nextSegment,
  type Recovered,
  recover,
  rowsOf,
  type Story,
  startsServer,
  tellStory,
  undo,
} from '../support/point-in-time.js';

// The traps of docs/traps.md, section "Postgres: point in time", each provoked on a real server.

// Several recoveries in one test, on a machine that may be busy.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 });

let story: Story;
const attempts: Recovered[] = [];

beforeAll(async () => {
  story = await tellStory();
});

/** One attempt, which is undone after its test. */
async function attempt(...[given, more]: [Record<string, unknown>, Parameters<typeof recover>[2]?]) {
  const recovered = await recover(story.real, given, more);
  attempts.push(recovered);
  return recovered;
}

afterEach(async () => {
  for (const recovered of attempts.splice(0).reverse()) await undo(recovered);
  for (const left of leftBeside(story.real)) rmSync(join(story.real.record.folder, left), { recursive: true });
  expect(await rowsOf(story.real)).toBe(1);
});

const archive = () => story.real.places.walArchive;
const dataDir = () => story.real.places.postgresData;
const autoConf = () => join(dataDir(), 'postgresql.auto.conf');
const answers = async () => (await story.real.cluster.answering('postgres')).answers;
/** The archived segments of the first timeline that lie behind the base backup, oldest first. */
const behindBase = () => {
  const all = readdirSync(archive())
    .filter((name) => /^00000001[0-9A-F]{16}$/.test(name))
    .sort();
  const base = readdirSync(archive())
    .find((name) => name.endsWith('.backup'))!
    .slice(0, 24);
  return all.slice(all.indexOf(base) + 1);
};

/** The half-way state that the plan announces: stopped, the old data aside and whole. */
async function expectAnnounced({ facts, safetyCopies }: Recovered) {
  expect(await answers()).toBe(false);
  expect(safetyCopies).toEqual([{ of: 'the data directory of Postgres', at: facts.aside }]);
  expect(existsSync(join(facts.aside!, 'PG_VERSION'))).toBe(true);
}

test('T1: a recovery that dies after its start command ended well is found out, and its log is read', async () => {
  const [first] = behindBase();
  const kept = join(story.real.record.folder, 'taken-away');
  const spoil = beforeReplay(() => renameSync(join(archive(), first!), kept));
  const failed = await attempt({ target: story.before }, { onChange: spoil });
  renameSync(kept, join(archive(), first!));
  expect(failed.changes.filter(startsServer)).toHaveLength(1);
  expect(failed.error?.message).toMatch(/^the recovery failed: all log that could be had was replayed/);
  expect(failed.error?.message).toMatch(/recovery ended before configured recovery target was reached/);
  expect(failed.output.join('\n')).toMatch(/postgres: .* LOG: {2}starting point-in-time recovery/);
  await expectAnnounced(failed);
});

test('T1: that pg_ctl says all is well, and exits 0, is believed as little', async () => {
  const { real } = story;
  const { profile } = real.cluster;
  const process = profile.services.postgres;
  if (process?.driver !== 'process') throw new Error('the sandbox drives Postgres otherwise');
  const [program, , , ...options] = process.command as [string, ...string[]];
  const { uid, gid } = statSync(dataDir());
  const as = uid === 0 ? '' : `setpriv --reuid ${uid} --regid ${gid} --clear-groups `;
  const pgCtl = `cd / && ${as}${join(dirname(program), 'pg_ctl')} --pgdata ${dataDir()}`;
  const log = join(dataDir(), '..', 'logs', 'pg_ctl.log');
  writeFileSync(log, '');
  chownSync(log, uid, gid);
  const cluster = new Cluster(
    profileSchema.parse({
      ...profile,
      services: {
        postgres: {
          driver: 'command',
          start: `${pgCtl} --log ${log} --wait start -o "${options.map((word) => `'${word}'`).join(' ')}"`,
          stop: `${pgCtl} --mode fast --wait stop`,
        },
      },
    }),
  );
  const quiet = { onLine: () => {} };
  await real.cluster.driver('postgres')!.stop(real.context().gateway, quiet);
  await cluster.driver('postgres')!.start(real.context().gateway, quiet);
  const [first] = behindBase();
  const kept = join(real.record.folder, 'taken-away');
  const started: string[] = [];
  const failed = await recover(
    real,
    { target: story.before },
    {
      ctx: real.context({ cluster }),
      onChange: ({ channel, text }) => {
        if (channel !== 'service' || !/ start /.test(text)) return;
        started.push(text);
        renameSync(join(archive(), first!), kept);
      },
    },
  );
  renameSync(kept, join(archive(), first!));
  expect(started).toHaveLength(1);
  expect(failed.error?.message).toMatch(/recovery ended before configured recovery target was reached/);
  await expectAnnounced(failed);
  await undo(failed);
  await cluster.driver('postgres')!.stop(real.context().gateway, quiet);
  await real.cluster.driver('postgres')!.start(real.context().gateway, quiet);
  await eventually('Postgres answers', answers);
});

test('T1: a segment that is missing is named before anything is stopped', async () => {
  const [first] = behindBase();
  const kept = join(story.real.record.folder, 'taken-away');
  // The server keeps segments for a while: there it is missing as well.
  const own = join(dataDir(), 'pg_wal', first!);
  renameSync(join(archive(), first!), kept);
  const ownKept = `${kept}-own`;
  if (existsSync(own)) renameSync(own, ownKept);
  try {
    const [obstacle] = blocking(await look(story.real, { target: story.before }));
    expect(obstacle?.message).toContain(`${first} is missing (it is neither archived nor in pg_wal)`);
    const failed = await attempt({ target: 'latest' });
    expect(failed.error?.message).toContain(`${first} is missing`);
    expect(failed.changes).toEqual([]);
  } finally {
    renameSync(kept, join(archive(), first!));
    if (existsSync(ownKept)) renameSync(ownKept, own);
  }
});

test('T2: an archive that is gone ends a recovery to the latest, instead of promoting the end of the base backup', async () => {
  const elsewhere = `${archive()}-elsewhere`;
  // As a disk that is not mounted: the folder is there, and empty.
  const spoil = beforeReplay(() => {
    renameSync(archive(), elsewhere);
    mkdirSync(archive(), { mode: 0o755 });
  });
  const failed = await attempt({ target: 'latest' }, { onChange: spoil });
  const served = readdirSync(join(dataDir(), 'pg_wal')).filter((name) => name.startsWith('00000002'));
  rmSync(archive(), { recursive: true });
  renameSync(elsewhere, archive());
  expect(failed.error?.message).toMatch(/the WAL archive could not be read when [0-9A-F]{24} was asked for/);
  expect(served).toEqual([]);
  await expectAnnounced(failed);
});

test('T2: a server that ended before the last known transaction is not taken for recovered', async () => {
  const last = behindBase();
  const recovered = await attempt({ target: 'latest' });
  expect(recovered.error).toBeUndefined();
  expect(last.length).toBeGreaterThan(2);
  expect(await failedChecks(recovered)).toEqual([]);
  const early = { ...recovered, facts: { ...recovered.facts, said: { ...recovered.facts.said!, redoDone: '0/28' } } };
  expect(await failedChecks(early)).toEqual([expect.objectContaining({ what: 'recovery replayed up to' })]);
});

test('T3: without recovery.signal the server ignores the target; that it is up is not believed', async () => {
  const spoil = beforeReplay(() => rmSync(join(dataDir(), 'recovery.signal')));
  const failed = await attempt({ target: story.before }, { onChange: spoil });
  expect(failed.error?.message).toMatch(
    /the server did not recover as it should: recovery from the archive: expected begun, found never begun/,
  );
  await expectAnnounced(failed);
});

test('T4: a moment before the end of the base backup is refused, by time and by position', async () => {
  const { endedAt } = story.backup.postgresBase!;
  const early = new Date(endedAt.getTime() - 1).toISOString();
  for (const target of [early, '0/1000028']) {
    const [obstacle, ...more] = blocking(await look(story.real, { target }));
    expect(obstacle?.message).toMatch(
      /lies before the end of the oldest base backup .*: the server would stop there/,
    );
    expect(more).toEqual([]);
    const failed = await attempt({ target });
    expect([failed.error?.message, failed.changes]).toEqual([expect.stringContaining('lies before the end'), []]);
  }
});

test('T4: of several base backups the newest that ends before the moment is taken', async () => {
  const newer = await story.real.backup(story.real.cluster.profile, { 'backup-base': { take: true } });
  try {
    const begins = async (target: string) =>
      (await look(story.real, { target })).find((finding) => finding.message.startsWith('begins with'))?.message;
    expect(await begins(story.before)).toContain(story.backup.id);
    expect(await begins('latest')).toContain(newer.id);
    // A transaction that ended before the newest one is found behind the older one.
    expect(await begins(`before ${story.deletion}`)).toContain(story.backup.id);
  } finally {
    rmSync(newer.folder, { recursive: true });
  }
});

test('T5: a moment after the last commit is told apart, and "latest" is offered', async () => {
  const future = '2099-01-01 00:00 UTC';
  const [obstacle] = blocking(await look(story.real, { target: future }));
  expect(obstacle?.message).toMatch(
    /^nothing was committed at or after 2099-01-01 00:00:00 UTC \(the last is transaction/,
  );
  expect(obstacle?.next).toContain('--set <step>.target=latest');
  const refused = await attempt({ target: future });
  expect(refused.changes).toEqual([]);
  // The server's own way of saying so, should it ever get there.
  const spoil = beforeReplay(() =>
    writeFileSync(
      autoConf(),
      readFileSync(autoConf(), 'utf8').replace(
        /recovery_target_time = .*/,
        "recovery_target_time = '2099-01-01 00:00:00+00'",
      ),
    ),
  );
  const failed = await attempt({ target: story.before }, { onChange: spoil });
  expect(failed.error?.message).toMatch(
    /recovery ended before configured recovery target.*--set <step>\.target=latest/s,
  );
  await expectAnnounced(failed);
});

test('T6: the recovered server is writable; one that pauses instead is found out', async () => {
  const recovered = await attempt({ target: story.before });
  expect(recovered.error).toBeUndefined();
  await story.real.sql("INSERT INTO story VALUES (2000, 'written')");
  await undo(attempts.pop()!);
  const spoil = beforeReplay(() => appendFileSync(autoConf(), "recovery_target_action = 'pause'\n"));
  const failed = await attempt({ target: story.before }, { onChange: spoil });
  expect(failed.error?.message).toMatch(/the recovery waits for a person \(it is paused, and read-only\)/);
  await expectAnnounced(failed);
});

test('T7: a time without a zone is refused with the reason; one with a zone is the same moment on every server', async () => {
  const bare = story.before.replace(' UTC', '');
  expect(() => postgresPointInTime.params.parse({ target: bare })).toThrow(
    /a time without a zone means another moment/,
  );
  expect(postgresPointInTime.refuses!(postgresPointInTime.params.parse({}), bare)).toMatch(/add UTC/);
  await story.real.sql("ALTER SYSTEM SET timezone = 'Asia/Kolkata'");
  await story.real.sql('SELECT pg_reload_conf()');
  try {
    const at = new Date(`${story.before.slice(0, 23).replace(' ', 'T')}Z`);
    const inIndia = new Date(at.getTime() + 5.5 * 3_600_000).toISOString().slice(0, 19).replace('T', ' ');
    const recovered = await attempt({ target: `${inIndia}${story.before.slice(19, 26)} +05:30` });
    expect(recovered.error).toBeUndefined();
    expect([await rowsOf(story.real), await rowsOf(story.real, 'memory_entries')]).toEqual([200, 200]);
  } finally {
    await undo(attempts.pop()!);
    await story.real.sql('ALTER SYSTEM RESET timezone');
    await story.real.sql('SELECT pg_reload_conf()');
  }
});

test('T8: a second recovery follows the timeline on which the moment lies, not the newest: 200 rows, not 157', async () => {
  const first = await attempt({ target: story.before200 });
  expect(first.error).toBeUndefined();
  expect(await rowsOf(story.real)).toBe(157);
  await story.real.sql("INSERT INTO story VALUES (3000, 'on the new timeline')");
  const onNew = await momentOf(story.real);
  await story.real.sql("INSERT INTO story VALUES (3001, 'on the new timeline')");

  const second = await attempt({ target: story.before });
  expect(second.error).toBeUndefined();
  expect(await failedChecks(second)).toEqual([]);
  expect(await rowsOf(story.real)).toBe(200);
  expect(second.facts.settings).toContain("recovery_target_timeline = '1'");
  await undo(attempts.pop()!);

  // Numbers of transactions are given anew: that the one on the abandoned timeline may be meant is said.
  const target = `before ${story.deletion}`;
  const found = await look(story.real, { target });
  const other = found.find((finding) => finding.message.startsWith('timeline 1 has another one'));
  expect([other?.level, other?.next]).toEqual(['warning', expect.stringContaining('--set <step>.timeline=1')]);
  const [, at] = /time (.*)$/.exec(other!.message)!;
  expect(at! > story.before && at! < story.after).toBe(true);
  const named = (await look(story.real, { target, timeline: 1 })).map((finding) => finding.message);
  expect(named).toContain(`stops before commit of transaction ${story.deletion}, time ${at}`);

  // And a moment after the new timeline began lies on that one.
  const third = await attempt({ target: onNew });
  expect(third.error).toBeUndefined();
  expect(await rowsOf(story.real)).toBe(158);
  expect(third.facts.settings).toContain(`recovery_target_timeline = '${first.facts.said!.newTimeline}'`);
  await undo(attempts.pop()!);
});

test('T9: backup_label is never touched, and a base backup without it is refused', async () => {
  const recovered = await attempt({ target: story.before });
  expect(recovered.error).toBeUndefined();
  expect(recovered.changes.filter(({ text }) => text.includes('backup_label'))).toEqual([]);
  expect(await exists(join(dataDir(), 'backup_label.old'))).toBe(true);
  await undo(attempts.pop()!);

  const label = join(story.backup.postgresBase!.folder, 'backup_label');
  renameSync(label, `${label}.taken`);
  try {
    const refused = await attempt({ target: story.before });
    expect(refused.error?.message).toMatch(/there is no usable base backup/);
    expect(refused.changes).toEqual([]);
    const found = (await look(story.real, { target: story.before })).map((finding) => finding.message);
    expect(found).toContainEqual(expect.stringMatching(/cannot be used: it has no backup_label/));
  } finally {
    renameSync(`${label}.taken`, label);
  }
});

test('T9: a base backup of which anything else was changed is refused before anything is stopped', async () => {
  const file = join(story.backup.postgresBase!.folder, 'global', 'pg_filenode.map');
  const whole = readFileSync(file);
  writeFileSync(file, Buffer.from(whole).fill(7, 100, 101));
  try {
    const refused = await attempt({ target: story.before });
    expect(refused.error?.message).toMatch(/is not whole: .*global\/pg_filenode\.map/);
    expect(refused.changes).toEqual([]);
    expect(await answers()).toBe(true);
  } finally {
    writeFileSync(file, whole);
  }
});

test('T10: the data directory gets the rights and the owner that the server wants, whatever the base backup has', async () => {
  const { folder } = story.backup.postgresBase!;
  chmodSync(folder, 0o755);
  chmodSync(join(folder, 'base'), 0o755);
  const owner = statSync(dataDir());
  const recovered = await attempt({ target: story.before });
  expect(recovered.error).toBeUndefined();
  const placed = statSync(dataDir());
  expect([placed.mode & 0o777, placed.uid, placed.gid]).toEqual([0o700, owner.uid, owner.gid]);
  await undo(attempts.pop()!);

  const spoil = beforeReplay(() => chmodSync(dataDir(), 0o755));
  const failed = await attempt({ target: story.before }, { onChange: spoil });
  expect(failed.error?.message).toMatch(
    /the server refuses its data directory: data directory .* has invalid permissions/,
  );
  await expectAnnounced(failed);
});

test('T11: after an undo the old server archives on: the recovered one has not taken the name of its unfinished segment', async () => {
  const recovered = await attempt({ target: 'latest' });
  expect(recovered.error).toBeUndefined();
  const taken = readdirSync(archive());
  await nextSegment(story.real);
  await undo(attempts.pop()!);
  const name = await nextSegment(story.real);
  expect(name).toMatch(/^00000001/);
  expect(taken).not.toContain(name);
  const [row] = await story.real.sql('SELECT coalesce(last_failed_wal, $$none$$) AS failed FROM pg_stat_archiver');
  expect(row!.failed).toBe('none');
});

test('after all of it the evidence of one more recovery names what was compared', async () => {
  const recovered = await attempt({ target: `before ${story.deletion}` });
  expect(recovered.error).toBeUndefined();
  const checks = await checksOf(recovered);
  expect(checks.every((check) => check.ok)).toBe(true);
  expect(checks.map((check) => check.what)).toEqual([
    'in recovery',
    'timeline',
    'recovery from the archive',
    'recovery stopped',
    'recovery settings left',
    'recovery.signal',
    'archive_mode',
    expect.stringMatching(/^history of timeline \d+ in the archive$/),
  ]);
});
