import { expect, test } from 'vitest';
import type { Happening, JournalEvent } from '../../../src/engine/journal.js';
import { unansweredIn } from '../../../src/engine/training/unanswered.js';
import { loadRunbook } from '../../../src/runbook/library.js';
import { predicted } from '../../support/taken-lesson.js';

const { id, teach } = loadRunbook('qdrant-lost').steps.find((step) => step.teach?.predict)!;
const { ask, options, answer } = teach!.predict!;

/** The journal of a run, in which these steps were confirmed. */
const journal = (scenario: string, ...confirmed: string[]): JournalEvent[] =>
  [
    { type: 'run.started', scenario, runbookFile: null },
    ...confirmed.map((step) => ({ type: 'confirm.given', step, who: 'ana', typed: '' }) as Partial<Happening>),
  ].map((event, seq) => ({ ts: '2026-11-23T03:12:00.000Z', seq, run: 'r', prev: '', ...event })) as JournalEvent[];

test('a step that was confirmed without its question counts once, as one to which nothing was said', () => {
  const runs = [journal('qdrant-lost', 'stop-novamem', id), journal('qdrant-lost', id)];
  expect(unansweredIn(runs, [])).toMatchObject([
    { id: `qdrant-lost.${id}`, ask, options, answer, given: null, at: null },
  ]);
});

test('one that was answered, or that it did not come to, does not count', () => {
  const answered = { ...predicted(answer), id: `qdrant-lost.${id}` };
  expect(unansweredIn([journal('qdrant-lost', id)], [answered])).toEqual([]);
  expect(unansweredIn([journal('qdrant-lost', 'stop-novamem')], [])).toEqual([]);
});

test('a runbook that is not there any more asks nothing', () => {
  expect(unansweredIn([journal('gone', id)], [])).toEqual([]);
});
