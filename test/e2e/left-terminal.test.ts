import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeEach, expect, it } from 'vitest';
import { endOf, JOURNAL_FILE } from '../../src/engine/journal.js';
import { findRun, listRuns } from '../../src/engine/runs.js';
import { eventually, processes } from '../support/eventually.js';
import { PROGRAM, PROGRAM_IN_MODULES } from '../support/program.js';
import type { ProgramInTerminal } from '../support/terminal.js';
import { terminals } from '../support/terminals.js';
import { waitingRun } from '../support/waiting-run.js';

// What a person had on their terminal before the program was opened is theirs: it is there after it, however that ended.

const ENTER = '\r';
const ESCAPE = '\u001b';
const UP = '\u001b[A';
const DOWN = '\u001b[B';
const CTRL_C = '\u0003';
const BREAKING = pathToFileURL(join(import.meta.dirname, '..', 'support', 'screens-that-break.mjs')).href;
const BEFORE = Array.from({ length: 30 }, (_, line) => `before ${line + 1}`);
const open = terminals();
let run: ReturnType<typeof waitingRun>;
let shell: ProgramInTerminal;

beforeEach(() => {
  run = waitingRun();
  process.env.NOVAMEM_RUNBOOK_HOME = run.environment.NOVAMEM_RUNBOOK_HOME;
});

async function openShell({ oneScreen = false, environment = {} as Record<string, string> } = {}): Promise<void> {
  shell = open(['--norc', '--noprofile', '-i'], {
    program: 'bash',
    environment: { ...run.environment, ...environment, PS1: 'ready> ' },
    oneScreen,
  });
  await shell.shows(/ready> $/m);
  shell.type(`for n in $(seq ${BEFORE.length}); do echo before $n; done${ENTER}`);
  await shell.shows(/before 30\nready> $/m);
}

/** Opens the program from the shell, and begins a run. */
async function begin(environment = ''): Promise<void> {
  const program = environment === '' ? PROGRAM : PROGRAM_IN_MODULES;
  shell.type(`${environment} ${process.execPath} ${program} ${run.args.join(' ')}${ENTER}`);
  await shell.shows(/enter begin/);
  shell.type(ENTER);
}

/** The process that was opened: a child of the shell. */
const opened = () =>
  processes().find(({ parent, command }) => parent === shell.pid && command.includes(PROGRAM))!.pid;

/** Everything of before is on the ordinary screen in its order, and below it what was said, and the shell asks again. */
async function isAsBefore(said: RegExp): Promise<void> {
  await eventually(
    'the shell asks again',
    () => !shell.onAlternateScreen && /ready> $/.test(shell.scrollback().trimEnd().concat(' ')),
  );
  const all = shell.scrollback();
  const at = all.indexOf(`\n${BEFORE.join('\n')}\nready> `);
  expect(at, all).toBeGreaterThan(-1);
  // A command that fills its last line to the edge is followed by a space of the shell's.
  const below = all
    .slice(at + BEFORE.join('\n').length)
    .replaceAll('\n', '')
    .replaceAll(/ +ready> /g, 'ready> ');
  expect(below).toMatch(said);
  // What is typed is seen again, and goes nowhere but to the shell.
  shell.type(`echo $((6 * 7))-is-it${ENTER}`);
  await shell.shows(/^42-is-it$/m);
}

async function stop(): Promise<void> {
  shell.type(CTRL_C);
  await shell.shows(/❯ keep running/);
  shell.type(DOWN);
  await shell.shows(/❯ stop/);
  shell.type(ENTER);
  await shell.shows(/q quit/);
  // Nothing runs any more: there is nothing to ask.
  shell.type(CTRL_C);
}

