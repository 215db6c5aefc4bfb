import { expect, test } from 'vitest';
import { runProgram } from '../support/program.js';
import { tempFolder } from '../support/temp.js';

// Nobody can mount a disk where there is no mount, root or not: found out by trying.
const environment = { PATH: '/nowhere', NOVAMEM_RUNBOOK_HOME: tempFolder('home') };

test('a lesson that cannot be given here is marked in the list, and the certificate does not count it', async () => {
  const listed = await runProgram(['train', '--as', 'ana', '--list'], { environment });
  expect(listed.exitCode, listed.stderr).toBe(0);
  expect(listed.stdout).toMatch(/^nothing-new-is-kept .* not here /m);
  expect(listed.stdout).toMatch(/^first-night .* never taken /m);

  const { stdout } = await runProgram(['train', '--as', 'ana', '--certificate'], { environment });
  expect(stdout).toContain('0 of 15 lessons passed');
  expect(stdout).toMatch(/Not counted: Nothing new is remembered, which cannot be given here \(a small disk can/i);
});

test('a disaster that cannot happen here is marked, too', async () => {
  const { stdout } = await runProgram(['sandbox', 'break', '--list'], { environment });
  expect(stdout).toMatch(/^disk-full .*\(not here: a small disk can/m);
});
