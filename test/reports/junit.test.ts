import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findRun } from '../../src/engine/runs.js';
import { junitProblem, junitReport } from '../../src/reports/junit.js';
import { reportOf } from '../../src/reports/run-report.js';
import { equal } from '../../src/stores/check.js';
import { step, tinyKind, tinyRun } from '../support/tiny-run.js';

const NASTY = `<&"'\u001b[31m\u0000`;

const good = tinyKind('tiny.good');
const wordy = tinyKind('tiny.wordy', { conclusion: () => ({ text: `not all <was> compared`, exception: false }) });
const bad = tinyKind('tiny.bad', {
  verify: async () => [equal(`postgres ${NASTY}`, 'rows', 12, 11), equal('postgres table y', 'rows', 3, 3)],
});

async function recorded() {
  const { run } = tinyRun([step('good', good), step('bad', bad, ['good']), step('after', good, ['bad'])], {
    onFailure: 'stop',
  });
  await run.preflight();
  run.intend({ type: 'begin' });
  await run.finished;
  return reportOf(findRun(dirname(run.journalFile)).events);
}

/** Attributes of the first element of a name. */
const attributes = (xml: string, element: string) =>
  Object.fromEntries(
    [...new RegExp(`<${element} ([^>]*)>`).exec(xml)![1]!.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [
      name!,
      value!,
    ]),
  );

describe('a run as JUnit knows it', () => {
  test('has a suite for each step and a case for each comparison; skipped is not failed', async () => {
    const xml = junitReport(await recorded());
    expect(attributes(xml, 'testsuites')).toMatchObject({ tests: '7', failures: '2', errors: '1', skipped: '1' });
    expect(xml.match(/<testsuite /g)).toHaveLength(4);
    expect(xml).toContain('<testcase classname="run" name="outcome" time="0.000"><failure message="failed"/>');
    expect(xml).toContain('<failure message="expected 12, found 11"/>');
    expect(xml).toMatch(/<testcase classname="tiny.good" name="[^"]*" time="0.000"><skipped message="[^"]+"\/>/);
  });

  test('a step that succeeded says what it has to say', async () => {
    const { run, toEnd } = tinyRun([step('wordy', wordy)]);
    await toEnd();
    const xml = junitReport(reportOf(findRun(dirname(run.journalFile)).events));
    expect(attributes(xml, 'testsuites')).toMatchObject({ failures: '0', errors: '0', skipped: '0' });
    expect(xml).toContain('<system-out>not all &#60;was&#62; compared</system-out></testcase>');
  });

  test('holds nothing that XML forbids', async () => {
    const xml = junitReport(await recorded()) + junitProblem(NASTY, NASTY);
    expect(xml).toContain('postgres &#60;&#38;&#34;&#39;');
    expect(xml).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/);
  });

  test('tells what could not begin as one error', () => {
    const xml = junitProblem('Drill: acme', 'there is no backup set');
    expect(attributes(xml, 'testsuites')).toMatchObject({ name: 'Drill: acme', tests: '1', errors: '1' });
    expect(xml).toContain('<error message="there is no backup set"/>');
  });
});
