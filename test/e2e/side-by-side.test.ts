import { expect, it } from 'vitest';
import { terminals } from '../support/terminals.js';
import { waitingRun } from '../support/waiting-run.js';
import { showsWholeScreen } from '../support/whole-screen.js';

const ENTER = '\r';
const ESCAPE = '\u001b';
const DOWN = '\u001b[B';
const CTRL_C = '\u0003';
const SIZES = [
  [80, 24],
  [120, 40],
  [60, 16],
] as const;

const open = terminals();

it('shows each step that is at work with its own progress, and asks one question after the other, saying which step asks', async () => {
  const { args, environment } = waitingRun();
  const program = open(args, { environment: { ...environment, SHELL: '/bin/sh', PS1: 'ready> ' } });
  /** Holds at each size, from the header to the last key of the footer. */
  const showsAtEachSize = async (lastKey: string, ...patterns: RegExp[]) => {
    for (const [columns, rows] of SIZES) {
      program.resize(columns, rows);
      for (const pattern of patterns) await program.shows(pattern);
      await showsWholeScreen(program, 'acme-test', lastKey);
    }
  };
  await program.shows(/enter begin/);
  program.type(ENTER);
  await showsAtEachSize('^C stop…', /^─ question 1 of 2: way · meanwhile start-qdrant/m, /^ Which way\?$/m);
  program.type(ESCAPE);
  await showsAtEachSize(
    '? help',
    /start-qdrant · runs · \d.*\n.*waited \d.*, at most/,
    /start-falkordb · runs · \d.*\n.*waited \d.*, at most/,
    /c answer \(2\)/,
  );
  program.type(DOWN);
  await program.shows(/^>.*start-falkordb[\s\S]*waiting for FalkorDB/m);
  program.type(ESCAPE);
  await program.shows(/start-qdrant · runs[\s\S]*start-falkordb · runs/);
  program.type('c');
  await program.shows(/❯ Left/);
  program.type(ENTER);
  await showsAtEachSize('^C stop…', /^─ question 2 of 2: read · meanwhile start-qdrant/m, /To go on, type: I know/);
  program.type(`I know${ENTER}`);
  await program.shows(/✔ +way[\s\S]*✔ +read/);
  program.type('!');
  await program.shows(/A shell\. The run goes on\. exit comes back to[\s\S]*ready> $/m);
  expect(program.onAlternateScreen).toBe(false);
  program.type(`echo $((6 * 7))-is-it${ENTER}`);
  await program.shows(/^42-is-it$/m);
  program.type(`exit${ENTER}`);
  await program.shows(/start-qdrant · runs[\s\S]*start-falkordb · runs/);
  program.type(CTRL_C);
  await showsAtEachSize('esc keep running', /start-qdrant: .* may be starting$/m, /❯ keep running/);
  program.type(DOWN);
  await program.shows(/❯ stop/);
  program.type(ENTER);
  await program.shows(/q quit/);
  program.type('q');
  expect(await program.exited).toBe(130);
});
