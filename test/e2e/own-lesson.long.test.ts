import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { ROOT, runProgram } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

// The lesson and the runbook that docs/training.md shows, as a team would keep them: side by side in its own folder of lessons.

const PATIENCE = 300_000;
const home = tempFolder('home');
const folder = join(home, 'lessons');
const lesson = join(folder, 'cleaned-too-much.yaml');

beforeAll(() => {
  mkdirSync(folder);
  const shown = readFileSync(join(ROOT, 'docs', 'training.md'), 'utf8');
  for (const [, text, name] of shown.matchAll(/```yaml\n(# (\S+\.yaml)\n[\s\S]*?)```/g))
    writeFileSync(join(folder, name!), text!);
});

const program = (...args: string[]) =>
  runProgram(args, { environment: { NOVAMEM_RUNBOOK_HOME: home }, timeoutMs: PATIENCE });

test('is valid', async () => {
  const { exitCode, stdout } = await program('validate', lesson, join(folder, 'vectors-again.yaml'));
  expect(stdout).toMatch(/valid, a lesson with 1 prediction\n.*valid, 5 steps/);
  expect(exitCode).toBe(0);
});

test('is in the list, and the runbook beside it is no faulty lesson', async () => {
  const { stdout, stderr } = await program('train', '--list');
  expect(stdout).toMatch(/^cleaned-too-much +hard +10 min +never taken/m);
  expect(stderr).toBe('');
});

test('has full marks the right way, by the runbook of its own', { timeout: PATIENCE }, async () => {
  const { exitCode, stdout, stderr } = await program('train', lesson, '--play', 'right');
  expect(exitCode, stdout.slice(-6_000) + stderr).toBe(0);
  expect(stdout).toContain('100 of 100: passed');
  expect(stdout).toContain('The cleaning job deleted every collection of Qdrant.');
  expect(stdout).toMatch(/vectors-again: recovered in/);
});

test('costs the wrong way what it says', { timeout: PATIENCE }, async () => {
  const { exitCode, stdout, stderr } = await program('train', lesson, '--play', 'wrong');
  expect(exitCode, stdout.slice(-6_000) + stderr).toBe(0);
  expect(stdout).toMatch(/\d of 100: not passed/);
  expect(stdout).toContain('The memories of today were in Postgres and nowhere else.');
});

test('says once what to do where its disaster fails', { timeout: PATIENCE }, async () => {
  const failing = join(folder, 'failing.yaml');
  writeFileSync(failing, readFileSync(lesson, 'utf8').replace(/shell: \|[\s\S]*? {2}did:/, 'shell: "false"\n  did:'));
  const { exitCode, stderr } = await program('train', failing, '--play', 'right');
  expect(exitCode).not.toBe(0);
  expect(stderr).toMatch(/^The command of the lesson failed .*: false$/m);
  expect(stderr.match(/Next: /g)).toHaveLength(1);
});
