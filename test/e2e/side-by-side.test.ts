import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { tempFolder } from '../support/temp.js';
import { ProgramInTerminal } from '../support/terminal.js';

const ENTER = '\r';
const ESCAPE = '\u001b';
const DOWN = '\u001b[B';
const CTRL_C = '\u0003';
const SIZES = [
  [80, 24],
  [120, 40],
  [60, 16],
] as const;

// Two stores that are waited for and never come, and two questions, none of which needs another.
const PROFILE = `
name: acme-test
postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }
qdrant:   { url: "http://127.0.0.1:1" }
falkordb: { url: "redis://127.0.0.1:1" }
services:
  qdrant:   { driver: command, start: "true", stop: "true", status: "true" }
  falkordb: { driver: command, start: "true", stop: "true", status: "true" }
`;
const RUNBOOK = `
title: Side by side
when: now
outcome: done
steps:
  - { id: start-qdrant, uses: service.start, with: { service: qdrant }, why: the vectors }
  - { id: start-falkordb, uses: service.start, with: { service: falkordb }, why: the graph }
  - id: way
    uses: operator.choose
    with: { question: Which way?, options: [ { choice: left, title: Left, because: it is short }, { choice: right, title: Right, because: it is safe } ] }
    why: nobody else knows
  - id: read
    uses: operator.confirm
    with: { question: The cellar is wet., words: I know }
    why: it is slippery
`;

it('shows each step that is at work with its own progress, and asks one question after the other, saying which step asks', async () => {
  const folder = tempFolder('side-by-side');
  const [profile, runbook] = ['profile.yaml', 'side.yaml'].map((name) => join(folder, name)) as [string, string];
  writeFileSync(profile, PROFILE);
  writeFileSync(runbook, RUNBOOK);
  const program = new ProgramInTerminal(['run', runbook, '--profile', profile], {
    environment: { NOVAMEM_RUNBOOK_HOME: folder },
  });
  /** Holds at each size, and nothing is wider than the window. */
  const showsAtEachSize = async (...patterns: RegExp[]) => {
    for (const [columns, rows] of SIZES) {
      program.resize(columns, rows);
      for (const pattern of patterns) await program.shows(pattern);
      for (const row of program.screen()) expect(row.length).toBeLessThanOrEqual(columns);
    }
  };
  try {
    await program.shows(/enter begin/);
    program.type(ENTER);
    await showsAtEachSize(/^─ question 1 of 2: way · meanwhile start-qdrant/m, /^ Which way\?$/m);
    program.type(ESCAPE);
    await showsAtEachSize(
      /start-qdrant · runs · \d.*\n.*█?░+ +\d+ %/,
      /start-falkordb · runs · \d.*\n.*█?░+ +\d+ %/,
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
  } finally {
    program.kill();
  }
});
