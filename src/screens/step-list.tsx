import { Text } from 'ink';
import type { StepSnapshot } from '../engine/snapshot.js';
import { clockOf, durationOf } from '../words.js';
import { lookOf, MARKS } from './marks.js';
import { shareDone } from './step-lines.js';
import { cut, windowAround } from './text.js';

/** The steps of a run, a row each: symbol, name, and how far or how long. */
export function StepList({
  steps,
  selected,
  marked,
  width,
  height,
  now,
}: {
  steps: readonly StepSnapshot[];
  selected: number;
  /** The selected one is told apart. */
  marked: boolean;
  width: number;
  height: number;
  now: number;
}) {
  const { from, to } = windowAround(selected, steps.length, height);
  return steps.slice(from, to).map((step, index) => {
    const isMarked = marked && from + index === selected;
    const mark = MARKS[step.state];
    const right = rightOf(step, now);
    const name = cut(step.id, width - right.length - 6);
    return (
      <Text key={step.id} wrap="truncate" inverse={isMarked}>
        {isMarked ? '>' : ' '}
        <Text {...lookOf(mark)}>{mark.symbol}</Text> {name.padEnd(width - right.length - 6)} {right}{' '}
      </Text>
    );
  });
}

function rightOf(step: StepSnapshot, now: number): string {
  const { state } = step;
  const took = (step.finishedAt ?? now) - (step.startedAt ?? step.finishedAt ?? now);
  const share = state === 'running' ? shareDone(step) : undefined;
  // What is told to its end, and goes on, has more to do than it has told.
  if (share !== undefined && share < 1) return `${Math.floor(share * 100)} %`;
  if (state === 'running') return clockOf(took);
  if (state === 'succeeded' || state === 'failed' || state === 'deciding') return durationOf(took);
  return MARKS[state].word;
}
