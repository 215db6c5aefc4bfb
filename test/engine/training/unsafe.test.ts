import { describe, expect, test } from 'vitest';
import type { Happening, JournalEvent } from '../../../src/engine/journal.js';
import { choicesIn } from '../../../src/engine/training/choices.js';
import { unsafeIn } from '../../../src/engine/training/unsafe.js';
import { tookWrongWay } from '../../../src/engine/training/wrong-way.js';
import { SKIPPED_BY_OPERATOR } from '../../../src/engine/turn.js';
import type { Lesson, LossCounts } from '../../../src/runbook/lesson.js';

const BACKUPS = ['newest', 'older'];

const lessonWith = (unsafe: Lesson['unsafe']) =>
  ({
    right: { path: [{ run: 'qdrant-lost', backup: 'latest', set: {}, accept: [] }] },
    unsafe,
  }) as unknown as Lesson;

/** The journal of a run that was begun, as far as choices are in it. */
function journal(scenario: string, backup: string | null, ...more: Partial<Happening>[]): JournalEvent[] {
  const steps = [
    { id: 'way', uses: 'operator.choose', effect: 'ask', needs: [], params: {} },
    { id: 'restore', uses: 'postgres.restore', effect: 'destroy', needs: [], params: {} },
  ];
  return [
    { type: 'run.started', scenario, steps, backup: backup === null ? null : { id: backup } },
    ...more,
    { type: 'step.started', step: 'way' },
  ].map((event, seq) => ({ ts: '2026-11-23T03:12:00.000Z', seq, run: 'r', prev: '', ...event })) as JournalEvent[];
}

/** Of any of these runs. */
const DESTROYS: Partial<Happening> = { type: 'step.started', step: 'restore' };

const choices = (...journals: JournalEvent[][]) => journals.flatMap((events) => choicesIn(events, BACKUPS) ?? []);
const said = (lesson: Lesson, ...journals: JournalEvent[][]) =>
  unsafeIn(lesson, choices(...journals)).map(({ what, because }) => `${what}: ${because}`);

test('the runbook of the right way, from any backup, is no unsafe choice unless the lesson says so', () => {
  expect(said(lessonWith([]), journal('qdrant-lost', 'newest'))).toEqual([]);
  const lesson = lessonWith([{ when: { backup: 'previous' }, because: 'it is a day old' }]);
  expect(said(lesson, journal('qdrant-lost', 'newest', DESTROYS))).toEqual([]);
  expect(said(lesson, journal('qdrant-lost', 'older', DESTROYS))).toEqual([
    'began qdrant-lost from an older backup: it is a day old',
  ]);
});

test('another runbook is one, in the words of the lesson where it has some', () => {
  const other = journal('whole-cluster-lost', 'newest', { type: 'step.started', step: 'restore' });
  expect(said(lessonWith([]), other)).toEqual([
    expect.stringMatching(/^began whole-cluster-lost: .*replaced what was well/),
  ]);
  const lesson = lessonWith([{ when: { scenario: 'whole-cluster-lost' }, because: 'Postgres was well' }]);
  expect(said(lesson, other)).toEqual(['began whole-cluster-lost: Postgres was well']);
});

test('another runbook of which nothing was begun that destroys is none', () => {
  expect(said(lessonWith([]), journal('cross-check', null))).toEqual([]);
});

test('a runbook that was aborted before it destroyed anything is none, though the lesson names it', () => {
  const lesson = lessonWith([
    { when: { scenario: 'whole-cluster-lost' }, because: 'Postgres was well' },
    { when: { answer: { way: 'empty' } }, because: 'there was more' },
    { when: { scenario: 'whole-cluster-lost', skipped: 'recall' }, because: 'nobody knows' },
  ]);
  const answered: Partial<Happening>[] = [
    { type: 'confirm.asked', step: 'way', destroys: [], question: 'which?' },
    { type: 'confirm.given', step: 'way', who: 'ana', typed: 'empty' },
  ];
  expect(said(lesson, journal('whole-cluster-lost', 'newest', ...answered))).toEqual([]);
  expect(said(lesson, journal('whole-cluster-lost', 'newest', ...answered, DESTROYS))).toEqual([
    'began whole-cluster-lost: Postgres was well',
    'began whole-cluster-lost with way answered empty: there was more',
  ]);
  const skipped = {
    type: 'step.finished',
    step: 'recall',
    outcome: 'skipped',
    tookMs: 0,
    reason: SKIPPED_BY_OPERATOR,
  };
  expect(said(lesson, journal('whole-cluster-lost', 'newest', skipped as Partial<Happening>))).toEqual([
    'began whole-cluster-lost with recall skipped: nobody knows',
  ]);
});

test('all conditions of one must hold', () => {
  const lesson = lessonWith([{ when: { answer: { way: 'reindex' }, backup: 'none' }, because: 'slow' }]);
  const answered = (given: string): Partial<Happening>[] => [
    { type: 'confirm.asked', step: 'way', destroys: [], question: 'which?' },
    { type: 'confirm.given', step: 'way', who: 'ana', typed: given },
    DESTROYS,
  ];
  expect(said(lesson, journal('qdrant-lost', null, ...answered('reindex')))).toHaveLength(1);
  expect(said(lesson, journal('qdrant-lost', 'newest', ...answered('reindex')))).toEqual([]);
  expect(said(lesson, journal('qdrant-lost', null, ...answered('queue')))).toEqual([]);
});

