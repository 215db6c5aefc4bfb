import { Box, Text } from 'ink';
import { useState } from 'react';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { Lines, useSpace } from './frame.js';
import { useLinear } from './linear.js';
import { Scrolled } from './scrolled.js';
import { planLines } from './step-lines.js';
import { nameLabel, wrap } from './text.js';
import { TextField } from './text-field.js';

interface Props {
  run: RunSnapshot;
  step: StepSnapshot;
  onConfirm: (typed: string) => void;
  onLater: () => void;
}

/** Read aloud, the facts are heard before the question; of many commands the further ones are asked for. */
const SAID_AT_ONCE = 12;

/** One destructive step: what it runs, what it destroys, and a field for the cluster's name. */
export function ConfirmView({ run, step, onConfirm, onLater }: Props) {
  const { columns, bodyRows } = useSpace();
  const [refused, setRefused] = useState('');
  const place = run.steps.findIndex((one) => one.id === step.id) + 1;
  const head = wrap(`Step ${place} of ${run.steps.length} · ${step.plan?.summary ?? step.id}`, columns - 2);
  const linear = useLinear();
  const rows = linear ? SAID_AT_ONCE : Math.max(1, bodyRows - head.length - 3);
  return (
    <>
      <Box flexDirection="column" marginLeft={1}>
        <Lines lines={head} bold />
      </Box>
      <Scrolled lines={planLines(step, columns - 2)} rows={rows} by="arrows" />
      <Text wrap="truncate" bold>
        {refused === '' ? ' ' : ` "${refused}" is not this cluster's name; nothing was started.`}
      </Text>
      <TextField
        label={nameLabel(run.cluster, 'go on', columns)}
        onSubmit={(typed) => {
          if (typed === run.cluster) onConfirm(typed);
          else setRefused(typed);
        }}
        onCancel={onLater}
      />
    </>
  );
}
