import { expect, it } from 'vitest';
import { NewestLines } from '../../src/engine/newest-lines.js';

const at = new Date(0);
const numbered = (from: number, count: number) => Array.from({ length: count }, (_, index) => `line ${from + index}`);

it('the newest 500 lines are answered in their order, whether they came one by one or together', () => {
  for (const together of [1, 3, 700, 40_000]) {
    const lines = new NewestLines();
    for (let from = 0; from < 120_000; from += together)
      lines.add('restore', numbered(from, Math.min(together, 120_000 - from)).join('\n'), at);
    expect(lines.take().map(({ text }) => text)).toEqual(numbered(119_500, 500));
  }
});

it('fewer are answered as long as there are no more, with their step and their time', () => {
  const lines = new NewestLines();
  lines.add('restore', 'first\nsecond', at);
  lines.add('verify', '', new Date(7));
  expect(lines.take()).toEqual([
    { at: 0, step: 'restore', text: 'first' },
    { at: 0, step: 'restore', text: 'second' },
    { at: 7, step: 'verify', text: '' },
  ]);
});
