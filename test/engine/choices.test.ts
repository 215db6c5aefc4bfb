import { describe, expect, test } from 'vitest';
import { requireConfirmation } from '../../src/engine/confirmation.js';
import { restores } from '../../src/engine/prepare-run.js';
import type { Runbook, RunbookStep } from '../../src/runbook/runbook.js';
import { operatorChoose } from '../../src/steps/operator/choose.js';
import { operatorConfirm } from '../../src/steps/operator/confirm.js';
import { type AnyStepKind, readingPlan } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import type { BackupSet } from '../../src/stores/backup-set/backup-set.js';
import { gate, outcomesIn, step, type TinyFacts, tinyKind, tinyRun } from '../support/tiny-run.js';

const options = ['snapshots', 'reindex'].map((choice) => ({ choice, title: choice, because: `for ${choice}` }));

function asking(kind: unknown, params: object): RunbookStep {
  const whole = kind as AnyStepKind;
  return { ...step('way', whole), params: whole.params.parse(params) };
}

const choose = (answer?: string) =>
  asking(operatorChoose, { question: 'Which way?', options, ...(answer ? { answer } : {}) });
const acknowledge = (answer?: string) =>
  asking(operatorConfirm, { question: 'All is lost.', words: 'all is lost', ...(answer ? { answer } : {}) });

const only = (of: RunbookStep, ...choices: string[]): RunbookStep => ({
  ...of,
  needs: ['way'],
  only: { step: 'way', choices },
});

const blocked = tinyKind('tiny.blocked', {
  check: async () => [{ level: 'blocking', message: 'cannot be', next: 'look' }],
});
const reads = tinyKind('tiny.reads', { backupSet: 'reads' });

const ways = (ask: RunbookStep, reindex = tinyKind('tiny.reindex')) => [
  ask,
  only(step('restore', reads), 'snapshots'),
  only(step('reindex', reindex), 'reindex'),
  { ...step('after', tinyKind('tiny.after')), needs: ['restore', 'reindex'] },
];

const runbookOf = (steps: RunbookStep[]): Runbook => ({
  scenario: 'tiny',
  title: 'Tiny',
  when: 'now',
  outcome: 'done',
  steps,
  hash: '0',
});

describe('a choice of ways', () => {
  test('is expected to take as long as the way that is chosen, from the moment of the answer on', async () => {
    const { opened, open } = gate();
    const lasting = (name: string, estimateMs: number) =>
      tinyKind(`tiny.${name}`, {
        plan: async () => ({ ...readingPlan(name, []), estimateMs }),
        run: () =>
          stepEvents<TinyFacts>(async (emit) => {
            await opened;
            emit.facts({ ran: true });
          }),
      });
    const tiny = tinyRun([
      choose(),
      only(step('restore', lasting('restore', 1_000)), 'snapshots'),
      only(step('reindex', lasting('reindex', 60_000)), 'reindex'),
    ]);
    await tiny.begin();
    const { expected } = await tiny.until('way', 'asking');
    expect(expected.ms).toBe(60_000);
    tiny.run.intend({ type: 'answer', step: 'way', answer: 'snapshots' });
    expect((await tiny.until('restore', 'running')).expected.ms).toBe(1_000);
    open();
    expect(await tiny.run.finished).toBe('recovered');
  });

  test('waits for the answer, then goes the chosen way only, and that is no exception', async () => {
    const tiny = tinyRun(ways(choose()));
    await tiny.begin();
    await tiny.until('way', 'asking');
    expect(tiny.run.getSnapshot().attention).toEqual(['way']);
    tiny.run.intend({ type: 'answer', step: 'way', answer: 'reindex' });
    expect(await tiny.run.finished).toBe('recovered');
    expect(outcomesIn(tiny.run)).toEqual({
      way: 'succeeded',
      restore: 'skipped',
      reindex: 'succeeded',
      after: 'succeeded',
    });
    expect(tiny.stepOf('restore')).toMatchObject({ reason: 'not chosen at way', notChosen: true });
    expect(tiny.events).toContainEqual(
      expect.objectContaining({ type: 'confirm.given', step: 'way', typed: 'reindex' }),
    );
  });

  test('takes no answer that is none of its choices, nor the cluster’s name', async () => {
    const tiny = tinyRun(ways(choose()));
    await tiny.begin();
    await tiny.until('way', 'asking');
    tiny.run.intend({ type: 'answer', step: 'way', answer: 'acme-test' });
    tiny.run.intend({ type: 'confirm', step: 'way', typed: 'acme-test' });
    expect(tiny.stateOf('way')).toBe('asking');
    tiny.run.intend({ type: 'abort' });
    expect(await tiny.run.finished).toBe('aborted');
  });

  test('that was given beforehand asks nobody', async () => {
    const tiny = tinyRun(ways(choose('snapshots')), { onFailure: 'stop' });
    expect(await tiny.toEnd()).toBe('recovered');
    expect(outcomesIn(tiny.run)).toMatchObject({ restore: 'succeeded', reindex: 'skipped' });
  });

  test('is not hindered by a way that is blocked, unless it is the chosen one', async () => {
    expect(await tinyRun(ways(choose('snapshots'), blocked), { onFailure: 'stop' }).toEnd()).toBe('recovered');
    expect(await tinyRun(ways(choose('reindex'), blocked), { onFailure: 'stop' }).toEnd()).toBe('failed');
  });

  test('is put with what each way finds at that moment', async () => {
    let message = 'as in the preflight';
    const finding = tinyKind('tiny.finding', { check: async () => [{ level: 'warning', message }] });
    const tiny = tinyRun(ways(choose(), finding));
    await tiny.run.preflight();
    message = 'as it is now';
    tiny.run.intend({ type: 'begin' });
    await tiny.until('way', 'asking');
    expect(tiny.stepOf('reindex').findings).toEqual([{ level: 'warning', message: 'as it is now' }]);
    tiny.run.intend({ type: 'abort' });
    await tiny.run.finished;
  });

  test('that a person skips leaves every way out', async () => {
    const tiny = tinyRun(ways(choose()));
    await tiny.begin();
    await tiny.until('way', 'asking');
    tiny.run.intend({ type: 'skip', step: 'way' });
    await tiny.run.finished;
    expect(outcomesIn(tiny.run)).toEqual({
      way: 'skipped',
      restore: 'skipped',
      reindex: 'skipped',
      after: 'skipped',
    });
  });

  test('makes a backup set needed only where a way that reads one is chosen or alone', () => {
    expect(restores(runbookOf(ways(choose())))).toBe('may');
    expect(restores(runbookOf(ways(choose('snapshots'))))).toBe('must');
    expect(restores(runbookOf(ways(choose('reindex'))))).toBe('no');
    expect(restores(runbookOf([step('restore', reads)]))).toBe('must');
    expect(
      restores(runbookOf([choose(), only(step('a', reads), 'snapshots'), only(step('b', reads), 'reindex')])),
    ).toBe('must');
  });
});