it.each<[string, () => Promise<void>, RegExp, string?]>([
  ['was stopped by ctrl-c and left', stop, /Side by side: aborted by the operator in .*Journal .*\(intact\)ready> /],
  [
    'was ended by ctrl-c and kill',
    async () => {
      shell.type(CTRL_C);
      await shell.shows(/❯ keep running/);
      shell.type(UP);
      await shell.shows(/❯ kill/);
      shell.type(ENTER);
    },
    /profile\.yamlKilled\. What is done stays done; .*Next: novamem-runbook resume \S+ready> $/,
  ],
  [
    'was told to end (SIGTERM)',
    async () => void process.kill(opened(), 'SIGTERM'),
    /Side by side: aborted by the operator in .*Journal .*\(intact\)ready> /,
  ],
  [
    'broke in what it draws',
    async () => {},
    /Side by side: aborted .*The screens ended by an error that should not be: .*Next: novamem-runbook resume \S+,.*ready> /,
    `BREAKS=drawing NODE_OPTIONS='--import ${BREAKING}'`,
  ],
])('what was on the terminal before is there after a run that %s', async (how, leave, said, environment) => {
  await openShell();
  await begin(environment);
  // A step is at work beside the question: something was begun.
  if (!environment) await shell.shows(/meanwhile[\s\S]*Which way\?/);
  await leave();
  await isAsBefore(said);
  const outcome = endOf(findRun(listRuns()[0]!).events)?.outcome;
  expect(outcome).toBe(how.includes('kill') ? undefined : 'aborted');
});

it('what was on the terminal before is there after a run that was killed (SIGKILL), once what the README says was typed, and after its taking up was left', async () => {
  await openShell();
  await begin();
  await shell.shows(/meanwhile[\s\S]*Which way\?/);
  process.kill(opened(), 'SIGKILL');
  await shell.shows(/Killed|ready> $/m);
  shell.type(`tput rmcup; stty sane; tput cnorm${ENTER}`);
  await isAsBefore(/profile\.yamlready> /);
  const [id] = listRuns();
  const before = readFileSync(join(findRun(id!).folder, JOURNAL_FILE), 'utf8');

  // Qdrant takes every question and answers none: until that is given up, the run is being opened.
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  writeFileSync(
    run.profile,
    readFileSync(run.profile, 'utf8').replace('http://127.0.0.1:1"', `http://127.0.0.1:${port}"`),
  );
  shell.type(`${process.execPath} ${PROGRAM} --profile ${run.profile}${ENTER}`);
  await shell.shows(/r goes on with it/);
  shell.type('r');
  await shell.shows(/Reading the runbook[\s\S]*esc back/);
  shell.type(ESCAPE);
  await shell.shows(/r goes on with it[\s\S]*What happened\?/);
  shell.type('r');
  await shell.shows(/Reading the runbook/);
  shell.type(CTRL_C);
  await isAsBefore(/profile\.yamlready> $/);
  silent.close();
  shell.type(`${process.execPath} ${PROGRAM} replay latest${ENTER}`);
  await shell.shows(/^ REPLAY /m);
  shell.type(CTRL_C);
  await isAsBefore(/REPLAY of \S+ left\. Nothing was done\..*ready> $/);
  expect(listRuns()).toEqual([id]);
  expect(readFileSync(join(findRun(id!).folder, JOURNAL_FILE), 'utf8')).toBe(before);
});

it.each<[string, Parameters<typeof openShell>[0]]>([
  ['', {}],
  [' on a terminal without an alternate screen (GNU screen)', { oneScreen: true, environment: { STY: '1.test' } }],
])('what was on the terminal before is there after a look without a run%s', async (_where, terminal) => {
  await openShell(terminal);
  shell.type(`${process.execPath} ${PROGRAM} --profile ${run.profile}${ENTER}`);
  await shell.shows(/What happened\?/);
  shell.type('q');
  await isAsBefore(/profile\.yamlready> $/);
});

it('what is typed before the screens stand is theirs, and what was on the terminal is there afterwards', async () => {
  await openShell();
  shell.type(`${process.execPath} ${PROGRAM} --profile ${run.profile}${ENTER}`);
  await shell.drawn(/· opening/);
  shell.type('h');
  await shell.shows(/No run of this cluster|esc back/);
  expect(await shell.shows(/esc back/)).not.toMatch(/opening|Reading the profile/);
  shell.type(ESCAPE);
  await shell.shows(/What happened\?/);
  shell.type('q');
  await isAsBefore(/ready> /);
});

it('what was on the terminal before is there when the profile cannot be read', async () => {
  await openShell();
  shell.type(`${process.execPath} ${PROGRAM} --profile nobody-knows-it${ENTER}`);
  await shell.shows(/There is no profile/);
  expect(shell.written).toContain('· opening');
  await isAsBefore(/There is no profile "nobody-knows-it".*ready> /);
});
