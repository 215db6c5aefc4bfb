import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, expect, it } from 'vitest';
import { findRun } from '../../src/engine/runs.js';
import { loseEverything } from '../../src/sandbox/lose-everything.js';
import { eventually } from '../support/eventually.js';
import { PROGRAM_IN_MODULES } from '../support/program.js';
import { realCluster } from '../support/sandbox.js';
import type { ProgramInTerminal } from '../support/terminal.js';
import { terminals } from '../support/terminals.js';

const ENTER = '\r';
const DOWN = '\u001b[B';
const ESCAPE = '\u001b';
const BREAKING = pathToFileURL(join(import.meta.dirname, '..', 'support', 'screens-that-break.mjs')).href;
const open = terminals();
let name: string;

beforeAll(async () => {
  const real = await realCluster(120);
  ({ name } = real.record);
  await real.backup();
  await loseEverything(name);
}, 60_000);

/** The program in a terminal so wide that no line is broken. */
function start(args: string[], environment: Record<string, string> = {}) {
  const program = open([...args, '--profile', name], {
    columns: 300,
    rows: 24,
    environment,
    ...(environment.BREAKS ? { program: PROGRAM_IN_MODULES } : {}),
  });
  let heard = 0;
  return {
    program,
    type: (keys: string) => program.type(keys),
    /** Waits until something is said that was not waited for before, and answers what was said meanwhile. */
    async hears(pattern: RegExp): Promise<string> {
      const found = await eventually(
        `it says ${pattern}`,
        () => pattern.exec(program.written.slice(heard).replaceAll('\r', '')),
        30_000,
      ).catch((error: Error) => {
        throw new Error(`${error.message}; it says:\n${program.written.slice(heard)}`);
      });
      const said = found.input.slice(0, found.index + found[0].length);
      heard += said.length + said.split('\n').length - 1;
      return said;
    },
  };
}

