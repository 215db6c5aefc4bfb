import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { endOf, type JournalEvent } from '../../src/engine/journal.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import { type KnownProcess, processesWith } from '../../src/hosts/process-mark.js';
import { RUN_VARIABLE } from '../../src/hosts/run-command.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { eventually } from '../support/eventually.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { PROGRAM, runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { whyNot } from '../support/tools.js';

// A rescue that gets no more memory: the kernel kills the program alone while pg_restore works, or the program itself cannot go on.

let real: RealCluster;
let before: Measured;
const started: ChildProcess[] = [];

beforeAll(async () => {
  real = await realCluster(3_000);
  before = await measureCluster(real);
  await real.backup();
});

beforeEach(() => loseEverything(real.record.name));

afterEach(() => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
});

const environment = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });
const unattended = () => ['--headless', '--profile', real.places.profile, '--confirm', real.cluster.name];

/** Begins a rescue, and answers once a condition on its run is met. */
async function rescueUntil(
  what: string,
  isMet: (run: { id: string; events: JournalEvent[] }) => boolean,
  more: Record<string, string> = {},
) {
  const last = listRuns()[0];
  const child = spawn(process.execPath, [PROGRAM, 'run', 'whole-cluster-lost', ...unattended()], {
    env: { ...process.env, ...environment(), ...more },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  started.push(child);
  let stderr = '';
  child.stderr!.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  await eventually(what, () => {
    const id = listRuns()[0];
    return id !== undefined && id !== last && isMet(findRun(id));
  });
  return { child, ended, words: () => stderr, id: listRuns()[0]! };
}

async function resumedEqual(id: string): Promise<JournalEvent[]> {
  const broken = findRun(id);
  expect(broken.changed).toBe('');
  // Whoever could still say that it was at its end has said so.
  expect([undefined, 'failed']).toContain(endOf(broken.events)?.outcome);
  const resumed = await runProgram(['resume', id, ...unattended()], {
    environment: environment(),
    timeoutMs: 120_000,
  });
  expect(resumed.exitCode, resumed.stdout + resumed.stderr).toBe(0);
  const { events, fault } = findRun(id);
  expect([fault, endOf(events)?.outcome]).toEqual(['', 'recovered']);
  expect(processesWith(RUN_VARIABLE, id)).toEqual([]);
  expect(await measureCluster(real)).toEqual(before);
  return events;
}

const isRestoring = (id: string): KnownProcess | undefined =>
  processesWith(RUN_VARIABLE, id).find(({ command }) => command.includes('pg_restore'));

test('the kernel kills the program alone: what it had started is ended by the next one, which says so', async () => {
  let restore: KnownProcess | undefined;
  const { child, ended, id } = await rescueUntil('pg_restore runs', (run) => {
    restore ??= isRestoring(run.id);
    return restore !== undefined;
  });
  // It would end by itself in a moment: halted, it lives for as long as it is let.
  process.kill(restore!.pid, 'SIGSTOP');
  child.kill('SIGKILL');
  expect(await ended).toEqual({ code: null, signal: 'SIGKILL' });
  expect(isRestoring(id), 'it outlives the program').toBeDefined();
  const events = await resumedEqual(id);
  expect(events.filter((event) => event.type === 'run.leftover').map((event) => event.text)).toEqual(
    expect.arrayContaining([expect.stringMatching(new RegExp(`^kill -- -${restore!.group} # .*pg_restore`))]),
  );
});

/** Less than it has already: neither it nor anything that it starts gets more. */
const NONE = 1 << 20;

const missing = whyNot('prlimit', '--pid', String(process.pid), '--as');

test.skipIf(missing)(
  `the system gives no more memory: the program does not come to its end, and its run is gone on with${missing ? ` (not run here: ${missing})` : ''}`,
  async () => {
    const { child, ended, id } = await rescueUntil('a restore has begun', ({ events }) =>
      events.some((event) => event.type === 'step.started' && event.step.startsWith('restore-')),
    );
    execFileSync('prlimit', ['--pid', String(child.pid), `--as=${NONE}`]);
    expect((await ended).code).not.toBe(0);
    await resumedEqual(id);
  },
);

test('its own heap is full: the program ends, says so, and its run is gone on with', async () => {
  // As much as it needs to begin; what it is given to remember while it works is more.
  const { ended, id, words } = await rescueUntil(
    'a restore has begun',
    ({ events }) => events.some((event) => event.type === 'step.started' && event.step.startsWith('restore-')),
    {
      NODE_OPTIONS: `--max-old-space-size=200 --require ${join(import.meta.dirname, '..', 'support', 'fill-heap.cjs')}`,
    },
  );
  const { code, signal } = await ended;
  expect(code === 134 || signal === 'SIGABRT').toBe(true);
  expect(words()).toMatch(/heap out of memory/);
  await resumedEqual(id);
});
