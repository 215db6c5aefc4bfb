import { join } from 'node:path';
import { expect, test } from 'vitest';
import { homeSubfolder } from '../../src/config/home.js';
import { markOf } from '../../src/hosts/process-mark.js';
import { writeRecord } from '../../src/sandbox/registry.js';
import { runProgram } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

process.env.NOVAMEM_RUNBOOK_HOME = tempFolder('home');
const home = process.env.NOVAMEM_RUNBOOK_HOME;
const shatter = (...args: string[]) =>
  runProgram(['sandbox', 'break', ...args], { environment: { NOVAMEM_RUNBOOK_HOME: home } });

test('a disaster that is named is chosen by no seed', async () => {
  for (const more of [['--seed', 'monday'], ['--reveal']]) {
    const { exitCode, stderr } = await shatter('qdrant-lost', ...more);
    expect(exitCode).toBe(2);
    expect(stderr).toContain('so nothing is chosen by a seed');
  }
});

test('what has happened is remembered, whatever the seed would choose now', async () => {
  expect((await shatter('--reveal')).stderr).toContain('Nothing has happened to sandbox by a seed');
  const { stdout } = await shatter('--seed', 'monday', '--reveal');
  const [, chosen] = /it would be (\S+): /.exec(stdout)!;
  const happened = chosen === 'qdrant-lost' ? 'falkordb-lost' : 'qdrant-lost';
  homeSubfolder('sandboxes');
  writeRecord({
    ...{ name: 'sandbox', folder: join(home, 'nowhere'), createdAt: '', state: 'up', maker: markOf(process.pid) },
    ...{ ports: { postgres: 1, qdrant: 2, qdrantGrpc: 3, falkordb: 4, novamem: 5 } },
    struck: { seed: 'monday', disaster: happened },
  });
  expect((await shatter('--reveal')).stdout).toContain(`With the seed monday it was ${happened}: `);
  expect((await shatter('--seed', 'monday', '--reveal')).stdout).toContain(`it was ${happened}: `);
  expect((await shatter('--seed', 'friday', '--reveal')).stdout).toContain('With the seed friday it would be ');
});
