import { spawn } from 'node:child_process';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { lockIn } from '../../src/engine/cluster-lock.js';
import { endOf, JOURNAL_FILE, type JournalEvent, readJournal } from '../../src/engine/journal.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { eventually } from '../support/eventually.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { PROGRAM, runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// The time of day is set while a rescue is at work: the real program, not what it starts, under libfaketime. The times of files
// stay those of the machine, as they would on a file server. FAKETIME_LIB names the library where it is not in its usual place.

const LIBRARY = process.env.FAKETIME_LIB ?? '/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1';
const missing = existsSync(LIBRARY) ? '' : `no ${LIBRARY}`;
const HOUR = 3600;
const PATIENCE = 150_000;

let real: RealCluster;
let before: Measured;

beforeAll(async () => {
  if (missing) return;
  real = await realCluster(1_000);
  before = await measureCluster(real);
  await real.backup();
});

beforeEach(async () => {
  if (!missing) await loseEverything(real.record.name);
});

const environment = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });
const unattended = () => ['--headless', '--profile', real.places.profile, '--confirm', real.cluster.name];

/** A clock that can be set, for those who are started with these variables. */
function clock() {
  const file = join(tempFolder('clock'), 'offset');
  const set = (seconds: number) => writeFileSync(file, `${seconds < 0 ? '' : '+'}${seconds}\n`);
  set(0);
  return {
    set,
    variables: {
      LD_PRELOAD: LIBRARY,
      NODE_OPTIONS: '--import=data:text/javascript,delete%20process.env.LD_PRELOAD',
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_CACHE_DURATION: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
      DONT_FAKE_MONOTONIC: '1',
      NO_FAKE_STAT: '1',
    },
  };
}

function rescue(variables: Record<string, string>) {
  const others = new Set(listRuns());
  const child = spawn(process.execPath, [PROGRAM, 'run', 'whole-cluster-lost', ...unattended()], {
    env: { ...process.env, ...environment(), ...variables },
    stdio: 'ignore',
  });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const restoring = eventually('a restore has begun', () => {
    const id = listRuns().find((one) => !others.has(one));
    const events = id === undefined ? [] : findRun(id).events;
    return events.some((event) => event.type === 'step.started' && event.step.startsWith('restore-'))
      ? id
      : undefined;
  });
  return { child, ended, restoring };
}

function sensible(events: readonly JournalEvent[], elapsedMs: number): void {
  for (const event of events)
    if (event.type === 'step.finished') {
      expect(event.tookMs, event.step).toBeGreaterThanOrEqual(0);
      expect(event.tookMs, event.step).toBeLessThanOrEqual(elapsedMs);
    }
  const { rtoMs } = endOf(events)!;
  expect(rtoMs).toBeGreaterThan(0);
  expect(rtoMs).toBeLessThanOrEqual(elapsedMs);
}

/** By how much the time of day jumped between two lines of a journal, in seconds: the farthest. */
const jumpIn = (events: readonly JournalEvent[]) =>
  events
    .slice(1)
    .map((event, at) => (Date.parse(event.ts) - Date.parse(events[at]!.ts)) / 1_000)
    .reduce((far, one) => (Math.abs(one) > Math.abs(far) ? one : far), 0);

describe.skipIf(missing)(`the clock is set${missing ? ` (not run here: ${missing})` : ''}`, () => {
  test.each([
    HOUR,
    -HOUR,
  ])('by %i seconds while a restore runs: nothing is lost, and no time is nonsense', async (by) => {
    const { set, variables } = clock();
    const begun = performance.now();
    const { ended, restoring } = rescue(variables);
    const id = await restoring;
    set(by);
    const held = await lockIn(real.places.backups, real.cluster.name);
    expect(held).toMatchObject({ state: 'alive', holder: { run: id } });
    const another = tempFolder('home-of-another');
    const second = await runProgram(['run', 'whole-cluster-lost', ...unattended(), '--take-over'], {
      environment: { NOVAMEM_RUNBOOK_HOME: another, ...variables },
      timeoutMs: PATIENCE,
    });
    // Refused by the lock, or for what it sees of stores that are being restored.
    expect([1, 3]).toContain(second.exitCode);
    const [theirs] = readdirSync(join(another, 'runs'));
    const { events: seen } = readJournal(join(another, 'runs', theirs!, JOURNAL_FILE));
    expect(seen.filter(({ type }) => type === 'step.started' || type === 'step.change')).toEqual([]);
    expect(await ended).toBe(0);
    const { events, fault } = findRun(id);
    expect([fault, endOf(events)?.outcome]).toEqual(['', 'recovered']);
    expect(Math.round(jumpIn(events) / HOUR)).toBe(Math.sign(by));
    sensible(events, performance.now() - begun);
    expect(await measureCluster(real)).toEqual(before);
    expect(await lockIn(real.places.backups, real.cluster.name)).toBeUndefined();
  });

  test('back by an hour, and the program is killed then: the run is the one that is gone on with', async () => {
    const { set, variables } = clock();
    const { child, ended, restoring } = rescue(variables);
    const id = await restoring;
    set(-HOUR);
    child.kill('SIGKILL');
    await ended;
    const resumed = await runProgram(['resume', ...unattended()], {
      environment: { ...environment(), ...variables },
      timeoutMs: PATIENCE,
    });
    expect(resumed.exitCode, resumed.stdout + resumed.stderr).toBe(0);
    const { events, fault } = findRun(id);
    expect([fault, endOf(events)?.outcome]).toEqual(['', 'recovered']);
    expect(endOf(events)!.rtoMs).toBeGreaterThanOrEqual(0);
    expect(await measureCluster(real)).toEqual(before);
  });

  test('back by an hour between two runs: the newer one is still the newest', async () => {
    const { set, variables } = clock();
    set(-HOUR);
    const { child, ended, restoring } = rescue(variables);
    const id = await restoring;
    child.kill('SIGKILL');
    await ended;
    expect(listRuns()[0]).toBe(id);
    const resumed = await runProgram(['resume', ...unattended()], {
      environment: environment(),
      timeoutMs: PATIENCE,
    });
    expect(resumed.exitCode, resumed.stdout + resumed.stderr).toBe(0);
    expect(endOf(findRun(id).events)?.outcome).toBe('recovered');
    expect(await measureCluster(real)).toEqual(before);
  });
});
