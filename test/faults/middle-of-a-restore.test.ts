import { execFileSync, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  readFileSync,
  rmSync,
  statfsSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import type { Manifest } from '../../src/stores/backup-set/manifest.js';
import { attempt, RESTORES } from '../support/attempt.js';
import { startPostgres } from '../support/damage.js';
import { eventually } from '../support/eventually.js';
import { faultyProxy } from '../support/faulty-proxy.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { idsFrom, Memories } from '../support/memories.js';
import { runProgram } from '../support/program.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// What breaks while a store is being replaced: what was there, which is more than the backup holds, is there afterwards.

let real: RealCluster;
let before: Measured;
let good: string;

beforeAll(async () => {
  real = await realCluster(200);
  good = (await real.backup()).folder;
  const memories = new Memories(real);
  const newer = idsFrom(5);
  await memories.rows(newer);
  await memories.nodes(newer);
  before = await measureCluster(real);
});

/** Only root may make a file system of its own, and not in every container. */
const mayMount = spawnSync('unshare', ['--mount', 'true']).status === 0;

const copyOfSet = () => {
  const set = join(tempFolder('set'), basename(good));
  cpSync(good, set, { recursive: true });
  return set;
};
const partsOf = (set: string) => (JSON.parse(readFileSync(join(set, 'manifest.json'), 'utf8')) as Manifest).parts;
/** The profile with Postgres behind a proxy: the vendor's programs go that way, too. */
async function proxied() {
  const proxy = await faultyProxy(real.cluster.profile.postgres.url);
  const profile: Profile = {
    ...real.cluster.profile,
    postgres: { ...real.cluster.profile.postgres, url: proxy.url },
  };
  return { proxy, profile };
}

const postmaster = () =>
  Number(readFileSync(join(real.places.postgresData, 'postmaster.pid'), 'utf8').split('\n')[0]);

describe('Postgres, while it is being restored,', () => {
  test.each([1_000, 20_000, 60_000])('loses the connection after %i bytes: it is as it was', async (after) => {
    const { proxy, profile } = await proxied();
    let faulty: Promise<void> | undefined;
    const ended = await attempt(profile, {
      scenario: RESTORES.postgres,
      onEvent: (event) => {
        if (event.type === 'step.change' && /pg_restore/.test(event.text))
          faulty ??= proxy.become({ kind: 'resets', of: 'request', after });
      },
    });
    expect(faulty).toBeDefined();
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(proxy.met).toBeGreaterThan(0);
    expect(ended.events.filter((event) => event.type === 'step.safety-copy')).not.toEqual([]);
    expect(await measureCluster(real)).toEqual(before);
  });

  test.each<[string, () => Promise<unknown>]>([
    [
      'is ended by an administrator',
      () =>
        real.sql(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'novamem' AND wait_event_type = 'Lock'",
          'postgres',
        ),
    ],
    ['is told to stop at once', async () => process.kill(postmaster(), 'SIGQUIT')],
    ['is killed', async () => process.kill(postmaster(), 'SIGKILL')],
  ])('%s: it is as it was', async (_what, harm) => {
    const holding = await real.session();
    await holding.query('BEGIN; LOCK TABLE memory_entries IN ACCESS SHARE MODE');
    const waiting = () =>
      real.sql("SELECT 1 FROM pg_stat_activity WHERE datname = 'novamem' AND wait_event_type = 'Lock'", 'postgres');
    const running = attempt(real.cluster.profile, { scenario: RESTORES.postgres });
    await eventually('the restore waits for the lock', async () => (await waiting()).length > 0);
    await harm();
    const ended = await running;
    await holding.end().catch(() => {});
    if (!(await real.cluster.answering('postgres')).answers) await startPostgres(real.cluster);
    expect([ended.outcome, ended.exitCode], ended.said).toEqual(['failed', 1]);
    expect(ended.events.filter((event) => event.type === 'step.safety-copy')).not.toEqual([]);
    const now = await measureCluster(real);
    // A sequence goes on up to 32 further after a crash, by its log: https://www.postgresql.org/docs/current/sql-createsequence.html
    for (const [name, value] of Object.entries(before.sequences))
      if (value !== now.sequences[name]) expect(Number(now.sequences[name])).toBeGreaterThan(Number(value));
    expect({ ...now, sequences: before.sequences }).toEqual(before);
    before = now;
  });
});

describe('a file that changes between the look and the restore', () => {
  test.each<[keyof typeof RESTORES, (set: string) => void, RegExp]>([
    [
      'postgres',
      (set) => appendFileSync(join(set, partsOf(set).postgres!.file), 'x'),
      /is not the one that was backed up|was changed or cut off/,
    ],
    [
      'qdrant',
      (set) => appendFileSync(join(set, partsOf(set).qdrant[0]!.file), 'x'),
      /is not the one that was backed up|was changed or cut off/,
    ],
    [
      'falkordb',
      (set) => appendFileSync(join(set, partsOf(set).falkordb[0]!.file), 'x'),
      /is not the one that was backed up|was changed or cut off/,
    ],
    ['postgres', (set) => rmSync(join(set, partsOf(set).postgres!.file)), /is not there|ENOENT|No such file/],
    ['qdrant', (set) => rmSync(join(set, partsOf(set).qdrant[0]!.file)), /is not there|ENOENT|No such file/],
    ['falkordb', (set) => rmSync(join(set, partsOf(set).falkordb[0]!.file)), /is not there|ENOENT|No such file/],
  ])('of %s stops it (%#)', async (store, change, words) => {
    const set = copyOfSet();
    const ended = await attempt(real.cluster.profile, {
      scenario: RESTORES[store],
      backup: set,
      onEvent: (event) => {
        if (event.type === 'step.started') change(set);
      },
    });
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    expect(await measureCluster(real)).toEqual(before);
  });
});

describe('FalkorDB', () => {
  test.skipIf(!mayMount)(
    'whose disk fills up while its files are placed has those of before aside, and an undo brings them back',
    async () => {
      const { cluster, places } = real;
      const data = places.falkordbData;
      const drive = (verb: 'start' | 'stop') => cluster.driver('falkordb')![verb](open, { onLine: () => {} });
      const beside = join(tempFolder('falkordb'), 'data');
      await drive('stop');
      execFileSync('cp', ['-aT', data, beside]);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', data]);
      try {
        execFileSync('cp', ['-aT', beside, data]);
        await drive('start');
        await eventually('FalkorDB answers', async () => (await cluster.answering('falkordb')).answers);
        const standing = await measureCluster(real);
        const filler = join(data, 'filler');
        const ended = await attempt(cluster.profile, {
          scenario: RESTORES.falkordb,
          backup: good,
          onEvent: (event) => {
            if (event.type !== 'step.change' || !event.text.startsWith('cp ') || existsSync(filler)) return;
            const { bavail, bsize } = statfsSync(data);
            writeFileSync(filler, Buffer.alloc(bavail * bsize - 4096));
          },
        });
        expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
        expect(ended.said).toMatch(/ENOSPC|no space left/i);
        expect(ended.said).toMatch(/FalkorDB is left stopped, with its files of before in \S+/);
        expect((await cluster.answering('falkordb')).answers).toBe(false);
        rmSync(filler);
        const undone = await runProgram(['undo', '--profile', places.profile, '--confirm', cluster.name]);
        expect(undone.exitCode, undone.stdout + undone.stderr).toBe(0);
        expect(await measureCluster(real)).toEqual(standing);
        expect(standing).toEqual(before);
      } finally {
        await drive('stop');
        execFileSync('cp', ['-aT', '--remove-destination', data, beside]);
        execFileSync('umount', [data]);
        await drive('start');
        await eventually('FalkorDB answers', async () => (await cluster.answering('falkordb')).answers);
      }
    },
  );

  test('is not given links of a backup set: what it writes later would change the backup', async () => {
    const set = copyOfSet();
    const inside = partsOf(set)
      .falkordb.map((part) => join(set, part.file))
      .filter((file) => !file.endsWith('.manifest'));
    const outside = tempFolder('outside');
    const kept: [string, Buffer][] = [];
    for (const file of inside) {
      const target = join(outside, basename(file));
      cpSync(file, target);
      rmSync(file);
      symlinkSync(target, file);
      kept.push([target, readFileSync(target)]);
    }
    const ended = await attempt(real.cluster.profile, { scenario: RESTORES.falkordb, backup: set });
    expect([ended.outcome, ended.said.trim()]).toEqual(['recovered', '']);
    const { falkordb } = real.cluster;
    await falkordb.write(open, 'GRAPH.QUERY', falkordb.graph, 'CREATE (:Later)');
    await falkordb.write(open, 'BGREWRITEAOF');
    for (const [target, bytes] of kept) expect(readFileSync(target).equals(bytes), target).toBe(true);
    const links = execFileSync('find', [real.places.falkordbData, '-type', 'l'], { encoding: 'utf8' });
    expect(links).toBe('');
  });
});
