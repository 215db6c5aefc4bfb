import { afterEach, expect, test } from 'vitest';
import { DryRunView } from '../../src/screens/dry-run-view.js';
import { type TestScreen, testScreen } from '../support/screen.js';
import { step, tinyKind, tinyRun } from '../support/tiny-run.js';

let screen: TestScreen;
afterEach(() => screen.close());

test('the help of a dry run names the keys of a dry run, and none that it has not', async () => {
  const { run } = tinyRun([step('only', tinyKind('tiny.good'))], { mode: 'dry-run' });
  await run.preflight();
  screen = testScreen(<DryRunView run={run} onBack={() => {}} onQuit={() => {}} />);
  await screen.shows('? help');
  screen.press('?');
  const help = await screen.shows('A dry run: every step was looked at');
  expect(help).toContain('n →        the next step');
  expect(help).not.toMatch(/note|q {2,}quit|answer a question/);
  screen.press('x');
  await screen.shows('v as text');
});
