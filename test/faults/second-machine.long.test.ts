import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, utimesSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { endOf, JOURNAL_FILE, type JournalEvent, readJournal } from '../../src/engine/journal.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { eventually, familyOf, isRunning, killAll } from '../support/eventually.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { PROGRAM, runFile, runProgram } from '../support/program.js';
import { rescueThatAsks } from '../support/rescue-at-work.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';
import type { ProgramInTerminal } from '../support/terminal.js';
import { whyNot } from '../support/tools.js';

// Two machines that share nothing but the backup root and the servers: the second has a name, processes and a home of its own.

const THERE = 'machine-b';
const APART = ['--uts', '--pid', '--mount', '--mount-proc', '--fork', '--kill-child'];
const missing = whyNot('unshare', ...APART, 'hostname', THERE);

let real: RealCluster;
let before: Measured;
let homeThere: string;
/** Starts a command on the second machine. */
let there: string[];
let machine: ChildProcess;
let lock: string;
const open: ProgramInTerminal[] = [];

beforeAll(async () => {
  if (missing) return;
  real = await realCluster(300);
  before = await measureCluster(real);
  await real.backup();
  lock = join(real.places.backups, `.novamem-runbook-${real.cluster.name}.lock`);
});

beforeEach(async () => {
  if (missing) return;
  homeThere = tempFolder('home-there');
  machine = spawn('unshare', [...APART, 'sh', '-c', `hostname ${THERE} && echo up && exec sleep infinity`]);
  await once(machine.stdout!, 'data');
  const [, init] = familyOf([machine.pid!]);
  there = ['nsenter', '--target', String(init), '--uts', '--pid', '--mount'];
  await loseEverything(real.record.name);
});

afterEach(async () => {
  for (const program of open.splice(0)) {
    killProgram(program);
    await program.exited;
  }
  // With it all that it has started: servers, too.
  machine?.kill('SIGKILL');
});

/** Kills a program, and the command through which it was started. */
function killProgram(program: ProgramInTerminal): void {
  killAll(familyOf([program.pid]).reverse());
}

const here = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });
const rescue = (...more: string[]) => [
  ...['run', 'whole-cluster-lost', '--headless', '--profile', real.places.profile],
  ...['--confirm', real.cluster.name, ...more],
];
const rescueHere = (...more: string[]) => runProgram(rescue(...more), { environment: here(), timeoutMs: 120_000 });
const rescueThere = (...more: string[]) =>
  runFile(there[0]!, [...there.slice(1), process.execPath, PROGRAM, ...rescue(...more)], {
    environment: { NOVAMEM_RUNBOOK_HOME: homeThere },
    timeoutMs: 120_000,
  });

async function askingHere() {
  const program = await rescueThatAsks(real, { environment: here() });
  open.push(program);
  return program;
}

async function askingThere() {
  const program = await rescueThatAsks(real, { environment: { NOVAMEM_RUNBOOK_HOME: homeThere }, through: there });
  open.push(program);
  return program;
}

const holder = () =>
  JSON.parse(readFileSync(lock, 'utf8')) as { run: string; host: string; process: { pid: number } };

/** As if nothing had been heard of its holder for so long. */
function silentFor(seconds: number): void {
  const then = Date.now() / 1000 - seconds;
  utimesSync(lock, then, then);
}

/** What the runs of the second machine have recorded, the oldest first. */
function recordedThere(): JournalEvent[][] {
  const runs = join(homeThere, 'runs');
  return readdirSync(runs)
    .sort()
    .map((run) => {
      const { events, fault } = readJournal(join(runs, run, JOURNAL_FILE));
      expect(fault).toBe('');
      return events;
    });
}

describe.skipIf(missing)(`a second machine${missing ? ` (not run here: ${missing})` : ''}`, () => {
  test('is told who works on the cluster, where, since when and how lately, and changes nothing', async () => {
    await askingHere();
    const { run, process } = holder();
    for (const more of [[], ['--take-over']]) {
      const refused = await rescueThere(...more);
      expect(refused.exitCode, refused.stdout + refused.stderr).toBe(3);
      expect(refused.stderr).toMatch(
        new RegExp(
          `run ${run} of \\S+ \\(process ${process.pid} on ${hostname()}, since \\S+Z\\) works on this cluster; its last sign of life was .* ago; the lock is ${lock}`,
        ),
      );
    }
    for (const events of recordedThere())
      expect(events.filter(({ type }) => type === 'step.started' || type === 'step.change')).toEqual([]);
    expect(holder().run).toBe(run);
  });

  test('takes the place of one that is silent, when that is asked for, and says so in its record', async () => {
    const program = await askingHere();
    const { run } = holder();
    program.kill();
    await program.exited;
    const soon = await rescueThere('--take-over');
    expect(soon.exitCode, 'it cannot be known to be gone').toBe(3);
    silentFor(60);
    const silent = await rescueThere();
    expect([silent.exitCode, silent.stderr]).toEqual([3, expect.stringMatching(/then add --take-over/)]);
    const taken = await rescueThere('--take-over');
    expect(taken.exitCode, taken.stdout + taken.stderr).toBe(0);
    expect(
      recordedThere()
        .at(-1)!
        .find((event) => event.type === 'run.locked'),
    ).toMatchObject({
      tookOver: [expect.stringContaining(`run ${run} of `)],
    });
    expect(await measureCluster(real)).toEqual(before);
    expect(existsSync(lock)).toBe(false);
  });

  test('whose process has a number that somebody has here, is not taken for that one', async () => {
    const program = await askingThere();
    const { host, process: mark } = holder();
    expect(host).toBe(THERE);
    expect(isRunning(mark.pid), 'there is such a process on this machine, too').toBe(true);
    const told = await rescueHere();
    expect([told.exitCode, told.stderr]).toEqual([3, expect.stringContaining(`process ${mark.pid} on ${THERE}`)]);
    killProgram(program);
    await program.exited;
    silentFor(60);
    const taken = await rescueHere('--take-over');
    expect(taken.exitCode, taken.stdout + taken.stderr).toBe(0);
    expect(await measureCluster(real)).toEqual(before);
  });

  test('that was only halted, and then goes on, stops: its place is taken', async () => {
    await askingHere();
    const { run, process: mark } = holder();
    process.kill(mark.pid, 'SIGSTOP');
    try {
      await eventually('it is silent', () => Date.now() - statSync(lock).mtimeMs > 31_000);
      const taken = await rescueThere('--take-over');
      expect(taken.exitCode, taken.stdout + taken.stderr).toBe(0);
    } finally {
      process.kill(mark.pid, 'SIGCONT');
    }
    const file = join(here().NOVAMEM_RUNBOOK_HOME, 'runs', run, JOURNAL_FILE);
    await eventually('it has found out', () => endOf(readJournal(file).events));
    const { events, fault } = readJournal(file);
    expect([fault, endOf(events)?.outcome]).toEqual(['', 'failed']);
    expect(events.find((event) => event.type === 'note')).toMatchObject({
      text: expect.stringMatching(/^stopped: the lock .* is gone: this program stood still for .*/),
    });
    expect(events.filter((event) => event.type === 'step.change' && event.step.startsWith('restore-'))).toEqual([]);
    expect(existsSync(lock)).toBe(false);
    expect(await measureCluster(real)).toEqual(before);
  });
});
