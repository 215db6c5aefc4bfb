import { expect, test } from 'vitest';
import { randomFrom, ulid } from '../../src/sandbox/seed-data.js';
import { type Belongings, lossBetween } from '../../src/stores/belongings.js';

const belongings = (memories: Record<string, string>, more: Partial<Belongings> = {}): Belongings => ({
  at: Date.now(),
  unread: '',
  memories: new Map(Object.entries(memories)),
  withoutVector: 0,
  withoutNode: 0,
  relationships: new Map(),
  ...more,
});

const relationship = (from: string, to: string, count = 1) =>
  [`${from} near ${to}`, { from, to, kind: 'near', count }] as const;

test('what is gone, what is older, what is a stranger', () => {
  const before = belongings({ a: 'one', b: 'two', c: 'three' });
  const after = belongings({ a: 'one', b: 'two, in an older wording', x: 'of another cluster' });
  expect(lossBetween(before, after)).toMatchObject({ memories: 1, changed: 1, strange: 1, examples: ['three'] });
});

test('what is written after it was looked is no stranger', () => {
  const random = randomFrom(1);
  const before = belongings({ a: 'one' });
  const after = belongings({
    a: 'one',
    [ulid(before.at - 60_000, random)]: 'of another cluster',
    [ulid(before.at + 60_000, random)]: 'written in the lesson',
  });
  expect(lossBetween(before, after).strange).toBe(1);
});

test('what was missing before is no loss', () => {
  const before = belongings({ a: 'one' }, { withoutVector: 2 });
  expect(lossBetween(before, belongings({ a: 'one' }, { withoutVector: 5, withoutNode: 1 }))).toMatchObject({
    vectors: 3,
    nodes: 1,
  });
});

test('a relationship counts where both its memories are left, as often as it is gone', () => {
  const relationships = new Map([relationship('a', 'b', 2), relationship('a', 'c')]);
  const before = belongings({ a: '', b: '', c: '' }, { relationships });
  const after = belongings({ a: '', b: '' }, { relationships: new Map([relationship('a', 'b')]) });
  expect(lossBetween(before, after)).toMatchObject({ memories: 1, relationships: 1 });
});
