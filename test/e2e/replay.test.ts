import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeAll, expect, it } from 'vitest';
import { JOURNAL_FILE } from '../../src/engine/journal.js';
import type { RecordedRun } from '../../src/engine/runs.js';
import { EXIT } from '../../src/problem.js';
import { plainLines } from '../../src/reports/plain.js';
import { eventually } from '../support/eventually.js';
import { runProgram } from '../support/program.js';
import { recordedRun } from '../support/recorded-run.js';
import { tempFolder } from '../support/temp.js';
import { ProgramInTerminal } from '../support/terminal.js';

const ENTER = '\r';
const CTRL_C = '\u0003';
const ESCAPE = '\u001b';
const RIGHT = '\u001b[C';
const LEFT = '\u001b[D';
const home = tempFolder('replay-home');
let recorded: RecordedRun;
let open: ProgramInTerminal[] = [];

beforeAll(async () => {
  mkdirSync(join(home, 'runs'), { recursive: true });
  recorded = await recordedRun(join(home, 'runs'));
});

afterEach(() => {
  for (const program of open) program.kill();
  open = [];
});

/** The program in a terminal; whatever it shows is a replay. */
function start(args: string[], options: { columns?: number; rows?: number } = {}) {
  const program = new ProgramInTerminal(['replay', ...args], {
    ...options,
    environment: { NOVAMEM_RUNBOOK_HOME: home },
  });
  open.push(program);
  /** Every first row that was ever seen. */
  const heads = new Set<string>();
  return {
    program,
    type: (keys: string) => program.type(keys),
    /** Waits until the screen shows something, wherever its lines are broken. */
    async shows(pattern: RegExp): Promise<void> {
      const seen = () => {
        const rows = program.screen();
        if (program.onAlternateScreen && rows.some((row) => row !== '')) heads.add(rows[0]!);
        return rows.join(' ').replace(/\s+/g, ' ');
      };
      await eventually(`the screen shows ${pattern}`, () => pattern.test(seen()), 30_000).catch((error: Error) => {
        throw new Error(`${error.message}; it shows:\n${program.screen().join('\n')}`);
      });
      expect([...heads].filter((head) => !/^ REPLAY {2}acme-test/.test(head))).toEqual([]);
    },
  };
}

const program = (...args: string[]) => runProgram(args, { environment: { NOVAMEM_RUNBOOK_HOME: home } });

it('is driven by keys: asked what was asked then, paused, stepped, to errors and to steps; nothing is touched', async () => {
  const before = readFileSync(join(recorded.folder, JOURNAL_FILE), 'utf8');
  const { program, type, shows } = start([recorded.id.slice(-6)]);
  await shows(/Read the plan, and begin/);
  type('!');
  await shows(/This is a REPLAY: nothing can be done in it/);
  type('b');
  await shows(/Type what you would.*→← event/);
  type('acme-tset\r');
  await shows(/is not this cluster's name/);
  type(`acme-test${ENTER}`);
  await shows(/second stopped.*As then: "acme-test" typed by.*What would you do/);
  type('a');
  await shows(/third cannot begin.*nothing answers.*Then: retried at .* You: the run aborted/);
  type('s');
  await shows(/As then: skipped at .*The record ends here/);
  await shows(/■ ×1 .* 100 %/);
  type('u');
  await shows(/This is a REPLAY: nothing can be done in it/);
  type(LEFT);
  await shows(/‖ ×1 .* 9\d %/);
  type('j');
  await shows(/to which step\?.*\d\d:\d\d:\d\d first/);
  type(ENTER);
  await shows(/◐ first/);
  type('e');
  await shows(/◑ second/);
  type('e');
  await shows(/second stopped/);
  type('+');
  await shows(/‖ ×2/);
  type(RIGHT);
  await shows(/Then: retried/);
  type('?');
  await shows(/A REPLAY of what is on record/);
  type('x');
  await shows(/space play|p play/);
  type('q');
  expect(await program.exited).toBe(EXIT.recovered);
  expect(program.scrollback()).toContain(`REPLAY of ${recorded.id} left. Nothing was done.`);
  expect(readFileSync(join(recorded.folder, JOURNAL_FILE), 'utf8')).toBe(before);
});

it('fits into 60 columns and 16 rows, marked all the same, and outlives a window that is too small for it', async () => {
  const { program, type, shows } = start([recorded.id, '--speed', '0'], { columns: 60, rows: 16 });
  await shows(/Looking at every step.*looking….*‖ ×1/);
  type('e');
  await shows(/17 %/);
  type('e');
  await shows(/◑ second.*‖ ×1 .* p?(space)? play/);
  await isTooSmallForAWhile(program);
  await shows(/◑ second.*‖ ×1/);
  type('p');
  await shows(/What would you do/);
  type('q');
  expect(await program.exited).toBe(EXIT.recovered);
});

/** The window is made too small for any screen and large again, many times. */
async function isTooSmallForAWhile(program: ProgramInTerminal): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) {
    program.resize(40, 10);
    await program.shows(/^This window is too small: 40×10\./);
    program.resize(60 + turn, 16 + turn);
    await program.shows(/^ REPLAY {2}acme-test/);
  }
}

