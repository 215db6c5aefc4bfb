import { describe, expect, test } from 'vitest';
import { clockOf, durationOf, fileInstantOf, instantOf, logTimeOf, messageOf, plural, sizeOf } from '../src/words.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const at = new Date('2026-11-21T02:03:04.056Z');

describe('numbers as people say them', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [118 * 1024 ** 2, '118 MiB'],
    [1.25 * 1024 ** 3, '1.3 GiB'],
    [3 * 1024 ** 5, '3072 TiB'],
  ])('%d bytes are %s', (bytes, words) => {
    expect(sizeOf(bytes)).toBe(words);
  });

  test.each([
    [-5, '0 ms'],
    [820, '820 ms'],
    [4_200, '4.2 s'],
    [9_949, '9.9 s'],
    [9_960, '10 s'],
    [59_600, '1 min 00 s'],
    [4 * MINUTE + 12 * SECOND, '4 min 12 s'],
    [HOUR - 400, '1 h 00 min'],
    [25 * HOUR + 12 * MINUTE, '25 h 12 min'],
    [12 * 24 * HOUR + 3 * HOUR, '12 d 3 h'],
  ])('%d ms are %s', (ms, words) => {
    expect(durationOf(ms)).toBe(words);
  });

  test.each([
    [4_999, '0:04'],
    [6 * MINUTE + 18 * SECOND, '6:18'],
    [HOUR + 2 * MINUTE + 3 * SECOND, '1:02:03'],
    [-1, '0:00'],
  ])('a clock at %d ms shows %s', (ms, words) => {
    expect(clockOf(ms)).toBe(words);
  });

  test('one is not many', () => {
    expect([plural(1, 'collection'), plural(0, 'row'), plural(3_000, 'memory', 'memories')]).toEqual([
      '1 collection',
      '0 rows',
      '3,000 memories',
    ]);
  });
});

describe('instants', () => {
  test('are said in UTC, whatever the zone of the machine', () => {
    expect([instantOf(at), logTimeOf(at), fileInstantOf(at)]).toEqual([
      '2026-11-21 02:03:04 UTC',
      '02:03:04.056',
      '20261121T020304Z',
    ]);
  });
});

describe('what was thrown', () => {
  test('is told by its message, all messages of several, else its name', () => {
    expect(messageOf(new Error('refused'))).toBe('refused');
    expect(messageOf(new TypeError())).toBe('TypeError');
    expect(messageOf(new AggregateError([new Error('::1 refused'), new Error('127.0.0.1 refused')]))).toBe(
      '::1 refused; 127.0.0.1 refused',
    );
    expect(messageOf('a text')).toBe('a text');
  });
});
