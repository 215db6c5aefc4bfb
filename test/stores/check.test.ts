import { describe, expect, test } from 'vitest';
import { allThere, equal, sameSet, withinMoving } from '../../src/stores/check.js';

describe('what was written to while it was backed up', () => {
  const points = (expected: number, actual: number) => equal('qdrant collection a', 'points', expected, actual);

  test('is equal when the count lies between the beginning and the end', () => {
    const [check] = withinMoving([points(12, 11)], [points(10, 11)]);
    expect(check).toMatchObject({ ok: true, expected: '10 to 12 (written to during the backup)', actual: '11' });
  });

  test('differs when the count lies outside', () => {
    expect(withinMoving([points(12, 9)], [points(10, 9)])[0]?.ok).toBe(false);
    expect(withinMoving([points(12, 13)], [points(10, 13)])[0]?.ok).toBe(false);
  });

  test('still differs where nothing was moving', () => {
    expect(withinMoving([points(10, 9)], [points(10, 9)])[0]?.ok).toBe(false);
  });

  test('says nothing of what is no count and was changing', () => {
    const ids = (expected: string) => equal('falkordb graph g', 'ids', expected, 'c');
    expect(withinMoving([ids('a')], [ids('b')])).toEqual([]);
  });
});

describe('sets', () => {
  test('name what is missing and what is too many', () => {
    expect(sameSet('postgres', 'tables', ['a', 'b'], ['b', 'c'])).toMatchObject({
      ok: false,
      actual: '2 (missing: a; not expected: c)',
    });
  });

  test('that only have to hold everything expected say what else is there', () => {
    expect(allThere('postgres', 'tables', ['a'], ['a', 'new'])).toMatchObject({
      ok: true,
      actual: '1, and not from the backup: new',
    });
    expect(allThere('postgres', 'tables', ['a', 'b'], ['a', 'new']).ok).toBe(false);
  });
});
