import { expect, test } from 'vitest';
import { randomFrom, ulid } from '../../src/sandbox/seed-data.js';
import type { Belongings } from '../../src/stores/belongings.js';
import { lossBetween } from '../../src/stores/loss.js';

const vector = (...values: number[]) => ({ collection: 'novamem_ana', payload: '{}', values });
/** What a store holds of each memory; `lacking`: of which it has nothing. */
const held = <T>(of: Record<string, T[]> = {}, ...lacking: string[]) => ({
  of: new Map(Object.entries(of)),
  lacking: new Set(lacking),
});
const memory = (content: string, rest = '') => ({ content, rest });
const belongings = (memories: Record<string, string>, more: Partial<Belongings> = {}): Belongings => ({
  at: Date.now(),
  unread: '',
  silent: [],
  memories: new Map(Object.entries(memories).map(([id, content]) => [id, memory(content)])),
  vectors: held(),
  nodes: held(),
  relationships: new Map(),
  tables: new Map(),
  structure: { postgres: {}, qdrant: { collections: {}, aliases: {} }, falkordb: { indexes: [], constraints: [] } },
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
  const before = belongings(
    { a: 'one', b: 'two' },
    { vectors: held({ a: [vector(1), vector(1)], x: [vector(1)] }, 'b'), nodes: held({ a: ['a'], b: ['b'] }) },
  );
  const after = belongings(
    { a: 'one', b: 'two' },
    { vectors: held({ x: [vector(1)], y: [vector(1)] }, 'a', 'b'), nodes: held({ a: ['a', 'a'] }, 'b') },
  );
  expect(lossBetween(before, after)).toMatchObject({
    vectors: 1,
    nodes: 1,
    altered: 0,
    leftOver: { vectors: 1, nodes: 0, doubles: 1 },
  });
});

test('a vector that points elsewhere is altered, one that was made anew of the same text is not', () => {
  const before = belongings({ a: 'one' }, { vectors: held({ a: [vector(0.6, 0.8)] }) });
  const altered = (...now: ReturnType<typeof vector>[]) =>
    lossBetween(before, belongings({ a: 'one' }, { vectors: held({ a: now }) })).altered;
  expect(altered(vector(0.6001, 0.7999))).toBe(0);
  expect(altered(vector(0.8, 0.6))).toBe(1);
  expect(altered(vector(0.6, 0.8, 0))).toBe(1);
  expect(altered({ ...vector(0.6, 0.8), payload: '{"userId":"ben"}' })).toBe(1);
  expect(altered({ ...vector(0.6, 0.8), collection: 'novamem_ben' })).toBe(1);
  const rewritten = belongings({ a: 'something else' }, { vectors: held({ a: [vector(0.8, 0.6)] }) });
  expect(lossBetween(before, rewritten)).toMatchObject({ changed: 1, altered: 0 });
});

test('a collection that no memory needs any more may be gone, another one may not', () => {
  const made = (...names: string[]) => ({
    ...belongings({}).structure,
    qdrant: { collections: Object.fromEntries(names.map((name) => [name, '384'])), aliases: {} },
  });
  const before = belongings(
    { a: '' },
    { vectors: held({ a: [vector(1)] }), structure: made('novamem_ana', 'other') },
  );
  const differing = (...names: string[]) =>
    lossBetween(before, { ...before, structure: made(...names) }).equality.flatMap(({ what, ok }) =>
      ok ? [] : [what],
    );
  expect(differing('novamem_ana', 'new')).toEqual([]);
  expect(differing('other')).toEqual(['collections as they were made']);
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
  const after = belongings({}, { unread: 'invalid page', vectors: held({ b: [vector(1)] }) });
  expect(lossBetween(before, after)).toMatchObject({
    memories: 0,
    leftOver: { vectors: 0, nodes: 0 },
    unread: 'invalid page',
  });
});
