import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { holds, MemoryIndex } from '../../src/stores/crosscheck/memory-index.js';
import { idsFrom, LONG_AGO, Memories } from '../support/memories.js';
import { PROGRAM } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

const COUNT = 200_000;
const STRAYS = 20_000;
const PATIENCE = 240_000;
/** So small a heap that the ids of one store, each with an object around it, would not fit. */
const SMALL_HEAP = ['--max-old-space-size=48', '--max-semi-space-size=2'];
const MOST_MEMORY_KB = 200 * 1024;

let real: RealCluster;
let ids: string[];

beforeAll(async () => {
  real = await realCluster(10);
  const memories = new Memories(real);
  await memories.clear();
  ids = idsFrom(COUNT, LONG_AGO, 10);
  await memories.rows(ids.slice(STRAYS));
  for (const part of [0, 1, 2, 3])
    await memories.vectors(ids.slice((part * COUNT) / 4, ((part + 1) * COUNT) / 4), `novamem_u_acme_part${part}`);
  await memories.nodes(ids);
}, PATIENCE);

/** Runs the built program in a small heap; its exit code, what it said, and the most memory that it ever held. */
function measured(...args: string[]): Promise<{ exitCode: number | null; output: string; mostKb: number }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...SMALL_HEAP, PROGRAM, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let mostKb = 0;
    const look = setInterval(() => {
      try {
        const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
        mostKb = Math.max(mostKb, Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1] ?? 0));
      } catch {}
    }, 20);
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (data: Buffer) => {
        output += data.toString('utf8');
      });
    child.once('error', reject);
    child.once('close', (exitCode) => {
      clearInterval(look);
      resolve({ exitCode, output, mostKb });
    });
  });
}

test(
  `${COUNT} memories are compared, and ${STRAYS} strays listed, without any store ever being in memory`,
  async () => {
    const runbook = join(tempFolder('runbook'), 'one.yaml');
    writeFileSync(
      runbook,
      'title: One\nwhen: now\noutcome: done\nsteps:\n  - { id: look, uses: cluster.crosscheck, with: { allow: [stray] }, why: measured }\n',
    );
    const args = ['run', runbook, '--profile', real.places.profile, '--headless', '--json'];
    const { exitCode, output, mostKb } = await measured(...args);
    expect(exitCode, output.slice(-2_000)).toBe(0);
    const events = output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; facts?: { files: Record<string, string> } });
    const { files } = events.find((event) => event.type === 'step.facts')!.facts!;
    for (const kind of ['stray-vectors', 'stray-nodes']) {
      const listed = readFileSync(files[kind]!, 'utf8').trimEnd().split('\n');
      expect(listed.map((line) => (JSON.parse(line) as { memory: string }).memory).sort()).toEqual(
        ids.slice(0, STRAYS),
      );
    }
    expect(mostKb).toBeGreaterThan(0);
    expect(mostKb).toBeLessThan(MOST_MEMORY_KB);
  },
  PATIENCE,
);

test('an index of a million ids knows each of them and what was noted of it, and no other, though it was made for ten', () => {
  const count = 1_000_000;
  const index = new MemoryIndex(10);
  for (let number = 0; number < count; number += 1) index.note(`memory ${number}`, 'memory');
  expect(index.size).toBe(count);
  let known = 0;
  for (let number = 0; number < 2 * count; number += 1) if (index.has(`memory ${number}`, 'memory')) known += 1;
  expect(known).toBe(count);
  expect(index.note('memory 7', 'vector')).toBe(index.note('memory 8', 'node'));
  const noted = index.note('memory 7', 'node');
  expect((['memory', 'vector', 'node', 'vector told'] as const).map((note) => holds(noted, note))).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(index.has('memory 8', 'vector')).toBe(false);
  expect(index.size).toBe(count);
});
