import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { homeFolder } from '../../src/config/home.js';
import { endOf, JOURNAL_FILE, type JournalEvent, readJournal } from '../../src/engine/journal.js';
import { processesWith } from '../../src/hosts/process-mark.js';
import { RUN_VARIABLE } from '../../src/hosts/run-command.js';
import { sleep } from '../../src/hosts/waiting.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { messageOf } from '../../src/words.js';
import type { Measured } from './measure.js';
import { measureCluster } from './measure-cluster.js';
import { PROGRAM, ROOT, runProgram } from './program.js';
import type { RealCluster } from './sandbox.js';

// kill -9 at moments spread over a whole rescue of a cluster that has lost everything, and over its resumptions.

/** What came of rescues that were killed. */
export interface KillTally {
  rescues: number;
  kills: number;
  /** How the rescues stood after their kills: begun and gone on with, killed before their first step, at their end already. */
  resumed: number;
  anew: number;
  ended: number;
  /** What was not as it has to be, each with the moment of its kill. */
  losses: string[];
}

declare module 'vitest' {
  interface TaskMeta {
    kills?: KillTally;
  }
}

const KILLED_AGAIN = 0.4;
const MOST_LOSSES = 3;
export const RESCUE_PATIENCE_MS = 120_000;

/**
 * Kills as many rescues as are asked for, each once or more; goes on with each until it is at its end. The moments are spread
 * over `within` milliseconds: as long as a rescue takes here, which is measured where it is not given.
 */
export async function killRescues(real: RealCluster, rescues: number, within?: number): Promise<KillTally> {
  const tally: KillTally = { rescues: 0, kills: 0, resumed: 0, anew: 0, ended: 0, losses: [] };
  const before = await measureCluster(real);
  await real.backup();
  const whole = within ?? (await undisturbed(real, before));
  while (tally.rescues < rescues && tally.losses.length < MOST_LOSSES) {
    const moment = Math.round((whole * 1.1 * (tally.rescues + Math.random())) / rescues);
    tally.rescues += 1;
    try {
      await oneRescue(real, before, { moment, whole }, tally);
    } catch (error) {
      tally.losses.push(`rescue ${tally.rescues}, killed after ${moment} ms of ${whole}: ${messageOf(error)}`);
    }
    if (tally.rescues % 20 === 0) console.log(tallyText(tally));
  }
  return tally;
}

export const tallyText = ({ rescues, kills, resumed, anew, ended, losses }: KillTally) =>
  `${kills} kills in ${rescues} rescues: ${resumed} resumed, ${anew} begun anew (killed before their first step), ${ended} had ended. Losses: ${losses.length}`;

/** Milliseconds that a rescue takes here when nobody disturbs it. */
async function undisturbed(real: RealCluster, before: Measured): Promise<number> {
  await loseEverything(real.record.name);
  const begun = Date.now();
  const { exitCode, stdout, stderr } = await program(real, 'run', 'whole-cluster-lost');
  expect(exitCode, stdout + stderr).toBe(0);
  expect(await measureCluster(real)).toEqual(before);
  return Date.now() - begun;
}

async function oneRescue(
  real: RealCluster,
  before: Measured,
  { moment, whole }: { moment: number; whole: number },
  tally: KillTally,
): Promise<void> {
  const last = newestRun()?.id;
  await loseEverything(real.record.name);
  if (await killed(real, moment, 'run', 'whole-cluster-lost')) tally.kills += 1;
  const broken = newestRun();
  const begun = broken !== undefined && broken.id !== last;
  const now = () => (begun ? eventsOf(broken.file) : []);
  const hasBegun = () => now().some((event) => event.type === 'step.started') && !endOf(now());
  while (hasBegun() && Math.random() < KILLED_AGAIN)
    if (await killed(real, whole * Math.random(), 'resume')) tally.kills += 1;
  const open = hasBegun();
  if (open) tally.resumed += 1;
  else if (endOf(now())) tally.ended += 1;
  else tally.anew += 1;
  if (!endOf(now())) {
    const ended = await program(real, ...(open ? ['resume', broken!.id] : ['run', 'whole-cluster-lost']));
    expect(ended.exitCode, ended.stdout + ended.stderr).toBe(0);
  }
  const { file, id } = newestRun()!;
  expect(await measureCluster(real), 'all that was in the backup, and nothing twice').toEqual(before);
  const { events, fault } = readJournal(file);
  expect(fault).toBe('');
  expect(endOf(events)?.outcome).toBe('recovered');
  expect(processesWith(RUN_VARIABLE, id), 'no program is left').toEqual([]);
  const restored = events.flatMap((event) =>
    event.type === 'step.finished' && event.outcome === 'succeeded' && event.step.startsWith('restore-')
      ? [event.step]
      : [],
  );
  expect(restored.sort(), 'each store is restored once').toEqual([
    'restore-falkordb',
    'restore-postgres',
    'restore-qdrant',
  ]);
}

const eventsOf = (file: string): JournalEvent[] => readJournal(file).events;

const unattended = ({ cluster, places }: RealCluster) => [
  '--headless',
  ...['--profile', places.profile, '--confirm', cluster.name],
];
const environment = () => ({ NOVAMEM_RUNBOOK_HOME: process.env.NOVAMEM_RUNBOOK_HOME! });
const program = (real: RealCluster, ...args: string[]) =>
  runProgram([...args, ...unattended(real)], { environment: environment(), timeoutMs: RESCUE_PATIENCE_MS });

/** Starts the program and kills it, and nothing else, after a while. Answers whether it was still at work then. */
async function killed(real: RealCluster, afterMs: number, ...args: string[]): Promise<boolean> {
  const child = spawn(process.execPath, [PROGRAM, ...args, ...unattended(real)], {
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
    if (existsSync(file) && eventsOf(file).length > 0) return { id, file };
  }
  return undefined;
}
