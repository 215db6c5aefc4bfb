import { Box, Text } from 'ink';
import { useState } from 'react';
import type { RunSnapshot, StepSnapshot } from '../engine/snapshot.js';
import { Lines, useSpace } from './frame.js';
import { planLines } from './step-lines.js';
import { wrap } from './text.js';
import { TextField } from './text-field.js';

interface Props {
  run: RunSnapshot;
  step: StepSnapshot;
  onConfirm: (typed: string) => void;
  onLater: () => void;
}

/** One destructive step: what it runs, what it destroys, and a field for the cluster's name. */
export function ConfirmView({ run, step, onConfirm, onLater }: Props) {
  const { columns, bodyRows } = useSpace();
  const [refused, setRefused] = useState('');
  const place = run.steps.findIndex((one) => one.id === step.id) + 1;
  const head = wrap(`Step ${place} of ${run.steps.length} · ${step.plan?.summary ?? step.id}`, columns - 2);
  const busy = run.steps
    .filter((one) => ['running', 'verifying', 'checking'].includes(one.state))
    .map((one) => one.id);
  const waiting = run.attention.length - 1;
  const rows = Math.max(1, bodyRows - head.length - 4);
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
        <Lines lines={short(planLines(step, columns - 2), rows)} />
      </Box>
      <Text dimColor wrap="truncate">
        {' '}
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

/** Keeps what is destroyed and what was found on the screen: of many commands only the first are shown. */
function short(lines: string[], rows: number): string[] {
  if (lines.length <= rows) return lines;
  const from = lines.findIndex((line) => line.startsWith('Destroys'));
  const tail = from === -1 ? [] : lines.slice(from);
  const room = Math.max(1, rows - tail.length - 1);
  return [
    ...lines.slice(0, room),
    `           … ${lines.length - room - tail.length} more lines, all of them in the journal`,
    ...tail,
  ].slice(0, rows);
}
