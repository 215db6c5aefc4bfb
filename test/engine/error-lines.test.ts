import { expect, test } from 'vitest';
import { errorBefore } from '../../src/engine/error-lines.js';

const LINES = [
  'pg_restore: error: could not execute query',
  'novamem_u7_default restored, 18,204 points, equal',
  'FATAL:  role "novamem_ro" does not exist',
  'Qdrant: fetch failed: connect ECONNREFUSED',
  'terrors are counted elsewhere',
].map((text, at) => ({ at, step: 'restore', text }));

test('from the end of a log upwards each line that tells of an error is found, and none above the first', () => {
  const places: number[] = [];
  for (let at = LINES.length; ; ) {
    const next = errorBefore(LINES, at);
    if (next === at) break;
    places.push(next);
    at = next;
  }
  expect(places).toEqual([3, 2, 0]);
  expect(errorBefore([], 0)).toBe(0);
});