it('is asked for in the history of the app, and left to it', async () => {
  const profile = join(home, 'acme-test.yaml');
  const nowhere = 'postgres: { url: "postgres://n@127.0.0.1:1/n" }\nqdrant: { url: "http://127.0.0.1:1" }';
  writeFileSync(profile, `name: acme-test\n${nowhere}\nfalkordb: { url: "redis://127.0.0.1:1" }\n`);
  const app = new ProgramInTerminal(['--profile', profile], { environment: { NOVAMEM_RUNBOOK_HOME: home } });
  open.push(app);
  await app.shows(/What happened\?/);
  app.type('h');
  await app.shows(/What was done here:\s+began \(UTC\) +what +outcome\s+❯ .*Tiny/);
  app.type(ENTER);
  await app.shows(/p replay/);
  app.type('p');
  await app.shows(/^ REPLAY {2}acme-test.*the plan/);
  await app.shows(/Read the plan, and begin/);
  await isTooSmallForAWhile(app);
  app.type('j');
  await app.shows(/to which step\?/);
  app.type(ENTER);
  await app.shows(/◐ first/);
  app.type('e');
  await app.shows(/◑ second/);
  app.type('l');
  await app.shows(/Log · all steps .*[\s\S]* first +three/);
  app.type(ESCAPE);
  await app.shows(/◑ second/);
  app.type('q');
  expect((await app.shows(/p replay/)).split('\n')[0]).not.toContain('REPLAY');
  app.type('p');
  await app.shows(/^ REPLAY {2}acme-test.*the plan/);
  app.type(CTRL_C);
  expect((await app.shows(/p replay/)).split('\n')[0]).not.toContain('REPLAY');
});

it('is read aloud as lines of words, each screen marked', async () => {
  const { program, type } = start([recorded.id, '--screen-reader'], { columns: 300 });
  let heard = 0;
  const hears = async (pattern: RegExp) => {
    const found = await eventually(`it says ${pattern}`, () =>
      pattern.exec(program.written.slice(heard).replaceAll('\r', '')),
    );
    heard += found.index + found[0].length;
    return found.input;
  };
  expect(await hears(/Read the plan, and begin.*\n/)).toMatch(/REPLAY, acme-test, tiny, the plan/);
  await hears(/Replay: waits for you/);
  await hears(/Keys: .*right and left event, q leave/);
  type('b');
  await hears(/REPLAY, acme-test[\s\S]*Type the cluster's name \(acme-test\)/);
  type(`acme-test${ENTER}`);
  await hears(/second stopped[\s\S]*As then: "acme-test" typed/);
  type('q');
  expect(await program.exited).toBe(EXIT.recovered);
  expect(program.written).not.toMatch(/[\u001b─│█◐✔✗▶‖→←]/u);
});

it('tells a run that was copied from another machine as plain lines, marked, off a terminal', async () => {
  const copy = join(tempFolder('elsewhere'), basename(recorded.folder));
  cpSync(recorded.folder, copy, { recursive: true });
  const elsewhere = { environment: { NOVAMEM_RUNBOOK_HOME: tempFolder('other-home') } };
  const told = await runProgram(['replay', copy], elsewhere);
  expect(told).toMatchObject({ exitCode: EXIT.recovered, stderr: '' });
  const lines = told.stdout.trimEnd().split('\n');
  expect(lines.every((line) => line.startsWith('REPLAY '))).toBe(true);
  expect(lines.slice(1, -1).map((line) => line.slice('REPLAY '.length))).toEqual(
    recorded.events.flatMap((event) => plainLines(event)),
  );
  expect(lines.at(-1)).toBe('REPLAY ends: recovered with exceptions · journal intact');
  const unknown = await runProgram(['replay', recorded.id], elsewhere);
  expect(unknown).toMatchObject({ exitCode: EXIT.usage, stdout: '' });
  expect(unknown.stderr).toContain('runs list');
});

it('prints the recorded events, goes at a speed that is asked for, and gives a recording', async () => {
  const json = await program('replay', 'latest', '--json');
  expect(
    json.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual(recorded.events);
  const [fast, slow, wrong] = await Promise.all([
    program('replay', 'latest', '--speed', '100'),
    program('replay', 'latest', '--speed', '0.5').then((ended) => ({ ...ended, at: performance.now() })),
    program('replay', 'latest', '--speed', 'often'),
  ]);
  expect(fast.stdout).toBe(slow.stdout);
  expect(wrong).toMatchObject({ exitCode: EXIT.usage, stdout: '' });
  const cast = await program('report', 'latest', '--format', 'cast');
  expect(JSON.parse(cast.stdout.split('\n')[0]!)).toMatchObject({ version: 2, width: 80, height: 24 });
});
