import { z } from 'zod';
import type { StepContext, StepKind } from '../step.js';
import { readingPlan } from '../step.js';
import { stepEvents } from '../step-events.js';

const option = z.strictObject({
  choice: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/, 'lower-case letters, digits and dashes'),
  title: z.string().min(1),
  because: z.string().min(1),
});

const params = z
  .strictObject({
    question: z.string().min(1),
    options: z.array(option).min(2).max(9),
    /** Given beforehand: then nobody is asked. */
    answer: z.string().optional(),
  })
  .superRefine(({ options, answer }, context) => {
    const choices = options.map((one) => one.choice);
    for (const [index, choice] of choices.entries())
      if (choices.indexOf(choice) !== index)
        context.addIssue({
          code: 'custom',
          path: ['options', index, 'choice'],
          message: `"${choice}" is there twice`,
        });
    if (answer !== undefined && !choices.includes(answer))
      context.addIssue({ code: 'custom', path: ['answer'], message: `"${answer}" is none of ${choices.join(', ')}` });
  });
type Params = z.infer<typeof params>;
type Facts = { answer: string };

const choicesOf = (p: Params) => p.options.map((one) => one.choice);
const answerOf = (p: Params, ctx: StepContext) => p.answer ?? ctx.answer;

/** Asks a person to choose a way; steps with `if` go on by the answer. */
export const operatorChoose: StepKind<Params, Facts> = {
  kind: 'operator.choose',
  effect: 'ask',
  params,
  answers: (p) => ({ choices: choicesOf(p), ...(p.answer === undefined ? {} : { given: p.answer }) }),
  plan: async (p) =>
    readingPlan(
      p.answer === undefined ? p.question : `${p.question} Given: ${p.answer}`,
      [],
      p.answer === undefined ? { asks: { type: 'choose', question: p.question, options: p.options } } : {},
    ),
  check: async () => [],
  run: (p, ctx) =>
    stepEvents<Facts>(async (emit) => {
      const answer = answerOf(p, ctx);
      if (answer === undefined) throw new Error('nobody has chosen');
      emit.facts({ answer });
      emit.output(`chosen: ${answer}`);
    }),
  verify: async (p, _ctx, { answer }) => [
    {
      subject: 'operator',
      what: p.question,
      expected: `one of ${choicesOf(p).join(', ')}`,
      actual: answer,
      ok: choicesOf(p).includes(answer),
    },
  ],
  probe: async (_p, _ctx, facts) => (facts.answer === undefined ? 'not-started' : 'done'),
};
