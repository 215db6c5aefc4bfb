import { expect, it } from 'vitest';
import { type CountedProgress, counted } from '../../src/engine/counted.js';

type Told = Omit<CountedProgress, 'since'>;

const sinces = (...told: [at: number, done: number, total?: number, unit?: Told['unit']][]) => {
  let before: CountedProgress | undefined;
  return told.map(([at, done, total, unit = 'rows']) => {
    before = counted({ done, unit, text: '', ...(total === undefined ? {} : { total }) }, before, at);
    return before.since;
  });
};

it('counts on from where counting began, also when there is more than was expected', () => {
  const first = { at: 1, done: 10 };
  expect(sinces([1, 10, 100], [2, 10, 100], [3, 100, 100], [4, 130, 130])).toEqual([first, first, first, first]);
  expect(sinces([1, 10], [2, 20])).toEqual([first, first]);
});

it.each<[string, [number, number, number?, Told['unit']?]]>([
  ['falls', [9, 4, 100]],
  ['is of another whole', [9, 70, 5_000]],
  ['is of a whole that is not known', [9, 70]],
  ['counts something else', [9, 70, 100, 'bytes']],
])('counts anew when what is told %s', (_how, next) => {
  expect(sinces([1, 10, 100], [2, 60, 100], next)).toEqual([
    { at: 1, done: 10 },
    { at: 1, done: 10 },
    { at: 9, done: next[1] },
  ]);
});
