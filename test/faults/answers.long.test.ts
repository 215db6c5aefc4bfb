import { describe, expect, test } from 'vitest';
import { type Fault, httpAnswer, qdrantError } from '../support/faulty-proxy.js';
import { GIVING, qdrantThatAnswers, REFUSALS } from '../support/qdrant-that-answers.js';

// Every way in which Qdrant may refuse a snapshot, or break off its answer to one.

const { restore, expectUntouched } = qdrantThatAnswers();

const MIDDLE: [string, Fault, RegExp][] = [
  ...REFUSALS.map(([status, words]): [string, Fault, RegExp] => [
    `refuses a snapshot with ${status}`,
    { kind: 'answers', to: GIVING, answer: qdrantError(status, words) },
    new RegExp(`HTTP ${status} ${words}`),
  ]),
  [
    'gives half of an answer to a snapshot',
    { kind: 'answers', to: GIVING, answer: httpAnswer(200, '{"result":tr', { length: 500 }) },
    /: the answer broke off\. .*(was put back as it was before|an undo puts it back from there once Qdrant takes it)/,
  ],
];

describe('Qdrant, in the middle of a restore,', () => {
  test.each(MIDDLE)('%s: what was there is there', async (_what, fault, words) => {
    const ended = await restore(fault);
    expect([ended.outcome, ended.exitCode]).toEqual(['failed', 1]);
    expect(ended.said).toMatch(words);
    await expectUntouched();
  });
});