/** Anything but words: a control sequence, a rule, a bar, a symbol of a state. */
const NOT_SAID = /[\u001b─│█░◐◑◌●◀▸❯✔✗↶]|\[\?\d/u;
const COLOUR = /\u001b\[[\d;:]*m/;

it('reads a whole rescue aloud as lines of words, on the ordinary screen, with nothing drawn over', async () => {
  const { program, type, hears } = start(['--screen-reader']);
  const picker = await hears(/Keys: .*\n/);
  expect(picker).toContain(`${name}, outage`);
  expect(picker).toMatch(/^\d\. Whole cluster lost/m);
  expect(picker).toMatch(/chosen: \S.*, 1 of \d+\n/);
  expect(picker).toContain('Keys: enter open, d dry run');
  await hears(/qdrant, no answer: .*\n/);
  await hears(/\d scenarios fit what is seen[\s\S]*chosen: /);
  for (let place = 2; ; place = (place % 9) + 1) {
    type(DOWN);
    if (/chosen: Whole cluster lost/.test(await hears(new RegExp(`chosen: .*, ${place} of 9\\n`)))) break;
  }
  type(ENTER);
  const backups = await hears(/From which backup\?[\s\S]*Keys: .*use it.*\n/);
  if (!/chosen: .* manifest, 1 of 1/.test(backups)) await hears(/chosen: .* manifest, 1 of 1\n[\s\S]*Keys: /);
  type(ENTER);
  const plan = await hears(/Nothing has been touched yet\.\n[\s\S]*Keys: enter begin .*\n/);
  expect(plan).toMatch(/\n1, Stop novamem\n2, Start Postgres/);
  expect(plan).toMatch(/chosen: Stop novamem, 1 of 11\nWhy: /);
  type(DOWN);
  expect(await hears(/chosen: .*\n[\s\S]*Will run: .*\n/)).toMatch(/^chosen: Start Postgres .*, 2 of 11\nWhy: /);
  type(ENTER);

  const asks = /Type the cluster's name \(\S+\) to go on: $/;
  const first = await hears(asks);
  expect(first).toMatch(/\nstop-novamem: done, \d.*2 comparisons, all equal\n/);
  expect(first).toMatch(/\nStep \d of 11, Restore .*\nWhy: .*\nDestroys: .*\nWay back: .*\nNo return: .*\n/);
  type(`not-${name}${ENTER}`);
  expect(await hears(asks)).toContain(`"not-${name}" is not this cluster's name; nothing was started.\n`);
  // A letter that is typed is read as a letter, and one that is taken back is gone.
  type('x');
  await hears(/x$/);
  type('\u007f');
  await hears(/[\b] [\b]$|to go on: $/);
  for (let question = 1; ; question += 1) {
    type(`${name}${ENTER}`);
    const said = await hears(/to go on: $|\nEvidence: [\s\S]*Keys: .*q quit\n/);
    if (!asks.test(said)) {
      expect(question).toBe(3);
      expect(said).toMatch(/\nrestore-postgres: done, \d.*, \d+ comparisons, all equal\n/);
      expect(said).toMatch(/\nRecovered in \d.*\nstop-novamem, done/);
      expect(said).toMatch(/\nEvidence: \d+ comparisons, all equal\nstore, compared, expected, found\n/);
      break;
    }
  }
  type('l');
  expect(await hears(/Keys: .*e error.*\n/)).toMatch(/Log, all steps, UTC, following, \d+ lines\n\d\d:\d\d:\d\d/);
  type(ESCAPE);
  await hears(/q quit\n/);
  expect(program.written.replaceAll('\b \b', '')).not.toMatch(NOT_SAID);
  type('q');
  expect(await program.exited).toBe(0);
  expect(program.written).toMatch(
    /Whole cluster lost: recovered in [\s\S]*all equal[\s\S]*journal\.jsonl \(intact\)/,
  );
  expect(program.written).not.toContain('\u001b');
}, 60_000);

it('shows plain lines where the terminal is dumb, says so, and writes no control sequence', async () => {
  const { program, type, hears } = start(['run', 'backup'], { TERM: 'dumb' });
  const plan = await hears(/Nothing has been touched yet\.\n[\s\S]*Keys: .*\n/);
  expect(plan).toMatch(/plain lines only \(TERM says so\)/);
  expect(plan).toMatch(/5 steps, about [\d.]+ m?s, by earlier runs\. Nothing/);
  type(ESCAPE);
  await hears(/What happened\?[\s\S]*Keys: .*q quit\n/);
  type('q');
  expect(await program.exited).toBe(0);
  expect(program.written).not.toContain('\u001b');
});

/** The real program at its plan, its screens about to break. */
async function startBreaking(breaks: 'drawing' | 'key', environment: Record<string, string> = {}) {
  const { program } = start(['whole-cluster-lost'], {
    NODE_OPTIONS: `--import ${BREAKING}`,
    BREAKS: breaks,
    // Where CI is set, colours are drawn for those only who show them in their logs.
    GITHUB_ACTIONS: 'true',
    ...environment,
  });
  await program.shows(/ manifest$/m);
  program.type(ENTER);
  await program.shows(/enter begin/);
  return program;
}

/** What is on the ordinary screen after the program has ended by a fault of its screens. */
async function saidAfterwards(program: ProgramInTerminal): Promise<string> {
  expect(await program.exited).toBe(1);
  expect(program.onAlternateScreen).toBe(false);
  // The cursor is shown, and what is pasted is not marked any more.
  for (const [on, off] of [
    ['?25h', '?25l'],
    ['?2004l', '?2004h'],
  ])
    expect(program.written.lastIndexOf(`\u001b[${on}`)).toBeGreaterThanOrEqual(
      program.written.lastIndexOf(`\u001b[${off}`),
    );
  const said = program.scrollback();
  expect(said).toMatch(/The screens ended by an error that should not be: a fault in a screen \(at /);
  return said;
}

it('stops the run and gives the terminal back when its screens break, and says what is safe and what to type', async () => {
  const program = await startBreaking('drawing', { NO_COLOR: '' });
  program.type(ENTER);
  const said = await saidAfterwards(program);
  expect(said).toMatch(/Whole cluster lost: aborted [\s\S]*journal\.jsonl \(intact\)/);
  const [, id] = /The run (\S+) was stopped by its steps' own rules/.exec(said)!;
  expect(said).toContain(`Next: novamem-runbook resume ${id}`);
  const { events, fault } = findRun(id!);
  expect(fault).toBe('');
  expect(events.at(-1)).toMatchObject({ type: 'run.finished', outcome: 'aborted' });
  expect(events.some((event) => event.type === 'step.finished' && event.step === 'stop-novamem')).toBe(true);
  expect(program.written).toMatch(COLOUR);
});

it('gives the terminal back when a key fails that nobody has provided for; with NO_COLOR it has written no colour, and what is chosen was seen', async () => {
  const program = await startBreaking('key', { NO_COLOR: '1' });
  program.type(DOWN);
  await program.shows(/^> 2 /m);
  program.type(ENTER);
  expect(await saidAfterwards(program)).toContain('Nothing was changed: no run had begun.');
  expect(program.written).not.toMatch(COLOUR);
});
