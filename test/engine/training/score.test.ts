import { describe, expect, test } from 'vitest';
import type { TrainingRecord } from '../../../src/engine/training/record.js';
import { avoidableIn, isPassed, leftOverWords, lossWords, scoreOf } from '../../../src/engine/training/score.js';
import type { Loss } from '../../../src/stores/loss.js';
import { flawlessLesson, lossOf, predicted, WELL } from '../../support/taken-lesson.js';

const MINUTE = 60_000;
const LEFT_OVER = { vectors: 0, nodes: 0, doubles: 0 };
const totalOf = (change: Partial<TrainingRecord>) => scoreOf({ ...flawlessLesson, ...change }).total;
const losing = (loss: Partial<Loss>) => ({ loss: lossOf(loss) });

test('without a fault, and within the time, all 100', () => {
  expect(totalOf({})).toBe(100);
});

describe('what takes marks away', () => {
  test.each([
    ['a prediction that was wrong', { predictions: [predicted('yes'), predicted('no')] }, 85],
    ['a prediction that was not made', { predictions: [predicted('yes'), { ...predicted('no'), given: null }] }, 85],
    [
      'what it is, taken for something else',
      { predictions: [predicted('yes'), { ...predicted('no'), id: 'scenario' }] },
      80,
    ],
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
    ['their validity only', losing({ altered: 9 }), 85],
    ['a token', losing({ rows: 1 }), 85],
    ['vectors without a memory, which are no loss', losing({ leftOver: { ...LEFT_OVER, vectors: 3 } }), 95],
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
    const record = { ...flawlessLesson, ...change };
    return { ...record, score: scoreOf(record) };
  };
  expect(isPassed(recordOf({}))).toBe(true);
  expect(isPassed(recordOf(losing({ memories: 1 })))).toBe(false);
  expect(isPassed(recordOf({ givenUp: true }))).toBe(false);
});

test('what the better path loses as well costs nothing, and is said as far as it was lost', () => {
  const unavoidable = { ...lossOf(), memories: 3 };
  const { total, parts } = scoreOf({ ...flawlessLesson, ...losing({ memories: 3 }), unavoidable });
  expect(total).toBe(100);
  expect(parts.at(-1)!.because).toBe('lost is what the better path loses as well: 3 memories');
  expect(lossWords(avoidableIn({ ...lossOf(), memories: 5 }, unavoidable))).toBe('2 memories');
  const kept = scoreOf({ ...flawlessLesson, unavoidable });
  expect(kept.parts.at(-1)!.because).toBe('nothing is lost');
});

test('who leaves vectors over has passed all the same', () => {
  const record = { ...flawlessLesson, ...losing({ leftOver: { vectors: 3, nodes: 1, doubles: 2 } }) };
  expect(isPassed({ ...record, score: scoreOf(record) })).toBe(true);
  expect(leftOverWords(record.loss.leftOver)).toBe(
    '3 vectors and 1 node of memories that are not there, 2 of vectors, nodes and relationships, each there twice',
  );
});
