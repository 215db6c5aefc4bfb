import { createReadStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { eventually } from '../support/eventually.js';
import { tempFolder } from '../support/temp.js';
import { ProgramInTerminal } from '../support/terminal.js';

const PER_SECOND = 200_000;
const SECONDS = 10;

const residentBytes = (pid: number) =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024;

const quantile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * share)]!;

/** Keys to frames: the help is opened and closed, again and again; milliseconds each. */
async function pressWhile(program: ProgramInTerminal, goesOn: () => boolean): Promise<number[]> {
  const took: number[] = [];
  for (let open = false; open || goesOn(); open = !open) {
    const pressed = performance.now();
    program.type(open ? 'x' : '?');
    await program.drawn(open ? /l log/ : /any key: back/);
    took.push(performance.now() - pressed);
  }
  return took;
}

test(`a child that prints ${PER_SECOND} lines a second for ${SECONDS} s costs no keystroke, no memory and no line`, async () => {
  const runs = tempFolder('runs');
  const program = new ProgramInTerminal([runs, String(PER_SECOND), String(SECONDS)], {
    program: join(import.meta.dirname, 'flood-main.mjs'),
    environment: { NOVAMEM_RUNBOOK_HOME: tempFolder('home'), NODE_ENV: 'production' },
  });
  try {
    await program.shows(/enter begin/);
    program.type('\r');
    await program.shows(/runs · [1-9]/);
    const before = residentBytes(program.pid);
    const sizes: number[] = [];
    const begun = performance.now();
    const during = await pressWhile(program, () => {
      sizes.push(residentBytes(program.pid));
      return performance.now() - begun < (SECONDS - 2) * 1000;
    });
    await program.shows(/✔ Complete in/, 120_000);
    const took = (performance.now() - begun) / 1000;
    const log = join(runs, 'flood', 'steps', 'flood.log');
    let lines = 0;
    let wrong = 0;
    for await (const line of createInterface({ input: createReadStream(log) })) {
      const number = / line (\d+) of /.exec(line)?.[1];
      if (number === undefined) continue;
      lines += 1;
      if (Number(number) !== lines) wrong += 1;
    }
    const figures = {
      keys: during.length,
      medianMs: Math.round(quantile(during, 0.5)),
      p95Ms: Math.round(quantile(during, 0.95)),
      mostMs: Math.round(Math.max(...during)),
      grownMiB: Math.round((Math.max(...sizes) - before) / 2 ** 20),
      lines,
      seconds: Math.round(took),
    };
    console.log(JSON.stringify(figures));
    expect([lines, wrong]).toEqual([PER_SECOND * SECONDS, 0]);
    expect(figures.p95Ms).toBeLessThanOrEqual(50);
    expect(figures.grownMiB).toBeLessThanOrEqual(50);
    program.type('q');
    await eventually('it is gone', async () => (await Promise.race([program.exited, 'not yet'])) !== 'not yet');
  } finally {
    program.kill();
  }
});
