import type { TrainingRecord } from '../../src/engine/training/record.js';
import type { Loss } from '../../src/stores/loss.js';

const MINUTE = 60_000;
const NOTHING = {
  memories: 0,
  changed: 0,
  strange: 0,
  vectors: 0,
  nodes: 0,
  relationships: 0,
  altered: 0,
  rows: 0,
};

export const lossOf = (loss: Partial<Loss> = {}): Loss => ({
  ...NOTHING,
  examples: [],
  tables: {},
  leftOver: { vectors: 0, nodes: 0, doubles: 0 },
  unread: '',
  silent: [],
  equality: [],
  ...loss,
});

export const WELL = { subject: 'novamem', what: '/health', expected: 'HTTP 200', actual: 'HTTP 200', ok: true };

export const predicted = (given: string) => ({
  id: given,
  ask: '?',
  options: ['yes', 'no'],
  given,
  answer: 'yes',
  because: 'so',
  at: 0,
});

/** A lesson of ten minutes that was taken without a fault. */
export const flawlessLesson: TrainingRecord = {
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
  loss: lossOf(),
  unavoidable: NOTHING,
  checks: [WELL, WELL],
  score: { parts: [], total: 100 },
  betterPath: [],
};
