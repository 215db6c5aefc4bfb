import { expect, it } from 'vitest';
import { terminals } from '../support/terminals.js';
import { waitingRun } from '../support/waiting-run.js';

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
  const program = open(args, { environment });
  /** Holds at each size, and nothing is wider than the window. */
  const showsAtEachSize = async (...patterns: RegExp[]) => {
    for (const [columns, rows] of SIZES) {
      program.resize(columns, rows);
      for (const pattern of patterns) await program.shows(pattern);
      for (const row of program.screen()) expect(row.length).toBeLessThanOrEqual(columns);
    }
  };
  await program.shows(/enter begin/);
  program.type(ENTER);
  await showsAtEachSize(/^─ question 1 of 2: way · meanwhile start-qdrant/m, /^ Which way\?$/m);
  program.type(ESCAPE);
  await showsAtEachSize(
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
  await showsAtEachSize(/^─ question 2 of 2: read · meanwhile start-qdrant/m, /To go on, type: I know/);
  program.type(`I know${ENTER}`);
  await program.shows(/✔ +way[\s\S]*✔ +read/);
  program.type(CTRL_C);
  await program.shows(/❯ keep running/);
  program.type(DOWN);
  await program.shows(/❯ stop/);
  program.type(ENTER);
  await program.shows(/q quit/);
  program.type('q');
  expect(await program.exited).toBe(130);
});
