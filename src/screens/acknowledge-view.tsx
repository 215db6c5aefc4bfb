import { Box, Text } from 'ink';
import { useState } from 'react';
import type { StepSnapshot } from '../engine/snapshot.js';
import type { Question } from '../steps/step.js';
import { Lines, useSpace } from './frame.js';
import { labelled, wrap } from './text.js';
import { TextField } from './text-field.js';

interface Props {
  step: StepSnapshot;
  asks: Extract<Question, { type: 'type' }>;
  onAnswer: (typed: string) => void;
  onLater: () => void;
}

/** Something that a person has to acknowledge word for word. */
export function AcknowledgeView({ step, asks, onAnswer, onLater }: Props) {
  const { columns, bodyRows } = useSpace();
  const [refused, setRefused] = useState('');
  const width = columns - 2;
  const lines = [...wrap(asks.question, width), '', ...labelled('Why', step.why, width)];
  return (
    <>
      <Box flexDirection="column" marginLeft={1} height={Math.max(1, bodyRows - 3)} overflow="hidden">
        <Lines lines={lines} />
      </Box>
      <Text wrap="truncate" bold>
        {refused === '' ? ' ' : ` "${refused}" is not it; nothing was started.`}
      </Text>
      <Text wrap="truncate"> To go on, type: {asks.words}</Text>
      <TextField
        label=" > "
        onSubmit={(typed) => {
          if (typed === asks.words) onAnswer(typed);
          else setRefused(typed);
        }}
        onCancel={onLater}
      />
    </>
  );
}
