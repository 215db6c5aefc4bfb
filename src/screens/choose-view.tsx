import { Box, Text } from 'ink';
import { useState } from 'react';
import { expectedOf } from '../engine/estimates.js';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import type { Question } from '../steps/step.js';
import { durationOf } from '../words.js';
import { Lines, useSpace } from './frame.js';
import { useEveryKey } from './keys.js';
import { Scrolled } from './scrolled.js';
import { Select } from './select.js';
import { findingLines, takesLines } from './step-lines.js';
import { cut, labelled, wrap } from './text.js';
import { isBlocked, stepsAfter } from './ways.js';

interface Props {
  run: RunSnapshot;
  step: StepSnapshot;
  asks: Extract<Question, { type: 'choose' }>;
  onAnswer: (choice: string) => void;
  onLater: () => void;
}

/** A choice of ways, with the facts of each: what its steps would do, destroy and take, and what stands in their way. */
export function ChooseView({ run, step, asks, onAnswer, onLater }: Props) {
  const { columns, bodyRows } = useSpace();
  const possible = asks.options.find(({ choice }) => !isBlocked(stepsAfter(run, step, choice)));
  const [highlighted, setHighlighted] = useState((possible ?? asks.options[0]!).choice);
  /** The way that was chosen although it is not possible now. */
  const [insisted, setInsisted] = useState<string | undefined>(undefined);
  const choose = (choice: string) => {
    if (insisted !== choice && isBlocked(stepsAfter(run, step, choice))) setInsisted(choice);
    else onAnswer(choice);
  };
  useEveryKey((_input, key) => {
    if (key.escape) onLater();
  });
  const width = columns - 2;
  const question = wrap(asks.question, width);
  const option = asks.options.find((one) => one.choice === highlighted)!;
  const lines = factsOf(option, stepsAfter(run, step, highlighted), width);
  const rows = Math.max(1, bodyRows - question.length - asks.options.length - 2);
  return (
    <>
      <Box flexDirection="column" marginLeft={1}>
        <Lines lines={question} bold />
        <Select
          items={asks.options.map(({ choice, title }) => ({
            key: choice,
            label: labelOf(title, stepsAfter(run, step, choice), width - 2),
            value: choice,
          }))}
          initialIndex={asks.options.findIndex(({ choice }) => choice === highlighted)}
          onSelect={(item) => choose(item.value)}
          onHighlight={(item) => setHighlighted(item.value)}
        />
      </Box>
      <Text dimColor>{'─'.repeat(columns)}</Text>
      <Scrolled
        key={`${highlighted} ${insisted}`}
        lines={insisted === highlighted ? [...wrap(NOT_POSSIBLE, width), ...lines] : lines}
        rows={rows}
        by="space"
      />
    </>
  );
}

/** What the way lacks stands below it. */
const NOT_POSSIBLE =
  '✗ This way is not possible now: see what stands in its way, and what to do. enter once more chooses it all the same; it fails as long as that is so.';

/** Where there is no room for all of it, the title is cut, and not what is true of the way now. */
function labelOf(title: string, steps: readonly StepSnapshot[], width: number): string {
  const standing = standingOf(steps);
  return cut(title, width - standing.length) + standing;
}

function standingOf(steps: readonly StepSnapshot[]): string {
  if (isBlocked(steps)) return ' (not possible now)';
  const { ms, measured, ...of } = expectedOf(steps.map((step) => ({ ...step, plan: step.plan, leftOut: false })));
  return ms === 0 ? '' : `  ~${durationOf(ms)}${measured === of.steps ? '' : '?'}`;
}

function factsOf(option: { because: string }, steps: readonly StepSnapshot[], width: number): string[] {
  return [
    ...wrap(option.because, width),
    ...steps.flatMap((step) => [
      ...labelled('Does', step.plan?.summary ?? step.uses, width),
      ...(step.plan?.destroys ?? []).flatMap((what) => labelled('Destroys', what, width)),
      ...(step.plan && step.plan.destroys.length > 0 ? labelled('Way back', step.plan.wayBack, width) : []),
      ...takesLines(step, width),
      ...findingLines(step, width),
    ]),
  ];
}
