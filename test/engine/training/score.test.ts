import { describe, expect, test } from 'vitest';
import type { TrainingRecord } from '../../../src/engine/training/record.js';
import { avoidableIn, isPassed, lossWords, scoreOf } from '../../../src/engine/training/score.js';

const MINUTE = 60_000;
const NOTHING = { memories: 0, changed: 0, strange: 0, vectors: 0, nodes: 0, relationships: 0 };
const WELL = { subject: 'novamem', what: '/health', expected: 'HTTP 200', actual: 'HTTP 200', ok: true };
const predicted = (given: string) => ({
  id: given,
  ask: '?',
  options: ['yes', 'no'],
  given,
  answer: 'yes',
  because: 'so',
  at: 0,
});

/** A lesson of ten minutes that was taken without a fault. */
const flawless: TrainingRecord = {
  id: 'one',
  lesson: { id: 'a-lesson', title: 'A lesson', level: 'hard', minutes: 10, hash: '', remember: [] },
  trainee: 'ana',
  cluster: 'lesson-1',
  disaster: { id: 'some', title: 'Something', did: [] },
  pagedAt: 0,
  detectedAt: MINUTE,
  decidedAt: 3 * MINUTE,
  recoveredAt: 10 * MINUTE,
  endedAt: 11 * MINUTE,
  givenUp: false,
  predictions: [predicted('yes'), predicted('yes')],
  hints: [],
  shells: [],
  runs: [],
  unsafe: [],
  memories: 600,
  loss: { ...NOTHING, examples: [], unread: '' },
  unavoidable: NOTHING,
  checks: [WELL, WELL],
  betterPath: [],
};
const totalOf = (change: Partial<TrainingRecord>) => scoreOf({ ...flawless, ...change }).total;
const losing = (loss: Partial<typeof NOTHING>) => ({ loss: { ...NOTHING, ...loss, examples: [], unread: '' } });

test('without a fault, and within the time, all 100', () => {
  expect(totalOf({})).toBe(100);
});

describe('what takes marks away', () => {
  test.each([
    ['a prediction that was wrong', { predictions: [predicted('yes'), predicted('no')] }, 85],
    ['a prediction that was not made', { predictions: [predicted('yes'), { ...predicted('no'), given: null }] }, 85],
    ['every hint, the stronger the more', { hints: [3, 7, 15].map((costs) => ({ text: '', costs, at: 0 })) }, 75],
    ['an unsafe choice', { unsafe: [{ what: 'x', because: 'y', at: 0 }] }, 90],
    ['twice the time', { recoveredAt: 20 * MINUTE }, 95],
    ['no recovery at all', { recoveredAt: null }, 90],
    ['three times as long and longer', { recoveredAt: 40 * MINUTE }, 90],
    ['a check that differs', { checks: [WELL, { ...WELL, ok: false }] }, 85],
    ['some memories that could have been kept: half of the marks for it', losing({ memories: 1 }), 85],
    ['half the memories', losing({ memories: 300 }), 78],
    ['all of them', losing({ memories: 600 }), 70],
    ['memories of another cluster', losing({ strange: 300 }), 78],
    ['relationships only', losing({ relationships: 9 }), 85],
  ])('%s', (_what, change, total) => {
    expect(totalOf(change)).toBe(total);
  });

  test('never below nothing', () => {
    const unsafe = Array.from({ length: 20 }, () => ({ what: '', because: '', at: 0 }));
    expect(totalOf({ unsafe })).toBe(0);
  });
});

test('who loses what could be kept has not passed, however many marks there are', () => {
  const recordOf = (change: Partial<TrainingRecord>) => {
    const record = { ...flawless, ...change };
    return { ...record, score: scoreOf(record) };
  };
  expect(isPassed(recordOf({}))).toBe(true);
  expect(isPassed(recordOf(losing({ memories: 1 })))).toBe(false);
  expect(isPassed(recordOf({ givenUp: true }))).toBe(false);
});

test('what nobody could keep costs nothing, and is said', () => {
  const unavoidable = { ...NOTHING, memories: 3 };
  const { total, parts } = scoreOf({ ...flawless, ...losing({ memories: 3 }), unavoidable });
  expect(total).toBe(100);
  expect(parts.at(-1)!.because).toBe('lost is what nobody could keep: 3 memories');
  expect(lossWords(avoidableIn({ ...NOTHING, memories: 5 }, unavoidable))).toBe('2 memories');
});
