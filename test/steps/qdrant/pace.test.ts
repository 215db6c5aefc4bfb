import { expect, test } from 'vitest';
import { Pace } from '../../../src/steps/qdrant/pace.js';

/** How many a server is given at a time, in the end of 200 collections, when `perSecond` is what it gets done of so many at a time. */
function limitsAt(most: number, perSecond: (atOnce: number) => number): number[] {
  let now = 0;
  const pace = new Pace(most, () => now);
  return Array.from({ length: 200 }, () => {
    now += 1000 / perSecond(pace.limit);
    pace.ended(1);
    return pace.limit;
  }).slice(-60);
}

test('a server that gets more done with more at a time is given more, up to the most', () => {
  expect(Math.min(...limitsAt(8, (atOnce) => atOnce))).toBeGreaterThanOrEqual(7);
});

test('a server that gets less done with more at a time is given less, but never less than two', () => {
  const limits = limitsAt(8, (atOnce) => 1 / atOnce);
  expect([Math.min(...limits), Math.max(...limits)]).toEqual([2, 3]);
});

test('where more brings nothing it stays where it began', () => {
  const limits = limitsAt(8, () => 10);
  expect([Math.min(...limits), Math.max(...limits)]).toEqual([4, 5]);
});

test('one at a time is one at a time', () => {
  expect(new Set(limitsAt(1, (atOnce) => atOnce))).toEqual(new Set([1]));
});
