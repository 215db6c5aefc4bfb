import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { homeFolder } from '../../src/config/home.js';
import type { TrainingRecord } from '../../src/engine/training/record.js';
import { listRecords, type SandboxRecord } from '../../src/sandbox/registry.js';
import { eventually, familyOf, isRunning, processes } from '../support/eventually.js';
import { serversOf } from '../support/servers-of.js';
import { tempFolder } from '../support/temp.js';
import type { ProgramInTerminal } from '../support/terminal.js';
import { terminals } from '../support/terminals.js';

// The first lesson as somebody takes it who has nothing but the screen.

const ENTER = '\r';
const DOWN = '\u001b[B';
const CTRL_C = '\u0003';
const CTRL_T = '\u0014';
const PREPARING_MS = 120_000;
process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
const open = terminals();
let trainee: string;

beforeEach(() => {
  trainee = `trainee-${Math.random().toString(36).slice(2)}`;
});

/** Goes down a list until that line of it is highlighted. */
async function highlight(program: ProgramInTerminal, label: string): Promise<void> {
  for (;;) {
    const now = /❯ (.*?) *$/m.exec(await program.shows(/❯ \S/))![1]!;
    if (now.startsWith(label)) return;
    program.type(DOWN);
    await program.shows(new RegExp(`❯ (?!${now.slice(0, 20).replace(/[^\w ]/g, '.')})`));
  }
}

async function pick(program: ProgramInTerminal, label: string): Promise<void> {
  await highlight(program, label);
  program.type(ENTER);
}

/** From the list to the page. */
async function paged(program: ProgramInTerminal): Promise<void> {
  await program.shows(/enter take it/);
  await pick(program, 'Your first night on call');
  await program.shows(/enter start/);
  program.type(ENTER);
  await program.shows(/The pager {2}novamem: \/health 503/, PREPARING_MS);
}

async function predict(program: ProgramInTerminal, answers: readonly string[]): Promise<void> {
  program.type(ENTER);
  for (const [index, answer] of answers.entries()) {
    await program.shows(new RegExp(`prediction ${index + 1} of ${answers.length}`));
    await pick(program, answer);
  }
}

/** Types the cluster's name wherever it is asked for, until the run is over. */
async function confirmAll(program: ProgramInTerminal, choice: string): Promise<string> {
  for (;;) {
    const screen = await program.shows(
      /to go on: *$|❯ Restore the snapshots|enter predict|enter go on|q done…/m,
      60_000,
    );
    if (/q done…/.test(screen)) return screen;
    if (/❯ Restore the snapshots/.test(screen)) {
      await pick(program, choice);
      await program.shows(/^(?![\s\S]*asked by way)/);
    } else if (/enter predict|enter go on/.test(screen)) {
      program.type(ENTER);
      await program.shows(screen.includes('enter predict') ? /enter go on/ : /^(?![\s\S]*enter go on)/);
    } else {
      const name = /lesson-\w+/.exec(screen)![0];
      const [question] = /(asked by|question \d of \d:) \S+/.exec(screen)!;
      program.type(name);
      await program.shows(new RegExp(`to go on: ${name} *$`, 'm'));
      program.type(ENTER);
      await program.shows(new RegExp(`^(?![\\s\\S]*${question} )`));
    }
  }
}

/** What is kept of the lessons of this trainee. */
function records(): TrainingRecord[] {
  const folder = join(homeFolder(), 'trainings');
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((id) => JSON.parse(readFileSync(join(folder, id, 'training.json'), 'utf8')) as TrainingRecord)
    .filter((one) => one.trainee === trainee);
}

const lessonClusters = () => listRecords().filter(({ name }) => name.startsWith('lesson-'));

