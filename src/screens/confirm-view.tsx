import { Box, Text, useInput } from 'ink';
import { useState } from 'react';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { Lines, useSpace } from './frame.js';
import { useLinear } from './linear.js';
import { planLines } from './step-lines.js';
import { wrap } from './text.js';
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
  const [scrolled, setScrolled] = useState(0);
  const place = run.steps.findIndex((one) => one.id === step.id) + 1;
  const head = wrap(`Step ${place} of ${run.steps.length} · ${step.plan?.summary ?? step.id}`, columns - 2);
  const busy = run.steps
    .filter((one) => ['running', 'verifying', 'checking'].includes(one.state))
    .map((one) => one.id);
  const waiting = run.attention.length - 1;
  const linear = useLinear();
  const rows = linear ? SAID_AT_ONCE : Math.max(1, bodyRows - head.length - 4);
  const lines = planLines(step, columns - 2);
  const last = Math.max(0, lines.length - rows);
  const at = Math.min(scrolled, last);
  useInput((_input, key) => {
    if (key.downArrow) setScrolled(Math.min(last, at + 1));
    else if (key.upArrow) setScrolled(Math.max(0, at - 1));
    else if (key.pageDown) setScrolled(Math.min(last, at + rows));
    else if (key.pageUp) setScrolled(Math.max(0, at - rows));
  });
  return (
    <>
      <Box flexDirection="column" marginLeft={1}>
        {head.map((line) => (
          <Text bold key={line} wrap="truncate">
            {line}
          </Text>
        ))}
      </Box>
      <Box flexDirection="column" marginLeft={1} height={rows} overflow="hidden">
        <Lines lines={lines.slice(at, at + rows)} />
      </Box>
      <Text dimColor wrap="truncate">
        {' '}
        {at < last ? `${last - at} more below: ↓ or page down. ` : ''}
        {busy.length > 0 ? `meanwhile: ${busy.join(', ')}. ` : ''}
        {waiting > 0 ? `${waiting} more question${waiting === 1 ? '' : 's'} after this one.` : ''}
      </Text>
      <Text wrap="truncate" color="yellow">
        {refused === '' ? ' ' : ` "${refused}" is not this cluster's name; nothing was started.`}
      </Text>
      <TextField
        label={` Type the cluster's name (${run.cluster}) to go on: `}
        onSubmit={(typed) => {
          if (typed === run.cluster) onConfirm(typed);
          else setRefused(typed);
        }}
        onCancel={onLater}
      />
    </>
  );
}
