import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { homeFolder } from '../../src/config/home.js';
import { keepProfile } from '../../src/config/profiles.js';
import { findDisaster } from '../../src/sandbox/disasters.js';
import { lessonVariables, notePredicted } from '../../src/sandbox/lesson-shell.js';
import { strike } from '../../src/sandbox/strike.js';
import { runProgram } from '../support/program.js';
import { type RealCluster, realCluster } from '../support/sandbox.js';
import { tempFolder } from '../support/temp.js';

// What the program does in the shell of a lesson, whoever remembers production on this machine.

let real: RealCluster;
const inShell = (...args: string[]) =>
  runProgram(args, {
    environment: { NOVAMEM_RUNBOOK_HOME: homeFolder(), ...lessonVariables(real.cluster.name) },
  });

beforeAll(async () => {
  real = await realCluster(60);
  const production = join(tempFolder('acme'), 'acme.yaml');
  writeFileSync(
    production,
    [
      'name: acme-prod',
      'production: true',
      'postgres: { url: "postgres://novamem@127.0.0.1:1/novamem" }',
      'qdrant: { url: "http://127.0.0.1:1" }',
      'falkordb: { url: "redis://127.0.0.1:1" }',
    ].join('\n'),
  );
  keepProfile(production);
});

test('the remembered cluster is not worked on, and no other that is named', async () => {
  const planned = await inShell('plan', 'qdrant-lost', '--set', 'way.answer=queue');
  expect(planned.stdout).toContain(real.cluster.name);
  expect(planned.stdout).not.toContain('acme-prod');
  const refused = await inShell('plan', 'qdrant-lost', '--profile', 'acme-prod');
  expect(refused).toMatchObject({ exitCode: 3, stdout: '' });
  expect(refused.stderr).toContain(`whose cluster is ${real.cluster.name}`);
});

test('a run is one of a lesson for ever', async () => {
  const ran = await inShell('backup', '--json');
  expect(JSON.parse(ran.stdout.split('\n')[0]!)).toMatchObject({
    type: 'run.started',
    mode: 'train',
    profile: real.cluster.name,
  });
});

test('diagnose withholds what follows from what it sees until the questions are answered', async () => {
  await strike(real.cluster.name, findDisaster('qdrant-lost'), async () => {});
  const before = await inShell('diagnose');
  expect(before.stdout).toMatch(/Qdrant/);
  expect(before.stdout).not.toContain('qdrant-lost');
  expect(before.stdout).toContain('the questions of the lesson come first');
  expect((await inShell('diagnose', '--json')).stdout).not.toContain('qdrant-lost');
  notePredicted(real.cluster.name);
  expect((await inShell('diagnose')).stdout).toContain('1. qdrant-lost');
});
