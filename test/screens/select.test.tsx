import { afterEach, expect, test } from 'vitest';
import type { DeskSnapshot } from '../../src/engine/desk.js';
import { HistoryView } from '../../src/screens/history-view.js';
import { Select } from '../../src/screens/select.js';
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

const LETTERS = ['a', 'b', 'c', 'd', 'e', 'f'].map((value) => ({ key: value, label: `item ${value}`, value }));

test('arrows and an enter that arrive together go as far as if each had been waited for', async () => {
  const chosen: string[] = [];
  screen = testScreen(<Select items={LETTERS} onSelect={({ value }) => chosen.push(value)} />);
  await screen.shows('❯ item a');
  screen.press(KEYS.down + KEYS.down + KEYS.down + KEYS.up + KEYS.enter);
  await expect.poll(() => chosen).toEqual(['c']);
  expect(screen.text()).toContain('❯ item c');
});

test('in a room that is too small the list goes with what is highlighted, and round its end', async () => {
  screen = testScreen(<Select items={LETTERS} limit={4} onSelect={() => {}} />);
  expect(await screen.shows('❯ item a')).toContain('⋮ 3 more');
  screen.press(KEYS.down.repeat(4));
  const further = await screen.shows('❯ item e');
  expect(further).toContain('item c');
  expect(further).not.toMatch(/item [bf]/);
  screen.press(KEYS.down.repeat(2));
  expect(await screen.shows('❯ item a')).toContain('item c');
  screen.press('2');
  await screen.shows('❯ item b');
});
