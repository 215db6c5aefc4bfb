import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { STORES } from '../../src/config/profile.js';
import type { ClusterStatus } from '../../src/engine/cluster-status.js';
import { statusMetrics } from '../../src/reports/status-prometheus.js';
import { listedSet } from '../support/manifest.js';
import { runFile, runProgram } from '../support/program.js';
import { recordRun } from '../support/record-run.js';
import { tempFolder } from '../support/temp.js';
import { absentCluster, step, tinyKind } from '../support/tiny-run.js';
import { whyNot } from '../support/tools.js';

// Nothing answers at the addresses of this profile: status asks no server.

const CLUSTER = 'acme-prod';
const DAY_MS = 86_400_000;
const daysAgo = (days: number) => new Date(Date.now() - days * DAY_MS);
let home: string;
let root: string;
let profile: string;

function writeProfile(...more: string[]): void {
  profile = join(home, 'acme.yaml');
  writeFileSync(
    profile,
    [
      `name: ${CLUSTER}`,
      'production: true',
      'postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }',
      'qdrant: { url: "http://127.0.0.1:1" }',
      'falkordb: { url: "redis://127.0.0.1:1" }',
      ...more,
    ].join('\n'),
  );
}

beforeEach(() => {
  home = tempFolder('home');
  process.env.NOVAMEM_RUNBOOK_HOME = home;
  root = join(home, 'backups');
  mkdirSync(root);
  writeProfile(`backups: [ ${root} ]`);
});

const status = (...args: string[]) =>
  runProgram(['status', '--profile', profile, ...args], { environment: { NOVAMEM_RUNBOOK_HOME: home } });

async function statusJson(): Promise<[number | null, Record<string, unknown>]> {
  const { exitCode, stdout } = await status('--format', 'json');
  return [exitCode, JSON.parse(stdout) as Record<string, unknown>];
}

const noRoom = async () => [{ level: 'blocking' as const, message: 'no room', next: 'free some' }];

const drill = (day: number, { rtoMs = 252_000, fails = false } = {}) =>
  recordRun(
    `${daysAgo(day).toISOString().slice(0, 10).replaceAll('-', '')}T000000Z-00001`,
    STORES.map((store) => step(store, tinyKind(`${store}.restore`, fails ? { check: noRoom } : {}))),
    {
      mode: 'drill',
      cluster: absentCluster('throw-away'),
      drillOf: CLUSTER,
      endedAt: daysAgo(day).toISOString(),
      rtoMs,
    },
  );

const backupOf = (hours: number, cluster = CLUSTER) =>
  listedSet(root, { id: `set-${hours}-${cluster}`, at: new Date(Date.now() - hours * 3_600_000), cluster });

