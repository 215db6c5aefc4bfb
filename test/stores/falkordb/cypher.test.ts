import { expect, test } from 'vitest';
import { cypherLiteral, withRows } from '../../../src/stores/falkordb/cypher.js';

test('text is quoted so that nothing in it ends the literal', () => {
  expect(cypherLiteral('it\'s "x" \\ $y')).toBe(`'it\\'s "x" \\\\ $y'`);
  expect(cypherLiteral('trailing \\')).toBe(`'trailing \\\\'`);
});

test('numbers and nothing are themselves; what Cypher has no literal for is refused', () => {
  expect([0.5, 1e-7, -3, null].map(cypherLiteral)).toEqual(['0.5', '1e-7', '-3', 'NULL']);
  for (const number of [Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => cypherLiteral(number)).toThrow(/no literal/);
});

test('rows stand before the query as its parameter', () => {
  expect(
    withRows([
      { id: 'a', s: 1 },
      { id: 'b', s: null },
    ]),
  ).toBe(`CYPHER rows=[{id:'a',s:1},{id:'b',s:NULL}] `);
});
