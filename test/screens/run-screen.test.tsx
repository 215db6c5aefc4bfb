import { afterEach, expect, test } from 'vitest';
import { ClusterLock } from '../../src/engine/cluster-lock.js';
import { RunScreen } from '../../src/screens/run-screen.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { KEYS, type TestScreen, testScreen } from '../support/screen.js';
import { tempFolder } from '../support/temp.js';
import { laterUndo, step, type TinyFacts, type TinyRun, tinyKind, tinyRun } from '../support/tiny-run.js';

let screen: TestScreen;
afterEach(() => screen.close());

function shown({ run }: Pick<TinyRun, 'run'>): TestScreen {
  const never = () => {
    throw new Error('it was not asked for');
  };
  screen = testScreen(<RunScreen run={run} onBack={never} onUndo={never} onQuit={never} />);
  return screen;
}

test('a run that was kept out begins with enter once the other one is over, whatever is blocked', async () => {
  const locks = [tempFolder('locks')];
  const request = { cluster: 'acme-test', run: 'another', operator: 'somebody', folders: locks, takeOver: false };
  const other = await ClusterLock.take(request);
  const blocked = tinyKind('tiny.blocked', { check: async () => [{ level: 'blocking', message: 'no dump', next: 'find it' }] });
  const tiny = tinyRun([step('only', blocked)], { lockFolders: locks });
  await tiny.run.preflight();
  shown(tiny);
  await screen.shows('b begin all the same');
  screen.press('b');
  await screen.shows('enter try again');
  await other.release();
  screen.press(KEYS.enter);
  await tiny.until('only', 'deciding');
  tiny.run.intend({ type: 'abort' });
  expect(await tiny.run.finished).toBe('aborted');
});

test.each([
  ['', 'This run has nothing that can be put back.', false],
  ['what was there before', 'put it back', true],
])('the keys of an undo that puts %j back promise what can be done', async (putsBack, said, possible) => {
  const undoable = [
    step(
      'only',
      tinyKind('tiny.undoable', {
        undo: () => stepEvents<TinyFacts>(async () => {}),
        planUndo: async () => ({ putsBack, replaces: [] }),
      }),
    ),
  ];
  const tiny = tinyRun(undoable);
  await tiny.toEnd();
  const { run } = await laterUndo(tiny, undoable);
  shown({ run });
  const text = await screen.shows(said);
  expect(text.includes('enter put back')).toBe(possible);
  run.intend({ type: 'abort' });
  await run.finished;
});
