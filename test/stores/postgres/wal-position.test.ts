import { describe, expect, test } from 'vitest';
import {
  courseOf,
  DEFAULT_SEGMENT_BYTES,
  historyName,
  lsnText,
  parseHistoryName,
  parseLsn,
  parseSegmentName,
  segmentName,
  segmentNumberAt,
} from '../../../src/stores/postgres/wal-position.js';

const MIB = 1024 * 1024;

describe('a position in the log', () => {
  test.each(['0/0', '0/3000148', '1/0', 'FF/FFFFFFFF', '10/28'])('%s is read and written alike', (text) => {
    expect(lsnText(parseLsn(text)!)).toBe(text);
  });

  test.each(['', '3000148', '0/', '/0', '0/123456789', 'G/0', '0/0 '])('"%s" is none', (text) => {
    expect(parseLsn(text)).toBeUndefined();
  });
});

describe('the name of a segment', () => {
  test.each([
    [DEFAULT_SEGMENT_BYTES, '000000010000000000000003', { timeline: 1, number: 3 }],
    [DEFAULT_SEGMENT_BYTES, '0000000A00000002000000FF', { timeline: 10, number: 2 * 256 + 255 }],
    [64 * MIB, '00000001000000010000003F', { timeline: 1, number: 64 + 63 }],
    [MIB, '000000010000000100000FFF', { timeline: 1, number: 4096 + 4095 }],
  ])('with segments of %i bytes, %s', (bytes, name, segment) => {
    expect(parseSegmentName(name, bytes)).toEqual(segment);
    expect(segmentName(segment, bytes)).toBe(name);
  });

  test.each([
    '000000010000000000000003.partial',
    '000000010000000000000003.00000028.backup',
    '00000000000000000000000A',
    '000000010000000000000100',
    '.000000010000000000000003.part',
  ])('%s is no name of one', (name) => {
    expect(parseSegmentName(name, DEFAULT_SEGMENT_BYTES)).toBeUndefined();
  });

  test('is found from a position', () => {
    expect(segmentNumberAt(parseLsn('0/3000148')!, DEFAULT_SEGMENT_BYTES)).toBe(3);
    expect(segmentNumberAt(parseLsn('1/0')!, DEFAULT_SEGMENT_BYTES)).toBe(256);
  });
});

test('the name of a timeline history is read and written alike', () => {
  expect(parseHistoryName('0000001B.history')).toBe(27);
  expect(historyName(27)).toBe('0000001B.history');
  expect(parseHistoryName('0000001B.history.part')).toBeUndefined();
});

test('a history tells from where to where each timeline was followed', () => {
  const history = '1\t0/3000148\tbefore 2026-11-21 03:10:00+00\n\n2\t0/5000000\tat restore point "x"\n';
  expect(courseOf(3, history)).toEqual([
    { timeline: 1, from: 0, to: parseLsn('0/3000148') },
    { timeline: 2, from: parseLsn('0/3000148'), to: parseLsn('0/5000000') },
    { timeline: 3, from: parseLsn('0/5000000') },
  ]);
  expect(courseOf(1, '')).toEqual([{ timeline: 1, from: 0 }]);
});
