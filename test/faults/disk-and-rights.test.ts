import { execFileSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, readdirSync, statfsSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { Profile } from '../../src/config/profile.js';
import { endOf } from '../../src/engine/journal.js';
import type { Overrides } from '../../src/runbook/runbook.js';
import { attempt, RESTORES } from '../support/attempt.js';
import { eventually } from '../support/eventually.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { PROGRAM, runFile } from '../support/program.js';
import { open, type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// No room, no rights, a clock that jumps, and a second run beside the first.

let real: RealCluster;
let before: Measured;
let good: string;

beforeAll(async () => {
  real = await realCluster(200);
  good = (await real.backup()).folder;
  before = await measureCluster(real);
});

afterAll(async () => {
  expect(await measureCluster(real)).toEqual(before);
});

const disk = tempFolder('disk');
const mount = (size: string) =>
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', disk], { stdio: 'pipe' });
/** Lazily: a run that did not end as it should still holds its files open. */
const unmount = () => execFileSync('umount', ['--lazy', disk], { stdio: 'pipe' });

/** Only root may make a file system of its own, and not in every container. */
const mayMount = (() => {
  try {
    mount('1m');
    unmount();
    return true;
  } catch {
    return false;
  }
})();

const fill = (leaving: number) => {
  const { bavail, bsize } = statfsSync(disk);
  writeFileSync(join(disk, 'filler'), Buffer.alloc(bavail * bsize - leaving));
};

describe.skipIf(!mayMount)('on a disk that is full', () => {
  const home = process.env.NOVAMEM_RUNBOOK_HOME!;
  beforeEach(() => mount('2m'));
  afterEach(() => {
    process.env.NOVAMEM_RUNBOOK_HOME = home;
    unmount();
  });

  test('no backup set is left that looks like one', async () => {
    fill(64 * 1024);
    const profile: Profile = { ...real.cluster.profile, backups: [disk] };
    const ended = await attempt(profile, { scenario: 'backup' });
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(/ENOSPC|No space left|are free/);
    const sets = readdirSync(disk).filter((name) => name !== 'filler');
    expect(sets.filter((name) => existsSync(join(disk, name, 'manifest.json')))).toEqual([]);
  });

  test.each<[keyof typeof RESTORES, number]>([
    ['postgres', 40 * 1024],
    ['qdrant', 40 * 1024],
  ])('the safety copy of %s does not fit, and nothing is replaced', async (store, leaving) => {
    process.env.NOVAMEM_RUNBOOK_HOME = disk;
    fill(leaving);
    // One after the other: what the failed copy had written is gone before the journal needs the room.
    const overrides: Overrides = store === 'qdrant' ? { restore: { atOnce: 1 } } : {};
    const ended = await attempt(real.cluster.profile, { scenario: RESTORES[store], backup: good, overrides });
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(/ENOSPC|No space left|are free|cannot be kept/);
    expect(ended.findings.join('\n')).toMatch(
      /warning: the safety copy of (novamem|\d+ collections) may take [\d.]+ [KM]iB, and [\d.]+ KiB are free in \S+: if it does not fit, nothing is replaced/,
    );
    expect(await measureCluster(real)).toEqual(before);
  });

  test('Postgres has hardly any room beside what is replaced: it would not be begun', async () => {
    fill(4096);
    const { profile } = real.cluster;
    const planned = await attempt(
      { ...profile, postgres: { ...profile.postgres, dataDir: disk } },
      { scenario: RESTORES.postgres, backup: good, mode: 'dry-run' },
    );
    expect(planned.findings.join('\n')).toMatch(
      /blocking: novamem takes [\d.]+ MiB, and stays on the disk until the restore is over; 4.0 KiB are free in/,
    );
  });

  test('Qdrant has no room for what would be restored', async () => {
    fill(4096);
    const { profile } = real.cluster;
    const ended = await attempt(
      { ...profile, qdrant: { ...profile.qdrant, dataDir: disk } },
      { scenario: RESTORES.qdrant, backup: good },
    );
    expect([ended.outcome, ended.changes]).toEqual(['failed', []]);
    expect(ended.said).toMatch(/are free in \S+, and the restore needs about/);
  });

  test('FalkorDB, which is down, has no room for the files that would be placed', async () => {
    fill(4096);
    const { cluster } = real;
    await cluster.driver('falkordb')!.stop(open, { onLine: () => {} });
    const { profile } = cluster;
    const ended = await attempt(
      { ...profile, falkordb: { ...profile.falkordb, dataDir: disk } },
      { scenario: RESTORES.falkordb, backup: good },
    );
    await cluster.driver('falkordb')!.start(open, { onLine: () => {} });
    await eventually('FalkorDB answers', async () => (await cluster.answering('falkordb')).answers);
    expect([ended.outcome, ended.changes]).toEqual(['failed', []]);
    expect(ended.said).toMatch(
      /4\.0 KiB are free in \S+, and appendonlydir takes [\d.]+ KiB beside the files of now, which stay/,
    );
  });
});

const NOBODY = 65_534;

describe.skipIf(process.getuid?.() !== 0)('a user without rights', () => {
  const asNobody = (home: string, ...args: string[]) =>
    runFile(
      'setpriv',
      ['--reuid', `${NOBODY}`, '--regid', `${NOBODY}`, '--clear-groups', process.execPath, PROGRAM, ...args],
      { environment: { NOVAMEM_RUNBOOK_HOME: home, HOME: home } },
    );

  test('cannot read the secrets: told which, and nothing is touched', async () => {
    const profile = join(ownHome(), 'profile.yaml');
    cpSync(real.places.profile, profile);
    chmodSync(profile, 0o644);
    const args = ['run', 'whole-cluster-lost', '--headless', '--confirm', real.cluster.name];
    const ended = await asNobody(ownHome(), ...args, '--profile', profile, '--backup', good);
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(/is to come from the file \S+: EACCES/);
  });

  test('cannot read a backup set: told so', async () => {
    const set = join(tempFolder('closed'), basename(good));
    cpSync(good, set, { recursive: true });
    chmodSync(join(set, '..'), 0o755);
    chmodSync(set, 0o700);
    chownSync(set, 0, 0);
    const ended = await asNobody(ownHome(), 'backups', 'verify', set);
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(/The backup set \S+ cannot be read: EACCES/);
  });

  test.each<[string, string[], RegExp]>([
    ['read the runs', ['runs', 'list'], /The recorded runs in \S+ cannot be read: EACCES/],
    ['keep a profile', ['profile', 'add', 'PROFILE'], /The remembered profiles in \S+ cannot be (read|kept): EACCES/],
    [
      'keep a record',
      ['plan', 'backup', '--profile', 'PROFILE'],
      /The folder \S+ cannot be made: EACCES|cannot be read: EACCES/,
    ],
  ])('cannot %s where the program keeps its things: told so', async (_what, args, words) => {
    const home = tempFolder('closed-home');
    const profile = join(ownHome(), 'acme.yaml');
    writeFileSync(
      profile,
      'name: acme\npostgres: { url: "postgres://novamem@127.0.0.1:9/novamem" }\nqdrant: { url: "http://127.0.0.1:9" }\nfalkordb: { url: "redis://127.0.0.1:9" }\n',
    );
    const ended = await asNobody(home, ...args.map((one) => (one === 'PROFILE' ? profile : one)));
    expect([ended.exitCode, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toMatch(words);
  });

  const ownHome = () => {
    const home = tempFolder('nobody');
    chownSync(home, NOBODY, NOBODY);
    return home;
  };
});

describe('a clock that jumps', () => {
  afterEach(() => {
    vi.useRealTimers();
  });
  const HOUR = 3_600_000;

  test.each([
    ['back by a day', -24 * HOUR],
    ['forward by a day', 24 * HOUR],
    ['to 1970', -Date.now()],
    ['to 2106', 80 * 365 * 24 * HOUR],
  ])('%s in the middle of a restore breaks nothing', async (_what, by) => {
    const ended = await attempt(real.cluster.profile, {
      scenario: RESTORES.qdrant,
      onEvent: (event) => {
        if (event.type === 'step.safety-copy' && !vi.isFakeTimers())
          vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + by });
      },
    });
    expect(vi.isFakeTimers()).toBe(true);
    expect([ended.outcome, ended.exitCode], ended.said).toEqual(['recovered', 0]);
    expect(endOf(ended.events)?.rtoMs).toBeGreaterThanOrEqual(0);
    vi.useRealTimers();
    expect(await measureCluster(real)).toEqual(before);
  });
});

describe('a second run on the same cluster', () => {
  test('is refused while the first is at work, and the first comes to its end', async () => {
    let second: ReturnType<typeof attempt> | undefined;
    const first = await attempt(real.cluster.profile, {
      scenario: RESTORES.qdrant,
      onEvent: (event) => {
        if (event.type === 'step.started') second ??= attempt(real.cluster.profile, { scenario: RESTORES.postgres });
      },
    });
    expect(first.outcome).toBe('recovered');
    const refused = await second!;
    expect([refused.outcome, refused.changes]).toEqual(['failed', []]);
    expect(refused.said).toMatch(/run \S+ of \S+/);
    expect(await measureCluster(real)).toEqual(before);
  });
});
