import { z } from 'zod';
import { equal } from '../../stores/check.js';
import type { StepKind } from '../step.js';
import { readingPlan } from '../step.js';
import { stepEvents } from '../step-events.js';

const params = z.strictObject({
  /** What is acknowledged. */
  question: z.string().min(1),
  /** What has to be typed, word for word. */
  words: z.string().min(3),
  /** Typed beforehand: then nobody is asked. */
  answer: z.string().optional(),
});
type Params = z.infer<typeof params>;
type Facts = { answer: string };

/** Goes on only once a person has typed certain words. */
export const operatorConfirm: StepKind<Params, Facts> = {
  kind: 'operator.confirm',
  effect: 'ask',
  params,
  answers: (p) => ({ choices: [p.words], ...(p.answer === undefined ? {} : { given: p.answer }) }),
  plan: async (p) =>
    readingPlan(
      p.question,
      [],
      p.answer === undefined ? { asks: { type: 'type', question: p.question, words: p.words } } : {},
    ),
  check: async (p) =>
    p.answer === undefined || p.answer === p.words
      ? []
      : [
          {
            level: 'blocking',
            message: `"${p.answer}" was typed, which is not: ${p.words}`,
            next: `--set <step>.answer="${p.words}"`,
          },
        ],
  run: (p, ctx) =>
    stepEvents<Facts>(async (emit) => {
      const answer = p.answer ?? ctx.answer;
      if (answer === undefined) throw new Error('nobody has typed anything');
      emit.facts({ answer });
    }),
  verify: async (p, _ctx, { answer }) => [equal('operator', p.question, p.words, answer)],
  probe: async (_p, _ctx, facts) => (facts.answer === undefined ? 'not-started' : 'done'),
};