describe('status', () => {
  test('never proven: exit 1, said in 80 columns, with what to type next', async () => {
    backupOf(25);
    const { exitCode, stdout, stderr } = await status();
    expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' });
    expect(stdout).toContain('acme-prod (PRODUCTION): NEVER PROVEN');
    expect(stdout).toMatch(/^RPO now +25 h 00 min/m);
    expect(stdout).toMatch(/^Next drill +due now \(every 90 days\)$/m);
    expect(stdout).toMatch(/^Next: novamem-runbook drill --profile \S+acme\.yaml\n$/m);
    const [, body] = stdout.split(`--profile ${profile}`) as [string, string];
    expect(body).toBe('\n');
    for (const line of stdout.split('\n'))
      if (!line.startsWith('Next: ')) expect(line.length).toBeLessThanOrEqual(80);
  });

  test('proven in time: exit 0, with the trend in words', async () => {
    backupOf(2);
    await drill(40, { rtoMs: 192_000 });
    await drill(12, { rtoMs: 252_000 });
    const { exitCode, stdout } = await status();
    expect(exitCode).toBe(0);
    expect(stdout).toContain('acme-prod (PRODUCTION): proven, and nothing is due');
    expect(stdout).toMatch(/^Last proven +12 d 0 h ago, .+ UTC, by a drill$/m);
    expect(stdout).toMatch(/recovered +4 min 12 s, 1 min 00 s slower than the one before$/m);
    expect(stdout).toMatch(/^ +recall NOT PROVEN: nothing was searched for$/m);
    expect(stdout).toMatch(/^Next drill +in (77 d 23 h|78 d 0 h), \d{4}-\d\d-\d\d \(every 90 days\)$/m);
    expect(stdout).not.toContain('Next:');
  });

  test('overdue by the period that the profile says: exit 1', async () => {
    backupOf(2);
    await drill(12);
    writeProfile(`backups: [ ${root} ]`, 'drill: { everyDays: 7 }');
    expect(await statusJson()).toMatchObject([1, { state: 'overdue', overdue: true, drillEveryDays: 7 }]);
    expect((await status()).stdout).toMatch(/^Next drill +was due 5 d 0 h ago \(every 7 days\)$/m);
    writeProfile(`backups: [ ${root} ]`, 'drill: { everyDays: 0 }');
    expect(await status()).toMatchObject({ exitCode: 2, stdout: '' });
  });

  test('a failed drill: exit 1, although an older one has proven it in time', async () => {
    backupOf(2);
    await drill(40);
    await drill(12, { fails: true });
    expect(await statusJson()).toMatchObject([
      1,
      { state: 'last-drill-failed', overdue: false, proven: { by: 'drill' } },
    ]);
    expect((await status()).stdout).toMatch(/^Next: novamem-runbook report \d{8}T000000Z-00001$/m);
  });

  test('no backup that can be read: exit 1, although one was proven; roots that cannot be read are named', async () => {
    await drill(12);
    backupOf(2, 'another-cluster');
    writeProfile(`backups: [ ${root}, /nowhere/at-all, "gs://acme/novamem" ]`);
    const [exitCode, { state, backup, unusable }] = await statusJson();
    expect({ exitCode, state, backup }).toEqual({ exitCode: 1, state: 'no-backup', backup: null });
    expect(unusable).toEqual([
      { folder: '/nowhere/at-all', problem: expect.stringContaining('cannot be read') },
      { folder: 'gs://acme/novamem', problem: expect.stringContaining('or s3://BUCKET/FOLDER') },
    ]);
    expect((await status()).stdout).toContain('/nowhere/at-all: ');
  });

  test('a set of which a file is gone or cut short is no backup, and is named', async () => {
    await drill(12);
    for (const hours of [2, 3, 4]) backupOf(hours);
    rmSync(join(root, `set-2-${CLUSTER}`, 'postgres/novamem.dump'));
    truncateSync(join(root, `set-3-${CLUSTER}`, 'postgres/novamem.dump'));
    const [exitCode, { backup, unusable }] = await statusJson();
    expect({ exitCode, backup }).toMatchObject({ exitCode: 0, backup: { id: `set-4-${CLUSTER}` } });
    const problems = (unusable as { problem: string }[]).map(({ problem }) => problem).sort();
    expect(problems).toEqual([
      expect.stringMatching(/set-2-\S+dump is missing$/),
      expect.stringMatching(/set-3-\S+dump has 0 bytes, and the manifest says 1$/),
    ]);
  });

  test('what it says as JSON is of the newest backup of this cluster, and of its proof', async () => {
    backupOf(30);
    backupOf(2);
    backupOf(1, 'another-cluster');
    await drill(12, { rtoMs: 252_000 });
    const [exitCode, said] = await statusJson();
    expect(exitCode).toBe(0);
    expect(said).toMatchObject({
      cluster: CLUSTER,
      production: true,
      state: 'proven',
      backup: { id: `set-2-${CLUSTER}` },
      proven: { by: 'drill', rtoMs: 252_000, at: expect.stringMatching(/Z$/) },
      unproven: [],
      drills: [{ outcome: 'recovered', rtoMs: 252_000, slowerMs: null }],
      failedDrill: null,
      unusable: [],
      unread: [],
      drillEveryDays: 90,
      overdue: false,
    });
    const { ageMs } = said.backup as { ageMs: number };
    expect(ageMs).toBeGreaterThanOrEqual(2 * 3_600_000);
    expect(ageMs).toBeLessThan(2 * 3_600_000 + 120_000);
  });

  test('an unknown format: exit 2, and nothing on stdout', async () => {
    expect(await status('--format', 'yaml')).toMatchObject({ exitCode: 2, stdout: '' });
  });
});