test('a way that only looks into a backup set uses one where there is one, and can do without', () => {
  const looks = tinyKind('tiny.looks', { backupSet: 'compares' });
  expect(restores(runbookOf(ways(choose('reindex'), looks)))).toBe('may');
  expect(restores(runbookOf(ways(choose('snapshots'), looks)))).toBe('must');
  expect(restores(runbookOf([step('look', looks)]))).toBe('may');
});

test('what comes back has the age of the backup only on a way that restores from it', async () => {
  const backup = { id: 'set', takenAt: new Date(Date.now() - 60_000) } as BackupSet;
  const rpo = async (answer: string) => {
    const tiny = tinyRun(ways(choose(answer)), { onFailure: 'stop', backup });
    await tiny.toEnd();
    return tiny.run.getSnapshot().rpoMs;
  };
  expect(await rpo('snapshots')).toBeGreaterThanOrEqual(60_000);
  expect(await rpo('reindex')).toBeNull();
});

test('a way that was decided against beforehand is not looked at', async () => {
  const tiny = tinyRun(ways(choose('snapshots'), blocked), { onFailure: 'stop' });
  await tiny.toEnd();
  expect(tiny.stepOf('reindex')).toMatchObject({ state: 'skipped', findings: [] });
  expect(tiny.events.filter((event) => event.type === 'step.finding')).toEqual([]);
});

describe('an acknowledgement', () => {
  const steps = (answer?: string) => [
    acknowledge(answer),
    { ...step('after', tinyKind('tiny.after')), needs: ['way'] },
  ];

  test('goes on with the very words only', async () => {
    const tiny = tinyRun(steps());
    await tiny.begin();
    await tiny.until('way', 'asking');
    tiny.run.intend({ type: 'answer', step: 'way', answer: 'all is los' });
    expect(tiny.stateOf('way')).toBe('asking');
    tiny.run.intend({ type: 'answer', step: 'way', answer: 'all is lost' });
    expect(await tiny.run.finished).toBe('recovered');
  });

  test('with other words given beforehand blocks the run', async () => {
    const tiny = tinyRun(steps('yes'), { onFailure: 'stop' });
    expect(await tiny.toEnd()).toBe('failed');
    expect(tiny.stepOf('way').findings).toEqual([
      {
        level: 'blocking',
        message: '"yes" was typed, which is not: all is lost',
        next: '--set way.answer="all is lost"',
      },
    ]);
  });
});

test('without a person, a question without an answer is refused with the words to type', () => {
  expect(() => requireConfirmation(runbookOf(ways(choose())), 'acme', 'acme')).toThrow(
    expect.objectContaining({
      exitCode: 3,
      next: expect.stringContaining('--set way.answer=snapshots, or --set way.answer=reindex'),
    }),
  );
  expect(() => requireConfirmation(runbookOf(ways(choose('snapshots'))), 'acme', undefined)).not.toThrow();
});

test('without a person, a way that is not chosen needs no confirmation', () => {
  const destroys: AnyStepKind = {
    ...tinyKind('tiny.destroys'),
    effect: 'destroy',
    plan: async () => readingPlan('', []),
  };
  const steps = (answer: string) => [choose(answer), only(step('drop', destroys), 'snapshots')];
  expect(() => requireConfirmation(runbookOf(steps('reindex')), 'acme', undefined)).not.toThrow();
  expect(() => requireConfirmation(runbookOf(steps('snapshots')), 'acme', undefined)).toThrow(/nobody has confirmed/);
});
