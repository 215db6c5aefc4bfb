import { expect, test } from 'vitest';
import { randomFrom, ulid } from '../../src/sandbox/seed-data.js';
import type { Belongings } from '../../src/stores/belongings.js';
import { lossBetween } from '../../src/stores/loss.js';

const HELD = { missing: 0, strays: 0, doubles: 0 };
const memory = (content: string, rest = '') => ({ content, rest });
const belongings = (memories: Record<string, string>, more: Partial<Belongings> = {}): Belongings => ({
  at: Date.now(),
  unread: '',
  silent: [],
  memories: new Map(Object.entries(memories).map(([id, content]) => [id, memory(content)])),
  vectors: HELD,
  nodes: HELD,
  relationships: new Map(),
  tables: new Map(),
  ...more,
});

const relationship = (from: string, to: string, ...says: string[]) =>
  [`${from} near ${to}`, { from, to, kind: 'near', says }] as const;
const row = (hash: string, ...memories: string[]) => ({ hash, key: `key of ${hash}`, memories });

test('what is gone, what is older, what is a stranger', () => {
  const before = belongings({ a: 'one', b: 'two', c: 'three' });
  const after = belongings({ a: 'one', b: 'two, in an older wording', x: 'of another cluster' });
  expect(lossBetween(before, after)).toMatchObject({ memories: 1, changed: 1, strange: 1, examples: ['three'] });
});

test('a memory that is somebody else’s now has changed, whatever it says', () => {
  const of = (user: string) => belongings({}, { memories: new Map([['a', memory('one', user)]]) });
  expect(lossBetween(of('ana'), of('ben')).changed).toBe(1);
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

test('what was missing or left over before is no loss', () => {
  const before = belongings({ a: 'one' }, { vectors: { missing: 2, strays: 1, doubles: 4 } });
  const after = belongings(
    { a: 'one' },
    { vectors: { missing: 5, strays: 2, doubles: 4 }, nodes: { missing: 1, strays: 0, doubles: 2 } },
  );
  expect(lossBetween(before, after)).toMatchObject({
    vectors: 3,
    nodes: 1,
    leftOver: { vectors: 1, nodes: 0, doubles: 2 },
  });
});

test('a relationship counts where both its memories are left, as often as it is gone', () => {
  const relationships = new Map([relationship('a', 'b', '0.1', '0.2'), relationship('a', 'c', '0.3')]);
  const before = belongings({ a: '', b: '', c: '' }, { relationships });
  const after = belongings({ a: '', b: '' }, { relationships: new Map([relationship('a', 'b', '0.2')]) });
  expect(lossBetween(before, after)).toMatchObject({ memories: 1, relationships: 1, altered: 0 });
});

test('a relationship that says something else is altered, one that is there more often is left over', () => {
  const before = belongings(
    { a: '', b: '', c: '' },
    { relationships: new Map([relationship('a', 'b', '0.1 from May'), relationship('a', 'c', '0.3')]) },
  );
  const after = {
    ...before,
    relationships: new Map([relationship('a', 'b', '0.1'), relationship('a', 'c', '0.3', '0.3')]),
  };
  expect(lossBetween(before, after)).toMatchObject({
    relationships: 0,
    altered: 1,
    leftOver: { vectors: 0, nodes: 0, doubles: 1 },
  });
});

test('rows of other tables are lost one by one and named; those of a lost memory go with it', () => {
  const tables = new Map([
    ['projects', [row('p1'), row('p2')]],
    ['notes', [row('n'), row('n'), row('of-b', 'b')]],
  ]);
  const before = belongings({ a: '', b: '' }, { tables });
  const after = belongings({ a: '' }, { tables: new Map([['notes', [row('n'), row('written since')]]]) });
  expect(lossBetween(before, after)).toMatchObject({
    memories: 1,
    rows: 3,
    tables: { projects: { rows: 2, keys: ['key of p1', 'key of p2'] }, notes: { rows: 1, keys: ['key of n'] } },
  });
});

test('of memories that cannot be read nothing is said, nor of what would be theirs', () => {
  const before = belongings({ a: '' });
  const after = belongings({}, { unread: 'invalid page', vectors: { missing: 0, strays: 1, doubles: 0 } });
  expect(lossBetween(before, after)).toMatchObject({
    memories: 0,
    leftOver: { vectors: 0, nodes: 0 },
    unread: 'invalid page',
  });
});
