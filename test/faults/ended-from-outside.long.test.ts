import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { endOf } from '../../src/engine/journal.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { eventually } from '../support/eventually.js';
import { PROGRAM, runProgram } from '../support/program.js';
import { endsAndIsResumed, rescueAtWork as rescueByKeys } from '../support/rescue-at-work.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { ProgramInTerminal } from '../support/terminal.js';

// A rescue whose terminal is closed, or that is told to end, while a step is at work.

const ENTER = '\r';
let real: RealCluster;
const open: ProgramInTerminal[] = [];

beforeAll(async () => {
  real = await realCluster(3_000);
  await real.backup();
});

beforeEach(async () => {
  await loseEverything(real.record.name);
});

afterEach(() => {
  for (const program of open.splice(0)) program.kill();
});

const environment = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });

async function rescueAtWork(): Promise<ProgramInTerminal> {
  const program = await rescueByKeys(real, { environment: environment() });
  open.push(program);
  return program;
}

describe.each<[string, (program: ProgramInTerminal) => unknown]>([
  ['its terminal is closed', (program) => program.close()],
  ['it gets SIGTERM, twice', ({ pid }) => [pid, pid].map((one) => process.kill(one, 'SIGTERM'))],
])('a rescue, when %s', (_what, end) => {
  test('ends what runs, says so in its record, and can be resumed', async () => {
    const program = await rescueAtWork();
    end(program);
    await endsAndIsResumed(real, environment(), program.pid);
  });
});

test('a rescue that was killed is offered when the program is opened again, and goes on by keys', async () => {
  const killed = await rescueAtWork();
  killed.kill();
  await killed.exited;
  const { id } = findRun('latest');
  const program = new ProgramInTerminal(['--profile', real.places.profile], { environment: environment() });
  open.push(program);
  expect(await program.shows(/Broken off .* ago: Whole cluster lost\. r goes on with it/)).toMatch(/r resume/);
  program.type('r');
  const plan = await program.shows(/enter begin/);
  expect(plan).toMatch(/ 1 +Stop novamem +done/);
  expect(plan).toMatch(/[1-9] of 11 steps done before, about [\d.]+ m?s to go\. Nothing further is touched yet\./);
  program.type(ENTER);
  for (;;) {
    const screen = await program.shows(/Type the cluster's name \(\S+\) to go on: *$|q quit/m);
    if (/q quit/.test(screen)) break;
    const asked = /Step (\d+) of/.exec(screen)?.[1];
    program.type(real.cluster.name);
    program.type(ENTER);
    await program.shows(new RegExp(`^(?![\\s\\S]*Step ${asked} of)`));
  }
  program.type('q');
  expect(await program.exited).toBe(0);
  expect(findRun('latest').id).toBe(id);
  expect(endOf(findRun(id).events)?.outcome).toBe('recovered');
});

test('a rescue whose Qdrant hangs is ended all the same, says what may still be done, and is resumed once it answers', async () => {
  const unattended = ['--headless', '--profile', real.places.profile, '--confirm', real.cluster.name];
  const [last] = listRuns();
  const child = spawn(process.execPath, [PROGRAM, 'run', 'whole-cluster-lost', ...unattended], {
    env: { ...process.env, ...environment() },
    stdio: 'ignore',
  });
  let pid: number | undefined;
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  try {
    await eventually('Qdrant is being restored', () => {
      const { id, events } = findRun('latest');
      const touched = events.some((event) => event.type === 'step.change' && event.step === 'restore-qdrant');
      return id !== last && touched;
    });
    ({ pid } = JSON.parse(readFileSync(real.places.pidFile('qdrant'), 'utf8')) as { pid: number });
    process.kill(pid, 'SIGSTOP');
    child.kill('SIGTERM');
    expect(await ended).toBe(130);
  } finally {
    if (pid !== undefined) process.kill(pid, 'SIGCONT');
    child.kill('SIGKILL');
  }
  const { events, fault } = findRun('latest');
  expect(fault).toBe('');
  expect(events.findLast((event) => event.type === 'step.finished' && event.step === 'restore-qdrant')).toMatchObject(
    {
      outcome: expect.stringMatching(/unknown|failed/),
    },
  );
  const resumed = await runProgram(['resume', ...unattended], { environment: environment(), timeoutMs: 120_000 });
  expect(resumed.exitCode, resumed.stdout + resumed.stderr).toBe(0);
});
