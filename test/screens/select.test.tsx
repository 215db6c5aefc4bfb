import { afterEach, expect, test } from 'vitest';
import type { DeskSnapshot } from '../../src/engine/desk.js';
import { HistoryView } from '../../src/screens/history-view.js';
import { KEYS, type TestScreen, testScreen } from '../support/screen.js';

let screen: TestScreen;
afterEach(() => screen.close());

test('a history without a run takes every key, and only escape leads out', async () => {
  const desk = { cluster: 'acme', production: false, history: [] } as unknown as DeskSnapshot;
  const done: string[] = [];
  const never = (what: string) => () => void done.push(what);
  screen = testScreen(
    <HistoryView
      desk={desk}
      onLook={never('look')}
      onReplay={never('replay')}
      onResume={never('resume')}
      onUndo={never('undo')}
      onBack={never('back')}
    />,
  );
  await screen.shows('No run on acme is recorded yet.');
  for (const key of [KEYS.enter, KEYS.down, KEYS.up, '1', KEYS.escape]) screen.press(key);
  await expect.poll(() => [...done, screen.ended()]).toEqual(['back', false]);
});
