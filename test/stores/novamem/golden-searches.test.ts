import { describe, expect, test } from 'vitest';
import { compareSearch, type GoldenSearch } from '../../../src/stores/novamem/golden-searches.js';

const result = (id: string, score: number, signals: Record<string, number> = { vector: score }) => ({
  id,
  score,
  signals,
});

const golden = (results: GoldenSearch['results'], k = 10): GoldenSearch => ({ query: 'billing', k, results });

function differences(before: GoldenSearch, results: GoldenSearch['results'], degraded = false): string[] {
  return compareSearch(before, { results, degraded }, 0.001)
    .filter((check) => !check.ok)
    .map(({ subject, what, expected, actual }) =>
      what === 'golden search: one memory'
        ? `${subject.split(', ').at(-1)}: ${expected} → ${actual}`
        : `${what}: ${actual}`,
    );
}

describe('a golden search', () => {
  const before = golden([result('a', 0.9), result('b', 0.5)]);

  test('that finds the same with the same scores is equal, in any order', () => {
    expect(differences(before, [result('b', 0.5001), result('a', 0.9)])).toEqual([]);
  });

  test('names the memory that is missing and the one that is new, with their scores', () => {
    expect(differences(before, [result('a', 0.9), result('c', 0.4)])).toEqual([
      'golden search: same memories: 2, 2 differences',
      'memory b: score 0.5 → not found',
      'memory c: not found → score 0.4',
    ]);
  });

  test('names the score and the signal that are not as they were', () => {
    const graphLost = golden([result('a', 0.9, { vector: 0.8, graph: 0.5 })]);
    expect(differences(graphLost, [result('a', 0.85, { vector: 0.8 })])).toEqual([
      'golden search: scores and signals: further off in 1 memory',
      'memory a: score 0.9, graph 0.5 → score 0.85, graph none',
    ]);
  });

  test('of which many are off names those that are furthest off', () => {
    const many = golden(Array.from({ length: 10 }, (_, index) => result(`m${index}`, 0.9)));
    const now = many.results.map((one, index) => result(one.id, 0.9 - index / 100));
    const [, ...named] = differences(many, now);
    expect(named.map((line) => line.split(':')[0])).toEqual(
      ['m9', 'm8', 'm7', 'm6', 'm5'].map((id) => `memory ${id}`),
    );
  });

  test('that is answered without one of its tiers differs', () => {
    expect(differences(before, before.results, true)).toEqual(['golden search: degraded: yes']);
  });

  test('that was cut off may end in another memory of the same score, and in no other', () => {
    const cut = golden([result('a', 0.9), result('b', 0.5)], 2);
    expect(differences(cut, [result('a', 0.9), result('c', 0.5)])).toEqual([]);
    expect(differences(cut, [result('b', 0.5), result('c', 0.5)])).toEqual([
      'golden search: same memories: 2, 1 difference',
      'memory a: score 0.9 → not found',
    ]);
    // One may stand for another; none may be gone.
    expect(differences(cut, [result('a', 0.9)])).toEqual([
      'golden search: same memories: 1, 1 difference',
      'memory b: score 0.5 → not found',
    ]);
  });

  test('that found nothing differs once it finds something', () => {
    expect(differences(golden([]), [])).toEqual([]);
    expect(differences(golden([]), [result('a', 0.1)])).toEqual([
      'golden search: same memories: 1, 1 difference',
      'memory a: not found → score 0.1',
    ]);
  });
});
