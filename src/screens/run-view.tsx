import { Box, Text } from 'ink';
import { rtoClock } from '../engine/rto-clock.js';
import type { RunSnapshot } from '../engine/snapshot.js';
import { logTimeOf } from '../words.js';
import { Lines, useSpace } from './frame.js';
import { Chosen, useLinear } from './linear.js';
import { progressLines, standingWords } from './step-lines.js';
import { StepList } from './step-list.js';
import { cut } from './text.js';

interface Props {
  run: RunSnapshot;
  selected: number;
  /** A person chose the step that is selected. */
  isChosen: boolean;
  now: number;
}

/** Steps on the left, the chosen one on the right, the newest log lines below; told line by line: where every step stands. */
export function RunView({ run, selected, isChosen, now }: Props) {
  const { columns, bodyRows } = useSpace();
  const step = run.steps[selected]!;
  const linear = useLinear();
  if (linear) {
    return (
      <>
        <Lines lines={run.steps.map((one) => standingWords(one, now))} />
        {rtoClock(run, now).late > 0 && <Text>The run takes longer than expected.</Text>}
        {isChosen && (
          <>
            <Chosen label={step.id} at={selected} of={run.steps.length} />
            <Lines lines={progressLines(step, columns, now)} />
          </>
        )}
      </>
    );
  }
  const logRows = Math.max(2, Math.min(8, bodyRows - run.steps.length - 2));
  const upper = bodyRows - logRows - 1;
  const listWidth = Math.min(40, Math.floor(columns * 0.42));
  const detailWidth = columns - listWidth - 3;
  return (
    <>
      <Box height={upper} overflow="hidden">
        <Box flexDirection="column" width={listWidth}>
          <StepList steps={run.steps} selected={selected} width={listWidth} height={upper} now={now} />
        </Box>
        <Box flexDirection="column" width={detailWidth} marginLeft={1}>
          <Lines lines={progressLines(step, detailWidth - 1, now).slice(0, upper)} />
        </Box>
      </Box>
      <Text dimColor>{'─'.repeat(columns)}</Text>
      <Log run={run} rows={logRows} columns={columns} />
    </>
  );
}

function Log({ run, rows, columns }: { run: RunSnapshot; rows: number; columns: number }) {
  const lines = run.log
    .slice(-rows)
    .map((line) => cut(` ${logTimeOf(new Date(line.at))} ${line.step.padEnd(17)} ${line.text}`, columns));
  return (
    <Box flexDirection="column" height={rows} overflow="hidden">
      <Lines lines={lines} />
    </Box>
  );
}
