import { Box } from 'ink';
import type { StepSnapshot } from '../engine/snapshot.js';
import type { Question } from '../steps/step.js';
import { Lines, useSpace } from './frame.js';
import { Scrolled } from './scrolled.js';
import { findingLines } from './step-lines.js';
import { cut, wrap } from './text.js';
import { TextField } from './text-field.js';

interface Props {
  step: StepSnapshot;
  asks: Extract<Question, { type: 'text' }>;
  onAnswer: (typed: string) => void;
  onLater: () => void;
}

/** A question whose answer is free text: what was found above it, what forms it may have, and why the last one was refused. */
export function AskView({ step, asks, onAnswer, onLater }: Props) {
  const { columns, bodyRows } = useSpace();
  const width = columns - 2;
  const question = wrap(asks.question, width);
  const refusal = step.refused ? wrap(`✗ "${step.refused.answer}": ${step.refused.why}`, width, 2).slice(0, 3) : [];
  const rows = Math.max(1, bodyRows - question.length - asks.hint.length - refusal.length - 2);
  return (
    <>
      <Box flexDirection="column" marginLeft={1}>
        <Lines lines={question} bold />
      </Box>
      <Scrolled lines={findingLines(step, width)} rows={rows} by="arrows" />
      <Box flexDirection="column" marginLeft={1}>
        <Lines lines={refusal} bold />
        <Lines lines={asks.hint.map((line) => cut(line, width))} />
      </Box>
      <TextField label=" > " onSubmit={onAnswer} onCancel={onLater} />
    </>
  );
}
