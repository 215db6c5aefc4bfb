import { Text } from 'ink';
import type { StepSnapshot } from '../engine/snapshot.js';
import { clockOf, durationOf } from '../words.js';
import { MARKS } from './marks.js';
import { cut, windowAround } from './text.js';

/** The steps of a run, a row each: symbol, name, and how far or how long. */
export function StepList({
  steps,
  selected,
  width,
  height,
  now,
}: {
  steps: readonly StepSnapshot[];
  selected: number;
  width: number;
  height: number;
  now: number;
}) {
  const { from, to } = windowAround(selected, steps.length, height);
  return steps.slice(from, to).map((step, index) => {
    const mark = MARKS[step.state];
    const right = rightOf(step, now);
    const name = cut(step.id, width - right.length - 6);
    return (
      <Text key={step.id} wrap="truncate" inverse={from + index === selected}>
        {from + index === selected ? '>' : ' '}
        <Text {...(mark.color ? { color: mark.color } : {})}>{mark.symbol}</Text>{' '}
        {name.padEnd(width - right.length - 6)} {right}{' '}
      </Text>
    );
  });
}

function rightOf(step: StepSnapshot, now: number): string {
  const { progress, state } = step;
  const took = (step.finishedAt ?? now) - (step.startedAt ?? step.finishedAt ?? now);
  // What is told to its end, and goes on, has more to do than it has told.
  if (state === 'running' && progress?.total && progress.done < progress.total)
    return `${Math.floor((progress.done / progress.total) * 100)} %`;
  if (state === 'running') return clockOf(took);
  if (state === 'succeeded' || state === 'failed' || state === 'deciding') return durationOf(took);
  return MARKS[state].word;
}