describe('status for Prometheus', () => {
  const valuesOf = (lines: readonly string[]) =>
    Object.fromEntries(
      lines
        .filter((line) => !line.startsWith('#'))
        .map((line) => [line.split(' ')[0]!.replace('novamem_runbook_', ''), Number(line.split(' ')[1])]),
    );

  test('leaves out what is not known', async () => {
    const { exitCode, stdout } = await status('--format', 'prometheus');
    expect(exitCode).toBe(1);
    expect(valuesOf(stdout.trimEnd().split('\n'))).toEqual({
      'backups_unusable{cluster="acme-prod"}': 0,
      'drill_overdue{cluster="acme-prod"}': 1,
      'status_good{cluster="acme-prod"}': 0,
      'runs_unreadable{cluster="acme-prod"}': 0,
    });
  });

  test('tells all of it in seconds, each metric with its help and type', async () => {
    backupOf(2);
    await drill(40);
    await drill(12, { rtoMs: 252_000 });
    const { exitCode, stdout } = await status('--format', 'prometheus');
    expect(exitCode).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    const values = valuesOf(lines);
    const near = (seconds: number) => ({ asymmetricMatch: (at: number) => Math.abs(at - seconds) < 120 });
    const now = Date.now() / 1000;
    const of = (name: string) => `${name}{cluster="acme-prod"}`;
    const outcome = (name: string) => `last_drill_outcome{cluster="acme-prod",outcome="${name}"}`;
    expect(values).toEqual({
      [of('backup_timestamp_seconds')]: near(now - 7200),
      [of('backup_age_seconds')]: near(7200),
      [of('backups_unusable')]: 0,
      [of('last_proven_restore_timestamp_seconds')]: near(now - 12 * 86_400),
      [of('last_proven_restore_rto_seconds')]: 252,
      [of('last_proven_restore_recall')]: 0,
      [of('drill_due_timestamp_seconds')]: near(now + 78 * 86_400),
      [of('drill_overdue')]: 0,
      [of('last_drill_timestamp_seconds')]: near(now - 12 * 86_400),
      [outcome('recovered')]: 1,
      [outcome('recovered-with-exceptions')]: 0,
      [outcome('failed')]: 0,
      [outcome('aborted')]: 0,
      [outcome('unfinished')]: 0,
      [of('status_good')]: 1,
      [of('runs_unreadable')]: 0,
    });
    for (const line of lines.filter((one) => !one.startsWith('#'))) {
      const name = line.split('{')[0]!;
      expect(lines.filter((one) => one === `# TYPE ${name} gauge`)).toHaveLength(1);
      expect(lines.filter((one) => one.startsWith(`# HELP ${name} `))).toHaveLength(1);
    }
  });

  test('escapes what a label holds', () => {
    const odd = {
      cluster: 'a"b\\c\nd',
      drills: [],
      unusable: [],
      unread: [],
      backup: null,
      proven: null,
      drillDueAt: null,
    };
    const lines = statusMetrics({ ...odd, overdue: true } as unknown as ClusterStatus);
    expect(lines).toContain('novamem_runbook_drill_overdue{cluster="a\\"b\\\\c\\nd"} 1');
  });

  test.skipIf(whyNot('promtool', '--version') !== '')('is what promtool takes without a word', async () => {
    backupOf(2);
    await drill(12);
    const { stdout } = await status('--format', 'prometheus');
    expect(await runFile('promtool', ['check', 'metrics'], { input: stdout })).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: '',
    });
  });
});