test('what a person skipped, and a guard that was let pass, count without the lesson', () => {
  const events = journal(
    'qdrant-lost',
    'newest',
    { type: 'guard.accepted', difference: 'backup', who: 'ana' },
    { type: 'step.finished', step: 'recall', outcome: 'skipped', tookMs: 0, reason: SKIPPED_BY_OPERATOR },
    { type: 'step.finished', step: 'embed-all', outcome: 'skipped', tookMs: 0, reason: 'not chosen at way' },
  );
  expect(said(lessonWith([]), events)).toEqual([
    expect.stringMatching(/^let pass: backup/),
    expect.stringMatching(/^skipped recall/),
  ]);
});

test('a proof that was skipped is none where a later run has proven it', () => {
  const steps = [{ id: 'health', uses: 'novamem.health', effect: 'read', needs: [], params: {} }];
  const finished = (outcome: string, minute: number, more = {}) =>
    ({
      ...{ type: 'step.finished', step: 'health', outcome, tookMs: 0, reason: '', ...more },
      ...{ ts: `2026-11-23T03:${minute}:00.000Z` },
    }) as Partial<Happening>;
  const run = (...events: Partial<Happening>[]) => {
    const [first, ...rest] = journal('qdrant-lost', 'newest', ...events);
    return [{ ...first, steps }, ...rest] as unknown as JournalEvent[];
  };
  const skipped = run(finished('skipped', 20, { reason: SKIPPED_BY_OPERATOR }));
  expect(said(lessonWith([]), skipped, run(finished('succeeded', 25)))).toEqual([]);
  const open = [expect.stringMatching(/^skipped health/)];
  expect(said(lessonWith([]), skipped)).toEqual(open);
  expect(said(lessonWith([]), run(finished('succeeded', 15)), skipped)).toEqual(open);
  expect(said(lessonWith([]), skipped, run(finished('failed', 25)))).toEqual(open);
});

test('a run that was left at its plan is no choice', () => {
  expect(said(lessonWith([]), journal('whole-cluster-lost', 'newest').slice(0, 1))).toEqual([]);
});

test('each is told at the moment at which it was made, not at which its run began', () => {
  const lesson = lessonWith([
    { when: { scenario: 'qdrant-lost', answer: { way: 'empty' } }, because: 'there was more' },
    { when: { scenario: 'qdrant-lost' }, because: 'all was well' },
  ]);
  const at = (minute: number) => `2026-11-23T03:${minute}:00.000Z`;
  const events = journal(
    'qdrant-lost',
    'newest',
    DESTROYS,
    { type: 'confirm.asked', step: 'way', destroys: [], question: 'which?' },
    { type: 'confirm.given', step: 'way', who: 'ana', typed: 'empty', ts: at(20) } as Partial<Happening>,
    { type: 'guard.accepted', difference: 'backup', who: 'ana', ts: at(22) } as Partial<Happening>,
    {
      ...{ type: 'step.finished', step: 'recall', outcome: 'skipped', tookMs: 0, reason: SKIPPED_BY_OPERATOR },
      ...{ ts: at(25) },
    } as Partial<Happening>,
  );
  expect(unsafeIn(lesson, choices(events)).map((one) => [one.what, new Date(one.at).toISOString()])).toEqual([
    ['began qdrant-lost with way answered empty', at(20)],
    ['began qdrant-lost', at(12)],
    ['let pass: backup', at(22)],
    ['skipped recall', at(25)],
  ]);
});

describe('the wrong way that a lesson warns of', () => {
  const none: LossCounts = {
    ...{ memories: 0, changed: 0, strange: 0, vectors: 0, nodes: 0 },
    ...{ relationships: 0, altered: 0, rows: 0 },
  };
  const loses = { ...none, memories: 3 };
  const lesson = {
    wrong: {
      path: [
        { run: 'qdrant-lost', backup: 'previous', set: { way: { answer: 'empty' } }, accept: ['backup'] },
        { shell: 'echo done' },
      ],
      loses,
      costs: '',
    },
  } as unknown as Lesson;
  const took = (loss: LossCounts, ...journals: JournalEvent[][]) => tookWrongWay(lesson, choices(...journals), loss);
  const accepted = { type: 'guard.accepted', difference: 'backup', who: 'ana' } as Partial<Happening>;
  const answered = (given: string): Partial<Happening>[] => [
    { type: 'confirm.asked', step: 'way', destroys: [], question: 'which?' },
    { type: 'confirm.given', step: 'way', who: 'ana', typed: given },
  ];

  test('is known by its runs and by what it loses', () => {
    expect(took(loses, journal('qdrant-lost', 'older', accepted, ...answered('empty')))).toBe(true);
  });

  test.each([
    [
      'something else is lost',
      { ...loses, vectors: 1 },
      journal('qdrant-lost', 'older', accepted, ...answered('empty')),
    ],
    ['another backup was taken', loses, journal('qdrant-lost', 'newest', accepted, ...answered('empty'))],
    ['the guard was not passed', loses, journal('qdrant-lost', 'older', ...answered('empty'))],
    ['it was answered otherwise', loses, journal('qdrant-lost', 'older', accepted, ...answered('queue'))],
    ['another runbook was begun', loses, journal('whole-cluster-lost', 'older', accepted, ...answered('empty'))],
  ])('was not taken where %s', (_what, loss, events) => {
    expect(took(loss, events)).toBe(false);
  });
});
