import { expect, test } from 'vitest';
import { pastOf } from '../../src/engine/past.js';
import { readingPlan } from '../../src/steps/step.js';
import { stepEvents } from '../../src/steps/step-events.js';
import { eventually } from '../support/eventually.js';
import { step, type TinyFacts, tinyKind, tinyRun } from '../support/tiny-run.js';

test('the name that confirmed a step is not taken for the answer that it was given before', async () => {
  const question = { type: 'text' as const, question: 'to which moment?', hint: [] };
  const moment = tinyKind('tiny.moment', {
    effect: 'destroy',
    plan: async (_p, ctx) => ({
      ...readingPlan('go back', []),
      destroys: ['everything'],
      ...(ctx.answer === undefined ? { asks: question } : {}),
    }),
    answers: () => ({ choices: [], give: 'target=MOMENT' }),
    run: () => stepEvents<TinyFacts>(async (emit) => emit.facts({ ran: true })),
  });
  const tiny = tinyRun([step('back', moment)]);
  await tiny.begin();
  await tiny.until('back', 'asking');
  tiny.run.intend({ type: 'answer', step: 'back', answer: 'yesterday' });
  await eventually('its name is asked for', () => {
    const { state, plan } = tiny.stepOf('back');
    return state === 'asking' && !plan?.asks;
  });
  tiny.run.intend({ type: 'confirm', step: 'back', typed: 'acme-test' });
  await tiny.run.finished;
  expect(tiny.events.filter((event) => event.type === 'confirm.given').map((event) => event.typed)).toEqual([
    'yesterday',
    'acme-test',
  ]);
  expect(pastOf(tiny.events).steps.get('back')!.answer).toBe('yesterday');
});
