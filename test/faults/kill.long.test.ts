import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { homeFolder } from '../../src/config/home.js';
import { endOf, JOURNAL_FILE, readJournal } from '../../src/engine/journal.js';
import { processesWith } from '../../src/hosts/process-mark.js';
import { RUN_VARIABLE } from '../../src/hosts/run-command.js';
import { sleep } from '../../src/hosts/waiting.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import type { Measured } from '../support/measure.js';
import { measureCluster } from '../support/measure-cluster.js';
import { PROGRAM, ROOT, runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';

// kill -9 at moments spread over a whole rescue, and over its resumptions. LONG=1 KILLS=200 npx vitest run test/faults/kill.long.test.ts

const KILLS = Number(process.env.KILLS ?? 5);
const KILLED_AGAIN = 0.4;
const PATIENCE = 120_000;

let real: RealCluster;
let before: Measured;
/** How long a rescue takes here when nobody disturbs it, milliseconds. */
let whole: number;

beforeAll(async () => {
  real = await realCluster(1_000);
  before = await measured();
  await real.backup();
  await loseEverything(real.record.name);
  const begun = Date.now();
  expect((await program('run', 'whole-cluster-lost', '--confirm', real.cluster.name)).exitCode).toBe(0);
  whole = Date.now() - begun;
  expect(await measured()).toEqual(before);
});

const measured = () => measureCluster(real);
const environment = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });
const program = (...args: string[]) =>
  runProgram([...args, '--headless', '--profile', real.places.profile], {
    environment: environment(),
    timeoutMs: PATIENCE,
  });

/** Starts the program and kills it, and nothing else, after a while. Answers whether it was still at work then. */
async function killed(afterMs: number, ...args: string[]): Promise<boolean> {
  const child = spawn(process.execPath, [PROGRAM, ...args, '--headless', '--profile', real.places.profile], {
    cwd: ROOT,
    env: { ...process.env, ...environment() },
    stdio: 'ignore',
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await Promise.race([sleep(afterMs), ended]);
  const atWork = child.exitCode === null;
  child.kill('SIGKILL');
  await ended;
  return atWork;
}

/** The newest run that has a first line. */
function newestRun(): { id: string; file: string } | undefined {
  const runs = join(homeFolder(), 'runs');
  for (const id of readdirSync(runs).sort().reverse()) {
    const file = join(runs, id, JOURNAL_FILE);
    if (existsSync(file) && readJournal(file).events.length > 0) return { id, file };
  }
  return undefined;
}

test(`${KILLS} rescues that are killed come to their end, and nothing is lost`, {
  timeout: KILLS * PATIENCE,
}, async () => {
  const tally = { kills: 0, resumed: 0, anew: 0, before: 0 };
  const confirm = ['--confirm', real.cluster.name];
  for (let turn = 0; turn < KILLS; turn += 1) {
    const last = newestRun()?.id;
    await loseEverything(real.record.name);
    const moment = (whole * 1.1 * (turn + Math.random())) / KILLS;
    if (await killed(moment, 'run', 'whole-cluster-lost', ...confirm)) tally.kills += 1;
    const broken = newestRun();
    const begun = broken !== undefined && broken.id !== last;
    if (begun && !endOf(readJournal(broken.file).events)) {
      while (Math.random() < KILLED_AGAIN)
        if (await killed(whole * Math.random(), 'resume', ...confirm)) tally.kills += 1;
    }
    const events = begun ? readJournal(broken.file).events : [];
    const open = events.some((event) => event.type === 'step.started') && !endOf(events);
    if (open) tally.resumed += 1;
    else if (endOf(events)) tally.before += 1;
    else tally.anew += 1;
    if (!endOf(events)) {
      const args = open ? ['resume', broken!.id] : ['run', 'whole-cluster-lost'];
      const ended = await program(...args, ...confirm);
      expect(
        ended.exitCode,
        `killed after ${Math.round(moment)} ms of ${whole}\n${ended.stdout}${ended.stderr}`,
      ).toBe(0);
    }
    const { file, id } = newestRun()!;
    expect(await measured(), `killed after ${Math.round(moment)} ms of ${whole}`).toEqual(before);
    expect(readJournal(file).fault).toBe('');
    expect(endOf(readJournal(file).events)?.outcome).toBe('recovered');
    expect(processesWith(RUN_VARIABLE, id)).toEqual([]);
    const restores = readJournal(file).events.flatMap((event) =>
      event.type === 'step.finished' && event.outcome === 'succeeded' && event.step.startsWith('restore-')
        ? [event.step]
        : [],
    );
    expect(restores.sort(), 'each store is restored once').toEqual([
      'restore-falkordb',
      'restore-postgres',
      'restore-qdrant',
    ]);
  }
  console.log(
    `${tally.kills} kills in ${KILLS} rescues: ${tally.resumed} resumed, ${tally.anew} begun anew (killed before their first step), ${tally.before} had ended. Losses: 0`,
  );
  expect(tally.resumed).toBeGreaterThan(0);
});
