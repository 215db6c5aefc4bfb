import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, createReadStream, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { interleaved, ratioOf } from '../interleaved.js';
import { mebibytes, readyProgram } from '../program.js';

const PRINTER = fileURLToPath(new URL('../programs/print-lines.pl', import.meta.url));
const MOST = 1.3;
const WHY = {
  each: 'a program that writes line by line prints into a FIFO; into the socket that Node gives a child for a pipe, which holds only some 150 short lines, it took 3.0 × where the FIFO took 1.1 × (interleaved on a busy machine). Tried: to read the socket seldom (slower: the child waits).',
  blocks:
    'the program does nothing but copy memory, and what is kept is 1.6 times what it prints. Reading alone takes less than printing into a file (0.7 ×, socket and FIFO). Keeping its 87 MB takes some 0.27 s of processor time, one after the other: decoding 10 ms, secrets 10, control characters 70, time stamps and encoding 85, writing 140 MB 90; and collecting garbage. Tried: lines that come together go through as one text (before, each by itself: 1.4 s instead of 0.8 s); the newest lines are cut only when somebody looks; stamping bytes instead of a text (twice to four times as slow, whether by copy or in a loop); encoding ASCII by itself (5 %, not kept); another pattern for control characters (60 instead of 70 ms, not kept). Not tried: to write in another thread, and WebAssembly.',
};

/** How long a program takes whose every line a run keeps (redacted, with its time), against the same with its output in a file. */
export async function measure({ rounds, small, tell }) {
  const lines = small ? 200_000 : 2_000_000;
  const rows = [];
  for (const [how, what] of [
    ['each', 'a write for each line, as pg_restore --verbose does'],
    ['blocks', 'in blocks, as fast as a program can print'],
  ]) {
    const folder = mkdtempSync(join(tmpdir(), 'novamem-runbook-bench-'));
    try {
      rows.push(await oneRow({ folder, rounds, lines, how, what, tell }));
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  return rows;
}

async function oneRow({ folder, rounds, lines, how, what, tell }) {
  const command = ['perl', PRINTER, String(lines), how];
  let runner;
  let round = 0;
  const logs = [];
  const measured = await interleaved(
    { 'into a file': () => intoFile(command, join(folder, 'plain.txt')), 'kept by a run': () => told(runner) },
    {
      rounds,
      before: async (name) => {
        if (name !== 'kept by a run') return;
        round += 1;
        runner = await readyProgram('run-command', folder, `run-${round}`, ...command);
        logs.push(join(folder, `run-${round}`, 'steps', 'command.log'));
      },
      onRound: ({ round, name, ms }) => tell(`${how} ${round} ${name}: ${ms.toFixed(0)} ms`),
    },
  );
  let lost = 0;
  for (const log of logs) lost += await linesLost(log, lines);
  const [plain, kept] = [measured['into a file'], measured['kept by a run']];
  const ratio = ratioOf(kept, plain);
  const peak = Math.max(...kept.figures.map(({ peakBytes }) => peakBytes));
  return {
    what: `${lines.toLocaleString('en-US')} lines, ${what}`,
    figure: `${ratio.toFixed(2)} × into a file (${kept.median.toFixed(0)} against ${plain.median.toFixed(0)} ms), ${lost} lines lost, peak memory ${mebibytes(peak)}`,
    target: `≤ ${MOST} ×, none lost`,
    met: ratio <= MOST && lost === 0,
    ...(ratio > MOST ? { why: WHY[how] } : {}),
  };
}

async function intoFile([file, ...args], target) {
  const descriptor = openSync(target, 'w');
  const child = spawn(file, args, { stdio: ['ignore', descriptor, 'inherit'] });
  const [code] = await once(child, 'exit');
  closeSync(descriptor);
  if (code !== 0) throw new Error(`${file} ended with ${code}`);
}

/** Lets the run begin; resolves with what it says at its end. */
async function told(runner) {
  const said = await runner.go();
  if (said.outcome !== 'recovered') throw new Error(`the run ended ${said.outcome}`);
  return said;
}

/** How many of the numbered lines are missing or out of order in a step's log. */
async function linesLost(log, lines) {
  let next = 1;
  for await (const line of createInterface({ input: createReadStream(log) })) {
    if (/^\d{4}-\S+Z line (\d+) of table public\.memory_entries$/.exec(line)?.[1] === String(next)) next += 1;
  }
  return lines - (next - 1);
}
