import { describe, expect, test } from 'vitest';
import { makeSeedData } from '../../src/sandbox/seed-data.js';

describe('what a sandbox remembers', () => {
  test.each([1, 10, 50, 100, 200, 600])('has no relation twice, with %d memories', (count) => {
    const { relations } = makeSeedData(count);
    const keys = relations.map(({ from, to, kind }) => `${from.id} ${to.id} ${kind}`);
    expect(keys.length - new Set(keys).size).toBe(0);
  });

  test('is the same for the same seed, and other for another', () => {
    expect(makeSeedData(200)).toEqual(makeSeedData(200));
    expect(makeSeedData(200, 2).memories[0]?.id).not.toBe(makeSeedData(200).memories[0]?.id);
  });

  test('is spread over several tenants, projects and namespaces, with relations of every kind', () => {
    const { memories, relations } = makeSeedData(600);
    expect(memories).toHaveLength(600);
    expect(new Set(memories.map((one) => one.user)).size).toBeGreaterThan(2);
    expect(new Set(memories.map((one) => `${one.project} ${one.namespace}`)).size).toBeGreaterThan(5);
    expect([...new Set(relations.map((one) => one.kind))].sort()).toEqual([
      'co_inferred',
      'co_occurs',
      'vector_neighbour',
    ]);
    expect(new Set(memories.map((one) => one.id)).size).toBe(600);
  });
});
