import { expect, test } from 'vitest';
import { footerOf, titled } from '../../src/screens/frame.js';

const PLAN = ['enter begin (what destroys asks first)', '↑↓ step', 'space more', 'esc back', '? help'];
const START = [
  'enter open',
  'r resume',
  'u undo…',
  'd dry run',
  'h history',
  't train',
  '↑↓ choose',
  '? help',
  'q quit',
];
const LOG = ['/ filter', 'space pause', '↑↓ scroll', 'e error', 'tab step', 't time', 'esc back'];

test.each([
  [40, ' · whole cluster lost · DRILL · UNDO    '],
  [30, ' · whole clust… · DRILL · UNDO'],
  [15, ' · DRILL · UNDO'],
])('in %i columns the title gives way, and the marks of a run stay', (width, words) => {
  expect(titled('whole cluster lost', ['DRILL', 'UNDO'], width)).toBe(words);
});

test.each([
  [PLAN, 78, 'enter begin (what destroys asks first)  ↑↓ step  space more  esc back  ? help'],
  [PLAN, 58, 'enter begin  ↑↓ step  space more  esc back  ? help'],
  [START, 58, 'enter open  r resume  u undo…  …  ? help  q quit'],
  [LOG, 58, '/ filter  space pause  ↑↓ scroll  e error  …  esc back'],
])('the keys of a screen, %j, have room in %i columns, and the last is always among them', (keys, width, footer) => {
  expect(footerOf(keys, width)).toBe(footer);
  expect(footer.length).toBeLessThanOrEqual(width);
});