test('the right way by keys: nothing is lost, one hint is paid for', async () => {
  const program = open(['train', '--as', trainee]);
  await paged(program);
  program.type('d');
  expect(await program.shows(/what they mean is for you to say|more lines/)).not.toMatch(/qdrant-lost|fits/);
  program.type(CTRL_T);
  await program.shows(/A nudge costs 3/);
  program.type(ENTER);
  await program.shows(/A nudge \(-3\)[\s\S]*ctrl-t asks for the next one/);
  program.type('\u001b');
  await program.shows(/enter predict/);
  await predict(program, ['Qdrant lost', 'novamem', 'nothing']);
  await program.shows(/What happened\? 1 scenario fits/, 30_000);
  await pick(program, 'Qdrant lost');
  await program.shows(/From which backup/);
  program.type(ENTER);
  await program.shows(/enter begin/, 30_000);
  program.type(ENTER);
  expect(await confirmAll(program, 'Restore the snapshots')).toMatch(/Recovered in/);
  program.type('q');
  await program.shows(/Is lesson-\w+ recovered\?/);
  await pick(program, 'it is');
  expect(await program.shows(/of 100: passed/, 30_000)).toMatch(/DEBRIEF/);
  program.type('q');
  expect(await program.exited).toBe(0);
  const [record] = records();
  expect(record).toMatchObject({
    givenUp: false,
    memories: 603,
    loss: { memories: 0, vectors: 0, nodes: 0 },
    unsafe: [],
  });
  expect(record!.hints.map(({ costs }) => costs)).toEqual([3]);
  expect(record!.predictions.slice(0, 3).every(({ given, answer }) => given === answer)).toBe(true);
  expect(program.scrollback()).toMatch(/Your first night on call: \d+ of 100: passed/);
  expect(lessonClusters()).toEqual([]);
}, 240_000);

test('given up: the way is shown, nothing was recovered, and no marks are given for it', async () => {
  const program = open(['train', '--as', trainee]);
  await paged(program);
  await predict(program, ['Postgres data damaged', 'nothing', 'all memories']);
  await program.shows(/What happened\? 1 scenario fits/, 30_000);
  program.type('q');
  await pick(program, 'I give up');
  const debrief = await program.shows(/not passed \(given up\)/, 60_000);
  expect(debrief).toMatch(/The storage of Qdrant is gone/);
  program.type('\u001b');
  await program.shows(/enter take it/);
  program.type('h');
  await program.shows(new RegExp(`${trainee}: taken once`));
  program.type('q');
  expect(await program.exited).toBe(0);
  const [record] = records();
  expect(record).toMatchObject({ givenUp: true, recoveredAt: null, runs: [] });
  expect(record!.score!.total).toBeLessThan(70);
}, 240_000);

test('ctrl-c on the page asks first, and leaves nothing behind', async () => {
  const program = open(['train', 'first-night', '--as', trainee]);
  await program.shows(/enter start/);
  program.type(ENTER);
  await program.shows(/The pager/, PREPARING_MS);
  program.type(CTRL_C);
  await program.shows(/Leave this lesson\?/);
  await pick(program, 'leave it');
  await program.shows(/enter take it/, 30_000);
  program.type('q');
  expect(await program.exited).toBe(0);
  expect(records()).toMatchObject([{ leftAt: expect.any(Number), hints: [] }]);
  expect(lessonClusters()).toEqual([]);
}, 240_000);

test('killed in the middle of a run, nothing is left of it, and the next lesson can be taken', async () => {
  const program = open(['train', '--as', trainee]);
  await paged(program);
  await predict(program, ['Qdrant lost', 'novamem', 'nothing']);
  await program.shows(/What happened\? 1 scenario fits/, 30_000);
  await pick(program, 'Qdrant lost');
  await program.shows(/From which backup/);
  program.type(ENTER);
  await program.shows(/enter begin/, 30_000);
  program.type(ENTER);
  await program.shows(/asked by way/, 60_000);
  const [record] = lessonClusters() as [SandboxRecord];
  const servers = serversOf(record);
  expect(servers.length).toBeGreaterThan(3);
  const family = [...new Set([...familyOf([program.pid]), ...servers])];
  process.kill(program.pid, 'SIGKILL');
  await program.exited;
  await eventually('every process of it is gone', () => !family.some(isRunning));
  await eventually('its folder is gone', () => !existsSync(record.folder));
  expect(processes().filter(({ command }) => command.includes(record.name))).toEqual([]);
  expect(lessonClusters()).toEqual([]);
  expect(records()).toEqual([]);
  const next = open(['train', '--as', trainee]);
  expect(await next.shows(/Your first night on call .*never taken/)).toMatch(/enter take it/);
  await paged(next);
  next.type(CTRL_C);
  await next.shows(/Leave this lesson\?/);
  await pick(next, 'leave it');
  await next.shows(/enter take it/, 30_000);
  next.type('q');
  expect(await next.exited).toBe(0);
  expect(lessonClusters()).toEqual([]);
}, 300_000);
