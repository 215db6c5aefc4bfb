import { describe, expect, test } from 'vitest';
import { requireConfirmation } from '../../src/engine/confirmation.js';
import { type AnyStepKind, readingPlan } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { equal } from '../../src/stores/check.js';
import { outcomesIn, step, tinyKind, tinyRun } from '../support/tiny-run.js';

/** Destroys up to a number that it asks for, unless it was given beforehand; odd ones are blocked, and it fails at 4. */
const asking = (given?: string): AnyStepKind =>
  ({
    ...tinyKind('tiny.asking'),
    effect: 'destroy',
    answers: () => ({ choices: [], give: 'number=8', ...(given === undefined ? {} : { given }) }),
    refuses: (_p, answer) => (/^\d+$/.test(answer) ? '' : 'it is no number'),
    plan: async (_p, { answer = given }) =>
      readingPlan(
        `up to ${answer ?? 'what is asked for'}`,
        [],
        answer === undefined ? { asks: { type: 'text', question: 'How far?', hint: ['8'] } } : {},
      ),
    check: async (_p, { answer = given }) =>
      Number(answer ?? 0) % 2 === 1
        ? [{ level: 'blocking', message: `${answer} is odd`, next: 'take an even one' }]
        : [],
    run: (_p, { answer = given }) =>
      stepEvents(async (emit) => {
        emit.facts({ answer });
        if (answer === '4') throw new Error('it cannot be 4');
      }),
    verify: async (_p, _ctx, facts) => [equal('tiny step', 'far', '8', (facts as { answer: string }).answer)],
  }) as AnyStepKind;

const askedRun = () => tinyRun([step('far', asking())]);

const runbook = (kind: AnyStepKind) => ({
  scenario: 'tiny',
  title: 'Tiny',
  when: 'now',
  outcome: 'done',
  steps: [step('far', kind)],
  hash: '0',
});

describe('a question for free text', () => {
  test('is answered, then the step is planned anew and confirmed as any that destroys', async () => {
    const tiny = askedRun();
    await tiny.begin();
    await tiny.until('far', 'asking');
    expect(tiny.stepOf('far').plan?.asks).toMatchObject({ type: 'text' });
    tiny.run.intend({ type: 'answer', step: 'far', answer: '8' });
    await tiny.until('far', 'asking');
    expect(tiny.stepOf('far').plan).toMatchObject({ summary: 'up to 8' });
    expect(tiny.stepOf('far').plan?.asks).toBeUndefined();
    tiny.run.intend({ type: 'confirm', step: 'far', typed: 'acme-test' });
    expect(await tiny.run.finished).toBe('recovered');
    expect(tiny.events.flatMap((event) => (event.type === 'confirm.given' ? [event.typed] : []))).toEqual([
      '8',
      'acme-test',
    ]);
  });

  test('is not answered with the cluster’s name, and what the kind refuses is told with the reason', async () => {
    const tiny = askedRun();
    await tiny.begin();
    await tiny.until('far', 'asking');
    tiny.run.intend({ type: 'confirm', step: 'far', typed: 'acme-test' });
    tiny.run.intend({ type: 'answer', step: 'far', answer: 'very' });
    expect(tiny.stepOf('far')).toMatchObject({
      state: 'asking',
      refused: { answer: 'very', why: 'it is no number' },
    });
    tiny.run.intend({ type: 'answer', step: 'far', answer: '8' });
    await tiny.until('far', 'asking');
    expect(tiny.stepOf('far').refused).toBeUndefined();
    tiny.run.intend({ type: 'abort' });
    await tiny.run.finished;
  });

  test.each([
    ['3', 'that reality refuses', '3 is odd'],
    ['4', 'with which it fails', 'it cannot be 4'],
  ])('%s, an answer %s, is asked for again at a retry', async (answer, _why, reason) => {
    const tiny = askedRun();
    await tiny.begin();
    await tiny.until('far', 'asking');
    tiny.run.intend({ type: 'answer', step: 'far', answer });
    if (answer === '4') {
      await tiny.until('far', 'asking');
      tiny.run.intend({ type: 'confirm', step: 'far', typed: 'acme-test' });
    }
    await tiny.until('far', 'deciding');
    expect(tiny.stepOf('far').reason).toBe(reason);
    tiny.run.intend({ type: 'retry', step: 'far' });
    await tiny.until('far', 'asking');
    expect(tiny.stepOf('far').plan?.asks).toMatchObject({ question: 'How far?' });
    tiny.run.intend({ type: 'abort' });
    await tiny.run.finished;
  });

  test('that nobody is there to answer is refused with what to type', () => {
    expect(() => requireConfirmation(runbook(asking()), 'acme', 'acme')).toThrow(
      expect.objectContaining({ exitCode: 3, next: expect.stringContaining('--set far.number=8') }),
    );
    expect(() => requireConfirmation(runbook(asking('8')), 'acme', 'acme')).not.toThrow();
    expect(() => requireConfirmation(runbook(asking('8')), 'acme', undefined)).toThrow(/nobody has confirmed/);
  });

  test('that was answered beforehand asks nobody', async () => {
    const tiny = tinyRun([step('far', asking('8'))]);
    await tiny.begin();
    await tiny.until('far', 'asking');
    expect(tiny.stepOf('far').plan?.asks).toBeUndefined();
    tiny.run.intend({ type: 'confirm', step: 'far', typed: 'acme-test' });
    expect(await tiny.run.finished).toBe('recovered');
  });
});

test('an optional step that nobody asked for is left out, which is no exception and keeps nothing from running', async () => {
  const optional = tinyKind('tiny.optional', {
    plan: async () => readingPlan('more', [], { notAskedFor: 'only with --set <step>.take=true' }),
  });
  const tiny = tinyRun([step('more', optional), step('after', tinyKind('tiny.after'), ['more'])], {
    onFailure: 'stop',
  });
  expect(await tiny.toEnd()).toBe('recovered');
  expect(outcomesIn(tiny.run)).toEqual({ more: 'skipped', after: 'succeeded' });
  expect(tiny.stepOf('more').reason).toBe('only with --set more.take=true');
  expect(tiny.stepOf('more').plan?.notAskedFor).toBe('only with --set more.take=true');
});
